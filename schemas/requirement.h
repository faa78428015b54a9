/* SPDX-License-Identifier: Apache-2.0
 * schemas/requirement.h - what a script asks of its interpreter: "python3", "python3>=3.11".
 *
 * Read by the check of a task, by dispatch (only an executor that has it gets the task) and by the
 * executor. Pure. A version is numbers divided by dots; missing ones are 0, what follows the last
 * number ("3.11rc1", "5.2.15(1)-release") is not looked at. */
#ifndef SCHEMAS_REQUIREMENT_H
#define SCHEMAS_REQUIREMENT_H

#include <stdbool.h>
#include <stddef.h>

/* Length of the name it begins with. 0: it cannot be read (no name, or no version behind the
 * operator: one of >= > <= < =). */
size_t requirement_name(const char *text);
/* Does an interpreter of that name and version ("": not known) do? Without an operator any version
 * does; with one, an unknown version never does. */
bool requirement_met(const char *text, const char *name, const char *version);

#endif
