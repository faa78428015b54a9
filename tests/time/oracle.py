# SPDX-License-Identifier: Apache-2.0
"""A slow and obvious answer to "when does this rule fire", to compare the program with.

Nothing is shared with the program: zones come from Python's zoneinfo, dates from datetime, rules are
expanded into sets, and every local time of every date near the window is looked at one by one.

    oracle.py [--seconds N] [--seed N] [--all-transitions]    needs PAWL, see when.py

--seconds random rules in random zones, most of them near a clock change; --all-transitions also
compares a few rules 3 hours around every clock change of every zone, 2000 to 2040.
"""
import argparse
import calendar
import datetime
import random
import re
import sys
import time
import zoneinfo

import when

zoneinfo.reset_tzpath(["/usr/share/zoneinfo"])
DAY = 86400
END = 253370764800
EPOCH = datetime.date(1970, 1, 1)
NAMES = {4: "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split(),
         5: "SUN MON TUE WED THU FRI SAT".split()}
LOW = [0, 0, 0, 1, 1, 0]
HIGH = [59, 59, 23, 31, 12, 6]
H_HIGH = [59, 59, 23, 28, 12, 6]


# ---- clocks ---------------------------------------------------------------------------------------

def offset(zone, t):
    moment = datetime.datetime.fromtimestamp(t, datetime.timezone.utc).astimezone(zone)
    return int(moment.utcoffset().total_seconds())


def first_change(zone, low, high):
    """The first second in (low, high] with another offset than low; they differ."""
    before = offset(zone, low)
    while high - low > 1:
        middle = (low + high) // 2
        if offset(zone, middle) == before:
            low = middle
        else:
            high = middle
    return high


def stretches(zone, a, b):
    """[(from, to, offset)] over all of [a, b): no stretch is shorter than a quarter of an hour."""
    found, since, t = [], a, a
    while t < b:
        then = min(t + 900, b)
        if offset(zone, then) != offset(zone, t):
            change = first_change(zone, t, then)
            found.append((since, change, offset(zone, t)))
            since = change
        t = then
    found.append((since, b, offset(zone, b)))
    return found


def showings(spans, local):
    return [local - o for since, to, o in spans if since <= local - o < to]


def resolve(spans, local, named_date):
    """The instant for a local time that is named; None: there is no such date."""
    shown = showings(spans, local)
    if shown:
        return min(shown)
    day = local // DAY * DAY
    if not named_date and not any(s + o < day + DAY and e + o > day for s, e, o in spans):
        return None
    for (_, jump, a), (_, _, b) in zip(spans, spans[1:]):
        if jump + a <= local < jump + b:
            return jump
    raise AssertionError("neither shown nor skipped")


# ---- cron fields ----------------------------------------------------------------------------------

def fnv(data):
    h = 0xcbf29ce484222325
    for byte in data:
        h = (h ^ byte) * 0x100000001b3 % 2**64
    return h


def value(index, text):
    text = text.upper()
    if text in NAMES.get(index, ()):
        return NAMES[index].index(text) + LOW[index]
    return int(text)


def expand(index, text, name):
    """(set of plain values, list of special items) of one field."""
    size = HIGH[index] - LOW[index] + 1
    plain, special = set(), []
    for item in text.split(","):
        up = item.upper()
        if index == 3 and (up in ("L", "LW") or re.fullmatch(r"\d+W", up)):
            special.append(up)
            continue
        if index == 5 and (up.endswith("L") or "#" in up):
            day, _, nth = up.partition("#")
            special.append((value(5, day.rstrip("L") if not nth else day) % 7, int(nth or 0)))
            continue
        body, _, step = item.partition("/")
        step = int(step) if step else None
        if body.upper().startswith("H"):
            a, b = LOW[index], H_HIGH[index]
            if "(" in body:
                a, b = (value(index, x) for x in body[2:-1].split("-"))
            v = fnv(name.encode() + b"\0" + str(index).encode())
            plain |= set(range(a + v % step, b + 1, step)) if step else {a + v % (b - a + 1)}
            continue
        if body == "*":
            a, b = LOW[index], HIGH[index]
        elif "-" in body:
            a, b = (value(index, x) for x in body.split("-"))
            if a > b:
                if index == 5:
                    a %= 7
                if a > b:
                    b += size
        else:
            a = value(index, body)
            if index == 5:
                a %= 7
            b = HIGH[index] if step else a
        for v in range(a, b + 1, step or 1):
            plain.add((v - LOW[index]) % size + LOW[index])
    return plain, special


MACROS = {"@hourly": "0 * * * *", "@daily": "0 0 * * *", "@midnight": "0 0 * * *",
          "@weekly": "0 0 * * 0", "@monthly": "0 0 1 * *", "@yearly": "0 0 1 1 *",
          "@annually": "0 0 1 1 *"}


class Cron:
    def __init__(self, text, name=""):
        words = MACROS.get(text.lower(), text).split()
        if len(words) == 5:
            words.insert(0, "0")
        self.fields = [expand(i, w, name) for i, w in enumerate(words)]
        self.both = words[3].startswith("*") or words[5].startswith("*")
        self.every_hour = self.fields[2][0] == set(range(24))

    def date_matches(self, date):
        if date.month not in self.fields[4][0]:
            return False
        last = calendar.monthrange(date.year, date.month)[1]
        weekday = date.isoweekday() % 7
        days, day_items = self.fields[3]
        weekdays, weekday_items = self.fields[5]
        day = date.day in days
        for item in day_items:
            if item == "L":
                day |= date.day == last
            elif item == "LW":
                d = last
                while date.replace(day=d).isoweekday() > 5:
                    d -= 1
                day |= date.day == d
            elif int(item[:-1]) <= last:
                n = int(item[:-1])
                near = [d for d in range(1, last + 1) if date.replace(day=d).isoweekday() <= 5]
                day |= date.day == min(near, key=lambda d: abs(d - n))
        in_week = weekday in weekdays
        for d, nth in weekday_items:
            if weekday == d:
                in_week |= (date.day + 6) // 7 == nth if nth else date.day + 7 > last
        return day and in_week if self.both else day or in_week

    def locals(self, first_day, last_day):
        seconds, minutes, hours = (sorted(self.fields[i][0]) for i in range(3))
        for day in range(first_day, last_day + 1):
            if day >= 0 and self.date_matches(EPOCH + datetime.timedelta(days=day)):
                for h in hours:
                    for m in minutes:
                        for s in seconds:
                            yield day * DAY + h * 3600 + m * 60 + s


# ---- whole rules ----------------------------------------------------------------------------------

def parse_stamp(text):
    """(local, offset or None)"""
    m = re.fullmatch(r"(\d+)-(\d+)-(\d+)(?:T(\d+):(\d+)(?::(\d+))?(Z|[+-]\d+:\d+)?)?", text)
    y, mo, d, h, mi, s = (int(x or 0) for x in m.groups()[:6])
    local = (datetime.date(y, mo, d) - EPOCH).days * DAY + h * 3600 + mi * 60 + s
    zone = m.group(7)
    if zone is None or zone == "Z":
        return local, zone and 0
    sign = -1 if zone[0] == "-" else 1
    return local, sign * (int(zone[1:3]) * 3600 + int(zone[4:6]) * 60)


def stamp_instant(zone, text):
    """(instant, the local time it stands for)"""
    local, off = parse_stamp(text)
    if off is not None:
        return local - off, local - off + offset(zone, local - off)
    return resolve(stretches(zone, local - 3 * DAY, local + 3 * DAY), local, True), local


def fires(zone_name, text, a, b, excluded="", name=""):
    """All instants of the rule in (a, b), sorted."""
    zone = zoneinfo.ZoneInfo(zone_name)
    days, times = set(), set()
    for item in filter(None, excluded.split(",")):
        (times if "T" in item else days).add(parse_stamp(item)[0])

    def kept(local):
        return local // DAY * DAY not in days and local not in times

    found = set()
    kind, *words = text.split()
    if kind == "@at" or kind == "@dates":
        for item in words[0].split(","):
            t, local = stamp_instant(zone, item)
            if kept(local):
                found.add(t)
    elif kind == "@every":
        n, unit = int(words[0][:-1]), {"s": 1, "m": 60, "h": 3600, "d": DAY}[words[0][-1]]
        anchor, local = stamp_instant(zone, words[2])
        step = n * unit
        if unit != DAY:
            k = max(0, (a - anchor) // step)
            while anchor + k * step < b:
                t = anchor + k * step
                if kept(t + offset(zone, t)):
                    found.add(t)
                k += 1
        else:
            if kept(local):
                found.add(anchor)
            spans = stretches(zone, a - 4 * DAY, b + 4 * DAY)
            k = max(1, (a - 3 * DAY - local) // step)
            while local + k * step < b + 2 * DAY:
                this = local + k * step
                if this >= a - 2 * DAY and kept(this):
                    t = resolve(spans, this, False)
                    if t is not None and t > anchor:
                        found.add(t)
                k += 1
    else:
        cron = Cron(text, name)
        spans = stretches(zone, a - 4 * DAY, b + 4 * DAY)
        for local in cron.locals((a - 2 * DAY) // DAY, (b + 2 * DAY) // DAY):
            if not kept(local):
                continue
            if cron.every_hour:
                found.update(showings(spans, local))
            else:
                found.add(resolve(spans, local, False))
    return sorted(t for t in found if t is not None and max(a, 0) < t < min(b, END))


# ---- random questions -----------------------------------------------------------------------------

def random_value(rng, index, low=None):
    v = rng.randint(LOW[index] if low is None else low, HIGH[index])
    if index in NAMES and rng.random() < 0.3:
        return rng.choice([str.lower, str.upper, str.title])(NAMES[index][v - LOW[index]])
    if index == 5 and v == 0 and rng.random() < 0.5:
        return "7"
    return rng.choice(["%d", "%02d"]) % v


def random_item(rng, index, name):
    size = HIGH[index] - LOW[index] + 1
    step = "/%d" % rng.randint(1, size)
    kind = rng.random()
    if index == 3 and kind < 0.12:
        return rng.choice(["L", "LW", "l", "%dW" % rng.randint(1, 31)])
    if index == 5 and kind < 0.15:
        return random_value(rng, 5) + rng.choice(["#1", "#2", "#3", "#4", "#5", "L"])
    if name and kind > 0.85:
        return "H"
    if kind < 0.35:
        return random_value(rng, index)
    if kind < 0.6:
        return random_value(rng, index) + "-" + random_value(rng, index) + \
            (step if rng.random() < 0.4 else "")
    if kind < 0.7:
        return random_value(rng, index) + step
    return "*" + (step if rng.random() < 0.6 else "")


def random_cron(rng, name, change_local):
    """Hours and minutes are mostly near the clock change."""
    words = []
    for index in range(0 if rng.random() < 0.15 else 1, 6):
        if index >= 3 and rng.random() < 0.7:
            words.append("*")
        elif index == 2 and rng.random() < 0.5:
            h = change_local // 3600 % 24
            words.append(rng.choice(["%d" % h, "%d" % ((h + 1) % 24), "%d-%d" % (h, (h + 3) % 24),
                                     "*/2", "*", "0-23", "%d,%d" % ((h - 1) % 24, h)]))
        elif index == 1 and rng.random() < 0.4:
            words.append(rng.choice(["0", "30", "*/15", "*/5", "15", "59", "1"]))
        elif index == 0:
            words.append(rng.choice(["0", "15", "*/20", "59", "30-32", "7,8"]))
        else:
            words.append(",".join(random_item(rng, index, name)
                                  for _ in range(rng.choice([1, 1, 1, 2, 3]))))
    return " ".join(words)


def stamp_text(t):
    return datetime.datetime.fromtimestamp(t, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")


def random_rule(rng, near, name, change_local):
    kind = rng.random()
    local = near + rng.randint(-4 * 3600, 4 * 3600) // 60 * 60
    suffix = rng.choice(["", "", "", "Z", "+05:30", "-09:00"])
    if kind < 0.06:
        n = rng.choice(["7m", "45m", "1h", "6h", "24h", "90m"])
        return "@every %s from %s%s" % (n, stamp_text(local - rng.randint(0, 9) * DAY), suffix)
    if kind < 0.14:
        back = rng.randint(0, 20) * DAY
        return "@every %dd from %s%s" % (rng.choice([1, 1, 2, 3, 7]), stamp_text(local - back),
                                         suffix)
    if kind < 0.17:
        return "@at %s%s" % (stamp_text(local), suffix)
    if kind < 0.21:
        return "@dates " + ",".join(
            stamp_text(near + rng.randint(-3 * DAY, 3 * DAY))[:rng.choice([10, 16, 19])]
            for _ in range(rng.randint(1, 6)))
    if kind < 0.24:
        return rng.choice(list(MACROS))
    return random_cron(rng, name, change_local)


class Zones:
    def __init__(self, rng):
        names = sorted(n for n in zoneinfo.available_timezones()
                       if n not in ("localtime", "posixrules"))
        self.rng, self.names, self.known = rng, names, {}

    def changes(self, name, first=0, last=2100):
        """All clock changes; found by looking at noon of each day."""
        if name not in self.known:
            zone = zoneinfo.ZoneInfo(name)
            found, t, end = [], 12 * 3600, (last - 1970) * 365 * DAY
            while t < end:
                if offset(zone, t) != offset(zone, t + DAY):
                    found.append(first_change(zone, t, t + DAY))
                t += DAY
            self.known[name] = found
        return self.known[name]


def random_question(rng, zones):
    name = rng.choice(zones.active)
    changes = zones.changes(name)
    if changes and rng.random() < 0.85:
        near = rng.choice(changes)
        if near < 10 * DAY:
            near = 10 * DAY
    else:
        near = rng.randint(10 * DAY, 4102444800)
    zone = zoneinfo.ZoneInfo(name)
    before, after = offset(zone, near - 1), offset(zone, near)
    job = "job-%d" % rng.randint(0, 99) if rng.random() < 0.1 else ""
    rule = random_rule(rng, near + min(before, after), job, near + min(before, after))
    a = near - rng.choice([1, 60, 3600, 3 * 3600, DAY, rng.randint(0, 2 * DAY)])
    b = near + rng.choice([3 * 3600, DAY, 2 * DAY])
    excluded = ""
    if rng.random() < 0.2:
        excluded = ",".join(
            stamp_text((near + after + rng.randint(-DAY, DAY)) // 1800 * 1800)[:rng.choice([10, 16])]
            for _ in range(rng.randint(1, 3)))
    return name, rule, a, b, excluded, job


def check(questions):
    """Compares; returns how many instants were compared, or raises with the first difference."""
    lines, wanted = [], []
    for zone, rule, a, b, excluded, job in questions:
        expected = fires(zone, rule, a, b, excluded, job)
        wanted.append(expected)
        lines.append("\t".join([zone, rule, str(a), str(len(expected) + 1), excluded,
                                job]).encode())
    total = 0
    for question, line, expected, answer in zip(questions, lines, wanted, when.ask(lines)):
        if answer.startswith(b"error never"):
            # right if no day of 28 years matches
            cron = Cron(question[1], question[5])
            assert not any(cron.date_matches(EPOCH + datetime.timedelta(days=d))
                           for d in range(10957, 10957 + 28 * 366)), (line, answer)
            continue
        assert not answer.startswith(b"error"), (line, answer)
        got = [] if answer == b"none" else [int(x) for x in answer.split(b" ")]
        assert got == sorted(set(got)), ("out of order or doubled", line, got)
        inside = [t for t in got if t < question[3]]
        assert inside == expected, (line, "missed", sorted(set(expected) - set(inside)), "extra",
                                    sorted(set(inside) - set(expected)))
        total += len(expected)
    return total


def run_random(seed, zone_count, seconds=None, rules=None):
    """For so long, or so many: the same ones on a fast machine and on a slow one."""
    rng = random.Random(seed)
    zones = Zones(rng)
    # learning the changes of a zone is slow: a share of the zones each run
    zones.active = rng.sample(zones.names, min(zone_count, len(zones.names)))
    began, asked, instants = time.monotonic(), 0, 0
    while asked < rules if rules else time.monotonic() < began + seconds:
        batch = [random_question(rng, zones) for _ in range(100)]
        instants += check(batch)
        asked += len(batch)
    return asked, instants


SWEEP_RULES = ["*/15 * * * *", "*/30 0-5 * * *", "0 */2 * * *", "@daily"]


def run_sweep(names, rng=None, most=None):
    """3 hours around each change of 2000-2040; `most`: a random share of them."""
    zones = Zones(rng)
    pairs = [(n, t) for n in names for t in zones.changes(n, last=2042)
             if 946684800 <= t < 2240611200]
    if most and len(pairs) > most:
        pairs = rng.sample(pairs, most)
    instants = 0
    for i in range(0, len(pairs), 50):
        instants += check([(n, rule, t - 3 * 3600, t + 3 * 3600, "", "")
                           for n, t in pairs[i:i + 50] for rule in SWEEP_RULES])
    return len(pairs), instants


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--seconds", type=float, default=60)
    options.add_argument("--seed", type=int, default=int(time.time()))
    options.add_argument("--zones", type=int, default=60)
    options.add_argument("--all-transitions", action="store_true")
    given = options.parse_args()
    print("seed", given.seed, flush=True)
    print("random: %d rules, %d instants, no difference" %
          run_random(given.seed, given.zones, given.seconds), flush=True)
    if given.all_transitions:
        print("sweep: %d changes, %d instants, no difference" %
              run_sweep(Zones(None).names))
    return 0


if __name__ == "__main__":
    sys.exit(main())
