/* SPDX-License-Identifier: Apache-2.0
 * client/base/clock.h - the only place that reads a clock or asks for random bytes. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

int64_t clock_wall_us(void);   /* CLOCK_REALTIME, microseconds since 1970 UTC */
int64_t clock_steady_us(void); /* CLOCK_BOOTTIME: never goes back, counts through suspend */
void random_bytes(void *to, size_t len);

#endif
