/* SPDX-License-Identifier: Apache-2.0
 * line.c - the rule of one revision of a schedule, with its zone: read from its row, and asked for
 * instants.
 *
 * A parsed zone may be 40 KiB (400 years of its clock changes), and a hundred thousand schedules
 * name the same few: it is shared by all lines with the same bytes. One that nobody uses goes when
 * another is read, so what is kept is what is in use and a handful. */
#include "broker/inside.h"

#include <stdlib.h>

enum { ZONES_IDLE = 16 }; /* nobody uses them, kept all the same: they are often wanted again */

/* ---- zones ----------------------------------------------------------------------------------- */

static void drop_idle_zones(core_t *core)
{
    core_zone_t *idle[ZONES_IDLE + 1];
    size_t n = 0, at = 0;
    for (core_zone_t *zone; n <= ZONES_IDLE && (zone = map_next(&core->zones, &at)) != NULL;)
        if (zone->users == 0) idle[n++] = zone;
    if (n <= ZONES_IDLE) return;
    while (n > 0) {
        core_zone_t *zone = idle[--n];
        map_take(&core->zones, zone->hash);
        zone_destroy(&zone->parsed);
        free(zone);
    }
}

void core_zones_free(core_t *core)
{
    size_t at = 0;
    for (core_zone_t *zone; (zone = map_next(&core->zones, &at)) != NULL;) {
        zone_destroy(&zone->parsed);
        free(zone);
    }
    map_free(&core->zones);
}

static err_t parse_zone(core_t *core, uint64_t hash, const char *name, zone_t **parsed)
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
    err_t err = zone_parse(parsed, name, slice(bytes.at, bytes.len));
    buf_free(&bytes);
    return err;
}

err_t core_zone_use(core_t *core, uint64_t hash, const char *name, core_zone_t **out)
{
    core_zone_t *zone = map_get(&core->zones, hash);
    if (zone == NULL) {
        zone_t *parsed;
        TRY(parse_zone(core, hash, name, &parsed));
        drop_idle_zones(core);
        zone = mem_new(sizeof *zone);
        zone->hash = hash;
        zone->parsed = parsed;
        map_put(&core->zones, hash, zone);
    }
    zone->users++;
    *out = zone;
    return ERR_OK;
}

void core_zone_release(core_zone_t **zone)
{
    if (*zone) (*zone)->users--;
    *zone = NULL;
}

/* ---- rows ------------------------------------------------------------------------------------ */

/* By its uid, so the same for ever. */
int64_t line_jitter_us(const uint8_t uid[16], int64_t bound_us)
{
    return bound_us > 0 ? (int64_t)(hash64(uid, 16) % (uint64_t)bound_us) : 0;
}

/* Takes `rule`: what was known of the one before is forgotten with it. */
void line_set_rule(line_t *line, ruleset_t *rule)
{
    ruleset_destroy(&line->rule);
    line->rule = rule;
    free(line->known);
    line->known = rule ? mem_new(sizeof *line->known) : NULL;
}

void line_free(line_t *line)
{
    line_set_rule(line, NULL);
    core_zone_release(&line->zone);
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
                      .jitter_us = line_jitter_us(uid, row.jitter_us),
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
    if (core_zone_use(core, row.zone_hash, zone, &line->zone) != ERR_OK) return ERR_CORRUPT;
    ruleset_t *rule;
    err_t err = plan_read_rules(core, &spec, line->zone->parsed, line->calendars, &rule, NULL);
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
    return ruleset_count(line->rule, after_us >= 0 ? after_us / PAWL_SEC_US : 0,
                         upto_us / PAWL_SEC_US);
}

int64_t line_last_us(const line_t *line, int64_t after_us, int64_t upto_us)
{
    if (line->to_us && upto_us > line->to_us) upto_us = line->to_us;
    int64_t last = ruleset_prev(line->rule, upto_us / PAWL_SEC_US + 1);
    if (last == RULE_NONE || last * PAWL_SEC_US <= after_us || last * PAWL_SEC_US < line->from_us)
        return INT64_MIN;
    return last * PAWL_SEC_US;
}
