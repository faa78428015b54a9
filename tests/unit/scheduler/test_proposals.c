/* SPDX-License-Identifier: Apache-2.0
 * What becomes of a schedule's turn, whatever is told in whatever order: it always comes again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "client/base/clock.h"
#include "client/record.h"
#include "scheduler/proposals.h"
#include "schemas/pawl.pb-c.h"

#define SECOND INT64_C(1000000)

static const uint8_t uid[16] = { 7, 7 };

static void tell(proposals_t *proposals, uint64_t revision, int64_t cursor, int64_t next)
{
    Pawl__V1__ScheduleInfo info = PAWL__V1__SCHEDULE_INFO__INIT;
    info.uid = (ProtobufCBinaryData){ 16, (uint8_t *)(uintptr_t)uid };
    info.revision = revision;
    info.cursor_us = cursor;
    info.next_us = next;
    info.state = (char *)(uintptr_t) "active";
    proposals_on_schedule(proposals, PAWL_FOLLOW_SCHEDULE, record_of_const(&info));
}

/* As proposals_run leaves it: with a proposal under way. */
static entry_t *proposed(proposals_t *proposals)
{
    entry_t *entry = timeline_find(proposals_timeline(proposals), uid);
    entry->proposed = true;
    timeline_set_due(proposals_timeline(proposals), entry, TIMELINE_NEVER);
    return entry;
}

static void a_change_told_before_an_older_answer_is_what_counts(void **state)
{
    (void)state;
    proposals_t *proposals = proposals_new(NULL);
    int64_t now = clock_wall_us();
    tell(proposals, 1, now - SECOND, now);
    entry_t *entry = proposed(proposals);
    tell(proposals, 2, now, now + 10 * SECOND); /* from each hour to each ten seconds */
    proposals_take(proposals, uid, 1, now, now + 3600 * SECOND, 0, "done");
    assert_int_equal(entry->due_us, now + 10 * SECOND);
    assert_int_equal(entry->revision, 2);
    assert_false(entry->proposed);
    proposals_destroy(&proposals);
}

static void a_push_of_the_same_revision_only_brings_a_turn_forward(void **state)
{
    (void)state;
    proposals_t *proposals = proposals_new(NULL);
    int64_t now = clock_wall_us();
    tell(proposals, 1, now - SECOND, now);
    entry_t *entry = proposed(proposals);
    tell(proposals, 1, now - SECOND, now); /* resumed, while the answer still says held */
    proposals_take(proposals, uid, 1, now - SECOND, now, 0, "held");
    assert_true(entry->due_us <= now);
    proposed(proposals);
    proposals_take(proposals, uid, 1, now, now + 60 * SECOND, 0, "done");
    assert_int_equal(entry->due_us, now + 60 * SECOND); /* the push is not remembered twice */
    proposals_destroy(&proposals);
}

static void a_turn_that_decided_nothing_comes_again_soon_but_not_at_once(void **state)
{
    (void)state;
    proposals_t *proposals = proposals_new(NULL);
    int64_t now = clock_wall_us();
    static const char *const verdicts[] = { "too_early", "conflict", "done", "" };
    for (size_t i = 0; i < ARRAY_LEN(verdicts); i++) {
        tell(proposals, 1, now - SECOND, now);
        entry_t *entry = proposed(proposals);
        int64_t before = clock_wall_us();
        proposals_take(proposals, uid, 1, now - SECOND, now, 0, verdicts[i]);
        assert_true(entry->due_us >= before + 50 * 1000);
        assert_true(entry->due_us <= clock_wall_us() + SECOND);
        entry->due_us = TIMELINE_NEVER;
    }
    proposals_destroy(&proposals);
}

static void a_schedule_that_waits_for_space_is_not_later_than_its_next_instant(void **state)
{
    (void)state;
    proposals_t *proposals = proposals_new(NULL);
    int64_t now = clock_wall_us();
    tell(proposals, 1, now - SECOND, now);
    entry_t *entry = proposed(proposals);
    proposals_take(proposals, uid, 1, now, now + 10 * SECOND, now + 5 * SECOND, "held");
    assert_int_equal(entry->due_us, now + 10 * SECOND);
    proposed(proposals);
    proposals_take(proposals, uid, 1, now, now - SECOND, 0, "held"); /* a push will tell, or: */
    assert_true(entry->due_us > now + 20 * SECOND && entry->due_us < now + 40 * SECOND);
    proposals_destroy(&proposals);
}

static void a_slow_answer_does_not_move_the_clock_and_a_wrong_clock_is_found(void **state)
{
    (void)state;
    proposals_t *proposals = proposals_new(NULL);
    int64_t now = 1000 * SECOND;
    proposals_compare(proposals, now, now + 1000, now + 5 * SECOND); /* a commit of five seconds */
    assert_int_equal(proposals_offset(proposals), 0);
    proposals_compare(proposals, now, now - 3600 * SECOND, now + 1000); /* we are an hour ahead */
    assert_int_equal(proposals_offset(proposals), -3600 * SECOND);
    proposals_compare(proposals, now, now + 3600 * SECOND, now + 1000); /* both clocks stepped */
    assert_int_equal(proposals_offset(proposals), 3600 * SECOND - 1000);
    proposals_compare(proposals, now, now, now - 60 * SECOND); /* ours stepped back on the way */
    assert_int_equal(proposals_offset(proposals), 60 * SECOND);
    proposals_destroy(&proposals);
}

static void a_list_that_comes_again_pauses_nothing_and_takes_away_what_is_gone(void **state)
{
    (void)state;
    proposals_t *proposals = proposals_new(NULL);
    timeline_t *line = proposals_timeline(proposals);
    int64_t now = clock_wall_us();
    uint8_t other[16] = { 8 };
    proposals_on_schedule(proposals, PAWL_FOLLOW_BEGIN, NULL);
    tell(proposals, 1, now - SECOND, now);
    timeline_set_due(line, timeline_entry(line, other), now);
    timeline_find(line, other)->list = 1;
    proposals_on_schedule(proposals, PAWL_FOLLOW_END, NULL);
    assert_int_equal(timeline_size(line), 2);
    proposals_on_schedule(proposals, PAWL_FOLLOW_BEGIN, NULL); /* a new session */
    assert_int_equal(timeline_size(line), 2);
    assert_int_equal(timeline_first(line)->due_us, now);
    tell(proposals, 1, now - SECOND, now);
    proposals_on_schedule(proposals, PAWL_FOLLOW_END, NULL);
    assert_int_equal(timeline_size(line), 1);
    assert_null(timeline_find(line, other));
    assert_non_null(timeline_find(line, uid));
    proposals_destroy(&proposals);
}

/* A range that begins with its newest: its cursor goes back, and its turn comes at once. */
static void a_range_has_turns_of_its_own_until_it_is_gone(void **state)
{
    (void)state;
    proposals_t *proposals = proposals_new(NULL);
    int64_t now = clock_wall_us();
    Pawl__V1__ScheduleInfo info = PAWL__V1__SCHEDULE_INFO__INIT;
    Pawl__V1__RangeInfo range = PAWL__V1__RANGE_INFO__INIT, *ranges[] = { &range };
    info.uid = (ProtobufCBinaryData){ 16, (uint8_t *)(uintptr_t)uid };
    info.revision = 3;
    info.cursor_us = now;
    info.next_us = now + 3600 * SECOND;
    info.state = (char *)(uintptr_t) "active";
    range.number = 0x102;
    range.revision = 2;
    range.cursor_us = now - SECOND;
    range.state = (char *)(uintptr_t) "open";
    info.ranges = ranges;
    info.n_ranges = 1;
    proposals_on_schedule(proposals, PAWL_FOLLOW_SCHEDULE, record_of_const(&info));
    timeline_t *line = proposals_timeline(proposals);
    assert_int_equal(timeline_size(line), 2);
    entry_t *entry = timeline_first(line);
    assert_int_equal(entry->range, 0x102);
    assert_int_equal(entry->uid[14], uid[14] ^ 1);
    assert_true(entry->due_us <= clock_wall_us());
    uint8_t own[16];
    memcpy(own, entry->uid, 16);
    proposals_take(proposals, own, 2, now - 2 * SECOND, now, 0, "done");
    assert_int_equal(entry->cursor_us, now - 2 * SECOND);
    assert_true(entry->due_us <= clock_wall_us());
    proposals_take(proposals, own, 2, now - 2 * SECOND, 0, 0, "held"); /* paused meanwhile */
    assert_int_equal(entry->due_us, TIMELINE_NEVER);
    proposals_take(proposals, own, 2, now - 2 * SECOND, 0, 0, "gone");
    assert_int_equal(timeline_size(line), 1);
    proposals_destroy(&proposals);
}

/* Two ranges, 1 and 2, in these states; NULL: it is not told of. */
static void tell_ranges(proposals_t *proposals, const char *first, const char *second)
{
    int64_t now = clock_wall_us();
    Pawl__V1__ScheduleInfo info = PAWL__V1__SCHEDULE_INFO__INIT;
    Pawl__V1__RangeInfo ranges[2], *told[2];
    const char *const states[] = { first, second };
    info.uid = (ProtobufCBinaryData){ 16, (uint8_t *)(uintptr_t)uid };
    info.revision = 3;
    info.cursor_us = now;
    info.next_us = now + 3600 * SECOND;
    info.state = (char *)(uintptr_t) "active";
    info.ranges = told;
    for (size_t i = 0; i < 2; i++) {
        if (states[i] == NULL) continue;
        pawl__v1__range_info__init(&ranges[i]);
        ranges[i].number = (uint32_t)i + 1;
        ranges[i].revision = 2;
        ranges[i].cursor_us = now - 100 * SECOND;
        ranges[i].state = (char *)(uintptr_t)states[i];
        told[info.n_ranges++] = &ranges[i];
    }
    proposals_on_schedule(proposals, PAWL_FOLLOW_SCHEDULE, record_of_const(&info));
}

static entry_t *range_of(proposals_t *proposals, uint16_t number)
{
    uint8_t own[16];
    timeline_range_uid(uid, number, own);
    return timeline_find(proposals_timeline(proposals), own);
}

static void a_paused_range_is_not_asked_for_until_it_is_resumed_and_then_at_once(void **state)
{
    (void)state;
    proposals_t *proposals = proposals_new(NULL);
    tell_ranges(proposals, "paused", "open");
    assert_int_equal(range_of(proposals, 1)->due_us, TIMELINE_NEVER);
    assert_true(range_of(proposals, 2)->due_us <= clock_wall_us());
    tell_ranges(proposals, "open", "stopped");
    assert_true(range_of(proposals, 1)->due_us <= clock_wall_us());
    assert_int_equal(range_of(proposals, 2)->due_us, TIMELINE_NEVER);
    /* resumed while the answer that it is paused is on the way */
    entry_t *second = range_of(proposals, 2);
    second->proposed = true;
    tell_ranges(proposals, "open", "open");
    proposals_take(proposals, second->uid, 2, second->cursor_us, 0, 0, "held");
    assert_true(second->due_us <= clock_wall_us());
    proposals_destroy(&proposals);
}

static void a_range_that_is_told_of_no_more_has_ended(void **state)
{
    (void)state;
    proposals_t *proposals = proposals_new(NULL);
    tell_ranges(proposals, "paused", "open");
    assert_int_equal(timeline_size(proposals_timeline(proposals)), 3);
    tell_ranges(proposals, NULL, "paused"); /* cancelled while it was paused */
    assert_null(range_of(proposals, 1));
    assert_non_null(range_of(proposals, 2));
    tell_ranges(proposals, NULL, NULL);
    assert_int_equal(timeline_size(proposals_timeline(proposals)), 1);
    proposals_destroy(&proposals);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_range_has_turns_of_its_own_until_it_is_gone),
        cmocka_unit_test(a_paused_range_is_not_asked_for_until_it_is_resumed_and_then_at_once),
        cmocka_unit_test(a_range_that_is_told_of_no_more_has_ended),
        cmocka_unit_test(a_change_told_before_an_older_answer_is_what_counts),
        cmocka_unit_test(a_push_of_the_same_revision_only_brings_a_turn_forward),
        cmocka_unit_test(a_turn_that_decided_nothing_comes_again_soon_but_not_at_once),
        cmocka_unit_test(a_schedule_that_waits_for_space_is_not_later_than_its_next_instant),
        cmocka_unit_test(a_list_that_comes_again_pauses_nothing_and_takes_away_what_is_gone),
        cmocka_unit_test(a_slow_answer_does_not_move_the_clock_and_a_wrong_clock_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
