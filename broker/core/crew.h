/* SPDX-License-Identifier: Apache-2.0
 * broker/core/crew.h - executors that offer the same, and which of them have room. Part of
 * inside.h.
 *
 * A fleet is many executors and few crews. What may be served is found out once for a crew, and who
 * is asked for a lane's tasks is who stands first in the lines of its crews. So dispatch costs what
 * has changed, and not what there is (docs/decisions/0032). */
#ifndef BROKER_CREW_H
#define BROKER_CREW_H

#include "broker/core/core.h"
#include "client/base/base.h"

typedef struct crew crew_t;
struct executor;
struct lane;

/* What an executor has room for; better ones are asked first. */
enum room {
    ROOM_NONE,
    ROOM_SLOT,  /* something to run now */
    ROOM_AHEAD, /* no more than the next task, which is there when a slot becomes free */
    ROOMS
};

struct crew {
    crew_t *same_hash;
    uint64_t hash;
    size_t members;  /* executors that belong to it, those of a commit that may fail included */
    uint32_t *types; /* numbers, sorted */
    size_t types_n;
    uint32_t *queues; /* likewise; empty: all */
    size_t queues_n;
    char **labels; /* "k=v", sorted; each of its sources as SOURCE_LABEL */
    size_t labels_n;
    char **interpreters; /* name, NUL, version; sorted */
    size_t interpreters_n;
    struct lane *
        *lanes; /* that its executors may serve; those for one executor only are not here */
    size_t lanes_n;
    uint64_t lanes_stamp; /* core->lanes_stamp they were chosen at */
    struct crew_line {    /* executors with room; who was asked last stands last */
        struct executor *first, *last;
        size_t n;
    } lines[ROOMS];
};

/* The crew of who offers this, one member more. Makes names for its types and queues. */
err_t crew_join(core_t *core, const Pawl__V1__Hello *hello, crew_t **out);
void crew_leave(core_t *core, crew_t **crew_p); /* NULL is none */
/* By what it offers; what the lane says of names and hosts is left to the executor. */
bool crew_serves(const crew_t *crew, const struct lane *lane);
void crew_choose_lanes(core_t *core, crew_t *crew);   /* if there are new ones */
enum room crew_room(const struct executor *executor); /* as it stands now */
/* Puts the executor into the line that its room asks for, or out of all. */
void crew_line_up(core_t *core, struct executor *executor);
void crew_to_the_end(core_t *core, struct executor *executor); /* of its line: it was asked */
void crews_forget_lines(core_t *core);
void crews_free(core_t *core);

#endif
