/* SPDX-License-Identifier: Apache-2.0
 * wait - waits until a task has ended, then prints its status, its output and its log.
 *
 *   wait 01JBX      (an id, or a unique beginning of it)
 *
 * Records are read by the names of schemas/pawl.proto; what is not there reads as "" or 0. */
#include <pawl.h>
#include <stdio.h>
#include <string.h>

static void print_log(pawl_client_t *client, const uint8_t *id)
{
    pawl_record_t *log;
    if (pawl_log_read(client, id, 0, 0, 0, &log, 5 * 1000000)) return;
    for (size_t i = 0; i < pawl_record_count(log, "pieces"); i++) {
        size_t len;
        const void *bytes = pawl_record_bytes(pawl_record_sub_at(log, "pieces", i), "data", &len);
        fwrite(bytes, 1, len, stdout);
    }
    pawl_record_destroy(&log);
}

int main(int argc, char **argv)
{
    char why[256] = "";
    uint8_t id[PAWL_ID_BYTES];
    pawl_record_t *task = NULL;
    if (argc != 2) {
        fprintf(stderr, "usage: wait TASK\n");
        return 2;
    }
    pawl_client_t *client = pawl_client_new(NULL, why, sizeof why);
    if (!client) {
        fprintf(stderr, "wait: %s\n", why);
        return 1;
    }
    pawl_err err = pawl_task_find(client, argv[1], &task, 5 * 1000000);
    if (!err) {
        memcpy(id, pawl_record_bytes(task, "id", NULL), sizeof id);
        pawl_record_destroy(&task);
        err = pawl_task_wait(client, id, 1, false, 3600 * INT64_C(1000000));
    }
    if (!err) err = pawl_task_get(client, id, &task, 5 * 1000000);
    bool finished = false;
    if (err) {
        fprintf(stderr, "wait: %s: %s\n", pawl_err_name(err), pawl_client_error(client));
    } else {
        size_t len;
        const void *output = pawl_record_bytes(task, "output", &len);
        finished = strcmp(pawl_record_text(task, "status"), "finished") == 0;
        printf("%s after %lld tries %s\n", pawl_record_text(task, "status"),
               (long long)pawl_record_int(task, "attempt"), pawl_record_text(task, "message"));
        fwrite(output, 1, len, stdout);
        print_log(client, id);
    }
    pawl_record_destroy(&task);
    pawl_client_destroy(&client);
    return err ? pawl_err_exit_code(err) : finished ? 0 : 1;
}
