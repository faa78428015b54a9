/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/text.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static char **kept;
static size_t kept_count, kept_room;

char *text_keep(char *owned)
{
    CHECK(owned);
    if (kept_count == kept_room) {
        kept_room = kept_room ? 2 * kept_room : 64;
        kept = mem_grow(kept, kept_room * sizeof *kept);
    }
    return kept[kept_count++] = owned;
}

void text_forget(void)
{
    for (size_t i = 0; i < kept_count; i++)
        free(kept[i]);
    free(kept);
    kept = NULL;
    kept_count = kept_room = 0;
}

const char *say_args(const char *format, va_list args)
{
    char *text = NULL;
    CHECK(vasprintf(&text, format, args) >= 0);
    return text_keep(text);
}

const char *say(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const char *text = say_args(format, args);
    va_end(args);
    return text;
}

static const struct {
    const char *unit;
    int64_t us;
} units[] = {
    { "d", INT64_C(86400000000) },
    { "h", INT64_C(3600000000) },
    { "m", 60000000 },
    { "s", 1000000 },
    { "ms", 1000 },
    { "us", 1 },
};

const char *duration_text(int64_t us)
{
    if (us == 0) return "0s";
    buf_t text = { 0 };
    uint64_t rest = us < 0 ? -(uint64_t)us : (uint64_t)us;
    if (us < 0) buf_printf(&text, "-");
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        uint64_t count = rest / (uint64_t)units[i].us;
        if (count == 0) continue;
        buf_printf(&text, "%" PRIu64 "%s", count, units[i].unit);
        rest -= count * (uint64_t)units[i].us;
    }
    return text_keep((char *)text.at);
}

bool duration_read(const char *text, int64_t *us)
{
    int64_t sum = 0;
    if (!*text) return false;
    while (*text) {
        if (!isdigit((unsigned char)*text)) return false;
        int64_t count = 0, part;
        for (; isdigit((unsigned char)*text); text++)
            if (__builtin_mul_overflow(count, 10, &count) ||
                __builtin_add_overflow(count, *text - '0', &count))
                return false;
        size_t letters = 0;
        while (isalpha((unsigned char)text[letters]))
            letters++;
        size_t i = 0;
        while (i < ARRAY_LEN(units) &&
               (strlen(units[i].unit) != letters || memcmp(units[i].unit, text, letters) != 0))
            i++;
        if (i == ARRAY_LEN(units) || __builtin_mul_overflow(count, units[i].us, &part) ||
            __builtin_add_overflow(sum, part, &sum))
            return false;
        text += letters;
    }
    *us = sum;
    return true;
}

static bool plain(const char *word)
{
    if (!*word) return false;
    for (; *word; word++)
        if (!isalnum((unsigned char)*word) && !strchr("-_./:=,@%+", *word)) return false;
    return true;
}

const char *shell_words(char *const *words, size_t n)
{
    buf_t line = { 0 };
    buf_printf(&line, "%s", "");
    for (size_t i = 0; i < n; i++) {
        if (i > 0) buf_printf(&line, " ");
        if (plain(words[i])) {
            buf_printf(&line, "%s", words[i]);
            continue;
        }
        buf_printf(&line, "'");
        for (const char *at = words[i]; *at; at++) {
            if (*at == '\'')
                buf_printf(&line, "'\\''");
            else
                buf_printf(&line, "%c", *at);
        }
        buf_printf(&line, "'");
    }
    return text_keep((char *)line.at);
}
