/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/base/keyfile.h"

#define KEY "abcdefghijABCDEFGHIJ0123456789.-:+=^!/*?"
static char folder[] = "/tmp/pawl-keyfile-XXXXXX";

static const char *path_of(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static const char *write_file(const char *text, size_t len, mode_t mode)
{
    const char *path = path_of("given");
    unlink(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, mode);
    assert_true(fd >= 0 && write(fd, text, len) == (ssize_t)len && fchmod(fd, mode) == 0);
    close(fd);
    return path;
}

static err_t read_text(const char *text, bool secret, keyfile_t *keys, char why[512])
{
    return keyfile_read(write_file(text, strlen(text), 0600), secret, keys, why, 512);
}

static void what_was_written_is_read(void **state)
{
    keyfile_t keys = { .name = "web-07",
                       .role = "executor",
                       .public_key = KEY,
                       .secret_key = KEY,
                       .broker_key = KEY },
              read;
    char why[512] = "";
    struct stat info;
    (void)state;
    assert_int_equal(keyfile_write(path_of("pair"), &keys, why, sizeof why), ERR_OK);
    assert_int_equal(stat(path_of("pair"), &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    assert_int_equal(keyfile_read(path_of("pair"), true, &read, why, sizeof why), ERR_OK);
    assert_memory_equal(&keys, &read, sizeof keys);
    assert_int_equal(keyfile_write(path_of("pair"), &keys, why, sizeof why), ERR_EXISTS);
}

static void a_mistake_is_told_with_its_line_and_without_a_key(void **state)
{
    static const struct {
        const char *text, *why;
    } wrong[] = {
        { "name: a\npublic: " KEY "\nsecret: short\n", ":3: a key has 40" },
        { "name: a\npublic: " KEY "\nsecret: " KEY "x\n", ":3: a key has 40" },
        { "name: a\npublic: " KEY "\nsecret: abcdefghijABCDEFGHIJ0123456789.-:+=^!/*~\n",
          ":3: a key" },
        { "name: a\nname: b\n", ":2: it says this a second time" },
        { "# x\n\nnonsense\n", ":3: a line must read" },
        { "king: " KEY "\n", ":1: the names known are" },
        { "public: " KEY "\nsecret: " KEY "\n", "it must have a name" },
        { "name: ../x\npublic: " KEY "\nsecret: " KEY "\n", "it must have a name" },
        { "name: a\nsecret: " KEY "\n", "public key" },
        { "name: a\npublic: " KEY "\n", "it has no secret key" },
        { "", "it must have a name" },
    };
    keyfile_t keys;
    char why[512];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        assert_int_equal(read_text(wrong[i].text, true, &keys, why), ERR_CONFIG);
        if (strstr(why, wrong[i].why) == NULL) fail_msg("%zu: %s", i, why);
        assert_null(strstr(why, KEY));
    }
}

/* In each of three modes the file is refused as a whole, and with these words. */
static void refused_in_modes(const char *text, const mode_t modes[3], bool secret,
                             const char *words)
{
    keyfile_t keys;
    char why[512];
    for (size_t i = 0; i < 3; i++) {
        const char *path = write_file(text, strlen(text), modes[i]);
        assert_int_equal(keyfile_read(path, secret, &keys, why, sizeof why), ERR_CONFIG);
        assert_non_null(strstr(why, words));
        assert_int_equal(keys.secret_key[0], 0);
    }
}

static void a_secret_file_that_others_can_read_is_refused_and_a_public_one_not(void **state)
{
    static const char text[] = "name: a\npublic: " KEY "\nsecret: " KEY "\n";
    static const mode_t readable[] = { 0640, 0604, 0644 };
    (void)state;
    refused_in_modes(text, readable, true, "others can read it");
    for (size_t i = 0; i < ARRAY_LEN(readable); i++) {
        keyfile_t keys;
        char why[512];
        const char *path = write_file(text, strlen(text), readable[i]);
        assert_int_equal(keyfile_read(path, false, &keys, why, sizeof why), ERR_OK);
    }
}

static void a_public_file_that_others_can_write_to_is_refused(void **state)
{
    static const mode_t writable[] = { 0664, 0646, 0622 };
    (void)state;
    refused_in_modes("name: a\nrole: admin\npublic: " KEY "\n", writable, false,
                     "others can write to it");
}

static void what_is_no_small_file_is_refused(void **state)
{
    static char large[5000];
    keyfile_t keys;
    char why[512];
    (void)state;
    memset(large, '#', sizeof large);
    assert_int_equal(
        keyfile_read(write_file(large, sizeof large, 0600), true, &keys, why, sizeof why),
        ERR_CONFIG);
    assert_int_equal(keyfile_read(folder, true, &keys, why, sizeof why), ERR_CONFIG);
    assert_int_equal(keyfile_read(path_of("none"), true, &keys, why, sizeof why), ERR_NOT_FOUND);
    assert_int_equal(mkfifo(path_of("pipe"), 0600), 0);
    assert_int_equal(keyfile_read(path_of("pipe"), true, &keys, why, sizeof why), ERR_CONFIG);
    assert_int_equal(keyfile_read(write_file("name: a\0b\npublic: " KEY "\n", 57, 0600), false,
                                  &keys, why, sizeof why),
                     ERR_CONFIG);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
    static const char *const names[] = { "given", "pair", "pipe" };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        unlink(path_of(names[i]));
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_is_read),
        cmocka_unit_test(a_mistake_is_told_with_its_line_and_without_a_key),
        cmocka_unit_test(a_secret_file_that_others_can_read_is_refused_and_a_public_one_not),
        cmocka_unit_test(a_public_file_that_others_can_write_to_is_refused),
        cmocka_unit_test(what_is_no_small_file_is_refused),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
