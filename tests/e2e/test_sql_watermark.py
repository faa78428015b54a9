# SPDX-License-Identifier: Apache-2.0
"""pawl watermark: how far producers have come, and changing it without racing one that runs."""
import json

import pytest

from fleet import PATIENCE, until
from producers import SERIES, made, producer, run, submit


def series(parked, n, **more):
    """Rows 1 to n of PostgreSQL as tasks; the scope is named like the queue."""
    return producer("pg", SERIES["pg"].format(n=n), {"argv": ["true"], "queue": parked}, watermark="n",
                    columns={"key": "n"}, params={"watermark": 0}, scope=parked, **more)


def mark(sql, which):
    return sql.pawl("watermark", "show", which, "-o", "json").json


def test_a_value_set_by_hand_is_where_the_next_run_begins(sql, parked):
    which = f"scope={parked}"
    assert sql.pawl("watermark", "show", which, code=3).err.startswith("error: cannot show the watermark")
    _, out = run(sql, series(parked, 20))
    assert out["created"] == 20
    row = mark(sql, which)
    assert (row["of"], row["kind"], row["name"], row["value"], row["tasks"]) == (which, "scope", parked, 20, 20)
    assert row["running"] is False and row["writer"] and row["changed"]
    sql.pawl("watermark", "set", which, "15")
    row = mark(sql, which)
    assert row["value"] == 15 and row["writer"] is None
    _, out = run(sql, series(parked, 25))
    assert (out["rows"], out["created"], out["repeated"]) == (10, 5, 5)  # 16 to 25, of which 16 to 20 are tasks already
    sql.pawl("watermark", "rm", which)
    sql.pawl("watermark", "rm", which, code=3)
    _, out = run(sql, series(parked, 25))
    assert (out["rows"], out["created"]) == (25, 0)
    assert len(made(sql, parked)) == 25


def test_one_may_be_set_before_the_first_run(sql, parked):
    sql.pawl("watermark", "set", f"scope={parked}", "7", "--expect", "")
    assert "7" in sql.pawl("watermark", "set", f"scope={parked}", "8", "--expect", "", code=4).err
    assert run(sql, series(parked, 10))[1]["created"] == 3


def test_expect_guards_and_a_rehearsal_changes_nothing(sql, parked):
    which = f"scope={parked}"
    sql.pawl("watermark", "set", which, "7")
    said = sql.pawl("watermark", "set", which, "9", "--expect", "6", code=4)
    assert "the present value is 7" in said.err and "pawl watermark show" in said.err
    sql.pawl("watermark", "rm", which, "--expect", "6", code=4)
    sql.pawl("--dry-run", "watermark", "set", which, "9")
    assert mark(sql, which)["value"] == 7
    sql.pawl("watermark", "set", which, "9", "--expect", "7")
    assert mark(sql, which)["value"] == 9


SLOW = ("select g as n, case when g % 50 = 0 then pg_sleep(0.02) end as nothing from generate_series(1, 100000) g"
        " where g > :watermark order by g")


def test_a_producer_that_runs_is_not_raced_and_force_ends_what_it_makes(sql, parked):
    which = f"scope={parked}"
    task = series(parked, 0, batch=50, retry={"max_attempts": 3, "backoff": "100ms"})
    task["sql_producer"]["text"] = SLOW
    id = submit(sql, task)
    until(lambda: made(sql, parked), PATIENCE, 0.05, "some tasks")
    assert until(lambda: mark(sql, which)["running"], PATIENCE, 0.05, "it runs")
    for words in (("set", which, "3"), ("rm", which)):
        said = until(lambda: (lambda said: "CONFLICT" not in said.err and said)(sql.pawl("watermark", *words, code=4)),
                     words="a moment at which the producer does not move it on under our hands")
        assert id in said.err and "--force" in said.err
    # far ahead of it: the next attempt goes on from there, and nothing in between is made
    sql.pawl("watermark", "set", which, "99990", "--force")
    ended = sql.wait_status(id, "finished", "failed")
    assert (ended["status"], ended["attempt"]) == ("finished", 2), ended
    history = sql.pawl("task", "show", id, "-o", "json").json
    assert "changed by hand" in json.dumps(history["attempts"]), history
    numbers = sorted(int(task["key"]) for task in made(sql, parked))
    assert numbers[-10:] == list(range(99991, 100001)) and len(numbers) < 99990
    assert mark(sql, which)["value"] == 100000


def test_a_schedule_and_a_task_name_theirs(sql, parked):
    sql.pawl("queue", "pause", parked)
    sql.pawl("schedule", "add", parked, "--cron", "0 0 1 1 *", "--queue", parked, "--each", "pg",
             SERIES["pg"].format(n=12), "--param", "watermark=0", "--watermark", "n", "--", "true")
    sql.pawl("watermark", "set", f"schedule={parked}", "10")
    id = sql.pawl("schedule", "now", parked, "-o", "id").lines[0]
    assert sql.wait_status(id, "finished", "failed")["status"] == "finished"
    assert len(made(sql, parked)) == 2
    row = mark(sql, f"schedule={parked}")
    assert (row["value"], row["of"], row["writer"]) == (12, f"schedule={parked}", id)
    assert mark(sql, f"task={id}") == row == mark(sql, f"id={row['id']}") == mark(sql, row["id"])
    sql.pawl("schedule", "rm", parked, "-y")
    sql.pawl("watermark", "show", f"schedule={parked}", code=3)
    sql.pawl("watermark", "show", f"id={row['id']}", code=3)  # it went with its schedule
    own = submit(sql, producer("pg", "select 1 as n", {"argv": ["true"], "queue": parked}))
    sql.wait_status(own, "finished")
    assert mark(sql, f"task={own}")["task"] == own


def test_an_instant_stays_an_instant(sql, parked):
    text = ("select t from (values (timestamptz '2026-12-01 00:00:00+00'), (timestamptz '2026-12-02 00:00:00.5+00')) v(t)"
            " where t > :watermark order by t")
    task = producer("pg", text, {"argv": ["true"], "queue": parked}, watermark="t", scope=parked,
                    params={"watermark": {"$time": "2000-01-01T00:00:00Z"}})
    assert run(sql, task)[1]["created"] == 2
    which = f"scope={parked}"
    assert mark(sql, which)["value"] == {"$time": "2026-12-02T00:00:00.5Z"}
    sql.pawl("watermark", "set", which, "2026-12-01T00:00:00Z", "--expect", "2026-12-02T00:00:00.5Z")
    assert mark(sql, which)["value"] == {"$time": "2026-12-01T00:00:00Z"}
    assert run(sql, task)[1]["rows"] == 1


def test_every_form_of_the_list_and_page_after_page(sql, parked):
    for i in range(30):
        sql.pawl("watermark", "set", f"scope={parked}-{i}", str(i))
    rows = sql.pawl("watermark", "list", "-o", "ndjson").rows
    mine = {row["name"]: row["value"] for row in rows if (row["name"] or "").startswith(f"{parked}-")}
    assert mine == {f"{parked}-{i}": i for i in range(30)}
    assert [row["id"] for row in rows] == sorted(row["id"] for row in rows)
    assert sql.pawl("watermark", "list", "-o", "json").json == rows
    assert sql.pawl("watermark", "list", "-o", "id").lines == [row["of"] for row in rows]
    assert sql.pawl("watermark", "list", "-o", "csv", "--fields", "of,value").lines[0] == "of,value"
    table = sql.pawl("watermark", "list", "--limit", "1000").out
    assert "OF" in table and f"scope={parked}-29" in table
    assert "REVISION" not in table and "PRINCIPAL" in sql.pawl("watermark", "list", "-o", "wide").out
    assert len(sql.pawl("watermark", "list", "-o", "ndjson", "--limit", "5").rows) == 5
    for i in range(30):
        sql.pawl("watermark", "rm", f"scope={parked}-{i}")
    events = sql.pawl("events", "-o", "ndjson", "--from", "1").rows
    kinds = [event["kind"] for event in events if event["kind"].startswith("watermark.")]
    assert kinds.count("watermark.set") >= 30 and kinds.count("watermark.removed") >= 30


@pytest.mark.parametrize("words, code, said", [
    (("show", "harvest"), 2, "names no watermark"), (("show", "queue=x"), 2, "names no watermark"),
    (("show", "scope="), 2, "names no watermark"), (("show", "schedule=no-such-one"), 3, "no watermark is kept"),
    (("set", "schedule=no-such-one", "1"), 3, "there is no schedule"),
    (("show", "task=0000"), 3, "no task"), (("set", "scope=x", "[1]"), 2, "is no number"),
    (("set", "scope=x", "true"), 2, "is no number"), (("set", "scope=x", "y" * 1100), 2, "1024 bytes"),
    (("show", "schedule=x", "--principal", "web"), 2, "has no principal"),
    (("show", "scope=x", "--principal", "web"), 3, "no watermark is kept"),
    (("set", "scope=x", "1", "--principal", "web"), 3, "no principal"), (("set", "scope=x"), 2, "VALUE")])
def test_what_cannot_be_is_said_in_three_lines(sql, words, code, said):
    refused = sql.pawl("watermark", *words, code=code)
    assert said in refused.err and refused.err.count("\n") == 3, refused.err


def test_help_knows_the_words(sql):
    text = sql.pawl("help", "watermark").out
    for word in ("list", "show", "set", "rm"):
        assert word in text
    assert "--expect" in sql.pawl("watermark", "set", "--help").out
    assert "schedule=NAME" in sql.pawl("help", "watermark", "show").out
