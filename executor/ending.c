/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/ending.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include <jansson.h>

#include "client/base/log.h"
#include "executor/workfolder.h"
#include "schemas/limits.h"
#include "schemas/wire.h"

#define TROUBLE_US INT64_C(5000000) /* no room here: somewhere else, or here in a while */

/* ---- in words -------------------------------------------------------------------------------- */

/* "90s" rather than 90000000. */
static const char *duration(int64_t us, char text[32])
{
    if (us % PAWL_SEC_US == 0)
        snprintf(text, 32, "%" PRId64 "s", us / PAWL_SEC_US);
    else
        snprintf(text, 32, "%" PRId64 "ms", us / 1000);
    return text;
}

static bool killed_by(const struct ending *self, int signal)
{
    return self->exited && WIFSIGNALED(self->status) && WTERMSIG(self->status) == signal;
}

/* The limit of this executor's file that ended it; false: none. */
static bool describe_limit(const struct ending *self, char *text, size_t room)
{
    char limit[32];
    if (self->out_of_memory) {
        snprintf(text, room, "out of memory: its limit here is %" PRId64 " bytes",
                 self->limits->memory);
        return true;
    }
    bool cpu =
        self->limits->cpu_us &&
        (killed_by(self, SIGXCPU) || /* or, where that is ignored, the hard limit behind it */
         (killed_by(self, SIGKILL) && self->cpu_us >= self->limits->cpu_us));
    if (cpu)
        snprintf(text, room, "stopped at its limit of %s of CPU time here",
                 duration(self->limits->cpu_us, limit));
    return cpu;
}

/* The command's own words, or how it ended. */
static void describe_end(const struct ending *self, char *text, size_t room)
{
    if (self->message->len) {
        wire_text_line(text, room, self->message->at, self->message->len);
    } else if (describe_limit(self, text, room) || output_last_line(self->output, text, room)) {
        return;
    } else if (self->exited && WIFSIGNALED(self->status)) {
        const char *name = sigabbrev_np(WTERMSIG(self->status));
        snprintf(text, room, "signal %d (%s)", WTERMSIG(self->status), name ? name : "?");
    } else {
        snprintf(text, room, "exit %d", self->exited ? WEXITSTATUS(self->status) : self->exit_code);
    }
}

/* ---- what it asks for ------------------------------------------------------------------------ */

typedef struct wish {
    enum lines_ask ask;
    int64_t us;
    char *state; /* JSON; NULL: none */
    char message[LIMIT_MESSAGE_KEPT + 1];
} wish_t;

/* From the member "pawl" of the output. False: it is there and cannot be read, `why` says so. */
static bool wish_of_output(const buf_t *bytes, wish_t *wish, char *why, size_t room)
{
    if (bytes->len == 0 || !memmem(bytes->at, bytes->len, "\"pawl\"", 6)) return true;
    json_t *output = json_loadb((const char *)bytes->at, bytes->len, JSON_DECODE_ANY, NULL);
    const json_t *said = json_object_get(output, "pawl");
    const json_t *again = json_object_get(said, "again"),
                 *external = json_object_get(said, "external");
    const json_t *when = again ? again : external, *state = json_object_get(said, "state");
    bool good = !said || (json_is_object(said) && !(again && external) && json_is_string(when) &&
                          conf_parse_duration(json_string_value(when), &wish->us));
    if (said && good) {
        const char *message = json_string_value(json_object_get(said, "message"));
        wish->ask = again ? LINES_AGAIN : LINES_EXTERNAL;
        snprintf(wish->message, sizeof wish->message, "%s", message ? message : "");
        if (state) wish->state = json_dumps(state, JSON_ENCODE_ANY | JSON_COMPACT);
    }
    if (!good)
        snprintf(why, room,
                 "\"pawl\" of the output must be {\"again\": \"30s\"} or "
                 "{\"external\": \"1h\"}, with \"state\" and \"message\"");
    json_decref(output);
    return good;
}

static void wish_of_lines(const struct ending *self, int code, wish_t *wish)
{
    const lines_t *lines = self->lines;
    if (lines == NULL || wish->ask != LINES_NOTHING) return;
    if (lines->ask != LINES_NOTHING) {
        wish->ask = lines->ask;
        wish->us = lines->after_us;
        wire_text_line(wish->message, sizeof wish->message, lines->text, strlen(lines->text));
    } else if (code == EXIT_AGAIN || code == EXIT_ACCEPTED) {
        wish->ask = code == EXIT_AGAIN ? LINES_AGAIN : LINES_EXTERNAL;
        wish->us = code == EXIT_AGAIN ? ENDING_AGAIN_US : 0;
    }
}

/* ---- the end --------------------------------------------------------------------------------- */

/* Reads what it left as output. False: it is not usable, `why` says so. */
static bool read_output(const struct ending *self, buf_t *bytes, char *why, size_t room)
{
    err_t err = *self->folder ? workfolder_read(self->folder, "output.json", LIMIT_OUTPUT, bytes)
                              : ERR_NOT_FOUND;
    if (err == ERR_TOO_LARGE)
        snprintf(why, room,
                 "the output is larger than the limit of %d bytes: store it elsewhere and give a "
                 "reference",
                 LIMIT_OUTPUT);
    else if (err && err != ERR_NOT_FOUND)
        snprintf(why, room, "the output file could not be read: it must be a plain file");
    return err == ERR_OK || err == ERR_NOT_FOUND;
}

/* It ended well, or with a code by which scripts ask for something. */
static pawl_err give_good(const struct ending *self, int code, pawl_job_t **job)
{
    char why[LIMIT_MESSAGE_KEPT + 1];
    wish_t wish = { 0 };
    buf_t bytes = { 0 };
    pawl_err err;
    if (!read_output(self, &bytes, why, sizeof why) ||
        !wish_of_output(&bytes, &wish, why, sizeof why)) {
        err = pawl_job_fail(job, why, false);
    } else {
        wish_of_lines(self, code, &wish);
        const char *state = wish.state ? wish.state : "";
        pawl_err refused = wish.ask == LINES_NOTHING && bytes.len
                               ? pawl_job_output(*job, bytes.at, bytes.len, "application/json")
                               : PAWL_OK;
        snprintf(why, sizeof why, "the output was refused: %s", pawl_err_text(refused));
        if (refused)
            err = pawl_job_fail(job, why, false);
        else if (wish.ask == LINES_AGAIN && strlen(state) > LIMIT_POLL_STATE)
            err = pawl_job_fail(job, "the state for the next poll is larger than 64 KiB", false);
        else if (wish.ask == LINES_AGAIN)
            err = pawl_job_again(job, wish.us, state, strlen(state), wish.message);
        else if (wish.ask == LINES_EXTERNAL)
            err = pawl_job_external(job, wish.us, wish.message);
        else
            err = pawl_job_finish(job, "");
    }
    buf_free(&bytes);
    free(wish.state);
    return err;
}

static pawl_err give_bad(const struct ending *self, int code, pawl_job_t **job)
{
    char text[LIMIT_MESSAGE_KEPT + 1];
    describe_end(self, text, sizeof text);
    if (self->trouble) {
        log_event(LOG_ERROR, "NO_ROOM", "task=%s why=\"%s\"", self->id, text);
        return pawl_job_retry_after(job, TROUBLE_US, text);
    }
    return pawl_job_fail(job, text, code == EXIT_PERMANENT);
}

pawl_err ending_stopped(enum ending_cause cause, int64_t limit_us, const char *more,
                        pawl_job_t **job)
{
    char text[LIMIT_MESSAGE_KEPT + 1], limit[32];
    switch (cause) {
    case ENDING_TIMEOUT:
        snprintf(text, sizeof text, "stopped at its time limit of %s%s", duration(limit_us, limit),
                 more);
        return pawl_job_timed_out(job, text);
    case ENDING_CANCEL:
        snprintf(text, sizeof text, "cancelled%s", more);
        return pawl_job_cancelled(job, text);
    case ENDING_DRAIN:
        return pawl_job_give_back(job, "drained: the executor stops");
    default:
        CHECK(cause == ENDING_CUT_OFF);
        return pawl_job_give_back(job, "cut off from the broker: exclusive work must not go on");
    }
}

pawl_err ending_give(const struct ending *self, pawl_job_t **job)
{
    const char *left = self->survivors ? "; some processes could not be killed" : "";
    int code = self->exited && WIFEXITED(self->status) ? WEXITSTATUS(self->status) : -1;
    switch (self->cause) {
    case ENDING_TIMEOUT:
    case ENDING_CANCEL:
    case ENDING_DRAIN:
    case ENDING_CUT_OFF:
        return ending_stopped(self->cause, self->limit_us, left, job);
    case ENDING_LOST:
        return pawl_job_fail(job, "the process that watched the command died", false);
    case ENDING_FENCE:
    case ENDING_NONE:
        break;
    }
    bool asks = self->lines && (code == EXIT_AGAIN || code == EXIT_ACCEPTED);
    return code == 0 || asks ? give_good(self, code, job) : give_bad(self, code, job);
}
