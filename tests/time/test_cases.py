# SPDX-License-Identifier: Apache-2.0
"""Every case of cases/*.tsv: rules and the instants at which they fire, rejected rules and where.

Files are read as bytes; one case a line, columns separated by tabs:
cron_cases   zone, rule, start, five next instants or `error`
error_cases  rule, code, column
rule_cases   zone, rule, start, exclusions, name, up to five next instants, `none` or `error`
peer_facts   zone, rule, start, instants or `error`, the project that publishes the case
"""
import pathlib

import when

CASES = pathlib.Path(__file__).parent / "cases"


def rows(name, columns):
    table = [line.split(b"\t") for line in (CASES / name).read_bytes().split(b"\n") if line]
    assert table and all(len(row) == columns for row in table)
    return table


def shown(expected):
    """How many instants a published case gives."""
    return 5 if expected in (b"error", b"none") else len(expected.split(b" "))


def compare(cases):
    """cases: (line, expected) pairs; `error` is any error."""
    answers = when.ask([line for line, _ in cases])
    wrong = []
    for (line, expected), answer in zip(cases, answers):
        same = answer.startswith(b"error ") if expected == b"error" else answer == expected
        if not same:
            wrong.append(f"{line!r}: expected {expected!r}, got {answer!r}")
    assert not wrong, f"{len(wrong)} of {len(cases)} wrong\n" + "\n".join(wrong[:20])


def test_cron_rules_fire_when_the_table_says():
    compare([(b"\t".join([zone, rule, start, b"5"]), expected)
             for zone, rule, start, expected in rows("cron_cases.tsv", 4)])


def test_rejected_rules_name_the_code_and_the_column():
    compare([(b"\t".join([b"UTC", rule, b"1700000000", b"1"]), b"error %s %s" % (code, column))
             for rule, code, column in rows("error_cases.tsv", 3)])


def test_other_rules_exclusions_and_names_fire_when_the_table_says():
    compare([(b"\t".join([zone, rule, start, b"5", exclusions, name]), expected)
             for zone, rule, start, exclusions, name, expected in rows("rule_cases.tsv", 6)])


def test_what_other_projects_publish_holds_here():
    compare([(b"\t".join([zone, rule, start, b"%d" % shown(expected)]), expected)
             for zone, rule, start, expected, _ in rows("peer_facts.tsv", 5)])
