/* SPDX-License-Identifier: Apache-2.0
 * client/cli/handlers.h - one function a row of the command table. Each returns the exit code. */
#ifndef CLI_HANDLERS_H
#define CLI_HANDLERS_H

#include "client/cli/cli.h"

#define HANDLERS(HANDLER)                                                                          \
    HANDLER(up)                                                                                    \
    HANDLER(run)                                                                                   \
    HANDLER(task_submit)                                                                           \
    HANDLER(task_list)                                                                             \
    HANDLER(task_show)                                                                             \
    HANDLER(task_wait)                                                                             \
    HANDLER(task_change)                                                                           \
    HANDLER(task_output)                                                                           \
    HANDLER(task_children)                                                                         \
    HANDLER(task_complete)                                                                         \
    HANDLER(logs)                                                                                  \
    HANDLER(schedule_add)                                                                          \
    HANDLER(schedule_set)                                                                          \
    HANDLER(schedule_list)                                                                         \
    HANDLER(schedule_show)                                                                         \
    HANDLER(schedule_why)                                                                          \
    HANDLER(schedule_change)                                                                       \
    HANDLER(schedule_preview)                                                                      \
    HANDLER(schedule_backfill)                                                                     \
    HANDLER(schedule_range)                                                                        \
    HANDLER(schedule_audit)                                                                        \
    HANDLER(schedule_explain)                                                                      \
    HANDLER(schedule_history)                                                                      \
    HANDLER(calendar_set)                                                                          \
    HANDLER(calendar_list)                                                                         \
    HANDLER(calendar_show)                                                                         \
    HANDLER(calendar_rm)                                                                           \
    HANDLER(watermark_list)                                                                        \
    HANDLER(watermark_show)                                                                        \
    HANDLER(watermark_change)                                                                      \
    HANDLER(when)                                                                                  \
    HANDLER(executor_list)                                                                         \
    HANDLER(executor_show)                                                                         \
    HANDLER(executor_change)                                                                       \
    HANDLER(queue_list)                                                                            \
    HANDLER(queue_change)                                                                          \
    HANDLER(peer_list)                                                                             \
    HANDLER(import_crontab)                                                                        \
    HANDLER(import_systemd)                                                                        \
    HANDLER(import_celery)                                                                         \
    HANDLER(import_xxl_job)                                                                        \
    HANDLER(export)                                                                                \
    HANDLER(schedule_apply)                                                                        \
    HANDLER(stats)                                                                                 \
    HANDLER(top)                                                                                   \
    HANDLER(events)                                                                                \
    HANDLER(why)                                                                                   \
    HANDLER(broker_status)                                                                         \
    HANDLER(broker_check)                                                                          \
    HANDLER(key_new)                                                                               \
    HANDLER(key_list)                                                                              \
    HANDLER(key_rm)                                                                                \
    HANDLER(completion)                                                                            \
    HANDLER(version)                                                                               \
    HANDLER(help)

#define HANDLER(name) int cmd_##name(cli_t *cli);
HANDLERS(HANDLER)
#undef HANDLER

/* "cancel" of `pawl task cancel`. */
const char *verb_of(const cli_t *cli);

#endif
