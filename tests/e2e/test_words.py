# SPDX-License-Identifier: Apache-2.0
"""What the command says: help, errors in three lines with the right exit code, rules explained."""
import re
import subprocess

import pytest

from conftest import ROOT
from fleet import PATIENCE

COMMANDS = re.findall(r'^ *\{ "([a-z -]+)", "', (ROOT / "client/cli/commands.c").read_text(), re.M)


def test_the_commands_are_known_and_each_once():
    assert sorted(set(COMMANDS)) == sorted(COMMANDS)
    assert {"up", "run", "task submit", "schedule add", "when", "broker check"} <= set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(fleet, command):
    said = fleet.pawl(*command.split(), "--help", PAWL_BROKER="ipc:///nonexistent/broker.sock")
    assert "usage: pawl" in said.out and said.err == ""


def test_help_lists_every_field_of_a_task(fleet):
    source = (ROOT / "client/cli/taskspec.c").read_text()
    table = source[source.index('{ "id", set_id'):]
    fields = re.findall(r'\{ "([a-z_]+)", ', table[:table.index("};")])
    assert len(fields) > 20 and {"argv", "on_lost"} <= set(fields)
    said = fleet.pawl("help", "task", "submit").out
    words = set(re.findall(r"[a-z_]+", re.sub(r'["{].*', "", said, flags=re.M)))
    assert not [field for field in fields if field not in words], said


def test_help_knows_topics(fleet):
    assert "pawl help dst " in fleet.pawl("help").out
    said = fleet.pawl("help", "dst", PAWL_BROKER="ipc:///nonexistent/broker.sock")
    for text in ("every hour", "named hours", "@every", "@dates", "--zone UTC"):
        assert text in said.out, said
    example = re.search(r'pawl when "(.*)" (--zone .*)', said.out)
    assert "2027-03-28 03:00 +02:00" in fleet.pawl("when", example[1], *example[2].split()).out
    assert max(map(len, said.out.splitlines())) <= 80
    fleet.pawl("help", "dts", code=2)


def test_help_and_version_stand_alone(fleet):
    for words in (["--help"], ["help"], ["help", "schedule", "add"], ["version"], ["--version"]):
        assert fleet.pawl(*words).out


ERRORS = [
    (3, "task", "show", "01J00000000000000000000000"),
    (3, "schedule", "show", "no-such-schedule"),
    (3, "executor", "show", "no-such-executor"),
    (3, "run", "-t", "no/such-type"),
    (2, "when", "61 * * * *"),
    (2, "when", "* * * * *", "--zone", "Mars/Olympus"),
    (2, "schedule", "add", "bad", "--cron", "* * * *", "--", "true"),
    (2, "schedule", "add", "bad", "--cron", "* * * * *", "--zone", "Mars/Olympus", "--", "true"),
    (2, "schedule", "add", "bad", "--every", "10", "--", "true"),
    (2, "schedule", "add", "bad", "--", "true"),
    (2, "schedule", "add", "bad", "--every", "1s", "--overlap", "maybe", "--", "true"),
    (2, "task", "list", "--colour", "red"),
    (2, "task", "list", "--status", "resting"),
    (2, "task", "list", "--limit", "0"),
    (2, "task", "list", "-o", "xml"),
    (2, "task", "explode"),
    (2, "frobnicate"),
    (2, "run"),
    (2, "run", "--in", "5", "--", "true"),
    (2, "up", "--state", ""),
    (2, "schedule", "add", "bad", "--every", "5m"),
    (2, "run", "--at", "yesterday", "--", "true"),
    (3, "queue", "resume", "no-such-queue"),
    (2, "task", "list", "--tz", "Europe"),
    (3, "task", "show", "not-an-id!"),
]


@pytest.mark.parametrize("words", ERRORS, ids=lambda words: " ".join(words[1:]))
def test_an_error_says_what_why_and_what_to_type(fleet, words):
    said = fleet.pawl(*words[1:], code=words[0])
    lines = said.err.strip().splitlines()
    assert len(lines) == 3 and lines[0].startswith("error: "), said
    assert lines[1].strip().startswith("why: ") and lines[2].strip().startswith("try: ")
    assert said.out == ""


def test_what_is_wrong_is_named_as_it_was_typed(fleet):
    assert "why: --in: " in fleet.pawl("run", "--in", "5", "--", "true", code=2).err
    assert "why: --time-limit: " in fleet.pawl("run", "--time-limit", "1x", "--", "true", code=2).err
    assert "why: --backoff: " in fleet.pawl("schedule", "add", "bad", "--every", "5m", "--backoff", "5", "--", "true",
                                            code=2).err
    assert "no command was given" in fleet.pawl("run", "--", code=2).err


def test_a_broker_may_be_named_by_its_folder(fleet):
    for words, more in ((["-b", fleet.state], {}), ([], {"PAWL_BROKER": str(fleet.state)})):
        assert fleet.pawl(*words, "broker", "status", "-o", "json", **more).json["endpoint"] == fleet.endpoint


def test_a_misspelt_word_is_met_with_a_guess(fleet):
    assert "schedule" in fleet.pawl("shedule", "list", code=2).err
    assert "--status" in fleet.pawl("task", "list", "--statsu", "failed", code=2).err


def test_when_explains_a_rule(fleet):
    said = fleet.pawl("when", "0 2 * * 1-5", "--zone", "Europe/Paris", "-n", "3", "--from", "2027-03-25",
                      PAWL_BROKER="ipc:///nonexistent/broker.sock")
    for text in ("Europe/Paris", "2027-03-25", "2027-03-26", "2027-03-29", "+01:00", "+02:00"):
        assert text in said.out, said


def test_when_batch_answers_one_line_for_each(fleet):
    text = ("Europe/Paris\t30 2 * * *\t1774396800\t3\n"
            "UTC\t0 0 30 2 *\t0\t1\n"
            "UTC\t61 * * * *\t0\t1\n"
            "Mars/Olympus\t* * * * *\t0\t1\n"
            "UTC\t*/15 * * * *\t0\t4\n")
    lines = fleet.pawl("when", "--batch", input=text, code=None).lines
    # 28 March 2026 is the last day before the change; 2026-03-29 has no 02:30.
    assert lines[0] == "1774402200 1774488600 1774575000"
    assert lines[1] == "none" or lines[1].startswith("error ")
    assert lines[2].startswith("error ") and lines[3].startswith("error ")
    assert lines[4] == "900 1800 2700 3600"


def test_dry_run_changes_nothing(fleet):
    before = len(fleet.tasks())
    fleet.pawl("run", "--dry-run", "--", "true")
    fleet.pawl("schedule", "add", "dry", "--every", "1s", "--dry-run", "--", "true")
    assert len(fleet.tasks()) == before
    fleet.pawl("schedule", "show", "dry", code=3)


def test_dry_run_changes_nothing_whatever_the_command(fleet):
    said = fleet.pawl("task", "submit", "-", "--dry-run", code=8,
                      input='{"argv":["true"]}\n{"argv":"true"}\n{"shell":"true"}\n')
    assert [len(line) for line in said.lines] == [26, 1, 26] and "line 2: " in said.err, said
    assert "2 would be submitted, 1 refused (nothing submitted)" in said.err
    fleet.pawl("task", "show", said.lines[0], code=3)
    for verb in ("drain", "quiet", "stop", "retire", "resume"):
        assert f"would {verb} executor two" in fleet.pawl("executor", verb, "two", "--dry-run").err
        fleet.pawl("executor", verb, "no-such-executor", "--dry-run", code=3)
    assert fleet.pawl("executor", "show", "two", "-o", "json").json["state"] == "ready"
    assert "nothing changed" in fleet.pawl("queue", "pause", "default", "--dry-run").err
    assert not any(queue["paused"] for queue in fleet.pawl("queue", "list", "-o", "ndjson").rows)
    for verb, *more in (["complete"], ["fail"], ["extend", "--by", "1h"]):
        assert "nothing changed" in fleet.pawl("task", verb, "0" * 64, *more, "--dry-run").err


def test_a_zone_that_is_told_by_a_path_is_understood(fleet):
    """TZ=:/etc/localtime spares programs a look at the file each time; servers are set up so."""
    for zone in (":/etc/localtime", "/etc/localtime", ":/usr/share/zoneinfo/Europe/Paris"):
        said = fleet.pawl("when", "0 2 * * *", TZ=zone)
        assert "zone /" not in said.out, said
    assert "zone Europe/Paris" in said.out, said


def test_json_is_never_mixed_with_notes(fleet):
    for words in (["run", "--wait", "-o", "json", "--", "true"], ["stats", "-o", "json"],
                  ["broker", "status", "-o", "json"], ["executor", "show", "one", "-o", "json"]):
        assert fleet.pawl(*words).json


@pytest.mark.parametrize("words", [["run", "--", "true"], ["stats", "-o", "json"], ["version"], ["help"],
                                   ["task", "list"], ["when", "0 0 * * *"]], ids=" ".join)
def test_what_could_not_be_written_is_told_and_no_success(fleet, words):
    """A disk that is full, where the output goes."""
    with open("/dev/full", "w") as full:
        done = subprocess.run([fleet.bin / "pawl", *words], env={**fleet.env, "PAWL_BROKER": fleet.endpoint},
                              stdout=full, stderr=subprocess.PIPE, text=True, timeout=PATIENCE)
    assert done.returncode == 1 and done.stderr.count("error: ") == 1, done
    assert "No space left" in done.stderr, done
