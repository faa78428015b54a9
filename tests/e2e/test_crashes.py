# SPDX-License-Identifier: Apache-2.0
"""Processes killed and frozen: nothing is lost, nothing is doubled, everything comes back."""
import fcntl
import json
import signal
import subprocess
import threading
import time

from conftest import gate, in_outbox, open_gate, tree_of
from fleet import PATIENCE, SLOW_S, new_id, until


def test_an_executor_that_is_killed_takes_its_processes_along_and_the_task_runs_again(small):
    # its first word tells the broker, too, that the task has arrived: what has not goes back uncounted
    id = small.begun("--", "sh", "-c", f"setsid sleep 295 & (sleep 296 &) ; echo begun; {gate(small)}")
    until(lambda: len(tree_of(id)) >= 3)
    before = tree_of(id)
    [worker] = small.of("executor")
    worker.kill()
    until(lambda: not set(before) & set(tree_of(id)), words="the end of the orphans")
    open_gate(small)
    worker.start()
    task = small.wait_status(id, "finished")
    assert [attempt["outcome"] for attempt in task["attempts"]] == ["lost", "finished"], task["attempts"]
    tokens = [attempt["token"] for attempt in task["attempts"]]
    assert tokens[0] < tokens[1]
    assert [event["id"] for event in small.events("finished")].count(id) == 1


def test_a_task_that_may_run_at_most_once_fails_when_its_executor_is_lost(hasty):
    hasty.broker()
    hasty.executor("worker", 2)
    [id] = hasty.submit({"argv": ["sleep", "300"], "on_lost": "fail"}).lines
    hasty.wait_status(id, "running")
    [worker] = hasty.of("executor")
    worker.kill()
    worker.start()
    others = hasty.submit(*[{"argv": ["sleep", "0.1"]} for _ in range(4)]).lines
    for other in others:
        hasty.wait_status(other, "finished")
    why = hasty.pawl("why", id).out
    if hasty.status(id) == "running":  # the lease that its result has is not over
        assert "worker was started anew" in why and "silent" not in why, why
        [shown] = map(json.loads, hasty.pawl("executor", "list", "-o", "ndjson").lines)
        assert shown["used"] == 0, shown
    task = hasty.wait_status(id, "failed")
    assert "lost" in task["reason"] and len(task["attempts"]) == 1


GIVES_UP_S = 10


def under_way(own):
    """A submit with its first line on record, whose broker then stands still."""
    broker = own.broker()
    submitting = own.start_pawl("task", "submit", "-", "--timeout", f"{GIVES_UP_S}s", stdin=subprocess.PIPE)
    submitting.stdin.write(json.dumps({"argv": ["true"]}) + "\n")
    submitting.stdin.flush()
    assert len(submitting.stdout.readline().strip()) == 26
    broker.kill(signal.SIGSTOP)
    return broker, submitting


def test_a_submit_to_a_broker_that_stands_still_gives_up_once_and_says_so_of_each_line(own):
    broker, submitting = under_way(own)
    submitting.send_signal(signal.SIGSTOP)  # or it reads a part, and waits for that
    lines = (json.dumps({"argv": ["true"]}) + "\n") * 2000
    fcntl.fcntl(submitting.stdin, fcntl.F_SETPIPE_SZ, 2 * len(lines))
    submitting.stdin.write(lines)
    submitting.stdin.flush()
    began = time.monotonic()
    submitting.send_signal(signal.SIGCONT)
    out, err = submitting.communicate(timeout=PATIENCE)
    took = time.monotonic() - began
    broker.kill(signal.SIGCONT)
    assert submitting.returncode == 6 and err.count("error: ") == 1, err
    assert took < GIVES_UP_S + SLOW_S, f"{took:.1f} s at a patience of {GIVES_UP_S} s"
    assert out.split() == ["-"] * 2000 and err.count(": no answer: ") == 2000
    assert "1 on record, 0 refused, 2000 without an answer\n" in err


def test_a_submit_that_gives_up_before_its_input_ends_says_where(own):
    broker, submitting = under_way(own)
    submitting.stdin.write((json.dumps({"argv": ["true"]}) + "\n") * 3)
    submitting.stdin.flush()  # nothing more comes, and no end
    submitting.wait(PATIENCE)
    broker.kill(signal.SIGCONT)
    err = submitting.stderr.read()
    assert "1 on record, 0 refused, 3 without an answer; not read past line 4\n" in err, err


def test_an_executor_frozen_past_its_lease_is_stale_and_the_task_ran_elsewhere(hasty):
    own = hasty
    own.broker()
    sleepy = own.executor("sleepy", 1)
    id = own.begun("--", "sh", "-c", f"echo begun; {gate(own)}; echo ran on attempt $PAWL_ATTEMPT $PAWL_TOKEN")
    sleepy.kill(signal.SIGSTOP)
    own.executor("awake", 1)
    until(lambda: own.task(id)["executor"] == "awake")
    open_gate(own)  # both end now, and one of them cannot say so
    task = own.wait_status(id, "finished")
    assert task["executor"] == "awake"
    until(lambda: not tree_of(id))
    sleepy.kill(signal.SIGCONT)
    other = own.pawl("run", "--wait", "--on", "executor=sleepy", "--timeout", "60s", "--", "true").lines[0]
    assert own.task(other)["executor"] == "sleepy"   # it is back in service
    until(lambda: [attempt["outcome"] for attempt in own.task(id)["attempts"]] == ["stale", "finished"])
    task = own.task(id)
    assert task["executor"] == "awake" and task["status"] == "finished"
    assert [event["id"] for event in own.events("finished")].count(id) == 1


def test_a_broker_killed_under_load_loses_nothing_and_clients_reconnect(small):
    ids = [[new_id() for _ in range(400)] for _ in range(3)]
    printed = [None] * 3

    def client(number):
        text = "".join(json.dumps({"id": id, "argv": ["true"]}) + "\n" for id in ids[number])
        for _ in range(5):
            said = small.pawl("task", "submit", "-", "--timeout", "60s", input=text, code=None, timeout=4 * PATIENCE)
            printed[number] = said
            if said.code == 0:
                return
    clients = [threading.Thread(target=client, args=(number,)) for number in range(3)]
    for thread in clients:
        thread.start()
    [broker] = small.of("broker")
    for _ in range(6):
        time.sleep(0.15)
        broker.kill()
        broker.start(wait=False)
    for thread in clients:
        thread.join(4 * PATIENCE)
    assert [said.lines for said in printed] == ids, printed
    every = sorted(id for some in ids for id in some)
    until(lambda: sum(small.stats()["tasks"][s] for s in ("finished", "failed")) >= 1200, 4 * PATIENCE)
    tasks = small.tasks()
    assert sorted(task["id"] for task in tasks) == every
    assert {task["status"] for task in tasks} == {"finished"}
    small.stop()
    assert "ok" in small.pawl("broker", "check", "--state", small.state).out


def test_what_was_acknowledged_is_there_after_the_broker_was_killed_at_once(own):
    broker = own.broker()
    for _ in range(5):
        id = own.pawl("run", "--hold", "--", "true").out.strip()
        broker.kill()
        broker.start()
        assert own.status(id) == "held"


def ended_without_a_broker(fleet, first, last):
    """A task that does the first with a broker, the last while none is there; it is there again now."""
    id = fleet.pawl("run", "--", "sh", "-c", f"{first}; {gate(fleet)}; {last}").out.strip()
    fleet.wait_status(id, "running")
    until(lambda: tree_of(id))
    [broker] = fleet.of("broker")
    broker.kill()
    open_gate(fleet)
    until(lambda: not tree_of(id))
    broker.start()
    return id


def test_a_running_task_does_not_notice_that_the_broker_was_away(small):
    id = ended_without_a_broker(small, "echo begin", "echo end")
    task = small.wait_status(id, "finished")
    assert len(task["attempts"]) == 1
    assert small.pawl("task", "logs", id).out == "begin\nend\n"


def test_a_wait_survives_the_broker(small):
    waiting = small.start_pawl("run", "--wait", "--timeout", "60s", "--", "sh", "-c", gate(small))
    id = waiting.stdout.readline().strip()
    small.wait_status(id, "running")
    [broker] = small.of("broker")
    broker.kill()
    broker.start()
    open_gate(small)
    waiting.communicate(timeout=2 * PATIENCE)
    assert waiting.returncode == 0


def test_a_broker_that_is_away_is_told_after_two_seconds_and_given_up_at_the_timeout(own):
    own.broker().kill()
    began = time.monotonic()
    asking = own.start_pawl("task", "list", "--timeout", "8s")
    first = asking.stderr.readline()
    told = time.monotonic() - began
    _, err = asking.communicate(timeout=PATIENCE)
    gave_up = time.monotonic() - began
    assert "waiting for broker" in first and 1.8 < told < SLOW_S
    assert asking.returncode == 6 and 7.8 < gave_up < 8 + SLOW_S
    assert len(err.strip().splitlines()) == 3


def test_a_client_that_waits_for_the_broker_goes_on_when_it_comes(own):
    asking = own.start_pawl("stats", "-o", "json", "--timeout", "60s")
    assert "waiting for broker" in asking.stderr.readline()
    own.broker()
    out, _ = asking.communicate(timeout=PATIENCE)
    assert asking.returncode == 0 and json.loads(out)["tasks"]


def test_sigterm_lets_an_executor_finish_what_it_runs(small):
    id = small.pawl("run", "--", "sh", "-c", f"{gate(small)}; echo done").out.strip()
    small.wait_status(id, "running")
    [worker] = small.of("executor")
    waiting = small.pawl("run", "--hold", "--", "true").out.strip()
    worker.process.terminate()
    until(lambda: "DRAIN" in worker.said())
    open_gate(small)
    assert worker.process.wait(PATIENCE) == 0
    assert small.status(id) == "finished"
    small.pawl("task", "cancel", waiting)


def test_a_result_that_the_broker_has_not_seen_is_delivered_after_the_executor_came_back(own):
    """Finished while the broker was away, and then the executor is killed: the outbox keeps it."""
    broker = own.broker()
    worker = own.executor("worker", 1)
    id = own.pawl("run", "--", "sh", "-c", f"{gate(own)}; echo kept").out.strip()
    own.wait_status(id, "running")
    broker.kill()
    open_gate(own)
    until(lambda: in_outbox(own, "worker", id), words="the result in the outbox")
    worker.kill()
    broker.start()
    worker.start(wait=False)
    task = own.wait_status(id, "finished")
    assert len(task["attempts"]) == 1, task["attempts"]


def test_a_log_written_while_the_broker_was_away_is_delivered(small):
    id = ended_without_a_broker(small, "echo one", "echo two")
    small.wait_status(id, "finished")
    assert small.pawl("task", "logs", id).out == "one\ntwo\n"
