/* SPDX-License-Identifier: Apache-2.0
 * executor/sql/postgresql.c - PostgreSQL through libpq: extended protocol, texts, row by row.
 *
 * Parameters travel with unknown type, so that the server infers it from where they stand; only
 * bytes say what they are. libpq must hold a whole row: while one is on its way it may read
 * ROW_READ bytes and no more (read_limit.h), and a row that is not whole by then ends the
 * connection. */
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <libpq-fe.h>

#include "executor/sql/driver.h"
#include "executor/sql/read_limit.h"
#include "schemas/limits.h"

/* Types of pg_type.dat, whose numbers are fixed. */
enum oid {
    OID_BOOL = 16,
    OID_BYTEA = 17,
    OID_INT8 = 20,
    OID_INT2 = 21,
    OID_INT4 = 23,
    OID_OID = 26,
    OID_FLOAT4 = 700,
    OID_FLOAT8 = 701,
    OID_DATE = 1082,
    OID_TIME = 1083,
    OID_TIMESTAMP = 1114,
    OID_TIMESTAMPTZ = 1184,
    OID_NUMERIC = 1700
};
/* ROW_READ: bytea travels as hex, and what is read may begin with rows before it. */
enum { CELL_TIME = 48, ROW_READ = 2 * SQL_ROW_MAX };

struct sql_link {
    const sql_source_t *source;
    PGconn *conn;
    PGcancel *cancel;
    int socket;       /* a second number of its socket: the library may close its own at any time */
    PGresult *result; /* the row that was fetched and is not given out, or the one that was */
    bool fresh;       /* not given out */
    bool ended;       /* no more rows */
    size_t column_count;
    char **names;
    int64_t changed;
    size_t row_read; /* bytes, since the last whole row */
    bool too_big;
    atomic_bool stopping;
    sql_value_t *row;
    char (*times)[CELL_TIME];
    unsigned char **raw; /* decoded bytea of the row */
};

static sql_status_t judge(const char *state)
{
    static const struct {
        const char *state; /* or the class alone */
        sql_status_t status;
    } known[] = { { "40001", SQL_BUSY }, { "40P01", SQL_BUSY },    { "55P03", SQL_BUSY },
                  { "53300", SQL_BUSY }, { "57014", SQL_STOPPED }, { "57P", SQL_LOST },
                  { "08", SQL_LOST },    { "28", SQL_REFUSED },    { "25P03", SQL_LOST } };
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (strncmp(state, known[i].state, strlen(known[i].state)) == 0) return known[i].status;
    return SQL_FAILED;
}

static sql_status_t failed(sql_link_t *self, const PGresult *result, sql_error_t *error)
{
    const char *state = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
    const char *text = result ? PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY) : NULL;
    sql_error_set(error, self->source, state, text ? text : PQerrorMessage(self->conn));
    if (!state || PQstatus(self->conn) != CONNECTION_OK) return SQL_LOST;
    return judge(state);
}

static void drop_raw(sql_link_t *self)
{
    for (size_t i = 0; self->raw && i < self->column_count; i++) {
        PQfreemem(self->raw[i]);
        self->raw[i] = NULL;
    }
}

static void drop_result(sql_link_t *self)
{
    drop_raw(self);
    PQclear(self->result);
    self->result = NULL;
    self->fresh = false;
}

static void drop_columns(sql_link_t *self)
{
    drop_result(self);
    for (size_t i = 0; i < self->column_count; i++)
        free(self->names[i]);
    free(self->names);
    free(self->row);
    free(self->times);
    free(self->raw);
    self->names = NULL;
    self->row = NULL;
    self->times = NULL;
    self->raw = NULL;
    self->column_count = 0;
}

static void pg_close(sql_link_t *self)
{
    if (!self) return;
    drop_columns(self);
    PQfreeCancel(self->cancel);
    PQfinish(self->conn);
    if (self->socket >= 0) close(self->socket);
    free(self);
}

/* ---- connection ------------------------------------------------------------------------------ */

/* The server spoke, and will say the same next time; libpq has no codes for that. */
static bool refused(const char *text)
{
    static const char *const passing[] = { "starting up", "shutting down", "recovery", "too many",
                                           "remaining connection" };
    static const char *const lasting[] = { "FATAL", "no password supplied", "SSL was required",
                                           "certificate" };
    for (size_t i = 0; i < ARRAY_LEN(passing); i++)
        if (strstr(text, passing[i])) return false;
    for (size_t i = 0; i < ARRAY_LEN(lasting); i++)
        if (strstr(text, lasting[i])) return true;
    return false;
}

static PGconn *connect_to(const sql_source_t *source)
{
    static const char *const modes[] = { [TLS_PREFER] = "prefer",
                                         [TLS_DISABLE] = "disable",
                                         [TLS_REQUIRE] = "require",
                                         [TLS_VERIFY] = "verify-full" };
    char port[16], limit[16], give_up[16], idle[16], each[16], times[16], options[400];
    snprintf(port, sizeof port, "%u", source->port);
    snprintf(limit, sizeof limit, "%lld",
             (long long)((source->connect_limit_us + PAWL_SEC_US - 1) / PAWL_SEC_US));
    snprintf(give_up, sizeof give_up, "%d", SQL_GIVE_UP_MS);
    snprintf(idle, sizeof idle, "%d", SQL_KEEP_IDLE_S);
    snprintf(each, sizeof each, "%d", SQL_KEEP_EACH_S);
    snprintf(times, sizeof times, "%d", SQL_KEEP_TIMES);
    snprintf(options, sizeof options,
             "-c statement_timeout=%lld -c default_transaction_read_only=%s -c TimeZone=UTC "
             "-c DateStyle=ISO -c IntervalStyle=iso_8601 -c extra_float_digits=1 "
             "-c bytea_output=hex -c standard_conforming_strings=on",
             (long long)((source->statement_limit_us + 999) / 1000),
             source->read_only ? "on" : "off");
    const char *const settings[][2] = {
        { "host", source->host },
        { "port", port },
        { "dbname", source->database },
        { "user", source->user },
        { "password", source->password ? source->password : "" },
        { "passfile", "/dev/null" }, /* nobody's ~/.pgpass */
        { "connect_timeout", limit },
        { "tcp_user_timeout", give_up },
        { "keepalives_idle", idle },
        { "keepalives_interval", each },
        { "keepalives_count", times },
        { "sslmode", modes[source->tls] },
        { "sslrootcert", source->ca_file },
        { "gssencmode", "disable" },
        { "application_name", "pawl-executor" },
        { "client_encoding", "UTF8" },
        { "options", options },
    };
    const char *names[ARRAY_LEN(settings) + 1] = { 0 }, *values[ARRAY_LEN(settings) + 1] = { 0 };
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(settings); i++)
        if (settings[i][1]) {
            names[n] = settings[i][0];
            values[n++] = settings[i][1];
        }
    return PQconnectdbParams(names, values, 0);
}

static void say_nothing(void *arg, const PGresult *result)
{
    (void)arg, (void)result; /* notices are not errors; they would go to standard error */
}

static sql_status_t pg_open(sql_link_t **out, const sql_source_t *source, sql_error_t *error)
{
    sql_link_t *self = mem_new(sizeof *self);
    self->source = source;
    self->socket = -1;
    self->conn = connect_to(source);
    if (PQstatus(self->conn) == CONNECTION_OK) {
        PQsetNoticeReceiver(self->conn, say_nothing, NULL);
        self->cancel = PQgetCancel(self->conn);
        self->socket = fcntl(PQsocket(self->conn), F_DUPFD_CLOEXEC, 3);
        *out = self;
        return SQL_OK;
    }
    const char *text = PQerrorMessage(self->conn);
    sql_error_set(error, source, "", text);
    sql_status_t status = refused(text) ? SQL_REFUSED : SQL_AWAY;
    pg_close(self);
    return status;
}

/* ---- results --------------------------------------------------------------------------------- */

/* The next result, NULL after the last. False: the row on its way is too large, or the link broke.
 */
static bool next_result(sql_link_t *self, PGresult **result)
{
    int fd = PQsocket(self->conn);
    *result = NULL;
    for (;;) {
        int flushed = PQflush(self->conn);
        if (flushed == 0 && !PQisBusy(self->conn)) break;
        struct pollfd wait = { .fd = fd, .events = (short)(POLLIN | (flushed == 1 ? POLLOUT : 0)) };
        if (poll(&wait, 1, -1) < 0) continue;
        self->too_big = self->row_read == ROW_READ;
        if (self->too_big) return false;
        read_limit_begin(fd, ROW_READ - self->row_read);
        bool good = PQconsumeInput(self->conn) == 1;
        self->row_read = ROW_READ - read_limit_end();
        if (!good) return false;
    }
    self->row_read = 0;
    *result = PQgetResult(self->conn);
    return true;
}

static sql_status_t too_big(sql_link_t *self, sql_error_t *error)
{
    char text[128];
    snprintf(text, sizeof text, "a row is larger than the limit of %d bytes", SQL_ROW_MAX);
    sql_error_set(error, self->source, "", text);
    char ignored[256];
    PQcancel(self->cancel, ignored, sizeof ignored);
    shutdown(self->socket, SHUT_RDWR); /* what still comes of it is not read */
    self->ended = true;
    return SQL_TOO_BIG;
}

static void name_columns(sql_link_t *self, const PGresult *result)
{
    drop_columns(self);
    size_t n = (size_t)PQnfields(result);
    self->column_count = n;
    self->names = mem_new((n + 1) * sizeof *self->names);
    self->row = mem_new((n + 1) * sizeof *self->row);
    self->times = mem_new((n + 1) * sizeof *self->times);
    self->raw = mem_new((n + 1) * sizeof *self->raw);
    for (size_t i = 0; i < n; i++)
        self->names[i] = mem_text(PQfname(result, (int)i));
}

/* Takes one result of the statement: a row, the end of rows, or the end of a command. */
static sql_status_t fetch(sql_link_t *self, sql_error_t *error)
{
    PGresult *result;
    if (!next_result(self, &result)) {
        if (self->too_big) return too_big(self, error);
        return failed(self, NULL, error);
    }
    if (!result) {
        self->ended = true;
        return SQL_OK;
    }
    sql_status_t status = SQL_OK;
    switch (PQresultStatus(result)) {
    case PGRES_SINGLE_TUPLE:
        if (self->column_count == 0) name_columns(self, result);
        drop_result(self);
        self->result = result;
        self->fresh = true;
        return SQL_OK;
    case PGRES_TUPLES_OK:
        if (self->column_count == 0) name_columns(self, result);
        /* fallthrough */
    case PGRES_COMMAND_OK: {
        const char *count = PQcmdTuples(result);
        bool reads = strncmp(PQcmdStatus(result), "SELECT", 6) == 0 ||
                     strncmp(PQcmdStatus(result), "FETCH", 5) == 0;
        self->changed = reads || !*count ? -1 : strtoll(count, NULL, 10);
        break;
    }
    case PGRES_COPY_IN:
    case PGRES_COPY_OUT:
    case PGRES_COPY_BOTH:
        sql_error_set(error, self->source, "", "COPY with a client is not possible here");
        shutdown(self->socket, SHUT_RDWR);
        self->ended = true;
        status = SQL_FAILED;
        break;
    case PGRES_EMPTY_QUERY:
        break;
    default:
        status = failed(self, result, error);
    }
    PQclear(result);
    while (!self->ended && next_result(self, &result) && result)
        PQclear(result);
    self->ended = true;
    return status;
}

/* ---- transactions ---------------------------------------------------------------------------- */

static sql_status_t simple(sql_link_t *self, const char *text, sql_error_t *error)
{
    PGresult *result = PQexec(self->conn, text);
    ExecStatusType what = PQresultStatus(result);
    sql_status_t status = SQL_OK;
    if (what != PGRES_COMMAND_OK && what != PGRES_TUPLES_OK) status = failed(self, result, error);
    PQclear(result);
    return status;
}

static bool pg_ping(sql_link_t *self)
{
    sql_error_t ignored;
    return simple(self, "SELECT 1", &ignored) == SQL_OK;
}

static bool pg_reset(sql_link_t *self)
{
    sql_error_t ignored;
    return PQstatus(self->conn) == CONNECTION_OK &&
           PQtransactionStatus(self->conn) == PQTRANS_IDLE &&
           simple(self, "DISCARD ALL", &ignored) == SQL_OK;
}

static sql_status_t pg_begin(sql_link_t *self, bool read_only, sql_error_t *error)
{
    if (!read_only) return simple(self, "BEGIN", error);
    sql_status_t status = simple(self, "BEGIN READ ONLY", error);
    /* once a query ran, SET TRANSACTION READ WRITE is refused by the server */
    return status ? status : simple(self, "SELECT 1", error);
}

static sql_status_t pg_commit(sql_link_t *self, sql_error_t *error)
{
    PGresult *result = PQexec(self->conn, "COMMIT");
    sql_status_t status = SQL_OK;
    if (PQresultStatus(result) != PGRES_COMMAND_OK) {
        status = failed(self, result, error);
    } else if (strcmp(PQcmdStatus(result), "COMMIT") != 0) {
        sql_error_set(error, self->source, "", "the transaction had failed and was rolled back");
        status = SQL_FAILED;
    }
    PQclear(result);
    return status;
}

static void pg_rollback(sql_link_t *self)
{
    sql_error_t ignored;
    if (PQstatus(self->conn) == CONNECTION_OK) (void)simple(self, "ROLLBACK", &ignored);
}

/* ---- statements ------------------------------------------------------------------------------ */

static sql_status_t pg_execute(sql_link_t *self, const char *text, const sql_value_t *params,
                               size_t n, sql_error_t *error)
{
    Oid *types = mem_new((n + 1) * sizeof *types);
    const char **values = mem_new((n + 1) * sizeof *values);
    int *lengths = mem_new((n + 1) * sizeof *lengths),
        *formats = mem_new((n + 1) * sizeof *formats);
    sql_status_t status = SQL_OK;
    drop_columns(self);
    self->ended = false;
    self->changed = -1;
    for (size_t i = 0; i < n; i++) {
        const sql_value_t *value = &params[i];
        bool bytes = value->kind == SQL_BYTES;
        values[i] = value->kind == SQL_NULL ? NULL : value->at;
        types[i] = bytes ? OID_BYTEA : 0;
        formats[i] = bytes;
        lengths[i] = (int)value->len;
        if (!bytes && values[i] && strlen(values[i]) != value->len) {
            sql_error_set(error, self->source, "22021",
                          "a text parameter holds a NUL byte, which PostgreSQL cannot store: "
                          "send it as {\"$bytes\": ...}");
            status = SQL_FAILED;
        }
    }
    if (!status && atomic_load(&self->stopping)) status = SQL_STOPPED;
    if (!status &&
        (!PQsendQueryParams(self->conn, text, (int)n, types, values, lengths, formats, 0) ||
         !PQsetSingleRowMode(self->conn)))
        status = failed(self, NULL, error);
    free(types);
    free(values);
    free(lengths);
    free(formats);
    if (status) {
        self->ended = true;
        return status;
    }
    return fetch(self, error);
}

static size_t pg_columns(sql_link_t *self)
{
    return self->column_count;
}

static const char *pg_column(sql_link_t *self, size_t i)
{
    return self->names[i];
}

/* "2026-12-01 02:00:00+00" -> "2026-12-01T02:00:00Z"; infinity, BC and the like stay as they are.
 */
static sql_value_t time_of(char *to, const char *text, size_t len, bool instant)
{
    sql_value_t as_it_is = { SQL_TEXT, text, len };
    if (len < 19 || len + 1 > CELL_TIME || text[10] != ' ' || text[4] != '-') return as_it_is;
    memcpy(to, text, len + 1);
    to[10] = 'T';
    if (instant) {
        if (len < 22 || strcmp(to + len - 3, "+00") != 0) return as_it_is;
        to[len - 3] = 'Z';
        to[len - 2] = '\0';
    } else if (!(to[len - 1] >= '0' && to[len - 1] <= '9')) {
        return as_it_is;
    }
    return (sql_value_t){ SQL_TIME, to, strlen(to) };
}

static sql_value_t value_of(sql_link_t *self, int i)
{
    if (PQgetisnull(self->result, 0, i)) return (sql_value_t){ SQL_NULL, "", 0 };
    const char *text = PQgetvalue(self->result, 0, i);
    size_t len = (size_t)PQgetlength(self->result, 0, i), raw_len;
    switch (PQftype(self->result, i)) {
    case OID_BOOL:
        return *text == 't' ? (sql_value_t){ SQL_BOOL, "true", 4 }
                            : (sql_value_t){ SQL_BOOL, "false", 5 };
    case OID_INT2:
    case OID_INT4:
    case OID_INT8:
    case OID_OID:
        return (sql_value_t){ SQL_INTEGER, text, len };
    case OID_FLOAT4:
    case OID_FLOAT8:
        return (sql_value_t){ SQL_FLOAT, text, len };
    case OID_NUMERIC:
        return (sql_value_t){ SQL_DECIMAL, text, len };
    case OID_DATE:
    case OID_TIME:
        return (sql_value_t){ SQL_TIME, text, len };
    case OID_TIMESTAMP:
        return time_of(self->times[i], text, len, false);
    case OID_TIMESTAMPTZ:
        return time_of(self->times[i], text, len, true);
    case OID_BYTEA:
        self->raw[i] = PQunescapeBytea((const unsigned char *)text, &raw_len);
        CHECK(self->raw[i] != NULL); /* out of memory */
        return (sql_value_t){ SQL_BYTES, (const char *)self->raw[i], raw_len };
    default:
        return (sql_value_t){ SQL_TEXT, text, len };
    }
}

static sql_status_t pg_next(sql_link_t *self, const sql_value_t **row, sql_error_t *error)
{
    if (!self->fresh) {
        if (self->ended) return SQL_OK;
        sql_status_t status = fetch(self, error);
        if (status || !self->fresh) return status;
    }
    self->fresh = false;
    size_t bytes = 0;
    for (size_t i = 0; i < self->column_count; i++)
        bytes += (size_t)PQgetlength(self->result, 0, (int)i);
    if (bytes > SQL_ROW_MAX) return too_big(self, error);
    drop_raw(self);
    for (size_t i = 0; i < self->column_count; i++)
        self->row[i] = value_of(self, (int)i);
    *row = self->row;
    return SQL_ROW;
}

static sql_status_t pg_finish(sql_link_t *self, sql_error_t *error)
{
    sql_status_t status = SQL_OK;
    while (!status && !self->ended)
        status = fetch(self, error);
    drop_columns(self);
    return status;
}

static int64_t pg_affected(sql_link_t *self)
{
    return self->changed;
}

static void pg_stop(sql_link_t *self)
{
    char ignored[256];
    atomic_store(&self->stopping, true);
    PQcancel(self->cancel, ignored, sizeof ignored);
}

static void pg_cut(sql_link_t *self)
{
    shutdown(self->socket, SHUT_RDWR);
}

const sql_driver_t sql_postgresql = {
    .name = "postgresql",
    .port = 5432,
    .dialect = { .numbered = true,
                 .dollar_quotes = true,
                 .backslash_e = true,
                 .nested_comments = true },
    .open = pg_open,
    .close = pg_close,
    .ping = pg_ping,
    .reset = pg_reset,
    .begin = pg_begin,
    .commit = pg_commit,
    .rollback = pg_rollback,
    .execute = pg_execute,
    .columns = pg_columns,
    .column = pg_column,
    .next = pg_next,
    .finish = pg_finish,
    .affected = pg_affected,
    .stop = pg_stop,
    .cut = pg_cut,
};
