# SPDX-License-Identifier: Apache-2.0
"""Fan-outs with the real programs: every host its own result, the parent once; and what a killed
broker or a lost host leaves."""
import json

import pytest

from conftest import tree_of
from fleet import until


def with_hosts(fleet):
    """Three executors with role=web and one without."""
    fleet.broker()
    for name in ("web-1", "web-2", "web-3"):
        fleet.executor(name, 2, "--labels", "role=web")
    fleet.executor("other", 2)
    return fleet


@pytest.fixture
def hosts(own):
    return with_hosts(own)


@pytest.fixture
def hasty_hosts(hasty):
    """A broker that has just begun gives everybody a lease to come before it takes him for absent."""
    return with_hosts(hasty)


def fan_out(fleet, *words, code=0):
    return fleet.pawl("run", *words, code=code).lines[0]


def children(fleet, parent):
    return fleet.pawl("task", "children", parent, "-o", "ndjson").rows


def test_every_host_runs_it_once_and_knows_its_shard(hosts):
    parent = fan_out(hosts, "--on", "all:role=web", "--wait", "--", "sh", "-c",
                     "echo $PAWL_SHARD_INDEX of $PAWL_SHARD_TOTAL in $PAWL_PARENT_ID")
    rows = children(hosts, parent)
    assert [(row["host"], row["executor"], row["status"], row["exit_code"]) for row in rows] == [
        (name, name, "finished", 0) for name in ("web-1", "web-2", "web-3")]
    assert hosts.pawl("task", "logs", parent).lines == [
        f"web-{i + 1} | {i} of 3 in {parent}" for i in range(3)]
    shown = hosts.pawl("task", "show", parent, "-o", "json").json
    assert shown["status"] == "finished" and shown["message"] == "3 of 3 finished"
    assert shown["fanout"]["total"] == shown["fanout"]["ok"] == 3 and shown["fanout"]["open"] == 0
    assert shown["task"]["fanout"] == {"labels": {"role": "web"}}
    table = hosts.pawl("task", "show", parent).out
    assert "LAST_LINE" in table and "2 of 3 in" in table


def test_one_failing_host_fails_the_parent_and_retry_runs_only_that_one(hosts):
    mark = hosts.folder / "mark"
    script = f'[ "$PAWL_SHARD_INDEX" != 1 ] || [ -e {mark} ] || exit 3'
    parent = fan_out(hosts, "--on", "all:role=web", "--wait", "--exit-code", "--", "sh", "-c", script, code=7)
    assert hosts.task(parent)["message"] == "2 of 3 finished, 1 failed"
    child = [row for row in children(hosts, parent) if row["status"] == "failed"][0]
    assert child["host"] == "web-2" and child["exit_code"] == 3
    refused = hosts.pawl("task", "retry", child["id"], code=4).err
    assert "retry the parent" in refused
    mark.touch()
    hosts.pawl("task", "retry", parent)
    hosts.wait_status(parent, "finished")
    assert [row["attempt"] for row in children(hosts, parent)] == [1, 1, 1]
    assert len(hosts.task(child["id"])["attempts"]) == 2


def test_a_wave_stops_after_failures_and_the_rest_says_why(hosts):
    parent = fan_out(hosts, "--on", "all:role=web", "--wave", "1", "--stop-after", "1", "--wait", "--",
                     "sh", "-c", "exit 5", code=7)
    rows = children(hosts, parent)
    assert [row["status"] for row in rows] == ["failed", "cancelled", "cancelled"]
    assert rows[2]["reason"] == "stopped after failures"
    assert hosts.pawl("task", "show", parent, "-o", "json").json["fanout"]["stopped"]


def test_a_quorum_cancels_the_rest_and_their_processes_go(hosts):
    parent = fan_out(hosts, "--on", "n:3:role=web", "--done", "quorum:2", "--wait", "--", "sh", "-c",
                     '[ "$PAWL_SHARD_INDEX" = 2 ] && exec sleep 100; true')
    until(lambda: [row["status"] for row in children(hosts, parent)] == ["finished", "finished", "cancelled"])
    until(lambda: not tree_of(children(hosts, parent)[2]["id"]))


def test_a_killed_broker_neither_loses_a_host_nor_runs_one_twice(hosts):
    runs = hosts.folder / "runs"
    parent = fan_out(hosts, "--on", "all:role=web", "--wave", "1", "--", "sh", "-c",
                     f'echo "$PAWL_TASK_ID" >>{runs}; sleep 0.5')
    until(lambda: runs.exists())
    broker = hosts.programs[0]
    broker.kill()
    hosts.broker()
    hosts.wait_status(parent, "finished")
    ran = runs.read_text().split()
    assert sorted(ran) == sorted(row["id"] for row in children(hosts, parent)) and len(set(ran)) == 3


def test_a_list_waits_for_who_is_absent_and_why_names_him(hasty_hosts):
    hosts = hasty_hosts
    parent = fan_out(hosts, "--on", "web-1,absent", "--offline", "wait:8s", "--", "true")
    rows = children(hosts, parent)
    assert [row["host"] for row in rows] == ["web-1", "absent"]
    assert "absent" in hosts.pawl("why", rows[1]["id"]).out
    hosts.wait_status(parent, "expired")
    assert children(hosts, parent)[1]["reason"] == "offline"


def test_a_schedule_fans_out_and_its_overlap_counts_the_parent(hosts):
    hosts.scheduler("scheduler")
    hosts.pawl("schedule", "add", "sweep", "--every", "1s", "--overlap", "skip", "--on", "all:role=web", "--",
               "sh", "-c", "sleep 2.5")
    until(lambda: len(hosts.pawl("task", "list", "--schedule", "sweep", "--status", "finished", "-o", "ndjson").rows))
    until(lambda: "overlap" in {row["reason"] for row in hosts.history("sweep")})
    hosts.pawl("schedule", "pause", "sweep")
    tasks = hosts.pawl("task", "list", "--schedule", "sweep", "-o", "ndjson").rows
    assert all(len(children(hosts, row["id"])) == 3 for row in tasks)
    one = children(hosts, tasks[0]["id"])[0]["id"]
    assert hosts.pawl("task", "show", one, "-o", "json").json["parent"] == tasks[0]["id"]


def test_what_makes_no_sense_is_refused_with_what_to_type(hosts):
    for words, why in ((("--done", "any"), "--done without a fan-out"),
                       (("--on", "all:role=web", "--done", "quorum"), "fanout.done_count"),
                       (("--on", "n:2:role=web", "--done", "quorum:3"), "cannot be reached"),
                       (("--on", "web-1", "--late-join"), "joined later"),
                       (("--on", "all:role=web", "--wave", "0"), "bad value of --wave")):
        assert why in hosts.pawl("run", *words, "--", "true", code=2).err
    line = json.dumps({"argv": ["true"], "fanout": {"labels": {"role": "web"}, "hosts": 3}})
    assert "fanout.hosts" in hosts.pawl("task", "submit", "-", input=line + "\n", code=8).err


def test_a_retired_executor_is_a_member_no_more(hosts):
    refused = hosts.pawl("executor", "retire", "web-3", code=4).err
    assert "connected" in refused and "stop it first" in refused
    hosts.pawl("executor", "stop", "web-3")
    until(lambda: hosts.pawl("executor", "retire", "web-3", code=None).code == 0)
    parent = fan_out(hosts, "--on", "all:role=web", "--wait", "--", "true")
    assert [row["host"] for row in children(hosts, parent)] == ["web-1", "web-2"]


def test_the_last_line_of_each_host_stands_in_every_format(hosts):
    parent = fan_out(hosts, "--on", "web-1,web-2", "--wait", "--", "sh", "-c",
                     'echo first; echo "i am $PAWL_SHARD_INDEX"')
    said = ["i am 0", "i am 1"]
    for form in ("ndjson", "json"):
        out = hosts.pawl("task", "children", parent, "-o", form)
        assert [row["last_line"] for row in (out.rows if form == "ndjson" else out.json)] == said
    shown = hosts.pawl("task", "show", parent, "--children", "-o", "json").json
    assert [row["last_line"] for row in shown["children"]] == said
    assert "children" not in hosts.pawl("task", "show", parent, "-o", "json").json
    assert hosts.pawl("task", "children", parent, "--fields", "host,last_line", "-o", "csv").lines[1:] == [
        "web-1,i am 0", "web-2,i am 1"]
    assert hosts.pawl("task", "children", parent, "-o", "id").lines == [row["id"] for row in children(hosts, parent)]
    assert [row["host"] for row in hosts.pawl("task", "logs", parent, "-o", "ndjson").rows] == ["web-1", "web-2"]


def test_a_large_fan_out_is_shown_by_its_counts_and_the_first_that_failed(hasty_hosts):
    hosts = hasty_hosts
    absent = [f"absent-{i:02}" for i in range(30)]
    parent = fan_out(hosts, "--on", ",".join(["web-1", "web-2", *absent]), "--offline", "wait:1s", "--wait", "--",
                     "sh", "-c", "[ $PAWL_SHARD_INDEX = 0 ] || exit 3", code=7)
    shown = hosts.pawl("task", "show", parent)
    assert {"finished  1", "failed    1", "expired   30"} <= set(shown.lines)
    assert sum("absent-" in line and "expired" in line for line in shown.lines) == 9 and "web-2" in shown.out
    assert "the first 10 of 31" in shown.err and "--status failed,expired" in shown.err
    assert len(shown.out) < 4000
    every = hosts.pawl("task", "show", parent, "--children", "--fields", "host,status").lines
    assert len(every) == 33 and every[1].split() == ["web-1", "finished"]
    assert len(hosts.pawl("task", "show", parent, "--children", "-o", "id").lines) == 32
    failed = hosts.pawl("task", "children", parent, "--status", "failed,expired", "-o", "ndjson").rows
    assert [row["host"] for row in failed] == ["web-2", *absent]
    assert "it is no fan-out" in hosts.pawl("task", "show", failed[0]["id"], "--children", code=None).err


def test_following_prints_each_line_once_whatever_starts_and_starts_again(hosts):
    script = f'm={hosts.folder}/tried-$PAWL_SHARD_INDEX; echo "try of $PAWL_SHARD_INDEX"; [ -e $m ] && exit 0; touch $m; exit 1'
    out = hosts.pawl("run", "--on", "all:role=web", "--wave", "1", "--retry", "2", "--follow", "--", "sh", "-c", script)
    assert [line for line in out.lines if "|" in line] == [
        f"web-{host + 1} | try of {host}" for host in range(3) for _ in range(2)]


def test_a_retry_that_comes_due_in_a_held_fan_out_waits_for_its_start(hosts):
    runs = hosts.folder / "runs"
    script = f'echo x >>{runs}-$PAWL_SHARD_INDEX; [ $PAWL_SHARD_INDEX = 0 ] && exec sleep 1; exit 1'
    parent = fan_out(hosts, "--on", "web-1,web-2", "--retry", "2", "--backoff", "8s", "--", "sh", "-c", script)
    until(lambda: (hosts.folder / "runs-1").exists() and (hosts.folder / "runs-0").exists())
    hosts.pawl("task", "hold", parent)
    until(lambda: [row["status"] for row in children(hosts, parent)] == ["finished", "held"])
    assert "start the parent" in hosts.pawl("task", "start", children(hosts, parent)[1]["id"], code=4).err
    assert len((hosts.folder / "runs-1").read_text().split()) == 1
    hosts.pawl("task", "start", parent)
    hosts.wait_status(parent, "failed")
    assert len((hosts.folder / "runs-1").read_text().split()) == 2


def test_a_broker_killed_in_the_middle_of_a_cancel_of_thousands_goes_on_with_it(hosts):
    names = ",".join(f"absent-{i}" for i in range(6000))
    parent = fan_out(hosts, "--on", names, "--", "true")
    hosts.pawl("task", "cancel", parent)
    hosts.programs[0].kill()  # at most a thousand a commit: most of them wait still
    hosts.broker()
    hosts.wait_status(parent, "cancelled")
    shown = hosts.pawl("task", "show", parent, "-o", "json").json["fanout"]
    assert shown["cancelled"] == shown["total"] == 6000
    hosts.pawl("task", "retry", parent)
    until(lambda: hosts.pawl("task", "show", parent, "-o", "json").json["fanout"]["open"] == 6000)
    assert hosts.task(parent)["status"] == "running"
