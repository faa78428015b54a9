/* SPDX-License-Identifier: Apache-2.0
 * executor/sql/work.c - what both kinds begin with and how they fail. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "client/base/clock.h"
#include "executor/instant.h"
#include "executor/sql/kind.h"
#include "schemas/limits.h"

void work_fail(sql_work_t *self, sql_outcome_t outcome, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(self->result->message, sizeof self->result->message, format, args);
    va_end(args);
    self->result->outcome = outcome;
}

bool work_is_cut_off(const sql_work_t *self)
{
    /* in this order: an answer that fences it does so before it counts as an answer */
    bool silent = clock_steady_us() >= pawl_job_until_us(self->job);
    return silent || pawl_job_state_of(self->job) == PAWL_FENCED;
}

void work_fail_status(sql_work_t *self, sql_status_t status, const sql_error_t *error,
                      size_t statement)
{
    static const struct {
        sql_outcome_t outcome;
        const char *what;
    } meaning[] = {
        [SQL_FAILED] = { RESULT_FAILED, "the database refused" },
        [SQL_BUSY] = { RESULT_FAILED, "the database is busy" },
        [SQL_STOPPED] = { RESULT_FAILED, "the statement was stopped in the database" },
        [SQL_TOO_BIG] = { RESULT_PERMANENT, "a row is larger than the limit of 8 MiB" },
        [SQL_REFUSED] = { RESULT_PERMANENT, "the source refuses the executor" },
        [SQL_AWAY] = { RESULT_FAILED, "the source cannot be reached" },
        [SQL_LOST] = { RESULT_FAILED, "the link broke, nothing was committed" },
    };
    char where[96] = "";
    if (statement) snprintf(where, sizeof where, ", statement %zu", statement);
    bool may_be_the_stop = status == SQL_STOPPED || status == SQL_LOST || status == SQL_AWAY;
    if ((may_be_the_stop && session_stopped(self->session)) || work_is_cut_off(self)) {
        work_fail(self, RESULT_STOPPED, "stopped");
        return;
    }
    const char *what = meaning[status].what;
    if (status == SQL_LOST && self->each_commits)
        what = "the link broke, and each statement commits by itself";
    work_fail(self, meaning[status].outcome, "source %s%s: %s: %s%s%s%s", self->source->name, where,
              what, error->text, error->state[0] ? " (" : "", error->state,
              error->state[0] ? ")" : "");
}

void work_note(sql_work_t *self, const char *format, ...)
{
    char line[600];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(line, sizeof line - 1, format, args);
    va_end(args);
    size_t end = len < 0 ? 0 : (size_t)len < sizeof line - 2 ? (size_t)len : sizeof line - 2;
    line[end++] = '\n';
    (void)pawl_job_log(self->job, 3, line, end); /* a full buffer loses a note, no result */
}

static void set_built_in(const pawl_job_t *job, sql_params_t *params)
{
    char id[PAWL_ID_TEXT], number[24], instant[INSTANT_TEXT];
    pawl_id_print(pawl_job_id(job), id);
    sql_params_set(params, "pawl_task_id", SQL_TEXT, id, strlen(id));
    snprintf(number, sizeof number, "%" PRIu64, pawl_job_token(job));
    sql_params_set(params, "pawl_token", SQL_INTEGER, number, strlen(number));
    snprintf(number, sizeof number, "%u", pawl_job_attempt(job));
    sql_params_set(params, "pawl_attempt", SQL_INTEGER, number, strlen(number));
    instant_print(pawl_job_planned_us(job), 'T', "Z", instant);
    sql_params_set(params, "pawl_planned", SQL_TIME, instant, strlen(instant));
    const char *schedule = pawl_job_schedule(job);
    sql_params_set(params, "pawl_schedule", SQL_TEXT, schedule, strlen(schedule));
}

bool work_read(sql_work_t *self, sql_script_t *script, sql_params_t *params)
{
    char why[256] = "";
    size_t len = 0;
    const void *json = pawl_record_bytes(self->sql, "params", &len);
    if (len == 0) json = pawl_job_input(self->job, &len);
    *params = (sql_params_t){ 0 };
    if (!sql_script_read(script, &self->source->driver->dialect,
                         pawl_record_text(self->sql, "text"), why, sizeof why)) {
        work_fail(self, RESULT_PERMANENT, "sql.text cannot be run: %s", why);
        return false;
    }
    for (size_t i = 0; self->source->read_only && i < script->count; i++)
        if (script->statements[i].sets) {
            work_fail(self, RESULT_PERMANENT,
                      "source %s is read-only: SET is not allowed there, it could lift that",
                      self->source->name);
            sql_script_free(script);
            return false;
        }
    if (!sql_params_read(params, slice(json, len), why, sizeof why)) {
        work_fail(self, RESULT_PERMANENT, "%s", why);
        sql_params_free(params);
        sql_script_free(script);
        return false;
    }
    set_built_in(self->job, params);
    return true;
}

sql_value_t *work_bind(sql_work_t *self, const sql_script_t *script,
                       const sql_statement_t *statement, const sql_params_t *params)
{
    sql_value_t *values = mem_new((statement->param_count + 1) * sizeof *values);
    for (size_t i = 0; i < statement->param_count; i++) {
        const char *name = script->names[statement->params[i]];
        const sql_value_t *value = sql_params_find(params, name);
        if (!value) {
            work_fail(self, RESULT_PERMANENT,
                      "there is no value for the parameter :%.100s: give it in params or in the "
                      "input (a plain colon is written \\:)",
                      name);
            free(values);
            return NULL;
        }
        values[i] = *value;
    }
    return values;
}

size_t *work_names(sql_work_t *self, buf_t *names)
{
    const sql_driver_t *driver = self->source->driver;
    sql_link_t *link = session_link(self->session);
    size_t n = driver->columns(link), *at = mem_new((n + 1) * sizeof *at);
    names->len = 0;
    for (size_t i = 0; i < n; i++) {
        const char *name = driver->column(link, i);
        size_t same = 1;
        for (size_t k = 0; k < i; k++)
            same += strcmp(driver->column(link, k), name) == 0;
        char numbered[300];
        snprintf(numbered, sizeof numbered, same > 1 ? "%.250s_%zu" : "%.250s", name, same);
        at[i] = names->len;
        json_add_text(names, numbered, strlen(numbered));
        buf_add(names, ":", 2);
    }
    return at;
}
