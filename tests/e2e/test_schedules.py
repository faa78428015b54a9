# SPDX-License-Identifier: Apache-2.0
"""Schedules: their ledger against instants worked out by ops/demo/ledger.py, on good and bad days."""
import time

import pytest

import ledger
from conftest import ROOT
from fleet import PATIENCE, SLOW_S, until


def judge(fleet, name):
    """The ledger is complete and right; its rows."""
    schedule, rows = fleet.schedule(name), fleet.history(name)
    cursor = ledger.moment(schedule["cursor"])
    rows = [row for row in rows if ledger.moment(row["instant"]) <= cursor]  # it went on meanwhile
    ids = {row["task"] for row in rows}
    tasks = [task for task in fleet.tasks("--schedule", name) if task["id"] in ids]
    assert ledger.faults(schedule, rows, tasks) == []
    return rows


def test_add_says_when_it_fires_and_list_shows_it(fleet):
    said = fleet.pawl("schedule", "add", "weekdays", "--cron", "30 2 * * 1-5", "--zone", "Europe/Paris", "--", "true")
    assert "next" in said.out + said.err and "created" in said.out + said.err
    rows = fleet.pawl("schedule", "list", "--tz", "Europe/Paris", "-o", "ndjson").rows
    [row] = [row for row in rows if row["name"] == "weekdays"]
    assert {"name", "uid", "revision", "rule", "zone", "mode", "overlap", "state", "next", "last", "cursor",
            "behind", "missed"} <= set(row)
    assert row["zone"] == "Europe/Paris" and row["rule"] == "30 2 * * 1-5" and row["state"] == "active"
    assert row["next"].endswith(("+01:00", "+02:00"))
    fleet.pawl("schedule", "rm", "weekdays")


def test_two_schedulers_side_by_side_fire_each_instant_once(fleet):
    fleet.pawl("schedule", "add", "every-second", "--every", "1s", "--mode", "strict", "--", "true")
    until(lambda: len(fleet.history("every-second")) >= 4)
    fleet.pawl("schedule", "pause", "every-second")
    rows = judge(fleet, "every-second")
    assert {row["verdict"] for row in rows} == {"fired"}
    assert len(fleet.tasks("--schedule", "every-second")) == len(rows)
    fleet.pawl("schedule", "rm", "every-second")


def test_preview_and_when_agree(fleet):
    fleet.pawl("schedule", "add", "agree", "--cron", "*/7 3 * * *", "--zone", "America/New_York", "--", "true")

    def both():
        preview = fleet.pawl("schedule", "preview", "agree", "-n", "20", "-o", "json").json
        when = fleet.pawl("when", "*/7 3 * * *", "--zone", "America/New_York", "-n", "20", "-o", "json").json
        return [row["instant"] for row in preview], when["next"]
    preview, when = both()
    if preview != when:  # one of the instants came between the two questions
        preview, when = both()
    assert preview == when and len(preview) == 20
    fleet.pawl("schedule", "rm", "agree")


def test_now_runs_it_once_beside_the_rule(fleet):
    fleet.pawl("schedule", "add", "by-hand", "--cron", "0 0 1 1 *", "--", "true")
    id = fleet.pawl("schedule", "now", "by-hand").lines[-1]
    assert fleet.wait_status(id, "finished")["schedule"] == "by-hand"
    assert fleet.history("by-hand") == []
    fleet.pawl("schedule", "rm", "by-hand")


def test_a_paused_normal_schedule_does_not_fire_and_its_pause_is_on_record(fleet):
    fleet.pawl("schedule", "add", "rests", "--every", "1s", "--", "true")
    until(lambda: fleet.history("rests"))
    fleet.pawl("schedule", "pause", "rests", "--reason", "disk swap")
    assert fleet.schedule("rests")["state"] == "paused"
    before = len(fleet.tasks("--schedule", "rests"))
    time.sleep(2.2)
    assert len(fleet.tasks("--schedule", "rests")) == before
    fleet.pawl("schedule", "resume", "rests")
    until(lambda: len(fleet.tasks("--schedule", "rests")) >= before + 2)
    rows = judge(fleet, "rests")
    paused = [row for row in rows if row["verdict"] == "skipped" and "paused" in row["reason"]]
    assert len(paused) >= 2
    missed = fleet.pawl("schedule", "missed", "rests", "-o", "ndjson").rows
    assert [row["instant"] for row in paused] == [row["instant"] for row in missed][:len(paused)]
    fleet.pawl("schedule", "rm", "rests")


def test_a_paused_strict_schedule_makes_what_it_missed(fleet):
    fleet.pawl("schedule", "add", "owes", "--every", "1s", "--mode", "strict", "--", "true")
    fleet.pawl("schedule", "pause", "owes")
    time.sleep(2.2)
    fleet.pawl("schedule", "resume", "owes", "--make-missed")
    until(lambda: len(fleet.history("owes")) >= 3)
    assert {row["verdict"] for row in judge(fleet, "owes")} == {"fired"}
    fleet.pawl("schedule", "rm", "owes")


def test_a_removed_schedule_fires_no_more_and_its_name_is_free_again(fleet):
    fleet.pawl("schedule", "add", "gone", "--every", "1s", "--", "true")
    first = fleet.schedule("gone")["uid"]
    until(lambda: fleet.history("gone"))
    fleet.pawl("schedule", "add", "gone", "--every", "1s", "--", "true", code=4)
    assert first in fleet.pawl("schedule", "rm", "gone").err
    fleet.pawl("schedule", "show", "gone", code=3)
    fleet.pawl("schedule", "history", "gone", code=3)
    kept = fleet.history(first)
    assert kept and {row["verdict"] for row in kept} == {"fired"}
    fleet.pawl("schedule", "add", "gone", "--cron", "0 0 1 1 *", "--", "true")
    assert fleet.schedule("gone")["uid"] != first
    fleet.pawl("schedule", "rm", "gone")


def test_an_edit_raises_the_revision_and_keeps_the_name(fleet):
    fleet.pawl("schedule", "add", "edited", "--cron", "0 0 1 1 *", "--", "true")
    fleet.pawl("schedule", "set", "edited", "--cron", "0 3 * * *")
    schedule = fleet.schedule("edited")
    assert schedule["revision"] == 2 and schedule["rule"] == "0 3 * * *"
    fleet.pawl("schedule", "rm", "edited")


def test_one_chosen_instant_fires_once(fleet):
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 8))
    fleet.pawl("schedule", "add", "once", "--at", at, "--", "true")
    [row] = until(lambda: fleet.history("once"))
    assert row["verdict"] == "fired" and ledger.moment(row["instant"]) == ledger.moment(at)
    fleet.pawl("schedule", "rm", "once")


def test_an_instant_long_past_is_refused_and_not_silently_dead(fleet):
    said = fleet.pawl("schedule", "add", "late", "--at", "2020-01-01T00:00:00Z", "--", "true", code=2)
    assert "TOO_LATE" in said.err


def outage(own, mode):
    """Three seconds without any scheduler; the ledger after it."""
    own.broker()
    own.executor("worker", 4)
    scheduler = own.scheduler("only")
    own.pawl("schedule", "add", "job", "--every", "1s", "--mode", mode, "--grace", "400ms", "--overlap", "allow",
             "--", "true")
    until(lambda: own.history("job"))
    scheduler.kill()
    time.sleep(3.2)
    scheduler.start()
    after = time.time()
    until(lambda: [row for row in own.history("job") if ledger.moment(row["instant"]) > after + 1])
    return judge(own, "job")


def test_strict_makes_every_missed_instant_after_an_outage_of_all_schedulers(own):
    rows = outage(own, "strict")
    assert {row["verdict"] for row in rows} == {"fired"}
    assert any(row["reason"] != "on time" for row in rows), rows


def test_normal_skips_what_it_missed_in_an_outage_and_says_so(own):
    rows = outage(own, "normal")
    late = [row for row in rows if row["verdict"] == "skipped"]
    assert len(late) >= 2 and {row["reason"] for row in late} == {"late"}, rows
    # it goes on; on a slow machine a scheduler may be late for one or the other
    last = ledger.moment(rows[-1]["instant"])
    until(lambda: [row for row in own.history("job")
                   if row["verdict"] == "fired" and ledger.moment(row["instant"]) >= last])


def test_strict_makes_every_missed_instant_after_the_broker_was_away(small):
    small.pawl("schedule", "add", "job", "--every", "1s", "--mode", "strict", "--overlap", "allow", "--", "true")
    until(lambda: small.history("job"))
    [broker] = small.of("broker")
    broker.kill()
    time.sleep(2.5)
    broker.start()
    until(lambda: len(small.history("job")) >= 6)
    rows = judge(small, "job")
    assert {row["verdict"] for row in rows} == {"fired"}


def test_live_first_runs_new_instants_beside_the_backlog_of_an_outage(small):
    small.pawl("schedule", "add", "job", "--every", "1s", "--mode", "strict", "--overlap", "allow", "--live-first",
               "yes", "--grace", "400ms", "--rate", "1", "--", "true")
    until(lambda: len(small.history("job")) >= 1)
    [broker] = small.of("broker")
    broker.kill()
    time.sleep(4)  # some instants pass, and their grace
    broker.start()
    backlog = until(lambda: small.pawl("schedule", "range", "list", "job", "--all", "-o", "ndjson").rows)
    assert backlog[0]["cause"] == "backlog"
    until(lambda: any(row["state"] == "done" for row in
                      small.pawl("schedule", "range", "list", "job", "--all", "-o", "ndjson").rows))
    small.pawl("schedule", "audit", "job", "--from", "1d")


def test_overlap_skip_is_on_record_with_its_reason(small):
    small.pawl("schedule", "add", "slow", "--every", "1s", "--overlap", "skip", "--", "sleep", "1.6")
    until(lambda: {"fired", "skipped"} <= {row["verdict"] for row in small.history("slow")})
    rows = judge(small, "slow")
    assert any("overlap" in row["reason"] for row in rows if row["verdict"] == "skipped")


def test_schedules_of_one_scope_run_one_at_a_time_and_a_bad_key_is_refused(small, tmp_path):
    lock = tmp_path / "lock"
    body = f"mkdir {lock} || exit 9; sleep 0.3; rmdir {lock}"
    for name in ("one", "two"):
        small.pawl("schedule", "add", name, "--every", "1s", "--overlap", "queue_all", "--label", "db=main",
                   "--overlap-scope", "db-{label.db}", "--shell", body)
    until(lambda: min(len(small.history(name)) for name in ("one", "two")) >= 3)
    until(lambda: small.tasks("--status", "finished"))
    assert "failed" not in {row["status"] for row in small.tasks()}
    bad = small.pawl("schedule", "add", "bad", "--every", "1s", "--overlap-scope", "{host}", "--", "true", code=2)
    assert "{host} stands for nothing here" in bad.err


@pytest.mark.parametrize("count", [1, 3])
def test_history_from_an_instant_with_a_limit(small, count):
    small.pawl("schedule", "add", "ticks", "--every", "1s", "--mode", "strict", "--", "true")
    until(lambda: len(small.history("ticks")) >= 4)
    rows = small.history("ticks")
    assert small.history("ticks", "--from", rows[1]["instant"], "--limit", count) == rows[1:1 + count]


def test_a_crontab_is_shown_first_and_taken_then(small):
    crontab = ROOT / "ops" / "demo" / "crontab"
    dry = small.pawl("import", "crontab", crontab, "--dry-run", "-o", "ndjson", code=8)
    assert "nothing written" in dry.err
    assert small.pawl("schedule", "list", "-o", "json").json == []
    real = small.pawl("import", "crontab", crontab, "-o", "ndjson", code=8)
    assert [(row["rule"], row["result"]) for row in real.rows] == [(row["rule"], row["result"]) for row in dry.rows]
    taken = [row for row in real.rows if row["result"] == "taken"]
    names = {row["name"]: row for row in small.pawl("schedule", "list", "-o", "ndjson").rows}
    assert set(names) == {row["schedule"] for row in taken} and len(names) == len(taken) > 15
    assert {row["zone"] for row in names.values()} >= {"America/New_York"}
    percent = next(row for row in taken if "alive at" in row["command"])
    task = small.schedule(percent["schedule"])["task"]
    assert task["shell"] == "echo alive at $(date +%F\\ %T)"
    body = next(row for row in taken if "first line" in row["command"])
    assert small.schedule(body["schedule"])["task"]["stdin"].splitlines() == ["first line of the body", "second line"]
    small.pawl("import", "crontab", crontab, code=8)  # again: nothing is doubled, nothing is changed
    after = {row["name"]: row for row in small.pawl("schedule", "list", "-o", "ndjson").rows}
    assert {name: (row["uid"], row["revision"]) for name, row in after.items()} == {
        name: (row["uid"], row["revision"]) for name, row in names.items()}


def test_two_schedulers_with_a_choice_by_labels_hand_a_schedule_over_without_a_gap(own):
    own.broker()
    own.executor("worker", 4)
    add = ["schedule", "add", "moves", "--every", "1s", "--mode", "strict", "--label", "team=ops", "--", "true"]
    own.pawl(*add)
    [row] = own.pawl("schedule", "list", "-o", "ndjson").rows
    assert row["state"] == "no scheduler" and row["labels"] == {"team": "ops"}
    assert "no scheduler is connected" in own.pawl("schedule", "why", "moves").out
    own.scheduler("ops", "--select", "team=ops")
    until(lambda: len(own.history("moves")) >= 2)
    assert own.schedule("moves")["state"] == "active"
    own.pawl("schedule", "set", "moves", "--label", "team=web")
    until(lambda: own.schedule("moves")["state"] == "no scheduler")
    assert "chooses its labels" in own.pawl("schedule", "why", "moves").out
    own.scheduler("web", "--select", "team!=ops")
    count = len(own.history("moves"))
    until(lambda: len(own.history("moves")) >= count + 3)  # strict: also those of the gap
    for team in "ops", "web", "ops", "web":
        count = len(own.history("moves"))
        own.pawl("schedule", "set", "moves", "--label", "team=" + team)
        until(lambda: len(own.history("moves")) >= count + 2)
    rows = judge(own, "moves")
    assert {row["verdict"] for row in rows} == {"fired"}
    assert own.pawl("schedule", "list", "--label", "team=web", "-o", "ndjson").rows
    assert own.pawl("schedule", "list", "--label", "team=ops", "-o", "ndjson").rows == []
    assert "at column" in own.pawl("schedule", "list", "--label", "=", code=None).err


def test_a_scheduler_refuses_a_choice_it_cannot_read(own):
    own.broker()
    odd = own.scheduler("odd", "--select", "team=ops,=", start=False).start(wait=False)
    odd.process.wait(PATIENCE)
    assert odd.process.returncode == 2 and "at column 10" in odd.said()


def ranges(fleet, name, *words):
    return fleet.pawl("schedule", "range", "list", name, *words, "-o", "ndjson").rows


def test_a_backfill_runs_each_instant_of_its_span_once_and_is_audited(fleet):
    fleet.pawl("schedule", "add", "refill", "--cron", "0 0-5 1 1 *", "--zone", "UTC", "--mode", "strict", "--", "true")
    number = fleet.pawl("schedule", "backfill", "refill", "--from", "2026-01-01T00:00:00Z",
                        "--to", "2026-01-01T06:00:00Z", "--order", "newest").out.strip()
    until(lambda: ranges(fleet, "refill", "--all")[0]["state"] == "done")
    [row] = ranges(fleet, "refill", "--all")
    assert (str(row["range"]), row["cause"], row["fired"], row["left"]) == (number, "backfill", 6, 0)
    assert ranges(fleet, "refill") == []
    until(lambda: len(fleet.tasks("--schedule", "refill", "--status", "finished")) == 6)
    rows = [row for row in fleet.history("refill") if row["reason"] == "backfill"]
    assert [row["instant"][:13] for row in rows] == [f"2026-01-01T0{hour}" for hour in range(6)]
    assert {task["id"] for task in fleet.tasks("--schedule", "refill")} >= {row["task"] for row in rows}
    spans = fleet.pawl("schedule", "audit", "refill", "--from", "2026-01-01", "-o", "ndjson").rows
    assert sum(span["instants"] for span in spans if span["range"] == int(number)) == 6
    assert sum(span["tasks"] for span in spans if span["range"] == int(number)) == 6
    fleet.pawl("schedule", "rm", "refill")


def test_ten_years_of_minutes_are_one_range_until_it_is_cancelled(fleet):
    fleet.pawl("schedule", "add", "decade", "--cron", "* * * * *", "--zone", "UTC", "--ahead", "4", "--mode", "strict",
               "--on", "label=nobody=here", "--", "true")
    fleet.pawl("schedule", "backfill", "decade", "--from", "2015-01-01T00:00:00Z", "--to", "2025-01-01T00:00:00Z")
    until(lambda: ranges(fleet, "decade")[0]["fired"] == 3)  # a quarter of `ahead` is left to live instants
    fleet.pawl("schedule", "range", "pause", "decade", "1")
    assert ranges(fleet, "decade")[0]["state"] == "paused"
    fleet.pawl("schedule", "range", "resume", "decade", "1")
    fleet.pawl("schedule", "range", "cancel", "decade", "1")
    [row] = ranges(fleet, "decade", "--all")
    minutes = 10 * 365 * 1440 + 3 * 1440
    assert (row["state"], row["fired"], row["skipped"]) == ("cancelled", 3, minutes - 3)
    said = fleet.pawl("schedule", "range", "resume", "decade", "1", code=4)
    assert "cancelled" in said.err
    spans = fleet.pawl("schedule", "audit", "decade", "-o", "ndjson").rows
    assert {"cancelled"} == {span["reason"] for span in spans if span["range"] and span["verdict"] == "skipped"}
    fleet.pawl("schedule", "rm", "decade")


@pytest.mark.parametrize("what", [("range", "pause", "goes-on", "1"), ("pause", "goes-on")])
def test_what_is_resumed_goes_on_at_once(fleet, what):
    fleet.pawl("schedule", "add", "goes-on", "--cron", "* * * * *", "--zone", "UTC", "--mode", "strict", "--ahead",
               "8", "--", "true")
    fleet.pawl("schedule", "backfill", "goes-on", "--from", "2025-01-01T00:00:00Z", "--to", "2025-02-01T00:00:00Z")
    until(lambda: ranges(fleet, "goes-on")[0]["fired"] >= 8)
    fleet.pawl("schedule", *what)
    until(lambda: not fleet.tasks("--schedule", "goes-on", "--status", "waiting,running"))
    before = ranges(fleet, "goes-on")[0]["fired"]
    began = time.monotonic()
    fleet.pawl("schedule", *["resume" if word == "pause" else word for word in what])
    until(lambda: ranges(fleet, "goes-on")[0]["fired"] > before)
    assert time.monotonic() - began < SLOW_S  # nobody looks again by the clock
    fleet.pawl("schedule", "range", "cancel", "goes-on", "1")
    fleet.pawl("schedule", "rm", "goes-on")


def test_a_folded_run_knows_what_it_stands_for(fleet):
    fleet.pawl("schedule", "add", "folds", "--every", "1s", "--mode", "latest", "--overlap", "allow", "--pause",
               "--", "sh", "-c", "echo $PAWL_FOLDED_COUNT $PAWL_FOLDED_FIRST $PAWL_FOLDED_LAST")
    until(lambda: fleet.schedule("folds")["behind"] >= 3)
    fleet.pawl("schedule", "resume", "folds", "--missed", "latest")
    until(lambda: [row for row in fleet.history("folds") if row["reason"] == "latest" and row["verdict"] == "fired"])
    fleet.pawl("schedule", "pause", "folds")
    rows = fleet.history("folds")
    fired = next(row for row in rows if row["verdict"] == "fired" and row["reason"] == "latest")
    folded = [row["instant"] for row in rows[:rows.index(fired)] if row["verdict"] == "folded"]
    fleet.pawl("task", "wait", fired["task"])
    count, first, last = fleet.pawl("task", "logs", fired["task"]).out.split()
    assert int(count) == len(folded) + 1
    assert ledger.moment(first) == ledger.moment(folded[0]) and ledger.moment(last) == ledger.moment(fired["instant"])
    shown = fleet.pawl("task", "show", fired["task"], "-o", "json").json
    assert shown["folded_count"] == int(count)
    fleet.pawl("schedule", "rm", "folds")


def test_an_edit_of_a_strict_schedule_leaves_its_backlog_to_the_old_rule(fleet):
    fleet.pawl("schedule", "add", "edited", "--every", "1s", "--mode", "strict", "--overlap", "allow", "--pause", "--",
               "true")
    until(lambda: fleet.schedule("edited")["behind"] >= 3)
    fleet.pawl("schedule", "set", "edited", "--cron", "0 0 1 1 *")
    [row] = ranges(fleet, "edited")
    assert row["cause"] == "backlog" and row["left"] >= 3
    fleet.pawl("schedule", "resume", "edited")
    until(lambda: ranges(fleet, "edited", "--all")[0]["state"] == "done")
    rows = fleet.history("edited")
    assert len(rows) == row["left"] and {one["reason"] for one in rows} == {"catchup"}
    fleet.pawl("schedule", "audit", "edited")
    fleet.pawl("schedule", "rm", "edited")


def test_a_scheduler_says_when_the_broker_is_away_and_when_it_is_back(own):
    scheduler = own.scheduler("scheduler", start=False).start(wait=False)
    until(lambda: "BROKER_AWAY" in scheduler.said())
    assert own.endpoint in scheduler.said() and not scheduler.ready()
    broker = own.broker()
    scheduler.wait_ready()
    until(lambda: "BROKER_BACK" in scheduler.said())
    broker.kill()
    until(lambda: scheduler.said().count("BROKER_AWAY") >= 2)
    assert scheduler.alive()
