# SPDX-License-Identifier: Apache-2.0
"""The broker as a process: start, stop, kill, freeze, silence; with liveness turned down to seconds."""
import json
import os
import pathlib
import signal
import stat
import struct
import subprocess
import time

import pytest

from brokers import BIN, FAST, LEASE_S, SANITIZED, E, events, executor, get, lease, refused_start, report, result, submit, task, until
from pawl_wire import PATIENCE, Peer, Refused, Silence, Wire, pb


def given_a_lease(broker):
    """A client, an executor, and the executor's lease of a task that the client has submitted."""
    client = Peer(broker.endpoint, "c").open()
    worker = executor(broker)
    t = task()
    submit(client, t)
    held = lease(worker)
    assert held.id == t.id
    return client, worker, held


def test_sockets_and_folders_are_for_this_user_alone(broker):
    for name in "broker.sock", "stats.sock":
        assert stat.S_IMODE((broker.state / name).stat().st_mode) == 0o600
    for name in "store", "logs", ".":
        assert stat.S_IMODE((broker.state / name).stat().st_mode) == 0o700


def test_a_state_folder_of_another_user_is_refused(tmp_path):
    """Its owner could put another store, with other commands, in place of ours."""
    state = pathlib.Path("/usr")  # root's, whoever runs this
    if os.geteuid() == 0:
        state = tmp_path / "state"
        state.mkdir(mode=0o700)
        os.chown(state, 12345, 12345)
    done = subprocess.run([BIN, "--state", state], capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 3, done
    assert f"{state} belongs to user" in done.stderr


def test_what_was_acknowledged_survives_a_kill(broker):
    client = Peer(broker.endpoint, "c").open()
    tasks = [task() for _ in range(50)]
    executor(broker).ask("bye")
    for t in tasks:
        submit(client, t)
    broker.end(signal.SIGKILL)
    broker.start()
    again = Peer(broker.endpoint, "c").open()
    assert [get(again, t.id).status for t in tasks] == [pb.STATUS_WAITING] * 50


def test_a_session_of_an_earlier_life_is_told_to_say_hello(broker):
    client = Peer(broker.endpoint, "c").open()
    broker.end(signal.SIGKILL)
    broker.start()

    def told():  # the socket reconnects by itself
        try:
            client.ask("ping", timeout=0.5)
            raise AssertionError("a session outlived its broker")
        except Refused as refused:
            return refused.code
        except Silence:
            return None
    assert until(told) == E["NO_SESSION"]
    client.open().ask("ping")


def reader(broker):
    """A peer whose library keeps what has come also when the connection ends: at once where its option
    IMMEDIATE is set, it drops what is unread then."""
    peer = Peer(broker.endpoint, "c")
    peer.socket.close()
    peer.socket = Wire.new_socket(immediate=0)
    peer.socket.connect(broker.endpoint)
    return peer.open()


def test_term_answers_what_is_in_hand_and_ends_with_0(broker):
    client = reader(broker)
    executor(broker).ask("bye")
    tasks = [task() for _ in range(300)]
    for t in tasks:
        client.send(client.pack("submit", pb.Submit(tasks=[t.SerializeToString()])))
    client.answer(2)  # some are done, some are on their way
    broker.process.send_signal(signal.SIGTERM)
    answers, ended = {2: None}, False
    while len(answers) < len(tasks):
        try:
            reply = client.take(1 if ended else 0.1)
            answers[reply.seq] = reply.error.code if reply.HasField("error") else None
        except Silence:
            if ended:
                break
            ended = not broker.alive()
    assert broker.end() == 0
    assert set(answers.values()) <= {None, E["SHUTTING_DOWN"]}
    broker.start()
    again = Peer(broker.endpoint, "c").open()
    for seq, t in enumerate(tasks, 2):
        if answers.get(seq, "none came") is None:
            assert get(again, t.id).status == pb.STATUS_WAITING
        else:  # what was done was answered: nothing is on record that its submitter does not know of
            with pytest.raises(Refused) as refused:
                get(again, t.id)
            assert refused.value.code == E["NOT_FOUND"]


def test_a_parked_query_is_answered_when_the_broker_stops(broker):
    client = reader(broker)
    executor(broker).ask("bye")
    t = task()
    submit(client, t)
    client.send(client.pack("task_wait", pb.TaskWait(ids=[t.id], wait_us=60_000_000)))
    client.ask("ping")
    broker.process.send_signal(signal.SIGTERM)
    with pytest.raises(Refused) as refused:
        client.answer(client.seq - 1)
    assert refused.value.code == E["SHUTTING_DOWN"]
    assert broker.process.wait(PATIENCE) == 0


def test_a_second_broker_is_refused_with_the_pid_of_the_first(broker):
    second = refused_start("--state", broker.state)
    assert second.returncode == 4
    assert str(broker.process.pid) in second.stderr
    Peer(broker.endpoint, "c").open().ask("ping")


def test_a_broker_waits_for_the_lock_of_a_dying_predecessor(broker):
    first = broker.process
    first.send_signal(signal.SIGSTOP)
    heir = subprocess.Popen([BIN, "--state", broker.state], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                            env={**os.environ, **FAST})
    lock = (broker.state / "store" / "lock.pawl").stat()

    def waits():
        """It has the file open whose lock the first one holds."""
        for fd in pathlib.Path(f"/proc/{heir.pid}/fd").iterdir():
            try:
                if os.path.samestat(fd.stat(), lock):
                    return True
            except OSError:
                continue
        return False
    until(waits)
    first.kill()
    first.wait()
    assert heir.stdout.readline().startswith(b"ready")
    broker.process.stdout.close()
    broker.process = heir


def test_an_executor_that_falls_silent_is_lost_and_its_task_runs_elsewhere(hasty):
    broker = hasty
    client = Peer(broker.endpoint, "c").open()
    frozen = executor(broker, "frozen", credit=1)
    t = task()
    submit(client, t)
    first = lease(frozen)
    other = executor(broker, "other")
    until(lambda: other.ask("ping") and client.ask("ping") and other.pushes)
    second = lease(other)
    assert (second.id, second.token > first.token) == (t.id, True)
    with pytest.raises(Refused) as refused:
        report(frozen, result(first))
    assert refused.value.code == E["SESSION_LOST"]
    frozen.open()
    assert report(frozen, result(first)) == [pb.REPORT_STALE]
    assert report(other, result(second)) == [pb.REPORT_DONE]
    frozen.ask("ping"), other.ask("ping")
    states = {e.name: e.state for e in client.ask("executor_list").executors.items}
    assert states == {"frozen": "ready", "other": "ready"}


def test_a_suspect_executor_gets_no_new_work_until_it_is_heard_of(start_broker):
    broker = start_broker(**{**FAST, "PAWL_BROKER__LEASE": "60s"})
    client = Peer(broker.endpoint, "c").open()
    silent = executor(broker, "silent")
    until(lambda: [e.state for e in client.ask("executor_list").executors.items] == ["suspect"])
    submit(client, task())
    assert silent.quiet(0.3)
    silent.ask("ping")
    assert lease(silent).attempt == 1


def test_a_frozen_broker_blames_nobody_for_its_own_silence(hasty):
    broker = hasty
    client, worker, held = given_a_lease(broker)
    broker.process.send_signal(signal.SIGSTOP)
    time.sleep(LEASE_S + 1)  # longer than a lease; the clock of another process cannot be injected
    broker.process.send_signal(signal.SIGCONT)
    worker.ask("ping")
    assert report(worker, result(held)) == [pb.REPORT_DONE]


def test_a_client_that_only_submits_is_alive_until_one_interval_after_its_last_request(start_broker):
    suspect = 8  # it is asked for within that, also by a slow machine
    broker = start_broker(**{**FAST, "PAWL_BROKER__LEASE": f"{2 * suspect}s", "PAWL_BROKER__SUSPECT": f"{suspect}s"})
    watcher = Peer(broker.endpoint, "watcher").open()
    client = Peer(broker.endpoint, "submitter").open()
    executor(broker).ask("bye")

    def alive():
        return {p.name: p.alive for p in watcher.ask("peer_list").peers.items}["submitter"]
    end = time.monotonic() + suspect + 1
    while time.monotonic() < end:  # longer than the interval
        sent = time.monotonic()
        submit(client, task())
        assert alive()
        time.sleep(0.1)
    until(lambda: not alive())
    assert time.monotonic() - sent > suspect - 0.5  # not before its interval is over


def test_logs_are_there_when_the_report_is_answered_and_wake_who_waits(broker):
    client, worker, held = given_a_lease(broker)
    ask = pb.LogRead(id=held.id, offset=0, limit=1000, wait_us=60_000_000)
    client.send(client.pack("log_read", ask))
    waits_for = client.seq
    assert client.quiet(0.2)
    chunk = pb.LogChunk(id=held.id, token=held.token, stream=1, offset=0, data=b"hello\n", time_us=1)
    worker.ask("report", pb.Report(logs=[chunk]))
    log = client.answer(waits_for).log
    assert [p.data for p in log.pieces] == [b"hello\n"] and not log.ended and log.next == 6
    last = pb.LogChunk(id=held.id, token=held.token, stream=2, offset=6, data=b"bye\n", time_us=2)
    report(worker, result(held), logs=[last, chunk])
    log = client.ask("log_read", pb.LogRead(id=held.id)).log
    assert b"".join(p.data for p in log.pieces) == b"hello\nbye\n"
    assert log.ended and log.total == 10


def test_a_waiter_is_told_when_the_task_ends(broker):
    client, worker, held = given_a_lease(broker)
    client.send(client.pack("task_wait", pb.TaskWait(ids=[held.id], wait_us=60_000_000)))
    waits_for = client.seq
    assert client.quiet(0.2)
    report(worker, result(held))
    assert client.answer(waits_for).waited.done


def test_events_are_published_only_with_a_subscriber_and_carry_their_sequence(broker):
    client = Peer(broker.endpoint, "c").open()
    executor(broker).ask("bye")
    sub = broker.stats_socket("event.")
    seqs, kinds = [], []

    def some():
        submit(client, task())
        while sub.poll(50):
            topic, body = sub.recv_multipart()
            event = json.loads(body)
            assert topic.decode() == f"event.{event['kind']}.{event['queue']}"
            seqs.append(event["seq"])
            kinds.append(event["kind"])
        return len(seqs) > 5
    until(some)
    assert seqs == sorted(set(seqs)) and "created" in kinds
    sub.close()


def test_requests_beyond_what_may_be_in_flight_are_told_busy(start_broker):
    broker = start_broker(PAWL_BROKER__LIMITS__REQUESTS_IN_FLIGHT="4")
    client = Peer(broker.endpoint, "c").open()
    executor(broker).ask("bye")
    t = task()
    submit(client, t)
    first = client.seq + 1
    for _ in range(6):
        client.send(client.pack("task_wait", pb.TaskWait(ids=[t.id], wait_us=60_000_000)))
    busy = [client.take() for _ in range(2)]
    assert [r.seq for r in busy] == [first + 4, first + 5]
    assert all(r.error.code == E["BUSY"] and r.error.retry_after_us > 0 for r in busy)
    assert "in flight" in busy[0].error.text


def test_a_routing_id_of_a_peers_own_choice_gets_nothing(broker):
    client = Peer(broker.endpoint, "c").open()
    socket = Wire.new_socket(routing_id=b"admin")
    socket.connect(broker.endpoint)
    socket.send(client.pack("hello", client.hello))
    assert not socket.poll(300)
    assert client.ask("status_get").status.rejected_frames >= 1
    socket.close()


def test_a_configuration_that_makes_no_sense_is_refused_by_line(tmp_path):
    file = tmp_path / "broker.yaml"
    file.write_text("broker:\n  keep:\n    log: 3d\n")
    run = refused_start("--config", file, "--check-config")
    assert run.returncode == 2
    assert f"{file}:3: unknown key 'broker.keep.log'; did you mean 'broker.keep.logs'?" in run.stderr
    run = refused_start("--listen", "tcp://127.0.0.1:7777", "--state", tmp_path)
    assert run.returncode == 2 and "come with keys" in run.stderr


def poison_hash(frame):
    """As in broker/poison.c: FNV-1a over the first and last 256 bytes of what a resend keeps."""
    def fnv(data):
        h = 0xCBF29CE484222325
        for byte in data:
            h = (h ^ byte) * 0x100000001B3 % 2**64
        return h

    def varint(at):
        value = shift = 0
        while True:
            value |= (frame[at] & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if frame[at - 1] < 0x80:
                return value, at
    h, at = 1, 0
    while at < len(frame):
        tag, at = varint(at)
        if tag & 7 == 0:
            _, at = varint(at)
            continue
        size, at = varint(at) if tag & 7 == 2 else (8 if tag & 7 == 1 else 4, at)
        if tag >> 3 not in (1, 2, 3, 5, 6):
            data = frame[at:at + size]
            h = (h ^ tag ^ size << 8 ^ fnv(data[:256])) * 0x9E3779B97F4A7C15 % 2**64
            h = (h ^ fnv(data[-256:])) * 0x9E3779B97F4A7C15 % 2**64
        at += size
    return h


def test_a_request_that_was_in_hand_at_two_crashes_is_refused_and_others_are_not(broker):
    client = Peer(broker.endpoint, "c").open()
    executor(broker).ask("bye")
    bad, good = [pb.Submit(tasks=[task().SerializeToString()]) for _ in range(2)]
    file = broker.state / "poison"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    for _ in range(2):
        broker.end(signal.SIGKILL)
        with file.open("r+b") as f:  # what a fault in the middle of the batch leaves
            f.seek(8)
            f.write(struct.pack("=IIQ", 1, 1, poison_hash(client.pack("submit", bad))))
        broker.start()
    client = Peer(broker.endpoint, "c").open()
    for _ in range(2):
        with pytest.raises(Refused) as refused:
            client.ask("submit", bad)
        assert refused.value.code == E["POISON"]
    assert client.ask("submit", good).submitted.accepted == 1
    assert json.loads(client.ask("stats_get").stats.json)["poisoned"] == 2
    assert "POISON_REFUSED" in broker.said()
    assert broker.end() == 0  # an orderly end forgives
    broker.start()
    assert Peer(broker.endpoint, "c").open().ask("submit", bad).submitted.accepted == 1


def test_zone_files_that_changed_are_taken_at_start_and_while_it_runs(broker, tmp_path):
    folder = tmp_path / "zoneinfo" / "Europe"
    folder.mkdir(parents=True)
    data = [pathlib.Path("/usr/share/zoneinfo", name).read_bytes() for name in
            ("Europe/Paris", "Asia/Tokyo", "America/Lima")]

    def change_file(number):
        fresh = folder / "new"
        fresh.write_bytes(data[number])
        fresh.rename(folder / "Paris")
    change_file(0)
    assert broker.end() == 0
    broker.more |= {"PAWL_BROKER__ZONES__FOLDER": str(folder.parent), "PAWL_BROKER__ZONES__EVERY": "1s"}
    broker.start()
    client = Peer(broker.endpoint, "c").open()
    template = pb.Task(type="pawl/shell", command=pb.Command(shell="true")).SerializeToString()
    put = pb.SchedulePut(schedule=pb.Schedule(name="noon", rule="0 12 * * *", zone="Europe/Paris", task=template))
    first = client.change("schedule_put", put).schedule

    def look():
        return client.ask("schedule_get", pb.ScheduleGet(name="noon")).schedules.items[0]
    assert broker.end() == 0
    change_file(1)
    broker.start()
    client = Peer(broker.endpoint, "c").open()
    second = look()
    assert (second.revision, second.cursor_us) == (2, first.cursor_us)
    assert (second.next_us // 1_000_000) % 86400 == 3 * 3600
    change_file(2)
    third = until(lambda: look().revision == 3 and look())
    assert (third.next_us // 1_000_000) % 86400 == 17 * 3600
    told = [(e.name, e.detail) for e in events(client) if e.kind == "zone.changed"]
    assert told == [("Europe/Paris", "1 schedule moved to its new data")] * 2
    moves = [e.detail.split() for e in events(client) if e.kind == "schedule.edited"]
    assert [(m[0], m[1][10:], m[3][10:]) for m in moves] == [
        ("next", "T11:00:00Z", "T03:00:00Z"), ("next", "T03:00:00Z", "T17:00:00Z")], moves
    assert broker.end() == 0
    assert broker.said().count("ZONE_CHANGED name=Europe/Paris") == 2
    assert broker.said().count("ZONE_MOVED name=Europe/Paris schedules=1") == 2
    broker.check()


def test_who_follows_the_log_is_told_when_an_attempt_ends_that_is_tried_again(broker):
    client = Peer(broker.endpoint, "c").open()
    worker = executor(broker)
    t = task(retry=pb.Retry(max_attempts=2, backoff_us=60_000_000))
    submit(client, t)
    held = lease(worker)
    client.send(client.pack("log_read", pb.LogRead(id=t.id, token=held.token, wait_us=60_000_000)))
    waits_for = client.seq
    assert client.quiet(0.2)
    report(worker, result(held, pb.OUTCOME_FAIL))
    assert client.answer(waits_for).log.ended
    assert get(client, t.id).status == pb.STATUS_DELAYED


def test_who_reads_events_is_told_of_what_a_timer_did(broker):
    client = Peer(broker.endpoint, "c").open()
    executor(broker).ask("bye")
    t = task(delay_us=8_000_000)
    submit(client, t)
    told = client.ask("event_read", pb.EventRead(from_now=True, wait_us=60_000_000)).events.items
    assert [(e.kind, e.id) for e in told] == [("waiting", t.id)]


@pytest.mark.skipif(SANITIZED, reason="a sanitizer keeps what is freed")
def test_batches_of_timers_alone_leave_no_memory_behind(broker):
    def own_kb():
        lines = pathlib.Path(f"/proc/{broker.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))
    client = Peer(broker.endpoint, "c").open()
    executor(broker).ask("bye")

    def expire(n):
        tasks = [task(expire_us=500_000 + i * 1000) for i in range(n)]
        submit(client, *tasks)
        ask = pb.TaskWait(ids=[t.id for t in tasks], wait_us=500_000)  # often: it is also the heartbeat
        until(lambda: client.ask("task_wait", ask).waited.done)
    expire(3000)  # what many tasks at a time take is kept for the next ones
    before = own_kb()
    expire(3000)
    assert own_kb() - before < 2000


def test_the_socket_of_a_successor_outlives_the_end_of_its_predecessor(broker):
    for _ in range(3):
        heir = subprocess.Popen([BIN, "--state", broker.state], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                env={**os.environ, **FAST})
        broker.process.terminate()
        assert heir.stdout.readline().startswith(b"ready")
        assert broker.process.wait(PATIENCE) == 0
        broker.process.stdout.close()
        broker.process = heir
        for name in "broker.sock", "stats.sock":
            assert (broker.state / name).is_socket()
        Peer(broker.endpoint, "c").open().ask("ping")


def test_a_time_to_keep_that_no_clock_reaches_is_refused(tmp_path):
    wrong = refused_start("--state", tmp_path / "state", "--check-config", PAWL_BROKER__KEEP__FINISHED="106751991d")
    assert wrong.returncode == 2
    assert "keep.finished" in wrong.stderr and "range" in wrong.stderr
