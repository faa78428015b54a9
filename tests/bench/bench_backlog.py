#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""make bench-backlog: how late schedules are that live beside a year of backlog, with the real programs.

A broker and one scheduler, on a store that was left a year ago with a paused minute schedule in each mode, and
--live schedules that are due each second. They run --seconds by themselves; then the old ones are resumed with
all that they missed, one of them strict and as fast as core lets it (1,000 tasks a second over all schedules),
and so it goes for --seconds more. Nobody runs the tasks. Lateness is of every firing of every live schedule: from
the planned instant to the time on record at which core made the task, and to when this program has read its
event, which is told when it is durable. On real disk, beside the build."""
import argparse
import os
import pathlib
import subprocess
import sys
import time

from ground import folder_beside
from fleet import Fleet
from pawl_wire import Peer, new_id, pb

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--bin", default="build/bin")
parser.add_argument("--live", type=int, default=20)
parser.add_argument("--seconds", type=int, default=30)
args = parser.parse_args()
binary = pathlib.Path(args.bin).resolve()
OLD = ["year-normal", "year-latest", "year-strict", "year-live-first", "year-fast"]


def put_live(client):
    task = pb.Task(type="bench/nobody").SerializeToString()
    for i in range(args.live):
        client.ask("schedule_put", pb.SchedulePut(schedule=pb.Schedule(
            name=f"live-{i}", rule="@every 1s from 2026-01-01T00:00:00Z", zone="UTC", task=task,
            overlap=pb.OVERLAP_ALLOW, supersede=False)), request_id=new_id())


def firings(client):
    """(planned, made, id) of each live firing, and the number of all tasks."""
    found, cursor, n = [], 0, 0
    while True:
        page = client.ask("task_list", pb.TaskList(cursor=cursor, limit=1000), timeout=60).tasks
        n += len(page.items)
        found += [(task.planned_us, task.created_us, task.id) for task in page.items
                  if task.schedule.startswith("live-")]
        cursor = page.cursor
        if not cursor:
            return found, n


def tell(what, made, seen):
    made, seen = sorted(made), sorted(seen)
    def at(late, share):
        return late[min(len(late) - 1, int(share * len(late)))] / 1000
    print(f"{what:25} {len(made):6,} live firings; made p50 {at(made, .5):.1f} ms, p99 {at(made, .99):.1f} ms, most "
          f"{at(made, 1):.1f} ms late; event read p50 {at(seen, .5):.1f} ms, p99 {at(seen, .99):.1f} ms, most "
          f"{at(seen, 1):.1f} ms late   [load {os.getloadavg()[0]:.1f}]", flush=True)
    return at(made, 1), at(seen, 1)


class Watcher:
    """When each task's first event was read here."""

    def __init__(self, endpoint):
        self.peer, self.read_us = Peer(endpoint, "watcher"), {}
        self.peer.open()
        self.next = self.peer.ask("event_read", pb.EventRead(from_now=True)).events.next_seq

    def phase(self):
        end = time.monotonic() + args.seconds
        while time.monotonic() < end:
            page = self.peer.ask("event_read", pb.EventRead(from_seq=self.next, limit=1000, wait_us=100_000)).events
            now = int(time.time() * 1e6)
            for item in page.items:
                self.read_us.setdefault(item.id, now)
            self.next = page.next_seq
        return int(time.time() * 1e6)


def main(folder):
    fleet = Fleet(binary, folder)
    fleet.state.mkdir(mode=0o700)
    subprocess.run([binary / "old-store", fleet.state / "store", "365"], check=True)
    fleet.broker()
    executor = Peer(fleet.endpoint, "bench", role=pb.ROLE_EXECUTOR, types=["bench/nobody"], slots=0)
    executor.open()
    client = Peer(fleet.endpoint, "client")
    client.open()
    put_live(client)
    fleet.scheduler("scheduler")
    time.sleep(2)
    watcher = Watcher(fleet.endpoint)
    begun = int(time.time() * 1e6)
    resumed = watcher.phase()
    client = watcher.peer  # the other one was silent for too long
    for name in OLD:
        client.ask("schedule_change", pb.ScheduleChange(
            verb=pb.SCHEDULE_RESUME, name=name, on_resume=pb.ON_RESUME_CATCHUP), request_id=new_id())
    ended = watcher.phase()
    found, tasks = firings(client)
    behind = {name: client.ask("schedule_get", pb.ScheduleGet(name=name)).schedules.items[0].behind for name in OLD}
    executor.close()
    fleet.stop()
    told = []
    for what, first, last in ("by themselves", begun, resumed), ("beside a year of backlog", resumed, ended):
        part = [(made - at, watcher.read_us[id] - at) for at, made, id in found
                if first <= at < last - 1_000_000 and id in watcher.read_us]
        if len(part) < args.live * (args.seconds - 2):
            sys.exit(f"{len(part)} live firings in {args.seconds} s: instants were missed")
        told.append(tell(what, *zip(*part)))
    print(f"most late: made {told[1][0] - told[0][0]:+.1f} ms, event read {told[1][1] - told[0][1]:+.1f} ms; {tasks:,} "
          "tasks made in all; still behind: " + ", ".join(f"{name} {count:,}" for name, count in behind.items()))


with folder_beside(binary, "b") as place:
    main(place)
