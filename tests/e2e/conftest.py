# SPDX-License-Identifier: Apache-2.0
"""End to end: the real programs of PAWL_BIN (build/bin), as people use them. One fleet serves the
tests that disturb nobody; those that kill, freeze or fill something have their own."""
import concurrent.futures
import contextlib
import json
import os
import pathlib
import shutil
import sqlite3
import sys
import tempfile
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path += [str(ROOT / "ops" / "demo"), str(ROOT / "tests" / "wire")]
sys.dont_write_bytecode = True

from fleet import CROCKFORD, Fleet  # noqa: E402

BIN = pathlib.Path(os.environ.get("PAWL_BIN", ROOT / "build" / "bin")).resolve()
# Liveness in seconds instead of half a minute: for tests that wait for its end, and for no other. A
# machine that stands still for some seconds ends it where it should not.
LEASE_S, SUSPECT_S = 6, 3
FAST = {"PAWL_BROKER__LEASE": f"{LEASE_S}s", "PAWL_BROKER__SUSPECT": f"{SUSPECT_S}s", "PAWL_BROKER__PING": "300ms"}


def processes_with(text):
    """Processes whose environment holds this: a task's tree, wherever its members went."""
    found = []
    for entry in os.listdir("/proc"):
        try:
            if entry.isdigit() and os.fsencode(text) in pathlib.Path("/proc", entry, "environ").read_bytes():
                state = pathlib.Path("/proc", entry, "stat").read_text().rpartition(")")[2].split()[0]
                if state != "Z":
                    found.append(int(entry))
        except OSError:
            continue
    return found


def tree_of(task):
    return processes_with(f"PAWL_TASK_ID={task}")


def gate(fleet, name="go"):
    """For a shell: waits until the test opens it. So what runs is over when the test says so, and no
    slow machine is late to see it run."""
    return f"while [ ! -e {fleet.folder / name} ]; do sleep 0.05; done"


def open_gate(fleet, name="go"):
    (fleet.folder / name).touch()


def in_outbox(fleet, executor, id):
    """A result of the task is in the executor's outbox: in the file where it stands for its first
    seconds, or in the store where it stands then."""
    number = 0
    for letter in id:
        number = number * 32 + CROCKFORD.index(letter)
    for path in (fleet.folder / executor / "outbox").rglob("*"):
        try:
            if path.is_file() and number.to_bytes(16, "big") in path.read_bytes():
                return True
        except FileNotFoundError:  # they are written anew now and then
            continue
    return False


def no_sanitizer_spoke(folder):
    """In a build with SAN=...: its report stands in a log, the program may have gone on."""
    for log in pathlib.Path(folder).rglob("*.log"):
        text = log.read_text(errors="replace")
        assert "Sanitizer" not in text and "runtime error:" not in text, text[-4000:]


@pytest.fixture
def folder():
    """Short: a socket's path has at most 107 bytes."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="pawl-e2e-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def shared():
    """A fleet of many tests: whole until the last of them."""
    fleet = Fleet(BIN, tempfile.mkdtemp(prefix="pawl-e2e-"))
    try:
        yield fleet
        assert all(program.alive() for program in fleet.programs), "a program ended by itself"
        fleet.stop()
        no_sanitizer_spoke(fleet.folder)
    finally:
        fleet.remove()


@pytest.fixture(scope="session")
def fleet():
    """Broker, two schedulers, executors `one` (4 slots) and `two` (4 slots, label role=web)."""
    with shared() as fleet:
        fleet.broker()
        fleet.scheduler("scheduler-a")
        fleet.scheduler("scheduler-b")
        fleet.executor("one", 4)
        fleet.executor("two", 4, "--labels", "role=web")
        yield fleet


@pytest.fixture
def own(folder):
    """A fleet of one test's own, with nothing started."""
    fleet = Fleet(BIN, folder)
    yield fleet
    for program in fleet.programs:  # nothing is to be drained here
        if program.alive():
            program.kill()
    fleet.clear_cgroups()
    no_sanitizer_spoke(fleet.folder)


@pytest.fixture
def hasty(own):
    """One that takes silence for loss after some seconds."""
    own.env.update(FAST)
    return own


@pytest.fixture
def small(own):
    """Broker, scheduler and one executor of one test's own."""
    own.broker()
    own.scheduler("scheduler")
    own.executor("worker", 2)
    return own


class Databases:
    """PostgreSQL, MariaDB and a SQLite file, and what an executor's file says of them."""

    def __init__(self):
        from databases import PASSWORD, Cutter, MariaDB, PostgreSQL
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="pawl-sql-"))
        self.password = self.folder / "password"
        self.password.write_text(PASSWORD + "\n")
        self.password.chmod(0o600)
        self.lite = self.folder / "lite.db"
        sqlite3.connect(self.lite).close()
        self.lite.touch()
        with concurrent.futures.ThreadPoolExecutor() as both:  # each takes seconds
            self.pg, self.my = both.map(lambda make: make(), (PostgreSQL, MariaDB))
        self.servers = [self.pg, self.my]
        self.cutters = {"pg": Cutter(self.pg.port), "my": Cutter(self.my.port)}

    def sources(self):
        lite = {"driver": "sqlite", "database": str(self.lite)}
        cut = {f"{name}-cut": {**server.source(self.password), "port": self.cutters[name].port, "tls": "disable"}
               for name, server in (("pg", self.pg), ("my", self.my))}
        return {"pg": self.pg.source(self.password), "my": self.my.source(self.password), "lite": lite, **cut,
                "pg-read": self.pg.source(self.password, read_only=True),
                "my-read": self.my.source(self.password, read_only=True), "lite-read": {**lite, "read_only": True}}

    def config(self, path, **sources):
        """A configuration of an executor with these sources (none: all of them). YAML holds JSON."""
        path.write_text(json.dumps({"executor": {"sources": sources or self.sources()}}))
        return path

    def remove(self):
        for one in (*self.cutters.values(), *self.servers):
            one.remove()
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture(scope="session")
def databases():
    databases = Databases()
    yield databases
    databases.remove()


@pytest.fixture(scope="session")
def sql(databases):
    """A fleet whose executor `sql` has a source of each kind, and each once more read-only."""
    with shared() as fleet:
        fleet.broker()
        fleet.scheduler("scheduler")
        fleet.executor("sql", 8, "--config", databases.config(fleet.folder / "sql.yaml"),
                       PAWL_EXECUTOR__PROCESS__KILL_GRACE="5s")
        yield fleet


@pytest.fixture
def parked(sql):
    """A queue of its own that nobody serves, so that what is made can be counted."""
    name = f"parked-{time.monotonic_ns()}"
    sql.pawl("queue", "pause", name)
    yield name
    sql.pawl("task", "cancel", "--all-matching", "--queue", name, "-y", code=None)
