/* SPDX-License-Identifier: Apache-2.0
 * executor/sql/sqlite.c - SQLite files. A statement of a task may not ATTACH: which files there are
 * is said by the sources alone. Nor may it set what other tasks of this process would meet. */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <sqlite3.h>

#include "client/base/clock.h"
#include "executor/sql/driver.h"
#include "executor/sql/float.h"

enum {
    BUSY_LOOK_MS = 5,
    BUSY_MAX_US = 10000000,    /* another process writes: patience before SQL_BUSY */
    PROGRESS_OPERATIONS = 2000 /* of the virtual machine, between two looks at the clock */
};

struct cell {
    char number[40];
};

struct sql_link {
    const sql_source_t *source;
    sqlite3 *db;
    sqlite3_stmt *statement;
    int stepped; /* what the last sqlite3_step said; its row is not given out yet */
    int64_t changed;
    atomic_bool stopping;
    int64_t deadline_us; /* steady; of the statement */
    int64_t busy_since_us;
    sql_value_t *row;
    struct cell *cells;
    size_t column_count;
};

static sql_status_t failed(sql_link_t *self, sql_error_t *error)
{
    int code = sqlite3_extended_errcode(self->db);
    char state[8];
    snprintf(state, sizeof state, "%d", code);
    sql_error_set(error, self->source, state, sqlite3_errmsg(self->db));
    switch (code & 0xff) {
    case SQLITE_INTERRUPT:
        return SQL_STOPPED;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return atomic_load(&self->stopping) ? SQL_STOPPED : SQL_BUSY;
    case SQLITE_TOOBIG:
        return SQL_TOO_BIG;
    case SQLITE_CANTOPEN:
        return SQL_AWAY;
    case SQLITE_NOTADB:
    case SQLITE_PERM:
        return SQL_REFUSED;
    default:
        return SQL_FAILED;
    }
}

static int on_busy(void *arg, int times)
{
    sql_link_t *self = arg;
    int64_t now = clock_steady_us();
    if (times == 0) self->busy_since_us = now;
    if (atomic_load(&self->stopping) || now - self->busy_since_us > BUSY_MAX_US ||
        now > self->deadline_us)
        return 0;
    sqlite3_sleep(BUSY_LOOK_MS);
    return 1;
}

static int on_progress(void *arg)
{
    const sql_link_t *self = arg;
    return atomic_load(&self->stopping) || clock_steady_us() > self->deadline_us;
}

/* What concerns the database alone, or this connection, which the task has to itself. Others reach
 * further: hard_heap_limit and temp_store_directory are the whole process's, busy_timeout takes the
 * place of on_busy, mmap_size lets a file that is cut off end the process. */
static bool is_harmless(const char *pragma)
{
    static const char harmless[] =
        "analysis_limit application_id auto_vacuum cache_size case_sensitive_like collation_list "
        "compile_options data_version database_list defer_foreign_keys encoding foreign_key_check "
        "foreign_key_list foreign_keys freelist_count function_list ignore_check_constraints "
        "incremental_vacuum index_info index_list index_xinfo integrity_check journal_mode "
        "journal_size_limit module_list optimize page_count page_size pragma_list query_only "
        "quick_check recursive_triggers reverse_unordered_selects schema_version secure_delete "
        "shrink_memory synchronous table_info table_list table_xinfo temp_store user_version "
        "wal_autocheckpoint wal_checkpoint";
    size_t len;
    for (const char *word = harmless; *word; word += len + strspn(word + len, " ")) {
        len = strcspn(word, " ");
        if (strlen(pragma) == len && sqlite3_strnicmp(word, pragma, (int)len) == 0) return true;
    }
    return false;
}

static int may(void *arg, int action, const char *a, const char *b, const char *c, const char *d)
{
    (void)arg, (void)b, (void)c, (void)d;
    bool denied = action == SQLITE_ATTACH || action == SQLITE_DETACH ||
                  (action == SQLITE_PRAGMA && !is_harmless(a));
    return denied ? SQLITE_DENY : SQLITE_OK;
}

static void lite_close(sql_link_t *self)
{
    if (!self) return;
    sqlite3_finalize(self->statement);
    sqlite3_close_v2(self->db);
    free(self->row);
    free(self->cells);
    free(self);
}

static void lite_run(sql_link_t *self, const char *text)
{
    sqlite3_exec(self->db, text, NULL, NULL, NULL);
}

static sql_status_t lite_open(sql_link_t **out, const sql_source_t *source, sql_error_t *error)
{
    sql_link_t *self = mem_new(sizeof *self);
    self->source = source;
    self->deadline_us = INT64_MAX;
    int how = (source->read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE) |
              SQLITE_OPEN_FULLMUTEX | SQLITE_OPEN_EXRESCODE;
    int code = sqlite3_open_v2(source->database, &self->db, how, NULL);
    if (code == SQLITE_OK) {
        sqlite3_limit(self->db, SQLITE_LIMIT_LENGTH, SQL_ROW_MAX);
        sqlite3_busy_handler(self->db, on_busy, self);
        sqlite3_progress_handler(self->db, PROGRESS_OPERATIONS, on_progress, self);
        sqlite3_set_authorizer(self->db, may, self);
        lite_run(self, "PRAGMA foreign_keys = ON");
        code = sqlite3_exec(self->db, "SELECT 1 FROM sqlite_schema LIMIT 1", NULL, NULL, NULL);
    }
    if (code == SQLITE_OK) {
        *out = self;
        return SQL_OK;
    }
    sql_status_t status = failed(self, error);
    lite_close(self);
    return status == SQL_FAILED ? SQL_AWAY : status;
}

static bool lite_ping(sql_link_t *self)
{
    (void)self;
    return true;
}

/* Temporary tables and settings of a task must not be found by the next: opening anew is cheap. */
static bool lite_reset(sql_link_t *self)
{
    (void)self;
    return false;
}

static sql_status_t simple(sql_link_t *self, const char *text, sql_error_t *error)
{
    return sqlite3_exec(self->db, text, NULL, NULL, NULL) == SQLITE_OK ? SQL_OK
                                                                       : failed(self, error);
}

static sql_status_t lite_begin(sql_link_t *self, bool read_only, sql_error_t *error)
{
    if (read_only) lite_run(self, "PRAGMA query_only = ON");
    return simple(self, "BEGIN", error);
}

static sql_status_t lite_commit(sql_link_t *self, sql_error_t *error)
{
    self->deadline_us = INT64_MAX;
    return simple(self, "COMMIT", error);
}

static void lite_rollback(sql_link_t *self)
{
    sqlite3_finalize(self->statement);
    self->statement = NULL;
    if (!sqlite3_get_autocommit(self->db)) lite_run(self, "ROLLBACK");
}

static int bind(sqlite3_stmt *statement, int at, const sql_value_t *value)
{
    char *end;
    long long number;
    switch (value->kind) {
    case SQL_NULL:
        return sqlite3_bind_null(statement, at);
    case SQL_BOOL:
        return sqlite3_bind_int(statement, at, value->at[0] == 't');
    case SQL_INTEGER:
        errno = 0;
        number = strtoll(value->at, &end, 10);
        if (errno == 0 && *end == '\0') return sqlite3_bind_int64(statement, at, number);
        break; /* more digits than the database has: as they are */
    case SQL_DECIMAL:
    case SQL_FLOAT:
        if (value->len <= 16) return sqlite3_bind_double(statement, at, strtod(value->at, NULL));
        break;
    case SQL_BYTES:
        return sqlite3_bind_blob64(statement, at, value->at, value->len, SQLITE_STATIC);
    case SQL_TEXT:
    case SQL_TIME:
        break;
    }
    return sqlite3_bind_text64(statement, at, value->at, value->len, SQLITE_STATIC, SQLITE_UTF8);
}

static sql_status_t step(sql_link_t *self, sql_error_t *error)
{
    self->stepped = sqlite3_step(self->statement);
    if (self->stepped == SQLITE_ROW || self->stepped == SQLITE_DONE) return SQL_OK;
    return failed(self, error);
}

static sql_status_t lite_execute(sql_link_t *self, const char *text, const sql_value_t *params,
                                 size_t n, sql_error_t *error)
{
    if (atomic_load(&self->stopping)) return SQL_STOPPED;
    int64_t limit = self->source->statement_limit_us;
    self->deadline_us = limit ? clock_steady_us() + limit : INT64_MAX;
    if (sqlite3_prepare_v2(self->db, text, -1, &self->statement, NULL) != SQLITE_OK)
        return failed(self, error);
    for (size_t i = 0; i < n; i++)
        if (bind(self->statement, (int)i + 1, &params[i]) != SQLITE_OK) return failed(self, error);
    self->column_count = (size_t)sqlite3_column_count(self->statement);
    if (self->column_count > 0) {
        self->row = mem_grow(self->row, self->column_count * sizeof *self->row);
        self->cells = mem_grow(self->cells, self->column_count * sizeof *self->cells);
    }
    int before = sqlite3_total_changes(self->db);
    sql_status_t status = step(self, error);
    self->changed = sqlite3_stmt_readonly(self->statement)
                        ? -1
                        : (int64_t)(sqlite3_total_changes(self->db) - before);
    if (self->changed > 0) self->changed = sqlite3_changes(self->db);
    return status;
}

static size_t lite_columns(sql_link_t *self)
{
    return self->column_count;
}

static const char *lite_column(sql_link_t *self, size_t i)
{
    return sqlite3_column_name(self->statement, (int)i);
}

static sql_value_t value_of(sql_link_t *self, size_t i)
{
    sqlite3_stmt *statement = self->statement;
    int at = (int)i, kind = sqlite3_column_type(statement, at);
    char *number = self->cells[i].number;
    switch (kind) {
    case SQLITE_NULL:
        return (sql_value_t){ SQL_NULL, "", 0 };
    case SQLITE_INTEGER:
        snprintf(number, sizeof self->cells[i].number, "%lld",
                 (long long)sqlite3_column_int64(statement, at));
        return (sql_value_t){ SQL_INTEGER, number, strlen(number) };
    case SQLITE_FLOAT:
        float_print(sqlite3_column_double(statement, at), number, sizeof self->cells[i].number);
        return (sql_value_t){ SQL_FLOAT, number, strlen(number) };
    case SQLITE_BLOB: {
        const char *bytes = sqlite3_column_blob(statement, at);
        return (sql_value_t){ SQL_BYTES, bytes ? bytes : "",
                              (size_t)sqlite3_column_bytes(statement, at) };
    }
    default: {
        const char *text = (const char *)sqlite3_column_text(statement, at);
        return (sql_value_t){ SQL_TEXT, text ? text : "",
                              (size_t)sqlite3_column_bytes(statement, at) };
    }
    }
}

static sql_status_t lite_next(sql_link_t *self, const sql_value_t **row, sql_error_t *error)
{
    if (self->stepped == 0) {
        sql_status_t status = step(self, error);
        if (status != SQL_OK) return status;
    }
    if (self->stepped == SQLITE_DONE) return SQL_OK;
    self->stepped = 0;
    size_t bytes = 0;
    for (size_t i = 0; i < self->column_count; i++) {
        self->row[i] = value_of(self, i);
        bytes += self->row[i].len;
    }
    *row = self->row;
    if (bytes <= SQL_ROW_MAX) return SQL_ROW;
    sql_error_set(error, self->source, "", "the row is too large");
    return SQL_TOO_BIG;
}

static sql_status_t lite_finish(sql_link_t *self, sql_error_t *error)
{
    (void)error;
    sqlite3_finalize(self->statement); /* what it failed with was told by step */
    self->statement = NULL;
    self->column_count = 0;
    self->stepped = 0;
    return SQL_OK;
}

static int64_t lite_affected(sql_link_t *self)
{
    return self->changed;
}

static void lite_stop(sql_link_t *self)
{
    atomic_store(&self->stopping, true);
    sqlite3_interrupt(self->db);
}

const sql_driver_t sql_sqlite = {
    .name = "sqlite",
    .dialect = { .backticks = true, .brackets = true, .bytes_order = true },
    .open = lite_open,
    .close = lite_close,
    .ping = lite_ping,
    .reset = lite_reset,
    .begin = lite_begin,
    .commit = lite_commit,
    .rollback = lite_rollback,
    .execute = lite_execute,
    .columns = lite_columns,
    .column = lite_column,
    .next = lite_next,
    .finish = lite_finish,
    .affected = lite_affected,
    .stop = lite_stop,
    .cut = lite_stop,
};
