/* SPDX-License-Identifier: Apache-2.0
 * client/cli/sqlspec.h - the two fields of a task that speak of databases, as people write them:
 *
 *   "sql": {"source","text","params":{}|[],"rows","on_unknown":"fail"|"retry",
 *           "transaction":"one"|"none"}
 *   "sql_producer": {"source","text","params","task":{a task without id},
 *           "columns":{"key","priority","at","title","executor","host","input":[...]},
 *           "watermark","scope","batch","rows","dry_run"} */
#ifndef CLI_SQLSPEC_H
#define CLI_SQLSPEC_H

#include "client/cli/taskspec.h"
#include "schemas/pawl.pb-c.h"

/* False: `error` names the field below "sql." or "sql_producer." and why. */
bool sqlspec_read(pawl_task_t *task, const json_t *sql, spec_error_t *error);
bool sqlspec_read_producer(pawl_task_t *task, const json_t *producer, const char *zone,
                           spec_error_t *error);

/* --sql SOURCE TEXT, or --each SOURCE QUERY, which makes the template of what `object` says so
 * far. False: a usage error was printed. */
bool sqlspec_from_args(json_t *object, const args_t *args);
bool sqlspec_each_from_args(json_t *object, const args_t *args);

/* A value as --param and watermarks have it: a number only where JSON keeps every digit of it; else
 * the text, which databases read as well. NULL: not UTF-8. */
json_t *sql_param_value(const char *text);

void sqlspec_from_message(json_t *object, const Pawl__V1__Task *task);

#endif
