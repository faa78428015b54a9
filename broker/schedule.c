/* SPDX-License-Identifier: Apache-2.0
 * schedule.c - schedules as they are stored, edited and told to schedulers. What becomes of their
 * instants is decided in fire.c. */
#include "broker/inside.h"

#include <stdlib.h>

enum { PLANS_KEPT = 20000, FOLLOW_PAGE = 500 };

/* ---- rows ---------------------------------------------------------------------------------------
 */

static void plan_free(plan_t *plan)
{
    rule_destroy(&plan->rule);
    zone_destroy(&plan->zone);
    if (plan->spec) pawl__v1__schedule__free_unpacked(plan->spec, NULL);
    if (plan->template) pawl__v1__task__free_unpacked(plan->template, NULL);
    free((void *)(uintptr_t)plan->row.name.at);
    free((void *)(uintptr_t)plan->row.reason.at);
    free(plan);
}

void plan_drop(core_t *core, plan_t *plan)
{
    map_take(&core->plans, plan->no);
    plan_free(plan);
}

void schedules_free(core_t *core)
{
    size_t at = 0;
    for (plan_t *plan; (plan = map_next(&core->plans, &at)) != NULL;)
        plan_free(plan);
    map_free(&core->plans);
    free(core->touched);
    core->touched = NULL;
    core->touched_n = core->touched_room = 0;
}

static void touch(core_t *core, plan_t *plan)
{
    if (plan->used == core->meta.batch) return;
    plan->used = core->meta.batch;
    if (core->touched_n == core->touched_room) {
        core->touched_room = core->touched_room ? core->touched_room * 2 : 64;
        core->touched = mem_grow(core->touched, core->touched_room * sizeof(plan_t *));
    }
    core->touched[core->touched_n++] = plan;
}

static err_t load_definition(core_t *core, plan_t *plan)
{
    buf_t bytes = { 0 };
    for (uint64_t part = 0; bytes.len < plan->row.definition_len; part++) {
        rec_key_t key = key_sched(plan->no, SCHED_PART, part);
        slice_t value;
        err_t err = store_get(core->store, TABLE_sched, key_slice(&key), &value);
        if (err != ERR_OK || value.len == 0) {
            buf_free(&bytes);
            return err == ERR_OK || err == ERR_NOT_FOUND ? ERR_CORRUPT : err;
        }
        buf_add(&bytes, value.at, value.len);
    }
    plan->spec = pawl__v1__schedule__unpack(NULL, bytes.len, bytes.at);
    buf_free(&bytes);
    if (plan->spec == NULL) return ERR_CORRUPT;
    plan->template = pawl__v1__task__unpack(NULL, plan->spec->task.len, plan->spec->task.data);
    return plan->template ? ERR_OK : ERR_CORRUPT;
}

static err_t load_zone(core_t *core, uint64_t hash, const char *name, zone_t **zone)
{
    buf_t bytes = { 0 };
    for (uint16_t part = 0;; part++) {
        rec_key_t key = key_zone(hash, part);
        slice_t value;
        err_t err = store_get(core->store, TABLE_zone, key_slice(&key), &value);
        if (err == ERR_NOT_FOUND) break;
        if (err != ERR_OK) {
            buf_free(&bytes);
            return err;
        }
        buf_add(&bytes, value.at, value.len);
    }
    err_t err = zone_parse(zone, name, slice(bytes.at, bytes.len));
    buf_free(&bytes);
    return err;
}

static err_t load_rule(core_t *core, plan_t *plan)
{
    const Pawl__V1__Schedule *spec = plan->spec;
    rec_key_t key = key_sched(plan->no, SCHED_RULE, plan->row.revision);
    slice_t value;
    sched_rule_row_t row;
    TRY(store_get(core->store, TABLE_sched, key_slice(&key), &value));
    if (!sched_rule_row_decode(&row, value)) return ERR_CORRUPT;
    if (load_zone(core, row.zone_hash, spec->zone, &plan->zone) != ERR_OK) return ERR_CORRUPT;
    plan->zone_hash = row.zone_hash;
    rule_error_t error;
    return rule_parse(&plan->rule, spec->rule, strlen(spec->rule),
                      spec->exclusions[0] ? spec->exclusions : NULL, spec->name, plan->zone,
                      &error) == ERR_OK
               ? ERR_OK
               : ERR_CORRUPT;
}

static err_t load_row(core_t *core, plan_t *plan)
{
    rec_key_t key = key_sched(plan->no, SCHED_HEADER, 0);
    slice_t value;
    TRY(store_get(core->store, TABLE_sched, key_slice(&key), &value));
    if (!sched_row_decode(&plan->row, value)) {
        plan->row.name = plan->row.reason = slice(NULL, 0);
        return ERR_CORRUPT;
    }
    plan->row.name.at = mem_copy(plan->row.name.at, plan->row.name.len);
    plan->row.reason.at = mem_copy(plan->row.reason.at, plan->row.reason.len);
    rec_key_t cur = key_u32(plan->no);
    TRY(store_get(core->store, TABLE_scur, key_slice(&cur), &value));
    if (!scur_row_decode(&plan->cur, value)) return ERR_CORRUPT;
    gate_of_schedule(plan->no, plan->gate_id);
    plan->gate = (gate_row_t){ .kind = GATE_OVERLAP, .subject = plan->no };
    rec_key_t gate = key_gate(plan->gate_id);
    err_t err = store_get(core->store, TABLE_gate, key_slice(&gate), &value);
    if (err == ERR_OK && !gate_row_decode(&plan->gate, value)) return ERR_CORRUPT;
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

err_t plan_get(core_t *core, uint32_t no, plan_t **out)
{
    plan_t *plan = map_get(&core->plans, no);
    if (plan == NULL) {
        plan = mem_new(sizeof *plan);
        plan->no = no;
        plan->rate_at_us = core->now_us;
        err_t err = load_row(core, plan);
        if (err == ERR_OK) err = load_definition(core, plan);
        if (err == ERR_OK) err = load_rule(core, plan);
        if (err != ERR_OK) {
            plan_free(plan);
            return err;
        }
        map_put(&core->plans, no, plan);
    }
    touch(core, plan);
    *out = plan;
    return ERR_OK;
}

static err_t look_up(core_t *core, enum name_kind kind, slice_t text, uint32_t *no)
{
    rec_key_t key = key_name(kind, text);
    slice_t value;
    TRY(store_get(core->store, TABLE_names, key_slice(&key), &value));
    return name_row_decode(no, value) ? ERR_OK : ERR_CORRUPT;
}

err_t plan_by_name(core_t *core, const char *name, plan_t **out)
{
    uint32_t no;
    TRY(look_up(core, NAME_SCHEDULE, slice_text(name), &no));
    return plan_get(core, no, out);
}

err_t plan_by_uid(core_t *core, slice_t uid, plan_t **out)
{
    uint32_t no;
    TRY(look_up(core, NAME_UID, uid, &no));
    return plan_get(core, no, out);
}

static err_t save_row(core_t *core, const plan_t *plan)
{
    core->scratch.len = 0;
    sched_row_encode(&plan->row, &core->scratch);
    rec_key_t key = key_sched(plan->no, SCHED_HEADER, 0);
    return put_scratch(core, TABLE_sched, &key, 0);
}

static err_t save_definition(core_t *core, uint32_t no, uint32_t old_len, slice_t bytes)
{
    uint64_t part = 0;
    for (; bytes.len > 0; part++) {
        size_t len = bytes.len < LIMIT_SPEC_INLINE ? bytes.len : LIMIT_SPEC_INLINE;
        rec_key_t key = key_sched(no, SCHED_PART, part);
        TRY(store_put(core->store, TABLE_sched, key_slice(&key), slice(bytes.at, len), 0));
        bytes = slice(bytes.at + len, bytes.len - len);
    }
    for (uint64_t old = (old_len + LIMIT_SPEC_INLINE - 1) / LIMIT_SPEC_INLINE; part < old; part++) {
        rec_key_t key = key_sched(no, SCHED_PART, part);
        TRY(del_row(core, TABLE_sched, &key));
    }
    return ERR_OK;
}

static err_t save_rule(core_t *core, uint32_t no, uint64_t revision, uint64_t zone_hash,
                       const Pawl__V1__Schedule *spec)
{
    sched_rule_row_t row = { .zone_hash = zone_hash,
                             .jitter_us = spec->jitter_us,
                             .from_us = spec->from_us,
                             .to_us = spec->to_us,
                             .rule = slice_text(spec->rule),
                             .zone = slice_text(spec->zone),
                             .exclusions = slice_text(spec->exclusions) };
    core->scratch.len = 0;
    sched_rule_row_encode(&row, &core->scratch);
    rec_key_t key = key_sched(no, SCHED_RULE, revision);
    return put_scratch(core, TABLE_sched, &key, 0);
}

/* The data of its zone changed: a new revision of the same definition. The cursor stays. */
err_t schedule_rezone(core_t *core, plan_t *plan, uint64_t zone_hash)
{
    const Pawl__V1__Schedule *spec = plan->spec;
    zone_t *zone = NULL;
    rule_t *rule = NULL;
    rule_error_t error;
    if (load_zone(core, zone_hash, spec->zone, &zone) != ERR_OK) return ERR_CORRUPT;
    if (rule_parse(&rule, spec->rule, strlen(spec->rule),
                   spec->exclusions[0] ? spec->exclusions : NULL, spec->name, zone,
                   &error) != ERR_OK) {
        zone_destroy(&zone); /* e.g. a local date that is none any more: it keeps what it has */
        return ERR_OK;
    }
    rule_destroy(&plan->rule);
    zone_destroy(&plan->zone);
    plan->rule = rule;
    plan->zone = zone;
    plan->zone_hash = zone_hash;
    plan->cur.revision = ++plan->row.revision;
    plan->cur_dirty = true;
    plan->tell = true;
    TRY(save_row(core, plan));
    TRY(save_rule(core, plan->no, plan->row.revision, zone_hash, spec));
    return journal_add(core, EVENT_SCHEDULE_EDITED, plan->no, 0, 0);
}

err_t schedules_flush(core_t *core)
{
    for (size_t i = 0; i < core->touched_n; i++) {
        plan_t *plan = core->touched[i];
        if (plan->cur_dirty) {
            plan->cur_dirty = false;
            core->scratch.len = 0;
            scur_row_encode(&plan->cur, &core->scratch);
            rec_key_t key = key_u32(plan->no);
            TRY(put_scratch(core, TABLE_scur, &key, 0));
        }
        if (plan->gate_dirty) {
            plan->gate_dirty = false;
            rec_key_t key = key_gate(plan->gate_id);
            if (plan->gate.waiting == 0) {
                err_t err = store_del(core->store, TABLE_gate, key_slice(&key));
                if (err != ERR_OK && err != ERR_NOT_FOUND) return err;
            } else {
                core->scratch.len = 0;
                gate_row_encode(&plan->gate, &core->scratch);
                TRY(put_scratch(core, TABLE_gate, &key, 0));
            }
        }
    }
    return ERR_OK;
}

/* After the batch: plans that were not used lately leave the cache. */
void schedules_trim(core_t *core)
{
    if (core->plans.n <= PLANS_KEPT) return;
    plan_t *idle[1024]; /* more than a batch brings in, or the cache would grow */
    size_t n = 0, at = 0;
    for (plan_t *plan; n < ARRAY_LEN(idle) && (plan = map_next(&core->plans, &at)) != NULL;)
        if (plan->used != core->meta.batch && !plan->held) idle[n++] = plan;
    for (size_t i = 0; i < n; i++)
        plan_drop(core, idle[i]);
}

/* ---- told to schedulers
 * ---------------------------------------------------------------------------- */

int64_t plan_jitter_us(const plan_t *plan)
{
    if (plan->spec->jitter_us <= 0) return 0;
    return (int64_t)(hash64(plan->row.uid, 16) % (uint64_t)plan->spec->jitter_us);
}

int64_t plan_next_us(const plan_t *plan, int64_t after_us)
{
    int64_t from = plan->spec->from_us;
    if (after_us < from - 1) after_us = from - 1;
    int64_t after = after_us >= 0 ? after_us / PAWL_SEC_US : 0;
    int64_t next = rule_next(plan->rule, after);
    if (next == RULE_NONE || (plan->spec->to_us && next * PAWL_SEC_US > plan->spec->to_us))
        return INT64_MAX;
    return next * PAWL_SEC_US;
}

/* Instants in (after, upto], within the rule's validity. */
uint64_t plan_count(const plan_t *plan, int64_t after_us, int64_t upto_us)
{
    if (after_us < plan->spec->from_us - 1) after_us = plan->spec->from_us - 1;
    if (plan->spec->to_us && upto_us > plan->spec->to_us) upto_us = plan->spec->to_us;
    if (upto_us <= after_us || upto_us < 0) return 0;
    return rule_count(plan->rule, after_us >= 0 ? after_us / PAWL_SEC_US : 0,
                      upto_us / PAWL_SEC_US);
}

/* The last instant that is <= upto and > after; INT64_MIN: none. */
int64_t plan_last_us(const plan_t *plan, int64_t after_us, int64_t upto_us)
{
    if (plan->spec->to_us && upto_us > plan->spec->to_us) upto_us = plan->spec->to_us;
    int64_t last = rule_prev(plan->rule, upto_us / PAWL_SEC_US + 1);
    if (last == RULE_NONE || last * PAWL_SEC_US <= after_us ||
        last * PAWL_SEC_US < plan->spec->from_us)
        return INT64_MIN;
    return last * PAWL_SEC_US;
}

void plan_info(core_t *core, const plan_t *plan, Pawl__V1__ScheduleInfo *info)
{
    pawl__v1__schedule_info__init(info);
    int64_t next =
        plan->row.flags & SCHEDULE_GONE ? INT64_MAX : plan_next_us(plan, plan->cur.cursor_us);
    info->name = batch_printf(core, "%.*s", (int)plan->row.name.len, plan->row.name.at);
    info->uid.data = (uint8_t *)(uintptr_t)plan->row.uid;
    info->uid.len = 16;
    info->revision = plan->row.revision;
    info->rule = plan->spec->rule;
    info->zone = plan->spec->zone;
    info->exclusions = plan->spec->exclusions;
    info->mode = plan->spec->mode;
    info->overlap = plan->spec->overlap;
    info->jitter_us = plan_jitter_us(plan);
    info->state = (char *)(uintptr_t)(plan->row.flags & SCHEDULE_GONE     ? "removed"
                                      : plan->row.flags & SCHEDULE_PAUSED ? "paused"
                                      : next == INT64_MAX                 ? "ended"
                                      : plan->held                        ? "held"
                                                                          : "active");
    info->next_us = next == INT64_MAX ? 0 : next + plan_jitter_us(plan);
    info->last_us = plan->cur.last_fired_us;
    info->cursor_us = plan->cur.cursor_us;
    info->behind = plan_count(plan, plan->cur.cursor_us, core->wall_us);
    info->missed = plan->cur.missed;
    info->fired = plan->cur.fired;
    info->running = plan->cur.running;
    info->waiting = plan->cur.waiting;
    info->created_us = plan->row.created_wall_us;
    info->removed = (plan->row.flags & SCHEDULE_GONE) != 0;
    info->reason = batch_printf(core, "%.*s", (int)plan->row.reason.len, plan->row.reason.at);
}

void schedules_tell(core_t *core)
{
    for (size_t t = 0; t < core->touched_n; t++) {
        plan_t *plan = core->touched[t];
        if (!plan->tell) continue;
        plan->tell = false;
        Pawl__V1__ScheduleInfo info, *list[] = { &info };
        Pawl__V1__ScheduleItems items = PAWL__V1__SCHEDULE_ITEMS__INIT;
        Pawl__V1__Push push = PAWL__V1__PUSH__INIT;
        plan_info(core, plan, &info);
        items.items = list;
        items.n_items = 1;
        push.body_case = PAWL__V1__PUSH__BODY_SCHEDULES;
        push.schedules = &items;
        for (size_t i = 0; i < core->followers_n; i++)
            out_push(core, core->followers[i], &push, false);
    }
}

void schedule_unfollow(core_t *core, conn_t conn)
{
    for (size_t i = 0; i < core->followers_n; i++)
        if (core->followers[i] == conn) {
            core->followers[i] = core->followers[--core->followers_n];
            return;
        }
}

/* A page of the list, and from now on every change. */
err_t schedule_follow(core_t *core, const command_t *command, Pawl__V1__Reply *reply)
{
    const Pawl__V1__ScheduleFollow *follow = command->request->schedule_follow;
    schedule_unfollow(core, command->conn);
    core->followers = mem_grow(core->followers, (core->followers_n + 1) * sizeof(conn_t));
    core->followers[core->followers_n++] = command->conn;
    Pawl__V1__ScheduleItems *items = batch_alloc(core, sizeof *items);
    pawl__v1__schedule_items__init(items);
    uint32_t limit = follow->limit && follow->limit < FOLLOW_PAGE ? follow->limit : FOLLOW_PAGE;
    items->items = batch_alloc(core, limit * sizeof *items->items);
    rec_key_t from = key_name(NAME_SCHEDULE, slice_text(follow->after));
    if (follow->after[0]) from.at[from.len++] = 0; /* strictly behind it */
    while (items->n_items < limit) {
        slice_t key, value;
        err_t err = store_seek(core->store, TABLE_names, key_slice(&from), false, &key, &value);
        if (err == ERR_NOT_FOUND || (err == ERR_OK && key.at[0] != NAME_SCHEDULE)) break;
        TRY(err);
        uint32_t no;
        if (!name_row_decode(&no, value)) return ERR_CORRUPT;
        memcpy(from.at, key.at, key.len);
        from.len = key.len;
        from.at[from.len++] = 0;
        plan_t *plan;
        TRY(plan_get(core, no, &plan));
        Pawl__V1__ScheduleInfo *info = batch_alloc(core, sizeof *info);
        plan_info(core, plan, info);
        items->items[items->n_items++] = info;
    }
    if (items->n_items == limit) items->next = items->items[limit - 1]->name;
    items->seq = core->meta.next_seq - 1;
    reply->body_case = PAWL__V1__REPLY__BODY_SCHEDULES;
    reply->schedules = items;
    return ERR_OK;
}

/* ---- put
 * --------------------------------------------------------------------------------------------- */

/* A schedule as it will be stored: defaults in place, so that what holds is what is shown. */
static void fill_defaults(Pawl__V1__Schedule *spec)
{
    bool strict = spec->mode == PAWL__V1__MODE__MODE_STRICT;
    if (spec->mode == PAWL__V1__MODE__MODE_UNSPECIFIED) spec->mode = PAWL__V1__MODE__MODE_NORMAL;
    if (spec->overlap == PAWL__V1__OVERLAP__OVERLAP_UNSPECIFIED)
        spec->overlap =
            strict ? PAWL__V1__OVERLAP__OVERLAP_QUEUE_ALL : PAWL__V1__OVERLAP__OVERLAP_SKIP;
    if (spec->ahead == 0) spec->ahead = DEFAULT_AHEAD;
    if (spec->rate == 0) spec->rate = DEFAULT_RATE;
    if (spec->max_running == 0) spec->max_running = 1;
    if (spec->on_resume == PAWL__V1__ON_RESUME__ON_RESUME_UNSPECIFIED)
        spec->on_resume =
            strict ? PAWL__V1__ON_RESUME__ON_RESUME_CATCHUP : PAWL__V1__ON_RESUME__ON_RESUME_SKIP;
    if (spec->zone[0] == '\0') spec->zone = (char *)(uintptr_t) "UTC";
}

/* What contradicts itself is refused when it is made, not when it matters. */
static bool contradicts(core_t *core, const Pawl__V1__Schedule *spec,
                        const Pawl__V1__Task *template, Pawl__V1__Reply *reply)
{
    bool strict = spec->mode == PAWL__V1__MODE__MODE_STRICT;
    if (strict && (spec->overlap == PAWL__V1__OVERLAP__OVERLAP_SKIP ||
                   spec->overlap == PAWL__V1__OVERLAP__OVERLAP_QUEUE_ONE ||
                   spec->overlap == PAWL__V1__OVERLAP__OVERLAP_QUEUE_LATEST)) {
        refuse(core, reply, ERR_CONTRADICTION, "schedule.overlap",
               "strict makes every instant a task, this overlap policy drops some: use allow, "
               "queue_all, cancel or kill, or mode normal");
        return true;
    }
    if (strict && spec->supersede_set_case && spec->supersede) {
        refuse(
            core, reply, ERR_CONTRADICTION, "schedule.supersede",
            "strict makes every instant a task, supersede drops those that wait: use mode normal");
        return true;
    }
    if (strict && spec->on_resume != PAWL__V1__ON_RESUME__ON_RESUME_CATCHUP) {
        refuse(core, reply, ERR_CONTRADICTION, "schedule.on_resume",
               "strict makes every instant a task: what a pause drops is said at each resume, not "
               "once for all");
        return true;
    }
    if (template->hold || template->delay_us || template->at_us || template->expire_us ||
        template->key[0]) {
        refuse(core, reply, ERR_CONTRADICTION, "schedule.task",
               "the task of a schedule may not be held, delayed, dated, keyed or expire: the "
               "schedule says "
               "when it runs");
        return true;
    }
    return false;
}

static bool is_dated(const plan_t *plan)
{
    return strncmp(plan->spec->rule, "@at", 3) == 0 || strncmp(plan->spec->rule, "@dates", 6) == 0;
}

/* The first cursor of a new schedule. Listed dates may lie in the past: strict fires them, normal
 * only what is at most five minutes old; when nothing is left it is refused, never silently dead.
 */
static bool first_cursor(core_t *core, plan_t *plan, Pawl__V1__Reply *reply)
{
    int64_t start = core->wall_us / PAWL_SEC_US * PAWL_SEC_US;
    plan->cur.cursor_us = start;
    if (is_dated(plan)) {
        plan->cur.cursor_us = 0;
        bool strict = plan->spec->mode == PAWL__V1__MODE__MODE_STRICT;
        int64_t alive = strict ? 0 : core->wall_us - 300 * PAWL_SEC_US;
        if (plan_next_us(plan, alive) == INT64_MAX) {
            refuse(core, reply, ERR_TOO_LATE, "schedule.rule",
                   "every instant of the rule is more than 5 minutes past: nothing would ever run; "
                   "use --mode strict to run past dates");
            return false;
        }
    } else if (plan_next_us(plan, plan->cur.cursor_us) == INT64_MAX) {
        refuse(core, reply, ERR_TOO_LATE, "schedule.rule",
               "the rule has no instant after now: nothing would ever run");
        return false;
    }
    return true;
}

static bool parse_rule(core_t *core, plan_t *plan, Pawl__V1__Reply *reply)
{
    const Pawl__V1__Schedule *spec = plan->spec;
    named_t *zone = name_find(core, NAME_ZONE, spec->zone);
    if (zone == NULL || zone->value == 0 ||
        load_zone(core, zone->value, spec->zone, &plan->zone) != ERR_OK) {
        refuse(core, reply, ERR_BAD_ZONE, "schedule.zone",
               "\"%s\" is no time zone here: names look like Europe/Paris and are case-sensitive",
               spec->zone);
        return false;
    }
    plan->zone_hash = zone->value;
    rule_error_t error;
    if (rule_parse(&plan->rule, spec->rule, strlen(spec->rule),
                   spec->exclusions[0] ? spec->exclusions : NULL, spec->name, plan->zone,
                   &error) != ERR_OK) {
        refuse(core, reply, ERR_BAD_RULE, "schedule.rule", "%s at column %zu: %s", error.code,
               error.column, error.text);
        return false;
    }
    return true;
}

/* The instants between the cursor and now, under the old rule, get their verdict before it goes. */
static err_t close_backlog(core_t *core, plan_t *plan, enum verdict_reason reason)
{
    int64_t last = plan_last_us(plan, plan->cur.cursor_us, core->wall_us);
    if (last != INT64_MIN) TRY(ledger_skip(core, plan, last, reason, 0));
    if (plan->cur.cursor_us < core->wall_us)
        plan->cur.cursor_us = core->wall_us / PAWL_SEC_US * PAWL_SEC_US;
    plan->cur_dirty = true;
    return ERR_OK;
}

static bool same_rule(const Pawl__V1__Schedule *a, const Pawl__V1__Schedule *b)
{
    return strcmp(a->rule, b->rule) == 0 && strcmp(a->zone, b->zone) == 0 &&
           strcmp(a->exclusions, b->exclusions) == 0 && a->jitter_us == b->jitter_us &&
           a->from_us == b->from_us && a->to_us == b->to_us;
}

static void answer_changed(core_t *core, const plan_t *plan, Pawl__V1__Reply *reply)
{
    Pawl__V1__Changed *changed = batch_alloc(core, sizeof *changed);
    pawl__v1__changed__init(changed);
    changed->done = 1;
    changed->schedule = batch_alloc(core, sizeof *changed->schedule);
    plan_info(core, plan, changed->schedule);
    reply->body_case = PAWL__V1__REPLY__BODY_CHANGED;
    reply->changed = changed;
}

/* May this edit happen? Judged before anything is written. */
static bool edit_refused(core_t *core, const plan_t *old, const plan_t *plan,
                         const Pawl__V1__SchedulePut *put, Pawl__V1__Reply *reply)
{
    if (put->cursor > PAWL__V1__CURSOR_ACTION__CURSOR_NOW) {
        refuse(core, reply, ERR_UNIMPLEMENTED, "cursor",
               "the cursor is kept or moved to now, not to an instant of choice");
        return true;
    }
    if (same_rule(old->spec, plan->spec)) return false;
    if (strcmp(old->spec->rule, plan->spec->rule) != 0 &&
        plan_next_us(plan, core->wall_us) == INT64_MAX) {
        refuse(core, reply, ERR_TOO_LATE, "schedule.rule",
               "the new rule has no instant after now: nothing would ever run");
        return true;
    }
    if (put->cursor == PAWL__V1__CURSOR_ACTION__CURSOR_KEEP) {
        refuse(core, reply, ERR_CONTRADICTION, "cursor",
               "a new rule starts now: `keep` goes only with an unchanged rule");
        return true;
    }
    uint64_t behind = plan_count(old, old->cur.cursor_us, core->wall_us);
    if (old->spec->mode == PAWL__V1__MODE__MODE_STRICT && behind > 0 &&
        put->cursor != PAWL__V1__CURSOR_ACTION__CURSOR_NOW) {
        refuse(core, reply, ERR_CONFLICT, "cursor",
               "%llu instants of the old rule have no task yet (strict): let it catch up first, or "
               "say --cursor now to put them on record as skipped",
               (unsigned long long)behind);
        return true;
    }
    return false;
}

static err_t write_plan(core_t *core, plan_t *plan, uint32_t old_len)
{
    size_t len = pawl__v1__schedule__get_packed_size(plan->spec);
    uint8_t *bytes = batch_alloc(core, len);
    pawl__v1__schedule__pack(plan->spec, bytes);
    plan->row.definition_len = (uint32_t)len;
    plan->row.edited_wall_us = core->wall_us;
    plan->cur.revision = plan->row.revision;
    plan->cur_dirty = true;
    plan->tell = true;
    TRY(save_row(core, plan));
    TRY(save_definition(core, plan->no, old_len, slice(bytes, len)));
    return save_rule(core, plan->no, plan->row.revision, plan->zone_hash, plan->spec);
}

static err_t create(core_t *core, plan_t *plan, uint32_t principal)
{
    plan->no = core->meta.next_no[NAME_SCHEDULE]++;
    draw_random(core, plan->row.uid, 16);
    plan->row.revision = 1;
    plan->row.created_wall_us = core->wall_us;
    plan->row.principal = principal;
    plan->row.name =
        slice(mem_copy(plan->spec->name, strlen(plan->spec->name)), strlen(plan->spec->name));
    plan->row.reason = slice(mem_copy("", 0), 0);
    gate_of_schedule(plan->no, plan->gate_id);
    plan->gate = (gate_row_t){ .kind = GATE_OVERLAP, .subject = plan->no };
    plan->rate_at_us = core->now_us;
    map_put(&core->plans, plan->no, plan);
    touch(core, plan);
    rec_key_t name = key_name(NAME_SCHEDULE, plan->row.name);
    core->scratch.len = 0;
    name_row_encode(plan->no, &core->scratch);
    TRY(put_scratch(core, TABLE_names, &name, 0));
    rec_key_t uid = key_name(NAME_UID, slice(plan->row.uid, 16));
    TRY(put_scratch(core, TABLE_names, &uid, 0));
    TRY(write_plan(core, plan, 0));
    return journal_add(core, EVENT_SCHEDULE_CREATED, plan->no, 0, 0);
}

/* The old plan takes over definition, rule and zone of the new one, which goes. */
static err_t edit(core_t *core, plan_t *old, plan_t *plan, Pawl__V1__CursorAction cursor)
{
    bool new_rule = !same_rule(old->spec, plan->spec);
    if (new_rule || cursor == PAWL__V1__CURSOR_ACTION__CURSOR_NOW)
        TRY(close_backlog(core, old, VERDICT_REASON_EDITED));
    plan_t swap = *old;
    old->spec = plan->spec;
    old->template = plan->template;
    old->rule = plan->rule;
    old->zone = plan->zone;
    old->zone_hash = plan->zone_hash;
    plan->spec = swap.spec;
    plan->template = swap.template;
    plan->rule = swap.rule;
    plan->zone = swap.zone;
    plan_free(plan);
    old->row.revision++;
    old->held = false; /* by `ahead` as it was */
    TRY(write_plan(core, old, swap.row.definition_len));
    TRY(schedule_release(core, old)); /* more may run at once now */
    return journal_add(core, EVENT_SCHEDULE_EDITED, old->no, 0, 0);
}

static plan_t *plan_made(core_t *core, const Pawl__V1__Schedule *wanted)
{
    Pawl__V1__Schedule copy = *wanted;
    fill_defaults(&copy);
    plan_t *plan = mem_new(sizeof *plan);
    size_t len = pawl__v1__schedule__get_packed_size(&copy);
    uint8_t *bytes = batch_alloc(core, len);
    pawl__v1__schedule__pack(&copy, bytes);
    plan->spec = pawl__v1__schedule__unpack(NULL, len, bytes);
    CHECK(plan->spec != NULL);
    plan->template = pawl__v1__task__unpack(NULL, copy.task.len, copy.task.data);
    CHECK(plan->template != NULL); /* the wire's checks saw to it */
    return plan;
}

static bool revision_refused(core_t *core, const Pawl__V1__SchedulePut *put, const plan_t *old,
                             Pawl__V1__Reply *reply)
{
    if (put->revision_set_case != PAWL__V1__SCHEDULE_PUT__REVISION_SET_IF_REVISION) return false;
    if (put->if_revision == 0 && old) {
        refuse(core, reply, ERR_EXISTS, "schedule.name",
               "a schedule \"%s\" exists (revision %llu): edit it with `schedule set`, or choose "
               "another name",
               put->schedule->name, (unsigned long long)old->row.revision);
        return true;
    }
    if (put->if_revision != 0 && (old == NULL || old->row.revision != put->if_revision)) {
        refuse(core, reply, ERR_CONFLICT, "if_revision",
               "the schedule \"%s\" is at revision %llu, not %llu: load it again",
               put->schedule->name, (unsigned long long)(old ? old->row.revision : 0),
               (unsigned long long)put->if_revision);
        return true;
    }
    return false;
}

err_t schedule_put(core_t *core, const command_t *command, Pawl__V1__Reply *reply)
{
    const Pawl__V1__SchedulePut *put = command->request->schedule_put;
    plan_t *old = NULL;
    err_t found = plan_by_name(core, put->schedule->name, &old);
    if (found != ERR_OK && found != ERR_NOT_FOUND) return found;
    if (revision_refused(core, put, old, reply)) return ERR_OK;
    if (core->refuse_adds) {
        refuse(core, reply, ERR_STORE_FULL, "", "the store is too full for a schedule (level %s)",
               core->level);
        reply->error->retry_after_us = 5 * PAWL_SEC_US;
        return ERR_OK;
    }
    plan_t *plan = plan_made(core, put->schedule);
    bool refused =
        contradicts(core, plan->spec, plan->template, reply) || !parse_rule(core, plan, reply);
    if (!refused && name_find(core, NAME_TYPE, plan->template->type) == NULL) {
        refuse(core, reply, ERR_UNKNOWN_TYPE, "schedule.task.type",
               "no executor has announced the type \"%s\"", plan->template->type);
        refused = true;
    }
    if (!refused)
        refused =
            old ? edit_refused(core, old, plan, put, reply) : !first_cursor(core, plan, reply);
    if (refused) {
        plan_free(plan);
        return ERR_OK;
    }
    if (old) {
        TRY(edit(core, old, plan, put->cursor));
        answer_changed(core, old, reply);
        return ERR_OK;
    }
    named_t *principal;
    TRY(name_make(core, NAME_PRINCIPAL, command->principal, &principal));
    TRY(create(core, plan, principal->no));
    answer_changed(core, plan, reply);
    return ERR_OK;
}

/* ---- pause, resume, now, remove
 * -------------------------------------------------------------------------- */

static err_t set_paused(core_t *core, plan_t *plan, bool paused, const char *reason)
{
    if (paused)
        plan->row.flags |= SCHEDULE_PAUSED;
    else
        plan->row.flags &= (uint8_t)~SCHEDULE_PAUSED;
    plan->row.paused_wall_us = paused ? core->wall_us : 0;
    free((void *)(uintptr_t)plan->row.reason.at);
    plan->row.reason = slice(mem_copy(reason, strlen(reason)), strlen(reason));
    plan->tell = true;
    TRY(save_row(core, plan));
    return journal_add(core, paused ? EVENT_SCHEDULE_PAUSED : EVENT_SCHEDULE_RESUMED, plan->no, 0,
                       0);
}

static err_t resume(core_t *core, plan_t *plan, Pawl__V1__OnResume how)
{
    if (how == PAWL__V1__ON_RESUME__ON_RESUME_UNSPECIFIED) how = plan->spec->on_resume;
    if (how == PAWL__V1__ON_RESUME__ON_RESUME_SKIP)
        TRY(close_backlog(core, plan, VERDICT_REASON_PAUSED));
    else if (how == PAWL__V1__ON_RESUME__ON_RESUME_LATEST)
        TRY(fire_latest(core, plan));
    return set_paused(core, plan, false, "");
}

static err_t remove_plan(core_t *core, plan_t *plan)
{
    TRY(close_backlog(core, plan, VERDICT_REASON_REMOVED));
    rec_key_t name = key_name(NAME_SCHEDULE, plan->row.name);
    TRY(del_row(core, TABLE_names, &name));
    plan->row.flags |= SCHEDULE_GONE;
    plan->tell = true;
    TRY(save_row(core, plan));
    return journal_add(core, EVENT_SCHEDULE_REMOVED, plan->no, 0, 0);
}

err_t schedule_change(core_t *core, const command_t *command, Pawl__V1__Reply *reply)
{
    const Pawl__V1__ScheduleChange *change = command->request->schedule_change;
    plan_t *plan;
    err_t err = plan_by_name(core, change->name, &plan);
    if (err == ERR_NOT_FOUND) {
        refuse(core, reply, ERR_NOT_FOUND, "name", "no schedule \"%s\": see `pawl schedule list`",
               change->name);
        return ERR_OK;
    }
    TRY(err);
    uint8_t id[16];
    const char *refusal = NULL;
    switch (change->verb) {
    case PAWL__V1__SCHEDULE_VERB__SCHEDULE_PAUSE:
        TRY(set_paused(core, plan, true, change->reason));
        break;
    case PAWL__V1__SCHEDULE_VERB__SCHEDULE_RESUME:
        if (!(plan->row.flags & SCHEDULE_PAUSED)) {
            refuse(core, reply, ERR_WRONG_STATUS, "name", "the schedule \"%s\" is not paused",
                   change->name);
            return ERR_OK;
        }
        TRY(resume(core, plan, change->on_resume));
        break;
    case PAWL__V1__SCHEDULE_VERB__SCHEDULE_NOW:
        if (core->refuse_adds)
            refusal = "the store is too full for new tasks";
        else
            TRY(schedule_fire_now(core, plan, change->overlap, id, &refusal));
        if (refusal) {
            refuse(core, reply, core->refuse_adds ? ERR_STORE_FULL : ERR_CONFLICT, "overlap", "%s",
                   refusal);
            return ERR_OK;
        }
        break;
    case PAWL__V1__SCHEDULE_VERB__SCHEDULE_REMOVE:
        TRY(remove_plan(core, plan));
        break;
    default:
        refuse(core, reply, ERR_BAD_VALUE, "verb", "verb %d is not known", (int)change->verb);
        return ERR_OK;
    }
    answer_changed(core, plan, reply);
    if (change->verb == PAWL__V1__SCHEDULE_VERB__SCHEDULE_NOW) {
        reply->changed->id.data = batch_alloc(core, 16);
        memcpy(reply->changed->id.data, id, 16);
        reply->changed->id.len = 16;
    }
    return ERR_OK;
}
