/* SPDX-License-Identifier: Apache-2.0
 * broker/readers/query_task.h - what the answers about tasks share among themselves. */
#ifndef BROKER_QUERY_TASK_H
#define BROKER_QUERY_TASK_H

#include "broker/readers/answer.h"

#define TASK_S(name) PAWL__V1__TASK_STATUS__STATUS_##name

/* What lists show of a task; `task` is its body. */
MUST_CHECK err_t task_info(answer_t *self, const task_rows_t *rows, const meta_dynamic_t *meta,
                           const Pawl__V1__Task *task, Pawl__V1__TaskInfo **out);
/* Makes the reply a TaskItems with room for so many. */
Pawl__V1__TaskItems *task_items(answer_t *self, size_t room, Pawl__V1__Reply *reply);

/* Of core (task.c): what a priority adds to the time in a ready key. */
int64_t priority_offset_us(unsigned priority);
/* Of core (wave.c): how many children must finish, and where an ended one counts. */
uint32_t fam_row_needed(const fam_row_t *row);
uint32_t *fam_row_counter(fam_row_t *row, uint8_t status, uint8_t reason);

#endif
