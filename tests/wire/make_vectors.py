# SPDX-License-Identifier: Apache-2.0
"""Writes schemas/vectors/: one hex file a frame, and vectors.json with what each means.

The vectors are golden: they are kept in git and this program is run by hand when one is added. With
--check it writes nothing and fails when what it would write differs from what is there.

A vector: name, hex (file), type (Request, Reply, Push, Task, Template), and either `meaning` (the
message in protobuf's JSON form, bytes in base64), or `error` (number, name, field). `canonical` is
there when the frame is not what an encoder would write (unknown fields, fields in another order):
the bytes that the message has when it is written again. Task and Template are serialized Tasks.
"""
import json
import sys

from google.protobuf import json_format

import messages

pb = messages.load()
NUMBER = messages.errors()
OUT = messages.ROOT / "schemas" / "vectors"

ID1 = bytes.fromhex("0192d4a7b3c0112233445566778899aa")
ID2 = bytes.fromhex("0192d4a7b3c1112233445566778899ab")
SESSION = bytes(range(0xA0, 0xB0))
REQUEST_ID = bytes(range(0x10, 0x20))
UID = bytes(range(0x30, 0x40))
INCARNATION = bytes(range(0x50, 0x60))
TOKEN = 1 << 48 | 7
NOON = 1793534400000000  # 2026-11-01T12:00:00Z

vectors = []


def add(name, kind, raw, error=None, field="", canonical=None):
    entry = {"name": name, "hex": name + ".hex", "type": kind}
    if error:
        entry["error"] = {"number": NUMBER[error], "name": error, "field": field}
    else:
        cls = pb.Task if kind in ("Task", "Template") else getattr(pb, kind)
        message = cls.FromString(raw)
        message.DiscardUnknownFields()
        entry["meaning"] = json_format.MessageToDict(message, preserving_proto_field_name=True)
        written = message.SerializeToString(deterministic=True)
        if written != raw:
            assert canonical is True, name
            entry["canonical"] = written.hex()
    assert all(v["name"] != name for v in vectors), name
    vectors.append((entry | {"raw": raw}))


def request(body, message=None, seq=2, session=SESSION, **envelope):
    r = pb.Request(magic=messages.MAGIC["Request"], seq=seq, session=session, **envelope)
    getattr(r, body).SetInParent()
    if message is not None:
        getattr(r, body).CopyFrom(message)
    return r


def good(name, body, message=None, **envelope):
    add(name, "Request", request(body, message, **envelope).SerializeToString(deterministic=True))


def bad(name, body, message, error, field, **envelope):
    add(name, "Request", request(body, message, **envelope).SerializeToString(deterministic=True),
        error, field)


def reply(name, **parts):
    r = pb.Reply(magic=messages.MAGIC["Reply"], seq=2, **parts)
    add(name, "Reply", r.SerializeToString(deterministic=True))


def push(name, **parts):
    p = pb.Push(magic=messages.MAGIC["Push"], **parts)
    add(name, "Push", p.SerializeToString(deterministic=True))


def task(**parts):
    return pb.Task(**({"id": ID1, "type": "mail/send"} | parts))


def good_task(name, kind="Task", **parts):
    add(name, kind, task(**parts).SerializeToString(deterministic=True))


def bad_task(name, error, field, kind="Task", **parts):
    add(name, kind, task(**parts).SerializeToString(deterministic=True), error, field)


def hello(**parts):
    return pb.Hello(**({"minor": 1, "role": pb.ROLE_CLIENT, "name": "shop",
                        "incarnation": INCARNATION} | parts))


def template(**parts):
    return pb.Task(**({"type": "mail/send"} | parts)).SerializeToString(deterministic=True)


def schedule(**parts):
    return pb.Schedule(**({"name": "nightly", "rule": "0 3 * * *", "zone": "Europe/Berlin",
                           "task": template()} | parts))


def requests():
    good("hello-client", "hello", hello(host="web-1", pid=4711, software="shop 2.1"), seq=1, session=b"")
    good("hello-executor", "hello", hello(
        role=pb.ROLE_EXECUTOR, name="web-07", features=["log"], host="web-07.example",
        addresses=["10.0.0.7", "fd00::7"], pid=12, container=pb.Container(id="c0ffee", name="x", image="debian:12"),
        labels=[pb.Label(key="role", value="web")], kinds=["shell", "script"], types=["mail/send"],
        queues=["default"], slots=4, credit=8, software="pawl 0.1.0", clock_us=NOON,
        claims=[pb.Claim(id=ID1, token=TOKEN), pb.Claim(id=ID2, token=TOKEN + 1, result_waits=True)],
        claims_follow=True), seq=1, session=b"")
    good("hello-interpreters", "hello", hello(
        role=pb.ROLE_EXECUTOR, name="web-08", kinds=["script"], types=["pawl/script"], slots=1, credit=1,
        interpreters=[pb.Interpreter(name="python3", version="3.11.2"), pb.Interpreter(name="sh")]),
        seq=1, session=b"")
    good("hello-sources", "hello", hello(
        role=pb.ROLE_EXECUTOR, name="db-1", kinds=["sql"], types=["pawl/sql"], slots=1, credit=1,
        sources=["app", "stats"]), seq=1, session=b"")
    good("hello-machine", "hello", hello(
        role=pb.ROLE_EXECUTOR, name="web-09", kinds=["shell"], types=["pawl/shell"], slots=1, credit=1,
        machine=pb.Machine(cpus=8, memory_bytes=33_554_432_000, os="Debian GNU/Linux 12 (bookworm)",
                           kernel="Linux 6.1.0-18-amd64")), seq=1, session=b"")
    good("hello-scheduler", "hello", hello(role=pb.ROLE_SCHEDULER, name="scheduler-a"), seq=1, session=b"")
    good("ping", "ping")
    good("ping-load", "ping", pb.Ping(load_milli=520))
    good("ping-assign-seen", "ping", assign_seen=3)
    good("bye", "bye")
    two = [task(key="order-7", input=b'{"to":"a@b"}').SerializeToString(),
           task(id=ID2, type="pawl/shell", command=pb.Command(argv=["/bin/echo", "hi"])).SerializeToString()]
    good("submit", "submit", pb.Submit(tasks=two))
    good("submit-bad-item", "submit", pb.Submit(tasks=[two[0], b"\xff\xff"]))
    good("report", "report", pb.Report(
        results=[pb.Result(id=ID1, token=TOKEN, outcome=pb.OUTCOME_DONE, exit_code=0, output=b"{}",
                           output_type="application/json", started_us=NOON, ended_us=NOON + 5,
                           usage=pb.Usage(cpu_us=10, memory_bytes=4096)),
                 pb.Result(id=ID2, token=TOKEN, outcome=pb.OUTCOME_FAIL, exit_code=-1, signal=9,
                           message="line 1\nline 2")],
        progress=[pb.Progress(id=ID1, token=TOKEN, done=1, total=2, text="half")],
        logs=[pb.LogChunk(id=ID1, token=TOKEN, stream=1, offset=0, data=b"hi\n\0\xff", time_us=NOON)],
        credit=8, running=[pb.Claim(id=ID1, token=TOKEN)], running_complete=True))
    good("report-of-a-restored-result", "report", pb.Report(
        results=[pb.Result(id=ID1, token=TOKEN, outcome=pb.OUTCOME_DONE, log_bytes=700)],
        logs=[pb.LogChunk(id=ID1, token=TOKEN, stream=3, offset=700)]))
    good("report-credit-zero", "report", pb.Report(credit=0))
    good("report-retry-after", "report", pb.Report(results=[pb.Result(
        id=ID1, token=TOKEN, outcome=pb.OUTCOME_RETRY_AFTER, retry_after_us=5000000)]))
    good("report-again", "report", pb.Report(results=[
        pb.Result(id=ID1, token=TOKEN, outcome=pb.OUTCOME_AGAIN, retry_after_us=5000000, poll_state=b"page=7"),
        pb.Result(id=ID2, token=TOKEN, outcome=pb.OUTCOME_ASYNC, deadline_us=3600000000, message="the bank has it")]))
    good("propose", "propose", pb.Propose(items=[pb.Proposal(
        uid=UID, revision=3, expect_cursor_us=NOON, new_cursor_us=NOON + 60000000)]))
    good("produce", "produce", pb.Produce(id=ID1, token=TOKEN, watermark=b"17", items=[
        pb.ProduceItem(task=template(input=b'{"id":17}'), key="17"),
        pb.ProduceItem(task=template(), content=bytes(range(32)))]))
    good("produce-asks", "produce", pb.Produce(id=ID1, token=TOKEN))
    good("task-get", "task_get", pb.TaskGet(ids=[ID1, ID2]))
    good("task-get-range", "task_get", pb.TaskGet(prefix_low=ID1, prefix_high=ID2))
    good("task-list", "task_list", pb.TaskList(
        filter=pb.TaskFilter(statuses=[pb.STATUS_WAITING, pb.STATUS_RUNNING], type="mail/send", since_us=NOON,
                             labels=[pb.Label(key="team", value="ops")]), cursor=77, limit=100, newest_first=True))
    good("task-list-all", "task_list")
    good("task-list-children", "task_list", pb.TaskList(filter=pb.TaskFilter(parent=ID1), limit=100))
    good("task-list-roots", "task_list", pb.TaskList(filter=pb.TaskFilter(roots=True)))
    good("task-wait", "task_wait", pb.TaskWait(ids=[ID1], any=True, wait_us=60000000))
    good("task-change", "task_change", pb.TaskChange(verb=pb.TASK_CANCEL, ids=[ID1], reason="no longer needed"),
         request_id=REQUEST_ID)
    good("task-complete", "task_complete", pb.TaskComplete(
        verb=pb.COMPLETE_DONE, completion=bytes(range(32)), output=b"{}", output_type="application/json",
        message="paid"), request_id=REQUEST_ID)
    good("task-extend", "task_complete", pb.TaskComplete(
        verb=pb.COMPLETE_EXTEND, completion=bytes(32), extend_us=60000000), request_id=REQUEST_ID)
    good("task-why", "task_why", pb.TaskWhy(id=ID1))
    good("log-read", "log_read", pb.LogRead(id=ID1, attempt=2, offset=1 << 40, limit=65536, wait_us=1))
    good("log-read-after", "log_read", pb.LogRead(id=ID1, token=TOKEN, after=True))
    good("event-read", "event_read", pb.EventRead(from_seq=1, limit=500))
    good("schedule-put", "schedule_put", pb.SchedulePut(schedule=schedule(
        mode=pb.MODE_STRICT, overlap=pb.OVERLAP_QUEUE_ALL, grace_us=0, window_us=86400000000, ahead=10,
        rate=5, jitter_us=1000000, supersede=False, max_running=1, from_us=NOON, to_us=NOON + 1,
        title="nightly mail", on_resume=pb.ON_RESUME_CATCHUP), if_revision=0, cursor=pb.CURSOR_NOW),
        request_id=REQUEST_ID)
    good("schedule-put-union", "schedule_put", pb.SchedulePut(schedule=schedule(
        also=["0 4 * * 6", "@every 1h from 2026-01-01T00:00:00Z"], calendars=["holidays", "moves"],
        max_firings=12)), request_id=REQUEST_ID)
    good("schedule-put-after", "schedule_put", pb.SchedulePut(schedule=schedule(
        rule="", after_us=600000000)), request_id=REQUEST_ID)
    good("calendar-put", "calendar_put", pb.CalendarPut(calendar=pb.Calendar(
        name="holidays", entries=["2026-12-24..2027-01-02", "SAT..SUN"], title="nobody works"), if_revision=0),
        request_id=REQUEST_ID)
    good("calendar-list", "calendar_list", pb.CalendarList(name="holidays"))
    good("calendar-remove", "calendar_remove", pb.CalendarRemove(name="holidays"), request_id=REQUEST_ID)
    good("watermark-list", "watermark_list", pb.WatermarkList(after=UID, limit=10))
    good("watermark-get", "watermark_list", pb.WatermarkList(of=pb.WatermarkOf(schedule="harvest")))
    good("watermark-set", "watermark_change", pb.WatermarkChange(
        of=pb.WatermarkOf(name="mails", principal="web"), value=b"1200", if_revision=7), request_id=REQUEST_ID)
    good("watermark-remove", "watermark_change", pb.WatermarkChange(
        of=pb.WatermarkOf(task=ID1), force=True), request_id=REQUEST_ID)
    good("schedule-get", "schedule_get", pb.ScheduleGet(name="nightly"))
    good("schedule-list", "schedule_list", pb.ScheduleList(after="a", limit=10, text="night"))
    good("schedule-change", "schedule_change", pb.ScheduleChange(
        verb=pb.SCHEDULE_RESUME, name="nightly", reason="fixed", on_resume=pb.ON_RESUME_SKIP),
        request_id=REQUEST_ID)
    good("schedule-history", "schedule_history", pb.ScheduleHistory(name="nightly", from_us=NOON, limit=100))
    good("schedule-backfill", "schedule_change", pb.ScheduleChange(
        verb=pb.SCHEDULE_BACKFILL, name="nightly", from_us=NOON, to_us=NOON + 86400000000,
        order=pb.ORDER_NEWEST, rate=5, stop=True, overlap=pb.OVERLAP_ALLOW), request_id=REQUEST_ID)
    good("schedule-range-cancel", "schedule_change", pb.ScheduleChange(
        verb=pb.SCHEDULE_RANGE_CANCEL, name="nightly", range=3), request_id=REQUEST_ID)
    good("schedule-put-live-first", "schedule_put", pb.SchedulePut(schedule=schedule(
        mode=pb.MODE_STRICT, order=pb.ORDER_NEWEST, live_first=True, warn=0,
        overlap_scope=pb.SCOPE_KEY, overlap_key="db-{type}"), cursor=pb.CURSOR_AT, cursor_at_us=NOON),
        request_id=REQUEST_ID)
    good("propose-range", "propose", pb.Propose(items=[pb.Proposal(
        uid=UID, revision=3, expect_cursor_us=NOON, range=65535)]))
    good("range-list", "range_list", pb.RangeList(name="nightly", all=True, after=7, limit=100))
    good("schedule-audit", "schedule_audit", pb.ScheduleAudit(name="nightly", from_us=NOON, to_us=NOON + 1, after=500))
    good("rehearse", "rehearse", pb.Rehearse(name="nightly", down_from_us=NOON, down_to_us=NOON + 3600000000,
                                             until_us=NOON + 7200000000, takes_us=60000000))
    good("rehearse-put", "rehearse", pb.Rehearse(
        put=pb.SchedulePut(schedule=schedule(mode=pb.MODE_LATEST)), down_from_us=NOON, down_to_us=NOON + 1))
    good("schedule-follow", "schedule_follow", pb.ScheduleFollow(limit=1000))
    good("schedule-follow-select", "schedule_follow", pb.ScheduleFollow(
        after="17", select="team=ops,env!=test", brief=True, due_us=NOON))
    good("schedule-list-select", "schedule_list", pb.ScheduleList(select="team=ops,!draft"))
    good("schedule-list-whole", "schedule_list", pb.ScheduleList(whole=True))
    good("schedule-list-names", "schedule_list", pb.ScheduleList(whole=True, names=["b", "a"]))
    good("schedule-put-many", "schedule_put", pb.SchedulePut(
        schedule=schedule(labels=[pb.Label(key="team", value="ops")]), if_revision=0,
        more=[pb.SchedulePutItem(schedule=schedule(name="weekly", rule="0 4 * * 0"), if_revision=3,
                                 cursor=pb.CURSOR_NOW)]), request_id=REQUEST_ID)
    good("queue-list", "queue_list")
    good("queue-change", "queue_change", pb.QueueChange(name="default", pause=True, reason="maintenance"),
         request_id=REQUEST_ID)
    good("executor-list", "executor_list")
    good("executor-change", "executor_change", pb.ExecutorChange(name="web-07", drain=True),
         request_id=REQUEST_ID)
    good("executor-stop", "executor_change", pb.ExecutorChange(
        name="web-07", verb=pb.EXECUTOR_STOP, deadline_us=300000000), request_id=REQUEST_ID)
    good("executor-retire", "executor_change", pb.ExecutorChange(
        name="web-07", verb=pb.EXECUTOR_RETIRE, reason="scrapped"), request_id=REQUEST_ID)
    good("peer-list", "peer_list")
    good("peer-list-page", "peer_list", pb.PeerList(cursor=17, limit=100))
    good("executor-list-page", "executor_list", pb.ExecutorList(name="web-1", cursor=17, limit=100))
    good("queue-list-page", "queue_list", pb.QueueList(after="mail", limit=100))
    good("stats-get", "stats_get")
    good("status-get", "status_get")
    good("name-unicode", "schedule_get", pb.ScheduleGet(name="nächtlich 每日 🕐"))


def encodings():
    """What an encoder of ours would not write, and which means something all the same."""
    head = pb.Request(magic=messages.MAGIC["Request"], seq=2, session=SESSION).SerializeToString()
    ping = b"\x5a\x00"
    add("unknown-envelope-fields", "Request", head + b"\x38\x01" + b"\xba\x3e\x03abc" + ping, canonical=True)
    add("unknown-body-beside-known", "Request", head + b"\xba\x3e\x00" + ping, canonical=True)
    why = b"\xc2\x01"  # field 24
    add("body-twice", "Request", head + (why + b"\x12\x0a\x10" + ID1) * 2, "BAD_REQUEST", "task_why")
    add("last-body-wins", "Request", head + ping + why + b"\x12\x0a\x10" + ID1, canonical=True)
    add("statuses-unpacked", "Request", head + b"\xaa\x01\x06\x0a\x04\x08\x04\x08\x05", canonical=True)
    add("long-varint", "Request", head[:5] + b"\x10\x82\x80\x00" + head[7:] + ping, canonical=True)
    add("seq-64-bit", "Request", request("ping", seq=1 << 62).SerializeToString())
    t = task().SerializeToString()
    add("task-unknown-field", "Task", t + b"\xf8\x07\x01", canonical=True)
    add("task-priority-zero", "Task", task(priority=0).SerializeToString())


def tasks():
    good_task("task-plain")
    good_task("task-full", queue="bulk", priority=9, input=b"\x00\x01", input_type="application/octet-stream",
              key="order-7", title="An order", labels=[pb.Label(key="team", value="")], operation="op-1",
              delay_us=5000000, hold=True, expire_us=1, time_limit_us=600000000, target=pb.Target(executor="web-07"),
              retry=pb.Retry(max_attempts=3, backoff_us=0, factor_milli=2000, cap_us=1), on_lost=pb.ON_LOST_FAIL)
    good_task("task-argv", type="pawl/shell", command=pb.Command(
        argv=["/bin/sh", "-c", "echo a\necho b"], env=[pb.EnvVar(name="A_1", value="\x1b[0m")], cwd="/srv",
        account="app", stdin=b"x"))
    good_task("task-shell", type="pawl/shell", command=pb.Command(shell="echo $HOME | wc -c"))
    good_task("task-script", type="pawl/script", command=pb.Command(interpreter="python3", script_text=b"print(1)\n"))
    good_task("task-script-file", type="pawl/script", command=pb.Command(
        script_file="sync/run.py", interpreter="python3>=3.11", argv=["--all"], secrets=["db"]))
    good_task("task-at", at_us=NOON)
    good_task("task-exclusive", exclusive=True)
    good_task("task-target-hash", target=pb.Target(hash="customer-7"))
    good_task("task-fanout-list", fanout=pb.Fanout(
        executors=["web-1", "web-2"], done=pb.FANOUT_QUORUM, done_count=2, offline=pb.FANOUT_WAIT, offline_us=60000000,
        parallel=1, pause_us=30000000, stop_failures=2, cancel_rest=False, move=True))
    good_task("task-fanout-labels", fanout=pb.Fanout(
        labels=[pb.Label(key="role", value="web")], done=pb.FANOUT_PERCENT, done_count=80, offline=pb.FANOUT_SKIP,
        parallel=10, stop_percent=10, late_join=True))
    good_task("task-fanout-everybody", fanout=pb.Fanout())
    good_task("task-poll", poll=pb.Poll(max_polls=100, deadline_us=86400000000))
    sql = pb.Sql(source="app", text="select :a::int", params=b'{"a":1}', rows=10, on_unknown=pb.SQL_UNKNOWN_RETRY,
                 transaction=pb.SQL_TRANSACTION_ONE)
    query = pb.Sql(source="app", text="select id, mail from users where id > :watermark order by id")
    good_task("task-sql", type="pawl/sql", sql=sql)
    good_task("task-sql-producer", type="pawl/sql-producer", sql=query, producer=pb.SqlProducer(
        task=template(), key="id", input=["mail"], watermark="id", batch=500, rows=9, dry_run=True, scope="mails"))
    bad_task("task-sql-missing", "BAD_REQUEST", "sql", type="pawl/sql")
    bad_task("task-sql-elsewhere", "CONTRADICTION", "sql", sql=sql)
    bad_task("task-sql-no-source", "BAD_NAME", "sql.source", type="pawl/sql", sql=pb.Sql(text="select 1"))
    bad_task("task-producer-missing", "BAD_REQUEST", "producer", type="pawl/sql-producer", sql=query)
    bad_task("task-producer-in-sql", "CONTRADICTION", "producer", type="pawl/sql", sql=sql,
             producer=pb.SqlProducer(task=template()))
    bad_task("task-producer-template", "BAD_NAME", "producer.task.type", type="pawl/sql-producer", sql=query,
             producer=pb.SqlProducer(task=template(type="x")))
    bad_task("task-producer-of-producers", "CONTRADICTION", "producer.task.type", type="pawl/sql-producer", sql=query,
             producer=pb.SqlProducer(task=template(type="pawl/sql-producer", sql=query)))
    bad_task("task-producer-twice", "CONTRADICTION", "producer.priority", type="pawl/sql-producer", sql=query,
             producer=pb.SqlProducer(task=template(priority=1), priority="prio"))
    good_task("template", "Template", id=b"", delay_us=1)
    script = {"type": "pawl/script"}
    bad_task("task-script-out", "BAD_VALUE", "command.script_file", command=pb.Command(
        script_file="a/../../b"), **script)
    bad_task("task-script-root", "BAD_VALUE", "command.script_file", command=pb.Command(
        script_file="/etc/passwd"), **script)
    bad_task("task-script-twice", "CONTRADICTION", "command.script_file", command=pb.Command(
        script_file="a", script_text=b"x", interpreter="sh"), **script)
    bad_task("task-script-version", "BAD_VALUE", "command.interpreter", command=pb.Command(
        script_text=b"x", interpreter="python3>=new"), **script)
    bad_task("task-no-id", "BAD_ID", "id", id=b"")
    bad_task("task-short-id", "BAD_ID", "id", id=ID1[:15])
    bad_task("template-with-id", "BAD_ID", "id", "Template")
    bad_task("template-with-at", "CONTRADICTION", "at_us", "Template", id=b"", at_us=NOON)
    bad_task("task-no-type", "BAD_NAME", "type", type="")
    bad_task("task-type-one-part", "BAD_NAME", "type", type="mail")
    bad_task("task-type-three-parts", "BAD_NAME", "type", type="a/b/c")
    bad_task("task-type-space", "BAD_NAME", "type", type="mail/se nd")
    bad_task("task-priority-ten", "BAD_VALUE", "priority", priority=10)
    bad_task("task-at-and-delay", "CONTRADICTION", "delay_us", at_us=NOON, delay_us=1)
    bad_task("task-delay-negative", "BAD_VALUE", "delay_us", delay_us=-1)
    bad_task("task-limit-century", "BAD_VALUE", "time_limit_us", time_limit_us=3153600000000001)
    bad_task("task-key-long", "TOO_LARGE", "key", key="k" * 257)
    bad_task("task-queue-space", "BAD_NAME", "queue", queue=" q")
    bad_task("task-title-newline", "BAD_UTF8", "title", title="a\nb")
    bad_task("task-labels-many", "TOO_MANY", "labels", labels=[pb.Label(key=f"k{i}") for i in range(17)])
    bad_task("task-label-key-empty", "BAD_NAME", "labels[1].key", labels=[pb.Label(key="a"), pb.Label(value="b")])
    bad_task("task-label-value-long", "TOO_LARGE", "labels[0].value", labels=[pb.Label(key="a", value="v" * 65)])
    bad_task("task-shell-without-command", "BAD_REQUEST", "command", type="pawl/shell")
    bad_task("task-command-of-other-type", "CONTRADICTION", "command", command=pb.Command(argv=["/bin/true"]))
    bad_task("task-argv-and-shell", "CONTRADICTION", "command.shell", type="pawl/shell",
             command=pb.Command(argv=["/bin/true"], shell="true"))
    bad_task("task-argv-empty", "BAD_VALUE", "command.argv[0]", type="pawl/shell", command=pb.Command(argv=["", "x"]))
    bad_task("task-neither", "BAD_REQUEST", "command.argv", type="pawl/shell", command=pb.Command(cwd="/"))
    bad_task("task-script-in-shell", "CONTRADICTION", "command.script_text", type="pawl/shell",
             command=pb.Command(interpreter="sh", script_text=b"true"))
    bad_task("task-script-no-interpreter", "BAD_REQUEST", "command.interpreter", type="pawl/script",
             command=pb.Command(script_text=b"true"))
    bad_task("task-env-name", "BAD_NAME", "command.env[1].name", type="pawl/shell", command=pb.Command(
        shell="true", env=[pb.EnvVar(name="A"), pb.EnvVar(name="1A")]))
    bad_task("task-argv-nul", "BAD_UTF8", "command.argv[1]", type="pawl/shell",
             command=pb.Command(argv=["a", "b\0c"]))
    bad_task("task-two-targets", "CONTRADICTION", "target", target=pb.Target(executor="a", host="b"))
    bad_task("task-target-hash-beside", "CONTRADICTION", "target", target=pb.Target(executor="a", hash="k"))
    bad_task("task-fanout-and-target", "CONTRADICTION", "target", target=pb.Target(host="b"), fanout=pb.Fanout())
    bad_task("task-fanout-list-and-labels", "CONTRADICTION", "fanout.executors",
             fanout=pb.Fanout(executors=["a"], labels=[pb.Label(key="role", value="web")]))
    bad_task("task-fanout-quorum-without-number", "BAD_VALUE", "fanout.done_count",
             fanout=pb.Fanout(done=pb.FANOUT_QUORUM))
    bad_task("task-fanout-quorum-out-of-reach", "CONTRADICTION", "fanout.done_count",
             fanout=pb.Fanout(executors=["a", "b"], done=pb.FANOUT_QUORUM, done_count=3))
    bad_task("task-fanout-percent-above-100", "BAD_VALUE", "fanout.done_count",
             fanout=pb.Fanout(done=pb.FANOUT_PERCENT, done_count=101))
    bad_task("task-fanout-all-with-number", "CONTRADICTION", "fanout.done_count", fanout=pb.Fanout(done_count=1))
    bad_task("task-fanout-pause-without-wave", "CONTRADICTION", "fanout.pause_us", fanout=pb.Fanout(pause_us=1))
    bad_task("task-fanout-list-joined-later", "CONTRADICTION", "fanout.late_join",
             fanout=pb.Fanout(executors=["a"], late_join=True))
    bad_task("task-fanout-skip-waits", "CONTRADICTION", "fanout.offline_us",
             fanout=pb.Fanout(offline=pb.FANOUT_SKIP, offline_us=1))
    bad_task("task-fanout-members-many", "TOO_MANY", "fanout.executors", fanout=pb.Fanout(executors=["a"] * 10001))
    bad_task("task-fanout-count-large", "BAD_VALUE", "fanout.count", fanout=pb.Fanout(count=10001))
    bad_task("task-attempts", "BAD_VALUE", "retry.max_attempts", retry=pb.Retry(max_attempts=1001))
    add("task-on-lost-unknown", "Task", task().SerializeToString() + b"\x98\x01\x07", "BAD_VALUE", "on_lost")
    add("task-garbage", "Task", b"\xff\xff\xff", "BAD_REQUEST", "")


def refused():
    bad_task("task-env-twice", "CONTRADICTION", "command.env[2].name", type="pawl/shell", command=pb.Command(
        argv=["true"], env=[pb.EnvVar(name="A", value="1"), pb.EnvVar(name="B"), pb.EnvVar(name="A", value="1")]))
    ping = request("ping").SerializeToString()
    add("empty", "Request", b"", "BAD_MAGIC", "magic")
    add("magic-cut", "Request", ping[:4], "BAD_MAGIC", "magic")
    add("magic-wrong", "Request", b"\x0d" + b"HTTP" + ping[5:], "BAD_MAGIC", "magic")
    add("magic-of-reply", "Request", b"\x0d" + b"PWR1" + ping[5:], "BAD_MAGIC", "magic")
    add("magic-later-major", "Request", b"\x0d" + b"PWL2" + ping[5:], "VERSION", "magic")
    add("magic-earlier-major", "Request", b"\x0d" + b"PWL0" + ping[5:], "VERSION", "magic")
    add("magic-not-first", "Request", ping[5:] + ping[:5], "BAD_MAGIC", "magic")
    add("http", "Request", b"GET / HTTP/1.1\r\nHost: pawl\r\n\r\n", "BAD_MAGIC", "magic")
    add("truncated", "Request", request("task_why", pb.TaskWhy(id=ID1)).SerializeToString()[:-1], "BAD_REQUEST", "")
    add("truncated-inside", "Request", ping[:-2] + b"\xc2\x01\x03\x0a\x10\x00", "BAD_REQUEST", "task_why")
    add("group", "Request", ping + b"\x3b\x3c", "BAD_REQUEST", "")
    add("field-zero", "Request", ping + b"\x00\x00", "BAD_REQUEST", "")
    add("varint-eleven-bytes", "Request", ping + b"\x38" + b"\xff" * 10 + b"\x01", "BAD_REQUEST", "")
    add("wire-type", "Request", ping + b"\x12\x00", "BAD_REQUEST", "seq")
    add("length-beyond", "Request", ping + b"\x3a\xff\xff\xff\xff\x0f", "BAD_REQUEST", "")
    head = pb.Request(magic=messages.MAGIC["Request"], seq=2, session=SESSION).SerializeToString()
    add("body-missing", "Request", head, "BAD_REQUEST", "body")
    add("body-unknown", "Request", head + b"\xba\x3e\x00", "UNIMPLEMENTED", "body")
    bad("seq-missing", "ping", None, "BAD_VALUE", "seq", seq=0)
    bad("session-missing", "ping", None, "NO_SESSION", "session", session=b"")
    bad("session-short", "ping", None, "BAD_VALUE", "session", session=b"abc")
    bad("hello-minor", "hello", hello(minor=0), "VERSION", "hello.minor", seq=1, session=b"")
    bad("hello-role-missing", "hello", hello(role=0), "BAD_VALUE", "hello.role", seq=1, session=b"")
    bad("hello-role-unknown", "hello", hello(role=9), "BAD_VALUE", "hello.role", seq=1, session=b"")
    bad("hello-name-missing", "hello", hello(name=""), "BAD_NAME", "hello.name", seq=1, session=b"")
    bad("hello-name-long", "hello", hello(name="n" * 201), "BAD_NAME", "hello.name", seq=1, session=b"")
    bad("hello-name-nul", "hello", hello(name="admin\0x"), "BAD_UTF8", "hello.name", seq=1, session=b"")
    bad("hello-name-c1", "hello", hello(name="a\u009bb"), "BAD_UTF8", "hello.name", seq=1, session=b"")
    bad("hello-incarnation", "hello", hello(incarnation=b"x"), "BAD_VALUE", "hello.incarnation", seq=1, session=b"")
    bad("hello-type", "hello", hello(types=["a/b", "nope"]), "BAD_NAME", "hello.types", seq=1, session=b"")
    bad("hello-source", "hello", hello(sources=["s" * 41]), "BAD_NAME", "hello.sources[0]", seq=1, session=b"")
    bad("hello-machine-os", "hello", hello(machine=pb.Machine(os="a\nb")), "BAD_UTF8", "hello.machine.os",
        seq=1, session=b"")
    bad("hello-claim-token", "hello", hello(claims=[pb.Claim(id=ID1)]), "BAD_VALUE", "hello.claims[0].token",
        seq=1, session=b"")
    raw = request("hello", hello(name="caf\u00e9"), seq=1, session=b"").SerializeToString()
    add("utf8-cut", "Request", raw.replace(b"\xc3\xa9", b"e\xc3"), "BAD_UTF8", "hello.name")
    add("utf8-overlong", "Request", raw.replace(b"\xc3\xa9", b"\xc0\xaf"), "BAD_UTF8", "hello.name")
    raw = request("hello", hello(name="a\u20acb"), seq=1, session=b"").SerializeToString()
    add("utf8-surrogate", "Request", raw.replace(b"\xe2\x82\xac", b"\xed\xa0\x80"), "BAD_UTF8", "hello.name")
    bad("change-without-request-id", "task_change", pb.TaskChange(verb=pb.TASK_CANCEL, ids=[ID1]),
        "BAD_REQUEST", "request_id")
    bad("change-without-verb", "task_change", pb.TaskChange(ids=[ID1]), "BAD_VALUE", "task_change.verb",
        request_id=REQUEST_ID)
    bad("change-without-ids", "task_change", pb.TaskChange(verb=pb.TASK_HOLD), "BAD_REQUEST", "task_change.ids",
        request_id=REQUEST_ID)
    bad("request-id-short", "queue_change", pb.QueueChange(name="q"), "BAD_VALUE", "request_id", request_id=b"1")
    bad("complete-token-short", "task_complete", pb.TaskComplete(verb=pb.COMPLETE_DONE, completion=b"x" * 31),
        "BAD_VALUE", "task_complete.completion", request_id=REQUEST_ID)
    bad("complete-without-request-id", "task_complete", pb.TaskComplete(
        verb=pb.COMPLETE_DONE, completion=bytes(32)), "BAD_REQUEST", "request_id")
    bad("complete-without-verb", "task_complete", pb.TaskComplete(completion=bytes(32)), "BAD_VALUE",
        "task_complete.verb", request_id=REQUEST_ID)
    bad("extend-without-time", "task_complete", pb.TaskComplete(verb=pb.COMPLETE_EXTEND, completion=bytes(32)),
        "BAD_VALUE", "task_complete.extend_us", request_id=REQUEST_ID)
    bad("report-poll-state-long", "report", pb.Report(results=[pb.Result(
        id=ID1, token=TOKEN, outcome=pb.OUTCOME_AGAIN, poll_state=b"x" * 65537)]), "TOO_LARGE",
        "report.results[0].poll_state")
    bad("get-short-id", "task_get", pb.TaskGet(ids=[ID1, ID1[:7]]), "BAD_ID", "task_get.ids[1]")
    bad("get-half-range", "task_get", pb.TaskGet(prefix_low=ID1), "BAD_REQUEST", "task_get.prefix_high")
    bad("wait-too-long", "task_wait", pb.TaskWait(ids=[ID1], wait_us=60000001), "BAD_VALUE", "task_wait.wait_us")
    bad("report-outcome", "report", pb.Report(results=[pb.Result(id=ID1, token=TOKEN)]), "BAD_VALUE",
        "report.results[0].outcome")
    bad("report-stream", "report", pb.Report(logs=[pb.LogChunk(id=ID1, token=TOKEN, stream=4)]), "BAD_VALUE",
        "report.logs[0].stream")
    bad("report-message-escape", "report", pb.Report(results=[pb.Result(
        id=ID1, token=TOKEN, outcome=pb.OUTCOME_FAIL, message="\x1b[31mred")]), "BAD_UTF8", "report.results[0].message")
    bad("produce-row-unnamed", "produce", pb.Produce(id=ID1, token=TOKEN, items=[pb.ProduceItem(task=template())]), "BAD_REQUEST",
        "produce.items[0].key")
    bad("produce-no-token", "produce", pb.Produce(id=ID1), "BAD_VALUE", "produce.token")
    bad("propose-uid", "propose", pb.Propose(items=[pb.Proposal(uid=b"u")]), "BAD_VALUE", "propose.items[0].uid")
    put = {"request_id": REQUEST_ID}
    bad("put-nothing", "schedule_put", pb.SchedulePut(), "BAD_REQUEST", "schedule_put.schedule", **put)
    bad("put-strict-skip", "schedule_put", pb.SchedulePut(schedule=schedule(
        mode=pb.MODE_STRICT, overlap=pb.OVERLAP_SKIP)), "CONTRADICTION", "schedule_put.schedule.overlap", **put)
    bad("put-scope-without-key", "schedule_put", pb.SchedulePut(schedule=schedule(
        overlap_scope=pb.SCOPE_KEY)), "BAD_VALUE", "schedule_put.schedule.overlap_key", **put)
    bad("put-key-without-scope", "schedule_put", pb.SchedulePut(schedule=schedule(
        overlap_scope=pb.SCOPE_TYPE, overlap_key="db")), "CONTRADICTION", "schedule_put.schedule.overlap_key", **put)
    bad("put-ends-first", "schedule_put", pb.SchedulePut(schedule=schedule(from_us=NOON, to_us=NOON)),
        "CONTRADICTION", "schedule_put.schedule.to_us", **put)
    bad("put-template-type", "schedule_put", pb.SchedulePut(schedule=schedule(task=template(type="x"))),
        "BAD_NAME", "schedule_put.schedule.task.type", **put)
    bad("put-many-no-rule", "schedule_put", pb.SchedulePut(
        schedule=schedule(), more=[pb.SchedulePutItem(schedule=schedule(rule=""))]), "BAD_VALUE",
        "schedule_put.more[0].schedule.rule", **put)
    bad("schedule-list-names-many", "schedule_list", pb.ScheduleList(names=["a"] * 1001), "TOO_MANY",
        "schedule_list.names")
    bad("follow-select-long", "schedule_follow", pb.ScheduleFollow(select="x" * 1001), "TOO_LARGE",
        "schedule_follow.select")
    bad("put-no-rule", "schedule_put", pb.SchedulePut(schedule=schedule(rule="")), "BAD_VALUE",
        "schedule_put.schedule.rule", **put)
    bad("put-after-and-rule", "schedule_put", pb.SchedulePut(schedule=schedule(after_us=1000000)),
        "CONTRADICTION", "schedule_put.schedule.after_us", **put)
    bad("put-after-short", "schedule_put", pb.SchedulePut(schedule=schedule(rule="", after_us=999999)),
        "BAD_VALUE", "schedule_put.schedule.after_us", **put)
    bad("put-after-calendar", "schedule_put", pb.SchedulePut(schedule=schedule(
        rule="", after_us=1000000, calendars=["c"])), "CONTRADICTION", "schedule_put.schedule.after_us", **put)
    bad("put-many-rules", "schedule_put", pb.SchedulePut(schedule=schedule(also=["0 0 * * *"] * 16)),
        "TOO_MANY", "schedule_put.schedule.also", **put)
    bad("put-calendar-twice", "schedule_put", pb.SchedulePut(schedule=schedule(calendars=["c", "d", "c"])),
        "CONTRADICTION", "schedule_put.schedule.calendars", **put)
    bad("calendar-empty", "calendar_put", pb.CalendarPut(calendar=pb.Calendar(name="c")), "BAD_VALUE",
        "calendar_put.calendar.entries", **put)
    bad("calendar-without-request-id", "calendar_remove", pb.CalendarRemove(name="c"), "BAD_REQUEST", "request_id")
    bad("watermark-of-nothing", "watermark_change", pb.WatermarkChange(of=pb.WatermarkOf(schedule=""), value=b"1"),
        "BAD_VALUE", "watermark_change.of", **put)
    bad("watermark-without-of", "watermark_change", pb.WatermarkChange(value=b"1"),
        "BAD_REQUEST", "watermark_change.of", **put)
    bad("watermark-scope-short", "watermark_list", pb.WatermarkList(of=pb.WatermarkOf(scope=b"short")),
        "BAD_VALUE", "watermark_list.of.scope")
    bad("watermark-principal-of-task", "watermark_list", pb.WatermarkList(of=pb.WatermarkOf(
        task=ID1, principal="web")), "CONTRADICTION", "watermark_list.of.principal")
    bad("watermark-value-empty", "watermark_change", pb.WatermarkChange(of=pb.WatermarkOf(name="mails"), value=b""),
        "BAD_VALUE", "watermark_change.value", **put)
    bad("watermark-value-long", "watermark_change", pb.WatermarkChange(
        of=pb.WatermarkOf(name="mails"), value=b"1" * 1025), "TOO_LARGE", "watermark_change.value", **put)
    bad("watermark-without-request-id", "watermark_change", pb.WatermarkChange(
        of=pb.WatermarkOf(name="mails"), value=b"1"), "BAD_REQUEST", "request_id")
    bad("range-too-large", "schedule_change", pb.ScheduleChange(
        verb=pb.SCHEDULE_RANGE_PAUSE, name="nightly", range=65536), "BAD_VALUE", "schedule_change.range", **put)
    bad("range-list-of-nothing", "range_list", pb.RangeList(), "BAD_NAME", "range_list.name")
    span = {"down_from_us": NOON, "down_to_us": NOON + 1}
    bad("rehearse-nothing", "rehearse", pb.Rehearse(**span), "BAD_NAME", "rehearse.name")
    bad("rehearse-both", "rehearse", pb.Rehearse(name="nightly", put=pb.SchedulePut(schedule=schedule()), **span),
        "CONTRADICTION", "rehearse.put")
    bad("rehearse-no-outage", "rehearse", pb.Rehearse(name="nightly"), "BAD_VALUE", "rehearse.down_from_us")
    bad("rehearse-outage-backwards", "rehearse", pb.Rehearse(name="nightly", down_from_us=NOON, down_to_us=NOON),
        "CONTRADICTION", "rehearse.down_to_us")
    bad("rehearse-ends-within", "rehearse", pb.Rehearse(name="nightly", until_us=NOON, **span),
        "CONTRADICTION", "rehearse.until_us")
    bad("rehearse-many", "rehearse", pb.Rehearse(put=pb.SchedulePut(schedule=schedule(), more=[
        pb.SchedulePutItem(schedule=schedule(name="weekly"))]), **span), "TOO_MANY", "rehearse.put.more")
    bad("rehearse-no-rule", "rehearse", pb.Rehearse(put=pb.SchedulePut(schedule=schedule(rule="")), **span),
        "BAD_VALUE", "rehearse.put.schedule.rule")
    bad("history-of-nothing", "schedule_history", pb.ScheduleHistory(), "BAD_NAME", "schedule_history.name")
    add("reply-bad-magic", "Reply", ping, "BAD_MAGIC", "magic")
    add("push-truncated", "Push", b"\x0dPWP1\x52\x05\x08", "BAD_REQUEST", "")


def from_broker():
    reply("reply-error", error=pb.Error(code=NUMBER["BUSY"], text="1025 requests in flight, 1024 are allowed",
                                        retry_after_us=100000))
    reply("reply-welcome", welcome=pb.Welcome(
        session=SESSION, minor=1, features=["log"], limits=pb.Limits(
            message_bytes=8 << 20, input_bytes=1 << 20, output_bytes=1 << 20, items=10000, requests_in_flight=1024,
            items_in_flight=65536, bytes_in_flight=64 << 20, log_bytes=1 << 20, log_head_bytes=256 << 10),
        lease_us=30000000, suspect_us=15000000, ping_us=5000000, wall_us=NOON, principal="uid:1000",
        store_id=UID, software="pawl 0.1.0", verdicts=[pb.CLAIM_KEEP, pb.CLAIM_UNKNOWN]))
    reply("reply-pong-directives", pong=pb.Pong(wall_us=NOON), directives=[
        pb.Directive(kind=pb.DIRECTIVE_CANCEL, id=ID1, token=TOKEN), pb.Directive(kind=pb.DIRECTIVE_DRAIN)])
    reply("reply-submitted", submitted=pb.Submitted(accepted=1, items=[
        pb.ItemResult(index=0, id=ID2),
        pb.ItemResult(index=1, error=pb.Error(code=NUMBER["BAD_NAME"], text="type: ...", field="type"))]))
    reply("reply-reported", reported=pb.Reported(verdicts=[pb.REPORT_DONE, pb.REPORT_STALE], claims=[pb.CLAIM_STOP]))
    reply("reply-produced", produced=pb.Produced(created=2, repeated_rows=1, watermark=b"17", created_all=40))
    reply("reply-proposed", proposed=pb.Proposed(wall_us=NOON, items=[
        pb.ProposalAnswer(verdict=pb.PROPOSAL_DONE, revision=3, cursor_us=NOON, next_us=NOON + 60000000, fired=1)]))
    reply("reply-rehearsal", rehearsal=pb.Rehearsal(
        items=[pb.RehearsalItem(from_us=NOON, to_us=NOON + 120000000, count=3, verdict="skipped", reason="late",
                                decided_us=NOON + 180000001),
               pb.RehearsalItem(from_us=NOON + 180000000, to_us=NOON + 180000000, count=1, verdict="fired",
                                reason="on time", decided_us=NOON + 180000001, planned_us=NOON + 180000000,
                                started_us=NOON + 180000001, ended_us=NOON + 181000001, status=pb.STATUS_FINISHED)],
        schedule=pb.ScheduleInfo(name="nightly", state="active"), next_us=[NOON + 240000000], end_us=NOON + 180000001,
        caught_up_us=NOON + 180000001, notes=["it is paused"], down=3))
    reply("reply-tasks-family", tasks=pb.TaskItems(items=[
        pb.TaskInfo(id=ID1, status=pb.STATUS_RUNNING, fanout=pb.FanoutInfo(
            total=5, open=2, blocked=1, ok=1, failed=1, skipped=1, needed=4, stopped=False, pause_until_us=NOON)),
        pb.TaskInfo(id=ID2, status=pb.STATUS_BLOCKED, parent=ID1, shard_index=4, shard_total=5, child_key="web-5")]))
    reply("reply-tasks", tasks=pb.TaskItems(items=[pb.TaskInfo(
        id=ID1, type="pawl/shell", status=pb.STATUS_FAILED, queue="default", priority=5, attempt=1, attempts_max=1,
        created_us=NOON, exit_code=1, attempts=[pb.AttemptInfo(attempt=1, token=TOKEN, outcome="failed")])],
        cursor=9, seq=12))
    reply("reply-tasks-polled", tasks=pb.TaskItems(items=[pb.TaskInfo(
        id=ID1, type="pawl/script", status=pb.STATUS_RUNNING, attempt=1, attempts=[
            pb.AttemptInfo(attempt=1, token=TOKEN, outcome="running", polls=3)])]))
    reply("reply-changed-repeated", repeated_reply=True, changed=pb.Changed(done=1))
    reply("reply-log", log=pb.LogData(
        pieces=[pb.LogPiece(stream=1, offset=0, data=b"hi\n")], next=3, total=3, ended=True))
    reply("reply-log-lost", log=pb.LogData(
        pieces=[pb.LogPiece(stream=1, offset=0, data=b"hi\n")], next=9, total=9, ended=True, hole_from=3, hole_to=9,
        lost=True))
    reply("reply-peers-page", peers=pb.PeerItems(items=[pb.PeerInfo(name="c", role="client")], next=18))
    reply("reply-events-gap", events=pb.EventItems(next_seq=900, oldest_seq=500))
    reply("reply-watermarks", watermarks=pb.WatermarkItems(items=[pb.WatermarkInfo(
        scope=UID, kind="scope", name="mails", principal="uid:1000", value=b"1200", created=2400, revision=3,
        changed_us=NOON, writer=ID1, running=True)], next=UID))
    reply("reply-stats", stats=pb.Stats(json="{}"))
    reply("reply-status", status=pb.Status(software="pawl 0.1.0", rejected_frames=3, store_level="ok"))
    push("push-assign", assign=pb.Assign(number=1, leases=[pb.Lease(
        id=ID1, token=TOKEN, attempt=1, attempts_max=3, task=task().SerializeToString(), planned_us=NOON)]))
    push("push-assign-again", assign=pb.Assign(number=2, leases=[pb.Lease(
        id=ID1, token=TOKEN, attempt=1, attempts_max=3, task=task().SerializeToString(), planned_us=NOON,
        completion=bytes(range(32)), polls=3, poll_state=b"page=7")]))
    push("push-assign-child", assign=pb.Assign(number=3, leases=[pb.Lease(
        id=ID2, token=TOKEN, attempt=1, attempts_max=1, planned_us=NOON, parent=ID1, shard_index=2, shard_total=3,
        task=task(fanout=pb.Fanout(executors=["a", "b", "c"])).SerializeToString())]))
    push("push-directives", directives=pb.Directives(directives=[
        pb.Directive(kind=pb.DIRECTIVE_STOP, id=ID1, token=TOKEN)]))
    push("push-end", directives=pb.Directives(directives=[
        pb.Directive(kind=pb.DIRECTIVE_END, deadline_us=300000000)]))
    push("push-schedules", schedules=pb.ScheduleItems(items=[pb.ScheduleInfo(name="nightly", uid=UID, removed=True)]))
    reply("reply-history", history=pb.HistoryItems(items=[
        pb.HistoryItem(instant_us=NOON, verdict="fired", task=ID1, decided_us=NOON, revision=3),
        pb.HistoryItem(instant_us=NOON + 60000000, verdict="skipped", reason="overlap", blocker=ID1,
                       decided_us=NOON + 60000000, revision=3)]))
    add("reply-newer-enum", "Reply", b"\x0dPWR1\x10\x02\x72\x04\x0a\x02\x01\x63", canonical=None)
    newer = pb.Reply(magic=messages.MAGIC["Reply"], seq=2).SerializeToString() + b"\xba\x3e\x00"
    add("reply-newer-body", "Reply", newer, canonical=True)


def main():
    requests()
    encodings()
    tasks()
    refused()
    from_broker()
    files = {}
    for vector in vectors:
        text = vector.pop("raw").hex()
        files[vector["hex"]] = "\n".join(text[i:i + 64] for i in range(0, len(text), 64)) + "\n"
    files["vectors.json"] = "[\n" + ",\n".join(
        json.dumps(v, ensure_ascii=False, sort_keys=True) for v in vectors) + "\n]\n"
    there = {p.name: p.read_text() for p in OUT.iterdir() if p.suffix in (".hex", ".json")} if OUT.exists() else {}
    if "--check" in sys.argv:
        wrong = sorted(n for n in files.keys() | there.keys() if files.get(n) != there.get(n))
        print(f"{len(vectors)} vectors, {len(wrong)} differ: {' '.join(wrong[:10])}")
        return 1 if wrong else 0
    OUT.mkdir(exist_ok=True)
    for name in there.keys() - files.keys():
        (OUT / name).unlink()
    for name, text in files.items():
        (OUT / name).write_text(text)
    print(f"{len(vectors)} vectors in {OUT}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
