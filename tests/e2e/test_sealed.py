# SPDX-License-Identifier: Apache-2.0
"""What a command cannot learn: it runs as the executor's own account and looks for the passwords of
its databases in the environment and the memory of every process that it may look into."""
import json
import os
import pwd
import sqlite3

import pytest

from fleet import PATIENCE, Program

# Reads what the kernel shows of all processes of its account, and tells what it found and where.
SPY = r"""
import json, os, resource
own, found, closed = os.getpid(), [], []
secrets = [word.encode()[::-1] for word in os.environ["BACKWARDS"].split()]
def name(pid):
    return open(f"/proc/{pid}/comm").read().strip()
def look(pid):
    with open(f"/proc/{pid}/environ", "rb") as file:
        yield "environ", file.read()
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in maps:
            start, end = (int(part, 16) for part in line.split()[0].split("-"))
            if "rw" in line.split()[1] and end - start < 1 << 28:
                try:
                    mem.seek(start)
                    yield "mem", mem.read(end - start)
                except OSError:
                    continue
for entry in filter(str.isdigit, os.listdir("/proc")):
    try:
        with open(f"/proc/{entry}/status") as status:  # not the owner of the folder: that is root's for what is closed
            [uid] = [int(line.split()[1]) for line in status if line.startswith("Uid:")]
        if int(entry) == own or uid != os.getuid():
            continue
        who = name(entry)
        try:
            for what, text in look(entry):
                found += [[who, what, i] for i, word in enumerate(secrets) if word in text]
        except PermissionError:
            closed.append(who)
    except OSError:
        continue
json.dump({"found": found, "closed": sorted(set(closed)), "uid": os.getuid(),
           "self": len(open("/proc/self/environ", "rb").read()) > 0, "fds": len(os.listdir("/proc/self/fd")) > 0,
           "cores": resource.getrlimit(resource.RLIMIT_CORE)[0]}, open(os.environ["PAWL_OUTPUT"], "w"))
"""
FROM_FILE, FROM_VARIABLE = "in-a-file-0f3c91", "in-a-variable-77ab2e"
NOBODY = pwd.getpwnam("nobody")
CORES = 1 << 20


def backwards(*words):
    """The words as a command is told them, so that it does not find what it was told."""
    return " ".join(word[::-1] for word in words)


@pytest.fixture
def account(own, monkeypatch):
    """All that is started runs as another account than root; elsewhere as who runs the tests."""
    def start(program, wait=True, started=Program.start):
        if program.argv[0] != "setpriv" and os.geteuid() == 0:
            program.argv = ["prlimit", f"--core={CORES}", "setpriv", f"--reuid={NOBODY.pw_uid}", f"--regid={NOBODY.pw_gid}",
                            "--clear-groups", "--pdeathsig", "KILL", *program.argv]
        return started(program, wait)
    monkeypatch.setattr(Program, "start", start)
    if os.geteuid() == 0:
        for path in (own.folder, *own.folder.iterdir()):
            os.chown(path, NOBODY.pw_uid, NOBODY.pw_gid)
    return own


def sources(fleet):
    """A configuration with a password from a file and one from the variable DB_PASSWORD."""
    password, lite = fleet.folder / "password", fleet.folder / "lite.db"
    password.write_text(FROM_FILE + "\n")
    sqlite3.connect(lite).close()
    lite.touch()
    for path in (password, lite):
        path.chmod(0o600)
        os.chown(path, os.stat(fleet.folder).st_uid, -1)
    one = {"driver": "sqlite", "database": str(lite)}
    config = fleet.folder / "sources.yaml"
    config.write_text(json.dumps({"executor": {"sources": {
        "file": {**one, "password_file": str(password)}, "variable": {**one, "password_env": "DB_PASSWORD"},
        "again": {**one, "password_env": "DB_PASSWORD"}}}}))
    return config


def found_in_pawl(said):
    """Without what is the tests' own: they know the passwords, and may have the same account."""
    return [found for found in said["found"] if found[0].startswith("pawl")]


def is_sanitized(fleet):
    return b"__asan_init" in (fleet.bin / "pawl-executor").read_bytes()


def spied(fleet, words):
    id = fleet.pawl("run", "--env", f"BACKWARDS={backwards(*words)}", "--", "python3", "-c", SPY).lines[0]
    task = fleet.wait_status(id, "finished", "failed", timeout=3 * PATIENCE)
    assert task["status"] == "finished", (task["message"], fleet.log(id))
    return json.loads(fleet.pawl("task", "output", id).out)


@pytest.mark.parametrize("cgroup", ["auto", "never"])
def test_a_command_of_the_executors_account_finds_no_password(account, cgroup):
    if is_sanitized(account):
        pytest.skip("the search for leaks needs a process that is open")
    account.broker()
    account.executor("worker", 2, "--config", sources(account), DB_PASSWORD=FROM_VARIABLE,
                     PAWL_EXECUTOR__PROCESS__CGROUP=cgroup, PAWL_EXECUTOR__PROCESS__ENV_KEEP="PATH,DB_PASSWORD")
    said = spied(account, [FROM_FILE, FROM_VARIABLE])
    if os.geteuid() == 0:
        assert said["uid"] == NOBODY.pw_uid and said["cores"] == CORES
    assert found_in_pawl(said) == []
    assert {"pawl-executor", "pawl-helper", "pawl-warden", "pawl-broker"} <= set(said["closed"])
    assert said["self"] and said["fds"], "a command is open to itself"
    # what is closed to its own account works all the same: trees end whole, sources are used
    id = account.begun("--shell", "(setsid sleep 300 &); echo begun; sleep 300")
    account.pawl("task", "cancel", id)
    account.wait_status(id, "cancelled")
    for source in "file", "variable", "again":
        id = account.submit({"sql": {"source": source, "text": "select 1"}})
        account.wait_status(id.lines[0], "finished")


def test_the_helper_and_the_wardens_have_no_environment(account):
    if os.geteuid() != 0:
        pytest.skip("only root looks into them")
    account.broker()
    program = account.executor("worker", 1, DB_PASSWORD=FROM_VARIABLE)
    id = account.begun("--shell", "echo begun; sleep 300")
    children = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/stat") as stat, open(f"/proc/{entry}/comm") as comm:
                children.setdefault(int(stat.read().rpartition(")")[2].split()[1]), []).append((int(entry), comm.read().strip()))
        except OSError:
            continue
    [(helper, name)] = [child for child in children[program.pid] if child[1] == "pawl-helper"]
    for pid in [helper, *(pid for pid, name in children[helper] if name == "pawl-warden")]:
        with open(f"/proc/{pid}/environ", "rb") as environ:
            assert environ.read().strip(b"\0") == b""
    account.pawl("task", "cancel", id)


def test_pawl_up_hands_its_environment_on_and_shows_it_to_nobody(account):
    if is_sanitized(account):
        pytest.skip("the search for leaks needs a process that is open")
    up = Program("up", [account.bin / "pawl", "up", "--state", account.state], {**account.env, "DB_PASSWORD": FROM_VARIABLE},
                 account.folder / "log" / "up.log")
    account.programs.append(up)
    up.start()
    said = spied(account, [FROM_VARIABLE])
    assert found_in_pawl(said) == [] and {"pawl", "pawl-scheduler", "pawl-executor"} <= set(said["closed"])
    if os.geteuid() == 0:
        assert said["cores"] == CORES
    assert up.end() == 0
