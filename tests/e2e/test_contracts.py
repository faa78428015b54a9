# SPDX-License-Identifier: Apache-2.0
"""What is seen from outside and written nowhere else: lines, ids, numbers, third lines of errors."""
import os
import subprocess

import pytest

from conftest import BIN
from fleet import PATIENCE, until


def test_every_refused_line_is_a_dash_at_its_place_whoever_refuses_it(fleet):
    lines = ['{"shell":"true"}', '{"type":"no/such-type"}', '{"shell":"true","labels":{"a":"%s"}}' % ("x" * 65),
             '{"argv":[""]}', '{"shell":"true","color":"red"}', "nonsense", '{"shell":"true"}']
    said = fleet.pawl("task", "submit", "-", input="\n".join(lines) + "\n", code=8)
    assert [line == "-" for line in said.lines] == [False, True, True, True, True, True, False]
    told = [line for line in said.err.splitlines() if line.startswith("line ")]
    assert sorted(line.split(":")[0] for line in told) == [f"line {n}" for n in range(2, 7)]
    for line in lines[1:6]:  # a batch of one is refused in the same way
        assert fleet.pawl("task", "submit", "-", input=line + "\n", code=8).lines == ["-"]


def test_an_overlong_line_is_refused_once_and_the_next_one_is_taken(fleet):
    said = fleet.pawl("task", "submit", "-", input="x" * (9 << 20) + '\n{"shell":"true"}\n', code=8)
    assert said.lines[0] == "-" and len(said.lines[1]) == 26
    assert [line for line in said.err.splitlines() if line.startswith("line ")] == [
        "line 1: the line is longer than 8388608 bytes"]


def test_a_bulk_goes_on_past_an_id_that_nobody_has(fleet):
    held = fleet.pawl("run", "--hold", "--", "true").out.strip()
    said = fleet.pawl("task", "cancel", "-", input=f"zzz\n{held}\n", code=8)
    assert "zzz" in said.err and "1 done" in said.err
    assert fleet.status(held) == "cancelled"
    fleet.pawl("task", "cancel", "zzz", code=3)
    fleet.pawl("task", "wait", held, "zzz", code=3)


@pytest.mark.parametrize("code, words, third", [
    (3, ("schedule", "show", "no-such"), "pawl schedule list"),
    (3, ("task", "show", "01J00000000000000000000000"), "pawl task list"),
    (3, ("executor", "drain", "no-such"), "pawl executor list"),
    (3, ("run", "-t", "no/such-type"), "pawl executor list"),
    (2, ("schedule", "add", "past", "--at", "2020-01-01T00:00:00Z", "--", "true"), "--mode strict"),
    (2, ("schedule", "add", "x", "--every", "1h", "--key", "k", "--", "true"), "pawl help schedule add"),
    (2, ("task", "list", "--label", "a"), "KEY=VALUE"),
])
def test_the_third_line_says_what_to_type_here(fleet, code, words, third):
    said = fleet.pawl(*words, code=code)
    lines = said.err.splitlines()
    assert len(lines) == 3 and lines[2].startswith("  try: ") and third in lines[2]


def test_the_oldest_wait_is_told_of_a_task_that_no_executor_can_take(small):
    small.pawl("run", "--on", "executor=elsewhere", "--priority", "9", "--", "true")
    first = until(lambda: small.stats()["oldest_waiting"])
    assert first < 60  # a priority's offset is no wait
    assert until(lambda: small.stats()["oldest_waiting"] > first)
    assert small.stats()["queues"]["default"]["oldest_waiting"] > first


def test_a_command_that_left_is_alive_until_its_interval_is_over(own):
    own.env["PAWL_BROKER__SUSPECT"] = "8s"  # it is asked for within that
    small = own
    small.broker()
    small.executor("worker", 1)
    small.pawl("run", "--", "true")
    rows = small.pawl("peer", "list", "-o", "json").json
    clients = [row for row in rows if row["role"] == "client" and row["pid"] != os.getpid()]
    assert clients and all(row["alive"] for row in clients[-2:])
    gone = clients[0]["pid"]

    def alive():
        return any(row["alive"] for row in small.pawl("peer", "list", "-o", "json").json if row["pid"] == gone)
    until(lambda: not alive())


def test_one_file_configures_all_programs_of_a_machine(tmp_path):
    """Each reads its own section, then the files of conf.d, then the environment; what it prints can be read again."""
    file, more = tmp_path / "pawl.yaml", tmp_path / "conf.d" / "more.yaml"
    file.write_text("broker:\n  keep: {finished: 2d, failed: 3d}\nscheduler:\n  select: team=ops\n"
                    "executor:\n  slots: 7\n")
    more.parent.mkdir()
    more.write_text("broker: {keep: {failed: 4d}}\n")

    def said(program, path, **environment):
        done = subprocess.run([BIN / program, "--config", path, "--print-config"], capture_output=True, text=True,
                              timeout=PATIENCE, env={**os.environ, **environment})
        assert done.returncode == 0, done
        return done.stdout
    broker = said("pawl-broker", file, PAWL_BROKER__KEEP__LOGS="5d")
    assert all(f"keep.{key}: {days}d\n" in broker for key, days in (("finished", 2), ("failed", 4), ("logs", 5)))
    assert 'select: "team=ops"' in said("pawl-scheduler", file) and "slots: 7" in said("pawl-executor", file)
    more.unlink()
    (tmp_path / "printed.yaml").write_text(broker)
    again = said("pawl-broker", tmp_path / "printed.yaml")
    assert [line for line in again.splitlines() if "#" not in line] == \
        [line for line in broker.splitlines() if "#" not in line]


@pytest.mark.parametrize("program", ["pawl-broker", "pawl-scheduler", "pawl-executor"])
def test_what_a_program_cannot_start_with_is_told_in_three_lines(fleet, program, tmp_path):
    bad = tmp_path / "bad.yaml"
    bad.write_text("nonsense: 1\n")
    said = subprocess.run([BIN / program, "--config", bad], capture_output=True, text=True, timeout=PATIENCE)
    assert said.returncode == 2 and len(said.stderr.splitlines()) == 3 and "bad.yaml:1" in said.stderr
    assert subprocess.run([BIN / program, "--no-such-flag"], capture_output=True, timeout=PATIENCE).returncode == 2
