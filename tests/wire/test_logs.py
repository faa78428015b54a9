# SPDX-License-Identifier: Apache-2.0
"""The bad days of the logs: a disk that fails and comes back, one that is slow, and an executor that
dies with the end of a log in its hands. Tasks are not harmed; what is missing of a log is told."""
import json
import os
import pathlib

import pytest

from brokers import FAST, SANITIZED, events, executor, lease, report, result, submit, task, until
from pawl_wire import Peer, pb

DISK = pathlib.Path(os.environ.get("PAWL_BUILD", "build")).absolute() / "lib" / "disk.so"
pytestmark = pytest.mark.skipif(SANITIZED or not DISK.exists(),
                                reason="no disk.so, or a sanitizer that must be loaded first")


@pytest.fixture
def broker(start_broker, tmp_path):
    """Its state lies on a disk that fails or is slow at our word."""
    state = tmp_path / "state"
    yield start_broker(**FAST, LD_PRELOAD=str(DISK), PAWL_DISK=str(state))
    for word in "eio", "slow":
        (state / f"logs.{word}").unlink(missing_ok=True)


def wrong(broker, word):
    return broker.state / f"logs.{word}"


def chunk(held, offset, data):
    return pb.LogChunk(id=held.id, token=held.token, stream=1, offset=offset, data=data)


def run(client, worker):
    one = task()
    submit(client, one)
    return lease(worker)


def read(client, id):
    log = client.ask("log_read", pb.LogRead(id=id)).log
    return log, b"".join(p.data for p in log.pieces)


def test_a_disk_that_fails_costs_bytes_of_logs_and_each_log_says_so(broker):
    client, worker = Peer(broker.endpoint, "c").open(), executor(broker, credit=4)
    kept, cut, ended = run(client, worker), run(client, worker), run(client, worker)
    for held in kept, cut, ended:
        worker.ask("report", pb.Report(logs=[chunk(held, 0, b"before\n")]))
    wrong(broker, "eio").touch()
    for held in cut, ended:
        worker.ask("report", pb.Report(logs=[chunk(held, 7, b"lost\n")]))
    # a task ends all the same, and its result is on record
    assert report(worker, result(ended), logs=[chunk(ended, 12, b"lost too\n")]) == [pb.REPORT_DONE]
    until(lambda: "logs.lost" in [e.kind for e in events(client)])
    wrong(broker, "eio").unlink()
    until(lambda: read(client, ended.id)[0].hole_to == 21)

    log, text = read(client, ended.id)
    assert (text, log.total, log.hole_from, log.hole_to, log.ended) == (b"before\n", 21, 7, 21, True)
    report(worker, result(cut), result(kept), logs=[chunk(cut, 12, b"after\n"), chunk(kept, 7, b"after\n")])
    log, text = read(client, cut.id)
    assert (text, log.total, log.hole_from, log.hole_to) == (b"before\nafter\n", 18, 7, 12)
    log, text = read(client, kept.id)
    assert (text, log.total, log.hole_from, log.hole_to) == (b"before\nafter\n", 13, 0, 0)
    until(lambda: sum(int(e.detail) for e in events(client) if e.kind == "logs.lost") == 5 + 5 + 9)
    assert json.loads(client.ask("stats_get").stats.json)["logs_lost"] == 19


def test_a_slow_disk_of_the_logs_holds_up_nobody_else(broker):
    client, talker = Peer(broker.endpoint, "c").open(), executor(broker, "talker")
    held = run(client, talker)
    talker.ask("ping")
    talker.hello.credit = 0
    quiet = executor(broker, "quiet", types=["test/quiet"])
    wrong(broker, "slow").touch()
    talker.send(talker.pack("report", pb.Report(logs=[chunk(held, 0, b"slow\n")], credit=0)))
    waits_for = talker.seq
    for _ in range(20):
        submit(client, task("test/quiet"))
        assert report(quiet, result(lease(quiet))) == [pb.REPORT_DONE]
        talker.send(talker.pack("ping"))  # it lives
        while not talker.quiet(0):
            assert talker.take().seq != waits_for, "the disk was not slow"
    wrong(broker, "slow").unlink()
    talker.answer(waits_for)


def test_an_attempt_whose_executor_was_lost_says_that_its_end_may_be_missing(broker):
    client, worker = Peer(broker.endpoint, "c").open(), executor(broker)
    held = run(client, worker)
    worker.ask("report", pb.Report(logs=[chunk(held, 0, b"as far as it came\n")]))
    assert not client.ask("log_read", pb.LogRead(id=held.id)).log.lost
    worker.close()

    def lost():
        client.ask("ping")
        log = client.ask("log_read", pb.LogRead(id=held.id, token=held.token)).log
        return log if log.ended else None
    log = until(lost)
    assert log.lost and log.pieces[0].data == b"as far as it came\n"


def test_a_result_that_outlived_its_executor_tells_how_much_of_the_log_did_not(broker):
    client, worker = Peer(broker.endpoint, "c").open(), executor(broker)
    held = run(client, worker)
    worker.ask("report", pb.Report(logs=[chunk(held, 0, b"begin\n")]))
    worker.close()
    again = Peer(broker.endpoint, "worker-1", pb.ROLE_EXECUTOR, kinds=["worker"], types=["test/process"], slots=2,
                 credit=0, claims=[pb.Claim(id=held.id, token=held.token, result_waits=True)]).open()
    end = pb.LogChunk(id=held.id, token=held.token, stream=3, offset=1000)
    assert report(again, result(held, log_bytes=1000), logs=[end]) == [pb.REPORT_DONE]
    log, text = read(client, held.id)
    assert (text, log.total, log.hole_from, log.hole_to) == (b"begin\n", 1000, 6, 1000)
