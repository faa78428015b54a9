/* SPDX-License-Identifier: Apache-2.0
 * verify.c - is memory what the store says? For tests and the simulator. */
#include "broker/core/inside.h"

#include <stdio.h>
#include <stdlib.h>

/* Memory as text, in an order that does not depend on how it came to be. */
static void dump(core_t *core, buf_t *to)
{
    buf_printf(to, "next n %llu seq %llu\n", (unsigned long long)core->meta.next_n,
               (unsigned long long)core->meta.next_seq);
    for (size_t kind = 0; kind < NAME_KINDS; kind++)
        for (size_t no = 0; no < core->names_n[kind]; no++) {
            const named_t *name = core->names[kind][no];
            if (name == NULL) continue;
            buf_printf(to, "name %zu.%zu %s flags %u counts", kind, no, name->name, name->flags);
            for (size_t i = 1; i < STATUS_KINDS; i++)
                buf_printf(to, " %llu", (unsigned long long)name->counts[i]);
            buf_printf(to, "\n");
        }
    for (size_t i = 1; i < STATUS_KINDS; i++)
        buf_printf(to, "count %zu %llu\n", i, (unsigned long long)core->counts[i]);
    for (size_t i = 0; i < core->lanes_n; i++)
        buf_printf(to, "lane %u waiting %u tasks %llu\n", core->lanes[i]->no,
                   core->lanes[i]->waiting, (unsigned long long)core->lanes[i]->tasks);
    uint64_t next = 0;
    for (size_t done = 0; done < core->runs.n; done++) { /* by number: small tables only */
        size_t at = 0;
        const run_t *least = NULL;
        for (const run_t *run; (run = map_next(&core->runs, &at)) != NULL;)
            if (run->n >= next && (least == NULL || run->n < least->n)) least = run;
        if (least == NULL) break;
        buf_printf(to, "run %llu token %llx executor %u attempt %u flags %u\n",
                   (unsigned long long)least->n, (unsigned long long)least->row.token,
                   least->row.executor, least->row.attempt, least->row.flags);
        next = least->n + 1;
    }
}

/* The lane has a task that the executor could be given. */
static bool misses(core_t *core, const executor_t *executor, lane_t *lane)
{
    bool may = lane->waiting > 0 && !lane->opened && executor_serves(executor, lane) &&
               !(name_at(core, NAME_QUEUE, lane->queue)->flags & REG_PAUSED);
    return may && (lane->target_kind != TARGET_HASH || lane_server(core, lane) == executor);
}

/* What is kept up to date for those that change only, looked at for all. */
static void look_at_executors(core_t *core, char *difference, size_t len)
{
    for (size_t i = 0; i < core->executors_n; i++) {
        const executor_t *executor = core->executors[i];
        const char *name = executor->name->name;
        int64_t due = executor_due_us(executor);
        if (executor->due_at ? executor->due_us != due : due != INT64_MAX)
            snprintf(difference, len, "executor %s is looked at at %lld instead of %lld", name,
                     (long long)(executor->due_at ? executor->due_us : INT64_MAX), (long long)due);
        uint32_t lost = 0;
        for (const run_t *run = executor->runs; run; run = run->next)
            lost += (run->row.flags & RUN_LOST) != 0;
        if (executor->lost != lost)
            snprintf(difference, len, "executor %s has %u lost leases instead of %u", name,
                     executor->lost, lost);
        if (executor->asks || core->ask_all) continue; /* dispatch will look */
        if (executor->room != crew_room(executor))
            snprintf(difference, len, "executor %s stands in line %d instead of %d", name,
                     (int)executor->room, (int)crew_room(executor));
        for (size_t k = 0; executor->room && k < core->lanes_n; k++)
            if (misses(core, executor, core->lanes[k]))
                snprintf(difference, len, "executor %s has room for what waits in lane %u", name,
                         core->lanes[k]->no);
    }
}

err_t core_verify(core_t *core, char *difference, size_t len)
{
    core_t *fresh = mem_new(sizeof *fresh);
    fresh->store = core->store;
    fresh->config = core->config;
    fresh->arena = core->arena;
    fresh->now_us = core->now_us;
    fresh->wall_us = core->wall_us;
    buf_t mine = { 0 }, theirs = { 0 };
    difference[0] = '\0';
    err_t err = store_begin(core->store);
    if (err == ERR_OK) {
        err = load_all(fresh);
        if (err == ERR_OK) err = families_verify(core, difference, len);
        store_abort(core->store);
    }
    if (err == ERR_OK && difference[0] == '\0') look_at_executors(core, difference, len);
    if (err == ERR_OK && difference[0] == '\0') {
        dump(core, &mine);
        dump(fresh, &theirs);
        size_t at = 0, line = 0;
        while (at < mine.len && at < theirs.len && mine.at[at] == theirs.at[at]) {
            line = mine.at[at] == '\n' ? at + 1 : line;
            at++;
        }
        if (mine.len != theirs.len || at < mine.len)
            snprintf(difference, len, "memory: %.100s | store: %.100s",
                     line < mine.len ? (char *)mine.at + line : "",
                     line < theirs.len ? (char *)theirs.at + line : "");
    }
    buf_free(&mine);
    buf_free(&theirs);
    forget_memory(fresh);
    executors_free(fresh);
    buf_free(&fresh->scratch);
    buf_free(&fresh->body);
    free(fresh);
    return err;
}
