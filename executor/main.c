/* SPDX-License-Identifier: Apache-2.0
 * pawl-executor: runs commands and scripts that the broker leases to it.
 *
 * The map: the helper (forked before a password was read, and before any thread, socket or store
 * exists); configuration; lock, work folder, cgroup, outbox; client and worker; one epoll loop over
 * signals, work, helper, wardens and pipes. The first TERM or INT drains (takes nothing, lets what
 * runs end, at most drain_timeout), the second stops hard. Results stand in the outbox before they
 * leave and until they are answered.
 */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/base/away.h"
#include "client/base/clock.h"
#include "client/base/log.h"
#include "client/base/seal.h"
#include "client/base/standard.h"
#include "client/pawl.h"
#include "executor/ahead.h"
#include "executor/process/cgroup.h"
#include "executor/config.h"
#include "executor/flags.h"
#include "executor/process/helper.h"
#include "executor/lock.h"
#include "executor/offer.h"
#include "executor/outbox.h"
#include "executor/refuse.h"
#include "executor/slots.h"
#include "executor/sql/runner.h"
#include "executor/workfolder.h"
#include "schemas/limits.h"

enum {
    TIDY_US = 1000000,      /* the outbox is looked after this often */
    DRAIN_LOOK_US = 50000,  /* while draining: is everything answered? */
    HARD_STOP_US = 5000000, /* after a second signal or an over-long drain */
    SAME_WISH_US = 500000,  /* within it a parent passes on what its group was sent */
    CONNECT_US = 500000,    /* one try while waiting for the broker */
    CLOSE_US = 2000000,
    HELPER_WAIT_MS = 5000,
};
enum what { WHAT_SIGNAL = 1, WHAT_WORKER, WHAT_HELPER };

/* ---- the executor ---------------------------------------------------------------------------- */

struct executor {
    executor_config_t *config;
    offer_t *offer;
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
    int64_t tidy_us; /* steady: next look at the outbox */
    ahead_t ahead;
    away_t away;
    uint32_t asked_by; /* whose signal came first */
    int64_t asked_us;  /* steady: when it came; 0 = none came */
    int64_t drain_us;  /* steady: drain ends then by force; 0 = not draining */
    bool hard;         /* stopping by force */
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

static const char OTHER_STATE[] =
    "pawl-executor --state DIR, a folder of its own for each executor";
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
    if (self->cgroup) helper_cleans(self->helper, cgroup_path(self->cgroup));
    self->config->cgroup_limits = cgroup_has_limits(self->cgroup);
    if (self->cgroup)
        snprintf(self->how, sizeof self->how, "cgroup, %s",
                 cgroup_has_limits(self->cgroup) ? "limits of memory and processes"
                                                 : "no controllers: limits are rlimits");
    else
        snprintf(self->how, sizeof self->how, "sweep (%.128s)", why);
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
    pawl_err err = self->worker ? offer_make(self->offer, self->worker, self->cgroup != NULL,
                                             cgroup_has_limits(self->cgroup))
                                : PAWL_E_NO_MEMORY;
    if (err) {
        return refuse(EXIT_USAGE, "the configuration is wrong", pawl_client_error(self->client),
                      REFUSE_ALL_KEYS);
    }
    pawl_worker_outbox(self->worker, &(pawl_outbox_t){ keep_result, forget_result, self });
    err_t read = outbox_each(self->outbox, restore_result, self);
    if (read) log_event(LOG_ERROR, "OUTBOX_UNREADABLE", "why=\"%s\"", pawl_err_text(-(int)read));
    return 0;
}

/* ---- the loop -------------------------------------------------------------------------------- */

/* What asking for the broker said: the log tells when it went away and when it is back. */
static void broker_is(struct executor *self, pawl_err err)
{
    away_look(&self->away, pawl_client_endpoint(self->client),
              err ? pawl_client_error(self->client) : NULL, clock_steady_us());
}

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

/* No broker that heard our Hello sends such a job. */
static void refuse_type(pawl_job_t *job)
{
    char text[LIMIT_NAME + 80];
    snprintf(text, sizeof text, "type %s is not run here: see executor.allow.kinds of its file",
             pawl_job_type(job));
    log_event(LOG_WARN, "TYPE_REFUSED", "type=%s", pawl_job_type(job));
    (void)!pawl_job_fail(&job, text, false);
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
        else if (!offer_has(self->offer, pawl_job_type(job)))
            refuse_type(job);
        else if (self->runner && runner_takes(pawl_job_type(job)))
            runner_take(self->runner, job);
        else
            slots_take(self->slots, job);
    }
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
    if (ahead_deadline(&self->ahead, now) < next) next = ahead_deadline(&self->ahead, now);
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
        ahead_ask(&self->ahead, self->worker, self->slots, self->config->slots,
                  busy(self) == (size_t)self->config->slots, now);
        if (self->drain_us) look_after_drain(self, now);
        if (now >= self->tidy_us) {
            err_t err = outbox_tidy(self->outbox, clock_wall_us());
            if (err) log_event(LOG_ERROR, "OUTBOX_FAILED", "why=\"%s\"", pawl_err_text(-(int)err));
            broker_is(self, pawl_client_connect(self->client, 0));
            self->tidy_us = now + TIDY_US;
        }
    }
}

/* Waits for the broker as long as it takes, or until a signal. */
static bool start_session(struct executor *self)
{
    for (bool begun = false;; begun = true) {
        struct epoll_event event;
        if (epoll_wait(self->epoll, &event, 1, 0) > 0 && event.data.u64 == WHAT_SIGNAL)
            return false;
        pawl_err err = begun ? pawl_client_connect(self->client, CONNECT_US)
                             : pawl_worker_start(self->worker, CONNECT_US);
        if (err && !pawl_err_retryable(err)) {
            self->exit_code = refuse(EXIT_REFUSED, "the broker refuses this executor",
                                     pawl_client_error(self->client),
                                     "pawl broker status, to see which broker that is");
            return false;
        }
        broker_is(self, err);
        if (err == PAWL_OK) return true;
    }
}

static void watch(struct executor *self, int fd, enum what what)
{
    struct epoll_event event = { .events = EPOLLIN, .data.u64 = what };
    CHECK(epoll_ctl(self->epoll, EPOLL_CTL_ADD, fd, &event) == 0);
}

/* A slot needs five descriptors. Commands keep the limit that we were given: they are started by
 * the helper, which was forked before. */
static void want_files(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur == files.rlim_max) return;
    files.rlim_cur = files.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &files) != 0)
        log_event(LOG_WARN, "FEW_FILES", "why=\"%s\"", strerror(errno));
}

static void run(struct executor *self)
{
    want_files();
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
    offer_destroy(&self->offer);
    if (self->lock >= 0) close(self->lock);
    close(self->signals);
    close(self->epoll);
}

int main(int argc, char **argv)
{
    int exit_code;
    struct executor self = { .lock = -1, .epoll = -1, .signals = -1 };
    standard_files_open();
    seal_process();
    if (helper_start(&self.helper) != ERR_OK)
        return refuse(EXIT_FAILED, "no process could be made", strerror(errno),
                      "ulimit -u, and the pids limit of its cgroup, tell how many there may be");
    self.config = config_new();
    if (!flags_read(argc, argv, self.config, &exit_code)) {
        (void)!helper_stop(&self.helper, HELPER_WAIT_MS);
        config_destroy(&self.config);
        return exit_code;
    }
    log_open("executor", self.config->log_level);
    /* before any thread exists, so that all of them leave these to the loop */
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    sigaddset(&blocked, SIGINT);
    sigaddset(&blocked, SIGPIPE);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    self.offer = offer_new(self.config);
    run(&self);
    exit_code = self.exit_code;
    stop(&self);
    return exit_code;
}
