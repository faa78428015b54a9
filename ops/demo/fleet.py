# SPDX-License-Identifier: Apache-2.0
"""A small fleet of Pawl's real programs in one folder, for the demo and the end-to-end tests.

Everything listens in that folder (ipc), dies with the process that made it, and is killed by the
pid of what was started here, never by name. Programs must be started from a thread that lives as
long as they shall: the kernel ties them to it.
"""
import datetime
import json
import os
import pathlib
import shutil
import signal
import subprocess
import time

# A deadline that no slow machine meets by its slowness: what takes so long does not happen.
PATIENCE = 60.0
SLOW_S = 20.0  # later than that is wrong on any machine, where something has its time
ENDED = ("finished", "failed", "cancelled", "superseded", "expired")
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def new_id():
    """A task id as text: a ULID, 48 bits of milliseconds and 80 random bits."""
    number = int(time.time() * 1000) << 80 | int.from_bytes(os.urandom(10), "big")
    return "".join(CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))


def seconds(text):
    """An instant as the programs print it."""
    return datetime.datetime.fromisoformat(text).timestamp()


def until(what, timeout=PATIENCE, every=0.02, words="what was waited for"):
    """The first true answer of what(), or AssertionError after `timeout` seconds."""
    end = time.monotonic() + timeout
    while True:
        answer = what()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"{words} did not come within {timeout} s")
        time.sleep(every)


def own_cgroup():
    """Our folder of cgroup v2, where executors that we start make theirs; or None."""
    with open("/proc/self/mounts") as mounts, open("/proc/self/cgroup") as member:
        tops = [words[1] for words in map(str.split, mounts) if words[2] == "cgroup2"]
        paths = [line.strip()[4:] for line in member if line.startswith("0::/")]
    return pathlib.Path(tops[0], paths[0]) if tops and paths else None


def cgroup_name(state):
    """As executor/process/cgroup.c names the one of a state folder: by the FNV-1a hash of its path."""
    number = 0xCBF29CE484222325
    for byte in os.fsencode(state):
        number = (number ^ byte) * 0x100000001B3 & (1 << 64) - 1
    return f"pawl-executor-{number:016x}"


def cgroup_removed(branch):
    """Kills what is in it and removes it; False: not yet."""
    try:
        (branch / "cgroup.kill").write_text("1")
        for path, _, _ in os.walk(branch, topdown=False):
            os.rmdir(path)
    except FileNotFoundError:
        return not branch.exists()
    except OSError:
        return False
    return True


class Program:
    """One program: started, killed and started again; what it prints goes to its log."""

    def __init__(self, role, argv, env, log):
        self.role, self.argv, self.env, self.log = role, [str(word) for word in argv], env, log
        self.process, self.starts, self.said_before = None, 0, 0

    @property
    def pid(self):
        return self.process.pid

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def start(self, wait=True):
        self.said_before = self.log.stat().st_size if self.log.exists() else 0
        with open(self.log, "ab") as out:
            self.process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *self.argv], env=self.env,
                                            stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        self.starts += 1
        if wait:
            self.wait_ready()
        return self

    def said(self):
        """What this life of it has printed."""
        with open(self.log, "rb") as log:
            log.seek(self.said_before)
            return log.read().decode(errors="replace")

    def ready(self):
        return any(line.startswith("ready") for line in self.said().splitlines())

    def wait_ready(self, timeout=PATIENCE):
        until(lambda: self.ready() or not self.alive(), timeout, 0.005, f"ready of {self.role}")
        assert self.ready(), f"{self.role} ended at once: {self.said()}"

    def kill(self, number=signal.SIGKILL):
        """The signal, and for KILL its burial."""
        self.process.send_signal(number)
        if number == signal.SIGKILL:
            self.process.wait(PATIENCE)

    def end(self, timeout=PATIENCE):
        """TERM and its exit code; KILL when that takes too long."""
        if not self.alive():
            return self.process.returncode if self.process else None
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(PATIENCE)
            return None


class Said:
    """What a run of the CLI printed and how it ended."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    @property
    def lines(self):
        return self.out.splitlines()

    @property
    def rows(self):
        """NDJSON."""
        return [json.loads(line) for line in self.lines]

    @property
    def json(self):
        return json.loads(self.out)

    def __repr__(self):
        return f"exit {self.code}\n--- stdout\n{self.out}--- stderr\n{self.err}"


class Fleet:
    def __init__(self, binaries, folder, **environment):
        """`environment`: PAWL_BROKER__LEASE="2s" and the like, for all programs."""
        self.bin = pathlib.Path(binaries).resolve()
        self.folder = pathlib.Path(folder)
        self.state = self.folder / "state"
        self.home = self.folder / "home"
        self.home.mkdir(parents=True, exist_ok=True)
        (self.folder / "log").mkdir(exist_ok=True)
        self.endpoint = f"ipc://{self.state}/broker.sock"
        self.stats_endpoint = f"ipc://{self.state}/stats.sock"
        self.env = {name: value for name, value in os.environ.items() if not name.startswith("PAWL_")}
        self.env.update(HOME=str(self.home), **environment)
        self.programs = []

    def add(self, role, name, *argv, start=True, **environment):
        program = Program(role, [self.bin / f"pawl-{role}", *argv], {**self.env, **environment},
                          self.folder / "log" / f"{name}.log")
        program.name = name
        self.programs.append(program)
        return program.start() if start else program

    def broker(self, *flags, **more):
        return self.add("broker", "broker", "--state", self.state, *flags, **more)

    def scheduler(self, name, *flags, **more):
        return self.add("scheduler", name, "--broker", self.endpoint, "--name", name, *flags, **more)

    def executor(self, name, slots=4, *flags, **more):
        return self.add("executor", name, "--broker", self.endpoint, "--name", name, "--slots", slots,
                        "--state", self.folder / name, *flags, **more)

    def of(self, role):
        return [program for program in self.programs if program.role == role]

    def pawl(self, *words, code=0, input=None, timeout=2 * PATIENCE, **environment):
        """Runs the CLI; AssertionError unless it exits with `code` (None: any)."""
        env = {**self.env, "PAWL_BROKER": self.endpoint, **environment}
        done = subprocess.run([self.bin / "pawl", *map(str, words)], input=input or "", env=env, text=True,
                              capture_output=True, timeout=timeout, cwd=self.folder)
        said = Said(done.returncode, done.stdout, done.stderr)
        assert code is None or said.code == code, f"pawl {' '.join(map(str, words))}: {said!r}"
        return said

    def start_pawl(self, *words, **more):
        """The CLI in the background, as a Popen with pipes."""
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
        return subprocess.Popen([self.bin / "pawl", *map(str, words)], text=True, cwd=self.folder,
                                env={**self.env, "PAWL_BROKER": self.endpoint}, **options)

    def submit(self, *tasks, code=0):
        """Tasks as they stand in NDJSON; `.lines` are their ids."""
        return self.pawl("task", "submit", "-", input="".join(json.dumps(task) + "\n" for task in tasks), code=code)

    def begun(self, *words):
        """`pawl run` of a command whose first word is `begun`: its id, once that word is in its log."""
        id = self.pawl("run", *words).lines[0]
        until(lambda: "begun" in self.log(id), words="the command's first word")
        return id

    def log(self, id, *flags):
        return self.pawl("task", "logs", id, *flags).out

    def events(self, *kinds):
        """All there are, or those of these kinds."""
        rows = self.pawl("events", "--from", "1", "-o", "ndjson").rows
        return [row for row in rows if not kinds or row["kind"] in kinds]

    def schedule(self, name):
        return self.pawl("schedule", "show", name, "-o", "json").json

    def history(self, name, *words):
        return self.pawl("schedule", "history", name, *words, "-o", "ndjson").rows

    def tasks(self, *filters):
        return self.pawl("task", "list", *filters, "-o", "ndjson").rows

    def task(self, id):
        return self.pawl("task", "show", id, "-o", "json").json

    def status(self, id):
        return self.task(id)["status"]

    def wait_status(self, id, *statuses, timeout=PATIENCE):
        return until(lambda: (lambda task: task["status"] in statuses and task)(self.task(id)), timeout,
                     0.03, f"status {'/'.join(statuses)} of {id}")

    def stats(self):
        return self.pawl("stats", "-o", "json").json

    def stop(self):
        """Ends everything: executors and schedulers first, the broker last."""
        for role in ("executor", "scheduler", "broker"):
            running = [program for program in self.of(role) if program.alive()]
            for program in running:
                program.process.send_signal(signal.SIGCONT)
                program.process.terminate()
            for program in running:
                program.end()

    def clear_cgroups(self):
        """Removes those of the state folders of its executors. An executor takes its own away, and its
        helper when it was killed; when all its processes were, one stays until that folder is used again."""
        place = own_cgroup()
        left = {entry.name for entry in place.glob("pawl-executor-*")} if place else set()
        folders = (path for path, _, _ in os.walk(self.folder.resolve())) if left else ()
        for branch in [place / name for name in map(cgroup_name, folders) if name in left]:
            until(lambda: cgroup_removed(branch), words=f"the end of {branch}")

    def remove(self):
        self.stop()
        self.clear_cgroups()
        shutil.rmtree(self.folder, ignore_errors=True)
