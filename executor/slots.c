/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/slots.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/base/clock.h"
#include "client/base/log.h"
#include "executor/attempt.h"
#include "executor/ending.h"
#include "executor/lines.h"
#include "executor/output.h"
#include "executor/pipes.h"
#include "executor/seat.h"
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
    TYPICAL_OF = 8,        /* attempts that the typical time remembers, about */
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
    seat_t seat;         /* stays from job to job, as does: */
    spare_t spare;

    pawl_job_t *job;
    int64_t taken_us; /* steady */
    int64_t until_us; /* steady: exclusive work has ended by then; INT64_MAX: no bound */
    char id[PAWL_ID_TEXT];
    enum ending_cause cause;
    pipes_t pipes;
    bool paused;       /* pipes are not read: the SDK's buffer is full */
    int64_t paused_us; /* since */
    output_t *output;
    lines_t *lines; /* what a script says; NULL: it is not heard */
    shell_plan_t plan;
    int64_t limit_us;
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
    seat_maker_t maker;
    size_t count, busy;
    int64_t typical_us; /* how long attempts take, the late ones counting most */
    uint8_t *bytes;     /* PIPES_READ */
    int null;           /* for commands that read nothing */
    struct slot slots[];
};

typedef void action_fn(struct slot *self);

/* ---- small things ---------------------------------------------------------------------------- */

static uint64_t what_of(const struct slot *self, enum part part)
{
    return (uint64_t)self->generation << 32 | (uint64_t)self->number << 10 | (SLOTS_FIRST + 1) |
           (uint64_t)part;
}

static void set_deadline(struct slot *self, int64_t after_us)
{
    int64_t now = clock_steady_us();
    self->deadline_us = after_us > INT64_MAX - now ? INT64_MAX : now + after_us;
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
    pipes_unwatch(&self->pipes, self->all->setup.epoll);
}

static void resume_reading(struct slot *self)
{
    self->paused = false;
    pipes_watch(&self->pipes, self->all->setup.epoll, what_of(self, PART_OUT));
}

static void hear(void *arg, int which, const uint8_t *bytes, size_t len)
{
    struct slot *self = arg;
    output_add(self->output, which + 1, bytes, len);
    if (which == 0 && self->lines) lines_hear(self->lines, bytes, len);
}

static void read_pipe(struct slot *self, int which, int rounds)
{
    pipes_read(&self->pipes, which, rounds, self->all->bytes, hear, self);
}

/* ---- the machine ----------------------------------------------------------------------------- */

static void fire(struct slot *self, enum event event);

static void order(struct slot *self, int failed)
{
    if (failed) fire(self, EV_LOST);
}

static void terminate(struct slot *self)
{
    if (self->cause == ENDING_NONE) self->cause = ENDING_TIMEOUT; /* nobody asked: the clock did */
    set_deadline(self, self->all->setup.config->kill_grace_us);
    order(self, warden_terminate(self->seat.warden));
}

static void kill_now(struct slot *self)
{
    set_deadline(self, SWEEP_US);
    order(self, warden_kill(self->seat.warden));
}

static void drain(struct slot *self)
{
    set_deadline(self, DRAIN_US);
    pipes_end(&self->pipes);
    for (int i = 0; i < 2; i++)
        read_pipe(self, i, 32);
    if (pipes_done(&self->pipes)) fire(self, self->alive ? EV_LEFT : EV_GONE);
}

static void close_output(struct slot *self)
{
    pipes_end(&self->pipes);
    for (int i = 0; i < 2; i++)
        read_pipe(self, i, 64); /* what still stands in it, 4 MiB at most */
    pipes_close(&self->pipes);
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
    self->seat.spent = true;
    self->cause = self->cause == ENDING_NONE ? ENDING_LOST : self->cause;
    flush(self);
}

/* The warden does not say that all are gone: it may be hung, and takes no further command. */
static void leave(struct slot *self)
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

static void release(struct slot *self)
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
    self->state = IDLE;
    self->deadline_us = INT64_MAX;
    self->generation++;
    self->all->busy--;
    if (self->seat.spent) seat_clear(&self->seat, &self->all->maker);
}

static pawl_err give_result(struct slot *self)
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
        [EV_DEADLINE] = { FLUSHING, leave },
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

static int order_run(struct slot *self)
{
    seat_maker_t *maker = &self->all->maker;
    const shell_plan_t *plan = &self->plan;
    const int stdio[3] = { plan->stdin_fd >= 0 ? plan->stdin_fd : self->all->null,
                           self->pipes.out[0], self->pipes.out[1] };
    if (!seat_prepare(&self->seat, maker, &plan->limits, what_of(self, PART_WARDEN))) return errno;
    return warden_run(self->seat.warden, &plan->launch, stdio, self->until_us);
}

static bool launch(struct slot *self)
{
    int failed = pipes_open(&self->pipes) ? order_run(self) : errno;
    if (failed == EPIPE) { /* the warden died while idle: another one, once */
        seat_clear(&self->seat, &self->all->maker);
        failed = order_run(self);
    }
    if (failed) {
        launch_explain(STEP_FORK, failed, self->plan.program, NULL, NULL, &self->message);
        self->exit_code = 126;
        self->trouble = no_room(failed);
    }
    return !failed;
}

/* The plan of the attempt; false: refused, message and exit code are set. */
static bool make_plan(struct slot *self)
{
    struct attempt_place place = { self->all->setup.config, self->all->setup.work, &self->spare };
    if (attempt_plan(&self->plan, self->job, self->id, &place, &self->message, &self->exit_code))
        return true;
    self->trouble = no_room(self->plan.error);
    return false;
}

void slots_take(slots_t *self, pawl_job_t *job)
{
    struct slot *slot = self->slots;
    while (slot < self->slots + self->count && slot->state != IDLE)
        slot++;
    CHECK(slot < self->slots + self->count);
    *slot = (struct slot){ .all = self,
                           .number = slot->number,
                           .generation = slot->generation,
                           .state = RUNNING,
                           .deadline_us = INT64_MAX,
                           .seat = slot->seat,
                           .spare = slot->spare,
                           .job = job,
                           .taken_us = clock_steady_us(),
                           .pipes = PIPES_NONE,
                           .plan = { .stdin_fd = -1 } };
    self->busy++;
    pawl_id_print(pawl_job_id(job), slot->id);
    slot->output = output_new(&(struct output_sink){ put_log, skip_log, slot });
    if (strcmp(pawl_job_type(job), "pawl/script") == 0) {
        slot->lines = mem_new(sizeof *slot->lines);
        slot->lines->progress = tell_progress;
        slot->lines->arg = slot;
    }
    pawl_job_started(job, clock_wall_us());

    slot->until_us = pawl_job_until_us(job);
    bool in_time = slot->until_us > clock_steady_us();
    if (!in_time) slot->cause = ENDING_CUT_OFF;
    bool started = in_time && make_plan(slot) && launch(slot);
    if (slot->plan.stdin_fd >= 0) close(slot->plan.stdin_fd);
    slot->plan.stdin_fd = -1;
    slot->limit_us = pawl_record_int(pawl_job_task(job), "time_limit_us");
    if (slot->limit_us <= 0) slot->limit_us = slot->plan.limits.time_limit_us;
    if (!started) {
        fire(slot, EV_REFUSED);
        return;
    }
    resume_reading(slot);
    if (slot->limit_us > 0) set_deadline(slot, slot->limit_us);
}

/* ---- events ---------------------------------------------------------------------------------- */

static void on_notice(struct slot *self)
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
    if (self->state == DRAINING && pipes_done(&self->pipes))
        fire(self, self->alive ? EV_LEFT : EV_GONE);
}

void slots_event(slots_t *self, uint64_t what)
{
    uint32_t number = (uint32_t)what >> 10;
    CHECK(number < self->count);
    struct slot *slot = &self->slots[number];
    enum part part = (enum part)(what & 3);
    struct notice notice;
    if (part == PART_WARDEN && slot->state != IDLE)
        on_notice(slot); /* it serves one job after the other; nothing of the last one is left */
    else if (part == PART_WARDEN && slot->seat.warden >= 0 &&
             warden_notice(slot->seat.warden, &notice) == EPIPE)
        seat_clear(&slot->seat, &self->maker); /* it died idle: another one with the next job */
    else if (part != PART_WARDEN && slot->state != IDLE &&
             slot->generation == (uint32_t)(what >> 32))
        on_pipe(slot, part == PART_ERR);
}

/* Each answer of the broker lets exclusive work go on. A dead warden is seen by its socket. */
static void extend(struct slot *self)
{
    if (self->until_us == INT64_MAX || self->state != RUNNING) return;
    int64_t until_us = pawl_job_until_us(self->job);
    if (until_us <= self->until_us) return;
    self->until_us = until_us;
    (void)!warden_extend(self->seat.warden, until_us);
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
    self->maker = (seat_maker_t){ setup->helper, setup->cgroup, 0, setup->epoll };
    self->bytes = mem_new(PIPES_READ);
    self->null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    CHECK(self->null >= 0);
    self->typical_us = PAWL_SEC_US; /* until the first have ended */
    for (size_t i = 0; i < count; i++)
        self->slots[i] = (struct slot){ .all = self,
                                        .number = (uint32_t)i,
                                        .deadline_us = INT64_MAX,
                                        .seat = SEAT_EMPTY,
                                        .pipes = PIPES_NONE };
    return self;
}

void slots_destroy(slots_t **self_p)
{
    slots_t *self = *self_p;
    if (!self) return;
    for (size_t i = 0; i < self->count; i++) {
        struct slot *slot = &self->slots[i];
        seat_clear(&slot->seat, &self->maker); /* its warden kills the tree now */
        if (slot->state != IDLE) {
            pipes_close(&slot->pipes);
            release(slot);
        }
        spare_remove(&slot->spare);
    }
    close(self->null);
    free(self->bytes);
    free(self);
    *self_p = NULL;
}
