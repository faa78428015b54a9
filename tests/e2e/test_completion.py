# SPDX-License-Identifier: Apache-2.0
"""pawl completion bash: the script is made from the command table, asks the broker for names, and runs nothing
that a name says."""
import subprocess

import pytest

from fleet import PATIENCE
from test_words import COMMANDS

PATIENT = {"PAWL_COMPLETE_TIMEOUT": f"{PATIENCE:.0f}s"}  # a person would not wait so long
ASK = 'source <("$0" completion bash); COMP_WORDS=("$0" "$@"); COMP_CWORD=$#; _pawl; printf "%s\\n" "${COMPREPLY[@]}"'


def bash(fleet, script, *words, **more):
    done = subprocess.run(["bash", "--norc", "-c", script, fleet.bin / "pawl", *words], capture_output=True, text=True,
                          env={**fleet.env, "PAWL_BROKER": fleet.endpoint, **PATIENT, **more}, timeout=PATIENCE, cwd=fleet.folder, check=False)
    assert done.returncode == 0 and done.stderr == "", done
    return done.stdout.split("\n")[:-1]


def completed(fleet, *words):
    """What bash would offer for the last word."""
    return [word for word in bash(fleet, ASK, *words) if word]


@pytest.mark.parametrize("words, offered", [
    (["sched"], ["schedule"]), (["task", "ca"], ["cancel"]), (["import", "s"], ["systemd-timers"]),
    (["schedule", "add", "x", "--mod"], ["--mode"]), (["-o", "nd"], ["ndjson"]), (["ls", "--newest"], ["--newest-first"]),
    (["schedule", "add", "x", "--mode", "l"], ["latest"]), (["schedule", "add", "x", "--mode", "=", "str"], ["strict"]),
    (["--timeout", "3s", "queue", "pa"], ["pause"]), (["help", "sched"], ["schedule"]),
    (["help", "schedule", "exp"], ["explain"]), (["task", "list", "--param"], []), (["frobnicate", "x"], []),
    (["executor", "show", "tw"], ["two"]), (["run", "--queue", "def"], ["default"]),
    (["task", "list", "--executor", "on"], ["one"]), (["schedule", "add", "tw"], []),
    (["schedule", "range", "list", "completion-a"], ["completion-a"])], ids=" ".join)
def test_the_last_word_is_completed(fleet, words, offered):
    if "completion-a" in words:
        fleet.pawl("schedule", "add", "completion-a", "--cron", "0 0 1 1 *", "--", "true")
    if "def" in words:
        fleet.pawl("run", "--wait", "--", "true")
    try:
        assert completed(fleet, *words) == offered
    finally:
        fleet.pawl("schedule", "rm", "completion-a", code=None)


def test_every_command_and_its_flags_are_offered(fleet):
    first = completed(fleet, "")
    for command in COMMANDS:
        noun, _, verb = command.partition(" ")
        assert noun in first and (not verb or verb in completed(fleet, noun, "")), command
    flags = completed(fleet, "schedule", "add", "x", "--")
    page = fleet.pawl("help", "schedule", "add").out
    assert len(flags) > 60 and not [flag for flag in flags if flag not in page + fleet.pawl("help").out]


def test_files_are_offered_where_files_are_taken(fleet):
    (fleet.folder / "tasks.ndjson").write_text("")
    assert completed(fleet, "task", "submit", "tasks.nd") == ["tasks.ndjson"]
    assert completed(fleet, "schedule", "diff", "-f", "tasks.nd") == ["tasks.ndjson"]


def test_a_name_is_a_word_and_never_a_command(fleet):
    name = "completion-$(touch pwned) 'x'"
    fleet.pawl("schedule", "add", name, "--cron", "0 0 1 1 *", "--", "true")
    try:
        offered = completed(fleet, "schedule", "show", "completion-")
        read_back = subprocess.run(["bash", "--norc", "-c", f"printf %s {offered[0]}"], capture_output=True, text=True,
                                   timeout=PATIENCE, check=True)
        assert len(offered) == 1 and read_back.stdout == name and not (fleet.folder / "pwned").exists()
    finally:
        fleet.pawl("schedule", "rm", name)


def test_without_a_broker_only_words_are_offered(fleet):
    away = {"PAWL_BROKER": "/nonexistent", "PAWL_COMPLETE_TIMEOUT": "100ms"}
    assert [word for word in bash(fleet, ASK, "schedule", "show", "n", **away) if word] == []
    assert bash(fleet, ASK, "schedule", "sh", **away) == ["show"]


def test_another_shell_is_told_so(fleet):
    assert "bash is the shell" in fleet.pawl("completion", "fish", code=2).err
