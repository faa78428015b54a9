/* SPDX-License-Identifier: Apache-2.0
 * container.h - the container this process runs in, as the usual files and variables tell.
 *
 * A container is believed when something names it: podman's /run/.containerenv, a cgroup or mount
 * path with an id of 64 hexadecimal digits (docker, containerd, CRI-O, kubernetes), or the variable
 * `container` that systemd-nspawn, lxc and podman set for the processes inside. The file
 * /.dockerenv alone is not believed: it stays behind when an image is started as a whole machine.
 */
#ifndef PAWL_CLIENT_CONTAINER_H
#define PAWL_CLIENT_CONTAINER_H

#include "client/base/base.h"

enum { CONTAINER_TEXT = 256 };

typedef struct container {
    char id[CONTAINER_TEXT], name[CONTAINER_TEXT], image[CONTAINER_TEXT]; /* "" = not known */
} container_t;

/* False: no container. `root` is put before the paths ("" outside tests); PAWL_CONTAINER_NAME and
 * PAWL_CONTAINER_IMAGE of the environment add what cannot be seen from inside. */
bool container_find(const char *root, container_t *container);

#endif
