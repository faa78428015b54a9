# SPDX-License-Identifier: Apache-2.0
"""docs/schedules.md: what it shows is what the programs print, and what it names exists."""
import re
import shlex

import pytest

from conftest import ROOT

PAGE = (ROOT / "docs/schedules.md").read_text()
ROWS = re.findall(r"^\| .* \| `([^`]+)` \| (\w{3} \d{4}-\S+ \S+ \S+) \|$", PAGE, re.M)
SHOWN = re.findall(r"^\$ pawl (.*)\n((?:(?!\$ |```).*\n)+)", PAGE, re.M)


def lasting(text):
    """Without what depends on the day of the test: how far away each instant is."""
    return [re.sub(r"   (in \d[\w ]*|\d[\w ]* ago)$", "", line).rstrip() for line in text.strip().splitlines()]


@pytest.mark.parametrize("rule, first", ROWS, ids=[row[0] for row in ROWS])
def test_a_form_of_a_rule_is_first_at(fleet, rule, first):
    said = fleet.pawl("when", rule, "--zone", "Europe/Paris", "--from", "2026-11-21", "--name", "nightly", "-n", "1")
    assert f"  1  {first} " in said.out, said


@pytest.mark.parametrize("command, printed", SHOWN, ids=[shown[0] for shown in SHOWN])
def test_what_is_shown_is_printed(fleet, command, printed):
    said = fleet.pawl(*shlex.split(command), TZ="UTC")
    assert lasting(said.out) == lasting(printed)


def test_the_page_was_read():
    assert len(ROWS) > 12 and len(SHOWN) > 8


def test_every_flag_it_names_exists():
    source = "".join(path.read_text() for path in (ROOT / "client/cli").glob("*.c"))
    source += (ROOT / "scheduler/main.c").read_text() + (ROOT / "client/cli/command.h").read_text()
    flags = set(re.findall(r"(?<![\w-])--([a-z][a-z-]+)", PAGE))
    assert len(flags) > 30 and not [flag for flag in flags if f'"{flag}"' not in source]
