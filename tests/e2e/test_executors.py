# SPDX-License-Identifier: Apache-2.0
"""Executors as operators see and handle them: many of them, in namespaces of their own, as process 1,
stopped from afar; and machines without room, accounts or programs."""
import json
import os
import shutil
import socket
import subprocess

import pytest

from conftest import tree_of
from fleet import PATIENCE, until


def can(*words):
    return shutil.which(words[0]) and subprocess.run(words, capture_output=True).returncode == 0


namespaces = pytest.mark.skipif(not can("unshare", "--pid", "--fork", "--mount-proc", "--uts", "true"),
                                reason="namespaces may not be made here")


@pytest.fixture
def one(own):
    own.broker()
    own.executor("worker", 2)
    return own


def test_show_tells_machine_process_load_and_what_runs(one):
    id = one.pawl("run", "--", "sleep", "300").lines[0]
    one.wait_status(id, "running")
    shown = one.pawl("executor", "show", "worker", "-o", "json").json
    [worker] = one.of("executor")
    assert shown["pid"] == worker.process.pid and shown["host"] == socket.gethostname()
    assert (shown["state"], shown["slots"], shown["used"]) == ("ready", 2, 1)
    assert [task["id"] for task in shown["running"]] == [id] and shown["running"][0]["attempt"] == 1
    assert shown["labels"]["process_control"] in ("cgroup", "sweep")
    assert shown["version"].startswith("pawl ") and "clock_offset" in shown and "sh" in shown["interpreters"]
    one.pawl("task", "cancel", id)
    one.wait_status(id, "cancelled")


def test_quiet_takes_nothing_and_resume_goes_on(one):
    one.pawl("executor", "quiet", "worker")
    id = one.pawl("run", "--", "true").lines[0]
    assert one.pawl("executor", "show", "worker", "-o", "json").json["state"] == "draining"
    assert one.status(id) == "waiting"
    one.pawl("executor", "resume", "worker")
    one.wait_status(id, "finished")


def test_the_machine_and_its_load_are_shown(one):
    def shown():
        return json.loads(one.pawl("executor", "show", "worker", "-o", "json").out)

    machine = shown()["machine"]
    assert machine["cpus"] == len(os.sched_getaffinity(0)), machine
    assert machine["memory_bytes"] == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGESIZE")
    assert machine["kernel"] == f"Linux {os.uname().release}"
    until(lambda: shown()["load"] is not None, words="the load, with the first Ping")
    assert 0 <= shown()["load"] < 10000


def test_the_help_names_what_a_container_may_be_told(one):
    said = subprocess.run([one.bin / "pawl-executor", "--help"], capture_output=True, text=True, check=True).stdout
    assert "PAWL_CONTAINER_NAME" in said and "PAWL_CONTAINER_IMAGE" in said


def test_stop_ends_the_process_after_what_runs_or_at_its_deadline(one):
    [worker] = one.of("executor")
    id = one.begun("--", "sh", "-c", f"echo begun; while [ ! -e {one.folder}/go ]; do sleep 0.05; done")
    one.pawl("executor", "stop", "worker", "--deadline", "120s")
    until(lambda: "DRAIN" in worker.said())
    assert worker.alive()
    (one.folder / "go").touch()
    assert worker.process.wait(PATIENCE) == 0 and one.status(id) == "finished"
    # its Bye was sent before it ended; that it has come is another matter
    refused = until(lambda: (lambda said: said.code and said)(one.pawl("executor", "stop", "worker", code=None)))
    assert refused.code == 4 and "not connected" in refused.err
    assert "try: pawl executor list " in refused.err and "pawl why" not in refused.err
    worker.start()
    id = one.begun("--", "sh", "-c", "echo begun; sleep 300")
    one.pawl("executor", "stop", "worker", "--deadline", "300ms")
    worker.process.wait(PATIENCE)
    assert not tree_of(id) and one.status(id) == "waiting"
    attempts = one.task(id)["attempts"]
    assert len(attempts) == 1, attempts
    attempt = attempts[0]
    assert attempt["outcome"] == "returned" and attempt["message"] == "drained: the executor stops"


def test_attempts_say_who_stopped_them_and_what_they_took(one):
    busy = "echo begun; while :; do :; done"
    id = one.pawl("run", "--", "sh", "-c", busy).lines[0]
    until(lambda: "begun" in one.pawl("task", "logs", id).out)
    one.pawl("task", "cancel", id, "--reason", "wrong host")
    one.wait_status(id, "cancelled")
    [attempt] = one.task(id)["attempts"]
    words = f"cancelled by uid:{os.geteuid()}: wrong host"
    assert (attempt["outcome"], attempt["message"], attempt["signal"]) == ("cancelled", words, 15)
    assert attempt["cpu_us"] > 0 and attempt["memory"] > 0 and words in one.pawl("why", id).out
    id = one.pawl("run", "--time-limit", "300ms", "--", "sh", "-c", busy).lines[0]
    one.wait_status(id, "failed")
    [attempt] = one.task(id)["attempts"]
    assert (attempt["outcome"], attempt["message"]) == ("timeout", "stopped at its time limit of 300ms")
    assert "time limit of 300ms" in one.pawl("why", id).out


def test_what_is_no_container_shows_none(one):
    assert not any("container" in variable for variable in os.environ)
    shown = one.pawl("executor", "show", "worker", "-o", "json").json["container"]
    assert shown is None or len(shown["id"] or "") in (0, 64), shown  # never the host's name


def in_namespace(fleet, name, *flags):
    """An executor as process 1 of a PID namespace, on a machine of another name."""
    program = fleet.add("executor", name, "--broker", fleet.endpoint, "--slots", 2, "--state", fleet.folder / name,
                        *flags, start=False)
    program.argv = ["unshare", "--pid", "--fork", "--mount-proc", "--uts", "--kill-child", "sh", "-c",
                    f"hostname {name} && exec \"$@\"", "sh", *map(str, program.argv)]
    return program.start()


@namespaces
def test_executors_on_machines_of_their_own_as_process_1(own):
    own.broker()
    for name in "node-a", "node-b":
        in_namespace(own, name)
    ids = {name: own.pawl("run", "--on", f"host={name}", "--", "sh", "-c",
                          "hostname; (setsid sleep 300 &) ; (sleep 0.1; exit 3) & echo $$").lines[0]
           for name in ("node-a", "node-b")}
    for name, id in ids.items():
        own.wait_status(id, "finished")
        said = own.pawl("task", "logs", id).lines
        assert said[0] == name and int(said[1]) < 1000, said
        assert not tree_of(id)
        shown = own.pawl("executor", "show", name, "-o", "json").json
        assert shown["pid"] == 1 and shown["host"] == name
    id = own.pawl("run", "--on", "host=node-a", "--", "sh", "-c", "echo begun; (setsid sleep 301 &); sleep 301").lines[0]
    until(lambda: "begun" in own.pawl("task", "logs", id).out)
    own.of("executor")[0].kill()
    until(lambda: not tree_of(id), words="end of a machine's whole tree")


def test_a_missing_interpreter_account_and_program_are_told_on_the_task(own):
    own.broker()
    own.executor("worker", 1, PAWL_EXECUTOR__ALLOW__INTERPRETERS="sh=/bin/sh,gone=/no/such/interpreter",
                 PAWL_EXECUTOR__ALLOW__ACCOUNTS="pawl-no-such-account")
    lines = [{"script": {"interpreter": "gone", "text": "x"}}, {"argv": ["true"], "account": "pawl-no-such-account"},
             {"argv": ["true"], "account": "nobody"}, {"argv": ["/no/such/program"]}, {"argv": ["/etc/passwd"]}]
    ids = own.pawl("task", "submit", "-", input="\n".join(map(json.dumps, lines))).lines
    assert own.status(ids[0]) == "waiting" and "NO executor has it" in own.pawl("why", ids[0]).out
    for id, word in zip(ids[1:], ["does not exist on this machine", "may not be used here", "was not found",
                                  "may not be executed"]):
        own.wait_status(id, "failed")
        assert word in own.task(id)["message"], own.task(id)["message"]
    assert own.pawl("run", "--wait", "--", "true").code == 0


@pytest.mark.skipif(os.geteuid() != 0 or not can("unshare", "--mount", "true"), reason="no mounts here")
def test_a_full_work_folder_fails_no_task_and_work_goes_on_when_there_is_room(own):
    own.broker()
    work = own.folder / "work"
    work.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "pawl-work", work]).returncode != 0:
        pytest.skip("no mounts here")
    try:
        own.executor("worker", 1, PAWL_EXECUTOR__PROCESS__WORKDIR=str(work))
        filler = own.pawl("run", "--", "sh", "-c", "head -c 1000000 /dev/zero > $(dirname $PAWL_INPUT)/big").lines[0]
        own.wait_status(filler, "failed")
        assert "No space left" in own.task(filler)["message"]
        assert own.pawl("run", "--wait", "--", "true").code == 0  # its folder went with it
        (work / ".stays").write_bytes(b"x" * 60000)
        id = own.pawl("run", "--input", json.dumps("y" * 30000), "--", "true").lines[0]
        task = until(lambda: (lambda task: task["attempts"] and task["status"] == "delayed" and task)(own.task(id)),
                     words="a try that was in vain")
        assert task["attempts"][0]["outcome"] == "returned"
        assert "could not be prepared: No space left" in task["attempts"][0]["message"]
        (work / ".stays").unlink()
        own.wait_status(id, "finished")
    finally:
        for program in own.programs:
            program.kill()
        subprocess.run(["umount", "-l", work])
