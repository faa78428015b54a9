/* SPDX-License-Identifier: Apache-2.0 */
#include "client/base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "client/base/clock.h"

static char actor_name[17] = "pawl";
static enum log_level least_level = LOG_INFO;

void log_open(const char *actor, enum log_level least)
{
    snprintf(actor_name, sizeof actor_name, "%s", actor);
    least_level = least;
}

void log_event(enum log_level level, const char *event, const char *format, ...)
{
    static const char *const name[] = { "debug", "info", "warn", "error" };
    if (level < least_level) return;
    int64_t now = clock_wall_us();
    time_t seconds = (time_t)(now / 1000000);
    struct tm parts;
    gmtime_r(&seconds, &parts);
    char line[2048];
    size_t len = strftime(line, sizeof line, "%Y-%m-%dT%H:%M:%S", &parts);
    len += (size_t)snprintf(line + len, sizeof line - len, ".%03dZ %s %s %s ",
                            (int)(now / 1000 % 1000), name[level], actor_name, event);
    va_list args;
    va_start(args, format);
    int added = vsnprintf(line + len, sizeof line - len - 1, format, args);
    va_end(args);
    size_t end = added < 0 ? len : len + (size_t)added;
    if (end > sizeof line - 2) end = sizeof line - 2;
    for (size_t i = len; i < end; i++)
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f) line[i] = '?';
    line[end++] = '\n';
    ssize_t written = write(STDERR_FILENO, line, end);
    (void)written; /* nobody is left to be told */
}
