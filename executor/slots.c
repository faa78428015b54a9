/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/slots.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/base/clock.h"
#include "client/base/log.h"
#include "executor/ending.h"
#include "executor/kind_shell.h"
#include "executor/lines.h"
#include "executor/output.h"
#include "executor/warden.h"
#include "schemas/limits.h"

enum {
    DRAIN_US = 1000000,    /* pipes are read so long after the process ended */
    SWEEP_US = 5000000,    /* the warden gives up after 2 s and says so; this is for a hung one */
    FLUSH_US = 5000000,    /* the log may delay a result so long; what then waits is cut */
    PAUSE_US = 20000,      /* the SDK's buffer is full: look again */
    PATIENCE_US = 1000000, /* so long a full buffer may hold up a command; then bytes are cut */
    REPORT_US = 1000000,   /* the outbox refused a result: try again */
    EXTEND_US = 100000,    /* so often exclusive work is let go on */
    READ_BYTES = 64 << 10,
    TYPICAL_OF = 8, /* attempts that the typical time remembers, about */
};

enum state { IDLE, RUNNING, TERMINATING, KILLING, DRAINING, SWEEPING, FLUSHING, ENDING, STATES };
enum event {
    EV_STOP = 1, /* somebody wants it to end: TERM first */
    EV_FENCE,    /* it must not run on: KILL */
    EV_REFUSED,  /* never started */
    EV_EXITED,   /* the main process ended */
    EV_LEFT,     /* pipes are done, processes are left */
    EV_GONE,     /* pipes are done or given up, no process is left */
    EV_DEADLINE,
    EV_FLUSHED, /* the log is on its way */
    EV_LOST,    /* the warden died */
    EVENTS
};
enum part { PART_WARDEN, PART_OUT, PART_ERR, PARTS };

struct slot {
    slots_t *all;
    uint32_t number, generation; /* raised with each job: old events of epoll are told by it */
    enum state state;
    int64_t deadline_us; /* steady; INT64_MAX: none */
    int warden;          /* -1: none yet */
    unsigned cgroup;     /* number of its cgroup */
    bool warden_last;    /* it takes no more orders: replace it */

    pawl_job_t *job;
    int64_t taken_us; /* steady */
    int64_t until_us; /* steady: exclusive work has ended by then; INT64_MAX: no bound */
    char id[PAWL_ID_TEXT];
    enum ending_cause cause;
    int pipes[2];      /* stdout, stderr; -1: closed */
    bool paused;       /* pipes are not read: the SDK's buffer is full */
    int64_t paused_us; /* since */
    output_t *output;
    lines_t *lines; /* what a script says; NULL: it is not heard */
    char folder[WORKFOLDER_PATH];
    char *program, *cwd, *account; /* for messages */
    int64_t limit_us;
    struct config_limits limits;
    uint64_t oom_kills; /* in its cgroup, before it began */
    bool exited, alive; /* main process ended; processes are left */
    int status;         /* of wait(2) */
    uint32_t survivors;
    int64_t cpu_us, rss_bytes;
    buf_t message; /* why it could not be started */
    int exit_code; /* with it */
    bool trouble;  /* the cause is this machine's, not the task's */
};

struct slots {
    struct slots_setup setup;
    size_t count, busy;
    unsigned cgroups;   /* numbers given out */
    int64_t typical_us; /* how long attempts take, the late ones counting most */
    uint8_t *bytes;     /* READ_BYTES */
    struct slot slots[];
};

typedef void action_fn(struct slot *self);

/* ---- small things ---------------------------------------------------------------------------- */

static uint64_t what_of(const struct slot *self, enum part part)
{
    return (uint64_t)self->generation << 32 | (uint64_t)self->number << 10 | (SLOTS_FIRST + 1) |
           (uint64_t)part;
}

static void watch(struct slot *self, int fd, enum part part)
{
    struct epoll_event event = { .events = EPOLLIN, .data.u64 = what_of(self, part) };
    int epoll = self->all->setup.epoll;
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0 &&
        (errno != EEXIST || epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event) != 0))
        log_event(LOG_ERROR, "WATCH_FAILED", "task=%s why=\"%s\"", self->id, strerror(errno));
}

static void unwatch(struct slot *self, int fd)
{
    epoll_ctl(self->all->setup.epoll, EPOLL_CTL_DEL, fd, NULL);
}

static void set_deadline(struct slot *self, int64_t after_us)
{
    int64_t now = clock_steady_us();
    self->deadline_us = after_us > INT64_MAX - now ? INT64_MAX : now + after_us;
}

static void close_pipe(struct slot *self, int which)
{
    if (self->pipes[which] >= 0) close(self->pipes[which]);
    self->pipes[which] = -1;
}

static void drop_warden(struct slot *self)
{
    if (self->warden < 0) return;
    close(self->warden);
    self->warden = -1;
    self->warden_last = false;
    if (self->all->setup.cgroup) cgroup_drop(self->all->setup.cgroup, self->cgroup);
}

static bool need_warden(struct slot *self)
{
    if (self->warden_last) drop_warden(self);
    if (self->warden >= 0) return true;
    int cgroup_fd = -1;
    if (self->all->setup.cgroup) {
        self->cgroup = self->all->cgroups++;
        cgroup_fd = cgroup_child(self->all->setup.cgroup, self->cgroup);
    }
    err_t err = helper_warden(self->all->setup.helper, cgroup_fd, &self->warden);
    int error = errno;
    if (cgroup_fd >= 0) close(cgroup_fd);
    if (err) self->warden = -1;
    errno = error;
    return err == ERR_OK;
}

/* ---- output ---------------------------------------------------------------------------------- */

static int put_log(void *arg, int stream, const void *bytes, size_t len)
{
    struct slot *self = arg;
    pawl_err err = pawl_job_log(self->job, stream, bytes, len);
    return err == PAWL_E_BACKPRESSURE ? -1 : 0; /* any other refusal would be the same next time */
}

static void skip_log(void *arg, uint64_t len)
{
    struct slot *self = arg;
    pawl_job_log_skip(self->job, len);
}

static void tell_progress(void *arg, int64_t done, int64_t total, const char *text)
{
    struct slot *self = arg;
    (void)!pawl_job_progress(self->job, done, total, text); /* the next one says more */
}

static void pause_reading(struct slot *self)
{
    self->paused = true;
    self->paused_us = clock_steady_us();
    for (int i = 0; i < 2; i++)
        if (self->pipes[i] >= 0) unwatch(self, self->pipes[i]);
}

static void resume_reading(struct slot *self)
{
    self->paused = false;
    for (int i = 0; i < 2; i++)
        if (self->pipes[i] >= 0) watch(self, self->pipes[i], i == 0 ? PART_OUT : PART_ERR);
}

/* Reads what is there. The number of rounds is bounded so that one loud command does not starve the
 * others. Closes the pipe at its end. */
static void read_pipe(struct slot *self, int which, int rounds)
{
    while (rounds-- && self->pipes[which] >= 0) {
        ssize_t got = read(self->pipes[which], self->all->bytes, READ_BYTES);
        if (got > 0) {
            output_add(self->output, which + 1, self->all->bytes, (size_t)got);
            if (which == 0 && self->lines) lines_hear(self->lines, self->all->bytes, (size_t)got);
            if (got < READ_BYTES / 16 && self->state == RUNNING)
                return; /* likely empty: epoll tells */
        } else if (got == 0) {
            close_pipe(self, which);
        } else if (errno == EAGAIN) {
            return;
        } else if (errno != EINTR) {
            close_pipe(self, which);
        }
    }
}

/* ---- the machine ----------------------------------------------------------------------------- */

static void fire(struct slot *self, enum event event);

static bool pipes_done(const struct slot *self)
{
    return self->pipes[0] < 0 && self->pipes[1] < 0;
}

static void order(struct slot *self, int failed)
{
    if (failed) fire(self, EV_LOST);
}

static void terminate(struct slot *self)
{
    if (self->cause == ENDING_NONE) self->cause = ENDING_TIMEOUT; /* nobody asked: the clock did */
    set_deadline(self, self->all->setup.config->kill_grace_us);
    order(self, warden_terminate(self->warden));
}

static void kill_now(struct slot *self)
{
    set_deadline(self, SWEEP_US);
    order(self, warden_kill(self->warden));
}

static void drain(struct slot *self)
{
    set_deadline(self, DRAIN_US);
    for (int i = 0; i < 2; i++)
        read_pipe(self, i, 32);
    if (pipes_done(self)) fire(self, self->alive ? EV_LEFT : EV_GONE);
}

static void close_output(struct slot *self)
{
    for (int i = 0; i < 2; i++) {
        read_pipe(self, i, 64); /* what still stands in it, 4 MiB at most */
        close_pipe(self, i);
    }
}

static void flush(struct slot *self)
{
    close_output(self);
    char note[160];
    uint64_t total = output_total(self->output);
    if (total > LIMIT_LOG_ATTEMPT) {
        int len =
            snprintf(note, sizeof note,
                     "pawl: %" PRIu64 " bytes of output; kept are the first %d and the last %d\n",
                     total, LIMIT_LOG_HEAD, LIMIT_LOG_ATTEMPT - LIMIT_LOG_HEAD);
        output_add(self->output, 3, note, (size_t)len);
    }
    if (self->survivors) {
        int len = snprintf(note, sizeof note, "pawl: %u processes could not be killed\n",
                           self->survivors);
        output_add(self->output, 3, note, (size_t)len);
        log_event(LOG_ERROR, "UNKILLABLE", "task=%s processes=%u", self->id, self->survivors);
    }
    set_deadline(self, FLUSH_US);
    if (output_flush(self->output, true))
        fire(self, EV_FLUSHED);
    else
        self->paused = true;
}

static void lost(struct slot *self)
{
    log_event(LOG_ERROR, "WARDEN_LOST", "task=%s", self->id);
    self->warden_last = true;
    self->cause = self->cause == ENDING_NONE ? ENDING_LOST : self->cause;
    flush(self);
}

/* A machine without room fails no task that another could run, or itself a little later. */
static bool no_room(int error)
{
    static const int errors[] = { ENOSPC, EDQUOT, EMFILE, ENFILE, ENOMEM, EAGAIN, EIO, EROFS };
    for (size_t i = 0; i < ARRAY_LEN(errors); i++)
        if (errors[i] == error) return true;
    return false;
}

static const char *spare_of(const struct slot *self)
{
    static char path[WORKFOLDER_PATH];
    snprintf(path, sizeof path, "%s/.spare-%u", self->all->setup.work, self->number);
    return path;
}

static void release(struct slot *self)
{
    output_destroy(&self->output);
    if (*self->folder) workfolder_set_aside(self->folder, spare_of(self));
    free(self->program);
    free(self->cwd);
    free(self->account);
    free(self->lines);
    self->lines = NULL;
    buf_free(&self->message);
    self->program = self->cwd = self->account = NULL;
    int64_t took_us = clock_steady_us() - self->taken_us;
    self->all->typical_us += (took_us - self->all->typical_us) / TYPICAL_OF;
    self->state = IDLE;
    self->deadline_us = INT64_MAX;
    self->generation++;
    self->all->busy--;
    if (self->warden_last) drop_warden(self);
}

static bool out_of_memory(const struct slot *self)
{
    const cgroup_t *cgroup = self->all->setup.cgroup;
    return self->limits.memory && cgroup_has_limits(cgroup) &&
           cgroup_oom_kills(cgroup, self->cgroup) > self->oom_kills;
}

static pawl_err give_result(struct slot *self)
{
    struct ending ending = { .cause = self->cause,
                             .exited = self->exited,
                             .status = self->status,
                             .exit_code = self->exit_code,
                             .message = &self->message,
                             .trouble = self->trouble,
                             .survivors = self->survivors,
                             .limit_us = self->limit_us,
                             .cpu_us = self->cpu_us,
                             .limits = &self->limits,
                             .out_of_memory = out_of_memory(self),
                             .output = self->output,
                             .lines = self->lines,
                             .id = self->id,
                             .folder = self->folder };
    return ending_give(&ending, &self->job);
}

static void report(struct slot *self)
{
    if (self->exited && WIFEXITED(self->status))
        pawl_job_exit(self->job, WEXITSTATUS(self->status), 0);
    else if (self->exited)
        pawl_job_exit(self->job, 128 + WTERMSIG(self->status), WTERMSIG(self->status));
    else
        pawl_job_exit(self->job, self->exit_code, 0);
    pawl_job_usage(self->job, self->cpu_us, self->rss_bytes);
    pawl_err err = give_result(self);
    if (self->job) {
        log_event(LOG_ERROR, "RESULT_NOT_KEPT", "task=%s why=\"%s\"", self->id, pawl_err_text(err));
        set_deadline(self, REPORT_US);
        return;
    }
    release(self);
}

// clang-format off
static const struct step {
    enum state next;
    action_fn *act;
} steps[STATES][EVENTS] = {
    [RUNNING] = {
        [EV_STOP]     = { TERMINATING, terminate },
        [EV_DEADLINE] = { TERMINATING, terminate },
        [EV_FENCE]    = { KILLING, kill_now },
        [EV_EXITED]   = { DRAINING, drain },
        [EV_REFUSED]  = { FLUSHING, flush },
        [EV_LOST]     = { FLUSHING, lost },
    },
    [TERMINATING] = {
        [EV_DEADLINE] = { KILLING, kill_now },
        [EV_FENCE]    = { KILLING, kill_now },
        [EV_EXITED]   = { DRAINING, drain },
        [EV_REFUSED]  = { FLUSHING, flush },
        [EV_LOST]     = { FLUSHING, lost },
    },
    [KILLING] = {
        [EV_EXITED]   = { DRAINING, drain },
        [EV_REFUSED]  = { FLUSHING, flush },
        [EV_GONE]     = { FLUSHING, flush },
        [EV_DEADLINE] = { FLUSHING, lost },
        [EV_LOST]     = { FLUSHING, lost },
    },
    [DRAINING] = {
        [EV_LEFT]     = { SWEEPING, kill_now },
        [EV_GONE]     = { FLUSHING, flush },
        [EV_LOST]     = { FLUSHING, flush },
    },
    [SWEEPING] = {
        [EV_GONE]     = { FLUSHING, flush },
        [EV_DEADLINE] = { FLUSHING, flush },
        [EV_LOST]     = { FLUSHING, flush },
    },
    [FLUSHING] = {
        [EV_FLUSHED]  = { ENDING, report },
        [EV_DEADLINE] = { ENDING, report },
    },
    [ENDING] = {
        [EV_DEADLINE] = { ENDING, report },
    },
};
// clang-format on
_Static_assert(IDLE == 0, "an unlisted cell must read as: nothing to do");

static void fire(struct slot *self, enum event event)
{
    const struct step *step = &steps[self->state][event];
    if (!step->act) return; /* late or repeated: the way it takes already leads to the end */
    self->state = step->next;
    self->deadline_us = INT64_MAX;
    step->act(self);
}

/* ---- starting -------------------------------------------------------------------------------- */

static const char **texts_of(const pawl_record_t *record, const char *field, size_t *count)
{
    *count = record ? pawl_record_count(record, field) : 0;
    const char **texts = mem_new((*count + 1) * sizeof *texts);
    for (size_t i = 0; i < *count; i++)
        texts[i] = pawl_record_text_at(record, field, i);
    return texts;
}

static slice_t bytes_of(const pawl_record_t *record, const char *field)
{
    size_t len = 0;
    const void *at = record ? pawl_record_bytes(record, field, &len) : NULL;
    return slice(at, at ? len : 0);
}

static const char *text_of(const pawl_record_t *record, const char *field)
{
    return record ? pawl_record_text(record, field) : "";
}

/* The plan of the attempt; false: refused, message and exit code are set. */
static bool make_plan(struct slot *self, shell_plan_t *plan)
{
    const pawl_record_t *task = pawl_job_task(self->job);
    const pawl_record_t *command = pawl_record_sub(task, "command");
    char parent[PAWL_ID_TEXT] = "";
    if (pawl_job_parent(self->job)) pawl_id_print(pawl_job_parent(self->job), parent);
    shell_task_t what = { .id = self->id,
                          .type = pawl_job_type(self->job),
                          .schedule = pawl_job_schedule(self->job),
                          .parent = parent,
                          .shard_index = pawl_job_shard_index(self->job),
                          .shard_total = pawl_job_shard_total(self->job),
                          .attempt = pawl_job_attempt(self->job),
                          .token = pawl_job_token(self->job),
                          .planned_us = pawl_job_planned_us(self->job),
                          .shell = text_of(command, "shell"),
                          .interpreter = text_of(command, "interpreter"),
                          .script = bytes_of(command, "script_text"),
                          .standard_input = bytes_of(command, "stdin"),
                          .cwd = text_of(command, "cwd"),
                          .account = text_of(command, "account"),
                          .script_file = text_of(command, "script_file"),
                          .completion = pawl_job_completion(self->job),
                          .polls = pawl_job_polls(self->job),
                          .spare = spare_of(self) };
    what.folded_count = pawl_job_folded(self->job, &what.folded_first_us, NULL);
    size_t input_len = 0;
    const void *input = pawl_job_input(self->job, &input_len);
    what.input = slice(input, input_len);
    const void *left = pawl_job_poll_state(self->job, &input_len);
    what.poll_state = slice(left, input_len);
    const char **argv = texts_of(command, "argv", &what.argc);
    const char **secrets = texts_of(command, "secrets", &what.secret_count);
    what.argv = argv;
    what.secrets = secrets;
    what.env_count = command ? pawl_record_count(command, "env") : 0;
    struct shell_env *env = mem_new((what.env_count + 1) * sizeof *env);
    for (size_t i = 0; i < what.env_count; i++) {
        const pawl_record_t *one = pawl_record_sub_at(command, "env", i);
        env[i] =
            (struct shell_env){ pawl_record_text(one, "name"), pawl_record_text(one, "value") };
    }
    what.env = env;
    bool made = shell_plan_make(plan, self->all->setup.config, self->all->setup.work, &what,
                                &self->message, &self->exit_code);
    self->trouble = !made && no_room(plan->error);
    memcpy(self->folder, plan->folder, sizeof self->folder);
    self->account = mem_text(what.account);
    self->cwd = mem_text(plan->launch.cwd);
    self->program = mem_text(plan->program);
    self->limits = plan->limits;
    free(argv);
    free(secrets);
    free(env);
    return made;
}

/* What the cgroup limits in place of each process. */
static bool limit_tree(struct slot *self)
{
    const cgroup_t *cgroup = self->all->setup.cgroup;
    if (!cgroup_has_limits(cgroup)) return true;
    self->oom_kills = self->limits.memory ? cgroup_oom_kills(cgroup, self->cgroup) : 0;
    return cgroup_limit(cgroup, self->cgroup, self->limits.memory, self->limits.processes);
}

static bool launch(struct slot *self, const shell_plan_t *plan)
{
    int ends[2][2] = { { -1, -1 }, { -1, -1 } };
    bool fine =
        pipe2(ends[0], O_CLOEXEC | O_NONBLOCK) == 0 && pipe2(ends[1], O_CLOEXEC | O_NONBLOCK) == 0;
    int failed = fine ? 0 : errno;
    if (fine) {
        /* only our ends are non-blocking: a command may expect to wait when a pipe is full */
        for (int i = 0; i < 2; i++)
            fcntl(ends[i][1], F_SETFL, 0);
        failed = need_warden(self) && limit_tree(self) ? 0 : errno;
        if (!failed)
            failed = warden_run(self->warden, &plan->launch,
                                (int[3]){ plan->stdin_fd, ends[0][1], ends[1][1] }, self->until_us);
        if (failed == EPIPE) { /* the warden died while idle: another one, once */
            drop_warden(self);
            failed =
                need_warden(self) && limit_tree(self)
                    ? warden_run(self->warden, &plan->launch,
                                 (int[3]){ plan->stdin_fd, ends[0][1], ends[1][1] }, self->until_us)
                    : errno;
        }
    }
    for (int i = 0; i < 2; i++) {
        if (ends[i][1] >= 0) close(ends[i][1]);
        self->pipes[i] = ends[i][0];
    }
    if (failed) {
        launch_explain(STEP_FORK, failed, self->program, NULL, NULL, &self->message);
        self->exit_code = 126;
        self->trouble = no_room(failed);
    }
    return !failed;
}

void slots_take(slots_t *self, pawl_job_t *job)
{
    struct slot *slot = self->slots;
    while (slot < self->slots + self->count && slot->state != IDLE)
        slot++;
    CHECK(slot < self->slots + self->count);
    int warden = slot->warden;
    unsigned cgroup = slot->cgroup;
    bool warden_last = slot->warden_last;
    *slot = (struct slot){ .all = self,
                           .number = slot->number,
                           .generation = slot->generation,
                           .state = RUNNING,
                           .deadline_us = INT64_MAX,
                           .warden = warden,
                           .cgroup = cgroup,
                           .warden_last = warden_last,
                           .job = job,
                           .taken_us = clock_steady_us(),
                           .pipes = { -1, -1 } };
    self->busy++;
    pawl_id_print(pawl_job_id(job), slot->id);
    slot->output = output_new(&(struct output_sink){ put_log, skip_log, slot });
    if (strcmp(pawl_job_type(job), "pawl/script") == 0) {
        slot->lines = mem_new(sizeof *slot->lines);
        slot->lines->progress = tell_progress;
        slot->lines->arg = slot;
    }
    pawl_job_started(job, clock_wall_us());

    shell_plan_t plan = { .stdin_fd = -1 };
    slot->until_us = pawl_job_until_us(job);
    bool in_time = slot->until_us > clock_steady_us();
    if (!in_time) slot->cause = ENDING_CUT_OFF;
    bool started = in_time && make_plan(slot, &plan) && launch(slot, &plan);
    shell_plan_release(&plan);
    slot->limit_us = pawl_record_int(pawl_job_task(job), "time_limit_us");
    if (slot->limit_us <= 0) slot->limit_us = slot->limits.time_limit_us;
    if (!started) {
        fire(slot, EV_REFUSED);
        return;
    }
    /* the warden may be an old one: its events carry the number of this job from now on */
    watch(slot, slot->warden, PART_WARDEN);
    resume_reading(slot);
    if (slot->limit_us > 0) set_deadline(slot, slot->limit_us);
}

/* ---- events ---------------------------------------------------------------------------------- */

static void on_notice(struct slot *self)
{
    struct notice notice;
    int failed = warden_notice(self->warden, &notice);
    if (failed == EAGAIN) return;
    if (failed) {
        unwatch(self, self->warden); /* its end stays readable, whatever the state makes of it */
        self->warden_last = true;
        fire(self, EV_LOST);
        return;
    }
    self->warden_last |= notice.last != 0;
    if (notice.cut_off && self->cause == ENDING_NONE) self->cause = ENDING_CUT_OFF;
    self->cpu_us = notice.cpu_us;
    self->rss_bytes = notice.rss_bytes;
    switch (notice.kind) {
    case NOTICE_REFUSED:
        self->exit_code = launch_explain((enum launch_step)notice.step, notice.error, self->program,
                                         self->cwd, self->account, &self->message);
        self->trouble = notice.step == STEP_FORK && no_room(notice.error);
        fire(self, EV_REFUSED);
        break;
    case NOTICE_EXITED:
        self->exited = true;
        self->status = notice.status;
        self->alive = notice.alive != 0;
        fire(self, EV_EXITED);
        break;
    case NOTICE_GONE:
        self->alive = false;
        self->survivors = notice.survivors;
        if (self->state != DRAINING) fire(self, EV_GONE);
        break;
    default:
        CHECK(false); /* notices come from this program */
    }
}

/* Seen at each turn of the loop: a directive raises the worker's descriptor. */
static void look_for_directive(struct slot *self)
{
    pawl_job_state state = pawl_job_state_of(self->job);
    bool ours = self->state == RUNNING || self->state == TERMINATING || self->state == KILLING;
    if (state == PAWL_CANCEL && ours) {
        if (self->cause == ENDING_NONE) self->cause = ENDING_CANCEL;
        if (self->state == RUNNING) fire(self, EV_STOP); /* it may still be fenced */
    } else if (state == PAWL_FENCED && ours && self->cause != ENDING_FENCE) {
        self->cause = ENDING_FENCE;
        fire(self, EV_FENCE);
    }
}

static void on_pipe(struct slot *self, int which)
{
    read_pipe(self, which, 4);
    if (output_full(self->output) && !self->paused) pause_reading(self);
    if (self->state == DRAINING && pipes_done(self)) fire(self, self->alive ? EV_LEFT : EV_GONE);
}

void slots_event(slots_t *self, uint64_t what)
{
    uint32_t number = (uint32_t)what >> 10;
    CHECK(number < self->count);
    struct slot *slot = &self->slots[number];
    if (slot->state == IDLE || slot->generation != (uint32_t)(what >> 32)) {
        /* the warden of an idle slot died: another one is made with the next job */
        struct notice notice;
        if (slot->state == IDLE && slot->warden >= 0 &&
            warden_notice(slot->warden, &notice) == EPIPE)
            drop_warden(slot);
        return;
    }
    switch ((enum part)(what & 3)) {
    case PART_WARDEN:
        on_notice(slot);
        break;
    case PART_OUT:
        on_pipe(slot, 0);
        break;
    case PART_ERR:
        on_pipe(slot, 1);
        break;
    case PARTS:
        break;
    }
}

/* Each answer of the broker lets exclusive work go on. A dead warden is seen by its socket. */
static void extend(struct slot *self)
{
    if (self->until_us == INT64_MAX || self->state != RUNNING) return;
    int64_t until_us = pawl_job_until_us(self->job);
    if (until_us <= self->until_us) return;
    self->until_us = until_us;
    (void)!warden_extend(self->warden, until_us);
}

int64_t slots_deadline(const slots_t *self)
{
    int64_t least = INT64_MAX;
    for (size_t i = 0; self->busy && i < self->count; i++) {
        const struct slot *slot = &self->slots[i];
        if (slot->state == IDLE) continue;
        if (slot->deadline_us < least) least = slot->deadline_us;
        if (slot->until_us != INT64_MAX) {
            int64_t look = clock_steady_us() + EXTEND_US;
            least = look < least ? look : least;
        }
        if (slot->paused) {
            int64_t soon = clock_steady_us() + PAUSE_US;
            least = soon < least ? soon : least;
        }
    }
    return least;
}

static void retry_log(struct slot *self, int64_t now_us)
{
    if (self->state == FLUSHING) {
        if (output_flush(self->output, true)) fire(self, EV_FLUSHED);
        return;
    }
    output_flush(self->output, false);
    if (!output_full(self->output) || now_us - self->paused_us > PATIENCE_US) resume_reading(self);
}

void slots_tick(slots_t *self, int64_t now_us)
{
    for (size_t i = 0; self->busy && i < self->count; i++) {
        struct slot *slot = &self->slots[i];
        if (slot->state != IDLE) look_for_directive(slot);
        if (slot->state != IDLE) extend(slot);
        if (slot->state != IDLE && slot->paused) retry_log(slot, now_us);
        if (slot->state == IDLE || slot->deadline_us > now_us) continue;
        if (slot->state == DRAINING)
            fire(slot, slot->alive ? EV_LEFT : EV_GONE);
        else
            fire(slot, EV_DEADLINE);
    }
}

void slots_stop(slots_t *self, bool hard)
{
    for (size_t i = 0; i < self->count; i++) {
        struct slot *slot = &self->slots[i];
        if (slot->state == IDLE) continue;
        if (slot->cause == ENDING_NONE && (slot->state == RUNNING || slot->state == KILLING))
            slot->cause = ENDING_DRAIN;
        fire(slot, hard ? EV_FENCE : EV_STOP);
    }
}

int64_t slots_typical_us(const slots_t *self)
{
    return self->typical_us;
}

void slots_expect(slots_t *self, int64_t us)
{
    if (self->typical_us < us) self->typical_us = us;
}

size_t slots_busy(const slots_t *self)
{
    return self->busy;
}

slots_t *slots_new(const struct slots_setup *setup)
{
    size_t count = (size_t)setup->config->slots;
    slots_t *self = mem_new(sizeof *self + count * sizeof *self->slots);
    self->setup = *setup;
    self->count = count;
    self->bytes = mem_new(READ_BYTES);
    self->typical_us = PAWL_SEC_US; /* until the first have ended */
    for (size_t i = 0; i < count; i++)
        self->slots[i] = (struct slot){ .all = self,
                                        .number = (uint32_t)i,
                                        .deadline_us = INT64_MAX,
                                        .warden = -1,
                                        .pipes = { -1, -1 } };
    return self;
}

void slots_destroy(slots_t **self_p)
{
    slots_t *self = *self_p;
    if (!self) return;
    for (size_t i = 0; i < self->count; i++) {
        struct slot *slot = &self->slots[i];
        workfolder_remove(spare_of(slot));
        drop_warden(slot); /* its warden kills the tree when the socket closes */
        if (slot->state == IDLE) continue;
        close_pipe(slot, 0);
        close_pipe(slot, 1);
        release(slot);
    }
    free(self->bytes);
    free(self);
    *self_p = NULL;
}
