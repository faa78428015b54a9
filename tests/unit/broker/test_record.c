/* SPDX-License-Identifier: Apache-2.0
 * Every record: a full and an extreme value, as a table of cases. A case pins its bytes in hex, so
 * that the format cannot change unnoticed: another byte here needs a new STORE_FORMAT. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "broker/store/family_record.h"
#include "broker/store/record.h"

#define JOURNAL_GOLDEN "010003010e80a0abfef9628600020103080103"
#define FIRING_GOLDEN  "018bcfe568001d43df86c5d84b5b06c6"

#define TEXT(literal)                                                                              \
    {                                                                                              \
        (const uint8_t *)(literal), sizeof(literal) - 1                                            \
    }
#define EQ(field)       (a->field == b->field)
#define EQ_ARRAY(field) (memcmp(a->field, b->field, sizeof a->field) == 0)
#define EQ_SLICE(field) slice_equal(a->field, b->field)

static bool meta_static_same(const meta_static_t *a, const meta_static_t *b)
{
    return EQ(format) && EQ(generation) && EQ_ARRAY(store_id) && EQ_ARRAY(secret) &&
           EQ(created_wall_us) && EQ(numbers_order);
}
static bool meta_dynamic_same(const meta_dynamic_t *a, const meta_dynamic_t *b)
{
    return EQ(epoch) && EQ(batch) && EQ(next_n) && EQ(next_seq) && EQ(broker_us) && EQ(wall_us) &&
           EQ_ARRAY(next_no);
}
static bool id_row_same(const id_row_t *a, const id_row_t *b)
{
    return EQ(kind) && EQ(n) && EQ(expiry_s);
}
static bool spec_row_same(const spec_row_t *a, const spec_row_t *b)
{
    return EQ(flags) && EQ(priority) && EQ(attempts_max) && EQ(lane) && EQ(principal) &&
           EQ(queue) && EQ(type) && EQ(created_wall_us) && EQ(due_us) && EQ_ARRAY(id) &&
           EQ(schedule) && EQ(instant_wall_us) && EQ(firing) && EQ(range) && EQ(folded_first_us) &&
           EQ(folded_count) && EQ_ARRAY(gate) && EQ(timer_at) && EQ(timer_clock) && EQ(expire_us) &&
           EQ(expire_clock) && EQ(body_len) && EQ_SLICE(body) && EQ(parent) && EQ(index);
}
static bool state_row_same(const state_row_t *a, const state_row_t *b)
{
    return EQ(status) && EQ(flags) && EQ(attempts) && EQ(lost) && EQ(reason) && EQ(token) &&
           EQ(executor) && EQ(start_wall_us) && EQ(end_wall_us) && EQ(exit_code) && EQ(outcome) &&
           EQ(signal) && EQ(due_us) && EQ(timer_at) && EQ(timer_clock) && EQ_SLICE(park) &&
           EQ_SLICE(message) && EQ_SLICE(output) && EQ_SLICE(output_type) &&
           EQ_SLICE(progress_text) && EQ(output_len) && EQ(progress_done) && EQ(progress_total) &&
           EQ(cpu_us) && EQ(memory_bytes) && EQ(lane);
}
static bool fam_row_same(const fam_row_t *a, const fam_row_t *b)
{
    return EQ(flags) && EQ(done) && EQ(offline) && EQ(done_count) && EQ(parallel) &&
           EQ(stop_failures) && EQ(stop_percent) && EQ(offline_us) && EQ(pause_us) && EQ(total) &&
           EQ(open) && EQ(blocked) && EQ(ok) && EQ(failed) && EQ(expired) && EQ(skipped) &&
           EQ(cancelled) && EQ(next_n) && EQ(started_us) && EQ(pause_until_us) && EQ(look_us) &&
           EQ(join_until_us) && EQ(timer_at) && EQ(passes) && EQ(pass_n);
}
static bool enrolled_row_same(const enrolled_row_t *a, const enrolled_row_t *b)
{
    return EQ(seen_us) && EQ_SLICE(labels) && EQ_SLICE(types) && EQ_SLICE(queues) &&
           EQ(has_interpreters) && EQ_SLICE(interpreters);
}
static bool run_row_same(const run_row_t *a, const run_row_t *b)
{
    return EQ(executor) && EQ(incarnation) && EQ(token) && EQ(attempt) && EQ(flags) && EQ(lost) &&
           EQ(leased_us) && EQ(leased_wall_us) && EQ(lane) && EQ(schedule);
}
static bool gate_row_same(const gate_row_t *a, const gate_row_t *b)
{
    return EQ(kind) && EQ(subject) && EQ(waiting);
}
static bool lane_row_same(const lane_row_t *a, const lane_row_t *b)
{
    return EQ(queue) && EQ(type) && EQ(band) && EQ(target_kind) && EQ_SLICE(target) &&
           EQ(waiting) && EQ(counted) && EQ(tasks);
}
static bool watermark_row_same(const watermark_row_t *a, const watermark_row_t *b)
{
    return EQ(kind) && EQ(created) && EQ_SLICE(value) && EQ(revision) && EQ(no) && EQ_SLICE(name) &&
           EQ(writer) && EQ(changed_wall_us);
}
static bool try_row_same(const try_row_t *a, const try_row_t *b)
{
    return EQ(attempt) && EQ(executor) && EQ(start_wall_us) && EQ(end_wall_us) && EQ(outcome) &&
           EQ(signal) && EQ(flags) && EQ(exit_code) && EQ(cpu_us) && EQ(memory_bytes) &&
           EQ(polls) && EQ_SLICE(message);
}
static bool block_row_same(const block_row_t *a, const block_row_t *b)
{
    return EQ_ARRAY(counts) && EQ(created_min_us) && EQ(created_max_us) && EQ(end_min_us) &&
           EQ(end_max_us);
}
static bool reg_row_same(const reg_row_t *a, const reg_row_t *b)
{
    return EQ(flags) && EQ(since_wall_us) && EQ(value) && EQ_SLICE(name) && EQ_SLICE(reason);
}
static bool sched_row_same(const sched_row_t *a, const sched_row_t *b)
{
    return EQ_ARRAY(uid) && EQ(revision) && EQ(flags) && EQ(created_wall_us) &&
           EQ(edited_wall_us) && EQ(paused_wall_us) && EQ(principal) && EQ(definition_len) &&
           EQ_SLICE(name) && EQ_SLICE(reason) && EQ(ranges.last) && EQ(ranges.n) &&
           EQ_ARRAY(ranges.open);
}
static bool sched_rule_row_same(const sched_rule_row_t *a, const sched_rule_row_t *b)
{
    return EQ(zone_hash) && EQ(jitter_us) && EQ(from_us) && EQ(to_us) && EQ_SLICE(rule) &&
           EQ_SLICE(zone) && EQ_SLICE(exclusions) && EQ(also_n) && EQ(calendars_n) &&
           EQ(after_us) && EQ_SLICE(also[0]) && EQ_SLICE(also[1]) && EQ_ARRAY(calendars) &&
           EQ(begun) && EQ(settled_us) && EQ(begin_us);
}
static bool extent_same(const extent_t *a, const extent_t *b)
{
    return EQ(from_us) && EQ(to_us) && EQ(count) && EQ(verdict) && EQ(reason) && EQ(revision) &&
           EQ(zone_hash) && EQ(decided_first_us) && EQ(decided_last_us) && EQ(aux);
}
static bool scur_row_same(const scur_row_t *a, const scur_row_t *b)
{
    return EQ(revision) && EQ(cursor_us) && EQ(floor_us) && EQ(armed_us) && EQ(last_fired_us) &&
           EQ(running) && EQ(waiting) && EQ(admitted) && EQ(fired) && EQ(missed) && EQ(number) &&
           EQ(last_n) && EQ(leased_n) && extent_same(&a->open, &b->open) && EQ(elsewhere) &&
           EQ(warned) && EQ(zone_us) && EQ(due_known) && EQ(due_us) && EQ(jitter_us) && EQ(parked);
}

static bool range_row_same(const range_row_t *a, const range_row_t *b)
{
    return EQ(state) && EQ(flags) && EQ(cause) && EQ(overlap) && EQ(rate) && EQ(revision) &&
           EQ(from_us) && EQ(to_us) && EQ(low_us) && EQ(high_us) && EQ(made_wall_us) &&
           EQ(ended_wall_us) && EQ(fired) && EQ(skipped) && EQ(failed) &&
           extent_same(&a->open, &b->open);
}

/* Records whose coders take plain values. */
typedef struct counts {
    uint64_t at[12];
} counts_t;
static void counts_encode(const counts_t *self, buf_t *to)
{
    count_row_encode(self->at, to);
}
static bool counts_decode(counts_t *self, slice_t from)
{
    return count_row_decode(self->at, from);
}
static bool counts_same(const counts_t *a, const counts_t *b)
{
    return EQ_ARRAY(at);
}
typedef struct number {
    uint64_t n;
} number_t;
static bool number_same(const number_t *a, const number_t *b)
{
    return EQ(n);
}
static void user_encode(const number_t *self, buf_t *to)
{
    (void)self;
    calendar_user_encode(to);
}
static bool user_decode(number_t *self, slice_t from)
{
    self->n = 0;
    return from.len == 1 && from.at[0] == RECORD_VERSION;
}
static void uniq_encode(const number_t *self, buf_t *to)
{
    uniq_row_encode(self->n, to);
}
static bool uniq_decode(number_t *self, slice_t from)
{
    return uniq_row_decode(&self->n, from);
}
static void park_encode(const number_t *self, buf_t *to)
{
    park_row_encode((uint32_t)self->n, to);
}
static bool park_decode(number_t *self, slice_t from)
{
    uint32_t lane = 0;
    bool good = park_row_decode(&lane, from);
    self->n = lane;
    return good;
}
static void name_encode(const number_t *self, buf_t *to)
{
    name_row_encode((uint32_t)self->n, to);
}
static bool name_decode(number_t *self, slice_t from)
{
    uint32_t no = 0;
    bool good = name_row_decode(&no, from);
    self->n = no;
    return good;
}
typedef struct kept_reply {
    int64_t order_us;
    slice_t reply;
} kept_reply_t;
static void reply_encode(const kept_reply_t *self, buf_t *to)
{
    reply_row_encode(self->order_us, self->reply, to);
}
static bool reply_decode(kept_reply_t *self, slice_t from)
{
    return reply_row_decode(&self->order_us, &self->reply, from);
}
static bool reply_same(const kept_reply_t *a, const kept_reply_t *b)
{
    return EQ(order_us) && EQ_SLICE(reply);
}

typedef struct record_case {
    const char *name;
    void (*encode)(buf_t *to);
    bool (*decode)(slice_t from);  /* no more than: is it taken */
    bool (*returns)(slice_t from); /* is it taken and does it hold the value of the case */
    const char *golden;
} record_case_t;

/* CASE(name, type, encode, decode, same, value...): three functions of one value. */
#define CASE(name, type, encode_fn, decode_fn, same_fn, ...)                                       \
    static const type case_##name##_value = __VA_ARGS__;                                           \
    static void case_##name##_encode(buf_t *to)                                                    \
    {                                                                                              \
        encode_fn(&case_##name##_value, to);                                                       \
    }                                                                                              \
    static bool case_##name##_decode(slice_t from)                                                 \
    {                                                                                              \
        type got;                                                                                  \
        return decode_fn(&got, from);                                                              \
    }                                                                                              \
    static bool case_##name##_returns(slice_t from)                                                \
    {                                                                                              \
        type got;                                                                                  \
        return decode_fn(&got, from) && same_fn(&got, &case_##name##_value);                       \
    }
#define ROW(name, record, ...)                                                                     \
    CASE(name, record##_t, record##_encode, record##_decode, record##_same, __VA_ARGS__)

#define ID16                                                                                       \
    {                                                                                              \
        1, 145, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 255                                    \
    }
#define MAX64 UINT64_MAX
static const uint8_t a_gate[16] = { 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9 };

// clang-format off
ROW(meta_static, meta_static, { .format = 1, .generation = 2, .store_id = ID16, .secret = { 7, 8, 9 }, .created_wall_us = 1700000000000000 })
ROW(meta_ordered, meta_static, { .format = 1, .generation = 2, .store_id = ID16, .secret = { 7, 8, 9 }, .created_wall_us = 1700000000000000, .numbers_order = true })
ROW(meta_dynamic, meta_dynamic, { 3, 1000, 77, 501, 123456789, 1700000000000000, { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, UINT32_MAX } })
ROW(meta_dynamic_extreme, meta_dynamic, { MAX64, MAX64, MAX64, MAX64, INT64_MIN, INT64_MAX, { 0 } })
ROW(id_task, id_row, { ID_TASK, 300, 0 })
ROW(id_tombstone, id_row, { ID_TOMBSTONE, MAX64, UINT32_MAX })
ROW(spec_plain, spec_row, { .priority = 5, .attempts_max = 3, .lane = 1, .principal = 1, .queue = 1, .type = 2, .created_wall_us = 1700000000000000, .due_us = 5000000, .id = ID16, .body_len = 3, .body = TEXT("abc") })
ROW(spec_all, spec_row, { .flags = SPEC_DELAYED | SPEC_SCHEDULED | SPEC_KEYED | SPEC_EXPIRES | SPEC_LATE, .priority = 9, .attempts_max = UINT32_MAX, .lane = UINT32_MAX, .principal = UINT32_MAX, .queue = UINT32_MAX, .type = UINT32_MAX, .created_wall_us = INT64_MIN, .due_us = INT64_MAX, .id = ID16, .schedule = UINT32_MAX, .instant_wall_us = INT64_MIN, .timer_at = INT64_MAX, .timer_clock = CLOCK_WALL, .expire_us = INT64_MIN, .expire_clock = CLOCK_ELAPSED, .body_len = 1, .body = TEXT("z") })
ROW(spec_firing, spec_row, { .flags = SPEC_SCHEDULED | SPEC_FIRING, .lane = 1, .schedule = 4, .instant_wall_us = 120000000, .firing = FIRING_RANGE | FIRING_FOLDED | FIRING_GATE, .range = 300, .folded_first_us = 60000000, .folded_count = 2, .gate = ID16, .body_len = 1, .body = TEXT("z") })
ROW(spec_parts, spec_row, { .flags = SPEC_PARTS, .priority = 0, .lane = 200, .body_len = 1 << 20 })
ROW(state_success, state_row, { .status = 7, .flags = STATE_REPORTED | STATE_EXIT, .attempts = 1, .token = 1, .executor = 3, .start_wall_us = 1700000000000000, .end_wall_us = 1700000001000000, .outcome = 1 })
ROW(state_all, state_row, { .status = 11, .flags = STATE_CANCELLING, .attempts = UINT16_MAX, .lost = 255, .reason = REASON_HELD, .token = MAX64, .executor = UINT32_MAX, .start_wall_us = INT64_MIN, .end_wall_us = INT64_MAX, .exit_code = -32768, .outcome = 255, .signal = 9, .due_us = INT64_MIN, .timer_at = INT64_MIN, .timer_clock = CLOCK_ELAPSED, .park = { a_gate, 16 }, .message = TEXT("no such host"), .output = TEXT("{}"), .output_len = 2, .output_type = TEXT("application/json"), .progress_text = TEXT("half"), .progress_done = -1, .progress_total = INT64_MAX, .cpu_us = INT64_MIN, .memory_bytes = 4096 })
ROW(state_parts, state_row, { .status = 7, .flags = STATE_OUTPUT_PARTS, .output_len = 1 << 20 })
ROW(state_poll, state_row, { .status = 2, .flags = STATE_REPORTED, .token = 2, .timer_at = 5000000, .timer_clock = CLOCK_ELAPSED, .polls = UINT32_MAX, .poll_since_us = INT64_MIN, .poll_len = 65536 })
ROW(state_moved, state_row, { .status = 4, .token = 1, .due_us = 5000000, .lane = UINT32_MAX })
ROW(spec_parent, spec_row, { .flags = SPEC_PARENT | SPEC_HELD, .priority = 5, .attempts_max = 1, .lane = 1, .principal = 1, .queue = 1, .type = 1, .created_wall_us = 1700000000000000, .due_us = 5000000, .id = ID16, .body = TEXT("abc"), .body_len = 3 })
ROW(spec_child, spec_row, { .flags = SPEC_CHILD | SPEC_BLOCKED, .priority = 5, .attempts_max = 1, .lane = 2, .principal = 1, .queue = 1, .type = 1, .created_wall_us = 1700000000000000, .due_us = 5000000, .id = ID16, .parent = 300, .index = UINT32_MAX })
ROW(fam, fam_row, { .flags = FAM_STARTED | FAM_CANCEL_REST, .done = 3, .offline = 2, .done_count = 2, .parallel = 10, .stop_failures = 3, .stop_percent = 4, .offline_us = 5, .pause_us = 6, .total = 100, .open = 40, .blocked = 30, .ok = 50, .failed = 4, .expired = 3, .skipped = 2, .cancelled = 1, .next_n = 301, .started_us = 5000000, .pause_until_us = INT64_MIN, .look_us = INT64_MAX, .join_until_us = 7, .timer_at = 8 })
ROW(fam_passes, fam_row, { .flags = FAM_STARTED | FAM_CANCEL_REST, .done = 3, .offline = 2, .done_count = 2, .parallel = 10, .stop_failures = 3, .stop_percent = 4, .offline_us = 5, .pause_us = 6, .total = 100, .open = 40, .blocked = 30, .ok = 50, .failed = 4, .expired = 3, .skipped = 2, .cancelled = 1, .next_n = 301, .started_us = 5000000, .pause_until_us = INT64_MIN, .look_us = INT64_MAX, .join_until_us = 7, .timer_at = 8, .passes = PASS_AGAIN | PASS_HOLD, .pass_n = MAX64 })
ROW(enrolled, enrolled_row, { .seen_us = 5000000, .labels = TEXT("role=web\0"), .types = TEXT("\0\0\0\1"), .queues = TEXT("") })
ROW(enrolled_all, enrolled_row, { .seen_us = 5000000, .labels = TEXT("role=web\0"), .types = TEXT("\0\0\0\1"), .queues = TEXT(""), .has_interpreters = true, .interpreters = TEXT("python3\0" "3.11\0") })
ROW(run_plain, run_row, { .executor = 3, .incarnation = 0x1122334455667788, .token = 1, .attempt = 1, .leased_us = 5000000, .leased_wall_us = 1700000000000000, .lane = 1 })
ROW(run_extreme, run_row, { UINT32_MAX, MAX64, MAX64, UINT16_MAX, 255, 255, INT64_MIN, INT64_MAX, UINT32_MAX, UINT32_MAX })
CASE(park, number_t, park_encode, park_decode, number_same, { UINT32_MAX })
ROW(gate, gate_row, { .kind = GATE_OVERLAP, .subject = 9, .waiting = 300 })
ROW(gate_extreme, gate_row, { .kind = GATE_RANGE, .subject = UINT32_MAX, .waiting = UINT32_MAX, .admitted = UINT32_MAX, .running = UINT32_MAX, .leased_n = MAX64 })
ROW(lane_plain, lane_row, { .queue = 1, .type = 2, .waiting = 1000 })
ROW(lane_counted, lane_row, { .queue = 1, .type = 2, .waiting = 3, .target = TEXT("web-1"), .target_kind = TARGET_EXECUTOR, .counted = true, .tasks = 1000 })
ROW(lane_target, lane_row, { UINT32_MAX, UINT32_MAX, BAND_LATE, TARGET_LABELS, TEXT("a=b\0role=web"), UINT32_MAX, false, 0 })
ROW(try_plain, try_row, { .attempt = 1, .executor = 2, .start_wall_us = 1700000000000000, .end_wall_us = 1700000001000000, .outcome = 2, .flags = STATE_EXIT, .exit_code = 1, .message = TEXT("exit 1") })
ROW(try_extreme, try_row, { UINT16_MAX, UINT32_MAX, INT64_MIN, INT64_MAX, ENDED_STALE, 255, 239, -1, INT64_MAX, INT64_MIN, UINT32_MAX, TEXT("") })
ROW(try_polled, try_row, { .attempt = 1, .executor = 2, .start_wall_us = 1700000000000000, .end_wall_us = 1700000001000000, .outcome = 4, .flags = STATE_EXIT, .polls = 300, .message = TEXT("asked 300 times in vain") })
ROW(watermark, watermark_row, { .kind = SCOPE_SCHEDULE, .created = 300, .value = TEXT("17"), .name = TEXT("") })
ROW(watermark_extreme, watermark_row, { .kind = SCOPE_NAMED, .created = MAX64, .value = TEXT(""), .name = TEXT("") })
ROW(watermark_named, watermark_row, { SCOPE_NAMED, 300, TEXT("17"), 2, 3, TEXT("orders"), 301, 1700000000000000 })
ROW(watermark_named_extreme, watermark_row, { SCOPE_NAMED, MAX64, TEXT(""), MAX64, UINT32_MAX, TEXT(""), MAX64, INT64_MIN })
CASE(uniq, number_t, uniq_encode, uniq_decode, number_same, { MAX64 })
ROW(block, block_row, { .counts = { 1, 0, 0, 0, 20, 3, 0, 1000 }, .created_min_us = 1, .created_max_us = 2, .end_min_us = 3, .end_max_us = 4 })
ROW(block_extreme, block_row, { { UINT16_MAX, UINT16_MAX, UINT16_MAX, UINT16_MAX, UINT16_MAX, UINT16_MAX, UINT16_MAX, UINT16_MAX, UINT16_MAX, UINT16_MAX, UINT16_MAX, UINT16_MAX }, INT64_MIN, INT64_MAX, INT64_MIN, INT64_MAX })
CASE(count, counts_t, counts_encode, counts_decode, counts_same, { { 0, 0, 0, 0, 300, 4, 0, 1000000, MAX64 } })
CASE(name, number_t, name_encode, name_decode, number_same, { 258 })
ROW(reg_plain, reg_row, { .name = TEXT("mail/send") })
ROW(reg_extreme, reg_row, { 255, INT64_MIN, MAX64, TEXT("q"), TEXT("because") })
ROW(sched, sched_row, { ID16, 3, SCHEDULE_PAUSED, 1, 2, 3, 4, 500, TEXT("backup"), TEXT("holidays"), { 0 } })
ROW(sched_extreme, sched_row, { ID16, MAX64, 255, INT64_MIN, INT64_MAX, INT64_MIN, UINT32_MAX, UINT32_MAX, TEXT(""), TEXT(""), { 0 } })
ROW(sched_ranges, sched_row, { ID16, 3, SCHEDULE_RANGES, 1, 2, 3, 4, 500, TEXT("backup"), TEXT(""), { true, 300, 2, { 7, 300 } } })
ROW(sched_rule, sched_rule_row, { .zone_hash = 0xFEDCBA9876543210, .jitter_us = 1000000, .to_us = INT64_MAX, .rule = TEXT("cron 0 3 * * *"), .zone = TEXT("Europe/Berlin"), .exclusions = TEXT("2026-12-25") })
ROW(sched_rule_more, sched_rule_row, { .zone_hash = 1, .rule = TEXT("0 3 * * *"), .zone = TEXT("UTC"), .exclusions = TEXT(""), .also = { TEXT("0 4 * * *"), TEXT("0 5 * * *") }, .also_n = 2, .calendars = { 7, MAX64 }, .calendars_n = 2 })
ROW(sched_rule_begun, sched_rule_row, { .zone_hash = 1, .rule = TEXT("0 3 * * *"), .zone = TEXT("UTC"), .exclusions = TEXT(""), .begun = true, .settled_us = 60000000, .begin_us = 120000000 })
ROW(sched_rule_after, sched_rule_row, { .zone_hash = 1, .rule = TEXT(""), .zone = TEXT("UTC"), .exclusions = TEXT(""), .after_us = 600000000 })
CASE(calendar_user, number_t, user_encode, user_decode, number_same, { 0 })
ROW(extent_plain, extent, { 60000000, 120000000, 2, VERDICT_FIRED, VERDICT_REASON_ON_TIME, 1, 5, 60000100, 120000100, 0 })
ROW(extent_extreme, extent, { INT64_MIN, INT64_MAX, MAX64, VERDICT_SUPERSEDED, 255, MAX64, MAX64, INT64_MIN, INT64_MAX, MAX64 })
ROW(scur_plain, scur_row, { .revision = 1, .cursor_us = 120000000, .floor_us = INT64_MIN, .armed_us = 180000000 })
ROW(scur_extreme, scur_row, { MAX64, INT64_MIN, INT64_MAX, INT64_MIN, INT64_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX, MAX64, MAX64, MAX64, MAX64, MAX64, { 1, 1, 1, VERDICT_SKIPPED, VERDICT_REASON_LATE, 1, 1, 1, 1, 1 }, 0, false, 0, false, 0, 0, 0 })
ROW(scur_parked, scur_row, { .revision = 1, .cursor_us = 120000000, .waiting = 2, .parked = 300 })
ROW(scur_elsewhere, scur_row, { .revision = 1, .cursor_us = 120000000, .elsewhere = 300, .warned = true, .zone_us = 119000000 })
ROW(range_plain, range_row, { .state = RANGE_OPEN, .cause = CAUSE_LIVE, .revision = 7, .from_us = 60000000, .to_us = 600000000, .low_us = 120000000, .high_us = 600000000, .made_wall_us = 700000000, .fired = 1, .open = { 120000000, 120000000, 1, VERDICT_FIRED, VERDICT_REASON_CATCHUP, 7, 5, 1, 1, 0 } })
ROW(range_extreme, range_row, { RANGE_CANCELLED, RANGE_NEWEST | RANGE_STOP, CAUSE_BACKFILL, 255, UINT32_MAX, MAX64, INT64_MIN, INT64_MAX, INT64_MIN, INT64_MAX, INT64_MIN, INT64_MAX, MAX64, MAX64, MAX64, { 0 } })
ROW(scur_due, scur_row, { .revision = 1, .cursor_us = 120000000, .open = { 60000000, 120000000, 2, VERDICT_FIRED, VERDICT_REASON_ON_TIME, 1, 5, 60000100, 120000100, 0 }, .due_known = true, .due_us = 180000300, .jitter_us = 300 })
ROW(scur_never, scur_row, { .revision = 1, .due_known = true, .due_us = INT64_MAX })
CASE(reply, kept_reply_t, reply_encode, reply_decode, reply_same, { 1700000000000000, TEXT("\1\2\3") })

#define R(name, hex) { #name, case_##name##_encode, case_##name##_decode, case_##name##_returns, hex }
static const record_case_t cases[] = {
#include "tests/unit/broker/golden_record.h"
};
// clang-format on

static void hex_of(slice_t bytes, char *text)
{
    for (size_t i = 0; i < bytes.len; i++)
        sprintf(text + 2 * i, "%02x", bytes.at[i]);
    text[2 * bytes.len] = 0;
}

static void each_record_has_the_bytes_it_always_had(void **state)
{
    (void)state;
    size_t wrong = 0;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        buf_t to = { 0 };
        cases[i].encode(&to);
        char text[2048];
        hex_of(slice(to.at, to.len), text);
        if (strcmp(text, cases[i].golden) != 0) {
            print_message("R(%s, \"%s\"),\n", cases[i].name, text);
            wrong++;
        }
        buf_free(&to);
    }
    assert_int_equal(wrong, 0);
}

static void each_record_returns_as_it_was_written(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        buf_t to = { 0 };
        buf_add(&to, "head", 4); /* coders append */
        cases[i].encode(&to);
        if (!cases[i].returns(slice(to.at + 4, to.len - 4)))
            fail_msg("%s does not return", cases[i].name);
        buf_free(&to);
    }
}

static void a_record_that_was_cut_anywhere_or_is_too_long_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        buf_t to = { 0 };
        cases[i].encode(&to);
        for (size_t len = 0; len < to.len; len++) {
            uint8_t *cut = mem_copy(to.at, len ? len : 1); /* exact size: ASan sees an overrun */
            if (cases[i].decode(slice(cut, len)))
                fail_msg("%s is taken at %zu of %zu bytes", cases[i].name, len, to.len);
            free(cut);
        }
        buf_add(&to, "", 1);
        if (cases[i].decode(slice(to.at, to.len)))
            fail_msg("%s is taken with a byte too many", cases[i].name);
        to.at[0]++;
        if (cases[i].decode(slice(to.at, to.len - 1)))
            fail_msg("%s of a newer version is taken", cases[i].name);
        buf_free(&to);
    }
}

static void damaged_records_are_refused_or_read_but_never_overrun(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        buf_t to = { 0 };
        cases[i].encode(&to);
        uint8_t *copy = mem_copy(to.at, to.len);
        for (size_t bit = 0; bit < to.len * 8; bit++) {
            copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
            (void)cases[i].decode(slice(copy, to.len));
            copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        free(copy);
        buf_free(&to);
    }
}

static void the_order_of_keys_is_the_order_of_their_numbers(void **state)
{
    (void)state;
    static const int64_t times[] = { INT64_MIN, -1, 0, 1, 255, 256, INT64_C(1) << 40, INT64_MAX };
    static const uint64_t numbers[] = { 0, 1, 255, 256, 65536, UINT64_C(1) << 40, UINT64_MAX };
    uint8_t gate[16];
    gate_of_schedule(7, gate);
    for (size_t i = 1; i < ARRAY_LEN(times); i++) {
        rec_key_t low = key_ready(1, times[i - 1], 9), high = key_ready(1, times[i], 1);
        assert_true(slice_compare(key_slice(&low), key_slice(&high)) < 0);
        assert_int_equal(low.len, READY_KEY);
        low = key_timer(CLOCK_WALL, times[i - 1], TIMER_TOMBSTONE, 9);
        high = key_timer(CLOCK_WALL, times[i], TIMER_DUE, 1);
        assert_true(slice_compare(key_slice(&low), key_slice(&high)) < 0);
        low = key_park(gate, false, times[i - 1], 9);
        high = key_park(gate, false, times[i], 1);
        assert_true(slice_compare(key_slice(&low), key_slice(&high)) < 0);
        low = key_ledger(1, 0, times[i - 1]);
        high = key_ledger(1, 0, times[i]);
        assert_true(slice_compare(key_slice(&low), key_slice(&high)) < 0);
        low = key_reply_age(1, times[i - 1], gate);
        high = key_reply_age(1, times[i], gate);
        assert_true(slice_compare(key_slice(&low), key_slice(&high)) < 0);
    }
    for (size_t i = 1; i < ARRAY_LEN(numbers); i++) {
        rec_key_t low = key_n(numbers[i - 1]), high = key_n(numbers[i]);
        assert_true(slice_compare(key_slice(&low), key_slice(&high)) < 0);
        low = key_try(1, numbers[i - 1]);
        high = key_try(1, numbers[i]);
        assert_true(slice_compare(key_slice(&low), key_slice(&high)) < 0);
        low = key_part(1, PART_OUTPUT, numbers[i - 1], 9);
        high = key_part(1, PART_OUTPUT, numbers[i], 1);
        assert_true(slice_compare(key_slice(&low), key_slice(&high)) < 0);
        low = key_sched(1, SCHED_RULE, numbers[i - 1]);
        high = key_sched(1, SCHED_RULE, numbers[i]);
        assert_true(slice_compare(key_slice(&low), key_slice(&high)) < 0);
    }
}

static void keys_return_what_they_were_made_of(void **state)
{
    (void)state;
    uint32_t lane, schedule;
    uint16_t range;
    int64_t at;
    uint64_t n;
    uint8_t clock, kind, gate[16], again[16];
    rec_key_t key = key_ready(UINT32_MAX, INT64_MIN, UINT64_MAX);
    assert_true(ready_key_decode(key_slice(&key), &lane, &at, &n));
    assert_true(lane == UINT32_MAX && at == INT64_MIN && n == UINT64_MAX);
    assert_false(ready_key_decode(slice(key.at, key.len - 1), &lane, &at, &n));
    key = key_timer(CLOCK_WALL, INT64_MAX, TIMER_LOST, 5);
    assert_true(timer_key_decode(key_slice(&key), &clock, &at, &kind, &n));
    assert_true(clock == CLOCK_WALL && at == INT64_MAX && kind == TIMER_LOST && n == 5);
    gate_of_schedule(0x01020304, gate);
    key = key_park(gate, false, -5, 6);
    assert_true(park_key_decode(key_slice(&key), again, &at, &n));
    assert_memory_equal(gate, again, 16);
    assert_true(at == -5 && n == 6);
    key = key_ledger(3, 65535, -7);
    assert_true(ledger_key_decode(key_slice(&key), &schedule, &range, &at));
    assert_true(schedule == 3 && range == 65535 && at == -7);
}

static void texts_too_long_for_a_key_keep_different_keys(void **state)
{
    (void)state;
    uint8_t text[2000];
    memset(text, 'a', sizeof text);
    rec_key_t one = key_name(NAME_LANE, slice(text, sizeof text));
    text[1999] = 'b';
    rec_key_t two = key_name(NAME_LANE, slice(text, sizeof text));
    assert_int_equal(one.len, KEY_MAX);
    assert_int_equal(two.len, KEY_MAX);
    assert_memory_not_equal(one.at, two.at, KEY_MAX);
    rec_key_t whole = key_name(NAME_LANE, slice(text, KEY_MAX - 2));
    assert_int_equal(whole.len, KEY_MAX - 1);
    whole = key_uniq(1, 2, slice(text, LIMIT_KEY));
    assert_int_equal(whole.len, 5 + LIMIT_KEY);
}

static void journal_entries_return_and_a_row_says_when_it_is_full(void **state)
{
    (void)state;
    journal_pack_t pack;
    journal_pack_begin(&pack, 1000);
    journal_entry_t entry = { .seq = 1000 };
    uint32_t packed = 0;
    for (;; packed++, entry.seq++) {
        entry.event = packed % 2 ? EVENT_RUNNING : EVENT_HISTORY_GAVE_WAY;
        entry.subject = packed % 3 ? packed : UINT64_MAX - packed;
        entry.attempt = packed % 2;
        entry.aux = packed % 2 ? UINT64_MAX : 0;
        entry.wall_us = INT64_C(1700000000000000) - (int64_t)packed * 7000;
        if (!journal_pack_add(&pack, &entry)) break;
    }
    assert_true(packed > 60);
    assert_true(pack.len <= JOURNAL_ROW_MAX);
    journal_unpack_t unpack;
    journal_entry_t got;
    assert_true(journal_unpack_begin(&unpack, 1000, slice(pack.at, pack.len)));
    for (uint32_t i = 0; i < packed; i++) {
        assert_true(journal_unpack_next(&unpack, &got));
        assert_int_equal(got.seq, 1000 + i);
        assert_int_equal(got.event, i % 2 ? EVENT_RUNNING : EVENT_HISTORY_GAVE_WAY);
        assert_true(got.subject == (i % 3 ? i : UINT64_MAX - i));
        assert_int_equal(got.attempt, i % 2);
        assert_true(got.aux == (i % 2 ? UINT64_MAX : 0));
        assert_int_equal(got.wall_us, INT64_C(1700000000000000) - (int64_t)i * 7000);
    }
    assert_false(journal_unpack_next(&unpack, &got));
    assert_false(unpack.in.bad);
}

static void journal_rows_have_the_bytes_they_always_had(void **state)
{
    (void)state;
    journal_pack_t pack;
    journal_pack_begin(&pack, 5);
    journal_entry_t entry = { 5, EVENT_CREATED, 7, 0, 0, INT64_C(1700000000000000) };
    assert_true(journal_pack_add(&pack, &entry));
    entry = (journal_entry_t){ 6, EVENT_RUNNING, 7, 1, 3, INT64_C(1700000000001999) };
    assert_true(journal_pack_add(&pack, &entry));
    entry = (journal_entry_t){ 7, EVENT_FINISHED, 6, 0, 0, INT64_C(1699999999999000) };
    assert_true(journal_pack_add(&pack, &entry));
    char text[200];
    hex_of(slice(pack.at, pack.len), text);
    assert_string_equal(text, JOURNAL_GOLDEN);
    for (size_t len = 0; len < pack.len; len++) {
        journal_unpack_t unpack;
        bool good = journal_unpack_begin(&unpack, 5, slice(pack.at, len));
        while (good && journal_unpack_next(&unpack, &entry))
            continue;
        assert_true(unpack.in.bad);
    }
}

static void names_of_numbers_are_what_people_read(void **state)
{
    (void)state;
    assert_string_equal(journal_event_text(EVENT_CREATED), "created");
    assert_string_equal(journal_event_text(EVENT_HISTORY_GAVE_WAY), "store.history_gave_way");
    assert_null(journal_event_text(0));
    assert_string_equal(task_reason_text(REASON_EXHAUSTED), "exhausted");
    assert_string_equal(task_reason_text(255), "");
    assert_string_equal(verdict_text(VERDICT_FOLDED), "folded");
    assert_string_equal(verdict_reason_text(VERDICT_REASON_LATE), "late");
}

static void ids_of_firings_differ_in_each_part_and_begin_with_their_time(void **state)
{
    (void)state;
    uint8_t secret[32] = { 1 }, other[32] = { 2 }, uid[16] = { 3 }, id[6][16];
    int64_t instant = INT64_C(1700000000000000);
    firing_id(secret, uid, instant, CAUSE_LIVE, 0, id[0]);
    firing_id(other, uid, instant, CAUSE_LIVE, 0, id[1]);
    firing_id(secret, secret, instant, CAUSE_LIVE, 0, id[2]);
    firing_id(secret, uid, instant + 1, CAUSE_LIVE, 0, id[3]);
    firing_id(secret, uid, instant, CAUSE_MANUAL, 0, id[4]);
    firing_id(secret, uid, instant, CAUSE_LIVE, 1, id[5]);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(be_u64(id[i]) >> 16, instant / 1000);
        for (int j = 0; j < i; j++)
            assert_memory_not_equal(id[i], id[j], 16);
    }
    char text[33];
    hex_of(slice(id[0], 16), text);
    assert_string_equal(text, FIRING_GOLDEN);
}

static void id_of_row(const char *key, bool in_order, char text[33])
{
    static const uint8_t secret[32] = { 7, 8, 9 }, scope[16] = { 1, 2 }, time[6] = { 5, 5 };
    uint8_t id[16];
    produced_id(secret, scope, time, false, in_order, slice_text(key), id);
    for (size_t i = 0; i < 16; i++)
        snprintf(text + 2 * i, 3, "%02x", id[i]);
}

/* Pinned: the same row must be the same task in every release. */
static void ids_of_rows_are_hashes_behind_the_order_of_numbers(void **state)
{
    static const struct {
        const char *key;
        bool in_order;
        const char *id;
    } known[] = {
        { "1000", false, "050500000000e232e1804d33b609b938" },
        { "1000", true, "0505000000000003e1804d33b609b938" },
        { "1023", true, "0505000000000003fb824b1ec50b62b4" },
        { "16777216", true, "0505000000000000844d93629802f74b" },
        { "-1000", true, "05050000000043bd98bc819f36fe5c1a" },
        { "1e3", true, "050500000000eebe75f687498cc9c65d" },
        { "1234567890123456789", true, "0505000000000f5fd2d2547cfc17e612" },
    };
    char text[33];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        id_of_row(known[i].key, known[i].in_order, text);
        assert_string_equal(text, known[i].id);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_record_has_the_bytes_it_always_had),
        cmocka_unit_test(each_record_returns_as_it_was_written),
        cmocka_unit_test(a_record_that_was_cut_anywhere_or_is_too_long_is_refused),
        cmocka_unit_test(damaged_records_are_refused_or_read_but_never_overrun),
        cmocka_unit_test(the_order_of_keys_is_the_order_of_their_numbers),
        cmocka_unit_test(keys_return_what_they_were_made_of),
        cmocka_unit_test(texts_too_long_for_a_key_keep_different_keys),
        cmocka_unit_test(journal_entries_return_and_a_row_says_when_it_is_full),
        cmocka_unit_test(journal_rows_have_the_bytes_they_always_had),
        cmocka_unit_test(names_of_numbers_are_what_people_read),
        cmocka_unit_test(ids_of_firings_differ_in_each_part_and_begin_with_their_time),
        cmocka_unit_test(ids_of_rows_are_hashes_behind_the_order_of_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
