/* SPDX-License-Identifier: Apache-2.0
 * executor/flags.h - the command line, and the configuration that file, environment and flags make.
 */
#ifndef EXECUTOR_FLAGS_H
#define EXECUTOR_FLAGS_H

#include "executor/config.h"

/* Fills `config` (config_new) and completes it. True: go on. False: leave with *exit_code; what was
 * asked for (--check-config, --print-config) or what is wrong has been said. Does not return from
 * --help, --version and wrong flags. */
bool flags_read(int argc, char **argv, executor_config_t *config, int *exit_code);

#endif
