/* SPDX-License-Identifier: Apache-2.0
 * client/base/argv.h - the command line of a daemon, looked at before argp reads it: what argp
 * itself would say of a wrong one does not say why, nor what to type.
 *
 * For programs that take flags only; before any thread exists. */
#ifndef BASE_ARGV_H
#define BASE_ARGV_H

#include <argp.h>

/* Returns when argp will take all of it. Else prints what is wrong, why and what to type, and ends
 * the program with exit code 2. */
void argv_check(const char *program, const struct argp_option *options, int argc, char **argv);

#endif
