# SPDX-License-Identifier: Apache-2.0
"""The kind sql on real databases: values, transactions, stopping, and what breaks."""
import base64
import json
import os
import pathlib
import re
import socket
import sqlite3

import pytest

import producers
from databases import PASSWORD, Stripper
from fleet import PATIENCE, until

ALL = ["pg", "my", "lite"]
SERVERS = ["pg", "my"]
SLEEP = {"pg": "select pg_sleep(600) /* {mark} */", "my": "select sleep(600) /* {mark} */"}


def submit(fleet, source, text, code=0, **more):
    """The id. What is no field of sql is one of the task."""
    names = ("params", "rows", "on_unknown", "transaction")
    sql = {"source": source, "text": text, **{n: more.pop(n) for n in names if n in more}}
    return fleet.pawl("task", "submit", "-", input=json.dumps({"sql": sql, **more}) + "\n", code=code).lines[0]


def run(fleet, source, text, status="finished", timeout=PATIENCE, **more):
    """(task, output) once it has ended so."""
    id = submit(fleet, source, text, **more)
    return producers.ended(fleet, id, status, timeout)


def rows(fleet, source, text, **more):
    return run(fleet, source, text, **more)[1]["rows"]


def fresh(fleet, source, columns="a integer primary key, b varchar(200)", name="t"):
    run(fleet, source, f"drop table if exists {name}; create table {name} ({columns})")
    return name


def test_following_prints_the_rows(sql):
    said = sql.pawl("run", "--follow", "--sql", "lite", "select 41 + 1 as answer")
    assert json.loads(said.out.splitlines()[-1])["rows"] == [{"answer": 42}], said.out
    said = sql.pawl("run", "--follow", "-o", "ndjson", "--sql", "lite", "select 41 + 1 as answer")
    last = json.loads(said.out.splitlines()[-1])
    assert last["stream"] == "output" and json.loads(last["text"])["rows"] == [{"answer": 42}]


# ---- values ---------------------------------------------------------------------------------------

DOCUMENT = pathlib.Path(__file__).resolve().parents[2] / "docs" / "sql.md"
DRIVERS = {"pg": "postgresql", "my": "mariadb", "lite": "sqlite"}


def documented(driver):
    """(value, what it is in JSON): the rows of docs/sql.md, "Values"."""
    section = DOCUMENT.read_text().split("### Values\n")[1].split("\n###")[0]
    found = re.findall(r"^\| (\w+) \| `(.+?)` \| `(.+)` \|$", section, re.M)
    assert len(found) == section.count("\n| ") - 2, "a row of the table cannot be read"
    return [(value, json.loads(said)) for of, value, said in found if of == driver]


@pytest.mark.parametrize("source", ALL)
def test_values_are_what_the_document_says(sql, source):
    cases = documented(DRIVERS[source])
    assert len(cases) >= 8
    text = "select " + ", ".join(f"{value} as c{i}" for i, (value, _) in enumerate(cases))
    row = rows(sql, source, text.replace("::", "\\:\\:") if source != "pg" else text)[0]
    assert {value: row[f"c{i}"] for i, (value, _) in enumerate(cases)} == dict(cases)


@pytest.mark.parametrize("source, columns, insert, wanted", [
    ("my", "a varchar(20) character set latin1, b varbinary(20), c blob, d text character set utf8mb4",
     "(x'7a77f66c66', x'ff00', x'00', concat('x', char(0 using utf8mb4)))",
     {"a": "zw\u00f6lf", "b": {"$bytes": "/wA="}, "c": {"$bytes": "AA=="}, "d": {"$bytes": "eAA="}}),
    ("lite", "a text, b blob, c, d text", "(cast(x'7a77f66c66' as text), x'ff00', x'', 'x' || char(0))",
     {"a": {"$bytes": "enf2bGY="}, "b": {"$bytes": "/wA="}, "c": {"$bytes": ""}, "d": {"$bytes": "eAA="}}),
    ("pg", "a text, b bytea, c bytea, d text", "('zw\u00f6lf', '\\xff00', '', 'x')",
     {"a": "zw\u00f6lf", "b": {"$bytes": "/wA="}, "c": {"$bytes": ""}, "d": "x"})])
def test_columns_of_any_bytes_reach_output_and_tasks_unharmed(sql, parked, source, columns, insert, wanted):
    fresh(sql, source, columns, "anybytes")
    run(sql, source, f"insert into anybytes values {insert}")
    assert rows(sql, source, "select * from anybytes") == [wanted]
    task = producers.producer(source, "select * from anybytes", {"argv": ["true"], "queue": parked})
    assert producers.run(sql, task)[1]["created"] == 1
    assert producers.inputs(sql, parked) == [wanted]
    task["sql_producer"]["columns"] = {"key": "b"}  # no text: it cannot be a key
    assert "row 1: column for key" in producers.run(sql, task, "failed")[0]["message"]


def test_postgresql_refuses_text_that_is_not_utf8_whatever_its_own_encoding(own, databases):
    databases.pg.ask("drop database if exists plain", "postgres")
    databases.pg.ask("create database plain owner pawl encoding 'SQL_ASCII' template template0", "postgres")
    own.broker()
    own.executor("one", 2, "--config", databases.config(
        own.folder / "x.yaml", plain={**databases.pg.source(databases.password), "database": "plain"}))
    task, _ = run(own, "plain", r"select convert_from('\xff41'::bytea, 'SQL_ASCII')", "failed")
    assert 'invalid byte sequence for encoding "UTF8": 0xff (22021)' in task["message"]
    assert rows(own, "plain", r"select '\xff41'::bytea as a, 'A' as b") == [{"a": {"$bytes": "/0E="}, "b": "A"}]


@pytest.mark.parametrize("source", ALL)
def test_parameters_keep_every_digit_and_byte(sql, source):
    kinds = {"pg": "n numeric, i bigint, s text, f boolean, b bytea, w timestamptz, z text",
             "my": "n decimal(40,9), i bigint, s text, f boolean, b blob, w datetime(6), z text",
             "lite": "n text, i integer, s text, f integer, b blob, w text, z text"}[source]
    fresh(sql, source, kinds, "kept")
    params = ('{"n": 12345678901234567890.123456789, "i": -9007199254740993, "s": "zwölf \\" \' \\\\ :x", "f": true,'
              ' "b": {"$bytes": "AP8Q"}, "w": {"$time": "2026-12-01T02:00:00.5+01:00"}, "z": null}')
    task = '{"sql": {"source": "%s", "text": "insert into kept values (:n, :i, :s, :f, :b, :w, :z)"}, "input": 0}' % source
    id = sql.pawl("task", "submit", "-", input=task.replace('"input": 0', '"input": ' + params.replace(
        "12345678901234567890.123456789", '"12345678901234567890.123456789"')) + "\n").lines[0]
    assert sql.wait_status(id, "finished", "failed")["status"] == "finished", sql.task(id)
    row = rows(sql, source, "select * from kept")[0]
    assert row["n"] == "12345678901234567890.123456789" and row["i"] == -9007199254740993
    assert row["s"] == "zwölf \" ' \\ :x" and row["f"] in (True, 1) and row["z"] is None
    assert row["b"] == {"$bytes": "AP8Q"} and row["w"].startswith("2026-12-01T01:00:00.5")


@pytest.mark.parametrize("source", ALL)
def test_a_parameter_is_a_value_and_never_sql(sql, source):
    fresh(sql, source)
    evil = "x'); drop table t; --"
    run(sql, source, "insert into t values (:a, :b)", params={"a": 1, "b": evil})
    run(sql, source, "insert into t values (:1, :2)", params=[2, "y"])
    assert rows(sql, source, "select b from t order by a") == [{"b": evil}, {"b": "y"}]


def test_flags_and_json_say_the_same(sql):
    said = sql.pawl("run", "--wait", "--sql", "lite", "select :a as a, :b as b, :c as c", "--param", "a=7", "--param",
                    "b=12345678901234567890.5", "--param", "c=x=y")
    task = sql.task(said.lines[0])
    assert json.loads(sql.pawl("task", "output", said.lines[0]).out)["rows"] == [
        {"a": 7, "b": "12345678901234567890.5", "c": "x=y"}]
    assert task["type"] == "pawl/sql"


def test_a_parameter_without_value_fails_for_good_and_says_which(sql):
    task, _ = run(sql, "pg", "select :nobody", "failed", retry={"max_attempts": 5})
    assert ":nobody" in task["message"] and task["attempt"] == 1


def test_nul_in_parameters(sql):
    said = sql.pawl("task", "submit", "-", input='{"sql": {"source": "pg", "text": "select :a", "params": {"a": "x\\u0000y"}}}\n',
                    code=None)
    assert said.code in (2, 8) and "u0000" in said.err, said  # no text of a task may hold one
    nul = {"$bytes": base64.b64encode(b"A\0B").decode()}
    assert rows(sql, "pg", "select octet_length(:a::bytea) as n", params={"a": nul}) == [{"n": 3}]
    assert rows(sql, "my", "select length(:a) as n, :a as a", params={"a": nul}) == [{"n": 3, "a": nul}]
    assert rows(sql, "lite", "select length(:a) as n, :a as a", params={"a": nul}) == [{"n": 3, "a": nul}]


# ---- transactions ---------------------------------------------------------------------------------

@pytest.mark.parametrize("source", ALL)
def test_what_fails_in_the_middle_leaves_nothing(sql, source):
    fresh(sql, source)
    task, _ = run(sql, source, "insert into t values (1, 'a'); insert into t values (1, 'again'); insert into t values (2, 'c')",
                  "failed")
    assert "statement 2" in task["message"]
    assert rows(sql, source, "select count(*) as n from t") == [{"n": 0}]


@pytest.mark.parametrize("source", ALL)
def test_transaction_none_keeps_what_came_before(sql, source):
    fresh(sql, source)
    run(sql, source, "insert into t values (1, 'a'); insert into t values (1, 'again')", "failed", transaction="none")
    assert rows(sql, source, "select a from t") == [{"a": 1}]


@pytest.mark.parametrize("source", ALL)
def test_affected_rows_are_told_statement_by_statement(sql, source):
    fresh(sql, source)
    _, out = run(sql, source, "insert into t values (1,'a'),(2,'b'),(3,'c'); update t set b = 'x' where a > 1;"
                              " delete from t where a = 3; select a from t order by a")
    assert [part.get("affected") for part in out["statements"]] == [3, 2, 1, None]
    assert out["rows"] == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize("source", ALL)
def test_a_text_may_not_end_the_tasks_transaction(sql, source):
    task, _ = run(sql, source, "select 1; commit; select 2", "failed")
    assert "transaction is the task's" in task["message"]


@pytest.mark.parametrize("source", ["pg-read", "my-read", "lite-read"])
@pytest.mark.parametrize("text", ["insert into ro values (1)", "set transaction read write; insert into ro values (1)",
                                  "create table ro2 (a integer)"])
def test_a_read_only_source_is_guarded_by_the_database(sql, source, text):
    fresh(sql, source.removesuffix("-read"), "a integer", "ro")
    run(sql, source, text, "failed")
    assert rows(sql, source, "select count(*) as n from ro") == [{"n": 0}]


# What MariaDB runs and a reader of statements may take for a comment, or for another statement.
HIDDEN = ["/*!{}*/", "/*M!100100 {}*/", "/*!999999 select */ {}", "execute immediate '{}'"]


@pytest.mark.parametrize("hidden", HIDDEN)
def test_no_way_of_writing_lifts_a_read_only_source_of_mariadb(sql, hidden):
    fresh(sql, "my", "a integer", "ro")
    words = [hidden.format("set session transaction read write"), hidden.format("commit"), "insert into ro values (1)"]
    run(sql, "my-read", "; ".join(words), "failed")
    assert rows(sql, "my", "select count(*) as n from ro") == [{"n": 0}]


@pytest.mark.parametrize("hidden", HIDDEN)
def test_no_way_of_writing_ends_the_tasks_transaction_in_mariadb(sql, hidden):
    fresh(sql, "my", "a integer", "half")
    run(sql, "my", f"insert into half values (1); {hidden.format('commit')}; select * from nowhere", "failed")
    assert rows(sql, "my", "select count(*) as n from half") == [{"n": 0}]


def test_a_mark_of_byte_order_hides_no_word_from_sqlite(sql):
    fresh(sql, "lite", "a integer", "half")
    task, _ = run(sql, "lite", "insert into half values (1); \ufeffcommit; select * from nowhere", "failed")
    assert "transaction is the task's" in task["message"]
    assert rows(sql, "lite", "select count(*) as n from half") == [{"n": 0}]


def test_sqlite_reaches_no_file_but_its_source(sql, databases):
    other = databases.folder / "other.db"
    sqlite3.connect(other).close()
    task, _ = run(sql, "lite", f"attach '{other}' as o", "failed")
    assert "authorized" in task["message"]


@pytest.mark.parametrize("source", ["lite", "lite-read"])
@pytest.mark.parametrize("text", ["pragma hard_heap_limit = 100000", "pragma Soft_Heap_Limit(100000)",
                                  "pragma temp_store_directory = '/no/such'", "pragma data_store_directory = '/no/such'",
                                  "select * from pragma_hard_heap_limit", "pragma busy_timeout = 1"])
@pytest.mark.parametrize("transaction", ["one", "none"])
def test_a_task_on_sqlite_sets_nothing_that_others_would_meet(sql, source, text, transaction):
    task, _ = run(sql, source, text, "failed", transaction=transaction)
    assert "authorized" in task["message"] or "authorization" in task["message"], task
    assert rows(sql, "lite", "select hex(zeroblob(1000000)) = '' as a") == [{"a": 0}]


def test_what_concerns_its_own_database_a_task_on_sqlite_may_say(sql):
    fresh(sql, "lite")
    assert len(rows(sql, "lite", "pragma table_info(t)")) == 2
    assert rows(sql, "lite", "pragma quick_check") == [{"quick_check": "ok"}]
    assert rows(sql, "lite", "select name from pragma_table_info('t') order by cid limit 1") == [{"name": "a"}]
    run(sql, "lite", "pragma user_version = 7")
    assert rows(sql, "lite", "pragma user_version") == [{"user_version": 7}]


@pytest.mark.parametrize("source", ALL)
def test_one_task_does_not_see_the_session_of_the_one_before(sql, source):
    run(sql, source, "create temporary table leftover (a integer)")
    for _ in range(3):
        run(sql, source, "select * from leftover", "failed")


# ---- rows -----------------------------------------------------------------------------------------

SERIES = {"pg": "select g as n from generate_series(1, 5000) g", "my": "select seq as n from seq_1_to_5000",
          "lite": "with recursive g(n) as (select 1 union all select n + 1 from g where n < 5000) select n from g"}


@pytest.mark.parametrize("source", ALL + ["pg-read", "my-read", "lite-read"])
def test_rows_are_kept_up_to_the_limit_and_the_cut_is_told(sql, source):
    task, out = run(sql, source, SERIES[source.removesuffix("-read")], rows=10)
    assert [row["n"] for row in out["rows"]] == list(range(1, 11)) and out["cut"] is True
    assert "10 rows kept" in task["message"]
    _, out = run(sql, source, SERIES[source.removesuffix("-read")])
    assert len(out["rows"]) == 1000 and out["cut"] is True


BIG = {"pg": "select repeat('x', {n}) as x", "my": "select repeat('x', {n}) as x",
       "lite": "select zeroblob({n}) as x"}


@pytest.mark.parametrize("source", ALL)
def test_a_row_too_large_for_an_output_is_cut_and_said(sql, source):
    task, out = run(sql, source, BIG[source].format(n=2_000_000))
    assert out["rows"] == [] and out["cut"] is True and "size of an output" in task["message"]


HUGE = int(os.environ.get("PAWL_ROW_BYTES", 80_000_000))  # 1000000000 for the full size: the servers want 3 GB of memory
LENGTH = {"pg": "select octet_length(x) from (select repeat('x', {n}) as x) v", "my": "select length(repeat('x', {n}))"}


@pytest.mark.parametrize("source", ALL)
def test_a_huge_row_is_refused_and_the_executor_stays_small(sql, databases, source):
    if source == "lite":  # the value is made by the library within the executor, whose own limit ends that
        made = sqlite3.connect(":memory:").execute(f"select length(x) from ({BIG[source].format(n=HUGE)}) v").fetchone()[0]
    else:
        made = int((databases.pg if source == "pg" else databases.my).ask(LENGTH[source].format(n=HUGE))[0][0])
    assert made == HUGE, "the database cannot make a value of this size: the rest would mean nothing"
    pid = next(program for program in sql.of("executor")).process.pid
    pathlib.Path("/proc", str(pid), "clear_refs").write_text("5")  # the peak is counted from here
    task, _ = run(sql, source, BIG[source].format(n=HUGE), "failed", timeout=150, retry={"max_attempts": 3})
    assert any(word in task["message"] for word in ("8 MiB", "too big", "larger")), task
    if not sanitized(sql):
        assert peak_mib(pid) < 64, peak_mib(pid)
    assert rows(sql, source, "select 1 as a") == [{"a": 1}]


def sanitized(fleet):
    """Memory is not measured under a sanitizer."""
    return b"__asan_init" in (fleet.bin / "pawl-executor").read_bytes()


def peak_mib(pid):
    status = pathlib.Path("/proc", str(pid), "status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) // 1024


# ---- the token ------------------------------------------------------------------------------------

GUARD = {"pg": "insert into guard values ('job', :pawl_token) on conflict (name) do update set token = excluded.token"
               " where guard.token <= excluded.token",
         "my": "insert into guard values ('job', :pawl_token) on duplicate key update token = greatest(token, values(token))",
         "lite": "insert into guard values ('job', :pawl_token) on conflict (name) do update set token = excluded.token"
                 " where guard.token <= excluded.token"}


@pytest.mark.parametrize("source", ALL)
def test_a_guard_row_keeps_an_old_attempt_from_writing(sql, source):
    fresh(sql, source, "name varchar(20) primary key, token bigint", "guard")
    fresh(sql, source)
    text = GUARD[source] + "; insert into t select {n}, 'x' from guard where name = 'job' and token = :pawl_token"
    run(sql, source, text.format(n=1))
    assert rows(sql, source, "select a from t") == [{"a": 1}]
    run(sql, source, "update guard set token = token + 1")  # a newer attempt has been here
    _, out = run(sql, source, text.format(n=2))
    assert out["statements"][1]["affected"] == 0
    assert rows(sql, source, "select a from t") == [{"a": 1}]


def test_built_in_parameters_name_the_attempt(sql):
    id = submit(sql, "pg", "select :pawl_task_id as id, :pawl_attempt::int as attempt, :pawl_token::bigint as token,"
                           " :pawl_planned::timestamptz as planned, :pawl_schedule as schedule")
    sql.wait_status(id, "finished")
    row = json.loads(sql.pawl("task", "output", id).out)["rows"][0]
    assert row["id"] == id and row["attempt"] == 1 and row["token"] > 0 and row["schedule"] == ""
    assert row["planned"].endswith("Z")


# ---- stopping -------------------------------------------------------------------------------------

def wait_running(databases, source, mark, wanted):
    server = databases.pg if source.startswith("pg") else databases.my
    return until(lambda: server.running(mark) == wanted, PATIENCE, 0.1, f"{wanted} statements {mark} run")


@pytest.mark.parametrize("source", SERVERS)
def test_cancel_stops_the_statement_on_the_server(sql, databases, source):
    mark = f"cancel-{source}"
    id = submit(sql, source, SLEEP[source].format(mark=mark))
    wait_running(databases, source, mark, 1)
    sql.pawl("task", "cancel", id)
    wait_running(databases, source, mark, 0)
    assert sql.wait_status(id, "cancelled")


@pytest.mark.parametrize("source", SERVERS)
def test_the_time_limit_stops_the_statement_on_the_server(sql, databases, source):
    mark = f"limit-{source}"
    id = submit(sql, source, SLEEP[source].format(mark=mark), time_limit="8s")
    wait_running(databases, source, mark, 1)
    task = sql.wait_status(id, "failed")
    assert "time limit of 8s" in task["message"]
    assert (databases.pg if source == "pg" else databases.my).running(mark) == 0


def test_the_time_limit_stops_sqlite(sql):
    task, _ = run(sql, "lite", "with recursive g(n) as (select 1 union all select n + 1 from g) select count(*) from g", "failed",
                  time_limit="500ms")
    assert "time limit" in task["message"]


@pytest.fixture
def silent(own):
    """A fleet whose source `silent` takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        source = {"driver": "postgresql", "host": "127.0.0.1", "port": server.getsockname()[1], "database": "app",
                  "user": "pawl", "connect_limit": "8s", "tls": "disable"}
        config = own.folder / "silent.yaml"
        config.write_text(json.dumps({"executor": {"sources": {"silent": source}}}))
        own.broker()
        own.executor("one", 1, "--config", config, PAWL_EXECUTOR__DRAIN_TIMEOUT="500ms")
        yield own


def test_the_time_limit_is_the_cause_also_while_nobody_answers(silent):
    id = submit(silent, "silent", "select 1", time_limit="300ms")
    task = silent.wait_status(id, "failed")
    assert task["message"] == "stopped at its time limit of 300ms", task


def test_a_drain_counts_no_attempt_that_waits_for_a_source(silent):
    id = submit(silent, "silent", "select 1")
    silent.wait_status(id, "running")
    [one] = silent.of("executor")
    assert one.end() == 0
    [attempt] = silent.wait_status(id, "waiting")["attempts"]
    assert attempt["outcome"] == "returned", attempt
    silent.pawl("task", "cancel", id)


@pytest.mark.parametrize("source", SERVERS)
def test_a_drain_that_lasts_too_long_gives_the_task_back(own, databases, source):
    own.broker()
    config = databases.config(own.folder / "x.yaml")
    first = own.executor("first", 2, "--config", config, PAWL_EXECUTOR__DRAIN_TIMEOUT="500ms")
    id = submit(own, source, SLEEP[source].format(mark=f"drain-{source}"))
    wait_running(databases, source, f"drain-{source}", 1)
    assert first.end() == 0
    wait_running(databases, source, f"drain-{source}", 0)
    assert own.wait_status(id, "waiting")
    own.pawl("task", "cancel", id)


# ---- what breaks ----------------------------------------------------------------------------------

def timers(port):
    """(kind, seconds left) of the kernel's timer of each connection to this port: 2 is keepalive (proc(5))."""
    found = []
    for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[2].endswith(f":{port:04X}") and fields[3] == "01":
            kind, left = fields[5].split(":")
            found.append((int(kind, 16), int(left, 16) / os.sysconf("SC_CLK_TCK")))
    return found


@pytest.mark.parametrize("source", SERVERS)
def test_a_server_that_falls_silent_is_asked_soon_whether_it_is_there(sql, databases, source):
    assert rows(sql, source, "select 1 as a") == [{"a": 1}]
    server = databases.pg if source == "pg" else databases.my
    # in the pool, and idle: nothing else is due on it
    until(lambda: any(kind == 2 and left <= 10 for kind, left in timers(server.port)), words="a keepalive within 10 s")


@pytest.mark.parametrize("source", SERVERS)
def test_a_dead_connection_is_renewed_before_the_first_statement(sql, databases, source):
    assert rows(sql, source, "select 1 as a") == [{"a": 1}]
    if source == "pg":
        databases.pg.ask("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'pawl-executor'")
    else:
        for (number,) in databases.my.ask("select id from information_schema.processlist where user = 'pawl'"):
            databases.my.ask(f"kill {number}")
    assert rows(sql, source, "select 2 as a") == [{"a": 2}]


@pytest.mark.parametrize("source", SERVERS)
def test_a_server_killed_under_a_statement_fails_it_and_the_next_one_finds_it_again(sql, databases, source):
    server = databases.pg if source == "pg" else databases.my
    fresh(sql, source)
    run(sql, source, "insert into t values (1, 'kept')")
    id = submit(sql, source, "insert into t values (2, 'lost'); " + SLEEP[source].format(mark="killed"))
    wait_running(databases, source, "killed", 1)
    server.kill()
    try:
        task = sql.wait_status(id, "failed")
        assert "nothing was committed" in task["message"], task
        away, _ = run(sql, source, "select 1", "failed")
        assert "cannot be reached" in away["message"]
    finally:
        server.start()
    assert rows(sql, source, "select a from t") == [{"a": 1}]


@pytest.mark.parametrize("source", SERVERS)
def test_what_is_committed_when_each_statement_commits_and_the_server_is_killed_is_not_denied(sql, databases, source):
    server = databases.pg if source == "pg" else databases.my
    fresh(sql, source)
    id = submit(sql, source, "insert into t values (1, 'kept'); " + SLEEP[source].format(mark="half"), transaction="none")
    wait_running(databases, source, "half", 1)
    server.kill()
    try:
        task = sql.wait_status(id, "failed")
    finally:
        server.start()
    assert "statement 2: the link broke, and each statement commits by itself" in task["message"], task
    notes = sql.pawl("task", "logs", id).err
    assert "statements before number 2 are committed" in notes and "statement 2 may be committed too" in notes
    assert rows(sql, source, "select a from t") == [{"a": 1}]


COMMIT = {"pg": b"COMMIT\0", "my": b"\x03COMMIT"}


@pytest.mark.parametrize("source", SERVERS)
@pytest.mark.parametrize("arrives", [True, False])
@pytest.mark.parametrize("on_unknown", ["fail", "retry"])
def test_a_link_lost_at_commit_is_unknown_and_the_task_says_what_then(sql, databases, source, arrives, on_unknown):
    server, cutter = databases.pg if source == "pg" else databases.my, databases.cutters[source]
    table = fresh(sql, source, "a integer", f"unknown_{arrives}_{on_unknown}".lower())
    cutter.cut_at(COMMIT[source], forward=arrives)
    task, _ = run(sql, f"{source}-cut", f"insert into {table} values (1)", "failed" if on_unknown == "fail" else "finished",
                  on_unknown=on_unknown, retry={"max_attempts": 3, "backoff": "100ms"})
    assert cutter.hits == 1
    there = int(server.ask(f"select count(*) from {table}")[0][0])
    if on_unknown == "fail":
        assert "unknown whether it was committed" in task["message"] and task["attempt"] == 1
        assert there == (1 if arrives else 0)
    else:
        assert task["attempt"] == 2 and there == (2 if arrives else 1)


def test_a_wrong_password_is_a_clear_failure_and_never_shown(own, databases):
    wrong = "wr0ng-password-in-no-log"
    password = own.folder / "password"
    password.write_text(wrong + "\n")
    password.chmod(0o600)
    sources = {name: {**server.source(password)} for name, server in (("pg", databases.pg), ("my", databases.my))}
    sources["env"] = {**sources["pg"], "password_env": "APP_PASSWORD"}
    del sources["env"]["password_file"]
    sources["away"] = {**sources["pg"], "port": 1}
    sources["nobase"] = {**databases.pg.source(databases.password), "database": "nowhere"}
    config = databases.config(own.folder / "x.yaml", **sources)
    own.broker()
    executor = own.executor("one", 2, "--config", config, APP_PASSWORD=wrong + "-2", PAWL_EXECUTOR__LOG__LEVEL="debug")
    printed = ""
    for source, words in (("pg", "refuses"), ("my", "refuses"), ("env", "refuses"), ("away", "cannot be reached"),
                          ("nobase", "refuses")):
        task, _ = run(own, source, "select 1", "failed")
        assert words in task["message"], task
        printed += json.dumps(task) + own.pawl("logs", task["id"]).out + own.pawl("task", "why", task["id"], code=None).out
        for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):  # of the executor, and of whatever it may have started
            try:
                printed += path.read_bytes().decode(errors="replace")
            except OSError:
                continue
    # nor do commands of the same executor get it
    said = own.pawl("run", "--wait", "--follow", "--", "sh", "-c", "cat /proc/self/environ /proc/self/cmdline; env; set")
    assert "PAWL_TASK_ID" in said.out and executor.alive()
    printed += said.out + said.err
    printed += own.pawl("events", "-o", "ndjson", code=None).out + own.pawl("executor", "list", "-o", "json").out
    own.stop()
    for path in own.folder.rglob("*"):
        if path.is_file() and path != password:
            assert wrong.encode() not in path.read_bytes(), path
            assert PASSWORD.encode() not in path.read_bytes(), path
    assert wrong not in printed and PASSWORD not in printed


@pytest.mark.parametrize("wrong, words", [
    ({"password": "x"}, "password"), ({"driver": "oracle"}, "driver"), ({"pool": 0}, "pool"),
    ({"password_file": "/no/such/file"}, "No such file"), ({"user": ""}, "needs"), ({"database": ""}, "needs"),
    ({"password_env": "PAWL_NO_SUCH"}, "exclude")])
def test_a_source_that_cannot_be_right_is_refused_at_start(own, databases, wrong, words):
    config = databases.config(own.folder / "x.yaml", pg={**databases.pg.source(databases.password), **wrong})
    program = own.add("executor", "one", "--check-config", "--config", config, start=False)
    import subprocess
    said = subprocess.run([own.bin / "pawl-executor", "--check-config", "--config", config], capture_output=True, text=True,
                          env=own.env, check=False)
    own.programs.remove(program)
    assert said.returncode == 2 and words in said.stderr, said.stderr


def test_variables_of_libpq_change_nothing_about_a_source(own, databases):
    own.broker()
    own.executor("one", 2, "--config", databases.config(own.folder / "x.yaml", pg=databases.pg.source(databases.password)),
                 PGHOSTADDR="127.0.0.9", PGSERVICE="nowhere", PGSSLCRL="/no/such", PGCHANNELBINDING="require")
    assert rows(own, "pg", "select host(inet_server_addr()) as a") == [{"a": "127.0.0.1"}]


def test_variables_of_libmariadb_change_nothing_about_a_source(own, databases):
    own.broker()
    source = databases.my.source(databases.password)
    source.pop("password_file")
    own.executor("one", 2, "--config", databases.config(own.folder / "x.yaml", my=source), MYSQL_PWD=PASSWORD)
    task, _ = run(own, "my", "select 1", "failed")
    assert "Access denied" in task["message"] and "using password: NO" in task["message"], task["message"]


def test_sqlite_writes_no_file_but_its_source(sql, databases):
    task, _ = run(sql, "lite", f"vacuum into '{databases.folder}/copy.db'", "failed", transaction="none")
    assert "authorization denied" in task["message"] and not (databases.folder / "copy.db").exists()


def test_a_password_file_that_others_may_read_is_refused(own, databases):
    import subprocess
    loose = own.folder / "loose"
    loose.write_text(PASSWORD)
    loose.chmod(0o644)
    config = databases.config(own.folder / "x.yaml", pg=databases.pg.source(loose))
    said = subprocess.run([own.bin / "pawl-executor", "--check-config", "--config", config], capture_output=True, text=True,
                          env=own.env, check=False)
    assert said.returncode == 2 and "0600" in said.stderr and PASSWORD not in said.stderr


def test_tls_is_required_and_a_wrong_certificate_refused(own, databases):
    server, ca = databases.pg, {}
    for name in ("server", "other"):
        ca[name] = own.folder / f"{name}.crt"
        ca[name].write_bytes(certificate(server, name).read_bytes())
    source = server.source(databases.password)
    own.broker()
    own.executor("one", 2, "--config", databases.config(
        own.folder / "x.yaml", plain={**source, "tls": "disable"}, required={**source, "tls": "require"},
        right={**source, "tls": "verify", "ca_file": str(ca["server"])},
        wrong={**source, "tls": "verify", "ca_file": str(ca["other"])},
        name={**source, "tls": "verify", "ca_file": str(ca["server"]), "host": "localhost"}))
    encrypted = "select ssl as a from pg_stat_ssl where pid = pg_backend_pid()"
    task, _ = run(own, "required", encrypted, "failed", retry={"max_attempts": 3})
    assert "SSL" in task["message"] and task["attempt"] == 1, task  # a server without: never in the clear
    for setting in (f"ssl_cert_file = '{server.folder}/server.crt'", f"ssl_key_file = '{server.folder}/server.key'", "ssl = on"):
        server.ask(f"alter system set {setting}")
    try:
        server.ask("select pg_reload_conf()")
        until(lambda: server.ask("show ssl") == [["on"]], PATIENCE, 0.1, "the server speaks TLS")
        assert rows(own, "required", encrypted) == rows(own, "right", encrypted) == [{"a": True}]
        assert rows(own, "plain", encrypted) == [{"a": False}]
        for source in ("wrong", "name"):
            task, _ = run(own, source, encrypted, "failed", retry={"max_attempts": 3})
            assert "certificate" in task["message"] and task["attempt"] == 1, task
    finally:
        for setting in ("ssl", "ssl_cert_file", "ssl_key_file"):
            server.ask(f"alter system reset {setting}")
        server.ask("select pg_reload_conf()")


def certificate(server, name):
    """Self-signed, for this machine's address, in the server's folder; the path of the certificate."""
    server.call("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}", "-addext",
                "subjectAltName=IP:127.0.0.1", "-keyout", server.folder / f"{name}.key", "-out", server.folder / f"{name}.crt")
    return server.folder / f"{name}.crt"


def test_mariadb_over_tls(own, databases):
    server, ca = databases.my, {}
    for name in ("server", "other"):
        ca[name] = own.folder / f"{name}.crt"
        ca[name].write_bytes(certificate(server, name).read_bytes())
    server.ask(f"create or replace user secure@'127.0.0.1' identified by '{PASSWORD}' require ssl")
    server.ask("grant all on app.* to secure@'127.0.0.1'")
    server.end()
    server.start(f"--ssl-cert={server.folder}/server.crt", f"--ssl-key={server.folder}/server.key")
    stripper = Stripper(server.port)
    source = server.source(databases.password)
    secure = {**source, "user": "secure"}
    stripped = {**source, "port": stripper.port}
    own.broker()
    own.executor("one", 2, "--config", databases.config(
        own.folder / "x.yaml", plain={**source, "tls": "disable", "ca_file": str(ca["server"])}, preferred=source,
        required={**source, "tls": "require"}, right={**source, "tls": "verify", "ca_file": str(ca["server"])},
        wrong={**source, "tls": "verify", "ca_file": str(ca["other"])}, unknown={**source, "tls": "verify"},
        name={**source, "tls": "verify", "ca_file": str(ca["server"]), "host": "localhost"},
        secure={**secure, "tls": "require"}, clear={**secure, "tls": "disable"},
        stripped={**stripped, "tls": "require"}, stripped2={**stripped, "tls": "verify", "ca_file": str(ca["server"])},
        open={**stripped, "tls": "prefer"}))
    encrypted = ("select variable_value <> '' as a from information_schema.session_status"
                 " where variable_name = 'Ssl_cipher'")
    try:
        for name, wanted in (("plain", 0), ("preferred", 1), ("required", 1), ("right", 1), ("secure", 1), ("open", 0)):
            assert rows(own, name, encrypted) == [{"a": wanted}], name
        for name, words in (("wrong", "certificate"), ("unknown", "certificate"), ("name", "certificate"), ("clear", "denied"),
                            ("stripped", "SSL"), ("stripped2", "SSL")):
            task, _ = run(own, name, encrypted, "failed", retry={"max_attempts": 3})
            assert "refuses" in task["message"] and words.lower() in task["message"].lower(), (name, task)
            assert task["attempt"] == 1, (name, task)
    finally:
        stripper.remove()
        server.end()
        server.start()


# ---- dispatch -------------------------------------------------------------------------------------

def test_a_task_waits_for_an_executor_that_has_its_source(own, databases):
    own.broker()
    sources = databases.sources()
    own.executor("without", 2, "--config", databases.config(own.folder / "a.yaml", other=sources["lite"]))
    id = submit(own, "lite", "select 1 as a")
    assert own.pawl("run", "--wait", "--sql", "other", "select 1").code == 0
    assert own.status(id) == "waiting"
    assert "no executor has the source lite" in own.pawl("why", id).out
    own.executor("with", 2, "--config", databases.config(own.folder / "b.yaml", lite=sources["lite"]))
    assert own.wait_status(id, "finished")["executor"] == "with"


def test_a_task_sent_to_an_executor_without_its_source_fails_for_good(sql):
    task, _ = run(sql, "nowhere", "select 1", "failed", target={"executor": "sql"}, retry={"max_attempts": 3})
    assert "has no source" in task["message"] and task["attempt"] == 1


def test_many_tasks_share_a_pool_of_four(sql):
    ids = sql.pawl("task", "submit", "-", input="".join(
        json.dumps({"sql": {"source": "pg", "text": "select pg_sleep(0.05)"}}) + "\n" for _ in range(40))).lines
    sql.pawl("task", "wait", *ids)
    assert all(sql.status(id) == "finished" for id in ids)


def test_a_schedule_runs_sql(sql):
    sql.pawl("schedule", "add", "sqlnow", "--every", "1s", "--sql", "lite", "select :pawl_schedule as s")
    task = until(lambda: sql.tasks("--schedule", "sqlnow", "--status", "finished"), PATIENCE, 0.2, "a firing")[0]
    sql.pawl("schedule", "rm", "sqlnow", "-y")
    assert json.loads(sql.pawl("task", "output", task["id"]).out)["rows"] == [{"s": "sqlnow"}]
