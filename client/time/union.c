/* SPDX-License-Identifier: Apache-2.0
 *
 * How many instants the union of several rules has. Most rules are a set of local dates with, on
 * each of them, the same times of day: for those a day counts by the bits that its rules set among
 * 86,400, and days on which the same rules hold have the same number. What is no such set (listed
 * dates, `@every` with a step that does not divide a day) is walked, and counts where no other rule
 * has the instant. As in rule.c a zone is walked by pieces, so that clock changes cost and count
 * what they are. */
#include <stdlib.h>

#include "client/time/civil.h"
#include "client/time/pieces.h"
#include "client/time/rule_inside.h"
#include "client/time/ruleset_inside.h"

enum { DAY_WORDS = DAY_SECONDS / 64, FEW = 32, SUMS_KEPT = 64 };

typedef struct day_bits {
    uint64_t word[DAY_WORDS]; /* a bit a second of the day */
} day_bits_t;

typedef struct counter {
    const ruleset_t *set;
    day_bits_t *bits; /* of each rule */
    uint32_t built;   /* rules whose bits are there */
    int32_t offset;   /* that those of @every were built for */
    uint32_t active;  /* rules that count in this stretch */
    struct {
        uint32_t rules;
        uint32_t seconds;
    } sums[SUMS_KEPT]; /* of whole days, by the rules that hold */
    size_t sums_count;
    int32_t year, month;              /* that `days` are of */
    uint32_t days[RULESET_RULES_MAX]; /* matching days of the month, of cron rules */
    day_bits_t mixed;
} counter_t;

/* ---- kinds of rules -------------------------------------------------------------------------- */

static bool is_elapsed_by_day(const rule_t *rule)
{
    return rule->kind == RULE_EVERY && DAY_SECONDS % rule->step == 0;
}

/* A set of local times; of @every from its anchor on, of calendar days behind it. */
static bool is_local(const rule_t *rule)
{
    return rule->kind == RULE_CRON || rule->kind == RULE_EVERY_DAYS || is_elapsed_by_day(rule);
}

/* Follows the clock: repeated readings count again, skipped ones are not made up. */
static bool follows_clock(const rule_t *rule)
{
    return rule->kind == RULE_EVERY || rule->every_hour;
}

/* ---- times of a day -------------------------------------------------------------------------- */

static void set_bit(day_bits_t *bits, int32_t second)
{
    bits->word[second / 64] |= UINT64_C(1) << (second % 64);
}

static void build(counter_t *self, size_t index)
{
    const rule_t *rule = self->set->rules[index];
    day_bits_t *bits = &self->bits[index];
    memset(bits, 0, sizeof *bits);
    if (rule->kind == RULE_CRON) {
        for (int32_t minute = 0; minute < 24 * 60; minute++) {
            if (!(rule->cron.hour >> (minute / 60) & 1) ||
                !(rule->cron.minute >> (minute % 60) & 1))
                continue;
            for (uint64_t left = rule->cron.second; left; left &= left - 1)
                set_bit(bits, minute * 60 + __builtin_ctzll(left));
        }
    } else if (rule->kind == RULE_EVERY_DAYS) {
        set_bit(bits, second_of_day(rule->anchor_local));
    } else {
        int32_t step = (int32_t)rule->step;
        int32_t first = (int32_t)((rule->anchor + self->offset) % step);
        for (int32_t second = first < 0 ? first + step : first; second < DAY_SECONDS;
             second += step)
            set_bit(bits, second);
    }
    self->built |= 1u << index;
}

/* The bits of several rules together, in self->mixed. */
static void mix(counter_t *self, uint32_t rules)
{
    memset(&self->mixed, 0, sizeof self->mixed);
    for (uint32_t left = rules; left; left &= left - 1) {
        size_t index = (size_t)__builtin_ctz(left);
        if (!(self->built >> index & 1)) build(self, index);
        for (size_t i = 0; i < DAY_WORDS; i++)
            self->mixed.word[i] |= self->bits[index].word[i];
    }
}

/* Seconds of the day in [from, to) at which one of the rules fires. */
static uint32_t seconds_between(counter_t *self, uint32_t rules, int32_t from, int32_t to)
{
    bool whole = from == 0 && to == DAY_SECONDS;
    if (rules == 0) return 0;
    for (size_t i = 0; whole && i < self->sums_count; i++)
        if (self->sums[i].rules == rules) return self->sums[i].seconds;
    mix(self, rules);
    uint32_t count = 0;
    for (int32_t second = from; second < to;) {
        uint64_t word = self->mixed.word[second / 64] >> (second % 64);
        int32_t end = (second / 64 + 1) * 64;
        if (end > to) {
            word &= (UINT64_C(1) << (to - second)) - 1;
            end = to;
        }
        count += (uint32_t)__builtin_popcountll(word);
        second = end;
    }
    if (whole && self->sums_count < SUMS_KEPT) {
        self->sums[self->sums_count].rules = rules;
        self->sums[self->sums_count++].seconds = count;
    }
    return count;
}

/* ---- days ------------------------------------------------------------------------------------ */

/* Which of the rules hold on a day. */
static uint32_t rules_of_day(counter_t *self, uint32_t rules, int32_t day, const civil_t *date)
{
    if (date->year != self->year || date->month != self->month) {
        self->year = date->year;
        self->month = date->month;
        for (size_t i = 0; i < self->set->count; i++)
            if (self->set->rules[i]->kind == RULE_CRON)
                self->days[i] =
                    cron_month_days(&self->set->rules[i]->cron, date->year, date->month);
    }
    uint32_t holding = 0;
    for (uint32_t left = rules; left; left &= left - 1) {
        size_t index = (size_t)__builtin_ctz(left);
        const rule_t *rule = self->set->rules[index];
        bool holds = true;
        if (rule->kind == RULE_CRON)
            holds = self->days[index] >> date->day & 1;
        else if (rule->kind == RULE_EVERY_DAYS)
            holds = day > day_of(rule->anchor_local) &&
                    (day - day_of(rule->anchor_local)) % (rule->step / DAY_SECONDS) == 0;
        if (holds) holding |= 1u << index;
    }
    return holding;
}

/* Local times in [from, to), none of them shut. */
static uint64_t open_count(counter_t *self, uint32_t rules, int64_t from, int64_t to)
{
    uint64_t count = 0;
    civil_t date = civil_from_days(day_of(from));
    for (int32_t day = day_of(from); from < to; day++, date.day++) {
        if (date.day > month_length(date.year, date.month)) date = civil_from_days(day);
        int64_t end = local_at(day + 1, 0) < to ? local_at(day + 1, 0) : to;
        uint32_t holding = rules_of_day(self, rules, day, &date);
        count +=
            seconds_between(self, holding, second_of_day(from), (int32_t)(end - local_at(day, 0)));
        from = end;
    }
    return count;
}

/* Local times in [from, to), by stretches that are open: exclusions and calendars are common. */
static uint64_t local_count(counter_t *self, uint32_t rules, int64_t from, int64_t to)
{
    const rule_t *any = self->set->rules[0];
    uint64_t count = 0;
    int64_t since, until;
    while (rules && from < to) {
        if (rule_shut(any, from, &since, &until)) {
            from = until;
            continue;
        }
        int64_t end = rule_shut_next(any, from);
        if (end > to) end = to;
        count += open_count(self, rules, from, end);
        from = end;
    }
    return count;
}

/* ---- pieces ---------------------------------------------------------------------------------- */

static bool jump_counts(const counter_t *self, const piece_t *piece)
{
    for (uint32_t left = self->active; left; left &= left - 1) {
        const rule_t *rule = self->set->rules[__builtin_ctz(left)];
        if (!follows_clock(rule) && rule_skipped_matches(rule, piece)) return true;
    }
    return false;
}

/* Instants in (after, upto] of the active local rules. */
static uint64_t shown_count(counter_t *self, int64_t after, int64_t upto)
{
    const zone_t *zone = self->set->rules[0]->zone;
    uint64_t count = 0;
    int64_t jump = RULE_NONE;
    uint32_t clocked = 0, moving = 0; /* moving: elapsed time moves against the clock */
    piece_t piece;
    for (size_t i = 0; i < self->set->count; i++) {
        if (follows_clock(self->set->rules[i])) clocked |= 1u << i;
        if (self->set->rules[i]->kind == RULE_EVERY) moving |= 1u << i;
    }
    for (size_t number = rule_first_piece(zone, after + 1); pieces_get(zone, number, &piece);
         number++) {
        if (piece.at > upto) break;
        if (piece.kind == PIECE_SKIPPED) {
            if (piece.at != jump && jump_counts(self, &piece)) {
                jump = piece.at;
                count++;
            }
            continue;
        }
        if (piece.offset != self->offset) {
            self->offset = piece.offset;
            if (moving) self->sums_count = 0;
            self->built &= ~moving;
        }
        int64_t from = after + 1 + piece.offset, to = upto + 1 + piece.offset;
        if (from < piece.from) from = piece.from;
        if (piece.at == jump && from == piece.from) from++; /* this instant is counted */
        uint32_t rules = piece.kind == PIECE_AGAIN ? self->active & clocked : self->active;
        count += local_count(self, rules, from, to < piece.to ? to : piece.to);
    }
    return count;
}

/* Does a rule count this instant as one of its local times? */
static bool has_local(const rule_t *rule, int64_t t)
{
    if (!is_local(rule)) return false;
    if (rule->kind == RULE_EVERY_DAYS && t <= rule->anchor) return false;
    return rule_next(rule, t - 1) == t;
}

/* Instants in (after, upto] that only walking finds, and no other rule has counted. */
static uint64_t walked_count(const ruleset_t *set, int64_t after, int64_t upto)
{
    uint64_t count = 0;
    for (size_t i = 0; i < set->count; i++) {
        const rule_t *rule = set->rules[i];
        if (is_local(rule) && rule->kind != RULE_EVERY_DAYS) continue;
        for (int64_t t = after; (t = rule_next(rule, t)) != RULE_NONE && t <= upto;) {
            if (rule->kind == RULE_EVERY_DAYS && t != rule->anchor) break;
            bool known = false;
            for (size_t j = 0; !known && j < set->count; j++)
                known = j != i && (has_local(set->rules[j], t) ||
                                   (j < i && rule_next(set->rules[j], t - 1) == t));
            count += !known;
        }
    }
    return count;
}

/* (after, upto] cut where a rule begins, so that within each part the same rules are active. */
static uint64_t parts_count(counter_t *self, int64_t after, int64_t upto)
{
    uint64_t count = 0;
    while (after < upto) {
        int64_t end = upto;
        self->active = 0;
        for (size_t i = 0; i < self->set->count; i++) {
            const rule_t *rule = self->set->rules[i];
            if (!is_local(rule)) continue;
            int64_t begin = rule->kind == RULE_CRON    ? -1
                            : rule->kind == RULE_EVERY ? rule->anchor - 1
                                                       : rule->anchor;
            if (begin <= after)
                self->active |= 1u << i;
            else if (begin < end)
                end = begin;
        }
        count += shown_count(self, after, end);
        after = end;
    }
    return count;
}

uint64_t ruleset_count(const ruleset_t *self, int64_t after, int64_t upto)
{
    if (self->count == 1) return rule_count(self->rules[0], after, upto);
    if (after < 0) after = 0;
    if (upto >= RULE_END) upto = RULE_END - 1;
    for (uint64_t found = 0; found < FEW; found++) {
        after = ruleset_next(self, after);
        if (after == RULE_NONE || after > upto) return found;
    }
    counter_t counter = { .set = self };
    counter.bits = mem_new(self->count * sizeof *counter.bits);
    uint64_t count = FEW + parts_count(&counter, after, upto) + walked_count(self, after, upto);
    free(counter.bits);
    return count;
}
