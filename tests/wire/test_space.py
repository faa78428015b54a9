# SPDX-License-Identifier: Apache-2.0
"""A store of 8 MiB, filled: what is refused, what still ends, what gives way, and the way back."""
import signal
import time

import pytest

import brokers
from brokers import E, events, executor, get, refused_start, report, result, submit, until
from pawl_wire import PATIENCE, Peer, Refused, pb

KIND = "test/space"


@pytest.fixture
def broker(start_broker):
    return start_broker("--map", "8MiB")


def worker(broker, name, credit):
    return executor(broker, name, types=[KIND], slots=credit, credit=credit)


def task(size=3000):
    return brokers.task(KIND, input=b'"' + b"x" * size + b'"')


def status(peer):
    return peer.ask("status_get").status


def percent(peer):
    now = status(peer)
    return 100 * now.store_used / now.store_map


def fill(client, *others):
    """Submits until it is refused, then the smallest tasks, one at a time, and goes on while freed pages
    make a little room: it is full when nothing was taken for 2 s. The tasks that were taken, and the
    last refusal. The others are heard, however long this takes."""
    taken, since, small = [], None, False
    while True:
        for other in others:
            other.ask("ping")
        batch = [task(10)] if small else [task() for _ in range(8)]
        try:
            answer = submit(client, *batch)
            since, small = None, small or answer.accepted < len(batch)
            taken += batch[:answer.accepted]  # of a request that does not fit as a whole, its beginning
            assert [(item.index, item.error.code) for item in answer.items] == [
                (i, E["STORE_FULL"]) for i in range(answer.accepted, len(batch))]
            assert len(taken) < 5000
        except Refused as refused:
            since, small = since or time.monotonic(), True
            if time.monotonic() > since + 2:
                return taken, refused
            time.sleep(0.05)


def work(peer, leases):
    """Ends what it has; what it is given instead."""
    assert set(report(peer, *map(result, leases))) <= {pb.REPORT_DONE}
    found = [lease for push in peer.pushes for lease in push.assign.leases]
    peer.pushes.clear()
    return found


def waiting(client):
    """The id of a task that waits."""
    rows = client.ask("task_list", pb.TaskList(filter=pb.TaskFilter(statuses=[pb.STATUS_WAITING]), limit=1)).tasks
    return rows.items[0].id


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
    taken, refused = fill(client, busy, scheduler)
    assert (refused.code, refused.retry_after_us > 0) == (E["STORE_FULL"], True)
    assert status(client).store_level in ("refuse", "end-only")
    # 85 %, less the room that is kept for the result of the one that runs
    assert 60 <= percent(client) < 85

    # strict: the cursor waits
    def behind():
        return client.ask("schedule_get", pb.ScheduleGet(name="tick")).schedules.items[0].behind
    until(lambda: behind() >= 3)
    fired, end = 0, time.monotonic() + 2 * PATIENCE
    answer = propose(scheduler, plan)
    while answer.verdict != pb.PROPOSAL_HELD:  # pages of the last commits came back: it is filled again
        assert time.monotonic() < end and answer.skipped == 0
        fired, plan.cursor_us = fired + answer.fired, answer.cursor_us
        taken += fill(client, busy, scheduler)[0]
        until(lambda: behind() >= 1)
        answer = propose(scheduler, plan)
    assert answer.cursor_us == plan.cursor_us
    assert answer.retry_us > time.time() * 1e6

    # what runs ends, with its output
    assert report(busy, result(lease, output=b'"' + b"y" * 20000 + b'"'), credit=0) == [pb.REPORT_DONE]
    assert busy.ask("ping").pong.wall_us > 0

    # the line is worked off; what has ended gives way, with an event, until there is room again
    hands = worker(broker, "hands", 64)
    leases, ended, end = [], 0, time.monotonic() + 2 * PATIENCE
    while ended < len(taken) + fired:  # what the schedule fired is among them
        assert time.monotonic() < end, f"{ended} of {len(taken) + fired} ended; {status(client)}"
        found = work(hands, leases)
        client.ask("ping"), scheduler.ask("ping")  # they live, whatever this takes
        ended += len(leases)
        leases = found
        if not leases:
            time.sleep(0.01)
    until(lambda: percent(client) < 60)
    assert submit(client, task()).accepted == 1
    page = client.ask("event_read", pb.EventRead(from_seq=1, limit=10000)).events
    while page.items and "store.history_gave_way" not in [e.kind for e in page.items]:
        page = client.ask("event_read", pb.EventRead(from_seq=page.next_seq, limit=10000)).events
    assert page.items, "no event says that history gave way"

    # and every instant that waited becomes a task
    plan = client.ask("schedule_get", pb.ScheduleGet(name="tick")).schedules.items[0]
    waited, fired = plan.behind, 0
    assert waited >= 1
    while fired < waited:
        leases = work(hands, leases)  # what runs keeps room: it must end for more to fire
        client.ask("ping")
        answer = propose(scheduler, plan)
        assert answer.verdict in (pb.PROPOSAL_DONE, pb.PROPOSAL_HELD) and answer.skipped == 0
        fired += answer.fired
        plan.cursor_us = answer.cursor_us
    rows = client.ask("schedule_history", pb.ScheduleHistory(name="tick", limit=1000)).history.items
    instants = [row.instant_us for row in rows]
    assert {row.verdict for row in rows} == {"fired"}
    assert [b - a for a, b in zip(instants, instants[1:])] == [1_000_000] * (len(instants) - 1)
    assert broker.end() == 0
    broker.check()


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
    until(lambda: percent(client) < 60)
    assert submit(client, task()).accepted == 1


def test_no_more_is_leased_than_can_end_and_all_of_it_ends_at_once(broker):
    hands = worker(broker, "hands", 64)
    client = Peer(broker.endpoint, "c").open()
    submit(client, *[task() for _ in range(64)])
    # 8 MiB have room for the largest results of a few only: the others wait, and that is told
    until(lambda: hands.ask("ping") and sum(len(p.assign.leases) for p in hands.pushes) > 0)
    why = until(lambda: [line for line in client.ask("task_why", pb.TaskWhy(id=waiting(client))).why.lines
                         if "results" in line])
    assert "no room for one more result" in why[0]
    fill(client)
    leases = [lease for p in hands.pushes for lease in p.assign.leases]
    assert 1 <= len(leases) <= 8
    broker.end(signal.SIGKILL)  # a start keeps the room, too
    broker.start("--map", "8MiB")
    client = Peer(broker.endpoint, "c").open()
    fresh = Peer(broker.endpoint, hands.hello.name, hands.hello.role, hands.incarnation)
    fresh.hello.CopyFrom(hands.hello)
    fresh.hello.credit = 0
    for lease in leases:
        fresh.hello.claims.add(id=lease.id, token=lease.token)
    fresh.open()
    for lease in leases:
        large = result(lease, output=b'"' + b"y" * ((1 << 20) - 2) + b'"')
        assert report(fresh, large, credit=0) == [pb.REPORT_DONE]
    assert {"store.leases_wait", "store.level"} <= {event.kind for event in events(client)}
    assert broker.end() == 0
    broker.check()


def test_a_map_in_which_nothing_could_run_is_refused_at_the_start(tmp_path):
    done = refused_start("--state", tmp_path / "s", "--map", "2MiB")
    assert done.returncode not in (0, 70)
    assert "why:" in done.stderr and "then:" in done.stderr and "--map" in done.stderr
