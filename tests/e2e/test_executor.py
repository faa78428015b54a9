# SPDX-License-Identifier: Apache-2.0
"""An executor's own life: its end while work runs, and what it costs while it waits."""
import os
import pathlib
import time

import pytest

from conftest import tree_of
from fleet import PATIENCE, until


@pytest.fixture
def one(own):
    """A broker and one executor with a slot; `grace` between TERM and KILL is long."""
    own.broker()
    own.executor("worker", 1, PAWL_EXECUTOR__PROCESS__KILL_GRACE="20s")
    return own


def cpu_seconds(pid):
    fields = pathlib.Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_term_lets_what_runs_end_takes_nothing_new_and_exits_0(one):
    id = one.begun("--", "sh", "-c", "echo begun; sleep 1; echo ended")
    [worker] = one.of("executor")
    worker.process.terminate()
    until(lambda: "DRAIN" in worker.said())
    late = one.pawl("run", "--", "true").lines[0]
    assert worker.process.wait(PATIENCE) == 0
    assert one.status(id) == "finished" and one.task(id)["attempt"] == 1
    assert "ended" in one.pawl("task", "logs", id).out
    assert one.status(late) == "waiting"
    worker.start()
    one.wait_status(late, "finished")


def test_a_second_term_gives_what_runs_back_uncounted_and_leaves_no_process(one):
    id = one.begun("--", "sh", "-c", "trap '' TERM; echo begun; sleep 60 & wait; sleep 60")
    [worker] = one.of("executor")
    worker.process.terminate()
    until(lambda: "DRAIN" in worker.said())
    worker.process.terminate()
    assert worker.process.wait(PATIENCE) == 0
    assert not tree_of(id)
    task = one.task(id)
    assert task["status"] == "waiting"
    worker.start()
    one.wait_status(id, "running")
    task = one.task(id)
    assert task["attempt"] == 1 and task["attempts_max"] == 1
    one.pawl("task", "cancel", id)
    worker.process.terminate()
    until(lambda: worker.said().count("DRAIN") == 1)
    worker.process.terminate()
    worker.process.wait(PATIENCE)


def test_waiting_for_a_cancelled_command_that_takes_its_time_costs_nothing(one):
    id = one.begun("--", "sh", "-c", "trap 'echo asked' TERM; echo begun; while :; do sleep 30 & wait; done")
    [worker] = one.of("executor")
    one.pawl("task", "cancel", id)
    until(lambda: "asked" in one.pawl("task", "logs", id).out)
    before = cpu_seconds(worker.pid)
    time.sleep(1.5)
    assert cpu_seconds(worker.pid) - before < 0.5
    assert one.status(id) == "running"
