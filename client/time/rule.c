/* SPDX-License-Identifier: Apache-2.0
 *
 * Next, previous and count. Cron rules and calendar days are sets of local times: they walk the
 * pieces of their zone (pieces.h), which come in the order of instants, and ask the calendar for
 * the next matching local time of each. Elapsed time and lists are sets of instants. */
#include "client/time/rule.h"

#include "client/time/civil.h"
#include "client/time/pieces.h"
#include "client/time/rule_inside.h"

enum { AWAY = 55 * 3600 }; /* no clock is further from UTC, twice */

enum rule_kind rule_kind(const rule_t *self)
{
    return self->kind;
}

bool rule_is_cron(const rule_t *self)
{
    return self->kind == RULE_CRON;
}

bool rule_every_hour(const rule_t *self)
{
    return self->every_hour;
}

const zone_t *rule_zone(const rule_t *self)
{
    return self->zone;
}

int64_t rule_step(const rule_t *self)
{
    return self->step;
}

int64_t rule_anchor(const rule_t *self)
{
    return self->anchor;
}

/* ---- exclusions --------------------------------------------------------------------------------
 */

bool rule_excludes_day(const rule_t *self, int32_t day)
{
    size_t low = 0, high = self->excluded_days_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (self->excluded_days[middle] == day) return true;
        if (self->excluded_days[middle] < day)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

/* How many sorted times are below a limit. */
static size_t below(const int64_t *times, size_t count, int64_t limit)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (times[middle] < limit)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool excludes_time(const rule_t *self, int64_t local)
{
    size_t index = below(self->excluded_times, self->excluded_times_count, local);
    return index < self->excluded_times_count && self->excluded_times[index] == local;
}

bool rule_excludes(const rule_t *self, int64_t local)
{
    return rule_excludes_day(self, day_of(local)) || excludes_time(self, local);
}

static bool has_exclusions(const rule_t *self)
{
    return self->excluded_days_count || self->excluded_times_count;
}

/* ---- local times -------------------------------------------------------------------------------
 */

/* The largest multiple of `by` that is not above value. */
static int64_t round_down(int64_t value, int64_t by)
{
    int64_t rest = value % by;
    return value - (rest < 0 ? rest + by : rest);
}

/* Days from the anchor: anchor_local + k * step for k >= 1. */
static int64_t days_next(const rule_t *self, int64_t local)
{
    int64_t first = self->anchor_local + self->step;
    if (local <= first) return first;
    return first + round_down(local - first + self->step - 1, self->step);
}

static int64_t days_prev(const rule_t *self, int64_t local)
{
    int64_t first = self->anchor_local + self->step;
    return local < first ? LOCAL_BEFORE : first + round_down(local - first, self->step);
}

static uint64_t days_count(const rule_t *self, int64_t from, int64_t to)
{
    int64_t first = days_next(self, from);
    return first < to ? (uint64_t)((to - 1 - first) / self->step) + 1 : 0;
}

static int64_t plain_next(const rule_t *self, int64_t local)
{
    return self->kind == RULE_CRON ? cron_next(&self->cron, local) : days_next(self, local);
}

static int64_t plain_prev(const rule_t *self, int64_t local)
{
    return self->kind == RULE_CRON ? cron_prev(&self->cron, local) : days_prev(self, local);
}

static uint64_t plain_count(const rule_t *self, int64_t from, int64_t to)
{
    if (from >= to) return 0;
    return self->kind == RULE_CRON ? cron_count(&self->cron, from, to) : days_count(self, from, to);
}

/* The smallest local time >= local that the rule names and the exclusions leave. */
static int64_t local_next(const rule_t *self, int64_t local)
{
    for (;;) {
        int64_t found = plain_next(self, local);
        if (found == LOCAL_NONE || !has_exclusions(self)) return found;
        if (rule_excludes_day(self, day_of(found)))
            local = local_at(day_of(found) + 1, 0);
        else if (excludes_time(self, found))
            local = found + 1;
        else
            return found;
    }
}

static int64_t local_prev(const rule_t *self, int64_t local)
{
    for (;;) {
        int64_t found = plain_prev(self, local);
        if (found == LOCAL_BEFORE || !has_exclusions(self)) return found;
        if (rule_excludes_day(self, day_of(found)))
            local = local_at(day_of(found), 0) - 1;
        else if (excludes_time(self, found))
            local = found - 1;
        else
            return found;
    }
}

static uint64_t local_count(const rule_t *self, int64_t from, int64_t to)
{
    uint64_t count = plain_count(self, from, to);
    if (count == 0 || !has_exclusions(self)) return count;
    for (size_t i = 0; i < self->excluded_days_count; i++) {
        int64_t day = local_at(self->excluded_days[i], 0), end = day + DAY_SECONDS;
        count -= plain_count(self, day > from ? day : from, end < to ? end : to);
    }
    size_t i = below(self->excluded_times, self->excluded_times_count, from);
    for (; i < self->excluded_times_count && self->excluded_times[i] < to; i++)
        count -= plain_count(self, self->excluded_times[i], self->excluded_times[i] + 1);
    return count;
}

/* ---- local times to instants -------------------------------------------------------------------
 */

static bool counts(const rule_t *self, const piece_t *piece)
{
    if (self->every_hour) return piece->kind != PIECE_SKIPPED;
    return piece->kind != PIECE_AGAIN;
}

/* Does the rule name a skipped time of a date that is shown in part? Dates skipped as a whole do
 * not exist. */
static bool skipped_matches(const rule_t *self, const piece_t *piece)
{
    int64_t whole_from = round_down(piece->from + DAY_SECONDS - 1, DAY_SECONDS);
    int64_t whole_to = round_down(piece->to, DAY_SECONDS);
    if (whole_from >= whole_to) return local_next(self, piece->from) < piece->to;
    return local_next(self, piece->from) < whole_from || local_next(self, whole_to) < piece->to;
}

/* The number of the first piece that has something to say about instants >= t. */
static size_t first_piece(const rule_t *self, int64_t t)
{
    size_t number = pieces_find(self->zone, t);
    piece_t piece, before;
    CHECK(pieces_get(self->zone, number, &piece));
    while (piece.at == t && number > 0 && pieces_get(self->zone, number - 1, &before) &&
           before.at == t)
        number--;
    return number;
}

static int64_t shown_next(const rule_t *self, int64_t start)
{
    int64_t known_from = LOCAL_NONE, known = LOCAL_NONE; /* no match in [known_from, known) */
    piece_t piece;
    for (size_t number = first_piece(self, start + 1); pieces_get(self->zone, number, &piece);
         number++) {
        if (piece.at >= RULE_END) break;
        if (!counts(self, &piece)) continue;
        int64_t from = start + 1 + piece.offset;
        if (from < piece.from || piece.kind == PIECE_SKIPPED) from = piece.from;
        if (from < known_from || from > known) {
            known_from = from;
            known = local_next(self, from);
        }
        if (known >= piece.to) continue;
        if (piece.kind != PIECE_SKIPPED) {
            int64_t found = known - piece.offset;
            return found < RULE_END ? found : RULE_NONE;
        }
        if (skipped_matches(self, &piece)) return piece.at;
    }
    return RULE_NONE;
}

static int64_t shown_prev(const rule_t *self, int64_t before)
{
    piece_t piece;
    for (size_t number = pieces_find(self->zone, before - 1);; number--) {
        CHECK(pieces_get(self->zone, number, &piece));
        if (counts(self, &piece) && piece.kind == PIECE_SKIPPED) {
            if (piece.at > 0 && skipped_matches(self, &piece)) return piece.at;
        } else if (counts(self, &piece)) {
            int64_t last = before - 1 + piece.offset;
            if (last >= piece.to) last = piece.to - 1;
            int64_t found = local_prev(self, last);
            if (found >= piece.from)
                return found - piece.offset > 0 ? found - piece.offset : RULE_NONE;
        }
        if (number == 0 || piece.at <= 0) return RULE_NONE;
    }
}

static uint64_t shown_count(const rule_t *self, int64_t after, int64_t upto)
{
    uint64_t count = 0;
    int64_t jump = RULE_NONE; /* the last jump that was counted */
    piece_t piece;
    for (size_t number = first_piece(self, after + 1); pieces_get(self->zone, number, &piece);
         number++) {
        if (piece.at > upto) break;
        if (!counts(self, &piece)) continue;
        if (piece.kind == PIECE_SKIPPED) {
            if (piece.at != jump && skipped_matches(self, &piece)) {
                jump = piece.at;
                count++;
            }
            continue;
        }
        int64_t from = after + 1 + piece.offset, to = upto + 1 + piece.offset;
        if (from < piece.from) from = piece.from;
        if (piece.at == jump && from == piece.from) from++; /* this instant is counted */
        count += local_count(self, from, to < piece.to ? to : piece.to);
    }
    return count;
}

/* ---- elapsed time ------------------------------------------------------------------------------
 */

static int64_t elapsed_from(const rule_t *self, int64_t t)
{
    if (t <= self->anchor) return self->anchor;
    return self->anchor + round_down(t - self->anchor + self->step - 1, self->step);
}

static uint64_t elapsed_count_plain(const rule_t *self, int64_t from, int64_t to)
{
    int64_t first = elapsed_from(self, from);
    return first < to ? (uint64_t)((to - 1 - first) / self->step) + 1 : 0;
}

/* The instant t itself, or the next one after it that is not on the excluded date of t. */
static int64_t leave_excluded_day(const rule_t *self, int64_t t, bool backwards)
{
    piece_t piece;
    CHECK(pieces_get(self->zone, pieces_find(self->zone, t), &piece));
    int64_t day = local_at(day_of(t + piece.offset), 0);
    if (backwards) {
        int64_t from = day > piece.from ? day : piece.from;
        return from - piece.offset - 1;
    }
    int64_t to = day + DAY_SECONDS < piece.to ? day + DAY_SECONDS : piece.to;
    return to - piece.offset;
}

static int64_t elapsed_next(const rule_t *self, int64_t start)
{
    for (int64_t t = elapsed_from(self, start + 1); t < RULE_END;) {
        int64_t local = has_exclusions(self) ? t + zone_offset(self->zone, t) : 0;
        if (has_exclusions(self) && rule_excludes_day(self, day_of(local)))
            t = elapsed_from(self, leave_excluded_day(self, t, false));
        else if (has_exclusions(self) && excludes_time(self, local))
            t += self->step;
        else
            return t;
    }
    return RULE_NONE;
}

static int64_t elapsed_prev(const rule_t *self, int64_t before)
{
    int64_t t = before - 1;
    while (t > 0 && t >= self->anchor) {
        t = self->anchor + round_down(t - self->anchor, self->step);
        int64_t local = has_exclusions(self) ? t + zone_offset(self->zone, t) : 0;
        if (has_exclusions(self) && rule_excludes_day(self, day_of(local)))
            t = leave_excluded_day(self, t, true);
        else if (has_exclusions(self) && excludes_time(self, local))
            t--;
        else
            return t > 0 ? t : RULE_NONE;
    }
    return RULE_NONE;
}

/* Instants in [from, to) at which the clock reads within [low, high). */
static uint64_t elapsed_count_reading(const rule_t *self, int64_t from, int64_t to, int64_t low,
                                      int64_t high)
{
    uint64_t count = 0;
    piece_t piece;
    size_t number = pieces_find(self->zone, low - AWAY);
    for (; pieces_get(self->zone, number, &piece) && piece.at <= high + AWAY; number++) {
        if (piece.kind == PIECE_SKIPPED) continue;
        int64_t first = (piece.from > low ? piece.from : low) - piece.offset;
        int64_t end = (piece.to < high ? piece.to : high) - piece.offset;
        if (first < from) first = from;
        if (end > to) end = to;
        if (first < end) count += elapsed_count_plain(self, first, end);
    }
    return count;
}

static uint64_t elapsed_count(const rule_t *self, int64_t from, int64_t to)
{
    uint64_t count = elapsed_count_plain(self, from, to);
    for (size_t i = 0; i < self->excluded_days_count; i++) {
        int64_t day = local_at(self->excluded_days[i], 0);
        count -= elapsed_count_reading(self, from, to, day, day + DAY_SECONDS);
    }
    for (size_t i = 0; i < self->excluded_times_count; i++)
        count -= elapsed_count_reading(self, from, to, self->excluded_times[i],
                                       self->excluded_times[i] + 1);
    return count;
}

/* ---- calendar days: the anchor is exactly its instant ------------------------------------------
 */

static bool anchor_fires(const rule_t *self)
{
    return self->anchor > 0 && !rule_excludes(self, self->anchor_local);
}

static int64_t every_days_next(const rule_t *self, int64_t start)
{
    if (start < self->anchor && anchor_fires(self)) return self->anchor;
    return shown_next(self, start > self->anchor ? start : self->anchor);
}

static int64_t every_days_prev(const rule_t *self, int64_t before)
{
    if (before <= self->anchor) return RULE_NONE;
    int64_t found = shown_prev(self, before);
    if (found > self->anchor) return found;
    return anchor_fires(self) ? self->anchor : RULE_NONE;
}

static uint64_t every_days_count(const rule_t *self, int64_t after, int64_t upto)
{
    uint64_t first = after < self->anchor && upto >= self->anchor && anchor_fires(self);
    if (after < self->anchor) after = self->anchor;
    return first + (after < upto ? shown_count(self, after, upto) : 0);
}

/* ---- questions ---------------------------------------------------------------------------------
 */

int64_t rule_next(const rule_t *self, int64_t start)
{
    if (start < 0) start = 0;
    if (start >= RULE_END - 1) return RULE_NONE;
    switch (self->kind) {
    case RULE_CRON:
        return shown_next(self, start);
    case RULE_EVERY:
        return elapsed_next(self, start);
    case RULE_EVERY_DAYS:
        return every_days_next(self, start);
    case RULE_AT:
    case RULE_DATES:
        break;
    }
    size_t index = below(self->instants, self->instants_count, start + 1);
    return index < self->instants_count ? self->instants[index] : RULE_NONE;
}

int64_t rule_prev(const rule_t *self, int64_t before)
{
    if (before > RULE_END) before = RULE_END;
    if (before <= 1) return RULE_NONE;
    switch (self->kind) {
    case RULE_CRON:
        return shown_prev(self, before);
    case RULE_EVERY:
        return elapsed_prev(self, before);
    case RULE_EVERY_DAYS:
        return every_days_prev(self, before);
    case RULE_AT:
    case RULE_DATES:
        break;
    }
    size_t index = below(self->instants, self->instants_count, before);
    return index > 0 ? self->instants[index - 1] : RULE_NONE;
}

uint64_t rule_count(const rule_t *self, int64_t after, int64_t upto)
{
    if (after < 0) after = 0;
    if (upto >= RULE_END) upto = RULE_END - 1;
    if (after >= upto) return 0;
    switch (self->kind) {
    case RULE_CRON:
        return shown_count(self, after, upto);
    case RULE_EVERY:
        return elapsed_count(self, after + 1, upto + 1);
    case RULE_EVERY_DAYS:
        return every_days_count(self, after, upto);
    case RULE_AT:
    case RULE_DATES:
        break;
    }
    return below(self->instants, self->instants_count, upto + 1) -
           below(self->instants, self->instants_count, after + 1);
}
