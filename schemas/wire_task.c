/* SPDX-License-Identifier: Apache-2.0
 * schemas/wire_task.c - a Task: what concerns several of its fields. */
#include <stdlib.h>
#include <string.h>

#include "schemas/limits.h"
#include "schemas/requirement.h"
#include "schemas/wire_unpack.h"

err_t wire_check_type(const char *type, const char *field, wire_fault_t *fault)
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

size_t wire_budget(size_t len)
{
    enum { LEAST = 16 << 10 };
    size_t most = len * 8 > LEAST ? len * 8 : LEAST;
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
    err_t err = wire_check_type(task->type, "type", fault);
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
    err_t err = wire_unpack(arena, &pawl__v1__task__descriptor, bytes, len, wire_budget(len),
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
