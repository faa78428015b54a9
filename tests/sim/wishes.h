/* SPDX-License-Identifier: Apache-2.0
 * tests/sim/wishes.h - what clients ask for, drawn at random from the seed. */
#ifndef SIM_WISHES_H
#define SIM_WISHES_H

#include "tests/sim/sim.h"

/* A task or a fan-out, packed behind what is in `to`, and the id that it drew. */
void wishes_task(sim_t *sim, uint8_t id[16], buf_t *to);

/* A schedule and what it points to. */
typedef struct schedule_wish {
    Pawl__V1__Schedule schedule;
    char rule[80], second[40], *also[1], *calendars[1];
    Pawl__V1__Label team, *labels[1];
    uint8_t packed[256];
} schedule_wish_t;

/* `name` is kept by it. */
void wishes_schedule(sim_t *sim, char *name, schedule_wish_t *wish);

/* Entries of a calendar, as texts; returns how many. */
enum { WISHES_CLOSED = 3 };
size_t wishes_closed(sim_t *sim, char texts[WISHES_CLOSED][64]);

#endif
