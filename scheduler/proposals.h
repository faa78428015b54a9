/* SPDX-License-Identifier: Apache-2.0
 * scheduler/proposals.h - follows the broker's schedules and says when one is due.
 *
 * Keeps nothing that matters: the broker has the cursor and decides every instant. A scheduler that
 * dies loses nothing, a second one beside it only earns a CONFLICT a firing. Time is the broker's:
 * each answer carries its clock, and the difference to ours is applied. While the list comes again
 * after a reconnect what was known before goes on being proposed: what is wrong with it earns a
 * CONFLICT, a pause would be late. One thread. */
#ifndef SCHEDULER_PROPOSALS_H
#define SCHEDULER_PROPOSALS_H

#include "client/pawl.h"
#include "scheduler/timeline.h"

typedef struct proposals proposals_t;
proposals_t *proposals_new(pawl_client_t *client); /* borrowed; must outlive it */
void proposals_destroy(proposals_t **self_p);
/* Starts to follow the schedules whose labels `select` chooses (pawl_schedule_list_select; NULL:
 * all). 0 or a negative pawl_err. */
pawl_err proposals_start(proposals_t *self, const char *select);
/* Proposes what is due at now_us (own wall clock). Returns when to call again, own wall clock. */
int64_t proposals_run(proposals_t *self, int64_t now_us);

/* The parts of it that need no socket; for tests. */
void proposals_on_schedule(proposals_t *self, pawl_follow_what what, const pawl_record_t *schedule);
void proposals_take(proposals_t *self, const uint8_t uid[16], uint64_t revision, int64_t cursor_us,
                    int64_t next_us, int64_t retry_us, const char *verdict);
/* A request of sent_us (own wall clock) was answered by the broker's clock told_us, read at now_us.
 */
void proposals_compare(proposals_t *self, int64_t sent_us, int64_t told_us, int64_t now_us);
int64_t proposals_offset(const proposals_t *self); /* broker's clock - ours */
timeline_t *proposals_timeline(proposals_t *self);

#endif
