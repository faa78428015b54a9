# SPDX-License-Identifier: Apache-2.0
"""Peers over TCP, as any language does it: CURVE by the library, keys from `pawl key new`."""
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

import pytest
import zmq

from brokers import BIN, FAST, Broker, E, free_port, get, lease, refused_start, submit, task, until
from pawl_wire import PATIENCE, Peer, Refused, Silence, Wire, new_id, pb

PAWL = BIN.parent / "pawl"
pytestmark = pytest.mark.skipif(not PAWL.exists(), reason=f"{PAWL} is not built")


def read_key(path):
    lines = [line.split(":", 1) for line in pathlib.Path(path).read_text().splitlines()
             if line and not line.startswith("#")]
    return {name.strip(): value.strip() for name, value in lines}


class Door(Broker):
    """A broker that listens on TCP too, and the keys it knows."""

    def __init__(self, folder):
        super().__init__(folder / "state")
        self.folder, self.keys = folder, folder / "state" / "keys"
        self.tcp = f"tcp://127.0.0.1:{free_port()}"

    def key(self, name, role, keys=None):
        out = self.folder / f"{name}.key"
        subprocess.run([PAWL, "key", "new", name, "--role", role, "--out", out, "--keys", keys or self.keys],
                       check=True, capture_output=True)
        return read_key(out)

    def remove(self, name):
        subprocess.run([PAWL, "key", "rm", name, "--keys", self.keys], check=True, capture_output=True)

    def open(self):
        return self.start("--tcp", self.tcp)

    def peer(self, key, name="peer", role=pb.ROLE_CLIENT, **hello):
        """A peer that comes with a key, in place of the plain connection of pawl_wire."""
        peer = Peer(self.endpoint, name, role, **hello)
        peer.close()
        peer.socket = Wire.new_socket(curve_serverkey=key["broker"].encode(),
                                      curve_publickey=key["public"].encode(),
                                      curve_secretkey=key["secret"].encode())
        peer.socket.connect(self.tcp)
        return peer


@pytest.fixture
def door(tmp_path):
    door = Door(tmp_path)
    door.own = {name: door.key(name, name) for name in
                ("admin", "operator", "submitter", "executor", "scheduler", "monitor")}
    yield door.open()
    if door.alive():
        assert door.end() == 0
    door.process.stdout.close()


def gets_no_answer(peer):
    """Not even a connection: what is sent finds no way out."""
    peer.socket.sndtimeo = 1000
    try:
        with pytest.raises((Silence, zmq.Again)):
            peer.ask("hello", peer.hello, timeout=1)
    finally:
        peer.close()


def test_a_task_goes_over_tcp_and_principals_are_the_names_of_keys(door):
    worker = door.peer(door.own["executor"], "w", pb.ROLE_EXECUTOR, kinds=["worker"], slots=1, credit=1,
                       types=["test/process"]).open()
    client = door.peer(door.own["submitter"]).open()
    assert client.welcome.principal == "submitter"
    job = task()
    assert submit(client, job).accepted == 1
    assert lease(worker).id == job.id
    peers = door.peer(door.own["monitor"], "m").open().ask("peer_list", pb.PeerList()).peers.items
    found = {p.name: p for p in peers}
    assert found["w"].principal == "executor"
    assert found["w"].external_ip.endswith("127.0.0.1")


def refusal(peer, body, message):
    with pytest.raises(Refused) as refused:
        peer.ask(body, message, os.urandom(16))
    return refused.value


@pytest.mark.parametrize("role, body, message", [
    ("monitor", "submit", pb.Submit(tasks=[task().SerializeToString()])),
    ("monitor", "task_get", pb.TaskGet(ids=[os.urandom(16)])),
    ("monitor", "log_read", pb.LogRead(id=os.urandom(16))),
    ("submitter", "schedule_change", pb.ScheduleChange(verb=pb.SCHEDULE_REMOVE, name="x")),
    ("submitter", "executor_change", pb.ExecutorChange(name="x", drain=True)),
    ("submitter", "report", pb.Report()),
    ("submitter", "propose", pb.Propose()),
    ("operator", "report", pb.Report()),
])
def test_a_role_may_ask_for_what_it_is_for_and_for_nothing_else(door, role, body, message):
    fault = refusal(door.peer(door.own[role]).open(), body, message)
    assert fault.code == E["REFUSED"]
    assert role in fault.text


@pytest.mark.parametrize("role, kind", [("submitter", pb.ROLE_EXECUTOR), ("executor", pb.ROLE_CLIENT),
                                        ("executor", pb.ROLE_SCHEDULER), ("monitor", pb.ROLE_SCHEDULER)])
def test_a_key_cannot_be_another_kind_of_peer(door, role, kind):
    with pytest.raises(Refused) as refused:
        door.peer(door.own[role], "x", kind).open()
    assert refused.value.code == E["REFUSED"]


def test_who_has_no_key_or_an_unknown_one_gets_no_answer_at_all(door, tmp_path):
    stranger = door.key("stranger", "admin", tmp_path / "elsewhere")
    stranger["broker"] = door.own["admin"]["broker"]
    gets_no_answer(door.peer(stranger))
    gets_no_answer(Peer(door.tcp, "plain"))
    assert "KEY_REFUSED" in door.said()
    assert door.peer(door.own["admin"]).open()  # and the broker goes on


def test_a_wrong_key_of_the_broker_ends_in_silence(door):
    gets_no_answer(door.peer(dict(door.own["admin"], broker=door.own["monitor"]["public"])))


def test_ipc_needs_no_key_beside_tcp_and_is_this_user(door):
    client = Peer(door.endpoint, "local").open()
    assert client.welcome.principal == f"uid:{os.geteuid()}"
    assert client.ask("status_get", pb.StatusGet()).status.pid == door.process.pid


if os.geteuid() == 0:  # only root can be somebody else beside the broker's own user
    def test_root_beside_the_brokers_own_user_is_root_on_record():
        folder = pathlib.Path(tempfile.mkdtemp(prefix="pawl-root-"))
        folder.chmod(0o711)
        state = folder / "state"
        state.mkdir(mode=0o700)
        os.chown(state, 12345, 12345)
        own = ["setpriv", "--reuid", "12345", "--regid", "12345", "--clear-groups"]
        program = shutil.copy(BIN, folder / "pawl-broker")  # where that user can read it
        broker = subprocess.Popen([*own, program, "--state", state], stdout=subprocess.PIPE, text=True,
                                  env={**os.environ, "HOME": str(state)})
        try:
            assert broker.stdout.readline().startswith("ready")
            assert Peer(f"ipc://{state}/broker.sock", "root").open().welcome.principal == "uid:0"
        finally:
            broker.terminate()
            code = broker.wait(PATIENCE)
            broker.stdout.close()
            shutil.rmtree(folder)
        assert code == 0


def test_a_peer_over_ipc_cannot_name_itself_a_key(door):
    """User-Id is what the handler of handshakes says; over ipc there is none, and a library that
    sends such a property is judged by that key, which is never more than it had."""
    socket_ = Wire.new_socket()
    socket_.setsockopt(zmq.METADATA, b"X-User-Id:admin")
    socket_.connect(door.endpoint)
    peer = Peer(door.endpoint, "local")
    peer.close()
    peer.socket = socket_
    assert peer.open().welcome.principal == f"uid:{os.geteuid()}"


def test_a_removed_key_ends_its_sessions_and_a_new_one_is_let_in(door):
    assert door.end() == 0
    door.process.stdout.close()
    door.more.update(FAST)
    door.open()
    worker = door.peer(door.own["executor"], "w", pb.ROLE_EXECUTOR, kinds=["worker"], slots=1, credit=1,
                       types=["test/process"]).open()
    local = Peer(door.endpoint, "local").open()
    submit(local, task())
    job = lease(worker)
    door.remove("executor")

    def ended():  # it speaks, and would keep its lease for ever; without a key it is as one that is silent
        try:
            worker.send(worker.pack("ping"))
        except zmq.Again:  # its connection has ended
            pass
        return get(local, job.id).status != pb.STATUS_RUNNING
    worker.socket.sndtimeo = 0
    until(ended)
    gets_no_answer(door.peer(door.own["executor"], "w2", pb.ROLE_EXECUTOR, kinds=["worker"]))
    late = door.key("late", "submitter")

    def comes():  # the library does not try again on a connection whose key was refused
        peer = door.peer(late)
        peer.socket.sndtimeo = 2000
        try:
            return peer.open().welcome.principal
        except zmq.Again:
            peer.close()
    assert until(comes) == "late"


def test_a_file_at_fault_keeps_the_keys_that_are_in_force(door):
    bad = door.keys / "authorized" / "bad.pub"
    bad.write_text("name: bad\nrole: king\npublic: " + "a" * 40 + "\n")
    until(lambda: "KEYS_UNCHANGED" in door.said())
    assert door.peer(door.own["submitter"]).open().welcome.principal == "submitter"


def test_no_secret_key_is_ever_in_a_log(door):
    door.peer(door.own["submitter"]).open()
    secrets = [key["secret"] for key in door.own.values()]
    secrets.append(read_key(door.keys / "broker.key")["secret"])
    assert not any(secret in door.said() for secret in secrets)


@pytest.mark.parametrize("spoil, word", [
    (lambda keys: (keys / "broker.key").chmod(0o644), "others can read it"),
    (lambda keys: (keys / "broker.key").unlink(), "No such file"),
    (lambda keys: (keys / "broker.key").write_text("name: broker\n"), "public key"),
    (lambda keys: (keys / "authorized" / "x.pub").write_text("nonsense\n"), "name: value"),
    (lambda keys: (keys / "authorized" / "admin.pub").chmod(0o666), "others can write to it"),
    (lambda keys: (keys / "authorized").chmod(0o777), "others can write to it"),
])
def test_a_broker_whose_keys_are_no_good_does_not_start(tmp_path, spoil, word):
    door = Door(tmp_path)
    door.key("admin", "admin")
    spoil(door.keys)
    run = refused_start("--state", door.state, "--tcp", door.tcp)
    assert run.returncode not in (0, -signal.SIGSEGV)
    assert word in run.stderr


def test_an_endpoint_that_is_no_tcp_is_refused(tmp_path):
    run = refused_start("--state", tmp_path / "state", "--tcp", "udp://1.2.3.4:5")
    assert run.returncode == 2
    assert "tcp://ADDRESS:PORT" in run.stderr


def test_to_a_submitter_the_tasks_of_others_are_as_if_there_were_none(door):
    other = door.key("other", "submitter")
    until(lambda: "keys=7" in door.said())
    mine, theirs, admin = (door.peer(key, name).open() for key, name in
                           ((door.own["submitter"], "mine"), (other, "theirs"), (door.own["admin"], "admin")))
    worker = door.peer(door.own["executor"], "w", pb.ROLE_EXECUTOR, kinds=["worker"], slots=0, types=["test/keys"]).open()
    made = task("test/keys")
    mine.ask("submit", pb.Submit(tasks=[made.SerializeToString()]))
    unknown = new_id()

    def answers(peer, id):
        """What each request about a task is answered: the error's code, or 0."""
        low, high = id[:15] + b"\0", id[:15] + b"\xff"
        said = []
        for body, message in (("task_get", pb.TaskGet(ids=[id])),
                              ("task_get", pb.TaskGet(prefix_low=low, prefix_high=high)),
                              ("task_wait", pb.TaskWait(ids=[id])), ("task_why", pb.TaskWhy(id=id)),
                              ("log_read", pb.LogRead(id=id)),
                              ("task_change", pb.TaskChange(verb=pb.TASK_HOLD, ids=[id]))):
            try:
                if body == "task_change":
                    said += [item.error.code for item in peer.change(body, message).items] or [0]
                else:
                    peer.ask(body, message)
                    said.append(0)
            except Refused as refused:
                said.append(refused.code)
        listed = peer.ask("task_list", pb.TaskList()).tasks.items
        return said, [row.id for row in listed]

    assert answers(theirs, made.id) == answers(theirs, unknown) == ([E["NOT_FOUND"]] * 6, [])
    assert answers(mine, made.id) == ([0] * 6, [made.id])
    assert answers(admin, made.id) == ([0] * 6, [made.id])
    for peer in (mine, theirs, admin, worker):
        peer.close()


def test_events_that_a_role_may_not_follow_are_refused_in_three_lines(door):
    said = subprocess.run([PAWL, "-b", door.tcp, "--key-file", door.folder / "submitter.key", "events", "-f"],
                          capture_output=True, text=True, timeout=PATIENCE)
    assert said.returncode == 5 and said.stdout == "", said
    assert len(said.stderr.splitlines()) == 3 and "role submitter" in said.stderr, said


def test_a_scheduler_whose_key_has_another_role_ends_and_says_why(door):
    said = subprocess.run([PAWL.parent / "pawl-scheduler", "--broker", door.tcp, "--key", door.folder / "executor.key"],
                          capture_output=True, text=True, timeout=PATIENCE)
    assert said.returncode == 5 and "role executor" in said.stderr, said
    assert len([line for line in said.stderr.splitlines() if not line.startswith("20")]) == 3, said
