/* SPDX-License-Identifier: Apache-2.0
 * What clients ask for, drawn at random: tasks and fan-outs, schedules, the times that a calendar
 * closes. One statement a draw: their order may not depend on the compiler. */
#include "tests/sim/wishes.h"

#include <stdio.h>
#include <time.h>

#include "client/base/ulid.h"

/* ---- tasks ----------------------------------------------------------------------------------- */

static void draw_place(sim_t *sim, Pawl__V1__Task *task, Pawl__V1__Target *target,
                       Pawl__V1__Retry *retry)
{
    static char *const queues[] = { (char *)(uintptr_t) "", (char *)(uintptr_t) "fast",
                                    (char *)(uintptr_t) "slow" };
    task->queue = queues[sim_below(sim, 3)];
    if (sim_coin(sim, 10)) {
        task->priority_set_case = PAWL__V1__TASK__PRIORITY_SET_PRIORITY;
        task->priority = (uint32_t)sim_below(sim, 10);
    }
    switch (sim_below(sim, 12)) {
    case 0:
        task->delay_us = sim_between(sim, 1, 20 * SEC_US);
        break;
    case 1:
        task->at_us = sim_wall_us(sim) + sim_between(sim, -5 * SEC_US, 30 * SEC_US);
        break;
    case 2:
        task->hold = true;
        break;
    default:
        break;
    }
    if (sim_coin(sim, 8)) task->expire_us = sim_between(sim, 1, 20 * SEC_US);
    if (sim_coin(sim, 20)) task->on_lost = PAWL__V1__ON_LOST__ON_LOST_FAIL;
    if (sim_coin(sim, 20)) task->exclusive = true;
    if (sim_coin(sim, 40)) {
        retry->max_attempts = 1 + (uint32_t)sim_below(sim, 4);
        retry->backoff_set_case = PAWL__V1__RETRY__BACKOFF_SET_BACKOFF_US;
        retry->backoff_us = sim_between(sim, 0, 3 * SEC_US);
        retry->cap_us = 5 * SEC_US;
        task->retry = retry;
    }
    if (sim_coin(sim, 5)) {
        if (sim_coin(sim, 50))
            target->executor = (char *)(uintptr_t) "worker-0";
        else
            target->host = (char *)(uintptr_t) "host-0";
        task->target = target;
    }
}

/* To some executors by name, to those of a label, or to so many of them. */
static void draw_fanout(sim_t *sim, Pawl__V1__Fanout *fanout)
{
    static char *names[] = { (char *)(uintptr_t) "worker-0", (char *)(uintptr_t) "worker-1",
                             (char *)(uintptr_t) "worker-2", (char *)(uintptr_t) "absent",
                             (char *)(uintptr_t) "worker-0" };
    static Pawl__V1__Label role, *labels[] = { &role };
    pawl__v1__fanout__init(fanout);
    pawl__v1__label__init(&role);
    role.key = (char *)(uintptr_t) "role";
    role.value = (char *)(uintptr_t) "web";
    if (sim_coin(sim, 40)) {
        fanout->executors = names;
        fanout->n_executors = 1 + sim_below(sim, ARRAY_LEN(names));
    } else {
        if (sim_coin(sim, 50)) {
            fanout->labels = labels;
            fanout->n_labels = 1;
        }
        if (sim_coin(sim, 30)) fanout->count = 1 + (uint32_t)sim_below(sim, 3);
        fanout->late_join = fanout->count == 0 && sim_coin(sim, 60);
    }
    fanout->done = (Pawl__V1__FanoutDone)sim_below(sim, 5);
    if (fanout->done == PAWL__V1__FANOUT_DONE__FANOUT_QUORUM)
        fanout->done_count = 1 + (uint32_t)sim_below(sim, 2);
    if (fanout->done == PAWL__V1__FANOUT_DONE__FANOUT_PERCENT)
        fanout->done_count = 1 + (uint32_t)sim_below(sim, 100);
    if (fanout->n_executors && fanout->done_count > fanout->n_executors)
        fanout->done_count = (uint32_t)fanout->n_executors;
    fanout->offline = (Pawl__V1__FanoutOffline)sim_below(sim, 4);
    bool waits = fanout->offline == PAWL__V1__FANOUT_OFFLINE__FANOUT_WAIT ||
                 (fanout->offline == 0 && fanout->n_executors) || fanout->late_join;
    if (waits) fanout->offline_us = sim_between(sim, 1, 30 * SEC_US);
    if (sim_coin(sim, 50)) fanout->parallel = 1 + (uint32_t)sim_below(sim, 2);
    if (fanout->parallel && sim_coin(sim, 40)) fanout->pause_us = sim_between(sim, 1, 5 * SEC_US);
    if (sim_coin(sim, 30)) fanout->stop_failures = 1 + (uint32_t)sim_below(sim, 2);
    if (sim_coin(sim, 10)) fanout->stop_percent = 1 + (uint32_t)sim_below(sim, 100);
    if (sim_coin(sim, 30)) {
        fanout->cancel_rest_set_case = PAWL__V1__FANOUT__CANCEL_REST_SET_CANCEL_REST;
        fanout->cancel_rest = sim_coin(sim, 50);
    }
    fanout->move = sim_coin(sim, 20);
}

/* It asks for more than a shell: an interpreter of some version, or a source. */
static void draw_needs(const uint8_t id[16], Pawl__V1__Task *task, Pawl__V1__Sql *sql)
{
    static char *const needs[] = { (char *)(uintptr_t) "python3",
                                   (char *)(uintptr_t) "python3>=3.10",
                                   (char *)(uintptr_t) "python3<3.11", (char *)(uintptr_t) "bash" };
    uint8_t bits = id[15];                 /* random already */
    if (task->fanout->n_executors) return; /* these may have nothing of it */
    if (id[14] % 3 == 0) task->queue = (char *)(uintptr_t) "fast";
    if (bits % 4 > 1) return;
    if (bits % 4 == 0) {
        task->type = (char *)(uintptr_t) "pawl/script";
        task->command->shell = (char *)(uintptr_t) "";
        task->command->script_text = (ProtobufCBinaryData){ 4, (uint8_t *)(uintptr_t) "pass" };
        task->command->interpreter = needs[bits / 4 % ARRAY_LEN(needs)];
        return;
    }
    pawl__v1__sql__init(sql);
    sql->source = (char *)(uintptr_t)(bits / 4 % 2 ? "ledger" : "db");
    sql->text = (char *)(uintptr_t) "SELECT 1";
    task->type = (char *)(uintptr_t) "pawl/sql";
    task->command = NULL;
    task->sql = sql;
}

void wishes_task(sim_t *sim, uint8_t id[16], buf_t *to)
{
    Pawl__V1__Task task = PAWL__V1__TASK__INIT;
    Pawl__V1__Command command = PAWL__V1__COMMAND__INIT;
    Pawl__V1__Target target = PAWL__V1__TARGET__INIT;
    Pawl__V1__Retry retry = PAWL__V1__RETRY__INIT;
    static char *const keys[] = { (char *)(uintptr_t) "key-0", (char *)(uintptr_t) "key-1",
                                  (char *)(uintptr_t) "key-2" };
    static uint8_t big[2600];
    uint8_t random[10];
    sim_bytes(sim, random, sizeof random);
    ulid_t drawn = ulid_make(sim_wall_us(sim) + sim_between(sim, -SEC_US, SEC_US), random);
    memcpy(id, drawn.at, 16);
    task.id = (ProtobufCBinaryData){ 16, id };
    if (sim_coin(sim, 60)) {
        task.type = (char *)(uintptr_t) "pawl/shell";
        command.shell = (char *)(uintptr_t) "true";
        task.command = &command;
    } else {
        task.type = (char *)(uintptr_t) "mail/send";
        if (sim->swarm.keys && sim_coin(sim, 30)) task.key = keys[sim_below(sim, 3)];
        if (sim_coin(sim, 5)) {
            memset(big, '1', sizeof big);
            task.input.data = big;
            task.input.len = sizeof big;
        }
    }
    draw_place(sim, &task, &target, &retry);
    if (strcmp(task.type, "mail/send") == 0 && task.target && task.target->host[0])
        task.target = NULL; /* not everybody on that host takes the type */
    rows_wish_t rows;
    if (sim->swarm.producers && task.command && sim_coin(sim, 12))
        rows_draw(sim, &task, &rows, false);
    Pawl__V1__Fanout fanout;
    Pawl__V1__Sql sql;
    if (sim->swarm.fanouts && task.command && sim_coin(sim, 12)) {
        draw_fanout(sim, &fanout);
        task.fanout = &fanout;
        task.target = NULL;
        task.queue = (char *)(uintptr_t) ""; /* the one that everybody serves */
        if (!task.sql) draw_needs(id, &task, &sql);
    }
    wire_pack(&task.base, buf_room, to);
}

/* ---- schedules ------------------------------------------------------------------------------- */

static void stamp(int64_t wall_us, char *to, size_t len)
{
    time_t seconds = (time_t)(wall_us / SEC_US);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    strftime(to, len, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

/* A minute rule beside another one. */
static char *also_rule(sim_t *sim, char *text, size_t len)
{
    static const int minutes[] = { 3, 7, 20 };
    bool slow = sim->swarm.slow_schedules;
    if (sim->swarm.years)
        snprintf(text, len, "%d 5 * * *", minutes[sim_below(sim, 3)]);
    else
        snprintf(text, len, "*/%d * * * *", minutes[slow ? 2 : sim_below(sim, 3)]);
    return text;
}

/* Forms beside one rule: a fixed delay, several rules, calendars, a number of firings. */
static void draw_forms(sim_t *sim, schedule_wish_t *wish)
{
    Pawl__V1__Schedule *schedule = &wish->schedule;
    if (sim_coin(sim, sim->swarm.choices ? 40 : 15)) {
        schedule->after_us = sim_between(sim, SEC_US, 40 * SEC_US);
        schedule->rule = (char *)(uintptr_t) "";
        schedule->jitter_us = schedule->window_us = 0;
    } else if (strcmp(schedule->zone, "UTC") == 0) {
        if (sim_coin(sim, 20)) {
            wish->also[0] = also_rule(sim, wish->second, sizeof wish->second);
            schedule->also = wish->also;
            schedule->n_also = 1;
        }
        if (sim_coin(sim, 25)) {
            wish->calendars[0] =
                (char *)(uintptr_t)(sim_coin(sim, 50) ? "calendar-0" : "calendar-1");
            schedule->calendars = wish->calendars;
            schedule->n_calendars = 1;
        }
    }
    if (sim_coin(sim, 10)) schedule->max_firings = 1 + sim_below(sim, 6);
}

size_t wishes_closed(sim_t *sim, char texts[WISHES_CLOSED][64])
{
    size_t n = 1 + sim_below(sim, WISHES_CLOSED);
    for (size_t i = 0; i < n; i++) {
        char from[40], to[40];
        int64_t at = sim_wall_us(sim) + sim_between(sim, -100 * SEC_US, 300 * SEC_US);
        stamp(at, from, sizeof from);
        stamp(at + sim_between(sim, SEC_US, 200 * SEC_US), to, sizeof to);
        snprintf(texts[i], sizeof texts[i], "%.19s..%.19s", from, to);
    }
    return n;
}

static void draw_rule(sim_t *sim, Pawl__V1__Schedule *schedule, char *text, size_t len)
{
    static const int minutes[] = { 1, 2, 5, 10, 15, 30 };
    static const int steps[] = { 2, 3, 5, 7, 10, 20, 45, 90 };
    bool slow = sim->swarm.slow_schedules;
    char at[40];
    int minute;
    schedule->zone = (char *)(uintptr_t) "UTC";
    if (sim->swarm.years) { /* a jump makes hundreds of instants, not a million */
        minute = (int)sim_below(sim, 60);
        bool paris = sim_coin(sim, 50); /* often in the hour that its clock skips or repeats */
        int hour = paris && sim_coin(sim, 50) ? 2 : (int)sim_below(sim, 24);
        snprintf(text, len, "%d %d * * *", minute, hour);
        if (paris) schedule->zone = (char *)(uintptr_t) "Europe/Paris";
        return;
    }
    switch (sim_below(sim, 12)) {
    case 0:
    case 1:
        snprintf(text, len, "*/%d * * * *",
                 minutes[slow ? 3 + sim_below(sim, 3) : sim_below(sim, 6)]);
        break;
    case 2:
        minute = (int)sim_below(sim, 60);
        snprintf(text, len, "%d */%d * * *", minute, 1 + (int)sim_below(sim, 4));
        break;
    case 3: /* drawn one after the other: compilers differ in the order of arguments */
        minute = minutes[slow ? 4 : sim_below(sim, 5)];
        snprintf(text, len, sim_coin(sim, 40) ? "*/%d 1-3 * * *" : "*/%d * * * *", minute);
        schedule->zone = (char *)(uintptr_t) "Europe/Paris";
        break;
    case 4:
        stamp(sim_wall_us(sim) + sim_between(sim, -20 * SEC_US, 60 * SEC_US), at, sizeof at);
        snprintf(text, len, "@at %s", at);
        break;
    default:
        stamp(sim_wall_us(sim) + sim_between(sim, -1000 * SEC_US, 20 * SEC_US), at, sizeof at);
        snprintf(text, len, "@every %ds from %s",
                 slow ? 600 + (int)sim_below(sim, 900) : steps[sim_below(sim, ARRAY_LEN(steps))],
                 at);
    }
    schedule->rule = text;
}

static void draw_policies(sim_t *sim, Pawl__V1__Schedule *schedule)
{
    schedule->mode = (Pawl__V1__Mode)(1 + sim_below(sim, 3));
    schedule->overlap = (Pawl__V1__Overlap)sim_below(sim, 8);
    if (schedule->mode == PAWL__V1__MODE__MODE_STRICT && sim_coin(sim, 80))
        schedule->overlap = sim_coin(sim, 50) ? PAWL__V1__OVERLAP__OVERLAP_QUEUE_ALL
                                              : PAWL__V1__OVERLAP__OVERLAP_ALLOW;
    if (schedule->mode == PAWL__V1__MODE__MODE_STRICT && sim_coin(sim, 50)) {
        schedule->live_first = true;
        if (sim_coin(sim, 50)) schedule->order = PAWL__V1__ORDER__ORDER_NEWEST;
    }
    if (sim_coin(sim, 30)) {
        schedule->warn_set_case = PAWL__V1__SCHEDULE__WARN_SET_WARN;
        schedule->warn = (uint32_t)sim_below(sim, 4);
    }
    schedule->ahead = (uint32_t)sim_below(sim, 5);
    schedule->rate = (uint32_t)sim_below(sim, 20);
    schedule->max_running = (uint32_t)sim_below(sim, 3);
    if (sim_coin(sim, 25)) {
        bool type = sim_coin(sim, 50);
        schedule->overlap_scope = type ? PAWL__V1__SCOPE__SCOPE_TYPE : PAWL__V1__SCOPE__SCOPE_KEY;
        if (!type) schedule->overlap_key = (char *)(uintptr_t) "{queue}/{type}";
    }
    if (sim_coin(sim, 30)) schedule->jitter_us = sim_between(sim, 1, 8 * SEC_US);
    if (sim_coin(sim, 20)) {
        schedule->grace_set_case = PAWL__V1__SCHEDULE__GRACE_SET_GRACE_US;
        schedule->grace_us = sim_between(sim, 0, 60 * SEC_US);
    }
    if (sim_coin(sim, 20)) schedule->window_us = sim_between(sim, SEC_US, 100 * SEC_US);
    if (sim_coin(sim, 20)) {
        schedule->start_by_set_case = PAWL__V1__SCHEDULE__START_BY_SET_START_BY_US;
        schedule->start_by_us = sim_between(sim, 0, 30 * SEC_US);
    }
    if (sim_coin(sim, 20)) {
        schedule->supersede_set_case = PAWL__V1__SCHEDULE__SUPERSEDE_SET_SUPERSEDE;
        schedule->supersede = sim_coin(sim, 50);
    }
    if (sim_coin(sim, 10))
        schedule->from_us = sim_wall_us(sim) + sim_between(sim, -SEC_US, 20 * SEC_US);
    if (sim_coin(sim, 10))
        schedule->to_us = sim_wall_us(sim) + sim_between(sim, SEC_US, 90 * SEC_US);
}

void wishes_schedule(sim_t *sim, char *name, schedule_wish_t *wish)
{
    Pawl__V1__Schedule *schedule = &wish->schedule;
    Pawl__V1__Task task = PAWL__V1__TASK__INIT;
    Pawl__V1__Command command = PAWL__V1__COMMAND__INIT;
    pawl__v1__schedule__init(schedule);
    schedule->name = name;
    draw_rule(sim, schedule, wish->rule, sizeof wish->rule);
    draw_policies(sim, schedule);
    draw_forms(sim, wish);
    pawl__v1__label__init(&wish->team);
    wish->labels[0] = &wish->team;
    wish->team.key = (char *)(uintptr_t) "team";
    wish->team.value = (char *)(uintptr_t)(sim_coin(sim, 50) ? "a" : "b");
    schedule->labels = wish->labels;
    schedule->n_labels = sim->swarm.choices && sim_coin(sim, 70);
    task.type = (char *)(uintptr_t) "pawl/shell";
    command.shell = (char *)(uintptr_t) "true";
    task.command = &command;
    if (sim_coin(sim, 20)) task.on_lost = PAWL__V1__ON_LOST__ON_LOST_FAIL;
    if (sim_coin(sim, 30)) task.title = schedule->name;
    rows_wish_t rows;
    Pawl__V1__Fanout fanout;
    if (sim->swarm.producers && sim_coin(sim, 20)) {
        rows_draw(sim, &task, &rows, true);
    } else if (sim->swarm.fanouts && sim_coin(sim, 20)) {
        draw_fanout(sim, &fanout);
        task.fanout = &fanout;
    }
    schedule->task =
        (ProtobufCBinaryData){ pawl__v1__task__pack(&task, wish->packed), wish->packed };
}
