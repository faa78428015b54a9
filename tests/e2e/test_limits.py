# SPDX-License-Identifier: Apache-2.0
"""Limits of the attempts of a type, by the cgroup and by rlimits; another account; a script that may
not be run. What this machine does not allow is left out, and says so."""
import json
import os
import pathlib
import pwd
import signal

import pytest

from conftest import tree_of
from fleet import until


def left_out(why):
    print(f"left out: {why}")


def free_account():
    """Somebody who runs nothing here: the kernel counts the processes of an account, whoever made them,
    and other tests run beside this one."""
    taken = set()
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            taken.add(os.stat(f"/proc/{entry}").st_uid)
        except OSError:
            continue
    accounts = [pwd.getpwnam(name) for name in ("games", "news", "uucp", "daemon", "nobody")
                if name in {user.pw_name for user in pwd.getpwall()}]
    return next((user for user in accounts if user.pw_uid not in taken), accounts[0])


ACCOUNT = free_account()


def worker(fleet, limits, start=True, **environment):
    config = fleet.folder / "limits.yaml"
    config.write_text(json.dumps({"executor": {"types": {"pawl/shell": limits}}}))
    return fleet.executor("worker", 1, "--config", config, start=start, **environment)


@pytest.fixture
def unit():
    """A cgroup that is given memory and pids, as systemd makes one for a unit with Delegate=; or why
    there is none."""
    mounts = [line.split()[1] for line in open("/proc/mounts") if line.split()[2] == "cgroup2"]
    if not mounts:
        yield None, "no cgroup v2 here"
        return
    top, place = pathlib.Path(mounts[0]), pathlib.Path(mounts[0], f"pawl-e2e-{os.getpid()}")
    needed = {"memory", "pids"}
    offered = set((top / "cgroup.controllers").read_text().split())
    try:
        if not needed <= offered:
            yield None, f"cgroup v2 offers {', '.join(sorted(offered)) or 'nothing'}: the others are mounted as v1"
            return
        place.mkdir()
        if not needed <= set((place / "cgroup.controllers").read_text().split()):
            (top / "cgroup.subtree_control").write_text("+memory +pids")
    except OSError as error:
        yield None, f"{error.filename}: {error.strerror}"
        return
    yield place, ""
    for branch, _, _ in os.walk(place, topdown=False):
        until(lambda: removed(branch), words=f"the end of {branch}")


def removed(folder):
    try:
        os.rmdir(folder)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def ended(fleet, *words):
    id = fleet.pawl("run", *words).lines[0]
    return fleet.wait_status(id, "finished", "failed")


def failed(fleet, *words):
    task = ended(fleet, *words)
    assert task["status"] == "failed", task
    return task


@pytest.fixture
def by_rlimits(own):
    own.folder.chmod(0o711)  # another account passes through it
    own.broker()
    worker(own, {"memory": "256MiB", "cpu_time": "1s", "files": 32, "processes": 4},
           PAWL_EXECUTOR__PROCESS__CGROUP="never", PAWL_EXECUTOR__ALLOW__ACCOUNTS=ACCOUNT.pw_name)
    return own


def test_without_a_cgroup_each_limit_is_one_of_each_process_and_has_its_own_outcome(by_rlimits):
    shown = by_rlimits.pawl("executor", "show", "worker", "-o", "json").json["labels"]
    assert shown["process_control"] == "sweep" and shown["process_limits"] == "rlimits"
    task = failed(by_rlimits, "--", "python3", "-c", "b = bytearray(1 << 30)")
    assert task["message"] == "MemoryError" and task["exit_code"] == 1
    task = failed(by_rlimits, "--shell", "while :; do :; done")
    assert task["message"] == "stopped at its limit of 1s of CPU time here"
    assert task["attempts"][-1]["cpu_us"] > 500_000
    task = failed(by_rlimits, "--", "python3", "-c", "kept = [open('/dev/null') for _ in range(40)]")
    assert "Too many open files" in task["message"]
    if os.geteuid() == 0:  # the kernel does not count root's
        task = failed(by_rlimits, "--account", ACCOUNT.pw_name, "--shell",
                      "for i in 1 2 3 4 5 6 7 8; do sleep 1 & done; wait")
        assert "Cannot fork" in task["message"] or "Resource temporarily unavailable" in task["message"], task
    else:
        left_out("processes of another account: this is not root")


def test_a_command_of_another_account_is_it_and_nothing_more(by_rlimits):
    if os.geteuid() != 0:
        return left_out("only root may become another account")
    user = ACCOUNT
    task = ended(by_rlimits, "--account", user.pw_name, "--input", '{"n": 1}', "--",
                 "python3", "-c", "import json, os\n"
                 "status = dict(l.split(':', 1) for l in open('/proc/self/status').read().splitlines())\n"
                 "try:\n  os.setuid(0); back = True\nexcept OSError: back = False\n"
                 "said = {k: status[k].split() for k in ('Uid', 'Gid', 'Groups', 'NoNewPrivs', 'CapEff')}\n"
                 "said.update(back=back, home=os.environ['HOME'], user=os.environ['USER'],\n"
                 "            given=json.load(open(os.environ['PAWL_INPUT'])), mask=os.umask(0))\n"
                 "json.dump(said, open(os.environ['PAWL_OUTPUT'], 'w'))")
    assert task["status"] == "finished", task["message"]
    said = json.loads(by_rlimits.pawl("task", "output", task["id"]).out)
    uid, gid = str(user.pw_uid), str(user.pw_gid)
    assert said["Uid"] == [uid] * 4 and said["Gid"] == [gid] * 4
    assert said["Groups"] == [str(g) for g in sorted(os.getgrouplist(user.pw_name, user.pw_gid))]
    assert said["NoNewPrivs"] == ["1"] and int(said["CapEff"][0], 16) == 0 and not said["back"]
    assert said["home"] == user.pw_dir and said["user"] == user.pw_name and said["given"] == {"n": 1}
    assert said["mask"] == 0o027
    work = by_rlimits.folder / "worker" / "work"
    assert not [path for path in work.iterdir() if task["id"] in path.name], "its folder is gone"


def test_a_script_that_may_not_be_executed_says_what_to_do(own):
    own.broker()
    scripts = own.folder / "scripts"
    scripts.mkdir()
    own.executor("worker", 1, PAWL_EXECUTOR__ALLOW__SCRIPT_DIRS=str(scripts))
    (scripts / "plain.sh").write_text("#!/bin/sh\necho ran\n")
    task = failed(own, "--script-file", "plain.sh")
    assert task["exit_code"] == 126
    assert task["message"] == 'script "plain.sh" is not executable: chmod +x it, or name an interpreter'
    assert ended(own, "--script-file", "plain.sh", "--interpreter", "sh")["status"] == "finished"
    (scripts / "plain.sh").chmod(0o755)
    assert ended(own, "--script-file", "plain.sh")["status"] == "finished"
    (scripts / "odd.sh").write_text("#!/no/such/interpreter\n")
    (scripts / "odd.sh").chmod(0o755)
    assert "the interpreter that" in failed(own, "--script-file", "odd.sh")["message"]


def test_in_a_cgroup_memory_and_processes_are_limited_for_the_whole_tree(own, unit):
    place, why = unit
    if not place:
        return left_out(f"limits by cgroup: {why}")
    own.broker()
    program = worker(own, {"memory": "64MiB", "processes": 16}, start=False)
    program.argv = ["sh", "-c", f"echo $$ > {place}/cgroup.procs && exec \"$@\"", "sh", *program.argv]
    program.start()
    shown = own.pawl("executor", "show", "worker", "-o", "json").json["labels"]
    assert shown["process_limits"] == "cgroup", program.said()
    task = failed(own, "--", "python3", "-c", "b = bytearray(256 << 20)")
    assert task["message"] == f"out of memory: its limit here is {64 << 20} bytes", task
    assert task["attempts"][-1]["signal"] == 9
    # spread over processes it is the same limit, and the kernel chooses one of them
    task = failed(own, "--shell", "for i in 1 2 3 4; do python3 -c 'b = bytearray(32 << 20); input()' & done; wait; exit 1")
    assert task["message"].startswith("out of memory"), task
    task = failed(own, "--shell", "for i in $(seq 40); do sleep 5 & done; wait")
    assert "Cannot fork" in task["message"] or "Resource temporarily unavailable" in task["message"], task
    assert ended(own, "--", "true")["status"] == "finished"  # the limits of one attempt end with it
    # faster than any sweep: processes that fork without end
    id = own.pawl("run", "--shell", "f() { (sleep 0.01; f) & }; f; f; f; f; wait; sleep 300").lines[0]
    until(lambda: len(tree_of(id)) > 3, words="a fork loop")
    own.pawl("task", "cancel", id)
    own.wait_status(id, "cancelled")
    assert not tree_of(id)
    assert program.end() == 0


def in_a_cgroup(own):
    """An executor whose command runs in a cgroup, the command's id, and the executor's folder; or None, where there are none."""
    own.broker()
    program = own.executor("worker", 1)
    if own.pawl("executor", "show", "worker", "-o", "json").json["labels"]["process_control"] != "cgroup":
        return left_out(f"no cgroup: {program.said().partition('process_control=')[2].strip()}")
    id = own.begun("--shell", "setsid sleep 300 & echo begun; sleep 300")
    mount = next(line.split()[1] for line in open("/proc/mounts") if line.split()[2] == "cgroup2")
    [member] = [line.strip()[3:] for line in open(f"/proc/{tree_of(id)[0]}/cgroup") if line.startswith("0::")]
    branch = pathlib.Path(mount + member).parent
    assert branch.name.startswith("pawl-executor-") and branch.is_dir()
    return program, id, branch


def test_a_killed_executor_leaves_no_process_and_no_cgroup(own):
    made = in_a_cgroup(own)
    if not made:
        return
    program, id, branch = made
    program.kill()
    until(lambda: not branch.exists(), words="end of the cgroup")
    assert not tree_of(id)


def children(pid):
    return [int(word) for word in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_the_cgroup_that_stays_when_all_of_an_executor_is_killed_goes_with_the_fleet(own):
    made = in_a_cgroup(own)
    if not made:
        return
    program, id, branch = made
    [helper] = children(program.pid)
    wardens = children(helper)
    program.kill(signal.SIGSTOP)  # else it would see that its helper ends, and clean up itself
    for pid in (helper, *wardens):
        os.kill(pid, signal.SIGKILL)
    program.kill()
    assert branch.is_dir()
    own.clear_cgroups()
    assert not branch.exists() and not tree_of(id)


def test_a_cgroup_that_somebody_removes_costs_no_task_an_attempt(own):
    made = in_a_cgroup(own)
    if not made:
        return
    _, id, branch = made
    own.pawl("task", "cancel", id)
    own.wait_status(id, "cancelled")
    for _ in range(2):  # with the cgroup of a slot that is idle, then with what was made anew
        own.pawl("run", "--wait", "--", "true")
        for folder in [*(path for path in branch.iterdir() if path.is_dir()), branch]:
            until(lambda folder=folder: removed(folder), words=f"end of {folder}")
    [id] = own.submit({"argv": ["true"]}).lines
    own.wait_status(id, "finished")
    assert own.task(id)["attempt"] == 1


def removed(folder):
    try:
        folder.rmdir()
    except FileNotFoundError:
        pass
    except OSError:  # what ran in it is being reaped
        return False
    return True
