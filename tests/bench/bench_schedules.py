#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""make bench-schedules: one scheduler with very many schedules, through the real programs over ipc.

Fills a store with --schedules schedules in requests of 500: --minute of them are due each minute,
--second each second, the rest on the 29th of February. Then measures, one after the other: an idle second,
the scheduler's start with all of them, the minute, the seconds, a restart of the broker, and `pawl schedule
apply` of --apply files. Lateness is from the planned instant to the answer that says its task is durable, as
the scheduler logs it, of all firings: what it would leave out as a backlog is an error here. Each line says
the machine's load when it was measured. On real disk, beside the build. A million takes some minutes."""
import argparse
import os
import pathlib
import re
import sys
import time

from ground import folder_beside
from fleet import Fleet
from pawl_wire import Peer, new_id, pb

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--bin", default="build/bin")
parser.add_argument("--schedules", type=int, default=50_000)
parser.add_argument("--minute", type=int, default=5_000, help="due each minute")
parser.add_argument("--second", type=int, default=500, help="due each second")
parser.add_argument("--rounds", type=int, default=2, help="minutes watched")
parser.add_argument("--apply", type=int, default=20_000, help="schedules in a file that is applied twice")
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


FIRED = r"FIRED n=(\d+) p50_us=(\d+) p99_us=(\d+) max_us=(\d+) backlog=(\d+)"


def fired(program, times):
    """Of the last of so many lines: how many, and p50, p99 and most in milliseconds."""
    n, p50, p99, most, backlog = map(int, said(program, FIRED, times=times).groups())
    if backlog:
        sys.exit(f"{backlog} firings came more than a minute late")
    return n, p50 / 1000, p99 / 1000, most / 1000


def tell(text):
    print(f"{text}   [load {os.getloadavg()[0]:.1f}]", flush=True)


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


def fill(broker, client, state):
    empty, begun = memory(broker), time.monotonic()
    rest = args.schedules - args.minute - args.second
    put(client, [f"rare-{i}" for i in range(rest)], "0 0 29 2 *", "rare")
    took = time.monotonic() - begun
    size = sum(f.stat().st_blocks * 512 for f in state.rglob("data.mdb"))
    tell(f"filled {rest:,} in {took:.1f} s: {rest / took:,.0f} a second; {size / rest:.0f} bytes each on disk; "
         f"broker's private memory {empty >> 20} -> {memory(broker) >> 20} MiB")
    put(client, [f"minute-{i}" for i in range(args.minute)], "* * * * *", "minute")
    put(client, [f"second-{i}" for i in range(args.second)], "@every 1s from 2026-01-01T00:00:00Z", "second")
    return rest


def idle(fleet, broker, rest):
    scheduler = fleet.scheduler("idle", "--select", "group=rare")
    said(scheduler, r"SCHEDULES_LISTED n=%d" % rest)
    before, base = cpu(scheduler), cpu(broker)
    time.sleep(5)
    tell(f"idle: scheduler {100 * (cpu(scheduler) - before) / 5:.2f} % of a core, "
         f"broker {100 * (cpu(broker) - base) / 5:.2f} %")
    scheduler.kill()


def start(fleet):
    """All of them, of which some are due at any time."""
    begun = time.monotonic()
    scheduler = fleet.scheduler("all")
    first = int(said(scheduler, r"PROPOSING first_after_ms=(\d+)").group(1))
    said(scheduler, r"SCHEDULES_LISTED n=%d" % args.schedules)
    tell(f"scheduler: first proposal after {first} ms, whole list after {time.monotonic() - begun:.2f} s, "
         f"{memory(scheduler) / args.schedules:.0f} bytes a schedule")
    scheduler.kill()


def minutes(fleet, broker):
    """Begun when what was due before is certainly late and no more than skipped."""
    while not 32 <= time.time() % 60 < 36:
        time.sleep(0.2)
    scheduler = fleet.scheduler("minutes", "--select", "group!=second")
    said(scheduler, r"SCHEDULES_LISTED n=%d" % (args.schedules - args.second))
    for i in range(args.rounds):
        while time.time() % 60 < 55:
            time.sleep(0.1)
        base = cpu(broker), cpu(scheduler)
        n, p50, p99, most = fired(scheduler, i + 1)
        tell(f"minute: {n:,} fired; lateness p50 {p50:.0f} ms, p99 {p99:.0f} ms, last {most:.0f} ms; CPU a firing "
             f"{1e6 * (cpu(broker) - base[0]) / n:.1f} us broker, {1e6 * (cpu(scheduler) - base[1]) / n:.1f} us "
             f"scheduler; broker {memory(broker) >> 20} MiB")
    scheduler.kill()


def seconds(fleet):
    scheduler = fleet.scheduler("seconds", "--select", "group=second")
    for i in range(3):
        n, p50, p99, most = fired(scheduler, i + 1)
        if i:  # the first has the start in it
            tell(f"seconds: {n:,} fired in 10 s; lateness p50 {p50:.1f} ms, p99 {p99:.1f} ms, most {most:.1f} ms")
    scheduler.kill()


def apply(fleet, folder):
    """The same file twice: all new, and nothing to do."""
    path = pathlib.Path(folder) / "applied.yaml"
    with open(path, "w") as out:
        for i in range(args.apply):
            out.write(f"---\nname: applied-{i}\ncron: '{i % 60} {i % 24} * * *'\nzone: Europe/Paris\n"
                      f"task: {{argv: [/usr/bin/true, '{i}']}}\n")
    for what in "new", "unchanged":
        begun = time.monotonic()
        fleet.pawl("schedule", "apply", "-f", str(path), timeout=600)
        tell(f"apply: {args.apply:,} {what} in {time.monotonic() - begun:.1f} s")


def main(folder):
    fleet = Fleet(binary, folder)
    broker = fleet.broker()
    executor = Peer(fleet.endpoint, "bench", role=pb.ROLE_EXECUTOR, types=["bench/nobody"], slots=0)
    executor.open()
    client = Peer(fleet.endpoint, "filler")
    client.open()
    rest = fill(broker, client, fleet.state)
    idle(fleet, broker, rest)
    start(fleet)
    minutes(fleet, broker)
    seconds(fleet)
    broker.kill()
    begun = time.monotonic()
    broker.start()
    tell(f"broker: start after SIGKILL {1000 * (time.monotonic() - begun):.0f} ms, {memory(broker) >> 20} MiB")
    if args.apply:
        apply(fleet, folder)
    executor.close()
    fleet.stop()


with folder_beside(binary, "s") as place:
    main(place)
