/* SPDX-License-Identifier: Apache-2.0
 * client/base/away.h - a daemon's log says when its broker is away and when it is back: once each,
 * BROKER_AWAY with the reason and BROKER_BACK with how long it was.
 *
 * What lasts less than AWAY_TOLD_US is not told: a broker that is restarted is back by then. */
#ifndef BASE_AWAY_H
#define BASE_AWAY_H

#include "client/base/base.h"

#define AWAY_TOLD_US INT64_C(2000000)

typedef struct away { /* all zero: it is there */
    int64_t since_us; /* steady: it was first seen to be away; 0: it is there */
    bool told;
} away_t;

/* To be called once a second or so. why: NULL: it is there; else why not, for people. */
void away_look(away_t *self, const char *endpoint, const char *why, int64_t now_us);

#endif
