#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Rows of PostgreSQL that become tasks: how fast, with how much memory of the executor, and whether
each row is exactly one task when executor and broker are killed at random points.

    tests/bench/sql_rows.py --bin build/bin --rows 1000000 [--kills 10] [--seed 1]
"""
import argparse
import json
import os
import pathlib
import random
import shutil
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "ops" / "demo"), str(ROOT / "tests" / "e2e"), str(ROOT / "tests" / "wire")]
sys.dont_write_bytecode = True

from databases import PASSWORD, PostgreSQL  # noqa: E402
from fleet import Fleet, until  # noqa: E402

TASK = {"sql_producer": {
    "source": "app", "text": "select id, mail, amount from orders where id > :watermark order by id",
    "params": {"watermark": 0}, "columns": {"key": "id"}, "watermark": "id",
    "task": {"type": "pawl/shell", "shell": "true", "queue": "parked"}},
    "retry": {"max_attempts": 1000, "backoff": "50ms", "factor": 1}, "on_lost": "retry"}


def peak_mib(program):
    status = pathlib.Path("/proc", str(program.process.pid), "status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024


def cpu_seconds(program):
    words = pathlib.Path("/proc", str(program.process.pid), "stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", default="build/bin")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--batch", type=int, default=0)
    args = parser.parse_args()
    if args.batch:
        TASK["sql_producer"]["batch"] = args.batch
    chance = random.Random(args.seed)
    folder = tempfile.mkdtemp(prefix="pawl-rows-")
    server = PostgreSQL()
    # a lost executor is noticed at once when it says Hello again, and soon when it does not
    fleet = Fleet(args.bin, folder, PAWL_BROKER__LEASE="2s", PAWL_BROKER__SUSPECT="1s", PAWL_BROKER__PING="250ms")
    try:
        server.ask("create table orders (id bigint primary key, mail text, amount numeric(12,2))")
        server.ask("grant select on orders to pawl")
        server.ask(f"insert into orders select g, 'user' || g || '@example.org', g / 100.0 from generate_series(1, {args.rows}) g")
        server.ask("analyze orders")
        password = pathlib.Path(folder, "password")
        password.write_text(PASSWORD)
        password.chmod(0o600)
        config = pathlib.Path(folder, "executor.yaml")
        config.write_text(json.dumps({"executor": {"allow": {"kinds": ["sql", "sql-producer"]},
                                                   "sources": {"app": server.source(password)}}}))
        broker = fleet.broker()
        fleet.pawl("queue", "pause", "parked")
        executor = fleet.executor("rows", 2, "--config", config)
        began = time.monotonic()
        id = fleet.pawl("task", "submit", "-", input=json.dumps(TASK) + "\n").lines[0]
        peak = 0
        for kill in range(args.kills):
            time.sleep(chance.uniform(0.3, 1.5))
            victim = broker if kill % 3 == 2 else executor
            peak = max(peak, peak_mib(executor))
            victim.kill()
            victim.start()
        until(lambda: fleet.status(id) in ("finished", "failed"), 600, 0.2, "all rows")
        seconds = time.monotonic() - began
        peak = max(peak, peak_mib(executor))
        task = fleet.task(id)
        out = json.loads(fleet.pawl("task", "output", id).out)
        tasks = sum(fleet.stats()["tasks"].values()) - 1
        exact = task["status"] == "finished" and tasks == out["created_all"] == args.rows
        cpu = "" if args.kills else f"CPU: broker {cpu_seconds(broker):.1f} s, executor {cpu_seconds(executor):.1f} s, "
        print(f"{args.rows} rows, {args.kills} kills: {tasks} tasks, {seconds:.1f} s, {args.rows / seconds:.0f} rows/s, "
              f"executor {peak:.0f} MiB at most, {cpu}load {os.getloadavg()[0]:.1f}, attempts {task['attempt'] + (task.get('lost') or 0)}: "
              f"{'exact' if exact else 'WRONG'}")
        if not exact:
            print(json.dumps(task), out)
        fleet.stop()
        return 0 if exact else 1
    finally:
        fleet.remove()
        server.remove()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
