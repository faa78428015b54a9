/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/programs.h"

#include <pwd.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/cli/text.h"

static const char *own_path(void)
{
    char path[4096];
    ssize_t len = readlink("/proc/self/exe", path, sizeof path - 1);
    if (len <= 0) return "pawl";
    path[len] = '\0';
    return say("%s", path);
}

const char *program_path(const char *name)
{
    const char *own = own_path(), *slash = strrchr(own, '/');
    return slash ? say("%.*s/%s", (int)(slash - own), own, name) : name;
}

static bool same_file(const char *a, const char *b)
{
    struct stat one, other;
    return stat(a, &one) == 0 && stat(b, &other) == 0 && one.st_dev == other.st_dev &&
           one.st_ino == other.st_ino;
}

const char *program_called(void)
{
    const char *own = own_path(), *path = getenv("PATH");
    char *folders = text_keep(mem_text(path ? path : "")), *folder;
    while ((folder = strsep(&folders, ":"))) {
        const char *candidate = say("%s/pawl", *folder ? folder : ".");
        if (access(candidate, X_OK) == 0) return same_file(candidate, own) ? "pawl" : own;
    }
    return own;
}

const char *default_state(void)
{
    const char *home = getenv("HOME");
    const struct passwd *user = home && *home ? NULL : getpwuid(getuid());
    return say("%s/.local/share/pawl", user ? user->pw_dir : home && *home ? home : "");
}

static bool is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

/* Of a path that may not be there yet its name decides. */
static bool is_socket(const char *path)
{
    static const char ending[] = ".sock";
    size_t len = strlen(path), n = sizeof ending - 1;
    if (access(path, F_OK) == 0) return !is_folder(path);
    return len > n && strcmp(path + len - n, ending) == 0;
}

const char *endpoint_of(const char *given)
{
    if (given[0] != '/') return given;
    return is_socket(given) ? say("ipc://%s", given) : say("ipc://%s/broker.sock", given);
}

const char *state_of_endpoint(const char *given)
{
    static const char ipc[] = "ipc://";
    bool endpoint = strncmp(given, ipc, sizeof ipc - 1) == 0;
    const char *path = endpoint ? given + sizeof ipc - 1 : given;
    if (strncmp(given, "tcp:", 4) == 0) return NULL;
    if (!endpoint && !strchr(path, '/') && !is_folder(path)) return NULL;
    if (endpoint ? is_folder(path) : !is_socket(path)) return path;
    const char *slash = strrchr(path, '/');
    return slash && slash > path ? say("%.*s", (int)(slash - path), path) : NULL;
}

const char *cron_home(const json_t *env, const char *account)
{
    const char *home = json_string_value(json_object_get(env, "HOME"));
    if (home && *home == '/') return home;
    const struct passwd *user = account && *account ? getpwnam(account) : NULL;
    return user && *user->pw_dir == '/' ? say("%s", user->pw_dir) : NULL;
}
