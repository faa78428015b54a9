/* SPDX-License-Identifier: Apache-2.0
 *
 * What is listed becomes stretches of local time, sorted and merged; what repeats becomes days of a
 * month by masks, those of cron rules among them. */
#include "client/time/calendar.h"

#include <stdio.h>
#include <stdlib.h>

#include "client/time/civil.h"
#include "client/time/rule_inside.h"

enum { MONTHS_SEARCHED = 12 * CYCLE_YEARS, YEAR_LAST = 9999 };

typedef struct stretch {
    int64_t from, to; /* [from, to) */
} stretch_t;

struct calendar {
    unsigned holders;
    stretch_t *listed; /* sorted, apart from each other */
    size_t listed_count;
    uint32_t yearly[13]; /* by month: bits 1-31 */
    cron_t *rules;       /* their days; the times do not matter */
    size_t rules_count;
    bool repeats; /* yearly or rules say anything */
};

/* ---- reading --------------------------------------------------------------------------------- */

static bool month_day_scan(scan_t *scan, int32_t *month, int32_t *day)
{
    static const char expected[] = "a day of the year (MM-DD)";
    const uint8_t *from = scan->at;
    int64_t first, second;
    if (!scan_number(scan, &first, expected)) return false;
    if (!scan_accept(scan, '-')) return scan_fail(scan, "syntax", scan->at, "\"-\" and the day");
    if (!scan_number(scan, &second, expected)) return false;
    if (first < 1 || first > 12) return scan_fail(scan, "range", from, "a month from 01 to 12");
    if (second < 1 || second > month_length(2000, (int32_t)first))
        return scan_fail(scan, "range", from, "a day that this month has (MM-DD)");
    *month = (int32_t)first;
    *day = (int32_t)second;
    return true;
}

static bool dots(scan_t *scan)
{
    if (scan->end - scan->at < 2 || scan->at[0] != '.' || scan->at[1] != '.') return false;
    scan->at += 2;
    return true;
}

static void list(calendar_t *self, int64_t from, int64_t to)
{
    self->listed[self->listed_count++] = (stretch_t){ from, to };
}

static bool dated_scan(calendar_t *self, scan_t *scan)
{
    const uint8_t *at = scan->at;
    stamp_t from, to;
    if (!stamp_scan(scan, true, false, &from)) return false;
    if (!dots(scan)) {
        list(self, from.local, from.local + (from.bare ? DAY_SECONDS : 1));
        return true;
    }
    const uint8_t *second = scan->at;
    if (!stamp_scan(scan, true, false, &to)) return false;
    if (from.bare != to.bare)
        return scan_fail(scan, "syntax", second, "two dates, or two dates with times");
    int64_t end = to.local + (to.bare ? DAY_SECONDS : 0);
    if (end <= from.local) return scan_fail(scan, "range", at, "a range that ends after it begins");
    list(self, from.local, end);
    return true;
}

static bool yearly_scan(calendar_t *self, scan_t *scan)
{
    int32_t month, day, last_month, last_day;
    if (!month_day_scan(scan, &month, &day)) return false;
    last_month = month;
    last_day = day;
    if (dots(scan) && !month_day_scan(scan, &last_month, &last_day)) return false;
    for (;;) { /* over the turn of the year, if need be */
        self->yearly[month] |= 1u << day;
        if (month == last_month && day == last_day) break;
        if (++day > month_length(2000, month)) {
            day = 1;
            month = month % 12 + 1;
        }
    }
    self->repeats = true;
    return true;
}

static bool add_rule(calendar_t *self, scan_t *scan, const uint8_t *at, const slice_t days[3])
{
    slice_t words[5] = { slice_text("0"), slice_text("0"), days[0], days[1], days[2] };
    if (self->rules_count == CALENDAR_RULES_MAX)
        return scan_fail(scan, "many", at, "at most 64 entries by weekday or `days`");
    if (!cron_scan(scan, words, 5, slice(NULL, 0), &self->rules[self->rules_count])) return false;
    self->rules_count++;
    self->repeats = true;
    return true;
}

static bool weekly_scan(calendar_t *self, scan_t *scan)
{
    const uint8_t *from = scan->at, *end = scan->end;
    char text[8];
    size_t len = 0;
    for (const uint8_t *at = from; at < end && len < sizeof text; at++)
        if (at + 1 < end && at[0] == '.' && at[1] == '.') {
            text[len++] = '-';
            at++;
        } else {
            text[len++] = (char)*at;
        }
    bool shaped = len == 3 || (len == 7 && text[3] == '-' && end - from == 8);
    if (!shaped) return scan_fail(scan, "name", from, "a weekday, SUN to SAT, or SAT..SUN");
    rule_error_t inside;
    scan_t field = { (uint8_t *)text, (uint8_t *)text, (uint8_t *)text + len, &inside };
    slice_t days[3] = { slice_text("*"), slice_text("*"), slice(text, len) };
    if (self->rules_count < CALENDAR_RULES_MAX) {
        if (!add_rule(self, &field, from, days))
            return scan_fail(scan, "name", from, "a weekday, SUN to SAT, or SAT..SUN");
        scan->at = end;
        return true;
    }
    return add_rule(self, scan, from, days);
}

/* The words behind `days`. */
static bool days_scan(calendar_t *self, scan_t *scan)
{
    const uint8_t *at = scan->at, *end = scan->end;
    slice_t words[4];
    size_t count = 0;
    while (at < end && count < 4) {
        const uint8_t *from = at;
        while (at < end && *at != ' ' && *at != '\t')
            at++;
        words[count++] = slice(from, (size_t)(at - from));
        while (at < end && (*at == ' ' || *at == '\t'))
            at++;
    }
    if (count != 4 || at < end)
        return scan_fail(scan, "fields", count == 4 ? at : end,
                         "three fields behind `days`: day of month, month, weekday");
    if (!add_rule(self, scan, scan->at, words + 1)) return false;
    scan->at = scan->end = end;
    return true;
}

static bool is_days(const scan_t *scan)
{
    size_t len = (size_t)(scan->end - scan->at);
    return len >= 4 && memcmp(scan->at, "days", 4) == 0 &&
           (len == 4 || scan->at[4] == ' ' || scan->at[4] == '\t');
}

static bool entry_scan(calendar_t *self, scan_t *scan)
{
    const uint8_t *end = scan->end;
    size_t digits = 0;
    while (scan->at + digits < end && scan->at[digits] >= '0' && scan->at[digits] <= '9')
        digits++;
    bool good;
    if (digits == 4)
        good = dated_scan(self, scan);
    else if (digits > 0)
        good = yearly_scan(self, scan);
    else if (is_days(scan))
        good = days_scan(self, scan);
    else
        good = weekly_scan(self, scan);
    if (!good) return false;
    return scan->at == end ||
           scan_fail(scan, "syntax", scan->at, "the end of the entry, or \"..\"");
}

/* The next entry from *at on, without blanks and notes; false: there is none. */
static bool next_entry(const uint8_t **at, const uint8_t *end, slice_t *entry)
{
    while (*at < end) {
        const uint8_t *from = *at, *stop = from;
        while (stop < end && *stop != '\n')
            stop++;
        *at = stop < end ? stop + 1 : end;
        while (from < stop && (*from == ' ' || *from == '\t'))
            from++;
        for (const uint8_t *note = from; note < stop; note++)
            if (*note == '#' && (note == from || note[-1] == ' ' || note[-1] == '\t')) stop = note;
        while (stop > from && (stop[-1] == ' ' || stop[-1] == '\t' || stop[-1] == '\r'))
            stop--;
        *entry = slice(from, (size_t)(stop - from));
        if (entry->len) return true;
    }
    return false;
}

void calendar_text(slice_t text, buf_t *out)
{
    const uint8_t *at = text.at;
    slice_t entry;
    bool any = false;
    while (next_entry(&at, text.at + text.len, &entry)) {
        if (any) buf_add(out, "\n", 1);
        buf_add(out, entry.at, entry.len);
        any = true;
    }
}

static int compare_stretch(const void *a, const void *b)
{
    const stretch_t *x = a, *y = b;
    return (x->from > y->from) - (x->from < y->from);
}

static void merge(calendar_t *self)
{
    size_t kept = 0;
    if (self->listed_count == 0) return;
    qsort(self->listed, self->listed_count, sizeof *self->listed, compare_stretch);
    for (size_t i = 1; i < self->listed_count; i++) {
        stretch_t *last = &self->listed[kept];
        if (self->listed[i].from > last->to)
            self->listed[++kept] = self->listed[i];
        else if (self->listed[i].to > last->to)
            last->to = self->listed[i].to;
    }
    self->listed_count = kept + 1;
}

static size_t entries_in(slice_t text)
{
    const uint8_t *at = text.at;
    slice_t entry;
    size_t count = 0;
    while (next_entry(&at, text.at + text.len, &entry))
        count++;
    return count;
}

err_t calendar_parse(calendar_t **out, slice_t text, rule_error_t *error)
{
    rule_error_t unseen;
    error = error ? error : &unseen;
    *error = (rule_error_t){ 0 };
    *out = NULL;
    size_t count = entries_in(text);
    if (text.len > CALENDAR_TEXT_MAX || count == 0 || count > CALENDAR_ENTRIES_MAX) {
        error->code = text.len > CALENDAR_TEXT_MAX ? "too_long" : count ? "many" : "fields";
        error->column = 1;
        snprintf(error->text, sizeof error->text,
                 "found %zu entries in %zu bytes, expected 1 to %d in at most %d", count, text.len,
                 CALENDAR_ENTRIES_MAX, CALENDAR_TEXT_MAX);
        return ERR_BAD_RULE;
    }
    calendar_t *self = mem_new(sizeof *self);
    self->holders = 1;
    self->listed = mem_new(count * sizeof *self->listed);
    self->rules =
        mem_new((count < CALENDAR_RULES_MAX ? count : CALENDAR_RULES_MAX) * sizeof *self->rules);
    const uint8_t *at = text.at;
    slice_t entry;
    bool good = true;
    while (good && next_entry(&at, text.at + text.len, &entry)) {
        scan_t scan = { text.at, entry.at, entry.at + entry.len, error };
        good = entry_scan(self, &scan);
    }
    merge(self);
    if (good)
        *out = self;
    else
        calendar_release(&self);
    return good ? ERR_OK : ERR_BAD_RULE;
}

calendar_t *calendar_hold(calendar_t *self)
{
    self->holders++;
    return self;
}

void calendar_release(calendar_t **self_p)
{
    calendar_t *self = *self_p;
    *self_p = NULL;
    if (!self || --self->holders > 0) return;
    free(self->listed);
    free(self->rules);
    free(self);
}

/* ---- questions ------------------------------------------------------------------------------- */

/* The days of a month that repeat, as bits 1-31. */
static uint32_t days_of_month(const calendar_t *self, int32_t year, int32_t month)
{
    uint32_t all = (uint32_t)(((UINT64_C(1) << month_length(year, month)) - 1) << 1);
    uint32_t days = self->yearly[month] & all;
    for (size_t i = 0; i < self->rules_count; i++)
        days |= cron_month_days(&self->rules[i], year, month);
    return days;
}

/* How many listed stretches begin at or before a local time. */
static size_t begun(const calendar_t *self, int64_t local)
{
    size_t low = 0, high = self->listed_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (self->listed[middle].from <= local)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool calendar_closed(const calendar_t *self, int64_t local, int64_t *since, int64_t *until)
{
    size_t index = begun(self, local);
    if (index > 0 && local < self->listed[index - 1].to) {
        *since = self->listed[index - 1].from;
        *until = self->listed[index - 1].to;
        return true;
    }
    if (!self->repeats) return false;
    int32_t day = day_of(local);
    civil_t date = civil_from_days(day);
    if (!(days_of_month(self, date.year, date.month) >> date.day & 1)) return false;
    *since = local_at(day, 0);
    *until = *since + DAY_SECONDS;
    return true;
}

int64_t calendar_next_closing(const calendar_t *self, int64_t local)
{
    size_t index = begun(self, local);
    int64_t next = index < self->listed_count ? self->listed[index].from : INT64_MAX;
    if (!self->repeats) return next;
    civil_t date = civil_from_days(day_of(local));
    uint32_t behind = date.day >= 31 ? 0 : UINT32_MAX << (date.day + 1); /* days after this one */
    for (int i = 0; i < MONTHS_SEARCHED && date.year <= YEAR_LAST; i++, behind = UINT32_MAX) {
        uint32_t days = days_of_month(self, date.year, date.month) & behind;
        if (days) {
            int32_t day = days_from_civil(date.year, date.month, __builtin_ctz(days));
            return local_at(day, 0) < next ? local_at(day, 0) : next;
        }
        if (++date.month > 12) {
            date.month = 1;
            date.year++;
        }
    }
    return next;
}
