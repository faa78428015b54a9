#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""make bench: durable life cycles, latency, restart, size, beside the machine's and the peers' figures.

Everything runs in one go on one machine, in a folder on a real disk (not tmpfs), over ipc and
127.0.0.1. Each figure is the median of --runs runs taken in turn with the figure it is compared to,
so that a machine whose speed drifts does not favour one side. Prints a table in Markdown."""
import argparse
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--bin", default="build/bin", help="folder of the programs")
parser.add_argument("--runs", type=int, default=3)
parser.add_argument("--seconds", type=int, default=2, help="of one run")
parser.add_argument("--folder", default=None, help="on the disk to measure (default: beside the build)")
parser.add_argument("--fill", type=int, default=1_000_000, help="tasks that wait in the backlog runs")
parser.add_argument("--skip-peers", action="store_true")
args = parser.parse_args()
binary = os.path.abspath(args.bin)
root = tempfile.mkdtemp(prefix="bench-", dir=args.folder or os.path.dirname(binary))


def values(text):
    return {k: float(v) for k, v in (pair.split("=", 1) for pair in text.split() if "=" in pair)}


def run(*command, timeout=180):
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return values(done.stdout)


class Server:
    """A process that ends with the block; its folder goes too, unless it is kept for a restart."""

    def __init__(self, command, ready, name):
        self.log = open(os.path.join(root, name + ".log"), "w+")
        self.started = time.monotonic()
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)
        while not ready():
            if self.process.poll() is not None:
                self.log.seek(0)
                sys.exit(f"{command[0]} ended: {self.log.read()}")
            time.sleep(0.002)
        self.ready_after = time.monotonic() - self.started

    def stop(self, sig=signal.SIGTERM):
        self.process.send_signal(sig)
        self.process.wait(20)
        self.log.close()

    def memory(self):
        """Private memory in MiB: what is not a file's page."""
        with open(f"/proc/{self.process.pid}/status") as status:
            return next(int(line.split()[1]) / 1024 for line in status if line.startswith("RssAnon"))


def broker(state):
    os.makedirs(state, exist_ok=True)
    endpoint = "ipc://" + os.path.join(state, "broker.sock")

    def ready():
        log = os.path.join(root, "broker.log")
        with open(log) as f:
            return "ready " in f.read()

    server = Server([os.path.join(binary, "pawl-broker"), "--state", state], ready, "broker")
    server.endpoint = endpoint
    server.state = state
    return server


def life(server, **settings):
    return run(os.path.join(binary, "bench_life"), server.endpoint,
               *[f"{k}={v}" for k, v in settings.items()])


def fresh(**settings):
    state = os.path.join(root, "state")
    server = broker(state)
    try:
        return life(server, seconds=args.seconds, **settings)
    finally:
        server.stop()
        shutil.rmtree(state)


def listening(port):
    import socket
    def ready():
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", port)) == 0
    return ready


def redis(producers=4, executors=4, credit=64):
    if not shutil.which("redis-server"):
        return None
    folder = os.path.join(root, "redis")
    os.makedirs(folder)
    server = Server(["redis-server", "--port", "7391", "--bind", "127.0.0.1", "--dir", folder,
                     "--appendonly", "yes", "--appendfsync", "always", "--save", ""],
                    listening(7391), "redis")
    try:
        return run(os.path.join(binary, "bench_peers"), "redis-stream", "7391",
                   f"seconds={args.seconds}", f"producers={producers}", f"executors={executors}",
                   f"credit={credit}")
    finally:
        server.stop()
        shutil.rmtree(folder)


def beanstalkd():
    if not shutil.which("beanstalkd"):
        return None
    folder = os.path.join(root, "beanstalkd")
    os.makedirs(folder)
    server = Server(["beanstalkd", "-l", "127.0.0.1", "-p", "7392", "-b", folder, "-f", "0"],
                    listening(7392), "beanstalkd")
    try:
        return run(os.path.join(binary, "bench_peers"), "beanstalkd", "7392",
                   f"seconds={args.seconds}")
    finally:
        server.stop()
        shutil.rmtree(folder)


def median(rows, key):
    rows = [r[key] for r in rows if r and key in r]
    return statistics.median(rows) if rows else float("nan")


def spread(rows, key):
    rows = [r[key] for r in rows if r and key in r]
    return f"{statistics.median(rows):,.0f} [{min(rows):,.0f}-{max(rows):,.0f}]" if rows else "-"


def main():
    print(f"machine: {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start; "
          f"{args.runs} runs of {args.seconds} s, median [min-max]\n")
    shapes = {
        "peers' shape (4 x 64 in flight, 4 executors, 64 a message)": {},
        "deep windows (8,192 in flight, 64 a message)":
            dict(producers=1, executors=1, window=8192, credit=8192),
        "1 executor, batches of 64": dict(executors=1),
        "16 executors, batches of 64": dict(executors=16),
        "1 executor, one at a time": dict(executors=1, credit=1, batch=1),
        "4 executors, one at a time": dict(executors=4, credit=1, batch=1),
        "16 executors, one at a time": dict(executors=16, credit=1, batch=1),
    }
    figures = {name: [] for name in shapes}
    peers = {"redis streams, appendfsync always, 4 x 64, 4 workers x 64": [], "beanstalkd -f 0": []}
    syncs, latency = [], []
    for _ in range(args.runs):
        syncs.append(run(os.path.join(binary, "bench_sync"), root))
        for name, settings in shapes.items():
            figures[name].append(fresh(**settings))
            if not args.skip_peers and settings == {}:
                peers["redis streams, appendfsync always, 4 x 64, 4 workers x 64"].append(redis())
                peers["beanstalkd -f 0"].append(beanstalkd())
        latency.append(fresh(rate=200, producers=1, executors=1))
    sync = median(syncs, "append_p50_us")
    base = median(peers["redis streams, appendfsync always, 4 x 64, 4 workers x 64"], "cycles")
    print("| durable life cycles a second | | against redis |\n| --- | --- | --- |")
    for name, rows in list(figures.items()) + list(peers.items()):
        print(f"| {name} | {spread(rows, 'cycles')} | {median(rows, 'cycles') / base:.2f} |")
    bean = median(peers["beanstalkd -f 0"], "cycles")
    print(f"\nagainst beanstalkd -f 0: {median(figures[next(iter(shapes))], 'cycles') / bean:.0f} x")
    print(f"\nmachine: append 4 KiB + fdatasync p50 {sync:.0f} us, p99 "
          f"{median(syncs, 'append_p99_us'):.0f} us, {median(syncs, 'append_per_second'):,.0f} a second")
    p50, p99 = median(latency, "latency_p50_us"), median(latency, "latency_p99_us")
    print(f"submit to receipt by an idle worker at 200/s, lease durable: p50 {p50:.0f} us = "
          f"{p50 / sync:.1f} syncs, p99 {p99:.0f} us = {p99 / sync:.1f} syncs; four syncs in a row "
          f"of the machine alone at that rate: p50 {median(syncs, 'paced_p50_us'):.0f} us, p99 "
          f"{median(syncs, 'paced_p99_us'):.0f} us")
    backlog(figures, shapes)


def backlog(figures, shapes):
    state = os.path.join(root, "full")
    server = broker(state)
    before = server.memory()
    filled = life(server, fill=args.fill, seconds=0, executors=0, producers=1)
    used = sum(os.stat(os.path.join(d, f)).st_blocks * 512
               for d, _, fs in os.walk(state) for f in fs if f == "data.mdb")
    print(f"\nwith {args.fill:,} tasks waiting: {used / args.fill:.0f} bytes a task on disk, "
          f"submitted at {args.fill / filled['fill_seconds']:,.0f}/s; the broker's private memory "
          f"{before:.0f} MiB empty, {server.memory():.0f} MiB full")
    server.stop(signal.SIGKILL)
    server = broker(state)
    print(f"start after SIGKILL to ready: {server.ready_after * 1000:.0f} ms")
    for name in list(shapes)[:2]:
        rows = [life(server, seconds=args.seconds, **shapes[name]) for _ in range(args.runs)]
        ratio = median(figures[name], "cycles") / median(rows, "cycles")
        print(f"{name}: {spread(rows, 'cycles')}, cost {ratio:.2f} x that of an empty store")
    server.stop()


try:
    main()
finally:
    shutil.rmtree(root, ignore_errors=True)
