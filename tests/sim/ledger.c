/* SPDX-License-Identifier: Apache-2.0
 * Schedules: the instants of each revision, one after the other by the model's own loop
 * (instants.c), against the verdicts on record and the tasks that exist. */
#include "tests/sim/judge.h"

#include <stdio.h>
#include <stdlib.h>

void ledger_free(mschedule_t *schedule)
{
    for (size_t i = 0; i < schedule->revisions_n; i++) {
        mrevision_t *revision = &schedule->revisions[i];
        free(revision->rule);
        free(revision->zone);
        if (revision->spec) pawl__v1__schedule__free_unpacked(revision->spec, NULL);
        for (size_t k = 0; k < revision->also_n; k++)
            free(revision->also[k]);
    }
    free(schedule->revisions);
    free(schedule->extents);
    spans_free(schedule);
    buf_free(&schedule->definition);
}

/* ---- rows ------------------------------------------------------------------------------------ */

static char *text_of(slice_t text)
{
    char *copy = mem_new(text.len + 1);
    if (text.len) memcpy(copy, text.at, text.len);
    return copy;
}

void ledger_sched_row(sim_t *sim, mschedule_t *schedule, slice_t key, slice_t value)
{
    sched_row_t row;
    sched_rule_row_t rule;
    uint64_t number = be_u64(key.at + 5);
    switch (key.at[4]) {
    case SCHED_HEADER:
        if (!sched_row_decode(&row, value)) {
            sim_fail(sim, "schedule %u cannot be read", schedule->no);
            return;
        }
        if (row.revision < schedule->revision)
            sim_fail(sim, "the revision of schedule %u went back", schedule->no);
        schedule->there = true;
        memcpy(schedule->uid, row.uid, 16);
        schedule->revision = row.revision;
        schedule->gone = (row.flags & SCHEDULE_GONE) != 0;
        schedule->paused = (row.flags & SCHEDULE_PAUSED) != 0;
        schedule->definition_len = row.definition_len;
        break;
    case SCHED_PART:
        if (number == 0) schedule->definition.len = 0;
        buf_add(&schedule->definition, value.at, value.len);
        break;
    case SCHED_LABELS: /* the definition has them, too */
        break;
    default:
        if (!sched_rule_row_decode(&rule, value)) {
            sim_fail(sim, "the rule of schedule %u cannot be read", schedule->no);
            return;
        }
        schedule->revisions = mem_grow(schedule->revisions,
                                       (schedule->revisions_n + 1) * sizeof *schedule->revisions);
        schedule->revisions[schedule->revisions_n++] =
            (mrevision_t){ .number = number,
                           .rule = text_of(rule.rule),
                           .zone = text_of(rule.zone),
                           .zone_hash = rule.zone_hash,
                           .jitter_us = rule.jitter_us ? (int64_t)(hash64(schedule->uid, 16) %
                                                                   (uint64_t)rule.jitter_us)
                                                       : 0,
                           .from_us = rule.from_us,
                           .to_us = rule.to_us,
                           .after_us = rule.after_us,
                           .also_n = rule.also_n,
                           .calendars_n = rule.calendars_n,
                           .start_us = INT64_MIN };
        mrevision_t *made = &schedule->revisions[schedule->revisions_n - 1];
        for (size_t i = 0; i < rule.also_n; i++)
            made->also[i] = text_of(rule.also[i]);
        memcpy(made->calendars, rule.calendars, sizeof made->calendars);
    }
}

/* Of a fixed delay: the next instant is armed exactly while nothing is open. */
static void check_armed(sim_t *sim, const mschedule_t *schedule, const Pawl__V1__Schedule *spec)
{
    const scur_row_t *cursor = &schedule->cursor;
    bool open = cursor->running + cursor->waiting > 0, armed = cursor->armed_us > cursor->cursor_us;
    if (spec->after_us == 0 || schedule->gone) return;
    if (open && armed)
        sim_fail(sim, "schedule %u is armed while a task of it is open", schedule->no);
    if (!open && !armed && (spec->max_firings == 0 || cursor->fired < spec->max_firings))
        sim_fail(sim, "schedule %u has nothing open and is not armed: it would never run again",
                 schedule->no);
}

static Pawl__V1__Schedule *copy_spec(const Pawl__V1__Schedule *spec)
{
    size_t len = pawl__v1__schedule__get_packed_size(spec);
    uint8_t *bytes = mem_new(len + 1);
    pawl__v1__schedule__pack(spec, bytes);
    Pawl__V1__Schedule *copy = pawl__v1__schedule__unpack(NULL, len, bytes);
    free(bytes);
    return copy;
}

/* Several revisions of one batch: all but the last have the definition of before (new data of a
 * zone, a calendar), and where each began is not on record. */
static void settle_between(mschedule_t *schedule)
{
    for (size_t i = 0; i + 1 < schedule->revisions_n; i++) {
        mrevision_t *revision = &schedule->revisions[i];
        if (revision->settled) continue;
        revision->settled = true;
        revision->end_us = INT64_MIN;
        if (i == 0) continue;
        schedule->revisions[i - 1].end_us = INT64_MIN;
        if (schedule->revisions[i - 1].spec)
            revision->spec = copy_spec(schedule->revisions[i - 1].spec);
    }
}

/* After a batch: a new revision begins where the cursor now stands. */
void ledger_settle(sim_t *sim, mschedule_t *schedule)
{
    schedule->touched = false;
    if (schedule->revisions_n == 0) {
        sim_fail(sim, "schedule %u has no rule", schedule->no);
        return;
    }
    mrevision_t *last = &schedule->revisions[schedule->revisions_n - 1];
    if (last->settled) {
        if (last->spec) check_armed(sim, schedule, last->spec);
        return;
    }
    last->settled = true;
    settle_between(schedule);
    if (schedule->revisions_n > 1)
        schedule->revisions[schedule->revisions_n - 2].end_us = schedule->cursor.cursor_us;
    last->start_us = schedule->cursor.cursor_us;
    if (schedule->revisions_n > 1 && strcmp(last->zone, last[-1].zone) == 0 &&
        last->zone_hash != last[-1].zone_hash)
        sim_met(MET_REZONED);
    last->end_us = INT64_MAX;
    if (last->number != schedule->revision)
        sim_fail(sim, "schedule %u is at revision %llu, its newest rule at %llu", schedule->no,
                 (unsigned long long)schedule->revision, (unsigned long long)last->number);
    last->spec =
        pawl__v1__schedule__unpack(NULL, schedule->definition_len, schedule->definition.at);
    if (last->spec == NULL) {
        sim_fail(sim, "the definition of schedule %u cannot be read", schedule->no);
        return;
    }
    const Pawl__V1__Schedule *spec = last->spec;
    check_armed(sim, schedule, spec);
    if (spec->after_us) sim_met(MET_DELAY);
    if (spec->n_also) sim_met(MET_UNION);
    if (spec->n_calendars) sim_met(MET_CALENDAR);
    const Pawl__V1__Schedule *before =
        schedule->revisions_n > 1 ? schedule->revisions[schedule->revisions_n - 2].spec : NULL;
    if (spec->overlap == PAWL__V1__OVERLAP__OVERLAP_ALLOW ||
        spec->overlap == PAWL__V1__OVERLAP__OVERLAP_KILL ||
        (before && before->max_running > spec->max_running))
        schedule->loose = true;
}

void ledger_extent(mschedule_t *schedule, const extent_t *extent)
{
    if (schedule->extents_n == schedule->extents_room) {
        schedule->extents_room = schedule->extents_room ? schedule->extents_room * 2 : 16;
        schedule->extents =
            mem_grow(schedule->extents, schedule->extents_room * sizeof *schedule->extents);
    }
    schedule->extents[schedule->extents_n++] = *extent;
}

/* The schedule that has this name now; NULL: there is none. */
static mschedule_t *named(const sim_t *sim, const char *name)
{
    size_t n;
    mschedule_t *schedules = judge_schedules(sim, &n);
    for (size_t i = 0; i < n; i++) {
        mschedule_t *schedule = &schedules[i];
        if (schedule->revisions_n == 0 || schedule->gone) continue;
        const Pawl__V1__Schedule *spec = schedule->revisions[schedule->revisions_n - 1].spec;
        if (spec && strcmp(spec->name, name) == 0) return schedule;
    }
    return NULL;
}

bool ledger_paused(sim_t *sim, const char *name)
{
    const mschedule_t *schedule = named(sim, name);
    return schedule && schedule->paused;
}

/* What somebody asked for decides which verdicts may be there. */
void ledger_told(sim_t *sim, const Pawl__V1__Request *request)
{
    if (request->body_case != PAWL__V1__REQUEST__BODY_SCHEDULE_CHANGE) return;
    const Pawl__V1__ScheduleChange *change = request->schedule_change;
    mschedule_t *schedule = named(sim, change->name);
    if (schedule == NULL) return;
    if (change->on_resume) schedule->skip_word = true;
    bool now = change->verb == PAWL__V1__SCHEDULE_VERB__SCHEDULE_NOW;
    if (change->overlap && now) schedule->loose = true; /* a range's own counts apart */
}

/* ---- instants -------------------------------------------------------------------------------- */

static int64_t next_of_rule(mrevision_t *revision, size_t which, int64_t after)
{
    const char *rule = which ? revision->also[which - 1] : revision->rule;
    if (revision->asked[which].known && revision->asked[which].after == after)
        return revision->asked[which].next;
    int64_t next;
    CHECK(instants_next(rule, revision->zone, after, &next)); /* clients write no others */
    revision->asked[which].known = true;
    revision->asked[which].after = after;
    return revision->asked[which].next = next;
}

static bool closed(const mrevision_t *revision, int64_t instant)
{
    for (size_t i = 0; i < revision->calendars_n; i++) /* of schedules in UTC alone */
        if (calendars_closed(revision->calendars[i], instant)) return true;
    return false;
}

/* `fired`: verdicts fired so far. Of a fixed delay no rule tells; see judge_extent. */
static int64_t next_instant(mrevision_t *revision, int64_t after_us, uint64_t fired)
{
    if (revision->after_us) return INT64_MAX;
    if (revision->spec->max_firings && fired >= revision->spec->max_firings) return INT64_MAX;
    if (after_us < revision->from_us - 1) after_us = revision->from_us - 1;
    int64_t after = after_us >= 0 ? after_us / SEC_US : 0, next;
    for (;; after = next) {
        next = INT64_MAX;
        for (size_t i = 0; i <= revision->also_n; i++) {
            int64_t one = next_of_rule(revision, i, after);
            if (one < next) next = one;
        }
        if (next == INT64_MAX) return INT64_MAX;
        if (!closed(revision, next)) break;
    }
    next *= SEC_US;
    return revision->to_us && next > revision->to_us ? INT64_MAX : next;
}

static int64_t next_known(const mschedule_t *schedule, mrevision_t *revision)
{
    const scur_row_t *cursor = &schedule->cursor;
    int64_t next = next_instant(revision, cursor->cursor_us, cursor->fired);
    if (revision->after_us && cursor->armed_us > cursor->cursor_us &&
        !(revision->spec->max_firings && cursor->fired >= revision->spec->max_firings) &&
        !(revision->to_us && cursor->armed_us > revision->to_us))
        next = cursor->armed_us;
    return next;
}

bool ledger_goes_on(const mschedule_t *schedule, mrevision_t *revision)
{
    return next_known(schedule, revision) != INT64_MAX;
}

uint64_t ledger_due(sim_t *sim, const mschedule_t *schedule)
{
    if (!schedule->there || schedule->gone || schedule->paused || schedule->revisions_n == 0)
        return 0;
    mrevision_t *revision = &schedule->revisions[schedule->revisions_n - 1];
    int64_t next = next_known(schedule, revision);
    return next <= sim_wall_us(sim) - revision->jitter_us - 5 * SEC_US;
}

/* ---- the ledger ------------------------------------------------------------------------------ */

static int64_t grace_us(mrevision_t *revision, int64_t instant)
{
    bool dated = revision->also_n == 0 && (strncmp(revision->rule, "@at", 3) == 0 ||
                                           strncmp(revision->rule, "@dates", 6) == 0);
    int64_t grace = dated ? 300 * SEC_US : 30 * SEC_US, next = next_instant(revision, instant, 0);
    if (revision->spec->grace_set_case) grace = revision->spec->grace_us;
    if (next == INT64_MAX) return grace;
    return grace < (next - instant) / 2 ? grace : (next - instant) / 2;
}

/* May this verdict be there at all, and was it given at its time? */
static const char *odd_verdict(const mschedule_t *schedule, mrevision_t *revision,
                               const extent_t *e)
{
    Pawl__V1__Mode mode = revision->spec->mode;
    bool word = e->reason == VERDICT_REASON_EDITED || e->reason == VERDICT_REASON_PAUSED ||
                e->reason == VERDICT_REASON_REMOVED;
    if (e->decided_last_us < e->to_us) return "decided before its time";
    if (!word && e->verdict != VERDICT_FOLDED &&
        e->decided_last_us < e->to_us + revision->jitter_us)
        return "decided before its jittered time";
    if (mode == PAWL__V1__MODE__MODE_STRICT && !schedule->skip_word) {
        if (e->verdict == VERDICT_FOLDED) return "folded in strict";
        if (e->verdict == VERDICT_SKIPPED && !word && e->reason != VERDICT_REASON_WINDOW)
            return "skipped in strict";
    }
    if (e->reason == VERDICT_REASON_WINDOW && revision->spec->window_us == 0)
        return "too old for a window that it does not have";
    if (e->reason == VERDICT_REASON_WINDOW &&
        e->to_us >= e->decided_last_us - revision->spec->window_us)
        return "not yet too old for its window";
    if (mode == PAWL__V1__MODE__MODE_NORMAL && e->verdict == VERDICT_FOLDED && !schedule->skip_word)
        return "folded in normal";
    if (e->verdict == VERDICT_FIRED && e->reason == VERDICT_REASON_ON_TIME &&
        e->decided_first_us - e->from_us - revision->jitter_us > grace_us(revision, e->from_us))
        return "called on time, and was late";
    if (e->verdict == VERDICT_SKIPPED && e->reason == VERDICT_REASON_LATE &&
        e->decided_last_us - e->to_us - revision->jitter_us <= grace_us(revision, e->to_us))
        return "called late, and was on time";
    return NULL;
}

static void met_verdict(const extent_t *e)
{
    static const struct {
        uint8_t verdict, reason;
        met_t met;
    } map[] = { { VERDICT_FIRED, VERDICT_REASON_ON_TIME, MET_FIRED },
                { VERDICT_FIRED, VERDICT_REASON_CATCHUP, MET_CATCHUP },
                { VERDICT_SKIPPED, VERDICT_REASON_LATE, MET_SKIP_LATE },
                { VERDICT_SKIPPED, VERDICT_REASON_OVERLAP, MET_SKIP_OVERLAP },
                { VERDICT_SKIPPED, VERDICT_REASON_WINDOW, MET_SKIP_WINDOW },
                { VERDICT_SKIPPED, VERDICT_REASON_PAUSED, MET_SKIP_PAUSED },
                { VERDICT_SKIPPED, VERDICT_REASON_EDITED, MET_SKIP_EDITED },
                { VERDICT_SKIPPED, VERDICT_REASON_REMOVED, MET_SKIP_REMOVED },
                { VERDICT_FOLDED, VERDICT_REASON_LATEST, MET_FOLDED } };
    for (size_t i = 0; i < ARRAY_LEN(map); i++)
        if (map[i].verdict == e->verdict && map[i].reason == e->reason) sim_met(map[i].met);
}

typedef struct walk {
    sim_t *sim;
    mschedule_t *schedule;
    uint64_t fired;
} walk_t;

static void judge_fired(walk_t *walk, int64_t instant)
{
    uint8_t id[16];
    firing_id(judge_secret(walk->sim), walk->schedule->uid, instant, CAUSE_LIVE, 0, id);
    const mtask_t *task = judge_task(walk->sim, id);
    walk->fired++;
    if (task == NULL && (judge_known(walk->sim, id) || judge_forgot(walk->sim, id)))
        return; /* purged */
    if (task == NULL || task->schedule != walk->schedule->no || task->instant_us != instant)
        sim_fail(walk->sim, "schedule %u: instant %lld is on record as fired, without its task",
                 walk->schedule->no, (long long)(instant / SEC_US));
}

int64_t ledger_next(mrevision_t *revision, int64_t after_us)
{
    return next_instant(revision, after_us, 0);
}

/* The next instant that no range took. */
static int64_t next_live(const walk_t *walk, mrevision_t *revision, int64_t after)
{
    for (;;) {
        int64_t instant = next_instant(revision, after, walk->fired);
        after = spans_over(walk->schedule, revision->number, instant);
        if (instant == INT64_MAX || after == INT64_MIN) return instant;
    }
}

/* One extent, which must begin at the next instant. Returns the last instant it covers. */
static int64_t judge_extent(walk_t *walk, mrevision_t *revision, const extent_t *e, int64_t after)
{
    int64_t instant = next_live(walk, revision, after);
    if (revision->after_us) instant = e->count == 1 && e->from_us > after ? e->from_us : INT64_MAX;
    uint32_t no = walk->schedule->no;
    if (instant != e->from_us)
        sim_fail(walk->sim,
                 "schedule %u revision %llu: instant %lld has no verdict, the next "
                 "extent begins at %lld",
                 no, (unsigned long long)revision->number, (long long)(instant / SEC_US),
                 (long long)(e->from_us / SEC_US));
    const char *odd = odd_verdict(walk->schedule, revision, e);
    if (odd)
        sim_fail(walk->sim,
                 "schedule %u revision %llu (%s): %s/%s of %lld..%lld, decided %lld..%lld: %s", no,
                 (unsigned long long)revision->number, revision->rule, verdict_text(e->verdict),
                 verdict_reason_text(e->reason), (long long)(e->from_us / SEC_US),
                 (long long)(e->to_us / SEC_US), (long long)(e->decided_first_us / SEC_US),
                 (long long)(e->decided_last_us / SEC_US), odd);
    met_verdict(e);
    uint64_t count = 0;
    for (; instant <= e->to_us && !walk->sim->failed;
         instant = next_instant(revision, after, walk->fired)) {
        count++;
        after = instant;
        if (e->verdict == VERDICT_FIRED) judge_fired(walk, instant);
    }
    if (count != e->count || after != e->to_us)
        sim_fail(walk->sim, "schedule %u: the extent %lld..%lld says %llu instants, there are %llu",
                 no, (long long)(e->from_us / SEC_US), (long long)(e->to_us / SEC_US),
                 (unsigned long long)e->count, (unsigned long long)count);
    return after;
}

static int compare_extents(const void *a, const void *b)
{
    const extent_t *x = a, *y = b;
    if (x->from_us != y->from_us) return x->from_us < y->from_us ? -1 : 1;
    return (x->revision > y->revision) - (x->revision < y->revision);
}

void ledger_judge(sim_t *sim, mschedule_t *schedule)
{
    walk_t walk = { .sim = sim, .schedule = schedule };
    extent_t *all = mem_new((schedule->extents_n + 1) * sizeof *all);
    size_t n = schedule->extents_n, at = 0;
    if (n) memcpy(all, schedule->extents, n * sizeof *all);
    if (schedule->cursor.open.count) all[n++] = schedule->cursor.open;
    qsort(all, n, sizeof *all, compare_extents);
    int64_t left_off = INT64_MIN;
    for (size_t r = 0; r < schedule->revisions_n && !sim->failed; r++) {
        mrevision_t *revision = &schedule->revisions[r];
        if (revision->spec == NULL) continue;
        int64_t end = revision->end_us == INT64_MAX ? schedule->cursor.cursor_us : revision->end_us;
        int64_t after = revision->start_us == INT64_MIN ? left_off : revision->start_us;
        while (at < n && all[at].revision == revision->number && !sim->failed)
            after = judge_extent(&walk, revision, &all[at++], after);
        left_off = after;
        int64_t missing = next_live(&walk, revision, after);
        if (missing <= end)
            sim_fail(sim,
                     "schedule %u revision %llu (%s): the cursor passed instant %lld without "
                     "a verdict",
                     schedule->no, (unsigned long long)revision->number, revision->rule,
                     (long long)(missing / SEC_US));
    }
    if (at < n)
        sim_fail(sim,
                 "schedule %u: the ledger has a verdict of revision %llu at %lld that no "
                 "revision explains",
                 schedule->no, (unsigned long long)all[at].revision,
                 (long long)(all[at].from_us / SEC_US));
    free(all);
    uint64_t fired[2] = { walk.fired, 0 };
    spans_judge(sim, schedule, fired);
    if (!sim->failed &&
        (fired[0] + fired[1] != schedule->live || fired[0] != schedule->cursor.fired))
        sim_fail(sim,
                 "schedule %u: %llu instants are on record as fired, %llu tasks were made, "
                 "its counter says %llu",
                 schedule->no, (unsigned long long)(fired[0] + fired[1]),
                 (unsigned long long)schedule->live, (unsigned long long)schedule->cursor.fired);
    if (!sim->failed && schedule->manual != schedule->cursor.number)
        sim_fail(sim, "schedule %u: %llu runs by hand were made, its counter says %llu",
                 schedule->no, (unsigned long long)schedule->manual,
                 (unsigned long long)schedule->cursor.number);
}
