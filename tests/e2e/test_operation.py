# SPDX-License-Identifier: Apache-2.0
"""What those who operate it see and do: queues, executors, peers, numbers, events, the store."""
import collections
import json
import select
import time

import pytest
import zmq

from fleet import CROCKFORD, PATIENCE, SLOW_S, new_id, seconds, until
from pawl_wire import Peer, pb

STATUSES = {"held", "delayed", "blocked", "waiting", "running", "external", "finished", "failed", "cancelled",
            "superseded", "expired"}
STATS = {"time", "uptime", "tasks", "queues", "rates", "latency", "executors", "slots", "oldest_waiting", "commit",
         "store", "events_seq"}
RECORDS = {
    "task": "id type status queue priority attempt attempts_max created planned started ended executor schedule "
            "key parent progress message exit_code reason labels title",
    "schedule": "name uid revision rule zone mode overlap state next last cursor behind missed",
    "executor": "name state kinds types labels slots used host addresses pid container version last_seen "
                "clock_offset",
    "peer": "name role principal alive last_seen host internal_ip external_ip pid container",
}


# ---- queues and executors -------------------------------------------------------------------------

def test_a_paused_queue_starts_nothing_until_it_is_resumed(fleet):
    fleet.pawl("queue", "pause", "rest", "--reason", "maintenance")
    [id] = fleet.submit({"argv": ["true"], "queue": "rest"}).lines
    assert fleet.status(id) == "waiting"
    assert "maintenance" in fleet.pawl("why", id).out
    [queue] = [row for row in fleet.pawl("queue", "list", "-o", "ndjson").rows if row["name"] == "rest"]
    assert queue["paused"]
    fleet.pawl("queue", "resume", "rest")
    fleet.wait_status(id, "finished")


def test_a_drained_executor_gets_nothing_new_until_it_is_resumed(fleet):
    fleet.pawl("executor", "drain", "two", "--reason", "reboot")
    until(lambda: fleet.pawl("executor", "show", "two", "-o", "json").json["state"] != "ready")
    [id] = fleet.submit({"argv": ["true"], "target": {"executor": "two"}}).lines
    elsewhere = fleet.pawl("run", "--wait", "--", "true").lines[0]
    assert fleet.task(elsewhere)["executor"] == "one"
    assert fleet.status(id) == "waiting"
    assert fleet.pawl("why", id).out
    fleet.pawl("executor", "resume", "two")
    fleet.wait_status(id, "finished")


def test_why_says_what_a_full_executor_means(small):
    blockers = small.submit(*[{"argv": ["sleep", "300"]}] * 2).lines
    [id] = small.submit({"argv": ["true"]}).lines
    until(lambda: all(small.status(blocker) == "running" for blocker in blockers))
    said = small.pawl("why", id)
    small.pawl("task", "cancel", *blockers)
    assert "waiting" in said.out and len(said.lines) >= 2, said
    small.wait_status(id, "finished")
    assert "finished" in small.pawl("why", id).out


# ---- peers ----------------------------------------------------------------------------------------

def test_a_client_that_only_submits_is_alive_until_one_interval_after_its_last_request(own):
    suspect = 6
    own.env["PAWL_BROKER__SUSPECT"] = f"{suspect}s"
    own.broker()
    own.executor("worker", 1)
    peer = Peer(own.endpoint, "only-submits").open()

    def listed():
        rows = own.pawl("peer", "list", "-o", "json").json
        return next((row for row in rows if row["name"] == "only-submits"), None)
    for _ in range(6):  # longer than the interval in all, by nothing but submits
        number = 0
        for letter in new_id():
            number = number * 32 + CROCKFORD.index(letter)
        task = pb.Task(id=number.to_bytes(16, "big"), type="pawl/shell", command=pb.Command(argv=["true"]))
        peer.ask("submit", pb.Submit(tasks=[task.SerializeToString()]))
        row = listed()
        assert row["alive"] and row["role"] == "client"
        time.sleep(suspect / 4)
    began = time.monotonic()
    until(lambda: not (listed() or {"alive": False})["alive"])
    assert time.monotonic() - began < suspect + SLOW_S
    peer.close()


# ---- numbers --------------------------------------------------------------------------------------

def subscribe(fleet, *topics):
    socket = zmq.Context.instance().socket(zmq.SUB)
    socket.linger = 0
    for topic in topics:
        socket.setsockopt(zmq.SUBSCRIBE, topic)
    socket.connect(fleet.stats_endpoint)
    return socket


def receive(socket):
    assert socket.poll(int(PATIENCE * 1000)), "nothing came from the stats socket"
    return socket.recv_multipart()


def test_a_plain_subscriber_gets_two_frames_every_second(fleet):
    socket = subscribe(fleet, b"stats.json")
    found = []
    for _ in range(5):
        frames = receive(socket)
        assert len(frames) == 2 and frames[0] == b"stats.json"
        found.append(json.loads(frames[1]))
    socket.close()
    # by the broker's clock: ours may find several of them waiting. One may be late by most of a second
    assert 0.7 < (seconds(found[4]["time"]) - seconds(found[0]["time"])) / 4 < SLOW_S
    for stats in found:
        assert STATS <= set(stats)
        assert set(stats["tasks"]) == STATUSES
        assert {"submitted", "started", "ended"} <= set(stats["rates"])
        assert {"p50", "p99", "max"} <= set(stats["latency"]["queue"]) & set(stats["latency"]["run"])
        assert {"count", "p50", "p99", "batch"} <= set(stats["commit"])
        assert {"used", "live", "map"} <= set(stats["store"])
        assert stats["executors"] == 2 and stats["slots"] == 8


def test_the_stats_command_prints_the_same_object(fleet):
    socket = subscribe(fleet, b"stats.json")
    published = json.loads(receive(socket)[1])
    socket.close()
    assert set(fleet.stats()) == set(published)
    assert set(fleet.stats()["queues"]["default"]) == set(published["queues"]["default"])


def test_events_that_are_followed_have_every_format_and_an_end(fleet):
    for _ in range(2):
        fleet.pawl("run", "--wait", "--", "true")
    listed = fleet.pawl("events", "--limit", "3", "-o", "ndjson").rows
    follow = ["events", "-f", "--from", listed[0]["seq"], "--limit", "3"]
    assert fleet.pawl(*follow, "-o", "json").rows == listed  # a line each: an array would have no end
    assert fleet.pawl(*follow, "-o", "id").lines == [str(row["seq"]) for row in listed]
    csv = fleet.pawl(*follow, "-o", "csv", "--fields", "seq,kind").lines
    assert csv == ["seq,kind", *(f"{row['seq']},{row['kind']}" for row in listed)]
    assert len(fleet.pawl(*follow).lines) == 3


def test_the_event_topic_tells_each_change_of_status_with_its_sequence(fleet):
    socket = subscribe(fleet, b"event.", b"stats.json")
    while not receive(socket)[0].startswith(b"event."):  # the broker knows that somebody listens
        fleet.pawl("run", "--wait", "--", "true")
    id = fleet.pawl("run", "--wait", "--", "true").lines[0]
    kinds, seqs = [], []
    while "finished" not in kinds:
        topic, body = receive(socket)
        if topic.startswith(b"event."):
            event = json.loads(body)
            if event.get("id") == id:
                kinds.append(event["kind"])
                seqs.append(event["seq"])
    socket.close()
    assert kinds[0] == "created" and kinds[-2:] == ["running", "finished"]
    assert seqs == sorted(set(seqs))


def test_numbers_count_what_happened(small):
    before = small.stats()["tasks"]
    small.submit(*[{"argv": ["true"]}] * 5, {"argv": ["false"]}, {"argv": ["true"], "hold": True})
    until(lambda: small.stats()["tasks"]["finished"] == before["finished"] + 5)
    until(lambda: small.stats()["tasks"]["failed"] == before["failed"] + 1)
    stats = small.stats()
    assert stats["tasks"]["held"] == 1 and stats["queues"]["default"]["held"] == 1
    assert stats["commit"]["count"] > 0 and stats["store"]["used"] > 0


def test_numbers_for_people_leave_out_what_is_nought_and_for_programs_nothing(fleet):
    fleet.pawl("run", "--wait", "--", "true")
    said = fleet.pawl("stats").out
    counts = said[said.index("tasks"):said.index("rates")]
    assert "finished=" in counts and "=0" not in counts and "=no" not in counts, counts
    assert fleet.pawl("top", "--once", "-o", "json").json["queues"].keys() == \
        fleet.pawl("stats", "-o", "json").json["queues"].keys()


def test_top_once_is_one_picture(fleet):
    said = fleet.pawl("top", "--once")
    assert "executors" in said.out.lower() and "\x1b[?1049h" not in said.out


# ---- events ---------------------------------------------------------------------------------------

def test_the_journal_has_no_hole_and_each_task_ends_once(fleet):
    rows = fleet.events()
    assert [row["seq"] for row in rows] == list(range(1, len(rows) + 1))
    ends = collections.Counter(row["id"] for row in rows if row["kind"] == "finished")
    assert set(ends.values()) <= {1}


def test_events_follow_what_happens_from_now_on(fleet):
    following = fleet.start_pawl("events", "-f", "-o", "ndjson")
    try:
        while not select.select([following.stdout], [], [], 0.1)[0]:  # it has begun to follow
            fleet.pawl("run", "--wait", "--", "true")
        id = fleet.pawl("run", "--wait", "--", "true").lines[0]
        kinds = []
        while "finished" not in kinds:
            row = json.loads(following.stdout.readline())
            if row["id"] == id:
                kinds.append(row["kind"])
        assert kinds[0] == "created"
    finally:
        following.kill()
        following.communicate()


# ---- lists ----------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def furnished(fleet):
    """Something in every list."""
    fleet.pawl("run", "--wait", "--", "true")
    fleet.pawl("schedule", "add", "furniture", "--every", "1s", "--mode", "strict", "--", "true")
    until(lambda: fleet.pawl("schedule", "history", "furniture", "-o", "ndjson").rows)
    fleet.pawl("schedule", "pause", "furniture")
    until(lambda: not fleet.tasks("--status", "waiting,running,delayed"))  # what is listed twice is the same
    yield fleet
    fleet.pawl("schedule", "rm", "furniture")


LISTS = [("task", "list"), ("ps",), ("schedule", "list"), ("schedule", "history", "furniture"),
         ("schedule", "missed", "furniture"), ("schedule", "preview", "furniture"), ("executor", "list"),
         ("queue", "list"), ("peer", "list"), ("events", "--from", "1")]


@pytest.mark.parametrize("words", LISTS, ids=" ".join)
def test_every_list_has_every_format(furnished, words):
    rows = furnished.pawl(*words, "--limit", "5", "-o", "json", code=None)
    limit = ["--limit", "5"] if rows.code == 0 else []
    rows = furnished.pawl(*words, *limit, "-o", "json").json
    assert isinstance(rows, list) and (rows or words[0] == "ps" or "missed" in words)
    lines = furnished.pawl(*words, *limit, "-o", "ndjson").rows
    assert [set(line) for line in lines[:1]] == [set(row) for row in rows[:1]]
    table = furnished.pawl(*words, *limit, "-o", "table")
    assert not rows or len(table.lines) >= 2
    ids = furnished.pawl(*words, *limit, "-o", "id").lines
    assert len(ids) == len(rows) or words[0] in ("peer", "events")


@pytest.mark.parametrize("noun", sorted(RECORDS))
def test_records_have_the_fields_of_the_contract(furnished, noun):
    row = furnished.pawl(noun, "list", "-o", "json").json[0]
    assert set(RECORDS[noun].split()) <= set(row)
    if "container" in row:
        assert row["container"] is None or {"id", "name", "image"} <= set(row["container"])


def test_an_empty_list_is_an_empty_array(furnished):
    assert furnished.pawl("task", "list", "--queue", "no-such-queue", "-o", "json").json == []
    assert furnished.pawl("task", "list", "--queue", "no-such-queue", "-o", "ndjson").out == ""


def test_every_instant_carries_its_offset(furnished):
    task = furnished.pawl("task", "list", "--limit", "1", "--status", "finished", "-o", "json").json[0]
    for field in ("created", "planned", "started", "ended"):
        assert task[field].endswith("+00:00") or task[field][-6] in "+-" or task[field].endswith("Z")
        seconds(task[field].replace("Z", "+00:00"))


def test_a_long_list_streams_everything_that_matches(small):
    small.submit(*[{"argv": ["true"], "hold": True}] * 2500)
    rows = small.tasks("--status", "held")
    assert len({row["id"] for row in rows}) == len(rows) == 2500
    assert len(small.tasks("--status", "held", "--limit", "1001")) == 1001
    table = small.pawl("task", "list")
    assert len(table.lines) <= 102 and "--limit" in table.err
    ids = [row["id"] for row in rows]
    # a person sees what came last, a program all of it in order
    assert [line.split()[0] for line in table.lines[1:]] == ids[:-101:-1]
    assert [line.split()[0] for line in small.pawl("ls", "--oldest-first").lines[1:]] == ids[:100]
    last = small.stats()["events_seq"]
    assert [line.split()[0] for line in small.pawl("events").lines[1:]] == [str(last - 99 + i) for i in range(100)]
    assert small.pawl("events", "-o", "id", "--limit", "2").lines == ["1", "2"]


def test_keys_are_those_of_the_broker_that_is_asked(small):
    out = small.folder / "web-07.key"
    small.pawl("key", "new", "web-07", "--role", "monitor", "--out", out)
    assert (small.state / "keys" / "authorized" / "web-07.pub").exists()
    assert [row["role"] for row in small.pawl("-b", small.state, "key", "list", "-o", "json", PAWL_BROKER="").json] \
        == ["monitor"]
    assert small.pawl("key", "list", "-o", "json", PAWL_BROKER="").json == []  # of the usual folder
    small.pawl("key", "rm", "web-07")


def test_a_queue_that_nobody_ever_named_is_told(small):
    assert "no task was ever in a queue of that name" in small.pawl("queue", "pause", "defualt").err
    assert "no task was ever" not in small.pawl("queue", "resume", "defualt").err


# ---- the store ------------------------------------------------------------------------------------

def test_the_check_of_a_store_is_content_and_needs_no_broker(small):
    small.submit(*[{"argv": ["true"]}] * 20, {"argv": ["true"], "hold": True})
    until(lambda: small.stats()["tasks"]["finished"] == 20)
    small.stop()
    assert small.pawl("broker", "check", "--state", small.state).out.startswith("ok")


def test_the_check_finds_a_damaged_store(small):
    small.submit(*[{"argv": ["echo", "x" * 2000], "hold": True}] * 50)
    small.stop()
    data = small.state / "store" / "data.mdb"
    raw = data.read_bytes()
    assert raw.count(b"x" * 1000) >= 50
    data.write_bytes(raw.replace(b"x" * 1000, b"x" * 999 + b"y"))  # pages in use and copies alike
    said = small.pawl("broker", "check", "--state", small.state, code=None)
    assert said.code == 1, said
