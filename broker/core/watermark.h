/* SPDX-License-Identifier: Apache-2.0
 * broker/core/watermark.h - whose watermark a producer has: the rule that core and the readers
 * share. */
#ifndef BROKER_WATERMARK_H
#define BROKER_WATERMARK_H

#include "broker/store/record.h"
#include "schemas/pawl.pb-c.h"

#define TYPE_PRODUCER "pawl/sql-producer"

/* scheduled: the producer is a firing of a schedule. */
static inline scope_kind_t watermark_kind(const Pawl__V1__SqlProducer *spec, bool scheduled)
{
    bool lasting = spec->key[0] || spec->watermark[0];
    if (spec->scope[0]) return strcmp(spec->scope, "task") == 0 ? SCOPE_TASK : SCOPE_NAMED;
    return lasting && scheduled ? SCOPE_SCHEDULE : SCOPE_TASK;
}

#endif
