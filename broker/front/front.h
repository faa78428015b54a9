/* SPDX-License-Identifier: Apache-2.0
 * broker/front/front.h - the door: the ROUTER socket, sessions, limits, batches, and everything
 * that is sent to a peer.
 *
 * The front decodes and checks each frame once, answers what needs no store (Ping, peers,
 * executors, stats), hands queries to readers and log chunks to logs, and gathers everything that
 * changes state into batches for the writer: while the writer syncs one, the next one fills; a lone
 * request goes at once. A Report with log chunks goes to logs first and on to core when they are
 * committed.
 *
 * Nothing is sent to a peer but by one function, broker_release(): outputs of a batch leave when
 * that batch is durable, never before. */
#ifndef BROKER_FRONT_H
#define BROKER_FRONT_H

#include "broker/front/door.h"
#include "broker/endpoint.h"
#include "broker/front/session.h"
#include "broker/writer.h"
#include "broker/zones.h"

typedef struct front_config {
    const char *endpoint;  /* ipc://PATH */
    door_config_t door;    /* for peers of other machines */
    const char *state_dir; /* told by StatusGet */
    sessions_config_t sessions;
    zones_t *zones;                        /* what core has; taken over */
    int64_t zones_every_us;                /* between looks at the files */
    bool record;                           /* keep frames for the writer's record */
    poison_t *poison;                      /* borrowed; NULL: nobody is suspected */
    void *writer, *logs, *readers, *stats; /* the near ends of the actors' PAIRs */
} front_config_t;

typedef struct front front_t;
/* Binds and starts the thread. ERR_OS: the endpoint cannot be bound, with a line in the log.
 * `first`: numbers of core before the writer runs; taken over. The strings are borrowed. */
MUST_CHECK err_t front_start(front_t **out, const front_config_t *config, writer_stats_t *first);
/* Stops the intake (SHUTTING_DOWN), answers everything in hand, ends the thread and closes the
 * socket; what is on its way to peers may take up to a second more inside the library. */
void front_stop(front_t **self_p);

#endif
