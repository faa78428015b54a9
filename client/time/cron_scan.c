/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads the fields of a cron rule into bit masks. Every failure names the first wrong byte. */
#include "client/time/rule_inside.h"

enum field { SECOND, MINUTE, HOUR, DAY, MONTH, WEEKDAY };

typedef struct field_spec {
    int low, high;     /* of the values that are kept */
    int number_high;   /* largest number that may be written: 7 is Sunday too */
    int size;          /* of the cycle, and the largest step */
    int spread_high;   /* largest value of H */
    const char *names; /* three letters each, in the order of the values */
    const char *value; /* what is expected, for errors */
    const char *step;
} field_spec_t;

// clang-format off
static const field_spec_t specs[] = {
    [SECOND]  = { 0, 59, 59, 60, 59, "", "a second from 0 to 59", "a step from 1 to 60" },
    [MINUTE]  = { 0, 59, 59, 60, 59, "", "a minute from 0 to 59", "a step from 1 to 60" },
    [HOUR]    = { 0, 23, 23, 24, 23, "", "an hour from 0 to 23", "a step from 1 to 24" },
    [DAY]     = { 1, 31, 31, 31, 28, "", "a day from 1 to 31, L or LW", "a step from 1 to 31" },
    [MONTH]   = { 1, 12, 12, 12, 12, "JANFEBMARAPRMAYJUNJULAUGSEPOCTNOVDEC",
                  "a month from 1 to 12 or JAN to DEC", "a step from 1 to 12" },
    [WEEKDAY] = { 0, 6, 7, 7, 6, "SUNMONTUEWEDTHUFRISAT",
                  "a weekday from 0 to 7 or SUN to SAT", "a step from 1 to 7" },
};
// clang-format on

typedef struct field_scan {
    scan_t *scan;
    enum field field;
    const field_spec_t *spec;
    slice_t name; /* for H */
    cron_t *cron;
    uint64_t set; /* values so far */
} field_scan_t;

static bool run_is(const uint8_t *at, size_t len, const char *upper, size_t upper_len)
{
    if (len != upper_len) return false;
    for (size_t i = 0; i < len; i++)
        if ((at[i] & ~0x20) != upper[i]) return false;
    return true;
}

/* The value that the first three letters of a run name, or -1. */
static int named(const field_spec_t *spec, const uint8_t *at)
{
    for (int i = 0; spec->names[3 * i]; i++)
        if (run_is(at, 3, spec->names + 3 * i, 3)) return spec->low + i;
    return -1;
}

static bool number_in_range(field_scan_t *self, int *value)
{
    const uint8_t *from = self->scan->at;
    int64_t number;
    if (!scan_number(self->scan, &number, self->spec->value)) return false;
    if (number < self->spec->low || number > self->spec->number_high)
        return scan_fail(self->scan, "range", from, self->spec->value);
    *value = (int)number;
    return true;
}

static bool value_scan(field_scan_t *self, int *value)
{
    scan_t *scan = self->scan;
    if (!scan_letter(scan)) return number_in_range(self, value);
    size_t run = scan_run(scan);
    *value = run == 3 ? named(self->spec, scan->at) : -1;
    if (*value < 0) return scan_fail(scan, "name", scan->at, self->spec->value);
    scan->at += run;
    return true;
}

/* "/" and a step, if they are there; else the step stays as it is. */
static bool step_scan(field_scan_t *self, int *step)
{
    scan_t *scan = self->scan;
    if (!scan_accept(scan, '/')) return true;
    const uint8_t *from = scan->at;
    int64_t number;
    if (!scan_number(scan, &number, self->spec->step)) return false;
    if (number < 1 || number > self->spec->size)
        return scan_fail(scan, "step", from, self->spec->step);
    *step = (int)number;
    return true;
}

/* first, first + step, ... up to last; above the field's top they begin again from its low end. */
static void add_values(field_scan_t *self, int first, int last, int step)
{
    const field_spec_t *spec = self->spec;
    for (int value = first; value <= last; value += step)
        self->set |= UINT64_C(1) << (value > spec->high ? value - spec->size : value);
}

/* FNV-1a-64 of the name, a zero byte and the digit of the field. */
static uint64_t spread_hash(slice_t name, enum field field)
{
    const uint8_t tail[] = { 0, (uint8_t)('0' + (int)field) };
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < name.len + sizeof tail; i++) {
        hash ^= i < name.len ? name.at[i] : tail[i - name.len];
        hash *= UINT64_C(0x100000001b3);
    }
    return hash;
}

/* H, H/s, H(a-b), H(a-b)/s: the H has been read. */
static bool spread_scan(field_scan_t *self)
{
    scan_t *scan = self->scan;
    int low = self->spec->low, high = self->spec->spread_high, step = 0;
    if (scan_accept(scan, '(')) {
        if (!value_scan(self, &low)) return false;
        if (!scan_accept(scan, '-'))
            return scan_fail(scan, "syntax", scan->at, "\"-\" and the end of the range H(a-b)");
        const uint8_t *from = scan->at;
        if (!value_scan(self, &high)) return false;
        if (high < low)
            return scan_fail(scan, "range", from, "an end that is not below the begin of H(a-b)");
        if (!scan_accept(scan, ')')) return scan_fail(scan, "syntax", scan->at, "\")\"");
    }
    if (!step_scan(self, &step)) return false;
    uint64_t hash = spread_hash(self->name, self->field);
    if (step)
        add_values(self, low + (int)(hash % (uint64_t)step), high, step);
    else
        self->set |= UINT64_C(1) << ((low + (int)(hash % (uint64_t)(high - low + 1))) % 64);
    return true;
}

/* A letter run that only its field knows: H, L, LW, FRIL. *done: it was one. */
static bool word_scan(field_scan_t *self, bool *done)
{
    scan_t *scan = self->scan;
    size_t run = scan_run(scan);
    const uint8_t *at = scan->at;
    int weekday = self->field == WEEKDAY && run == 4 ? named(self->spec, at) : -1;
    *done = true;
    if (run_is(at, run, "H", 1) && self->name.len) {
        scan->at += run;
        return spread_scan(self);
    }
    if (self->field == DAY && run_is(at, run, "L", 1))
        self->cron->last_day = true;
    else if (self->field == DAY && run_is(at, run, "LW", 2))
        self->cron->last_workday = true;
    else if (weekday >= 0 && (at[3] & ~0x20) == 'L')
        self->cron->weekday_last |= (uint8_t)(1 << weekday);
    else
        *done = false;
    if (*done) scan->at += run;
    return true;
}

/* What may follow a single value of its field only: W, L, #n. *done: it was there. */
static bool suffix_scan(field_scan_t *self, int value, bool number, bool *done)
{
    scan_t *scan = self->scan;
    uint8_t next = scan->at < scan->end ? *scan->at : 0;
    *done = true;
    if (self->field == DAY && (next & ~0x20) == 'W') {
        self->cron->nearest |= 1u << value;
    } else if (self->field == WEEKDAY && number && (next & ~0x20) == 'L') {
        self->cron->weekday_last |= (uint8_t)(1 << value % 7);
    } else if (self->field == WEEKDAY && next == '#') {
        const uint8_t *from = ++scan->at;
        int64_t nth;
        if (!scan_number(scan, &nth, "a number from 1 to 5 after \"#\"")) return false;
        if (nth < 1 || nth > 5)
            return scan_fail(scan, "nth", from, "a number from 1 to 5 after \"#\"");
        self->cron->weekday_nth[nth - 1] |= (uint8_t)(1 << value % 7);
        return true;
    } else {
        *done = false;
        return true;
    }
    scan->at++;
    return true;
}

static bool range_scan(field_scan_t *self, int first)
{
    const field_spec_t *spec = self->spec;
    scan_t *scan = self->scan;
    int last = first, step = 0;
    if (scan_accept(scan, '-')) {
        if (!value_scan(self, &last) || (step = 1, !step_scan(self, &step))) return false;
        if (first > last) {
            if (first > spec->high) /* 7-2: a Sunday that begins a reversed range is 0 */
                first -= spec->size;
            else
                last += spec->size;
        }
        add_values(self, first, last, step);
        return true;
    }
    if (!step_scan(self, &step)) return false;
    if (first > spec->high) first -= spec->size;
    add_values(self, first, step ? spec->high : first, step ? step : 1);
    return true;
}

static bool item_scan(field_scan_t *self)
{
    scan_t *scan = self->scan;
    bool done = false;
    int value, step = 1;
    if (scan_accept(scan, '*')) {
        if (!step_scan(self, &step)) return false;
        add_values(self, self->spec->low, self->spec->high, step);
        return true;
    }
    bool number = scan_digit(scan);
    if (scan_letter(scan) && !word_scan(self, &done)) return false;
    if (done) return true;
    if (!value_scan(self, &value) || !suffix_scan(self, value, number, &done)) return false;
    return done || range_scan(self, value);
}

static bool field_scan(scan_t *scan, enum field field, slice_t word, slice_t name, cron_t *cron,
                       uint64_t *set)
{
    field_scan_t self = { scan, field, &specs[field], name, cron, 0 };
    scan->at = word.at;
    scan->end = word.at + word.len;
    do {
        if (!item_scan(&self)) return false;
    } while (scan_accept(scan, ','));
    *set = self.set;
    return scan->at == scan->end ||
           scan_fail(scan, "syntax", scan->at, "\",\" or the end of the field");
}

bool cron_scan(scan_t *scan, const slice_t *words, size_t count, slice_t name, cron_t *cron)
{
    CHECK(count == 5 || count == 6);
    uint64_t sets[6] = { [SECOND] = 1 };
    *cron = (cron_t){ 0 };
    for (size_t i = 0; i < count; i++) {
        enum field field = (enum field)(i + 6 - count);
        if (!field_scan(scan, field, words[i], name, cron, &sets[field])) return false;
    }
    const slice_t *day = &words[count - 3];
    cron->second = sets[SECOND];
    cron->minute = sets[MINUTE];
    cron->hour = (uint32_t)sets[HOUR];
    cron->day = (uint32_t)sets[DAY];
    cron->month = (uint16_t)sets[MONTH];
    cron->weekday = (uint8_t)sets[WEEKDAY];
    cron->day_star = day[0].at[0] == '*';
    cron->weekday_star = day[2].at[0] == '*';
    scan->end = day->at + day->len;
    return cron_finish(cron) ||
           scan_fail(scan, "never", day->at, "a day that some month of the rule has");
}
