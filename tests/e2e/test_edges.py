# SPDX-License-Identifier: Apache-2.0
"""Where people meet the programs at their edges: versions, the check of a store, errors at start."""
import subprocess

import pytest

from conftest import BIN, in_outbox
from fleet import PATIENCE, until
from pawl_wire import Peer, new_id, pb


def three_lines(text):
    lines = text.strip().splitlines()
    assert len(lines) == 3, text
    assert lines[1].strip().startswith("why:") and lines[2].strip().startswith(("try:", "then:")), text
    return lines


@pytest.mark.parametrize("program", ["pawl-broker", "pawl-scheduler", "pawl-executor"])
def test_each_program_tells_its_version(program):
    said = subprocess.run([BIN / program, "--version"], capture_output=True, text=True, timeout=PATIENCE)
    assert (said.returncode, said.stderr) == (0, "") and said.stdout.startswith(f"{program} 0.")


@pytest.mark.parametrize("flag", ["--help", "-?", "--usage"])
@pytest.mark.parametrize("program", ["pawl-broker", "pawl-scheduler", "pawl-executor"])
def test_each_program_tells_its_flags(program, flag):
    said = subprocess.run([BIN / program, flag], capture_output=True, text=True, timeout=PATIENCE)
    assert (said.returncode, said.stderr) == (0, "") and f"Usage: {program}" in said.stdout


def test_the_check_reads_the_logs_too_and_finds_the_store_by_its_broker(small):
    small.submit(*[{"shell": "seq 2000"}] * 3)
    until(lambda: small.stats()["tasks"]["finished"] == 3)
    held = small.pawl("broker", "check", "--state", small.state, code=None)
    assert held.code == 4 and "process" in three_lines(held.err)[1], held
    small.stop()
    for where in [], ["--state", small.state], ["-b", f"ipc://{small.state}/broker.sock"], ["-b", small.state]:
        said = small.pawl("broker", "check", *where).out
        assert said.startswith("ok") and "logs ok: 3 logs" in said and "0 orphans" in said, said
    data = small.state / "logs" / "data.mdb"
    raw = data.read_bytes()
    line = b"\n1998\n1999\n2000\n"
    assert line in raw
    data.write_bytes(raw.replace(line, b"\n1998\n1999\n2001\n"))
    said = small.pawl("broker", "check", "--state", small.state, code=None)
    assert said.code == 1 and "logs: task " in said.out and "fails its checksum" in said.out, said


def test_a_check_of_what_is_no_store_says_what_to_type(small, tmp_path):
    said = small.pawl("broker", "check", "--state", tmp_path, code=None)
    assert said.code == 3 and not (tmp_path / "store").exists()
    three_lines(said.err)
    said = small.pawl("broker", "check", "-b", "tcp://h:1", code=None)
    assert said.code == 2
    three_lines(said.err)


def test_an_executor_that_cannot_start_says_why_in_three_lines(tmp_path):
    (tmp_path / "file").write_text("")
    for flags, code in [(["--state", tmp_path / "file" / "x"], 1), (["--slots", "none"], 2),
                        (["--state", tmp_path, "--broker", "nonsense"], 2)]:
        said = subprocess.run([BIN / "pawl-executor", *flags], capture_output=True, text=True, timeout=PATIENCE)
        assert said.returncode == code, said
        three_lines(said.stderr)


def test_the_exit_code_of_a_command_is_told_as_a_shell_tells_it(small):
    for command, code in [("exit 3", 3), ("exit 126", 126), ("no-such-command-here", 127), ("exit 255", 255),
                          ("kill -9 $$", 137), ("true", 0)]:
        said = small.pawl("run", "--exit-code", "--timeout", "60s", "--", "sh", "-c", command, code=None)
        assert said.code == code, (command, said)


def test_a_variable_given_twice_is_refused_before_anything_runs(small):
    said = small.pawl("run", "--env", "A=1", "--env", "A=2", "--", "true", code=2)
    assert "A is given twice" in three_lines(said.err)[0]
    peer = Peer(small.endpoint, "twice").open()
    pair = [pb.EnvVar(name="A", value="1"), pb.EnvVar(name="B"), pb.EnvVar(name="A", value="2")]
    task = pb.Task(id=new_id(), type="pawl/shell", command=pb.Command(argv=["true"], env=pair))
    answer = peer.ask("submit", pb.Submit(tasks=[task.SerializeToString()])).submitted
    assert (answer.accepted, answer.items[0].error.field) == (0, "command.env[2].name")
    assert "given twice" in answer.items[0].error.text
    peer.close()


def test_a_bulk_change_names_what_it_refused(small):
    ids = small.submit({"argv": ["true"], "hold": True}, {"argv": ["true"]}, {"argv": ["true"], "hold": True}).lines
    until(lambda: small.status(ids[1]) == "finished")
    said = small.pawl("task", "cancel", *ids, code=8)
    lines = three_lines("\n".join(said.err.splitlines()[:3]))
    assert ids[1] in lines[0] and ids[0] not in said.err and ids[2] not in said.err
    assert "2 done, 1 refused" in said.err
    assert [small.status(id) for id in ids] == ["cancelled", "finished", "cancelled"]


def test_a_schedule_is_changed_only_at_the_revision_that_was_seen(small):
    small.pawl("schedule", "add", "nightly", "--cron", "0 3 * * *", "--", "true")
    small.pawl("schedule", "set", "nightly", "--title", "a", "--revision", "1")
    said = small.pawl("schedule", "set", "nightly", "--title", "b", "--revision", "1", code=4)
    assert "revision 2" in three_lines(said.err)[1]
    small.pawl("schedule", "set", "nightly", "--title", "b", "--revision", "2")


def test_what_lives_in_the_store_is_told_in_bytes(small):
    small.submit(*[{"argv": ["true"], "hold": True}] * 3)
    store = small.stats()["store"]
    assert 4096 < store["live"] <= store["used"] < store["map"]


def test_a_command_of_a_crontab_starts_at_home_when_that_is_known(small, tmp_path):
    (tmp_path / "tab").write_text(f"HOME={tmp_path}\n* * * * * pwd\n")
    said = small.pawl("import", "crontab", tmp_path / "tab")
    assert f"starts in {tmp_path}" in said.out + said.err
    name = small.pawl("schedule", "list", "-o", "ndjson").rows[0]["name"]
    done = small.pawl("schedule", "now", name).out.split()[0]
    until(lambda: small.status(done) == "finished")
    assert small.pawl("logs", done).out == f"{tmp_path}\n"
    (tmp_path / "plain").write_text("* * * * * pwd\n")
    said = small.pawl("import", "crontab", tmp_path / "plain", "--dry-run")
    assert "cron in HOME" in said.out + said.err


def test_what_an_executor_took_with_it_of_a_log_is_marked(own):
    own.broker()
    own.executor("worker", 2)
    marks = own.folder / "marks"
    marks.mkdir()
    script = f"echo early; touch {marks}/begun; while ! test -e {marks}/go; do sleep 0.02; done; echo late; exit 0"
    id = own.submit({"shell": script}).lines[0]
    until(lambda: (marks / "begun").exists())
    until(lambda: "early" in own.pawl("logs", id).out)
    broker, worker = own.programs[0], own.programs[1]
    broker.kill()
    (marks / "go").touch()
    until(lambda: in_outbox(own, "worker", id), words="the result in the outbox")
    worker.kill()
    own.broker()
    own.executor("worker", 2)
    until(lambda: own.status(id) == "finished")
    assert own.pawl("logs", id).out == "early\n[5 bytes were cut here]\n"
