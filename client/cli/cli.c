/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/cli.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "client/base/clock.h"
#include "client/base/standard.h"
#include "client/cli/output.h"
#include "client/cli/programs.h"

enum { NOTICE_TICK_US = 100 * 1000 };

/* A thread of its own, because the command's thread is inside a call of the SDK when the broker is
 * away. Shares with it: `stop` under the lock, `away_since_us` likewise. */
struct notice {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool stop, quiet;
    int64_t away_since_us; /* 0: the session stands */
    const pawl_client_t *client;
};

/* ---- is the broker away? --------------------------------------------------------------------- */

static void notice_wait(struct notice *self, int64_t us)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t nanoseconds = until.tv_nsec + us * 1000;
    until.tv_sec += nanoseconds / 1000000000;
    until.tv_nsec = nanoseconds % 1000000000;
    pthread_cond_timedwait(&self->changed, &self->lock, &until);
}

static void *notice_main(void *arg)
{
    struct notice *self = arg;
    bool told = false;
    pthread_mutex_lock(&self->lock);
    while (!self->stop) {
        bool away = pawl_client_state(self->client) != PAWL_CONNECTED;
        int64_t now = clock_steady_us();
        if (!away)
            self->away_since_us = 0;
        else if (!self->away_since_us)
            self->away_since_us = now;
        bool long_away = away && now - self->away_since_us >= AWAY_NOTICE_US;
        if (long_away && !told && !self->quiet)
            fprintf(stderr, "waiting for broker at %s\n", pawl_client_endpoint(self->client));
        told = long_away;
        notice_wait(self, NOTICE_TICK_US);
    }
    pthread_mutex_unlock(&self->lock);
    return NULL;
}

static void notice_start(cli_t *cli)
{
    struct notice *self = mem_new(sizeof *self);
    self->client = cli->client;
    self->quiet = cli->quiet;
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&self->lock, NULL);
    pthread_cond_init(&self->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    sigset_t all, before; /* signals stay with the command's thread */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    CHECK(pthread_create(&self->thread, NULL, notice_main, self) == 0);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    cli->notice = self;
}

static void notice_stop(cli_t *cli)
{
    struct notice *self = cli->notice;
    if (!self) return;
    pthread_mutex_lock(&self->lock);
    self->stop = true;
    pthread_cond_signal(&self->changed);
    pthread_mutex_unlock(&self->lock);
    pthread_join(self->thread, NULL);
    pthread_cond_destroy(&self->changed);
    pthread_mutex_destroy(&self->lock);
    free(self);
    cli->notice = NULL;
}

int64_t cli_away_us(cli_t *self)
{
    if (!self->notice) return 0;
    pthread_mutex_lock(&self->notice->lock);
    int64_t since = self->notice->away_since_us;
    pthread_mutex_unlock(&self->notice->lock);
    return since ? clock_steady_us() - since : 0;
}

void cli_hush(cli_t *self)
{
    self->quiet = true;
    if (!self->notice) return;
    pthread_mutex_lock(&self->notice->lock);
    self->notice->quiet = true;
    pthread_mutex_unlock(&self->notice->lock);
}

/* ---- the session ----------------------------------------------------------------------------- */

static const char *setting(const args_t *args, const char *flag, const char *variable)
{
    const char *value = args_text(args, flag);
    if (value) return value;
    value = getenv(variable);
    return value && *value ? value : NULL;
}

/* 0, or the code of a printed error. */
static int start_client(cli_t *self)
{
    char why[512] = "";
    const char *endpoint = setting(&self->args, "broker", "PAWL_BROKER");
    pawl_conf_t *conf = pawl_conf_new();
    CHECK(conf);
    pawl_err err =
        endpoint ? pawl_conf_set(conf, "broker", endpoint_of(endpoint), why, sizeof why) : PAWL_OK;
    const char *key = args_text(&self->args, "key-file");
    if (!err && key) err = pawl_conf_set(conf, "key", key, why, sizeof why);
    if (!err) self->client = pawl_client_new(conf, why, sizeof why);
    pawl_conf_destroy(&conf);
    if (!self->client)
        return fail(EXIT_USAGE, "cannot use this broker", *why ? why : "the endpoint is not one",
                    "-b ipc:///run/pawl/broker.sock, or pawl up to start a broker");
    return 0;
}

bool cli_try_connect(cli_t *self, int64_t timeout_us)
{
    if (self->client) return true;
    if (start_client(self) == 0 && pawl_client_connect(self->client, timeout_us) == PAWL_OK)
        return true;
    pawl_client_destroy(&self->client);
    return false;
}

int cli_connect(cli_t *self)
{
    if (self->client) return 0;
    int code = start_client(self);
    if (code) return code;
    notice_start(self);
    pawl_err err = pawl_client_connect(self->client, self->timeout_us);
    if (!err) return 0;
    if (err == PAWL_E_TIMEOUT || err == PAWL_E_UNREACHABLE)
        return fail(EXIT_UNREACHABLE, "the broker does not answer",
                    say("%s; gave up after %s (--timeout)", client_why(self->client, err),
                        duration_text(self->timeout_us)),
                    strncmp(pawl_client_endpoint(self->client), "tcp:", 4) == 0
                        ? "the same when it runs; a key it does not know gets no answer: pawl key "
                          "list --keys DIR/keys on its machine"
                        : "pawl up starts one; -b ENDPOINT or PAWL_BROKER names another");
    return fail_client(self->client, err, "the broker refuses this client");
}

static const char *last_words;

static void leave(int signal_number)
{
    (void)signal_number;
    if (last_words) {
        ssize_t ignored = write(STDERR_FILENO, last_words, strlen(last_words));
        (void)ignored;
    }
    _exit(EXIT_INTERRUPTED);
}

void cli_leave_on_interrupt(const char *words)
{
    last_words = words;
    fflush(stdout);
    signal(SIGINT, leave);
}

static void note_args(const cli_t *self, const char *format, va_list args)
{
    if (self->quiet) return;
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
}

void cli_note(const cli_t *self, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    note_args(self, format, args);
    va_end(args);
}

int cli_done(const cli_t *self, json_t *object, const char *format, ...)
{
    if (output_is_json()) return output_object(object);
    va_list args;
    va_start(args, format);
    note_args(self, format, args);
    va_end(args);
    json_decref(object);
    return 0;
}

json_t *cli_deed(const cli_t *self, const char *name, const char *action)
{
    return json_pack("{s:s, s:s, s:b}", "name", name, "action", action, "dry_run", self->dry_run);
}

int cli_instant(cli_t *self, const char *flag, const char *text, bool ago, int64_t *us)
{
    const char *zone = args_text(&self->args, "zone");
    int64_t span;
    if (!zone) zone = args_text(&self->args, "tz");
    if (!zone || strcmp(zone, "local") == 0)
        zone = local_zone();
    else if (strcmp(zone, "utc") == 0)
        zone = "UTC";
    if (ago && duration_read(text[0] == '-' ? text + 1 : text, &span)) {
        *us = clock_wall_us() - span;
        return 0;
    }
    if (!zone_exists(zone))
        return fail(EXIT_USAGE, say("unknown time zone %s", zone),
                    "it is not in this machine's zone database", "--zone Europe/Paris");
    if (instant_read(text, zone, us)) return 0;
    return fail(EXIT_USAGE, say("bad value of --%s", flag),
                say("\"%s\" is not an instant of the years 1970 to 9998, to the microsecond", text),
                say("--%s 2026-12-01T02:00:00+01:00, or local time of --zone without the offset%s",
                    flag, ago ? ", or 1h for an hour ago" : ""));
}

int cli_span(cli_t *self, int64_t *from_us, int64_t *to_us)
{
    static const char *const flags[] = { "from", "to" };
    const args_t *args = &self->args;
    int64_t *const us[] = { from_us, to_us };
    const char *given[2];
    for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
        const char *word = args->word_count > i + 1 ? args->words[i + 1] : NULL;
        given[i] = args_text(args, flags[i]);
        if (word && given[i])
            return fail(EXIT_USAGE, say("--%s is said twice", flags[i]),
                        say("\"%s\" as a word, \"%s\" as the flag", word, given[i]),
                        args->command->example);
        if (word) given[i] = word;
        *us[i] = 0;
        int code = given[i] ? cli_instant(self, flags[i], given[i], true, us[i]) : 0;
        if (code) return code;
    }
    const char *from = given[0], *to = given[1];
    if (!from || !to || *to_us >= *from_us) return 0;
    return fail(EXIT_USAGE, "the span ends before it begins",
                say("from %s to %s", instant_text(*from_us), instant_text(*to_us)),
                say("--from %s --to %s", to, from));
}

/* ---- the program ----------------------------------------------------------------------------- */

static int run(cli_t *self)
{
    const args_t *args = &self->args;
    if (args->wants_version) {
        printf("pawl %s\n", pawl_version());
        return 0;
    }
    if (args->wants_help || !args->command) {
        help_print(args->command);
        return 0;
    }
    if (!args->command->run)
        return fail(EXIT_USAGE, say("pawl %s needs a verb", args->command->name),
                    say("%s is a group of commands", args->command->name),
                    say("pawl help %s, or: %s", args->command->name, args->command->example));
    /* inside a task PAWL_OUTPUT names the file of its result */
    const char *format =
        getenv("PAWL_TASK_ID") ? args_text(args, "output") : setting(args, "output", "PAWL_OUTPUT");
    int code = output_setup(format, args_text(args, "fields"), !args_has(args, "no-header"),
                            !args_has(args, "quiet"), setting(args, "tz", "PAWL_TZ"));
    if (code) return code;
    self->timeout_given = args_has(args, "timeout");
    self->timeout_us = args_number(args, "timeout", DEFAULT_TIMEOUT_US);
    self->quiet = args_has(args, "quiet");
    self->verbose = args_has(args, "verbose");
    self->dry_run = args_has(args, "dry-run");
    fail_in(args->command->name);
    return args->command->run(self);
}

int cli_main(int argc, char **argv)
{
    cli_t cli = { 0 };
    standard_files_fail();
    signal(SIGPIPE, SIG_DFL); /* `pawl task list | head` ends quietly */
    int code = args_read(&cli.args, argc, argv);
    if (!code) code = run(&cli);
    if (!code) code = output_written();
    notice_stop(&cli);
    if (cli.client && code == 0) pawl_client_close(cli.client, 200 * 1000);
    pawl_client_destroy(&cli.client);
    args_free(&cli.args);
    text_forget();
    return code;
}
