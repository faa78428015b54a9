#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""make check: every test, in the order to read a red run. A step that fails stops nothing; the
failures come at the end with the command that repeats each, and the last line is `N passed, N failed`.
Steps that leave a core idle run beside their neighbours; those whose tests watch a clock run alone.

What a step printed is in BUILD/log. Only the clock of one step is watched here: tests have deadlines
of their own.

    tests/check.py --build build              all of it
    tests/check.py --build build unit e2e     the steps whose names begin so
    tests/check.py --list                     their names
"""
import argparse
import concurrent.futures
import os
import pathlib
import re
import shlex
import signal
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
CORES = 3  # jobs at a time: one more than there are, for those that wait for a disk
ALONE = CORES
HANGS_S = 3600  # nothing takes so long, on however slow and busy a machine, but what hangs
MODULES = ("schemas", "base", "time", "client", "cli", "broker", "scheduler", "executor")
JOBS = "-j2"
ENVIRONMENT = {name: value for name, value in os.environ.items()
               if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES")}


RUNNING = set()  # sessions
STOPPED = threading.Event()  # nothing more begins


def kill(session):
    try:
        os.killpg(session, signal.SIGKILL)
    except ProcessLookupError:
        pass


def run(command, log, limit, env=()):
    """(exit status, output) of a command in a session of its own, which ends with it."""
    if STOPPED.is_set():
        return 1, ""
    with open(log, "a+b") as out:
        begin = out.seek(0, os.SEEK_END)
        out.write(f"$ {shlex.join(command)}\n".encode())
        out.flush()
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                   env={**ENVIRONMENT, **dict(env)}, start_new_session=True)
        RUNNING.add(process.pid)
        try:
            status = process.wait(limit)
        except subprocess.TimeoutExpired:
            status = -signal.SIGALRM
            out.write(f"\ncheck: not done after {limit} s\n".encode())
        finally:
            kill(process.pid)  # what it left behind
            process.wait()
            RUNNING.discard(process.pid)
        out.flush()
        out.seek(begin)
        return status, out.read().decode(errors="replace")


# ---- how to count: (status, output) -> (passed, failed) -------------------------------------------

def count_one(status, _output):
    return (0, 1) if status else (1, 0)


def count_words(status, output):
    """Lines that begin `3 passed, 1 failed`, as those of pytest and the harnesses; an error is a
    failure, a test that was skipped too: check is for machines that have everything."""
    lines = "\n".join(re.findall(r"(?m)^\d+ (?:passed|failed|skipped|errors?)\b.*$", output))

    def total(word):
        return sum(int(n) for n in re.findall(rf"\b(\d+) {word}\b", lines))
    passed, failed = total("passed"), total("failed") + total("errors?") + total("skipped")
    if status and not failed:
        failed = 1
    return (passed, failed) if passed or failed else (1, 0)


def count_cmocka(status, output):
    def total(word):
        return sum(int(n) for n in re.findall(rf"\[  {word}  \] (\d+) test", output))
    passed, failed = total("PASSED"), total("FAILED")
    if (status or not passed) and not failed:
        failed = 1  # it died, or a sanitizer spoke at its end
    return passed, failed


# ---- kinds of steps -------------------------------------------------------------------------------

def telling(log):
    """The lines of a log that say what went wrong, or its end."""
    lines = [line[:200] for line in log.read_text(errors="replace").splitlines() if line[:1] != "$"]
    found = [line for line in lines if re.search(
        r"\berror:|^FAILED |^ERROR |\[  (ERROR|FAILED)  \]|^CHECK failed|Sanitizer: |runtime error", line)]
    return found[:12] or lines[-12:]


class Make:
    """One make target that is counted by its output."""

    def __init__(self, name, *words, count=count_one, limit=HANGS_S, cores=2):
        self.name, self.words, self.count, self.limit, self.cores = name, words, count, limit, cores

    def command(self, build):
        build = next((w.partition("=")[2] for w in self.words if w.startswith("BUILD=")), build)
        return ["make", "--no-print-directory", JOBS, f"BUILD={build}"] + [
            w for w in self.words if not w.startswith("BUILD=")]

    def run(self, build, log):
        status, output = run(self.command(build), log, self.limit)
        passed, failed = self.count(status, output)
        return passed, [(self.name, self.command(build), log)] if failed else [], failed


class Unit:
    """The cmocka programs of some modules, two at a time, counted test by test."""
    cores = ALONE

    def __init__(self, name, modules=MODULES, san="", env=()):
        self.name, self.modules, self.san, self.env = name, modules, san, env

    def run(self, build, log):
        folder = f"{build}/{self.san.replace(',', '+')}" if self.san else build
        variables = [f"BUILD={folder}", "WERROR=1"] + ([f"SAN={self.san}"] if self.san else [])
        names = [f"{module}-{path.stem}" for module in self.modules
                 for path in sorted((ROOT / "tests/unit" / module).glob("test_*.c"))]
        targets = [f"{folder}/bin/{name}" for name in names]
        make = ["make", "-s", "-k", "--no-print-directory", JOBS] + variables
        status, _ = run(make + targets, log, HANGS_S)
        unbuilt = {t for t in targets if run(make + ["-q", t], log, HANGS_S)[0]} if status else set()
        failures = []
        if unbuilt:
            failures = [(f"{self.name}: {len(unbuilt)} programs do not build", make + sorted(unbuilt), log)]

        def one(target):
            own = log.with_name(f"{log.stem}.{pathlib.Path(target).name}.log")
            own.unlink(missing_ok=True)
            return target, own, count_cmocka(*run([target], own, HANGS_S, self.env))

        targets.sort(key=lambda target: not target.endswith(SLOW_UNITS))  # what takes long begins early
        passed, failed = 0, len(unbuilt)
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for target, own, (good, bad) in pool.map(one, [t for t in targets if t not in unbuilt]):
                passed, failed = passed + good, failed + bad
                if bad:
                    words = [f"{key}={value}" for key, value in dict(self.env).items()]
                    repeat = (["env"] + words if words else []) + [target]
                    failures.append((f"{self.name}: {pathlib.Path(target).name}", repeat, own))
        return passed, failures, failed


SLOW_UNITS = ("broker-test_space", "executor-test_torture", "client-test_worker")
TSAN = {"TSAN_OPTIONS": "suppressions=tests/tsan.supp",
        "PAWL_SPACE_LEVELS": "10"}  # one thread writes there; all fifty are in the other variants
STEPS = (
    Make("lint-format", "format-check", cores=1),
    Make("lint-arrows", "arrows", cores=1),
    Make("lint-tidy", "tidy"),
    Make("lint-cppcheck", "cppcheck", cores=1),
    Make("build-gcc", "CC=gcc", "WERROR=1", "all", "examples", "test-objects", "test-programs"),
    Make("build-clang", "BUILD=build/clang", "CC=clang", "WERROR=1", "objects"),
    Unit("unit"),
    Unit("unit-asan", san="address,undefined"),
    Unit("unit-tsan", ("client", "broker"), "thread", TSAN),
    Make("time", "check-time", count=count_words, cores=1),
    Make("time-sweep", "time-sweep", count=count_words, cores=1),
    Make("fuzz-replay", "fuzz-replay", cores=1),
    Make("crash-store", "crash-store", count=count_words, cores=1),
    Make("time-bugs", "time-bugs", count=count_words),
    Make("sim", "sim", count=count_words),
    Make("sim-bugs", "sim-bugs", count=count_words),
    Make("crash-loop", "crash-loop", count=count_words, cores=1),
    Make("install", "check-install", cores=1),
    Make("wire", "wire", count=count_words, cores=ALONE),
    Make("e2e", "e2e", count=count_words, cores=ALONE),
)


def run_all(steps, build, logs, cores):
    """(passed, failures, failed) of all steps. They begin in their order, as many at a time as there is
    room for; a step beside others must not build what they build: test-programs has done that."""
    passed, failed, failures, running = 0, 0, {}, {}
    waiting = list(steps)

    def run_one(step):
        log = logs / f"{step.name}.log"
        log.unlink(missing_ok=True)
        began = time.monotonic()
        return step.run(build, log), time.monotonic() - began

    def begin_some():
        while waiting and (not running or waiting[0].cores + sum(s.cores for s in running.values()) <= cores):
            step = waiting.pop(0)
            running[pool.submit(run_one, step)] = step

    with concurrent.futures.ThreadPoolExecutor(cores) as pool:
        while waiting or running:
            begin_some()
            try:
                done, _ = concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_COMPLETED)
            except BaseException:  # we are told to stop
                STOPPED.set()
                for session in list(RUNNING):
                    kill(session)
                raise
            for future in done:
                step = running.pop(future)
                (good, bad, bad_count), seconds = future.result()
                print(f"{seconds:7.1f} s  {step.name:<14} {good:5} passed"
                      + (f", {bad_count} failed" if bad_count else ""), flush=True)
                passed, failed = passed + good, failed + bad_count
                failures[step.name] = bad
    return passed, [one for step in steps for one in failures[step.name]], failed


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--build", default="build")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("steps", nargs="*")
    options = parser.parse_args()
    if options.list:
        print("\n".join(step.name for step in STEPS))
        return 0
    steps = [s for s in STEPS if not options.steps or any(s.name.startswith(n) for n in options.steps)]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    logs = ROOT / options.build / "log"
    logs.mkdir(parents=True, exist_ok=True)
    begin = time.monotonic()
    # some steps alone may have to build: then nothing builds beside them
    passed, failures, failed = run_all(steps, options.build, logs, 1 if options.steps else CORES)
    print(f"{time.monotonic() - begin:7.1f} s  in all; what they printed is in {options.build}/log/")
    for what, command, log in failures:
        print(f"\nFAILED {what}\n  repeat: {shlex.join(command)}\n  {log}:")
        print("".join(f"    {line}\n" for line in telling(log)), end="")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
