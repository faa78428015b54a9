/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/slot.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/base/clock.h"
#include "client/base/log.h"
#include "executor/process/warden.h"
#include "schemas/limits.h"

enum {
    DRAIN_US = 1000000,    /* pipes are read so long after the process ended */
    SWEEP_US = 5000000,    /* the warden gives up after 2 s and says so; this is for a hung one */
    FLUSH_US = 5000000,    /* the log may delay a result so long; what then waits is cut */
    PAUSE_US = 20000,      /* the SDK's buffer is full: look again */
    PATIENCE_US = 1000000, /* so long a full buffer may hold up a command; then bytes are cut */
    REPORT_US = 1000000,   /* the outbox refused a result: try again */
    EXTEND_US = 100000,    /* so often exclusive work is let go on */
    TYPICAL_OF = 8,        /* attempts that the typical time remembers, about */
};

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

typedef void action_fn(slot_t *self);

/* ---- small things ---------------------------------------------------------------------------- */

static uint64_t what_of(const slot_t *self, enum part part)
{
    return (uint64_t)self->generation << 32 | (uint64_t)self->number << 10 | (SLOTS_FIRST + 1) |
           (uint64_t)part;
}

static void set_deadline(slot_t *self, int64_t after_us)
{
    int64_t now = clock_steady_us();
    self->deadline_us = after_us > INT64_MAX - now ? INT64_MAX : now + after_us;
}

/* ---- output ---------------------------------------------------------------------------------- */

static int put_log(void *arg, int stream, const void *bytes, size_t len)
{
    slot_t *self = arg;
    pawl_err err = pawl_job_log(self->job, stream, bytes, len);
    return err == PAWL_E_BACKPRESSURE ? -1 : 0; /* any other refusal would be the same next time */
}

static void skip_log(void *arg, uint64_t len)
{
    slot_t *self = arg;
    pawl_job_log_skip(self->job, len);
}

static void tell_progress(void *arg, int64_t done, int64_t total, const char *text)
{
    slot_t *self = arg;
    (void)!pawl_job_progress(self->job, done, total, text); /* the next one says more */
}

static void pause_reading(slot_t *self)
{
    self->paused = true;
    self->paused_us = clock_steady_us();
    pipes_unwatch(&self->pipes, self->all->setup.epoll);
}

static void resume_reading(slot_t *self)
{
    self->paused = false;
    pipes_watch(&self->pipes, self->all->setup.epoll, what_of(self, PART_OUT));
}

static void hear(void *arg, int which, const uint8_t *bytes, size_t len)
{
    slot_t *self = arg;
    output_add(self->output, which + 1, bytes, len);
    if (which == 0 && self->lines) lines_hear(self->lines, bytes, len);
}

static void read_pipe(slot_t *self, int which, int rounds)
{
    pipes_read(&self->pipes, which, rounds, self->all->bytes, hear, self);
}

/* ---- the machine ----------------------------------------------------------------------------- */

static void fire(slot_t *self, enum event event);

static void order(slot_t *self, int failed)
{
    if (failed) fire(self, EV_LOST);
}

static void terminate(slot_t *self)
{
    if (self->cause == ENDING_NONE) self->cause = ENDING_TIMEOUT; /* nobody asked: the clock did */
    set_deadline(self, self->all->setup.config->kill_grace_us);
    order(self, warden_terminate(self->seat.warden));
}

static void kill_now(slot_t *self)
{
    set_deadline(self, SWEEP_US);
    order(self, warden_kill(self->seat.warden));
}

static void drain(slot_t *self)
{
    set_deadline(self, DRAIN_US);
    pipes_end(&self->pipes);
    for (int i = 0; i < 2; i++)
        read_pipe(self, i, 32);
    if (pipes_done(&self->pipes)) fire(self, self->alive ? EV_LEFT : EV_GONE);
}

static void close_output(slot_t *self)
{
    pipes_end(&self->pipes);
    for (int i = 0; i < 2; i++)
        read_pipe(self, i, 64); /* what still stands in it, 4 MiB at most */
    pipes_close(&self->pipes);
}

static void flush(slot_t *self)
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

static void lost(slot_t *self)
{
    log_event(LOG_ERROR, "WARDEN_LOST", "task=%s", self->id);
    self->seat.spent = true;
    self->cause = self->cause == ENDING_NONE ? ENDING_LOST : self->cause;
    flush(self);
}

/* The warden does not say that all are gone: it may be hung, and takes no further command. */
static void leave(slot_t *self)
{
    self->seat.spent = true;
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

static void release(slot_t *self)
{
    output_destroy(&self->output);
    spare_keep(&self->spare, self->plan.folder);
    if (self->survivors) spare_remove(&self->spare); /* they may still write there */
    shell_plan_release(&self->plan);
    free(self->lines);
    self->lines = NULL;
    buf_free(&self->message);
    int64_t took_us = clock_steady_us() - self->taken_us;
    self->all->typical_us += (took_us - self->all->typical_us) / TYPICAL_OF;
    self->state = SLOT_IDLE;
    self->deadline_us = INT64_MAX;
    self->generation++;
    self->all->busy--;
    if (self->seat.spent) seat_clear(&self->seat, &self->all->maker);
}

static pawl_err give_result(slot_t *self)
{
    struct ending ending = {
        .cause = self->cause,
        .exited = self->exited,
        .status = self->status,
        .exit_code = self->exit_code,
        .message = &self->message,
        .trouble = self->trouble,
        .survivors = self->survivors,
        .limit_us = self->limit_us,
        .cpu_us = self->cpu_us,
        .limits = &self->plan.limits,
        .out_of_memory = seat_out_of_memory(&self->seat, &self->all->maker, &self->plan.limits),
        .output = self->output,
        .lines = self->lines,
        .id = self->id,
        .folder = spare_look(&self->spare, self->plan.folder) ? "" : self->plan.folder
    };
    return ending_give(&ending, &self->job);
}

static void report(slot_t *self)
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
    enum slot_state next;
    action_fn *act;
} steps[SLOT_STATES][EVENTS] = {
    [SLOT_RUNNING] = {
        [EV_STOP]     = { SLOT_TERMINATING, terminate },
        [EV_DEADLINE] = { SLOT_TERMINATING, terminate },
        [EV_FENCE]    = { SLOT_KILLING, kill_now },
        [EV_EXITED]   = { SLOT_DRAINING, drain },
        [EV_REFUSED]  = { SLOT_FLUSHING, flush },
        [EV_LOST]     = { SLOT_FLUSHING, lost },
    },
    [SLOT_TERMINATING] = {
        [EV_DEADLINE] = { SLOT_KILLING, kill_now },
        [EV_FENCE]    = { SLOT_KILLING, kill_now },
        [EV_EXITED]   = { SLOT_DRAINING, drain },
        [EV_REFUSED]  = { SLOT_FLUSHING, flush },
        [EV_LOST]     = { SLOT_FLUSHING, lost },
    },
    [SLOT_KILLING] = {
        [EV_EXITED]   = { SLOT_DRAINING, drain },
        [EV_REFUSED]  = { SLOT_FLUSHING, flush },
        [EV_GONE]     = { SLOT_FLUSHING, flush },
        [EV_DEADLINE] = { SLOT_FLUSHING, lost },
        [EV_LOST]     = { SLOT_FLUSHING, lost },
    },
    [SLOT_DRAINING] = {
        [EV_LEFT]     = { SLOT_SWEEPING, kill_now },
        [EV_GONE]     = { SLOT_FLUSHING, flush },
        [EV_LOST]     = { SLOT_FLUSHING, flush },
    },
    [SLOT_SWEEPING] = {
        [EV_GONE]     = { SLOT_FLUSHING, flush },
        [EV_DEADLINE] = { SLOT_FLUSHING, leave },
        [EV_LOST]     = { SLOT_FLUSHING, flush },
    },
    [SLOT_FLUSHING] = {
        [EV_FLUSHED]  = { SLOT_ENDING, report },
        [EV_DEADLINE] = { SLOT_ENDING, report },
    },
    [SLOT_ENDING] = {
        [EV_DEADLINE] = { SLOT_ENDING, report },
    },
};
// clang-format on
_Static_assert(SLOT_IDLE == 0, "an unlisted cell must read as: nothing to do");

static void fire(slot_t *self, enum event event)
{
    const struct step *step = &steps[self->state][event];
    if (!step->act) return; /* late or repeated: the way it takes already leads to the end */
    self->state = step->next;
    self->deadline_us = INT64_MAX;
    step->act(self);
}

/* ---- starting -------------------------------------------------------------------------------- */

static int order_run(slot_t *self)
{
    seat_maker_t *maker = &self->all->maker;
    const shell_plan_t *plan = &self->plan;
    const int stdio[3] = { plan->stdin_fd >= 0 ? plan->stdin_fd : self->all->null,
                           self->pipes.out[0], self->pipes.out[1] };
    if (!seat_prepare(&self->seat, maker, &plan->limits, what_of(self, PART_WARDEN))) return errno;
    return warden_run(self->seat.warden, &plan->launch, stdio, self->until_us);
}

static bool launch(slot_t *self)
{
    bool open = pipes_open(&self->pipes);
    int failed = open ? order_run(self) : errno;
    if (open && failed && (failed == EPIPE || self->seat.spent)) {
        /* the warden died while idle, or has no cgroup any more: another one, once */
        seat_clear(&self->seat, &self->all->maker);
        failed = order_run(self);
    }
    if (failed) {
        launch_explain(STEP_FORK, failed, self->plan.program, NULL, NULL, &self->message);
        self->exit_code = 126;
        self->trouble = self->seat.warden < 0 || self->seat.spent || no_room(failed);
    }
    return !failed;
}

/* The plan of the attempt; false: refused, message and exit code are set. */
static bool make_plan(slot_t *self)
{
    struct attempt_place place = { self->all->setup.config, self->all->setup.work, &self->spare };
    if (attempt_plan(&self->plan, self->job, self->id, &place, &self->message, &self->exit_code))
        return true;
    self->trouble = no_room(self->plan.error);
    return false;
}

void slot_take(slot_t *self, pawl_job_t *job)
{
    CHECK(self->state == SLOT_IDLE);
    *self = (slot_t){ .all = self->all,
                      .number = self->number,
                      .generation = self->generation,
                      .state = SLOT_RUNNING,
                      .deadline_us = INT64_MAX,
                      .seat = self->seat,
                      .spare = self->spare,
                      .job = job,
                      .taken_us = clock_steady_us(),
                      .pipes = PIPES_NONE,
                      .plan = { .stdin_fd = -1 } };
    self->all->busy++;
    pawl_id_print(pawl_job_id(job), self->id);
    self->output = output_new(&(struct output_sink){ put_log, skip_log, self });
    if (strcmp(pawl_job_type(job), "pawl/script") == 0) {
        self->lines = mem_new(sizeof *self->lines);
        self->lines->progress = tell_progress;
        self->lines->arg = self;
    }
    pawl_job_started(job, clock_wall_us());

    self->until_us = pawl_job_until_us(job);
    bool in_time = self->until_us > clock_steady_us();
    if (!in_time) self->cause = ENDING_CUT_OFF;
    bool started = in_time && make_plan(self) && launch(self);
    if (self->plan.stdin_fd >= 0) close(self->plan.stdin_fd);
    self->plan.stdin_fd = -1;
    self->limit_us = pawl_record_int(pawl_job_task(job), "time_limit_us");
    if (self->limit_us <= 0) self->limit_us = self->plan.limits.time_limit_us;
    if (!started) {
        fire(self, EV_REFUSED);
        return;
    }
    resume_reading(self);
    if (self->limit_us > 0) set_deadline(self, self->limit_us);
}

/* ---- events ---------------------------------------------------------------------------------- */

static void on_notice(slot_t *self)
{
    struct notice notice;
    int failed = warden_notice(self->seat.warden, &notice);
    if (failed == EAGAIN) return;
    if (failed) {
        seat_lost(&self->seat, &self->all->maker);
        fire(self, EV_LOST);
        return;
    }
    self->seat.spent |= notice.last != 0;
    if (notice.cut_off && self->cause == ENDING_NONE) self->cause = ENDING_CUT_OFF;
    self->cpu_us = notice.cpu_us;
    self->rss_bytes = notice.rss_bytes;
    switch (notice.kind) {
    case NOTICE_REFUSED:
        self->exit_code =
            launch_explain((enum launch_step)notice.step, notice.error, self->plan.program,
                           self->plan.launch.cwd, attempt_account(self->job), &self->message);
        self->seat.spent |= notice.step == STEP_CGROUP;
        self->trouble =
            notice.step == STEP_CGROUP || (notice.step == STEP_FORK && no_room(notice.error));
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
        if (self->state != SLOT_DRAINING) fire(self, EV_GONE);
        break;
    default:
        CHECK(false); /* notices come from this program */
    }
}

/* Seen at each turn of the loop: a directive raises the worker's descriptor. */
static void look_for_directive(slot_t *self)
{
    pawl_job_state state = pawl_job_state_of(self->job);
    bool ours = self->state == SLOT_RUNNING || self->state == SLOT_TERMINATING ||
                self->state == SLOT_KILLING;
    if (state == PAWL_CANCEL && ours) {
        if (self->cause == ENDING_NONE) self->cause = ENDING_CANCEL;
        if (self->state == SLOT_RUNNING) fire(self, EV_STOP); /* it may still be fenced */
    } else if (state == PAWL_FENCED && ours && self->cause != ENDING_FENCE) {
        self->cause = ENDING_FENCE;
        fire(self, EV_FENCE);
    }
}

static void on_pipe(slot_t *self, int which)
{
    read_pipe(self, which, 4);
    if (output_full(self->output) && !self->paused) pause_reading(self);
    if (self->state == SLOT_DRAINING && pipes_done(&self->pipes))
        fire(self, self->alive ? EV_LEFT : EV_GONE);
}

void slot_event(slot_t *self, uint64_t what)
{
    enum part part = (enum part)(what & 3);
    struct notice notice;
    if (part == PART_WARDEN && self->state != SLOT_IDLE)
        on_notice(self); /* it serves one job after the other; nothing of the last one is left */
    else if (part == PART_WARDEN && self->seat.warden >= 0 &&
             warden_notice(self->seat.warden, &notice) == EPIPE)
        seat_clear(&self->seat, &self->all->maker); /* it died idle: another with the next job */
    else if (part != PART_WARDEN && self->state != SLOT_IDLE &&
             self->generation == (uint32_t)(what >> 32))
        on_pipe(self, part == PART_ERR);
}

/* Each answer of the broker lets exclusive work go on. A dead warden is seen by its socket. */
static void extend(slot_t *self)
{
    if (self->until_us == INT64_MAX || self->state != SLOT_RUNNING) return;
    int64_t until_us = pawl_job_until_us(self->job);
    if (until_us <= self->until_us) return;
    self->until_us = until_us;
    (void)!warden_extend(self->seat.warden, until_us);
}

int64_t slot_deadline(const slot_t *self, int64_t now_us)
{
    if (self->state == SLOT_IDLE) return INT64_MAX;
    int64_t least = self->deadline_us;
    if (self->until_us != INT64_MAX && now_us + EXTEND_US < least) least = now_us + EXTEND_US;
    if (self->paused && now_us + PAUSE_US < least) least = now_us + PAUSE_US;
    return least;
}

static void retry_log(slot_t *self, int64_t now_us)
{
    if (self->state == SLOT_FLUSHING) {
        if (output_flush(self->output, true)) fire(self, EV_FLUSHED);
        return;
    }
    output_flush(self->output, false);
    if (!output_full(self->output) || now_us - self->paused_us > PATIENCE_US) resume_reading(self);
}

void slot_tick(slot_t *self, int64_t now_us)
{
    if (self->state != SLOT_IDLE) look_for_directive(self);
    if (self->state != SLOT_IDLE) extend(self);
    if (self->state != SLOT_IDLE && self->paused) retry_log(self, now_us);
    if (self->state == SLOT_IDLE || self->deadline_us > now_us) return;
    if (self->state == SLOT_DRAINING)
        fire(self, self->alive ? EV_LEFT : EV_GONE);
    else
        fire(self, EV_DEADLINE);
}

void slot_stop(slot_t *self, bool hard)
{
    if (self->state == SLOT_IDLE) return;
    if (self->cause == ENDING_NONE && (self->state == SLOT_RUNNING || self->state == SLOT_KILLING))
        self->cause = ENDING_DRAIN;
    fire(self, hard ? EV_FENCE : EV_STOP);
}

void slot_init(slot_t *self, slot_common_t *all, uint32_t number)
{
    *self = (slot_t){ .all = all,
                      .number = number,
                      .deadline_us = INT64_MAX,
                      .seat = SEAT_EMPTY,
                      .pipes = PIPES_NONE };
}

void slot_clear(slot_t *self)
{
    seat_clear(&self->seat, &self->all->maker); /* its warden kills the tree now */
    if (self->state != SLOT_IDLE) {
        pipes_close(&self->pipes);
        release(self);
    }
    spare_remove(&self->spare);
}
