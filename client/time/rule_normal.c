/* SPDX-License-Identifier: Apache-2.0
 *
 * The normal form: sorted, in numbers, as few items as ranges and one step make. What begins with a
 * star goes on to do so, because the day rule looks at that. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

#include "client/time/civil.h"
#include "client/time/rule_inside.h"

/* One field being written; items are separated by commas. */
typedef struct list {
    buf_t *out;
    bool any;
} list_t;

static void item(list_t *self, const char *format, ...) PRINTF_LIKE(2, 3);

static void item(list_t *self, const char *format, ...)
{
    char text[48];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    buf_printf(self->out, "%s%s", self->any ? "," : "", text);
    self->any = true;
}

static uint64_t stepped(int low, int high, int step)
{
    uint64_t bits = 0;
    for (int value = low; value <= high; value += step)
        bits |= UINT64_C(1) << value;
    return bits;
}

/* The smallest step s from 2 on with every value of star-slash-s in the set; 0: there is none. */
static int star_step(uint64_t set, int low, int high)
{
    for (int step = 2; step <= high - low + 1; step++)
        if ((stepped(low, high, step) & ~set) == 0) return step;
    return 0;
}

/* Values left over, as ranges. */
static void ranges(list_t *self, uint64_t set, int low, int high)
{
    for (int value = low; value <= high; value++) {
        if (!(set >> value & 1)) continue;
        int last = value;
        while (last < high && (set >> (last + 1) & 1))
            last++;
        if (last > value + 1)
            item(self, "%d-%d", value, last);
        else if (last > value)
            item(self, "%d,%d", value, last);
        else
            item(self, "%d", value);
        value = last;
    }
}

/* `star`: must begin with a star; `plain`: must not. */
static void values(list_t *self, uint64_t set, int low, int high, bool star, bool plain)
{
    uint64_t all = stepped(low, high, 1);
    if (set == all && !plain) {
        item(self, "*");
        return;
    }
    int step = plain ? 0 : star_step(set, low, high);
    bool exact = step && stepped(low, high, step) == set && step <= (high - low) / 2;
    if (star || exact) {
        item(self, "*/%d", step);
        set &= ~stepped(low, high, step);
    }
    ranges(self, set, low, high);
}

static void field(buf_t *out, uint64_t set, int low, int high, const char *after)
{
    list_t list = { out, false };
    values(&list, set, low, high, false, false);
    buf_printf(out, "%s", after);
}

static void cron_normal(const cron_t *cron, buf_t *out)
{
    list_t days = { out, false }, weekdays = { out, false };
    if (cron->second != 1) field(out, cron->second, 0, 59, " ");
    field(out, cron->minute, 0, 59, " ");
    field(out, cron->hour, 0, 23, " ");
    values(&days, cron->day, 1, 31, cron->day_star, !cron->day_star);
    for (int day = 1; day <= 31; day++)
        if (cron->nearest >> day & 1) item(&days, "%dW", day);
    if (cron->last_day) item(&days, "L");
    if (cron->last_workday) item(&days, "LW");
    buf_printf(out, " ");
    field(out, cron->month, 1, 12, " ");
    values(&weekdays, cron->weekday, 0, 6, cron->weekday_star, !cron->weekday_star);
    for (int nth = 0; nth < 5; nth++)
        for (int day = 0; day < 7; day++)
            if (cron->weekday_nth[nth] >> day & 1) item(&weekdays, "%d#%d", day, nth + 1);
    for (int day = 0; day < 7; day++)
        if (cron->weekday_last >> day & 1) item(&weekdays, "%dL", day);
}

static void stamp(buf_t *out, int64_t instant)
{
    civil_t date = civil_from_days(day_of(instant));
    int32_t second = second_of_day(instant);
    buf_printf(out, "%04d-%02d-%02dT%02d:%02d:%02dZ", date.year, date.month, date.day,
               second / 3600, second / 60 % 60, second % 60);
}

static void interval(buf_t *out, int64_t step)
{
    static const struct {
        int64_t seconds;
        char letter;
    } units[] = { { 3600, 'h' }, { 60, 'm' }, { 1, 's' } };
    size_t i = 0;
    while (step % units[i].seconds != 0)
        i++;
    buf_printf(out, "@every %" PRId64 "%c from ", step / units[i].seconds, units[i].letter);
}

/* The anchor of calendar days is both an instant and the wall time of all that follow: local time
 * says both, unless that reading names another instant. */
static void anchor(const rule_t *rule, buf_t *out)
{
    int64_t local = rule->anchor_local;
    bool same = zone_instant(rule->zone, local, NULL) == rule->anchor;
    if (rule->kind == RULE_EVERY || !same || local < 0) {
        stamp(out, rule->anchor);
        return;
    }
    stamp(out, local);
    out->len--; /* local: without the Z */
    out->at[out->len] = 0;
}

void rule_normal(const rule_t *self, buf_t *out)
{
    switch (self->kind) {
    case RULE_CRON:
        cron_normal(&self->cron, out);
        return;
    case RULE_EVERY:
        interval(out, self->step);
        anchor(self, out);
        return;
    case RULE_EVERY_DAYS:
        buf_printf(out, "@every %" PRId64 "d from ", self->step / DAY_SECONDS);
        anchor(self, out);
        return;
    case RULE_AT:
    case RULE_DATES:
        break;
    }
    buf_printf(out, "%s ", self->kind == RULE_AT ? "@at" : "@dates");
    for (size_t i = 0; i < self->named_count; i++) {
        if (i) buf_printf(out, ",");
        stamp(out, self->named[i]);
    }
}

/* Digits, one of s m h d, nothing more. */
static size_t interval_len(const char *text)
{
    size_t digits = strspn(text, "0123456789");
    return digits && text[digits] && strchr("smhd", text[digits]) ? digits + 1 : 0;
}

void rule_complete(const char *text, int64_t now, buf_t *out)
{
    const char *at = text + strspn(text, " \t");
    if (strncasecmp(at, "@every", 6) == 0 && (at[6] == ' ' || at[6] == '\t'))
        at += 6 + strspn(at + 6, " \t");
    size_t len = interval_len(at);
    if (len == 0 || at[len + strspn(at + len, " \t")] != 0) {
        buf_printf(out, "%s", text);
        return;
    }
    buf_printf(out, "@every %.*s from ", (int)len, at);
    stamp(out, now);
}
