/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "executor/process/helper.h"
#include "executor/kind_shell.h"
#include "tests/unit/executor/process_kit.h"

static helper_t *helper;

struct fixture {
    char work[64];
    executor_config_t *config;
    int sock;
};

static int set_up(void **state)
{
    struct fixture *self = mem_new(sizeof *self);
    *state = self;
    snprintf(self->work, sizeof self->work, "/tmp/pawl-work-XXXXXX");
    self->config = config_new();
    char why[256];
    bool fine = mkdtemp(self->work) && chmod(self->work, 0711) == 0 &&
                config_complete(self->config, why, sizeof why) == ERR_OK &&
                helper_warden(helper, -1, &self->sock) == ERR_OK;
    return fine ? 0 : -1;
}

static int tear_down(void **state)
{
    struct fixture *self = *state;
    close(self->sock);
    config_destroy(&self->config);
    int failed = rmdir(self->work); /* every attempt took its folder away */
    free(self);
    return failed;
}

static shell_task_t task_of(void)
{
    return (shell_task_t){ .id = "01ARZ3NDEKTSV4RRFFQ69G5FAV",
                           .type = "pawl/shell",
                           .schedule = "nightly",
                           .attempt = 2,
                           .token = 17,
                           .planned_us = INT64_C(1796086800000000),
                           .shell = "",
                           .interpreter = "",
                           .cwd = "",
                           .account = "",
                           .script_file = "",
                           .completion = "00ff" };
}

/* Runs the task; its output is in `text` and its exit code is returned. `output` (may be NULL) gets
 * what it left in PAWL_OUTPUT. */
static int run(struct fixture *self, const shell_task_t *task, char *text, size_t room,
               buf_t *output)
{
    shell_plan_t plan;
    buf_t message = { 0 };
    int code, out[2];
    assert_true(shell_plan_make(&plan, self->config, self->work, task, &message, &code));
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    if (plan.stdin_fd < 0) plan.stdin_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_int_equal(
        warden_run(self->sock, &plan.launch, (int[3]){ plan.stdin_fd, out[1], out[1] }, INT64_MAX),
        0);
    close(out[1]);
    size_t len = 0;
    for (ssize_t got; (got = read(out[0], text + len, room - 1 - len)) > 0;)
        len += (size_t)got;
    text[len] = 0;
    close(out[0]);
    struct notice notice = command_notice(&(struct command){ .sock = self->sock }, PATIENCE_MS);
    assert_int_equal(notice.kind, NOTICE_EXITED);
    if (output)
        assert_int_equal(workfolder_read(plan.folder, "output.json", 1 << 20, output), ERR_OK);
    workfolder_remove(plan.folder);
    shell_plan_release(&plan);
    return WEXITSTATUS(notice.status);
}

static void expect_refusal(struct fixture *self, const shell_task_t *task, int want_code,
                           const char *says)
{
    shell_plan_t plan;
    buf_t message = { 0 };
    int code;
    assert_false(shell_plan_make(&plan, self->config, self->work, task, &message, &code));
    assert_int_equal(code, want_code);
    assert_non_null(strstr((char *)message.at, says));
    if (*plan.folder) workfolder_remove(plan.folder);
    shell_plan_release(&plan);
    buf_free(&message);
}

static void the_environment_is_exactly_what_is_documented(void **state)
{
    struct fixture *self = *state;
    setenv("PAWL_BROKER__SECRET", "never", 1);
    setenv("LD_DEBUG_OUTPUT", "never", 1);
    setenv("LANG", "C.UTF-8", 1);
    shell_task_t task = task_of();
    struct shell_env env[] = { { "COLOUR", "blue=1" }, { "PAWL_COMPLETION", "" } };
    task.env = env;
    task.env_count = 2;
    const char *argv[] = { "/usr/bin/env" };
    task.argv = argv;
    task.argc = 1;
    char text[4096], wanted[512];
    assert_int_equal(run(self, &task, text, sizeof text, NULL), 0);
    static const char *const lines[] = { "\nLANG=C.UTF-8\n",
                                         "\nPAWL_TASK_ID=01ARZ3NDEKTSV4RRFFQ69G5FAV\n",
                                         "\nPAWL_TYPE=pawl/shell\n",
                                         "\nPAWL_ATTEMPT=2\n",
                                         "\nPAWL_TOKEN=17\n",
                                         "\nPAWL_PLANNED=2026-12-01T01:00:00Z\n",
                                         "\nPAWL_SCHEDULE=nightly\n",
                                         "\nPAWL_COMPLETION=00ff\n",
                                         "\nCOLOUR=blue=1\n",
                                         "\nHOME=/",
                                         "\nUSER=" };
    assert_int_equal(strncmp(text, "PATH=", 5), 0);
    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        assert_non_null(strstr(text, lines[i]));
    snprintf(wanted, sizeof wanted, "\nPAWL_INPUT=%s/01ARZ3NDEKTSV4RRFFQ69G5FAV-17/input.json\n",
             self->work);
    assert_non_null(strstr(text, wanted));
    unsigned count = 0;
    for (const char *at = text; (at = strchr(at, '\n')); at++)
        count++;
    assert_int_equal(count, 14);
    unsetenv("PAWL_BROKER__SECRET");
    unsetenv("LD_DEBUG_OUTPUT");
}

static void a_command_line_goes_to_the_shell_and_argv_does_not(void **state)
{
    struct fixture *self = *state;
    char text[256];
    shell_task_t task = task_of();
    task.shell = "echo $((6*7)) | cat; exit 5";
    assert_int_equal(run(self, &task, text, sizeof text, NULL), 5);
    assert_string_equal(text, "42\n");
    task.shell = "";
    const char *argv[] = { "echo", "$((6*7))", "; exit 5" };
    task.argv = argv;
    task.argc = 3;
    assert_int_equal(run(self, &task, text, sizeof text, NULL), 0);
    assert_string_equal(text, "$((6*7)) ; exit 5\n");
}

static void input_comes_by_file_and_on_stdin_and_output_goes_back_by_file(void **state)
{
    struct fixture *self = *state;
    char text[256];
    shell_task_t task = task_of();
    task.input = slice_text("{\"n\":1}");
    task.shell = "cat; cat $PAWL_INPUT; echo '{\"ok\":true}' > $PAWL_OUTPUT";
    buf_t output = { 0 };
    assert_int_equal(run(self, &task, text, sizeof text, &output), 0);
    assert_string_equal(text, "{\"n\":1}{\"n\":1}");
    assert_int_equal(output.len, 12);
    buf_free(&output);
    task.standard_input = slice_text("typed");
    task.shell = "cat; cat $PAWL_INPUT";
    assert_int_equal(run(self, &task, text, sizeof text, NULL), 0);
    assert_string_equal(text, "typed{\"n\":1}");
    task.input = task.standard_input = slice(NULL, 0);
    assert_int_equal(run(self, &task, text, sizeof text, NULL), 0);
    assert_string_equal(text, "null\n");
}

static void a_script_runs_under_an_interpreter_of_the_executors_own_list(void **state)
{
    struct fixture *self = *state;
    char text[256];
    shell_task_t task = task_of();
    task.interpreter = "sh";
    task.script = slice_text("echo script $1; ls -l $0 | cut -c1-10");
    const char *argv[] = { "one" };
    task.argv = argv;
    task.argc = 1;
    assert_int_equal(run(self, &task, text, sizeof text, NULL), 0);
    assert_string_equal(text, "script one\n-rwx------\n");
    task.interpreter = "cobol";
    expect_refusal(self, &task, 127, "interpreter \"cobol\" is not offered here");
}

static void what_a_task_may_not_ask_for_is_refused_by_name(void **state)
{
    struct fixture *self = *state;
    shell_task_t task = task_of();
    expect_refusal(self, &task, 127, "the task names no program");
    task.shell = "true";
    task.account = "nobody";
    if (strcmp(getenv("USER") ? getenv("USER") : "", "nobody") != 0)
        expect_refusal(self, &task, 126, "account \"nobody\" may not be used here");
    char why[256];
    assert_int_equal(conf_set(self->config->conf, "allow.accounts", "nobody,pawl-no-such", "test",
                              why, sizeof why),
                     ERR_OK);
    task.account = "pawl-no-such";
    expect_refusal(self, &task, 126, "does not exist");
    task.account = "";
    static const char *const names[] = { "", "A=B", "PAWL_TOKEN", "LD_PRELOAD" };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct shell_env env[] = { { names[i], "x" } };
        task.env = env;
        task.env_count = 1;
        expect_refusal(self, &task, 126, "may not be declared");
    }
}

static void configure(struct fixture *self, const char *key, const char *value)
{
    char why[256];
    if (conf_set(self->config->conf, key, value, "test", why, sizeof why) != ERR_OK)
        fail_msg("%s", why);
}

static void an_allowed_account_owns_its_folder_and_reads_its_input(void **state)
{
    struct fixture *self = *state;
    if (geteuid() != 0) skip(); /* only root may become somebody else */
    configure(self, "allow.accounts", "nobody");
    shell_task_t task = task_of();
    task.account = "nobody";
    task.input = slice_text("{}");
    task.shell = "id -un; cat $PAWL_INPUT; echo 1 > $PAWL_OUTPUT; echo $USER";
    char text[256];
    buf_t output = { 0 };
    assert_int_equal(run(self, &task, text, sizeof text, &output), 0);
    assert_string_equal(text, "nobody\n{}nobody\n");
    assert_int_equal(output.len, 2);
    buf_free(&output);
}

/* ---- the moment at which a folder changes hands ---------------------------------------------- */

static struct {
    char folder[256];
    bool whole, stdin_open, handed_over;
} handing;

static bool is_open(const char *path)
{
    char link[64], target[512];
    for (int fd = 3; fd < 256; fd++) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t len = readlink(link, target, sizeof target - 1);
        if (len > 0 && (size_t)len == strlen(path) && memcmp(target, path, (size_t)len) == 0)
            return true;
    }
    return false;
}

/* In place of the C library's: looks at the folder before it is another account's. */
int chown(const char *path, uid_t owner, gid_t group)
{
    char file[512];
    snprintf(handing.folder, sizeof handing.folder, "%s", path);
    snprintf(file, sizeof file, "%s/input.json", path);
    handing.stdin_open = is_open(file);
    handing.whole = access(file, F_OK) == 0;
    snprintf(file, sizeof file, "%s/script", path);
    handing.whole = handing.whole && access(file, F_OK) == 0;
    handing.handed_over = true;
    return fchownat(AT_FDCWD, path, owner, group, 0);
}

static void nobody_else_may_enter_a_folder_while_the_executor_writes_and_opens_there(void **state)
{
    struct fixture *self = *state;
    if (geteuid() != 0) skip();
    configure(self, "allow.accounts", "nobody");
    shell_task_t task = task_of();
    task.account = "nobody";
    task.interpreter = "sh";
    task.script = slice_text("cat");
    task.input = slice_text("{}");
    char text[64];
    memset(&handing, 0, sizeof handing);
    assert_int_equal(run(self, &task, text, sizeof text, NULL), 0);
    assert_string_equal(text, "{}");
    assert_true(handing.handed_over && handing.whole && handing.stdin_open);
}

static void an_output_that_belongs_to_somebody_else_is_not_taken(void **state)
{
    struct fixture *self = *state;
    if (geteuid() != 0) skip();
    char folder[128], file[160];
    buf_t output = { 0 };
    snprintf(folder, sizeof folder, "%s/x", self->work);
    snprintf(file, sizeof file, "%s/output.json", folder);
    assert_int_equal(workfolder_make(folder), ERR_OK);
    assert_int_equal(
        workfolder_write(folder, "output.json", "secret", 6, 0600, (uid_t)-1, (gid_t)-1), ERR_OK);
    assert_int_equal(workfolder_hand_over(folder, 65534, 65534), ERR_OK);
    assert_int_equal(workfolder_read(folder, "output.json", 100, &output), ERR_OS);
    assert_int_equal(output.len, 0);
    assert_int_equal(fchownat(AT_FDCWD, file, 65534, 65534, 0), 0);
    assert_int_equal(workfolder_read(folder, "output.json", 100, &output), ERR_OK);
    assert_int_equal(output.len, 6);
    buf_free(&output);
    workfolder_remove(folder);
}

static void an_output_that_is_a_link_a_pipe_or_too_large_is_not_taken(void **state)
{
    struct fixture *self = *state;
    char folder[128], file[160];
    buf_t output = { 0 };
    snprintf(folder, sizeof folder, "%s/x", self->work);
    snprintf(file, sizeof file, "%s/output.json", folder);
    assert_int_equal(workfolder_make(folder), ERR_OK);
    assert_int_equal(workfolder_read(folder, "output.json", 10, &output), ERR_NOT_FOUND);
    assert_int_equal(symlink("/etc/passwd", file), 0);
    assert_int_equal(workfolder_read(folder, "output.json", 1 << 20, &output), ERR_OS);
    unlink(file);
    assert_int_equal(mkfifo(file, 0600), 0);
    assert_int_equal(workfolder_read(folder, "output.json", 1 << 20, &output), ERR_OS);
    unlink(file);
    assert_int_equal(
        workfolder_write(folder, "output.json", "12345678901", 11, 0600, (uid_t)-1, (gid_t)-1),
        ERR_OK);
    assert_int_equal(workfolder_read(folder, "output.json", 10, &output), ERR_TOO_LARGE);
    assert_int_equal(output.len, 0);
    assert_int_equal(workfolder_read(folder, "output.json", 11, &output), ERR_OK);
    assert_int_equal(output.len, 11);
    buf_free(&output);
    workfolder_remove(folder);
}

static void
a_folder_is_removed_with_all_that_a_command_put_there_but_not_through_links(void **state)
{
    struct fixture *self = *state;
    char folder[128], path[200], outside[] = "/tmp/pawl-outside-XXXXXX";
    assert_non_null(mkdtemp(outside));
    snprintf(folder, sizeof folder, "%s/x", self->work);
    assert_int_equal(workfolder_make(folder), ERR_OK);
    snprintf(path, sizeof path, "%s/deep", folder);
    mkdir(path, 0700);
    snprintf(path, sizeof path, "%s/deep/link", folder);
    assert_int_equal(symlink(outside, path), 0);
    snprintf(path, sizeof path, "%s/deep/.hidden", folder);
    mkdir(path, 0000);
    workfolder_remove(folder);
    assert_int_equal(access(folder, F_OK), -1);
    assert_int_equal(rmdir(outside), 0);
}

static void a_folder_is_removed_however_deep_and_forbidding_it_is(void **state)
{
    struct fixture *self = *state;
    char folder[WORKFOLDER_PATH];
    snprintf(folder, sizeof folder, "%s/deep", self->work);
    assert_int_equal(workfolder_make(folder), ERR_OK);
    int at = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int depth = 0; depth < 1000; depth++) { /* longer than any path may be */
        assert_int_equal(mkdirat(at, "a-folder", 0700), 0);
        int inner = openat(at, "a-folder", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (depth % 100 == 50) {
            close(openat(inner, "file", O_WRONLY | O_CREAT | O_CLOEXEC, 0));
            assert_int_equal(mkdirat(inner, "inside", 0700), 0);
            assert_int_equal(mkdirat(inner, "inside/kept", 0700), 0);
            assert_int_equal(fchmodat(inner, "inside", depth % 200 == 50 ? 0 : 0500, 0), 0);
        }
        close(at);
        at = inner;
    }
    close(at);
    workfolder_remove(folder);
    assert_int_equal(access(folder, F_OK), -1);
}

/* An attempt in a folder below `work`: as write_files of kind_shell makes it. */
static void begin_in(spare_t *spare, const char *folder, bool null_input)
{
    bool again = spare_take(spare, folder);
    if (!again) assert_int_equal(workfolder_make(folder), ERR_OK);
    const char *input = null_input ? SPARE_NULL : "[1]";
    if (!again || !null_input || !spare->null_input)
        assert_int_equal(
            workfolder_write(folder, SPARE_INPUT, input, strlen(input), 0600, (uid_t)-1, (gid_t)-1),
            ERR_OK);
    spare->null_input = null_input;
}

static void expect_input(const char *folder, const char *want)
{
    char file[160], text[32] = "";
    snprintf(file, sizeof file, "%s/" SPARE_INPUT, folder);
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_true(read(fd, text, sizeof text - 1) >= 0);
    close(fd);
    assert_string_equal(text, want);
}

/* Time stamps become firm. */
static void let_a_tick_pass(void)
{
    poll(NULL, 0, 40);
}

static void a_folder_is_used_again_only_when_it_is_as_it_was_made(void **state)
{
    struct fixture *self = *state;
    char folder[128], next[128], file[160], other[160];
    snprintf(folder, sizeof folder, "%s/x", self->work);
    snprintf(next, sizeof next, "%s/y", self->work);
    snprintf(file, sizeof file, "%s/" SPARE_INPUT, folder);
    enum { AS_MADE, LINKED_OUT, LINKED, FOLDER_OPEN, INPUT_OPEN, OUTPUT, CASES };
    for (int firm = 0; firm < 2; firm++)
        for (int spoilt = 0; spoilt < CASES; spoilt++) {
            spare_t spare = { 0 };
            begin_in(&spare, folder, true);
            if (firm) {
                let_a_tick_pass();
                spare_keep(&spare, folder);
                begin_in(&spare, next, true);
                spare_keep(&spare, next);
                begin_in(&spare, folder, true);
            }
            snprintf(other, sizeof other, "%s/other", spoilt == LINKED ? self->work : folder);
            if (spoilt == LINKED_OUT)
                assert_int_equal(symlink("/etc/passwd", other), 0);
            else if (spoilt == LINKED)
                assert_int_equal(link(file, other), 0);
            else if (spoilt == FOLDER_OPEN)
                assert_int_equal(chmod(folder, 0777), 0);
            else if (spoilt == INPUT_OPEN)
                assert_int_equal(chmod(file, 0666), 0);
            else if (spoilt == OUTPUT)
                assert_int_equal(
                    workfolder_write(folder, "output.json", "1", 1, 0600, (uid_t)-1, (gid_t)-1),
                    ERR_OK);
            bool untouched = spare_look(&spare, folder);
            if (spoilt == LINKED_OUT || spoilt == FOLDER_OPEN || spoilt == OUTPUT)
                assert_false(untouched); /* its output is looked for */
            spare_keep(&spare, folder);
            assert_int_equal(spare_take(&spare, next), spoilt == AS_MADE);
            assert_int_equal(access(folder, F_OK), -1);
            if (spoilt == LINKED) unlink(other);
            spare_remove(&spare);
            assert_int_equal(access(next, F_OK), -1);
        }
}

static void the_next_attempt_finds_its_own_input_whatever_the_last_one_did_to_it(void **state)
{
    struct fixture *self = *state;
    char first[128], next[128], file[160];
    snprintf(first, sizeof first, "%s/x", self->work);
    snprintf(next, sizeof next, "%s/y", self->work);
    snprintf(file, sizeof file, "%s/" SPARE_INPUT, next);
    for (int firm = 0; firm < 2; firm++) {
        spare_t spare = { 0 };
        begin_in(&spare, first, false);
        spare_keep(&spare, first);
        begin_in(&spare, next, true);
        expect_input(next, SPARE_NULL);
        if (firm) let_a_tick_pass();
        spare_keep(&spare, next);
        begin_in(&spare, next, true); /* the same name, which is what a second lease is not */
        expect_input(next, SPARE_NULL);
        assert_int_equal(workfolder_write(next, SPARE_INPUT, "gone", 4, 0600, (uid_t)-1, (gid_t)-1),
                         ERR_OK);
        spare_keep(&spare, next);
        begin_in(&spare, first, true);
        expect_input(first, SPARE_NULL);
        spare_keep(&spare, first);
        begin_in(&spare, next, false);
        expect_input(next, "[1]");
        assert_int_equal(unlink(file), 0);
        spare_keep(&spare, next);
        begin_in(&spare, first, true);
        expect_input(first, SPARE_NULL);
        spare_remove(&spare);
    }
}

static void leftovers_of_a_dead_predecessor_are_killed_and_cleared(void **state)
{
    struct fixture *self = *state;
    char folder[128], variable[160];
    snprintf(folder, sizeof folder, "%s/old-1", self->work);
    snprintf(variable, sizeof variable, "PAWL_OUTPUT=%s/output.json", folder);
    assert_int_equal(workfolder_make(folder), ERR_OK);
    struct command command; /* escaped: its parent is gone and its session is its own */
    char *argv[] = { (char *)"/bin/sh", (char *)"-c", (char *)"setsid sleep 300 & sleep 300",
                     NULL };
    char *envp[] = { variable, NULL };
    assert_int_equal(command_run(&command, self->sock, argv, envp, NULL), 0);
    assert_true(mark_becomes(variable, 3, true, PATIENCE_MS));
    unsigned survivors = 1;
    assert_true(workfolder_clear(self->work, &survivors) >= 3);
    assert_int_equal(survivors, 0);
    assert_int_equal(mark_count(variable), 0);
    assert_int_equal(access(folder, F_OK), -1);
    command_close(&command);
}

/* A file below `folder` with that text. */
static void put_file(const char *folder, const char *name, const char *text, mode_t mode)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

static void a_script_may_be_a_file_of_an_allowed_folder_and_of_no_other(void **state)
{
    struct fixture *self = *state;
    char scripts[] = "/tmp/pawl-scripts-XXXXXX", text[256], path[128];
    assert_non_null(mkdtemp(scripts));
    put_file(scripts, "plain.sh", "echo plain $1\n", 0600);
    put_file(scripts, "run.sh", "#!/bin/sh\necho ran $1 from $(dirname $0)\n", 0700);
    snprintf(path, sizeof path, "%s/out", scripts);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    shell_task_t task = task_of();
    const char *argv[] = { "with" };
    task.argv = argv;
    task.argc = 1;
    task.script_file = "plain.sh";
    task.interpreter = "sh";
    expect_refusal(self, &task, 127, "is in none of the folders");
    configure(self, "allow.script_dirs", scripts);
    assert_int_equal(run(self, &task, text, sizeof text, NULL), 0);
    assert_string_equal(text, "plain with\n");
    task.interpreter = "";
    expect_refusal(self, &task, 126, "is not executable: chmod +x");
    task.script_file = "run.sh";
    assert_int_equal(run(self, &task, text, sizeof text, NULL), 0);
    char wanted[128];
    snprintf(wanted, sizeof wanted, "ran with from %s\n", scripts);
    assert_string_equal(text, wanted);
    configure(self, "scripts.folder_only", "true");
    assert_int_equal(run(self, &task, text, sizeof text, NULL), 0);
    struct shell_env mode = { "MODE", "fast" }, hidden = { "BASH_ENV", "$(echo anything)" };
    task.env_count = 1;
    task.env = &mode;
    expect_refusal(self, &task, 126, "variable \"MODE\" may not be set here");
    configure(self, "scripts.variables", "MODE");
    assert_int_equal(run(self, &task, text, sizeof text, NULL), 0);
    task.env = &hidden;
    expect_refusal(self, &task, 126, "with the variables of executor.scripts.variables");
    task.env_count = 0;
    task.script_file = "";
    task.interpreter = "sh";
    task.script = slice_text("echo text of the task");
    expect_refusal(self, &task, 126, "takes scripts from its folders only");
    task.script = (slice_t){ 0 };
    task.interpreter = "";
    task.script_file = "out";
    expect_refusal(self, &task, 127, "leads out of the folder");
    task.script_file = "../../etc/passwd";
    expect_refusal(self, &task, 127, "leads out of the folder");
    task.script_file = "none.sh";
    expect_refusal(self, &task, 127, "is in none of the folders");
    task.script_file = "";
    task.type = "pawl/script"; /* a broker that checks nothing */
    task.shell = "echo anything";
    expect_refusal(self, &task, 127, "the task names no script");
    static const char *const names[] = { "plain.sh", "run.sh", "out" };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        snprintf(path, sizeof path, "%s/%s", scripts, names[i]);
        unlink(path);
    }
    assert_int_equal(rmdir(scripts), 0);
}

static void a_secret_is_a_private_copy_that_goes_with_the_attempt(void **state)
{
    struct fixture *self = *state;
    char folder[] = "/tmp/pawl-secret-XXXXXX", text[256], value[128];
    assert_non_null(mkdtemp(folder));
    put_file(folder, "db", "hunter2", 0400);
    snprintf(value, sizeof value, "db-main=%s/db,gone=%s/none,folder=%s", folder, folder, folder);
    configure(self, "secrets", value);
    shell_task_t task = task_of();
    const char *secrets[] = { "db-main" };
    task.secrets = secrets;
    task.secret_count = 1;
    task.shell = "cat $PAWL_SECRET_DB_MAIN_FILE; stat -c ' %a %u' $PAWL_SECRET_DB_MAIN_FILE; "
                 "env | grep -c hunter2";
    assert_int_equal(run(self, &task, text, sizeof text, NULL), 1); /* grep found none */
    snprintf(value, sizeof value, "hunter2 400 %u\n0\n", (unsigned)geteuid());
    assert_string_equal(text, value);
    secrets[0] = "other";
    expect_refusal(self, &task, 126, "is not one of executor");
    secrets[0] = "gone";
    expect_refusal(self, &task, 126, "could not be given: No such file");
    secrets[0] = "folder"; /* opens, and cannot be read: never an empty secret */
    expect_refusal(self, &task, 126, "could not be given: it is no plain file");
    secrets[0] = "db-main";
    snprintf(text, sizeof text, "%s/db", folder);
    assert_int_equal(chmod(text, 0440), 0);
    expect_refusal(self, &task, 126, "could not be given: others may read it");
    if (geteuid() == 0) { /* only root gives files away */
        assert_true(chmod(text, 0400) == 0 && chown(text, 65534, 65534) == 0);
        expect_refusal(self, &task, 126, "could not be given: it belongs to somebody else");
    }
    snprintf(text, sizeof text, "%s/db", folder);
    unlink(text);
    assert_int_equal(rmdir(folder), 0);
}

static void what_the_last_poll_left_is_a_file(void **state)
{
    struct fixture *self = *state;
    shell_task_t task = task_of();
    char text[256];
    task.shell = "echo ${PAWL_POLLS-never} ${PAWL_STATE-none}";
    assert_int_equal(run(self, &task, text, sizeof text, NULL), 0);
    assert_string_equal(text, "never none\n");
    task.polls = 3;
    task.poll_state = slice_text("{\"page\":7}");
    task.shell = "echo $PAWL_POLLS; cat $PAWL_STATE";
    assert_int_equal(run(self, &task, text, sizeof text, NULL), 0);
    assert_string_equal(text, "3\n{\"page\":7}");
}

static void a_type_has_limits_of_its_own(void **state)
{
    struct fixture *self = *state;
    char text[256];
    configure(self, "types.pawl/shell.files", "33");
    configure(self, "types.pawl/shell.cpu_time", "7s");
    configure(self, "types.pawl/shell.memory", "256MiB");
    configure(self, "types.pawl/shell.time_limit", "9s");
    shell_task_t task = task_of();
    task.shell = "ulimit -n; ulimit -t; ulimit -v";
    assert_int_equal(run(self, &task, text, sizeof text, NULL), 0);
    assert_string_equal(text, "33\n7\n262144\n");
    assert_int_equal(config_limits(self->config, "pawl/shell").time_limit_us, 9000000);
    assert_int_equal(config_limits(self->config, "pawl/script").time_limit_us, 0);
}

int main(void)
{
    if (helper_start(&helper) != ERR_OK) return 1;
    const struct CMUnitTest tests[] = {
#define case_of(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
        case_of(the_environment_is_exactly_what_is_documented),
        case_of(a_command_line_goes_to_the_shell_and_argv_does_not),
        case_of(input_comes_by_file_and_on_stdin_and_output_goes_back_by_file),
        case_of(a_script_runs_under_an_interpreter_of_the_executors_own_list),
        case_of(what_a_task_may_not_ask_for_is_refused_by_name),
        case_of(an_allowed_account_owns_its_folder_and_reads_its_input),
        case_of(nobody_else_may_enter_a_folder_while_the_executor_writes_and_opens_there),
        case_of(an_output_that_belongs_to_somebody_else_is_not_taken),
        case_of(an_output_that_is_a_link_a_pipe_or_too_large_is_not_taken),
        case_of(a_folder_is_removed_with_all_that_a_command_put_there_but_not_through_links),
        case_of(a_folder_is_removed_however_deep_and_forbidding_it_is),
        case_of(a_folder_is_used_again_only_when_it_is_as_it_was_made),
        case_of(the_next_attempt_finds_its_own_input_whatever_the_last_one_did_to_it),
        case_of(a_script_may_be_a_file_of_an_allowed_folder_and_of_no_other),
        case_of(a_secret_is_a_private_copy_that_goes_with_the_attempt),
        case_of(what_the_last_poll_left_is_a_file),
        case_of(a_type_has_limits_of_its_own),
        case_of(leftovers_of_a_dead_predecessor_are_killed_and_cleared),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    return helper_stop(&helper, PATIENCE_MS) ? failed : 1;
}
