/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/front/keys.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/map.h"

enum { OWNERS_MOST = 20000 };

typedef struct owner {
    char public_key[KEY_TEXT], name[KEY_NAME];
    access_role_t role;
} owner_t;

typedef struct owners {
    owner_t *at; /* by public key */
    size_t n, room;
} owners_t;

struct keys {
    char *folder;
    uint64_t look; /* of the folder when it was read */
    pthread_mutex_t lock;
    owners_t owners;      /* under lock */
    char trial[KEY_TEXT]; /* under lock */
};

keys_t *keys_new(const char *folder)
{
    keys_t *self = mem_new(sizeof *self);
    self->folder = mem_text(folder);
    pthread_mutex_init(&self->lock, NULL);
    return self;
}

void keys_destroy(keys_t **self_p)
{
    keys_t *self = *self_p;
    if (self == NULL) return;
    pthread_mutex_destroy(&self->lock);
    free(self->owners.at);
    free(self->folder);
    free(self);
    *self_p = NULL;
}

/* ---- the folder ------------------------------------------------------------------------------ */

static int is_public(const struct dirent *entry)
{
    size_t len = strlen(entry->d_name);
    return len > 4 && entry->d_name[0] != '.' && strcmp(entry->d_name + len - 4, ".pub") == 0;
}

/* What a change of any file changes. An edit in place within the clock's grain keeps its size only
 * when nothing but a key or role of equal length was exchanged; the time tells then. */
static uint64_t look_of(const char *folder, struct dirent *const *entries, int n)
{
    uint64_t look = 0;
    for (int i = 0; i < n; i++) {
        char path[4096];
        struct stat info = { 0 };
        snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
        if (stat(path, &info) != 0) info.st_size = -1;
        uint64_t part[] = { hash64(entries[i]->d_name, strlen(entries[i]->d_name)),
                            (uint64_t)info.st_size,
                            (uint64_t)info.st_ino,
                            (uint64_t)info.st_mtim.tv_sec,
                            (uint64_t)info.st_mtim.tv_nsec,
                            look };
        look = hash64(part, sizeof part);
    }
    return look;
}

static int list_folder(const char *folder, struct dirent ***entries)
{
    int n = scandir(folder, entries, is_public, alphasort);
    if (n < 0) {
        *entries = NULL;
        return errno == ENOENT ? 0 : -1;
    }
    return n;
}

static void free_list(struct dirent **entries, int n)
{
    for (int i = 0; i < n; i++)
        free(entries[i]);
    free(entries);
}

bool keys_changed(keys_t *self)
{
    struct dirent **entries;
    int n = list_folder(self->folder, &entries);
    uint64_t look = look_of(self->folder, entries, n);
    free_list(entries, n);
    return look != self->look;
}

/* ---- reading --------------------------------------------------------------------------------- */

static int by_key(const void *a, const void *b)
{
    return strcmp(((const owner_t *)a)->public_key, ((const owner_t *)b)->public_key);
}

static err_t add_owner(owners_t *to, const char *path, char *why, size_t len)
{
    keyfile_t file;
    err_t err = keyfile_read(path, false, &file, why, len);
    if (err != ERR_OK) return err;
    owner_t owner = { .role = access_role_of(file.role) };
    memcpy(owner.public_key, file.public_key, sizeof owner.public_key);
    memcpy(owner.name, file.name, sizeof owner.name);
    bool secret = *file.secret_key;
    keyfile_wipe(&file);
    if (secret || owner.role == ACCESS_NONE) {
        snprintf(why, len, "%s: %s", path,
                 secret ? "it holds a secret key, which belongs to its owner alone"
                        : "the role must be admin, operator, submitter, executor, scheduler or "
                          "monitor");
        return ERR_CONFIG;
    }
    if (to->n == to->room) {
        to->room = to->room ? to->room * 2 : 16;
        to->at = mem_grow(to->at, to->room * sizeof *to->at);
    }
    to->at[to->n++] = owner;
    return ERR_OK;
}

/* Two owners of one key: who is it? Two keys of one owner are how a key is changed. */
static err_t refuse_doubles(const owners_t *owners, char *why, size_t len)
{
    for (size_t i = 1; i < owners->n; i++)
        if (strcmp(owners->at[i - 1].public_key, owners->at[i].public_key) == 0) {
            snprintf(why, len, "%s and %s have the same public key", owners->at[i - 1].name,
                     owners->at[i].name);
            return ERR_CONFIG;
        }
    return ERR_OK;
}

/* Who can put a file into the folder can let anybody in. A folder that is not there lets nobody. */
static const char *not_ours(const char *folder)
{
    struct stat info;
    if (stat(folder, &info) != 0) return NULL;
    if (info.st_uid != geteuid() && info.st_uid != 0)
        return "it belongs to another user: chown it to the user that runs the broker";
    return info.st_mode & 022 ? "others can write to it: chmod go-w" : NULL;
}

err_t keys_load(keys_t *self, char *why, size_t len)
{
    owners_t owners = { 0 };
    struct dirent **entries;
    int n = list_folder(self->folder, &entries);
    const char *fault = n < 0             ? strerror(errno)
                        : n > OWNERS_MOST ? "it has more than 20000 keys"
                                          : not_ours(self->folder);
    err_t err = fault == NULL ? ERR_OK : n < 0 ? ERR_OS : ERR_CONFIG;
    if (fault) snprintf(why, len, "%s: %s", self->folder, fault);
    /* before the files are read: a change meanwhile is seen by the next look */
    uint64_t look = look_of(self->folder, entries, n);
    for (int i = 0; i < n && err == ERR_OK; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", self->folder, entries[i]->d_name);
        err = add_owner(&owners, path, why, len);
    }
    free_list(entries, n);
    self->look = look;
    if (owners.n) qsort(owners.at, owners.n, sizeof *owners.at, by_key);
    if (err == ERR_OK) err = refuse_doubles(&owners, why, len);
    if (err == ERR_OK) {
        pthread_mutex_lock(&self->lock);
        owners_t old = self->owners;
        self->owners = owners;
        pthread_mutex_unlock(&self->lock);
        owners = old;
    }
    free(owners.at);
    return err;
}

/* ---- asking ---------------------------------------------------------------------------------- */

bool keys_owner(keys_t *self, const char *public_key, char name[KEY_NAME], access_role_t *role)
{
    owner_t wanted = { 0 };
    if (!keyfile_is_key(public_key)) return false;
    memcpy(wanted.public_key, public_key, KEY_TEXT);
    pthread_mutex_lock(&self->lock);
    const owner_t *found = self->owners.n ? bsearch(&wanted, self->owners.at, self->owners.n,
                                                    sizeof *self->owners.at, by_key)
                                          : NULL;
    if (found) {
        memcpy(name, found->name, KEY_NAME);
        *role = found->role;
    } else if (strcmp(self->trial, public_key) == 0) {
        snprintf(name, KEY_NAME, "trial");
        *role = ACCESS_NONE;
        found = &wanted;
    }
    pthread_mutex_unlock(&self->lock);
    return found != NULL;
}

bool keys_has(keys_t *self, const char *name, access_role_t role)
{
    bool found = false;
    pthread_mutex_lock(&self->lock);
    for (size_t i = 0; i < self->owners.n && !found; i++)
        found = self->owners.at[i].role == role && strcmp(self->owners.at[i].name, name) == 0;
    pthread_mutex_unlock(&self->lock);
    return found;
}

size_t keys_count(keys_t *self)
{
    pthread_mutex_lock(&self->lock);
    size_t n = self->owners.n;
    pthread_mutex_unlock(&self->lock);
    return n;
}

void keys_trial(keys_t *self, const char *public_key)
{
    pthread_mutex_lock(&self->lock);
    snprintf(self->trial, sizeof self->trial, "%s", public_key ? public_key : "");
    pthread_mutex_unlock(&self->lock);
}
