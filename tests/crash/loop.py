#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The crash loop: broker, scheduler and executors are killed with SIGKILL every 50 to 500 ms while
three clients submit and write down, in journals of their own, what they sent and what was
acknowledged. After each restart of the broker what was acknowledged must be there; at the end
nothing may be lost, doubled, invented or stuck. The clients are made from the specification alone
(tests/wire/pawl_wire.py), so nothing of Pawl's own resends for them.

    loop.py --bin build/bin [--kills 100] [--seed N]
"""
import argparse
import collections
import pathlib
import random
import shutil
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True
ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "ops" / "demo"), str(ROOT / "tests" / "wire")]

import zmq  # noqa: E402

import ledger  # noqa: E402
import messages  # noqa: E402
from fleet import Fleet, until  # noqa: E402
from pawl_wire import Peer, Refused, Silence, new_id, pb  # noqa: E402

E = messages.errors()
ENDED = {pb.STATUS_FINISHED, pb.STATUS_FAILED, pb.STATUS_CANCELLED, pb.STATUS_SUPERSEDED, pb.STATUS_EXPIRED}
AGAIN = {E[name] for name in ("NO_SESSION", "SESSION_LOST", "SHUTTING_DOWN", "BUSY")}
QUIET_S = 300
ASK_AT_ONCE = 500     # ids in one TaskGet
OLDER_LOOKED_AT = 500  # of what was acknowledged long ago, after each restart


class Steady:
    """A session that is opened again, and a request that is sent again, until there is an answer."""

    def __init__(self, endpoint, name):
        self.endpoint, self.name, self.peer, self.resent = endpoint, name, None, 0

    def open(self):
        self.close()
        self.peer = Peer(self.endpoint, self.name)
        self.peer.socket.sndtimeo, self.peer.patience = 1000, 1.0
        self.peer.open()

    def close(self):
        if self.peer:
            self.peer.close()
            self.peer = None

    def ask(self, body, message, patience=120.0):
        end = time.monotonic() + patience
        while True:
            try:
                if not self.peer:
                    self.open()
                return self.peer.ask(body, message)
            except Refused as refused:
                if refused.code not in AGAIN:
                    raise
            except (Silence, zmq.Again):
                pass
            self.resent += 1
            self.close()
            assert time.monotonic() < end, f"{self.name}: no answer to {body} for {patience} s"
            time.sleep(0.01)


class Client(threading.Thread):
    """Submits small batches; its journal has `sent ID` before the request leaves and `on record ID`
    after the acknowledgement came."""

    def __init__(self, endpoint, number, folder, seed):
        super().__init__(daemon=True)
        self.steady = Steady(endpoint, f"loop-client-{number}")
        self.dice = random.Random(seed)
        self.journal = open(folder / f"client-{number}.journal", "w", buffering=1)
        self.sent, self.acknowledged, self.stop, self.failed = set(), [], threading.Event(), None

    def run(self):
        try:
            while not self.stop.is_set():
                self.submit()
                time.sleep(self.dice.uniform(0.01, 0.06))
        except BaseException as error:  # told by the main thread
            self.failed = error
        finally:
            self.steady.close()

    def submit(self):
        tasks = [pb.Task(id=new_id(), type="pawl/shell", command=pb.Command(argv=self.command()))
                 for _ in range(self.dice.randrange(1, 12))]
        for task in tasks:
            self.sent.add(task.id)
            self.journal.write(f"sent {task.id.hex()}\n")
        answer = self.steady.ask("submit", pb.Submit(tasks=[task.SerializeToString() for task in tasks]))
        assert answer.submitted.accepted == len(tasks) and not answer.submitted.items, answer.submitted
        for task in tasks:
            self.journal.write(f"on record {task.id.hex()}\n")
            self.acknowledged.append(task.id)

    def command(self):
        return ["sleep", f"0.{self.dice.randrange(30):02d}"] if self.dice.random() < 0.2 else ["true"]


class Loop:
    def __init__(self, options):
        self.options = options
        self.dice = random.Random(options.seed)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="pawl-loop-"))
        self.fleet = Fleet(options.bin, self.folder, PAWL_BROKER__LEASE="4s", PAWL_BROKER__SUSPECT="2s",
                           PAWL_BROKER__PING="500ms")
        self.kills, self.first_reply_ms, self.looked_at = collections.Counter(), [], [0, 0, 0]
        self.wrong = []

    def start(self):
        fleet = self.fleet
        fleet.broker()
        fleet.scheduler("scheduler")
        fleet.executor("executor-1", 4)
        fleet.executor("executor-2", 4)
        fleet.pawl("schedule", "add", "tick", "--every", "1s", "--mode", "strict", "--overlap", "allow", "--", "true")
        self.asking = Steady(fleet.endpoint, "loop-judge")
        self.clients = [Client(fleet.endpoint, number, self.folder, self.dice.random()) for number in range(3)]
        for client in self.clients:
            client.start()

    # ---- the kills ----------------------------------------------------------------------------

    def kill_somebody(self):
        role = self.dice.choices(("broker", "scheduler", "executor"), (5, 2, 4))[0]
        victim = self.dice.choice(self.fleet.of(role))
        victim.kill()
        self.kills[role] += 1
        began = time.monotonic()
        victim.start(wait=role == "broker")
        if role == "broker":
            self.asking.close()
            self.asking.ask("ping", pb.Ping())
            self.first_reply_ms.append((time.monotonic() - began) * 1000)
            self.look_after_restart()

    def look_after_restart(self):
        """What was acknowledged since the last look, and some of what was long before."""
        for number, client in enumerate(self.clients):
            have = len(client.acknowledged)
            old = self.looked_at[number]
            some = self.dice.sample(range(old), min(old, OLDER_LOOKED_AT // 3))
            self.must_be_there([client.acknowledged[n] for n in [*some, *range(old, have)]])
            self.looked_at[number] = have

    def must_be_there(self, ids):
        found = {}
        for at in range(0, len(ids), ASK_AT_ONCE):
            items = self.asking.ask("task_get", pb.TaskGet(ids=ids[at:at + ASK_AT_ONCE])).tasks.items
            found.update((item.id, item) for item in items)
        lost = [id.hex() for id in ids if id not in found]
        if lost:
            self.wrong.append(f"{len(lost)} acknowledged tasks are not there: {lost[:3]}")
        return found

    def still_there(self):
        for program in self.fleet.programs:
            if not program.alive():
                self.wrong.append(f"{program.name} ended by itself with {program.process.returncode}: "
                                  f"{program.said()[-400:]}")
                program.start()
        for client in self.clients:
            if client.failed:
                raise client.failed

    # ---- the end ------------------------------------------------------------------------------

    def events(self):
        """The whole journal."""
        seq, found = 1, []
        while True:
            answer = self.asking.ask("event_read", pb.EventRead(from_seq=seq, limit=1000)).events
            if not answer.items:
                return found
            found.extend(answer.items)
            seq = answer.next_seq

    def judge(self):
        for client in self.clients:
            client.stop.set()
        for client in self.clients:
            client.join(QUIET_S)
            if client.failed:
                raise client.failed
        for program in self.fleet.programs:
            program.wait_ready()
        time.sleep(1.2)
        assert self.fleet.of("scheduler")[0].end() == 0, "the scheduler ends with 0"
        ended = ("finished", "failed", "cancelled", "superseded", "expired")
        until(lambda: not any(count for status, count in self.fleet.stats()["tasks"].items() if status not in ended),
              QUIET_S, 0.2, "the end of the last task (one is stuck)")
        acknowledged = [id for client in self.clients for id in client.acknowledged]
        sent = set().union(*(client.sent for client in self.clients))
        found = self.must_be_there(acknowledged)
        if set(acknowledged) != sent:
            self.wrong.append(f"{len(sent - set(acknowledged))} tasks were sent and never acknowledged")
        lost_attempts = 0
        for task in found.values():
            tokens = [attempt.token for attempt in task.attempts]
            lost_attempts += task.lost
            quarantined = task.status == pb.STATUS_FAILED and task.reason == "quarantine"
            if task.status != pb.STATUS_FINISHED and not quarantined:
                self.wrong.append(f"task {task.id.hex()} is not finished: {task}")
            if tokens != sorted(set(tokens)):
                self.wrong.append(f"task {task.id.hex()}: tokens do not rise: {tokens}")
        self.judge_journal(sent)
        self.judge_schedule()
        return len(found), lost_attempts

    def judge_journal(self, sent):
        events = self.events()
        if [event.seq for event in events] != list(range(1, len(events) + 1)):
            self.wrong.append("the journal has a hole")
        made = collections.Counter(event.id for event in events if event.kind == "created")
        ends = collections.Counter(event.id for event in events
                                   if event.kind in ("finished", "failed", "cancelled", "superseded", "expired"))
        for id in sent:
            if (made[id], ends[id]) != (1, 1):
                self.wrong.append(f"task {id.hex()} was made {made[id]} times and ended {ends[id]} times")
        scheduled = {event.id for event in events if event.kind == "created" and event.name == "tick"}
        invented = set(made) - sent - scheduled
        if invented:
            self.wrong.append(f"{len(invented)} tasks that nobody submitted")

    def judge_schedule(self):
        fleet = self.fleet
        schedule = fleet.pawl("schedule", "show", "tick", "-o", "json").json
        rows = fleet.pawl("schedule", "history", "tick", "-o", "ndjson").rows
        self.wrong.extend(ledger.faults(schedule, rows, fleet.tasks("--schedule", "tick")))

    def run(self):
        began, tasks, lost = time.monotonic(), 0, 0
        try:
            self.start()
            while sum(self.kills.values()) < self.options.kills:
                time.sleep(self.dice.uniform(0.05, 0.5))
                self.still_there()
                self.kill_somebody()
            tasks, lost = self.judge()
            self.fleet.stop()
            said = self.fleet.pawl("broker", "check", "--state", self.fleet.state, code=None)
            if said.code:
                self.wrong.append(f"broker check: {said!r}")
        except AssertionError as error:
            self.wrong.append(str(error))
        finally:
            for client in getattr(self, "clients", []):
                client.stop.set()
            self.fleet.stop()
        return self.verdict(time.monotonic() - began, tasks, lost)

    def verdict(self, took, tasks, lost):
        first = sorted(self.first_reply_ms) or [0]
        resent = sum(client.steady.resent for client in getattr(self, "clients", []))
        print("crash loop: " + ", ".join(f"{count} x {role}" for role, count in sorted(self.kills.items()))
              + f" killed; {tasks} tasks acknowledged, {resent} requests sent again, {lost} attempts lost and run again")
        print(f"crash loop: broker started to first reply: median {first[len(first) // 2]:.0f} ms, "
              f"worst {first[-1]:.0f} ms of {len(first)}; {took:.0f} s in all, seed {self.options.seed}")
        for fault in self.wrong[:20]:
            print(f"FAULT  {fault}")
        if self.wrong:
            print(f"crash loop: {len(self.wrong)} faults; everything is kept in {self.folder}")
            return 1
        self.fleet.clear_cgroups()
        shutil.rmtree(self.folder)
        print("crash loop: nothing lost, doubled, invented or stuck")
        return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--bin", default=ROOT / "build" / "bin", help="folder of the programs")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    return Loop(parser.parse_args()).run()


if __name__ == "__main__":
    sys.exit(main())
