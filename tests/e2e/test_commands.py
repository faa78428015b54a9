# SPDX-License-Identifier: Apache-2.0
"""What a command finds around it, and what becomes of what it prints."""
import json
import re

import pytest

from fleet import PATIENCE, until

GIVEN = {"PAWL_TASK_ID", "PAWL_TYPE", "PAWL_ATTEMPT", "PAWL_TOKEN", "PAWL_PLANNED", "PAWL_SCHEDULE",
         "PAWL_INPUT", "PAWL_OUTPUT", "PATH", "HOME", "LANG", "USER"}


def test_a_command_finds_exactly_the_names_of_the_contract_in_its_environment(fleet):
    [id] = fleet.submit({"argv": ["/usr/bin/env"], "env": {"DECLARED": "yes"}}).lines
    task = fleet.wait_status(id, "finished")
    found = dict(line.split("=", 1) for line in fleet.log(id).splitlines())
    assert set(found) - {"PAWL_SCHEDULE"} == (GIVEN | {"DECLARED"}) - {"PAWL_SCHEDULE"}
    assert found["PAWL_TASK_ID"] == id and found["DECLARED"] == "yes"
    assert found["PAWL_TYPE"] == "pawl/shell" and found["PAWL_ATTEMPT"] == "1"
    assert int(found["PAWL_TOKEN"]) == task["attempts"][0]["token"]


def test_a_command_is_given_the_completion_token_that_its_task_declares(fleet):
    said = fleet.pawl("run", "--follow", "--env", "PAWL_COMPLETION=", "--", "sh", "-c", "echo ${#PAWL_COMPLETION}").out
    assert int(said.split("| ")[1]) >= 32
    said = fleet.pawl("run", "--wait", "--env", "PAWL_COMPLETION=mine", "--", "true", code=7)
    assert "may not be declared" in said.err


def test_a_task_of_a_schedule_finds_its_name_and_planned_time(fleet):
    fleet.pawl("schedule", "add", "told", "--cron", "0 0 1 1 *", "--", "/usr/bin/env")
    id = fleet.pawl("schedule", "now", "told").lines[-1]
    fleet.wait_status(id, "finished")
    found = dict(line.split("=", 1) for line in fleet.log(id).splitlines())
    assert found["PAWL_SCHEDULE"] == "told" and found["PAWL_PLANNED"]
    fleet.pawl("schedule", "rm", "told")


def test_input_comes_as_a_file_and_output_goes_back_as_one(fleet):
    [id] = fleet.submit({"shell": 'cp "$PAWL_INPUT" "$PAWL_OUTPUT"', "input": {"order": 7, "text": "ü"}}).lines
    fleet.wait_status(id, "finished")
    assert json.loads(fleet.pawl("task", "output", id).out) == {"order": 7, "text": "ü"}


def test_standard_input_folder_and_umask_are_as_declared(fleet, folder):
    [id] = fleet.submit({"shell": "cat; pwd; umask", "stdin": "line\n", "cwd": str(folder)}).lines
    fleet.wait_status(id, "finished")
    line, where, umask = fleet.log(id).splitlines()
    assert (line, where) == ("line", str(folder)) and umask in ("0027", "0077", "0022")


def test_no_descriptor_is_inherited(fleet):
    id = fleet.pawl("run", "--wait", "--", "ls", "/proc/self/fd").lines[0]
    assert fleet.log(id).split() == ["0", "1", "2", "3"]  # 3: ls reads the folder


def test_logs_follow_until_the_task_has_ended(fleet):
    id = fleet.pawl("run", "--", "sh", "-c", "for n in 1 2 3; do echo line $n; sleep 0.2; done").out.strip()
    said = fleet.pawl("task", "logs", "-f", id)
    assert said.out == "line 1\nline 2\nline 3\n"


def test_logs_follow_ends_with_the_outcome(fleet):
    id = fleet.pawl("run", "--", "sh", "-c", "echo oh; exit 3").out.strip()
    assert fleet.pawl("logs", "-f", id, code=7).out == "oh\n"


def test_a_log_over_its_cap_keeps_head_and_tail_and_marks_the_hole_with_its_size(fleet):
    id = fleet.pawl("run", "--wait", "--", "sh", "-c",
                    "echo first; head -c 3000000 /dev/zero | tr '\\0' x; echo; echo last").lines[0]
    log = fleet.log(id)
    written = len("first\n") + 3000000 + len("\nlast\n")
    assert log.startswith("first\n") and log.rstrip().endswith("last")
    mark = re.search(r"\[(\d+) bytes were cut here\]", log)
    kept = len(log) - len(mark.group()) - 1  # it has a line of its own
    assert (1 << 20) - 1024 < kept <= 1 << 20
    assert int(mark.group(1)) == written - kept


def test_bytes_that_are_no_text_come_back_as_they_were(fleet):
    id = fleet.pawl("run", "--wait", "--", "printf", "a\\000b\\377c\\n").lines[0]
    raw = fleet.start_pawl("task", "logs", id)
    raw.stdout.reconfigure(encoding="latin-1")
    out, _ = raw.communicate(timeout=PATIENCE)
    assert out == "a\0b\xffc\n"


def test_the_log_of_each_attempt_is_kept(fleet):
    [id] = fleet.submit({"shell": "echo attempt $PAWL_ATTEMPT; exit 1",
                          "retry": {"max_attempts": 2, "backoff": "100ms"}}).lines
    fleet.wait_status(id, "failed")
    assert fleet.pawl("task", "logs", id).out == "attempt 2\n"
    assert fleet.pawl("task", "logs", "--attempt", "1", id).out == "attempt 1\n"


@pytest.mark.parametrize("words", ["exec >&- 2>&- <&-; sleep 0.2", "sleep 77 & echo gone"])
def test_a_task_ends_with_its_process_not_with_its_pipes(fleet, words):
    id = fleet.pawl("run", "--", "sh", "-c", words).out.strip()
    fleet.wait_status(id, "finished")


def test_a_task_killed_by_a_signal_says_so(fleet):
    id = fleet.pawl("run", "--", "sh", "-c", "kill -SEGV $$").out.strip()
    task = fleet.wait_status(id, "failed")
    assert task["signal"] == 11


def test_progress_of_many_lines_is_read_while_it_runs(fleet):
    id = fleet.pawl("run", "--", "sh", "-c", "echo early; sleep 60").out.strip()
    until(lambda: fleet.log(id) == "early\n")
    assert fleet.status(id) == "running"
    fleet.pawl("task", "cancel", id)
