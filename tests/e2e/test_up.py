# SPDX-License-Identifier: Apache-2.0
"""pawl up: what README's first command does, and what becomes of it on bad days."""
import json
import os
import pathlib
import signal
import subprocess

import pytest

from conftest import BIN, ROOT, gate, no_sanitizer_spoke, open_gate, processes_with
from fleet import PATIENCE, SLOW_S, until


class Up:
    def __init__(self, folder, *flags, words=None, before=None):
        self.folder, self.state = folder, folder / "state"
        (folder / "home").mkdir(exist_ok=True)
        env = {name: value for name, value in os.environ.items() if not name.startswith("PAWL_")}
        self.env = {**env, "HOME": str(folder / "home")}
        words = words or [BIN / "pawl", "up", "--state", self.state, "--slots", "2", *flags]
        self.process = subprocess.Popen(words, cwd=ROOT,
                                        stdin=subprocess.DEVNULL, stdout=open(folder / "out", "wb"),
                                        stderr=open(folder / "err", "wb"), env=self.env,
                                        start_new_session=True, preexec_fn=before)

    def out(self):
        return (self.folder / "out").read_text()

    def err(self):
        return (self.folder / "err").read_text()

    def wait_ready(self):
        until(lambda: any(line.startswith("ready") for line in self.out().splitlines())
              or self.process.poll() is not None, 2 * PATIENCE)
        assert self.process.poll() is None, self.out() + self.err()
        return self

    def pids(self):
        """Role and pid of what runs below it now."""
        found = {}
        for entry in os.listdir("/proc"):
            try:
                fields = pathlib.Path("/proc", entry, "stat").read_text().rpartition(")")[2].split()
                if entry.isdigit() and int(fields[1]) == self.process.pid and fields[0] != "Z":
                    name = pathlib.Path("/proc", entry, "cmdline").read_bytes().split(b"\0")[0].decode()
                    found[pathlib.Path(name).name] = int(entry)
            except OSError:
                continue
        return found

    def pawl(self, *words):
        return subprocess.run([BIN / "pawl", "-b", f"ipc://{self.state}/broker.sock", *words], text=True,
                              capture_output=True, env=self.env, timeout=PATIENCE)

    def end(self, number=signal.SIGINT):
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


@pytest.fixture
def up(folder):
    up = Up(folder)
    yield up
    if up.process.poll() is None:
        up.process.kill()
        up.process.wait(PATIENCE)
    until(lambda: not processes_with(f"HOME={folder}/home"), words="the end of all its processes")
    no_sanitizer_spoke(folder)


def test_the_first_command_of_the_readme_runs_and_its_three_printed_commands_work(up):
    up.wait_ready()
    lines = up.out().splitlines()
    first = next(n for n, line in enumerate(lines) if line.startswith("try")) + 1
    commands = [line.strip() for line in lines[first:first + 3]]
    assert all("pawl" in command for command in commands)
    said = [subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, env=up.env, timeout=PATIENCE)
            for command in commands]
    assert [run.returncode for run in said] == [0, 0, 0], said
    assert "it works" in said[0].stdout
    assert "created" in said[1].stdout and "hello" in said[1].stdout
    assert "finished" in said[2].stdout
    assert up.end(signal.SIGINT) == 0
    assert not processes_with(f"HOME={up.folder}/home")


def test_make_up_serves_this_user_and_ends_with_0(folder):
    build = os.environ.get("PAWL_BUILD")
    if not build or pathlib.Path(build, "bin").resolve() != BIN:
        pytest.skip("PAWL_BUILD does not say where the programs were built")
    words = ["make", "--no-print-directory", f"BUILD={build}", "up"]
    up = Up(folder, words=words)
    up.state = folder / "home" / ".local" / "share" / "pawl"
    try:
        up.wait_ready()
        done = subprocess.run([BIN / "pawl", "run", "--wait", "--", "echo", "it works"], text=True,
                              capture_output=True, env=up.env, timeout=PATIENCE)
        assert done.returncode == 0 and up.state.joinpath("broker.sock").is_socket(), done
        [main] = [pid for pid in processes_with(f"HOME={folder}/home")
                  if pathlib.Path("/proc", str(pid), "cmdline").read_bytes().endswith(b"/pawl\0up\0")]
        os.kill(main, signal.SIGINT)
        assert up.process.wait(PATIENCE) == 0
    finally:
        if up.process.poll() is None:
            up.process.kill()
            up.process.wait(PATIENCE)
    until(lambda: not processes_with(f"HOME={folder}/home"), words="the end of all its processes")


def test_sigterm_drains_a_running_task_to_its_end(up):
    up.wait_ready()
    finishes_after(up, lambda: up.process.send_signal(signal.SIGTERM))


def finishes_after(up, how):
    """A task still ran when `how` ended pawl up, and is on record as finished after it."""
    id = up.pawl("run", "--", "sh", "-c", gate(up)).stdout.strip()
    until(lambda: '"running"' in up.pawl("task", "show", id, "-o", "json").stdout)
    how()
    until(lambda: "stopping" in up.err())
    open_gate(up)
    assert up.process.wait(PATIENCE) == 0, up.err()
    said = up.err()
    again = Up(up.folder).wait_ready()
    try:
        shown = json.loads(again.pawl("task", "show", id, "-o", "json").stdout)
        assert (shown["status"], shown["attempt"], shown["lost"]) == ("finished", 1, 0), shown
    finally:
        assert again.end() == 0
    return said


def test_the_roles_are_of_its_process_group_and_a_term_to_all_of_it_drains(up):
    up.wait_ready()
    group = os.getpgid(up.process.pid)
    assert [os.getpgid(pid) for pid in up.pids().values()] == [group] * 3
    finishes_after(up, lambda: os.killpg(group, signal.SIGTERM))


def test_what_a_terminal_sends_to_all_of_its_group_drains(up):
    up.wait_ready()
    finishes_after(up, lambda: os.killpg(os.getpgid(up.process.pid), signal.SIGINT))


def test_a_broker_that_dies_while_tasks_drain_is_there_for_their_results(up):
    up.wait_ready()

    def how():
        broker = up.pids()["pawl-broker"]
        up.process.send_signal(signal.SIGTERM)
        until(lambda: "stopping" in up.err())
        os.kill(broker, signal.SIGKILL)

    assert "starts again" in finishes_after(up, how)


def test_interrupting_ends_it_also_when_a_script_started_it_in_the_background(folder):
    up = Up(folder, before=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)).wait_ready()
    try:
        assert up.end(signal.SIGINT) == 0
    finally:
        up.process.kill()


def test_nothing_outlives_pawl_up_killed_with_sigkill(up):
    up.wait_ready()
    id = up.pawl("run", "--", "sh", "-c", "setsid sleep 297 & sleep 298").stdout.strip()
    until(lambda: len(processes_with(f"PAWL_TASK_ID={id}")) >= 2)
    assert len(up.pids()) == 3
    up.process.kill()
    up.process.wait(PATIENCE)
    until(lambda: not processes_with(f"HOME={up.folder}/home") and not processes_with(f"PAWL_TASK_ID={id}"),
          SLOW_S, words="the end of all processes")


@pytest.mark.parametrize("role", ["pawl-broker", "pawl-scheduler", "pawl-executor"])
def test_a_role_that_is_killed_is_started_again(up, role):
    up.wait_ready()
    victim = up.pids()[role]
    os.kill(victim, signal.SIGKILL)
    until(lambda: up.pids().get(role, victim) != victim)
    done = up.pawl("run", "--wait", "--timeout", "60s", "--", "true")
    assert done.returncode == 0, done
    assert up.end() == 0


def test_a_second_pawl_up_on_one_state_is_refused_with_the_pid_of_the_first(up):
    up.wait_ready()
    second = subprocess.run([BIN / "pawl", "up", "--state", up.state], capture_output=True, text=True,
                            env=up.env, timeout=PATIENCE)
    assert second.returncode == 4
    assert str(up.process.pid) in second.stderr
    assert len(second.stderr.strip().splitlines()) == 3
    assert up.end() == 0


def test_a_second_broker_on_one_store_is_refused_with_the_pid_of_the_first(own):
    first = own.broker()
    second = subprocess.run([BIN / "pawl-broker", "--state", own.state], capture_output=True, text=True,
                            env=own.env, timeout=PATIENCE)
    assert second.returncode == 4
    assert str(first.pid) in second.stderr
    assert own.pawl("broker", "status", "-o", "json").json["pid"] == first.pid


def test_a_folder_that_cannot_be_used_is_told_in_three_lines(folder):
    (folder / "file").write_text("")
    done = subprocess.run([BIN / "pawl", "up", "--state", folder / "file" / "state"], capture_output=True,
                          text=True, timeout=PATIENCE)
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 3


def test_the_log_of_a_role_that_runs_for_long_is_kept_small(folder):
    up = Up(folder).wait_ready()
    log = up.state / "log" / "scheduler.log"
    before = log.read_text()
    with open(log, "a") as more:
        more.write("x" * (9 << 20) + "\n")
    os.kill(up.pids()["pawl-executor"], signal.SIGKILL)  # it looks when something happens, or each minute
    until(lambda: log.stat().st_size < 1 << 20)
    kept = (log.parent / "scheduler.log.1").read_text()
    assert kept.startswith(before) and "x" * (9 << 20) + "\n" in kept
    up.pawl("schedule", "add", "often", "--every", "1s", "--", "true")
    until(lambda: "FIRED" in log.read_text())  # it goes on where nothing is before it
    assert "\0" not in log.read_text() and up.end() == 0
