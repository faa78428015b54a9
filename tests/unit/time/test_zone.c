/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "client/time/pieces.h"
#include "client/time/zone.h"

static zone_t *open_zone(const char *name)
{
    zone_t *zone = NULL;
    assert_int_equal(zone_open(&zone, name, NULL), ERR_OK);
    return zone;
}

static void put_u32(buf_t *bytes, uint32_t value)
{
    uint8_t at[4];
    be_put_u32(at, value);
    buf_add(bytes, at, sizeof at);
}

typedef struct change {
    int64_t at;
    int32_t offset;
} change_t;

/* A file of version 2 with type 0 for the time before and one type for each change. */
static buf_t tzif(int32_t before, const change_t *changes, size_t count, const char *footer)
{
    buf_t bytes = { 0 };
    for (int version = 1; version <= 2; version++) {
        size_t times = version == 1 ? 0 : count, types = version == 1 ? 1 : count + 1;
        static const uint8_t reserved[15] = { 0 };
        buf_add(&bytes, "TZif2", 5);
        buf_add(&bytes, reserved, sizeof reserved);
        put_u32(&bytes, 0);
        put_u32(&bytes, 0);
        put_u32(&bytes, 0);
        put_u32(&bytes, (uint32_t)times);
        put_u32(&bytes, (uint32_t)types);
        put_u32(&bytes, 4);
        for (size_t i = 0; i < times; i++) {
            put_u32(&bytes, (uint32_t)((uint64_t)changes[i].at >> 32));
            put_u32(&bytes, (uint32_t)changes[i].at);
        }
        for (size_t i = 0; i < times; i++)
            buf_add(&bytes, &(uint8_t){ (uint8_t)(i + 1) }, 1);
        for (size_t i = 0; i < types; i++) {
            put_u32(&bytes, (uint32_t)(i ? changes[i - 1].offset : before));
            buf_add(&bytes, "\0\0", 2);
        }
        buf_add(&bytes, "XXX", 4);
    }
    buf_printf(&bytes, "\n%s\n", footer);
    return bytes;
}

static zone_t *made_zone(int32_t before, const change_t *changes, size_t count, const char *footer)
{
    buf_t bytes = tzif(before, changes, count, footer);
    zone_t *zone = NULL;
    assert_int_equal(zone_parse(&zone, "Test/Made", slice(bytes.at, bytes.len)), ERR_OK);
    buf_free(&bytes);
    return zone;
}

static void offsets_are_those_of_the_place_and_time(void **state)
{
    (void)state;
    static const struct {
        const char *zone;
        int64_t t;
        int32_t offset;
    } cases[] = {
        { "UTC", 0, 0 },
        { "America/New_York", 1772953199, -5 * 3600 },
        { "America/New_York", 1772953200, -4 * 3600 },
        { "America/New_York", INT64_C(2846646000), -4 * 3600 }, /* footer: March 2060 */
        { "Africa/Monrovia", 0, -2670 },
        { "Asia/Kathmandu", 1700000000, 20700 },
        { "Europe/Dublin", INT64_C(2540000000), 3600 }, /* negative daylight saving, 2050 */
        { "Australia/Lord_Howe", 1775000000, 39600 },
        { "Europe/Berlin", INT64_C(253000000000), 7200 }, /* the year 9987 */
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        zone_t *zone = open_zone(cases[i].zone);
        assert_int_equal(zone_offset(zone, cases[i].t), cases[i].offset);
        zone_destroy(&zone);
        assert_null(zone);
    }
}

static void the_footer_repeats_after_400_years_to_the_second(void **state)
{
    (void)state;
    const int64_t cycle = INT64_C(146097) * 86400;
    static const char *const names[] = { "Europe/Berlin", "America/Santiago", "Asia/Gaza",
                                         "America/Nuuk", "Australia/Lord_Howe" };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        zone_t *zone = open_zone(names[i]);
        int64_t t = INT64_C(5000000000), at, later;
        int32_t before, after;
        for (int n = 0; n < 900; n++, t = at) {
            int32_t before_later, after_later;
            assert_true(zone_next_change(zone, t, &at, &before, &after));
            assert_true(zone_next_change(zone, t + cycle, &later, &before_later, &after_later));
            assert_int_equal(later, at + cycle);
            assert_int_equal(before_later, before);
            assert_int_equal(after_later, after);
            assert_int_equal(zone_offset(zone, at - 1), before);
            assert_int_equal(zone_offset(zone, at), after);
        }
        zone_destroy(&zone);
    }
}

static void names_that_are_no_zone_names_are_refused(void **state)
{
    (void)state;
    static const char *const names[] = {
        "",           "localtime",
        "posixrules", "right/UTC",
        "posix/UTC",  "/UTC",
        "UTC/",       "Europe//Rome",
        "../passwd",  "europe/berlin",
        "Europe",     "EST5EDT,M3",
        "tzdata.zi",  "leapseconds",
        "Europe/X Y", "Nowhere/City",
        "UTC\n",      "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        zone_t *zone = NULL;
        assert_int_equal(zone_open(&zone, names[i], NULL), ERR_BAD_ZONE);
        assert_null(zone);
    }
}

static void a_damaged_file_is_refused_wherever_it_ends(void **state)
{
    (void)state;
    buf_t bytes = { 0 };
    assert_int_equal(zone_read_file("Europe/Dublin", NULL, &bytes), ERR_OK);
    for (size_t len = 0; len < bytes.len; len++) {
        uint8_t *part = mem_copy(bytes.at, len); /* its own memory: a read behind it is seen */
        zone_t *zone = NULL;
        assert_int_equal(zone_parse(&zone, "Europe/Dublin", slice(part, len)), ERR_BAD_ZONE);
        free(part);
    }
    buf_free(&bytes);
}

static void flipped_bytes_never_do_more_than_be_refused(void **state)
{
    (void)state;
    buf_t bytes = { 0 };
    assert_int_equal(zone_read_file("Africa/Cairo", NULL, &bytes), ERR_OK);
    uint64_t random = 42;
    for (int i = 0; i < 2000; i++) {
        random = random * UINT64_C(6364136223846793005) + 1442695040888963407u;
        size_t at = (size_t)(random >> 33) % bytes.len;
        uint8_t was = bytes.at[at];
        bytes.at[at] ^= (uint8_t)(1u << (random >> 20 & 7));
        zone_t *zone = NULL;
        if (zone_parse(&zone, "Africa/Cairo", slice(bytes.at, bytes.len)) == ERR_OK)
            for (int64_t t = 0; t < INT64_C(4000000000); t += 40000000)
                assert_in_range(zone_offset(zone, t) + 90000, 0, 190000);
        zone_destroy(&zone);
        bytes.at[at] = was;
    }
    buf_free(&bytes);
}

static void a_footer_holds_after_the_last_transition(void **state)
{
    (void)state;
    static const change_t change = { 100000000, 3600 };
    zone_t *zone = made_zone(0, &change, 1, "CET-1CEST,M3.5.0,M10.5.0/3");
    assert_int_equal(zone_offset(zone, 0), 0);
    assert_int_equal(zone_offset(zone, 1774745999), 3600);
    assert_int_equal(zone_offset(zone, 1774746000), 7200); /* 2026-03-29 01:00 UTC */
    assert_int_equal(zone_offset(zone, 1792890000), 3600); /* 2026-10-25 01:00 UTC */
    zone_destroy(&zone);
}

/* As in slim files of Europe/Lisbon: the last listed change is one of names. */
static void a_footer_does_not_hold_before_the_last_transition(void **state)
{
    (void)state;
    static const change_t changes[] = { { 811904400, 3600 }, { 828234000, 3600 } };
    zone_t *zone = made_zone(0, changes, ARRAY_LEN(changes), "WET0WEST,M3.5.0/1,M10.5.0");
    int64_t at;
    int32_t before, after;
    assert_true(zone_next_change(zone, 811904400, &at, &before, &after));
    assert_int_equal(at, 846378000); /* 1996-10-27 01:00 UTC, not October 1995 */
    zone_destroy(&zone);
}

static void hours_of_a_footer_go_from_minus_167_to_167(void **state)
{
    (void)state;
    static const char *const good[] = { "XXX0YYY,M3.5.0/-167,M10.5.0/167", "<+03>-3", "XXX0",
                                        "<-0330>3:30<-0230>,J60/0,300/24:30:15" };
    static const char *const bad[] = { "XXX0YYY,M3.5.0/168,M10.5.0",
                                       "XX0",
                                       "XXX",
                                       "XXX0YYY",
                                       "XXX0YYY,M13.5.0,M10.5.0",
                                       "XXX0YYY,M3.6.0,M10.5.0",
                                       "XXX0YYY,M3.5.7,M10.5.0",
                                       "XXX0YYY,J0,J5",
                                       "<XXX0",
                                       "XXX0YYY,M3.5.0,M10.5.0 ",
                                       "XXX25" };
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        zone_t *zone = made_zone(0, NULL, 0, good[i]);
        zone_destroy(&zone);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        buf_t bytes = tzif(0, NULL, 0, bad[i]);
        zone_t *zone = NULL;
        assert_int_equal(zone_parse(&zone, "Test/Bad", slice(bytes.at, bytes.len)), ERR_BAD_ZONE);
        buf_free(&bytes);
    }
}

static void a_transition_before_all_calendars_does_no_harm(void **state)
{
    (void)state;
    static const int64_t times[] = { INT64_MIN, -(INT64_C(1) << 54), -(INT64_C(1) << 40) };
    for (size_t i = 0; i < ARRAY_LEN(times); i++) {
        const change_t change = { times[i], 3600 };
        zone_t *zone = made_zone(0, &change, 1, "CET-1CEST,M3.5.0,M10.5.0/3");
        assert_int_equal(zone_offset(zone, 1774745999), 3600);
        assert_int_equal(zone_offset(zone, 1774746000), 7200);
        zone_destroy(&zone);
    }
}

/* Summer begins and ends at one instant, but for leap years. */
static void a_footer_that_changes_in_leap_years_only_repeats_too(void **state)
{
    (void)state;
    zone_t *zone = made_zone(0, NULL, 0, "XXX0YYY,J60/0,59/1");
    int64_t t = 0, at;
    int32_t before, after;
    int changes = 0;
    while (t < INT64_C(250000000000) && zone_next_change(zone, t, &at, &before, &after)) {
        assert_true(at > t);
        assert_int_equal(zone_offset(zone, at - 1), before);
        assert_int_equal(zone_offset(zone, at), after);
        t = at;
        changes++;
    }
    assert_true(changes > 3000);
    zone_destroy(&zone);
}

static void summer_that_never_ends_has_no_changes(void **state)
{
    (void)state;
    zone_t *zone = made_zone(-4 * 3600, NULL, 0, "XXX5EDT4,0/0,J365/25");
    int64_t at;
    int32_t before, after;
    assert_int_equal(zone_offset(zone, 1700000000), -4 * 3600);
    assert_false(zone_next_change(zone, 0, &at, &before, &after));
    zone_destroy(&zone);
}

/* Each local time lies in exactly one piece that is not AGAIN, whatever the clock does. */
static void every_local_time_is_shown_first_once_or_skipped(void **state)
{
    (void)state;
    static const change_t wild[] = {
        { 1000000, 7200 },  { 1001000, 0 },    { 1003000, 50000 }, { 1010000, -40000 },
        { 1040000, 90000 }, { 1045000, 3600 }, { 1046000, 7200 },  { 1047000, 0 },
    };
    zone_t *zone = made_zone(0, wild, ARRAY_LEN(wild), "XXX0");
    for (int64_t local = 900000; local < 1200000; local += 100) {
        int found = 0;
        int64_t instant = 0, first = INT64_MAX;
        piece_t piece;
        for (size_t n = 0; pieces_get(zone, n, &piece); n++)
            if (piece.kind != PIECE_AGAIN && local >= piece.from && local < piece.to) {
                found++;
                instant = piece.kind == PIECE_SKIPPED ? piece.at : local - piece.offset;
            }
        assert_int_equal(found, 1);
        for (int64_t t = 800000; t < 1300000; t += 100)
            if (t + zone_offset(zone, t) == local && t < first) first = t;
        bool skipped;
        assert_int_equal(zone_instant(zone, local, &skipped), instant);
        assert_int_equal(skipped, first == INT64_MAX);
        if (!skipped) assert_int_equal(instant, first);
    }
    zone_destroy(&zone);
}

static void the_hash_names_the_bytes(void **state)
{
    (void)state;
    zone_t *a = open_zone("Europe/Paris"), *b = open_zone("Europe/Paris");
    zone_t *c = open_zone("Europe/Dublin");
    assert_true(zone_hash(a) == zone_hash(b));
    assert_true(zone_hash(a) != zone_hash(c));
    assert_string_equal(zone_name(a), "Europe/Paris");
    zone_destroy(&a);
    zone_destroy(&b);
    zone_destroy(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(offsets_are_those_of_the_place_and_time),
        cmocka_unit_test(the_footer_repeats_after_400_years_to_the_second),
        cmocka_unit_test(names_that_are_no_zone_names_are_refused),
        cmocka_unit_test(a_damaged_file_is_refused_wherever_it_ends),
        cmocka_unit_test(flipped_bytes_never_do_more_than_be_refused),
        cmocka_unit_test(a_footer_holds_after_the_last_transition),
        cmocka_unit_test(a_footer_does_not_hold_before_the_last_transition),
        cmocka_unit_test(hours_of_a_footer_go_from_minus_167_to_167),
        cmocka_unit_test(a_transition_before_all_calendars_does_no_harm),
        cmocka_unit_test(a_footer_that_changes_in_leap_years_only_repeats_too),
        cmocka_unit_test(summer_that_never_ends_has_no_changes),
        cmocka_unit_test(every_local_time_is_shown_first_once_or_skipped),
        cmocka_unit_test(the_hash_names_the_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
