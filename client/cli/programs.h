/* SPDX-License-Identifier: Apache-2.0
 * client/cli/programs.h - where Pawl's other programs and the state of `pawl up` are. */
#ifndef CLI_PROGRAMS_H
#define CLI_PROGRAMS_H

#include <jansson.h>

/* Beside this program. */
const char *program_path(const char *name);
/* How a person would call this program in another terminal: `pawl` when that is found, else its
 * path. */
const char *program_called(void);
const char *default_state(void); /* ~/.local/share/pawl */
/* A folder or a socket stands for the endpoint there; what is neither yet is a folder, unless its
 * name ends with .sock. */
const char *endpoint_of(const char *given);
/* The folder that a broker with this endpoint (or folder, or socket) keeps its state in: that of
 * its socket. NULL: on another machine, or no folder is named. */
const char *state_of_endpoint(const char *given);
/* Where cron starts the commands of an account: the HOME among `env` (an object), else the home
 * that this machine knows of it. NULL: neither. */
const char *cron_home(const json_t *env, const char *account);

#endif
