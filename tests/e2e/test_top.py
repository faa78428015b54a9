# SPDX-License-Identifier: Apache-2.0
"""pawl top on a terminal: what it leaves behind, and that a person gets out of it."""
import os
import pty
import select
import signal
import subprocess
import termios

import pytest

from fleet import until

GIVES_UP_S = 8
SCREEN, BACK = b"\x1b[?1049h", b"\x1b[?1049l"


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, fleet, *words):
        self.ours, theirs = pty.openpty()
        self.settings = termios.tcgetattr(theirs)
        self.theirs, self.said = theirs, b""
        self.process = subprocess.Popen([fleet.bin / "pawl", *words], stdin=theirs, stdout=theirs, stderr=theirs,
                                        env={**fleet.env, "PAWL_BROKER": fleet.endpoint, "TERM": "xterm"})

    def read(self):
        while select.select([self.ours], [], [], 0)[0]:
            self.said += os.read(self.ours, 65536)
        return self.said

    def shows(self, what):
        until(lambda: what in self.read(), words=f"{what!r} on the terminal")

    def press(self, key):
        os.write(self.ours, key)

    def end(self):
        """Its exit code, with all that it printed read."""
        until(lambda: (self.read(), self.process.poll() is not None)[1], words="its end")
        self.read()
        return self.process.returncode

    def is_as_before(self):
        return termios.tcgetattr(self.theirs) == self.settings

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.ours)
        os.close(self.theirs)


@pytest.fixture
def top(own):
    broker = own.broker()
    terminal = Terminal(own, "top", "--timeout", f"{GIVES_UP_S}s")
    terminal.shows(SCREEN)
    terminal.shows(b"q quits")
    terminal.broker = broker
    yield terminal
    terminal.close()


@pytest.mark.parametrize("key", [b"q", b"\x03", b"\x1b"], ids=["q", "Ctrl-C", "Esc"])
def test_a_key_ends_it(top, key):
    top.press(key)
    assert top.end() == 0 and top.said.endswith(b"\x1b[?25h") and top.is_as_before()


def test_what_went_wrong_is_read_on_the_screen_that_stays(top):
    top.broker.kill()
    assert top.end() == 6
    before, after = top.said.rsplit(BACK, 1)
    assert b"waiting for broker" in before
    assert after.count(b"error: ") == 1 and b"why: " in after and b"try: " in after, after
    assert top.is_as_before()


def test_a_broker_that_is_away_keeps_nobody(top):
    top.broker.kill(signal.SIGSTOP)
    top.shows(b"waiting for broker")
    top.press(b"q")
    assert top.end() == 0, "it was not the key: it gave up"
    top.broker.kill(signal.SIGCONT)


def test_a_terminal_is_given_back_when_it_is_told_to_end(top):
    top.process.send_signal(signal.SIGTERM)
    assert top.end() == 128 + signal.SIGTERM
    assert BACK in top.said and top.is_as_before()
