# SPDX-License-Identifier: Apache-2.0
"""ops/install-deps with an apt of our own: nothing of this machine is changed."""
import os
import signal
import subprocess

import pytest

from conftest import ROOT
from fleet import PATIENCE, until

FAKES = {
    "dpkg-query": "exit 1",                      # nothing is installed
    "id": "echo 0",                              # root
    "apt-get": 'echo "$@" >> "$LOG"; [ "$1" = install ] && [ -n "$WAIT" ] && { echo > "$WAIT"; sleep 600; }; exit $CODE',
}


@pytest.fixture
def deps(folder):
    """Runs it; `.guard` is the file that keeps servers from starting, `.log` what apt was asked."""
    class Deps:
        guard, log, waits = folder / "policy-rc.d", folder / "log", folder / "waits"
        started = []

        def start(self, *flags, code=0, wait=False):
            env = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "LOG": str(self.log), "CODE": str(code),
                   "WAIT": str(self.waits) if wait else "", "PAWL_POLICY_RC_D": str(self.guard)}
            self.started.append(subprocess.Popen(["sh", ROOT / "ops" / "install-deps", *flags], env=env, text=True,
                                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True))
            return self.started[-1]
    for name, body in FAKES.items():
        (folder / name).write_text(f"#!/bin/sh\n{body}\n")
        (folder / name).chmod(0o755)
    made = Deps()
    yield made
    for one in made.started:  # a test that failed has not ended them
        if one.poll() is None:
            os.killpg(one.pid, signal.SIGKILL)
            one.communicate()


def test_servers_are_kept_from_starting_only_meanwhile(deps):
    running = deps.start("--run", wait=True)
    until(deps.waits.exists)
    assert "exit 101" in deps.guard.read_text() and os.access(deps.guard, os.X_OK)
    os.killpg(running.pid, signal.SIGINT)  # Ctrl-C
    assert running.wait(PATIENCE) == 130 and not deps.guard.exists()
    running.communicate()


@pytest.mark.parametrize("code", [0, 100])
def test_the_guard_goes_when_apt_ends_as_it_may(deps, code):
    done = deps.start("--run", code=code)
    out, err = done.communicate(timeout=PATIENCE)
    assert done.returncode == code and not deps.guard.exists(), out + err
    assert "installing" in out and ("done" in out) == (code == 0)


def test_a_guard_that_an_earlier_run_left_goes_and_anothers_stays(deps):
    running = deps.start("--run", wait=True)
    until(deps.waits.exists)
    os.killpg(running.pid, signal.SIGKILL)
    running.communicate()
    assert deps.guard.exists()
    assert deps.start("--run").wait(PATIENCE) == 0 and not deps.guard.exists()
    deps.guard.write_text("#!/bin/sh\nexit 101\n")
    assert deps.start("--run").wait(PATIENCE) == 0 and deps.guard.read_text() == "#!/bin/sh\nexit 101\n"


def test_an_unknown_flag_is_named_with_those_that_are_known(deps):
    done = deps.start("--everything")
    assert "--everything" in done.communicate()[1] and done.returncode == 2
    assert not deps.log.exists()
