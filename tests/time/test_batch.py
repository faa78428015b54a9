# SPDX-License-Identifier: Apache-2.0
"""`pawl when --batch`: one line in, one line out, whatever the bytes."""
import os
import subprocess

import when


def answer(*columns):
    return when.ask([b"\t".join(columns)])[0]


def test_a_line_with_too_few_columns_is_an_error():
    assert when.ask([b"", b"UTC", b"UTC\t* * * * *", b"UTC\t* * * * *\t0"]) == [
        b"error zone 0", b"error time 0", b"error time 0", b"error count 0"]


def test_a_start_outside_of_time_is_an_error():
    for start in (b"-1", b"253370764800", b"99999999999999999999999", b"", b"1.5", b" 1", b"now"):
        assert answer(b"UTC", b"* * * * *", start, b"1") == b"error time 0"
    assert answer(b"UTC", b"* * * * *", b"253370764799", b"1") == b"none"


def test_checks_come_in_their_order_and_exclusions_before_the_rule():
    assert answer(b"Nowhere", b"x", b"-1", b"1", b"x") == b"error zone 0"
    assert answer(b"UTC", b"x", b"-1", b"1", b"x") == b"error time 0"
    assert answer(b"UTC", b"x", b"0", b"1", b"2026-01-01,x") == b"error syntax 12"
    assert answer(b"UTC", b"x", b"0", b"1", b"2026-01-01") == b"error fields 2"


def test_nuls_and_bytes_that_are_no_text_are_taken_as_they_are():
    assert answer(b"UTC", b"* * \0 * *", b"0", b"1") == b"error syntax 5"
    assert answer(b"UT\0C", b"* * * * *", b"0", b"1") == b"error zone 0"
    assert answer(b"UTC", b"* * * * *\r", b"0", b"1") == b"error syntax 10"
    assert answer(b"UTC", b"\xff * * * *", b"0", b"1") == b"error syntax 1"


def test_long_lines_are_read_whole():
    rule = b"* * * * " + b",".join([b"1"] * 2043)
    assert len(rule) == 4093 and answer(b"UTC", rule, b"0", b"1") == b"345600"
    assert answer(b"UTC", b"*" * 5000, b"0", b"1") == b"error too_long 4096"
    assert answer(b"UTC", b"x" * 100000, b"0", b"1") == b"error too_long 4096"


def test_large_counts_give_all_there_is():
    many = answer(b"UTC", b"* * * * * *", b"0", b"300000").split(b" ")
    assert many == [b"%d" % t for t in range(1, 300001)]
    dates = answer(b"UTC", b"@dates 2026-01-01,2026-01-02", b"0", b"18446744073709551616")
    assert dates == b"1767225600 1767312000"


def test_the_last_line_needs_no_newline_and_no_lines_give_none():
    def run(text):
        return subprocess.run([os.environ["PAWL"], "when", "--batch"], input=text, check=True,
                              stdout=subprocess.PIPE, timeout=60).stdout
    assert run(b"UTC\t@at 1970-01-01T00:00:01\t0\t1") == b"1\n"
    assert run(b"") == b""
