/* SPDX-License-Identifier: Apache-2.0 */
#include "client/base/keyfile.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MOST = 4096 };

static const struct field {
    const char *name;
    size_t at, size;
    bool key;
} fields[] = {
    { "name", offsetof(keyfile_t, name), KEY_NAME, false },
    { "role", offsetof(keyfile_t, role), sizeof(((keyfile_t *)0)->role), false },
    { "public", offsetof(keyfile_t, public_key), KEY_TEXT, true },
    { "secret", offsetof(keyfile_t, secret_key), KEY_TEXT, true },
    { "broker", offsetof(keyfile_t, broker_key), KEY_TEXT, true },
};

bool keyfile_is_name(const char *text)
{
    size_t len = strlen(text);
    if (len == 0 || len >= KEY_NAME || !isalnum((unsigned char)*text)) return false;
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)text[i]) && strchr("._-", text[i]) == NULL) return false;
    return true;
}

bool keyfile_is_key(const char *text)
{
    size_t len = strlen(text);
    if (len != KEY_TEXT - 1) return false;
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)text[i]) && strchr(".-:+=^!/*?&<>()[]{}@%$#", text[i]) == NULL)
            return false;
    return true;
}

void keyfile_wipe(keyfile_t *self)
{
    explicit_bzero(self, sizeof *self);
}

/* ---- reading --------------------------------------------------------------------------------- */

static char *trim(char *text)
{
    while (*text == ' ' || *text == '\t')
        text++;
    size_t len = strlen(text);
    while (len > 0 && strchr(" \t\r", text[len - 1]) != NULL)
        text[--len] = '\0';
    return text;
}

static const char *take_line(keyfile_t *out, char *line)
{
    line = trim(line);
    if (*line == '\0' || *line == '#') return NULL;
    char *colon = strchr(line, ':');
    if (colon == NULL) return "a line must read `name: value`";
    *colon = '\0';
    const char *name = trim(line), *value = trim(colon + 1);
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        if (strcmp(fields[i].name, name) != 0) continue;
        char *to = (char *)out + fields[i].at;
        if (*to) return "it says this a second time";
        if (fields[i].key ? !keyfile_is_key(value) : !*value || strlen(value) >= fields[i].size)
            return fields[i].key ? "a key has 40 characters of Z85"
                                 : "the value is empty or too long";
        snprintf(to, fields[i].size, "%s", value);
        return NULL;
    }
    return "the names known are name, role, public, secret and broker";
}

static err_t take_text(const char *path, char *text, keyfile_t *out, char *why, size_t len)
{
    unsigned number = 0;
    char *rest = text;
    for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
        const char *fault = (number++, take_line(out, line));
        if (fault == NULL) continue;
        snprintf(why, len, "%s:%u: %s", path, number, fault);
        return ERR_CONFIG;
    }
    if (keyfile_is_name(out->name) && *out->public_key) return ERR_OK;
    snprintf(why, len,
             "%s: it must have a name (letters, digits, . _ -, at most %d) and a public key", path,
             KEY_NAME - 1);
    return ERR_CONFIG;
}

/* A public half decides who is let in, as what: whoever can write to it can come as anybody. */
static const char *not_guarded(const struct stat *info)
{
    return info->st_mode & 022 ? "others can write to it: chmod go-w" : NULL;
}

static const char *not_private(const struct stat *info)
{
    if (info->st_uid != geteuid() && info->st_uid != 0)
        return "it belongs to another user: chown it to the user that runs this program";
    if (info->st_mode & 077) return "others can read it: chmod 600";
    return NULL;
}

err_t keyfile_read(const char *path, bool secret, keyfile_t *out, char *why, size_t len)
{
    char text[FILE_MOST + 1];
    struct stat info;
    memset(out, 0, sizeof *out);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &info) != 0) {
        snprintf(why, len, "%s: %s", path, strerror(errno));
        err_t err = errno == ENOENT ? ERR_NOT_FOUND : ERR_OS;
        if (fd >= 0) close(fd);
        return err;
    }
    const char *fault = !S_ISREG(info.st_mode)     ? "it is no file"
                        : info.st_size > FILE_MOST ? "it is larger than 4 KiB"
                        : secret                   ? not_private(&info)
                                                   : not_guarded(&info);
    ssize_t got = fault ? 0 : read(fd, text, FILE_MOST);
    close(fd);
    if (fault || got < 0) {
        snprintf(why, len, "%s: %s", path, fault ? fault : "it cannot be read");
        return ERR_CONFIG;
    }
    text[got] = '\0';
    err_t err = take_text(path, text, out, why, len);
    explicit_bzero(text, sizeof text);
    if (err == ERR_OK && secret && !*out->secret_key) {
        snprintf(why, len, "%s: it has no secret key; this is the public half", path);
        err = ERR_CONFIG;
    }
    if (err != ERR_OK) keyfile_wipe(out);
    return err;
}

/* ---- writing --------------------------------------------------------------------------------- */

err_t keyfile_write(const char *path, const keyfile_t *keys, char *why, size_t len)
{
    bool secret = *keys->secret_key;
    char text[FILE_MOST];
    int used =
        snprintf(text, sizeof text, "%s", secret ? "# secret: for this program alone\n" : "");
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        const char *value = (const char *)keys + fields[i].at;
        if (*value)
            used += snprintf(text + used, sizeof text - (size_t)used, "%s: %s\n", fields[i].name,
                             value);
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY, secret ? 0600 : 0644);
    if (fd < 0) {
        snprintf(why, len, "%s: %s", path, strerror(errno));
        return errno == EEXIST ? ERR_EXISTS : ERR_OS;
    }
    bool good = write(fd, text, (size_t)used) == used && fsync(fd) == 0;
    if (!good) snprintf(why, len, "%s: %s", path, strerror(errno));
    explicit_bzero(text, sizeof text);
    if (close(fd) != 0 || !good) {
        unlink(path);
        return ERR_OS;
    }
    return ERR_OK;
}
