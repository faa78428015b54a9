# SPDX-License-Identifier: Apache-2.0
"""An executor's own life: its end while work runs, and what it costs while it waits."""
import os
import pathlib
import re
import subprocess
import time

import pytest

from conftest import gate, open_gate, tree_of
from fleet import PATIENCE, until


@pytest.fixture
def one(own):
    """A broker and one executor with a slot; `grace` between TERM and KILL is long."""
    own.broker()
    own.executor("worker", 1, PAWL_EXECUTOR__PROCESS__KILL_GRACE="120s")
    return own


def cpu_seconds(pid):
    fields = pathlib.Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_term_lets_what_runs_end_takes_nothing_new_and_exits_0(one):
    id = one.begun("--", "sh", "-c", f"echo begun; {gate(one)}; echo ended")
    [worker] = one.of("executor")
    worker.process.terminate()
    until(lambda: "DRAIN" in worker.said())
    late = one.pawl("run", "--", "true").lines[0]
    open_gate(one)
    assert worker.process.wait(PATIENCE) == 0
    assert one.status(id) == "finished" and one.task(id)["attempt"] == 1
    assert "ended" in one.pawl("task", "logs", id).out
    assert one.status(late) == "waiting"
    worker.start()
    one.wait_status(late, "finished")


def test_a_second_term_gives_what_runs_back_uncounted_and_leaves_no_process(one):
    id = one.begun("--", "sh", "-c", "trap '' TERM; echo begun; sleep 300 & wait; sleep 300")
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


def test_it_says_when_the_broker_is_away_and_when_it_is_back(own):
    one = own.executor("one", 1, start=False).start(wait=False)
    until(lambda: "BROKER_AWAY" in one.said())
    assert own.endpoint in one.said() and not one.ready()
    broker = own.broker()
    one.wait_ready()
    until(lambda: one.said().count("BROKER_BACK") == 1)
    broker.kill()
    until(lambda: one.said().count("BROKER_AWAY") == 2)
    broker.start()
    until(lambda: one.said().count("BROKER_BACK") == 2)
    id = own.pawl("run", "--", "true").lines[0]
    own.wait_status(id, "finished")
    assert one.said().count("BROKER_AWAY") == 2
    [first, second] = re.findall(r"BROKER_BACK .*after_ms=([0-9]+)", one.said())
    assert int(first) >= 2000 and int(second) >= 2000


@pytest.mark.parametrize("role", ["broker", "scheduler", "executor"])
def test_no_socket_and_no_store_becomes_the_standard_error_of_a_daemon_that_was_given_none(own, role):
    if role != "broker":
        own.broker()
    program = {"broker": lambda: own.broker(start=False), "scheduler": lambda: own.scheduler("s", start=False),
               "executor": lambda: own.executor("e", 1, start=False)}[role]()
    closed = subprocess.Popen(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", "setpriv", "--pdeathsig", "KILL", *program.argv],
                              env=program.env)
    try:
        if role == "broker":
            until(lambda: own.pawl("broker", "status", code=None).code == 0)
        else:
            until(lambda: role in [peer["role"] for peer in own.pawl("peer", "list", "-o", "ndjson").rows])
        files = [os.readlink(f"/proc/{closed.pid}/fd/{fd}") for fd in range(3)]
        assert files == ["/dev/null"] * 3
    finally:
        closed.kill()
        closed.wait()
