/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/sql/sources.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <sodium.h>

#include "executor/private_file.h"
#include "executor/sql/driver.h"

enum { PASSWORD_MAX = 4096 };

const conf_key_t source_keys[] = {
    { "driver", CONF_WORD, "postgresql mariadb mysql sqlite", 0, 0, "which database it is" },
    { "host", CONF_TEXT, "localhost", 0, 0, "name, address, or the folder or file of a socket" },
    { "port", CONF_COUNT, "0", 0, 65535, "0: the driver's usual one" },
    { "database", CONF_TEXT, "", 0, 0, "its name; of sqlite the file" },
    { "user", CONF_TEXT, "", 0, 0, "whom to connect as" },
    { "password_file", CONF_TEXT, "", 0, 0, "file of mode 0600 whose first line it is" },
    { "password_env", CONF_TEXT, "", 0, 0, "or the variable of the executor that holds it" },
    { "read_only", CONF_BOOL, "false", 0, 0, "the database refuses every change" },
    { "tls", CONF_WORD, "prefer disable require verify", 0, 0, "verify: also whose it is" },
    { "ca_file", CONF_TEXT, "", 0, 0, "certificates to verify by" },
    { "pool", CONF_COUNT, "4", 1, SOURCE_POOL_MAX, "connections at most" },
    { "statement_limit", CONF_DURATION, "0", 0, 0, "the server stops a statement then; 0: never" },
    { "connect_limit", CONF_DURATION, "10s", 0, 0, "patience while connecting" },
};
const size_t source_key_count = ARRAY_LEN(source_keys);

/* A name stands in a label (sql.NAME) and on command lines. */
static bool name_valid(const char *name)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
    return *name && strlen(name) <= LIMIT_SOURCE && name[strspn(name, letters)] == '\0';
}

/* The first line. NULL, or what is wrong with the file. */
static const char *read_file(const char *path, char **password)
{
    char text[PASSWORD_MAX + 1];
    int fd;
    const char *wrong = private_file_open(path, &fd);
    if (wrong) return wrong;
    ssize_t got = read(fd, text, PASSWORD_MAX);
    if (got < 0) wrong = strerror(errno);
    close(fd);
    if (wrong) return wrong;
    text[got] = '\0';
    text[strcspn(text, "\r\n")] = '\0';
    *password = mem_text(text);
    sodium_memzero(text, sizeof text);
    return NULL;
}

static err_t read_password(sql_source_t *self, const conf_t *entry, char *why, size_t len)
{
    const char *file = conf_text(entry, "password_file"), *name = conf_text(entry, "password_env");
    const char *value = *name ? getenv(name) : NULL;
    if (*file && *name) {
        snprintf(why, len, "sources.%s: password_file and password_env exclude each other",
                 self->name);
        return ERR_CONFIG;
    }
    if (*name && !value) {
        snprintf(why, len,
                 "sources.%s.password_env: the executor's environment has no variable %.60s",
                 self->name, name);
        return ERR_CONFIG;
    }
    if (value) self->password = mem_text(value);
    const char *wrong = *file ? read_file(file, &self->password) : NULL;
    if (!wrong) return ERR_OK;
    snprintf(why, len, "sources.%s.password_file: %.120s cannot be used: %s", self->name, file,
             wrong);
    return ERR_CONFIG;
}

static const char *or_null(const char *text)
{
    return *text ? text : NULL;
}

static err_t read_source(sql_source_t *self, const char *name, const conf_t *entry, char *why,
                         size_t len)
{
    *self = (sql_source_t){ .name = name,
                            .driver = sql_driver(conf_text(entry, "driver")),
                            .database = conf_text(entry, "database"),
                            .user = conf_text(entry, "user"),
                            .ca_file = or_null(conf_text(entry, "ca_file")),
                            .port = (unsigned)conf_number(entry, "port"),
                            .read_only = conf_bool(entry, "read_only"),
                            .tls = (source_tls_t)conf_number(entry, "tls"),
                            .pool = (unsigned)conf_number(entry, "pool"),
                            .statement_limit_us = conf_number(entry, "statement_limit"),
                            .connect_limit_us = conf_number(entry, "connect_limit") };
    CHECK(self->driver != NULL); /* the words of `driver` are the names of drivers */
    bool file = self->driver->port == 0;
    if (!file) self->host = conf_text(entry, "host");
    if (self->port == 0) self->port = self->driver->port;
    if (!name_valid(name)) {
        snprintf(why, len, "sources.%.60s: a name has 1 to %d of A-Z a-z 0-9 _ . -", name,
                 LIMIT_SOURCE);
        return ERR_CONFIG;
    }
    if (strcmp(conf_origin(entry, "driver"), "default") == 0 || !*self->database ||
        (!file && !*self->user)) {
        snprintf(why, len, "sources.%s: it needs driver, database and, but for sqlite, user", name);
        return ERR_CONFIG;
    }
    return read_password(self, entry, why, len);
}

/* The libraries take from these what a source does not say (PGHOSTADDR, PGOPTIONS, MYSQL_PWD,
 * MARIADB_PLUGIN_DIR, ...), and so may connect to another database than the file names, or as
 * somebody else. Passwords have been read by now. */
static bool is_of_a_library(const char *variable)
{
    static const char *const prefixes[] = { "PG", "MYSQL_", "MARIADB_" };
    for (size_t i = 0; i < ARRAY_LEN(prefixes); i++)
        if (strncmp(variable, prefixes[i], strlen(prefixes[i])) == 0) return true;
    return false;
}

static void forget_variables(void)
{
    extern char **environ;
    if (!environ) return;
    for (char **at = environ; *at;) {
        char name[64];
        size_t len = strcspn(*at, "=");
        if (!is_of_a_library(*at) || len >= sizeof name) {
            at++;
            continue;
        }
        memcpy(name, *at, len);
        name[len] = '\0';
        if (unsetenv(name) != 0) at++;
    }
}

/* A variable that held a password is wiped where the kernel shows it (/proc/PID/environ), and no
 * command is given it. Two sources may name the same one: after all have been read. */
static void wipe_variable(const char *name)
{
    char *value = *name ? getenv(name) : NULL;
    if (!value) return;
    sodium_memzero(value, strlen(value));
    (void)unsetenv(name);
}

err_t sources_read(sources_t *self, const conf_t *conf, char *why, size_t len)
{
    size_t n = conf_count(conf, "sources");
    if (n > SOURCES_MAX) {
        snprintf(why, len,
                 "sources: %zu of them, one executor announces at most %d: give the "
                 "others to a second one",
                 n, SOURCES_MAX);
        return ERR_CONFIG;
    }
    for (size_t i = 0; i < n; i++) {
        err_t err = read_source(&self->items[self->count++], conf_name(conf, "sources", i),
                                conf_entry(conf, "sources", i), why, len);
        if (err) return err;
    }
    for (size_t i = 0; i < n; i++)
        wipe_variable(conf_text(conf_entry(conf, "sources", i), "password_env"));
    if (n > 0) forget_variables();
    return ERR_OK;
}

void sources_free(sources_t *self)
{
    for (size_t i = 0; i < self->count; i++) {
        char *password = self->items[i].password;
        if (password) sodium_memzero(password, strlen(password));
        free(password);
    }
    *self = (sources_t){ 0 };
}

const sql_source_t *sources_find(const sources_t *self, const char *name)
{
    for (size_t i = 0; i < self->count; i++)
        if (strcmp(self->items[i].name, name) == 0) return &self->items[i];
    return NULL;
}
