/* SPDX-License-Identifier: Apache-2.0
 * line.c - the rule of one revision of a schedule, with its zone: read from its row, and asked for
 * instants. */
#include "broker/core/inside.h"

#include <stdlib.h>

/* ---- zones ----------------------------------------------------------------------------------- */

static err_t zone_row(void *store, const rec_key_t *key, slice_t *value)
{
    return store_get(store, TABLE_zone, key_slice(key), value);
}

err_t core_zone_use(core_t *core, uint64_t hash, const char *name, cached_zone_t **out)
{
    return zone_cache_use(&core->zones, hash, name, zone_row, core->store, out);
}

/* ---- what rules cost ------------------------------------------------------------------------- */

/* Of each rule and calendar, as it was measured at most (docs/benchmarks.md). */
enum {
    WORK_READ_NS = 250,
    WORK_INSTANT_NS = 125,  /* an ordinary step to the next instant, */
    WORK_AHEAD_NS = 1,      /* and for each day that it lies ahead: rare ones look over years */
    WORK_NONE_NS = 3000,    /* there is none, to the end of the calendar */
    WORK_COUNT_DAY_NS = 50, /* of a span that is counted, not walked, */
    WORK_COUNT_STEP_NS = 2, /* and for each instant of @every that is looked at in it */
    DAY_S = 86400,
};

static void work_done(const line_t *line, int64_t each_ns)
{
    line->known->work_ns += each_ns * (int64_t)ruleset_parts(line->rule);
}

int64_t line_work_ns(const line_t *line)
{
    int64_t work_ns = line->known ? line->known->work_ns : 0;
    if (line->known) line->known->work_ns = 0;
    return work_ns;
}

/* ---- rows ------------------------------------------------------------------------------------ */

/* Takes `rule`: what was known of the one before is forgotten with it. */
void line_set_rule(line_t *line, ruleset_t *rule)
{
    ruleset_destroy(&line->rule);
    line->rule = rule;
    free(line->known);
    line->known = rule ? mem_new(sizeof *line->known) : NULL;
    if (rule) work_done(line, WORK_READ_NS);
}

void line_free(line_t *line)
{
    line_set_rule(line, NULL);
    zone_cache_release(&line->zone);
}

err_t line_load(core_t *core, uint32_t no, const uint8_t uid[16], slice_t name, uint64_t revision,
                line_t *line)
{
    rec_key_t key = key_sched(no, SCHED_RULE, revision);
    slice_t value;
    sched_rule_row_t row;
    TRY(store_get(core->store, TABLE_sched, key_slice(&key), &value));
    if (!sched_rule_row_decode(&row, value)) return ERR_CORRUPT;
    char *zone = batch_printf(core, "%.*s", (int)row.zone.len, row.zone.at);
    *line = (line_t){ .from_us = row.from_us,
                      .to_us = row.to_us,
                      .jitter_us = schedule_jitter_us(uid, row.jitter_us),
                      .revision = revision,
                      .zone_hash = row.zone_hash };
    memcpy(line->calendars, row.calendars, row.calendars_n * sizeof *row.calendars);
    Pawl__V1__Schedule spec = PAWL__V1__SCHEDULE__INIT; /* reading on may move what the row is in */
    char *also[LIMIT_RULES];
    spec.name = batch_printf(core, "%.*s", (int)name.len, name.at);
    spec.rule = batch_printf(core, "%.*s", (int)row.rule.len, row.rule.at);
    spec.exclusions = batch_printf(core, "%.*s", (int)row.exclusions.len, row.exclusions.at);
    spec.also = also;
    for (; spec.n_also < row.also_n; spec.n_also++)
        also[spec.n_also] =
            batch_printf(core, "%.*s", (int)row.also[spec.n_also].len, row.also[spec.n_also].at);
    spec.n_calendars = row.calendars_n;
    spec.after_us = row.after_us;
    ruleset_t *rule;
    err_t err = core_zone_use(core, row.zone_hash, zone, &line->zone);
    if (err != ERR_OK) return err == ERR_BAD_ZONE ? ERR_CORRUPT : err;
    err = plan_read_rules(core, &spec, line->zone->parsed, line->calendars, &rule, NULL);
    if (err == ERR_OK)
        line_set_rule(line, rule);
    else
        line_free(line);
    return err == ERR_BAD_RULE ? ERR_CORRUPT : err;
}

/* ---- instants -------------------------------------------------------------------------------- */

/* A firing asks for the same few again and again: when it is due, until when it is on time, when
 * the next one takes its place, and when the scheduler has to come again. An instant is behind the
 * one that was asked for, so never 0: an entry of zeros is none. */
static int64_t next_of(const line_t *line, int64_t start)
{
    line_known_t *known = line->known;
    for (size_t i = 0; i < ARRAY_LEN(known->at); i++)
        if (known->at[i].start == start && known->at[i].next != 0) return known->at[i].next;
    int64_t next = ruleset_next(line->rule, start);
    work_done(line, next == RULE_NONE ? WORK_NONE_NS
                                      : WORK_INSTANT_NS + (next - start) / DAY_S * WORK_AHEAD_NS);
    known->at[known->turn].start = start;
    known->at[known->turn].next = next;
    known->turn = (known->turn + 1) % ARRAY_LEN(known->at);
    return next;
}

int64_t line_next_us(const line_t *line, int64_t after_us)
{
    if (after_us < line->from_us - 1) after_us = line->from_us - 1;
    int64_t next = next_of(line, after_us >= 0 ? after_us / PAWL_SEC_US : 0);
    if (next == RULE_NONE || (line->to_us && next * PAWL_SEC_US > line->to_us)) return INT64_MAX;
    return next * PAWL_SEC_US;
}

uint64_t line_count(const line_t *line, int64_t after_us, int64_t upto_us)
{
    if (after_us < line->from_us - 1) after_us = line->from_us - 1;
    if (line->to_us && upto_us > line->to_us) upto_us = line->to_us;
    if (upto_us <= after_us || upto_us < 0) return 0;
    int64_t days = (upto_us - after_us) / (DAY_S * PAWL_SEC_US);
    work_done(line, WORK_INSTANT_NS + days * WORK_COUNT_DAY_NS);
    line->known->work_ns += (int64_t)ruleset_count_steps(line->rule, days) * WORK_COUNT_STEP_NS;
    return ruleset_count(line->rule, after_us >= 0 ? after_us / PAWL_SEC_US : 0,
                         upto_us / PAWL_SEC_US);
}

int64_t line_last_us(const line_t *line, int64_t after_us, int64_t upto_us)
{
    if (line->to_us && upto_us > line->to_us) upto_us = line->to_us;
    int64_t last = ruleset_prev(line->rule, upto_us / PAWL_SEC_US + 1);
    work_done(line, WORK_INSTANT_NS);
    if (last == RULE_NONE || last * PAWL_SEC_US <= after_us || last * PAWL_SEC_US < line->from_us)
        return INT64_MIN;
    return last * PAWL_SEC_US;
}
