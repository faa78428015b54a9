/* SPDX-License-Identifier: Apache-2.0
 * executor/process/lean.h - makes the children of a process small, for one that only ever forks.
 *
 * A fork copies the list of mappings, and the exec that follows frees the copy: with the some forty
 * libraries that the executor is linked with this was a third of what a short command cost. Of
 * those the helper, the wardens and their children call the C library alone. */
#ifndef EXECUTOR_LEAN_H
#define EXECUTOR_LEAN_H

#include "client/base/base.h"

/* From now on children of this process have no mapping of any library but the C library and the
 * loader (madvise(2), MADV_DONTFORK). They must not call into another one: fork by _Fork or clone,
 * which call no handlers that libraries have registered. Does nothing, and returns 0, where symbols
 * are bound as they are called first (the search goes through all libraries) or a sanitizer is
 * built in. Returns how many mappings are left out. */
unsigned lean_children(void);

#endif
