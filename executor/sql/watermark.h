/* SPDX-License-Identifier: Apache-2.0
 * executor/sql/watermark.h - the order of the values of a column that says how far a query came.
 *
 * Only kinds whose order is the same here and in every database: numbers, and times of one form;
 * texts where the database orders them by their bytes. */
#ifndef EXECUTOR_SQL_WATERMARK_H
#define EXECUTOR_SQL_WATERMARK_H

#include "executor/sql/driver.h"

bool watermark_can(const sql_value_t *value, const sql_dialect_t *dialect);
/* < 0, 0, > 0. Both of them can. */
int watermark_compare(const sql_value_t *a, const sql_value_t *b);
/* As JSON that sql_params_read_one reads back as the same value. */
void watermark_print(const sql_value_t *value, buf_t *to);

#endif
