/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "client/base/clock.h"
#include "executor/process/cgroup.h"
#include "executor/process/helper.h"
#include "executor/process/tree.h"
#include "tests/unit/executor/process_kit.h"

static helper_t *helper; /* forked before the first test: nothing else runs yet */
static cgroup_t *cgroup;

struct fixture {
    int sock;
    bool with_cgroup;
    char mark[96];
    char *envp[4];
};

static int one_warden(void **state, int cgroup_fd)
{
    struct fixture *self = mem_new(sizeof *self);
    snprintf(self->mark, sizeof self->mark, "%s", mark_new());
    self->envp[0] = self->mark;
    self->envp[1] = (char *)"PATH=/usr/bin:/bin";
    *state = self;
    return helper_warden(helper, cgroup_fd, &self->sock) == ERR_OK ? 0 : -1;
}

static int set_up(void **state)
{
    return one_warden(state, -1);
}

static int cgroup_warden(int *sock)
{
    static unsigned number;
    int fd = cgroup ? cgroup_child(cgroup, number++) : -1;
    int failed = helper_warden(helper, fd, sock) == ERR_OK ? 0 : -1;
    if (fd >= 0) close(fd);
    return failed;
}

static int set_up_cgroup(void **state)
{
    if (one_warden(state, -1) != 0) return -1;
    struct fixture *self = *state;
    close(self->sock);
    self->with_cgroup = cgroup != NULL;
    return cgroup_warden(&self->sock);
}

static int tear_down(void **state)
{
    struct fixture *self = *state;
    close(self->sock);
    bool clean = mark_becomes(self->mark, 0, false, PATIENCE_MS);
    free(self);
    return clean ? 0 : -1;
}

static struct command shell(struct fixture *self, const char *text)
{
    struct command command;
    char *argv[] = { (char *)"/bin/sh", (char *)"-c", (char *)(uintptr_t)text, NULL };
    assert_int_equal(command_run(&command, self->sock, argv, self->envp, NULL), 0);
    return command;
}

static void expect_exit(struct command *command, int code)
{
    struct notice notice = command_notice(command, PATIENCE_MS);
    assert_int_equal(notice.kind, NOTICE_EXITED);
    assert_true(WIFEXITED(notice.status));
    assert_int_equal(WEXITSTATUS(notice.status), code);
}

static void a_command_ends_with_its_exit_code_and_output(void **state)
{
    struct command command = shell(*state, "echo hello; exit 3");
    char text[64];
    assert_int_equal(command_read(&command, text, sizeof text, PATIENCE_MS), 6);
    assert_string_equal(text, "hello\n");
    struct notice notice = command_notice(&command, PATIENCE_MS);
    assert_int_equal(notice.kind, NOTICE_EXITED);
    assert_int_equal(WEXITSTATUS(notice.status), 3);
    assert_int_equal(notice.alive, 0);
    assert_true(notice.rss_bytes > 0);
    command_close(&command);
}

static void a_command_killed_by_a_signal_says_which(void **state)
{
    struct command command = shell(*state, "kill -USR1 $$");
    struct notice notice = command_notice(&command, PATIENCE_MS);
    assert_true(WIFSIGNALED(notice.status));
    assert_int_equal(WTERMSIG(notice.status), SIGUSR1);
    command_close(&command);
}

static void a_warden_runs_one_command_after_another(void **state)
{
    for (int i = 0; i < 50; i++) {
        struct command command = shell(*state, i % 2 ? "exit 1" : "exit 0");
        expect_exit(&command, i % 2);
        command_close(&command);
    }
}

static void expect_refusal(struct fixture *self, const char *program, const launch_t *more,
                           int step, int error)
{
    struct command command;
    char *argv[] = { (char *)(uintptr_t)program, NULL };
    assert_int_equal(command_run(&command, self->sock, argv, self->envp, more), 0);
    struct notice notice = command_notice(&command, PATIENCE_MS);
    assert_int_equal(notice.kind, NOTICE_REFUSED);
    assert_int_equal(notice.step, step);
    assert_int_equal(notice.error, error);
    command_close(&command);
}

static void what_cannot_start_is_refused_with_the_step_and_the_reason(void **state)
{
    struct fixture *self = *state;
    expect_refusal(self, "/nonexistent/program", NULL, STEP_EXEC, ENOENT);
    expect_refusal(self, "pawl-no-such-program", NULL, STEP_EXEC, ENOENT);
    expect_refusal(self, "/etc/passwd", NULL, STEP_EXEC, EACCES);
    expect_refusal(self, "/bin/true", &(launch_t){ .cwd = "/nonexistent" }, STEP_CWD, ENOENT);
    struct command command = shell(self, "exit 0"); /* and the warden goes on */
    expect_exit(&command, 0);
    command_close(&command);
}

static void a_program_that_is_no_format_is_refused(void **state)
{
    char path[] = "/tmp/pawl-format-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0 && write(fd, "neither nor", 11) == 11 && fchmod(fd, 0700) == 0);
    close(fd);
    expect_refusal(*state, path, NULL, STEP_EXEC, ENOEXEC);
    unlink(path);
}

static void the_child_has_no_foreign_descriptors_signals_or_privileges(void **state)
{
    struct fixture *self = *state;
    struct command command =
        shell(self, "ls /proc/self/fd | wc -l; grep -E '^(SigBlk|SigIgn|NoNewPrivs)' "
                    "/proc/self/status | tr '\\n' ' '; umask; ulimit -n");
    command_notice(&command, PATIENCE_MS);
    char text[512];
    command_read(&command, text, sizeof text, PATIENCE_MS);
    /* 0, 1, 2 and the folder that ls reads */
    assert_string_equal(text, "4\nSigBlk:\t0000000000000000 SigIgn:\t0000000000000000 "
                              "NoNewPrivs:\t1 0027\n"
                              "77\n");
    command_close(&command);
}

static void limits_and_the_folder_are_those_of_the_launch(void **state)
{
    struct fixture *self = *state;
    struct command command;
    launch_t more = { .mask = 0022, .cwd = "/usr", .limit_count = 1 };
    more.limits[0] = (struct launch_limit){ RLIMIT_NOFILE, 64 };
    char *argv[] = { (char *)"sh", (char *)"-c", (char *)"pwd; ulimit -n; umask", NULL };
    assert_int_equal(command_run(&command, self->sock, argv, self->envp, &more), 0);
    expect_exit(&command, 0);
    char text[64];
    command_read(&command, text, sizeof text, PATIENCE_MS);
    assert_string_equal(text, "/usr\n64\n0022\n");
    command_close(&command);
}

static void an_account_is_taken_whole_or_not_at_all(void **state)
{
    struct fixture *self = *state;
    launch_t more = { .mask = 0022, .switch_user = true, .uid = 65534, .gid = 65534 };
    if (geteuid() != 0) {
        expect_refusal(self, "/usr/bin/id", &more, STEP_ACCOUNT, EPERM);
        return;
    }
    struct command command;
    char *argv[] = { (char *)"id", (char *)"-G", NULL };
    assert_int_equal(command_run(&command, self->sock, argv, self->envp, &more), 0);
    expect_exit(&command, 0);
    char text[64];
    command_read(&command, text, sizeof text, PATIENCE_MS);
    assert_string_equal(text, "65534\n");
    command_close(&command);
}

static void a_launch_larger_than_a_socket_buffer_arrives_whole(void **state)
{
    struct fixture *self = *state;
    enum { LONG = 120000 };
    char *word = mem_new(LONG + 1);
    memset(word, 'x', LONG);
    struct command command;
    char *argv[] = { (char *)"/bin/sh",
                     (char *)"-c",
                     (char *)"echo ${#1} ${#2} ${#3}",
                     (char *)"sh",
                     word,
                     word,
                     word,
                     NULL };
    assert_int_equal(command_run(&command, self->sock, argv, self->envp, NULL), 0);
    expect_exit(&command, 0);
    char text[64];
    command_read(&command, text, sizeof text, PATIENCE_MS);
    assert_string_equal(text, "120000 120000 120000\n");
    command_close(&command);
    free(word);
}

/* Starts `text`, waits until `processes` of it run, kills, and expects that none is left. */
static void expect_no_survivor(struct fixture *self, const char *text, unsigned processes)
{
    struct command command = shell(self, text);
    assert_true(mark_becomes(self->mark, processes, true, PATIENCE_MS));
    assert_int_equal(warden_kill(self->sock), 0);
    struct notice notice = command_notice(&command, PATIENCE_MS);
    bool exited = notice.kind == NOTICE_EXITED;
    assert_true(exited);
    if (notice.alive) notice = command_notice(&command, PATIENCE_MS);
    assert_int_equal(notice.survivors, 0);
    assert_int_equal(mark_count(self->mark), 0);
    assert_int_equal(notice.last, self->with_cgroup);
    command_close(&command);
    if (notice.last) {
        close(self->sock);
        assert_int_equal(cgroup_warden(&self->sock), 0);
    }
}

static void a_kill_takes_the_whole_tree(void **state)
{
    struct fixture *self = *state;
    static const struct {
        const char *text;
        unsigned processes;
    } cases[] = {
        { "sleep 300 & sleep 300 & wait", 3 },
        { "setsid sleep 300 & wait", 2 },
        { "(setsid sh -c 'sleep 300 & sleep 300' &) ; sleep 300", 3 },
        { "trap '' TERM INT HUP; sleep 300 & while :; do sleep 300; done", 3 },
        { "exec >&- 2>&- <&-; sleep 300 & sleep 300", 2 },
        { "sleep 300 & kill -STOP $!; kill -STOP $$", 2 },
        { "(exec -a sshd sleep 300) 2>/dev/null & sleep 300", 2 },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        expect_no_survivor(self, cases[i].text, cases[i].processes);
}

static void what_may_run_until_a_moment_is_killed_then_unless_it_was_extended(void **state)
{
    struct fixture *self = *state;
    char *argv[] = { (char *)"/bin/sh", (char *)"-c",
                     (char *)"trap '' TERM; setsid sleep 300 & echo begun; sleep 300", NULL };
    char *envp[] = { NULL };
    launch_t launch = { .mask = 0027, .argv = argv, .envp = envp };
    int out[2], null = open("/dev/null", O_RDWR | O_CLOEXEC);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    int64_t begun = clock_steady_us();
    assert_int_equal(
        warden_run(self->sock, &launch, (int[3]){ null, out[1], null }, begun + 3000000), 0);
    close(out[1]);
    assert_int_equal(warden_extend(self->sock, begun + 3600000), 0);
    assert_int_equal(warden_extend(self->sock, begun + 3300000), 0); /* never back */
    struct command command = { .sock = self->sock, .out = out[0], .err = -1 };
    struct notice notice = command_notice(&command, PATIENCE_MS);
    assert_int_equal(notice.kind, NOTICE_EXITED);
    assert_true(notice.cut_off);
    assert_true(clock_steady_us() >= begun + 3600000);
    while (notice.kind == NOTICE_EXITED && notice.alive)
        notice = command_notice(&command, PATIENCE_MS);
    assert_int_equal(notice.survivors, 0);
    char text[64];
    ssize_t got;
    while ((got = read(out[0], text, sizeof text)) > 0)
        ; /* its end: nobody holds the pipe any more */
    assert_int_equal(got, 0);
    close(out[0]);
    close(null);
}

static void terminate_reaches_stopped_processes_and_those_in_other_sessions(void **state)
{
    struct fixture *self = *state;
    struct command command = shell(self, "setsid sleep 300 & sleep 300 & kill -STOP $!; "
                                         "trap 'exit 7' TERM; echo up; while :; do wait; done");
    char text[16];
    assert_int_equal(command_read(&command, text, sizeof text, PATIENCE_MS), 3);
    assert_int_equal(warden_terminate(self->sock), 0);
    expect_exit(&command, 7);
    assert_true(mark_becomes(self->mark, 0, false, PATIENCE_MS));
    command_close(&command);
}

static void it_ends_when_the_process_ends_not_when_its_pipes_do(void **state)
{
    struct fixture *self = *state;
    struct command command = shell(self, "sleep 300 & exit 0");
    struct notice notice = command_notice(&command, PATIENCE_MS);
    assert_int_equal(notice.kind, NOTICE_EXITED);
    assert_int_equal(notice.alive, 1);
    assert_int_equal(warden_kill(self->sock), 0);
    notice = command_notice(&command, PATIENCE_MS);
    assert_int_equal(notice.kind, NOTICE_GONE);
    assert_int_equal(notice.survivors, 0);
    assert_int_equal(mark_count(self->mark), 0);
    command_close(&command);
}

static void what_is_left_and_ends_by_itself_is_told(void **state)
{
    struct fixture *self = *state;
    struct command command = shell(self, "(read x < /dev/zero; :) & sleep 0.05 & exit 0");
    struct notice notice = command_notice(&command, PATIENCE_MS);
    assert_int_equal(notice.kind, NOTICE_EXITED);
    assert_int_equal(warden_kill(self->sock), 0);
    if (notice.alive) assert_int_equal(command_notice(&command, PATIENCE_MS).kind, NOTICE_GONE);
    command_close(&command);
    command = shell(self, "exit 4"); /* a late kill does not touch the next command */
    expect_exit(&command, 4);
    command_close(&command);
}

static void a_dead_warden_leaves_nothing(void **state)
{
    struct fixture *self = *state;
    struct command command = shell(self, "setsid sleep 300 & sleep 300 & echo $PPID; wait");
    char text[32];
    assert_true(command_read(&command, text, sizeof text, PATIENCE_MS) > 0);
    assert_true(mark_becomes(self->mark, 3, true, PATIENCE_MS));
    pid_t warden = (pid_t)atoi(text);
    assert_true(warden > 1 && warden != getpid());
    kill(warden, SIGKILL);
    assert_int_equal(command_notice(&command, PATIENCE_MS).kind, 0);
    assert_true(mark_becomes(self->mark, 0, false, PATIENCE_MS));
    command_close(&command);
}

/* A stand-in for the executor: helper, warden, a tree; then it is killed as by `kill -9`. */
static void a_killed_executor_leaves_nothing(void **state)
{
    struct fixture *self = *state;
    int ready[2];
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    pid_t executor = fork();
    assert_true(executor >= 0);
    if (executor == 0) {
        helper_t *own;
        struct fixture inner = *self;
        struct command command;
        if (helper_start(&own) != ERR_OK || helper_warden(own, -1, &inner.sock) != ERR_OK) _exit(1);
        char *argv[] = { (char *)"/bin/sh", (char *)"-c",
                         (char *)"trap '' TERM; setsid sleep 300 & sleep 300 & wait", NULL };
        if (command_run(&command, inner.sock, argv, inner.envp, NULL) != 0) _exit(1);
        for (char byte = 'r';;) {
            ssize_t put = write(ready[1], &byte, 1);
            (void)put;
            pause();
        }
    }
    char byte;
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_true(mark_becomes(self->mark, 3, true, PATIENCE_MS));
    kill(executor, SIGKILL);
    waitpid(executor, NULL, 0);
    assert_true(mark_becomes(self->mark, 0, false, PATIENCE_MS));
    close(ready[0]);
    close(ready[1]);
}

static void a_cgroup_ends_even_a_fork_loop(void **state)
{
    struct fixture *self = *state;
    if (!cgroup) skip(); /* needs cgroup v2 with cgroup.kill: the sweep makes no promise here */
    for (int round = 0; round < 5; round++)
        expect_no_survivor(self, "f() { (sleep 0.01; f) & }; f; f; f; f; wait; sleep 300", 2);
}

static int start_all(void **state)
{
    (void)state;
    char why[128];
    cgroup = cgroup_open("/tmp/pawl-test-warden", why, sizeof why);
    if (!cgroup) print_message("cgroup cases are skipped: %s\n", why);
    return helper ? 0 : -1;
}

static int stop_all(void **state)
{
    (void)state;
    bool gone = helper_stop(&helper, PATIENCE_MS);
    cgroup_close(&cgroup);
    return gone ? 0 : -1;
}

#define case_of(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
#define cgroup_case(test)                                                                          \
    {                                                                                              \
#test "(cgroup)", test, set_up_cgroup, tear_down, NULL                                     \
    }

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
/* This program is linked with as many libraries as the executor. */
static void its_forks_copy_the_mappings_of_no_library_but_the_c_library(void **state)
{
    struct fixture *self = *state;
    pid_t pids[16];
    char path[64], line[512];
    struct command command;
    char *argv[] = { (char *)"true", NULL };
    assert_int_equal(command_run(&command, self->sock, argv, self->envp, NULL), 0);
    assert_int_equal(command_notice(&command, PATIENCE_MS).kind,
                     NOTICE_EXITED); /* so it is there */
    command_close(&command);
    size_t n = tree_children(helper_pid(helper), pids, ARRAY_LEN(pids));
    assert_true(n > 0);
    snprintf(path, sizeof path, "/proc/%d/maps", (int)pids[n - 1]);
    FILE *maps = fopen(path, "re");
    assert_non_null(maps);
    unsigned c_library = 0;
    while (fgets(line, sizeof line, maps)) {
        if (!strstr(line, ".so")) continue;
        bool wanted = strstr(line, "/libc.so") || strstr(line, "/ld-linux");
        if (!wanted) fail_msg("%s", line);
        c_library++;
    }
    fclose(maps);
    assert_true(c_library > 0);
}
#endif

int main(void)
{
    struct rlimit files = { 77, 77 };
    if (setrlimit(RLIMIT_NOFILE, &files) != 0 || helper_start(&helper) != ERR_OK) return 1;
    const struct CMUnitTest tests[] = {
        case_of(a_command_ends_with_its_exit_code_and_output),
        case_of(a_command_killed_by_a_signal_says_which),
        case_of(a_warden_runs_one_command_after_another),
        case_of(what_cannot_start_is_refused_with_the_step_and_the_reason),
        case_of(a_program_that_is_no_format_is_refused),
        case_of(the_child_has_no_foreign_descriptors_signals_or_privileges),
        case_of(limits_and_the_folder_are_those_of_the_launch),
        case_of(an_account_is_taken_whole_or_not_at_all),
        case_of(a_launch_larger_than_a_socket_buffer_arrives_whole),
        case_of(a_kill_takes_the_whole_tree),
        case_of(what_may_run_until_a_moment_is_killed_then_unless_it_was_extended),
        case_of(terminate_reaches_stopped_processes_and_those_in_other_sessions),
        case_of(it_ends_when_the_process_ends_not_when_its_pipes_do),
        case_of(what_is_left_and_ends_by_itself_is_told),
        case_of(a_dead_warden_leaves_nothing),
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
        case_of(its_forks_copy_the_mappings_of_no_library_but_the_c_library),
#endif
        case_of(a_killed_executor_leaves_nothing),
        cgroup_case(a_command_ends_with_its_exit_code_and_output),
        cgroup_case(a_kill_takes_the_whole_tree),
        cgroup_case(a_cgroup_ends_even_a_fork_loop),
    };
    return cmocka_run_group_tests_name("warden", tests, start_all, stop_all);
}
