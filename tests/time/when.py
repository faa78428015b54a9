# SPDX-License-Identifier: Apache-2.0
"""Asks the program under test: PAWL names it, and it gets lines as `pawl when --batch` reads them."""
import os
import subprocess


def ask(lines):
    """One answer (bytes, no newline) for each line (bytes, no newline)."""
    program = os.environ["PAWL"]
    run = subprocess.run([program, "when", "--batch"], input=b"".join(l + b"\n" for l in lines),
                         stdout=subprocess.PIPE, timeout=600, check=True)
    answers = run.stdout.split(b"\n")
    assert answers.pop() == b"" and len(answers) == len(lines)
    return answers
