# SPDX-License-Identifier: Apache-2.0
"""Several rules, calendars, fixed delays, a number of firings, zones that vanish: with the programs."""
import json
import shutil
import time

import pytest

from fleet import until


def test_a_union_is_previewed_as_it_fires(fleet):
    fleet.pawl("schedule", "add", "union", "--cron", "0 9 * * 1-5", "--also", "0 9 1 * *", "--also", "0 12 * * 6",
               "--zone", "Europe/Berlin", "--", "true")

    def both():
        preview = fleet.pawl("schedule", "preview", "union", "-n", "30", "-o", "json").json
        when = fleet.pawl("when", "0 9 * * 1-5", "--also", "0 9 1 * *", "--also", "0 12 * * 6", "--zone",
                          "Europe/Berlin", "-n", "30", "-o", "json").json
        return [row["instant"] for row in preview], when["next"]
    preview, when = both()
    if preview != when:  # one of the instants came between the two questions
        preview, when = both()
    assert preview == when and len(set(when)) == len(when) == 30
    assert "and also" in fleet.schedule("union")["words"]
    fleet.pawl("schedule", "set", "union", "--also", "")
    assert fleet.schedule("union")["also"] == []
    fleet.pawl("schedule", "rm", "union")


def test_a_bad_second_rule_is_refused_with_its_place(fleet):
    refused = fleet.pawl("schedule", "add", "bad", "--cron", "0 0 * * *", "--also", "0 25 * * *", "--", "true", code=2)
    assert "0 25 * * *" in refused.err and "column 3" in refused.err


def test_calendars_from_the_command_line(fleet):
    fleet.pawl("calendar", "set", "days off", "12-24..01-01", "SAT..SUN", "--title", "nobody works")
    row = next(row for row in fleet.pawl("calendar", "list", "-o", "ndjson").rows if row["name"] == "days off")
    assert (row["entries"], row["users"], row["title"]) == (2, 0, "nobody works")
    bad = fleet.pawl("calendar", "set", "days off", "2026-02-30", code=2)
    assert "2026-02-30" in bad.err and "column 9" in bad.err
    fleet.pawl("schedule", "add", "works", "--cron", "0 9 * * *", "--calendar", "days off", "--zone", "UTC", "--", "true")
    rows = fleet.pawl("schedule", "preview", "works", "-n", "10", "-o", "json").json
    closed = [row for row in rows if row["closed"]]
    assert len(rows) - len(closed) == 10 and {row["closed"] for row in closed} == {"days off"}
    next_before = fleet.schedule("works")["next"]
    refused = fleet.pawl("calendar", "rm", "days off", code=4)
    assert "works" in refused.err
    revision = fleet.schedule("works")["revision"]
    fleet.pawl("calendar", "set", "days off", "MON..SAT")
    until(lambda: fleet.schedule("works")["revision"] == revision + 1)
    assert fleet.schedule("works")["next"] != next_before or time.gmtime().tm_wday == 5
    assert fleet.pawl("calendar", "show", "days off", "-o", "json").json["entries"] == ["MON..SAT"]
    fleet.pawl("schedule", "set", "works", "--calendar", "")
    fleet.pawl("calendar", "rm", "days off")
    assert fleet.pawl("schedule", "add", "more", "--cron", "0 9 * * *", "--calendar", "days off", "--", "true",
                      code=3).err
    fleet.pawl("schedule", "rm", "works")


def test_calendars_in_files(fleet, folder):
    (folder / "all.yaml").write_text("""
kind: calendar
name: feast
entries: ["12-24..12-26", "days * 11 THU#4"]
---
name: filed
cron: "0 9 * * *"
also: ["0 10 * * 1"]
calendars: [feast]
max_firings: 7
zone: UTC
task: {argv: ["true"]}
---
name: poller
after: 10m
task: {argv: ["true"]}
""")
    made = fleet.pawl("schedule", "apply", "-f", str(folder), "--owner", "rules")
    assert "3 created" in made.err
    assert "no changes" in fleet.pawl("schedule", "apply", "-f", str(folder), "--owner", "rules").err
    spec = fleet.schedule("filed")
    assert spec["also"] == ["0 10 * * 1"] and spec["calendars"] == ["feast"] and spec["max_firings"] == 7
    exported = fleet.pawl("export", "yaml").out
    (folder / "all.yaml").write_text(exported)
    assert "0 created, 0 edited" in fleet.pawl("schedule", "diff", "-f", str(folder)).err or \
        "no changes" in fleet.pawl("schedule", "diff", "-f", str(folder)).err
    crontab = fleet.pawl("export", "crontab", "filed", "poller", code=8)
    assert "one rule" in crontab.err and "delay behind the end" in crontab.err
    for name in ("filed", "poller"):
        fleet.pawl("schedule", "rm", name)
    fleet.pawl("calendar", "rm", "feast")


def test_a_fixed_delay_runs_one_after_the_other(fleet):
    fleet.pawl("schedule", "add", "after", "--after", "1s", "--max-firings", "3", "--", "sleep", "0.3")
    until(lambda: fleet.schedule("after")["state"] == "ended" and len(fleet.tasks("--schedule", "after")) == 3)
    tasks = sorted(until(lambda: [t for t in fleet.tasks("--schedule", "after") if t["status"] == "finished"]
                         if len([t for t in fleet.tasks("--schedule", "after") if t["status"] == "finished"]) == 3
                         else None), key=lambda task: task["started"])
    for before, task in zip(tasks, tasks[1:]):
        assert before["ended"] < task["started"]
    assert [row["verdict"] for row in fleet.history("after")] == ["fired"] * 3
    assert [row for row in fleet.events("schedule.ended") if row["name"] == "after"]
    refused = fleet.pawl("schedule", "set", "after", "--max-firings", "2", code=2)
    assert "3 times" in refused.err
    fleet.pawl("schedule", "rm", "after")


@pytest.mark.parametrize("words, says", [
    (("--cron", "0 0 30 2 *"), "a day that some month of the rule has"), (("--cron", "*/0 * * * *"), "1 to 60"), (("--cron", "4294967296 * * * *"), "59"),
    (("--cron", "0 0 * * *", "--zone", "Mars/Olympus"), "Mars/Olympus"), (("--after", "10ms"), "a second"),
    (("--cron", "0 0 * * *", "--after", "10m"), "exclude each other"),
    (("--at", "2020-01-01T00:00:00Z"), "past"),
])
def test_what_can_never_run_is_refused_with_its_reason(fleet, words, says):
    refused = fleet.pawl("schedule", "add", "never", *words, "--", "true", code=2)
    assert says in refused.err and len(refused.err.strip().splitlines()) == 3


@pytest.mark.parametrize("local, is_at", [("2027-03-28T02:30:00", "2027-03-28T03:00:00+02:00"),
                                          ("2027-10-31T02:30:00", "2027-10-31T02:30:00+02:00")])
def test_a_local_time_that_clocks_skip_or_repeat_is_the_same_wherever_it_is_typed(fleet, folder, local, is_at):
    zone = ("--zone", "Europe/Paris")
    [said] = fleet.pawl("when", f"@at {local}", *zone, "-n", "1", "-o", "json").json["next"]
    assert said == is_at
    fleet.pawl("schedule", "add", "once", "--at", local, *zone, "--pause", "--", "true")
    fleet.pawl("schedule", "add", "from", "--cron", "* * * * *", "--start", local, *zone, "--pause", "--", "true")
    (folder / "file.yaml").write_text(f"name: file\ncron: '* * * * *'\nzone: Europe/Paris\nstart: {local}\n"
                                      "paused: true\ntask: {argv: ['true']}\n")
    fleet.pawl("schedule", "apply", "-f", folder / "file.yaml")
    assert fleet.schedule("once")["rule"] == f"@at {is_at}"
    for name in ("from", "file"):
        [exported] = fleet.pawl("export", "json", name).json
        assert exported["start"] == is_at
    [first] = fleet.pawl("when", "* * * * *", *zone, "--from", local, "-n", "1", "-o", "json").json["next"]
    assert first == is_at
    for name in ("once", "from", "file"):
        fleet.pawl("schedule", "rm", name)


def test_a_trap_is_shown_when_it_is_typed(fleet):
    said = fleet.pawl("schedule", "add", "trap", "--cron", "* */15 * * * *", "--pause", "--", "true")
    assert '"*/15 * * * *" (every 15 minutes)' in said.out + said.err
    fleet.pawl("schedule", "rm", "trap")
    said = fleet.pawl("schedule", "add", "trap", "--cron", "0 0 1 * MON", "--dry-run", "--", "true")
    assert "match either" in said.out + said.err


def test_a_zone_that_vanishes_pauses_its_schedules(own):
    zones = own.folder / "zones"
    (zones / "Etc").mkdir(parents=True)
    for name in ("UTC", "Etc/GMT-1"):
        shutil.copyfile(f"/usr/share/zoneinfo/{name}", zones / name)
    own.env |= {"PAWL_BROKER__ZONES__FOLDER": str(zones), "PAWL_BROKER__ZONES__EVERY": "1s"}
    own.broker()
    own.scheduler("s")
    own.executor("e", 2)
    own.pawl("schedule", "add", "there", "--every", "1s", "--mode", "strict", "--zone", "Etc/GMT-1", "--", "true")
    own.pawl("schedule", "add", "here", "--every", "1s", "--zone", "UTC", "--", "true")
    until(lambda: len(own.history("there")) >= 2)
    (zones / "Etc/GMT-1").rename(zones / "away")
    until(lambda: own.schedule("there")["state"] == "paused")
    assert "Etc/GMT-1 is gone" in own.schedule("there")["reason"]
    assert own.events("zone.gone") and own.schedule("here")["state"] == "active"
    before = own.schedule("there")["fired"]
    assert "Etc/GMT-1" in own.pawl("schedule", "add", "new", "--cron", "0 0 * * *", "--zone", "Etc/GMT-1", "--", "true",
                                   code=2).err
    time.sleep(1.5)
    assert own.schedule("there")["fired"] == before
    (zones / "away").rename(zones / "Etc/GMT-1")
    until(lambda: own.schedule("there")["state"] == "active")
    own.pawl("schedule", "pause", "there")
    rows = until(lambda: own.history("there"))
    seconds = [row["instant"] for row in rows]
    assert {row["verdict"] for row in rows} == {"fired"} and len(seconds) == len(set(seconds))
    stamps = [time.mktime(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S")) for text in seconds]
    assert all(b - a == 1 for a, b in zip(stamps, stamps[1:])), json.dumps(seconds)


def test_bounds_are_set_shown_and_lifted(fleet):
    fleet.pawl("schedule", "add", "bound", "--cron", "0 9 * * *", "--zone", "UTC", "--start", "2099-01-01T00:00:00Z",
               "--end", "2099-01-02T12:00:00Z", "--", "true")
    rows = fleet.pawl("schedule", "preview", "bound", "--tz", "utc", "-o", "json").json
    assert [row["utc"][:16] for row in rows] == ["2099-01-01T09:00", "2099-01-02T09:00"]
    assert "from 2099-01-01" in fleet.schedule("bound")["words"] and "until 2099-01-02" in fleet.schedule("bound")["words"]
    fleet.pawl("schedule", "set", "bound", "--start", "", "--end", "")
    assert fleet.schedule("bound")["start"] is None and fleet.schedule("bound")["next"] < "2099"
    refused = fleet.pawl("schedule", "set", "bound", "--start", "2099-01-02T00:00:00Z", "--end", "2099-01-01T00:00:00Z",
                         code=2)
    assert "ends before it begins" in refused.err
    fleet.pawl("schedule", "rm", "bound")


def test_lists_say_in_one_text_when_it_runs(fleet):
    fleet.pawl("schedule", "add", "said", "--cron", "0 9 * * *", "--also", "0 10 1 * *", "--", "true")
    fleet.pawl("schedule", "add", "delay", "--after", "1h", "--start", "2099-01-01T00:00:00Z", "--", "true")
    table = fleet.pawl("schedule", "list", "-o", "table").out
    assert "0 9 * * * | 0 10 1 * *" in table and "(after 1h)" in table
    rows = {row["name"]: row for row in fleet.pawl("schedule", "list", "-o", "ndjson").rows}
    assert rows["said"]["rule"] == "0 9 * * *" and rows["delay"]["rule"] == "" and rows["delay"]["next"]
    for name in ("said", "delay"):
        fleet.pawl("schedule", "rm", name)
