#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""pytest, file by file, some files at a time: most of these tests wait for programs, few of them for a
core. Each file is a process of its own, and what it printed comes in one piece when it is done.

    by_file.py [--at-once 4] [--limit SECONDS] FOLDER or FILE...
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys
import time

TESTS = pathlib.Path(__file__).resolve().parent


class Times:
    """How long each file took last, in the build folder; a guess by its size before."""

    def __init__(self):
        self.path = pathlib.Path(os.environ.get("PAWL_BUILD", "build")) / "log" / "by_file.json"
        try:
            self.known = json.loads(self.path.read_text())
        except (OSError, ValueError):
            self.known = {}

    def of(self, file):
        return self.known.get(file.name, file.stat().st_size / 300)

    def save(self):
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(self.known, indent=0, sort_keys=True))


def files_of(places, times):
    """What takes long begins early."""
    found = [file for place in map(pathlib.Path, places)
             for file in (place.glob("test_*.py") if place.is_dir() else [place])]
    return sorted(found, key=lambda file: -times.of(file))


def run(file, limit):
    """(file, exit status, what it printed, seconds)"""
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--durations=3", "--durations-min=2", file],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
    try:
        said, _ = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        process.kill()  # what it started dies with it
        said, _ = process.communicate()
        said += f"\n1 failed: {file} was not done after {limit} s\n"
    return file, process.returncode, said, time.monotonic() - began


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--at-once", type=int, default=4)
    parser.add_argument("--limit", type=int, default=1800)
    parser.add_argument("places", nargs="+")
    given = parser.parse_args()
    began, passed, bad, times = time.monotonic(), 0, [], Times()
    with concurrent.futures.ThreadPoolExecutor(given.at_once) as pool:
        for done in concurrent.futures.as_completed(
                [pool.submit(run, file, given.limit) for file in files_of(given.places, times)]):
            file, status, said, seconds = done.result()
            print(f"== {os.path.relpath(file, TESTS.parent)}, {seconds:.1f} s\n{said}", flush=True)
            times.known[file.name] = round(seconds, 1)
            passed += sum(map(int, re.findall(r"(?m)^(?:.* )?(\d+) passed\b.* in ", said)))
            if status:
                bad.append(file.name)
    times.save()
    print(f"all files: {passed} passed in {time.monotonic() - began:.1f} s"
          + (f"; not all of {', '.join(bad)}" if bad else ""))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
