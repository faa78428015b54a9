# SPDX-License-Identifier: Apache-2.0
"""What pawl schedule says and takes: spans, blockers, dry runs, all fields of a schedule."""
import json

import pytest

from fleet import until
from test_edges import three_lines

BACKWARDS = ("2026-03-02T00:00:00Z", "2026-03-01T00:00:00Z")


def test_an_audit_takes_its_span_as_words_or_as_flags(small):
    small.pawl("schedule", "add", "ticks", "--every", "1s", "--", "true")
    until(lambda: small.history("ticks"))
    small.pawl("schedule", "pause", "ticks")
    words = small.pawl("schedule", "audit", "ticks", "1h", "now")
    flags = small.pawl("schedule", "audit", "ticks", "--from", "1h", "--to", "now")
    assert words.out == flags.out and "no hole, no double" in words.err and len(words.lines) >= 2
    assert small.pawl("schedule", "history", "ticks", "1h", "-o", "ndjson").rows == small.history("ticks")
    twice = small.pawl("schedule", "audit", "ticks", "1h", "--from", "2h", code=2)
    assert "--from is said twice" in three_lines(twice.err)[0]
    assert "too many words" in small.pawl("schedule", "audit", "ticks", "1h", "now", "x", code=2).err


@pytest.mark.parametrize("words", [("schedule", "audit", "x"), ("schedule", "history", "x"),
                                   ("schedule", "missed", "x"), ("schedule", "backfill", "x"), ("when", "0 3 * * *")])
def test_a_span_that_ends_before_it_begins_is_refused(small, words):
    said = small.pawl(*words, "--from", BACKWARDS[0], "--to", BACKWARDS[1], code=2)
    lines = three_lines(said.err)
    assert "ends before it begins" in lines[0] and said.out == ""


def test_history_names_the_task_that_stood_in_the_way(small):
    small.pawl("schedule", "add", "slow", "--every", "1s", "--overlap", "skip", "--", "sleep", "1.6")

    def blocked():
        return [row for row in small.history("slow") if row["reason"] == "overlap"]
    [row, *_] = until(blocked)
    fired = {row["task"] for row in small.history("slow") if row["verdict"] == "fired"}
    assert row["blocker"] in fired and row["task"] is None
    [missed, *_] = small.pawl("schedule", "missed", "slow", "-o", "ndjson").rows
    assert missed["blocker"] == row["blocker"]
    assert row["blocker"] in small.pawl("schedule", "missed", "slow").out


def test_a_dry_run_speaks_of_the_schedule_as_it_would_be(small):
    small.pawl("schedule", "add", "c1", "--cron", "0 2 * * *", "--mode", "strict", "--", "true")
    said = small.pawl("schedule", "set", "c1", "--cron", "0 3 * * *", "--dry-run")
    assert "(strict)" in said.out and "(normal)" not in said.out
    assert small.schedule("c1")["rule"] == "0 2 * * *"
    said = small.pawl("schedule", "set", "c1", "--cron", "0 3 * * *", "--mode", "latest", "--dry-run")
    assert "(latest)" in said.out


def test_a_dry_run_refuses_what_the_command_would_refuse(small):
    add = ("schedule", "add")
    small.pawl(*add, "there", "--cron", "0 2 * * *", "--mode", "strict", "--", "true")
    for words, says in [
            ((*add, "there", "--cron", "0 3 * * *"), "exists"),
            ((*add, "past", "--at", "2020-01-01T00:00:00Z"), "no"),
            ((*add, "odd", "--cron", "0 3 * * *", "--mode", "strict", "--overlap", "skip"), "strict"),
            (("schedule", "set", "there", "--at", "2020-01-01T00:00:00Z"), "no"),
            (("schedule", "set", "there", "--overlap", "skip"), "strict")]:
        body = ("--", "true") if words[1] == "add" else ()
        dry = small.pawl(*words, "--dry-run", *body, code=None)
        wet = small.pawl(*words, *body, code=None)
        assert dry.code == wet.code != 0 and "would be" not in dry.out + dry.err.splitlines()[-1], (dry, wet)
        assert says in dry.err and says in wet.err and len(three_lines(dry.err)) == 3
    past = (*add, "past", "--at", "2020-01-01T00:00:00Z", "--mode", "strict", "--dry-run", "--", "true")
    assert "would be created" in small.pawl(*past).err


SET = {"rate": 7, "start_by": "5m", "order": "newest", "live_first": True, "on_resume": "catchup", "warn": 20,
       "overlap_scope": "key", "overlap_key": "db-main", "max_running": 3, "supersede": False, "grace": "20s",
       "window": "2h", "ahead": 50, "jitter": "10s"}


def test_show_tells_all_that_is_set(small):
    small.pawl("schedule", "add", "full", "--cron", "0 2 * * *", "--mode", "strict", "--rate", "7", "--start-by", "5m",
               "--live-first", "yes", "--order", "newest", "--on-resume", "catchup", "--warn", "20",
               "--overlap-scope", "db-main", "--max-running", "3", "--supersede", "no", "--grace", "20s",
               "--window", "2h", "--ahead", "50", "--jitter", "10s", "--", "true")
    shown = json.loads(small.pawl("schedule", "show", "full", "-o", "json").out)
    assert {key: shown[key] for key in SET} == SET
    table = small.pawl("schedule", "show", "full").out
    assert {line.split()[0].lower() for line in table.splitlines()} >= set(SET)
    small.pawl("schedule", "add", "plain", "--cron", "0 2 * * *", "--", "true")
    plain = json.loads(small.pawl("schedule", "show", "plain", "-o", "json").out)
    assert set(plain) == set(shown) and plain["supersede"] is None and plain["start_by"] is None


def test_supersede_is_a_flag_and_contradicts_strict(small):
    small.pawl("schedule", "add", "way", "--cron", "0 2 * * *", "--supersede", "no", "--", "true")
    assert small.pawl("schedule", "show", "way", "-o", "json").json["supersede"] is False
    small.pawl("schedule", "set", "way", "--supersede", "yes")
    assert small.pawl("schedule", "show", "way", "-o", "json").json["supersede"] is True
    said = small.pawl("schedule", "set", "way", "--mode", "strict", code=2)
    assert "supersede" in said.err
    assert "--supersede" in small.pawl("help", "schedule", "add").out


def test_an_edit_is_told_with_what_it_moved(small):
    small.pawl("schedule", "add", "moves", "--cron", "0 2 * * *", "--zone", "UTC", "--", "true")
    before = small.schedule("moves")["next"]
    small.pawl("schedule", "set", "moves", "--cron", "0 3 * * *")
    [event] = [row for row in small.pawl("events", "-o", "ndjson").rows if row["kind"] == "schedule.edited"]
    first, arrow, second = event["detail"].removeprefix("next ").split()
    assert arrow == "->" and first.endswith("T02:00:00Z") and second.endswith("T03:00:00Z") and before


def test_what_does_nothing_or_comes_later_is_said(small):
    said = small.pawl("schedule", "add", "loose", "--cron", "0 2 * * *", "--window", "1h", "--jitter", "1h",
                      "--dry-run", "--", "true")
    assert "--window does nothing in mode normal" in said.out and "up to 1h after each instant" in said.out
    said = small.pawl("schedule", "add", "loose", "--cron", "0 2 * * *", "--jitter", "1h", "--", "true")
    [own] = [line.split()[1] for line in said.out.splitlines() if line.startswith("jitter")]
    assert f"each run comes {own} after its instant" in small.pawl("schedule", "preview", "loose").err
    assert "window" not in said.out
    small.pawl("schedule", "add", "delay", "--after", "1h", "--", "true")
    assert "a fixed delay" in small.pawl("schedule", "preview", "delay").err
