/* SPDX-License-Identifier: Apache-2.0
 * executor/interpreters.h - which version each interpreter of the executor's file has.
 *
 * Each is asked once, at start, by `PROGRAM --version` and by what else its kind understands; all
 * at the same time, and within INTERPRETERS_WITHIN_MS all together: who hangs has no version. One
 * that cannot be started at all is not offered. */
#ifndef EXECUTOR_INTERPRETERS_H
#define EXECUTOR_INTERPRETERS_H

#include "client/base/conf.h"

enum { INTERPRETERS_WITHIN_MS = 3000, INTERPRETER_VERSION = 32 };

/* Called for each that is there; version "" when it did not tell. */
typedef void interpreter_fn(void *arg, const char *name, const char *version);
/* Of the map `allow.interpreters`. To be called before any thread exists. */
void interpreters_probe(const conf_t *conf, interpreter_fn *fn, void *arg);

/* The first version number in what a program said: "Python 3.11.2" is 3.11.2. "" if there is none.
 */
void interpreter_version(const char *said, char version[INTERPRETER_VERSION]);

#endif
