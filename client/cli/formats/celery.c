/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/formats/celery.h"

#include <ctype.h>
#include <stdlib.h>
#include <strings.h>

#include "client/cli/text.h"

/* ---- crontab(minute, hour, day_of_week, day_of_month, month_of_year) ------------------------- */

/* A number, or a name by its first three letters; Celery takes those of days anywhere. */
static bool value_of(const char **at, unsigned high, unsigned *value)
{
    static const char names[] = "sunmontuewedthufrisatjanfebmaraprmayjunjulaugsepoctnovdec";
    size_t letters = 0;
    while (isalpha((unsigned char)(*at)[letters]))
        letters++;
    if (!letters) {
        char *end;
        if (!isdigit((unsigned char)**at)) return false;
        unsigned long number = strtoul(*at, &end, 10);
        if (end - *at > 6) return false;
        *at = end;
        *value = (unsigned)number;
        return true;
    }
    if (letters < 3 || (high != 6 && high != 12)) return false;
    for (unsigned i = 0; i < 19; i++)
        if (strncasecmp(names + (size_t)3 * i, *at, 3) == 0 && (i < 7) == (high == 6)) {
            *value = i < 7 ? i : i - 6;
            *at += letters;
            return true;
        }
    return false;
}

bool celery_field(const char *text, unsigned low, unsigned high, uint64_t *set, const char **why)
{
    *set = 0;
    for (const char *at = text;; at++) {
        unsigned from = low, to = high, step = 1;
        at += strspn(at, " ");
        bool star = *at == '*', range = star;
        if (star) {
            at++;
        } else {
            if (!value_of(&at, high, &from)) goto unreadable;
            to = from;
            range = *at == '-';
            if (range) at++;
            if (range && !value_of(&at, high, &to)) goto unreadable;
        }
        if (*at == '/') {
            at++;
            if (!range || !value_of(&at, 0, &step) || step == 0) goto unreadable;
        }
        at += strspn(at, " ");
        if (from < low || from > high || to < low || to > high) {
            *why = say("\"%s\" is out of %u-%u", text, low, high);
            return false;
        }
        unsigned size = high - low + 1, last = to < from ? to + size : to;
        for (unsigned value = from; value <= last; value += step)
            *set |= UINT64_C(1) << (value > high ? value - size : value);
        if (!*at) return true;
        if (*at != ',') goto unreadable;
    }
unreadable:
    *why = say("\"%s\" is not a field of Celery's crontab", text);
    return false;
}

/* A number or a text. */
static const char *field_text(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    if (json_is_integer(value)) return say("%" JSON_INTEGER_FORMAT, json_integer_value(value));
    return json_is_string(value) ? json_string_value(value) : "*";
}

static bool crontab_rule(import_item_t *item, const json_t *crontab)
{
    cron_sets_t sets = cron_sets_all();
    const struct {
        const char *key;
        unsigned low, high;
        uint64_t *set;
    } fields[] = {
        { "minute", 0, 59, &sets.minutes },      { "hour", 0, 23, &sets.hours },
        { "day_of_month", 1, 31, &sets.days },   { "month_of_year", 1, 12, &sets.months },
        { "day_of_week", 0, 6, &sets.weekdays },
    };
    const char *why = NULL, *zone = json_string_value(json_object_get(crontab, "timezone"));
    sets.seconds = 1;
    item->rule = "";
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        const char *text = field_text(crontab, fields[i].key);
        item->rule = say("%s%s%s", item->rule, i ? " " : "", text);
        if (!why) celery_field(text, fields[i].low, fields[i].high, fields[i].set, &why);
    }
    const char *rule = why ? NULL : cron_sets_rule(&sets, &why);
    if (!rule) return import_refuse(item, "%s", why);
    json_object_set_new(item->spec, "rule", json_string(rule));
    if (zone) json_object_set_new(item->spec, "zone", json_string(zone));
    return true;
}

/* ---- intervals ------------------------------------------------------------------------------- */

static bool every_rule(import_item_t *item, double seconds)
{
    int64_t whole = seconds >= 1 && seconds < 1e9 ? (int64_t)seconds : 0;
    item->rule = say("every %g s", seconds);
    if (!whole || (double)whole != seconds)
        return import_refuse(item, "%g seconds: it must be whole seconds, at least one", seconds);
    import_every(item, whole);
    return true;
}

/* Seconds of {"every": 10, "period": "minutes"} or {"minutes": 10}; negative: it is neither. */
static double interval_seconds(const json_t *object)
{
    static const struct {
        const char *name;
        double seconds;
    } units[] = { { "days", 86400 },       { "hours", 3600 },   { "minutes", 60 },
                  { "seconds", 1 },        { "weeks", 604800 }, { "milliseconds", 1e-3 },
                  { "microseconds", 1e-6 } };
    const char *period = json_string_value(json_object_get(object, "period")), *key;
    double sum = 0;
    size_t found = 0;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value) for (size_t i = 0;
                                                                      i < ARRAY_LEN(units); i++)
    {
        bool named = period ? strcmp(key, "every") == 0 && strcmp(units[i].name, period) == 0
                            : strcmp(key, units[i].name) == 0;
        if (!named || !json_is_number(value)) continue;
        sum += json_number_value(value) * units[i].seconds;
        found++;
    }
    return found && found + (period ? 1 : 0) == json_object_size(object) ? sum : -1;
}

/* ---- a task ---------------------------------------------------------------------------------- */

/* args and kwargs are JSON, or in a fixture a text that holds it. */
static json_t *value_or_text(const json_t *value, bool list)
{
    json_t *read = NULL;
    json_error_t why;
    if (!value || json_is_null(value)) return list ? json_array() : json_object();
    if (json_is_string(value) && !*json_string_value(value))
        return list ? json_array() : json_object();
    if (json_is_string(value)) {
        const char *text = json_string_value(value);
        read = json_loads(text, JSON_REJECT_DUPLICATES, &why);
    } else {
        read = json_deep_copy(value);
    }
    if (read && (list ? json_is_array(read) : json_is_object(read))) return read;
    json_decref(read);
    return NULL;
}

static bool read_task(import_list_t *list, import_item_t *item, const json_t *entry)
{
    const char *name = json_string_value(json_object_get(entry, "task"));
    json_t *args = value_or_text(json_object_get(entry, "args"), true);
    json_t *kwargs = value_or_text(json_object_get(entry, "kwargs"), false);
    if (name && args && kwargs) {
        const char *type = import_type(list, "celery", name);
        item->what = say("%s", name);
        json_object_set_new(item->spec, "task",
                            json_pack("{s:s, s:{s:O, s:O}}", "type", type, "input", "args", args,
                                      "kwargs", kwargs));
        import_note(item, "type %s", type);
    }
    json_decref(args);
    json_decref(kwargs);
    if (!name) return import_refuse(item, "it names no task");
    return args && kwargs ? true : import_refuse(item, "its args or kwargs are not JSON");
}

static bool seconds_option(import_item_t *item, const char *key, const json_t *value)
{
    double seconds = json_number_value(value);
    if (!json_is_number(value) || seconds <= 0 || seconds > 1e9)
        return import_refuse(item, "%s is not a number of seconds", key);
    const char *span = duration_text((int64_t)(seconds * 1e6));
    json_object_set_new(item->spec, "start_by", json_string(span));
    import_note(item, "%s: start-by %s", key, span);
    return true;
}

/* Of plain entries; what is unset in a fixture is null there. */
static bool read_options(import_item_t *item, const json_t *options)
{
    const char *key;
    json_t *value;
    if (options && !json_is_object(options)) return import_refuse(item, "options are no object");
    json_object_foreach((json_t *)(uintptr_t)options, key, value)
    {
        if (json_is_null(value)) continue;
        if (strcmp(key, "queue") == 0 && json_is_string(value))
            json_object_set(json_object_get(item->spec, "task"), "queue", value);
        else if (strcmp(key, "expires") == 0 && !seconds_option(item, key, value))
            return false;
        else if (strcmp(key, "priority") == 0)
            import_note(item, "priority is not taken over: its meaning is the message broker's");
        else if (strcmp(key, "queue") != 0 && strcmp(key, "expires") != 0)
            return import_refuse(item, "the option %s has no counterpart", key);
    }
    return true;
}

/* A stamp of a fixture is UTC where it has no offset (Django's USE_TZ). */
static const char *stamp(const json_t *value)
{
    const char *text = json_string_value(value);
    if (!text) return NULL;
    size_t len = strlen(text);
    bool offset = len && (text[len - 1] == 'Z' || (len > 6 && strchr("+-", text[len - 6])));
    return offset ? text : say("%sZ", text);
}

/* ---- plain entries --------------------------------------------------------------------------- */

static bool plain_when(import_item_t *item, const json_t *schedule)
{
    const json_t *inside = json_object_get(schedule, "crontab");
    static const char *const fields[] = { "minute",       "hour",          "day_of_week",
                                          "day_of_month", "month_of_year", "timezone",
                                          "type",         "__type__" };
    if (json_is_number(schedule)) return every_rule(item, json_number_value(schedule));
    if (!json_is_object(schedule))
        return import_refuse(item, "its schedule is neither seconds nor an object");
    if (json_is_object(inside)) return crontab_rule(item, inside);
    double seconds = interval_seconds(schedule);
    if (seconds >= 0) return every_rule(item, seconds);
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)schedule, key, value)
    {
        size_t i = 0;
        while (i < ARRAY_LEN(fields) && strcmp(fields[i], key) != 0)
            i++;
        if (i == ARRAY_LEN(fields))
            return import_refuse(item, "a schedule of this kind (%s) has no counterpart", key);
    }
    return crontab_rule(item, schedule);
}

static bool plain_keys(import_item_t *item, const json_t *entry)
{
    static const char *const known[] = { "task",    "schedule", "args",    "kwargs",
                                         "options", "relative", "enabled", "name" };
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)entry, key, value)
    {
        size_t i = 0;
        while (i < ARRAY_LEN(known) && strcmp(known[i], key) != 0)
            i++;
        if (i == ARRAY_LEN(known)) return import_refuse(item, "unknown key %s", key);
    }
    if (json_is_true(json_object_get(entry, "relative")))
        return import_refuse(item, "relative: it counts from the start of beat, rounded");
    return true;
}

static import_item_t *new_item(import_list_t *list, const char *name)
{
    import_item_t *item = import_add(list, say("%s", name)); /* name goes with its file */
    item->name = import_name(list, name);
    item->spec = json_object();
    json_object_set_new(item->spec, "zone", json_string(list->zone ? list->zone : "UTC"));
    return item;
}

static void finish(import_item_t *item)
{
    if (!item->refused) return;
    json_decref(item->spec);
    item->spec = NULL;
}

static void plain_entry(import_list_t *list, const char *name, const json_t *entry)
{
    import_item_t *item = new_item(list, name);
    if (!json_is_object(entry)) {
        import_refuse(item, "it is no object with task and schedule");
    } else if (read_task(list, item, entry) && plain_keys(item, entry) &&
               plain_when(item, json_object_get(entry, "schedule")) &&
               read_options(item, json_object_get(entry, "options"))) {
        if (json_is_false(json_object_get(entry, "enabled")))
            json_object_set_new(item->spec, "paused", json_true());
    }
    finish(item);
}

/* ---- fixtures of django-celery-beat ---------------------------------------------------------- */

static const json_t *row_of(const json_t *rows, const char *model, const json_t *key)
{
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row)
    {
        const char *of = json_string_value(json_object_get(row, "model"));
        if (of && strcasecmp(of, model) == 0 && json_equal(json_object_get(row, "pk"), key) == 1)
            return json_object_get(row, "fields");
    }
    return NULL;
}

static bool is_set(const json_t *fields, const char *key)
{
    const json_t *value = json_object_get(fields, key);
    return value && !json_is_null(value) && !(json_is_string(value) && !*json_string_value(value));
}

static bool django_when(import_item_t *item, const json_t *rows, const json_t *fields)
{
    bool once = json_is_true(json_object_get(fields, "one_off"));
    if (is_set(fields, "solar")) return import_refuse(item, "a solar event is no rule here");
    if (is_set(fields, "clocked")) {
        const json_t *row =
            row_of(rows, "django_celery_beat.clockedschedule", json_object_get(fields, "clocked"));
        const char *at = stamp(json_object_get(row, "clocked_time"));
        if (!at) return import_refuse(item, "its clockedschedule is not in the file");
        item->rule = say("%s", at);
        json_object_set_new(item->spec, "at", json_string(at));
        return true;
    }
    if (once) return import_refuse(item, "one_off: it runs once at the next instant of its rule");
    if (is_set(fields, "crontab")) {
        const json_t *row =
            row_of(rows, "django_celery_beat.crontabschedule", json_object_get(fields, "crontab"));
        return row ? crontab_rule(item, row)
                   : import_refuse(item, "its crontabschedule is not in the file");
    }
    const json_t *row =
        row_of(rows, "django_celery_beat.intervalschedule", json_object_get(fields, "interval"));
    double seconds = row ? interval_seconds(row) : -1;
    if (seconds < 0) return import_refuse(item, "its schedule is not in the file");
    return every_rule(item, seconds);
}

static bool django_rest(import_item_t *item, const json_t *fields)
{
    static const char *const without[] = { "exchange", "routing_key" };
    const char *headers = json_string_value(json_object_get(fields, "headers"));
    for (size_t i = 0; i < ARRAY_LEN(without); i++)
        if (is_set(fields, without[i]))
            return import_refuse(item, "%s has no counterpart", without[i]);
    if (headers && strcmp(headers, "{}") != 0 && *headers)
        return import_refuse(item, "headers have no counterpart");
    if (is_set(fields, "queue"))
        json_object_set(json_object_get(item->spec, "task"), "queue",
                        json_object_get(fields, "queue"));
    if (is_set(fields, "expire_seconds") &&
        !seconds_option(item, "expire_seconds", json_object_get(fields, "expire_seconds")))
        return false;
    if (is_set(fields, "start_time"))
        json_object_set_new(item->spec, "start",
                            json_string(stamp(json_object_get(fields, "start_time"))));
    if (is_set(fields, "expires"))
        json_object_set_new(item->spec, "end",
                            json_string(stamp(json_object_get(fields, "expires"))));
    if (is_set(fields, "priority"))
        import_note(item, "priority is not taken over: its meaning is the message broker's");
    if (is_set(fields, "description"))
        json_object_set(item->spec, "title", json_object_get(fields, "description"));
    if (json_is_false(json_object_get(fields, "enabled"))) {
        json_object_set_new(item->spec, "paused", json_true());
        import_note(item, "paused");
    }
    return true;
}

static void django_entry(import_list_t *list, const json_t *rows, const json_t *fields)
{
    const char *name = json_string_value(json_object_get(fields, "name"));
    import_item_t *item = new_item(list, name ? name : "unnamed");
    if (!name)
        import_refuse(item, "it has no name");
    else if (strcmp(name, "celery.backend_cleanup") == 0)
        import_refuse(item, "it cleans up Celery's own results");
    else if (read_task(list, item, fields) && django_when(item, rows, fields))
        django_rest(item, fields);
    finish(item);
}

const char *celery_import(import_list_t *list, const char *text, size_t len)
{
    json_error_t why;
    json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why), *row;
    if (!root) return say("not JSON: %s, line %d, column %d", why.text, why.line, why.column);
    const char *key;
    size_t i;
    json_object_foreach(root, key, row) plain_entry(list, key, row);
    json_array_foreach(root, i, row)
    {
        const char *model = json_string_value(json_object_get(row, "model"));
        if (model && strcasecmp(model, "django_celery_beat.periodictask") == 0)
            django_entry(list, root, json_object_get(row, "fields"));
    }
    json_decref(root);
    return list->count ? NULL : "no schedule was found in it";
}
