/* SPDX-License-Identifier: Apache-2.0
 * schemas/wire.c - frames: magic, envelope, and the checks that look at more than one field. Checks
 * of single fields are wire_rules.c, the reading itself is wire_unpack.c. */
#include <endian.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "schemas/requirement.h"
#include "schemas/limits.h"
#include "schemas/wire_unpack.h"

#define FAULT(fault, err, field, ...) wire_fault_set(fault, err, field, __VA_ARGS__)

enum { BODY_FIRST = 10, ARENA_LEAST = 16 << 10 };

void wire_fault_error(const wire_fault_t *fault, Pawl__V1__Error *error)
{
    pawl__v1__error__init(error);
    error->code = (uint32_t)fault->err;
    error->text = (char *)fault->text;
    error->field = (char *)fault->field;
    error->retry_after_us = fault->retry_after_us;
}

/* ---- magic ------------------------------------------------------------------------------- */

static bool read_magic(const uint8_t *bytes, size_t len, uint32_t *magic)
{
    if (len < 5 || bytes[0] != 0x0D) return false;
    memcpy(magic, bytes + 1, 4);
    *magic = le32toh(*magic);
    return true;
}

wire_kind_t wire_kind(const uint8_t *bytes, size_t len)
{
    uint32_t magic;
    if (!read_magic(bytes, len, &magic)) return WIRE_NONE;
    return magic == WIRE_MAGIC_REQUEST ? WIRE_REQUEST
           : magic == WIRE_MAGIC_REPLY ? WIRE_REPLY
           : magic == WIRE_MAGIC_PUSH  ? WIRE_PUSH
                                       : WIRE_NONE;
}

static err_t check_frame(const uint8_t *bytes, size_t len, uint32_t wanted, wire_fault_t *fault)
{
    if (len > LIMIT_MESSAGE)
        return FAULT(fault, ERR_TOO_LARGE, "", "the frame has %zu bytes, at most %d are allowed",
                     len, LIMIT_MESSAGE);
    uint32_t magic = 0;
    if (read_magic(bytes, len, &magic) && magic == wanted) return ERR_OK;
    if (magic && (magic & 0xFFFFFF) == (wanted & 0xFFFFFF) && (magic >> 24) >= '0' &&
        (magic >> 24) <= '9')
        return FAULT(fault, ERR_VERSION, "magic", "major version %c is not spoken here, %c is",
                     (int)(magic >> 24), (int)(wanted >> 24));
    return FAULT(fault, ERR_BAD_MAGIC, "magic",
                 "the frame does not start with this protocol's magic");
}

/* Reads the envelope behind the magic; it is the same in every major version. */
static bool read_envelope(const uint8_t *bytes, size_t len, uint64_t *seq, const uint8_t **session)
{
    const uint8_t *at = bytes + 5, *end = bytes + len;
    bool found = false;
    while (at < end) {
        uint64_t tag, value;
        at = wire_varint(at, end, &tag);
        if (!at || tag >> 3 == 0 || tag >> 3 >= BODY_FIRST) break;
        if (tag == (2 << 3 | 0)) {
            at = wire_varint(at, end, &value);
            if (!at) break;
            *seq = value;
            found = true;
        } else if (tag == (3 << 3 | 2)) {
            const uint8_t *value_at = wire_varint(at, end, &value);
            if (value_at && value == 16 && end - value_at >= 16) *session = value_at;
            at = wire_skip(at, end, 2);
        } else {
            at = wire_skip(at, end, tag & 7);
        }
        if (!at) break;
    }
    return found;
}

bool wire_request_peek(const uint8_t *bytes, size_t len, uint64_t *seq, const uint8_t **session)
{
    *seq = 0;
    *session = NULL;
    return wire_kind(bytes, len) == WIRE_REQUEST && read_envelope(bytes, len, seq, session);
}

/* ---- task -------------------------------------------------------------------------------- */

static err_t check_type(const char *type, const char *field, wire_fault_t *fault)
{
    if (wire_type_valid(type, strlen(type))) return ERR_OK;
    return FAULT(fault, ERR_BAD_NAME, field,
                 "%s: \"%.60s\" is not category/name made of A-Z a-z 0-9 _ . -", field, type);
}

static bool names_variable(const char *name)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";
    return !(*name >= '0' && *name <= '9') && name[strspn(name, letters)] == '\0';
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* A variable that is given twice: its index; n_env: none. A program would get both, and which one
 * it sees is anybody's guess. */
static size_t variable_again(const Pawl__V1__Command *command)
{
    const char *names[LIMIT_ENV]; /* the rules have counted them */
    size_t n = command->n_env < LIMIT_ENV ? command->n_env : LIMIT_ENV;
    for (size_t i = 0; i < n; i++)
        names[i] = command->env[i]->name;
    qsort(names, n, sizeof *names, compare_names);
    size_t same = 1;
    while (same < n && strcmp(names[same - 1], names[same]) != 0)
        same++;
    if (same >= n) return command->n_env;
    bool seen = false;
    for (size_t i = 0; i < n; i++) {
        if (strcmp(command->env[i]->name, names[same]) != 0) continue;
        if (seen) return i;
        seen = true;
    }
    return command->n_env;
}

static err_t env_fault(wire_fault_t *fault, size_t index)
{
    wire_fault_within(fault, "env", (int64_t)index);
    wire_fault_within(fault, "command", -1);
    return fault->err;
}

static err_t check_env(const Pawl__V1__Command *command, wire_fault_t *fault)
{
    for (size_t i = 0; i < command->n_env; i++) {
        const char *name = command->env[i]->name;
        if (names_variable(name)) continue;
        FAULT(fault, ERR_BAD_NAME, "name",
              "\"%.60s\" cannot name a variable: letters, digits and _ only, no digit first", name);
        return env_fault(fault, i);
    }
    size_t again = variable_again(command);
    if (again == command->n_env) return ERR_OK;
    FAULT(fault, ERR_CONTRADICTION, "name", "the variable %.60s is given twice",
          command->env[again]->name);
    return env_fault(fault, again);
}

/* A path below a folder that the executor allows: no way out of it. */
static bool stays_below(const char *path)
{
    if (*path == '/') return false;
    for (const char *part = path; *part;) {
        size_t len = strcspn(part, "/");
        if (len == 2 && part[0] == '.' && part[1] == '.') return false;
        part += len + (part[len] == '/');
    }
    return true;
}

static err_t check_script(const Pawl__V1__Command *command, wire_fault_t *fault)
{
    bool text = command->script_text.len > 0, file = command->script_file[0] != '\0';
    if (text && file)
        return FAULT(fault, ERR_CONTRADICTION, "command.script_file",
                     "script_text and script_file exclude each other");
    if (!text && !file)
        return FAULT(fault, ERR_BAD_REQUEST, "command.script_text", "the script is empty");
    if (file && !stays_below(command->script_file))
        return FAULT(fault, ERR_BAD_VALUE, "command.script_file",
                     "it must be a path below a folder of the executor: no / first, no ..");
    if (text && command->interpreter[0] == '\0')
        return FAULT(fault, ERR_BAD_REQUEST, "command.interpreter", "no interpreter is given");
    if (command->interpreter[0] && requirement_name(command->interpreter) == 0)
        return FAULT(fault, ERR_BAD_VALUE, "command.interpreter",
                     "it must be a name, or a name and a version like python3>=3.11");
    return ERR_OK;
}

static err_t check_command(const Pawl__V1__Task *task, wire_fault_t *fault)
{
    const Pawl__V1__Command *command = task->command;
    bool shell = strcmp(task->type, "pawl/shell") == 0;
    bool script = strcmp(task->type, "pawl/script") == 0;
    if (!command) {
        if (shell || script)
            return FAULT(fault, ERR_BAD_REQUEST, "command", "type %s needs a command", task->type);
        return ERR_OK;
    }
    if (!shell && !script)
        return FAULT(fault, ERR_CONTRADICTION, "command",
                     "type %.60s takes no command: only pawl/shell and pawl/script do", task->type);
    bool has_argv = command->n_argv > 0, has_shell = command->shell[0] != '\0';
    bool has_script = command->script_text.len > 0 || command->script_file[0] != '\0';
    if (shell && (has_script || command->interpreter[0]))
        return FAULT(fault, ERR_CONTRADICTION, "command.script_text",
                     "type pawl/shell takes argv or shell, a script is of type pawl/script");
    if (shell && has_argv && has_shell)
        return FAULT(fault, ERR_CONTRADICTION, "command.shell",
                     "argv and shell exclude each other");
    if (shell && !has_argv && !has_shell)
        return FAULT(fault, ERR_BAD_REQUEST, "command.argv", "neither argv nor shell is given");
    if (has_argv && shell && command->argv[0][0] == '\0')
        return FAULT(fault, ERR_BAD_VALUE, "command.argv[0]", "the program's name is empty");
    if (script && has_shell)
        return FAULT(fault, ERR_CONTRADICTION, "command.shell",
                     "type pawl/script takes script_text or script_file, and argv as arguments");
    err_t err = script ? check_script(command, fault) : ERR_OK;
    return err ? err : check_env(command, fault);
}

/* The template in it is a task too, of any type but this one: so no deeper. */
static err_t check_producer(wire_arena_t *arena, const Pawl__V1__SqlProducer *producer,
                            wire_fault_t *fault)
{
    const Pawl__V1__Task *made;
    err_t err = wire_task_check(arena, producer->task.data, producer->task.len, WIRE_TASK_PRODUCED,
                                &made, fault);
    if (err) {
        wire_fault_within(fault, "producer.task", -1);
        return err;
    }
    const struct {
        const char *name, *column;
        bool fixed;
    } given[] = {
        { "producer.key", producer->key, made->key[0] != '\0' },
        { "producer.priority", producer->priority, made->priority_set_case != 0 },
        { "producer.title", producer->title, made->title[0] != '\0' },
        { "producer.input", producer->n_input ? producer->input[0] : "", made->input.len > 0 },
        { "producer.at", producer->at, made->delay_us != 0 },
        { "producer.executor", producer->executor, made->target != NULL },
        { "producer.host", producer->host, made->target != NULL || producer->executor[0] != '\0' }
    };
    for (size_t i = 0; i < sizeof given / sizeof *given; i++)
        if (given[i].column[0] && given[i].fixed)
            return FAULT(fault, ERR_CONTRADICTION, given[i].name,
                         "%s names a column, and the template or another column says the same",
                         given[i].name);
    if (made->key[0])
        return FAULT(fault, ERR_CONTRADICTION, "producer.task.key",
                     "all rows would have the key of the template: name a column in producer.key");
    return ERR_OK;
}

static err_t check_sql(wire_arena_t *arena, const Pawl__V1__Task *task, wire_task_use_t use,
                       wire_fault_t *fault)
{
    bool producer = strcmp(task->type, "pawl/sql-producer") == 0;
    if (task->fanout && use == WIRE_TASK_PRODUCED)
        return FAULT(fault, ERR_CONTRADICTION, "fanout", "a row becomes one task, no fan-out");
    if (producer && use == WIRE_TASK_PRODUCED)
        return FAULT(fault, ERR_CONTRADICTION, "type",
                     "a producer makes no producers: give its template another type");
    bool sql = producer || strcmp(task->type, "pawl/sql") == 0;
    if (sql != (task->sql != NULL))
        return FAULT(fault, sql ? ERR_BAD_REQUEST : ERR_CONTRADICTION, "sql",
                     sql ? "type %.60s needs sql"
                         : "type %.60s takes no sql: only pawl/sql and "
                           "pawl/sql-producer do",
                     task->type);
    if (producer != (task->producer != NULL))
        return FAULT(fault, producer ? ERR_BAD_REQUEST : ERR_CONTRADICTION, "producer",
                     producer ? "type %.60s needs producer: the template of its tasks"
                              : "type %.60s takes no producer: only pawl/sql-producer does",
                     task->type);
    return producer ? check_producer(arena, task->producer, fault) : ERR_OK;
}

static err_t check_target(const Pawl__V1__Target *target, wire_fault_t *fault)
{
    if (!target) return ERR_OK;
    int given = (target->executor[0] != '\0') + (target->host[0] != '\0') + (target->n_labels > 0) +
                (target->hash[0] != '\0');
    if (given > 1)
        return FAULT(fault, ERR_CONTRADICTION, "target",
                     "executor, host, labels and hash exclude each other");
    return ERR_OK;
}

/* When it is done: a count where one is meant, and one that can be reached. */
static err_t check_done(const Pawl__V1__Fanout *fanout, wire_fault_t *fault)
{
    bool quorum = fanout->done == PAWL__V1__FANOUT_DONE__FANOUT_QUORUM;
    bool percent = fanout->done == PAWL__V1__FANOUT_DONE__FANOUT_PERCENT;
    uint32_t members = fanout->n_executors ? (uint32_t)fanout->n_executors : fanout->count;
    if ((quorum || percent) != (fanout->done_count > 0))
        return FAULT(fault, quorum || percent ? ERR_BAD_VALUE : ERR_CONTRADICTION,
                     "fanout.done_count",
                     quorum || percent ? "quorum and percent need a number above 0"
                                       : "all and any take no number");
    if (percent && fanout->done_count > 100)
        return FAULT(fault, ERR_BAD_VALUE, "fanout.done_count", "%u percent: at most 100 are",
                     fanout->done_count);
    if (quorum && members && fanout->done_count > members)
        return FAULT(fault, ERR_CONTRADICTION, "fanout.done_count",
                     "a quorum of %u among %u members cannot be reached", fanout->done_count,
                     members);
    return ERR_OK;
}

static err_t check_fanout(const Pawl__V1__Task *task, wire_fault_t *fault)
{
    const Pawl__V1__Fanout *fanout = task->fanout;
    if (!fanout) return ERR_OK;
    const struct {
        bool wrong;
        const char *field, *text;
    } rules[] = {
        { task->target != NULL, "target",
          "a fan-out says itself where it runs: target must be absent" },
        { fanout->n_executors && (fanout->n_labels || fanout->count), "fanout.executors",
          "a list of executors and a choice by labels exclude each other" },
        { fanout->late_join && (fanout->n_executors || fanout->count), "fanout.late_join",
          "only a fan-out to all executors of some labels can be joined later" },
        { fanout->pause_us && !fanout->parallel, "fanout.pause_us",
          "a pause between waves needs the size of a wave: parallel" },
        { fanout->offline_us && !fanout->late_join &&
              (fanout->offline == PAWL__V1__FANOUT_OFFLINE__FANOUT_SKIP ||
               fanout->offline == PAWL__V1__FANOUT_OFFLINE__FANOUT_FAIL),
          "fanout.offline_us", "skip and fail do not wait: offline_us must be 0" },
    };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (rules[i].wrong)
            return FAULT(fault, ERR_CONTRADICTION, rules[i].field, "%s", rules[i].text);
    return check_done(fanout, fault);
}

static size_t budget(size_t len)
{
    size_t most = len * 8 > ARENA_LEAST ? len * 8 : ARENA_LEAST;
    return most < LIMIT_ARENA_MAX ? most : LIMIT_ARENA_MAX;
}

static err_t check_task(wire_arena_t *arena, const Pawl__V1__Task *task, wire_task_use_t use,
                        wire_fault_t *fault)
{
    if (use == WIRE_TASK_SUBMITTED && task->id.len != 16)
        return FAULT(fault, ERR_BAD_ID, "id", "id: is missing; a task id has 16 bytes");
    if (use != WIRE_TASK_SUBMITTED && task->id.len)
        return FAULT(fault, ERR_BAD_ID, "id", "a template has no id: each firing gets its own");
    if (use == WIRE_TASK_TEMPLATE && task->at_us)
        return FAULT(fault, ERR_CONTRADICTION, "at_us", "the schedule says when: at_us must be 0");
    if (task->at_us && task->delay_us)
        return FAULT(fault, ERR_CONTRADICTION, "delay_us", "at and delay exclude each other");
    err_t err = check_type(task->type, "type", fault);
    if (!err) err = check_command(task, fault);
    if (!err) err = check_sql(arena, task, use, fault);
    if (!err) err = check_target(task->target, fault);
    if (!err) err = check_fanout(task, fault);
    return err;
}

err_t wire_task_check(wire_arena_t *arena, const uint8_t *bytes, size_t len, wire_task_use_t use,
                      const Pawl__V1__Task **out, wire_fault_t *fault)
{
    *fault = (wire_fault_t){ 0 };
    wire_mark_t mark = wire_arena_mark(arena);
    ProtobufCMessage *message;
    err_t err = wire_unpack(arena, &pawl__v1__task__descriptor, bytes, len, budget(len),
                            UNPACK_BORROW, &message, NULL, fault);
    if (err) return err;
    const Pawl__V1__Task *task = (const Pawl__V1__Task *)message;
    if ((err = check_task(arena, task, use, fault))) {
        wire_arena_rewind(arena, mark);
        return err;
    }
    *out = task;
    return ERR_OK;
}

err_t wire_task_decode(wire_arena_t *arena, const uint8_t *bytes, size_t len,
                       const Pawl__V1__Task **out, wire_fault_t *fault)
{
    *fault = (wire_fault_t){ 0 };
    ProtobufCMessage *message;
    err_t err = wire_unpack(arena, &pawl__v1__task__descriptor, bytes, len, SIZE_MAX,
                            UNPACK_BORROW | UNPACK_LENIENT, &message, NULL, fault);
    if (!err) *out = (const Pawl__V1__Task *)message;
    return err;
}

/* ---- schedule ---------------------------------------------------------------------------- */

/* A fixed delay behind each end stands in place of all that names instants. */
static err_t check_after(const Pawl__V1__Schedule *schedule, wire_fault_t *fault)
{
    if (schedule->after_us == 0)
        return schedule->rule[0]
                   ? ERR_OK
                   : FAULT(fault, ERR_BAD_VALUE, "rule", "neither a rule nor after_us is given");
    if (schedule->after_us < PAWL_SEC_US)
        return FAULT(fault, ERR_BAD_VALUE, "after_us", "a fixed delay is at least one second");
    if (schedule->rule[0] || schedule->n_also)
        return FAULT(fault, ERR_CONTRADICTION, "after_us",
                     "a fixed delay and a rule exclude each other");
    if (schedule->exclusions[0] || schedule->n_calendars || schedule->jitter_us ||
        schedule->window_us)
        return FAULT(fault, ERR_CONTRADICTION, "after_us",
                     "a fixed delay names no instants: no exclusions, calendars, jitter or window");
    return ERR_OK;
}

static err_t check_rules(const Pawl__V1__Schedule *schedule, wire_fault_t *fault)
{
    size_t bytes = strlen(schedule->rule);
    for (size_t i = 0; i < schedule->n_also; i++)
        bytes += strlen(schedule->also[i]);
    if (bytes <= LIMIT_RULES_TEXT) return ERR_OK;
    return FAULT(fault, ERR_TOO_LARGE, "also", "the rules have %zu bytes together, the limit is %d",
                 bytes, LIMIT_RULES_TEXT);
}

static err_t check_calendars(const Pawl__V1__Schedule *schedule, wire_fault_t *fault)
{
    for (size_t i = 1; i < schedule->n_calendars; i++)
        for (size_t j = 0; j < i; j++)
            if (strcmp(schedule->calendars[i], schedule->calendars[j]) == 0)
                return FAULT(fault, ERR_CONTRADICTION, "calendars", "the calendar is named twice");
    return ERR_OK;
}

static err_t check_schedule(wire_arena_t *arena, const Pawl__V1__Schedule *schedule,
                            const Pawl__V1__Task **out, wire_fault_t *fault)
{
    if (schedule->mode == PAWL__V1__MODE__MODE_STRICT) {
        if (schedule->overlap == PAWL__V1__OVERLAP__OVERLAP_SKIP ||
            schedule->overlap == PAWL__V1__OVERLAP__OVERLAP_QUEUE_ONE ||
            schedule->overlap == PAWL__V1__OVERLAP__OVERLAP_QUEUE_LATEST)
            return FAULT(fault, ERR_CONTRADICTION, "overlap",
                         "strict drops nothing: overlap may be allow, queue_all, cancel or kill");
        if (schedule->supersede_set_case && schedule->supersede)
            return FAULT(fault, ERR_CONTRADICTION, "supersede",
                         "strict drops nothing: supersede must be off");
    }
    bool by_key = schedule->overlap_scope == PAWL__V1__SCOPE__SCOPE_KEY;
    if (by_key != (schedule->overlap_key[0] != '\0'))
        return FAULT(fault, by_key ? ERR_BAD_VALUE : ERR_CONTRADICTION, "overlap_key",
                     by_key ? "the scope is a key, and none is given"
                            : "a key is given, and the scope is none: say overlap_scope key");
    if (schedule->to_us && schedule->from_us && schedule->to_us <= schedule->from_us)
        return FAULT(fault, ERR_CONTRADICTION, "to_us", "the schedule ends before it begins");
    err_t err = check_after(schedule, fault);
    if (!err) err = check_rules(schedule, fault);
    if (!err) err = check_calendars(schedule, fault);
    if (err) return err;
    const Pawl__V1__Task *task;
    err = wire_task_check(arena, schedule->task.data, schedule->task.len, WIRE_TASK_TEMPLATE, &task,
                          fault);
    if (err) {
        wire_fault_within(fault, "task", -1);
        return err;
    }
    if (out) *out = task;
    return ERR_OK;
}

err_t wire_schedule_check(wire_arena_t *arena, const Pawl__V1__Schedule *schedule,
                          const Pawl__V1__Task **task, wire_fault_t *fault)
{
    *fault = (wire_fault_t){ 0 };
    return check_schedule(arena, schedule, task, fault);
}

err_t wire_schedule_decode(wire_arena_t *arena, const uint8_t *bytes, size_t len,
                           const Pawl__V1__Schedule **out, wire_fault_t *fault)
{
    *fault = (wire_fault_t){ 0 };
    ProtobufCMessage *message;
    err_t err = wire_unpack(arena, &pawl__v1__schedule__descriptor, bytes, len, SIZE_MAX,
                            UNPACK_BORROW | UNPACK_LENIENT, &message, NULL, fault);
    if (!err) *out = (const Pawl__V1__Schedule *)message;
    return err;
}

/* ---- request ----------------------------------------------------------------------------- */

static err_t check_hello(const Pawl__V1__Hello *hello, wire_fault_t *fault)
{
    if (hello->minor < WIRE_MINOR_OLDEST)
        return FAULT(fault, ERR_VERSION, "minor",
                     "minor version %u is not spoken here: %d to %d are", hello->minor,
                     WIRE_MINOR_OLDEST, WIRE_MINOR);
    for (size_t i = 0; i < hello->n_types; i++) {
        err_t err = check_type(hello->types[i], "types", fault);
        if (err) return err;
    }
    return ERR_OK;
}

static err_t check_ids(size_t n, wire_fault_t *fault)
{
    return n ? ERR_OK : FAULT(fault, ERR_BAD_REQUEST, "ids", "no id is given");
}

static err_t check_task_get(const Pawl__V1__TaskGet *get, wire_fault_t *fault)
{
    if ((get->prefix_low.len == 0) != (get->prefix_high.len == 0))
        return FAULT(fault, ERR_BAD_REQUEST, "prefix_high", "a range of ids needs both its ends");
    if (get->n_ids && get->prefix_low.len)
        return FAULT(fault, ERR_CONTRADICTION, "prefix_low", "ids and a range exclude each other");
    return get->prefix_low.len ? ERR_OK : check_ids(get->n_ids, fault);
}

static err_t check_produce(const Pawl__V1__Produce *produce, wire_fault_t *fault)
{
    for (size_t i = 0; i < produce->n_items; i++) {
        const Pawl__V1__ProduceItem *item = produce->items[i];
        bool key = item->identity_case == PAWL__V1__PRODUCE_ITEM__IDENTITY_KEY && item->key[0];
        if (key || item->identity_case == PAWL__V1__PRODUCE_ITEM__IDENTITY_CONTENT) continue;
        FAULT(fault, ERR_BAD_REQUEST, "key", "a row has neither a key nor a hash of its content");
        wire_fault_within(fault, "items", (int64_t)i);
        return fault->err;
    }
    return ERR_OK;
}

static err_t check_report(const Pawl__V1__Report *report, wire_fault_t *fault)
{
    size_t items = report->n_results + report->n_progress + report->n_logs + report->n_running;
    if (items > LIMIT_ITEMS)
        return FAULT(fault, ERR_TOO_MANY, "", "%zu items, at most %d are allowed in one request",
                     items, LIMIT_ITEMS);
    return ERR_OK;
}

static err_t check_history(const Pawl__V1__ScheduleHistory *history, wire_fault_t *fault)
{
    if (history->name[0] || history->uid.len) return ERR_OK;
    return FAULT(fault, ERR_BAD_NAME, "name", "neither name nor uid is given");
}

static err_t check_complete(const Pawl__V1__TaskComplete *complete, wire_fault_t *fault)
{
    bool extend = complete->verb == PAWL__V1__COMPLETE_VERB__COMPLETE_EXTEND;
    if (extend == (complete->extend_us > 0)) return ERR_OK;
    return FAULT(fault, ERR_BAD_VALUE, "extend_us",
                 extend ? "by how long is not given" : "only `extend` has a duration");
}

static err_t check_put(wire_arena_t *arena, const Pawl__V1__SchedulePut *put, wire_fault_t *fault)
{
    err_t err = check_schedule(arena, put->schedule, NULL, fault);
    if (err) wire_fault_within(fault, "schedule", -1);
    for (size_t i = 0; !err && i < put->n_more; i++) {
        err = check_schedule(arena, put->more[i]->schedule, NULL, fault);
        if (!err) continue;
        wire_fault_within(fault, "schedule", -1);
        wire_fault_within(fault, "more", (int64_t)i);
    }
    return err;
}

static err_t check_rehearse(wire_arena_t *arena, const Pawl__V1__Rehearse *ask, wire_fault_t *fault)
{
    if ((ask->name[0] != '\0') == (ask->put != NULL))
        return ask->put
                   ? FAULT(fault, ERR_CONTRADICTION, "put",
                           "either a name or a definition is rehearsed, not both")
                   : FAULT(fault, ERR_BAD_NAME, "name", "neither a name nor a definition is given");
    if (ask->put && ask->put->n_more)
        return FAULT(fault, ERR_TOO_MANY, "put.more", "one schedule is rehearsed at a time");
    if (ask->down_to_us <= ask->down_from_us)
        return FAULT(fault, ERR_CONTRADICTION, "down_to_us", "the outage ends before it begins");
    if (ask->until_us && ask->until_us < ask->down_to_us)
        return FAULT(fault, ERR_CONTRADICTION, "until_us",
                     "it would stop before the outage is over");
    err_t err = ask->put ? check_put(arena, ask->put, fault) : ERR_OK;
    if (err) wire_fault_within(fault, "put", -1);
    return err;
}

static err_t check_calendar(const Pawl__V1__Calendar *calendar, wire_fault_t *fault)
{
    size_t bytes = 0;
    for (size_t i = 0; i < calendar->n_entries; i++)
        bytes += strlen(calendar->entries[i]) + 1;
    err_t err = ERR_OK;
    if (calendar->n_entries == 0)
        err = FAULT(fault, ERR_BAD_VALUE, "entries", "a calendar has at least one entry");
    else if (bytes > LIMIT_CALENDAR_TEXT)
        err = FAULT(fault, ERR_TOO_LARGE, "entries", "they have %zu bytes, the limit is %d", bytes,
                    LIMIT_CALENDAR_TEXT);
    if (err) wire_fault_within(fault, "calendar", -1);
    return err;
}

/* Which scope is meant is said once: where the fields are empty, or there are none, nothing is. */
static err_t check_watermark_of(const Pawl__V1__WatermarkOf *of, wire_fault_t *fault)
{
    bool said = (of->of_case == PAWL__V1__WATERMARK_OF__OF_SCOPE && of->scope.len) ||
                (of->of_case == PAWL__V1__WATERMARK_OF__OF_SCHEDULE && of->schedule[0]) ||
                (of->of_case == PAWL__V1__WATERMARK_OF__OF_TASK && of->task.len) ||
                (of->of_case == PAWL__V1__WATERMARK_OF__OF_NAME && of->name[0]);
    if (!said)
        return FAULT(fault, ERR_BAD_VALUE, "of",
                     "of: names no watermark: scope, schedule, task or name is needed");
    if (of->principal[0] && of->of_case != PAWL__V1__WATERMARK_OF__OF_NAME)
        return FAULT(fault, ERR_CONTRADICTION, "of.principal",
                     "of.principal: only a name belongs to a principal");
    return ERR_OK;
}

/* What concerns several fields of one body; puts the body's name in front of the path. */
static err_t check_body(wire_arena_t *arena, const Pawl__V1__Request *request, wire_fault_t *fault)
{
    err_t err = ERR_OK;
    const char *name = "";
    switch (request->body_case) {
    case PAWL__V1__REQUEST__BODY_HELLO:
        name = "hello";
        err = check_hello(request->hello, fault);
        break;
    case PAWL__V1__REQUEST__BODY_REPORT:
        name = "report";
        err = check_report(request->report, fault);
        break;
    case PAWL__V1__REQUEST__BODY_PRODUCE:
        name = "produce";
        err = check_produce(request->produce, fault);
        break;
    case PAWL__V1__REQUEST__BODY_TASK_GET:
        name = "task_get";
        err = check_task_get(request->task_get, fault);
        break;
    case PAWL__V1__REQUEST__BODY_TASK_WAIT:
        name = "task_wait";
        err = check_ids(request->task_wait->n_ids, fault);
        break;
    case PAWL__V1__REQUEST__BODY_TASK_CHANGE:
        name = "task_change";
        err = check_ids(request->task_change->n_ids, fault);
        break;
    case PAWL__V1__REQUEST__BODY_TASK_COMPLETE:
        name = "task_complete";
        err = check_complete(request->task_complete, fault);
        break;
    case PAWL__V1__REQUEST__BODY_SCHEDULE_PUT:
        name = "schedule_put";
        err = check_put(arena, request->schedule_put, fault);
        break;
    case PAWL__V1__REQUEST__BODY_CALENDAR_PUT:
        name = "calendar_put";
        err = check_calendar(request->calendar_put->calendar, fault);
        break;
    case PAWL__V1__REQUEST__BODY_WATERMARK_LIST:
        name = "watermark_list";
        if (request->watermark_list->of)
            err = check_watermark_of(request->watermark_list->of, fault);
        break;
    case PAWL__V1__REQUEST__BODY_WATERMARK_CHANGE:
        name = "watermark_change";
        err = check_watermark_of(request->watermark_change->of, fault);
        break;
    case PAWL__V1__REQUEST__BODY_REHEARSE:
        name = "rehearse";
        err = check_rehearse(arena, request->rehearse, fault);
        break;
    case PAWL__V1__REQUEST__BODY_SCHEDULE_HISTORY:
        name = "schedule_history";
        err = check_history(request->schedule_history, fault);
        break;
    default:
        break;
    }
    if (err) wire_fault_within(fault, name, -1);
    return err;
}

static bool reply_is_remembered(Pawl__V1__Request__BodyCase body)
{
    return body == PAWL__V1__REQUEST__BODY_TASK_CHANGE ||
           body == PAWL__V1__REQUEST__BODY_TASK_COMPLETE ||
           body == PAWL__V1__REQUEST__BODY_SCHEDULE_PUT ||
           body == PAWL__V1__REQUEST__BODY_SCHEDULE_CHANGE ||
           body == PAWL__V1__REQUEST__BODY_CALENDAR_PUT ||
           body == PAWL__V1__REQUEST__BODY_CALENDAR_REMOVE ||
           body == PAWL__V1__REQUEST__BODY_WATERMARK_CHANGE ||
           body == PAWL__V1__REQUEST__BODY_QUEUE_CHANGE ||
           body == PAWL__V1__REQUEST__BODY_EXECUTOR_CHANGE;
}

static err_t check_request(wire_arena_t *arena, const Pawl__V1__Request *request, uint32_t unknown,
                           wire_fault_t *fault)
{
    if (request->body_case == PAWL__V1__REQUEST__BODY__NOT_SET) {
        if (unknown >= BODY_FIRST)
            return FAULT(fault, ERR_UNIMPLEMENTED, "body", "request %u is not known here", unknown);
        return FAULT(fault, ERR_BAD_REQUEST, "body", "the request has no body");
    }
    if (request->session.len == 0 && request->body_case != PAWL__V1__REQUEST__BODY_HELLO)
        return FAULT(fault, ERR_NO_SESSION, "session", "no session: send Hello first");
    if (reply_is_remembered(request->body_case) && request->request_id.len == 0)
        return FAULT(fault, ERR_BAD_REQUEST, "request_id",
                     "request_id: is missing; this request needs 16 random bytes");
    return check_body(arena, request, fault);
}

err_t wire_request_decode(wire_arena_t *arena, const uint8_t *bytes, size_t len,
                          const Pawl__V1__Request **out, wire_fault_t *fault)
{
    *fault = (wire_fault_t){ 0 };
    wire_mark_t mark = wire_arena_mark(arena);
    ProtobufCMessage *message = NULL;
    uint32_t unknown = 0;
    err_t err = check_frame(bytes, len, WIRE_MAGIC_REQUEST, fault);
    if (!err)
        err = wire_unpack(arena, &pawl__v1__request__descriptor, bytes, len, budget(len), 0,
                          &message, &unknown, fault);
    if (!err) err = check_request(arena, (const Pawl__V1__Request *)message, unknown, fault);
    if (err) {
        const uint8_t *session;
        wire_arena_rewind(arena, mark);
        if (err == ERR_VERSION && len >= 5)
            read_envelope(bytes, len, &fault->seq, &session);
        else
            wire_request_peek(bytes, len, &fault->seq, &session);
        return err;
    }
    *out = (const Pawl__V1__Request *)message;
    return ERR_OK;
}

/* ---- frames from the broker -------------------------------------------------------------- */

static err_t from_broker(wire_arena_t *arena, const ProtobufCMessageDescriptor *type,
                         uint32_t magic, const uint8_t *bytes, size_t len, ProtobufCMessage **out,
                         wire_fault_t *fault)
{
    *fault = (wire_fault_t){ 0 };
    err_t err = check_frame(bytes, len, magic, fault);
    if (err) return err;
    /* lists of small items (counts by status) grow more than requests do */
    size_t most = 16 * len + 4 * (size_t)ARENA_LEAST;
    return wire_unpack(arena, type, bytes, len, most, UNPACK_LENIENT, out, NULL, fault);
}

err_t wire_reply_decode(wire_arena_t *arena, const uint8_t *bytes, size_t len,
                        const Pawl__V1__Reply **out, wire_fault_t *fault)
{
    ProtobufCMessage *message;
    err_t err = from_broker(arena, &pawl__v1__reply__descriptor, WIRE_MAGIC_REPLY, bytes, len,
                            &message, fault);
    if (!err) *out = (const Pawl__V1__Reply *)message;
    return err;
}

err_t wire_push_decode(wire_arena_t *arena, const uint8_t *bytes, size_t len,
                       const Pawl__V1__Push **out, wire_fault_t *fault)
{
    ProtobufCMessage *message;
    err_t err = from_broker(arena, &pawl__v1__push__descriptor, WIRE_MAGIC_PUSH, bytes, len,
                            &message, fault);
    if (!err) *out = (const Pawl__V1__Push *)message;
    return err;
}

/* ---- encode ------------------------------------------------------------------------------ */

size_t wire_pack(const ProtobufCMessage *message, wire_room_fn *room, void *arg)
{
    size_t len = protobuf_c_message_get_packed_size(message);
    if (len == 0) return 0;
    uint8_t *at = room(arg, len);
    if (!at) return 0;
    if (protobuf_c_message_pack(message, at) != len)
        abort(); /* the message was changed while it was packed */
    return len;
}

size_t wire_request_pack(Pawl__V1__Request *request, wire_room_fn *room, void *arg)
{
    request->magic = WIRE_MAGIC_REQUEST;
    return wire_pack(&request->base, room, arg);
}

size_t wire_reply_pack(Pawl__V1__Reply *reply, wire_room_fn *room, void *arg)
{
    reply->magic = WIRE_MAGIC_REPLY;
    return wire_pack(&reply->base, room, arg);
}

size_t wire_push_pack(Pawl__V1__Push *push, wire_room_fn *room, void *arg)
{
    push->magic = WIRE_MAGIC_PUSH;
    return wire_pack(&push->base, room, arg);
}
