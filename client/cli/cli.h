/* SPDX-License-Identifier: Apache-2.0
 * client/cli/cli.h - one run of `pawl`: what was typed, the output it goes to, the broker it asks.
 *
 * Data goes to stdout through output.h alone; everything else goes to stderr. Handlers (one per row
 * of the command table) return the exit code. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <jansson.h>

#include "client/cli/command.h"
#include "client/cli/fail.h"
#include "client/cli/text.h"
#include "client/pawl.h"

enum { DEFAULT_TIMEOUT_US = 10 * 1000 * 1000, AWAY_NOTICE_US = 2 * 1000 * 1000 };

struct cli {
    args_t args;
    int64_t timeout_us; /* --timeout: how long the CLI waits for the broker */
    bool timeout_given; /* then waits for tasks end with it too */
    bool quiet, verbose, dry_run;
    pawl_client_t *client; /* NULL until cli_connect */
    struct notice *notice; /* the thread that says when the broker is away */
};

/* The whole program. */
int cli_main(int argc, char **argv);

/* Connects when that has not been done; 0 or the exit code of a printed error. After 2 s without a
 * broker, now or later, one line on stderr says so. */
int cli_connect(cli_t *self);
/* For what is better with a broker but can do without: false, and nothing is said, when none
 * answers in time. */
bool cli_try_connect(cli_t *self, int64_t timeout_us);
/* How long the session has been away, microseconds; 0 while it stands. */
int64_t cli_away_us(cli_t *self);
/* No notes and no line about the broker from now on, as with -q. */
void cli_hush(cli_t *self);
/* From now on Ctrl-C ends the program at once with exit code 130; `words` (may be NULL, borrowed)
 * go to stderr first. */
void cli_leave_on_interrupt(const char *words);
void cli_note(const cli_t *self, const char *format, ...)
    PRINTF_LIKE(2, 3); /* stderr, not with -q */
/* What a command has done that prints no record: for people a note, for programs (-o json, ndjson,
 * yaml) `object`, which it takes. 0 or the code of a printed error. */
int cli_done(const cli_t *self, json_t *object, const char *format, ...) PRINTF_LIKE(3, 4);
/* Such an object: {"name", "action", "dry_run"}. */
json_t *cli_deed(const cli_t *self, const char *name, const char *action);

/* Instant as a person types it: RFC 3339, a local date or date-time in --zone (else --tz), `now`,
 * or `-1h` / `1h` before now when `ago`. 0 or the code of a printed error. */
int cli_instant(cli_t *self, const char *flag, const char *text, bool ago, int64_t *us);
/* --from and --to, or the words behind the first in their place, read so; 0 where one is not given.
 * An end before the beginning is refused. */
int cli_span(cli_t *self, int64_t *from_us, int64_t *to_us);

#endif
