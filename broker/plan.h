/* SPDX-License-Identifier: Apache-2.0
 * broker/plan.h - schedules inside core: plan.c (rows, rule), schedule.c (made and edited), fire.c
 * (instants decided), ledger.c (on record), overlap.c (counters), rezone.c. A part of
 * broker/inside.h, which alone includes it. Instants: microseconds of calendar time, un-jittered.
 */
#ifndef BROKER_PLAN_H
#define BROKER_PLAN_H

typedef struct plan {
    uint32_t no;
    sched_row_t row; /* name and reason are owned copies */
    scur_row_t cur;
    bool cur_dirty, tell;     /* tell: followers get its new state when the batch ends */
    bool held;                /* a proposal was answered HELD */
    Pawl__V1__Schedule *spec; /* unpacked definition, malloc'ed by protobuf-c */
    Pawl__V1__Task *template;
    zone_t *zone;
    uint64_t zone_hash;
    rule_t *rule;
    int64_t rate_at_us; /* late tasks: broker time from which tokens count */
    int64_t rate_tokens_us;
    uint64_t used; /* batch it was last used in */
    uint8_t gate_id[16];
    gate_row_t gate;
    bool gate_dirty;
} plan_t;

err_t plan_get(core_t *core, uint32_t no, plan_t **out); /* ERR_NOT_FOUND */
err_t plan_by_name(core_t *core, const char *name, plan_t **out);
err_t plan_by_uid(core_t *core, slice_t uid, plan_t **out);
int64_t plan_jitter_us(const plan_t *plan);
int64_t plan_next_us(const plan_t *plan, int64_t after_us); /* un-jittered; INT64_MAX: none */
uint64_t plan_count(const plan_t *plan, int64_t after_us, int64_t upto_us);
int64_t plan_last_us(const plan_t *plan, int64_t after_us, int64_t upto_us); /* INT64_MIN: none */
void plan_drop(core_t *core, plan_t *plan);                                  /* out of the cache */
err_t schedule_put(core_t *core, const command_t *command, Pawl__V1__Reply *reply);
err_t schedule_change(core_t *core, const command_t *command, Pawl__V1__Reply *reply);
err_t schedule_follow(core_t *core, const command_t *command, Pawl__V1__Reply *reply);
err_t schedules_propose(core_t *core, const command_t *command, Pawl__V1__Reply *reply);
err_t schedules_flush(core_t *core);
void schedules_tell(core_t *core);
void schedules_trim(core_t *core);
void schedule_unfollow(core_t *core, conn_t conn);
void schedules_free(core_t *core);
void plan_info(core_t *core, const plan_t *plan, Pawl__V1__ScheduleInfo *info);
err_t schedule_rezone(core_t *core, plan_t *plan, uint64_t zone_hash);
/* rezone.c: zone data, and schedules that still have to follow it. */
err_t zone_import(core_t *core, const char *name, slice_t bytes);
void rezone_load(core_t *core);
err_t rezone_step(core_t *core);
/* Hooks of the task life cycle. */
err_t schedule_task_leased(core_t *core, const task_t *task, bool first);
err_t schedule_task_ended(core_t *core, const task_t *task, bool had_lease, bool was_parked);
err_t schedule_task_again(core_t *core, task_t *task, bool *park);
err_t ledger_add(core_t *core, plan_t *plan, const extent_t *extent);
/* Skips every instant from the cursor to `last`, and moves the cursor there. */
err_t ledger_skip(core_t *core, plan_t *plan, int64_t last_us, enum verdict_reason reason,
                  uint64_t aux);
err_t fold_into(core_t *core, plan_t *plan, int64_t last_us);
err_t schedule_release(core_t *core, plan_t *plan); /* parked tasks that there is room for */
err_t schedule_task_held(core_t *core, const task_t *task, bool was_parked);
err_t fire_latest(core_t *core, plan_t *plan); /* one folded firing for all that is due */
err_t schedule_fire_now(core_t *core, plan_t *plan, Pawl__V1__Overlap overlap, uint8_t id[16],
                        const char **refusal);
/* The rows of a plan, one by one; plan.c. */
void plan_touch(core_t *core,
                plan_t *plan); /* it is used in this batch: flush and tell look at it */
void plan_free(plan_t *plan);
err_t plan_save(core_t *core, const plan_t *plan); /* its header */
err_t plan_save_definition(core_t *core, uint32_t no, uint32_t old_len, slice_t bytes);
err_t plan_save_rule(core_t *core, uint32_t no, uint64_t revision, uint64_t zone_hash,
                     const Pawl__V1__Schedule *spec);
err_t plan_load_zone(core_t *core, uint64_t hash, const char *name, zone_t **zone);
/* What the overlap policy says about one more firing; overlap.c. */
enum admission { FIRE, PARK, DROP };
err_t plan_admit(core_t *core, plan_t *plan, Pawl__V1__Overlap overlap, enum admission *answer);
/* An older firing that never had a lease gives way. */
err_t plan_supersede(core_t *core, plan_t *plan);

#endif
