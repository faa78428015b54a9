/* SPDX-License-Identifier: Apache-2.0
 * client/time/hints.h - what a rule says that its author may not have meant.
 *
 * A hint blocks nothing: it is one line of what the rule does and what to type for what is often
 * meant by it. Complaints about other schedulers are where they come from. */
#ifndef TIME_HINTS_H
#define TIME_HINTS_H

#include "client/time/rule.h"

/* Called for each hint; `text` is valid during the call. */
typedef void hint_fn(void *arg, const char *text);

/* `text` is what `rule` was read from. `from`: changes of the clock in the 400 days behind it are
 * looked at. */
void rule_hints(const rule_t *rule, const char *text, int64_t from, hint_fn *fn, void *arg);

#endif
