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

static void bytes_that_a_broker_would_refuse_are_replaced(void **state)
{
    (void)state;
    machine_t machine;
    put_os_release("PRETTY_NAME=\"a\x01\xff\tb\n");
    machine_find(root, &machine);
    assert_string_equal(machine.os, "a?? b");
}

static double average; /* < 0: not known */

/* In place of the C library's. */
int getloadavg(double *averages, int n)
{
    assert_int_equal(n, 1);
    *averages = average;
    return average < 0 ? -1 : 1;
}

static void the_load_is_in_thousandths(void **state)
{
    (void)state;
    uint32_t milli = UINT32_MAX;
    average = 1.25;
    assert_true(machine_load(&milli));
    assert_int_equal(milli, 1250);
    average = 1e30;
    assert_true(machine_load(&milli));
    assert_int_equal(milli, 1000000000);
    average = -1;
    assert_false(machine_load(&milli));
}

#define SECOND INT64_C(1000000)

static void a_load_is_told_once_and_then_when_it_is_another_by_much(void **state)
{
    (void)state;
    load_told_t told = { 0 };
    average = 2.0;
    assert_true(load_is_news(&told, 5 * SECOND)); /* nothing was told yet */
    load_note(&told, 2000, 5 * SECOND);
    average = 9.0;
    assert_false(load_is_news(&told, 15 * SECOND - 1)); /* each ten seconds */
    assert_true(load_is_news(&told, 15 * SECOND));
    assert_false(load_is_news(&told, 15 * SECOND)); /* asked again before it left */
    load_note(&told, 9000, 15 * SECOND);
    average = 9.0 + 1.2; /* 9000 / 8 + 100 is 1225 */
    assert_false(load_is_news(&told, 25 * SECOND));
    average = 9.0 - 1.2;
    assert_false(load_is_news(&told, 35 * SECOND));
    average = 9.0 - 1.3;
    assert_true(load_is_news(&told, 45 * SECOND));
    average = -1;
    assert_false(load_is_news(&told, 55 * SECOND));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_machine_without_os_release_is_told_all_the_same),
        cmocka_unit_test(the_name_of_the_system_is_read_with_and_without_quotes),
        cmocka_unit_test(bytes_that_a_broker_would_refuse_are_replaced),
        cmocka_unit_test(the_load_is_in_thousandths),
        cmocka_unit_test(a_load_is_told_once_and_then_when_it_is_another_by_much),
    };
    return cmocka_run_group_tests(tests, make_root, remove_root);
}
