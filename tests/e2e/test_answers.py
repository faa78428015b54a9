# SPDX-License-Identifier: Apache-2.0
"""What a command answers: a program with -o json, a person with an empty list, in which zone, and when there
is no broker."""
import subprocess

import pytest

from conftest import BIN, ROOT
from fleet import PATIENCE, until
from test_words import COMMANDS

DATA = str(ROOT / "tests/data/import")
NOBODY = {"PAWL_BROKER": "ipc:///nonexistent/broker.sock"}

# What they print is something else than records: a page of help, bytes of a task, files, ids a line.
NOT_RECORDS = {"up", "help", "completion", "logs", "task logs", "task output", "task submit", "broker check", "export yaml",
               "export json", "export crontab"}
TOKEN = "0" * 64
# Of each command a line that it answers in JSON; ID, MANY, FILES, KEYS stand for what the test has.
LINES = {
    "run": "run --dry-run -- true", "task list": "", "task show": "task show ID", "task children": "task children MANY",
    "task wait": "task wait ID", "task why": "task why ID", "task cancel": "task cancel ID --dry-run",
    "task retry": "task retry ID --dry-run", "task start": "task start ID --dry-run",
    "task hold": "task hold ID --dry-run", "task complete": f"task complete {TOKEN} --dry-run",
    "task fail": f"task fail {TOKEN} --dry-run", "task extend": f"task extend {TOKEN} --by 1h --dry-run",
    "schedule add": "schedule add other --every 1h --dry-run -- true",
    "schedule set": "schedule set answers --every 2h --dry-run", "schedule list": "",
    "schedule show": "schedule show answers", "schedule why": "schedule why answers",
    "schedule pause": "schedule pause answers --dry-run", "schedule resume": "schedule resume answers --dry-run",
    "schedule now": "schedule now answers --dry-run", "schedule preview": "schedule preview answers",
    "schedule history": "schedule history answers", "schedule missed": "schedule missed answers",
    "schedule backfill": "schedule backfill answers --from 2026-01-01 --to 2026-01-02 --dry-run",
    "schedule range": "schedule range list answers", "schedule audit": "schedule audit answers",
    "schedule explain": "schedule explain answers --down now..+1h", "schedule rm": "schedule rm answers --dry-run",
    "schedule apply": "schedule apply -f FILES --dry-run", "schedule diff": "schedule diff -f FILES",
    "calendar set": "calendar set answers-days SUN", "calendar list": "", "calendar show": "calendar show answers-days",
    "calendar rm": "calendar rm answers-days --dry-run", "watermark list": "",
    "watermark show": "watermark show scope=answers", "watermark set": "watermark set scope=answers 8 --dry-run",
    "watermark rm": "watermark rm scope=answers --dry-run", "when": "when @hourly", "executor list": "",
    "executor show": "executor show one", "executor drain": "executor drain one --dry-run",
    "executor quiet": "executor quiet one --dry-run", "executor stop": "executor stop one --dry-run",
    "executor retire": "executor retire one --dry-run", "executor resume": "executor resume one --dry-run",
    "queue list": "", "queue pause": "queue pause default --dry-run", "queue resume": "queue resume default --dry-run",
    "peer list": "", "import crontab": "import crontab FILES/crontab --dry-run",
    "import systemd-timers": "import systemd-timers FILES/units --dry-run",
    "import celery-beat": f"import celery-beat {DATA}/beat.json --dry-run",
    "import xxl-job": f"import xxl-job {DATA}/xxl_job_info.csv --dry-run", "ps": "", "top": "top --once", "stats": "",
    "events": "events --from 1 --limit 3", "why": "why ID", "broker status": "",
    "key new": "key new answers --keys KEYS --dry-run", "key list": "key list --keys KEYS",
    "key rm": "key rm gone --keys KEYS --dry-run", "version": "",
}


@pytest.fixture(scope="module")
def answers(fleet, tmp_path_factory):
    """A fleet with a schedule, a calendar, a watermark, a task that has ended, keys and files."""
    folder = tmp_path_factory.mktemp("answers")
    id = fleet.pawl("run", "--wait", "--", "true").lines[0]
    fleet.pawl("schedule", "add", "answers", "--cron", "0 0 1 1 *", "--mode", "strict", "--", "true")
    fleet.pawl("calendar", "set", "answers-days", "SAT")
    fleet.pawl("watermark", "set", "scope=answers", "7")
    fleet.pawl("key", "new", "gone", "--keys", folder / "keys", "--out", folder / "gone.key")
    files = folder / "files"
    (files / "units").mkdir(parents=True)
    (files / "answers.yaml").write_text("name: from-file\ncron: '0 1 * * *'\ntask: {argv: ['true']}\n")
    (files / "crontab").write_text("0 1 * * * true\n")
    many = fleet.pawl("run", "--wait", "--on", "one,two", "--", "true").lines[0]
    yield fleet, {"ID": id, "MANY": many, "FILES": str(files), "KEYS": str(folder / "keys")}
    fleet.pawl("schedule", "rm", "answers")
    fleet.pawl("calendar", "rm", "answers-days")
    fleet.pawl("watermark", "rm", "scope=answers")


def test_every_command_is_looked_at():
    assert set(LINES) == set(COMMANDS) - NOT_RECORDS
    assert NOT_RECORDS <= set(COMMANDS)


@pytest.mark.parametrize("command", sorted(LINES))
def test_every_command_answers_in_json(answers, command):
    fleet, place = answers
    words = (LINES[command] or command).split()
    cut = words.index("--") if "--" in words else len(words)
    for word, value in place.items():
        words = [one.replace(word, value) for one in words]
    code = 8 if "import" in command else 0  # some lines of those files are refused
    said = fleet.pawl(*words[:cut], "-o", "json", *words[cut:], code=None)
    assert said.code in (0, code) and isinstance(said.json, (dict, list)), said
    lines = fleet.pawl(*words[:cut], "-o", "ndjson", *words[cut:], code=said.code)
    assert all(isinstance(row, dict) for row in lines.rows), lines


def deed(name, action, **more):
    return {"name": name, "action": action, "dry_run": False, **more}


def test_what_changes_something_says_so_to_programs(small):
    def said(*words, **more):
        return small.pawl(*words, "-o", "json", **more).json

    small.pawl("schedule", "add", "nightly", "--cron", "0 0 * * *", "--", "true")
    uid = small.schedule("nightly")["uid"]
    for verb in ("pause", "resume"):
        assert said("schedule", verb, "nightly") == deed("nightly", verb)
        assert said("queue", verb, "default") == deed("default", verb)
    for verb in ("drain", "resume"):
        assert said("executor", verb, "worker") == deed("worker", verb)
    number = said("schedule", "backfill", "nightly", "--from", "2000-01-01", "--to", "2020-01-01", "--rate", "1")["range"]
    assert said("schedule", "range", "cancel", "nightly", number) == deed("nightly", "cancel", range=number)
    assert said("schedule", "rm", "nightly") == deed("nightly", "rm", uid=uid)
    assert said("calendar", "set", "days", "SAT", "SUN") == deed("days", "set", entries=2)
    assert said("calendar", "rm", "days") == deed("days", "rm")
    assert said("watermark", "set", "scope=mails", 7) == deed("scope=mails", "set", value=7, was=None)
    assert said("watermark", "rm", "scope=mails") == deed("scope=mails", "rm", value=None, was=7)
    secret = small.folder / "web.key"
    made = said("key", "new", "web", "--keys", small.folder / "keys", "--out", secret)
    assert made["file"] == str(secret) and made["role"] == "executor" and secret.exists()
    assert said("key", "rm", "web", "--keys", small.folder / "keys") == deed("web", "rm")
    id = small.pawl("run", "--hold", "--", "true").lines[0]
    counts = {"dry_run": False, "refused": 0, "unknown": 0, "ids": [id]}
    assert said("task", "cancel", id, "--dry-run") == {**counts, "action": "cancel", "dry_run": True, "done": 0}
    assert said("task", "start", id) == {**counts, "action": "start", "done": 1}
    small.wait_status(id, "finished")
    again = said("task", "cancel", id, "01J00000000000000000000000", code=8)
    assert (again["done"], again["refused"]) == (0, 2) and again["ids"][0] == id


def test_a_dry_run_looks_whether_there_is_such_a_thing(fleet):
    for words in (["calendar", "rm", "no-such-days"], ["schedule", "range", "pause", "no-such", "1"],
                  ["schedule", "backfill", "no-such", "--from", "2026-01-01", "--to", "2026-01-02"]):
        said = fleet.pawl(*words, "--dry-run", code=3)
        assert said.err.startswith("error: ") and "would" not in said.err, said


def test_an_empty_list_says_none_and_keeps_its_head(fleet):
    words = ["task", "list", "--queue", "no-such-queue"]
    said = fleet.pawl(*words)
    assert said.err == "none\n" and len(said.lines) == 1 and said.lines[0].startswith("ID ")
    assert fleet.pawl(*words, "-q").err == ""
    assert fleet.pawl(*words, "--no-header").out == ""
    for format in ("json", "ndjson", "yaml", "csv", "id"):
        assert fleet.pawl(*words, "-o", format).err == ""


def test_why_and_events_tell_instants_in_the_zone_that_is_asked_for(fleet):
    id = fleet.pawl("run", "--at", "2999-01-01T00:00:00Z", "--", "true").lines[0]
    assert "it may start at 2999-01-01T09:00:00+09:00" in fleet.pawl("why", id, "--tz", "Asia/Tokyo").out
    assert fleet.pawl("task", "why", id, "--tz", "utc", "-o", "json").json["lines"] == \
        ["it may start at 2999-01-01T00:00:00+00:00"]
    fleet.pawl("task", "cancel", id, "--reason", "not at 2999-01-01T00:00:00Z")
    assert "not at 2999-01-01T00:00:00Z" in fleet.pawl("task", "show", id, "--tz", "Asia/Tokyo").out


def test_a_dry_run_without_a_broker_says_what_it_could_read(fleet):
    said = fleet.pawl("schedule", "add", "alone", "--cron", "0 3 * * *", "--mode", "latest", "--dry-run", "--timeout",
                      "200ms", "--", "true", code=6, **NOBODY)
    assert "every day at 03:00" in said.out and "(latest)" in said.out and "would be" not in said.out + said.err
    assert "error: the broker does not answer" in said.err and "--dry-run has the broker judge" in said.err


def test_what_becomes_of_missed_instants_is_told_as_it_will_be(fleet):
    def late(*words):
        return fleet.pawl("schedule", *words).out.partition("if late")[2].partition("\n")[0]

    try:
        made = late("add", "told-late", "--cron", "0 0 1 1 *", "--mode", "strict", "--live-first", "yes", "--", "true")
        assert "oldest first, beside what is new (strict)" in made
        assert "newest first" in late("set", "told-late", "--cron", "0 0 2 1 *", "--order", "newest", "--dry-run")
        fleet.pawl("schedule", "set", "told-late", "--order", "newest")
        assert "newest first, beside" in late("explain", "told-late", "--down", "now..+1h")
        assert "oldest first" in late("explain", "told-late", "--order", "oldest", "--down", "now..+1h")
    finally:
        fleet.pawl("schedule", "rm", "told-late", code=None)
    delay = late("add", "delay-late", "--after", "10m", "--dry-run", "--", "true")
    assert "nothing is ever missed" in delay and "(normal)" not in delay


def test_help_finds_topics_and_the_words_of_a_command(fleet):
    said = fleet.pawl("help", "dts", code=2, **NOBODY)
    assert "try: pawl help dst (did you mean that?)" in said.err
    assert "try: pawl help schedule (did you mean that?)" in fleet.pawl("help", "shedule", code=2, **NOBODY).err
    page = fleet.pawl("help", "schedule", "range", **NOBODY).out
    assert fleet.pawl("help", "schedule", "range", "list", **NOBODY).out == page
    for words in (["task", "list", "more"], ["schedule", "range", "lst"], ["version", "x"]):
        said = fleet.pawl("help", *words, code=2, **NOBODY)
        assert f'no help on "{words[-1]}"' in said.err and len(said.err.splitlines()) == 3, said


def daemon(name, *words, **more):
    return subprocess.run([BIN / f"pawl-{name}", *words], capture_output=True, text=True, timeout=PATIENCE, check=False,
                          stdin=subprocess.DEVNULL, **more)


@pytest.mark.parametrize("name", ["broker", "scheduler", "executor"])
@pytest.mark.parametrize("words, what, then", [
    (["--no-such"], "unknown flag --no-such", "--help tells all flags"), (["-Z"], "unknown flag -Z", "--help"),
    (["--confg", "x"], "unknown flag --confg", "--config (did you mean that?)"),
    (["--config"], "--config needs a value", "--config FILE"),
    (["--check-config=1"], "--check-config takes no value", "--check-config"),
    (["word"], 'unexpected word "word"', "--help"), (["--", "word"], 'unexpected word "word"', "--help")],
    ids=lambda words: " ".join(words) if isinstance(words, list) else "")
def test_wrong_flags_of_a_daemon_get_three_lines(name, words, what, then):
    said = daemon(name, *words)
    lines = said.stderr.splitlines()
    assert said.returncode == 2 and said.stdout == "" and len(lines) == 3, said
    assert lines[0] == f"pawl-{name}: {what}" and lines[1].startswith("  why:  ")
    assert lines[2].startswith(f"  then: pawl-{name} {then}"), said


@pytest.mark.parametrize("name", ["broker", "scheduler", "executor"])
def test_a_daemon_prints_each_key_with_where_it_comes_from(name, folder):
    config = folder / "pawl.yaml"
    config.write_text(f"{name}:\n  {'listen' if name == 'broker' else 'broker'}: ipc:///x/y.sock\n")
    for flag in ("--check-config", "--print-config"):
        said = daemon(name, "--config", config, flag, env={"HOME": str(folder), f"PAWL_{name.upper()}__ZONES__FOLDER" if
                                                           name == "broker" else f"PAWL_{name.upper()}__NAME": "/here"})
        assert said.returncode == 0 and said.stdout.startswith(f"{name}:\n"), said
        assert f"({config}:2)\n" in said.stdout and '"/here"' in said.stdout and "(default)" in said.stdout
    assert daemon(name, "--usage").stdout.startswith("Usage: ") and "pawl" in daemon(name, "-V").stdout


@pytest.mark.parametrize("words, why", [
    (["task", "cancel", "01J00000000000000000000000", "--status", "failed"], "--status and ids exclude each other"),
    (["task", "retry", "-", "--since", "1h"], "--since and ids exclude each other"),
    (["run", "--pause", "5s", "--", "true"], "several executors"),
    (["run", "--param", "a=b", "--", "true"], "says nothing of the task"),
    (["run", "--transaction", "one", "--", "true"], "says nothing of the task"),
    (["run", "--interpreter", "python3", "--", "true"], "says nothing of the task"),
    (["schedule", "set", "x", "--revision", "99999999999999999999999"], "is not a whole number"),
    (["schedule", "preview", "x", "-n", " 3"], "is not a whole number"),
    (["schedule", "preview", "x", "-n", "+3"], "is not a whole number"),
    (["schedule", "apply", "-f", "x.yaml", "--cursor", "soon"], "is not an instant"),
    (["key", "list", "--keys", ""], "names no folder"), (["key", "rm", "x", "--keys", ""], "names no folder"),
    (["key", "new", "x", "--keys", ""], "names no folder"),
    (["queue", "pause", "", "--dry-run"], "a name has 1 to"), (["queue", "pause", "a\nb"], "a name has 1 to"),
    (["import", "crontab", "-", "--zone", "Mars/Olympus"], "zone database")],
    ids=lambda words: " ".join(words).replace("\n", "\\n") if isinstance(words, list) else "")
def test_what_would_do_nothing_or_cannot_be_is_refused(fleet, words, why):
    said = fleet.pawl(*words, code=2)
    assert len(said.err.splitlines()) == 3 and why in said.err.splitlines()[1] and said.out == "", said


def test_a_schedule_may_be_made_paused(fleet):
    fleet.pawl("schedule", "add", "asleep", "--every", "1h", "--pause", "--", "true")
    assert fleet.schedule("asleep")["state"] == "paused"
    fleet.pawl("schedule", "rm", "asleep")


def test_what_a_task_says_is_no_command_to_the_terminal(fleet):
    said = fleet.pawl("run", "--wait", "--", "sh", "-c", "printf 'gone\\033[2J\\n' >&2; exit 3", code=7)
    id = said.lines[0]
    assert "[2J" in said.err and "\033" not in said.err
    assert "\033" not in fleet.pawl("why", id).out and "\033" not in fleet.pawl("task", "show", id).out
    assert "\033" not in fleet.pawl("task", "show", "\033[2J", code=3).err


def test_columns_stand_under_their_heads_also_with_wide_letters(fleet):
    for name in ("wide-同步任务", "wide-plain"):
        fleet.pawl("schedule", "add", name, "--cron", "0 0 1 1 *", "--zone", "UTC", "--", "true")
    head, *rows = fleet.pawl("schedule", "list", "--text", "wide-").lines
    columns = [sum(2 if letter > "\u2e7f" else 1 for letter in row[:row.index("0 0 1 1 *")]) for row in rows]
    assert len(rows) == 2 and set(columns) == {head.index("RULE")}
    for name in ("wide-同步任务", "wide-plain"):
        fleet.pawl("schedule", "rm", name)


def test_an_import_that_cannot_read_says_that_alone(fleet):
    for kind in ("celery-beat", "xxl-job", "systemd-timers"):
        said = fleet.pawl("import", kind, "no-such-file", "--dry-run", code=None)
        assert said.code in (1, 2) and len(said.err.splitlines()) == 3 and "no-such-file" in said.err, said


def test_who_has_gone_does_not_hide_who_is_there(small):
    def rows(*words):
        return small.pawl("peer", "list", *words, "--fields", "pid,alive").lines[1:]

    def gone():
        return [peer["pid"] for peer in small.pawl("peer", "list", "-o", "json").json if not peer["alive"]]

    pid = until(gone)[0]
    assert rows() and all(row.split()[1] == "yes" for row in rows())
    assert [str(pid), "no"] in [row.split() for row in rows("--all", "--limit", "100000")]
    assert "more that have gone: --all" in small.pawl("peer", "list").err
    assert small.pawl("-q", "peer", "list").err == ""


@pytest.mark.parametrize("words, closed, said", [
    ("schedule list", ">&-", "error: cannot write the output"), ("help", ">&-", "error: cannot write the output"),
    ("task submit -", "<&-", "error: cannot read -")], ids=str)
def test_a_closed_descriptor_is_no_file_of_its_own(fleet, words, closed, said):
    """Without a guard the socket to the broker would get its number, and be written to."""
    done = subprocess.run(["sh", "-c", f'exec "$0" {words} {closed}', fleet.bin / "pawl"], capture_output=True, text=True,
                          env={**fleet.env, "PAWL_BROKER": fleet.endpoint}, timeout=PATIENCE, check=False)
    assert done.returncode == 1 and done.stderr.startswith(said) and "Bad file descriptor" in done.stderr, done
    assert len(fleet.pawl("run", "--wait", "--", "true").lines) == 1


def test_numbers_for_people_are_in_units_and_in_the_zone(fleet):
    said = fleet.pawl("top", "--once", "--tz", "Asia/Tokyo").out
    assert "+09:00  up " in said.splitlines()[0] and "iB" in said[said.index("store"):].splitlines()[0]
    assert "+09:00" in fleet.pawl("stats", "--tz", "Asia/Tokyo").lines[0]


@pytest.mark.parametrize("given, folder", [
    ("STATE", "STATE"), ("STATE/broker.sock", "STATE"), ("ipc://STATE/broker.sock", "STATE")])
def test_keys_lie_in_the_broker_s_folder_also_before_it_is_there(fleet, tmp_path, given, folder):
    state = str(tmp_path / "new" / "state")
    said = fleet.pawl("-b", given.replace("STATE", state), "key", "new", "web", "--dry-run", "-o", "json").json
    assert said["public_file"] == folder.replace("STATE", state) + "/keys/authorized/web.pub"
    away = fleet.pawl("-b", given.replace("STATE", state), "queue", "list", "--timeout", "100ms", code=6)
    assert f"ipc://{state}/broker.sock" in away.err


def test_keys_of_a_broker_elsewhere_are_not_those_of_this_machine(fleet):
    for words in (["list"], ["rm", "x"], ["new", "x"]):
        assert "whose keys?" in fleet.pawl("-b", "tcp://elsewhere:6411", "key", *words, code=2).err


def test_a_tcp_broker_that_does_not_answer_may_not_know_the_key(fleet, tmp_path):
    key = tmp_path / "stranger.key"
    fleet.pawl("key", "new", "stranger", "--keys", tmp_path / "keys", "--out", key)
    said = fleet.pawl("-b", "tcp://127.0.0.1:1", "--key-file", key, "--timeout", "200ms", "queue", "list", code=6)
    assert "a key it does not know gets no answer" in said.err.splitlines()[-1]


@pytest.mark.parametrize("typed, meant", [
    ("list schedule", "schedule list"), ("schedule nightly show", "schedule show nightly"), ("show task x", "task show"),
    ("cancel x", "task cancel"), ("schedule delete x", "schedule rm"), ("schedule create x", "schedule add"),
    ("calendar create x", "calendar set"), ("key create x", "key new"), ("task kill x", "task cancel"),
    ("schedule stop x", "schedule pause"), ("jobs", "task"), ("status", "broker status"), ("tsk", "task"),
    ("executor stpo x", "executor stop"), ("list", "task list, pawl schedule list, pawl calendar list, ...")])
def test_words_that_name_no_command_are_met_with_the_one_that_was_meant(fleet, typed, meant):
    said = fleet.pawl(*typed.split(), code=2, **NOBODY)
    assert said.err.splitlines()[-1].startswith(f"  try: pawl {meant} (did you mean that?), or pawl help"), said


def test_what_means_nothing_is_not_guessed_at(fleet):
    for typed in ("frobnicate", "schedule frobnicate", "task rm x"):
        said = fleet.pawl(*typed.split(), code=2, **NOBODY)
        assert said.err.splitlines()[-1].startswith("  try: pawl help"), said
    assert "no schedule is called so" in fleet.pawl("logs", "no-such", code=3).err


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_a_page_of_help_fits_a_terminal(fleet, command):
    page = fleet.pawl("help", *command.split(), **NOBODY).out
    flags = page[page.index("flags"):].split("\n\n")[0] if "flags\n" in page else ""
    assert max(map(len, flags.splitlines()), default=0) <= 80, page
    assert not [line for line in page.splitlines() if len(line) > 100], page


def test_an_import_tells_lines_of_any_letters(fleet):
    line = "0 1 * * * " + "备份数据库" * 8 + "\x1b[2J"
    said = fleet.pawl("import", "crontab", "-", "--dry-run", input=line + "\n")
    assert "备份数据库" * 4 + "...  -> schedule" in said.out and "\x1b" not in said.out, said
