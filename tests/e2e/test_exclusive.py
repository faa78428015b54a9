# SPDX-License-Identifier: Apache-2.0
"""Exclusive tasks: two attempts never run at once, whatever is frozen or cut off."""
import json
import os
import signal
import sqlite3
import time

import pytest

from conftest import LEASE_S, gate, open_gate, tree_of
from fleet import until


@pytest.fixture
def two(hasty):
    hasty.broker()
    hasty.executor("one", 1)
    hasty.executor("two", 1, start=False)
    return hasty


def running(fleet, *flags):
    """A task that has begun, and goes on until the gate is opened."""
    return fleet.begun(*flags, "--", "sh", "-c", f"echo begun; {gate(fleet)}")


def test_a_frozen_executor_cannot_kill_so_its_warden_does_before_another_begins(two):
    id = running(two, "--exclusive")
    [one, second] = two.of("executor")
    second.start()
    tree = tree_of(id)
    assert tree
    os.kill(one.process.pid, signal.SIGSTOP)
    try:
        until(lambda: two.task(id)["executor"] == "two")
        assert not [pid for pid in tree if pid in tree_of(id)], "the first attempt outlived its lease"
        open_gate(two)
        task = two.wait_status(id, "finished")  # before the other one can say anything
    finally:
        os.kill(one.process.pid, signal.SIGCONT)
    assert task["attempt"] == 1 and [a["outcome"] for a in task["attempts"]] == ["lost", "finished"]
    # thawed, it says what became of it, and that does not count
    until(lambda: two.pawl("executor", "show", "one", "-o", "json").json["state"] == "ready")
    assert two.status(id) == "finished"


def test_a_frozen_broker_makes_exclusive_work_stop_and_it_runs_again(two):
    id = running(two, "--exclusive")
    [broker] = two.of("broker")
    os.kill(broker.process.pid, signal.SIGSTOP)
    try:
        until(lambda: not tree_of(id), words="end of the command that is cut off")
    finally:
        os.kill(broker.process.pid, signal.SIGCONT)
    two.wait_status(id, "running")
    until(lambda: tree_of(id))
    open_gate(two)
    two.wait_status(id, "finished")
    assert two.task(id)["attempt"] == 1


def test_other_work_of_a_frozen_broker_goes_on(two):
    id = running(two)
    [broker] = two.of("broker")
    tree = set(tree_of(id))
    os.kill(broker.process.pid, signal.SIGSTOP)
    try:
        time.sleep(LEASE_S + 1)  # for longer than any lease holds
        assert tree & set(tree_of(id))
    finally:
        os.kill(broker.process.pid, signal.SIGCONT)
    open_gate(two)
    two.wait_status(id, "finished")


# ---- statements: no process of their own, so nobody else can end them -----------------------------

def database(fleet, name):
    """A SQLite file with an empty table, and an executor of this name whose source `db` it is."""
    path = fleet.folder / f"{name}.db"
    with sqlite3.connect(path) as made:
        made.execute("create table t (a integer)")
    config = fleet.folder / f"{name}.yaml"
    config.write_text(json.dumps({"executor": {"sources": {"db": {"driver": "sqlite", "database": str(path)}}}}))
    fleet.executor(name, 1, "--config", config)
    return path


def submit(fleet, text):
    task = {"sql": {"source": "db", "text": text}, "exclusive": True}
    return fleet.pawl("task", "submit", "-", input=json.dumps(task) + "\n").lines[0]


def is_locked(path):
    """Does somebody else write to it?"""
    link = sqlite3.connect(path, timeout=0, isolation_level=None)
    try:
        link.execute("begin immediate")
        return False
    except sqlite3.OperationalError:
        return True
    finally:
        link.close()


def test_a_frozen_broker_makes_an_exclusive_statement_stop(hasty):
    broker = hasty.broker()
    path = database(hasty, "one")
    id = submit(hasty, "insert into t values (1); "  # from here on it is locked
                       "with recursive g(n) as (select 1 union all select n + 1 from g) select max(n) from g")
    until(lambda: is_locked(path), words="the statement")
    os.kill(broker.process.pid, signal.SIGSTOP)
    try:
        until(lambda: not is_locked(path), words="end of the statement that is cut off")
    finally:
        os.kill(broker.process.pid, signal.SIGCONT)
    until(lambda: is_locked(path), words="the statement, once more")
    hasty.pawl("task", "cancel", id)
    hasty.wait_status(id, "cancelled")
    assert hasty.task(id)["attempt"] == 1  # what was cut off does not count


def test_a_frozen_executor_commits_nothing_that_another_one_has_since(hasty):
    hasty.broker()
    first = database(hasty, "one")
    other = sqlite3.connect(first, isolation_level=None)
    other.execute("begin immediate")  # the statement waits for that
    id = submit(hasty, "insert into t values (1)")
    hasty.wait_status(id, "running")
    [one] = hasty.of("executor")
    os.kill(one.process.pid, signal.SIGSTOP)
    try:
        second = database(hasty, "two")
        hasty.wait_status(id, "finished")
        assert hasty.task(id)["executor"] == "two"
        other.execute("rollback")
    finally:
        os.kill(one.process.pid, signal.SIGCONT)
    until(lambda: hasty.pawl("executor", "show", "one", "-o", "json").json["state"] == "ready")
    assert one.end() == 0  # and with it all that it had begun
    assert [list(sqlite3.connect(path).execute("select a from t")) for path in (first, second)] == [[], [(1,)]]
