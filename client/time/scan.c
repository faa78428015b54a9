/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "client/time/civil.h"
#include "client/time/rule_inside.h"

void scan_note(scan_t *self, const char *code, const uint8_t *at, const char *expected)
{
    rule_error_t *error = self->error;
    char found[48] = "the end";
    if (at < self->end) {
        size_t len = 0;
        int n = 0;
        while (at + len < self->end && len < 16 && at[len] > ' ' && at[len] < 0x7f)
            len++;
        if (len)
            n = snprintf(found, sizeof found, "\"%.*s\"", (int)len, (const char *)at);
        else
            n = snprintf(found, sizeof found, "byte 0x%02x", *at);
        CHECK(n > 0 && (size_t)n < sizeof found);
    }
    error->code = code;
    error->column = (size_t)(at - self->text) + 1;
    snprintf(error->text, sizeof error->text, "found %s, expected %s", found, expected);
}

bool scan_accept(scan_t *self, char byte)
{
    if (self->at == self->end || *self->at != (uint8_t)byte) return false;
    self->at++;
    return true;
}

static bool letter(uint8_t byte)
{
    return (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z');
}

bool scan_digit(const scan_t *self)
{
    return self->at < self->end && *self->at >= '0' && *self->at <= '9';
}

bool scan_letter(const scan_t *self)
{
    return self->at < self->end && letter(*self->at);
}

size_t scan_run(const scan_t *self)
{
    const uint8_t *at = self->at;
    while (at < self->end && letter(*at))
        at++;
    return (size_t)(at - self->at);
}

bool scan_number(scan_t *self, int64_t *value, const char *expected)
{
    const int64_t high = INT64_C(1000000000000);
    if (!scan_digit(self)) return scan_fail(self, "syntax", self->at, expected);
    for (*value = 0; scan_digit(self); self->at++) {
        *value = *value * 10 + (*self->at - '0');
        if (*value > high) *value = high;
    }
    return true;
}

/* Exactly `digits` digits between low and high. */
static bool fixed(scan_t *self, int digits, int32_t low, int32_t high, const char *expected,
                  int32_t *value)
{
    const uint8_t *from = self->at;
    *value = 0;
    for (int i = 0; i < digits; i++, self->at++) {
        if (!scan_digit(self)) return scan_fail(self, "syntax", self->at, expected);
        *value = *value * 10 + (*self->at - '0');
    }
    return (*value >= low && *value <= high) || scan_fail(self, "range", from, expected);
}

static bool literal(scan_t *self, char byte, const char *expected)
{
    return scan_accept(self, byte) || scan_fail(self, "syntax", self->at, expected);
}

static bool offset_scan(scan_t *self, stamp_t *stamp)
{
    if (scan_accept(self, 'Z')) {
        stamp->absolute = true;
        return true;
    }
    bool west = self->at < self->end && *self->at == '-';
    if (!west && !(self->at < self->end && *self->at == '+')) return true;
    self->at++;
    int32_t hour, minute;
    if (!fixed(self, 2, 0, 23, "the two digits of an offset's hours, 00 to 23", &hour) ||
        !literal(self, ':', "a colon in the offset (+hh:mm)") ||
        !fixed(self, 2, 0, 59, "the two digits of an offset's minutes, 00 to 59", &minute))
        return false;
    stamp->absolute = true;
    stamp->offset = (west ? -1 : 1) * (hour * 3600 + minute * 60);
    return true;
}

bool stamp_scan(scan_t *self, bool bare, bool offsets, stamp_t *stamp)
{
    const uint8_t *from = self->at;
    int32_t year, month, day, hour = 0, minute = 0, second = 0;
    *stamp = (stamp_t){ 0 };
    if (!fixed(self, 4, 1970, 9998, "a year from 1970 to 9998 (YYYY-MM-DD)", &year) ||
        !literal(self, '-', "\"-\" and the month (YYYY-MM-DD)") ||
        !fixed(self, 2, 1, 12, "a month from 01 to 12", &month) ||
        !literal(self, '-', "\"-\" and the day (YYYY-MM-DD)") ||
        !fixed(self, 2, 1, month_length(year, month), "a day that this month has", &day))
        return false;
    stamp->bare = !scan_accept(self, 'T');
    if (stamp->bare && !bare)
        return scan_fail(self, "syntax", self->at, "\"T\" and the time (Thh:mm)");
    if (!stamp->bare) {
        if (!fixed(self, 2, 0, 23, "an hour from 00 to 23", &hour) ||
            !literal(self, ':', "a colon and the minute (hh:mm)") ||
            !fixed(self, 2, 0, 59, "a minute from 00 to 59", &minute))
            return false;
        if (scan_accept(self, ':') && !fixed(self, 2, 0, 59, "a second from 00 to 59", &second))
            return false;
        if (offsets && !offset_scan(self, stamp)) return false;
    }
    stamp->local = local_at(days_from_civil(year, month, day), hour * 3600 + minute * 60 + second);
    int64_t instant = stamp->local - stamp->offset;
    if (stamp->absolute && (instant < 0 || instant >= RULE_END))
        return scan_fail(self, "range", from, "an instant from 1970 to 9998 in UTC");
    return true;
}
