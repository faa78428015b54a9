# SPDX-License-Identifier: Apache-2.0
"""The golden replay: what a real broker was given, played to core elsewhere, comes to the same rows and
the same answers. So core has no input but its batches: no zone of the machine, locale, clock, address."""
import os
import shutil
import subprocess
import time

import pytest

from brokers import BIN, executor, submit, task
from pawl_wire import PATIENCE, Peer, Silence, pb

LEASE_S = 6
TIMES = {"PAWL_BROKER__LEASE": f"{LEASE_S}s", "PAWL_BROKER__SUSPECT": "3s", "PAWL_BROKER__PING": "300ms"}
PLAYER = BIN.parent / "replay"
pytestmark = pytest.mark.skipif(not (BIN.exists() and PLAYER.exists()), reason=f"{BIN} or replay is not built")


@pytest.fixture
def broker(start_broker, tmp_path):
    return start_broker("--record", tmp_path / "tape", **TIMES)


def work_off(worker, give_up, *others):
    """Ends leases, each third one badly, until nothing comes for a while; the others are heard."""
    n = 0
    while True:
        for other in others:
            other.ask("ping")
        try:
            leases = worker.leases(give_up)
        except Silence:
            return n
        results = []
        for lease in leases:
            n += 1
            bad = n % 3 == 0
            results.append(pb.Result(id=lease.id, token=lease.token,
                                     outcome=pb.OUTCOME_FAIL if bad else pb.OUTCOME_DONE,
                                     message="no" if bad else "", output=b"" if bad else b'"%d"' % n * (n % 40)))
        progress = [pb.Progress(id=r.id, token=r.token, done=1, total=2, text="half") for r in results]
        chunks = [pb.LogChunk(id=r.id, token=r.token, stream=1, offset=0, data=b"line\n", time_us=1) for r in results]
        worker.ask("report", pb.Report(progress=progress, logs=chunks))
        worker.ask("report", pb.Report(results=results))


def load(broker, round):
    client = Peer(broker.endpoint, "client").open()
    worker = executor(broker, "worker", types=["test/replay", "test/other"], slots=8, credit=16)
    executor(broker, "silent", types=["test/replay"], slots=3, credit=3)
    scheduler = Peer(broker.endpoint, "scheduler", pb.ROLE_SCHEDULER).open()
    template = pb.Task(type="test/other").SerializeToString()
    plan = client.change("schedule_put", pb.SchedulePut(schedule=pb.Schedule(
        name=f"tick-{round}", rule="@every 1s from 2026-01-01T00:00:00Z", zone="Europe/Paris",
        mode=pb.MODE_STRICT, task=template))).schedule
    ids = []
    for i in range(60):
        tasks = [task(("test/replay", "test/other")[k % 2], priority=k, key=f"key-{i}" if k == 3 else "",
                      delay_us=300_000 if k == 4 else 0, hold=k == 5,
                      retry=pb.Retry(max_attempts=2, backoff_us=200_000),
                      labels=[pb.Label(key="n", value=str(k))], input=b'"%s"' % (b"x" * (1 << k + 4)))
                 for k in range(10)]
        ids += [t.id for t in tasks]
        submit(client, *tasks)
        worker.ask("ping")
        scheduler.ask("ping")
    client.change("task_change", pb.TaskChange(verb=pb.TASK_START, ids=ids[5::20]))
    client.change("task_change", pb.TaskChange(verb=pb.TASK_CANCEL, ids=ids[15::20], reason="not needed"))
    client.change("queue_change", pb.QueueChange(name="default", pause=True))
    client.change("queue_change", pb.QueueChange(name="default", pause=False))
    end = time.monotonic() + LEASE_S + 0.5  # the silent one is lost, retries come due
    cursor = plan.cursor_us
    while time.monotonic() < end:
        work_off(worker, 0.05, client, scheduler)
        item = pb.Proposal(uid=plan.uid, revision=plan.revision, expect_cursor_us=cursor,
                           new_cursor_us=int(time.time() * 1e6))
        cursor = scheduler.ask("propose", pb.Propose(items=[item])).proposed.items[0].cursor_us
    client.change("executor_change", pb.ExecutorChange(name="worker", drain=True))
    client.change("executor_change", pb.ExecutorChange(name="worker", drain=False))
    worker.ask("bye")


def test_a_recorded_run_comes_to_the_same_writes_and_answers_elsewhere(tmp_path, broker):
    tape = tmp_path / "tape"
    load(broker, 1)
    sub = broker.stats_socket("event.")  # events are built from now on
    assert broker.end() == 0
    broker.start("--record", tape)  # another life on the same tape
    load(broker, 2)
    sub.close()
    assert broker.end() == 0
    worlds = [{"TZ": "UTC", "LANG": "C"},
              {"TZ": "Pacific/Kiritimati", "LANG": "tr_TR.UTF-8", "LC_ALL": "de_DE.UTF-8", "MALLOC_PERTURB_": "165",
               "HOME": "/nonexistent"},
              {"TZ": "America/St_Johns", "MALLOC_ARENA_MAX": "1", "MALLOC_PERTURB_": "90"}]
    lines = set()
    for world in worlds:
        run = subprocess.run([PLAYER, tape], capture_output=True, text=True, timeout=5 * PATIENCE, cwd="/",
                             env={"PATH": os.environ["PATH"], **world})
        assert run.returncode == 0, run.stdout + run.stderr
        lines.add(run.stdout)
    assert len(lines) == 1
    assert int(lines.pop().split()[1]) > 100


def test_what_a_store_that_fills_took_and_refused_is_taken_and_refused_elsewhere(tmp_path, broker):
    """What core is told of pages that it has written is on the tape, since other stores have others."""
    tape = tmp_path / "tape"
    assert broker.end() == 0
    tape.unlink()
    shutil.rmtree(broker.state)
    broker.start("--record", tape, "--map", "8MiB")
    client = Peer(broker.endpoint, "c").open()
    accepted = []
    for _ in range(5):
        tasks = [task("pawl/shell", command=pb.Command(shell="true"), input=b'"%s"' % (b"x" * 400))
                 for _ in range(2000)]
        accepted.append(submit(client, *tasks).accepted)
        if accepted[-1] < 2000:
            break
    assert accepted[0] == 2000 and 0 < accepted[-1] < 2000
    assert broker.end() == 0
    run = subprocess.run([PLAYER, tape], capture_output=True, text=True, timeout=5 * PATIENCE)
    assert run.returncode == 0, run.stdout + run.stderr


def test_a_tape_that_was_tampered_with_is_told(tmp_path, broker):
    tape = tmp_path / "tape"
    client = Peer(broker.endpoint, "c").open()
    for _ in range(5):
        submit(client, task("pawl/shell", title="the first title", command=pb.Command(shell="true")))
    assert broker.end() == 0
    data = tape.read_bytes()
    assert data.count(b"the first title") == 5
    tape.write_bytes(data.replace(b"the first title", b"the other title", 1))
    run = subprocess.run([PLAYER, tape], capture_output=True, text=True, timeout=5 * PATIENCE)
    assert run.returncode == 1 and "differs" in run.stdout
