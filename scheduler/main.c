/* SPDX-License-Identifier: Apache-2.0
 * pawl-scheduler - says which schedule is due. Holds no state: any number may run side by side. */
#include <argp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "client/base/argv.h"
#include "client/base/away.h"
#include "client/base/clock.h"
#include "client/base/conf.h"
#include "client/base/log.h"
#include "client/base/seal.h"
#include "client/base/select.h"
#include "client/base/standard.h"
#include "scheduler/proposals.h"

/* Seen by the C library, though everything else is hidden. */
__attribute__((visibility("default"))) const char *argp_program_version =
    "pawl-scheduler " PAWL_VERSION;

static const conf_key_t keys[] = {
    { "broker", CONF_TEXT, "", 0, 0, "endpoint of the broker, like ipc:///run/pawl/broker.sock" },
    { "key", CONF_TEXT, "", 0, 0, "file of the key that a tcp endpoint needs" },
    { "name", CONF_TEXT, "", 0, 0, "how peers list this scheduler (default: host name and pid)" },
    { "select", CONF_TEXT, "", 0, 0,
      "the schedules it looks after, by labels: team=ops,env!=test,site,!draft (default: all)" },
};

enum { KEY_CHECK = 1000, KEY_CONFIG };
static const struct argp_option options[] = {
    { "broker", 'b', "ENDPOINT", 0, "Endpoint of the broker (ipc://PATH)", 0 },
    { "key", 'k', "FILE", 0, "Key that a tcp endpoint needs", 0 },
    { "name", 'n', "NAME", 0, "Name in the list of peers", 0 },
    { "select", 's', "LABELS", 0, "Look after these schedules only: team=ops,env!=test", 0 },
    { "config", KEY_CONFIG, "FILE", 0, "YAML configuration, section scheduler", 0 },
    { "check-config", KEY_CHECK, 0, 0, "Check the configuration, print it and exit", 0 },
    { "print-config", 0, 0, OPTION_ALIAS, 0, 0 },
    { 0 },
};

struct flags {
    conf_t *conf;
    const char *config, *broker, *key, *name, *select;
    bool check;
};

static error_t on_flag(int key, char *arg, struct argp_state *state)
{
    struct flags *flags = state->input;
    switch (key) {
    case 'b':
        flags->broker = arg;
        return 0;
    case 'k':
        flags->key = arg;
        return 0;
    case 'n':
        flags->name = arg;
        return 0;
    case 's':
        flags->select = arg;
        return 0;
    case KEY_CONFIG:
        flags->config = arg;
        return 0;
    case KEY_CHECK:
        flags->check = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp parser = {
    options,
    on_flag,
    NULL,
    "Says which schedule is due; the broker decides. Holds no state: run as many as you like.\v"
    "Example: pawl-scheduler --broker ipc:///run/pawl/broker.sock --select team=ops",
    NULL,
    NULL,
    NULL
};

static err_t check_select(const char *text, char *why, size_t len)
{
    select_t select;
    const char *what;
    size_t column;
    if (select_parse(&select, text, &what, &column)) return ERR_OK;
    snprintf(why, len, "select \"%.100s\" at column %zu: %s; e.g. team=ops,env!=test", text, column,
             what);
    return ERR_BAD_VALUE;
}

static bool load(struct flags *flags)
{
    char why[512];
    err_t err = flags->config ? conf_load_all(flags->conf, flags->config, why, sizeof why) : ERR_OK;
    if (err == ERR_OK)
        err = conf_environment(flags->conf, "PAWL_SCHEDULER__", environ, why, sizeof why);
    if (err == ERR_OK && flags->broker)
        err = conf_set(flags->conf, "broker", flags->broker, "--broker", why, sizeof why);
    if (err == ERR_OK && flags->key)
        err = conf_set(flags->conf, "key", flags->key, "--key", why, sizeof why);
    if (err == ERR_OK && flags->name)
        err = conf_set(flags->conf, "name", flags->name, "--name", why, sizeof why);
    if (err == ERR_OK && flags->select)
        err = conf_set(flags->conf, "select", flags->select, "--select", why, sizeof why);
    if (err == ERR_OK) err = check_select(conf_text(flags->conf, "select"), why, sizeof why);
    if (err != ERR_OK)
        fprintf(stderr,
                "pawl-scheduler: the configuration is wrong\n  why:  %s\n"
                "  then: pawl-scheduler --check-config shows the keys\n",
                why);
    return err == ERR_OK;
}

static pawl_client_t *make_client(const conf_t *conf)
{
    char why[256] = "", name[128], host[64] = "host";
    pawl_conf_t *options_of = pawl_conf_new();
    gethostname(host, sizeof host - 1);
    snprintf(name, sizeof name, "scheduler-%s-%d", host, (int)getpid());
    const char *own = conf_text(conf, "name"), *broker = conf_text(conf, "broker");
    const char *key = conf_text(conf, "key");
    bool good =
        pawl_conf_set(options_of, "role", "scheduler", why, sizeof why) == PAWL_OK &&
        pawl_conf_set(options_of, "name", own[0] ? own : name, why, sizeof why) == PAWL_OK &&
        (!broker[0] || pawl_conf_set(options_of, "broker", broker, why, sizeof why) == PAWL_OK) &&
        (!key[0] || pawl_conf_set(options_of, "key", key, why, sizeof why) == PAWL_OK);
    pawl_client_t *client = good ? pawl_client_new(options_of, why, sizeof why) : NULL;
    pawl_conf_destroy(&options_of);
    if (client == NULL)
        fprintf(stderr,
                "pawl-scheduler: cannot use this broker\n  why:  %s\n"
                "  then: pawl-scheduler --broker ipc:///run/pawl/broker.sock\n",
                why);
    return client;
}

/* What it returns ends the program: the broker will not have this scheduler. */
static pawl_err look_for_broker(pawl_client_t *client, away_t *away)
{
    pawl_err err = pawl_client_connect(client, 0);
    if (err != PAWL_OK && !pawl_err_retryable(err)) return err;
    away_look(away, pawl_client_endpoint(client), err ? pawl_client_error(client) : NULL,
              clock_steady_us());
    return PAWL_OK;
}

/* Until TERM or INT, or the broker refuses us. */
static pawl_err run(pawl_client_t *client, proposals_t *proposals, int signals)
{
    bool told = false;
    away_t away = { 0 };
    for (;;) {
        pawl_err err = look_for_broker(client, &away);
        if (err != PAWL_OK) return err;
        int64_t now = clock_wall_us();
        int64_t next = proposals_run(proposals, now);
        /* to the microsecond: a firing that waits for a full millisecond is late by it */
        int64_t wait_us = next > now ? next - now : 0;
        struct timespec wait = { wait_us / 1000000, wait_us % 1000000 * 1000 };
        struct pollfd fds[] = { { .fd = signals, .events = POLLIN },
                                { .fd = pawl_client_fd(client), .events = POLLIN } };
        if (ppoll(fds, 2, &wait, NULL) > 0 && fds[0].revents) return PAWL_OK;
        pawl_client_poll(client, 0);
        if (!told && pawl_client_state(client) == PAWL_CONNECTED) {
            told = true;
            printf("ready pawl-scheduler broker %s\n", pawl_client_endpoint(client));
            fflush(stdout);
        }
    }
}

int main(int argc, char **argv)
{
    struct flags flags = { .conf = conf_new_section("scheduler", keys, ARRAY_LEN(keys)) };
    standard_files_open();
    argv_check("pawl-scheduler", options, argc, argv);
    argp_parse(&parser, argc, argv, 0, NULL, &flags);
    if (!load(&flags)) return 2;
    if (flags.check) {
        conf_print(flags.conf, stdout);
        conf_destroy(&flags.conf);
        return 0;
    }
    seal_process(); /* the key of a tcp endpoint */
    log_open("scheduler", LOG_INFO);
    sigset_t ours;
    sigfillset(&ours);
    sigprocmask(SIG_BLOCK, &ours, NULL); /* before any thread: none of them takes a signal */
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    int signals = signalfd(-1, &ends, SFD_CLOEXEC);
    if (signals < 0) { /* TERM would never be heard */
        perror("pawl-scheduler: signalfd");
        return 1;
    }
    pawl_client_t *client = make_client(flags.conf);
    if (client == NULL) return 2;
    proposals_t *proposals = proposals_new(client);
    pawl_err err = proposals_start(proposals, conf_text(flags.conf, "select"));
    if (err == PAWL_OK) err = run(client, proposals, signals);
    if (err != PAWL_OK)
        fprintf(stderr,
                "pawl-scheduler: the broker refuses this scheduler\n  why:  %s (%s)\n"
                "  then: pawl broker status, to see which broker that is\n",
                pawl_client_error(client), pawl_err_name(err));
    int code = err == PAWL_OK ? 0 : pawl_err_exit_code(err);
    pawl_client_close(client, 1000000);
    pawl_client_poll(client, 0); /* answers of the last moment have owners to be freed */
    pawl_client_destroy(&client);
    proposals_destroy(&proposals);
    close(signals);
    conf_destroy(&flags.conf);
    return code;
}
