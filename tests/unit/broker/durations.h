/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/broker/durations.h - spans of time as tests speak of them, in microseconds. */
#ifndef TESTS_UNIT_BROKER_DURATIONS_H
#define TESTS_UNIT_BROKER_DURATIONS_H

#include <stdint.h>

#define SECOND INT64_C(1000000)
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)

#endif
