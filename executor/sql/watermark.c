/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/sql/watermark.h"

#include <ctype.h>
#include <stdlib.h>

#include "executor/sql/json.h"

static bool digits(const char *text)
{
    return isdigit((unsigned char)text[*text == '-']);
}

bool watermark_can(const sql_value_t *value, const sql_dialect_t *dialect)
{
    switch (value->kind) {
    case SQL_INTEGER:
    case SQL_DECIMAL:
    case SQL_FLOAT:
        return digits(value->at); /* not NaN, not Infinity */
    case SQL_TIME:
        return digits(value->at);
    case SQL_TEXT:
        return dialect->bytes_order;
    case SQL_NULL:
    case SQL_BOOL:
    case SQL_BYTES:
        break;
    }
    return false;
}

/* Texts of decimal digits with a point, of any length. */
static int compare_decimals(const char *a, const char *b)
{
    bool minus = *a == '-', other = *b == '-';
    if (minus != other) {
        bool zero = strspn(a + minus, "0.") == strlen(a + minus) &&
                    strspn(b + other, "0.") == strlen(b + other);
        return zero ? 0 : minus ? -1 : 1;
    }
    a += minus + strspn(a + minus, "0");
    b += other + strspn(b + other, "0");
    size_t whole_a = strspn(a, "0123456789"), whole_b = strspn(b, "0123456789");
    int order = whole_a != whole_b ? (whole_a < whole_b ? -1 : 1) : strncmp(a, b, whole_a);
    const char *fraction_a = a[whole_a] == '.' ? a + whole_a + 1 : "";
    const char *fraction_b = b[whole_b] == '.' ? b + whole_b + 1 : "";
    while (order == 0 && (*fraction_a || *fraction_b)) {
        char digit_a = *fraction_a ? *fraction_a++ : '0',
             digit_b = *fraction_b ? *fraction_b++ : '0';
        order = digit_a - digit_b;
    }
    return minus ? -order : order;
}

/* Of one form: the same up to the seconds; then a fraction or none, then Z or nothing. */
static int compare_times(const sql_value_t *a, const sql_value_t *b)
{
    const char *point_a = memchr(a->at, '.', a->len), *point_b = memchr(b->at, '.', b->len);
    size_t whole_a = point_a ? (size_t)(point_a - a->at) : strcspn(a->at, "Z");
    size_t whole_b = point_b ? (size_t)(point_b - b->at) : strcspn(b->at, "Z");
    int order = slice_compare(slice(a->at, whole_a), slice(b->at, whole_b));
    if (order) return order;
    const char *fraction_a = point_a ? point_a + 1 : "", *fraction_b = point_b ? point_b + 1 : "";
    while (order == 0 &&
           (isdigit((unsigned char)*fraction_a) || isdigit((unsigned char)*fraction_b))) {
        char digit_a = isdigit((unsigned char)*fraction_a) ? *fraction_a++ : '0';
        char digit_b = isdigit((unsigned char)*fraction_b) ? *fraction_b++ : '0';
        order = digit_a - digit_b;
    }
    return order;
}

int watermark_compare(const sql_value_t *a, const sql_value_t *b)
{
    if (a->kind == SQL_TIME) return compare_times(a, b);
    if (a->kind == SQL_TEXT) return slice_compare(slice(a->at, a->len), slice(b->at, b->len));
    if (a->kind == SQL_FLOAT || b->kind == SQL_FLOAT) {
        double left = strtod(a->at, NULL), right = strtod(b->at, NULL);
        return (left > right) - (left < right);
    }
    return compare_decimals(a->at, b->at);
}

void watermark_print(const sql_value_t *value, buf_t *to)
{
    bool instant = value->kind == SQL_TIME && value->at[value->len - 1] == 'Z';
    if (instant) buf_add(to, "{\"$time\":", 9);
    json_add_value(to, value);
    if (instant) buf_add(to, "}", 1);
}
