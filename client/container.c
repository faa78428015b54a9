/* SPDX-License-Identifier: Apache-2.0 */
#include "client/container.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "schemas/wire.h"

enum { ID_DIGITS = 64, PATH_ROOM = 4096 };

static FILE *open_below(const char *root, const char *path)
{
    char whole[PATH_ROOM];
    snprintf(whole, sizeof whole, "%s%s", root, path);
    return fopen(whole, "re");
}

/* What a broker takes as a line: it refuses a whole Hello for one byte that is none of a text. */
static void put(char text[CONTAINER_TEXT], const char *from, size_t len)
{
    wire_text_line(text, CONTAINER_TEXT, from, len);
}

/* podman: lines like name="web"; none of them when the container may not know. */
static bool read_containerenv(const char *root, container_t *container)
{
    const struct {
        const char *key;
        char *text;
    } wanted[] = { { "id=", container->id },
                   { "name=", container->name },
                   { "image=", container->image } };
    FILE *file = open_below(root, "/run/.containerenv");
    if (file == NULL) return false;
    char line[1024];
    while (fgets(line, sizeof line, file))
        for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
            size_t key_len = strlen(wanted[i].key);
            if (strncmp(line, wanted[i].key, key_len) != 0) continue;
            const char *value = line + key_len + (line[key_len] == '"');
            put(wanted[i].text, value, strcspn(value, "\"\n"));
        }
    fclose(file);
    return true;
}

/* The last run of exactly 64 hexadecimal digits. */
static bool find_id(const char *line, char id[CONTAINER_TEXT])
{
    bool found = false;
    for (size_t at = 0; line[at];) {
        size_t len = 0;
        while (isxdigit((unsigned char)line[at + len]))
            len++;
        if (len == ID_DIGITS) put(id, line + at, len);
        found = found || len == ID_DIGITS;
        at += len + (line[at + len] != '\0');
    }
    return found;
}

/* Where our cgroup is, and with a cgroup namespace of our own: where the files come from that the
 * engine mounts over /etc/hostname and its like. Other mounts name layers, not containers. */
static bool read_paths(const char *root, char id[CONTAINER_TEXT])
{
    static const struct {
        const char *path, *with;
    } files[] = { { "/proc/self/cgroup", "/" },
                  { "/proc/self/mountinfo", " /etc/hostname " },
                  { "/proc/self/mountinfo", " /etc/resolv.conf " } };
    bool found = false;
    for (size_t i = 0; !found && i < ARRAY_LEN(files); i++) {
        FILE *file = open_below(root, files[i].path);
        char line[PATH_ROOM];
        while (file && !found && fgets(line, sizeof line, file))
            found = strstr(line, files[i].with) && find_id(line, id);
        if (file) fclose(file);
    }
    return found;
}

/* lxc, systemd-nspawn and kubernetes give a container the name it has outside as its host name. */
static void name_of_host(const char *root, const char *kind, container_t *container)
{
    char host[CONTAINER_TEXT] = "";
    FILE *file = open_below(root, "/proc/sys/kernel/hostname");
    if (file && fgets(host, sizeof host, file)) host[strcspn(host, "\n")] = '\0';
    if (file) fclose(file);
    bool named = strncmp(kind, "lxc", 3) == 0 || strcmp(kind, "systemd-nspawn") == 0 ||
                 getenv("KUBERNETES_SERVICE_HOST");
    if (named && !container->name[0]) put(container->name, host, strlen(host));
}

bool container_find(const char *root, container_t *container)
{
    const char *kind = getenv("container"), *uuid = getenv("container_uuid");
    const char *name = getenv("PAWL_CONTAINER_NAME"), *image = getenv("PAWL_CONTAINER_IMAGE");
    *container = (container_t){ 0 };
    bool inside = read_containerenv(root, container);
    inside |= container->id[0] || read_paths(root, container->id);
    inside |= kind && *kind;
    if (!inside) return false;
    if (!container->id[0] && uuid) put(container->id, uuid, strlen(uuid));
    name_of_host(root, kind ? kind : "", container);
    if (name) put(container->name, name, strlen(name));
    if (image) put(container->image, image, strlen(image));
    return true;
}
