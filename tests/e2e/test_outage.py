# SPDX-License-Identifier: Apache-2.0
"""Outages of schedulers with the real programs: what explain says of one is what it did."""
import datetime
import shutil
import struct
import subprocess
import re
import time

import pytest

from fleet import SLOW_S, seconds, until


def text(second):
    return datetime.datetime.fromtimestamp(second, datetime.timezone.utc).isoformat()


def explain(fleet, *words):
    return fleet.pawl("schedule", "explain", *words, "-o", "json").json


def spread(items, step):
    """Each instant with its verdict."""
    verdicts = {}
    for item in items:
        first = seconds(item["instant"])
        for n in range(item["count"]):
            verdicts[first + n * step] = (item["verdict"], item["reason"])
    return verdicts


PLANS = {
    "normal": ("--mode", "normal"),
    "latest": ("--mode", "latest"),
    "strict": ("--mode", "strict", "--overlap", "allow"),
    "strict-window": ("--mode", "strict", "--overlap", "allow", "--window", "5s"),
}


def test_an_outage_was_what_explain_says_of_it(own):
    own.broker()
    scheduler = own.scheduler("scheduler")
    own.executor("worker", 8)
    for name, flags in PLANS.items():
        own.pawl("schedule", "add", name, "--every", "3s", *flags, "--", "true")
    until(lambda: all(len(own.history(name)) >= 2 for name in PLANS))
    scheduler.kill()
    before = {name: max(seconds(row["instant"]) for row in own.history(name)) for name in PLANS}
    until(lambda: time.time() > max(before.values()) + 14)  # four instants and more pass
    scheduler.start()
    # some instants behind the outage: all that explain tells by itself
    until(lambda: all(max(seconds(row["instant"]) for row in own.history(name)) > before[name] + 27 for name in PLANS))
    for name in PLANS:
        rows = [row for row in own.history(name) if seconds(row["instant"]) > before[name]]
        tasks = {row["id"]: row for row in own.tasks("--schedule", name)}
        made = [tasks[row["task"]] for row in rows if row["verdict"] == "fired"]
        back = min(seconds(task["created"]) for task in made)
        said = explain(own, name, "--down", f"{text(before[name] + 0.1)}..{text(back)}", "--takes", "20ms")
        assert said["cut"] is None and said["notes"] == []
        did = {seconds(row["instant"]): (row["verdict"], row["reason"]) for row in rows}
        verdicts = spread(said["items"], 3)
        assert len(verdicts) >= 7, said
        assert {at: did.get(at) for at in verdicts} == verdicts, name
    missed = {name: {verdict["verdict"] for verdict in explain(
        own, name, "--down", f"{text(before[name] + 0.1)}..{text(before[name] + 14)}")["outage"]} for name in PLANS}
    assert missed["strict"] == {"fired"} and missed["strict-window"] == {"skipped", "fired"}
    assert missed["latest"] == {"folded", "fired"} and "skipped" in missed["normal"]


def test_explain_reads_well_and_changes_nothing(fleet):
    fleet.pawl("schedule", "add", "outage", "--cron", "0 2 * * *", "--zone", "Europe/Berlin", "--", "true")
    shown = fleet.pawl("schedule", "show", "outage", "-o", "json").json
    down = "2030-12-01T00:30:00Z..2030-12-03T12:00:00Z"
    said = fleet.pawl("schedule", "explain", "outage", "--down", down, "--tz", "utc").out
    assert "3 instants" in said and "3 skipped (late)" in said and "3 fired (on time)" in said
    assert "as soon as schedulers are back" in said
    what_if = explain(fleet, "outage", "--down", down, "--mode", "strict", "--takes", "30m", "--tz", "utc")
    assert [(row["instant"], row["reason"], row["started"]) for row in what_if["items"]][:2] == [
        ("2030-12-01T01:00:00+00:00", "catchup", "2030-12-03T12:00:00+00:00"),
        ("2030-12-02T01:00:00+00:00", "catchup", "2030-12-03T12:30:00+00:00")]
    new = explain(fleet, "--cron", "0 2 * * *", "--zone", "Europe/Berlin", "--mode", "latest", "--down", down)
    assert [row["verdict"] for row in new["items"]][:2] == ["folded", "fired"] and new["name"] == "new"
    rows = fleet.pawl("schedule", "explain", "outage", "--down", down, "--until", "+2d", "-o", "ndjson").rows
    assert [row["count"] for row in rows] == [3, 1, 1]
    after = fleet.pawl("schedule", "show", "outage", "-o", "json").json
    assert {key: after[key] for key in ("revision", "cursor", "fired", "next")} == \
        {key: shown[key] for key in ("revision", "cursor", "fired", "next")}
    assert fleet.history("outage") == []
    fleet.pawl("schedule", "rm", "outage")


@pytest.mark.parametrize("words, code, says", [
    (("outage",), 2, "--down"), (("outage", "--down", "2030-01-01T00:00:00Z"), 2, "two ends"),
    (("outage", "--down", "2030-01-02T00:00:00Z..2030-01-01T00:00:00Z"), 2, "before it begins"),
    (("outage", "--down", "1h..+nothing"), 2, "no duration"),
    (("--down", "3h..1h"), 2, "which schedule"),
    (("nosuchthing", "--down", "3h..1h"), 3, "nosuchthing"),
    (("--cron", "0 25 * * *", "--down", "3h..1h"), 2, "column 3"),
    (("--cron", "0 0 * * *", "--mode", "strict", "--overlap", "skip", "--down", "3h..1h"), 2, "strict"),
])
def test_what_cannot_be_explained_is_refused_in_three_lines(fleet, words, code, says):
    refused = fleet.pawl("schedule", "explain", *words, code=code)
    assert says in refused.err and len(refused.err.strip().splitlines()) == 3


# ---- a year behind ------------------------------------------------------------------------------

def test_a_year_of_backlog_does_not_hold_up_what_is_live(own):
    own.state.mkdir(mode=0o700)
    subprocess.run([own.bin / "old-store", own.state / "store", "365"], check=True)
    own.broker()
    own.scheduler("scheduler")
    own.pawl("schedule", "add", "live", "--every", "1s", "--overlap", "allow", "--mode", "strict", "--type",
             "bench/nobody")
    until(lambda: len(own.history("live")) >= 3)
    old = [row["name"] for row in own.pawl("schedule", "list", "-o", "ndjson").rows if row["name"].startswith("year-")]
    assert len(old) == 5
    begun = time.time()
    for name in old:
        own.pawl("schedule", "resume", name, "--make-missed")
    until(lambda: max(seconds(row["instant"]) for row in own.history("live")) > begun + 10)
    # the live line: each second once, in order, on time; figures are the business of make bench-backlog
    rows = own.history("live")
    instants = [seconds(row["instant"]) for row in rows]
    assert all(b - a == 1 for a, b in zip(instants, instants[1:])), rows
    assert {row["verdict"] for row in rows} == {"fired"}
    late = max(seconds(task["created"]) - seconds(task["planned"]) for task in own.tasks("--schedule", "live"))
    assert late < SLOW_S, f"{late} s late, and nothing but a loaded machine explains more than 0.1 s"
    # the year: every minute of it has a verdict, or waits for one; nothing is missing or double
    until(lambda: not any(own.schedule(name)["behind"] for name in ("year-normal", "year-latest")))
    shown = {name: own.pawl("schedule", "show", name, "-o", "json").json for name in old}
    minutes = 365 * 24 * 60
    assert shown["year-normal"]["behind"] == 0 and minutes - 2 <= shown["year-normal"]["missed"] <= minutes + 2
    assert shown["year-latest"]["behind"] == 0
    newest = [task for task in own.tasks("--schedule", "year-latest")]
    assert max(own.task(task["id"])["folded_count"] for task in newest) >= minutes - 2
    assert shown["year-strict"]["behind"] + shown["year-strict"]["fired"] >= minutes - 1
    assert shown["year-fast"]["fired"] > shown["year-strict"]["fired"] // 2
    [split] = own.pawl("schedule", "range", "list", "year-live-first", "-o", "ndjson").rows
    assert split["cause"] == "backlog" and split["left"] + split["fired"] >= minutes - 2
    for name in old:
        assert "no hole, no double" in own.pawl("schedule", "audit", name).err


# ---- an edit from a past instant on -------------------------------------------------------------

def test_an_edit_from_a_past_instant_on_parts_the_time_there(own):
    own.broker()
    scheduler = own.scheduler("scheduler")
    own.executor("worker", 8)
    own.pawl("schedule", "add", "job", "--every", "2s", "--mode", "strict", "--overlap", "allow", "--zone", "Asia/Tokyo",
             "--", "true")
    until(lambda: len(own.history("job")) >= 2)
    scheduler.kill()
    decided = max(seconds(row["instant"]) for row in own.history("job"))
    until(lambda: time.time() > decided + 11)
    future = own.pawl("schedule", "set", "job", "--every", "3s", "--cursor", text(time.time() + 60), code=4)
    assert "lies ahead" in future.err and "--cursor with an instant that is past" in future.err
    past = own.pawl("schedule", "set", "job", "--every", "3s", "--cursor", text(decided - 5), code=4)
    assert "decided by the old rule" in past.err and len(past.err.strip().splitlines()) == 3
    [said] = re.findall(r"instants up to (\S+) are decided", past.err)
    assert said.endswith("+09:00") and decided <= seconds(said) <= time.time() and "1970" not in past.err
    assert "try: a later instant for --cursor, or --cursor now" in past.err
    part = decided + 5.5
    own.pawl("schedule", "set", "job", "--cron", "*/3 * * * * *", "--zone", "UTC", "--cursor", text(part))
    [kept] = own.pawl("schedule", "range", "list", "job", "-o", "ndjson").rows
    assert (kept["cause"], kept["left"], seconds(kept["to"])) == ("backlog", 2, decided + 4)
    assert kept["zone"] and "ZONE" in own.pawl("schedule", "range", "list", "job").out
    scheduler.start()
    until(lambda: max(seconds(row["instant"]) for row in own.history("job")) > decided + 15)
    until(lambda: own.pawl("schedule", "range", "list", "job", "--all", "-o", "ndjson").rows[0]["state"] == "done")
    rows = own.history("job")
    assert {row["verdict"] for row in rows} == {"fired"}
    behind = [seconds(row["instant"]) for row in rows if seconds(row["instant"]) > decided]
    old, new = [at for at in behind if at <= part], [at for at in behind if at > part]
    assert old == [decided + 2, decided + 4]
    first = int(part) // 3 * 3 + 3
    assert new == [first + 3 * n for n in range(len(new))] and len(new) >= 3
    assert "no hole, no double" in own.pawl("schedule", "audit", "job").err
    assert len(own.tasks("--schedule", "job")) == len(rows)


# ---- late by nothing but new zone data ----------------------------------------------------------

def tzif(seconds):
    """A zone of one offset, to the second."""
    sign, size = ("-" if seconds > 0 else "+"), abs(seconds)
    footer = f"\n<XXX>{sign}{size // 3600:02}:{size // 60 % 60:02}:{size % 60:02}\n".encode()
    head = b"TZif2" + bytes(15) + struct.pack(">6l", 0, 0, 0, 0, 1, 4)
    block = struct.pack(">lbb", seconds, 0, 0) + b"XXX\0"
    return head + block + head + block + footer


def test_an_instant_that_only_new_zone_data_made_late_runs_as_on_time(own):
    zones = own.folder / "zones"
    (zones / "Etc").mkdir(parents=True)
    shutil.copyfile("/usr/share/zoneinfo/UTC", zones / "UTC")
    file = zones / "Etc" / "GMT-1"  # a name that the CLI finds in its own database too
    file.write_bytes(tzif(3600))
    own.env |= {"PAWL_BROKER__ZONES__FOLDER": str(zones), "PAWL_BROKER__ZONES__EVERY": "1s"}
    own.broker()
    own.scheduler("s")
    own.executor("e", 2)
    # local time of a minute from now; with a clock 52 seconds further it is eight from now
    now = int(time.time())
    local = time.gmtime(now + 3600 + 60)
    modes = "normal", "latest", "strict"
    for mode in modes:
        own.pawl("schedule", "add", mode, "--cron", f"{local.tm_sec} {local.tm_min} {local.tm_hour} * * *", "--zone",
                 "Etc/GMT-1", "--mode", mode, "--grace", "500ms", "--", "true")
        assert seconds(own.pawl("schedule", "show", mode, "-o", "json").json["next"]) == now + 60
    until(lambda: time.time() > now + 10)  # what the new data makes of it is past by then, beyond its grace
    new = own.folder / "new"
    new.write_bytes(tzif(3600 + 52))
    new.rename(file)
    for mode in modes:
        [row] = until(lambda: own.history(mode))
        assert (seconds(row["instant"]), row["verdict"], row["reason"]) == (now + 8, "fired", "zone"), mode
        [task] = own.tasks("--schedule", mode)
        assert now + 10 < seconds(task["created"]) < now + 60, "it waited for the instant that the old data had"
        until(lambda: own.task(task["id"])["status"] == "finished")
        assert "no hole, no double" in own.pawl("schedule", "audit", mode).err


# ---- what is typed wrong ------------------------------------------------------------------------

def test_a_task_for_nobody_says_so(fleet):
    said = fleet.pawl("run", "--on", "executor=nobody-here", "--", "true")
    assert '"nobody-here"' in said.err and "enrolled" in said.err and "pawl executor list" in said.err
    fleet.pawl("task", "cancel", said.out.strip())
    many = fleet.pawl("run", "--on", "one,nobody-here,nor-here", "--offline", "skip", "--", "true")
    assert '"nobody-here", "nor-here"' in many.err and '"one"' not in many.err
    assert fleet.pawl("run", "--on", "executor=one", "--", "true").err == ""
    assert fleet.pawl("-q", "run", "--on", "nobody-here", "--offline", "skip", "--", "true").err == ""


@pytest.mark.parametrize("words", [("stats",), ("broker", "status")])
def test_what_has_no_id_prints_none(fleet, words):
    refused = fleet.pawl(*words, "-o", "id", code=2)
    assert refused.out == "" and "no id" in refused.err and len(refused.err.strip().splitlines()) == 3
