/* SPDX-License-Identifier: Apache-2.0
 * schemas/wire_text.c - what texts, names and types may be. Ten million times a minute, so plain
 * ASCII goes eight bytes at a time. */
#include <string.h>

#include "schemas/limits.h"
#include "schemas/wire_unpack.h"

/* One UTF-8 sequence of two or more bytes (RFC 3629) at `at`. Returns its length, 0: not valid. */
static size_t utf8_sequence(const uint8_t *at, const uint8_t *end, uint32_t *point)
{
    uint8_t lead = at[0];
    size_t len = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    if (lead < 0xC2 || lead > 0xF4 || (size_t)(end - at) < len) return 0;
    uint32_t value = lead & (0x7Fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((at[i] & 0xC0) != 0x80) return 0;
        value = value << 6 | (at[i] & 0x3F);
    }
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    if (value < least[len] || value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF)) return 0;
    *point = value;
    return len;
}

bool wire_text_valid(const uint8_t *text, size_t len, text_class_t class)
{
    const uint8_t *at = text, *end = text + len;
    const uint64_t ones = UINT64_C(0x0101010101010101), tops = ones << 7;
    while (at < end) {
        /* eight plain ASCII bytes at once: no top bit, none below 0x20, none 0x7F */
        while (end - at >= 8) {
            uint64_t word;
            memcpy(&word, at, 8);
            if ((word | (word - ones * 0x20) | (word + ones)) & tops) break;
            at += 8;
        }
        if (at == end) break;
        uint8_t byte = *at;
        if (byte >= 0x20 && byte < 0x7F) {
            at++;
            continue;
        }
        if (byte < 0x80) {
            if (byte == 0) return false;
            bool layout = byte == '\n' || byte == '\t';
            if (class != TEXT_PROGRAM && !(class == TEXT_FREE && layout)) return false;
            at++;
            continue;
        }
        uint32_t point;
        size_t step = utf8_sequence(at, end, &point);
        if (!step || (point < 0xA0 && class != TEXT_PROGRAM)) /* C1 controls */
            return false;
        at += step;
    }
    return !(class == TEXT_NAME && len && (text[0] == ' ' || text[len - 1] == ' '));
}

void wire_text_mend(char *text)
{
    const uint8_t *at = (const uint8_t *)text, *end = at + strlen(text);
    uint8_t *to = (uint8_t *)text;
    while (at < end) {
        uint32_t point;
        size_t step = *at < 0x80 ? 1 : utf8_sequence(at, end, &point);
        memmove(to, at, step);
        to += step;
        at += step ? step : 1;
    }
    *to = '\0';
}

void wire_text_line(char *to, size_t room, const void *bytes, size_t len)
{
    const uint8_t *at = bytes, *end = at + len;
    size_t put = 0;
    while (at < end) {
        uint32_t point = *at;
        size_t step = *at < 0x80 ? 1 : utf8_sequence(at, end, &point);
        bool control = point < 0x20 || (point >= 0x7F && point < 0xA0);
        bool kept = step && !control, space = *at == '\t' || *at == '\n' || *at == '\r';
        size_t more = kept ? step : 1;
        if (put + more >= room) break;
        if (kept)
            memmove(to + put, at, step);
        else
            to[put] = space ? ' ' : '?';
        put += more;
        at += step ? step : 1;
    }
    to[put] = '\0';
}

bool wire_utf8_valid(const char *text, size_t len)
{
    return wire_text_valid((const uint8_t *)text, len, TEXT_PROGRAM);
}

bool wire_name_valid(const char *text, size_t len)
{
    return len >= 1 && len <= LIMIT_NAME && wire_text_valid((const uint8_t *)text, len, TEXT_NAME);
}

static bool plain(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9') || byte == '_' || byte == '.' || byte == '-';
}

bool wire_type_valid(const char *text, size_t len)
{
    size_t slash = 0;
    if (len > LIMIT_NAME) return false;
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '/') {
            if (slash || i == 0) return false;
            slash = i;
        } else if (!plain(text[i])) {
            return false;
        }
    }
    return slash && slash + 1 < len;
}
