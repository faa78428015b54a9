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

void text_tame(char *text)
{
    for (unsigned char *at = (unsigned char *)text; *at; at++)
        if (*at < 0x20 || *at == 0x7f)
            *at = ' ';
        else if (at[0] == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0)
            at[0] = at[1] = ' ';
}

const char *text_tamed(const char *text)
{
    char *copy = text_keep(mem_text(text));
    text_tame(copy);
    return copy;
}

/* The code point at `text` and its bytes; a byte that begins none stands for itself. */
static uint32_t letter_at(const char *text, size_t *bytes)
{
    const unsigned char *at = (const unsigned char *)text;
    size_t more = *at >= 0xf0 && *at < 0xf8   ? 3
                  : *at >= 0xe0 && *at < 0xf0 ? 2
                                              : *at >= 0xc0 && *at < 0xe0;
    uint32_t letter = more ? *at & (0x3fu >> more) : *at;
    for (size_t i = 1; i <= more; i++) {
        if ((at[i] & 0xc0) != 0x80) {
            *bytes = 1;
            return *at;
        }
        letter = letter << 6 | (at[i] & 0x3fu);
    }
    *bytes = more + 1;
    return letter;
}

/* As Unicode's East Asian Width has it, in whole blocks. */
static size_t letter_width(uint32_t letter)
{
    static const struct {
        uint32_t first, last;
        size_t width;
    } blocks[] = {
        { 0x300, 0x36f, 0 },     { 0x1100, 0x115f, 2 },   { 0x200b, 0x200f, 0 },
        { 0x20d0, 0x20ff, 0 },   { 0x2e80, 0x303e, 2 },   { 0x3041, 0xa4cf, 2 },
        { 0xa960, 0xa97f, 2 },   { 0xac00, 0xd7a3, 2 },   { 0xf900, 0xfaff, 2 },
        { 0xfe00, 0xfe0f, 0 },   { 0xfe10, 0xfe19, 2 },   { 0xfe30, 0xfe6f, 2 },
        { 0xff00, 0xff60, 2 },   { 0xffe0, 0xffe6, 2 },   { 0x1f300, 0x1f64f, 2 },
        { 0x1f680, 0x1f6ff, 2 }, { 0x1f900, 0x1faff, 2 }, { 0x20000, 0x3fffd, 2 },
    };
    for (size_t i = 0; i < ARRAY_LEN(blocks) && letter >= blocks[i].first; i++)
        if (letter <= blocks[i].last) return blocks[i].width;
    return 1;
}

size_t text_width(const char *text)
{
    size_t width = 0, bytes;
    for (; *text; text += bytes)
        width += letter_width(letter_at(text, &bytes));
    return width;
}

void text_cut(char *text, size_t most)
{
    static const char dots[] = "...";
    size_t width = 0, bytes, room = most - (sizeof dots - 1);
    char *cut = NULL;
    for (char *at = text; *at; at += bytes) {
        size_t more = letter_width(letter_at(at, &bytes));
        if (!cut && width + more > room) cut = at;
        width += more;
    }
    if (cut && width > most && strlen(cut) >= sizeof dots - 1) memcpy(cut, dots, sizeof dots);
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
