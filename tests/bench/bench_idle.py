#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""make bench-idle: what --executors connected executors that have nothing to do cost the broker.

Real sessions over ipc from a few processes, each executor with slots, types, labels and credit, each
keeping itself alive as the specification says (a Ping when nothing left for the time that Welcome
names). After they stand, the broker is watched for --seconds: CPU time from /proc/PID/stat, writes
from /proc/PID/io and the times of its files. Exits with 1 when it takes 3 % of a core or writes. What
it may write is one page of each lock.mdb in half a minute: LMDB's table of readers and its lock are
memory that lies in a file, and the kernel writes it back now and then, with executors or without."""
import argparse
import heapq
import multiprocessing
import os
import pathlib
import sys
import time

import zmq

from ground import folder_beside
from fleet import Fleet, until
from pawl_wire import Peer, pb

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--bin", default="build/bin")
parser.add_argument("--executors", type=int, default=1000)
parser.add_argument("--processes", type=int, default=4)
parser.add_argument("--seconds", type=int, default=60)
args = parser.parse_args()
binary = pathlib.Path(args.bin).resolve()
TICKS = os.sysconf("SC_CLK_TCK")
MOST = 3.0  # percent of a core
LOCKS, PAGE, WRITTEN_BACK_S = 2, 4096, 30


def executors(endpoint, first, count, ready, stop):
    """Opens so many sessions and keeps them alive until told to stop."""
    peers, by_socket, due = [], {}, []
    for number in range(first, first + count):
        peer = Peer(endpoint, f"idle-{number}", pb.ROLE_EXECUTOR, kinds=["worker", "shell"],
                    types=["bench/idle", "pawl/shell"], slots=4, credit=4, host=f"host-{number}",
                    labels=[pb.Label(key="rack", value=str(number % 20))]).open()
        peers.append(peer)
        by_socket[peer.socket] = peer
        heapq.heappush(due, (time.monotonic() + peer.welcome.ping_us / 1e6 * (number % 97) / 97, number, peer))
    poller = zmq.Poller()
    for peer in peers:
        poller.register(peer.socket, zmq.POLLIN)
    ready.release()
    while not stop.is_set():
        for socket, _ in poller.poll(max(0, min(200, int(1000 * (due[0][0] - time.monotonic())) + 1))):
            while True:
                try:
                    frame = socket.recv(zmq.DONTWAIT)
                except zmq.Again:
                    break
                if frame[:5] == b"\x0dPWR1" and pb.Reply.FromString(frame).HasField("error"):
                    sys.exit(f"the broker refused a ping: {pb.Reply.FromString(frame).error.text}")
        now = time.monotonic()
        while due[0][0] <= now:
            _, number, peer = heapq.heappop(due)
            peer.send(peer.pack("ping"))
            heapq.heappush(due, (now + peer.welcome.ping_us / 1e6, number, peer))
    for peer in peers:
        peer.send(peer.pack("bye"))


def cpu_s(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def written(pid):
    return {line.split(":")[0]: int(line.split(":")[1])
            for line in pathlib.Path(f"/proc/{pid}/io").read_text().splitlines()}["write_bytes"]


def changed(folder):
    """When the files of the stores were written last."""
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*.mdb") if path.name != "lock.mdb"}


def watch(fleet, broker):
    before, cpu, wrote = changed(fleet.state), cpu_s(broker.pid), written(broker.pid)
    begun = time.monotonic()
    time.sleep(args.seconds)
    took = time.monotonic() - begun
    share = 100 * (cpu_s(broker.pid) - cpu) / took
    bytes_written = written(broker.pid) - wrote
    touched = [path for path, at in changed(fleet.state).items() if before.get(path) != at]
    return share, bytes_written, touched


def main(folder):
    fleet = Fleet(binary, folder)
    broker = fleet.broker()
    context = multiprocessing.get_context("fork")
    ready, stop = context.Semaphore(0), context.Event()
    each = -(-args.executors // args.processes)
    begun = time.monotonic()
    hosts = [context.Process(target=executors, daemon=True,
                             args=(fleet.endpoint, first, min(each, args.executors - first), ready, stop))
             for first in range(0, args.executors, each)]
    for host in hosts:
        host.start()
    for host in hosts:
        until(lambda: ready.acquire(block=False) or not host.is_alive(), 120, 0.02, "the sessions")
    took = time.monotonic() - begun
    peers = int(fleet.pawl("broker", "status", "-o", "json").json["peers"])
    if peers < args.executors:
        sys.exit(f"only {peers} of {args.executors} are connected")
    last = None
    def settled():  # their names are written once; that is over when two looks see the same
        nonlocal last
        now, last = last, changed(fleet.state)
        return now == last
    until(settled, 30, 1.0, "a store at rest")
    share, bytes_written, touched = watch(fleet, broker)
    alive = all(host.is_alive() for host in hosts)
    stop.set()
    for host in hosts:
        host.join(10)
    fleet.stop()
    allowed = LOCKS * PAGE * (args.seconds // WRITTEN_BACK_S + 1)
    good = alive and share < MOST and bytes_written <= allowed and not touched
    print(f"{args.executors:,} idle executors (connected in {took:.1f} s), {args.seconds} s: broker "
          f"{share:.2f} % of a core (goal: under {MOST:.0f} %), {bytes_written} bytes of lock tables written back (at most {allowed}), "
          f"{len(touched)} store files touched: {'fine' if good else 'NOT REACHED'}")
    return 0 if good else 1


with folder_beside(binary, "i") as place:
    code = main(place)
sys.exit(code)
