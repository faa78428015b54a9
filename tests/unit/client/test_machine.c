/* SPDX-License-Identifier: Apache-2.0
 * What an executor tells of its machine, by the files that systems have. */
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

#include "client/machine.h"

static char root[64];

static int make_root(void **state)
{
    char path[96];
    (void)state;
    snprintf(root, sizeof root, "/tmp/pawl-machine-XXXXXX");
    if (!mkdtemp(root)) return -1;
    snprintf(path, sizeof path, "%s/etc", root);
    return mkdir(path, 0700);
}

static int remove_root(void **state)
{
    char path[96];
    (void)state;
    snprintf(path, sizeof path, "%s/etc/os-release", root);
    unlink(path);
    snprintf(path, sizeof path, "%s/etc", root);
    rmdir(path);
    return rmdir(root);
}

static void put_os_release(const char *text)
{
    char path[96];
    snprintf(path, sizeof path, "%s/etc/os-release", root);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void a_machine_without_os_release_is_told_all_the_same(void **state)
{
    (void)state;
    machine_t machine;
    machine_find(root, &machine);
    assert_string_equal(machine.os, "");
    assert_true(machine.cpus >= 1);
    assert_true(machine.memory_bytes > 1 << 20);
    assert_non_null(strchr(machine.kernel, ' '));
}

static void the_name_of_the_system_is_read_with_and_without_quotes(void **state)
{
    (void)state;
    machine_t machine;
    put_os_release("NAME=x\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\n");
    machine_find(root, &machine);
    assert_string_equal(machine.os, "Debian GNU/Linux 12 (bookworm)");
    put_os_release("PRETTY_NAME=Arch");
    machine_find(root, &machine);
    assert_string_equal(machine.os, "Arch");
}

static void bytes_that_a_broker_would_refuse_are_left_out(void **state)
{
    (void)state;
    machine_t machine;
    put_os_release("PRETTY_NAME=\"a\x01\xff\tb\n");
    machine_find(root, &machine);
    assert_string_equal(machine.os, "ab");
}

static void the_load_is_in_thousandths(void **state)
{
    (void)state;
    uint32_t milli = UINT32_MAX;
    assert_true(machine_load(&milli));
    assert_true(milli < 1000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_machine_without_os_release_is_told_all_the_same),
        cmocka_unit_test(the_name_of_the_system_is_read_with_and_without_quotes),
        cmocka_unit_test(bytes_that_a_broker_would_refuse_are_left_out),
        cmocka_unit_test(the_load_is_in_thousandths),
    };
    return cmocka_run_group_tests(tests, make_root, remove_root);
}
