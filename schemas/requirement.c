/* SPDX-License-Identifier: Apache-2.0 */
#include "schemas/requirement.h"

#include <string.h>

static const char operators[] = "<>=";

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static const char *skip_spaces(const char *at)
{
    return at + strspn(at, " ");
}

/* Behind the operator, of which *least, *most say what it lets through: -1 older, 0 same, 1 newer.
 */
static const char *read_operator(const char *at, int *least, int *most)
{
    *least = *at == '<' ? -1 : *at == '>' && at[1] != '=' ? 1 : 0;
    *most = *at == '>' ? 1 : *at == '<' && at[1] != '=' ? -1 : 0;
    return skip_spaces(at + 1 + (*at != '=' && at[1] == '='));
}

size_t requirement_name(const char *text)
{
    int least, most;
    size_t len = strcspn(text, " <>=");
    const char *at = skip_spaces(text + len);
    if (len == 0 || *at == '\0') return text[len] == '\0' ? len : 0;
    if (strchr(operators, *at) == NULL) return 0;
    at = read_operator(at, &least, &most);
    return is_digit(*at) && at[strspn(at, "0123456789.")] == '\0' ? len : 0;
}

/* The next number; *at behind it and one dot. */
static unsigned long next_number(const char **at)
{
    unsigned long number = 0;
    for (; is_digit(**at); (*at)++)
        if (number < 100000000) number = number * 10 + (unsigned long)(**at - '0');
    if (**at == '.' && is_digit((*at)[1])) (*at)++;
    return number;
}

static int compare(const char *a, const char *b)
{
    while (is_digit(*a) || is_digit(*b)) {
        unsigned long x = is_digit(*a) ? next_number(&a) : 0;
        unsigned long y = is_digit(*b) ? next_number(&b) : 0;
        if (x != y) return x < y ? -1 : 1;
    }
    return 0;
}

bool requirement_met(const char *text, const char *name, const char *version)
{
    int least, most;
    size_t len = requirement_name(text);
    if (len == 0 || strlen(name) != len || memcmp(name, text, len) != 0) return false;
    const char *at = skip_spaces(text + len);
    if (*at == '\0') return true;
    if (!is_digit(*version)) return false;
    at = read_operator(at, &least, &most);
    int order = compare(version, at);
    return order >= least && order <= most;
}
