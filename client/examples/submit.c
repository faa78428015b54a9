/* SPDX-License-Identifier: Apache-2.0
 * submit - puts one shell command on record and prints the task's id.
 *
 *   submit 'echo hello'
 *
 * When pawl_submit returns 0 the task is on the broker's disk. Sending the same task object again
 * after an error does nothing twice: its id was drawn when it was made. */
#include <pawl.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: submit COMMAND-LINE\n");
        return 2;
    }
    char why[256];
    pawl_client_t *client = pawl_client_new(NULL, why, sizeof why);
    if (!client) {
        fprintf(stderr, "submit: %s\n", why);
        return 1;
    }
    pawl_task_t *task = pawl_task_new("pawl/shell");
    uint8_t id[PAWL_ID_BYTES];
    pawl_err err = PAWL_E_NO_MEMORY;
    if (task) err = pawl_task_set_shell(task, argv[1]);
    if (!err) err = pawl_submit(client, task, id, 5 * 1000000);
    if (err) {
        fprintf(stderr, "submit: %s: %s\n", pawl_err_name(err), pawl_client_error(client));
        if (pawl_err_retryable(err)) fprintf(stderr, "submit: it may be tried again\n");
    } else {
        char text[PAWL_ID_TEXT];
        pawl_id_print(id, text);
        printf("%s\n", text);
    }
    pawl_task_destroy(&task);
    pawl_client_destroy(&client);
    return pawl_err_exit_code(err);
}
