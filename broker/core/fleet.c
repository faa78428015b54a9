/* SPDX-License-Identifier: Apache-2.0
 * fleet.c - what people do to executors by hand: drained, resumed, stopped, retired. */
#include "broker/core/inside.h"

#include <stdlib.h>

/* Meant is the process that is connected now, however often it loses its connection: another life
 * under its name works again. Who is not connected cannot be told whether it ends. */
static err_t stop_process(core_t *core, named_t *name, const Pawl__V1__ExecutorChange *change,
                          Pawl__V1__Reply *reply)
{
    executor_t *executor = executor_for(core, name);
    if (executor->conn == 0) {
        refuse(core, reply, ERR_WRONG_STATUS, "name",
               "executor \"%s\" is not connected, so nothing would end: stop its process where it "
               "runs, or drain it, which is remembered until it comes",
               change->name);
        return ERR_OK;
    }
    name->flags |= REG_ENDING;
    name->value = executor->incarnation8;
    core->hosts_stamp++;
    executor_changed(core, executor);
    TRY(name_save(core, name));
    executor->end_within_us = change->deadline_us;
    executor_tell_end(core, executor);
    reply_done(core, reply);
    return journal_add(core, EVENT_EXECUTOR_STOPPED, name->no, 0, 0);
}

/* Forgotten as a member of fan-outs; a Hello under its name makes it a new one. */
static err_t retire(core_t *core, named_t *name, const Pawl__V1__ExecutorChange *change,
                    Pawl__V1__Reply *reply)
{
    const executor_t *executor = executor_for(core, name);
    if (executor->conn || executor->runs) {
        refuse(core, reply, ERR_WRONG_STATUS, "name",
               executor->conn ? "executor \"%s\" is connected: stop it first"
                              : "executor \"%s\" holds tasks still: they end with their leases, "
                                "or when it is back",
               change->name);
        return ERR_OK;
    }
    bool known;
    TRY(enrol_forget(core, name->no, &known));
    if (!known) {
        refuse(core, reply, ERR_NOT_FOUND, "name", "executor \"%s\" is not enrolled", change->name);
        return ERR_OK;
    }
    name->flags &= (uint8_t)~REG_DRAINED;
    name->since_wall_us = core->wall_us;
    free(name->reason);
    name->reason = mem_text(change->reason);
    TRY(name_save(core, name));
    reply_done(core, reply);
    return journal_add(core, EVENT_EXECUTOR_RETIRED, name->no, 0, 0);
}

err_t executor_change(core_t *core, const command_t *command, Pawl__V1__Reply *reply)
{
    const Pawl__V1__ExecutorChange *change = command->request->executor_change;
    named_t *name = name_find(core, NAME_EXECUTOR, change->name);
    if (name == NULL) {
        refuse(core, reply, ERR_NOT_FOUND, "name", "no executor \"%s\" is known here",
               change->name);
        return ERR_OK;
    }
    if (change->verb == PAWL__V1__EXECUTOR_VERB__EXECUTOR_STOP)
        return stop_process(core, name, change, reply);
    if (change->verb == PAWL__V1__EXECUTOR_VERB__EXECUTOR_RETIRE)
        return retire(core, name, change, reply);
    if (change->drain)
        name->flags |= REG_DRAINED;
    else
        name->flags &= (uint8_t)~REG_DRAINED;
    core->hosts_stamp++;
    name->since_wall_us = core->wall_us;
    free(name->reason);
    name->reason = mem_text(change->reason);
    TRY(name_save(core, name));
    TRY(journal_add(core, change->drain ? EVENT_EXECUTOR_DRAINED : EVENT_EXECUTOR_RESUMED, name->no,
                    0, 0));
    executor_t *executor = executor_for(core, name);
    executor_changed(core, executor);
    executor_directive(core, executor,
                       change->drain ? PAWL__V1__DIRECTIVE_KIND__DIRECTIVE_DRAIN
                                     : PAWL__V1__DIRECTIVE_KIND__DIRECTIVE_RESUME,
                       NULL);
    if (executor->conn) out_add(core, OUT_DRAIN, executor->conn)->flag = change->drain;
    reply_done(core, reply);
    return ERR_OK;
}
