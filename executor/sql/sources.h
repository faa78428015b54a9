/* SPDX-License-Identifier: Apache-2.0
 * executor/sql/sources.h - the databases this executor may use, by name, from its own file:
 *
 *   executor:
 *     sources:
 *       app: {driver: postgresql, host: db1, database: app, user: pawl,
 *             password_file: /etc/pawl/app.password, read_only: true, pool: 4}
 *       notes: {driver: sqlite, database: /var/lib/notes.db}
 *
 * A password is read once, at start, from a file that nobody else may read or from a variable of
 * the executor's environment; it is kept here and given to the driver, and to nothing else. */
#ifndef EXECUTOR_SQL_SOURCES_H
#define EXECUTOR_SQL_SOURCES_H

#include "client/base/conf.h"
#include "schemas/limits.h"

struct sql_driver;

/* The number is bound by the labels of an executor, which announce them. */
enum { SOURCES_MAX = LIMIT_SOURCES, SOURCE_POOL_MAX = 256 };

typedef enum { TLS_PREFER, TLS_DISABLE, TLS_REQUIRE, TLS_VERIFY } source_tls_t;

typedef struct sql_source {
    const char *name;
    const struct sql_driver *driver;
    const char *host, *database, *user, *ca_file; /* host, ca_file: NULL: not given */
    char *password;                               /* NULL: none */
    unsigned port;
    bool read_only;
    source_tls_t tls;
    unsigned pool;              /* connections at most */
    int64_t statement_limit_us; /* 0: none */
    int64_t connect_limit_us;
} sql_source_t;

typedef struct sources {
    sql_source_t items[SOURCES_MAX];
    size_t count;
} sources_t;

/* What an entry of executor.sources may hold, for conf_entries. */
extern const conf_key_t source_keys[];
extern const size_t source_key_count;

/* All of executor.sources; texts are borrowed from `conf`. ERR_CONFIG with one sentence in `why`:
 * of each source everything is checked, its password read, but nothing is connected to. The
 * variables that held passwords are wiped, and with sources PG..., MYSQL_... and MARIADB_... are
 * taken out of the environment:
 * to be called before there are threads, and after the helper was forked, which must know none. */
MUST_CHECK err_t sources_read(sources_t *self, const conf_t *conf, char *why, size_t len);
void sources_free(sources_t *self); /* passwords are overwritten first */

const sql_source_t *sources_find(const sources_t *self, const char *name);

#endif
