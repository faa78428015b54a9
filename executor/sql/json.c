/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/sql/json.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <sodium.h>

#include "executor/instant.h"
#include "schemas/limits.h"
#include "schemas/wire.h"

enum { DEPTH_MAX = 64, PARAMS_MAX = 4096 };

/* ---- to JSON --------------------------------------------------------------------------------- */

void json_add_text(buf_t *to, const char *text, size_t len)
{
    buf_need(to, len + 2);
    buf_add(to, "\"", 1);
    size_t from = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned char byte = (unsigned char)text[i];
        if (byte >= 0x20 && byte != '"' && byte != '\\') continue;
        buf_add(to, text + from, i - from);
        from = i + 1;
        if (byte == '"' || byte == '\\')
            buf_add(to, (char[2]){ '\\', (char)byte }, 2);
        else if (byte == '\n')
            buf_add(to, "\\n", 2);
        else
            buf_printf(to, "\\u%04x", byte);
    }
    buf_add(to, text + from, len - from);
    buf_add(to, "\"", 1);
}

static void add_bytes(buf_t *to, const char *at, size_t len)
{
    size_t room = sodium_base64_ENCODED_LEN(len, sodium_base64_VARIANT_ORIGINAL);
    buf_add(to, "{\"$bytes\":\"", 11);
    buf_need(to, room);
    sodium_bin2base64((char *)to->at + to->len, room, (const unsigned char *)at, len,
                      sodium_base64_VARIANT_ORIGINAL);
    to->len += room - 1;
    buf_add(to, "\"}", 2);
}

static bool fits_int64(const char *digits)
{
    char *end;
    errno = 0;
    strtoll(digits, &end, 10);
    return errno == 0 && *end == '\0';
}

/* What JSON may hold: "1e+20" yes, "NaN" and ".5" no. */
static bool json_number(const char *text)
{
    return isdigit((unsigned char)text[text[0] == '-']);
}

void json_add_value(buf_t *to, const sql_value_t *value)
{
    switch (value->kind) {
    case SQL_NULL:
        buf_add(to, "null", 4);
        return;
    case SQL_BOOL:
        buf_add(to, value->at, value->len);
        return;
    case SQL_INTEGER:
        if (!fits_int64(value->at)) break;
        buf_add(to, value->at, value->len);
        return;
    case SQL_FLOAT:
        if (!json_number(value->at)) break;
        buf_add(to, value->at, value->len);
        return;
    case SQL_BYTES:
        add_bytes(to, value->at, value->len);
        return;
    case SQL_TEXT:
    case SQL_DECIMAL:
    case SQL_TIME:
        break;
    }
    if (wire_utf8_valid(value->at, value->len))
        json_add_text(to, value->at, value->len);
    else
        add_bytes(to, value->at, value->len);
}

/* ---- from JSON ------------------------------------------------------------------------------- */

struct json {
    const char *at, *begin; /* a NUL stands behind the text */
    char *why;
    size_t why_len;
};

static bool wrong(struct json *self, const char *what)
{
    snprintf(self->why, self->why_len, "the parameters are not right at byte %zu: %s",
             (size_t)(self->at - self->begin), what);
    return false;
}

static void space(struct json *self)
{
    self->at += strspn(self->at, " \t\r\n");
}

static bool expect(struct json *self, char c)
{
    space(self);
    if (*self->at != c) {
        char what[] = "expected  ";
        what[9] = c;
        return wrong(self, what);
    }
    self->at++;
    return true;
}

static void add_utf8(buf_t *to, uint32_t code)
{
    char bytes[4];
    size_t n = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = { 0, 0, 0xc0, 0xe0, 0xf0 };
    for (size_t i = n; i-- > 1; code >>= 6)
        bytes[i] = (char)(0x80 | (code & 0x3f));
    bytes[0] = (char)(lead[n] | code);
    buf_add(to, bytes, n);
}

static bool hex4(const char *at, uint32_t *code)
{
    *code = 0;
    for (int i = 0; i < 4; i++) {
        if (!isxdigit((unsigned char)at[i])) return false;
        int digit = isdigit((unsigned char)at[i]) ? at[i] - '0' : (at[i] | 32) - 'a' + 10;
        *code = *code << 4 | (uint32_t)digit;
    }
    return true;
}

static bool unicode(struct json *self, buf_t *to)
{
    uint32_t code, low;
    if (!hex4(self->at + 2, &code)) return wrong(self, "\\u needs four hexadecimal digits");
    self->at += 6;
    if (code >= 0xd800 && code < 0xdc00) {
        if (self->at[0] != '\\' || self->at[1] != 'u' || !hex4(self->at + 2, &low) ||
            low < 0xdc00 || low > 0xdfff)
            return wrong(self, "half a surrogate pair");
        self->at += 6;
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    } else if (code >= 0xdc00 && code < 0xe000) {
        return wrong(self, "half a surrogate pair");
    }
    add_utf8(to, code);
    return true;
}

/* Adds the text to `to`, without quotes. */
static bool string(struct json *self, buf_t *to)
{
    static const char escapes[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    if (!expect(self, '"')) return false;
    for (;;) {
        size_t plain = strcspn(self->at, "\"\\");
        for (size_t i = 0; i < plain; i++)
            if ((unsigned char)self->at[i] < 0x20) return wrong(self, "a control character");
        buf_add(to, self->at, plain);
        self->at += plain;
        if (*self->at == '"') break;
        if (!*self->at) return wrong(self, "the text has no end");
        const char *escape = self->at[1] ? strchr(escapes, self->at[1]) : NULL;
        if (self->at[1] == 'u') {
            if (!unicode(self, to)) return false;
        } else if (escape) {
            buf_add(to, &meant[escape - escapes], 1);
            self->at += 2;
        } else {
            return wrong(self, "an unknown escape");
        }
    }
    self->at++;
    return true;
}

static bool number(struct json *self, bool *whole)
{
    const char *at = self->at;
    *whole = true;
    at += *at == '-';
    if (!isdigit((unsigned char)*at) || (*at == '0' && isdigit((unsigned char)at[1])))
        return wrong(self, "expected a value");
    at += strspn(at, "0123456789");
    if (*at == '.') {
        *whole = false;
        size_t digits = strspn(at + 1, "0123456789");
        if (digits == 0) return wrong(self, "a number without digits behind its point");
        at += 1 + digits;
    }
    if (*at == 'e' || *at == 'E') {
        *whole = false;
        at += 1 + (at[1] == '+' || at[1] == '-');
        size_t digits = strspn(at, "0123456789");
        if (digits == 0) return wrong(self, "a number without an exponent");
        at += digits;
    }
    self->at = at;
    return true;
}

static bool skip(struct json *self, int depth);

static bool skip_members(struct json *self, char end, int depth)
{
    self->at++;
    space(self);
    if (*self->at == end) {
        self->at++;
        return true;
    }
    for (;;) {
        if (end == '}') {
            buf_t name = { 0 };
            bool good = string(self, &name) && expect(self, ':');
            buf_free(&name);
            if (!good) return false;
        }
        if (!skip(self, depth + 1)) return false;
        space(self);
        if (*self->at == end) break;
        if (!expect(self, ',')) return false;
    }
    self->at++;
    return true;
}

/* Any value, only checked. */
static bool skip(struct json *self, int depth)
{
    bool whole, good;
    buf_t text = { 0 };
    space(self);
    if (depth > DEPTH_MAX) return wrong(self, "nested too deeply");
    switch (*self->at) {
    case '{':
        return skip_members(self, '}', depth);
    case '[':
        return skip_members(self, ']', depth);
    case '"':
        good = string(self, &text);
        buf_free(&text);
        return good;
    case 't':
    case 'n':
    case 'f': {
        static const char *const words[] = { "true", "null", "false" };
        for (size_t i = 0; i < ARRAY_LEN(words); i++)
            if (strncmp(self->at, words[i], strlen(words[i])) == 0) {
                self->at += strlen(words[i]);
                return true;
            }
        return wrong(self, "expected a value");
    }
    default:
        return number(self, &whole);
    }
}

/* {"$bytes": "..."} and {"$time": "..."}. *special false: an object of another kind. */
static bool special(struct json *self, sql_params_t *to, const char *name, bool *is_special)
{
    const char *begin = self->at;
    buf_t key = { 0 }, text = { 0 };
    self->at++;
    space(self);
    *is_special = *self->at == '"' && string(self, &key);
    bool bytes = *is_special && slice_equal(slice(key.at, key.len), slice_text("$bytes"));
    bool time = *is_special && slice_equal(slice(key.at, key.len), slice_text("$time"));
    buf_free(&key);
    *is_special = bytes || time;
    if (!*is_special) {
        self->at = begin;
        return true;
    }
    bool good = expect(self, ':') && string(self, &text) && expect(self, '}');
    buf_add(&text, "", 1);
    if (good && time) {
        int64_t us;
        char instant[INSTANT_TEXT];
        good = strlen((char *)text.at) + 1 == text.len && instant_read((char *)text.at, &us);
        if (!good) wrong(self, "$time needs an instant with its offset: 2026-12-01T02:00:00Z");
        if (good) {
            instant_print(us, 'T', "Z", instant);
            sql_params_set(to, name, SQL_TIME, instant, strlen(instant));
        }
    } else if (good) {
        size_t len = 0;
        unsigned char *raw = mem_new(text.len);
        good = sodium_base642bin(raw, text.len, (char *)text.at, text.len - 1, NULL, &len, NULL,
                                 sodium_base64_VARIANT_ORIGINAL) == 0;
        if (!good) wrong(self, "$bytes needs base64");
        if (good) sql_params_set(to, name, SQL_BYTES, raw, len);
        free(raw);
    }
    buf_free(&text);
    return good;
}

static bool value(struct json *self, sql_params_t *to, const char *name)
{
    space(self);
    const char *begin = self->at;
    bool whole = false, done = false;
    buf_t text = { 0 };
    switch (*self->at) {
    case '{':
        if (!special(self, to, name, &done)) return false;
        if (done) return true;
        /* fallthrough */
    case '[':
        if (!skip(self, 0)) return false;
        sql_params_set(to, name, SQL_TEXT, begin, (size_t)(self->at - begin));
        return true;
    case '"':
        done = string(self, &text);
        if (done) sql_params_set(to, name, SQL_TEXT, text.at, text.len);
        buf_free(&text);
        return done;
    case 't':
    case 'f':
    case 'n':
        if (!skip(self, 0)) return false;
        sql_params_set(to, name, *begin == 'n' ? SQL_NULL : SQL_BOOL, begin,
                       *begin == 'n' ? 0 : (size_t)(self->at - begin));
        return true;
    default:
        if (!number(self, &whole)) return false;
        sql_params_set(to, name, whole ? SQL_INTEGER : SQL_DECIMAL, begin,
                       (size_t)(self->at - begin));
        return true;
    }
}

static bool members(struct json *self, sql_params_t *to)
{
    char close = *self->at == '{' ? '}' : ']', name[24];
    self->at++;
    space(self);
    if (*self->at == close) {
        self->at++;
        return true;
    }
    for (size_t i = 1;; i++) {
        buf_t key = { 0 };
        bool good = true;
        if (i > PARAMS_MAX) return wrong(self, "too many parameters");
        snprintf(name, sizeof name, "%zu", i);
        if (close == '}') {
            good = string(self, &key) && expect(self, ':');
            buf_add(&key, "", 1);
        }
        good = good && value(self, to, close == '}' ? (char *)key.at : name);
        buf_free(&key);
        if (!good) return false;
        space(self);
        if (*self->at == close) break;
        if (!expect(self, ',')) return false;
    }
    self->at++;
    return true;
}

static bool read_json(sql_params_t *self, const char *name, slice_t json, char *why, size_t len)
{
    if (!wire_utf8_valid((const char *)json.at, json.len)) {
        snprintf(why, len, "the parameters are not UTF-8, or hold a NUL byte");
        return false;
    }
    char *text = mem_new(json.len + 1);
    memcpy(text, json.at, json.len);
    struct json in = { .at = text, .begin = text, .why = why, .why_len = len };
    space(&in);
    bool good;
    if (name)
        good = value(&in, self, name);
    else
        good = *in.at == '{' || *in.at == '['
                   ? members(&in, self)
                   : wrong(&in, "an object by name or a list by position is wanted");
    space(&in);
    if (good && *in.at) good = wrong(&in, "something stands behind the value");
    free(text);
    return good;
}

bool sql_params_read(sql_params_t *self, slice_t json, char *why, size_t len)
{
    return json.len == 0 || read_json(self, NULL, json, why, len);
}

bool sql_params_read_one(sql_params_t *self, const char *name, slice_t json, char *why, size_t len)
{
    return read_json(self, name, json, why, len);
}

void sql_params_set(sql_params_t *self, const char *name, sql_kind_t kind, const void *at,
                    size_t len)
{
    char *bytes = mem_new(len + 1);
    if (len) memcpy(bytes, at, len);
    sql_value_t value = { kind, bytes, len };
    for (size_t i = 0; i < self->count; i++)
        if (strcmp(self->items[i].name, name) == 0) {
            free((void *)(uintptr_t)self->items[i].value.at);
            self->items[i].value = value;
            return;
        }
    self->items = mem_grow(self->items, (self->count + 1) * sizeof *self->items);
    self->items[self->count++] = (sql_param_t){ mem_text(name), value };
}

const sql_value_t *sql_params_find(const sql_params_t *self, const char *name)
{
    for (size_t i = 0; i < self->count; i++)
        if (strcmp(self->items[i].name, name) == 0) return &self->items[i].value;
    return NULL;
}

void sql_params_free(sql_params_t *self)
{
    for (size_t i = 0; i < self->count; i++) {
        free(self->items[i].name);
        free((void *)(uintptr_t)self->items[i].value.at);
    }
    free(self->items);
    *self = (sql_params_t){ 0 };
}
