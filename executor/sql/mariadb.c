/* SPDX-License-Identifier: Apache-2.0
 * executor/sql/mariadb.c - MariaDB and MySQL through libmariadb: prepared statements, row by row.
 *
 * A statement is stopped with KILL QUERY over a second connection, as the protocol has no other
 * way. The library refuses packets above SQL_ROW_MAX by itself. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <errmsg.h>
#include <mysql.h>
#include <mysqld_error.h>

#include "executor/instant.h"
#include "executor/sql/driver.h"
#include "executor/sql/float.h"
#include "schemas/limits.h"

enum { CELL_FIRST = 64, CHARSET_BINARY = 63 };

struct cell {
    char *at;
    unsigned long room, len;
    my_bool null, error;
    union {
        double wide;
        float single;
    } number;
    char text[40]; /* of the number */
    enum enum_field_types type;
    bool binary;
};

struct sql_link {
    const sql_source_t *source;
    MYSQL *conn;
    int socket; /* a second number of its socket: the library may close its own at any time */
    unsigned long thread; /* the server's number of this connection */
    MYSQL_STMT *statement;
    MYSQL_RES *fields;
    MYSQL_BIND *binds;
    struct cell *cells;
    sql_value_t *row;
    size_t column_count;
    int64_t changed;
    bool ended;
    atomic_bool stopping;
};

static sql_status_t judge(unsigned code)
{
    static const struct {
        unsigned code;
        sql_status_t status;
    } known[] = { { 1213, SQL_BUSY },    { 1205, SQL_BUSY },    { 1040, SQL_BUSY },
                  { 1203, SQL_BUSY },    { 1226, SQL_BUSY },    { 1020, SQL_BUSY },
                  { 1317, SQL_STOPPED }, { 1969, SQL_STOPPED }, { 3024, SQL_STOPPED },
                  { 1045, SQL_REFUSED }, { 1044, SQL_REFUSED }, { 1049, SQL_REFUSED },
                  { 1698, SQL_REFUSED }, { 1053, SQL_LOST },    { 1927, SQL_LOST },
                  { 2006, SQL_LOST },    { 2013, SQL_LOST },    { 2055, SQL_LOST },
                  { 4031, SQL_LOST },    { 2002, SQL_AWAY },    { 2003, SQL_AWAY },
                  { 2005, SQL_AWAY },    { 2026, SQL_REFUSED }, { 2020, SQL_TOO_BIG } };
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (known[i].code == code) return known[i].status;
    return code >= 2000 && code < 3000 ? SQL_LOST : SQL_FAILED;
}

static sql_status_t failed(sql_link_t *self, sql_error_t *error)
{
    /* what happens while rows are read stands at the connection */
    bool of_statement = self->statement && mysql_stmt_errno(self->statement);
    unsigned code = of_statement ? mysql_stmt_errno(self->statement) : mysql_errno(self->conn);
    const char *text = of_statement ? mysql_stmt_error(self->statement) : mysql_error(self->conn);
    char state[8];
    snprintf(state, sizeof state, "%u", code);
    sql_error_set(error, self->source, state, text);
    if (code == 0 && atomic_load(&self->stopping)) return SQL_STOPPED;
    return judge(code);
}

/* ---- connection ------------------------------------------------------------------------------ */

/* Logins that never send the password itself, whoever asks for it. */
static const char logins[] =
    "mysql_native_password,client_ed25519,caching_sha2_password,sha256_password";

static MYSQL *prepare_connection(const sql_source_t *source)
{
    MYSQL *conn = mysql_init(NULL);
    CHECK(conn != NULL); /* out of memory */
    unsigned limit = (unsigned)((source->connect_limit_us + PAWL_SEC_US - 1) / PAWL_SEC_US);
    unsigned no = 0, protocol = MYSQL_PROTOCOL_TCP;
    unsigned long most = SQL_ROW_MAX;
    my_bool yes = 1, verify = source->tls == TLS_VERIFY;
    mysql_options(conn, MYSQL_OPT_CONNECT_TIMEOUT, &limit);
    mysql_options(conn, MYSQL_OPT_LOCAL_INFILE, &no);
    mysql_options(conn, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    mysql_options(conn, MYSQL_OPT_MAX_ALLOWED_PACKET, &most);
    mysql_options(conn, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &verify);
    if (source->host[0] != '/') mysql_options(conn, MYSQL_OPT_PROTOCOL, &protocol);
    mysql_options(conn, MARIADB_OPT_RESTRICTED_AUTH, logins);
    if (source->tls == TLS_DISABLE) return conn; /* no word about TLS: ca_file would ask for it */
    mysql_options(conn, MYSQL_OPT_SSL_ENFORCE, &yes);
    if (source->ca_file) mysql_options(conn, MYSQL_OPT_SSL_CA, source->ca_file);
    return conn;
}

static bool connect_to(MYSQL *conn, const sql_source_t *source)
{
    bool file = source->host[0] == '/';
    return mysql_real_connect(conn, file ? NULL : source->host, source->user, source->password,
                              source->database, source->port, file ? source->host : NULL,
                              CLIENT_MULTI_RESULTS) != NULL;
}

/* The library takes "enforce" as a wish: where a server says that it has no TLS, it goes on
 * without.
 */
static bool too_open(sql_link_t *self, sql_error_t *error)
{
    bool wanted = self->source->tls == TLS_REQUIRE || self->source->tls == TLS_VERIFY;
    if (!wanted || mysql_get_ssl_cipher(self->conn)) return false;
    sql_error_set(error, self->source, "",
                  "the server speaks no TLS/SSL, which the source requires");
    return true;
}

/* What every session begins with. */
static bool set_up(sql_link_t *self)
{
    char limit[96];
    const sql_source_t *source = self->source;
    if (mysql_query(self->conn, "SET SESSION time_zone = '+00:00'") ||
        (source->read_only && mysql_query(self->conn, "SET SESSION TRANSACTION READ ONLY")))
        return false;
    if (source->statement_limit_us == 0) return true;
    int64_t us = source->statement_limit_us;
    bool mariadb = strstr(mysql_get_server_info(self->conn), "MariaDB") != NULL;
    if (mariadb)
        snprintf(limit, sizeof limit, "SET SESSION max_statement_time = %lld.%06lld",
                 (long long)(us / PAWL_SEC_US), (long long)(us % PAWL_SEC_US));
    else /* MySQL bounds SELECT only */
        snprintf(limit, sizeof limit, "SET SESSION max_execution_time = %lld",
                 (long long)((us + 999) / 1000));
    return mysql_query(self->conn, limit) == 0;
}

/* A server that is cut off from us is given up after half a minute, as libpq does it: a statement
 * may take hours, so that its silence alone says nothing. */
static void watch_peer(int fd)
{
    static const struct {
        int level, option, value;
    } options[] = { { SOL_SOCKET, SO_KEEPALIVE, 1 },
                    { IPPROTO_TCP, TCP_KEEPIDLE, SQL_KEEP_IDLE_S },
                    { IPPROTO_TCP, TCP_KEEPINTVL, SQL_KEEP_EACH_S },
                    { IPPROTO_TCP, TCP_KEEPCNT, SQL_KEEP_TIMES },
                    { IPPROTO_TCP, TCP_USER_TIMEOUT, SQL_GIVE_UP_MS } };
    for (size_t i = 0; i < ARRAY_LEN(options); i++) /* of a socket in the file system: refused */
        (void)setsockopt(fd, options[i].level, options[i].option, &options[i].value, sizeof(int));
}

static void drop_statement(sql_link_t *self)
{
    if (self->fields) mysql_free_result(self->fields);
    self->fields = NULL;
    if (self->statement) mysql_stmt_close(self->statement);
    self->statement = NULL;
    for (size_t i = 0; i < self->column_count; i++)
        free(self->cells[i].at);
    free(self->cells);
    free(self->binds);
    free(self->row);
    self->cells = NULL;
    self->binds = NULL;
    self->row = NULL;
    self->column_count = 0;
}

static void my_close(sql_link_t *self)
{
    if (!self) return;
    drop_statement(self);
    mysql_close(self->conn);
    if (self->socket >= 0) close(self->socket);
    free(self);
}

static sql_status_t my_open(sql_link_t **out, const sql_source_t *source, sql_error_t *error)
{
    sql_link_t *self = mem_new(sizeof *self);
    self->source = source;
    self->socket = -1;
    self->conn = prepare_connection(source);
    bool connected = connect_to(self->conn, source);
    if (connected && too_open(self, error)) {
        my_close(self);
        return SQL_REFUSED;
    }
    if (connected && set_up(self)) {
        self->thread = mysql_thread_id(self->conn);
        self->socket = fcntl(mysql_get_socket(self->conn), F_DUPFD_CLOEXEC, 3);
        watch_peer(self->socket);
        *out = self;
        return SQL_OK;
    }
    sql_status_t status = failed(self, error);
    my_close(self);
    return status == SQL_LOST ? SQL_AWAY : status;
}

static bool my_ping(sql_link_t *self)
{
    return mysql_ping(self->conn) == 0;
}

static bool my_reset(sql_link_t *self)
{
    drop_statement(self);
    return mysql_reset_connection(self->conn) == 0 && set_up(self);
}

/* ---- transactions ---------------------------------------------------------------------------- */

static sql_status_t simple(sql_link_t *self, const char *text, sql_error_t *error)
{
    return mysql_query(self->conn, text) == 0 ? SQL_OK : failed(self, error);
}

static sql_status_t my_begin(sql_link_t *self, bool read_only, sql_error_t *error)
{
    return simple(self, read_only ? "START TRANSACTION READ ONLY" : "START TRANSACTION", error);
}

static sql_status_t my_commit(sql_link_t *self, sql_error_t *error)
{
    return simple(self, "COMMIT", error);
}

static void my_rollback(sql_link_t *self)
{
    sql_error_t ignored;
    drop_statement(self);
    (void)simple(self, "ROLLBACK", &ignored);
}

/* ---- parameters ------------------------------------------------------------------------------ */

struct argument {
    long long number;
    signed char truth;
    unsigned long len;
    char time[INSTANT_TEXT];
};

static void bind_argument(MYSQL_BIND *bind, struct argument *argument, const sql_value_t *value)
{
    char *end;
    int64_t us;
    bind->buffer = (void *)(uintptr_t)value->at;
    argument->len = value->len;
    bind->length = &argument->len;
    bind->buffer_length = value->len;
    bind->buffer_type = MYSQL_TYPE_STRING;
    switch (value->kind) {
    case SQL_NULL:
        bind->buffer_type = MYSQL_TYPE_NULL;
        break;
    case SQL_BOOL:
        argument->truth = value->at[0] == 't';
        bind->buffer_type = MYSQL_TYPE_TINY;
        bind->buffer = &argument->truth;
        break;
    case SQL_INTEGER:
        errno = 0;
        argument->number = strtoll(value->at, &end, 10);
        bind->buffer_type = MYSQL_TYPE_NEWDECIMAL;
        if (errno || *end) break; /* more than 64 bits */
        bind->buffer_type = MYSQL_TYPE_LONGLONG;
        bind->buffer = &argument->number;
        break;
    case SQL_DECIMAL:
        if (!strpbrk(value->at, "eE")) bind->buffer_type = MYSQL_TYPE_NEWDECIMAL;
        break;
    case SQL_BYTES:
        bind->buffer_type = MYSQL_TYPE_BLOB;
        break;
    case SQL_TIME:
        if (!instant_read(value->at, &us)) break;
        instant_print(us, ' ', "", argument->time);
        argument->len = strlen(argument->time);
        bind->buffer_length = argument->len;
        bind->buffer = argument->time;
        break;
    case SQL_FLOAT:
    case SQL_TEXT:
        break;
    }
}

/* ---- rows ------------------------------------------------------------------------------------ */

static void bind_columns(sql_link_t *self)
{
    size_t n = mysql_num_fields(self->fields);
    self->column_count = n;
    self->binds = mem_new((n + 1) * sizeof *self->binds);
    self->cells = mem_new((n + 1) * sizeof *self->cells);
    self->row = mem_new((n + 1) * sizeof *self->row);
    for (size_t i = 0; i < n; i++) {
        const MYSQL_FIELD *field = mysql_fetch_field_direct(self->fields, (unsigned)i);
        struct cell *cell = &self->cells[i];
        MYSQL_BIND *bind = &self->binds[i];
        cell->type = field->type;
        cell->binary = field->charsetnr == CHARSET_BINARY;
        bind->is_null = &cell->null;
        bind->length = &cell->len;
        bind->error = &cell->error;
        cell->room = CELL_FIRST;
        cell->at = mem_new(cell->room + 1);
        if (field->type == MYSQL_TYPE_DOUBLE || field->type == MYSQL_TYPE_FLOAT) {
            bind->buffer_type = field->type;
            bind->buffer = &cell->number;
            continue;
        }
        bind->buffer_type = MYSQL_TYPE_STRING;
        bind->buffer = cell->at;
        bind->buffer_length = cell->room;
    }
}

/* What did not fit is asked for again with more room, which the column keeps. */
static bool widen(sql_link_t *self)
{
    for (size_t i = 0; i < self->column_count; i++) {
        struct cell *cell = &self->cells[i];
        if (cell->null || cell->len <= cell->room) continue;
        cell->room = cell->len * 2 < SQL_ROW_MAX ? cell->len * 2 : cell->len;
        free(cell->at);
        cell->at = mem_new(cell->room + 1);
        self->binds[i].buffer = cell->at;
        self->binds[i].buffer_length = cell->room;
        if (mysql_stmt_fetch_column(self->statement, &self->binds[i], (unsigned)i, 0)) return false;
    }
    return mysql_stmt_bind_result(self->statement, self->binds) == 0;
}

/* "2026-12-01 02:00:00" -> "2026-12-01T02:00:00", of a TIMESTAMP with Z. */
static sql_value_t time_of(struct cell *cell, bool instant)
{
    if (cell->len >= 19 && cell->len + 1 <= cell->room && cell->at[10] == ' ') {
        cell->at[10] = 'T';
        if (instant) cell->at[cell->len++] = 'Z';
        cell->at[cell->len] = '\0';
    }
    return (sql_value_t){ SQL_TIME, cell->at, cell->len };
}

static sql_value_t value_of(struct cell *cell)
{
    if (cell->null) return (sql_value_t){ SQL_NULL, "", 0 };
    cell->at[cell->len] = '\0';
    switch ((int)cell->type) {
    case MYSQL_TYPE_TINY:
    case MYSQL_TYPE_SHORT:
    case MYSQL_TYPE_INT24:
    case MYSQL_TYPE_LONG:
    case MYSQL_TYPE_LONGLONG:
    case MYSQL_TYPE_YEAR:
        return (sql_value_t){ SQL_INTEGER, cell->at, cell->len };
    case MYSQL_TYPE_DOUBLE:
        float_print(cell->number.wide, cell->text, sizeof cell->text);
        return (sql_value_t){ SQL_FLOAT, cell->text, strlen(cell->text) };
    case MYSQL_TYPE_FLOAT:
        float_print_single(cell->number.single, cell->text, sizeof cell->text);
        return (sql_value_t){ SQL_FLOAT, cell->text, strlen(cell->text) };
    case MYSQL_TYPE_DECIMAL:
    case MYSQL_TYPE_NEWDECIMAL:
        return (sql_value_t){ SQL_DECIMAL, cell->at, cell->len };
    case MYSQL_TYPE_DATE:
    case MYSQL_TYPE_TIME:
        return (sql_value_t){ SQL_TIME, cell->at, cell->len };
    case MYSQL_TYPE_DATETIME:
        return time_of(cell, false);
    case MYSQL_TYPE_TIMESTAMP:
        return time_of(cell, true);
    case MYSQL_TYPE_BIT:
        return (sql_value_t){ SQL_BYTES, cell->at, cell->len };
    default:
        return (sql_value_t){ cell->binary ? SQL_BYTES : SQL_TEXT, cell->at, cell->len };
    }
}

/* ---- statements ------------------------------------------------------------------------------ */

/* A few statements cannot be prepared; they have neither parameters nor rows. */
static sql_status_t execute_plainly(sql_link_t *self, const char *text, sql_error_t *error)
{
    mysql_stmt_close(self->statement);
    self->statement = NULL;
    if (mysql_query(self->conn, text)) return failed(self, error);
    self->changed = (int64_t)mysql_affected_rows(self->conn);
    MYSQL_RES *rows = mysql_use_result(self->conn);
    if (rows) {
        while (mysql_fetch_row(rows)) {
        }
        mysql_free_result(rows);
        self->changed = -1;
    }
    return SQL_OK;
}

static sql_status_t my_execute(sql_link_t *self, const char *text, const sql_value_t *params,
                               size_t n, sql_error_t *error)
{
    drop_statement(self);
    self->ended = true;
    self->changed = -1;
    if (atomic_load(&self->stopping)) return SQL_STOPPED;
    self->statement = mysql_stmt_init(self->conn);
    CHECK(self->statement != NULL); /* out of memory */
    if (mysql_stmt_prepare(self->statement, text, (unsigned long)strlen(text))) {
        if (mysql_stmt_errno(self->statement) == ER_UNSUPPORTED_PS && n == 0)
            return execute_plainly(self, text, error);
        return failed(self, error);
    }
    if (mysql_stmt_param_count(self->statement) != n) {
        sql_error_set(error, self->source, "",
                      "a ? stands outside of a text: parameters are written :name");
        return SQL_FAILED;
    }
    MYSQL_BIND *binds = mem_new((n + 1) * sizeof *binds);
    struct argument *arguments = mem_new((n + 1) * sizeof *arguments);
    for (size_t i = 0; i < n; i++)
        bind_argument(&binds[i], &arguments[i], &params[i]);
    bool done = (n == 0 || mysql_stmt_bind_param(self->statement, binds) == 0) &&
                mysql_stmt_execute(self->statement) == 0;
    free(binds);
    free(arguments);
    if (!done) return failed(self, error);
    self->fields = mysql_stmt_result_metadata(self->statement);
    if (!self->fields) {
        self->changed = (int64_t)mysql_stmt_affected_rows(self->statement);
        return SQL_OK;
    }
    bind_columns(self);
    self->ended = false;
    return mysql_stmt_bind_result(self->statement, self->binds) ? failed(self, error) : SQL_OK;
}

static size_t my_columns(sql_link_t *self)
{
    return self->column_count;
}

static const char *my_column(sql_link_t *self, size_t i)
{
    return mysql_fetch_field_direct(self->fields, (unsigned)i)->name;
}

/* The library gives the link up rather than take a larger packet, and calls that a lost link. But
 * then the server goes on to send the rest of it. */
static bool still_sends(const sql_link_t *self)
{
    enum { PATIENCE_MS = 1000 };
    char byte;
    struct pollfd wait = { .fd = self->socket, .events = POLLIN };
    return poll(&wait, 1, PATIENCE_MS) == 1 &&
           recv(self->socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 1;
}

static sql_status_t my_next(sql_link_t *self, const sql_value_t **row, sql_error_t *error)
{
    if (self->ended) return SQL_OK;
    int got = mysql_stmt_fetch(self->statement);
    if (got == MYSQL_NO_DATA) {
        self->ended = true;
        return SQL_OK;
    }
    if (got != 0 && !(got == MYSQL_DATA_TRUNCATED && widen(self))) {
        self->ended = true;
        sql_status_t status = failed(self, error);
        if (status != SQL_LOST || !still_sends(self)) return status;
        sql_error_set(error, self->source, "", "the library refuses a larger one");
        return SQL_TOO_BIG;
    }
    for (size_t i = 0; i < self->column_count; i++)
        self->row[i] = value_of(&self->cells[i]);
    *row = self->row;
    return SQL_ROW;
}

static sql_status_t my_finish(sql_link_t *self, sql_error_t *error)
{
    const sql_value_t *row;
    sql_status_t status = SQL_OK;
    while (!self->ended && (status = my_next(self, &row, error)) == SQL_ROW) {
    }
    /* a procedure has further results, the last of them without rows */
    while (!status && self->statement && mysql_stmt_more_results(self->statement)) {
        int next = mysql_stmt_next_result(self->statement);
        if (next > 0) status = failed(self, error);
        if (next != 0) break;
        mysql_stmt_free_result(self->statement);
    }
    drop_statement(self);
    return status;
}

static int64_t my_affected(sql_link_t *self)
{
    return self->changed;
}

static void my_stop(sql_link_t *self)
{
    char text[48];
    atomic_store(&self->stopping, true);
    MYSQL *second = prepare_connection(self->source);
    if (connect_to(second, self->source)) {
        snprintf(text, sizeof text, "KILL QUERY %lu", self->thread);
        (void)mysql_query(second, text);
    }
    mysql_close(second);
}

static void my_cut(sql_link_t *self)
{
    shutdown(self->socket, SHUT_RDWR);
}

const sql_driver_t sql_mariadb = {
    .name = "mariadb",
    .port = 3306,
    .dialect = { .backslash = true,
                 .backticks = true,
                 .hash_comments = true,
                 .code_comments = true },
    .open = my_open,
    .close = my_close,
    .ping = my_ping,
    .reset = my_reset,
    .begin = my_begin,
    .commit = my_commit,
    .rollback = my_rollback,
    .execute = my_execute,
    .columns = my_columns,
    .column = my_column,
    .next = my_next,
    .finish = my_finish,
    .affected = my_affected,
    .stop = my_stop,
    .cut = my_cut,
};
