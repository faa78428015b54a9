/* SPDX-License-Identifier: Apache-2.0
 * Which container a process is in, by what the engines leave inside. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/container.h"

#define ID "4f0c3de1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d"

static char root[64];

static void put(const char *path, const char *text)
{
    char whole[256], part[256];
    snprintf(whole, sizeof whole, "%s%s", root, path);
    for (char *slash = whole + strlen(root) + 1; (slash = strchr(slash, '/')); slash++) {
        snprintf(part, sizeof part, "%.*s", (int)(slash - whole), whole);
        mkdir(part, 0700);
    }
    FILE *file = fopen(whole, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static int fresh(void **state)
{
    (void)state;
    static const char *const names[] = { "container", "container_uuid", "KUBERNETES_SERVICE_HOST",
                                         "PAWL_CONTAINER_NAME", "PAWL_CONTAINER_IMAGE" };
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        unsetenv(names[i]);
    snprintf(root, sizeof root, "/tmp/pawl-container-XXXXXX");
    if (!mkdtemp(root)) return -1;
    put("/proc/self/cgroup", "0::/\n");
    put("/proc/sys/kernel/hostname", "web-1\n");
    return 0;
}

static int gone(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", root);
    return system(command);
}

static void a_machine_is_no_container_though_it_was_made_from_an_image_of_one(void **state)
{
    (void)state;
    container_t found;
    put("/.dockerenv", "");
    put("/proc/self/mountinfo", "22 27 8:1 / / rw - ext4 /dev/vda rw\n");
    assert_false(container_find(root, &found));
    setenv("PAWL_CONTAINER_NAME", "claimed", 1);
    assert_false(container_find(root, &found));
}

static void podman_tells_id_name_and_image_in_a_file(void **state)
{
    (void)state;
    container_t found;
    put("/run/.containerenv",
        "engine=\"podman-4.3\"\nname=\"web\"\nid=\"" ID "\"\nimage=\"registry/web:7\"\n");
    assert_true(container_find(root, &found));
    assert_string_equal(found.id, ID);
    assert_string_equal(found.name, "web");
    assert_string_equal(found.image, "registry/web:7");
}

static void podman_without_rights_tells_only_that_it_is_one(void **state)
{
    (void)state;
    container_t found;
    put("/run/.containerenv", "");
    assert_true(container_find(root, &found));
    assert_string_equal(found.id, "");
    assert_string_equal(found.name, "");
}

static void docker_shows_in_the_cgroup_or_in_what_it_mounts(void **state)
{
    (void)state;
    container_t found;
    put("/proc/self/cgroup", "0::/system.slice/docker-" ID ".scope\n");
    assert_true(container_find(root, &found));
    assert_string_equal(found.id, ID);
    put("/proc/self/cgroup", "0::/\n");
    put("/proc/self/mountinfo",
        "99 1 8:1 /var/lib/docker/overlay2/" ID "/diff / rw - overlay overlay rw\n");
    assert_false(container_find(root, &found)); /* a layer's name, not a container's */
    put("/proc/self/mountinfo", "9 1 8:1 /var/lib/docker/containers/" ID
                                "/hostname /etc/hostname rw,relatime - ext4 /dev/vda1 rw\n");
    setenv("PAWL_CONTAINER_IMAGE", "app:1", 1);
    assert_true(container_find(root, &found));
    assert_string_equal(found.id, ID);
    assert_string_equal(found.image, "app:1");
}

static void bytes_that_a_broker_would_refuse_are_replaced(void **state)
{
    (void)state;
    container_t found;
    char longest[400];
    memset(longest, 'x', sizeof longest - 1);
    memcpy(longest + 253, "\xe2\x82\xac", 3); /* a character over the end */
    longest[sizeof longest - 1] = '\0';
    setenv("container", "lxc", 1);
    setenv("PAWL_CONTAINER_NAME", "a\nb\xff", 1);
    setenv("PAWL_CONTAINER_IMAGE", longest, 1);
    assert_true(container_find(root, &found));
    assert_string_equal(found.name, "a b?");
    assert_int_equal(strlen(found.image), 253);
}

static void in_kubernetes_the_host_name_is_the_name_of_the_pod(void **state)
{
    (void)state;
    container_t found;
    put("/proc/self/cgroup",
        "0::/kubepods.slice/kubepods-pod1234.slice/cri-containerd-" ID ".scope\n");
    setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1", 1);
    assert_true(container_find(root, &found));
    assert_string_equal(found.id, ID);
    assert_string_equal(found.name, "web-1");
}

static void lxc_and_nspawn_say_so_in_a_variable(void **state)
{
    (void)state;
    container_t found;
    setenv("container", "lxc", 1);
    assert_true(container_find(root, &found));
    assert_string_equal(found.id, "");
    assert_string_equal(found.name, "web-1");
    setenv("container", "systemd-nspawn", 1);
    setenv("container_uuid", "3b1c6a7e-0000-4000-8000-000000000001", 1);
    assert_true(container_find(root, &found));
    assert_string_equal(found.id, "3b1c6a7e-0000-4000-8000-000000000001");
    assert_string_equal(found.name, "web-1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            a_machine_is_no_container_though_it_was_made_from_an_image_of_one, fresh, gone),
        cmocka_unit_test_setup_teardown(podman_tells_id_name_and_image_in_a_file, fresh, gone),
        cmocka_unit_test_setup_teardown(podman_without_rights_tells_only_that_it_is_one, fresh,
                                        gone),
        cmocka_unit_test_setup_teardown(docker_shows_in_the_cgroup_or_in_what_it_mounts, fresh,
                                        gone),
        cmocka_unit_test_setup_teardown(in_kubernetes_the_host_name_is_the_name_of_the_pod, fresh,
                                        gone),
        cmocka_unit_test_setup_teardown(lxc_and_nspawn_say_so_in_a_variable, fresh, gone),
        cmocka_unit_test_setup_teardown(bytes_that_a_broker_would_refuse_are_replaced, fresh, gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
