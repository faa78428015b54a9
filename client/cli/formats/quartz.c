/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/formats/quartz.h"

#include <ctype.h>
#include <stdlib.h>
#include <strings.h>

#include "client/cli/formats/cronsets.h"
#include "client/cli/text.h"

enum { SECOND, MINUTE, HOUR, DAY, MONTH, WEEKDAY, YEAR, FIELDS };

static const struct {
    const char *name;
    unsigned low, high;
} bounds[] = { { "second", 0, 59 }, { "minute", 0, 59 }, { "hour", 0, 23 },
               { "day", 1, 31 },    { "month", 1, 12 },  { "weekday", 1, 7 } };

static bool take_value(const char **at, int field, unsigned *value)
{
    static const char *const months = "JANFEBMARAPRMAYJUNJULAUGSEPOCTNOVDEC",
                             *const days = "SUNMONTUEWEDTHUFRISAT";
    const char *names = field == MONTH ? months : field == WEEKDAY ? days : "";
    if (isdigit((unsigned char)**at)) {
        char *end;
        unsigned long number = strtoul(*at, &end, 10);
        if (end - *at > 4) return false;
        *at = end;
        *value = (unsigned)number;
        return true;
    }
    for (unsigned i = 0; names[(size_t)3 * i]; i++)
        if (strncasecmp(names + (size_t)3 * i, *at, 3) == 0) {
            *value = i + 1;
            *at += 3;
            return true;
        }
    return false;
}

/* Lists, ranges that may run over the end, steps. */
static bool read_set(const char *text, int field, uint64_t *set, const char **why)
{
    unsigned low = bounds[field].low, high = bounds[field].high;
    *set = 0;
    for (const char *at = text;; at++) {
        unsigned from = low, to = high, step = 1;
        bool range = *at == '*';
        if (range)
            at++;
        else if (*at != '/' && !take_value(&at, field, &from))
            goto unreadable;
        else if (*at != '/')
            to = from;
        if (!range && *at == '-') {
            at++;
            range = true;
            if (!take_value(&at, field, &to)) goto unreadable;
        }
        if (*at == '/') {
            at++;
            if (!isdigit((unsigned char)*at) || !take_value(&at, SECOND, &step)) goto unreadable;
            if (!range) to = high;
            if (step == 0 || step > high) {
                *why = say("the step %u of the %s field", step, bounds[field].name);
                return false;
            }
        }
        if (from < low || from > high || to < low || to > high) {
            *why = say("the %s field holds %u-%u, not \"%s\"", bounds[field].name, low, high, text);
            return false;
        }
        unsigned size = high - low + 1, last = to < from ? to + size : to;
        for (unsigned value = from; value <= last; value += step)
            *set |= UINT64_C(1) << (value > high ? value - size : value);
        if (!*at) return true;
        if (*at != ',') goto unreadable;
    }
unreadable:
    *why = say("\"%s\" cannot be read as the %s field of Quartz", text, bounds[field].name);
    return false;
}

/* L, LW, 15W; NULL: it is none of these. */
static const char *special_day(const char *text)
{
    size_t digits = strspn(text, "0123456789");
    if (strcasecmp(text, "L") == 0) return "L";
    if (strcasecmp(text, "LW") == 0) return "LW";
    int day = atoi(text);
    if (digits && digits < 3 && strcasecmp(text + digits, "W") == 0 && day >= 1 && day <= 31)
        return say("%dW", day);
    return NULL;
}

/* L (Saturday), 6L, 6#3, FRI#3 with weekdays from 1; NULL: none of these. */
static const char *special_weekday(const char *text)
{
    unsigned day, number;
    const char *at = text;
    if (strcasecmp(text, "L") == 0) return "6";
    if (!take_value(&at, WEEKDAY, &day) || day < 1 || day > 7) return NULL;
    if (strcasecmp(at, "L") == 0) return say("%uL", day - 1);
    if (*at++ != '#' || !take_value(&at, SECOND, &number) || *at || number < 1 || number > 5)
        return NULL;
    return say("%u#%u", day - 1, number);
}

static bool read_years(const char *text, quartz_t *out, const char **why)
{
    char *end;
    if (strcmp(text, "*") == 0) return true;
    out->from_year = out->to_year = (int)strtol(text, &end, 10);
    if (*end == '-') out->to_year = (int)strtol(end + 1, &end, 10);
    if (*end || out->from_year < 1970 || out->to_year < out->from_year || out->to_year > 2199) {
        *why = say("the years %s: only one year or one range of years can be said", text);
        return false;
    }
    return true;
}

bool quartz_read(const char *text, quartz_t *out, const char **why)
{
    char *rest = text_keep(mem_text(text)), *field[FIELDS] = { NULL };
    uint64_t sets[YEAR] = { 0 };
    size_t n = 0;
    *out = (quartz_t){ 0 };
    for (char *word; (word = strsep(&rest, " \t"));)
        if (*word && n++ < FIELDS) field[n - 1] = word;
    if (n < YEAR || n > FIELDS) {
        *why = say("it has %zu fields; Quartz has 6 or 7", n);
        return false;
    }
    bool any_day = strcmp(field[DAY], "?") == 0, any_weekday = strcmp(field[WEEKDAY], "?") == 0;
    if (any_day == any_weekday) {
        *why = "exactly one of its two day fields must be ?, or Quartz itself refuses it";
        return false;
    }
    if (field[YEAR] && !read_years(field[YEAR], out, why)) return false;
    const char *day = any_day ? "*" : special_day(field[DAY]);
    const char *weekday = any_weekday ? "*" : special_weekday(field[WEEKDAY]);
    for (int i = SECOND; i <= WEEKDAY; i++)
        if (!(i == DAY && day) && !(i == WEEKDAY && weekday) &&
            !read_set(field[i], i, &sets[i], why))
            return false;
    if (!day) day = cron_field(sets[DAY], 1, 31);
    if (!weekday) weekday = cron_field(sets[WEEKDAY] >> 1, 0, 6);
    const char *seconds = sets[SECOND] == 1 ? "" : say("%s ", cron_field(sets[SECOND], 0, 59));
    out->rule = say("%s%s %s %s %s %s", seconds, cron_field(sets[MINUTE], 0, 59),
                    cron_field(sets[HOUR], 0, 23), day, cron_field(sets[MONTH], 1, 12), weekday);
    return true;
}
