# SPDX-License-Identifier: Apache-2.0
"""Outages of schedulers with the real programs: what explain says of one is what it did."""
import datetime
import time

import pytest

from fleet import until


def stamp(text):
    return datetime.datetime.fromisoformat(text).timestamp()


def text(second):
    return datetime.datetime.fromtimestamp(second, datetime.timezone.utc).isoformat()


def history(fleet, name):
    return fleet.pawl("schedule", "history", name, "-o", "ndjson").rows


def explain(fleet, *words):
    return fleet.pawl("schedule", "explain", *words, "-o", "json").json


def spread(items, step):
    """Each instant with its verdict."""
    verdicts = {}
    for item in items:
        first = stamp(item["instant"])
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
    until(lambda: all(len(history(own, name)) >= 2 for name in PLANS))
    scheduler.kill()
    before = {name: max(stamp(row["instant"]) for row in history(own, name)) for name in PLANS}
    until(lambda: time.time() > max(before.values()) + 14)  # four instants and more pass
    scheduler.start()
    # some instants behind the outage: all that explain tells by itself
    until(lambda: all(max(stamp(row["instant"]) for row in history(own, name)) > before[name] + 27 for name in PLANS))
    for name in PLANS:
        rows = [row for row in history(own, name) if stamp(row["instant"]) > before[name]]
        tasks = {row["id"]: row for row in own.tasks("--schedule", name)}
        made = [tasks[row["task"]] for row in rows if row["verdict"] == "fired"]
        back = min(stamp(task["created"]) for task in made)
        said = explain(own, name, "--down", f"{text(before[name] + 0.1)}..{text(back)}", "--takes", "20ms")
        assert said["cut"] is None and said["notes"] == []
        did = {stamp(row["instant"]): (row["verdict"], row["reason"]) for row in rows}
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
    assert history(fleet, "outage") == []
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
