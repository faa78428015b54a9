# SPDX-License-Identifier: Apache-2.0
"""Where people meet the programs at their edges: versions, the check of a store, errors at start."""
import subprocess

import pytest

from conftest import BIN, until
from test_tasks import submit


def three_lines(text):
    lines = text.strip().splitlines()
    assert len(lines) == 3, text
    assert lines[1].strip().startswith("why:") and lines[2].strip().startswith(("try:", "then:")), text
    return lines


@pytest.mark.parametrize("program", ["pawl-broker", "pawl-scheduler", "pawl-executor"])
def test_each_program_tells_its_version(program):
    said = subprocess.run([BIN / program, "--version"], capture_output=True, text=True, timeout=10)
    assert (said.returncode, said.stderr) == (0, "") and said.stdout.startswith(f"{program} 0.")


def test_the_check_reads_the_logs_too_and_finds_the_store_by_its_broker(small):
    submit(small, *[{"shell": "seq 2000"}] * 3)
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
        said = subprocess.run([BIN / "pawl-executor", *flags], capture_output=True, text=True, timeout=20)
        assert said.returncode == code, said
        three_lines(said.stderr)
