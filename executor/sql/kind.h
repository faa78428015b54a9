/* SPDX-License-Identifier: Apache-2.0
 * executor/sql/kind.h - the kinds sql and sql-producer: what one attempt does with its session.
 *
 * sql: all statements in one transaction ("transaction": "none": each by itself). The rows of the
 * last statement that has some are the output, up to the task's limit of rows and to the limit of
 * an output; what is beyond is read and dropped, and the output says so.
 *
 * sql-producer: the rows of one query become tasks, batch after batch, each batch and its watermark
 * one transaction of the broker. It reads within a read-only transaction and changes nothing in the
 * database. */
#ifndef EXECUTOR_SQL_KIND_H
#define EXECUTOR_SQL_KIND_H

#include "client/pawl.h"
#include "executor/sql/json.h"
#include "executor/sql/script.h"
#include "executor/sql/session.h"

enum { RESULT_MESSAGE = 500 };

typedef enum {
    RESULT_DONE,
    RESULT_FAILED,    /* tried again while attempts are left */
    RESULT_PERMANENT, /* the same would fail again */
    RESULT_STOPPED    /* by whoever stopped the session: who it was says what it means; by nobody:
                         exclusive work found that it is cut off */
} sql_outcome_t;

typedef struct sql_result {
    sql_outcome_t outcome;
    buf_t output; /* JSON; empty: none */
    char message[RESULT_MESSAGE];
} sql_result_t;

typedef struct sql_work {
    pawl_job_t *job;
    session_t *session;
    const sql_source_t *source;
    const pawl_record_t *task, *sql;
    bool each_commits; /* no transaction: each statement is one of its own */
    sql_result_t *result;
} sql_work_t;

typedef void sql_kind_fn(sql_work_t *work);
sql_kind_fn kind_sql, kind_producer;

/* ---- for both -------------------------------------------------------------------------------- */

/* Statements and parameters of the task; the built-in ones (pawl_task_id, pawl_token, pawl_attempt,
 * pawl_planned, pawl_schedule) cannot be replaced. False: the result says why. */
bool work_read(sql_work_t *self, sql_script_t *script, sql_params_t *params);
/* The values of one statement, in order of its marks; free with free(). NULL: one is missing, the
 * result says which. */
sql_value_t *work_bind(sql_work_t *self, const sql_script_t *script,
                       const sql_statement_t *statement, const sql_params_t *params);
/* The columns of the rows as keys of a JSON object: `names` holds "a":, each with a NUL behind it;
 * where each begins is the result, to be freed. A name that comes again gets a number: id, id_2. */
size_t *work_names(sql_work_t *self, buf_t *names);
void work_fail(sql_work_t *self, sql_outcome_t outcome, const char *format, ...) PRINTF_LIKE(3, 4);
/* Work that is fenced, or exclusive and without an answer of the broker for too long: it may change
 * nothing more. To be asked before each statement and before COMMIT, as the whole process may have
 * been frozen since anybody looked. */
bool work_is_cut_off(const sql_work_t *self);
/* What a status of the database means for the attempt. statement: from 1; 0: none. */
void work_fail_status(sql_work_t *self, sql_status_t status, const sql_error_t *error,
                      size_t statement);
void work_note(sql_work_t *self, const char *format, ...) PRINTF_LIKE(2, 3); /* a line of the log */

#endif
