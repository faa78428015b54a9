/* SPDX-License-Identifier: Apache-2.0 */
#include "client/base/turn.h"

enum {
    HELD_AGAIN_US = 30000000, /* no room, and no time told: a push tells; this is the backstop */
    NOTHING_AGAIN_US = 50000, /* due, yet nothing was decided: the clocks differ a little */
};

int64_t turn_of_schedule(int64_t next_us, bool paused)
{
    return next_us && !paused ? next_us : TURN_NEVER;
}

int64_t turn_of_range(bool open, int64_t broker_us)
{
    return open ? broker_us : TURN_NEVER;
}

int64_t turn_after(const turn_answer_t *answer, int64_t broker_us)
{
    int64_t due = answer->next_us ? answer->next_us : TURN_NEVER, retry = answer->retry_us;
    if (retry == 0 && answer->held) retry = broker_us + HELD_AGAIN_US;
    if (retry == 0 && !answer->moved) retry = broker_us + NOTHING_AGAIN_US;
    if (answer->next_us && retry > due) due = retry;
    return answer->told_us < due ? answer->told_us : due;
}

int64_t turn_upto(int64_t jitter_us, int64_t broker_us)
{
    return (broker_us - jitter_us) / 1000000 * 1000000;
}
