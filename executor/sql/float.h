/* SPDX-License-Identifier: Apache-2.0
 * executor/sql/float.h - a double as the fewest digits that mean it; NaN, Infinity, -Infinity. */
#ifndef EXECUTOR_SQL_FLOAT_H
#define EXECUTOR_SQL_FLOAT_H

#include <stddef.h>

void float_print(double number, char *text, size_t room); /* room: at least 32 */
void float_print_single(float number, char *text, size_t room);

#endif
