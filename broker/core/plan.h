/* SPDX-License-Identifier: Apache-2.0
 * broker/core/plan.h - schedules inside core: plan.c (rows), line.c (rule, zone), definition.c
 * (made and edited), schedule.c (by hand), fire.c (instants decided), ledger.c (on record),
 * overlap.c (counters), instants.c (which there are), after.c (fixed delays), calendar.c, rezone.c.
 * A part of broker/core/inside.h, which alone includes it. Instants: microseconds of calendar time,
 * un-jittered.
 */
#ifndef BROKER_PLAN_H
#define BROKER_PLAN_H

/* ERR_BAD_ZONE: its rows are missing, or no zone. */
err_t core_zone_use(core_t *core, uint64_t hash, const char *name, cached_zone_t **out);

/* Next instants that were asked for lately, in seconds; a memory of answers, nothing else. */
typedef struct line_known {
    struct {
        int64_t start, next; /* next 0: none */
    } at[4];
    size_t turn;
    int64_t work_ns; /* of the rule since line_work_ns was called last */
} line_known_t;

/* The rule of one revision, and the span of time it is valid in. */
typedef struct line {
    ruleset_t *rule;     /* owned; NULL: a fixed delay */
    line_known_t *known; /* owned; NULL as rule is */
    cached_zone_t *zone;
    int64_t from_us, to_us, jitter_us; /* 0: no bound; jitter: of this very schedule */
    uint64_t revision, zone_hash;
    uint64_t calendars[LIMIT_CALENDARS]; /* hashes that the rule was read with */
} line_t;
err_t line_load(core_t *core, uint32_t no, const uint8_t uid[16], slice_t name, uint64_t revision,
                line_t *line);
void line_set_rule(line_t *line, ruleset_t *rule); /* takes it */
void line_free(line_t *line);
int64_t line_next_us(const line_t *line, int64_t after_us);                  /* INT64_MAX: none */
int64_t line_last_us(const line_t *line, int64_t after_us, int64_t upto_us); /* INT64_MIN: none */
uint64_t line_count(const line_t *line, int64_t after_us, int64_t upto_us);  /* (after, upto] */
/* What its rule has cost since the last call; counted, never timed: a replay counts the same. */
int64_t line_work_ns(const line_t *line);

/* A backfill or a split-off backlog, as the row says. */
typedef struct range {
    struct range *next;
    uint16_t no;
    range_row_t row;
    bool dirty;
    bool held;   /* a proposal was answered HELD */
    line_t line; /* loaded when it is first needed */
    int64_t rate_at_us, rate_tokens_us;
} range_t;

/* Where firings are counted and wait for room: the row of a gate, read once and kept while it is
 * used (gate.c). A pointer to one is good until the batch ends. */
typedef struct gate {
    struct gate *same_hash, *next; /* next: of those to be written, in the order they changed */
    uint8_t id[16];
    gate_row_t row;
    bool dirty;
} gate_t;
err_t gate_get(core_t *core, const uint8_t id[16], gate_t **out);
void gate_changed(core_t *core, gate_t *gate);
err_t gates_flush(core_t *core);
void gates_trim(core_t *core); /* after the batch */
void gates_free(core_t *core);
/* Sets `scoped` and `scope_id` of a plan from its definition. False: the key does not fit it, and
 * *why (a line) says why. */
struct plan;
bool gate_find_scope(core_t *core, struct plan *plan, const char **why);

typedef struct plan {
    uint32_t no;
    sched_row_t row; /* name and reason are owned copies */
    scur_row_t cur;
    int64_t settled_us;            /* set beside a new revision: see sched_rule_row_t */
    bool cur_dirty, tell;          /* tell: followers get its new state when the batch ends */
    bool held;                     /* a proposal was answered HELD */
    bool relabelled;               /* when told: who does not choose it any more is told too */
    struct plan_block *definition; /* owned: what spec and template are in */
    uint64_t bytes;                /* of the cache that it takes, about */
    Pawl__V1__Schedule *spec;
    Pawl__V1__Task *template;
    line_t line;              /* of its revision */
    uint64_t calendars_stamp; /* core's when its calendars were compared with what is in force */
    range_t *ranges;     /* in order of their numbers: all that are not done, and some that are */
    bool ranges_changed; /* row.ranges is to be made anew when the batch ends */
    int64_t rate_at_us;  /* late tasks: broker time from which tokens count */
    int64_t rate_tokens_us;
    uint64_t used;        /* batch it was last used in */
    uint8_t gate_id[16];  /* its own */
    bool scoped;          /* its firings count together with those of others, */
    uint8_t scope_id[16]; /* there */
} plan_t;

err_t plan_get(core_t *core, uint32_t no, plan_t **out); /* ERR_NOT_FOUND */
err_t plan_by_name(core_t *core, const char *name, plan_t **out);
err_t plan_by_uid(core_t *core, slice_t uid, plan_t **out);
void plan_keep(core_t *core, plan_t *plan);     /* into the cache, which owns it then */
void plan_drop(core_t *core, plan_t *plan);     /* out of the cache */
bool plan_unpack(plan_t *plan, slice_t packed); /* its definition; false: it is none */
/* Instants (instants.c). */
int64_t plan_jitter_us(const plan_t *plan);
int64_t plan_next_us(const plan_t *plan, int64_t after_us); /* un-jittered; INT64_MAX: none */
/* Jittered, after the cursor: when a scheduler has to propose next; INT64_MAX: as it stands never
 */
int64_t plan_due_us(const plan_t *plan);
uint64_t plan_count(const plan_t *plan, int64_t after_us, int64_t upto_us);
int64_t plan_last_us(const plan_t *plan, int64_t after_us, int64_t upto_us); /* INT64_MIN: none */
bool plan_is_dated(const plan_t *plan);      /* nothing but @at and @dates */
bool plan_has_fired_all(const plan_t *plan); /* max_firings is reached */
bool plan_is_over(const plan_t *plan);       /* never plans anything again, as it stands */
typedef struct rule_refusal {
    rule_error_t error;
    size_t which; /* 0: rule; n: the n-th of also */
} rule_refusal_t;
/* *out is NULL for a fixed delay. ERR_BAD_RULE: *refusal (may be NULL) says why. */
err_t plan_read_rules(core_t *core, const Pawl__V1__Schedule *spec, const zone_t *zone,
                      const uint64_t *hashes, ruleset_t **out, rule_refusal_t *refusal);
/* A fixed delay behind each end (after.c); all but after_first do nothing for other schedules. */
void after_first(core_t *core, plan_t *plan);                        /* it is created */
void after_made(plan_t *plan);                                       /* a task of it is open now */
err_t after_ended(core_t *core, plan_t *plan);                       /* a task of it has ended */
void after_skipped(core_t *core, plan_t *plan);                      /* its instant was dropped */
void after_edited(core_t *core, plan_t *plan, int64_t old_after_us); /* its definition is new */
/* Blackout calendars (calendar.c). */
err_t calendar_put(core_t *core, const command_t *command, Pawl__V1__Reply *reply);
err_t calendar_remove(core_t *core, const command_t *command, Pawl__V1__Reply *reply);
err_t calendar_load(core_t *core, uint64_t hash, calendar_t **out); /* the caller holds it */
/* What is in force of each calendar that is named. ERR_NOT_FOUND: there is no *bad-th one. */
err_t calendar_hashes(core_t *core, const Pawl__V1__Schedule *spec, uint64_t *hashes, size_t *bad);
/* The rows that say which schedules use a calendar; old, new: NULL for none. */
err_t calendar_users(core_t *core, uint32_t schedule, const Pawl__V1__Schedule *old,
                     const Pawl__V1__Schedule *new);
err_t calendar_follow(core_t *core, plan_t *plan);
void calendars_load(core_t *core);
err_t calendars_step(core_t *core); /* some of the schedules that have not followed yet */
void calendars_free(core_t *core);
/* The instants between the cursor and now get their verdict under the rule as it is: it goes. */
err_t schedule_close_backlog(core_t *core, plan_t *plan, enum verdict_reason reason);
/* Done, and how the schedule stands now. */
void schedule_answer(core_t *core, const plan_t *plan, Pawl__V1__Reply *reply);
err_t schedule_put(core_t *core, const command_t *command, Pawl__V1__Reply *reply);
err_t schedule_change(core_t *core, const command_t *command, Pawl__V1__Reply *reply);
err_t schedules_propose(core_t *core, const command_t *command, Pawl__V1__Reply *reply);
err_t schedules_flush(core_t *core);
void schedules_trim(core_t *core);
void schedules_free(core_t *core);
/* Ranges; range.c. */
err_t ranges_load(core_t *core, plan_t *plan);
void ranges_free(plan_t *plan);
err_t ranges_flush(core_t *core, plan_t *plan);
err_t range_find(core_t *core, plan_t *plan, uint16_t no, range_t **out); /* NULL: no such */
err_t range_line(core_t *core, plan_t *plan, range_t *range);             /* loads its rule */
bool range_is_live(const range_t *range); /* not done, not cancelled */
int64_t range_cursor_us(const range_t *range);
size_t ranges_live(const plan_t *plan);
bool range_fits(const plan_t *plan); /* one more */
/* A range of (from, to] under the rule that `line` is now. */
err_t range_make(core_t *core, plan_t *plan, const range_row_t *wanted, range_t **out);
err_t range_end(core_t *core, plan_t *plan, range_t *range, enum range_state state);
err_t range_cancel(core_t *core, plan_t *plan, range_t *range, enum verdict_reason reason);
err_t range_change(core_t *core, plan_t *plan, const Pawl__V1__ScheduleChange *change,
                   Pawl__V1__Reply *reply, uint16_t *no);
err_t range_task_ended(core_t *core, plan_t *plan, const task_t *task, status_t status);
void range_infos(core_t *core, const plan_t *plan, Pawl__V1__ScheduleInfo *info);
void plan_info(core_t *core, const plan_t *plan, Pawl__V1__ScheduleInfo *info);
/* The same definition read anew, with these zone data and the calendars in force. */
err_t schedule_reread(core_t *core, plan_t *plan, uint64_t zone_hash);
/* An edit is told (journal.c): its next instant, as plan_due_us says, was `before_us`. */
err_t journal_edit(core_t *core, const plan_t *plan, int64_t before_us);
err_t schedule_zoneless(core_t *core, plan_t *plan, bool gone); /* its zone is gone, or back */
/* rezone.c: zone data, and schedules that still have to follow it. */
err_t zone_import(core_t *core, const char *name, slice_t bytes);
void rezone_load(core_t *core);
err_t rezone_step(core_t *core);
/* follow.c: schedulers, what they are told, and schedules that none of them looks after. */
typedef struct follower follower_t;
err_t schedule_follow(core_t *core, const command_t *command, Pawl__V1__Reply *reply);
void schedule_unfollow(core_t *core, conn_t conn);
void schedules_tell(core_t *core);
void followers_free(core_t *core);
bool labels_same(const Pawl__V1__Schedule *a, const Pawl__V1__Schedule *b);
err_t labels_save(core_t *core, uint32_t no, const Pawl__V1__Schedule *spec, bool had);
void attended_look(core_t *core);      /* who follows has changed: look in a while, anew */
void attended_look_soon(core_t *core); /* a schedule has changed: look in a while */
/* It has an instant again: an earlier look counted it as one that needs nobody. */
void attended_armed(core_t *core, const plan_t *plan);
err_t attended_step(core_t *core);
/* Its watermark goes, when it is removed and none of its tasks is open (watermark.c). */
err_t watermark_forget_schedule(core_t *core, const plan_t *plan);
/* Hooks of the task life cycle. */
err_t schedule_task_leased(core_t *core, const task_t *task, bool first);
err_t schedule_task_ended(core_t *core, const task_t *task, status_t status, bool had_lease,
                          bool was_parked);
err_t schedule_task_again(core_t *core, task_t *task, bool *park);
err_t schedule_task_unpark(core_t *core, const task_t *task, int64_t due_us); /* out of its line */
/* range: NULL, or whose instants these are. Moves its cursor over them. */
err_t ledger_add(core_t *core, plan_t *plan, range_t *range, const extent_t *extent);
err_t ledger_close(core_t *core, plan_t *plan, range_t *range); /* nothing follows the newest */
/* Skips every instant from the cursor to `last`, and moves the cursor there. */
err_t ledger_skip(core_t *core, plan_t *plan, int64_t last_us, enum verdict_reason reason,
                  uint64_t aux);
bool plan_is_late(core_t *core, const plan_t *plan); /* its next instant is */
err_t schedule_release(core_t *core, plan_t *plan);  /* parked tasks that there is room for */
err_t schedule_task_held(core_t *core, const task_t *task, bool was_parked);
/* One folded firing for all that is due; refused when there is no room for it. */
err_t fire_latest(core_t *core, plan_t *plan, Pawl__V1__Reply *reply);
err_t schedule_fire_now(core_t *core, plan_t *plan, Pawl__V1__Overlap overlap, uint8_t id[16],
                        Pawl__V1__Reply *reply); /* by hand */
/* The rows of a plan, one by one; plan.c. */
void plan_touch(core_t *core,
                plan_t *plan); /* it is used in this batch: flush and tell look at it */
void plan_free(plan_t *plan);
err_t plan_save(core_t *core, const plan_t *plan); /* its header */
err_t plan_save_definition(core_t *core, uint32_t no, uint32_t old_len, slice_t bytes);
err_t plan_save_rule(core_t *core, const plan_t *plan); /* of its present revision */
/* The gate of the plan's next firings; range: NULL, or whose they are; overlap.c. */
void plan_gate(const plan_t *plan, const range_t *range, uint8_t gate[16]);
/* What the overlap policy says about one more firing at that gate. */
enum admission { FIRE, PARK, DROP };
err_t plan_admit(core_t *core, plan_t *plan, const uint8_t gate[16], Pawl__V1__Overlap overlap,
                 enum admission *answer);
/* The task that is in the way of the next one, by its number; 0: not known. */
err_t plan_blocker(core_t *core, const plan_t *plan, const uint8_t gate[16], uint64_t *n);
/* A new firing is counted; then, once its rows are there, a parked one stands in the gate's line.
 */
err_t plan_count_in(core_t *core, plan_t *plan, const uint8_t gate[16], bool parked);
err_t plan_park(core_t *core, plan_t *plan, const uint8_t gate[16], uint64_t n);
/* An older firing that never had a lease gives way. */
err_t plan_supersede(core_t *core, plan_t *plan);

#endif
