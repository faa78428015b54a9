#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""make bench-schedules: one scheduler with very many schedules, through the real programs over ipc.

Fills a store with --schedules schedules in requests of 500: --minute of them are due each minute,
--second each second, the rest on the 29th of February. Then measures, one after the other: memory and time of
the scheduler's start, an idle second, the minute, the seconds, a restart of the broker under it. Lateness is
from the planned instant to the answer that says its task is durable, as the scheduler logs it. On
real disk, beside the build. A million takes some minutes."""
import argparse
import os
import pathlib
import re
import shutil
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "ops" / "demo"), str(ROOT / "tests" / "wire")]
sys.dont_write_bytecode = True
from fleet import Fleet  # noqa: E402
from pawl_wire import Peer, new_id, pb  # noqa: E402

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--bin", default="build/bin")
parser.add_argument("--schedules", type=int, default=50_000)
parser.add_argument("--minute", type=int, default=5_000, help="due each minute")
parser.add_argument("--second", type=int, default=500, help="due each second")
parser.add_argument("--rounds", type=int, default=1, help="minutes watched")
args = parser.parse_args()
binary = pathlib.Path(args.bin).resolve()
TICKS = os.sysconf("SC_CLK_TCK")


def memory(program):
    """Private bytes: what is no file's page."""
    with open(f"/proc/{program.process.pid}/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("RssAnon"))


def cpu(program):
    with open(f"/proc/{program.process.pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def said(program, pattern, timeout=180, times=1):
    """Waits for `times` lines of its log; the last one's match."""
    limit = time.monotonic() + timeout
    while time.monotonic() < limit:
        found = list(re.finditer(pattern, program.said()))
        if len(found) >= times:
            return found[-1]
        time.sleep(0.005)
    sys.exit(f"{program.name} did not say {pattern!r}:\n{program.said()[-2000:]}")


def put(client, names, rule, label):
    task = pb.Task(type="bench/nobody").SerializeToString()
    def schedule(name):
        return pb.Schedule(name=name, rule=rule, zone="UTC", task=task, overlap=pb.OVERLAP_ALLOW,
                           labels=[pb.Label(key="group", value=label)])
    for first in range(0, len(names), 500):
        some = names[first:first + 500]
        answer = client.ask("schedule_put", pb.SchedulePut(
            schedule=schedule(some[0]), more=[pb.SchedulePutItem(schedule=schedule(n)) for n in some[1:]]),
            request_id=new_id(), timeout=60)
        if answer.changed.done != len(some):
            sys.exit(f"refused: {answer.changed.items[0].error.text}")


def main(folder):
    fleet = Fleet(binary, folder)
    broker = fleet.broker()
    executor = Peer(fleet.endpoint, "bench", role=pb.ROLE_EXECUTOR, types=["bench/nobody"], slots=0)
    executor.open()
    client = Peer(fleet.endpoint, "filler")
    client.open()
    empty, begun = memory(broker), time.monotonic()
    rest = args.schedules - args.minute - args.second
    put(client, [f"rare-{i}" for i in range(rest)], "0 0 29 2 *", "rare")
    took = time.monotonic() - begun
    size = sum(f.stat().st_blocks * 512 for f in fleet.state.rglob("data.mdb"))
    print(f"filled {rest:,} in {took:.1f} s: {rest / took:,.0f} a second; {size / rest:.0f} bytes each on disk; "
          f"broker's private memory {empty >> 20} -> {memory(broker) >> 20} MiB")
    put(client, [f"minute-{i}" for i in range(args.minute)], "* * * * *", "minute")
    # paused until the seconds are measured, by having nobody who looks after them
    put(client, [f"second-{i}" for i in range(args.second)], "@every 1s from 2026-01-01T00:00:00Z", "second")

    idle = fleet.scheduler("idle", "--select", "group=rare")
    said(idle, r"SCHEDULES_LISTED n=%d" % rest)
    before, base = cpu(idle) , cpu(broker)
    time.sleep(5)
    print(f"idle: scheduler {100 * (cpu(idle) - before) / 5:.2f} % of a core, broker {100 * (cpu(broker) - base) / 5:.2f} %")
    idle.kill()

    begun = time.monotonic()
    scheduler = fleet.scheduler("all", "--select", "group!=second")
    first = time.monotonic()
    said(scheduler, r"SCHEDULES_LISTED n=%d" % (args.schedules - args.second))
    print(f"scheduler: connected after {first - begun:.2f} s, whole list after {time.monotonic() - begun:.2f} s, "
          f"{memory(scheduler) / args.schedules:.0f} bytes a schedule")
    for i in range(args.rounds):
        base = cpu(broker)
        fired = said(scheduler, r"FIRED n=(\d+) p50_us=(\d+) p99_us=(\d+) max_us=(\d+)", times=i + 1)
        n, p50, p99, most = map(int, fired.groups())
        print(f"minute: {n:,} fired; lateness p50 {p50 / 1000:.0f} ms, p99 {p99 / 1000:.0f} ms, last {most / 1000:.0f} ms; "
              f"broker {memory(broker) >> 20} MiB, {1e6 * (cpu(broker) - base) / n:.1f} us of CPU a firing")
    scheduler.kill()

    second = fleet.scheduler("seconds", "--select", "group=second")
    for i in range(2):
        fired = said(second, r"FIRED n=(\d+) p50_us=(\d+) p99_us=(\d+) max_us=(\d+)", times=i + 1)
    n, p50, p99, most = map(int, fired.groups())
    print(f"seconds: {n:,} fired in 10 s; lateness p50 {p50 / 1000:.1f} ms, p99 {p99 / 1000:.1f} ms, most {most / 1000:.1f} ms")
    second.kill()

    broker.kill()
    begun = time.monotonic()
    broker.start()
    print(f"broker: start after SIGKILL {1000 * (time.monotonic() - begun):.0f} ms, {memory(broker) >> 20} MiB")
    executor.close()
    fleet.stop()


place = tempfile.mkdtemp(prefix="bench-s-", dir=str(binary.parent))
try:
    main(place)
finally:
    shutil.rmtree(place, ignore_errors=True)
