/* SPDX-License-Identifier: Apache-2.0
 * client/cli/taskspec.h - a task as people write it: one JSON object (a line of `pawl task
 * submit`), the flags of `pawl run` and `pawl schedule add`, and the broker's own bytes, all by one
 * shape (taskspec.c reads it, taskargs.c makes it from flags, taskjson.c edits it).
 *
 *   {"id","type" | "argv" | "shell" | "script":{"interpreter","text"} | "sql":{} |
 *    "sql_producer":{} (client/cli/sqlspec.h), "env":{},"cwd","account",
 *    "stdin","input","key","queue","priority","title","labels":{},"operation","at","delay","hold",
 *    "expire","time_limit","target":{"executor"|"host"|"labels":{}},
 *    "retry":{"max_attempts","backoff","factor","cap"},"on_lost"} */
#ifndef CLI_TASKSPEC_H
#define CLI_TASKSPEC_H

#include <jansson.h>

#include "client/cli/command.h"
#include "client/pawl.h"

typedef struct spec_error {
    char field[128]; /* dotted; empty: the line as a whole */
    char why[256];
} spec_error_t;

/* NULL: `error` names the field and why. Instants without an offset are local time in `zone`. */
pawl_task_t *task_from_json(const json_t *object, const char *zone, spec_error_t *error);
/* One line of NDJSON. The id it will have is pawl_task_id(). */
pawl_task_t *task_from_line(const char *line, size_t len, const char *zone, spec_error_t *error);

/* Flags or words behind `--` that say what is to run? 0, or the code of a printed error. */
int task_command_given(const args_t *args);
/* Prints why task_from_json refused what the flags meant, by the flag that was typed. Its code. */
int task_refused(const args_t *args, const char *what, const spec_error_t *error);
/* The JSON object that the flags (task_flags of commands.c) and the command line behind `--` mean.
 * NULL: a usage error was printed. */
json_t *task_json_from_args(const args_t *args);
/* Puts the fields of `changes` over `object`; a new command replaces the old one. */
void task_json_merge(json_t *object, const json_t *changes);
/* One way of writing for one meaning, defaults left out. `task` is one that task_from_json takes,
 * or that the broker has on record. */
void task_json_canonical(json_t *task);

/* From the bytes of a Task message; NULL: they are not one. */
json_t *task_json_from_message(const void *bytes, size_t len);
/* "echo hi": what it runs, for people. "" for a worker's task. */
const char *task_json_command(const json_t *object);

#endif
