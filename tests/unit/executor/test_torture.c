/* SPDX-License-Identifier: Apache-2.0
 * The torture set: commands that try to stay. Each is started, killed when it is at its worst, and
 * must have left nothing: no process with its marker 2 s after the kill, no zombie, no memory. On a
 * busy machine what is killed may need longer to die: one command in ten may, and dies all the
 * same.
 *
 * PAWL_TORTURE_RUNS: how many runs of the whole set (default 50, some 500 commands). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/wait.h>

#include "executor/process/cgroup.h"
#include "executor/process/helper.h"
#include "executor/output.h"
#include "executor/process/tree.h"
#include "tests/unit/executor/process_kit.h"

enum { GONE_WITHIN_MS = 2000, RUNS = 50, LATE_OF = 10 };

static const struct {
    const char *name, *text;
    unsigned processes; /* wait for so many before the kill */
    bool needs_cgroup;  /* faster than any sweep by hand */
} tortures[] = {
    { "double fork", "(sh -c 'sleep 300 & sleep 300 &' &) ; sleep 300", 3, false },
    { "setsid", "setsid sh -c 'setsid sleep 300 & setsid sleep 300' & sleep 300", 4, false },
    { "ignores TERM", "trap '' TERM INT HUP; sleep 300 & while :; do sleep 300; done", 3, false },
    { "closed stdio", "exec <&- >&- 2>&-; setsid sleep 300 & sleep 300", 2, false },
    { "stopped", "sleep 300 & kill -STOP $!; setsid sh -c 'kill -STOP $$' & kill -STOP $$", 3,
      false },
    { "renamed", "(exec -a '[kworker/0:1]' sleep 300) & (exec -a sshd sleep 300) & wait", 1,
      false },
    { "endless output", "yes & setsid yes & yes >&2", 3, false },
    { "kills its parent", "sh -c 'sleep 300 & kill -9 $PPID; sleep 300'; :", 2, false },
    { "kills its warden", "sleep 300 & setsid sleep 300 & sleep 0.02; kill -9 $PPID; sleep 300", 0,
      false },
    { "empty environment", "env -i setsid sleep 300 & env -i sleep 300 & sleep 300", 2, false },
    { "fork loop", "f() { (sleep 0.01; f) & }; f; f; f; f; f; f; wait; sleep 300", 3, true },
};

static helper_t *helper;
static cgroup_t *cgroup;

static unsigned cgroups;

static int new_warden(bool with_cgroup)
{
    int sock, fd = with_cgroup ? cgroup_child(cgroup, cgroups++) : -1;
    assert_int_equal(helper_warden(helper, fd, &sock), ERR_OK);
    if (fd >= 0) close(fd);
    return sock;
}

static int take_all(void *arg, int stream, const void *bytes, size_t len)
{
    (void)arg, (void)stream, (void)bytes, (void)len;
    return 0;
}

static void skip_all(void *arg, uint64_t len)
{
    (void)arg, (void)len;
}

static void drain(struct command *command, output_t *output)
{
    static char bytes[65536];
    for (int i = 0; i < 16; i++) {
        ssize_t got = read(i % 2 ? command->err : command->out, bytes, sizeof bytes);
        if (got > 0) output_add(output, 1 + i % 2, bytes, (size_t)got);
    }
}

/* True: it was gone in time. */
static bool torture(const char *name, const char *text, unsigned processes, bool with_cgroup)
{
    bool kills_warden = strcmp(name, "kills its warden") == 0;
    int sock = new_warden(with_cgroup);
    char mark[96];
    snprintf(mark, sizeof mark, "%s", mark_new());
    char *envp[] = { mark, (char *)"PATH=/usr/bin:/bin", NULL };
    char *argv[] = { (char *)"/bin/bash", (char *)"-c", (char *)(uintptr_t)text, NULL };
    struct command command;
    output_t *output = output_new(&(struct output_sink){ take_all, skip_all, NULL });
    assert_int_equal(command_run(&command, sock, argv, envp, NULL), 0);
    if (!mark_becomes(mark, processes, true, PATIENCE_MS)) fail_msg("%s: did not come up", name);
    drain(&command, output);
    bool lost = warden_kill(sock) == EPIPE; /* the command was faster: the helper cleans up */
    assert_true(!lost || kills_warden);
    int64_t killed = clock_steady_us();
    bool late = false;
    for (bool over = lost; !over;) {
        struct notice notice = command_notice(&command, PATIENCE_MS);
        if (notice.kind == 0 && !kills_warden) fail_msg("%s: the warden said nothing", name);
        over = notice.kind == 0 || notice.kind == NOTICE_GONE ||
               (notice.kind == NOTICE_EXITED && !notice.alive);
        late |= notice.survivors > 0; /* so far: the warden goes on */
    }
    if (!mark_becomes(mark, 0, false, PATIENCE_MS)) fail_msg("%s: survivors", name);
    late |= clock_steady_us() - killed > GONE_WITHIN_MS * INT64_C(1000);
    output_destroy(&output);
    command_close(&command);
    close(sock);
    return !late;
}

/* Below the helper there is nothing but wardens that end: no zombie, no stranger. */
static void expect_nothing_below_the_helper(void)
{
    pid_t pids[256];
    int64_t deadline = clock_steady_us() + PATIENCE_MS * INT64_C(1000);
    while (tree_find(helper_pid(helper), pids, ARRAY_LEN(pids)) > 0) {
        assert_true(clock_steady_us() < deadline);
        poll(NULL, 0, 5);
    }
}

static void nothing_of_the_torture_set_survives(void **state)
{
    (void)state;
    const char *asked = getenv("PAWL_TORTURE_RUNS");
    int runs = asked && atoi(asked) > 0 ? atoi(asked) : RUNS;
    unsigned done = 0, left_out = 0, late = 0;
    for (int run = 0; run < runs; run++)
        for (size_t i = 0; i < ARRAY_LEN(tortures); i++) {
            bool with_cgroup = cgroup && (run % 2 || tortures[i].needs_cgroup);
            if (tortures[i].needs_cgroup && !cgroup) {
                left_out++;
                continue;
            }
            late +=
                !torture(tortures[i].name, tortures[i].text, tortures[i].processes, with_cgroup);
            done++;
        }
    expect_nothing_below_the_helper();
    print_message("%u commands, 0 survivors, %u gone later than after 2 s; %u left out (fork loop "
                  "without a cgroup)\n",
                  done, late, left_out);
    assert_true(late * LATE_OF <= done);
}

static int start_all(void **state)
{
    (void)state;
    char why[128];
    cgroup = cgroup_open("/tmp/pawl-test-torture", why, sizeof why);
    return 0;
}

static int stop_all(void **state)
{
    (void)state;
    bool gone = helper_stop(&helper, PATIENCE_MS);
    cgroup_close(&cgroup);
    return gone ? 0 : -1;
}

int main(void)
{
    if (helper_start(&helper) != ERR_OK) return 1;
    const struct CMUnitTest tests[] = { cmocka_unit_test(nothing_of_the_torture_set_survives) };
    return cmocka_run_group_tests(tests, start_all, stop_all);
}
