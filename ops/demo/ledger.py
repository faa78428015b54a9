# SPDX-License-Identifier: Apache-2.0
"""Judges the ledger of a schedule against instants worked out here, the slow and obvious way: minute
by minute, local field by local field, with Python's zone data. Nothing of Pawl is asked."""
import datetime
import zoneinfo

MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
DAYS = "sun mon tue wed thu fri sat".split()
MACROS = {"@hourly": "0 * * * *", "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@weekly": "0 0 * * 0",
          "@monthly": "0 0 1 * *", "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *"}
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def moment(text):
    """RFC 3339 as seconds of Unix time."""
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def field(text, low, high, names=()):
    """The numbers that a field of a cron rule means."""
    def number(word):
        return names.index(word.lower()) + (low if names is MONTHS else 0) if word.lower() in names else int(word)
    found = set()
    for item in text.split(","):
        span, _, step = item.partition("/")
        first, _, last = span.partition("-")
        if span == "*":
            begin, end = low, high
        else:
            begin = number(first)
            end = number(last) if last else (high if step else begin)
        found.update(range(begin, end + 1, int(step or 1)))
    return found


class Cron:
    def __init__(self, rule, zone):
        minute, hour, dom, month, dow = MACROS.get(rule, rule).split()
        self.zone = zoneinfo.ZoneInfo(zone)
        self.minutes, self.hours = field(minute, 0, 59), field(hour, 0, 23)
        self.doms, self.months = field(dom, 1, 31), field(month, 1, 12, MONTHS)
        self.dows = {day % 7 for day in field(dow, 0, 7, DAYS)}
        self.either = not dom.startswith("*") and not dow.startswith("*")

    def fires(self, second):
        """At this minute? Good where the zone's clock does not change meanwhile."""
        local = datetime.datetime.fromtimestamp(second, self.zone)
        dom, dow = local.day in self.doms, local.isoweekday() % 7 in self.dows
        return (local.minute in self.minutes and local.hour in self.hours and local.month in self.months
                and (dom or dow if self.either else dom and dow))


def instants(rule, zone, after, until):
    """All instants in (after, until], whole seconds."""
    words = rule.split()
    if words[0] == "@every":
        period, anchor = int(words[1][:-1]) * UNITS[words[1][-1]], int(moment(words[3]))
        first = anchor + max(0, -(-(int(after) + 1 - anchor) // period)) * period
        return list(range(first, int(until) + 1, period))
    cron = Cron(rule, zone)
    return [second for second in range(int(after) // 60 * 60, int(until) + 1, 60)
            if second > after and cron.fires(second)]


def faults(schedule, history, tasks):
    """What is wrong with a ledger, as sentences. `tasks`: those that this schedule made."""
    name, wrong = schedule["name"], []
    cursor = moment(schedule["cursor"])
    wanted = instants(schedule["rule"], schedule["zone"], moment(schedule["created"]), cursor)
    found = [moment(row["instant"]) for row in history]
    for instant in sorted(set(wanted) - set(found)):
        wrong.append(f"{name}: no verdict for {instant:.0f}")
    for instant in sorted(set(found) - set(wanted)):
        wrong.append(f"{name}: a verdict for {instant}, which the rule does not have")
    if len(set(found)) != len(found):
        wrong.append(f"{name}: two verdicts for one instant")
    by_id = {task["id"]: task for task in tasks}
    for row in history:
        if not row["reason"]:
            wrong.append(f"{name}: {row['instant']} {row['verdict']} without a reason")
        if row["verdict"] != "fired":
            if schedule["mode"] == "strict":
                wrong.append(f"{name}: strict, but {row['instant']} is {row['verdict']}")
            continue
        task = by_id.pop(row["task"], None)
        if task is None:
            wrong.append(f"{name}: {row['instant']} fired, but its task is not there or used twice")
        elif moment(task["planned"]) != moment(row["instant"]):
            wrong.append(f"{name}: task {task['id']} is planned for another instant than its row")
    wrong.extend(f"{name}: task {id} stands in no row" for id in by_id)
    return wrong
