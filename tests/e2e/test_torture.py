# SPDX-License-Identifier: Apache-2.0
"""Commands that try to stay, and one that writes without end, through the real executor: nothing of
them is left, its memory stays flat, and what is cut of a log is marked.

PAWL_TORTURE_ROUNDS (3) rounds of the set, PAWL_TORTURE_BYTES (256 MiB) of output; `make soak-torture`
asks for more."""
import os
import pathlib
import re

import pytest

from conftest import tree_of
from fleet import PATIENCE, SLOW_S, until

ROUNDS = int(os.environ.get("PAWL_TORTURE_ROUNDS", "3"))
BYTES = int(os.environ.get("PAWL_TORTURE_BYTES", str(256 << 20)))
FLAT_KIB = 6144  # a log's ring is 1 MiB, and reports of a loud one may be some MiB

SET = {
    "double fork": ("(sh -c 'sleep 300 & sleep 300 &' &) ; sleep 300", 3),
    "setsid": ("setsid sh -c 'setsid sleep 300 & setsid sleep 300' & sleep 300", 3),
    "ignores TERM": ("trap '' TERM INT HUP; sleep 300 & while :; do sleep 300; done", 3),
    "closed stdio": ("exec <&- >&- 2>&-; setsid sleep 300 & sleep 300", 2),
    "stopped": ("sleep 300 & kill -STOP $!; setsid sh -c 'kill -STOP $$' & kill -STOP $$", 3),
    "renamed": ("(exec -a '[kworker/0:1]' sleep 300) & (exec -a sshd sleep 300) & wait", 2),
    "endless output": ("yes & setsid yes & yes >&2", 3),
    "kills its parent": ("sh -c 'sleep 300 & kill -9 $PPID; sleep 300'; :", 2),
}


def memory_kib(pid):
    """Private memory: what is no file's page."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"RssAnon:\s+(\d+)", status).group(1))


def below(pid):
    """All descendants of a process, with their states."""
    found, parents = [], [pid]
    stats = {}
    for entry in os.listdir("/proc"):
        try:
            if entry.isdigit():
                fields = pathlib.Path("/proc", entry, "stat").read_text().rpartition(")")[2].split()
                stats[int(entry)] = (int(fields[1]), fields[0])
        except OSError:
            continue
    while parents:
        parent = parents.pop()
        for child, (its_parent, state) in stats.items():
            if its_parent == parent:
                found.append((child, state))
                parents.append(child)
    return found


@pytest.fixture
def tormented(own):
    own.broker()
    own.executor("worker", 4, PAWL_EXECUTOR__PROCESS__KILL_GRACE="200ms",
                 PAWL_EXECUTOR__ALLOW__INTERPRETERS="bash=/bin/bash")
    return own


def torture(fleet, name):
    text, processes = SET[name]
    id = fleet.pawl("run", "--", "bash", "-c", text).lines[0]
    if name == "kills its parent":  # it may be over before it is looked at
        until(lambda: len(tree_of(id)) >= processes or fleet.status(id) == "failed", words=name)
    else:
        until(lambda: len(tree_of(id)) >= processes, words=f"{name}: its processes")
    fleet.pawl("task", "cancel", id, code=None)
    fleet.wait_status(id, "cancelled", "failed", "finished")
    until(lambda: not tree_of(id), SLOW_S, words=f"{name}: the end of all of its processes")


def test_nothing_of_the_torture_set_survives_and_the_executors_memory_is_flat(tormented):
    executor = tormented.of("executor")[0].pid
    for name in SET:  # wardens, folders and buffers are there from now on
        torture(tormented, name)
    before = memory_kib(executor)
    for _ in range(ROUNDS):
        for name in SET:
            torture(tormented, name)
    until(lambda: not [pid for pid, state in below(executor) if state == "Z"], SLOW_S, words="no zombie")
    grown = memory_kib(executor) - before
    print(f"{(ROUNDS + 1) * len(SET)} commands, 0 survivors, 0 zombies; the executor's memory {before} KiB, {grown:+} KiB")
    assert grown < FLAT_KIB


def test_output_without_end_is_capped_and_marked_in_flat_memory(tormented):
    executor = tormented.of("executor")[0].pid
    warm = tormented.pawl("run", "--shell", f"head -c {8 << 20} /dev/zero | tr '\\0' x").lines[0]
    tormented.wait_status(warm, "finished")
    before, most = memory_kib(executor), 0
    id = tormented.pawl("run", "--shell", f"echo first; head -c {BYTES} /dev/zero | tr '\\0' x; echo; echo last").lines[0]

    def over():
        nonlocal most
        most = max(most, memory_kib(executor))
        return tormented.status(id) == "finished"
    until(over, PATIENCE + BYTES / 2e6, 0.1, "the end of the output")
    log = tormented.pawl("task", "logs", id).out
    written = len("first\n") + BYTES + len("\nlast\n")
    mark = re.search(r"\[(\d+) bytes were cut here\]", log)
    assert log.startswith("first\n") and log.rstrip().endswith("last") and len(log) <= (1 << 20) + 100
    assert int(mark.group(1)) == written - (len(log) - len(mark.group()) - 1)
    print(f"{BYTES} bytes written, {len(log)} kept; the executor's memory {before} KiB, at most {most - before:+} KiB")
    assert most - before < FLAT_KIB
