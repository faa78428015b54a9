/* SPDX-License-Identifier: Apache-2.0
 * executor/sql/session.h - one use of a source by one attempt: a connection of the source's pool,
 * a transaction on it, and the way to stop it from outside.
 *
 * The attempt's thread calls everything but session_stop and session_cut, which any other thread
 * may call at any time between session_new and session_destroy. */
#ifndef EXECUTOR_SQL_SESSION_H
#define EXECUTOR_SQL_SESSION_H

#include "executor/sql/driver.h"

typedef struct pool pool_t;
pool_t *pool_new(const sql_source_t *source);
void pool_destroy(pool_t **self_p); /* no session may be in use */

typedef struct session session_t;
session_t *session_new(pool_t *pool);
void session_destroy(session_t **self_p);

typedef enum {
    SESSION_PLAIN, /* no transaction: only sees that the connection lives */
    SESSION_WRITE, /* one that may change things, unless the source is read-only */
    SESSION_READ
} session_mode_t;
/* Waits for a connection that nobody uses, or makes one, and begins a transaction. A connection
 * that died while it was idle is made anew, here and nowhere later: from the first statement on
 * nothing is repeated in silence. SQL_STOPPED: session_stop was called. */
sql_status_t session_begin(session_t *self, session_mode_t mode, sql_error_t *error);
sql_link_t *session_link(session_t *self); /* between begin and end */
/* Rolls back what was not committed and gives the connection back; clean false: closes it. */
void session_end(session_t *self, bool clean);

bool session_stopped(session_t *self);
/* Stops the statement under way, on the server. May block for as long as connecting takes; to be
 * called again while the session goes on, as the next statement may have begun meanwhile. */
void session_stop(session_t *self);
void session_cut(session_t *self); /* breaks the connection; it counts as stopped */

#endif
