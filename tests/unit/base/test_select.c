/* SPDX-License-Identifier: Apache-2.0
 * A choice by labels: what it takes, what it refuses and where. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "client/base/select.h"

static const label_t *none = NULL;

static label_t label(const char *key, const char *value)
{
    return (label_t){ slice_text(key), slice_text(value) };
}

static bool chooses(const char *text, const label_t *labels, size_t n)
{
    select_t select;
    const char *why;
    size_t column;
    assert_true(select_parse(&select, text, &why, &column));
    return select_matches(&select, labels, n);
}

static void an_empty_choice_takes_everything(void **state)
{
    (void)state;
    label_t ops[] = { label("team", "ops") };
    assert_true(chooses("", none, 0));
    assert_true(chooses("  ", ops, 1));
}

static void all_terms_must_hold(void **state)
{
    (void)state;
    label_t labels[] = { label("team", "ops"), label("env", "live"), label("site", "") };
    static const struct {
        const char *text;
        bool yes;
    } cases[] = {
        { "team=ops", true },
        { "team=web", false },
        { "team!=web", true },
        { "team!=ops", false },
        { "other!=ops", true },
        { "site", true },
        { "site=", true },
        { "!site", false },
        { "!draft", true },
        { "team=ops,env=live", true },
        { "team=ops,env=x", false },
        { " team = ops , !draft ", true },
        { "team=ops,env!=test", true },
        { "team=op", false },
        { "draft", false },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (chooses(cases[i].text, labels, 3) != cases[i].yes) fail_msg("%s", cases[i].text);
}

static void what_is_no_choice_is_refused_with_its_place(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t column;
    } cases[] = { { ",", 1 }, { "a=b,", 5 },      { "a=b,,c", 5 }, { "=b", 1 },
                  { "!", 1 }, { "a=b, !c=d", 5 }, { "!=b", 1 } };
    char longer[LIMIT_SELECT + 2], many[100] = "a";
    const char *why;
    size_t column;
    select_t select;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        if (select_parse(&select, cases[i].text, &why, &column)) fail_msg("%s", cases[i].text);
        assert_non_null(why);
        assert_int_equal(column, cases[i].column);
    }
    memset(longer, 'a', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    assert_false(select_parse(&select, longer, &why, &column));
    longer[LIMIT_LABEL + 1] = '\0';
    assert_false(select_parse(&select, longer, &why, &column));
    for (int i = 0; i < LIMIT_LABELS; i++)
        strcat(many, ",a");
    assert_false(select_parse(&select, many, &why, &column));
}

static void labels_return_from_their_bytes_and_damage_is_seen(void **state)
{
    (void)state;
    label_t labels[] = { label("team", "ops"), label("k", "") }, back[LIMIT_LABELS];
    buf_t bytes = { 0 };
    labels_encode(&bytes, labels, 2);
    assert_int_equal(labels_decode(back, slice(bytes.at, bytes.len)), 2);
    assert_true(slice_equal(back[0].key, labels[0].key) &&
                slice_equal(back[0].value, labels[0].value) && back[1].value.len == 0);
    assert_int_equal(labels_decode(back, slice(NULL, 0)), 0);
    for (size_t len = 1; len < bytes.len; len++)
        if (len != 9) assert_int_equal(labels_decode(back, slice(bytes.at, len)), SIZE_MAX);
    buf_free(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_choice_takes_everything),
        cmocka_unit_test(all_terms_must_hold),
        cmocka_unit_test(what_is_no_choice_is_refused_with_its_place),
        cmocka_unit_test(labels_return_from_their_bytes_and_damage_is_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
