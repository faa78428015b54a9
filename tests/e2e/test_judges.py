# SPDX-License-Identifier: Apache-2.0
"""The judges of the demo and the crash loop are judged: what they must find, they find."""
import random

import pytest

import ledger

SCHEDULE = {"name": "job", "rule": "*/5 * * * *", "zone": "UTC", "mode": "strict",
            "created": "2026-01-01T00:00:30+00:00", "cursor": "2026-01-01T00:20:00+00:00"}
ROWS = [{"instant": f"2026-01-01T00:{minute:02d}:00+00:00", "verdict": "fired", "reason": "on time",
         "task": f"task-{minute}"} for minute in (5, 10, 15, 20)]
TASKS = [{"id": row["task"], "planned": row["instant"]} for row in ROWS]


def test_a_whole_ledger_has_no_fault():
    assert ledger.faults(SCHEDULE, ROWS, TASKS) == []


@pytest.mark.parametrize("rows, tasks", [
    (ROWS[:1] + ROWS[2:], TASKS[:1] + TASKS[2:]),                      # a hole
    (ROWS[:-1], TASKS[:-1]),                                           # nothing at the end
    (ROWS + [dict(ROWS[-1], task="task-x")], TASKS + [dict(TASKS[-1], id="task-x")]),  # one instant twice
    (ROWS, TASKS[:-1]),                                                # fired without a task
    (ROWS, TASKS + [dict(TASKS[0], id="task-x")]),                     # a task without a row
    (ROWS[:-1] + [dict(ROWS[-1], task="task-5")], TASKS),              # one task for two instants
    (ROWS + [dict(ROWS[0], instant="2026-01-01T00:07:00+00:00", task="task-7")],
     TASKS + [{"id": "task-7", "planned": "2026-01-01T00:07:00+00:00"}]),  # an instant that is none
    (ROWS[:-1] + [dict(ROWS[-1], verdict="skipped", task=None)], TASKS[:-1]),  # strict does not skip
    (ROWS[:-1] + [dict(ROWS[-1], reason="")], TASKS),                  # no reason
    (ROWS, TASKS[:-1] + [dict(TASKS[-1], planned="2026-01-01T00:19:00+00:00")]),  # planned elsewhere
])
def test_each_kind_of_fault_is_found(rows, tasks):
    assert ledger.faults(SCHEDULE, rows, tasks)


def a_field(dice, low, high):
    kind = dice.randrange(5)
    a, b = sorted((dice.randrange(low, high + 1), dice.randrange(low, high + 1)))
    return ["*", f"*/{dice.randrange(1, high - low + 1)}", str(a), f"{a}-{b}", f"{a},{b}"][kind]


def test_the_slow_reading_of_rules_agrees_with_when_batch(fleet):
    dice = random.Random(7)
    rules = [" ".join(a_field(dice, *limits) for limits in ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7)))
             for _ in range(150)]
    start, span = 1767225600, 5 * 86400
    text = "".join(f"UTC\t{rule}\t{start}\t10000\n" for rule in rules)
    said = fleet.pawl("when", "--batch", input=text, code=None).lines
    for rule, line in zip(rules, said):
        found = [] if line == "none" else [int(word) for word in line.split()]
        assert [t for t in found if t <= start + span] == ledger.instants(rule, "UTC", start, start + span)[:10000], rule
