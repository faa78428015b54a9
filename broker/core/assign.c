/* SPDX-License-Identifier: Apache-2.0
 * assign.c - what executors are sent: leases, gathered in a batch and sent as one Assign, and
 * directives. */
#include "broker/core/inside.h"

enum { LEASE_BYTES = 128 /* of a Lease in an Assign, beside its texts; at most */ };

void executor_direct(core_t *core, executor_t *executor, Pawl__V1__Directive *directive)
{
    if (executor->conn == 0) return; /* it is told after its Hello */
    Pawl__V1__Directive *list[] = { directive };
    Pawl__V1__Directives all = PAWL__V1__DIRECTIVES__INIT;
    Pawl__V1__Push push = PAWL__V1__PUSH__INIT;
    all.directives = list;
    all.n_directives = 1;
    push.body_case = PAWL__V1__PUSH__BODY_DIRECTIVES;
    push.directives = &all;
    out_push(core, executor->conn, &push, false);
}

void executor_directive(core_t *core, executor_t *executor, Pawl__V1__DirectiveKind kind,
                        const run_t *run)
{
    Pawl__V1__Directive directive = PAWL__V1__DIRECTIVE__INIT;
    directive.kind = kind;
    if (run) {
        directive.id.data = (uint8_t *)(uintptr_t)run->id;
        directive.id.len = 16;
        directive.token = run->row.token;
    }
    executor_direct(core, executor, &directive);
}

void executor_withhold(executor_t *executor, const run_t *run)
{
    size_t kept = 0;
    for (size_t i = 0; i < executor->pending_n; i++)
        if (executor->pending[i]->id.data != run->id)
            executor->pending[kept++] = executor->pending[i];
    executor->pending_n = kept;
}

/* The leases that were gathered leave as one Assign. */
static void push(core_t *core, executor_t *executor)
{
    if (executor->conn && executor->pending_n) {
        Pawl__V1__Assign assign = PAWL__V1__ASSIGN__INIT;
        Pawl__V1__Push message = PAWL__V1__PUSH__INIT;
        assign.number = ++executor->assign_no;
        assign.leases = executor->pending;
        assign.n_leases = executor->pending_n;
        message.body_case = PAWL__V1__PUSH__BODY_ASSIGN;
        message.assign = &assign;
        out_push(core, executor->conn, &message, true);
        executor->assign_sent_us = core->now_us;
    }
    executor->pending_n = executor->pending_bytes = 0;
}

void executor_assign(core_t *core, run_t *run, Pawl__V1__Lease *lease)
{
    executor_t *executor = run->executor;
    size_t bytes = lease->task.len + strlen(lease->schedule) + LEASE_BYTES;
    if (executor->pending_n == LIMIT_ITEMS || executor->pending_bytes + bytes > LIMIT_MESSAGE)
        push(core, executor);
    if (executor->pending_n == executor->pending_room) {
        executor->pending_room = executor->pending_room ? executor->pending_room * 2 : 64;
        executor->pending =
            mem_grow(executor->pending, executor->pending_room * sizeof *executor->pending);
    }
    executor_changed(core, executor);
    executor->pending[executor->pending_n++] = lease;
    executor->pending_bytes += bytes;
    core->assigned_bytes += bytes;
    run->assign_no = executor->assign_no + 1;
}

void executors_push(core_t *core)
{
    for (size_t i = 0; i < core->changed_n; i++) {
        executor_t *executor = core->changed[i];
        if (executor->told_held_dirty && executor->conn) {
            executor->told_held_dirty = false;
            out_add(core, OUT_HELD, executor->conn)->count = executor_used(executor);
        }
        push(core, executor);
    }
    executors_wind(core);
}
