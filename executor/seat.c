/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/seat.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

void seat_clear(seat_t *self, const seat_maker_t *maker)
{
    if (self->warden < 0) return;
    close(self->warden);
    if (maker->cgroup) cgroup_drop(maker->cgroup, self->cgroup);
    *self = SEAT_EMPTY;
}

void seat_lost(seat_t *self, const seat_maker_t *maker)
{
    epoll_ctl(maker->epoll, EPOLL_CTL_DEL, self->warden, NULL); /* its end would wake us for ever */
    self->spent = true;
}

static bool make_warden(seat_t *self, seat_maker_t *maker, uint64_t what)
{
    int cgroup_fd = -1;
    if (maker->cgroup) {
        self->cgroup = maker->cgroups++;
        cgroup_fd = cgroup_child(maker->cgroup, self->cgroup);
        if (cgroup_fd < 0)
            return false; /* never outside of it: its tree would be killed by sweep */
    }
    err_t err = helper_warden(maker->helper, cgroup_fd, &self->warden);
    struct epoll_event event = { .events = EPOLLIN, .data.u64 = what };
    bool made = !err && epoll_ctl(maker->epoll, EPOLL_CTL_ADD, self->warden, &event) == 0;
    int error = errno;
    if (cgroup_fd >= 0) close(cgroup_fd);
    if (err && maker->cgroup) cgroup_drop(maker->cgroup, self->cgroup);
    if (err) self->warden = -1;
    if (!made) seat_clear(self, maker);
    errno = error;
    return made;
}

bool seat_prepare(seat_t *self, seat_maker_t *maker, const struct config_limits *limits,
                  uint64_t what)
{
    if (self->spent) seat_clear(self, maker);
    if (self->warden < 0 && !make_warden(self, maker, what)) return false;
    if (!cgroup_has_limits(maker->cgroup)) return true;
    self->oom_kills = limits->memory ? cgroup_oom_kills(maker->cgroup, self->cgroup) : 0;
    if (cgroup_limit(maker->cgroup, self->cgroup, limits->memory, limits->processes)) return true;
    self->spent = errno == ENOENT || errno == ENODEV; /* somebody removed its cgroup */
    return false;
}

bool seat_out_of_memory(const seat_t *self, const seat_maker_t *maker,
                        const struct config_limits *limits)
{
    return limits->memory && cgroup_has_limits(maker->cgroup) &&
           cgroup_oom_kills(maker->cgroup, self->cgroup) > self->oom_kills;
}
