/* SPDX-License-Identifier: Apache-2.0
 * client/cli/import_systemd.c - pawl import systemd-timers: finds units, their services and their
 * drop-ins. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/cli/handlers.h"
#include "client/cli/fileread.h"
#include "client/cli/import.h"
#include "client/cli/formats/systemd.h"

static const char *const unit_folders[] = { "/etc/systemd/system", "/run/systemd/system",
                                            "/usr/local/lib/systemd/system",
                                            "/usr/lib/systemd/system", "/lib/systemd/system" };

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), tail = strlen(end);
    return len > tail && strcmp(text + len - tail, end) == 0;
}

static int is_drop_in(const struct dirent *entry)
{
    return ends_with(entry->d_name, ".conf");
}

static int is_timer(const struct dirent *entry)
{
    return ends_with(entry->d_name, ".timer");
}

/* The unit and what stands in NAME.d beside it. */
static int read_unit(const char *path, unit_t *unit)
{
    buf_t text = { 0 };
    struct dirent **entries = NULL;
    int code = file_read(path, &text);
    if (!code) unit_read(unit, (const char *)text.at, text.len);
    buf_free(&text);
    int n = code ? 0 : scandir(say("%s.d", path), &entries, is_drop_in, alphasort);
    for (int i = 0; i < n; i++) {
        const char *inside = say("%s.d/%s", path, entries[i]->d_name);
        if (!code) code = file_read(inside, &text);
        if (!code) unit_read(unit, (const char *)text.at, text.len);
        buf_free(&text);
        free(entries[i]);
    }
    free(entries);
    return code;
}

/* Beside the timer, then where systemd looks. NULL: nowhere. */
static const char *find_service(const char *folder, const char *name, bool user)
{
    const char *path = say("%s/%s", folder, name);
    if (strchr(name, '/')) return NULL;
    for (size_t i = 0; access(path, R_OK) != 0; i++) {
        if (user || i == ARRAY_LEN(unit_folders)) return NULL;
        path = say("%s/%s", unit_folders[i], name);
    }
    return path;
}

static int add_timer(import_list_t *list, const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    const char *folder = slash ? say("%.*s", (int)(slash - path), path) : ".";
    bool user = strstr(folder, "/systemd/user") != NULL;
    unit_t timer = { 0 }, service = { 0 };
    char target[16] = "";
    if (readlink(path, target, sizeof target - 1) > 0 && strcmp(target, "/dev/null") == 0) {
        import_refuse(import_add(list, name), "it is masked");
        return 0;
    }
    if (!ends_with(name, ".timer"))
        return fail(EXIT_USAGE, say("%s is no timer", path), "its name does not end with .timer",
                    "pawl import systemd-timers /etc/systemd/system --dry-run");
    int code = read_unit(path, &timer);
    const char *found = find_service(folder, timer_service(&timer, name), user);
    if (!code && found) code = read_unit(found, &service);
    if (!code) systemd_import(list, name, &timer, found ? &service : NULL, user);
    unit_free(&timer);
    unit_free(&service);
    return code;
}

static int add_path(import_list_t *list, const char *path)
{
    struct stat info;
    struct dirent **entries = NULL;
    if (stat(path, &info) != 0 || !S_ISDIR(info.st_mode)) return add_timer(list, path);
    int n = scandir(path, &entries, is_timer, alphasort), code = 0;
    for (int i = 0; i < n; i++) {
        if (!code) code = add_timer(list, say("%s/%s", path, entries[i]->d_name));
        free(entries[i]);
    }
    free(entries);
    return n < 0 ? fail(EXIT_FAILED, say("cannot read %s", path), strerror(errno), "a folder")
                 : code;
}

static int read_timers(cli_t *cli, import_list_t *list)
{
    int code = cli->args.word_count ? 0 : add_path(list, unit_folders[0]);
    for (size_t i = 0; !code && i < cli->args.word_count; i++)
        code = add_path(list, cli->args.words[i]);
    if (!code)
        cli_note(cli, "changes of the clock follow Pawl's own rule: pawl when RULE --zone ZONE "
                      "shows it");
    return code;
}

int cmd_import_systemd(cli_t *cli)
{
    return import_run(cli, "systemd", read_timers);
}
