/* SPDX-License-Identifier: Apache-2.0
 * client/cli/columns.c - the columns of every list, and how an SDK record becomes a JSON object. */
#include "client/cli/output.h"

// clang-format off
const column_t task_columns[] = {
    { "id",           "id",           AS_ID,       IN_TABLE },
    { "type",         "type",         AS_WORD,     IN_TABLE },
    { "status",       "status",       AS_WORD,     IN_TABLE },
    { "queue",        "queue",        AS_WORD,     IN_WIDE  },
    { "priority",     "priority",     AS_INT,      IN_WIDE  },
    { "attempt",      "attempt",      AS_INT,      IN_TABLE },
    { "attempts_max", "attempts_max", AS_INT,      IN_WIDE  },
    { "created",      "created_us",   AS_INSTANT,  IN_TABLE },
    { "planned",      "planned_us",   AS_INSTANT,  IN_WIDE  },
    { "folded_first", "folded_first_us", AS_INSTANT, IN_JSON },
    { "folded_last",  "folded_last_us",  AS_INSTANT, IN_JSON },
    { "folded_count", "folded_count", AS_INT,      IN_JSON  },
    { "range",        "range",        AS_INT,      IN_JSON  },
    { "started",      "started_us",   AS_INSTANT,  IN_WIDE  },
    { "ended",        "ended_us",     AS_INSTANT,  IN_TABLE },
    { "executor",     "executor",     AS_TEXT,     IN_TABLE },
    { "schedule",     "schedule",     AS_TEXT,     IN_TABLE },
    { "key",          "key",          AS_TEXT,     IN_WIDE  },
    { "parent",       "parent",       AS_ID,       IN_JSON  },
    { "progress",     "progress",     AS_TEXT,     IN_WIDE  },
    { "message",      "message",      AS_TEXT,     IN_WIDE  },
    { "exit_code",    "exit_code",    AS_EXIT,     IN_TABLE },
    { "reason",       "reason",       AS_TEXT,     IN_TABLE },
    { "labels",       "labels",       AS_LABELS,   IN_WIDE  },
    { "title",        "title",        AS_TEXT,     IN_WIDE  },
    { "lost",         "lost",         AS_INT,      IN_JSON  },
    { "shard_index",  "shard_index",  AS_INT,      IN_JSON  },
    { "shard_total",  "shard_total",  AS_INT,      IN_JSON  },
    { "child_key",    "child_key",    AS_TEXT,     IN_JSON  },
    { "signal",       "signal",       AS_INT,      IN_JSON  },
    { 0 },
};
const column_t attempt_columns[] = {
    { "attempt",   "attempt",    AS_INT,     IN_TABLE },
    { "token",     "token",      AS_INT,     IN_TABLE },
    { "executor",  "executor",   AS_TEXT,    IN_TABLE },
    { "started",   "started_us", AS_INSTANT, IN_TABLE },
    { "ended",     "ended_us",   AS_INSTANT, IN_TABLE },
    { "outcome",   "outcome",    AS_TEXT,    IN_TABLE },
    { "exit_code", "exit_code",  AS_EXIT,    IN_TABLE },
    { "signal",    "signal",     AS_INT,     IN_TABLE },
    { "message",   "message",    AS_TEXT,    IN_TABLE },
    { "cpu_us",    "cpu_us",     AS_INT,     IN_TABLE },
    { "memory",    "memory_bytes", AS_INT,   IN_TABLE },
    { "polls",     "polls",      AS_INT,     IN_TABLE },
    { 0 },
};
const column_t child_columns[] = {
    { "id",          "id",          AS_ID,       IN_TABLE },
    { "host",        "child_key",   AS_WORD,     IN_TABLE },
    { "status",      "status",      AS_WORD,     IN_TABLE },
    { "exit_code",   "exit_code",   AS_EXIT,     IN_TABLE },
    { "signal",      "signal",      AS_INT,      IN_WIDE  },
    { "attempt",     "attempt",     AS_INT,      IN_TABLE },
    { "started",     "started_us",  AS_INSTANT,  IN_TABLE },
    { "ended",       "ended_us",    AS_INSTANT,  IN_JSON  },
    { "duration",    "duration",    AS_GIVEN,    IN_TABLE },
    { "reason",      "reason",      AS_TEXT,     IN_TABLE },
    { "message",     "message",     AS_TEXT,     IN_WIDE  },
    { "executor",    "executor",    AS_TEXT,     IN_WIDE  },
    { "shard_index", "shard_index", AS_INT,      IN_WIDE  },
    { "last_line",   "last_line",   AS_GIVEN,    IN_TABLE },
    { 0 },
};
const column_t child_count_columns[] = {
    { "status",   "", AS_GIVEN, IN_TABLE },
    { "children", "", AS_GIVEN, IN_TABLE },
    { 0 },
};
const column_t fanout_columns[] = {
    { "total",       "total",          AS_INT,     IN_TABLE },
    { "open",        "open",           AS_INT,     IN_TABLE },
    { "blocked",     "blocked",        AS_INT,     IN_TABLE },
    { "ok",          "ok",             AS_INT,     IN_TABLE },
    { "failed",      "failed",         AS_INT,     IN_TABLE },
    { "expired",     "expired",        AS_INT,     IN_TABLE },
    { "skipped",     "skipped",        AS_INT,     IN_TABLE },
    { "cancelled",   "cancelled",      AS_INT,     IN_TABLE },
    { "needed",      "needed",         AS_INT,     IN_TABLE },
    { "stopped",     "stopped",        AS_BOOL,    IN_TABLE },
    { "pause_until", "pause_until_us", AS_INSTANT, IN_TABLE },
    { 0 },
};
const column_t schedule_columns[] = {
    { "name",       "name",       AS_WORD,    IN_TABLE },
    { "uid",        "uid",        AS_ID,      IN_WIDE  },
    { "revision",   "revision",   AS_INT,     IN_WIDE  },
    { "rule",       "rule",       AS_WORD,    IN_TABLE },
    { "zone",       "zone",       AS_WORD,    IN_TABLE },
    { "mode",       "mode",       AS_WORD,    IN_TABLE },
    { "overlap",    "overlap",    AS_WORD,    IN_WIDE  },
    { "state",      "state",      AS_WORD,    IN_TABLE },
    { "next",       "next_us",    AS_INSTANT, IN_TABLE },
    { "last",       "last_us",    AS_INSTANT, IN_TABLE },
    { "cursor",     "cursor_us",  AS_INSTANT, IN_WIDE  },
    { "behind",     "behind",     AS_INT,     IN_WIDE  },
    { "missed",     "missed",     AS_INT,     IN_TABLE },
    { "fired",      "fired",      AS_INT,     IN_WIDE  },
    { "running",    "running",    AS_INT,     IN_WIDE  },
    { "waiting",    "waiting",    AS_INT,     IN_WIDE  },
    { "exclusions", "exclusions", AS_TEXT,    IN_JSON  },
    { "also",       "also",       AS_TEXTS,   IN_JSON  },
    { "calendars",  "calendars",  AS_TEXTS,   IN_JSON  },
    { "after",      "after_us",   AS_DURATION, IN_WIDE },
    { "max_firings", "max_firings", AS_INT,   IN_JSON  },
    { "reason",     "reason",     AS_TEXT,    IN_WIDE  },
    { "created",    "created_us", AS_INSTANT, IN_JSON  },
    { "labels",     "labels",     AS_LABELS,  IN_WIDE  },
    { 0 },
};
const column_t policy_columns[] = {
    { "title",         "title",         AS_TEXT,     IN_JSON },
    { "grace",         "grace_us",      AS_PATIENCE, IN_JSON },
    { "window",        "window_us",     AS_DURATION, IN_JSON },
    { "ahead",         "ahead",         AS_INT,      IN_JSON },
    { "rate",          "rate",          AS_INT,      IN_JSON },
    { "jitter",        "jitter_us",     AS_DURATION, IN_JSON },
    { "start_by",      "start_by_us",   AS_PATIENCE, IN_JSON },
    { "max_running",   "max_running",   AS_INT,      IN_JSON },
    { "overlap_scope", "overlap_scope", AS_TEXT,     IN_JSON },
    { "overlap_key",   "overlap_key",   AS_TEXT,     IN_JSON },
    { "on_resume",     "on_resume",     AS_TEXT,     IN_JSON },
    { "live_first",    "live_first",    AS_BOOL,     IN_JSON },
    { "order",         "order",         AS_TEXT,     IN_JSON },
    { "warn",          "warn",          AS_EXIT,     IN_JSON },
    { "supersede",     "supersede",     AS_CHOICE,   IN_JSON },
    { "start",         "from_us",       AS_INSTANT,  IN_JSON },
    { "end",           "to_us",         AS_INSTANT,  IN_JSON },
    { 0 },
};
const column_t history_columns[] = {
    { "instant", "instant_us", AS_INSTANT, IN_TABLE },
    { "verdict", "verdict",    AS_WORD,    IN_TABLE },
    { "reason",  "reason",     AS_TEXT,    IN_TABLE },
    { "task",    "task",       AS_ID,      IN_TABLE },
    { "blocker", "blocker",    AS_ID,      IN_TABLE },
    { "range",   "range",      AS_INT,     IN_WIDE  },
    { 0 },
};
const column_t range_columns[] = {
    { "range",    "number",   AS_INT,     IN_TABLE },
    { "cause",    "cause",    AS_WORD,    IN_TABLE },
    { "state",    "state",    AS_WORD,    IN_TABLE },
    { "from",     "from_us",  AS_INSTANT, IN_TABLE },
    { "to",       "to_us",    AS_INSTANT, IN_TABLE },
    { "zone",     "zone",     AS_WORD,    IN_TABLE },
    { "left",     "left",     AS_INT,     IN_TABLE },
    { "fired",    "fired",    AS_INT,     IN_TABLE },
    { "skipped",  "skipped",  AS_INT,     IN_TABLE },
    { "failed",   "failed",   AS_INT,     IN_TABLE },
    { "order",    "order",    AS_WORD,    IN_WIDE  },
    { "overlap",  "overlap",  AS_WORD,    IN_WIDE  },
    { "rate",     "rate",     AS_INT,     IN_WIDE  },
    { "stop",     "stop",     AS_BOOL,    IN_WIDE  },
    { "revision", "revision", AS_INT,     IN_WIDE  },
    { "made",     "made_us",  AS_INSTANT, IN_WIDE  },
    { "ended",    "ended_us", AS_INSTANT, IN_WIDE  },
    { 0 },
};
const column_t audit_columns[] = {
    { "range",    "range",    AS_INT,     IN_TABLE },
    { "from",     "from_us",  AS_INSTANT, IN_TABLE },
    { "to",       "to_us",    AS_INSTANT, IN_TABLE },
    { "instants", "instants", AS_INT,     IN_TABLE },
    { "verdict",  "verdict",  AS_WORD,    IN_TABLE },
    { "reason",   "reason",   AS_TEXT,    IN_TABLE },
    { "tasks",    "tasks",    AS_INT,     IN_TABLE },
    { "gone",     "gone",     AS_INT,     IN_WIDE  },
    { "revision", "revision", AS_INT,     IN_WIDE  },
    { 0 },
};
const column_t executor_columns[] = {
    { "name",         "name",            AS_WORD,      IN_TABLE },
    { "state",        "state",           AS_WORD,      IN_TABLE },
    { "kinds",        "kinds",           AS_TEXTS,     IN_TABLE },
    { "types",        "types",           AS_TEXTS,     IN_WIDE  },
    { "labels",       "labels",          AS_LABELS,    IN_TABLE },
    { "slots",        "slots",           AS_INT,       IN_TABLE },
    { "used",         "used",            AS_INT,       IN_TABLE },
    { "host",         "host",            AS_TEXT,      IN_TABLE },
    { "addresses",    "addresses",       AS_TEXTS,     IN_WIDE  },
    { "pid",          "pid",             AS_INT,       IN_TABLE },
    { "container",    "container",       AS_CONTAINER, IN_WIDE  },
    { "version",      "version",         AS_TEXT,      IN_WIDE  },
    { "last_seen",    "last_seen_us",    AS_INSTANT,   IN_TABLE },
    { "clock_offset", "clock_offset_us", AS_DURATION,  IN_WIDE  },
    { "since",        "since_us",        AS_INSTANT,   IN_JSON  },
    { "queues",       "queues",          AS_TEXTS,     IN_JSON  },
    { "interpreters", "interpreters",    AS_VERSIONS,  IN_JSON  },
    { "sources",      "sources",         AS_TEXTS,     IN_WIDE  },
    { "machine",      "machine",         AS_MACHINE,   IN_JSON  },
    { "load",         "load_milli",      AS_MILLI,     IN_WIDE  },
    { 0 },
};
const column_t peer_columns[] = {
    { "name",        "name",         AS_WORD,      IN_TABLE },
    { "role",        "role",         AS_WORD,      IN_TABLE },
    { "principal",   "principal",    AS_TEXT,      IN_TABLE },
    { "alive",       "alive",        AS_BOOL,      IN_TABLE },
    { "last_seen",   "last_seen_us", AS_INSTANT,   IN_TABLE },
    { "host",        "host",         AS_TEXT,      IN_TABLE },
    { "internal_ip", "internal_ip",  AS_TEXT,      IN_TABLE },
    { "external_ip", "external_ip",  AS_TEXT,      IN_WIDE  },
    { "pid",         "pid",          AS_INT,       IN_TABLE },
    { "container",   "container",    AS_CONTAINER, IN_WIDE  },
    { "software",    "software",     AS_TEXT,      IN_WIDE  },
    { "since",       "since_us",     AS_INSTANT,   IN_JSON  },
    { "requests",    "requests",     AS_INT,       IN_WIDE  },
    { 0 },
};
const column_t queue_columns[] = {
    { "name",           "name",              AS_WORD,    IN_TABLE },
    { "paused",         "paused",            AS_BOOL,    IN_TABLE },
    { "counts",         "counts",            AS_COUNTS,  IN_TABLE },
    { "oldest_waiting", "oldest_waiting_us", AS_INSTANT, IN_TABLE },
    { "reason",         "reason",            AS_TEXT,    IN_TABLE },
    { 0 },
};
const column_t event_columns[] = {
    { "seq",      "seq",      AS_INT,     IN_TABLE },
    { "time",     "time_us",  AS_INSTANT, IN_TABLE },
    { "kind",     "kind",     AS_WORD,    IN_TABLE },
    { "id",       "id",       AS_ID,      IN_TABLE },
    { "name",     "name",     AS_TEXT,    IN_TABLE },
    { "attempt",  "attempt",  AS_INT,     IN_TABLE },
    { "executor", "executor", AS_TEXT,    IN_TABLE },
    { "queue",    "queue",    AS_TEXT,    IN_WIDE  },
    { "type",     "type",     AS_TEXT,    IN_WIDE  },
    { "detail",   "detail",   AS_TEXT,    IN_TABLE },
    { 0 },
};
const column_t status_columns[] = {
    { "software",        "software",        AS_WORD,    IN_TABLE },
    { "pid",             "pid",             AS_INT,     IN_TABLE },
    { "started",         "started_us",      AS_INSTANT, IN_TABLE },
    { "store_id",        "store_id",        AS_ID,      IN_TABLE },
    { "state_dir",       "state_dir",       AS_TEXT,    IN_TABLE },
    { "store_used",      "store_used",      AS_INT,     IN_TABLE },
    { "store_map",       "store_map",       AS_INT,     IN_TABLE },
    { "store_level",     "store_level",     AS_TEXT,    IN_TABLE },
    { "batch",           "batch",           AS_INT,     IN_TABLE },
    { "epoch",           "epoch",           AS_INT,     IN_TABLE },
    { "events_seq",      "events_seq",      AS_INT,     IN_TABLE },
    { "peers",           "peers",           AS_INT,     IN_TABLE },
    { "rejected_frames", "rejected_frames", AS_INT,     IN_TABLE },
    { "limits",          "limits",          AS_TEXT,    IN_TABLE },
    { 0 },
};
// clang-format on

static json_t *text_or_null(const char *text)
{
    json_t *value = *text ? json_string(text) : NULL; /* NULL too when it is not UTF-8 */
    return value ? value : json_null();
}

static json_t *id_json(const pawl_record_t *record, const char *field)
{
    size_t len = 0;
    const uint8_t *bytes = pawl_record_bytes(record, field, &len);
    if (!bytes || len != PAWL_ID_BYTES) return json_null();
    char text[PAWL_ID_TEXT];
    pawl_id_print(bytes, text);
    return json_string(text);
}

static json_t *texts_json(const pawl_record_t *record, const char *field)
{
    json_t *list = json_array();
    size_t n = pawl_record_count(record, field);
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, text_or_null(pawl_record_text_at(record, field, i)));
    return list;
}

static json_t *pairs_json(const pawl_record_t *record, const char *field, const char *key,
                          const char *value)
{
    json_t *labels = json_object();
    size_t n = pawl_record_count(record, field);
    for (size_t i = 0; i < n; i++) {
        const pawl_record_t *label = pawl_record_sub_at(record, field, i);
        json_object_set_new(labels, pawl_record_text(label, key),
                            json_string(pawl_record_text(label, value)));
    }
    return labels;
}

static json_t *counts_json(const pawl_record_t *record, const char *field)
{
    json_t *counts = json_object();
    size_t n = pawl_record_count(record, field);
    for (size_t i = 0; i < n; i++) {
        const pawl_record_t *count = pawl_record_sub_at(record, field, i);
        json_object_set_new(counts, pawl_record_text(count, "status"),
                            json_integer(pawl_record_int(count, "count")));
    }
    return counts;
}

static json_t *container_json(const pawl_record_t *record, const char *field)
{
    const pawl_record_t *container = pawl_record_sub(record, field);
    if (!container || !pawl_record_has(record, field)) return json_null();
    return json_pack("{s:o, s:o, s:o}", "id", text_or_null(pawl_record_text(container, "id")),
                     "name", text_or_null(pawl_record_text(container, "name")), "image",
                     text_or_null(pawl_record_text(container, "image")));
}

static json_t *machine_json(const pawl_record_t *record, const char *field)
{
    const pawl_record_t *machine = pawl_record_sub(record, field);
    if (!machine || !pawl_record_has(record, field)) return json_null();
    return json_pack("{s:I, s:I, s:o, s:o}", "cpus", (json_int_t)pawl_record_int(machine, "cpus"),
                     "memory_bytes", (json_int_t)pawl_record_int(machine, "memory_bytes"), "os",
                     text_or_null(pawl_record_text(machine, "os")), "kernel",
                     text_or_null(pawl_record_text(machine, "kernel")));
}

static json_t *field_json(const pawl_record_t *record, const column_t *column)
{
    const char *field = column->field;
    switch (column->shape) {
    case AS_TEXT:
        return text_or_null(pawl_record_text(record, field));
    case AS_WORD: {
        json_t *word = json_string(pawl_record_text(record, field));
        return word ? word : json_string("");
    }
    case AS_INT:
        return json_integer(pawl_record_int(record, field));
    case AS_EXIT:
        return pawl_record_has(record, field) ? json_integer(pawl_record_int(record, field))
                                              : json_null();
    case AS_BOOL:
        return json_boolean(pawl_record_int(record, field) != 0);
    case AS_CHOICE:
        return pawl_record_has(record, field) ? json_boolean(pawl_record_int(record, field) != 0)
                                              : json_null();
    case AS_INSTANT:
        return pawl_record_int(record, field)
                   ? json_string(instant_text(pawl_record_int(record, field)))
                   : json_null();
    case AS_DURATION:
        return json_string(duration_text(pawl_record_int(record, field)));
    case AS_PATIENCE:
        return pawl_record_has(record, field)
                   ? json_string(duration_text(pawl_record_int(record, field)))
                   : json_null();
    case AS_ID:
        return id_json(record, field);
    case AS_TEXTS:
        return texts_json(record, field);
    case AS_LABELS:
        return pairs_json(record, field, "key", "value");
    case AS_VERSIONS:
        return pairs_json(record, field, "name", "version");
    case AS_CONTAINER:
        return container_json(record, field);
    case AS_MACHINE:
        return machine_json(record, field);
    case AS_MILLI:
        return pawl_record_has(record, field)
                   ? json_real((double)pawl_record_int(record, field) / 1000)
                   : json_null();
    case AS_COUNTS:
        return counts_json(record, field);
    case AS_GIVEN:
        break;
    }
    return json_null();
}

json_t *record_json(const pawl_record_t *record, const column_t *columns)
{
    json_t *object = json_object();
    for (; columns->name; columns++)
        json_object_set_new(object, columns->name, field_json(record, columns));
    return object;
}
