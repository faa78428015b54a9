# SPDX-License-Identifier: Apache-2.0
"""A store of 8 MiB, filled: what is refused, what still ends, what gives way, and the way back."""
import signal
import subprocess
import time

import pytest

import messages
from pawl_wire import Peer, Refused, new_id, pb
from test_broker_process import BIN, Broker, get, submit, until

E = messages.errors()
KIND = "test/space"
pytestmark = pytest.mark.skipif(not BIN.exists(), reason=f"{BIN} is not built")


@pytest.fixture
def broker(tmp_path):
    broker = Broker(tmp_path / "state").start("--map", "8MiB")
    yield broker
    if broker.process.poll() is None:
        assert broker.end() == 0


def worker(broker, name, credit):
    return Peer(broker.endpoint, name, pb.ROLE_EXECUTOR, kinds=["worker"], types=[KIND], slots=credit,
                credit=credit).open()


def task(size=3000):
    return pb.Task(id=new_id(), type=KIND, input=b'"' + b"x" * size + b'"')


def status(peer):
    return peer.ask("status_get").status


def percent(peer):
    now = status(peer)
    return 100 * now.store_used / now.store_map


def fill(client):
    """Submits until it is refused, and goes on while freed pages make a little room: it is full when
    nothing was taken for 2 s. The tasks that were taken, and the last refusal."""
    taken, since = [], None
    while True:
        batch = [task() for _ in range(8)]
        try:
            assert submit(client, *batch).accepted == 8
            since = None
            taken += batch
            assert len(taken) < 5000
        except Refused as refused:
            since = since or time.monotonic()
            if time.monotonic() > since + 2:
                return taken, refused
            time.sleep(0.05)


def work(peer, leases):
    """Ends what it has; what it is given instead."""
    results = [pb.Result(id=lease.id, token=lease.token, outcome=pb.OUTCOME_DONE) for lease in leases]
    verdicts = peer.ask("report", pb.Report(results=results)).reported.verdicts
    assert set(verdicts) <= {pb.REPORT_DONE}
    found = [lease for push in peer.pushes for lease in push.assign.leases]
    peer.pushes.clear()
    return found


def schedule(client):
    template = pb.Task(type=KIND).SerializeToString()
    put = pb.SchedulePut(schedule=pb.Schedule(name="tick", rule="@every 1s from 2026-01-01T00:00:00Z", zone="UTC",
                                              mode=pb.MODE_STRICT, overlap=pb.OVERLAP_ALLOW, task=template))
    return client.change("schedule_put", put).schedule


def propose(peer, info):
    item = pb.Proposal(uid=info.uid, revision=info.revision, expect_cursor_us=info.cursor_us,
                       new_cursor_us=int(time.time() * 1e6))
    return peer.ask("propose", pb.Propose(items=[item])).proposed.items[0]


def test_a_full_store_refuses_finishes_makes_room_and_loses_nothing(broker):
    client = Peer(broker.endpoint, "c").open()
    scheduler = Peer(broker.endpoint, "s", pb.ROLE_SCHEDULER).open()
    busy = worker(broker, "busy", 1)
    running = task()
    submit(client, running)
    lease = busy.leases()[0]
    plan = schedule(client)
    taken, refused = fill(client)
    assert (refused.code, refused.retry_after_us > 0) == (E["STORE_FULL"], True)
    assert status(client).store_level in ("refuse", "end-only") and percent(client) >= 84

    # strict: the cursor waits
    def behind():
        return client.ask("schedule_get", pb.ScheduleGet(name="tick")).schedules.items[0].behind
    until(lambda: behind() >= 3)
    answer = propose(scheduler, plan)
    assert (answer.verdict, answer.cursor_us) == (pb.PROPOSAL_HELD, plan.cursor_us)
    assert answer.retry_us > time.time() * 1e6

    # what runs ends, with its output
    result = pb.Result(id=lease.id, token=lease.token, outcome=pb.OUTCOME_DONE, output=b'"' + b"y" * 20000 + b'"')
    assert list(busy.ask("report", pb.Report(results=[result], credit=0)).reported.verdicts) == [pb.REPORT_DONE]
    assert busy.ask("ping").pong.wall_us > 0
    with pytest.raises(Refused):
        submit(client, task())

    # the line is worked off; what has ended gives way, with an event, until there is room again
    hands = worker(broker, "hands", 64)
    leases, ended, end = [], 0, time.monotonic() + 60
    while ended < len(taken):
        assert time.monotonic() < end, f"{ended} of {len(taken)} ended; {status(client)}"
        found = work(hands, leases)
        ended += len(leases)
        leases = found
        if not leases:
            time.sleep(0.01)
    until(lambda: percent(client) < 60, 30)
    assert submit(client, task()).accepted == 1
    events = client.ask("event_read", pb.EventRead(from_seq=1, limit=10000)).events
    while events.items and "store.history_gave_way" not in [e.kind for e in events.items]:
        events = client.ask("event_read", pb.EventRead(from_seq=events.next_seq, limit=10000)).events
    assert events.items, "no event says that history gave way"

    # and every instant that waited becomes a task
    plan = client.ask("schedule_get", pb.ScheduleGet(name="tick")).schedules.items[0]
    waited, fired = plan.behind, 0
    assert waited >= 3
    while fired < waited:
        answer = propose(scheduler, plan)
        assert answer.verdict in (pb.PROPOSAL_DONE, pb.PROPOSAL_HELD) and answer.skipped == 0
        fired += answer.fired
        plan.cursor_us = answer.cursor_us
    rows = client.ask("schedule_history", pb.ScheduleHistory(name="tick", limit=1000)).history.items
    instants = [row.instant_us for row in rows]
    assert {row.verdict for row in rows} == {"fired"}
    assert [b - a for a, b in zip(instants, instants[1:])] == [1_000_000] * (len(instants) - 1)
    assert broker.end() == 0
    check = subprocess.run([BIN, "--check", "--state", broker.state], capture_output=True, text=True, timeout=60)
    assert check.returncode == 0, check.stdout


def test_what_was_taken_before_the_store_was_full_is_there_after_a_restart(broker):
    worker(broker, "w", 0)
    client = Peer(broker.endpoint, "c").open()
    taken, _ = fill(client)
    broker.end(9)
    broker.start("--map", "8MiB")
    client = Peer(broker.endpoint, "c").open()
    for i in range(0, len(taken), 50):
        assert get(client, taken[i].id).status == pb.STATUS_WAITING
    more, refused = fill(client)
    assert refused.code == E["STORE_FULL"] and len(more) < len(taken) / 4
    ids = [t.id for t in taken + more]
    for i in range(0, len(ids), 100):
        client.change("task_change", pb.TaskChange(verb=pb.TASK_CANCEL, ids=ids[i:i + 100]))
    until(lambda: percent(client) < 60, 30)
    assert submit(client, task()).accepted == 1


def test_what_runs_ends_even_when_its_results_overfill_the_store(broker):
    hands = worker(broker, "hands", 64)
    client = Peer(broker.endpoint, "c").open()
    running = [task() for _ in range(64)]
    submit(client, *running)
    leases = until(lambda: hands.ask("ping") and sum(len(p.assign.leases) for p in hands.pushes) == 64 and
                   [lease for p in hands.pushes for lease in p.assign.leases])
    hands.ask("report", pb.Report(credit=0))  # nothing more
    fill(client)
    end = time.monotonic() + 60

    def again(peer):
        fresh = Peer(broker.endpoint, peer.hello.name, peer.hello.role, peer.incarnation)
        fresh.hello.CopyFrom(peer.hello)
        fresh.hello.credit = 0
        while True:
            try:
                return fresh.open()
            except Refused as no:
                assert no.code == E["STORE_FULL"] and time.monotonic() < end
    for lease in leases:
        hands.hello.claims.add(id=lease.id, token=lease.token)
    refused = 0
    for lease in leases:  # 3.8 MB of output where 1.2 are left
        result = pb.Result(id=lease.id, token=lease.token, outcome=pb.OUTCOME_DONE,
                           output=b'"' + b"y" * 60000 + b'"')
        while True:
            try:
                verdicts = hands.ask("report", pb.Report(results=[result], credit=0)).reported.verdicts
                assert list(verdicts) == [pb.REPORT_DONE]
                break
            except Refused as no:
                assert (no.code, no.retry_after_us > 0) == (E["STORE_FULL"], True)
                assert time.monotonic() < end, status(client)
                refused += 1
                if refused == 3:  # a start finds no room, either
                    broker.end(signal.SIGKILL)
                    broker.start("--map", "8MiB")
                    hands, client = again(hands), again(client)
                time.sleep(0.05)
    assert refused > 0  # it was full to the brim, and went on by itself
    assert broker.end() == 0
    check = subprocess.run([BIN, "--check", "--state", broker.state], capture_output=True, text=True, timeout=60)
    assert check.returncode == 0, check.stdout
