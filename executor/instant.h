/* SPDX-License-Identifier: Apache-2.0
 * executor/instant.h - instants as commands and databases are given them: RFC 3339, in UTC. */
#ifndef EXECUTOR_INSTANT_H
#define EXECUTOR_INSTANT_H

#include "client/base/base.h"

enum { INSTANT_TEXT = 40 };

/* The instant of an RFC 3339 text with an offset; microseconds since 1970. */
bool instant_read(const char *text, int64_t *out_us);
/* As UTC: date, `between`, time with its microseconds if there are any, `zone` ("Z" or ""). */
void instant_print(int64_t us, char between, const char *zone, char text[INSTANT_TEXT]);

#endif
