/* SPDX-License-Identifier: Apache-2.0 */
#include "client/conf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "schemas/limits.h"

static const char *const names[CONF_KEYS] = {
    [CONF_BROKER] = "broker",
    [CONF_KEY_FILE] = "key",
    [CONF_NAME] = "name",
    [CONF_ROLE] = "role",
    [CONF_MAX_PENDING] = "max_pending",
    [CONF_CONNECT_IVL] = "connect_ivl_ms",
    [CONF_CONNECT_MAX] = "connect_max_ms",
};

pawl_conf_t *pawl_conf_new(void)
{
    return calloc(1, sizeof(pawl_conf_t));
}

void pawl_conf_destroy(pawl_conf_t **self_p)
{
    if (!self_p || !*self_p) return;
    for (int i = 0; i < CONF_KEYS; i++)
        free((*self_p)->value[i]);
    free(*self_p);
    *self_p = NULL;
}

static bool is_number(const char *text, long least, long most)
{
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    return end != text && !*end && !errno && value >= least && value <= most;
}

static int key_of(const char *name)
{
    for (int i = 0; i < CONF_KEYS; i++)
        if (name && strcmp(names[i], name) == 0) return i;
    return -1;
}

/* What is wrong with a value; NULL: nothing. */
static const char *fault_of(int key, const char *value)
{
    switch (key) {
    case CONF_BROKER:
        if (strncmp(value, "ipc://", 6) == 0)
            return strlen(value + 6) < sizeof(((struct sockaddr_un *)0)->sun_path) && value[6]
                       ? NULL
                       : "the path of an ipc endpoint has 1 to 107 bytes";
        return strncmp(value, "tcp://", 6) == 0 && value[6] && strlen(value) < 256
                   ? NULL
                   : "an endpoint starts with ipc:// or tcp://";
    case CONF_KEY_FILE:
        return *value && strlen(value) < 4096 ? NULL : "it is the path of a file";
    case CONF_NAME:
        return *value && strlen(value) <= LIMIT_NAME ? NULL : "a name has 1 to 200 bytes";
    case CONF_ROLE:
        return !strcmp(value, "client") || !strcmp(value, "executor") || !strcmp(value, "scheduler")
                   ? NULL
                   : "a role is client, executor or scheduler";
    case CONF_MAX_PENDING:
        return is_number(value, 1, 1000000) ? NULL : "a number from 1 to 1000000 is needed";
    default:
        return is_number(value, 1, 600000) ? NULL : "milliseconds from 1 to 600000 are needed";
    }
}

pawl_err pawl_conf_set(pawl_conf_t *self, const char *key, const char *value, char *errbuf,
                       size_t errlen)
{
    int at = key_of(key);
    const char *fault = !self || !value ? "a value is needed"
                        : at < 0        ? "there is no such key"
                                        : fault_of(at, value);
    if (fault) {
        if (errbuf && errlen)
            snprintf(errbuf, errlen, "%s = %s: %s", key ? key : "(null)", value ? value : "(null)",
                     fault);
        return PAWL_E_CONFIG;
    }
    char *copy = strdup(value);
    if (!copy) return PAWL_E_NO_MEMORY;
    free(self->value[at]);
    self->value[at] = copy;
    return PAWL_OK;
}

const char *pawl_conf_get(const pawl_conf_t *self, const char *key)
{
    int at = key_of(key);
    return self && at >= 0 ? self->value[at] : NULL;
}

long conf_setting(const pawl_conf_t *self, enum conf_key key, long otherwise)
{
    return self && self->value[key] ? strtol(self->value[key], NULL, 10) : otherwise;
}

bool conf_endpoint(const pawl_conf_t *self, char *endpoint, size_t size)
{
    const char *given = self ? self->value[CONF_BROKER] : NULL;
    const char *named = getenv("PAWL_BROKER");
    if (!given && named && *named) given = named;
    if (given)
        return (size_t)snprintf(endpoint, size, "%s", given) < size &&
               !fault_of(CONF_BROKER, given);
    const char *home = getenv("HOME");
    if (home && *home) {
        int len = snprintf(endpoint, size, "ipc://%s/.local/share/pawl/broker.sock", home);
        if (len > 0 && (size_t)len < size && !fault_of(CONF_BROKER, endpoint) &&
            access(endpoint + 6, F_OK) == 0)
            return true;
    }
    return (size_t)snprintf(endpoint, size, "ipc:///run/pawl/broker.sock") < size;
}

err_t conf_keys(const pawl_conf_t *self, keyfile_t *keys, char *why, size_t len)
{
    const char *path = self ? self->value[CONF_KEY_FILE] : NULL;
    const char *named = getenv("PAWL_KEY");
    if (!path && named && *named) path = named;
    if (!path) {
        snprintf(why, len,
                 "a tcp endpoint needs the file of a key: `pawl key new NAME` on the "
                 "broker's machine makes one (option key, or PAWL_KEY)");
        return ERR_CONFIG;
    }
    if (keyfile_read(path, true, keys, why, len) != ERR_OK) return ERR_CONFIG;
    if (*keys->broker_key) return ERR_OK;
    snprintf(why, len, "%s: it does not name the broker's public key", path);
    keyfile_wipe(keys);
    return ERR_CONFIG;
}
