/* SPDX-License-Identifier: Apache-2.0
 * definition.c - schedules are put: made, or edited. Each put is judged before its first write; an
 * edit ends the revision before, whose instants have their verdict under it. */
#include "broker/core/inside.h"

#include <stdlib.h>

#include "client/time/dur.h"

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
    if (spec->order == PAWL__V1__ORDER__ORDER_UNSPECIFIED)
        spec->order = PAWL__V1__ORDER__ORDER_OLDEST;
    if (spec->on_resume == PAWL__V1__ON_RESUME__ON_RESUME_UNSPECIFIED)
        spec->on_resume =
            strict ? PAWL__V1__ON_RESUME__ON_RESUME_CATCHUP : PAWL__V1__ON_RESUME__ON_RESUME_SKIP;
    if (spec->zone[0] == '\0') spec->zone = (char *)(uintptr_t) "UTC";
}

/* What contradicts itself is refused when it is made, not when it matters. The wire's check has
 * looked at what strict excludes by itself: overlap policies that drop, and supersede. */
static bool contradicts(core_t *core, const Pawl__V1__Schedule *spec,
                        const Pawl__V1__Task *template, Pawl__V1__Reply *reply)
{
    bool strict = spec->mode == PAWL__V1__MODE__MODE_STRICT;
    if (spec->live_first && !strict) {
        refuse(core, reply, ERR_CONTRADICTION, "schedule.live_first",
               "only strict has a backlog that could run beside what is new: use mode strict");
        return true;
    }
    if (spec->order == PAWL__V1__ORDER__ORDER_NEWEST && !spec->live_first) {
        refuse(core, reply, ERR_CONTRADICTION, "schedule.order",
               "newest first needs the backlog apart from what is new: say live_first too");
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

static bool scope_refused(core_t *core, plan_t *plan, Pawl__V1__Reply *reply)
{
    const char *why;
    if (gate_find_scope(core, plan, &why)) return false;
    refuse(core, reply, ERR_BAD_VALUE, "schedule.overlap_key", "%s", why);
    return true;
}

/* The first cursor of a new schedule. Listed dates may lie in the past: strict fires them, normal
 * only what is at most five minutes old; when nothing is left it is refused, never silently dead.
 */
static bool first_cursor(core_t *core, plan_t *plan, Pawl__V1__Reply *reply)
{
    int64_t start = core->wall_us / PAWL_SEC_US * PAWL_SEC_US;
    plan->cur.cursor_us = start;
    if (plan->spec->after_us) {
        after_first(core, plan);
        if (plan_next_us(plan, plan->cur.cursor_us) == INT64_MAX) {
            refuse(core, reply, ERR_TOO_LATE, "schedule.to_us",
                   "it ends before its first run: nothing would ever run");
            return false;
        }
    } else if (plan_is_dated(plan)) {
        plan->cur.cursor_us = 0;
        bool strict = plan->spec->mode == PAWL__V1__MODE__MODE_STRICT;
        int64_t grace = plan->spec->grace_set_case ? plan->spec->grace_us : 300 * PAWL_SEC_US;
        int64_t alive = strict ? 0 : core->wall_us - grace;
        if (plan_next_us(plan, alive) == INT64_MAX) {
            refuse(core, reply, ERR_TOO_LATE, "schedule.rule",
                   "every instant of the rule is more than %lld s past: nothing would ever run; "
                   "use --mode strict to run past dates",
                   (long long)(grace / PAWL_SEC_US));
            return false;
        }
    } else if (plan_next_us(plan, plan->cur.cursor_us) == INT64_MAX) {
        refuse(core, reply, ERR_TOO_LATE, "schedule.rule",
               "the rule has no instant after now: nothing would ever run");
        return false;
    }
    return true;
}

/* What the definition says of its line, beside rule and zone. */
static void line_of_spec(plan_t *plan)
{
    plan->line.from_us = plan->spec->from_us;
    plan->line.to_us = plan->spec->to_us;
    plan->line.jitter_us = schedule_jitter_us(plan->row.uid, plan->spec->jitter_us);
}

static bool parse_rule(core_t *core, plan_t *plan, Pawl__V1__Reply *reply)
{
    const Pawl__V1__Schedule *spec = plan->spec;
    named_t *zone = name_find(core, NAME_ZONE, spec->zone);
    bool known = zone && zone->value && !(zone->flags & REG_GONE);
    err_t err =
        known ? core_zone_use(core, zone->value, spec->zone, &plan->line.zone) : ERR_BAD_ZONE;
    if (err == ERR_BAD_ZONE) {
        refuse(core, reply, ERR_BAD_ZONE, "schedule.zone",
               "\"%s\" is no time zone here: names look like Europe/Paris and are case-sensitive",
               spec->zone);
        return false;
    }
    if (err != ERR_OK) {
        core->failed = err;
        return false;
    }
    plan->line.zone_hash = zone->value;
    size_t bad;
    if (calendar_hashes(core, spec, plan->line.calendars, &bad) != ERR_OK) {
        refuse(core, reply, ERR_NOT_FOUND, batch_printf(core, "schedule.calendars[%zu]", bad),
               "there is no calendar \"%s\": make it with `pawl calendar set`, see `pawl calendar "
               "list`",
               spec->calendars[bad]);
        return false;
    }
    plan->calendars_stamp = core->calendars_stamp;
    rule_refusal_t refusal = { 0 };
    ruleset_t *rule;
    err =
        plan_read_rules(core, spec, plan->line.zone->parsed, plan->line.calendars, &rule, &refusal);
    line_set_rule(&plan->line, rule);
    const char *field = "schedule.rule";
    if (refusal.error.in_exclusions)
        field = "schedule.exclusions";
    else if (refusal.which)
        field = batch_printf(core, "schedule.also[%zu]", refusal.which - 1);
    if (err == ERR_BAD_RULE)
        refuse(core, reply, ERR_BAD_RULE, field, "%s at column %zu: %s", refusal.error.code,
               refusal.error.column, refusal.error.text);
    else if (err != ERR_OK)
        core->failed = err;
    line_of_spec(plan);
    return err == ERR_OK;
}

static bool same_texts(char *const *a, size_t a_n, char *const *b, size_t b_n)
{
    if (a_n != b_n) return false;
    for (size_t i = 0; i < a_n; i++)
        if (strcmp(a[i], b[i]) != 0) return false;
    return true;
}

static bool same_rule(const Pawl__V1__Schedule *a, const Pawl__V1__Schedule *b)
{
    return strcmp(a->rule, b->rule) == 0 && strcmp(a->zone, b->zone) == 0 &&
           strcmp(a->exclusions, b->exclusions) == 0 && a->jitter_us == b->jitter_us &&
           a->from_us == b->from_us && a->to_us == b->to_us &&
           (a->after_us != 0) == (b->after_us != 0) &&
           same_texts(a->also, a->n_also, b->also, b->n_also) &&
           same_texts(a->calendars, a->n_calendars, b->calendars, b->n_calendars);
}

/* Under strict what the old rule still owes becomes a range, unless somebody says that it goes. */
static bool splits(const plan_t *old, Pawl__V1__CursorAction cursor)
{
    return old->spec->mode == PAWL__V1__MODE__MODE_STRICT && old->spec->after_us == 0 &&
           old->spec->max_firings == 0 && cursor != PAWL__V1__CURSOR_ACTION__CURSOR_NOW;
}

/* The old rule ends at `cut`: each of its instants up to there has, or in a range will have, its
 * verdict under it. */
static err_t end_revision(core_t *core, plan_t *old, Pawl__V1__CursorAction cursor, int64_t cut_us)
{
    int64_t last = plan_last_us(old, old->cur.cursor_us, cut_us);
    if (last != INT64_MIN && splits(old, cursor)) {
        bool newest = old->spec->order == PAWL__V1__ORDER__ORDER_NEWEST;
        range_row_t row = { .cause = CAUSE_LIVE,
                            .flags = newest ? RANGE_NEWEST : 0,
                            .from_us = old->cur.cursor_us,
                            .to_us = last };
        range_t *range;
        TRY(range_make(core, old, &row, &range));
    } else if (last != INT64_MIN) {
        TRY(ledger_skip(core, old, last, VERDICT_REASON_EDITED, 0));
    }
    if (old->cur.cursor_us < cut_us) old->cur.cursor_us = cut_us;
    old->cur_dirty = true;
    return ERR_OK;
}

/* Where the old rule ends. */
static int64_t cut_of(const core_t *core, const Pawl__V1__SchedulePut *put)
{
    bool at = put->cursor == PAWL__V1__CURSOR_ACTION__CURSOR_AT;
    return (at ? put->cursor_at_us : core->wall_us) / PAWL_SEC_US * PAWL_SEC_US;
}

/* May this edit happen? Judged before anything is written. */
static bool edit_refused(core_t *core, const plan_t *old, const plan_t *plan,
                         const Pawl__V1__SchedulePut *put, Pawl__V1__Reply *reply)
{
    bool at = put->cursor == PAWL__V1__CURSOR_ACTION__CURSOR_AT;
    if (at && (old->spec->after_us || plan->spec->after_us)) {
        refuse(core, reply, ERR_CONTRADICTION, "cursor",
               "a fixed delay has no instants that could be parted at a time");
        return true;
    }
    if (at && put->cursor_at_us > core->wall_us) {
        refuse(core, reply, ERR_TOO_EARLY, "cursor_at_us",
               "it lies ahead: an edit holds from now on, or from an instant that is past");
        return true;
    }
    if (at && put->cursor_at_us < old->cur.cursor_us) {
        char decided[MOMENT_TEXT];
        const zone_t *zone = old->line.rule ? ruleset_zone(old->line.rule) : NULL;
        moment_print(old->cur.cursor_us, zone, decided);
        refuse(core, reply, ERR_CONFLICT, "cursor_at_us",
               "instants up to %s are decided by the old rule already: part them there or later, "
               "or now",
               decided);
        return true;
    }
    if (plan->spec->max_firings && plan->spec->max_firings <= old->cur.fired &&
        plan->spec->max_firings != old->spec->max_firings) {
        refuse(core, reply, ERR_TOO_LATE, "schedule.max_firings",
               "it has fired %llu times already: nothing would ever run again; give a larger "
               "number, or pause it",
               (unsigned long long)old->cur.fired);
        return true;
    }
    bool new_rule = !same_rule(old->spec, plan->spec);
    if (strcmp(old->spec->rule, plan->spec->rule) != 0 && plan->line.rule &&
        plan_next_us(plan, core->wall_us) == INT64_MAX) {
        refuse(core, reply, ERR_TOO_LATE, "schedule.rule",
               "the new rule has no instant after now: nothing would ever run");
        return true;
    }
    if (new_rule && put->cursor == PAWL__V1__CURSOR_ACTION__CURSOR_KEEP) {
        refuse(core, reply, ERR_CONTRADICTION, "cursor",
               "a new rule starts now: `keep` goes only with an unchanged rule");
        return true;
    }
    if ((new_rule || at) && splits(old, put->cursor) &&
        plan_last_us(old, old->cur.cursor_us, cut_of(core, put)) != INT64_MIN && !range_fits(old)) {
        refuse(core, reply, ERR_TOO_MANY, "cursor",
               "the backlog of the old rule would become a range, and %d of the schedule are not "
               "done: wait for one, or say --cursor now to put the backlog on record as skipped",
               LIMIT_RANGES);
        return true;
    }
    return false;
}

static err_t write_plan(core_t *core, plan_t *plan, uint32_t old_len, bool had_labels)
{
    size_t len = pawl__v1__schedule__get_packed_size(plan->spec);
    uint8_t *bytes = batch_alloc(core, len);
    pawl__v1__schedule__pack(plan->spec, bytes);
    plan->row.definition_len = (uint32_t)len;
    plan->row.edited_wall_us = core->wall_us;
    plan->cur.revision = plan->row.revision;
    plan->cur_dirty = true;
    plan->tell = true;
    TRY(plan_save(core, plan));
    TRY(plan_save_definition(core, plan->no, old_len, slice(bytes, len)));
    TRY(labels_save(core, plan->no, plan->spec, had_labels));
    attended_look_soon(core);
    return plan_save_rule(core, plan);
}

/* The cache takes the plan, and *plan_p is NULL then. */
static err_t create(core_t *core, plan_t **plan_p, const char *principal_name)
{
    plan_t *plan = *plan_p;
    named_t *principal;
    TRY(name_make(core, NAME_PRINCIPAL, principal_name, &principal));
    plan->no = core->meta.next_no[NAME_SCHEDULE]++;
    draw_random(core, plan->row.uid, 16);
    plan->row.revision = plan->line.revision = 1;
    plan->settled_us = plan->cur.cursor_us;
    line_of_spec(plan);
    plan->row.created_wall_us = core->wall_us;
    plan->row.principal = principal->no;
    plan->row.name =
        slice(mem_copy(plan->spec->name, strlen(plan->spec->name)), strlen(plan->spec->name));
    plan->row.reason = slice(mem_copy("", 0), 0);
    gate_of_schedule(plan->no, plan->gate_id);
    plan->rate_at_us = core->now_us;
    plan_keep(core, plan);
    *plan_p = NULL;
    plan_touch(core, plan);
    rec_key_t name = key_name(NAME_SCHEDULE, plan->row.name);
    core->scratch.len = 0;
    name_row_encode(plan->no, &core->scratch);
    TRY(put_scratch(core, TABLE_names, &name, 0));
    rec_key_t uid = key_name(NAME_UID, slice(plan->row.uid, 16));
    TRY(put_scratch(core, TABLE_names, &uid, 0));
    TRY(write_plan(core, plan, 0, false));
    TRY(calendar_users(core, plan->no, NULL, plan->spec));
    return journal_add(core, EVENT_SCHEDULE_CREATED, plan->no, 0, 0);
}

/* The old plan takes over definition, rule and zone of the new one, which is left with the old
 * ones.
 */
static err_t edit(core_t *core, plan_t *old, plan_t *plan, const Pawl__V1__SchedulePut *put)
{
    Pawl__V1__CursorAction cursor = put->cursor;
    bool at = cursor == PAWL__V1__CURSOR_ACTION__CURSOR_AT;
    int64_t stood_us = old->cur.cursor_us, before_us = plan_due_us(old);
    bool new_rule = !same_rule(old->spec, plan->spec), had_labels = old->spec->n_labels > 0;
    bool delays = old->spec->after_us && plan->spec->after_us; /* there is no backlog */
    old->relabelled |= !labels_same(old->spec, plan->spec);
    if ((new_rule && !delays && !old->spec->after_us) || at)
        TRY(end_revision(core, old, cursor, cut_of(core, put)));
    else if ((new_rule && !delays) || cursor == PAWL__V1__CURSOR_ACTION__CURSOR_NOW)
        TRY(schedule_close_backlog(core, old, VERDICT_REASON_EDITED));
    int64_t now_us = core->wall_us / PAWL_SEC_US * PAWL_SEC_US;
    /* behind its last firing the old rule has no instants to answer for */
    old->settled_us = plan_has_fired_all(old) ? stood_us : old->cur.cursor_us;
    if (plan_has_fired_all(old) && old->cur.cursor_us < now_us)
        old->cur.cursor_us = now_us; /* a larger number begins now */
    plan_t swap = *old;
    core->plans_bytes += plan->bytes - old->bytes;
    old->definition = plan->definition;
    old->bytes = plan->bytes;
    old->spec = plan->spec;
    old->template = plan->template;
    old->line = plan->line;
    old->scoped = plan->scoped;
    memcpy(old->scope_id, plan->scope_id, 16);
    plan->definition = swap.definition;
    plan->bytes = swap.bytes;
    plan->spec = swap.spec;
    plan->template = swap.template;
    plan->line = swap.line;
    /* where a gap of before begins to count says nothing of other instants, or of another window */
    if (new_rule || old->spec->window_us != swap.spec->window_us) old->cur.floor_us = 0;
    after_edited(core, old, swap.spec->after_us);
    if (strcmp(old->spec->zone, swap.spec->zone) != 0) /* a pause by hand from now on */
        old->row.flags &= (uint8_t)~SCHEDULE_ZONELESS;
    TRY(calendar_users(core, old->no, swap.spec, old->spec));
    old->line.revision = ++old->row.revision;
    line_of_spec(old);
    old->held = false; /* by `ahead` as it was */
    TRY(write_plan(core, old, swap.row.definition_len, had_labels));
    TRY(schedule_release(core, old)); /* more may run at once now */
    return journal_edit(core, old, before_us);
}

/* NULL: its task, whose bytes stay as they came, is none to this reader. */
static plan_t *plan_made(core_t *core, const Pawl__V1__Schedule *wanted)
{
    Pawl__V1__Schedule copy = *wanted;
    fill_defaults(&copy);
    plan_t *plan = mem_new(sizeof *plan);
    size_t len = pawl__v1__schedule__get_packed_size(&copy);
    uint8_t *bytes = batch_alloc(core, len);
    pawl__v1__schedule__pack(&copy, bytes);
    if (plan_unpack(plan, slice(bytes, len))) return plan;
    plan_free(plan);
    return NULL;
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

static err_t put_one(core_t *core, const command_t *command, const Pawl__V1__SchedulePut *put,
                     Pawl__V1__Reply *reply)
{
    plan_t *old = NULL;
    err_t found = plan_by_name(core, put->schedule->name, &old);
    if (found != ERR_OK && found != ERR_NOT_FOUND) return found;
    if (revision_refused(core, put, old, reply)) return ERR_OK;
    space_cost_t cost = space_cost(SPACE_SCHEDULE, put->schedule->task.len, core->space.page_bytes);
    if (!space_or_refuse(core, &cost, "a schedule", reply)) return ERR_OK;
    plan_t *plan = plan_made(core, put->schedule);
    if (plan == NULL) {
        refuse(core, reply, ERR_BAD_REQUEST, "schedule.task", "malformed message: it is no Task");
        return ERR_OK;
    }
    bool refused = contradicts(core, plan->spec, plan->template, reply) ||
                   scope_refused(core, plan, reply) || !parse_rule(core, plan, reply);
    if (!refused && name_find(core, NAME_TYPE, plan->template->type) == NULL) {
        refuse(core, reply, ERR_UNKNOWN_TYPE, "schedule.task.type",
               "no executor has announced the type \"%s\"", plan->template->type);
        refused = true;
    }
    if (!refused)
        refused =
            old ? edit_refused(core, old, plan, put, reply) : !first_cursor(core, plan, reply);
    const plan_t *done = old ? old : plan;
    err_t err = ERR_OK;
    if (!refused) err = old ? edit(core, old, plan, put) : create(core, &plan, command->principal);
    if (plan) plan_free(plan); /* also when the store refused it: nobody else has it */
    TRY(err);
    if (!refused) schedule_answer(core, done, reply);
    return ERR_OK;
}

static void add_refused(core_t *core, Pawl__V1__Changed *changed, size_t index,
                        Pawl__V1__Error *error)
{
    Pawl__V1__ItemResult *item = batch_alloc(core, sizeof *item);
    pawl__v1__item_result__init(item);
    item->index = (uint32_t)index;
    item->error = error;
    changed->items[changed->n_items++] = item;
}

/* Each of many is done or refused by itself; the answer lists those that were refused. */
static err_t put_many(core_t *core, const command_t *command, Pawl__V1__Reply *reply)
{
    const Pawl__V1__SchedulePut *request = command->request->schedule_put;
    Pawl__V1__Changed *changed = reply_changed(core, reply);
    changed->items = batch_alloc(core, (request->n_more + 1) * sizeof *changed->items);
    for (size_t i = 0; i <= request->n_more; i++) {
        Pawl__V1__SchedulePut put = *request;
        Pawl__V1__Reply answer = PAWL__V1__REPLY__INIT;
        if (i > 0) {
            const Pawl__V1__SchedulePutItem *item = request->more[i - 1];
            if (item->cursor == PAWL__V1__CURSOR_ACTION__CURSOR_AT) {
                add_refused(core, changed, i,
                            make_error(core, ERR_CONTRADICTION, "cursor",
                                       "an instant at which the rule changes belongs to one "
                                       "schedule: send it in a request of its own"));
                continue;
            }
            put.schedule = item->schedule;
            put.cursor = item->cursor;
            put.revision_set_case = (Pawl__V1__SchedulePut__RevisionSetCase)item->revision_set_case;
            put.if_revision = item->if_revision;
        }
        TRY(put_one(core, command, &put, &answer));
        if (answer.error)
            add_refused(core, changed, i, answer.error);
        else
            changed->done++;
        core->ops++;
    }
    return ERR_OK;
}

err_t schedule_put(core_t *core, const command_t *command, Pawl__V1__Reply *reply)
{
    const Pawl__V1__SchedulePut *put = command->request->schedule_put;
    return put->n_more ? put_many(core, command, reply) : put_one(core, command, put, reply);
}
