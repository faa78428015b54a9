/* SPDX-License-Identifier: Apache-2.0
 * instants.c - which instants a schedule has: its rules, calendars, validity and number of firings;
 * or the one that a fixed delay has armed (after.c). */
#include "broker/core/inside.h"

/* ---- reading the rules --------------------------------------------------------------------------
 */

/* The first error stays in *refusal, which may be NULL. */
static err_t read_rules(const Pawl__V1__Schedule *spec, const zone_t *zone, calendar_t **calendars,
                        ruleset_t **out, rule_refusal_t *refusal)
{
    slice_t also[LIMIT_RULES];
    rule_refusal_t unseen;
    if (refusal == NULL) refusal = &unseen;
    for (size_t i = 0; i < spec->n_also; i++)
        also[i] = slice_text(spec->also[i]);
    ruleset_spec_t rules = { .rule = slice_text(spec->rule),
                             .also = also,
                             .also_count = spec->n_also,
                             .exclusions = slice_text(spec->exclusions),
                             .name = slice_text(spec->name),
                             .zone = zone,
                             .calendars = calendars,
                             .calendars_count = spec->n_calendars };
    return ruleset_parse(out, &rules, &refusal->error, &refusal->which);
}

err_t plan_read_rules(core_t *core, const Pawl__V1__Schedule *spec, const zone_t *zone,
                      const uint64_t *hashes, ruleset_t **out, rule_refusal_t *refusal)
{
    calendar_t *calendars[LIMIT_CALENDARS] = { NULL };
    err_t err = ERR_OK;
    *out = NULL;
    if (spec->after_us) return ERR_OK;
    for (size_t i = 0; err == ERR_OK && i < spec->n_calendars; i++)
        err = calendar_load(core, hashes[i], &calendars[i]);
    if (err == ERR_OK) err = read_rules(spec, zone, calendars, out, refusal);
    for (size_t i = 0; i < spec->n_calendars; i++)
        calendar_release(&calendars[i]);
    return err;
}

bool plan_is_dated(const plan_t *plan)
{
    for (size_t i = 0; plan->line.rule && i < ruleset_size(plan->line.rule); i++) {
        enum rule_kind kind = rule_kind(ruleset_rule(plan->line.rule, i));
        if (kind != RULE_AT && kind != RULE_DATES) return false;
    }
    return plan->line.rule != NULL;
}

/* ---- questions ----------------------------------------------------------------------------------
 */

int64_t plan_jitter_us(const plan_t *plan)
{
    return plan->line.jitter_us;
}

bool plan_has_fired_all(const plan_t *plan)
{
    return plan->spec->max_firings && plan->cur.fired >= plan->spec->max_firings;
}

int64_t plan_due_us(const plan_t *plan)
{
    if (plan->row.flags & SCHEDULE_GONE) return INT64_MAX;
    int64_t next = plan_next_us(plan, plan->cur.cursor_us);
    return next == INT64_MAX ? INT64_MAX : next + plan_jitter_us(plan);
}

int64_t plan_next_us(const plan_t *plan, int64_t after_us)
{
    if (plan_has_fired_all(plan)) return INT64_MAX;
    if (plan->spec->after_us == 0) return line_next_us(&plan->line, after_us);
    int64_t next = plan->cur.armed_us > after_us ? plan->cur.armed_us : INT64_MAX;
    return plan->spec->to_us && next > plan->spec->to_us ? INT64_MAX : next;
}

/* Instants in (after, upto], within the rule's validity. */
uint64_t plan_count(const plan_t *plan, int64_t after_us, int64_t upto_us)
{
    if (plan_has_fired_all(plan)) return 0;
    if (plan->spec->after_us) return plan_next_us(plan, after_us) <= upto_us;
    return line_count(&plan->line, after_us, upto_us);
}

/* The last instant that is <= upto and > after; INT64_MIN: none. */
int64_t plan_last_us(const plan_t *plan, int64_t after_us, int64_t upto_us)
{
    if (plan_has_fired_all(plan)) return INT64_MIN;
    if (plan->spec->after_us == 0) return line_last_us(&plan->line, after_us, upto_us);
    int64_t armed = plan_next_us(plan, after_us);
    return armed <= upto_us ? armed : INT64_MIN;
}

/* Will it never plan anything again, as it stands? */
bool plan_is_over(const plan_t *plan)
{
    if (plan_has_fired_all(plan)) return true;
    if (plan->spec->after_us && plan->cur.armed_us <= plan->cur.cursor_us)
        return false; /* the end of what is open arms it */
    return plan_next_us(plan, plan->cur.cursor_us) == INT64_MAX;
}
