/* SPDX-License-Identifier: Apache-2.0 */
#include "client/base/select.h"

static slice_t trimmed(const char *at, const char *end)
{
    while (at < end && *at == ' ')
        at++;
    while (end > at && end[-1] == ' ')
        end--;
    return slice(at, (size_t)(end - at));
}

/* One term. NULL, or what is wrong with it. */
static const char *read_term(select_t *self, const char *at, const char *end)
{
    slice_t term = trimmed(at, end);
    if (term.len == 0) return "a term is missing: K=V, K!=V, K or !K";
    if (self->n == LIMIT_LABELS) return "more than 16 terms";
    bool negated = term.at[0] == '!';
    if (negated) term = slice(term.at + 1, term.len - 1);
    const char *from = (const char *)term.at, *stop = from + term.len;
    const char *sign = memchr(from, '=', term.len);
    if (negated && sign) return "either !K or K!=V";
    label_t label = { .key = trimmed(from, sign ? sign : stop) };
    if (sign) {
        label.value = trimmed(sign + 1, stop);
        if (sign > from && sign[-1] == '!') {
            negated = true;
            label.key = trimmed(from, sign - 1);
        }
    }
    if (label.key.len == 0) return "the name of the label is missing";
    if (label.key.len > LIMIT_LABEL || label.value.len > LIMIT_LABEL)
        return "a label's name or value has at most 64 bytes";
    self->terms[self->n].label = label;
    self->terms[self->n].any = sign == NULL;
    self->terms[self->n++].negated = negated;
    return NULL;
}

bool select_parse(select_t *self, const char *text, const char **why, size_t *column)
{
    *self = (select_t){ 0 };
    *why = NULL;
    *column = 1;
    size_t len = strlen(text);
    if (len > LIMIT_SELECT) {
        *why = "it is longer than 1000 bytes";
        return false;
    }
    memcpy(self->text, text, len + 1);
    if (text[strspn(text, " ")] == '\0') return true;
    const char *at = self->text, *end;
    do {
        end = at + strcspn(at, ",");
        *column = (size_t)(at - self->text) + 1;
        *why = read_term(self, at, end);
        at = end + 1;
    } while (!*why && *end);
    return !*why;
}

static bool holds(const label_t *label, const label_t *wanted, bool any)
{
    return slice_equal(label->key, wanted->key) &&
           (any || slice_equal(label->value, wanted->value));
}

bool select_matches(const select_t *self, const label_t *labels, size_t n)
{
    for (size_t i = 0; i < self->n; i++) {
        bool found = false;
        for (size_t k = 0; k < n && !found; k++)
            found = holds(&labels[k], &self->terms[i].label, self->terms[i].any);
        if (found == self->terms[i].negated) return false;
    }
    return true;
}

void labels_encode(buf_t *to, const label_t *labels, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const slice_t parts[] = { labels[i].key, labels[i].value };
        for (size_t k = 0; k < 2; k++) {
            uint8_t len = (uint8_t)parts[k].len;
            CHECK(parts[k].len <= LIMIT_LABEL);
            buf_add(to, &len, 1);
            buf_add(to, parts[k].at, len);
        }
    }
}

size_t labels_decode(label_t *labels, slice_t from)
{
    reader_t in = reader(from);
    size_t n = 0;
    for (; in.at < in.end && n < LIMIT_LABELS; n++) {
        labels[n].key = reader_bytes(&in, reader_u8(&in));
        labels[n].value = reader_bytes(&in, reader_u8(&in));
    }
    return in.bad || in.at != in.end ? SIZE_MAX : n;
}
