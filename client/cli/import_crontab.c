/* SPDX-License-Identifier: Apache-2.0
 * client/cli/import_crontab.c - pawl import crontab: each line becomes a schedule, or a reason why
 * not. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/cli/formats/crontab.h"
#include "client/cli/handlers.h"
#include "client/cli/fileread.h"
#include "client/cli/import.h"
#include "client/cli/instant.h"
#include "client/cli/programs.h"

static const char *own_account(void)
{
    const struct passwd *user = getpwuid(geteuid());
    return user ? user->pw_name : "";
}

/* The task of a line: its shell, environment, standard input and account. */
static json_t *task_of(const crontab_line_t *line)
{
    json_t *task = json_object();
    if (line->shell && strcmp(line->shell, "/bin/sh") != 0)
        json_object_set_new(task, "argv", json_pack("[s, s, s]", line->shell, "-c", line->command));
    else
        json_object_set_new(task, "shell", json_string(line->command));
    json_t *env = json_copy(line->env);
    json_object_set_new(env, "SHELL", json_string(line->shell ? line->shell : "/bin/sh"));
    json_object_set_new(task, "env", env);
    const char *home = cron_home(line->env, line->account);
    if (home) json_object_set_new(task, "cwd", json_string(home));
    if (line->stdin_text) json_object_set_new(task, "stdin", json_string(line->stdin_text));
    if (*line->account && strcmp(line->account, own_account()) != 0)
        json_object_set_new(task, "account", json_string(line->account));
    return task;
}

static bool both_days(const char *rule)
{
    char *fields = text_keep(mem_text(rule)), *field[5] = { NULL };
    for (size_t i = 0; i < 5; i++)
        field[i] = strsep(&fields, " ");
    return field[4] && field[2][0] != '*' && field[4][0] != '*';
}

static void add_line(import_list_t *list, const char *stem, const crontab_line_t *line)
{
    const char *zone = line->zone ? line->zone : list->zone ? list->zone : local_zone();
    import_item_t *item = import_add(list, say("%s:%zu", stem, line->number));
    item->rule = line->rule;
    item->account = line->account;
    item->what = line->source;
    item->stem = list->prefix ? list->prefix : stem;
    item->number = line->number;
    if (line->name) { /* says itself which schedule it is */
        item->name = line->name;
        item->number = 0;
    }
    if (line->refused) {
        import_refuse(item, "%s", line->refused);
        return;
    }
    item->spec =
        json_pack("{s:s, s:s, s:o}", "rule", line->rule, "zone", zone, "task", task_of(line));
    if (!item->spec) {
        import_refuse(item, "it is not valid UTF-8");
        return;
    }
    import_note(item, "zone %s%s", zone,
                line->zone   ? " (CRON_TZ)"
                : list->zone ? ""
                             : " (this machine's)");
    if (line->unescaped) import_note(item, "\"\\%%\" unescaped");
    if (both_days(line->rule)) import_note(item, "day of month OR weekday (cron's rule)");
    if (line->stdin_text) import_note(item, "text after %% becomes standard input");
    if (*line->account) import_note(item, "account %s", line->account);
    const char *home = cron_home(line->env, line->account);
    if (home)
        import_note(item, "starts in %s", home);
    else
        import_note(item, "starts in a work folder, cron in HOME");
}

/* `account`: of every line; NULL: a user column says it, or nobody. */
static void add_text(cli_t *cli, import_list_t *list, const char *stem, const buf_t *text,
                     bool user_column, const char *account)
{
    crontab_t crontab;
    crontab_read(&crontab, (const char *)text->at, text->len, user_column);
    for (size_t i = 0; i < crontab.count; i++) {
        if (account) crontab.lines[i].account = account;
        add_line(list, stem, &crontab.lines[i]);
    }
    if (crontab.mailto)
        cli_note(cli, "%s: MAILTO=%s is not taken over: output is kept with the task (pawl logs)",
                 stem, crontab.mailto);
    for (size_t i = 0; i < crontab.ignored_count; i++)
        cli_note(cli, "%s: %s is not taken over", stem, crontab.ignored[i]);
    crontab_free(&crontab);
}

static bool is_system(const char *path)
{
    return strcmp(path, "/etc/crontab") == 0 || strstr(path, "/cron.d/") != NULL;
}

static void refuse_file(import_list_t *list, const char *path, const char *why)
{
    import_item_t *item = import_add(list, import_stem(path));
    item->what = path;
    import_refuse(item, "%s", why);
}

static int add_file(cli_t *cli, import_list_t *list, const char *path)
{
    buf_t text = { 0 };
    int code = file_read(path, &text);
    if (!code && text.len >= 2 && memcmp(text.at, "#!", 2) == 0)
        refuse_file(list, path,
                    "it is a script, not a crontab: what runs it is a line of another crontab "
                    "(run-parts), or pawl schedule add");
    else if (!code)
        add_text(cli, list, import_stem(path), &text,
                 args_has(&cli->args, "system") || is_system(path), NULL);
    buf_free(&text);
    return code;
}

static int is_no_link_of_the_folder(const struct dirent *entry)
{
    return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

/* As cron reads a folder: names of letters, digits, - and _ only. NULL: it reads this one, too. */
static const char *why_skipped(const char *name, const struct stat *info)
{
    if (S_ISDIR(info->st_mode)) return "cron does not look into folders of a folder";
    if (name[0] == '.') return "cron leaves out files whose names begin with a dot";
    for (const char *at = name; *at; at++)
        if (!isalnum((unsigned char)*at) && *at != '-' && *at != '_')
            return say("cron leaves out names with \"%c\" (letters, digits, - and _ only)", *at);
    return NULL;
}

/* /etc/cron.daily and its like hold scripts, without a time of their own. */
static bool is_run_parts(const char *path)
{
    static const char *const names[] = { "cron.hourly", "cron.daily", "cron.weekly", "cron.monthly",
                                         "cron.yearly" };
    char *text = text_keep(mem_text(path));
    for (size_t len = strlen(text); len > 1 && text[len - 1] == '/'; len--)
        text[len - 1] = '\0';
    const char *slash = strrchr(text, '/'), *last = slash ? slash + 1 : text;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(names[i], last) == 0) return true;
    return false;
}

static int add_path(cli_t *cli, import_list_t *list, const char *path)
{
    struct stat info;
    struct dirent **entries = NULL;
    if (strcmp(path, "-") == 0 || stat(path, &info) != 0 || !S_ISDIR(info.st_mode))
        return add_file(cli, list, path);
    if (is_run_parts(path)) {
        refuse_file(list, path,
                    "its scripts have no times of their own: a line with run-parts in /etc/crontab "
                    "(or anacron) runs them; import that line");
        return 0;
    }
    int n = scandir(path, &entries, is_no_link_of_the_folder, alphasort), code = 0;
    for (int i = 0; i < n; i++) {
        const char *inside = say("%s/%s", path, entries[i]->d_name), *why = NULL;
        if (!code && stat(inside, &info) != 0)
            why = strerror(errno);
        else if (!code)
            why = why_skipped(entries[i]->d_name, &info);
        if (why)
            cli_note(cli, "%s is skipped: %s", inside, why);
        else if (!code)
            code = add_file(cli, list, inside);
        free(entries[i]);
    }
    free(entries);
    return n < 0 ? fail(EXIT_FAILED, say("cannot read %s", path), strerror(errno), "a folder")
                 : code;
}

/* ---- of a user ------------------------------------------------------------------------------- */

/* What `crontab -l -u USER` prints: cron knows where its files are. */
static int add_user(cli_t *cli, import_list_t *list, const char *user)
{
    char *argv[] = { "crontab", "-l", "-u", (char *)(uintptr_t)user, NULL };
    int pipes[2], status = 0;
    pid_t pid = 0;
    posix_spawn_file_actions_t actions;
    if (pipe2(pipes, O_CLOEXEC))
        return fail(EXIT_FAILED, "cannot run crontab", strerror(errno), "");
    if (strcmp(user, own_account()) == 0) argv[2] = NULL; /* -u is root's */
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, pipes[1], STDOUT_FILENO);
    int err = posix_spawnp(&pid, "crontab", &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(pipes[1]);
    buf_t text = { 0 };
    ssize_t got = 1;
    while (!err && got > 0) {
        buf_need(&text, 65536);
        got = read(pipes[0], text.at + text.len, 65535);
        if (got > 0) text.len += (size_t)got;
    }
    close(pipes[0]);
    while (!err && waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    int code = 0;
    if (err || status)
        code = fail(EXIT_FAILED, say("cannot read the crontab of %s", user),
                    err ? say("crontab: %s", strerror(err)) : "crontab -l failed: see above",
                    "as root, or pawl import crontab FILE");
    else
        add_text(cli, list, import_stem(user), &text, false, user);
    buf_free(&text);
    return code;
}

static int read_crontabs(cli_t *cli, import_list_t *list)
{
    const args_t *args = &cli->args;
    const given_t *user;
    int code = 0;
    if (args->word_count == 0 && !args_has(args, "user") && isatty(STDIN_FILENO))
        return fail(EXIT_USAGE, "pawl import crontab needs a file", "none was named",
                    "pawl import crontab FILE --dry-run, or crontab -l | pawl import crontab -");
    for (size_t i = 0; !code && (user = args_given(args, "user", i)); i++)
        code = add_user(cli, list, user->value);
    if (args->word_count == 0 && !args_has(args, "user")) code = add_path(cli, list, "-");
    for (size_t i = 0; !code && i < args->word_count; i++)
        code = add_path(cli, list, args->words[i]);
    return code;
}

int cmd_import_crontab(cli_t *cli)
{
    return import_run(cli, "crontab", read_crontabs);
}
