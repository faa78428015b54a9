/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/family.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "client/base/clock.h"
#include "client/cli/output.h"

enum {
    SHORTEST_LOOK_US = 20 * 1000, /* between two looks at a task that waits */
    LONGEST_LOOK_US = 400 * 1000,
    LOG_WAIT_US = 500 * 1000,
    STREAM_NOTES = 3,
    LOGS_AT_ONCE = 256, /* of the children of a fan-out, between two looks at it */
};

typedef struct following {
    cli_t *cli;
    const follow_options_t *options;
    char id_text[PAWL_ID_TEXT];
    char status[16];
    char reason[128];
    unsigned attempt, attempts_max;
    char executor[64];
    bool over;
    int64_t news_us; /* steady: of the last change */
    bool why_told;   /* since then */
    outcome_t *outcome;
    log_view_t view;
    bool family; /* a fan-out: its children print */
    family_logs_t logs;
} following_t;

static bool away(pawl_err err)
{
    return err == PAWL_E_TIMEOUT || err == PAWL_E_UNREACHABLE;
}

static void pause_us(int64_t us)
{
    struct timespec span = { us / 1000000, us % 1000000 * 1000 };
    nanosleep(&span, NULL);
}

// ---- the log
// -------------------------------------------------------------------------------------

static void print_bytes(log_view_t *self, const char *bytes, size_t len)
{
    if (!*self->prefix) {
        fwrite(bytes, 1, len, stdout);
        self->inside_line = len && bytes[len - 1] != '\n';
        return;
    }
    for (size_t i = 0; i < len; i++) {
        if (!self->inside_line) fputs(self->prefix, stdout);
        putchar(bytes[i]);
        self->inside_line = bytes[i] != '\n';
    }
}

void log_end_line(log_view_t *self)
{
    if (self->inside_line && *self->prefix) putchar('\n');
    self->inside_line = false;
}

static void print_piece(log_view_t *self, const pawl_record_t *piece)
{
    size_t len = 0;
    const char *data = pawl_record_bytes(piece, "data", &len);
    if (!data) data = "", len = 0;
    int64_t stream = pawl_record_int(piece, "stream");
    if (output_is_json()) {
        static const char *const names[] = { "stdout", "stdout", "stderr", "notes" };
        json_t *text = json_stringn(data, len);
        json_t *row = json_pack(
            "{s:s, s:s, s:I, s:o}", "time", instant_text(pawl_record_int(piece, "time_us")),
            "stream", names[stream >= 0 && stream <= STREAM_NOTES ? stream : 0], "offset",
            (json_int_t)pawl_record_int(piece, "offset"), "text", text ? text : json_null());
        if (self->host) json_object_set_new(row, "host", json_string(self->host));
        json_dumpf(row, stdout, JSON_COMPACT);
        putchar('\n');
        json_decref(row);
    } else if (stream == STREAM_NOTES) {
        log_end_line(self);
        fflush(stdout);
        fprintf(stderr, "%.*s%s", (int)len, data, len && data[len - 1] == '\n' ? "" : "\n");
    } else {
        print_bytes(self, data, len);
    }
}

static void tell_hole(log_view_t *self, uint64_t bytes)
{
    if (output_is_json()) return; /* the offsets tell it */
    log_end_line(self);
    printf("%s[%" PRIu64 " bytes were cut here]\n", self->prefix, bytes);
}

pawl_err log_pump(log_view_t *self, int64_t wait_us, bool *got)
{
    pawl_record_t *log = NULL;
    *got = false;
    pawl_err err = pawl_log_read(self->cli->client, self->id, self->attempt, self->offset, wait_us,
                                 &log, self->cli->timeout_us + wait_us);
    if (err) return err;
    uint64_t hole_from = (uint64_t)pawl_record_int(log, "hole_from");
    uint64_t hole_to = (uint64_t)pawl_record_int(log, "hole_to");
    bool hole_told = hole_to <= hole_from || self->offset >= hole_to;
    for (size_t i = 0; i < pawl_record_count(log, "pieces"); i++) {
        const pawl_record_t *piece = pawl_record_sub_at(log, "pieces", i);
        if (!hole_told && (uint64_t)pawl_record_int(piece, "offset") >= hole_to) {
            tell_hole(self, hole_to - hole_from);
            hole_told = true;
        }
        print_piece(self, piece);
        *got = true;
    }
    uint64_t next = (uint64_t)pawl_record_int(log, "next");
    if (!hole_told && next >= hole_to) tell_hole(self, hole_to - hole_from);
    *got = *got || next > self->offset;
    self->offset = next;
    self->ended = pawl_record_int(log, "ended") != 0;
    if (self->ended && pawl_record_int(log, "lost") && !output_is_json()) {
        log_end_line(self);
        printf("%s[the executor was lost here: what came last may be missing]\n", self->prefix);
    }
    fflush(stdout);
    pawl_record_destroy(&log);
    return PAWL_OK;
}

int log_print(cli_t *cli, const uint8_t id[PAWL_ID_BYTES], unsigned attempt, const char *prefix)
{
    pawl_record_t *task = NULL;
    pawl_err found = pawl_task_get(cli->client, id, &task, cli->timeout_us);
    bool family = !found && pawl_record_sub(task, "fanout") != NULL;
    pawl_record_destroy(&task);
    if (family) {
        family_logs_t logs = { 0 };
        bool more;
        found = family_logs_read(cli, id, &logs, SIZE_MAX, &more);
        family_logs_free(&logs);
        return found ? fail_client(cli->client, found, "cannot read the logs") : 0;
    }
    log_view_t view = { .cli = cli, .id = id, .attempt = attempt, .prefix = prefix };
    pawl_err err;
    bool got;
    do
        err = log_pump(&view, 0, &got);
    while (!err && got && !view.ended);
    log_end_line(&view);
    return err ? fail_client(cli->client, err, "cannot read the log") : 0;
}

/* The leases of one attempt: those after `from`, up to `to`. */
static void leases_of(const pawl_record_t *task, unsigned attempt, uint64_t *from, uint64_t *to)
{
    size_t n = pawl_record_count(task, "attempts");
    if (attempt == 0 && n)
        attempt = (unsigned)pawl_record_int(pawl_record_sub_at(task, "attempts", n - 1), "attempt");
    *from = *to = 0;
    for (size_t i = 0; i < n; i++) {
        const pawl_record_t *one = pawl_record_sub_at(task, "attempts", i);
        unsigned number = (unsigned)pawl_record_int(one, "attempt");
        uint64_t token = (uint64_t)pawl_record_int(one, "token");
        if (number < attempt && token > *from) *from = token;
        if (number == attempt && token > *to) *to = token;
    }
}

static pawl_err print_poll(log_view_t *view, uint64_t *token, uint64_t to, bool *more)
{
    pawl_record_t *log = NULL;
    uint64_t found = 0, next = 0, total = 1;
    while (next < total) {
        pawl_err err =
            pawl_log_next(view->cli->client, view->id, *token, next, &log, view->cli->timeout_us);
        if (err) return err;
        found = (uint64_t)pawl_record_int(log, "token");
        total = (uint64_t)pawl_record_int(log, "total");
        *more = found != 0 && found <= to;
        for (size_t i = 0; *more && i < pawl_record_count(log, "pieces"); i++) {
            const pawl_record_t *piece = pawl_record_sub_at(log, "pieces", i);
            if (i == 0 && next == 0 && !output_is_json())
                printf("[asked at %s]\n", instant_text(pawl_record_int(piece, "time_us")));
            print_piece(view, piece);
        }
        uint64_t after = (uint64_t)pawl_record_int(log, "next");
        total = *more && after > next ? total : 0;
        next = after;
        pawl_record_destroy(&log);
    }
    if (view->inside_line && !output_is_json()) putchar('\n');
    view->inside_line = false;
    *token = found;
    return PAWL_OK;
}

int log_print_polls(cli_t *cli, const uint8_t id[PAWL_ID_BYTES], unsigned attempt)
{
    pawl_record_t *task = NULL;
    uint64_t token = 0, to = 0;
    pawl_err err = pawl_task_get(cli->client, id, &task, cli->timeout_us);
    if (!err) leases_of(task, attempt, &token, &to);
    pawl_record_destroy(&task);
    log_view_t view = { .cli = cli, .id = id, .prefix = "" };
    bool more = true;
    while (!err && more)
        err = print_poll(&view, &token, to, &more);
    return err ? fail_client(cli->client, err, "cannot read the logs") : 0;
}

// ---- the task
// ------------------------------------------------------------------------------------

static void copy_text(char *to, size_t room, const pawl_record_t *record, const char *field)
{
    snprintf(to, room, "%s", pawl_record_text(record, field));
}

static double seconds_until(const pawl_record_t *task)
{
    int64_t left_us = pawl_record_int(task, "planned_us") - clock_wall_us();
    return left_us > 0 ? (double)left_us / 1e6 : 0;
}

static void tell(const following_t *self, const pawl_record_t *task)
{
    const char *reason = pawl_record_text(task, "reason"), *message = "";
    buf_t words = { 0 };
    buf_printf(&words, "%s", "");
    const pawl_record_t *fanout = pawl_record_sub(task, "fanout");
    if (fanout && !self->over)
        buf_printf(&words, "on %" PRId64 " executor%s", pawl_record_int(fanout, "total"),
                   pawl_record_int(fanout, "total") == 1 ? "" : "s");
    else if (strcmp(self->status, "running") == 0)
        buf_printf(&words, "attempt %u of %u on %s", self->attempt, self->attempts_max,
                   self->executor);
    else if (strcmp(self->status, "delayed") == 0 && self->attempt)
        buf_printf(&words, "attempt %u of %u failed: %s; next in %.1f s", self->attempt,
                   self->attempts_max, pawl_record_text(task, "message"), seconds_until(task));
    else if (self->over && strcmp(reason, "exhausted") == 0)
        buf_printf(&words, "attempt %u of %u failed", self->attempt, self->attempts_max);
    else
        buf_printf(&words, "%s", reason);
    if (self->over) {
        message = pawl_record_text(task, "message");
        int64_t started = pawl_record_int(task, "started_us");
        if (*message && strcmp(message, reason) != 0)
            buf_printf(&words, "%s%s", words.len ? "; " : "", message);
        if (self->outcome->has_exit && !strstr((char *)words.at, "exit"))
            buf_printf(&words, "%sexit %d", words.len ? "; " : "", self->outcome->exit_code);
        if (started)
            buf_printf(&words, "%safter %.1f s", words.len ? " " : "",
                       (double)(pawl_record_int(task, "ended_us") - started) / 1e6);
        if (strcmp(self->status, "finished") != 0)
            buf_printf(&words, "    see: pawl logs %s", self->id_text);
    }
    text_tame((char *)words.at); /* a message is what some task wrote */
    fprintf(stderr, "%s %-9s %s\n", self->id_text, self->status, (char *)words.at);
    buf_free(&words);
}

/* It stands still: what for? Nobody should have to ask in another terminal. */
static void tell_why(following_t *self, const uint8_t id[PAWL_ID_BYTES])
{
    pawl_record_t *why = NULL;
    self->why_told = true;
    if (pawl_task_why(self->cli->client, id, &why, self->cli->timeout_us)) return;
    if (pawl_record_count(why, "lines") && strcmp(pawl_record_text(why, "status"), "running") != 0)
        fprintf(stderr, "%s %-9s %s (pawl why %s)\n", self->id_text,
                pawl_record_text(why, "status"),
                text_tamed(instants_shown(pawl_record_text_at(why, "lines", 0))), self->id_text);
    pawl_record_destroy(&why);
}

static void look(following_t *self, const pawl_record_t *task)
{
    char status[sizeof self->status], reason[sizeof self->reason];
    copy_text(status, sizeof status, task, "status");
    copy_text(reason, sizeof reason, task, "reason");
    unsigned attempt = (unsigned)pawl_record_int(task, "attempt");
    bool news = strcmp(status, self->status) != 0 || attempt != self->attempt ||
                strcmp(reason, self->reason) != 0;
    if (news) {
        self->news_us = clock_steady_us();
        self->why_told = false;
    }
    memcpy(self->status, status, sizeof status);
    memcpy(self->reason, reason, sizeof reason);
    self->attempt = attempt;
    self->attempts_max = (unsigned)pawl_record_int(task, "attempts_max");
    copy_text(self->executor, sizeof self->executor, task, "executor");
    self->over = pawl_record_int(task, "ended_us") != 0;
    if (self->over) {
        outcome_t *outcome = self->outcome;
        memcpy(outcome->status, status, sizeof status);
        outcome->has_exit = pawl_record_has(task, "exit_code");
        outcome->exit_code = (int)pawl_record_int(task, "exit_code");
        outcome->signal = (int)pawl_record_int(task, "signal");
    }
    /* what the attempt still has to say comes before the line about its end */
    if (news && self->options->status_lines && !self->over) tell(self, task);
}

/* Reads on in the log of the attempt at hand; what earlier attempts left unread comes first. */
static pawl_err follow_log(following_t *self, bool running)
{
    log_view_t *view = &self->view;
    pawl_err err = PAWL_OK;
    bool got = false;
    if (!view->attempt)
        view->attempt = self->options->attempt ? self->options->attempt : self->attempt;
    while (!err && view->attempt < self->attempt) {
        err = log_pump(view, 0, &got);
        if (err == PAWL_E_NOT_FOUND || (!err && (!got || view->ended))) {
            log_end_line(view);
            *view = (log_view_t){ .cli = view->cli,
                                  .id = view->id,
                                  .prefix = view->prefix,
                                  .attempt = view->attempt + 1 };
            err = PAWL_OK;
        }
    }
    do
        err = log_pump(view, running ? LOG_WAIT_US : 0, &got);
    while (!err && got && !running && !view->ended);
    return err == PAWL_E_NOT_FOUND ? PAWL_OK : err;
}

/* What the task returned, as `pawl task output` prints it: rows of SQL are nowhere in its log. */
static void print_output(const pawl_record_t *task)
{
    size_t len = 0;
    const char *bytes = pawl_record_bytes(task, "output", &len);
    if (!bytes || len == 0) return;
    if (output_is_json()) {
        json_t *text = json_stringn(bytes, len);
        json_t *row =
            json_pack("{s:s, s:s, s:o}", "time", instant_text(pawl_record_int(task, "ended_us")),
                      "stream", "output", "text", text ? text : json_null());
        json_dumpf(row, stdout, JSON_COMPACT);
        json_decref(row);
    } else {
        fwrite(bytes, 1, len, stdout);
    }
    if (output_is_json() || bytes[len - 1] != '\n') putchar('\n');
}

int task_follow(cli_t *cli, const uint8_t id[PAWL_ID_BYTES], const follow_options_t *options,
                outcome_t *outcome)
{
    following_t self = { .cli = cli, .options = options, .outcome = outcome };
    self.view = (log_view_t){ .cli = cli, .id = id, .prefix = options->prefix };
    int64_t pause = SHORTEST_LOOK_US, begun = clock_steady_us();
    pawl_id_print(id, self.id_text);
    *outcome = (outcome_t){ 0 };
    for (;;) {
        pawl_record_t *task = NULL;
        pawl_err err = pawl_task_get(cli->client, id, &task, cli->timeout_us);
        bool more = false; /* logs that were not looked at */
        if (!err) look(&self, task);
        bool running = !err && strcmp(self.status, "running") == 0;
        if (!err) self.family = pawl_record_sub(task, "fanout") != NULL;
        if (!err && options->log && self.attempt && (running || self.over))
            err = self.family ? family_logs_read(cli, id, &self.logs,
                                                 self.over ? SIZE_MAX : LOGS_AT_ONCE, &more)
                              : follow_log(&self, running);
        if (!err && self.over) {
            log_end_line(&self.view);
            if (options->output) print_output(task);
            fflush(stdout);
            if (options->status_lines) tell(&self, task);
            pawl_record_destroy(&task);
            family_logs_free(&self.logs);
            return 0;
        }
        pawl_record_destroy(&task);
        if (err && (!away(err) || cli_away_us(cli) > cli->timeout_us)) {
            family_logs_free(&self.logs);
            return fail_client(cli->client, err, "cannot follow the task");
        }
        if (cli->timeout_given && clock_steady_us() - begun > cli->timeout_us) {
            log_end_line(&self.view);
            family_logs_free(&self.logs);
            return fail(EXIT_UNREACHABLE, "stopped waiting for the task",
                        say("%s has not ended within %s (--timeout); it goes on", self.id_text,
                            duration_text(cli->timeout_us)),
                        say("pawl task wait %s, or pawl why %s", self.id_text, self.id_text));
        }
        bool stands = !err && !running && clock_steady_us() - self.news_us >= AWAY_NOTICE_US;
        if (stands && options->status_lines && !self.why_told) tell_why(&self, id);
        if (more || (running && options->log && !self.family && !self.view.ended)) {
            pause = SHORTEST_LOOK_US;
            continue; /* there is more, or the read of the log has waited */
        }
        if (!options->log && running)
            (void)pawl_task_wait(cli->client, id, 1, false, LONGEST_LOOK_US);
        else
            pause_us(pause);
        pause = pause * 2 < LONGEST_LOOK_US ? pause * 2 : LONGEST_LOOK_US;
    }
}

int outcome_code(const outcome_t *outcome, bool own_exit_code)
{
    enum { SIGNALLED = 128 }; /* as a shell tells it */
    bool finished = strcmp(outcome->status, "finished") == 0;
    if (own_exit_code && outcome->signal) return SIGNALLED + outcome->signal;
    if (own_exit_code && outcome->has_exit && (finished || outcome->exit_code))
        return outcome->exit_code;
    return finished ? EXIT_OK : EXIT_TASK_FAILED;
}
