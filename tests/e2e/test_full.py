# SPDX-License-Identifier: Apache-2.0
"""No room: submits are refused with a stable code, running work ends, service returns by itself."""
import json
import shutil
import subprocess

from fleet import PATIENCE, new_id, until

HELD = {"argv": ["echo", "x" * 3000], "hold": True}


def fill(fleet):
    """Submits held tasks until not a single one is taken; the ids on record and the last words."""
    ids = []
    for at_once in (100, 10, 1):  # what is too much for a hundred may be room for one
        for _ in range(400):
            tasks = [dict(HELD, id=new_id()) for _ in range(at_once)]
            said = fleet.pawl("task", "submit", "-", input="".join(json.dumps(task) + "\n" for task in tasks),
                              code=None)
            taken = [line for line in said.lines if line != "-"]
            ids += taken
            if not taken:
                break
        else:
            raise AssertionError("the store never filled")
    return ids, said


def test_a_full_store_refuses_submits_ends_what_runs_and_comes_back(own):
    own.broker("--map", "4MiB")
    own.executor("worker", 1)
    running = own.pawl("run", "--cwd", own.folder, "--", "sh", "-c",
                       "while ! test -e go; do sleep 0.1; done; echo through").out.strip()
    own.wait_status(running, "running")
    ids, said = fill(own)
    assert said.code in (8, 9) and "STORE_FULL" in said.err, said
    one = own.pawl("run", "--hold", "--", "echo", "x" * 3000, code=None)
    assert one.code == 9 and "STORE_FULL" in one.err, one
    assert own.pawl("broker", "status", "-o", "json").json["store_level"] != "ok"
    (own.folder / "go").touch()
    own.wait_status(running, "finished")
    assert own.pawl("task", "logs", running).out == "through\n"
    held = {task["id"] for task in own.tasks("--status", "held")}
    assert held == set(ids)
    own.pawl("task", "cancel", "-", input="\n".join(ids), code=None)

    def accepted():
        return own.pawl("run", "--wait", "--timeout", "10s", "--", "true", code=None).code == 0
    until(accepted, PATIENCE, 0.2, "room again")
    own.stop()
    assert own.pawl("broker", "check", "--state", own.state).out.startswith("ok")


def namespace(user):
    """Words before a command that give it mounts of its own; None where that is not allowed."""
    words = ["unshare", "--mount", *(["--user", "--map-root-user"] if user else [])]
    works = shutil.which("unshare") and subprocess.run(
        [*words, "sh", "-c", "mount -t tmpfs -o size=1m none /mnt"], capture_output=True).returncode == 0
    return words if works else None


OWN_MOUNTS = namespace(user=False) or namespace(user=True)


def full_disk(own):
    """The broker's state lies on a tmpfs of 40 MiB of its own; a filler file takes and gives the room."""
    disk, room = own.folder / "state", own.folder / "room"
    disk.mkdir()
    broker = own.add("broker", "broker", "--state", disk, "--map", "32MiB", "--listen",
                     f"ipc://{own.folder}/broker.sock", "--stats", f"ipc://{own.folder}/stats.sock", start=False,
                     PAWL_BROKER__LOGS__MAP="8MiB")
    script = (f"mount -t tmpfs -o size=40m,mode=700 none {disk}\n"
              f"( while test -d {own.folder} && kill -0 $$; do\n"
              f"    if test -e {room}; then rm -f {disk}/filler; fi; sleep 0.1\n  done ) &\n"
              f"( until test -e {own.folder}/fill; do test -d {own.folder} || exit; sleep 0.1; done\n"
              f"  cat /dev/zero > {disk}/filler; touch {own.folder}/filled ) 2>&- &\n"
              "exec \"$@\"")
    broker.argv = [*OWN_MOUNTS, "sh", "-c", script, "sh", *broker.argv]
    broker.start()
    own.endpoint = f"ipc://{own.folder}/broker.sock"
    own.executor("worker", 1)
    running = own.pawl("run", "--cwd", own.folder, "--", "sh", "-c",
                       "while ! test -e go; do sleep 0.1; done; echo through").out.strip()
    own.wait_status(running, "running")
    (own.folder / "fill").touch()
    until((own.folder / "filled").exists)
    ids, said = fill(own)
    assert said.code in (8, 9) and ("DISK_FULL" in said.err or "STORE_FULL" in said.err), said
    assert broker.alive()
    (own.folder / "go").touch()
    own.wait_status(running, "finished")
    assert {task["id"] for task in own.tasks("--status", "held")} == set(ids)
    room.touch()
    until(lambda: own.pawl("run", "--wait", "--timeout", "10s", "--", "true", code=None).code == 0, PATIENCE, 0.3,
          "service again")
    assert own.pawl("task", "logs", running).out == "through\n"


def full_work_disk(own):
    """The executor's work folder lies on a tmpfs of 64 KiB, which the first command fills for a while."""
    own.broker()
    worker = own.add("executor", "worker", "--broker", own.endpoint, "--name", "worker", "--slots", "2",
                     "--state", own.folder / "worker", start=False)
    work = own.folder / "worker" / "work"
    script = f'mkdir -p {work} && mount -t tmpfs -o size=64k,mode=711 none {work} && exec "$@"'
    worker.argv = [*OWN_MOUNTS, "sh", "-c", script, "sh", *worker.argv]
    worker.start()
    filler = own.pawl("run", "--cwd", own.folder, "--", "sh", "-c",
                      'dir=${PAWL_INPUT%/*}; cat /dev/zero > $dir/zero 2>&-; touch filled; '
                      'until test -e room; do sleep 0.1; done; rm $dir/zero').out.strip()
    until((own.folder / "filled").exists)
    id = own.pawl("run", "--", "true").out.strip()
    until(lambda: "NO_ROOM" in worker.said())
    assert own.status(id) in ("delayed", "waiting", "running")
    (own.folder / "room").touch()
    own.wait_status(filler, "finished")
    own.wait_status(id, "finished")
    assert own.task(id)["attempts_max"] == 1


if OWN_MOUNTS:  # a machine that allows no mounts has no such test, rather than one that never runs
    def test_a_full_disk_refuses_submits_ends_what_runs_and_service_returns_with_the_room(own):
        full_disk(own)

    def test_a_full_work_disk_fails_no_task(own):
        full_work_disk(own)
