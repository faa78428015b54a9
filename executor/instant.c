/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/instant.h"

#include <ctype.h>
#include <stdio.h>
#include <time.h>

#include "schemas/limits.h"

bool instant_read(const char *text, int64_t *out_us)
{
    struct tm tm = { 0 };
    int used = 0, offset = 0;
    char mark = 0;
    if (sscanf(text, "%4d-%2d-%2d%c%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &mark,
               &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &used) != 7 ||
        used != 19 || !strchr("Tt ", mark) || tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 ||
        tm.tm_mday > 31 || tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 60 || tm.tm_year < 1)
        return false;
    const char *at = text + used;
    int64_t fraction = 0, scale = 100000;
    if (*at == '.') {
        if (!isdigit((unsigned char)*++at)) return false;
        for (; isdigit((unsigned char)*at); at++, scale /= 10)
            fraction += (*at - '0') * scale;
    }
    if (*at == '+' || *at == '-') {
        int hours, minutes, len = 0;
        if (sscanf(at + 1, "%2d:%2d%n", &hours, &minutes, &len) != 2 || len != 5 || at[1 + len] ||
            hours > 23 || minutes > 59)
            return false;
        offset = (hours * 3600 + minutes * 60) * (*at == '-' ? -1 : 1);
    } else if (strcmp(at, "Z") != 0 && strcmp(at, "z") != 0) {
        return false;
    }
    int day = tm.tm_mday;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    time_t seconds = timegm(&tm);
    if (tm.tm_sec < 60 && tm.tm_mday != day) return false; /* 31 April */
    *out_us = ((int64_t)seconds - offset) * PAWL_SEC_US + fraction;
    return true;
}

void instant_print(int64_t us, char between, const char *zone, char text[INSTANT_TEXT])
{
    int64_t fraction = us % PAWL_SEC_US;
    if (fraction < 0) fraction += PAWL_SEC_US;
    time_t seconds = (time_t)((us - fraction) / PAWL_SEC_US);
    struct tm tm;
    char part[8] = "";
    gmtime_r(&seconds, &tm);
    if (fraction) snprintf(part, sizeof part, ".%06u", (unsigned)fraction % 1000000u);
    snprintf(text, INSTANT_TEXT, "%04d-%02d-%02d%c%02d:%02d:%02d%s%s", tm.tm_year + 1900,
             tm.tm_mon + 1, tm.tm_mday, between, tm.tm_hour, tm.tm_min, tm.tm_sec, part, zone);
}
