/* SPDX-License-Identifier: Apache-2.0
 *
 * How many instants the union of several rules has. Most rules are a set of local dates with, on
 * each of them, the same times of day: for those a day counts by the bits that its rules set among
 * 86,400. `@every` has other times of day each day, unless its step divides one: of a day it adds
 * those whose bits are not set yet. Days on which the same rules hold, and each `@every` begins at
 * the same second, have the same number: those come back, every 7 days for 7 minutes, and are
 * looked up. What is no such set (listed dates) is walked, and counts where no other rule has the
 * instant. As in rule.c a zone is walked by pieces, so that clock changes cost and count what they
 * are. */
#include <stdlib.h>

#include "client/time/civil.h"
#include "client/time/pieces.h"
#include "client/time/rule_inside.h"
#include "client/time/ruleset_inside.h"

enum { DAY_WORDS = DAY_SECONDS / 64, FEW = 32, SUMS_KEPT = 512, SUMS_NEAR = 4 };
enum { DAY_STEPS = 340 }; /* what the bits of a day cost, in steps of @every */

typedef struct day_bits {
    uint64_t word[DAY_WORDS]; /* a bit a second of the day */
} day_bits_t;

/* What the number of instants of a day follows from. */
typedef struct day_kind {
    uint32_t rules;                   /* that hold */
    int32_t first[RULESET_RULES_MAX]; /* of those of them that are @every, in their order: the
                                         second of the day at which each begins */
    size_t moving;                    /* how many these are */
} day_kind_t;

typedef struct day_sum {
    day_kind_t kind; /* no rules: an empty place */
    uint32_t seconds;
} day_sum_t;

typedef struct counter {
    const ruleset_t *set;
    uint32_t every;                   /* rules that are @every of elapsed time */
    day_bits_t *bits;                 /* of each of the others */
    uint32_t built;                   /* rules whose bits are there */
    uint32_t active;                  /* rules that count in this stretch */
    int32_t offset;                   /* of the piece that is counted */
    int32_t year, month;              /* that `days` are of */
    uint32_t days[RULESET_RULES_MAX]; /* matching days of the month, of cron rules */
    day_kind_t kind;                  /* of the day that is counted */
    uint32_t still_rules;             /* what `still` is of */
    uint32_t still_seconds;           /* of a whole day */
    day_bits_t still, mixed;          /* without @every; with it */
    day_sum_t sums[SUMS_KEPT];        /* of whole days, at the place of the hash or next to it */
} counter_t;

/* ---- kinds of rules -------------------------------------------------------------------------- */

/* A set of local times while the offset lasts; of @every from its anchor on, of calendar days
 * behind it. */
static bool is_local(const rule_t *rule)
{
    return rule->kind == RULE_CRON || rule->kind == RULE_EVERY_DAYS || rule->kind == RULE_EVERY;
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
    if (rule->kind == RULE_EVERY_DAYS) {
        set_bit(bits, second_of_day(rule->anchor_local));
    } else {
        for (int32_t minute = 0; minute < 24 * 60; minute++) {
            if (!(rule->cron.hour >> (minute / 60) & 1) ||
                !(rule->cron.minute >> (minute % 60) & 1))
                continue;
            for (uint64_t left = rule->cron.second; left; left &= left - 1)
                set_bit(bits, minute * 60 + __builtin_ctzll(left));
        }
    }
    self->built |= 1u << index;
}

/* Bits of seconds in [from, to). */
static uint32_t bits_between(const day_bits_t *bits, int32_t from, int32_t to)
{
    uint32_t count = 0;
    for (int32_t second = from; second < to;) {
        uint64_t word = bits->word[second / 64] >> (second % 64);
        int32_t end = (second / 64 + 1) * 64;
        if (end > to) {
            word &= (UINT64_C(1) << (to - second)) - 1;
            end = to;
        }
        count += (uint32_t)__builtin_popcountll(word);
        second = end;
    }
    return count;
}

/* The bits of several rules together, none of them @every, in self->still. */
static void mix_still(counter_t *self, uint32_t rules)
{
    if (rules == self->still_rules) return;
    memset(&self->still, 0, sizeof self->still);
    for (uint32_t left = rules; left; left &= left - 1) {
        size_t index = (size_t)__builtin_ctz(left);
        if (!(self->built >> index & 1)) build(self, index);
        for (size_t i = 0; i < DAY_WORDS; i++)
            self->still.word[i] |= self->bits[index].word[i];
    }
    self->still_rules = rules;
    self->still_seconds = bits_between(&self->still, 0, DAY_SECONDS);
}

/* Sets the bits first, first + step, ... of seconds in [from, to). How many were not set. */
static uint32_t add_every(day_bits_t *bits, int64_t step, int64_t first, int32_t from, int32_t to)
{
    uint32_t added = 0;
    if (first < from) first += (from - first + step - 1) / step * step;
    for (int64_t second = first; second < to; second += step) {
        uint64_t *word = &bits->word[second / 64], bit = UINT64_C(1) << (second % 64);
        added += !(*word & bit);
        *word |= bit;
    }
    return added;
}

/* Seconds of the day in [from, to) at which one of the rules fires that hold. */
static uint32_t mixed_between(counter_t *self, int32_t from, int32_t to)
{
    uint32_t every = self->kind.rules & self->every;
    mix_still(self, self->kind.rules & ~every);
    bool whole = from == 0 && to == DAY_SECONDS;
    uint32_t count = whole ? self->still_seconds : bits_between(&self->still, from, to);
    if (every) self->mixed = self->still;
    for (size_t i = 0; every; every &= every - 1, i++)
        count += add_every(&self->mixed, self->set->rules[__builtin_ctz(every)]->step,
                           self->kind.first[i], from, to);
    return count;
}

static bool same_kind(const day_kind_t *a, const day_kind_t *b)
{
    return a->rules == b->rules && memcmp(a->first, b->first, b->moving * sizeof *b->first) == 0;
}

/* Where the sum of days like this one is, or is to be. */
static day_sum_t *sum_of_kind(counter_t *self)
{
    const day_kind_t *kind = &self->kind;
    uint64_t hash = hash64(kind, offsetof(day_kind_t, first) + kind->moving * sizeof *kind->first);
    for (uint64_t i = 0; i < SUMS_NEAR; i++) {
        day_sum_t *sum = &self->sums[(hash + i) % SUMS_KEPT];
        if (sum->kind.rules == 0 || same_kind(&sum->kind, kind)) return sum;
    }
    return &self->sums[hash % SUMS_KEPT];
}

static uint32_t seconds_between(counter_t *self, int32_t from, int32_t to)
{
    if (self->kind.rules == 0) return 0;
    if (from > 0 || to < DAY_SECONDS) return mixed_between(self, from, to);
    day_sum_t *sum = sum_of_kind(self);
    if (!same_kind(&sum->kind, &self->kind))
        *sum = (day_sum_t){ self->kind, mixed_between(self, from, to) };
    return sum->seconds;
}

/* ---- days ------------------------------------------------------------------------------------ */

/* The second of the day at which a rule of elapsed time begins, of those at and behind its anchor;
 * DAY_SECONDS and more: it has none on this day. */
static int32_t first_of_day(const counter_t *self, const rule_t *rule, int32_t day)
{
    int64_t first = (rule->anchor + self->offset - local_at(day, 0)) % rule->step;
    return (int32_t)(first < 0 ? first + rule->step : first);
}

/* Which of the rules hold on a day, and since when: into self->kind. */
static void look_at_day(counter_t *self, uint32_t rules, int32_t day, const civil_t *date)
{
    if (date->year != self->year || date->month != self->month) {
        self->year = date->year;
        self->month = date->month;
        for (size_t i = 0; i < self->set->count; i++)
            if (self->set->rules[i]->kind == RULE_CRON)
                self->days[i] =
                    cron_month_days(&self->set->rules[i]->cron, date->year, date->month);
    }
    day_kind_t *kind = &self->kind;
    kind->rules = 0;
    kind->moving = 0;
    for (uint32_t left = rules; left; left &= left - 1) {
        size_t index = (size_t)__builtin_ctz(left);
        const rule_t *rule = self->set->rules[index];
        bool holds;
        if (rule->kind == RULE_CRON) {
            holds = self->days[index] >> date->day & 1;
        } else if (rule->kind == RULE_EVERY_DAYS) {
            holds = day > day_of(rule->anchor_local) &&
                    (day - day_of(rule->anchor_local)) % (rule->step / DAY_SECONDS) == 0;
        } else {
            int32_t first = first_of_day(self, rule, day);
            holds = first < DAY_SECONDS;
            if (holds) kind->first[kind->moving++] = first;
        }
        if (holds) kind->rules |= 1u << index;
    }
}

/* Local times in [from, to), none of them shut. */
static uint64_t open_count(counter_t *self, uint32_t rules, int64_t from, int64_t to)
{
    uint64_t count = 0;
    civil_t date = civil_from_days(day_of(from));
    for (int32_t day = day_of(from); from < to; day++, date.day++) {
        if (date.day > month_length(date.year, date.month)) date = civil_from_days(day);
        int64_t end = local_at(day + 1, 0) < to ? local_at(day + 1, 0) : to;
        look_at_day(self, rules, day, &date);
        count += seconds_between(self, second_of_day(from), (int32_t)(end - local_at(day, 0)));
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
    uint32_t clocked = 0;
    piece_t piece;
    for (size_t i = 0; i < self->set->count; i++)
        if (follows_clock(self->set->rules[i])) clocked |= 1u << i;
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
        self->offset = piece.offset;
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
    counter_t *counter = mem_new(sizeof *counter);
    counter->set = self;
    counter->bits = mem_new(self->count * sizeof *counter->bits);
    for (size_t i = 0; i < self->count; i++)
        if (self->rules[i]->kind == RULE_EVERY) counter->every |= 1u << i;
    uint64_t count = FEW + parts_count(counter, after, upto) + walked_count(self, after, upto);
    free(counter->bits);
    free(counter);
    return count;
}

/* ---- what it costs --------------------------------------------------------------------------- */

static int64_t common_divisor(int64_t a, int64_t b)
{
    while (b) {
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

uint64_t ruleset_count_steps(const ruleset_t *self, int64_t days)
{
    int64_t kinds = 1, each = 0; /* of days, as all @every together make them; steps a day */
    if (days < 0) days = 0;
    for (size_t i = 0; self->count > 1 && i < self->count; i++) {
        const rule_t *rule = self->rules[i];
        if (rule->kind != RULE_EVERY) continue;
        int64_t own = rule->step / common_divisor(rule->step, DAY_SECONDS);
        kinds = kinds / common_divisor(kinds, own) * own;
        if (kinds < 1 || kinds > days) kinds = days + 1;
        each += DAY_SECONDS / rule->step + 1;
    }
    if (each) each += DAY_STEPS;
    /* more kinds than are kept push each other out before they come back */
    bool kept = kinds < days && kinds <= SUMS_KEPT;
    return (uint64_t)((kept ? kinds : days) * each);
}
