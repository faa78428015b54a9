# SPDX-License-Identifier: Apache-2.0
"""The kind sql-producer: rows become tasks, none lost, none doubled, whatever is killed."""
import json
import random
import re
import time

import pytest

from fleet import PATIENCE, until
from producers import ALL, SERIES, inputs, made, producer, run, submit

@pytest.mark.parametrize("source", ALL)
def test_each_row_becomes_a_task_with_its_columns(sql, parked, source):
    text = {"pg": "select 7 as id, 'a@b' as mail, 3 as prio, timestamptz '2030-01-01 00:00:00+00' as due, 'Title' as t",
            "my": "select 7 as id, 'a@b' as mail, 3 as prio, cast('2030-01-01' as datetime) as due, 'Title' as t",
            "lite": "select 7 as id, 'a@b' as mail, 3 as prio, '2030-01-01T00:00:00Z' as due, 'Title' as t"}[source]
    _, out = run(sql, producer(source, text, {"argv": ["true"], "queue": parked}, columns={
        "key": "id", "priority": "prio", "at": "due", "title": "t", "input": ["id", "mail"]}))
    assert out["rows"] == out["created"] == 1
    task = sql.task(made(sql, parked)[0]["id"])
    assert (task["key"], task["priority"], task["title"], task["status"]) == ("7", 3, "Title", "delayed")
    assert task["task"]["input"] == {"id": 7, "mail": "a@b"} and task["task"]["at"].startswith("2030-01-01T00:00:00")


@pytest.mark.parametrize("source", ALL)
def test_a_watermark_goes_on_where_the_last_run_ended(sql, parked, source):
    task = producer(source, SERIES[source].format(n=250), {"argv": ["true"], "queue": parked}, watermark="n", batch=100,
                    params={"watermark": 0}, scope=f"series-{parked}-{source}")
    _, out = run(sql, task)
    assert (out["rows"], out["created"]) == (250, 250)
    _, out = run(sql, task)
    assert (out["rows"], out["created"], out["created_all"]) == (0, 0, 250)
    more = producer(source, SERIES[source].format(n=300), {"argv": ["true"], "queue": parked}, watermark="n",
                    scope=f"series-{parked}-{source}")
    _, out = run(sql, more)
    assert (out["rows"], out["created"], out["created_all"]) == (50, 50, 300)
    assert len(made(sql, parked)) == 300


def test_the_same_key_is_the_same_task_within_a_scope(sql, parked):
    text = "select n as id from (values (1), (2), (2), (3)) v(n)"
    task = producer("pg", text, {"argv": ["true"], "queue": parked}, columns={"key": "id"}, scope=f"keys-{parked}")
    _, out = run(sql, task)
    assert (out["rows"], out["created"], out["repeated"]) == (4, 3, 1)
    _, out = run(sql, task)
    assert (out["created"], out["repeated"]) == (0, 4)


def test_without_a_key_each_run_makes_its_own_tasks_and_equal_rows_are_one(sql, parked):
    task = producer("pg", "select n as id from (values (1), (2), (2)) v(n)", {"argv": ["true"], "queue": parked})
    for _ in range(2):
        _, out = run(sql, task)
        assert (out["rows"], out["created"], out["repeated"]) == (3, 2, 1)
    assert len(made(sql, parked)) == 4


def test_a_rehearsal_makes_nothing_and_shows_what_it_would(sql, parked):
    _, out = run(sql, producer("pg", SERIES["pg"].format(n=500), {"argv": ["true"], "queue": parked}, dry_run=True,
                               params={"watermark": 0}))
    assert out["rows"] == 500 and out["created"] == 0 and out["sample"][0] == {"n": 1, "words": "row 1"}
    assert made(sql, parked) == []


def test_the_bound_of_rows_holds_and_the_next_run_goes_on(sql, parked):
    task = producer("pg", SERIES["pg"].format(n=100), {"argv": ["true"], "queue": parked}, rows=30, watermark="n",
                    params={"watermark": 0}, scope=f"bound-{parked}")
    total = 0
    for _ in range(5):
        _, out = run(sql, task)
        total += out["created"]
    assert total == 100 and len(made(sql, parked)) == 100


def test_a_bound_that_one_value_of_the_watermark_fills_is_told_and_no_endless_loop(sql, parked):
    text = "select 7 as n, g as id from generate_series(1, 50) g where 7 > :watermark order by n, id"
    task = producer("pg", text, {"argv": ["true"], "queue": parked}, rows=30, watermark="n", columns={"key": "id"},
                    params={"watermark": 0}, scope=f"same-{parked}")
    assert run(sql, task)[1]["created"] == 30
    assert "raise rows" in run(sql, task, "failed")[0]["message"]
    task["sql_producer"]["rows"] = 60
    assert run(sql, task)[1]["created"] == 20


@pytest.mark.parametrize("text, more, words", [
    ("select 1 as n", {"columns": {"key": "nobody"}}, "no column"),
    ("select null::int as n", {"columns": {"key": "n"}}, "row 1: column for key"),
    ("select 11 as n", {"columns": {"priority": "n"}}, "row 1: column for priority"),
    ("select 'soon' as n", {"columns": {"at": "n"}}, "row 1: column for at"),
    ("select n from (values (2), (1)) v(n)", {"watermark": "n"}, "must be ordered by it"),
    ("select null::int as n", {"watermark": "n"}, "a number or a time"),
    ("select 1; select 2", {}, "one query"), ("create table never (a int)", {}, ""),
    ("select 1 where 1 > :watermark", {}, "where to begin"),
    ("select 1 as n", {"task": {"type": "no/such", "queue": "parked"}}, "no/such"),
    ("select 'a' || chr(7) as n", {"columns": {"key": "n"}}, "were not taken")])
def test_what_cannot_be_is_a_clear_failure_and_makes_nothing(sql, text, more, words):
    before = sql.stats()["tasks"]
    task, _ = run(sql, producer("pg", text, **more), "failed")
    assert words in task["message"], task
    assert sum(sql.stats()["tasks"].values()) == sum(before.values()) + 1


def test_a_producer_is_refused_at_once_where_that_can_be_seen(sql):
    for more in ({"columns": {"key": "a"}, "task": {"argv": ["x"], "key": "k"}},
                 {"columns": {"priority": "a"}, "task": {"argv": ["x"], "priority": 3}},
                 {"task": producer("pg", "select 1")}):
        sql.pawl("task", "submit", "-", input=json.dumps(producer("pg", "select 1", **more)) + "\n", code=8)


def test_the_command_line_makes_a_producer_of_a_command(sql, parked):
    said = sql.pawl("run", "--wait", "--queue", parked, "--each", "pg", "select 1 as id union select 2", "--column", "key=id",
                    "--", "sh", "-c", "cat $PAWL_INPUT", code=None)
    # the queue is that of the tasks; the producer itself is not in it
    assert said.code == 0, said
    assert sorted(row["id"] for row in inputs(sql, parked)) == [1, 2]


def test_a_schedule_harvests_a_table_and_a_key_is_one_task_for_all_its_firings(sql, parked):
    sql.pawl("schedule", "add", "harvest", "--every", "1s", "--overlap", "allow", "--queue", parked, "--each", "pg",
             "select n as id from generate_series(1, 20) n", "--column", "key=id", "--", "true")
    for _ in range(2):
        sql.pawl("schedule", "now", "harvest")
    until(lambda: len(sql.tasks("--schedule", "harvest", "--status", "finished")) >= 3, PATIENCE, 0.1, "three firings")
    sql.pawl("schedule", "rm", "harvest")
    assert len(made(sql, parked)) == 20


def test_how_far_a_producer_is_can_be_seen_while_it_runs(sql, parked):
    id = submit(sql, producer("pg", "select g as n, repeat('x', 8000) as wide, pg_sleep(0.01) from generate_series(1, 100000) g",
                              {"argv": ["true"], "queue": parked}, batch=10, columns={"input": ["n"]}))
    said = until(lambda: sql.task(id)["progress"], PATIENCE, 0.1, "progress")
    rows, made_, rate = map(int, re.fullmatch(r"(\d+) rows, (\d+) tasks made, (\d+) rows a second", said).groups())
    assert rows == made_ >= 10 and 1 <= rate <= 100, said  # 10 ms a row
    assert sql.status(id) == "running"
    later = until(lambda: (lambda text: text != said and text)(sql.task(id)["progress"]), PATIENCE, 0.1, "more progress")
    assert int(later.split()[0]) > rows
    assert re.search(rf"(?m)^{id} pawl/sql-producer +\d+ rows, \d+ tasks made, \d+ rows a second$", sql.pawl("top", "--once").out)
    assert "rows a second" in next(row for row in sql.pawl("ps", "-o", "ndjson").rows if row["id"] == id)["progress"]
    sql.pawl("task", "cancel", id)
    assert sql.wait_status(id, "cancelled")


def test_cancel_stops_a_producer_between_two_batches(sql, databases, parked):
    # the server sends 8 KiB at a time: wide rows come one by one
    id = submit(sql, producer("pg", "select g as n, repeat('x', 8000) as wide, pg_sleep(0.01) from generate_series(1, 100000) g"
                              " /* slow-rows */", {"argv": ["true"], "queue": parked}, batch=10, columns={"input": ["n"]}))
    until(lambda: len(made(sql, parked)) > 0, PATIENCE, 0.1, "some tasks")
    sql.pawl("task", "cancel", id)
    assert sql.wait_status(id, "cancelled")
    assert until(lambda: databases.pg.running("slow-rows") == 0, PATIENCE, 0.1, "it is stopped on the server")


ROWS = 20000


@pytest.mark.parametrize("watermark", [True, False])
def test_killed_at_random_points_every_row_is_exactly_one_task(own, databases, watermark):
    chance = random.Random(20261201 + watermark)
    broker = own.broker()
    own.pawl("queue", "pause", "parked")
    config = databases.config(own.folder / "x.yaml")
    executor = own.executor("one", 2, "--config", config)
    text = SERIES["pg"].format(n=ROWS).replace(", 'row '", ", case when g % 20 = 0 then pg_sleep(0.001) end, 'row '")
    more = {"watermark": "n"} if watermark else {"columns": {"key": "n"}}
    id = submit(own, producer("pg", text, batch=200, params={"watermark": 0}, on_lost="retry", **more,
                              retry={"max_attempts": 100, "backoff": "50ms", "factor": 1}))
    for kill in range(10 if watermark else 4):
        victim = broker if kill % 3 == 2 else executor
        if own.wait_status(id, "running", "finished")["status"] == "finished":
            break
        time.sleep(chance.uniform(0.05, 0.4))  # a random point is what is wanted
        victim.kill()
        victim.start()
    assert own.wait_status(id, "finished", "failed", timeout=5 * PATIENCE)["status"] == "finished", own.task(id)
    out = json.loads(own.pawl("task", "output", id).out)
    assert out["created_all"] == ROWS, (out, kill)
    outcomes = [attempt["outcome"] for attempt in own.task(id)["attempts"]]
    assert len(outcomes) > 2, "the kills came too late to mean anything"
    numbers = own.stats()["tasks"]
    assert sum(numbers.values()) == ROWS + 1, numbers
    own.stop()
    assert "ok: " in own.pawl("broker", "check", "--state", own.state).out
