/* SPDX-License-Identifier: Apache-2.0
 * broker/readers/query_watermark.h - watermarks of producers from a snapshot. */
#ifndef BROKER_QUERY_WATERMARK_H
#define BROKER_QUERY_WATERMARK_H

#include "broker/readers/answer.h"

MUST_CHECK err_t query_watermark_list(answer_t *self, const Pawl__V1__WatermarkList *ask,
                                      Pawl__V1__Reply *reply);
/* Of an event about a named scope: the name, from the first eight bytes of its hash; "" when the
 * row is gone or has none. */
MUST_CHECK err_t watermark_name(answer_t *self, uint64_t begins, char **name);

#endif
