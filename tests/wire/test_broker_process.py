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
import zmq

import messages
from pawl_wire import Peer, Refused, Silence, Wire, new_id, pb

E = messages.errors()
BIN = (pathlib.Path(os.environ.get("PAWL_BIN", messages.ROOT / "build" / "bin")) / "pawl-broker").resolve()
FAST = {"PAWL_BROKER__LEASE": "2s", "PAWL_BROKER__SUSPECT": "1s", "PAWL_BROKER__PING": "300ms"}
pytestmark = pytest.mark.skipif(not BIN.exists(), reason=f"{BIN} is not built")


class Broker:
    def __init__(self, state, **more):
        self.state = state
        self.endpoint = f"ipc://{state}/broker.sock"
        self.more = more
        self.process = None

    def start(self, *flags):
        self.log = open(self.state.parent / "broker.log", "ab")
        self.process = subprocess.Popen([BIN, "--state", self.state, *flags], stdout=subprocess.PIPE,
                                        stderr=self.log, env={**os.environ, **self.more})
        line = self.process.stdout.readline().decode()
        assert line.startswith("ready"), line
        return self

    def end(self, number=signal.SIGTERM, timeout=15):
        self.process.send_signal(number)
        code = self.process.wait(timeout)
        self.process.stdout.close()
        self.log.close()
        return code


@pytest.fixture
def broker(tmp_path):
    broker = Broker(tmp_path / "state", **FAST).start()
    yield broker
    if broker.process.poll() is None:
        assert broker.end() == 0
    broker.process.stdout.close()


def task(kind="test/process"):
    return pb.Task(id=new_id(), type=kind)


def submit(peer, *tasks):
    return peer.ask("submit", pb.Submit(tasks=[t.SerializeToString() for t in tasks])).submitted


def executor(broker, name="worker-1", **hello):
    return Peer(broker.endpoint, name, pb.ROLE_EXECUTOR, kinds=["worker"], slots=2,
                **{"types": ["test/process"], "credit": 2, **hello}).open()


def lease(peer, timeout=10):
    end = time.monotonic() + timeout
    while not peer.pushes and time.monotonic() < end:
        peer.keep_push(pb.Push.FromString(peer.receive(end - time.monotonic())))
    return peer.pushes.pop(0).assign.leases[0]


def get(peer, id):
    return peer.ask("task_get", pb.TaskGet(ids=[id])).tasks.items[0]


def until(what, timeout=10):
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if found := what():
            return found
        time.sleep(0.02)
    raise AssertionError("it did not happen in time")


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
    done = subprocess.run([BIN, "--state", state], capture_output=True, text=True, timeout=20)
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
    end = time.monotonic() + 10
    while True:  # the socket reconnects by itself
        try:
            client.ask("ping", timeout=0.5)
            raise AssertionError("a session outlived its broker")
        except Refused as refused:
            assert refused.code == E["NO_SESSION"]
            break
        except Silence:
            assert time.monotonic() < end
    client.open().ask("ping")


def test_term_answers_what_is_in_hand_and_ends_with_0(broker):
    client = Peer(broker.endpoint, "c").open()
    executor(broker).ask("bye")
    tasks = [task() for _ in range(300)]
    for t in tasks:
        client.send(client.pack("submit", pb.Submit(tasks=[t.SerializeToString()])))
    client.answer(2)  # some are done, some are on their way
    broker.process.send_signal(signal.SIGTERM)
    answers = {2: None}
    try:
        while len(answers) < len(tasks):
            reply = client.take(3)
            answers[reply.seq] = reply.error.code if reply.HasField("error") else None
    except Silence:
        pass
    assert broker.process.wait(15) == 0
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
    client = Peer(broker.endpoint, "c").open()
    executor(broker).ask("bye")
    t = task()
    submit(client, t)
    client.send(client.pack("task_wait", pb.TaskWait(ids=[t.id], wait_us=60_000_000)))
    client.ask("ping")
    broker.process.send_signal(signal.SIGTERM)
    with pytest.raises(Refused) as refused:
        client.answer(client.seq - 1, timeout=3)
    assert refused.value.code == E["SHUTTING_DOWN"]
    assert broker.process.wait(15) == 0


def test_a_second_broker_is_refused_with_the_pid_of_the_first(broker):
    second = subprocess.run([BIN, "--state", broker.state], capture_output=True, text=True, timeout=30)
    assert second.returncode == 4
    assert str(broker.process.pid) in second.stderr
    Peer(broker.endpoint, "c").open().ask("ping")


def test_a_broker_waits_for_the_lock_of_a_dying_predecessor(broker):
    first = broker.process
    first.send_signal(signal.SIGSTOP)
    heir = subprocess.Popen([BIN, "--state", broker.state], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                            env={**os.environ, **FAST})
    time.sleep(0.3)
    first.kill()
    first.wait()
    assert heir.stdout.readline().startswith(b"ready")
    broker.process.stdout.close()
    broker.process = heir


def test_an_executor_that_falls_silent_is_lost_and_its_task_runs_elsewhere(broker):
    client = Peer(broker.endpoint, "c").open()
    frozen = executor(broker, "frozen", credit=1)
    t = task()
    submit(client, t)
    first = lease(frozen)
    other = executor(broker, "other")
    end = time.monotonic() + 15
    while not other.pushes:
        assert time.monotonic() < end
        other.ask("ping")
        client.ask("ping")
        time.sleep(0.05)
    second = lease(other)
    assert (second.id, second.token > first.token) == (t.id, True)
    report = pb.Report(results=[pb.Result(id=t.id, token=first.token, outcome=pb.OUTCOME_DONE)])
    with pytest.raises(Refused) as refused:
        frozen.ask("report", report)
    assert refused.value.code == E["SESSION_LOST"]
    frozen.open()
    assert list(frozen.ask("report", report).reported.verdicts) == [pb.REPORT_STALE]
    report.results[0].token = second.token
    assert list(other.ask("report", report).reported.verdicts) == [pb.REPORT_DONE]
    states = {e.name: e.state for e in client.ask("executor_list").executors.items}
    assert states == {"frozen": "ready", "other": "ready"}


def test_a_suspect_executor_gets_no_new_work_until_it_is_heard_of(tmp_path):
    broker = Broker(tmp_path / "state", **{**FAST, "PAWL_BROKER__LEASE": "60s"}).start()
    try:
        client = Peer(broker.endpoint, "c").open()
        silent = executor(broker, "silent")
        until(lambda: [e.state for e in client.ask("executor_list").executors.items] == ["suspect"])
        submit(client, task())
        assert silent.quiet(0.3)
        silent.ask("ping")
        assert lease(silent).attempt == 1
    finally:
        assert broker.end() == 0


def test_a_frozen_broker_blames_nobody_for_its_own_silence(broker):
    client = Peer(broker.endpoint, "c").open()
    worker = executor(broker)
    t = task()
    submit(client, t)
    held = lease(worker)
    broker.process.send_signal(signal.SIGSTOP)
    time.sleep(3.5)  # longer than a lease; the clock of another process cannot be injected
    broker.process.send_signal(signal.SIGCONT)
    worker.ask("ping")
    report = pb.Report(results=[pb.Result(id=t.id, token=held.token, outcome=pb.OUTCOME_DONE)])
    assert list(worker.ask("report", report).reported.verdicts) == [pb.REPORT_DONE]


def test_a_client_that_only_submits_is_alive_until_one_interval_after_its_last_request(broker):
    watcher = Peer(broker.endpoint, "watcher").open()
    client = Peer(broker.endpoint, "submitter").open()
    executor(broker).ask("bye")

    def alive():
        return {p.name: p.alive for p in watcher.ask("peer_list").peers.items}["submitter"]
    end = time.monotonic() + 2.5
    while time.monotonic() < end:  # longer than a lease
        submit(client, task())
        assert alive()
        time.sleep(0.1)
    began = time.monotonic()
    until(lambda: not alive(), 5)
    assert 0.7 < time.monotonic() - began < 2


def test_logs_are_there_when_the_report_is_answered_and_wake_who_waits(broker):
    client = Peer(broker.endpoint, "c").open()
    worker = executor(broker)
    t = task()
    submit(client, t)
    held = lease(worker)
    ask = pb.LogRead(id=t.id, offset=0, limit=1000, wait_us=20_000_000)
    client.send(client.pack("log_read", ask))
    waits_for = client.seq
    assert client.quiet(0.2)
    chunk = pb.LogChunk(id=t.id, token=held.token, stream=1, offset=0, data=b"hello\n", time_us=1)
    worker.ask("report", pb.Report(logs=[chunk]))
    log = client.answer(waits_for, timeout=3).log
    assert [p.data for p in log.pieces] == [b"hello\n"] and not log.ended and log.next == 6
    last = pb.LogChunk(id=t.id, token=held.token, stream=2, offset=6, data=b"bye\n", time_us=2)
    done = pb.Result(id=t.id, token=held.token, outcome=pb.OUTCOME_DONE)
    worker.ask("report", pb.Report(logs=[last, chunk], results=[done]))
    log = client.ask("log_read", pb.LogRead(id=t.id)).log
    assert b"".join(p.data for p in log.pieces) == b"hello\nbye\n"
    assert log.ended and log.total == 10


def test_a_waiter_is_told_when_the_task_ends(broker):
    client = Peer(broker.endpoint, "c").open()
    worker = executor(broker)
    t = task()
    submit(client, t)
    held = lease(worker)
    client.send(client.pack("task_wait", pb.TaskWait(ids=[t.id], wait_us=20_000_000)))
    waits_for = client.seq
    assert client.quiet(0.2)
    worker.ask("report", pb.Report(results=[pb.Result(id=t.id, token=held.token, outcome=pb.OUTCOME_DONE)]))
    assert client.answer(waits_for, timeout=3).waited.done


def test_events_are_published_only_with_a_subscriber_and_carry_their_sequence(broker):
    client = Peer(broker.endpoint, "c").open()
    executor(broker).ask("bye")
    sub = zmq.Context.instance().socket(zmq.SUB)
    sub.linger = 0
    sub.connect(f"ipc://{broker.state}/stats.sock")
    sub.subscribe("event.")
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


def test_requests_beyond_what_may_be_in_flight_are_told_busy(tmp_path):
    broker = Broker(tmp_path / "state", PAWL_BROKER__LIMITS__REQUESTS_IN_FLIGHT="4").start()
    try:
        client = Peer(broker.endpoint, "c").open()
        executor(broker).ask("bye")
        t = task()
        submit(client, t)
        first = client.seq + 1
        for _ in range(6):
            client.send(client.pack("task_wait", pb.TaskWait(ids=[t.id], wait_us=20_000_000)))
        busy = [client.take(3) for _ in range(2)]
        assert [r.seq for r in busy] == [first + 4, first + 5]
        assert all(r.error.code == E["BUSY"] and r.error.retry_after_us > 0 for r in busy)
        assert "in flight" in busy[0].error.text
    finally:
        assert broker.end() == 0


def test_a_routing_id_of_a_peers_own_choice_gets_nothing(broker):
    client = Peer(broker.endpoint, "c").open()
    chooser = Wire(broker.endpoint)
    chooser.close()
    socket = zmq.Context.instance().socket(zmq.DEALER)
    socket.linger, socket.routing_id = 0, b"admin"
    socket.connect(broker.endpoint)
    socket.send(client.pack("hello", client.hello))
    assert not socket.poll(300)
    assert client.ask("status_get").status.rejected_frames >= 1
    socket.close()


def test_a_configuration_that_makes_no_sense_is_refused_by_line(tmp_path):
    file = tmp_path / "broker.yaml"
    file.write_text("broker:\n  keep:\n    log: 3d\n")
    run = subprocess.run([BIN, "--config", file, "--check-config"], capture_output=True, text=True, timeout=10)
    assert run.returncode == 2
    assert f"{file}:3: unknown key 'broker.keep.log'; did you mean 'broker.keep.logs'?" in run.stderr
    run = subprocess.run([BIN, "--listen", "tcp://127.0.0.1:7777", "--state", tmp_path], capture_output=True,
                         text=True, timeout=10)
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
    assert b"POISON_REFUSED" in (broker.state.parent / "broker.log").read_bytes()
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
    events = client.ask("event_read", pb.EventRead(from_seq=1, limit=1000)).events.items
    assert [e.name for e in events if e.kind == "zone.changed"] == ["Europe/Paris"] * 2
    assert broker.end() == 0
    assert (tmp_path / "broker.log").read_bytes().count(b"ZONE_CHANGED name=Europe/Paris") == 2
    check = subprocess.run([BIN, "--check", "--state", broker.state], capture_output=True, text=True, timeout=60)
    assert check.returncode == 0, check.stdout


def test_who_follows_the_log_is_told_when_an_attempt_ends_that_is_tried_again(broker):
    client = Peer(broker.endpoint, "c").open()
    worker = executor(broker)
    t = pb.Task(id=new_id(), type="test/process", retry=pb.Retry(max_attempts=2, backoff_us=60_000_000))
    submit(client, t)
    held = lease(worker)
    client.send(client.pack("log_read", pb.LogRead(id=t.id, token=held.token, wait_us=20_000_000)))
    waits_for = client.seq
    assert client.quiet(0.2)
    worker.ask("report", pb.Report(results=[pb.Result(id=t.id, token=held.token, outcome=pb.OUTCOME_FAIL)]))
    assert client.answer(waits_for, timeout=3).log.ended
    assert get(client, t.id).status == pb.STATUS_DELAYED


def test_who_reads_events_is_told_of_what_a_timer_did(broker):
    client = Peer(broker.endpoint, "c").open()
    executor(broker).ask("bye")
    t = task()
    t.delay_us = 1_000_000
    submit(client, t)
    client.send(client.pack("event_read", pb.EventRead(from_now=True, wait_us=20_000_000)))
    waits_for = client.seq
    events = client.answer(waits_for, timeout=5).events.items
    assert [(e.kind, e.id) for e in events] == [("waiting", t.id)]


@pytest.mark.skipif(BIN.exists() and b"__asan_init" in BIN.read_bytes(), reason="a sanitizer keeps what is freed")
def test_batches_of_timers_alone_leave_no_memory_behind(broker):
    def own_kb():
        lines = pathlib.Path(f"/proc/{broker.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))
    client = Peer(broker.endpoint, "c").open()
    executor(broker).ask("bye")

    def expire(n):
        tasks = []
        for i in range(n):
            tasks.append(task())
            tasks[-1].expire_us = 500_000 + i * 1000
        submit(client, *tasks)
        ask = pb.TaskWait(ids=[t.id for t in tasks], wait_us=500_000)  # often: it is also the heartbeat
        until(lambda: client.ask("task_wait", ask).waited.done, 60)
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
        assert broker.process.wait(10) == 0
        broker.process.stdout.close()
        broker.process = heir
        for name in "broker.sock", "stats.sock":
            assert (broker.state / name).is_socket()
        Peer(broker.endpoint, "c").open().ask("ping")


def test_a_time_to_keep_that_no_clock_reaches_is_refused(tmp_path):
    wrong = subprocess.run([BIN, "--state", tmp_path / "state", "--check-config"], capture_output=True, text=True,
                           env={**os.environ, "PAWL_BROKER__KEEP__FINISHED": "106751991d"}, timeout=30)
    assert wrong.returncode == 2
    assert "keep.finished" in wrong.stderr and "range" in wrong.stderr
