/* SPDX-License-Identifier: Apache-2.0
 * client/cli/schedulespec.c - one row a key: its name, how its value is read, the SDK's field. */
#include "client/cli/schedulespec.h"

#include <inttypes.h>
#include <stdio.h>

#include "schemas/limits.h"

#include "client/cli/fail.h"
#include "client/cli/instant.h"
#include "client/cli/json.h"
#include "client/cli/moments.h"
#include "client/cli/plan.h"
#include "client/cli/text.h"

typedef enum {
    WAY,
    WORD,
    FREE_TEXT,
    LIST,
    TEXTS, /* a list that stays one */
    SPAN,
    NUMBER,
    SWITCH,
    MOMENT,
    LABELS,
    TASK
} shape_of_key_t;

static const struct spec_key {
    const char *name;
    shape_of_key_t shape;
    const char *field;    /* of the SDK; NULL: handled apart */
    const char *words;    /* WORD: the words there are */
    int64_t least, most;  /* NUMBER */
    int64_t standard;     /* NUMBER, SPAN: what leaving it out means */
    bool absent_is_other; /* leaving it out means something no value says */
} keys[] = {
    { "name", FREE_TEXT, NULL, NULL, 0, 0, 0, false },
    { "title", FREE_TEXT, "title", NULL, 0, 0, 0, false },
    { "rule", WAY, "rule", NULL, 0, 0, 0, false },
    { "cron", WAY, NULL, NULL, 0, 0, 0, false },
    { "every", WAY, NULL, NULL, 0, 0, 0, false },
    { "at", WAY, NULL, NULL, 0, 0, 0, false },
    { "dates", WAY, NULL, NULL, 0, 0, 0, false },
    { "after", SPAN, "after_us", NULL, 0, 0, 0, false },
    { "also", TEXTS, "also", NULL, 0, LIMIT_RULES - 1, 0, false },
    { "zone", FREE_TEXT, "zone", NULL, 0, 0, 0, false },
    { "calendars", TEXTS, "calendars", NULL, 0, LIMIT_CALENDARS, 0, false },
    { "max_firings", NUMBER, "max_firings", NULL, 1, INT64_C(1000000000000), 0, false },
    { "except", LIST, "exclusions", NULL, 0, 0, 0, false },
    { "mode", WORD, "mode", "normal|latest|strict", 0, 0, 0, false },
    { "overlap", WORD, "overlap", "allow|skip|queue_one|queue_latest|queue_all|cancel|kill", 0, 0,
      0, false },
    { "overlap_scope", WORD, "overlap_scope", "schedule|type|key", 0, 0, 0, false },
    { "overlap_key", FREE_TEXT, "overlap_key", NULL, 0, 0, 0, false },
    { "on_resume", WORD, "on_resume", "catchup|skip|latest", 0, 0, 0, false },
    { "window", SPAN, "window_us", NULL, 0, 0, 0, false },
    { "grace", SPAN, "grace_us", NULL, 0, 0, DEFAULT_GRACE_US, false },
    { "jitter", SPAN, "jitter_us", NULL, 0, 0, 0, false },
    { "start_by", SPAN, "start_by_us", NULL, 0, 0, -1, true },
    { "ahead", NUMBER, "ahead", NULL, 1, 1000000, DEFAULT_AHEAD, false },
    { "max_running", NUMBER, "max_running", NULL, 1, 100000, 1, false },
    { "rate", NUMBER, "rate", NULL, 1, 100000, DEFAULT_RATE, false },
    { "live_first", SWITCH, "live_first", NULL, 0, 0, 0, false },
    { "order", WORD, "order", "oldest|newest", 0, 0, 0, false },
    { "warn", NUMBER, "warn", NULL, 0, 1000000000, 1000, true },
    { "supersede", SWITCH, "supersede", NULL, 0, 0, -1, true },
    { "start", MOMENT, "from_us", NULL, 0, 0, 0, false },
    { "end", MOMENT, "to_us", NULL, 0, 0, 0, false },
    { "labels", LABELS, NULL, NULL, 0, 0, 0, false },
    { "paused", SWITCH, NULL, NULL, 0, 0, -1, false },
    { "task", TASK, NULL, NULL, 0, 0, 0, false },
};

static bool refuse(spec_error_t *error, const char *field, const char *why)
{
    snprintf(error->field, sizeof error->field, "%s", field);
    snprintf(error->why, sizeof error->why, "%s", why);
    return false;
}

static const struct spec_key *key_named(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (strcmp(keys[i].name, name) == 0) return &keys[i];
    return NULL;
}

static bool starts_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

/* ---- the task -------------------------------------------------------------------------------- */

static bool read_task(json_t *spec, const json_t *given, const char *zone, spec_error_t *error)
{
    static const char *const of_one_task[] = { "id", "at", "delay", "hold", "expire" };
    spec_error_t inside;
    if (!json_is_object(given)) return refuse(error, "task", "it must be an object: see below");
    for (size_t i = 0; i < ARRAY_LEN(of_one_task); i++)
        if (json_object_get(given, of_one_task[i]))
            return refuse(error, say("task.%s", of_one_task[i]),
                          "the task of a schedule has none (for expire: start_by of the schedule)");
    if (json_object_get(json_object_get(given, "labels"), MADE_BY))
        return refuse(error, "task.labels." MADE_BY, "this label is set by pawl itself");
    pawl_task_t *task = task_from_json(given, zone, &inside);
    if (!task) {
        const char *field = say("task%s%s", *inside.field ? "." : "", inside.field);
        return refuse(error, field, say("%s", inside.why));
    }
    pawl_task_destroy(&task);
    json_t *copy = json_deep_copy(given);
    task_json_canonical(copy);
    json_object_set_new(spec, "task", copy);
    return true;
}

/* ---- the rule -------------------------------------------------------------------------------- */

/* A text, or a list of texts joined by commas. NULL: neither. */
static const char *joined(const json_t *value)
{
    if (json_is_string(value)) return json_string_value(value);
    if (!json_is_array(value) || json_array_size(value) == 0) return NULL;
    buf_t list = { 0 };
    size_t i;
    json_t *item;
    json_array_foreach(value, i, item)
    {
        if (!json_is_string(item)) {
            buf_free(&list);
            return NULL;
        }
        buf_printf(&list, "%s%s", i ? "," : "", json_string_value(item));
    }
    return text_keep((char *)list.at);
}

static const char *at_rule(const char *list, const char *zone)
{
    char *rest = text_keep(mem_text(list));
    buf_t rule = { 0 };
    size_t n = 0;
    int64_t us;
    for (char *word; (word = strsep(&rest, ",")); n++) {
        if (!instant_read(word, zone, &us) || us % 1000000) {
            buf_free(&rule);
            return NULL;
        }
        buf_printf(&rule, "%s%s", n ? "," : "", instant_text_in(zone, us));
    }
    const char *stamps = text_keep((char *)rule.at);
    return say("%s %s", n == 1 ? "@at" : "@dates", stamps);
}

static bool read_rule(json_t *spec, const json_t *given, const char *zone, spec_error_t *error)
{
    static const char *const ways[] = { "rule", "cron", "every", "at", "dates", "after" };
    const char *way = NULL, *rule = NULL;
    for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
        if (!json_object_get(given, ways[i])) continue;
        if (way) return refuse(error, ways[i], say("it excludes \"%s\": give one of them", way));
        way = ways[i];
    }
    if (!way) return refuse(error, "", "one of cron, every, at, dates, rule, after is needed");
    if (strcmp(way, "after") == 0) return true; /* read as a duration */
    const char *text = joined(json_object_get(given, way));
    if (!text) return refuse(error, way, "it must be a text, in quotes where it begins with *");
    if (strcmp(way, "every") == 0) {
        const char *every = plan_every(text);
        if (!every) return refuse(error, way, "it must be whole seconds with a unit, e.g. 5m");
        rule = say("@every %s", every);
    } else if (strcmp(way, "at") == 0) {
        rule = at_rule(text, zone);
        if (!rule && !zone_exists(zone))
            return refuse(error, "zone", say("unknown time zone %s", zone));
        if (!rule) return refuse(error, way, "it must be instants, e.g. 2026-12-24T02:00:00");
    } else {
        rule = strcmp(way, "dates") == 0 ? say("@dates %s", plan_dates(text)) : text;
    }
    const char *why = moments_refusal(rule, zone);
    if (why) return refuse(error, starts_with(why, "unknown time zone") ? "zone" : way, why);
    json_object_set_new(spec, "rule", json_string(rule));
    return true;
}

/* ---- the other keys -------------------------------------------------------------------------- */

static bool is_word(const char *text, const char *words)
{
    char *rest = text_keep(mem_text(words));
    for (char *word; (word = strsep(&rest, "|"));)
        if (strcmp(word, text) == 0) return true;
    return false;
}

/* Texts: of `also` they are rules, tried one by one. */
static bool read_texts(json_t *spec, const struct spec_key *key, const json_t *value,
                       const char *zone, spec_error_t *error)
{
    json_t *list = json_array(), *item;
    bool rules = strcmp(key->name, "also") == 0;
    const char *why = json_is_array(value) || json_is_string(value) ? NULL : "it must be a list";
    if (json_is_string(value)) json_array_append(list, (json_t *)(uintptr_t)value);
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)value, i, item) json_array_append(list, item);
    if ((int64_t)json_array_size(list) > key->most)
        why = say("it has at most %" PRId64 " items", key->most);
    json_array_foreach(list, i, item)
    {
        const char *text = json_string_value(item);
        if (why) break;
        if (!text || !*text)
            why = "each item must be a text";
        else if (rules)
            why = moments_refusal(text, zone);
    }
    if (!why && json_array_size(list)) json_object_set(spec, key->name, list);
    json_decref(list);
    return why ? refuse(error, key->name, why) : true;
}

/* What schedulers and lists choose by; those of its tasks stand in `task`. */
static bool read_labels(json_t *spec, const struct spec_key *key, const json_t *value,
                        spec_error_t *error)
{
    const char *name;
    json_t *text;
    if (!json_is_object(value))
        return refuse(error, key->name, "it must be an object of names and texts, e.g. team: ops");
    json_object_foreach(
        (json_t *)(uintptr_t)value, name,
        text) if (!json_is_string(text)) return refuse(error, say("%s.%s", key->name, name),
                                                       "it must be a text");
    if (json_object_size(value)) json_object_set(spec, key->name, (json_t *)(uintptr_t)value);
    return true;
}

static bool read_value(json_t *spec, const struct spec_key *key, const json_t *value,
                       const char *zone, spec_error_t *error)
{
    int64_t us, number;
    const char *text = json_string_value(value);
    switch (key->shape) {
    case WORD:
        if (!text || !is_word(text, key->words))
            return refuse(error, key->name, say("it must be one of %s", key->words));
        break;
    case FREE_TEXT:
        if (!text || strlen(text) != json_string_length(value))
            return refuse(error, key->name, "it must be a text");
        break;
    case LIST:
        if (!(text = joined(value))) return refuse(error, key->name, "it must be a list of dates");
        text = plan_dates(text);
        break;
    case TEXTS:
        return read_texts(spec, key, value, zone, error);
    case SPAN:
        if (!text || !duration_read(text, &us))
            return refuse(error, key->name, "it must be a duration with a unit, e.g. \"30s\"");
        text = us == key->standard ? NULL : duration_text(us);
        if (!text) return true;
        break;
    case MOMENT:
        if (!text || !instant_read(text, zone, &us))
            return refuse(error, key->name, "it must be an instant, e.g. 2026-12-01T02:00:00");
        text = instant_text_in(zone, us);
        break;
    case NUMBER:
        number = json_integer_value(value);
        if (!json_is_integer(value) || number < key->least || number > key->most)
            return refuse(error, key->name,
                          say("it must be a whole number from %" PRId64 " to %" PRId64, key->least,
                              key->most));
        if (number != key->standard) json_object_set_new(spec, key->name, json_integer(number));
        return true;
    case SWITCH:
        if (!json_is_boolean(value)) return refuse(error, key->name, "it must be true or false");
        json_object_set_new(spec, key->name, json_boolean(json_is_true(value)));
        return true;
    case LABELS:
        return read_labels(spec, key, value, error);
    case WAY:
    case TASK:
        return true; /* read apart */
    }
    if (*text) json_object_set_new(spec, key->name, json_string(text));
    return true;
}

/* Leaves out what says nothing new. */
static void drop_standards(json_t *spec)
{
    const char *mode = text_at(spec, "mode");
    drop_if(spec, "overlap", mode && strcmp(mode, "strict") == 0 ? "queue_all" : "skip");
    drop_if(spec, "on_resume", mode && strcmp(mode, "strict") == 0 ? "catchup" : "skip");
    drop_if(spec, "mode", "normal");
    drop_if(spec, "order", "oldest");
    if (json_is_false(json_object_get(spec, "live_first"))) json_object_del(spec, "live_first");
}

/* start-by is start_by: as the flag is called. */
static json_t *with_underscores(const json_t *given)
{
    json_t *same = json_object(), *value;
    const char *key;
    json_object_foreach((json_t *)(uintptr_t)given, key, value)
    {
        char *name = text_keep(mem_text(key));
        for (char *dash; !key_named(name) && (dash = strchr(name, '-'));)
            *dash = '_';
        json_object_set(same, key_named(name) ? name : key, value);
    }
    return same;
}

static bool read_keys(json_t *spec, const json_t *given, const char *zone, spec_error_t *error)
{
    const char *name, *all[ARRAY_LEN(keys)];
    json_t *value;
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        all[i] = keys[i].name;
    json_object_foreach((json_t *)(uintptr_t)given, name, value) if (!key_named(name))
    {
        const char *near = did_you_mean(name, all, ARRAY_LEN(all));
        return refuse(error, name,
                      near ? say("unknown key (did you mean \"%s\"?)", near) : "unknown key");
    }
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        value = json_object_get(given, keys[i].name);
        if (value && !read_value(spec, &keys[i], value, zone, error)) return false;
        if (keys[i].shape == WAY && strcmp(keys[i].name, "rule") == 0 &&
            !read_rule(spec, given, zone, error))
            return false;
        if (strcmp(keys[i].name, "zone") == 0)
            json_object_set_new(spec, "zone", json_string(zone)); /* also when it was not said */
    }
    if (!text_at(spec, "name")) return refuse(error, "name", "it is needed");
    if (!json_object_get(given, "task")) return refuse(error, "task", "it is needed");
    return read_task(spec, json_object_get(given, "task"), zone, error);
}

/* A fixed delay names no instants: nothing that is about them goes with it. */
static bool nothing_with_after(const json_t *spec, spec_error_t *error)
{
    static const char *const others[] = { "also", "except", "calendars", "jitter", "window" };
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        if (json_object_get(spec, others[i]))
            return refuse(error, others[i], "it does not go with after, which names no instants");
    return true;
}

json_t *schedule_spec_read(const json_t *given, const char *zone, spec_error_t *error)
{
    *error = (spec_error_t){ "", "" };
    if (!json_is_object(given)) {
        refuse(error, "", "it is not an object of keys and values");
        return NULL;
    }
    json_t *spec = json_object(), *same = with_underscores(given);
    const char *said = text_at(same, "zone");
    bool good = read_keys(spec, same, said && *said ? said : zone, error);
    const char *except = good ? text_at(spec, "except") : NULL;
    if (good && text_at(spec, "after"))
        good = nothing_with_after(spec, error);
    else if (except) {
        moments_t *moments = NULL; /* says itself what is wrong with the dates */
        moments_spec_t rules = { .rule = text_at(spec, "rule"),
                                 .zone = text_at(spec, "zone"),
                                 .exclusions = except };
        if (moments_open(&moments, &rules))
            good = refuse(error, "except", "these are no local dates");
        moments_close(&moments);
    }
    json_decref(same);
    if (good) {
        drop_standards(spec);
        return spec;
    }
    json_decref(spec);
    return NULL;
}

/* ---- on record ------------------------------------------------------------------------------- */

static void add_labels(json_t *spec, const char *name, const pawl_record_t *schedule)
{
    size_t n = pawl_record_count(schedule, "labels");
    json_t *labels = n ? json_object() : NULL;
    for (size_t i = 0; i < n; i++) {
        const pawl_record_t *label = pawl_record_sub_at(schedule, "labels", i);
        json_object_set_new(labels, pawl_record_text(label, "key"),
                            json_string(pawl_record_text(label, "value")));
    }
    if (labels) json_object_set_new(spec, name, labels);
}

static void add_value(json_t *spec, const struct spec_key *key, const pawl_record_t *schedule,
                      const char *zone)
{
    int64_t number = key->field ? pawl_record_int(schedule, key->field) : 0;
    switch (key->shape) {
    case WAY:
    case WORD:
    case FREE_TEXT:
    case LIST: {
        const char *text = key->field ? pawl_record_text(schedule, key->field) : "";
        if (*text && (key->shape != WORD || is_word(text, key->words)))
            json_object_set_new(spec, key->name, json_string(text));
        return;
    }
    case TEXTS: {
        json_t *list = json_array();
        for (size_t i = 0; i < pawl_record_count(schedule, key->field); i++)
            json_array_append_new(list, json_string(pawl_record_text_at(schedule, key->field, i)));
        if (json_array_size(list)) json_object_set(spec, key->name, list);
        json_decref(list);
        return;
    }
    case SPAN:
        if (key->standard ? pawl_record_has(schedule, key->field) && number != key->standard
                          : number != 0)
            json_object_set_new(spec, key->name, json_string(duration_text(number)));
        return;
    case NUMBER:
        if (number && number != key->standard)
            json_object_set_new(spec, key->name, json_integer(number));
        return;
    case SWITCH:
        if (key->field && pawl_record_has(schedule, key->field))
            json_object_set_new(spec, key->name, json_boolean(number));
        return;
    case MOMENT:
        if (number)
            json_object_set_new(spec, key->name, json_string(instant_text_in(zone, number)));
        return;
    case LABELS:
        add_labels(spec, key->name, schedule);
        return;
    case TASK:
        return;
    }
}

json_t *schedule_spec_of_record(const pawl_record_t *record, const char **made_by)
{
    const pawl_record_t *schedule = pawl_record_sub(record, "schedule");
    json_t *spec = json_object();
    size_t len = 0;
    if (made_by) *made_by = "";
    json_object_set_new(spec, "name", json_string(pawl_record_text(record, "name")));
    if (!schedule) return spec;
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        add_value(spec, &keys[i], schedule, pawl_record_text(schedule, "zone"));
    drop_standards(spec);
    if (strcmp(pawl_record_text(record, "state"), "paused") == 0)
        json_object_set_new(spec, "paused", json_true());
    const void *bytes = pawl_record_bytes(schedule, "task", &len);
    json_t *task = task_json_from_message(bytes, len);
    if (!task) task = json_object();
    json_t *labels = json_object_get(task, "labels");
    const char *made = text_at(labels, MADE_BY);
    if (made_by && made) *made_by = say("%s", made);
    json_object_del(labels, MADE_BY);
    task_json_canonical(task);
    json_object_set_new(spec, "task", task);
    return spec;
}

/* ---- to the SDK ------------------------------------------------------------------------------ */

static pawl_err put_value(pawl_schedule_t *to, const struct spec_key *key, const json_t *value,
                          const char *zone)
{
    int64_t us = 0;
    switch (key->shape) {
    case TEXTS: {
        const char *texts[LIMIT_RULES];
        size_t n = json_array_size(value);
        for (size_t i = 0; i < n; i++)
            texts[i] = json_string_value(json_array_get(value, i));
        return pawl_schedule_set_list(to, key->field, texts, n);
    }
    case SPAN:
        duration_read(json_string_value(value), &us);
        return pawl_schedule_set_int(to, key->field, us);
    case MOMENT:
        instant_read(json_string_value(value), zone, &us);
        return pawl_schedule_set_int(to, key->field, us);
    case NUMBER:
        return pawl_schedule_set_int(to, key->field, json_integer_value(value));
    case SWITCH:
        return pawl_schedule_set_int(to, key->field, json_is_true(value));
    default:
        return pawl_schedule_set_text(to, key->field, json_string_value(value));
    }
}

bool schedule_spec_put(const json_t *spec, const char *made_by, pawl_schedule_t *to,
                       spec_error_t *error)
{
    const char *zone = text_at(spec, "zone");
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        const json_t *value = json_object_get(spec, keys[i].name);
        pawl_err err = value && keys[i].field ? put_value(to, &keys[i], value, zone) : PAWL_OK;
        if (err) return refuse(error, keys[i].name, pawl_err_text(err));
    }
    const char *label;
    json_t *text;
    pawl_schedule_set_label(to, NULL, NULL);
    json_object_foreach(json_object_get(spec, "labels"), label, text)
    {
        pawl_err err = pawl_schedule_set_label(to, label, json_string_value(text));
        if (err) return refuse(error, say("labels.%s", label), pawl_err_text(err));
    }
    spec_error_t inside;
    json_t *object = json_deep_copy(json_object_get(spec, "task"));
    if (made_by && *made_by) {
        json_t *labels = json_object_get(object, "labels");
        if (!labels) {
            labels = json_object();
            json_object_set_new(object, "labels", labels);
        }
        json_object_set_new(labels, MADE_BY, json_string(made_by));
    }
    pawl_task_t *task = task_from_json(object, zone, &inside);
    json_decref(object);
    if (!task) return refuse(error, say("task.%s", inside.field), say("%s", inside.why));
    pawl_err err = pawl_schedule_set_task(to, task);
    pawl_task_destroy(&task);
    return err ? refuse(error, "task", pawl_err_text(err)) : true;
}
