/* SPDX-License-Identifier: Apache-2.0
 * client/cli/targets.h - says so when a task names executors that nobody knows: it would wait for
 * them in silence. */
#ifndef CLI_TARGETS_H
#define CLI_TARGETS_H

#include <jansson.h>

#include "client/cli/cli.h"

/* `task` as JSON. A line on stderr for those that are neither connected nor were lately; nothing
 * when all are known or the broker tells this key nothing of executors. */
void targets_warn(cli_t *cli, const json_t *task);

#endif
