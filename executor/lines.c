/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/lines.h"

#include <errno.h>
#include <stdlib.h>

#include "client/base/conf.h"

static const char mark[] = "::pawl ";
enum { MARK = sizeof mark - 1 };

static char *next_word(char **at)
{
    char *word = *at + strspn(*at, " ");
    size_t len = strcspn(word, " ");
    *at = word + len;
    if (**at) *(*at)++ = '\0';
    return word;
}

static bool read_count(const char *text, char end, int64_t *number, const char **rest)
{
    char *stop;
    errno = 0;
    *number = strtoll(text, &stop, 10);
    *rest = stop + (*stop == end);
    return errno == 0 && stop != text && *number >= 0 && (*stop == end || *stop == '\0');
}

static void on_progress(lines_t *self, const char *numbers, const char *text)
{
    int64_t done, total = 0;
    const char *rest;
    if (!read_count(numbers, '/', &done, &rest)) return;
    if (*rest && !read_count(rest, '\0', &total, &rest)) return;
    self->progress(self->arg, done, total, text);
}

static void on_line(lines_t *self)
{
    self->line[self->len] = '\0';
    if (self->len && self->line[self->len - 1] == '\r') self->line[self->len - 1] = '\0';
    char *at = self->line + MARK, *word = next_word(&at), *what = next_word(&at);
    enum lines_ask ask = strcmp(word, "again") == 0      ? LINES_AGAIN
                         : strcmp(word, "external") == 0 ? LINES_EXTERNAL
                                                         : LINES_NOTHING;
    int64_t us;
    if (strcmp(word, "progress") == 0) {
        on_progress(self, what, at);
    } else if (ask != LINES_NOTHING && conf_parse_duration(what, &us)) {
        self->ask = ask;
        self->after_us = us;
        snprintf(self->text, sizeof self->text, "%s", at);
    }
}

void lines_hear(lines_t *self, const void *bytes, size_t len)
{
    const char *at = bytes, *end = at + len;
    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        size_t piece = (size_t)((stop ? stop : end) - at);
        size_t room = sizeof self->line - 1 - self->len;
        if (!self->skip) {
            size_t take = piece < room ? piece : room;
            memcpy(self->line + self->len, at, take);
            self->len += take;
            size_t known = self->len < MARK ? self->len : MARK;
            self->skip = memcmp(self->line, mark, known) != 0;
        }
        if (stop) {
            if (!self->skip && self->len >= MARK) on_line(self);
            self->len = 0;
            self->skip = false;
        }
        at += piece + (stop != NULL);
    }
}
