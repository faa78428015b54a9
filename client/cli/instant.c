/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/instant.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "client/base/clock.h"
#include "client/cli/text.h"

enum { INSTANTS = 8, INSTANT_ROOM = 64 };

/* Europe/Paris of /usr/share/zoneinfo/Europe/Paris, or of a link to it. False: it names no zone. */
static bool zone_of_path(const char *path, char *name, size_t size)
{
    static const char folder[] = "zoneinfo/";
    char target[512];
    const char *at = strstr(path, folder);
    ssize_t len = at ? 0 : readlink(path, target, sizeof target - 1);
    if (len > 0) {
        target[len] = '\0';
        at = strstr(target, folder);
    }
    return at && (size_t)snprintf(name, size, "%s", at + sizeof folder - 1) < size;
}

const char *local_zone(void)
{
    static char found[512];
    if (*found) return found;
    const char *zone = getenv("TZ");
    if (zone && *zone == ':') zone++;
    if (zone && *zone && *zone != '/') {
        snprintf(found, sizeof found, "%s", zone);
        return found;
    }
    char path[512]; /* TZ=:/etc/localtime spares programs a look at the file each time */
    if (!(zone && *zone && zone_of_path(zone, found, sizeof found)) &&
        !zone_of_path("/etc/localtime", found, sizeof found))
        *found = '\0';
    FILE *file = *found ? NULL : fopen("/etc/timezone", "re");
    if (file) {
        if (fgets(path, sizeof path, file)) {
            path[strcspn(path, " \t\r\n")] = '\0';
            snprintf(found, sizeof found, "%s", path);
        }
        fclose(file);
    }
    if (!*found) snprintf(found, sizeof found, "UTC");
    return found;
}

bool zone_exists(const char *name)
{
    char magic[4] = "";
    if (!*name || name[0] == '/' || strstr(name, "..")) return false;
    const char *folder = getenv("TZDIR");
    FILE *file = fopen(say("%s/%s", folder ? folder : "/usr/share/zoneinfo", name), "re");
    bool zone = file && fread(magic, 1, sizeof magic, file) == sizeof magic &&
                memcmp(magic, "TZif", sizeof magic) == 0; /* a folder or a table is none */
    if (file) fclose(file);
    return zone;
}

void zone_show(const char *name)
{
    local_zone(); /* remembered before TZ hides it */
    if (name && strcmp(name, "local") != 0) setenv("TZ", name, 1);
    tzset();
}

const char *instant_text(int64_t us)
{
    static char ring[INSTANTS][INSTANT_ROOM];
    static unsigned turn;
    char *to = ring[turn++ % INSTANTS];
    int64_t whole = us / 1000000, rest = us % 1000000;
    if (rest < 0) {
        whole--;
        rest += 1000000;
    }
    time_t at = (time_t)whole;
    struct tm tm;
    if (!localtime_r(&at, &tm)) {
        snprintf(to, INSTANT_ROOM, "%" PRId64 "us", us);
        return to;
    }
    size_t len = strftime(to, INSTANT_ROOM, "%Y-%m-%dT%H:%M:%S", &tm);
    if (rest % 1000)
        len += (size_t)snprintf(to + len, INSTANT_ROOM - len, ".%06d", (int)rest);
    else if (rest)
        len += (size_t)snprintf(to + len, INSTANT_ROOM - len, ".%03d", (int)(rest / 1000));
    long offset = tm.tm_gmtoff < 0 ? -tm.tm_gmtoff : tm.tm_gmtoff;
    snprintf(to + len, INSTANT_ROOM - len, "%c%02ld:%02ld", tm.tm_gmtoff < 0 ? '-' : '+',
             offset / 3600, offset / 60 % 60);
    return to;
}

/* The zone the C library was in before. */
static const char *zone_enter(const char *zone)
{
    const char *before = getenv("TZ");
    before = before ? say("%s", before) : NULL;
    setenv("TZ", zone, 1);
    tzset();
    return before;
}

static void zone_leave(const char *before)
{
    if (before)
        setenv("TZ", before, 1);
    else
        unsetenv("TZ");
    tzset();
}

const char *instant_text_in(const char *zone, int64_t us)
{
    const char *before = zone_enter(zone);
    const char *text = instant_text(us);
    zone_leave(before);
    return text;
}

/* Exactly `digits` digits. */
static bool read_digits(const char **at, int digits, int *value)
{
    *value = 0;
    for (int i = 0; i < digits; i++, (*at)++) {
        if (!isdigit((unsigned char)**at)) return false;
        *value = *value * 10 + (**at - '0');
    }
    return true;
}

static bool read_char(const char **at, const char *any)
{
    if (!**at || !strchr(any, **at)) return false;
    (*at)++;
    return true;
}

static bool read_clock(const char **at, struct tm *tm, int *fraction_us)
{
    if (!read_digits(at, 2, &tm->tm_hour) || !read_char(at, ":") ||
        !read_digits(at, 2, &tm->tm_min))
        return false;
    if (read_char(at, ":") && !read_digits(at, 2, &tm->tm_sec)) return false;
    if (read_char(at, ".")) {
        if (!isdigit((unsigned char)**at)) return false;
        for (int scale = 100000; isdigit((unsigned char)**at); (*at)++, scale /= 10)
            *fraction_us += (**at - '0') * scale;
    }
    return tm->tm_hour <= 23 && tm->tm_min <= 59 && tm->tm_sec <= 59;
}

bool instant_read(const char *text, const char *zone, int64_t *us)
{
    if (strcmp(text, "now") == 0) {
        *us = clock_wall_us();
        return true;
    }
    struct tm tm = { .tm_isdst = -1 };
    int fraction_us = 0, hours = 0, minutes = 0;
    const char *at = text;
    if (!read_digits(&at, 4, &tm.tm_year) || !read_char(&at, "-") ||
        !read_digits(&at, 2, &tm.tm_mon) || !read_char(&at, "-") ||
        !read_digits(&at, 2, &tm.tm_mday))
        return false;
    int month = tm.tm_mon, day = tm.tm_mday;
    tm.tm_year -= 1900;
    tm.tm_mon--;
    if (*at && (!read_char(&at, "Tt ") || !read_clock(&at, &tm, &fraction_us))) return false;
    struct tm date = { .tm_year = tm.tm_year, .tm_mon = tm.tm_mon, .tm_mday = tm.tm_mday };
    timegm(&date);
    if (date.tm_mon + 1 != month || date.tm_mday != day) /* 30 February */
        return false;
    if (!*at) {
        const char *before = zone_enter(zone);
        *us = (int64_t)mktime(&tm) * 1000000 + fraction_us;
        zone_leave(before);
        return true;
    }
    int sign = *at == '-' ? -1 : 1;
    if (!read_char(&at, "Zz") &&
        (!read_char(&at, "+-") || !read_digits(&at, 2, &hours) || !read_char(&at, ":") ||
         !read_digits(&at, 2, &minutes) || hours > 23 || minutes > 59))
        return false;
    if (*at) return false;
    *us = ((int64_t)timegm(&tm) - sign * (hours * 3600 + minutes * 60)) * 1000000 + fraction_us;
    return true;
}
