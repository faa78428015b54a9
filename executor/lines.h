/* SPDX-License-Identifier: Apache-2.0
 * executor/lines.h - what a script says to Pawl on its standard output while it runs.
 *
 *   ::pawl progress 40/100 text      shown with the task; 40/100 may be 40 alone
 *   ::pawl again 30s text            not done: when this ends with 0, ask again in 30 s
 *   ::pawl external 1h text          accepted: when this ends with 0, somebody else ends the task
 *
 * Each on a line of its own that begins with the mark; such lines stay in the log, too. What cannot
 * be read is log and nothing else. Only scripts are heard (type pawl/script): a command that
 * prints other people's text must not be made to speak by it. */
#ifndef EXECUTOR_LINES_H
#define EXECUTOR_LINES_H

#include "client/base/base.h"

enum { LINES_ROOM = 512 };
enum lines_ask { LINES_NOTHING, LINES_AGAIN, LINES_EXTERNAL };

typedef void lines_progress_fn(void *arg, int64_t done, int64_t total, const char *text);

typedef struct lines {
    lines_progress_fn *progress;
    void *arg;
    enum lines_ask ask; /* the last that was asked for */
    int64_t after_us;   /* again: delay; external: deadline */
    char text[LINES_ROOM];
    /* the line that is being read; what is longer is cut */
    char line[LINES_ROOM];
    size_t len;
    bool skip; /* it is none of ours */
} lines_t;

void lines_hear(lines_t *self, const void *bytes, size_t len);

#endif
