/* SPDX-License-Identifier: Apache-2.0
 * executor/sql/driver.h - the narrow waist over the databases: one table of functions a driver.
 *
 * A link is one connection, used by one thread at a time. Everything may block; sql_driver.stop
 * alone may be called from another thread, while the link is open: it makes the database stop the
 * statement under way, whose call then returns SQL_STOPPED, and does nothing when none is.
 *
 * Rows are fetched one by one and never gathered: memory is one row, at most SQL_ROW_MAX. Values of
 * a row are borrowed until the next call on the link.
 *
 * Texts of errors are the database's own words, with the source's password cut out of them. */
#ifndef EXECUTOR_SQL_DRIVER_H
#define EXECUTOR_SQL_DRIVER_H

#include "client/base/base.h"
#include "executor/sql/sources.h"

enum { SQL_ROW_MAX = 8 << 20 };
/* A connection that nobody answers on is dead: asked after IDLE seconds, then each EACH, so often.
 */
enum { SQL_KEEP_IDLE_S = 10, SQL_KEEP_EACH_S = 5, SQL_KEEP_TIMES = 3, SQL_GIVE_UP_MS = 30000 };

typedef enum sql_status {
    SQL_OK,
    SQL_ROW,     /* next: a row is there */
    SQL_FAILED,  /* the database refused the statement: the same again would fail again */
    SQL_BUSY,    /* refused for now: deadlock, serialization, locks, too many connections */
    SQL_STOPPED, /* by stop, or by a limit of the source */
    SQL_TOO_BIG, /* a row is larger than SQL_ROW_MAX */
    SQL_REFUSED, /* the source itself cannot be used as it is configured: password, database */
    SQL_AWAY,    /* no connection could be made */
    SQL_LOST,    /* the connection broke; of a commit: nobody knows its outcome */
} sql_status_t;

typedef struct sql_error {
    char state[8]; /* SQLSTATE or the database's number; "" if none */
    char text[480];
} sql_error_t;

typedef enum sql_kind {
    SQL_NULL,
    SQL_BOOL,    /* "true", "false" */
    SQL_INTEGER, /* decimal digits, as many as it has */
    SQL_FLOAT,   /* shortest digits that mean the same double; NaN, Infinity, -Infinity */
    SQL_DECIMAL, /* digits as the database writes them, scale kept */
    SQL_TEXT,    /* whatever bytes the database calls text */
    SQL_TIME,    /* RFC 3339, or its date or time part alone; Z where the value is an instant */
    SQL_BYTES,   /* raw */
} sql_kind_t;

/* `at` is followed by a NUL that `len` does not count, unless the kind is SQL_BYTES. */
typedef struct sql_value {
    sql_kind_t kind;
    const char *at;
    size_t len;
} sql_value_t;

typedef struct sql_link sql_link_t;

/* How a driver wants its text: what stands for a parameter, what quotes and comments look like. */
typedef struct sql_dialect {
    bool numbered;        /* $1 $2, one number a name; else a ? for each place */
    bool dollar_quotes;   /* $tag$ ... $tag$ */
    bool backslash;       /* in '...' a backslash takes the next character */
    bool backslash_e;     /* only in E'...' */
    bool backticks;       /* `name` */
    bool brackets;        /* [name] */
    bool hash_comments;   /* # to the end of the line */
    bool code_comments;   /* what stands in comments that begin with ! or M! is run */
    bool nested_comments; /* in each other */
    bool bytes_order;     /* texts are ordered by their bytes */
} sql_dialect_t;

typedef struct sql_driver {
    const char *name;
    unsigned port; /* standard; 0: it is a file, there is no host */
    sql_dialect_t dialect;
    sql_status_t (*open)(sql_link_t **out, const sql_source_t *source, sql_error_t *error);
    void (*close)(sql_link_t *self);
    /* True: the database answers. */
    bool (*ping)(sql_link_t *self);
    /* As if just opened, whatever a task did to the session; false: cannot, close it. */
    bool (*reset)(sql_link_t *self);
    /* The database itself refuses changes in a read-only one. */
    sql_status_t (*begin)(sql_link_t *self, bool read_only, sql_error_t *error);
    /* SQL_LOST: unknown whether it happened. Any other failure: it did not. */
    sql_status_t (*commit)(sql_link_t *self, sql_error_t *error);
    void (*rollback)(sql_link_t *self);
    /* One statement. Afterwards columns() tells whether it has rows; fetch them, or drop them by
     * finish(). */
    sql_status_t (*execute)(sql_link_t *self, const char *text, const sql_value_t *params, size_t n,
                            sql_error_t *error);
    size_t (*columns)(sql_link_t *self); /* 0: no rows */
    const char *(*column)(sql_link_t *self, size_t i);
    /* SQL_ROW: `row` has columns() values. SQL_OK: that was all. */
    sql_status_t (*next)(sql_link_t *self, const sql_value_t **row, sql_error_t *error);
    /* Ends the statement; rows that were not fetched are dropped, at the cost of the connection if
     * need be. */
    sql_status_t (*finish)(sql_link_t *self, sql_error_t *error);
    int64_t (*affected)(sql_link_t *self); /* rows that the statement changed; -1: does not say */
    void (*stop)(sql_link_t *self);
    /* The last resort, from another thread: breaks the connection. */
    void (*cut)(sql_link_t *self);
} sql_driver_t;

extern const sql_driver_t sql_sqlite, sql_postgresql, sql_mariadb;
/* "sqlite", "postgresql", "mariadb" (also "mysql"). NULL: no such driver. */
const sql_driver_t *sql_driver(const char *name);

/* ---- for drivers ---------------------------------------------------------------------------- */

/* One line, without the password of the source. */
void sql_error_set(sql_error_t *self, const sql_source_t *source, const char *state,
                   const char *text);

#endif
