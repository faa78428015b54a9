/* SPDX-License-Identifier: Apache-2.0
 *
 * From a TZif file to pieces, in three steps:
 *   1. spans: stretches of constant offset, from the 64-bit transitions and, after the last of
 *      them, from the footer for some years more than 400;
 *   2. each span is cut into pieces (pieces.h);
 *   3. the pieces of the last 400 years are a cycle: the Gregorian calendar repeats after 146097
 *      days, which are whole weeks, so piece n + cycle is piece n, 400 years later. */
#include "client/time/zone.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/time/civil.h"
#include "client/time/footer.h"
#include "client/time/pieces.h"

#define DAWN  (-(INT64_C(1) << 55)) /* before all instants; far from overflow */
#define DUSK  (INT64_C(1) << 55)
#define CYCLE (INT64_C(146097) * DAY_SECONDS)
/* 1900-01-01: no footer is asked about the time before */
#define FOOTER_DAWN (-INT64_C(2208988800))
#define LAST_END    INT64_C(253371110400) /* some days after the last instant anybody asks for */

enum {
    TRANSITIONS_MAX = 4000, /* cutting compares neighbours: bounds the work for a hostile file */
    NEAR = 55 * 3600,       /* clocks of spans further apart than this never meet */
    OFFSET_LOW = -89999,    /* RFC 9636 3.2 */
    OFFSET_HIGH = 93599,
    INTERVALS_MAX = 32,
    /* a footer may change the offset in leap years only: some years more than a cycle */
    FOOTER_YEARS = CYCLE_YEARS + 12,
};

struct zone {
    char name[ZONE_NAME_MAX + 1];
    uint64_t hash;
    piece_t *pieces;
    size_t count;
    size_t cycle; /* so many of the last pieces repeat every CYCLE seconds; 0: nothing repeats */
};

typedef struct span {
    int64_t from, to; /* instants */
    int32_t offset;
} span_t;

typedef struct spans {
    span_t *at;
    size_t count, room;
    int64_t listed; /* the last transition that the file lists, of an offset or of a name only */
} spans_t;

/* ---- names and files ------------------------------------------------------------------------- */

bool zone_name_valid(slice_t name)
{
    static const char *const refused[] = { "localtime", "posixrules" };
    static const char *const folders[] = { "right/", "posix/" };
    if (name.len == 0 || name.len > ZONE_NAME_MAX) return false;
    uint8_t before = '/';
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.at[i];
        bool plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                     c == '_' || c == '+' || c == '-';
        if (!plain && !(c == '/' && before != '/')) return false;
        before = c;
    }
    if (before == '/') return false;
    for (size_t i = 0; i < ARRAY_LEN(refused); i++)
        if (slice_equal(name, slice_text(refused[i]))) return false;
    for (size_t i = 0; i < ARRAY_LEN(folders); i++)
        if (name.len >= 6 && memcmp(name.at, folders[i], 6) == 0) return false;
    return true;
}

/* Appends a regular file of at most ZONE_FILE_MAX bytes. */
static bool read_all(int fd, buf_t *bytes)
{
    struct stat status;
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size > ZONE_FILE_MAX)
        return false;
    size_t end = bytes->len + ZONE_FILE_MAX;
    for (;;) {
        buf_need(bytes, 4096);
        ssize_t got = read(fd, bytes->at + bytes->len, 4096);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return got == 0;
        bytes->len += (size_t)got;
        if (bytes->len > end) return false;
    }
}

err_t zone_read_file(const char *name, const char *dir, buf_t *bytes)
{
    CHECK(name && bytes);
    if (!zone_name_valid(slice_text(name))) return ERR_BAD_ZONE;
    buf_t path = { 0 };
    buf_printf(&path, "%s/%s", dir ? dir : ZONE_DIRECTORY, name);
    int fd = open((const char *)path.at, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    buf_free(&path);
    if (fd < 0) return ERR_BAD_ZONE;
    size_t before = bytes->len;
    bool good = read_all(fd, bytes);
    close(fd);
    if (good && bytes->len - before >= 4 && memcmp(bytes->at + before, "TZif", 4) == 0)
        return ERR_OK;
    bytes->len = before;
    return ERR_BAD_ZONE;
}

/* ---- spans ----------------------------------------------------------------------------------- */

/* From `at` on the offset is `offset`: ends the last span, or changes it if it would be empty. */
static void spans_change(spans_t *spans, int64_t at, int32_t offset)
{
    bool some = spans->count > 0;
    span_t *last = some ? &spans->at[spans->count - 1] : NULL;
    if (some && last->from >= at) {
        last->offset = offset;
        if (spans->count > 1 && last[-1].offset == offset) {
            last[-1].to = last->to;
            spans->count--;
        }
        return;
    }
    if (some && last->offset == offset) return;
    if (some) last->to = at;
    if (spans->count == spans->room) {
        spans->room = spans->room ? spans->room * 2 : 64;
        spans->at = mem_grow(spans->at, spans->room * sizeof *spans->at);
    }
    spans->at[spans->count++] = (span_t){ at, DUSK, offset };
}

typedef struct tzif_header {
    uint8_t version;
    uint32_t isutcnt, isstdcnt, leapcnt, timecnt, typecnt, charcnt;
} tzif_header_t;

static bool header_read(reader_t *in, tzif_header_t *header)
{
    const uint8_t *magic = reader_take(in, 4);
    if (!magic || memcmp(magic, "TZif", 4) != 0) return false;
    header->version = reader_u8(in);
    reader_take(in, 15);
    header->isutcnt = reader_u32(in);
    header->isstdcnt = reader_u32(in);
    header->leapcnt = reader_u32(in);
    header->timecnt = reader_u32(in);
    header->typecnt = reader_u32(in);
    header->charcnt = reader_u32(in);
    return !in->bad;
}

/* The block of 32-bit data is there for old readers: stepped over. */
static bool skip_old_block(reader_t *in, const tzif_header_t *header)
{
    uint64_t bytes = (uint64_t)header->timecnt * 5 + (uint64_t)header->typecnt * 6 +
                     header->charcnt + (uint64_t)header->leapcnt * 8 + header->isstdcnt +
                     header->isutcnt;
    return bytes <= SIZE_MAX / 2 && reader_take(in, (size_t)bytes) != NULL;
}

static bool footer_read(reader_t *in, footer_t *footer)
{
    if (reader_u8(in) != '\n' || in->bad) return false;
    const uint8_t *end = memchr(in->at, '\n', (size_t)(in->end - in->at));
    return end && footer_parse(slice(in->at, (size_t)(end - in->at)), footer);
}

static bool transitions_read(reader_t *in, const tzif_header_t *header, spans_t *spans)
{
    const uint8_t *times = reader_take(in, (size_t)header->timecnt * 8);
    const uint8_t *indexes = reader_take(in, header->timecnt);
    const uint8_t *types = reader_take(in, (size_t)header->typecnt * 6);
    reader_take(in, (size_t)header->charcnt + header->isstdcnt + header->isutcnt);
    if (in->bad) return false;
    for (uint32_t i = 0; i < header->typecnt; i++) {
        int32_t offset = (int32_t)be_u32(types + 6 * i);
        if (offset < OFFSET_LOW || offset > OFFSET_HIGH) return false;
    }
    spans_change(spans, DAWN, (int32_t)be_u32(types));
    spans->listed = DAWN;
    int64_t before = INT64_MIN;
    for (uint32_t i = 0; i < header->timecnt; i++) {
        int64_t at = (int64_t)be_u64(times + 8 * i);
        if ((i && at <= before) || indexes[i] >= header->typecnt) return false;
        before = at;
        spans->listed = at > DAWN ? at : DAWN;
        if (at < LAST_END)
            spans_change(spans, at > DAWN ? at : DAWN, (int32_t)be_u32(types + 6 * indexes[i]));
    }
    return true;
}

typedef struct change {
    int64_t at;
    int32_t offset;
} change_t;

/* What the footer says after the last transition. True: the end of the spans is one full cycle and
 * a bit, to be repeated. */
static bool footer_spans(const footer_t *footer, spans_t *spans)
{
    if (!footer->present || !footer->daylight) return false;
    int64_t last = spans->listed > FOOTER_DAWN ? spans->listed : FOOTER_DAWN;
    if (last >= LAST_END) return false;
    int32_t year = civil_from_days(day_of(last)).year;
    size_t count = 0;
    change_t changes[2 * FOOTER_YEARS];
    for (int32_t y = year; y < year + FOOTER_YEARS; y++) {
        changes[count++] = (change_t){ footer_start(footer, y), footer->summer };
        changes[count++] = (change_t){ footer_end(footer, y), footer->standard };
    }
    /* Nearly sorted: in the south summer ends first. Of equal instants the later said holds, so
     * that summer that ends as the next begins never ends. */
    for (size_t i = 1; i < count; i++) {
        change_t moved = changes[i];
        size_t to = i;
        for (; to > 0 && changes[to - 1].at > moved.at; to--)
            changes[to] = changes[to - 1];
        changes[to] = moved;
    }
    size_t before = spans->count;
    /* the very last is left out: whether it holds depends on the year after */
    for (size_t i = 0; i + 1 < count; i++)
        if (changes[i].at > last && changes[i + 1].at != changes[i].at)
            spans_change(spans, changes[i].at, changes[i].offset);
    return spans->count > before + 2;
}

static bool spans_read(slice_t tzif, spans_t *spans, bool *repeats)
{
    reader_t in = reader(tzif);
    tzif_header_t header;
    footer_t footer;
    if (!header_read(&in, &header) || header.version < '2' || !skip_old_block(&in, &header))
        return false;
    if (!header_read(&in, &header) || header.leapcnt != 0 || header.typecnt == 0 ||
        header.typecnt > 256 || header.timecnt > TRANSITIONS_MAX)
        return false;
    if (!transitions_read(&in, &header, spans) || !footer_read(&in, &footer)) return false;
    if (spans->count == 1 && footer.present && !footer.daylight)
        spans->at[0].offset = footer.standard;
    *repeats = footer_spans(&footer, spans);
    return true;
}

/* ---- pieces ---------------------------------------------------------------------------------- */

/* Sorted, disjoint intervals of local readings. */
typedef struct intervals {
    struct {
        int64_t from, to;
    } at[INTERVALS_MAX];
    size_t count;
} intervals_t;

/* False: too many parts, which no honest zone has. */
static bool subtract(intervals_t *self, int64_t from, int64_t to)
{
    intervals_t left = { .count = 0 };
    for (size_t i = 0; i < self->count; i++) {
        int64_t a = self->at[i].from, b = self->at[i].to;
        int64_t parts[2][2] = { { a, b < from ? b : from }, { a > to ? a : to, b } };
        for (int p = 0; p < 2; p++) {
            if (parts[p][0] >= parts[p][1]) continue;
            if (left.count == INTERVALS_MAX) return false;
            left.at[left.count].from = parts[p][0];
            left.at[left.count++].to = parts[p][1];
        }
    }
    *self = left;
    return true;
}

static int64_t local_from(const span_t *span)
{
    return span->from + span->offset;
}

static int64_t local_to(const span_t *span)
{
    return span->to + span->offset;
}

/* Takes from `left` what spans before number i show. */
static bool subtract_earlier(const spans_t *spans, size_t i, intervals_t *left)
{
    for (size_t j = i; j-- > 0 && spans->at[j].to > spans->at[i].from - NEAR;)
        if (!subtract(left, local_from(&spans->at[j]), local_to(&spans->at[j]))) return false;
    return true;
}

/* Takes what spans from number i on show, and what earlier jumps than that into i skip. */
static bool subtract_others(const spans_t *spans, size_t i, intervals_t *left)
{
    for (size_t j = i; j < spans->count && spans->at[j].from < spans->at[i].from + NEAR; j++)
        if (!subtract(left, local_from(&spans->at[j]), local_to(&spans->at[j]))) return false;
    for (size_t j = i - 1; j > 0 && spans->at[j].from > spans->at[i].from - NEAR; j--)
        if (local_from(&spans->at[j]) > local_to(&spans->at[j - 1]) &&
            !subtract(left, local_to(&spans->at[j - 1]), local_from(&spans->at[j])))
            return false;
    return true;
}

static void piece_add(zone_t *self, size_t *room, piece_t piece)
{
    if (self->count == *room) {
        *room = *room ? *room * 2 : 64;
        self->pieces = mem_grow(self->pieces, *room * sizeof *self->pieces);
    }
    self->pieces[self->count++] = piece;
}

static bool cut_skipped(zone_t *self, size_t *room, const spans_t *spans, size_t i)
{
    const span_t *span = &spans->at[i];
    intervals_t left = { .count = 0 };
    if (i == 0 || local_from(span) <= local_to(span - 1)) return true;
    left.count = 1;
    left.at[0].from = local_to(span - 1);
    left.at[0].to = local_from(span);
    if (!subtract_earlier(spans, i, &left) || !subtract_others(spans, i, &left)) return false;
    for (size_t n = 0; n < left.count; n++)
        piece_add(
            self, room,
            (piece_t){ span->from, left.at[n].from, left.at[n].to, span->offset, PIECE_SKIPPED });
    return true;
}

static bool cut_shown(zone_t *self, size_t *room, const spans_t *spans, size_t i)
{
    const span_t *span = &spans->at[i];
    intervals_t left = { .count = 1 };
    left.at[0].from = local_from(span);
    left.at[0].to = local_to(span);
    if (!subtract_earlier(spans, i, &left)) return false;
    int64_t done = local_from(span);
    for (size_t n = 0; n <= left.count; n++) {
        int64_t from = n < left.count ? left.at[n].from : local_to(span);
        if (from > done)
            piece_add(self, room,
                      (piece_t){ done - span->offset, done, from, span->offset, PIECE_AGAIN });
        if (n == left.count) break;
        done = left.at[n].to;
        piece_add(self, room,
                  (piece_t){ from - span->offset, from, done, span->offset, PIECE_FIRST });
    }
    return true;
}

/* Ends the list with exactly one cycle: from the first change a year or more after the last listed
 * transition to the same change 400 years later. False: it does not come again, which no honest
 * zone does. */
static bool close_cycle(zone_t *self, int64_t listed)
{
    int64_t settled = (listed > FOOTER_DAWN ? listed : FOOTER_DAWN) + 366 * DAY_SECONDS;
    size_t first = 0;
    while (first < self->count && self->pieces[first].at < settled)
        first++;
    size_t end = first;
    while (end < self->count && self->pieces[end].at < self->pieces[first].at + CYCLE)
        end++;
    if (end >= self->count) return false;
    const piece_t *a = &self->pieces[first], *b = &self->pieces[end];
    if (b->at != a->at + CYCLE || b->from != a->from + CYCLE || b->kind != a->kind ||
        b->offset != a->offset)
        return false;
    self->count = end;
    self->cycle = end - first;
    return true;
}

err_t zone_parse(zone_t **out, const char *name, slice_t tzif)
{
    CHECK(out && name);
    *out = NULL;
    if (!zone_name_valid(slice_text(name)) || tzif.len > ZONE_FILE_MAX) return ERR_BAD_ZONE;
    zone_t *self = mem_new(sizeof *self);
    memcpy(self->name, name, strlen(name) + 1);
    self->hash = hash64(tzif.at, tzif.len);
    spans_t spans = { 0 };
    bool repeats = false;
    size_t room = 0;
    bool good = spans_read(tzif, &spans, &repeats);
    for (size_t i = 0; good && i < spans.count; i++)
        good = cut_skipped(self, &room, &spans, i) && cut_shown(self, &room, &spans, i);
    if (good && repeats) good = close_cycle(self, spans.listed);
    free(spans.at);
    if (!good) {
        zone_destroy(&self);
        return ERR_BAD_ZONE;
    }
    self->pieces = mem_grow(self->pieces, self->count * sizeof *self->pieces);
    *out = self;
    return ERR_OK;
}

err_t zone_open(zone_t **out, const char *name, const char *dir)
{
    CHECK(out && name);
    *out = NULL;
    buf_t bytes = { 0 };
    err_t err = zone_read_file(name, dir, &bytes);
    if (!err) err = zone_parse(out, name, slice(bytes.at, bytes.len));
    buf_free(&bytes);
    return err;
}

void zone_destroy(zone_t **self_p)
{
    if (!*self_p) return;
    free((*self_p)->pieces);
    free(*self_p);
    *self_p = NULL;
}

const char *zone_name(const zone_t *self)
{
    return self->name;
}

uint64_t zone_hash(const zone_t *self)
{
    return self->hash;
}

/* ---- questions ------------------------------------------------------------------------------- */

size_t pieces_find(const zone_t *self, int64_t t)
{
    size_t shift = 0, low = 0, high = self->count; /* the answer is in [low, high) */
    if (self->cycle) {
        size_t first = self->count - self->cycle;
        int64_t from = self->pieces[first].at;
        if (t >= from) {
            int64_t times = (t - from) / CYCLE;
            t -= times * CYCLE;
            shift = (size_t)times * self->cycle;
            low = first;
        }
    }
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (self->pieces[middle].at <= t)
            low = middle;
        else
            high = middle;
    }
    return low + shift;
}

bool pieces_get(const zone_t *self, size_t number, piece_t *piece)
{
    if (number < self->count) {
        *piece = self->pieces[number];
        return true;
    }
    if (!self->cycle) return false;
    size_t first = self->count - self->cycle;
    size_t times = (number - first) / self->cycle;
    int64_t shift = (int64_t)times * CYCLE;
    *piece = self->pieces[number - times * self->cycle];
    piece->at += shift;
    piece->from += shift;
    piece->to += shift;
    return true;
}

int32_t zone_offset(const zone_t *self, int64_t t)
{
    piece_t piece;
    CHECK(pieces_get(self, pieces_find(self, t), &piece));
    return piece.offset;
}

bool zone_next_change(const zone_t *self, int64_t t, int64_t *at, int32_t *before, int32_t *after)
{
    piece_t piece;
    size_t number = pieces_find(self, t);
    CHECK(pieces_get(self, number, &piece));
    int32_t offset = piece.offset;
    while (pieces_get(self, ++number, &piece)) {
        if (piece.offset == offset) continue;
        *at = piece.at;
        *before = offset;
        *after = piece.offset;
        return true;
    }
    return false;
}

int64_t zone_instant(const zone_t *self, int64_t local, bool *skipped)
{
    piece_t piece;
    for (size_t number = pieces_find(self, local - NEAR);; number++) {
        CHECK(pieces_get(self, number, &piece)); /* each local time lies in a piece */
        if (piece.kind == PIECE_AGAIN || local < piece.from || local >= piece.to) continue;
        if (skipped) *skipped = piece.kind == PIECE_SKIPPED;
        return piece.kind == PIECE_SKIPPED ? piece.at : local - piece.offset;
    }
}
