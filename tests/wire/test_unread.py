# SPDX-License-Identifier: Apache-2.0
"""Peers that ask for a lot and never read the answers: what waits for them is bounded, they are told
BUSY while that can be told, then cut off; everybody else is served meanwhile."""
import json
import time

import pytest

from brokers import FAST, SANITIZED, E, events, executor, lease, report, result, submit, task, until
from pawl_wire import PATIENCE, Peer, pb

MIB = 1 << 20


def resident(broker, what="VmRSS"):
    for line in open(f"/proc/{broker.process.pid}/status"):
        if line.startswith(what):
            return int(line.split()[1]) * 1024


def resident_at_most(broker):
    """As much as it ever was: no short moment is missed."""
    return resident(broker, "VmHWM")


def stats(peer):
    return json.loads(peer.ask("stats_get").stats.json)


def a_log_of_a_mebibyte(broker, client):
    worker = executor(broker)
    one = task()
    submit(client, one)
    held = lease(worker)
    for offset in range(0, MIB, 65536):
        chunk = pb.LogChunk(id=one.id, token=held.token, offset=offset, stream=1, data=b"x" * 65535 + b"\n")
        worker.ask("report", pb.Report(logs=[chunk]))
    assert report(worker, result(held), credit=0) == [pb.REPORT_DONE]
    worker.ask("bye")
    return one.id


def deaf(broker, name):
    """A peer whose library takes one frame and leaves the rest to the broker, as one does that hangs."""
    peer = Peer(broker.endpoint, name)
    peer.socket.close()
    peer.socket = peer.new_socket(rcvhwm=1)
    peer.socket.connect(broker.endpoint)
    return peer.open()


def ask_without_reading(peer, id, n):
    for _ in range(n):
        peer.send(peer.pack("log_read", pb.LogRead(id=id, limit=MIB)))


LONGER = {**FAST, "PAWL_BROKER__LEASE": "15s"}  # what comes before the cut has the time it takes
LIMITS = {"PAWL_BROKER__LIMITS__BYTES_IN_FLIGHT": "32MiB", "PAWL_BROKER__LIMITS__BYTES_IN_FLIGHT_ALL": "128MiB"}


@pytest.fixture
def broker(start_broker):
    """Who reads nothing for a lease is cut off."""
    return start_broker(**FAST, **LIMITS)


def test_answers_that_a_peer_does_not_read_are_bounded_and_it_is_cut_off(broker):
    client = Peer(broker.endpoint, "c").open()
    id = a_log_of_a_mebibyte(broker, client)
    before = resident(broker)
    hog = deaf(broker, "hog")
    asked, began = 0, time.monotonic()
    while stats(client)["slow_peers"] == 0:
        assert time.monotonic() < began + PATIENCE, stats(client)
        if asked < 600:
            ask_without_reading(hog, id, 20)
            asked += 20
        submit(client, task())  # who reads is served
        time.sleep(0.02)
    most = resident_at_most(broker)
    assert SANITIZED or most - before < 128 * MIB, f"{(most - before) / MIB:.0f} MiB for one that does not read"

    assert "peer.cut" in [e.kind for e in events(client)]
    peers = {p.name: p.alive for p in client.ask("peer_list").peers.items}
    assert not peers["hog"]
    until(lambda: stats(client)["unread"] < 4 * MIB)  # its connection is closed: what waited is gone
    hog.close()


def test_a_peer_with_too_much_unread_is_told_busy_and_goes_on_when_it_reads(start_broker):
    broker = start_broker(**LIMITS)
    client = Peer(broker.endpoint, "c").open()
    id = a_log_of_a_mebibyte(broker, client)
    slow = deaf(broker, "slow")
    first = slow.seq + 1
    ask_without_reading(slow, id, 60)
    until(lambda: stats(client)["unread"] > 30 * MIB)
    for _ in range(2):  # readers answer in rounds: with the second one of ours all of its have been answered
        client.ask("log_read", pb.LogRead(id=id, limit=1))
    codes = []
    for _ in range(60):
        reply = slow.take()
        codes.append(reply.error.code)
        if reply.HasField("error"):
            assert reply.error.retry_after_us > 0 and "read" in reply.error.text
    assert set(codes) == {E["OK"], E["BUSY"]}, codes
    assert 25 <= codes.count(E["OK"]) < 60
    assert slow.seq == first + 59
    assert slow.ask("log_read", pb.LogRead(id=id, limit=MIB)).log.total == MIB
    assert stats(client)["slow_peers"] == 0


def test_many_that_do_not_read_do_not_take_what_all_peers_share(start_broker):
    broker = start_broker(**LONGER, **LIMITS)
    client = Peer(broker.endpoint, "c").open()
    id = a_log_of_a_mebibyte(broker, client)
    before = resident(broker)
    hogs = [deaf(broker, f"hog-{n}") for n in range(8)]
    began = time.monotonic()
    for hog in hogs:
        ask_without_reading(hog, id, 100)
    peak = 0
    while resident_at_most(broker) < before + 100 * MIB or stats(client)["unread"] > 4 * MIB:
        assert time.monotonic() < began + 2 * PATIENCE, stats(client)
        submit(client, task())  # who reads is served
        peak = max(peak, stats(client)["unread"])
        time.sleep(0.05)
    most = resident_at_most(broker)
    assert peak < 136 * MIB  # the limit of all, and an answer each
    assert SANITIZED or most - before < 512 * MIB, f"{(most - before) / MIB:.0f} MiB for eight that do not read"
    for hog in hogs:
        hog.close()


def test_a_subscriber_that_does_not_read_is_cut_off_and_one_that_does_goes_on(start_broker):
    broker = start_broker(PAWL_BROKER__LIMITS__BYTES_IN_FLIGHT="8MiB")
    client = Peer(broker.endpoint, "c").open()
    executor(broker, credit=0)
    deaf_one = broker.stats_socket("event.", rcvhwm=1)
    reads = broker.stats_socket("stats.json", rcvhwm=0)
    assert reads.poll(PATIENCE * 1000)
    before = resident(broker)

    def cut():
        assert submit(client, *[task(hold=True) for _ in range(4000)]).accepted == 4000
        return "SUBSCRIBERS_CUT" in broker.said()
    until(cut)
    deaf_one.close()
    while reads.poll(0):
        reads.recv_multipart()
    assert reads.poll(PATIENCE * 1000), "it did not come back"
    assert SANITIZED or resident(broker) - before < 100 * MIB
    reads.close()
