# SPDX-License-Identifier: Apache-2.0
"""Tasks from their submit to their end."""
import datetime
import os
import signal
import time

import pytest

from conftest import tree_of
from fleet import PATIENCE, SLOW_S, new_id, seconds, until


# ---- pawl run -------------------------------------------------------------------------------------

def test_run_prints_the_id_of_a_task_that_is_on_record(fleet):
    said = fleet.pawl("run", "--", "true")
    assert len(said.out.strip()) == 26
    assert fleet.task(said.out.strip())["type"] == "pawl/shell"


def test_run_wait_ends_with_the_task_and_says_how(fleet):
    assert fleet.pawl("run", "--wait", "--", "true").code == 0
    failed = fleet.pawl("run", "--wait", "--", "sh", "-c", "exit 3", code=7)
    assert "failed" in failed.err and "3" in failed.err


def test_run_follow_prints_what_the_command_prints(fleet):
    said = fleet.pawl("run", "--follow", "--", "sh", "-c", "echo one; echo two >&2; echo three")
    assert [word for word in ("one", "two", "three") if word in said.out] == ["one", "two", "three"]


def test_following_ends_with_the_patience_that_was_given_and_the_task_goes_on(fleet):
    run = fleet.pawl("run", "--follow", "--timeout", "8s", "--", "sh", "-c", "echo said; sleep 300", code=6)
    assert "said" in run.out and "within 8s" in run.err
    id = run.lines[0]
    assert fleet.status(id) == "running"
    fleet.pawl("task", "logs", "-f", id, "--timeout", "500ms", code=6)
    fleet.pawl("task", "cancel", id)


@pytest.mark.parametrize("code", [0, 1, 42, 125])
def test_run_exit_code_gives_the_commands_own(fleet, code):
    fleet.pawl("run", "--exit-code", "--", "sh", "-c", f"exit {code}", code=code)


def test_a_command_that_does_not_exist_fails_with_a_reason(fleet):
    id = fleet.pawl("run", "--wait", "--", "/no/such/program", code=7).lines[0]
    task = fleet.task(id)
    assert task["status"] == "failed"
    assert "/no/such/program" in (task["message"] or "") + (task["reason"] or "")


def test_a_shell_line_goes_to_a_shell_and_arguments_do_not(fleet):
    assert "3" in fleet.pawl("run", "--follow", "--shell", "echo $((1 + 2))").out
    assert "$((1 + 2))" in fleet.pawl("run", "--follow", "--", "echo", "$((1 + 2))").out


def test_a_script_runs_with_its_interpreter(fleet):
    [id] = fleet.submit({"script": {"interpreter": "sh", "text": "echo from a script"}}).lines
    fleet.wait_status(id, "finished")
    assert fleet.pawl("task", "logs", id).out == "from a script\n"


# ---- pawl task submit -----------------------------------------------------------------------------

def test_submit_prints_one_id_a_line_in_order(fleet):
    ids = [new_id() for _ in range(1200)]
    tasks = [{"id": id, "argv": ["true"], "hold": True} for id in ids]
    assert fleet.submit(*tasks).lines == ids
    fleet.pawl("task", "cancel", "-", input="\n".join(ids))


def test_a_refused_line_prints_a_dash_and_its_number_on_stderr(fleet):
    texts = ['{"argv":["true"]}', "{not json", '{"argv":["true"],"colour":"red"}', '{"type":"no/such"}',
             '{"argv":["true"],"shell":"true"}', '{"argv":["true"],"delay":5}', '{"id":"hello","argv":["true"]}',
             '{"argv":["true"]}']
    said = fleet.pawl("task", "submit", "-", input="\n".join(texts) + "\n", code=8)
    assert [line == "-" for line in said.lines] == [False, True, True, True, True, True, True, False]
    for number in range(2, 8):
        assert f"line {number}" in said.err, said
    assert "colour" in said.err
    assert "UNKNOWN_TYPE" in said.err


def test_the_same_file_again_makes_no_second_task(fleet):
    label = new_id()[-12:]
    tasks = [{"id": new_id(), "argv": ["true"], "labels": {"same": label}} for _ in range(20)]
    first, second = fleet.submit(*tasks), fleet.submit(*tasks)
    assert first.lines == second.lines == [task["id"] for task in tasks]
    assert len(fleet.tasks("--label", f"same={label}")) == 20


def test_a_used_id_with_another_body_is_refused(fleet):
    id = new_id()
    fleet.submit({"id": id, "argv": ["true"]})
    said = fleet.submit({"id": id, "argv": ["false"]}, code=8)
    assert said.lines == ["-"] and "line 1" in said.err and "ID_REUSED" in said.err


def test_an_id_of_another_age_is_refused(fleet):
    said = fleet.submit({"id": "0000000000" + new_id()[10:], "argv": ["true"]}, code=8)
    assert "BAD_ID" in said.err


def test_two_live_tasks_with_one_key_are_one_task(fleet):
    key = new_id()
    first = fleet.submit({"argv": ["true"], "key": key, "hold": True}).lines
    second = fleet.submit({"argv": ["true"], "key": key, "hold": True}).lines
    assert first == second
    fleet.pawl("task", "cancel", first[0])


def test_blank_lines_are_no_tasks(fleet):
    assert len(fleet.pawl("task", "submit", "-", input='\n\n{"argv":["true"]}\n\n').lines) == 1


# ---- when and where -------------------------------------------------------------------------------

def test_a_held_task_waits_for_start(fleet):
    id = fleet.pawl("run", "--hold", "--", "true").out.strip()
    assert fleet.status(id) == "held"
    fleet.pawl("task", "start", id)
    fleet.wait_status(id, "finished")


def test_a_waiting_task_can_be_held_and_started(fleet):
    id = fleet.pawl("run", "--in", "1h", "--", "true").out.strip()
    fleet.pawl("task", "hold", id)
    assert fleet.status(id) == "held"
    fleet.pawl("task", "cancel", id)
    assert fleet.status(id) == "cancelled"


def test_a_delay_passes_before_the_start(fleet):
    id = fleet.pawl("run", "--in", "6s", "--", "true").out.strip()
    assert fleet.status(id) == "delayed"
    task = fleet.wait_status(id, "finished")
    assert 6.0 <= seconds(task["started"]) - seconds(task["created"]) < 6 + SLOW_S


def test_an_instant_is_kept(fleet):
    at = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0) + datetime.timedelta(seconds=2)
    [id] = fleet.submit({"argv": ["true"], "at": at.isoformat()}).lines
    task = fleet.wait_status(id, "finished")
    assert 0 <= seconds(task["started"]) - at.timestamp() < SLOW_S
    assert seconds(task["planned"]) == at.timestamp()


def test_a_task_that_found_no_place_expires(fleet):
    [id] = fleet.submit({"argv": ["true"], "expire": "6s", "target": {"executor": "nobody"}}).lines
    assert fleet.status(id) == "waiting"
    assert "nobody" in fleet.pawl("why", id).out
    fleet.wait_status(id, "expired")


def test_a_target_names_executor_host_or_labels(fleet):
    host = os.uname().nodename
    ids = fleet.submit({"argv": ["true"], "target": {"executor": "two"}},
                 {"argv": ["true"], "target": {"labels": {"role": "web"}}},
                 {"argv": ["true"], "target": {"host": host}},
                 {"argv": ["true"], "target": {"executor": "one"}}).lines
    ran = [fleet.wait_status(id, "finished")["executor"] for id in ids]
    assert (ran[0], ran[1], ran[3]) == ("two", "two", "one") and ran[2] in ("one", "two")


def test_priority_decides_who_starts_first(small):
    small.pawl("queue", "pause", "default")
    tasks = [{"argv": ["sleep", "0.05"], "priority": priority} for priority in (9, 5, 0, 7, 1)]
    ids = small.submit(*tasks).lines
    small.pawl("executor", "show", "worker")
    blocker = small.submit({"argv": ["sleep", "0.2"], "queue": "other"}, {"argv": ["sleep", "0.2"], "queue": "other"})
    small.pawl("queue", "resume", "default")
    for id in ids + blocker.lines:
        small.wait_status(id, "finished")
    order = [event["id"] for event in small.events()
             if event["kind"] == "running" and event["id"] in ids]
    by_priority = [ids[2], ids[4], ids[1], ids[3], ids[0]]
    assert order == by_priority


# ---- stops ----------------------------------------------------------------------------------------

def test_a_waiting_task_is_cancelled_at_once(fleet):
    id = fleet.pawl("run", "--in", "1h", "--", "true").out.strip()
    fleet.pawl("task", "cancel", id)
    task = fleet.task(id)
    assert task["status"] == "cancelled" and task["started"] is None


TREE = "setsid sleep 91 & (sleep 92 & exec sleep 93) & trap '' HUP; sleep 94"


def test_cancel_ends_the_whole_process_tree(fleet):
    id = fleet.pawl("run", "--", "sh", "-c", TREE).out.strip()
    until(lambda: len(tree_of(id)) >= 4)
    fleet.pawl("task", "cancel", id)
    fleet.wait_status(id, "cancelled")
    assert not tree_of(id)


def test_a_time_limit_ends_the_whole_process_tree(fleet):
    id = fleet.pawl("run", "--time-limit", "1s", "--", "sh", "-c", TREE).out.strip()
    task = fleet.wait_status(id, "failed")
    assert "time" in task["reason"]
    assert not tree_of(id)
    assert task["attempts"][0]["outcome"] == "timeout"


def test_a_command_that_ignores_term_is_killed_after_the_grace(own):
    own.broker()
    own.executor("stern", 1, PAWL_EXECUTOR__PROCESS__KILL_GRACE="500ms")
    id = own.begun("--", "sh", "-c", "trap '' TERM; echo begun; while :; do sleep 0.1; done")
    asked = time.monotonic()
    own.pawl("task", "cancel", id)
    own.wait_status(id, "cancelled")
    assert 0.4 < time.monotonic() - asked < SLOW_S
    assert not tree_of(id)


def test_a_finished_task_cannot_be_cancelled(fleet):
    id = fleet.pawl("run", "--wait", "--", "true").lines[0]
    said = fleet.pawl("task", "cancel", id, code=None)
    assert said.code == 4 and "WRONG_STATUS" in said.err
    assert fleet.status(id) == "finished"


# ---- again ----------------------------------------------------------------------------------------

def test_a_failed_task_is_tried_again_after_its_back_off(fleet):
    [id] = fleet.submit({"shell": "exit 5", "retry": {"max_attempts": 3, "backoff": "400ms", "factor": 2}}).lines
    task = fleet.wait_status(id, "failed")
    assert task["attempt"] == task["attempts_max"] == 3 and task["exit_code"] == 5
    attempts = task["attempts"]
    assert [attempt["outcome"] for attempt in attempts] == ["failed"] * 3
    pauses = [seconds(b["started"]) - seconds(a["ended"]) for a, b in zip(attempts, attempts[1:])]
    assert 0.3 <= pauses[0] < SLOW_S and 0.6 <= pauses[1] < SLOW_S, pauses
    assert [a["token"] for a in attempts] == sorted({a["token"] for a in attempts})


def test_retry_by_hand_gives_an_ended_task_a_fresh_budget(fleet, folder):
    flag = folder / "flag"
    id = fleet.pawl("run", "--wait", "--", "test", "-e", flag, code=7).lines[0]
    flag.touch()
    fleet.pawl("task", "retry", id)
    fleet.wait_status(id, "finished")


def test_ids_on_standard_input_are_changed_in_bulk(fleet):
    ids = fleet.submit(*[{"argv": ["true"], "hold": True}] * 5).lines
    gone = new_id()
    said = fleet.pawl("task", "cancel", "-", input="\n".join([*ids, gone]), code=8)
    assert "5 done, 1 refused" in said.err and "NOT_FOUND" in said.err
    assert {fleet.status(id) for id in ids} == {"cancelled"}


def test_who_waits_for_a_task_that_stands_is_told_what_for(fleet):
    waiting = fleet.start_pawl("run", "--wait", "--on", "label=role=nowhere", "--", "true")
    said = [waiting.stderr.readline() for _ in range(2)]
    assert said[0].split()[1] == "waiting" and "role=nowhere" in said[1] and "pawl why" in said[1], said
    fleet.pawl("task", "cancel", said[0].split()[0])
    assert waiting.wait(PATIENCE) == 7
    waiting.communicate()


def test_all_that_match_a_filter_are_changed(fleet):
    label = new_id()[-12:]
    fleet.submit(*[{"argv": ["true"], "hold": True, "labels": {"bulk": label}}] * 7)
    fleet.pawl("task", "start", "--label", f"bulk={label}", "--all-matching", "-y")
    until(lambda: {task["status"] for task in fleet.tasks("--label", f"bulk={label}")} == {"finished"})


def test_all_that_match_are_those_that_the_verb_can_change(fleet):
    label = new_id()
    held, done = fleet.submit(*[{"argv": ["true"], "hold": hold, "labels": {"bulk": label}}
                               for hold in (True, False)]).lines
    fleet.wait_status(done, "finished")
    assert fleet.pawl("task", "cancel", "--label", f"bulk={label}", "--all-matching", "--dry-run").lines == [held]
    said = fleet.pawl("task", "cancel", "--label", f"bulk={label}", "--all-matching")
    assert said.err == "cancel: 1 done\n", said
    assert fleet.status(held) == "cancelled"
    assert fleet.pawl("task", "retry", "--label", f"bulk={label}", "--all-matching").err == "retry: 1 done\n"


def test_everything_of_everybody_is_not_meant_by_a_forgotten_filter(fleet):
    [held] = fleet.submit({"argv": ["true"], "hold": True}).lines
    for verb in ("cancel", "retry", "start", "hold"):
        said = fleet.pawl("task", verb, "--all-matching", code=2)
        assert "no filter was given" in said.err and "--yes" in said.err
    assert fleet.status(held) == "held"
    fleet.pawl("task", "cancel", held)


def test_wait_ends_with_the_last_of_several_tasks(fleet):
    good = fleet.pawl("run", "--", "sleep", "0.3").out.strip()
    bad = fleet.pawl("run", "--", "false").out.strip()
    fleet.pawl("task", "wait", good)
    fleet.pawl("task", "wait", good, bad, code=7)


def test_a_prefix_of_an_id_is_enough(fleet):
    id = fleet.pawl("run", "--wait", "--", "true").lines[0]
    assert fleet.pawl("task", "show", id[:-3].lower(), "-o", "json").json["id"] == id


def test_interrupting_a_wait_leaves_the_task_running(fleet, folder):
    waiting = fleet.start_pawl("run", "--wait", "--", "sh", "-c", f"while [ ! -e {folder}/go ]; do sleep 0.05; done")
    id = waiting.stdout.readline().strip()
    until(lambda: fleet.status(id) == "running")
    waiting.send_signal(signal.SIGINT)
    waiting.communicate(timeout=PATIENCE)
    assert waiting.returncode == 130
    assert fleet.status(id) == "running"
    (folder / "go").touch()
    fleet.wait_status(id, "finished")
