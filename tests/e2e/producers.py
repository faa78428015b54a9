# SPDX-License-Identifier: Apache-2.0
"""Tasks of type sql-producer, submitted and run; and what they made."""
import json

from fleet import PATIENCE

ALL = ["pg", "my", "lite"]
SERIES = {"pg": "select g as n, 'row ' || g as words from generate_series(1, {n}) g where g > :watermark order by g",
          "my": "select seq as n, concat('row ', seq) as words from seq_1_to_{n} where seq > :watermark order by seq",
          "lite": "with recursive g(n) as (select 1 union all select n + 1 from g where n < {n})"
                  " select n, 'row ' || n as words from g where n > :watermark order by n"}


def producer(source, text, task=None, **more):
    names = ("params", "columns", "watermark", "scope", "batch", "rows", "dry_run")
    spec = {"source": source, "text": text, "task": task or {"argv": ["true"], "queue": "parked"},
            **{name: more.pop(name) for name in names if name in more}}
    return {"sql_producer": spec, **more}


def submit(fleet, task):
    return fleet.pawl("task", "submit", "-", input=json.dumps(task) + "\n").lines[0]


def ended(fleet, id, status="finished", timeout=PATIENCE):
    """(task, output) once it has ended so."""
    fleet.pawl("task", "wait", id, code=None, timeout=timeout)
    task = fleet.task(id)
    assert task["status"] == status, (task["message"], task)
    out = fleet.pawl("task", "output", id, code=None).out if status == "finished" else ""
    return task, json.loads(out) if out else None


def run(fleet, task, status="finished", timeout=PATIENCE):
    return ended(fleet, submit(fleet, task), status, timeout)


def made(fleet, queue):
    return fleet.tasks("--queue", queue)


def inputs(fleet, queue):
    return [fleet.task(task["id"])["task"]["input"] for task in made(fleet, queue)]
