/* SPDX-License-Identifier: Apache-2.0
 * client/cli/submit.c - pawl task submit: NDJSON in, one id a line out, in order.
 *
 * Lines are gathered into batches; several batches are under way at once, so that the broker syncs
 * one while the next is read. A batch leaves when it is full or when no more input is there to be
 * read: a slow writer's line does not wait for the next. Ids are printed when the broker has
 * answered, that is after the commit. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/cli/handlers.h"
#include "client/cli/instant.h"
#include "client/cli/output.h"
#include "client/cli/taskspec.h"
#include "schemas/limits.h"

enum { BATCH_LINES = 500, UNDER_WAY = 8, READ_BYTES = 64 << 10 };

typedef struct line {
    size_t number;
    bool sent; /* it is in the batch; else it was refused here */
    uint8_t id[PAWL_ID_BYTES];
} line_t;

typedef struct round {
    pawl_batch_t *batch;
    pawl_op_t *op; /* NULL: not under way */
    line_t lines[BATCH_LINES];
    size_t count, sent, bytes;
} round_t;

typedef struct submitting {
    cli_t *cli;
    const char *zone;
    round_t rounds[UNDER_WAY];
    unsigned first, filling; /* the oldest under way; the one being filled. Modulo UNDER_WAY */
    size_t number, accepted, refused, unanswered;
    int failed;    /* a printed error that ends it */
    bool given_up; /* no answer came in time: none is waited for any more */
    bool whole;    /* the input was read to its end */
} submitting_t;

static void refuse(submitting_t *self, size_t number, const char *why)
{
    fflush(stdout);
    fprintf(stderr, "line %zu: %s\n", number, why);
    self->refused++;
}

static void settle_line(submitting_t *self, const round_t *round, const line_t *line, size_t *index,
                        pawl_err err)
{
    char text[PAWL_ID_TEXT];
    if (!line->sent) {
        puts("-");
        return;
    }
    if (self->cli->dry_run) {
        pawl_id_print(line->id, text);
        puts(text);
        self->accepted++;
        return;
    }
    size_t i = (*index)++;
    uint8_t id[PAWL_ID_BYTES];
    if (err > PAWL_E_UNREACHABLE && err < 0) {
        puts("-");
        refuse(self, line->number, say("%s (%s)", pawl_err_text(err), pawl_err_name(err)));
        return;
    }
    if (err) { /* errors from there on are local: nobody knows what the broker did */
        pawl_id_print(line->id, text);
        puts("-");
        fflush(stdout);
        fprintf(stderr, "line %zu: no answer: whether it is on record, pawl task show %s tells\n",
                line->number, text);
        self->unanswered++;
        return;
    }
    err = pawl_batch_item_error(round->batch, i);
    if (err) {
        const char *why = pawl_batch_item_text(round->batch, i);
        puts("-");
        refuse(self, line->number,
               say("%s (%s)", why && *why ? why : pawl_err_text(err), pawl_err_name(err)));
        return;
    }
    pawl_batch_item_id(round->batch, i, id);
    pawl_id_print(id, text);
    puts(text);
    self->accepted++;
}

/* Waits for the oldest round and prints its ids. */
static void settle(submitting_t *self)
{
    round_t *round = &self->rounds[self->first % UNDER_WAY];
    int64_t patience = self->given_up ? 0 : self->cli->timeout_us;
    pawl_err err = round->op ? pawl_op_wait(round->op, patience) : PAWL_OK;
    size_t index = 0;
    for (size_t i = 0; i < round->count; i++)
        settle_line(self, round, &round->lines[i], &index, err);
    pawl_op_destroy(&round->op);
    pawl_batch_clear(round->batch);
    round->count = round->sent = round->bytes = 0;
    self->first++;
    if (err && !self->given_up)
        self->failed = fail_client(self->cli->client, err, "the submit stopped");
    self->given_up |= err != PAWL_OK;
}

/* Sends what is gathered. */
static void flush_round(submitting_t *self)
{
    round_t *round = &self->rounds[self->filling % UNDER_WAY];
    pawl_err err = PAWL_OK;
    if (round->count == 0) return;
    if (round->sent && !self->cli->dry_run) {
        round->op = pawl_batch_submit_op(self->cli->client, round->batch, &err);
        if (!round->op && err == PAWL_E_BACKPRESSURE && self->first != self->filling) {
            settle(self);
            flush_round(self);
            return;
        }
        if (!round->op) {
            self->failed = fail_client(self->cli->client, err, "the submit stopped");
            return;
        }
    }
    self->filling++;
    if (self->filling - self->first == UNDER_WAY) settle(self);
}

/* text NULL: the line was too long to be kept. */
static void take_line(submitting_t *self, const char *text, size_t len)
{
    spec_error_t error = { 0 };
    snprintf(error.why, sizeof error.why, "the line is longer than %d bytes", LIMIT_MESSAGE);
    self->number++;
    if (text && strspn(text, " \t\r") >= len) /* text is ended by a newline or a NUL */
        return;
    round_t *round = &self->rounds[self->filling % UNDER_WAY];
    line_t *line = &round->lines[round->count++];
    *line = (line_t){ .number = self->number };
    pawl_task_t *task = text ? task_from_line(text, len, self->zone, &error) : NULL;
    bool adds = task && !self->cli->dry_run;
    pawl_err err = adds ? pawl_batch_add(round->batch, task) : PAWL_OK;
    if (!task) {
        refuse(self, self->number,
               *error.field ? say("%s: %s", error.field, error.why) : error.why);
    } else if (err) {
        refuse(self, self->number, pawl_err_text(err));
    } else {
        line->sent = true;
        pawl_task_id(task, line->id);
        round->sent++;
    }
    pawl_task_destroy(&task);
    round->bytes += len;
    if (round->count == BATCH_LINES || round->bytes > LIMIT_MESSAGE / 4) flush_round(self);
}

static bool more_is_there(int fd)
{
    struct pollfd look = { .fd = fd, .events = POLLIN };
    return poll(&look, 1, 0) > 0;
}

/* Reads to the end; lines longer than a message can be are refused, not kept. */
static int read_lines(submitting_t *self, int fd, const char *name)
{
    buf_t input = { 0 };
    size_t seen = 0; /* bytes known to hold no newline */
    ssize_t got = 1;
    bool overlong = false;
    while (!self->failed) {
        buf_need(&input, READ_BYTES + 1);
        if (!more_is_there(fd)) {
            flush_round(self);
            while (!self->failed && self->first != self->filling && !more_is_there(fd))
                settle(self);
            fflush(stdout);
            if (self->failed) break; /* or it waits for a line that nobody wants */
        }
        got = read(fd, input.at + input.len, READ_BYTES);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        input.len += (size_t)got;
        size_t from = 0;
        uint8_t *stop;
        while (!self->failed && (stop = memchr(input.at + seen, '\n', input.len - seen)) != NULL) {
            *stop = '\0';
            size_t end = (size_t)(stop - input.at);
            if (!overlong) take_line(self, (char *)input.at + from, end - from);
            overlong = false;
            from = seen = end + 1;
        }
        memmove(input.at, input.at + from, input.len - from);
        input.len -= from;
        seen = input.len;
        if (input.len > LIMIT_MESSAGE && !overlong) {
            take_line(self, NULL, 0);
            overlong = true;
        }
        if (overlong) input.len = seen = 0;
    }
    if (!self->failed && got < 0)
        self->failed = fail(EXIT_FAILED, say("cannot read %s", name), strerror(errno),
                            "a file that can be read, or - for standard input");
    if (!self->failed && input.len && !overlong) {
        buf_add(&input, "", 1);
        take_line(self, (char *)input.at, input.len - 1);
    }
    self->whole = got == 0;
    buf_free(&input);
    return self->failed;
}

int cmd_task_submit(cli_t *cli)
{
    const char *name = cli->args.words[0];
    bool standard_input = strcmp(name, "-") == 0;
    int fd = standard_input ? STDIN_FILENO : open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail(EXIT_FAILED, say("cannot read %s", name), strerror(errno),
                    "pawl task submit FILE, or - for standard input");
    submitting_t *self = mem_new(sizeof *self);
    self->cli = cli;
    self->zone = local_zone();
    self->failed = cli->dry_run ? 0 : cli_connect(cli);
    for (size_t i = 0; i < UNDER_WAY; i++)
        self->rounds[i].batch = pawl_batch_new();
    if (!self->failed) read_lines(self, fd, name);
    if (!self->failed) flush_round(self);
    while (self->first != self->filling) /* also after a failure: say what became of each line */
        settle(self);
    if (!standard_input) close(fd);
    for (size_t i = 0; i < UNDER_WAY; i++)
        pawl_batch_destroy(&self->rounds[i].batch);
    int code = self->failed ? self->failed : self->refused ? EXIT_PARTLY : EXIT_OK;
    if (fflush(stdout) != 0 && !code)
        code = fail(EXIT_FAILED, "cannot write the ids", strerror(errno), "a place with room");
    if (cli->dry_run)
        cli_note(cli, "%zu would be submitted, %zu refused (nothing submitted)", self->accepted,
                 self->refused);
    else if (self->refused || self->unanswered || cli->verbose)
        cli_note(cli, "%zu on record, %zu refused%s%s", self->accepted, self->refused,
                 self->unanswered ? say(", %zu without an answer", self->unanswered) : "",
                 self->failed && !self->whole ? say("; not read past line %zu", self->number) : "");
    free(self);
    return code;
}
