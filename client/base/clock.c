/* SPDX-License-Identifier: Apache-2.0 */
#include "client/base/clock.h"

#include <stdlib.h>
#include <time.h>

static int64_t read_us(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t clock_wall_us(void)
{
    return read_us(CLOCK_REALTIME);
}

int64_t clock_steady_us(void)
{
    return read_us(CLOCK_BOOTTIME);
}

void random_bytes(void *to, size_t len)
{
    arc4random_buf(to, len);
}
