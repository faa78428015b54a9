/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/shrink.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    size_t at; /* of the rate in swarm_t */
} faults[] = {
#define FAULT(name)                                                                                \
    {                                                                                              \
#name, offsetof(swarm_t, name)                                                             \
    }
    FAULT(loss),           FAULT(twice),           FAULT(cut),
    FAULT(partition),      FAULT(crash),           FAULT(commit_unknown),
    FAULT(commit_refused), FAULT(put_full),        FAULT(stall),
    FAULT(executor_crash), FAULT(executor_freeze), FAULT(executor_bye),
    FAULT(wall_step),      FAULT(purge),           FAULT(rezone),
#undef FAULT
};

bool faults_read(const char *names, faults_t *without)
{
    while (*names) {
        size_t len = strcspn(names, ","), i = 0;
        while (i < ARRAY_LEN(faults) &&
               (strlen(faults[i].name) != len || strncmp(faults[i].name, names, len) != 0))
            i++;
        if (i == ARRAY_LEN(faults)) return false;
        *without |= (faults_t)1 << i;
        names += len + (names[len] == ',');
    }
    return true;
}

void faults_print(faults_t without, char *to, size_t room)
{
    size_t len = 0;
    *to = '\0';
    for (size_t i = 0; i < ARRAY_LEN(faults) && len < room; i++)
        if (without >> i & 1)
            len += (size_t)snprintf(to + len, room - len, "%s%s", len ? "," : "", faults[i].name);
}

void faults_switch_off(swarm_t *swarm, faults_t without)
{
    for (size_t i = 0; i < ARRAY_LEN(faults); i++)
        if (without >> i & 1) memset((char *)swarm + faults[i].at, 0, sizeof(unsigned));
}

/* Halves the distance between a prefix that passes and one that fails. A run that is cut comes to
 * rest afterwards, so what fails late may also pass later on: the end is a prefix that fails, with
 * a shorter one by a step that does not. */
static void shorten(shrink_run_fn *run, uint64_t seed, uint64_t *events, faults_t without)
{
    uint64_t passes = 0, ran;
    while (*events - passes > 1) {
        uint64_t middle = passes + (*events - passes) / 2;
        if (run(seed, middle, without, &ran))
            *events = middle;
        else
            passes = middle;
    }
}

void shrink(shrink_run_fn *run, uint64_t seed, uint64_t *events, faults_t *without)
{
    uint64_t ran;
    if (run(seed, *events, *without, &ran) && ran < *events) {
        uint64_t as_far_as_it_came = ran;
        if (run(seed, ran, *without, &ran)) *events = as_far_as_it_came;
    }
    shorten(run, seed, events, *without);
    for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
        faults_t fewer = *without | (faults_t)1 << i;
        if (fewer != *without && run(seed, *events, fewer, &ran)) *without = fewer;
    }
}
