/* SPDX-License-Identifier: Apache-2.0
 * client/cli/scheduledrift.c - one spec against another: what an edit would change. See
 * schedulespec.h. */
#include "client/cli/schedulespec.h"

#include "client/base/clock.h"
#include "client/cli/instant.h"
#include "client/cli/json.h"
#include "client/cli/text.h"

static bool starts_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

/* The rule with its anchor: that of an old one with the same step, else the instant `us`. */
static const char *anchored(const char *rule, const json_t *old, int64_t us)
{
    if (!rule || !starts_with(rule, "@every ") || strstr(rule, " from ")) return rule;
    const char *same = say("%s from ", rule), *before = text_at(old, "rule");
    size_t i;
    json_t *item;
    if (before && starts_with(before, same)) return before;
    json_array_foreach(
        json_object_get(old, "also"), i,
        item) if (starts_with(json_string_value(item), same)) return json_string_value(item);
    return say("%s%s", same, instant_text_in("UTC", us - us % 1000000));
}

void schedule_spec_anchor(json_t *spec, const json_t *old)
{
    int64_t us = clock_wall_us();
    size_t i;
    json_t *item, *also = json_object_get(spec, "also");
    if (text_at(spec, "start")) instant_read(text_at(spec, "start"), text_at(spec, "zone"), &us);
    if (text_at(spec, "rule"))
        json_object_set_new(spec, "rule", json_string(anchored(text_at(spec, "rule"), old, us)));
    json_array_foreach(also, i, item)
        json_array_set_new(also, i, json_string(anchored(json_string_value(item), old, us)));
}

static void add_change(json_t *changes, const char *prefix, const char *key, const json_t *old,
                       const json_t *new)
{
    if ((old && new) ? json_equal(old, new) : old == new) return;
    const char *field = say("%s%s", prefix, key);
    json_array_append_new(changes,
                          json_pack("{s:s, s:O?, s:O?}", "field", field, "old", old, "new", new));
}

static void compare(json_t *changes, const char *prefix, const json_t *old, const json_t *wanted,
                    bool all)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)wanted, key,
                        value) if (*prefix || strcmp(key, "task") != 0)
        add_change(changes, prefix, key, json_object_get(old, key), value);
    if (all)
        json_object_foreach((json_t *)(uintptr_t)old, key,
                            value) if (!json_object_get(wanted, key) && strcmp(key, "task") != 0 &&
                                       strcmp(key, "paused") != 0)
            add_change(changes, prefix, key, value, NULL);
}

json_t *schedule_spec_changes(const json_t *old, const json_t *wanted, bool all)
{
    json_t *changes = json_array();
    compare(changes, "", old, wanted, all);
    compare(changes, "task.", json_object_get(old, "task"), json_object_get(wanted, "task"), true);
    if (json_is_false(json_object_get(wanted, "paused")) && !json_object_get(old, "paused"))
        for (size_t i = json_array_size(changes); i-- > 0;)
            if (strcmp(text_at(json_array_get(changes, i), "field"), "paused") == 0)
                json_array_remove(changes, i);
    return changes;
}
