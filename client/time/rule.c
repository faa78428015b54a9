/* SPDX-License-Identifier: Apache-2.0
 *
 * Next, previous and count. Cron rules and calendar days are sets of local times: they walk the
 * pieces of their zone (pieces.h), which come in the order of instants, and ask the calendar for
 * the next matching local time of each. Elapsed time and lists are sets of instants. */
#include "client/time/rule.h"

#include "client/time/civil.h"
#include "client/time/pieces.h"
#include "client/time/rule_inside.h"

enum { SHUT_IN_A_ROW = 4096 }; /* candidates; more in a row: there is no next instant */

enum rule_kind rule_kind(const rule_t *self)
{
    return self->kind;
}

bool rule_is_cron(const rule_t *self)
{
    return self->kind == RULE_CRON;
}

const zone_t *rule_zone(const rule_t *self)
{
    return self->zone;
}

int64_t rule_step(const rule_t *self)
{
    return self->step;
}

/* ---- exclusions ------------------------------------------------------------------------------ */

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

static bool has_exclusions(const rule_t *self)
{
    return self->excluded_days_count || self->excluded_times_count || self->calendars_count;
}

bool rule_shut(const rule_t *self, int64_t local, int64_t *since, int64_t *until)
{
    int32_t day = day_of(local);
    if (rule_excludes_day(self, day)) {
        *since = local_at(day, 0);
        *until = *since + DAY_SECONDS;
        return true;
    }
    for (size_t i = 0; i < self->calendars_count; i++)
        if (calendar_closed(self->calendars[i], local, since, until)) return true;
    size_t index = below(self->excluded_times, self->excluded_times_count, local);
    *since = local;
    *until = local + 1;
    return index < self->excluded_times_count && self->excluded_times[index] == local;
}

int64_t rule_shut_next(const rule_t *self, int64_t local)
{
    int64_t next = LOCAL_NONE;
    size_t index = below(self->excluded_times, self->excluded_times_count, local + 1);
    if (index < self->excluded_times_count) next = self->excluded_times[index];
    size_t low = 0, high = self->excluded_days_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (self->excluded_days[middle] <= day_of(local))
            low = middle + 1;
        else
            high = middle;
    }
    if (low < self->excluded_days_count && local_at(self->excluded_days[low], 0) < next)
        next = local_at(self->excluded_days[low], 0);
    for (size_t i = 0; i < self->calendars_count; i++) {
        int64_t closing = calendar_next_closing(self->calendars[i], local);
        if (closing < next) next = closing;
    }
    return next;
}

/* ---- local times ----------------------------------------------------------------------------- */

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

/* The smallest local time >= local that the rule names and exclusions and calendars leave. */
static int64_t local_next(const rule_t *self, int64_t local)
{
    int64_t since;
    for (unsigned shut = 0; shut < SHUT_IN_A_ROW; shut++) {
        int64_t found = plain_next(self, local);
        if (found == LOCAL_NONE || !has_exclusions(self) || !rule_shut(self, found, &since, &local))
            return found;
    }
    return LOCAL_NONE;
}

static int64_t local_prev(const rule_t *self, int64_t local)
{
    int64_t since, until;
    for (unsigned shut = 0; shut < SHUT_IN_A_ROW; shut++) {
        int64_t found = plain_prev(self, local);
        if (found == LOCAL_BEFORE || !has_exclusions(self) ||
            !rule_shut(self, found, &since, &until))
            return found;
        local = since - 1;
    }
    return LOCAL_BEFORE;
}

/* Stretch by stretch that is open. */
static uint64_t local_count(const rule_t *self, int64_t from, int64_t to)
{
    if (!has_exclusions(self)) return plain_count(self, from, to);
    uint64_t count = 0;
    int64_t since, until;
    while (from < to) {
        if (rule_shut(self, from, &since, &until)) {
            from = until;
            continue;
        }
        int64_t end = rule_shut_next(self, from);
        if (end > to) end = to;
        count += plain_count(self, from, end);
        from = end;
    }
    return count;
}

/* ---- local times to instants ----------------------------------------------------------------- */

static bool counts(const rule_t *self, const piece_t *piece)
{
    if (self->every_hour) return piece->kind != PIECE_SKIPPED;
    return piece->kind != PIECE_AGAIN;
}

/* Dates skipped as a whole do not exist. */
bool rule_skipped_matches(const rule_t *self, const piece_t *piece)
{
    int64_t whole_from = round_down(piece->from + DAY_SECONDS - 1, DAY_SECONDS);
    int64_t whole_to = round_down(piece->to, DAY_SECONDS);
    if (whole_from >= whole_to) return local_next(self, piece->from) < piece->to;
    return local_next(self, piece->from) < whole_from || local_next(self, whole_to) < piece->to;
}

size_t rule_first_piece(const zone_t *zone, int64_t t)
{
    size_t number = pieces_find(zone, t);
    piece_t piece, before;
    CHECK(pieces_get(zone, number, &piece));
    while (piece.at == t && number > 0 && pieces_get(zone, number - 1, &before) && before.at == t)
        number--;
    return number;
}

static int64_t shown_next(const rule_t *self, int64_t start)
{
    int64_t known_from = LOCAL_NONE, known = LOCAL_NONE; /* no match in [known_from, known) */
    piece_t piece;
    for (size_t number = rule_first_piece(self->zone, start + 1);
         pieces_get(self->zone, number, &piece); number++) {
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
        if (rule_skipped_matches(self, &piece)) return piece.at;
    }
    return RULE_NONE;
}

static int64_t shown_prev(const rule_t *self, int64_t before)
{
    piece_t piece;
    for (size_t number = pieces_find(self->zone, before - 1);; number--) {
        CHECK(pieces_get(self->zone, number, &piece));
        if (counts(self, &piece) && piece.kind == PIECE_SKIPPED) {
            if (piece.at > 0 && rule_skipped_matches(self, &piece)) return piece.at;
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
    for (size_t number = rule_first_piece(self->zone, after + 1);
         pieces_get(self->zone, number, &piece); number++) {
        if (piece.at > upto) break;
        if (!counts(self, &piece)) continue;
        if (piece.kind == PIECE_SKIPPED) {
            if (piece.at != jump && rule_skipped_matches(self, &piece)) {
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

/* ---- elapsed time ---------------------------------------------------------------------------- */

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

/* The first instant at which the clock reads otherwise than within [low, high), going on from t,
 * which reads within it; or the last one before. */
static int64_t leave_shut(const piece_t *piece, int64_t low, int64_t high, bool backwards)
{
    if (backwards) return (low > piece->from ? low : piece->from) - piece->offset - 1;
    return (high < piece->to ? high : piece->to) - piece->offset;
}

static bool reading_shut(const rule_t *self, int64_t t, piece_t *piece, int64_t *since,
                         int64_t *until)
{
    if (!has_exclusions(self)) return false;
    CHECK(pieces_get(self->zone, pieces_find(self->zone, t), piece));
    return rule_shut(self, t + piece->offset, since, until);
}

static int64_t elapsed_next(const rule_t *self, int64_t start)
{
    piece_t piece;
    int64_t t = elapsed_from(self, start + 1), since, until;
    for (unsigned shut = 0; shut < SHUT_IN_A_ROW && t < RULE_END; shut++) {
        if (!reading_shut(self, t, &piece, &since, &until)) return t;
        t = elapsed_from(self, leave_shut(&piece, since, until, false));
    }
    return RULE_NONE;
}

static int64_t elapsed_prev(const rule_t *self, int64_t before)
{
    piece_t piece;
    int64_t t = before - 1, since, until;
    for (unsigned shut = 0; shut < SHUT_IN_A_ROW && t > 0 && t >= self->anchor; shut++) {
        t = self->anchor + round_down(t - self->anchor, self->step);
        if (!reading_shut(self, t, &piece, &since, &until)) return t > 0 ? t : RULE_NONE;
        t = leave_shut(&piece, since, until, true);
    }
    return RULE_NONE;
}

/* Instants in [from, to), by stretches that are open. */
static uint64_t elapsed_count(const rule_t *self, int64_t from, int64_t to)
{
    if (!has_exclusions(self)) return elapsed_count_plain(self, from, to);
    uint64_t count = 0;
    piece_t piece;
    while (from < to) {
        int64_t since, until;
        if (reading_shut(self, from, &piece, &since, &until)) {
            from = leave_shut(&piece, since, until, false);
            continue;
        }
        int64_t local = rule_shut_next(self, from + piece.offset);
        if (local > piece.to) local = piece.to;
        int64_t end = local < to + piece.offset ? local - piece.offset : to;
        count += elapsed_count_plain(self, from, end);
        from = end;
    }
    return count;
}

/* ---- calendar days: the anchor is exactly its instant ---------------------------------------- */

static bool anchor_fires(const rule_t *self)
{
    int64_t since, until;
    return self->anchor > 0 && !rule_shut(self, self->anchor_local, &since, &until);
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

/* ---- questions ------------------------------------------------------------------------------- */

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
