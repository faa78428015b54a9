# SPDX-License-Identifier: Apache-2.0
"""A peer that is made from the specification alone, against the real broker: the main job, and what
a broker does with peers that do not keep the rules.

PAWL_BIN names the folder with pawl-broker (default: build/bin); or PAWL_BROKER an endpoint of a broker
that runs already.
"""
import json
import os
import pathlib
import shutil
import tempfile
import time

import pytest
import zmq

import messages
from brokers import BIN, Broker, E, get, report, result, submit, task as make_task, until
from pawl_wire import PATIENCE, Peer, Refused, Silence, Wire, new_id, pb


@pytest.fixture(scope="module")
def endpoint():
    """One broker for all tests of this file, whatever they send it."""
    if "PAWL_BROKER" in os.environ:
        yield os.environ["PAWL_BROKER"]
        return
    if not BIN.exists():
        pytest.skip(f"{BIN} is not built")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="pawl-wire-"))
    broker = Broker(folder / "state").start()
    try:
        yield broker.endpoint
        assert broker.alive(), broker.said()  # it never crashed
        assert broker.end() == 0, broker.said()
    finally:
        if broker.alive():
            broker.process.kill()
        shutil.rmtree(folder)
        zmq.Context.instance().destroy(linger=0)


@pytest.fixture
def client(endpoint):
    peer = Peer(endpoint, f"client-{os.urandom(3).hex()}").open()
    yield peer
    peer.close()


def serving(endpoint, name, kind, **more):
    """An executor of four slots that takes tasks of this type."""
    return Peer(endpoint, name, pb.ROLE_EXECUTOR, kinds=["worker"], types=[kind], slots=4, credit=4, **more).open()


@pytest.fixture
def executor(endpoint):
    """Serves a type of its own, so that tests do not take one another's tasks."""
    kind = f"test/t{os.urandom(4).hex()}"
    peer = serving(endpoint, f"executor-{os.urandom(3).hex()}", kind)
    peer.type = kind
    yield peer
    try:
        peer.ask("bye")
    except Refused as refused:
        assert refused.code == E["NO_SESSION"]  # a test has put another session in its place
    peer.close()


def rejected(client):
    return client.ask("status_get").status.rejected_frames


# ---- the main job --------------------------------------------------------------------------------


def leased(client, executor):
    """A task that was submitted, and the lease of it that the executor has."""
    task = make_task(executor.type)
    submit(client, task)
    return task, executor.leases()[0]


def test_welcome_tells_limits_and_times(client):
    welcome = client.welcome
    assert len(welcome.session) == 16 and len(welcome.store_id) == 16
    assert welcome.minor == 1 and welcome.principal == f"uid:{os.getuid()}"
    assert welcome.limits.message_bytes == 8 << 20 and welcome.limits.items == 10000
    assert (welcome.ping_us, welcome.suspect_us, welcome.lease_us) == (5000000, 15000000, 30000000)
    assert abs(welcome.wall_us - time.time() * 1e6) < 60e6


def test_a_task_is_submitted_assigned_reported_and_read_back(client, executor):
    task = make_task(executor.type, input=b'{"to":"a@b"}', title="proof", labels=[pb.Label(key="team", value="ops")])
    assert submit(client, task).accepted == 1
    lease = executor.leases()[0]
    assert lease.id == task.id and lease.token > 0 and lease.attempt == 1
    assert lease.task == task.SerializeToString()  # as it came
    claim = {"id": lease.id, "token": lease.token}
    executor.ask("report", pb.Report(
        progress=[pb.Progress(**claim, done=1, total=2, text="half")],
        logs=[pb.LogChunk(**claim, stream=1, offset=0, data=b"hello\n", time_us=int(time.time() * 1e6))],
        running=[pb.Claim(**claim)]))
    running = get(client, task.id)
    assert running.status == pb.STATUS_RUNNING and running.executor == executor.hello.name
    assert running.progress == "half" and (running.progress_done, running.progress_total) == (1, 2)
    answer = executor.ask("report", pb.Report(
        logs=[pb.LogChunk(**claim, stream=2, offset=6, data=b"done\n")],
        results=[pb.Result(**claim, outcome=pb.OUTCOME_DONE, output=b'{"sent":true}',
                           output_type="application/json", message="sent")], credit=4)).reported
    assert list(answer.verdicts) == [pb.REPORT_DONE]
    done = client.ask("task_wait", pb.TaskWait(ids=[task.id], wait_us=10000000)).waited
    assert done.done
    record = get(client, task.id)
    assert record.status == pb.STATUS_FINISHED and record.output == b'{"sent":true}'
    assert record.title == "proof" and record.attempt == 1 and record.token == lease.token
    log = client.ask("log_read", pb.LogRead(id=task.id, limit=1 << 16)).log
    assert b"".join(p.data for p in log.pieces) == b"hello\ndone\n" and log.ended and log.total == 11
    listed = client.ask("task_list", pb.TaskList(filter=pb.TaskFilter(type=executor.type))).tasks
    assert [t.id for t in listed.items] == [task.id]


def test_many_tasks_pass_within_the_credit(client, executor):
    tasks = [make_task(executor.type) for _ in range(50)]
    assert submit(client, *tasks).accepted == 50
    seen = []
    while len(seen) < 50:
        leases = executor.leases()
        assert len(leases) <= 4
        seen += [lease.id for lease in leases]
        assert set(report(executor, *map(result, leases))) == {pb.REPORT_DONE}
    assert sorted(seen) == sorted(t.id for t in tasks)


def test_one_bad_item_does_not_spoil_the_others(client, executor):
    good, bad = make_task(executor.type), make_task(executor.type, priority=10)
    answer = client.ask("submit", pb.Submit(
        tasks=[bad.SerializeToString(), b"\xff\xff", good.SerializeToString()])).submitted
    assert answer.accepted == 1
    assert [(i.index, i.error.code, i.error.field) for i in answer.items] == [
        (0, E["BAD_VALUE"], "priority"), (1, E["BAD_REQUEST"], "")]
    assert executor.leases()[0].id == good.id


# ---- sent again ----------------------------------------------------------------------------------


def test_a_submit_sent_again_changes_nothing(client, executor):
    task = make_task(executor.type)
    assert submit(client, task).accepted == 1
    again = submit(client, task)
    assert again.accepted == 1 and not again.items
    lease = executor.leases()[0]
    with pytest.raises(Silence):
        executor.leases(0.3)
    other = pb.Task()
    other.CopyFrom(task)
    other.title = "another body"
    refused = submit(client, other)
    assert refused.accepted == 0 and refused.items[0].error.code == E["ID_REUSED"]
    report(executor, result(lease))
    assert submit(client, task).accepted == 1  # also after its end
    with pytest.raises(Silence):
        executor.leases(0.3)


def test_a_result_sent_again_is_recorded_once_and_an_old_token_is_stale(client, executor):
    task = make_task(executor.type, retry=pb.Retry(max_attempts=2, backoff_us=1))
    submit(client, task)
    first = executor.leases()[0]
    assert report(executor, result(first, pb.OUTCOME_FAIL, message="no")) == [pb.REPORT_DONE]
    second = executor.leases()[0]
    assert second.id == task.id and second.token > first.token and second.attempt == 2
    [verdict] = report(executor, result(first))
    assert verdict in (pb.REPORT_STALE, pb.REPORT_DONE) and get(client, task.id).status == pb.STATUS_RUNNING
    for _ in range(2):
        assert report(executor, result(second)) == [pb.REPORT_DONE]
    record = get(client, task.id)
    assert record.status == pb.STATUS_FINISHED and record.attempt == 2


def test_the_reply_of_a_change_is_remembered_over_sessions(endpoint, client):
    name, request_id = f"q{os.urandom(3).hex()}", os.urandom(16)
    change = pb.QueueChange(name=name, pause=True, reason="test")
    first = client.change("queue_change", change, request_id)
    assert not client.repeated
    assert client.change("queue_change", change, request_id) == first and client.repeated
    again = Peer(endpoint, client.hello.name, incarnation=client.incarnation).open()
    assert again.change("queue_change", change, request_id) == first and again.repeated
    client.change("queue_change", pb.QueueChange(name=name))
    again.close()


def test_a_seq_that_does_not_rise_is_dropped(client, executor):
    task = make_task(executor.type)
    frame = client.pack("submit", pb.Submit(tasks=[task.SerializeToString()]))
    client.send(frame)
    client.answer(client.seq)
    client.send(frame)
    assert client.quiet()
    client.ask("ping")
    executor.leases()


def test_a_new_session_on_a_new_connection_takes_up_the_leases(endpoint, client, executor):
    _, lease = leased(client, executor)
    again = serving(endpoint, executor.hello.name, executor.type, incarnation=executor.incarnation,
                    claims=[pb.Claim(id=lease.id, token=lease.token), pb.Claim(id=new_id(), token=9)])
    assert list(again.welcome.verdicts) == [pb.CLAIM_KEEP, pb.CLAIM_UNKNOWN]
    assert report(again, result(lease)) == [pb.REPORT_DONE]
    again.ask("bye")
    again.close()


def test_cancel_reaches_the_executor(client, executor):
    task, lease = leased(client, executor)
    changed = client.change("task_change", pb.TaskChange(verb=pb.TASK_CANCEL, ids=[task.id, new_id()], reason="test"))
    assert changed.done == 1 and changed.items[0].error.code == E["NOT_FOUND"]

    def told():
        executor.ask("ping")
        pushed = [d for p in executor.pushes for d in p.directives.directives]
        return [d for d in pushed + executor.directives if d.kind == pb.DIRECTIVE_CANCEL and d.id == lease.id]
    assert until(told)
    report(executor, result(lease, pb.OUTCOME_CANCELLED))
    assert get(client, task.id).status == pb.STATUS_CANCELLED


def test_of_many_that_are_put_one_with_an_instant_is_refused(client, executor):
    def schedule(name):
        return pb.Schedule(name=name, rule="0 3 * * *", zone="UTC",
                           task=pb.Task(type=executor.type).SerializeToString())
    names = [f"m{os.urandom(3).hex()}" for _ in range(3)]
    many = pb.SchedulePut(schedule=schedule(names[0]), cursor=pb.CURSOR_NOW, more=[
        pb.SchedulePutItem(schedule=schedule(names[1]), cursor=pb.CURSOR_AT),
        pb.SchedulePutItem(schedule=schedule(names[2]))])
    changed = client.change("schedule_put", many)
    assert changed.done == 2 and [(item.index, item.error.code) for item in changed.items] == [(1, E["CONTRADICTION"])]
    items = client.ask("schedule_list", pb.ScheduleList(text=names[2], whole=True)).schedules.items
    assert pb.Schedule.FromString(items[0].schedule).rule == "0 3 * * *"
    for name in names[0], names[2]:
        client.change("schedule_change", pb.ScheduleChange(verb=pb.SCHEDULE_REMOVE, name=name))


def test_a_schedule_is_put_followed_proposed_and_removed(endpoint, client, executor):
    name = f"s{os.urandom(3).hex()}"
    scheduler = Peer(endpoint, f"scheduler-{name}", pb.ROLE_SCHEDULER).open()
    scheduler.ask("schedule_follow", pb.ScheduleFollow(limit=1000))
    put = pb.SchedulePut(schedule=pb.Schedule(
        name=name, rule="@every 1s from 2026-01-01T00:00:00Z", zone="UTC",
        task=pb.Task(type=executor.type).SerializeToString()), if_revision=0)
    made = client.change("schedule_put", put).schedule
    assert len(made.uid) == 16 and made.revision and made.next_us > made.cursor_us
    with pytest.raises(Refused) as refused:
        client.change("schedule_put", put)
    assert refused.value.code == E["EXISTS"]

    def pushed():
        scheduler.ask("ping")
        return [i for p in scheduler.pushes for i in p.schedules.items if i.name == name]
    assert until(pushed)[0].uid == made.uid  # followers are told
    proposal = pb.Proposal(uid=made.uid, revision=made.revision, expect_cursor_us=made.cursor_us,
                           new_cursor_us=made.next_us)

    def propose(**parts):
        item = pb.Proposal()
        item.CopyFrom(proposal)
        for key, value in parts.items():
            setattr(item, key, value)
        return scheduler.ask("propose", pb.Propose(items=[item])).proposed.items[0]
    assert propose(new_cursor_us=made.next_us + 3600 * 10**6).verdict == pb.PROPOSAL_TOO_EARLY
    assert propose(expect_cursor_us=made.cursor_us - 1).verdict == pb.PROPOSAL_CONFLICT

    def fired():
        answer = propose()
        return answer if answer.verdict != pb.PROPOSAL_TOO_EARLY else None
    answer = until(fired)
    assert (answer.verdict, answer.fired) == (pb.PROPOSAL_DONE, 1) and answer.next_us > made.next_us
    assert propose().verdict == pb.PROPOSAL_CONFLICT  # a copy
    lease = executor.leases()[0]
    assert (lease.schedule, lease.planned_us) == (name, made.next_us)
    report(executor, result(lease))
    history = client.ask("schedule_history", pb.ScheduleHistory(name=name, limit=10)).history.items
    assert [(i.instant_us, i.verdict, i.task) for i in history] == [(made.next_us, "fired", lease.id)]
    client.change("schedule_change", pb.ScheduleChange(verb=pb.SCHEDULE_REMOVE, name=name))
    assert propose(expect_cursor_us=answer.cursor_us).verdict == pb.PROPOSAL_GONE
    scheduler.close()


def test_an_outage_is_rehearsed_and_nothing_is_kept(endpoint, client, executor):
    name = f"r{os.urandom(3).hex()}"
    hour = 3600 * 10**6
    start = 24 * 20454 * hour  # 2026-01-01
    plan = pb.Schedule(name=name, rule="0 * * * *", zone="Europe/Berlin", mode=pb.MODE_LATEST,
                       task=pb.Task(type=executor.type).SerializeToString())
    span = {"down_from_us": start + hour // 2, "down_to_us": start + 4 * hour + hour // 2}

    def said(**what):
        rehearsal = client.ask("rehearse", pb.Rehearse(**span, **what)).rehearsal
        return rehearsal, [(i.from_us, i.to_us, i.count, i.verdict, i.reason) for i in rehearsal.items]

    rehearsal, rows = said(put=pb.SchedulePut(schedule=plan), takes_us=60 * 10**6)
    assert rows[:2] == [(start + hour, start + 3 * hour, 3, "folded", "latest"),
                        (start + 4 * hour, start + 4 * hour, 1, "fired", "latest")]
    assert [row[4] for row in rows[2:]] == ["on time"] * 3
    stands_for = rehearsal.items[1]
    assert (stands_for.folded_first_us, stands_for.folded_count) == (start + hour, 4)
    assert (stands_for.started_us, stands_for.ended_us) == (span["down_to_us"], span["down_to_us"] + 60 * 10**6)
    assert rehearsal.items[0].other_us == start + 4 * hour
    assert rehearsal.down == 4 and list(rehearsal.next_us)[0] == start + 8 * hour
    with pytest.raises(Refused) as refused:  # it was not put
        said(name=name)
    assert refused.value.code == E["NOT_FOUND"]
    with pytest.raises(Refused) as refused:
        said(put=pb.SchedulePut(schedule=pb.Schedule(name=name, rule="0 25 * * *", zone="UTC", task=plan.task)))
    assert refused.value.code == E["BAD_RULE"]
    made = client.change("schedule_put", pb.SchedulePut(schedule=plan, if_revision=0)).schedule
    assert said(name=name, takes_us=60 * 10**6)[1] == rows
    after = client.ask("schedule_get", pb.ScheduleGet(name=name)).schedules.items[0]
    assert (after.revision, after.cursor_us, after.fired) == (made.revision, made.cursor_us, 0)
    client.change("schedule_change", pb.ScheduleChange(verb=pb.SCHEDULE_REMOVE, name=name))


def test_a_range_is_made_proposed_cancelled_and_audited(endpoint, client, executor):
    name = f"r{os.urandom(3).hex()}"
    scheduler = Peer(endpoint, f"scheduler-{name}", pb.ROLE_SCHEDULER).open()
    scheduler.ask("schedule_follow", pb.ScheduleFollow(limit=1000))
    made = client.change("schedule_put", pb.SchedulePut(schedule=pb.Schedule(
        name=name, rule="0 * * * *", zone="UTC", mode=pb.MODE_STRICT, overlap=pb.OVERLAP_ALLOW,
        task=pb.Task(type=executor.type).SerializeToString()), if_revision=0)).schedule
    day = 86400 * 10**6
    start = 20454 * day  # 2026-01-01
    backfill = pb.ScheduleChange(verb=pb.SCHEDULE_BACKFILL, name=name, from_us=start, to_us=start + day,
                                 order=pb.ORDER_NEWEST, rate=2)
    assert client.change("schedule_change", backfill).range == 1
    with pytest.raises(Refused) as refused:
        client.change("schedule_change", pb.ScheduleChange(
            verb=pb.SCHEDULE_BACKFILL, name=name, from_us=start + 1, to_us=start + 2))
    assert refused.value.code == E["NO_INSTANT"]

    def pushed():
        scheduler.ask("ping")
        return [r for p in scheduler.pushes for i in p.schedules.items if i.name == name for r in i.ranges]
    told = until(pushed)[-1]
    assert (told.number, told.state, told.cursor_us) == (1, "open", start + day - 1)

    def propose(cursor):
        return scheduler.ask("propose", pb.Propose(items=[pb.Proposal(
            uid=made.uid, revision=told.revision, expect_cursor_us=cursor, range=1)])).proposed.items[0]

    def fired():
        answer = propose(told.cursor_us)
        return answer if answer.fired else None
    answer = until(fired)
    assert answer.verdict == pb.PROPOSAL_DONE and answer.cursor_us == start + (24 - answer.fired) * day // 24 - 1
    assert propose(told.cursor_us).verdict == pb.PROPOSAL_CONFLICT  # a copy
    [lease] = executor.leases()[:1]
    assert lease.planned_us == start + 23 * day // 24
    client.change("schedule_change", pb.ScheduleChange(verb=pb.SCHEDULE_RANGE_CANCEL, name=name, range=1))
    assert propose(answer.cursor_us).verdict == pb.PROPOSAL_GONE
    [row] = client.ask("range_list", pb.RangeList(name=name, all=True)).ranges.items
    assert (row.state, row.fired, row.skipped) == ("cancelled", answer.fired, 24 - answer.fired)
    audit = client.ask("schedule_audit", pb.ScheduleAudit(name=name)).audit
    assert list(audit.problems) == [] and (audit.instants, audit.tasks) == (24, answer.fired)
    client.change("schedule_change", pb.ScheduleChange(verb=pb.SCHEDULE_REMOVE, name=name))
    report(executor, result(lease))
    scheduler.close()


def test_a_calendar_is_put_used_refused_and_removed(client, executor):
    name = f"days-{new_id().hex()[-8:]}"
    put = pb.CalendarPut(calendar=pb.Calendar(name=name, entries=["12-24..12-26", "SUN"]), if_revision=0)
    client.change("calendar_put", put)
    with pytest.raises(Refused) as refused:
        client.change("calendar_put", put)
    assert refused.value.code == E["EXISTS"]
    schedule = pb.Schedule(name=name, rule="0 9 * * *", also=["0 10 * * SAT"], calendars=[name], zone="UTC",
                           task=pb.Task(type=executor.type).SerializeToString())
    made = client.change("schedule_put", pb.SchedulePut(schedule=schedule)).schedule
    assert list(made.calendars) == [name] and list(made.also) == ["0 10 * * SAT"]
    info = client.ask("calendar_list", pb.CalendarList(name=name)).calendars.items[0]
    assert (list(info.entries), info.users) == (["12-24..12-26", "SUN"], 1)
    with pytest.raises(Refused) as refused:
        client.change("calendar_put", pb.CalendarPut(calendar=pb.Calendar(name=name, entries=["SUN", "32-01"])))
    assert (refused.value.code, refused.value.field) == (E["BAD_CALENDAR"], "calendar.entries[1]")
    client.change("calendar_put", pb.CalendarPut(calendar=pb.Calendar(name=name, entries=["SAT"]),
                                                 if_revision=info.revision))

    def followed():
        items = client.ask("schedule_list", pb.ScheduleList(text=name)).schedules.items
        return items[0].revision == made.revision + 1
    assert until(followed)
    with pytest.raises(Refused) as refused:
        client.change("calendar_remove", pb.CalendarRemove(name=name))
    assert refused.value.code == E["IN_USE"] and name in refused.value.text
    client.change("schedule_change", pb.ScheduleChange(verb=pb.SCHEDULE_REMOVE, name=name))
    client.change("calendar_remove", pb.CalendarRemove(name=name))
    assert name not in [item.name for item in client.ask("calendar_list").calendars.items]


# ---- peers that do not keep the rules --------------------------------------------------------------


def corrupt_frames():
    ping = pb.Request(magic=messages.MAGIC["Request"], seq=1, session=bytes(16), ping=pb.Ping()).SerializeToString()
    return [b"", b"\x00", b"GET / HTTP/1.1\r\n\r\n", b"\x0dXXXX" + ping[5:], ping[:4], os.urandom(5000),
            b"\x0dPWL1", b"\x0dPWL1" + b"\xff" * 100, b"\x0dPWL1" + os.urandom(500), ping[5:] + ping[:5]]


def test_garbage_is_counted_and_never_answered_with_more_than_an_error(endpoint, client):
    before = rejected(client)
    wire = Wire(endpoint)
    for frame in corrupt_frames():
        wire.send(frame)
    wire.send(b"", client.pack("ping"))  # an empty delimiter, as a REQ socket would send
    wanted = before + len(corrupt_frames()) + 1
    assert until(lambda: rejected(client) >= wanted)
    assert rejected(client) == wanted
    while not wire.quiet(0.1):
        reply = pb.Reply.FromString(wire.receive())
        assert reply.HasField("error")
    wire.close()


def test_a_request_cut_anywhere_is_refused(endpoint, client):
    before = rejected(client)
    whole = client.pack("task_change", pb.TaskChange(verb=pb.TASK_CANCEL, ids=[new_id()]), os.urandom(16))
    for cut in range(len(whole)):
        client.send(whole[:cut])
    client.seq += 1
    assert until(lambda: rejected(client) >= before + len(whole))
    client.ask("ping")


def test_every_vector_that_is_refused_is_refused_by_the_broker(endpoint, client):
    folder = messages.ROOT / "schemas" / "vectors"
    for vector in json.loads((folder / "vectors.json").read_text()):
        if vector["type"] != "Request" or "error" not in vector:
            continue
        raw = bytes.fromhex((folder / vector["hex"]).read_text())
        wire = Wire(endpoint)
        wire.send(raw)
        try:
            unmatched = vector["error"]["name"] == "BAD_MAGIC" or vector["name"] == "seq-missing"
            reply = pb.Reply.FromString(wire.receive(0.05 if unmatched else PATIENCE))
        except Silence:
            assert unmatched, vector["name"]
        else:
            assert not unmatched, vector["name"]
            assert (reply.error.code, reply.error.field) == (
                vector["error"]["number"], vector["error"]["field"]), vector["name"]
            assert reply.error.text
        wire.close()
    client.ask("ping")


def test_an_oversized_frame_is_refused_or_ends_the_connection(endpoint, client):
    wire = Wire(endpoint)
    head = pb.Request(magic=messages.MAGIC["Request"], seq=1, session=bytes(16)).SerializeToString()
    wire.send(head + b"\x3a" + b"\xff\xff\xff\x04" + bytes((8 << 20) + 100 - len(head)))
    try:
        reply = pb.Reply.FromString(wire.receive(2))
        assert reply.error.code == E["TOO_LARGE"]
    except Silence:
        pass
    wire.send(bytes(9 << 20))
    assert wire.quiet(0.5)
    wire.close()
    client.ask("ping")


def test_without_a_session_nothing_is_done(endpoint, client):
    stranger = Peer(endpoint, "stranger")
    for session in (b"", bytes(16), client.session):
        stranger.session = session
        with pytest.raises(Refused) as refused:
            stranger.ask("task_list")
        assert refused.value.code == E["NO_SESSION"]
    stranger.close()


def test_another_version_is_refused(endpoint):
    peer = Peer(endpoint, "old")
    peer.hello.minor = 0
    with pytest.raises(Refused) as refused:
        peer.open()
    assert (refused.value.code, refused.value.field) == (E["VERSION"], "hello.minor")
    peer.hello.minor = 1
    frame = peer.pack("hello", peer.hello)
    peer.send(frame[:4] + b"2" + frame[5:])
    reply = peer.take()
    assert (reply.seq, reply.error.code) == (peer.seq, E["VERSION"])
    peer.open()
    peer.close()


def test_an_unknown_request_is_unimplemented_and_unknown_fields_are_ignored(client):
    frame = client.pack("ping")
    client.send(frame[:-2] + b"\xba\x3e\x00")
    with pytest.raises(Refused) as refused:
        client.answer(client.seq)
    assert refused.value.code == E["UNIMPLEMENTED"]
    client.send(client.pack("ping") + b"\xba\x3e\x03abc")
    client.answer(client.seq)


def test_an_unknown_type_is_refused(client):
    answer = submit(client, make_task("nobody/knows"))
    assert answer.accepted == 0 and answer.items[0].error.code == E["UNKNOWN_TYPE"]


def test_an_id_far_from_the_clock_is_refused(client, executor):
    answer = submit(client, make_task(executor.type, id=bytes(6) + os.urandom(10)))
    assert answer.items[0].error.code == E["BAD_ID"]


def test_a_new_incarnation_takes_the_place_of_the_old(endpoint, client, executor):
    task, old = leased(client, executor)
    again = serving(endpoint, executor.hello.name, executor.type)
    with pytest.raises(Refused) as refused:
        executor.ask("ping")
    assert refused.value.code == E["NO_SESSION"]
    new = again.leases()[0]  # the old one was lost at once
    assert new.id == old.id and new.token > old.token
    assert report(again, result(old)) == [pb.REPORT_STALE]
    assert report(again, result(new)) == [pb.REPORT_DONE]
    assert get(client, task.id).lost == 1
    again.ask("bye")
    again.close()


def test_bye_gives_leases_back_uncounted(endpoint, client, executor):
    _, first = leased(client, executor)
    executor.ask("bye")
    executor.open()
    second = executor.leases()[0]
    assert second.id == first.id and second.token > first.token and second.attempt == 1
    report(executor, result(second))


def test_a_peer_is_listed_while_it_speaks(client):
    peers = client.ask("peer_list").peers.items
    mine = [p for p in peers if p.name == client.hello.name]
    assert mine and mine[0].alive and mine[0].pid == os.getpid()


def test_the_stats_socket_speaks_json_every_second(endpoint):
    if not endpoint.endswith("broker.sock"):
        pytest.skip("where the stats socket is, is known for a state folder only")
    socket = zmq.Context.instance().socket(zmq.SUB)
    socket.linger = 0
    socket.connect(endpoint.replace("broker.sock", "stats.sock"))
    socket.subscribe(b"stats.json")
    assert socket.poll(PATIENCE * 1000)
    topic, body = socket.recv_multipart()
    stats = json.loads(body)
    assert topic == b"stats.json"
    assert {"time", "tasks", "queues", "rates", "latency", "executors", "slots", "commit", "store",
            "events_seq"} <= stats.keys()
    socket.close()
