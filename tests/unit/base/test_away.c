/* SPDX-License-Identifier: Apache-2.0
 * What the log says of a broker that goes and comes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/base/away.h"

#define SECOND INT64_C(1000000)

static FILE *heard;
static int old_stderr;

static int listen_to_the_log(void **state)
{
    (void)state;
    heard = tmpfile();
    old_stderr = dup(2);
    return heard && dup2(fileno(heard), 2) == 2 ? 0 : -1;
}

static int leave_the_log(void **state)
{
    (void)state;
    dup2(old_stderr, 2);
    close(old_stderr);
    return fclose(heard);
}

/* How often the log says this. */
static int count_of(const char *words)
{
    char line[512];
    int n = 0;
    rewind(heard);
    while (fgets(line, sizeof line, heard))
        n += strstr(line, words) != NULL;
    fseek(heard, 0, SEEK_END);
    return n;
}

static void an_outage_is_told_once_and_its_end_with_how_long_it_was(void **state)
{
    (void)state;
    away_t away = { 0 };
    away_look(&away, "ipc://x", NULL, 10 * SECOND);
    for (int second = 20; second < 80; second++)
        away_look(&away, "ipc://x", "nobody answers", second * SECOND);
    assert_int_equal(count_of("BROKER_AWAY endpoint=ipc://x why=\"nobody answers\""), 1);
    assert_int_equal(count_of("BROKER_BACK"), 0);
    away_look(&away, "ipc://x", NULL, 80 * SECOND + 500000);
    away_look(&away, "ipc://x", NULL, 81 * SECOND);
    assert_int_equal(count_of("BROKER_BACK endpoint=ipc://x after_ms=60500"), 1);
    away_look(&away, "ipc://x", "again", 90 * SECOND);
    away_look(&away, "ipc://x", "again", 92 * SECOND);
    away_look(&away, "ipc://x", NULL, 93 * SECOND);
    assert_int_equal(count_of("BROKER_AWAY"), 2);
    assert_int_equal(count_of("BROKER_BACK"), 2);
}

static void a_restart_of_the_broker_is_not_told(void **state)
{
    (void)state;
    away_t away = { 0 };
    for (int second = 10; second < 30; second += 2) {
        away_look(&away, "ipc://x", "gone", second * SECOND);
        away_look(&away, "ipc://x", "gone", second * SECOND + AWAY_TOLD_US - 1);
        away_look(&away, "ipc://x", NULL, second * SECOND + AWAY_TOLD_US - 1);
    }
    assert_int_equal(count_of("BROKER"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_outage_is_told_once_and_its_end_with_how_long_it_was,
                                        listen_to_the_log, leave_the_log),
        cmocka_unit_test_setup_teardown(a_restart_of_the_broker_is_not_told, listen_to_the_log,
                                        leave_the_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
