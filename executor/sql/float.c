/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/sql/float.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

/* Equal: the question is whether the very same number comes back. */
static bool print_special(double number, char *text, size_t room)
{
    if (isnan(number))
        snprintf(text, room, "NaN");
    else if (isinf(number))
        snprintf(text, room, number < 0 ? "-Infinity" : "Infinity");
    else
        return false;
    return true;
}

void float_print(double number, char *text, size_t room)
{
    if (print_special(number, text, room)) return;
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, room, "%.*g", digits, number);
        if (strtod(text, NULL) == number) return;
    }
}

void float_print_single(float number, char *text, size_t room)
{
    if (print_special((double)number, text, room)) return;
    for (int digits = 6; digits <= 9; digits++) {
        snprintf(text, room, "%.*g", digits, (double)number);
        if (strtof(text, NULL) == number) return;
    }
}
