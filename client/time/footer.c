/* SPDX-License-Identifier: Apache-2.0 */
#include "client/time/footer.h"

#include "client/time/civil.h"

static bool accept(reader_t *in, char byte)
{
    if (in->at == in->end || *in->at != (uint8_t)byte) return false;
    in->at++;
    return true;
}

static bool digit_next(const reader_t *in)
{
    return in->at < in->end && *in->at >= '0' && *in->at <= '9';
}

/* One to three digits, at most `high`. */
static bool number(reader_t *in, int32_t high, int32_t *value)
{
    int digits = 0;
    *value = 0;
    for (; digit_next(in) && digits < 4; digits++)
        *value = *value * 10 + (*in->at++ - '0');
    return digits > 0 && *value <= high;
}

/* [+-]hh[:mm[:ss]] in seconds. */
static bool clock_time(reader_t *in, int32_t hours_high, int32_t *seconds)
{
    bool negative = accept(in, '-');
    if (!negative) accept(in, '+');
    int32_t hours, minutes = 0, rest = 0;
    if (!number(in, hours_high, &hours)) return false;
    if (accept(in, ':')) {
        if (!number(in, 59, &minutes)) return false;
        if (accept(in, ':') && !number(in, 59, &rest)) return false;
    }
    *seconds = hours * 3600 + minutes * 60 + rest;
    if (negative) *seconds = -*seconds;
    return true;
}

/* Three or more letters, or <letters, digits and signs>. */
static bool designation(reader_t *in)
{
    bool quoted = accept(in, '<');
    int len = 0;
    for (; in->at < in->end; in->at++, len++) {
        uint8_t c = *in->at;
        bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (!letter && !(quoted && ((c >= '0' && c <= '9') || c == '+' || c == '-'))) break;
    }
    return len >= 3 && (!quoted || accept(in, '>'));
}

static bool change_date(reader_t *in, footer_date_t *date)
{
    *date = (footer_date_t){ .kind = 'N', .time = 2 * 3600 };
    if (accept(in, 'M')) {
        date->kind = 'M';
        if (!number(in, 12, &date->a) || date->a < 1 || !accept(in, '.') ||
            !number(in, 5, &date->b) || date->b < 1 || !accept(in, '.') || !number(in, 6, &date->c))
            return false;
    } else if (accept(in, 'J')) {
        date->kind = 'J';
        if (!number(in, 365, &date->a) || date->a < 1) return false;
    } else if (!number(in, 365, &date->a)) {
        return false;
    }
    return !accept(in, '/') || clock_time(in, 167, &date->time);
}

bool footer_parse(slice_t text, footer_t *footer)
{
    *footer = (footer_t){ .present = text.len > 0 };
    if (text.len == 0) return true;
    reader_t in = reader(text);
    if (!designation(&in) || !clock_time(&in, 24, &footer->standard)) return false;
    footer->standard = -footer->standard; /* POSIX counts west of Greenwich */
    if (in.at == in.end) return true;
    footer->daylight = true;
    footer->summer = footer->standard + 3600;
    if (!designation(&in)) return false;
    if (in.at < in.end && *in.at != ',') {
        if (!clock_time(&in, 24, &footer->summer)) return false;
        footer->summer = -footer->summer;
    }
    return accept(&in, ',') && change_date(&in, &footer->start) && accept(&in, ',') &&
           change_date(&in, &footer->end) && in.at == in.end;
}

static int64_t change(const footer_date_t *date, int32_t year, int32_t offset)
{
    int32_t day;
    if (date->kind == 'M') {
        int32_t first = days_from_civil(year, date->a, 1);
        int32_t shift = (date->c - weekday_of(first) + 7) % 7;
        day = shift + 7 * (date->b - 1);
        if (day >= month_length(year, date->a)) day -= 7;
        day += first;
    } else {
        day = days_from_civil(year, 1, 1) + date->a;
        if (date->kind == 'J' && !(year_is_leap(year) && date->a >= 60)) day--;
    }
    return local_at(day, 0) + date->time - offset;
}

int64_t footer_start(const footer_t *self, int32_t year)
{
    return change(&self->start, year, self->standard);
}

int64_t footer_end(const footer_t *self, int32_t year)
{
    return change(&self->end, year, self->summer);
}
