# SPDX-License-Identifier: Apache-2.0
"""Lists of peers, executors and queues in pages: nothing twice, nothing left out, and whoever asks
without a limit, as before there were pages, gets everything."""
import pytest

from brokers import executor, submit, task
from pawl_wire import Peer, pb


@pytest.fixture
def broker(start_broker):
    return start_broker()


def pages(ask, most):
    rows, at = [], None
    while True:
        items = ask(at)
        assert len(items.items) <= most
        rows += [item.name for item in items.items]
        if not items.next:
            return rows
        assert items.next != at
        at = items.next


def test_peers_and_executors_come_in_pages(broker):
    client = Peer(broker.endpoint, "asks").open()
    peers = [Peer(broker.endpoint, f"client-{n:02}").open() for n in range(12)]
    workers = [executor(broker, f"worker-{n:02}") for n in range(7)]
    names = ["asks"] + [p.hello.name for p in peers + workers]

    def of_peers(at):
        return client.ask("peer_list", pb.PeerList(cursor=at or 0, limit=5)).peers
    assert pages(of_peers, 5) == names
    everybody = client.ask("peer_list").peers
    assert [p.name for p in everybody.items] == names and everybody.next == 0

    def of_executors(at):
        return client.ask("executor_list", pb.ExecutorList(cursor=at or 0, limit=3)).executors
    assert pages(of_executors, 3) == [w.hello.name for w in workers]
    one = client.ask("executor_list", pb.ExecutorList(name="worker-03", limit=3)).executors
    assert [e.name for e in one.items] == ["worker-03"] and one.next == 0
    for peer in peers + workers:
        peer.close()


def test_a_page_of_large_rows_ends_before_the_message_does(broker):
    client = Peer(broker.endpoint, "asks").open()
    types = [f"large/{n:05}-{'x' * 150}" for n in range(9000)]  # 1.5 MB a row
    workers = [executor(broker, f"worker-{n}", types=types) for n in range(8)]

    def of_executors(at):
        return client.ask("executor_list", pb.ExecutorList(cursor=at or 0, limit=1000)).executors
    assert pages(of_executors, 4) == [w.hello.name for w in workers]
    for worker in workers:
        worker.close()


def test_queues_come_in_pages_by_name(broker):
    client = Peer(broker.endpoint, "asks").open()
    executor(broker).ask("bye")
    tasks = [task(queue=f"queue-{n:02}") for n in range(11)]
    submit(client, *tasks)

    def of_queues(at):
        return client.ask("queue_list", pb.QueueList(after=at or "", limit=4)).queues
    assert pages(of_queues, 4) == [q.name for q in client.ask("queue_list").queues.items]
    assert [q.name for q in client.ask("queue_list").queues.items][-11:] == [t.queue for t in tasks]
