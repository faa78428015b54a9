# SPDX-License-Identifier: Apache-2.0
"""The real broker as a process of a test's own, and the few things most tests ask of one. Fixtures are
in conftest.py."""
import os
import pathlib
import signal
import socket
import subprocess
import time

import messages
from pawl_wire import PATIENCE, Peer, new_id, pb

E = messages.errors()
BIN = pathlib.Path(os.environ.get("PAWL_BIN", messages.ROOT / "build" / "bin")).resolve() / "pawl-broker"
SANITIZED = BIN.exists() and any(mark in BIN.read_bytes() for mark in (b"__asan_init", b"__tsan_init"))
# Liveness in seconds instead of half a minute: for tests that wait for its end, and for no other. A
# machine that stands still for some seconds ends it where it should not.
LEASE_S, SUSPECT_S = 6, 3
FAST = {"PAWL_BROKER__LEASE": f"{LEASE_S}s", "PAWL_BROKER__SUSPECT": f"{SUSPECT_S}s", "PAWL_BROKER__PING": "300ms"}


class Broker:
    """Started, killed and started again on one state folder; `more` is its environment."""

    def __init__(self, state, **more):
        self.state = state
        self.endpoint = f"ipc://{state}/broker.sock"
        self.more = more
        self.process = None

    def start(self, *flags):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([BIN, "--state", self.state, *flags], stdout=subprocess.PIPE,
                                            stderr=log, env={**os.environ, **self.more})
        line = self.process.stdout.readline().decode()
        assert line.startswith("ready"), line or self.said()
        return self

    @property
    def log(self):
        return pathlib.Path(self.state).parent / "broker.log"

    def said(self):
        return self.log.read_text(errors="replace")

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def end(self, number=signal.SIGTERM):
        """Its exit code."""
        self.process.send_signal(number)
        code = self.process.wait(PATIENCE)
        self.process.stdout.close()
        return code

    def stats_socket(self, *topics, **options):
        """A plain subscriber of its numbers and events."""
        import zmq
        sub = zmq.Context.instance().socket(zmq.SUB)
        for name, value in {"linger": 0, **options}.items():
            setattr(sub, name, value)
        for topic in topics:
            sub.subscribe(topic)
        sub.connect(f"ipc://{self.state}/stats.sock")
        return sub

    def check(self):
        """What `pawl-broker --check` says of its store, once it has ended."""
        run = subprocess.run([BIN, "--check", "--state", self.state], capture_output=True, text=True,
                             timeout=PATIENCE)
        assert run.returncode == 0, run.stdout
        return run.stdout


def refused_start(*flags, **more):
    """A start that must fail: the process that did."""
    return subprocess.run([BIN, *flags], capture_output=True, text=True, timeout=PATIENCE,
                          env={**os.environ, **more})


def until(what, timeout=PATIENCE):
    """The first true answer of what()."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if found := what():
            return found
        time.sleep(0.02)
    raise AssertionError(f"it did not happen within {timeout} s")


RESERVED = []  # ports of this process, until it ends


def free_port():
    """One that nobody else is given meanwhile: this process stays bound to it and does not listen, and
    servers, which say SO_REUSEADDR, may do both."""
    probe = socket.socket()
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    probe.bind(("127.0.0.1", 0))
    RESERVED.append(probe)
    return probe.getsockname()[1]


def task(kind="test/process", **parts):
    return pb.Task(**({"id": new_id(), "type": kind} | parts))


def submit(peer, *tasks):
    return peer.ask("submit", pb.Submit(tasks=[t.SerializeToString() for t in tasks])).submitted


def executor(broker, name="worker-1", **hello):
    """An executor of two slots that asks for two tasks."""
    return Peer(broker.endpoint, name, pb.ROLE_EXECUTOR, kinds=["worker"],
                **{"types": ["test/process"], "slots": 2, "credit": 2, **hello}).open()


def lease(peer):
    """The first lease of what came first; what else came is kept."""
    end = time.monotonic() + PATIENCE
    while not peer.pushes:
        peer.keep_push(pb.Push.FromString(peer.receive(end - time.monotonic())))
    return peer.pushes.pop(0).assign.leases[0]


def result(lease, outcome=pb.OUTCOME_DONE, **parts):
    return pb.Result(id=lease.id, token=lease.token, outcome=outcome, **parts)


def report(peer, *results, **parts):
    """The verdicts on these results."""
    return list(peer.ask("report", pb.Report(results=results, **parts)).reported.verdicts)


def get(peer, id):
    return peer.ask("task_get", pb.TaskGet(ids=[id])).tasks.items[0]


def events(peer):
    return peer.ask("event_read", pb.EventRead(from_seq=1, limit=10000)).events.items
