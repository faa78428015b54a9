/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/instant.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "client/base/clock.h"
#include "client/cli/text.h"
#include "client/time/dur.h"

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

/* Does the text end with a word that an instant follows? */
static bool leads(const char *text, size_t len)
{
    static const char *const words[] = { "at ", "since ", "until ", "before ", "next ", "-> " };
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        size_t n = strlen(words[i]);
        if (len >= n && memcmp(text + len - n, words[i], n) == 0 &&
            (len == n || text[len - n - 1] == ' '))
            return true;
    }
    return false;
}

const char *instants_shown(const char *sentence)
{
    enum { LEN = sizeof "2026-12-01T01:00:00Z" - 1 };
    const char *colon = strstr(sentence, ": ");
    size_t own = colon ? (size_t)(colon - sentence) : strlen(sentence), at = 0;
    int64_t us;
    buf_t shown = { 0 };
    while (sentence[at]) {
        if (at + LEN <= own && sentence[at + LEN - 1] == 'Z' && leads(sentence, at) &&
            moment_parse(say("%.*s", LEN, sentence + at), NULL, &us) == ERR_OK) {
            buf_printf(&shown, "%s", instant_text(us));
            at += LEN;
        } else {
            buf_add(&shown, sentence + at++, 1);
        }
    }
    buf_add(&shown, "", 1);
    return text_keep((char *)shown.at);
}

bool instant_read(const char *text, const char *zone, int64_t *us)
{
    if (strcmp(text, "now") == 0) {
        *us = clock_wall_us();
        return true;
    }
    if (moment_parse(text, NULL, us) == ERR_OK) return true; /* says its offset itself */
    zone_t *local = NULL;
    if (!zone || zone_open(&local, zone, getenv("TZDIR"))) return false;
    bool good = moment_parse(text, local, us) == ERR_OK;
    zone_destroy(&local);
    return good;
}
