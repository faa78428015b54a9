# SPDX-License-Identifier: Apache-2.0
"""Moving in and out: imports, exports and apply, against a real broker."""
import datetime
import json
import os
import random
import re
import shutil
import subprocess
import time

import pytest

from conftest import ROOT

DATA = ROOT / "tests" / "data" / "import"
CRONTAB = ROOT / "ops" / "demo" / "crontab"


@pytest.fixture
def bare(own):
    """A broker of one test's own, with an executor and no scheduler: nothing fires."""
    own.broker()
    own.executor("worker", 1)
    return own


def names(fleet):
    return {row["name"] for row in fleet.pawl("schedule", "list", "-o", "ndjson").rows}


def actions(said):
    return {row["schedule"] or row["line"]: row["action"] for row in said.rows}


def run_import(fleet, *words, code=None):
    return fleet.pawl("import", *words, "-o", "ndjson", code=code)


def test_a_crontab_imported_again_says_unchanged_and_doubles_nothing(bare):
    first = run_import(bare, "crontab", CRONTAB, "--zone", "Europe/Paris", code=8)
    assert set(actions(first).values()) == {"created", "refused"}
    again = run_import(bare, "crontab", CRONTAB, "--zone", "Europe/Paris", code=8)
    assert set(actions(again).values()) == {"unchanged", "refused"}
    assert names(bare) == {row["schedule"] for row in first.rows if row["schedule"]}


def test_lines_that_moved_keep_their_schedules_and_a_changed_one_is_edited(bare):
    run_import(bare, "crontab", CRONTAB, "--zone", "Europe/Paris", code=8)
    before = names(bare)
    moved = bare.folder / "crontab"
    moved.write_text("# a new line on top\n\n" + CRONTAB.read_text().replace("0 22    *", "5 22    *"))
    said = run_import(bare, "crontab", moved, "--zone", "Europe/Paris", code=8)
    assert [name for name, action in actions(said).items() if action == "edited"] == ["crontab-38"]
    assert names(bare) == before
    moved.write_text(moved.read_text().replace("@weekly", "#@weekly"))
    said = bare.pawl("import", "crontab", moved, "--zone", "Europe/Paris", code=8)
    assert "still scheduled: crontab-29" in said.err


def test_what_was_changed_here_stays_when_the_file_does_not_speak_of_it(bare):
    run_import(bare, "crontab", CRONTAB, code=8)
    bare.pawl("schedule", "set", "crontab-21", "--mode", "latest")
    assert actions(run_import(bare, "crontab", CRONTAB, code=8))["crontab-21"] == "unchanged"
    assert bare.pawl("schedule", "show", "crontab-21", "-o", "json").json["mode"] == "latest"


def test_a_schedule_of_that_name_that_somebody_made_is_left_alone(bare):
    bare.pawl("schedule", "add", "backup", "--cron", "0 0 1 1 *", "--", "true")
    said = run_import(bare, "systemd-timers", DATA / "timers", code=8)
    row = next(row for row in said.rows if row["line"] == "backup.timer")
    assert row["result"] == "refused" and "no import" in row["notes"]
    assert bare.pawl("schedule", "show", "backup", "-o", "json").json["rule"] == "0 0 1 1 *"
    said = run_import(bare, "systemd-timers", DATA / "timers", "--prefix", "old", code=8)
    assert actions(said)["old-backup"] == "created"


def test_a_dry_run_writes_nothing_and_needs_no_broker(bare):
    said = run_import(bare, "crontab", CRONTAB, "--dry-run", code=8)
    assert "nothing written" in said.err and names(bare) == set()
    gone = bare.pawl("import", "crontab", CRONTAB, "--dry-run", code=8, PAWL_BROKER=f"ipc://{bare.folder}/no.sock")
    assert "no broker answers" in gone.err


def test_folders_users_and_scripts(bare, folder):
    cron_d, daily, tools = folder / "cron.d", folder / "cron.daily", folder / "tools"
    for each in (cron_d, daily, tools):
        each.mkdir()
    (cron_d / "one").write_text("A=1\n0 1 * * * root echo one\n")
    (cron_d / "two").write_text("0 2 * * * root echo two\n")
    for skipped in (".placeholder", "two.dpkg-old", "two~"):
        (cron_d / skipped).write_text("0 3 * * * root echo old\n")
    (cron_d / "inner").mkdir()
    (daily / "logrotate").write_text("#!/bin/sh\nexit 0\n")
    (tools / "crontab").write_text('#!/bin/sh\necho "# $*"\necho "0 4 * * * echo of-a-user"\n')
    (tools / "crontab").chmod(0o755)
    said = run_import(bare, "crontab", cron_d, daily, daily / "logrotate", code=8)
    by_line = {row["line"]: row for row in said.rows}
    assert by_line["one:2"]["result"] == by_line["two:1"]["result"] == "taken" and "two.dpkg-old:1" not in by_line
    told = dict(re.findall(r"cron\.d/(\S+) is skipped: (.*)", said.err))
    assert set(told) == {".placeholder", "two.dpkg-old", "two~", "inner"}
    assert "dot" in told[".placeholder"] and '"."' in told["two.dpkg-old"] and '"~"' in told["two~"]
    assert "run-parts" in by_line["cron"]["notes"] and "script" in by_line["logrotate"]["notes"]
    env = bare.pawl("schedule", "show", "two-1", "-o", "json").json["task"]["env"]
    assert "A" not in env  # variables are a file's own
    said = bare.pawl("import", "crontab", "-u", "somebody", "--on", "host=web-07", "-o", "ndjson",
                     PATH=f"{tools}:{os.environ['PATH']}")
    [row] = said.rows
    assert row["schedule"] == "somebody-2" and row["account"] == "somebody"
    task = bare.pawl("schedule", "show", "somebody-2", "-o", "json").json["task"]
    assert task["account"] == "somebody" and task["target"] == {"host": "web-07"}


def test_timers_are_taken_and_their_services_run_as_written(bare):
    said = run_import(bare, "systemd-timers", DATA / "timers", code=8)
    assert actions(said)["backup"] == actions(said)["poll"] == "created"
    shown = bare.pawl("schedule", "show", "backup", "-o", "json").json
    assert shown["rule"] == "30 2 * * 1-6" and shown["zone"] == "Europe/Paris"
    assert shown["mode"] == "latest" and shown["jitter"] == "15m"
    assert shown["task"]["shell"] == (
        "{ /usr/bin/mkdir -p /var/backups/site || :; } && /usr/local/bin/backup --to /var/backups/site "
        "--level=9 --quiet --one-file-system 'a b' 100% && /usr/local/bin/verify --target /var/backups/site")
    assert bare.pawl("schedule", "show", "poll", "-o", "json").json["rule"].startswith("@every 10m from ")
    shown = bare.pawl("schedule", "show", "sometimes", "-o", "json").json
    assert shown["after"] == "10m" and not shown["rule"]
    again = run_import(bare, "systemd-timers", DATA / "timers", code=8)
    assert set(actions(again).values()) == {"unchanged", "refused"}


def test_tasks_of_celery_and_xxl_job_go_to_the_types_they_are_mapped_to(bare):
    said = run_import(bare, "celery-beat", DATA / "beat_plain.json", code=8)
    assert all(row["result"] == "refused" for row in said.rows)  # nobody serves such types
    assert any("UNKNOWN_TYPE" in row["notes"] for row in said.rows) and names(bare) == set()
    said = run_import(bare, "xxl-job", DATA / "xxl_job_info.csv", "--zone", "Asia/Shanghai", code=8)
    assert actions(said)["xxl-job-3"] == "created"
    shown = bare.pawl("schedule", "show", "xxl-job-3", "-o", "json").json
    assert shown["rule"] == "30 2 * * 0" and shown["overlap"] == "cancel"
    assert shown["task"]["script"]["interpreter"] == "bash"


def full_house(fleet):
    fleet.pawl("import", "crontab", CRONTAB, "--zone", "Europe/Paris", code=8)
    fleet.pawl("schedule", "add", "nightly", "--cron", "0 2 L * *", "--mode", "strict", "--jitter", "90s",
               "--env", "A=b: 'c' #", "--retry", 3, "--backoff", "20s", "--label", "team=ops", "--on", "host=web-07",
               "--window", "1d", "--ahead", 7, "--start", "2026-01-01", "--", "/bin/echo", 'hi "there"', "100%", "")
    fleet.pawl("schedule", "add", "poll", "--every", "5m", "--except", "2026-12-25", "--start-by", "1m", "--max-running",
               2, "--overlap", "allow", "--pause", "--stdin", "x\n y\n\n", "--shell", "printf 'ü😀\\n'\n\ttrue \nexit\n")


def test_what_was_exported_applies_as_no_change(bare):
    full_house(bare)
    for kind in ("yaml", "json"):
        file = bare.folder / f"all.{kind}"
        file.write_text(bare.pawl("export", kind).out)
        said = bare.pawl("schedule", "apply", "-f", file, "--dry-run")
        assert said.err.startswith("no changes (24 schedules)") and said.out == ""
    listed = bare.pawl("export", "json", "nightly", "poll").json
    assert [spec["name"] for spec in listed] == ["nightly", "poll"] and listed[1]["paused"] is True
    assert listed[1]["task"]["shell"] == "printf 'ü😀\\n'\n\ttrue \nexit\n"


def test_exported_files_make_the_same_schedules_on_another_broker(bare, folder):
    from fleet import Fleet
    full_house(bare)
    text = bare.pawl("export", "yaml").out
    other = Fleet(bare.bin, folder / "other")
    try:
        other.broker()
        other.executor("worker", 1)
        other.pawl("schedule", "apply", "-f", "-", input=text)
        assert other.pawl("export", "yaml").out == text
    finally:
        other.stop()


def test_texts_of_every_kind_survive_yaml(bare):
    random.seed(7)
    letters = ["a", " ", "'", '"', "\\", "\n", "\t", ":", "#", "-", "*", "&", "!", "|", ">", "%", "@", "`", "{", "]",
               "ü", "中", "😀", "\u0085", "\u2028", "0", "~", "yes", "null", "1e3", "\x7f", "\x01"]
    specs = []
    for i in range(150):
        def text():
            return "".join(random.choices(letters, k=random.randint(1, 9)))
        specs.append({"name": f"s{i}", "rule": "0 2 * * *", "zone": "UTC",
                      "task": {"argv": ["/bin/echo", text()], "env": {f"V{i}": text()}, "stdin": text() + "\n"}})
    specs += [{"name": f"w{i}", "rule": "0 2 * * *", "zone": "UTC", "task": {"shell": word, "env": {"NO": word}}}
              for i, word in enumerate(["yes", "no", "null", "~", "1", "1.5", "true", "12:30:00", "0x1f", "- a", "a: b"])]
    file = bare.folder / "texts.json"
    file.write_text(json.dumps(specs))
    bare.pawl("schedule", "apply", "-f", file)
    exported = bare.folder / "texts.yaml"
    exported.write_text(bare.pawl("export", "yaml").out)
    assert bare.pawl("schedule", "diff", "-f", exported).err.startswith("no changes (161 ")
    assert bare.pawl("schedule", "diff", "-f", file).err.startswith("no changes (161 ")


def test_a_crontab_goes_out_and_comes_back(bare):
    run_import(bare, "crontab", CRONTAB, "--zone", "Europe/Paris", code=8)
    out = bare.folder / "back"
    out.write_text(bare.pawl("export", "crontab").out)
    assert set(actions(run_import(bare, "crontab", out, code=0)).values()) == {"unchanged"}
    bare.pawl("schedule", "add", "last-day", "--cron", "0 2 L * *", "--", "true")
    bare.pawl("schedule", "add", "careful", "--cron", "0 2 * * *", "--mode", "strict", "--", "date", "+%F")
    said = bare.pawl("export", "crontab", "last-day", "careful", code=8)
    assert "last-day is not written" in said.err and "# last-day is not written" in said.out
    assert "careful: a crontab does not say mode strict" in said.err
    assert "0 2 * * * date +\\%F" in said.lines


ONE = """name: one
cron: "*/5 * * * *"
zone: Europe/Paris
task:
  shell: echo one
"""
TWO = """---
name: two
every: 10m
start-by: 1m
task: {argv: [echo, two]}
"""


def test_apply_creates_edits_and_prunes_only_its_own(bare):
    bare.pawl("schedule", "add", "by-hand", "--cron", "0 0 1 1 *", "--", "true")
    files = bare.folder / "files"
    files.mkdir()
    (files / "a.yaml").write_text(ONE + TWO)
    assert bare.pawl("schedule", "diff", "-f", files).out == "created    one\ncreated    two\n"
    assert names(bare) == {"by-hand"}
    bare.pawl("schedule", "apply", "-f", files)
    assert bare.pawl("schedule", "apply", "-f", files).err.startswith("no changes (2 schedules)")
    (files / "a.yaml").write_text(ONE.replace("*/5", "*/7"))
    (files / "mine.yaml").write_text("name: other\ncron: 0 1 * * *\ntask: {shell: x}\n")
    bare.pawl("schedule", "apply", "-f", files / "mine.yaml", "--owner", "others")
    (files / "mine.yaml").unlink()
    (files / "a.yaml").write_text(ONE.replace("*/5", "*/9"))
    said = bare.pawl("schedule", "apply", "-f", files, "--prune", "-o", "ndjson")  # a script: not asked
    assert {row["name"]: row["action"] for row in said.rows} == {"one": "edited", "two": "pruned"}
    [change] = said.rows[0]["changes"]
    assert change == {"field": "rule", "old": "*/5 * * * *", "new": "*/9 * * * *"}
    assert names(bare) == {"by-hand", "one", "other"}
    (files / "a.yaml").write_text("")
    bare.pawl("schedule", "apply", "-f", files, "--prune", code=2)
    assert names(bare) == {"by-hand", "one", "other"}


def test_very_many_are_compared_with_one_list(bare):
    """More than are asked for one by one, in each of the cases above."""
    def write(count, minute):
        text = [f"---\nname: n{i}\ncron: '{minute(i)} {i % 24} * * *'\nzone: UTC\ntask: {{argv: [echo, '{i}']}}\n"
                for i in range(count)]
        (bare.folder / "many.yaml").write_text("".join(text))

    def apply(*words, code=0):
        rows = bare.pawl("schedule", "apply", "-f", bare.folder / "many.yaml", *words, "-o", "ndjson", code=code).rows
        return [(row["name"], row["action"]) for row in rows]
    write(150, lambda i: 1)
    assert apply() == [(f"n{i}", "created") for i in range(150)]  # in the order of the file
    assert apply() == [(f"n{i}", "unchanged") for i in range(150)]
    write(150, lambda i: 1 + i % 2)
    edits = [(f"n{i}", "edited" if i % 2 else "unchanged") for i in range(150)]
    assert apply("--dry-run") == edits
    assert {action for _, action in apply("--owner", "b", code=8)} == {"refused", "unchanged"}
    assert apply("--cursor", "keep", code=8) == [(name, "refused" if action == "edited" else action)
                                                 for name, action in edits]  # a new rule begins now
    assert apply() == edits and apply() == [(f"n{i}", "unchanged") for i in range(150)]
    write(150, lambda i: 3 if i < 2 else 1 + i % 2)
    past = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 3600))
    assert ("n0", "refused") in apply("--cursor", past, code=8)  # decided after that instant already
    write(110, lambda i: 1 + i % 2)
    assert apply("--prune", "-y")[110:] == sorted([(f"n{i}", "pruned") for i in range(110, 150)])
    assert apply("--owner", "b", "--adopt") == [(f"n{i}", "edited") for i in range(110)]
    assert apply("--owner", "b", "--prune") == [(f"n{i}", "unchanged") for i in range(110)]
    bare.pawl("schedule", "rm", *names(bare), "--yes", code=None)


def test_a_schedule_of_another_owner_is_taken_over_only_on_request(bare):
    file = bare.folder / "one.yaml"
    file.write_text(ONE)
    bare.pawl("schedule", "apply", "-f", file, "--owner", "a")
    file.write_text(ONE.replace("echo one", "echo 1"))
    said = bare.pawl("schedule", "apply", "-f", file, "--owner", "b", code=8)
    assert "apply/a" in said.out
    bare.pawl("schedule", "apply", "-f", file, "--owner", "b", "--adopt")
    assert bare.pawl("schedule", "apply", "-f", file, "--owner", "b").err.startswith("no changes")


def test_nothing_is_written_when_one_file_is_at_fault(bare):
    files = bare.folder / "files"
    files.mkdir()
    (files / "a.yaml").write_text(ONE)
    (files / "b.yaml").write_text("name: b\ncron: 0 1 * * *\ntask:\n  shell: x\n  retry:\n    max_attemps: 3\n"
                                  "---\nname: c\nmod: strict\ncron: 0 1 * * *\ntask: {shell: x}\n"
                                  "---\nname: one\ncron: 0 1 * * 9\ntask: {shell: x}\n")
    said = bare.pawl("schedule", "apply", "-f", files, code=2)
    assert f"{files}/b.yaml:6: task.retry.max_attemps: unknown field (did you mean \"max_attempts\"?)" in said.err
    assert f"{files}/b.yaml:9: mod: unknown key (did you mean \"mode\"?)" in said.err
    assert f"{files}/b.yaml:14: cron: " in said.err and names(bare) == set()
    (files / "b.yaml").write_text("name: b\ncron: */5 1 * * *\n")
    assert f"{files}/b.yaml:2: not YAML" in bare.pawl("schedule", "apply", "-f", files, code=2).err


def test_an_edit_keeps_the_phase_of_an_interval(bare):
    file = bare.folder / "two.yaml"
    file.write_text(TWO)
    bare.pawl("schedule", "apply", "-f", file)
    rule = bare.pawl("schedule", "show", "two", "-o", "json").json["rule"]
    file.write_text(TWO.replace("echo, two", "echo, zwei"))
    bare.pawl("schedule", "apply", "-f", file)
    assert bare.pawl("schedule", "show", "two", "-o", "json").json["rule"] == rule


WEEKDAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]


def some_event(random):
    def part(low, high, digits="{:02d}"):
        a, b = sorted(random.sample(range(low, high + 1), 2))
        return random.choice(["*", digits.format(a), f"{a}..{b}", f"{a},{b}", f"{a}/{random.randint(1, high // 2)}",
                              f"{a}..{b}/{random.randint(1, 5)}"])
    days = random.choice(["", "", random.choice(WEEKDAYS), ",".join(random.sample(WEEKDAYS, 2)), "Tue..Sat"])
    month = random.choice(["*", "*", part(1, 12)])
    day = random.choice(["-*", "-" + part(1, 31), "-1..7", "~01", "~07/1"])
    second = random.choice(["", "", ":00", ":" + part(0, 59)])
    return f"{days} *-{month}{day} {part(0, 23)}:{part(0, 59)}{second}".strip()


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is the oracle")
def test_calendar_events_fire_when_systemd_says(own):
    """In UTC, where no clock change tells the two apart."""
    random.seed(11)
    events = [some_event(random) for _ in range(200)]
    for i, event in enumerate(events):
        (own.folder / f"e{i}.timer").write_text(f"[Timer]\nOnCalendar={event} UTC\n")
        (own.folder / f"e{i}.service").write_text("[Service]\nExecStart=/bin/true\n")
    said = own.pawl("import", "systemd-timers", own.folder, "--dry-run", "-o", "ndjson", code=None,
                    PAWL_BROKER=f"ipc://{own.folder}/no.sock")
    taken = {row["line"]: row["notes"].split("rule ")[1].split(";")[0] for row in said.rows if row["result"] == "taken"}
    assert len(taken) > 60
    start = "2027-01-30 00:00:00"
    epoch = int(datetime.datetime(2027, 1, 30, tzinfo=datetime.timezone.utc).timestamp())
    for i, event in enumerate(events):
        if f"e{i}.timer" not in taken:
            continue
        rule = taken[f"e{i}.timer"]
        ours = own.pawl("when", "--batch", input=f"UTC\t{rule}\t{epoch - 1}\t12\n").out.split()
        said = subprocess.run(["systemd-analyze", "calendar", "--iterations=12", f"--base-time={start} UTC", f"{event} UTC"],
                              capture_output=True, text=True, env={**os.environ, "TZ": "UTC"}, check=True).stdout
        theirs = [line.split(": ", 1)[1] for line in said.splitlines()
                  if "Next elapse" in line or "Iteration" in line or line.strip().startswith("Iter. #")]
        theirs = [int(datetime.datetime.strptime(text[4:23], "%Y-%m-%d %H:%M:%S")
                      .replace(tzinfo=datetime.timezone.utc).timestamp()) for text in theirs]
        ours = [int(at) for at in ours if int(at) > epoch][:len(theirs)]
        theirs = [at for at in theirs if at > epoch][:len(ours)]
        assert ours[:len(theirs)] == theirs[:len(ours)] and len(theirs) >= 10, (event, rule)
