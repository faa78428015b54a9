#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""make bench-commands: empty commands through the whole system, beside posix_spawn alone in one loop.

--commands tasks of /bin/true wait in a paused queue; the time counts from its release to the end of
the last. Broker and one executor share the machine with nothing else. posix_spawn in one loop runs
the same commands, as many at a time as the executor has slots, in turn with it, so that a machine
whose speed drifts favours nobody; the ratio is that of the medians. CPU time is that of the
kernel's books: of the broker, of the executor, of its wardens (with the helper), and of the
commands themselves. Once by the subreaper's sweep, once with a cgroup for each where one can be
made."""
import argparse
import os
import pathlib
import re
import statistics
import subprocess
import sys
import time

from ground import folder_beside
from fleet import Fleet, until
from pawl_wire import Peer, new_id, pb

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--bin", default="build/bin")
parser.add_argument("--commands", type=int, default=4000, help="in one round")
parser.add_argument("--slots", type=int, default=2 * (os.cpu_count() or 1))
parser.add_argument("--rounds", type=int, default=3)
args = parser.parse_args()
binary = pathlib.Path(args.bin).resolve()
TICKS = os.sysconf("SC_CLK_TCK")
BATCH = 1000


def children(pid):
    return [int(child) for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


class Cpu:
    """Seconds of user and system time of some processes, and of what they have buried."""

    def __init__(self, pids, buried=False):
        self.user = self.system = 0.0
        for pid in pids:
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            user, system = (fields[13:15] if buried else fields[11:13])
            self.user += int(user) / TICKS
            self.system += int(system) / TICKS

    def since(self, earlier):
        self.user -= earlier.user
        self.system -= earlier.system
        return self

    def __str__(self):
        """Of one command, in milliseconds."""
        each = 1000 / args.commands
        return f"{(self.user + self.system) * each:.3f} ({self.user * each:.3f} / {self.system * each:.3f})"


class Books:
    """CPU time by part."""

    PARTS = ("broker", "executor", "wardens", "commands")

    def __init__(self, broker, executor):
        helper = children(executor.pid)
        wardens = [warden for parent in helper for warden in children(parent)]
        self.part = {"broker": Cpu([broker.pid]), "executor": Cpu([executor.pid]),
                     "wardens": Cpu(helper + wardens), "commands": Cpu(wardens, buried=True)}

    def since(self, earlier):
        for name in self.PARTS:
            self.part[name].since(earlier.part[name])
        return self


def run_commands(client, broker, executor):
    """Commands a second, and what they cost."""
    def ended():
        counts = {count.status: count.count for count in queue().counts}
        return counts.get(pb.STATUS_FINISHED, 0) + counts.get(pb.STATUS_FAILED, 0)

    def queue():
        return next(item for item in client.ask("queue_list", pb.QueueList(limit=100)).queues.items
                    if item.name == "bench")

    client.change("queue_change", pb.QueueChange(name="bench", pause=True))
    task = pb.Task(type="pawl/shell", queue="bench", command=pb.Command(argv=["/bin/true"]))
    for first in range(0, args.commands, BATCH):
        tasks = []
        for _ in range(first, min(first + BATCH, args.commands)):
            task.id = new_id()
            tasks.append(task.SerializeToString())
        accepted = client.ask("submit", pb.Submit(tasks=tasks), timeout=60).submitted
        if accepted.accepted != len(tasks):
            sys.exit(f"refused: {accepted.items[0].error.text}")
    before, done = Books(broker, executor), ended()
    begun = time.monotonic()
    client.change("queue_change", pb.QueueChange(name="bench", pause=False))
    until(lambda: ended() - done == args.commands, 120, 0.02, "the end of the last command")
    took = time.monotonic() - begun
    counts = {count.status: count.count for count in queue().counts}
    if counts.get(pb.STATUS_FAILED, 0):
        sys.exit("a command failed")
    return args.commands / took, Books(broker, executor).since(before)


def spawn():
    done = subprocess.run([binary / "bench_spawn", str(args.commands), str(args.slots), "posix_spawn"],
                          capture_output=True, text=True, timeout=120)
    found = re.search(r"posix_spawn\s+([\d.]+)/s", done.stdout)
    if not found:
        sys.exit(f"bench_spawn: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return float(found.group(1))


def measure(fleet, broker, client, how):
    """One way of keeping trees; None and why where this machine has it not."""
    executor = fleet.executor(f"bench-{how}", args.slots, PAWL_EXECUTOR__PROCESS__CGROUP="never" if how == "sweep" else "auto")
    control = re.search(r'process_control="(.*?)"', executor.said()).group(1)
    if not control.startswith(how):
        executor.end()
        return None, control
    rounds = []
    run_commands(client, broker, executor)  # wardens, folders and caches are there from now on
    for _ in range(args.rounds):
        alone = spawn()
        rounds.append((alone, *run_commands(client, broker, executor)))
    executor.end()
    return rounds, control


def tell(how, rounds):
    alone, rate = (statistics.median(row[i] for row in rounds) for i in (0, 1))
    books = sorted((row[2] for row in rounds), key=lambda b: sum(
        b.part[p].user + b.part[p].system for p in ("broker", "executor")))[len(rounds) // 2]
    both = sum(books.part[p].user + books.part[p].system for p in ("broker", "executor")) * 1000 / args.commands
    parts = " | ".join(str(books.part[part]) for part in Books.PARTS)
    print(f"| {how} | {alone:,.0f} | {rate:,.0f} | {rate / alone:.2f} | {both:.3f} | {parts} |", flush=True)


def main(folder):
    fleet = Fleet(binary, folder)
    broker = fleet.broker()
    client = Peer(fleet.endpoint, "bench")
    client.open()
    print(f"{args.commands:,} x /bin/true, {args.slots} at a time, {os.cpu_count()} cores, load "
          f"{os.getloadavg()[0]:.1f} at the start, median of {args.rounds} rounds; CPU in ms a command (user / system)\n")
    print("| trees | posix_spawn/s | pawl/s | ratio | broker + executor | " + " | ".join(Books.PARTS) + " |\n"
          "| --- | --- | --- | --- | --- |" + " --- |" * len(Books.PARTS))
    left_out = []
    for how in ("sweep", "cgroup"):
        rounds, control = measure(fleet, broker, client, how)
        if rounds:
            tell(how, rounds)
        else:
            left_out.append(f"{how}: left out, this machine has {control}")
    print("\n".join([""] + left_out) if left_out else "")
    client.close()
    fleet.stop()


with folder_beside(binary, "c") as place:
    main(place)
