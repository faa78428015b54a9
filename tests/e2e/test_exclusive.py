# SPDX-License-Identifier: Apache-2.0
"""Exclusive tasks: two attempts never run at once, whatever is frozen or cut off."""
import os
import signal
import time

import pytest

from conftest import tree_of
from fleet import until


@pytest.fixture
def two(own):
    own.broker()
    own.executor("one", 1)
    own.executor("two", 1, start=False)
    return own


def running(fleet, *flags):
    """A task that says when it begins, and that it lives, until the file `go` is there."""
    mark = fleet.folder / "alive"
    return fleet.begun(*flags, "--", "sh", "-c",
                       f"echo begun; while [ ! -e {fleet.folder}/go ]; do date +%s.%N > {mark}; sleep 0.02; done")


def test_a_frozen_executor_cannot_kill_so_its_warden_does_before_another_begins(two):
    id = running(two, "--exclusive")
    [one, second] = two.of("executor")
    second.start()
    tree = tree_of(id)
    assert tree
    os.kill(one.process.pid, signal.SIGSTOP)
    try:
        until(lambda: two.task(id)["executor"] == "two" and two.status(id) == "running")
        assert not [pid for pid in tree if pid in tree_of(id)], "the first attempt outlived its lease"
        (two.folder / "go").touch()
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
    (two.folder / "go").touch()
    two.wait_status(id, "finished")
    assert two.task(id)["attempt"] == 1


def test_other_work_of_a_frozen_broker_goes_on(two):
    id = running(two)
    [broker] = two.of("broker")
    tree = set(tree_of(id))
    os.kill(broker.process.pid, signal.SIGSTOP)
    try:
        time.sleep(2.5)  # more than a lease
        assert tree & set(tree_of(id))
    finally:
        os.kill(broker.process.pid, signal.SIGCONT)
    (two.folder / "go").touch()
    two.wait_status(id, "finished")
