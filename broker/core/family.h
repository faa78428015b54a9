/* SPDX-License-Identifier: Apache-2.0
 * broker/core/family.h - fan-outs inside core: a parent and one child for each member. Included by
 * inside.h only.
 *
 * The parent is a task without a lane and without a lease: it runs while its children do. Counters
 * and policy are its fam row, read when first touched in a batch and written at its end. What a
 * child's end means for the rest (the next wave, the parent's end) is decided once a batch, in
 * families_settle(), and so in the same commit.
 *
 * A parent and all its children are made in one commit. Whatever is done to many children later is
 * done to core->children_left of them a batch; what is left goes on with the next one, by the
 * family's timer. */
#ifndef BROKER_FAMILY_H
#define BROKER_FAMILY_H

typedef struct family {
    uint64_t n; /* of the parent */
    fam_row_t row;
    bool dirty, touched, gone;
    bool more; /* this batch has left something to the next one */
} family_t;

typedef struct members {
    const char **names;
    size_t n, too_many; /* too_many: how many there would be; then n is 0 */
    size_t found;       /* of those that it does not name: how many exist */
    bool shortage;      /* fewer than `count` exist; then n is 0 */
} members_t;

/* enrol.c */
err_t enrol_hello(core_t *core, executor_t *executor);
err_t enrol_seen(core_t *core, executor_t *executor);       /* it leaves */
err_t enrol_forget(core_t *core, uint32_t no, bool *known); /* known: it was enrolled */
#define ENROL_EVERY_US (86400 * PAWL_SEC_US)
err_t enrol_daily(core_t *core, executor_t *executor);                 /* if it is time */
err_t enrol_seen_us(core_t *core, const char *name, int64_t *seen_us); /* 0: never */
bool enrol_is_here(core_t *core, const char *name);                    /* connected now */
/* Not here, and since the broker's start it has had a lease's time to come. */
bool enrol_away(core_t *core, const char *name);
err_t enrol_fits(core_t *core, const executor_t *executor, const Pawl__V1__Task *body,
                 uint32_t type, uint32_t queue, bool *answer);
size_t enrol_most(const core_t *core, const Pawl__V1__Fanout *fanout); /* members, at most */
err_t enrol_members(core_t *core, const Pawl__V1__Task *body, const uint8_t id[16],
                    members_t *members);

/* family.c */
err_t family_get(core_t *core, uint64_t parent, family_t **out);
void family_touch(core_t *core, family_t *family);
/* Children and fam row of a parent that task_create has just made; starts it when it is ready.
 * bytes: its body, which lasts until the batch ends. */
err_t family_make(core_t *core, task_t *parent, const Pawl__V1__Task *body, slice_t bytes,
                  const members_t *members);
/* A fan-out counts as what it writes: BUSY when this batch has made so many children that it takes
 * no further one; NULL: it does. */
Pawl__V1__Error *family_crowd(core_t *core);
/* The running fan-outs that count at this gate are cancelled, by their schedules, the oldest first;
 * schedule: 0, or the only one that counts there; hard: as family_cancel. */
err_t families_stop_fired(core_t *core, uint32_t schedule, const uint8_t gate[16], bool hard);
/* The parent's time has come: from waiting to running. */
err_t family_start(core_t *core, task_t *parent);
/* The parent is run again by hand: it is open from now on. Without a child until now, its members
 * are who is enrolled now. */
err_t family_again(core_t *core, task_t *parent);
err_t family_child_ended(core_t *core, const task_t *child, status_t from);
err_t family_parent_ended(core_t *core, const task_t *parent);
err_t family_timer(core_t *core, uint64_t parent);
/* An executor said Hello: fan-outs that may be joined get a child for it. */
err_t families_join(core_t *core, const executor_t *executor);
err_t families_flush(core_t *core);
void families_free(core_t *core);
/* The first child from number `from` on; name: of its executor. ERR_NOT_FOUND: none is left. */
err_t family_next(core_t *core, const family_t *family, uint64_t from, task_t *child,
                  char name[LIMIT_NAME + 1]);
/* What a Lease says of the family: parent, index, total, schedule and instant. */
err_t family_lease(core_t *core, const run_t *run, Pawl__V1__Lease *lease);
/* Its executor was lost, and the policy lets it run elsewhere. */
err_t family_move_child(core_t *core, task_t *child);

/* wave.c */
err_t families_settle(core_t *core);
uint32_t fam_row_needed(const fam_row_t *row);
/* The counter that an ended child is part of. */
uint32_t *fam_row_counter(fam_row_t *row, uint8_t status, uint8_t reason);

/* tree.c: what is done to all of it, and retention */
err_t family_cancel(core_t *core, task_t *parent, uint8_t reason, const char *message, bool hard);
err_t family_hold(core_t *core, const task_t *parent);
/* Begins a pass (PASS_*), which makes others void. */
void family_pass(core_t *core, family_t *family, uint8_t pass);
err_t family_passes(core_t *core, family_t *family); /* goes on with what was begun */
/* *held: no child of it may wait for an executor. */
err_t family_is_held(core_t *core, const task_t *child, bool *held);
/* A child that waits has come up for its lease. False in *may: its family is stopped or held, and
 * only the pass has not come to it yet; family_put_aside is what the pass would do. */
err_t family_may_lease(core_t *core, const task_t *child, bool *may);
err_t family_put_aside(core_t *core, task_t *child);
/* *refusal stays NULL: family_retry may bring back the children that did not finish. */
err_t family_may_retry(core_t *core, const task_t *parent, const char **refusal);
err_t family_retry(core_t *core, task_t *parent);
err_t family_child_again(core_t *core, const task_t *child, const char **refusal);
/* Retention. *begun: all of it has ended, and it goes from now on. */
err_t family_remove(core_t *core, uint64_t parent, bool *begun);
/* core_verify: counters against children, in the order of the rows. Empty: they agree. */
err_t families_verify(core_t *core, char *difference, size_t len);

#endif
