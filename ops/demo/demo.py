#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The unattended main job: `make demo`.

A broker, two schedulers and three executors run a crontab, a few quick schedules and thousands of
shell tasks in a temporary folder, while every kind of process is killed with SIGKILL at random. At
the end: each acknowledged task ended exactly once on record, with the exit code it must have, and the
ledger of every schedule has one verdict for each instant of its rule. Exits 0 only if all that holds.
"""
import argparse
import collections
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True
import ledger
from fleet import ENDED, Fleet, Said, new_id, until

HERE = pathlib.Path(__file__).resolve().parent
QUICK = [  # name, period, mode, command: due so often that every kill hits some of them
    ("tick-strict", "2s", "strict", "true"),
    ("tick-normal", "2s", "normal", "true"),
    ("slow-strict", "3s", "strict", "sleep 0.4"),
    ("slow-normal", "5s", "normal", "sleep 1; echo slow"),
]
CHUNK = 100            # tasks of one file, submitted by one run of `pawl task submit`
SUBMITTERS = 2
QUIET_S = 180          # the most to wait for the last task


def a_task(number, dice):
    """One shell task and the exit code it must end with."""
    code = 0
    task = {"id": new_id(), "labels": {"demo": "yes"}}
    kind = dice.random()
    if kind < 0.65:
        task["argv"] = ["/bin/echo", f"task {number}"]
    elif kind < 0.75:
        code = dice.choice((1, 3, 7, 42))
        task["shell"] = f"exit {code}"
    elif kind < 0.95:
        task["shell"] = f"sleep 0.{dice.randrange(5, 50):02d}; echo rested"
    else:
        task["shell"] = "sleep 0.3 & sleep 0.4; echo a tree; wait"
    if dice.random() < 0.1:
        task["priority"] = dice.randrange(10)
    return task, code


class Submitter(threading.Thread):
    """Runs `pawl task submit FILE` for one file after the other; the same file again, same ids,
    whenever the command did not say that all is on record."""

    def __init__(self, fleet, files, acknowledged, pause):
        super().__init__(daemon=True)
        self.fleet, self.files, self.acknowledged, self.pause = fleet, files, acknowledged, pause
        self.running, self.again, self.failed = None, 0, None

    def run(self):
        try:
            while self.files:
                path = self.files.pop()
                while not self.submit(path):
                    self.again += 1
                time.sleep(self.pause)
        except Exception as error:  # told by the main thread
            self.failed = error

    def submit(self, path):
        self.running = self.fleet.start_pawl("task", "submit", path, "--timeout", "20s")
        out, err = self.running.communicate(timeout=60)
        ids = [line for line in out.splitlines() if len(line) == 26]
        self.acknowledged.update(ids)   # what it printed is promised, however it ended
        code, self.running = self.running.returncode, None
        assert code in (0, 6, 8, 9, -9), Said(code, out, err)
        if code == 8 and "SHUTTING_DOWN" not in err and "no answer" not in err:
            raise AssertionError(f"tasks were refused: {err}")
        return code == 0


class Demo:
    def __init__(self, options):
        self.options = options
        self.dice = random.Random(options.seed)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="pawl-demo-"))
        self.fleet = Fleet(options.bin, self.folder)
        self.codes, self.acknowledged, self.kills = {}, set(), collections.Counter()
        self.began = time.monotonic()
        self.wrong = []

    def say(self, text):
        print(f"{time.monotonic() - self.began:6.1f} s  {text}", flush=True)

    # ---- set-up -------------------------------------------------------------------------------

    def start(self):
        fleet = self.fleet
        fleet.broker()
        for number in (1, 2):
            fleet.scheduler(f"scheduler-{number}")
        for number in (1, 2, 3):
            fleet.executor(f"executor-{number}", 8)
        self.say(f"broker, 2 schedulers, 3 executors run in {self.folder}")
        rows = fleet.pawl("import", "crontab", HERE / "crontab", "--zone", "Europe/Paris", "-o", "ndjson",
                          code=8).rows
        refused = [row for row in rows if row["result"] != "taken"]
        self.expect([row["rule"] for row in refused] == ["@reboot"], f"only @reboot is refused, not {refused}")
        self.say(f"crontab: {len(rows) - len(refused)} of {len(rows)} lines are schedules now; refused: "
                 + "; ".join(f"{row['line']} {row['notes']}" for row in refused))
        for name, period, mode, command in QUICK:
            fleet.pawl("schedule", "add", name, "--every", period, "--mode", mode, "--overlap", "allow",
                       "--shell", command)
        self.say("schedules beside it: " + ", ".join(f"{q[0]} every {q[1]}" for q in QUICK))

    def make_files(self):
        files, lines = [], []
        for number in range(self.options.tasks):
            task, code = a_task(number, self.dice)
            self.codes[task["id"]] = code
            lines.append(json.dumps(task))
            if len(lines) == CHUNK or number + 1 == self.options.tasks:
                files.append(self.folder / f"tasks-{len(files)}.ndjson")
                files[-1].write_text("\n".join(lines) + "\n")
                lines = []
        return files

    # ---- the bad day --------------------------------------------------------------------------

    def kill_somebody(self):
        role = self.dice.choices(("broker", "scheduler", "executor", "pawl task submit"), (3, 3, 4, 1))[0]
        if role == "pawl task submit":
            self.kill_a_submit()
            return
        victim = self.dice.choice(self.fleet.of(role))
        victim.kill()
        self.kills[role] += 1
        time.sleep(self.dice.choice((0, 0, 0.1, 0.5)))
        victim.start(wait=False)

    def bad_day(self):
        files = self.make_files()
        total = len(files)
        pause = SUBMITTERS * self.options.seconds * 0.7 / total
        self.submitters = [Submitter(self.fleet, files, self.acknowledged, pause) for _ in range(SUBMITTERS)]
        for submitter in self.submitters:
            submitter.start()
        self.say(f"{self.options.tasks} tasks in {total} files are being submitted; the killing begins")
        end, told = time.monotonic() + self.options.seconds, time.monotonic()
        while time.monotonic() < end or any(s.is_alive() for s in self.submitters):
            time.sleep(self.dice.uniform(0.1, 1.0))
            self.kill_somebody()
            self.still_there()
            if time.monotonic() - told > 10:
                told = time.monotonic()
                self.say(f"{len(self.acknowledged)} acknowledged, killed so far: {self.killed()}")
            assert time.monotonic() < end + QUIET_S, "the submits do not come to an end"
        for submitter in self.submitters:
            submitter.join(60)
            if submitter.failed:
                raise submitter.failed
        self.say(f"all submitted ({sum(s.again for s in self.submitters)} files more than once); "
                 f"killed: {self.killed()}")

    def kill_a_submit(self):
        end = time.monotonic() + 1
        while time.monotonic() < end:
            running = self.dice.choice(self.submitters).running
            if running and running.poll() is None:
                running.kill()
                self.kills["pawl task submit"] += 1
                return
            time.sleep(0.002)

    def still_there(self):
        """A program that ended by itself is a fault; it is started again all the same."""
        for program in self.fleet.programs:
            if not program.alive():
                self.wrong.append(f"{program.name} ended by itself with {program.process.returncode}: "
                                  + program.said()[-500:])
                program.start()

    def killed(self):
        return ", ".join(f"{count} x {role}" for role, count in sorted(self.kills.items()))

    # ---- the judgement ------------------------------------------------------------------------

    def wait_for_quiet(self):
        for program in self.fleet.programs:
            program.wait_ready()

        def unfinished():
            counts = self.fleet.stats()["tasks"]
            return sum(count for status, count in counts.items() if status not in ENDED)
        self.say(f"no more kills; {unfinished()} tasks are not ended yet")
        time.sleep(2.5)  # let the quick schedules show that they go on
        for scheduler in self.fleet.of("scheduler"):
            self.expect(scheduler.end() == 0, f"{scheduler.name} ends with 0 after TERM")
        until(lambda: unfinished() == 0, QUIET_S, 0.2, "the end of the last task")
        self.say("quiet")

    def expect(self, holds, words):
        if not holds:
            self.wrong.append(f"not so: {words}")

    def judge_tasks(self, tasks, ends):
        by_id = {task["id"]: task for task in tasks}
        self.expect(len(by_id) == len(tasks), "each task is listed once")
        mine = [by_id[id] for id in self.acknowledged if id in by_id]
        self.expect(len(mine) == len(self.acknowledged),
                    f"{len(self.acknowledged) - len(mine)} acknowledged tasks are lost")
        self.expect(self.acknowledged == set(self.codes), "all tasks were acknowledged in the end")
        for task in tasks:
            if ends[task["id"]] != 1:
                self.wrong.append(f"task {task['id']} ended {ends[task['id']]} times: {task}")
        for task in mine:
            code = self.codes[task["id"]]
            given_up = task["status"] == "failed" and task["reason"] == "quarantine"
            if given_up:
                self.quarantined += 1
            elif (task["status"], task["exit_code"]) != ("failed" if code else "finished", code):
                self.wrong.append(f"task {task['id']} must end with {code}: {task}")

    def judge(self):
        fleet = self.fleet
        self.quarantined = 0
        tasks = fleet.tasks()
        schedules = fleet.pawl("schedule", "list", "-o", "ndjson").rows
        events = fleet.pawl("events", "--from", "1", "-o", "ndjson").rows
        seqs = [event["seq"] for event in events]
        self.expect(seqs == list(range(1, len(seqs) + 1)), "the journal has no hole")
        ends = collections.Counter(event["id"] for event in events if event["kind"] in ENDED)
        kinds = collections.Counter(event["kind"] for event in events)
        self.judge_tasks(tasks, ends)
        verdicts = collections.Counter()
        made = collections.defaultdict(list)
        for task in tasks:
            if task["schedule"]:
                made[task["schedule"]].append(task)
        for row in schedules:
            schedule = fleet.pawl("schedule", "show", row["name"], "-o", "json").json
            history = fleet.pawl("schedule", "history", row["name"], "-o", "ndjson").rows
            self.wrong.extend(ledger.faults(schedule, history, made.pop(row["name"], [])))
            verdicts.update(f"{schedule['mode']} {entry['verdict']}" for entry in history)
            if row["name"] in [quick[0] for quick in QUICK]:
                self.expect(len(history) > self.options.seconds / 10, f"{row['name']} went on firing")
                self.expect(time.time() - ledger.moment(schedule["cursor"]) < QUIET_S, f"{row['name']} is not stuck")
        self.expect(not made, f"no task of a schedule that is not there: {list(made)}")
        counts = collections.Counter(task["status"] for task in tasks)
        again = sum(event["kind"] == "running" for event in events) - len(tasks)
        print(f"\ntasks      {len(tasks)}: " + ", ".join(f"{n} {s}" for s, n in sorted(counts.items()))
              + f"; of these {len(self.acknowledged)} submitted, {sum(1 for t in tasks if t['schedule'])} by schedules")
        print(f"attempts   {kinds['running']} started, {again} of them again after a kill; "
              f"{self.quarantined} tasks given up (lost on three executors)")
        print(f"schedules  {len(schedules)}; verdicts: " + ", ".join(f"{n} {v}" for v, n in sorted(verdicts.items())))
        print(f"killed     {self.killed()}: {sum(self.kills.values())} in all")
        print(f"journal    {len(seqs)} entries without a hole")

    def check_store(self):
        self.fleet.stop()
        said = self.fleet.pawl("broker", "check", "--state", self.fleet.state, code=None)
        print(f"store      {(said.out or said.err).strip()}")
        self.expect(said.code == 0, f"pawl broker check is content: {said!r}")
        left = left_behind(self.folder)
        self.expect(not left, f"no process is left behind: {left}")

    def run(self):
        try:
            self.start()
            self.bad_day()
            self.wait_for_quiet()
            self.judge()
            self.check_store()
        except (AssertionError, subprocess.TimeoutExpired) as error:
            self.wrong.append(str(error))
        finally:
            self.fleet.stop()
        return self.verdict()

    def verdict(self):
        took = time.monotonic() - self.began
        if not self.wrong:
            self.fleet.clear_cgroups()
            shutil.rmtree(self.folder)
            print(f"\nheld: every acknowledged task ended exactly once on record, no ledger has a hole. {took:.0f} s")
            return 0
        for fault in self.wrong[:20]:
            print(f"FAULT  {fault}")
        print(f"\n{len(self.wrong)} faults, seed {self.options.seed}; everything is kept in {self.folder}. {took:.0f} s")
        return 1


def left_behind(folder):
    """Processes that live in the folder's environment: started by us, or by what we started."""
    found = []
    for entry in os.listdir("/proc"):
        try:
            if entry.isdigit() and int(entry) != os.getpid():
                environ = pathlib.Path("/proc", entry, "environ").read_bytes()
                if os.fsencode(f"HOME={folder}/") in environ or os.fsencode(f"={folder}/") in environ:
                    found.append((entry, pathlib.Path("/proc", entry, "cmdline").read_bytes().decode()))
        except OSError:
            continue
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--bin", required=True, help="folder of the programs")
    parser.add_argument("--tasks", type=int, default=10000)
    parser.add_argument("--seconds", type=float, default=30, help="kill for at least so long")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    return Demo(parser.parse_args()).run()


if __name__ == "__main__":
    sys.exit(main())
