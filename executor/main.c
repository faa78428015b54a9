/* SPDX-License-Identifier: Apache-2.0
 * pawl-executor: runs commands and scripts that the broker leases to it.
 *
 * The map: configuration; the helper (forked before any thread, socket or store exists); lock, work
 * folder, cgroup, outbox; client and worker; one epoll loop over signals, work, helper, wardens and
 * pipes. The first TERM or INT drains (takes nothing, lets what runs end, at most drain_timeout),
 * the second stops hard. Results stand in the outbox before they leave and until they are answered.
 */
#include <argp.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/base/clock.h"
#include "client/base/log.h"
#include "client/pawl.h"
#include "executor/cgroup.h"
#include "executor/config.h"
#include "executor/helper.h"
#include "executor/interpreters.h"
#include "executor/lock.h"
#include "executor/outbox.h"
#include "executor/slots.h"
#include "executor/sql/runner.h"
#include "executor/workfolder.h"
#include "schemas/limits.h"

enum {
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_CONFLICT = 4,
    EXIT_REFUSED = 5,

    TIDY_US = 1000000,      /* the outbox is looked after this often */
    DRAIN_LOOK_US = 50000,  /* while draining: is everything answered? */
    HARD_STOP_US = 5000000, /* after a second signal or an over-long drain */
    SAME_WISH_US = 500000,  /* within it a parent passes on what its group was sent */
    CONNECT_US = 500000,    /* one try while waiting for the broker */
    CLOSE_US = 2000000,
    HELPER_WAIT_MS = 5000,

    AHEAD_SHORT_US = 50000,     /* longer attempts are not asked for ahead */
    AHEAD_US = 10000,           /* a report and the next lease take less than that */
    AHEAD_PATIENCE_US = 200000, /* so long a lease may wait for a slot */
    AHEAD_MAX = 64,
};
enum what { WHAT_SIGNAL = 1, WHAT_WORKER, WHAT_HELPER };

/* ---- flags ----------------------------------------------------------------------------------- */

struct flags {
    executor_config_t *config;
    const char *file;
    const char *value[6]; /* of the keys below; applied after file and environment */
    char **labels;
    size_t label_count;
    bool check, print;
};
enum { FLAG_PRINT = 256 };
static const struct {
    int letter;
    const char *key;
} flag_keys[] = {
    { 's', "state_dir" }, { 'b', "broker" }, { 'n', "name" }, { 'j', "slots" }, { 'k', "key" }
};

static const struct argp_option options[] = {
    { "config", 'c', "FILE", 0, "configuration (YAML; section executor)", 0 },
    { "state", 's', "DIR", 0, "folder for lock, outbox and work", 0 },
    { "key", 'k', "FILE", 0, "the key that a tcp endpoint needs", 1 },
    { "broker", 'b', "ENDPOINT", 0, "where the broker listens, e.g. ipc:///run/pawl/broker.sock",
      0 },
    { "name", 'n', "NAME", 0, "name of this executor (default: host name)", 0 },
    { "slots", 'j', "N", 0, "commands run at once (default: number of CPUs)", 0 },
    { "labels", 'l', "KEY=VALUE", 0, "labels, with commas or repeated", 0 },
    { "check-config", 'C', NULL, 0, "read the configuration, say whether it is fine, end", 0 },
    { "print-config", FLAG_PRINT, NULL, 0, "say every key, its value and where that comes from",
      0 },
    { 0 }
};
/* Seen by the C library, though everything else is hidden. */
__attribute__((visibility("default"))) const char *argp_program_version =
    "pawl-executor " PAWL_VERSION;

static error_t parse_flag(int letter, char *value, struct argp_state *state)
{
    struct flags *flags = state->input;
    if (letter == 'c') {
        flags->file = value;
    } else if (letter == 'C') {
        flags->check = true;
    } else if (letter == FLAG_PRINT) {
        flags->print = true;
    } else if (letter == 'l') {
        flags->labels = mem_grow(flags->labels, (flags->label_count + 1) * sizeof(char *));
        flags->labels[flags->label_count++] = value;
    } else if (letter == ARGP_KEY_ARG) {
        argp_error(state, "unexpected word \"%s\"", value);
    } else {
        for (size_t i = 0; i < ARRAY_LEN(flag_keys); i++)
            if (flag_keys[i].letter == letter) {
                flags->value[i] = value;
                return 0;
            }
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static err_t read_config(struct flags *flags, char *why, size_t len)
{
    executor_config_t *config = flags->config;
    err_t err = flags->file ? conf_load_all(config->conf, flags->file, why, len) : ERR_OK;
    if (!err) err = conf_environment(config->conf, CONFIG_ENVIRONMENT, environ, why, len);
    for (size_t i = 0; !err && i < ARRAY_LEN(flag_keys); i++)
        if (flags->value[i])
            err =
                conf_set(config->conf, flag_keys[i].key, flags->value[i], "command line", why, len);
    for (size_t i = 0; !err && i < flags->label_count; i++)
        err = conf_add(config->conf, "labels", flags->labels[i], "--labels", why, len);
    return err ? err : config_complete(config, why, len);
}

/* ---- the executor ---------------------------------------------------------------------------- */

struct found {
    const char *name; /* of the configuration */
    char version[INTERPRETER_VERSION];
};

struct executor {
    executor_config_t *config;
    struct found *interpreters;
    size_t interpreter_count;
    helper_t *helper;
    int lock;
    char work[PATH_MAX];
    cgroup_t *cgroup;
    char how[160]; /* how trees are killed, for people */
    outbox_t *outbox;
    pawl_client_t *client;
    pawl_worker_t *worker;
    slots_t *slots;
    runner_t *runner; /* NULL: no sources */
    int epoll, signals;
    int64_t tidy_us;       /* steady: next look at the outbox */
    int64_t ahead;         /* leases asked for beyond the slots */
    int64_t ahead_look_us; /* steady: has one of them waited too long? */
    uint32_t asked_by;     /* whose signal came first */
    int64_t asked_us;      /* steady: when it came; 0 = none came */
    int64_t drain_us;      /* steady: drain ends then by force; 0 = not draining */
    bool hard;             /* stopping by force */
    bool done;
    int exit_code;
};

static int keep_result(void *arg, const uint8_t id[16], uint64_t token, const void *bytes,
                       size_t len)
{
    struct executor *self = arg;
    return outbox_store(self->outbox, id, token, bytes, len) == ERR_OK ? 0 : -1;
}

static void forget_result(void *arg, const uint8_t id[16], uint64_t token, const char *verdict)
{
    struct executor *self = arg;
    outbox_settled(self->outbox, id, token, strcasecmp(verdict, "UNKNOWN") == 0);
}

static void restore_result(void *arg, const uint8_t id[16], uint64_t token, const void *bytes,
                           size_t len)
{
    struct executor *self = arg;
    pawl_err err = pawl_worker_restore(self->worker, id, token, bytes, len);
    char text[PAWL_ID_TEXT];
    pawl_id_print(id, text);
    if (err)
        log_event(LOG_ERROR, "RESULT_UNREADABLE", "task=%s why=\"%s\"", text, pawl_err_text(err));
    else
        log_event(LOG_INFO, "RESULT_RESTORED", "task=%s", text);
}

static bool make_folders(const char *path)
{
    char part[PATH_MAX];
    snprintf(part, sizeof part, "%s", path);
    for (char *slash = part + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = 0;
        if (mkdir(part, 0755) != 0 && errno != EEXIST) return false;
        *slash = '/';
    }
    return mkdir(part, 0711) == 0 || errno == EEXIST;
}

/* Three lines: what, why, what to type. Returns `code`. */
static int refuse(int code, const char *what, const char *why, const char *then)
{
    fprintf(stderr, "pawl-executor: %s\n  why:  %s\n  then: %s\n", what, why, then);
    return code;
}

static const char OTHER_STATE[] =
    "pawl-executor --state DIR, a folder of its own for each executor";
static const char ALL_KEYS[] = "pawl-executor --print-config tells all keys";

/* Lock, work folder, cgroup, outbox: all that is of this state folder. 0 or the exit code. */
static int open_state(struct executor *self)
{
    const executor_config_t *config = self->config;
    char why[2 * PATH_MAX + 128];
    if (!make_folders(config->state) || !make_folders(config->workdir) ||
        !realpath(config->workdir, self->work)) {
        snprintf(why, sizeof why, "%s or %s: %s", config->state, config->workdir, strerror(errno));
        return refuse(EXIT_FAILED, "its folders cannot be made", why, OTHER_STATE);
    }
    if (strlen(self->work) + 64 > WORKFOLDER_PATH) {
        snprintf(why, sizeof why, "%s has %zu bytes, at most %d are possible", self->work,
                 strlen(self->work), WORKFOLDER_PATH - 64);
        return refuse(EXIT_USAGE, "the path of the work folder is too long", why, OTHER_STATE);
    }
    pid_t holder;
    self->lock = lock_take(config->state, &holder);
    if (self->lock < 0) {
        if (holder)
            snprintf(why, sizeof why, "process %d holds %s", (int)holder, config->state);
        else
            snprintf(why, sizeof why, "%s cannot be locked: %s", config->state, strerror(errno));
        return holder ? refuse(EXIT_CONFLICT, "another executor uses this folder", why, OTHER_STATE)
                      : refuse(EXIT_FAILED, "it cannot have its folder alone", why, OTHER_STATE);
    }
    snprintf(why, 128, "switched off");
    if (config->cgroup != CGROUP_NEVER) self->cgroup = cgroup_open(config->state, why, 128);
    if (!self->cgroup && config->cgroup == CGROUP_ALWAYS)
        return refuse(EXIT_FAILED, "process.cgroup is always, and there is no cgroup", why,
                      "PAWL_EXECUTOR__PROCESS__CGROUP=auto pawl-executor");
    self->config->cgroup_limits = cgroup_has_limits(self->cgroup);
    snprintf(self->how, sizeof self->how, self->cgroup ? "cgroup" : "sweep (%.128s)", why);
    unsigned survivors, killed = workfolder_clear(self->work, &survivors);
    if (killed)
        log_event(LOG_WARN, "LEFTOVERS_KILLED", "processes=%u survivors=%u", killed, survivors);

    int64_t outbox_holder = 0;
    err_t err = outbox_open(&self->outbox, config->outbox, &outbox_holder);
    if (err) {
        snprintf(why, sizeof why, "%s: %s", config->outbox, pawl_err_text(-(int)err));
        return refuse(EXIT_FAILED, "the outbox cannot be opened", why, OTHER_STATE);
    }
    return 0;
}

static bool conf_set_all(pawl_conf_t *conf, const executor_config_t *config, char *why, size_t len)
{
    return pawl_conf_set(conf, "role", "executor", why, len) == PAWL_OK &&
           pawl_conf_set(conf, "name", config->name, why, len) == PAWL_OK &&
           (!*config->broker ||
            pawl_conf_set(conf, "broker", config->broker, why, len) == PAWL_OK) &&
           (!*config->key || pawl_conf_set(conf, "key", config->key, why, len) == PAWL_OK);
}

/* Which interpreters there are, as they told before any thread began. */
static void found_interpreter(void *arg, const char *name, const char *version)
{
    struct executor *self = arg;
    self->interpreters =
        mem_grow(self->interpreters, (self->interpreter_count + 1) * sizeof *self->interpreters);
    struct found *found = &self->interpreters[self->interpreter_count++];
    found->name = name;
    snprintf(found->version, sizeof found->version, "%s", version);
}

static pawl_err describe_worker(struct executor *self)
{
    const executor_config_t *config = self->config;
    static const struct {
        const char *kind, *type;
        bool sql; /* only with a source to run on */
    } known[] = { { "shell", "pawl/shell", false },
                  { "script", "pawl/script", false },
                  { "sql", "pawl/sql", true },
                  { "sql-producer", "pawl/sql-producer", true } };
    pawl_err err = pawl_worker_slots(self->worker, (unsigned)config->slots);
    if (!err) err = pawl_worker_prefetch(self->worker, 0); /* see ask_ahead */
    for (size_t i = 0; !err && i < ARRAY_LEN(known); i++)
        if (conf_listed(config->conf, "allow.kinds", known[i].kind) &&
            (!known[i].sql || config->sources.count > 0)) {
            err = pawl_worker_kind(self->worker, known[i].kind);
            if (!err) err = pawl_worker_type(self->worker, known[i].type, NULL, NULL);
        }
    bool scripts = conf_listed(config->conf, "allow.kinds", "script");
    for (size_t i = 0; !err && scripts && i < self->interpreter_count; i++)
        err = pawl_worker_interpreter(self->worker, self->interpreters[i].name,
                                      self->interpreters[i].version);
    for (size_t i = 0; !err && i < conf_count(config->conf, "queues"); i++)
        err = pawl_worker_queue(self->worker, conf_item(config->conf, "queues", i));
    for (size_t i = 0; !err && i < conf_count(config->conf, "labels"); i++)
        err = pawl_worker_label(self->worker, conf_name(config->conf, "labels", i),
                                conf_item(config->conf, "labels", i));
    for (size_t i = 0; !err && i < config->sources.count; i++)
        err = pawl_worker_source(self->worker, config->sources.items[i].name);
    if (!err && !conf_mapped(config->conf, "labels", "process_control"))
        err = pawl_worker_label(self->worker, "process_control", self->cgroup ? "cgroup" : "sweep");
    return err;
}

/* 0 or the exit code. */
static int make_worker(struct executor *self)
{
    char why[256] = "";
    pawl_conf_t *conf = pawl_conf_new();
    if (conf && conf_set_all(conf, self->config, why, sizeof why))
        self->client = pawl_client_new(conf, why, sizeof why);
    pawl_conf_destroy(&conf);
    if (!self->client) {
        return refuse(EXIT_USAGE, "it cannot use this broker", *why ? why : "out of memory",
                      "pawl-executor --broker ipc:///run/pawl/broker.sock");
    }
    self->worker = pawl_worker_new(self->client);
    pawl_err err = self->worker ? describe_worker(self) : PAWL_E_NO_MEMORY;
    if (err) {
        return refuse(EXIT_USAGE, "the configuration is wrong", pawl_client_error(self->client),
                      ALL_KEYS);
    }
    pawl_worker_outbox(self->worker, &(pawl_outbox_t){ keep_result, forget_result, self });
    err_t read = outbox_each(self->outbox, restore_result, self);
    if (read) log_event(LOG_ERROR, "OUTBOX_UNREADABLE", "why=\"%s\"", pawl_err_text(-(int)read));
    return 0;
}

/* ---- the loop -------------------------------------------------------------------------------- */

static size_t busy(const struct executor *self)
{
    return slots_busy(self->slots) + (self->runner ? runner_busy(self->runner) : 0);
}

static void stop_all(struct executor *self, bool hard)
{
    slots_stop(self->slots, hard);
    if (self->runner) runner_stop(self->runner);
}

static void begin_drain(struct executor *self, int64_t within_us)
{
    self->drain_us = clock_steady_us() + within_us;
    log_event(LOG_INFO, "DRAIN", "running=%zu at_most=%llds", busy(self),
              (long long)(within_us / 1000000));
}

/* A signal to a whole process group comes twice: to us, and once more from the parent, which heard
 * it too and passes it on. That is one wish, not somebody's second one. */
static bool is_passed_on(const struct executor *self, const struct signalfd_siginfo *info,
                         int64_t now)
{
    uint32_t parent = (uint32_t)getppid();
    return now - self->asked_us < SAME_WISH_US && info->ssi_pid != self->asked_by &&
           (info->ssi_pid == parent || self->asked_by == parent);
}

static void on_signal(struct executor *self)
{
    struct signalfd_siginfo info;
    while (read(self->signals, &info, sizeof info) == (ssize_t)sizeof info) {
        int64_t now = clock_steady_us();
        bool passed_on = self->asked_us != 0 && is_passed_on(self, &info, now);
        if (self->asked_us == 0) {
            self->asked_by = info.ssi_pid;
            self->asked_us = now;
        }
        if (self->drain_us == 0) {
            begin_drain(self, self->config->drain_timeout_us);
        } else if (!passed_on) {
            self->hard = true;
            self->drain_us = now + HARD_STOP_US;
            log_event(LOG_WARN, "STOP", "running=%zu", busy(self));
            stop_all(self, true);
        }
    }
}

static void on_worker(struct executor *self)
{
    int64_t within_us;
    if (self->drain_us == 0 && pawl_worker_end_wanted(self->worker, &within_us))
        begin_drain(self, within_us ? within_us : self->config->drain_timeout_us);
    /* until it says no, even with all slots taken: that is what makes its descriptor quiet again.
     * It gives no more jobs at once than there are slots. */
    pawl_job_t *job = NULL;
    while (pawl_worker_next(self->worker, &job, 0) == PAWL_OK) {
        if (self->hard)
            (void)!pawl_job_give_back(&job, "drained: the executor stops");
        else if (self->runner && runner_takes(pawl_job_type(job)))
            runner_take(self->runner, job);
        else
            slots_take(self->slots, job);
    }
}

/* Commands may run for hours: none may stand behind another, shown as running, while a second
 * executor is idle. Where they are short, though, a slot would be empty for as long as a report and
 * the next lease are under way; so there as many leases are asked for ahead as are done in that
 * time, and what then finds no slot goes back. */
static void ask_ahead(struct executor *self, int64_t now)
{
    int64_t typical = slots_typical_us(self->slots), slots = self->config->slots;
    if (self->ahead && busy(self) == (size_t)slots && now >= self->ahead_look_us) {
        self->ahead_look_us = now + AHEAD_PATIENCE_US;
        if (pawl_worker_return_waiting(self->worker, AHEAD_PATIENCE_US))
            slots_expect(self->slots, AHEAD_SHORT_US); /* they were not as short as that */
        typical = slots_typical_us(self->slots);
    }
    int64_t ahead = typical >= AHEAD_SHORT_US ? 0 : slots * (1 + AHEAD_US / (typical + 1));
    if (ahead > AHEAD_MAX) ahead = AHEAD_MAX;
    /* small changes are not worth a word */
    if (ahead == self->ahead ||
        (ahead && self->ahead && ahead < 2 * self->ahead && self->ahead < 2 * ahead))
        return;
    self->ahead = ahead;
    (void)!pawl_worker_prefetch(self->worker, (unsigned)ahead);
}

static void look_after_drain(struct executor *self, int64_t now)
{
    if (pawl_worker_drain(self->worker, 0) == PAWL_OK && busy(self) == 0) {
        self->done = true;
    } else if (now >= self->drain_us) {
        if (self->hard) {
            log_event(LOG_WARN, "STOP_INCOMPLETE", "running=%zu", busy(self));
            self->done = true; /* results stand in the outbox, the helper ends what still runs */
            self->exit_code = EXIT_FAILED;
        } else {
            /* TERM first; each attempt goes on to KILL by itself */
            self->hard = true;
            self->drain_us = now + self->config->kill_grace_us + HARD_STOP_US;
            log_event(LOG_WARN, "DRAIN_OVER", "running=%zu", busy(self));
            stop_all(self, false);
        }
    }
}

static int wait_ms(const struct executor *self)
{
    int64_t now = clock_steady_us(), next = slots_deadline(self->slots);
    if (self->runner && runner_deadline(self->runner) < next) next = runner_deadline(self->runner);
    if (self->tidy_us < next) next = self->tidy_us;
    if (self->ahead && self->ahead_look_us < next && now < self->ahead_look_us)
        next = self->ahead_look_us;
    if (self->drain_us && now + DRAIN_LOOK_US < next) next = now + DRAIN_LOOK_US;
    int64_t ms = next <= now ? 0 : (next - now + 999) / 1000;
    return ms > INT_MAX ? INT_MAX : (int)ms;
}

static void loop(struct executor *self)
{
    struct epoll_event events[64];
    on_worker(self);
    while (!self->done) {
        int n = epoll_wait(self->epoll, events, ARRAY_LEN(events), wait_ms(self));
        for (int i = 0; i < n; i++) {
            uint64_t what = events[i].data.u64;
            if (what > SLOTS_FIRST) {
                slots_event(self->slots, what);
            } else if (what == WHAT_SIGNAL) {
                on_signal(self);
            } else if (what == WHAT_HELPER) {
                log_event(LOG_ERROR, "HELPER_LOST", "no command can be started any more");
                self->exit_code = EXIT_FAILED;
                self->done = true; /* wardens end their trees; who started us starts us again */
            }
        }
        /* also after a slot became free: a job may have waited for it */
        on_worker(self);
        int64_t now = clock_steady_us();
        slots_tick(self->slots, now);
        if (self->runner) runner_tick(self->runner, now);
        ask_ahead(self, now);
        if (self->drain_us) look_after_drain(self, now);
        if (now >= self->tidy_us) {
            err_t err = outbox_tidy(self->outbox, clock_wall_us());
            if (err) log_event(LOG_ERROR, "OUTBOX_FAILED", "why=\"%s\"", pawl_err_text(-(int)err));
            self->tidy_us = now + TIDY_US;
        }
    }
}

/* Waits for the broker as long as it takes, or until a signal. */
static bool start_session(struct executor *self)
{
    bool told = false;
    for (;;) {
        struct epoll_event event;
        if (epoll_wait(self->epoll, &event, 1, 0) > 0 && event.data.u64 == WHAT_SIGNAL)
            return false;
        pawl_err err = told ? pawl_client_connect(self->client, CONNECT_US)
                            : pawl_worker_start(self->worker, CONNECT_US);
        if (err == PAWL_OK) return true;
        if (!pawl_err_retryable(err)) {
            self->exit_code = refuse(EXIT_REFUSED, "the broker refuses this executor",
                                     pawl_client_error(self->client),
                                     "pawl broker status, to see which broker that is");
            return false;
        }
        if (!told)
            log_event(LOG_WARN, "BROKER_AWAY", "endpoint=%s why=\"%s\"",
                      pawl_client_endpoint(self->client), pawl_err_text(err));
        told = true;
    }
}

static void watch(struct executor *self, int fd, enum what what)
{
    struct epoll_event event = { .events = EPOLLIN, .data.u64 = what };
    CHECK(epoll_ctl(self->epoll, EPOLL_CTL_ADD, fd, &event) == 0);
}

static void run(struct executor *self)
{
    self->epoll = epoll_create1(EPOLL_CLOEXEC);
    sigset_t stop;
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGINT);
    self->signals = signalfd(-1, &stop, SFD_CLOEXEC | SFD_NONBLOCK);
    CHECK(self->epoll >= 0 && self->signals >= 0);
    watch(self, self->signals, WHAT_SIGNAL);
    watch(self, helper_fd(self->helper), WHAT_HELPER);
    self->exit_code = open_state(self);
    if (!self->exit_code) self->exit_code = make_worker(self);
    if (self->exit_code) return;
    self->slots = slots_new(
        &(struct slots_setup){ self->config, self->work, self->helper, self->cgroup, self->epoll });
    if (self->config->sources.count > 0)
        self->runner = runner_new(&(struct runner_setup){
            &self->config->sources, self->config->time_limit_us, self->config->kill_grace_us });
    if (!start_session(self)) return;
    watch(self, pawl_worker_fd(self->worker), WHAT_WORKER);
    printf("ready pawl-executor name=%s slots=%lld broker=%s process_control=\"%s\" pid=%d\n",
           self->config->name, (long long)self->config->slots, pawl_client_endpoint(self->client),
           self->how, (int)getpid());
    fflush(stdout);
    loop(self);
}

/* Bottom up: what still runs is ended first, so that nothing outlives what it reports to. */
static void stop(struct executor *self)
{
    slots_destroy(&self->slots);
    runner_destroy(&self->runner);
    pawl_worker_destroy(&self->worker);
    if (self->client) (void)!pawl_client_close(self->client, CLOSE_US);
    pawl_client_destroy(&self->client);
    outbox_close(&self->outbox);
    if (!helper_stop(&self->helper, HELPER_WAIT_MS))
        log_event(LOG_ERROR, "HELPER_STAYS", "some processes cannot be killed");
    cgroup_close(&self->cgroup);
    config_destroy(&self->config);
    free(self->interpreters);
    if (self->lock >= 0) close(self->lock);
    close(self->signals);
    close(self->epoll);
}

int main(int argc, char **argv)
{
    struct flags flags = { .config = config_new() };
    const struct argp parser = { options,
                                 parse_flag,
                                 NULL,
                                 "Runs commands and scripts that the broker leases to it.\v"
                                 "TERM or INT drains; a second one stops at once.",
                                 NULL,
                                 NULL,
                                 NULL };
    argp_err_exit_status = EXIT_USAGE;
    argp_parse(&parser, argc, argv, 0, NULL, &flags);
    char why[512];
    err_t err = read_config(&flags, why, sizeof why);
    free(flags.labels);
    if (err) {
        config_destroy(&flags.config);
        return refuse(EXIT_USAGE, "the configuration is wrong", why, ALL_KEYS);
    }
    if (flags.check || flags.print) {
        if (flags.print)
            conf_print(flags.config->conf, stdout);
        else
            printf("configuration is fine\n");
        config_destroy(&flags.config);
        return 0;
    }
    log_open("executor", flags.config->log_level);

    struct executor self = { .config = flags.config, .lock = -1, .epoll = -1, .signals = -1 };
    if (helper_start(&self.helper) != ERR_OK) {
        config_destroy(&self.config);
        return refuse(EXIT_FAILED, "no process could be made", strerror(errno),
                      "ulimit -u, and the pids limit of its cgroup, tell how many there may be");
    }
    /* before any thread exists, so that all of them leave these to the loop */
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    sigaddset(&blocked, SIGINT);
    sigaddset(&blocked, SIGPIPE);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    interpreters_probe(self.config->conf, found_interpreter, &self);
    run(&self);
    int exit_code = self.exit_code;
    stop(&self);
    return exit_code;
}
