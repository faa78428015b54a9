/* SPDX-License-Identifier: Apache-2.0 */
#include "client/base/seal.h"

#include <sys/prctl.h>
#include <sys/resource.h>

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED true
#elif defined(__has_feature)
#define SANITIZED __has_feature(address_sanitizer)
#else
#define SANITIZED false
#endif

static struct rlimit cores_before;
static bool sealed;

void seal_again(void)
{
    if (sealed && !SANITIZED) (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

void seal_process(void)
{
    if (!sealed && getrlimit(RLIMIT_CORE, &cores_before) == 0) {
        struct rlimit none = { 0, cores_before.rlim_max }; /* the hard one: children may go back */
        (void)setrlimit(RLIMIT_CORE, &none);
    }
    sealed = true;
    seal_again();
}

void seal_restore_cores(void)
{
    if (sealed) (void)setrlimit(RLIMIT_CORE, &cores_before);
}
