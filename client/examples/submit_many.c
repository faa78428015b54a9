/* SPDX-License-Identifier: Apache-2.0
 * submit_many - puts N tasks on record, batch by batch, with some batches on their way at once.
 *
 *   submit_many 100000
 *
 * A batch is one request and one commit: this is how to be fast. PAWL_E_BACKPRESSURE says that
 * enough is on its way: wait for an answer, then go on. */
#include <pawl.h>
#include <stdio.h>
#include <stdlib.h>

enum { BATCH = 1000, FLYING = 4 };

/* Waits for the answer of a batch and counts what was refused. */
static pawl_err settle(pawl_op_t **op, pawl_batch_t *batch, long *refused)
{
    if (!*op) return PAWL_OK;
    pawl_err err = pawl_op_wait(*op, 30 * 1000000);
    for (size_t i = 0; i < pawl_batch_size(batch); i++) {
        if (pawl_batch_item_error(batch, i)) {
            if (++*refused == 1) fprintf(stderr, "refused: %s\n", pawl_batch_item_text(batch, i));
        }
    }
    pawl_op_destroy(op);
    pawl_batch_clear(batch);
    return err;
}

int main(int argc, char **argv)
{
    long total = argc > 1 ? atol(argv[1]) : 10000, made = 0, refused = 0;
    char why[256] = "out of memory";
    pawl_client_t *client = pawl_client_new(NULL, why, sizeof why);
    pawl_batch_t *batches[FLYING] = { NULL };
    pawl_op_t *ops[FLYING] = { NULL };
    pawl_err err = client ? pawl_client_connect(client, 5 * 1000000) : PAWL_E_CONFIG;
    for (int turn = 0; !err && made < total; turn = (turn + 1) % FLYING) {
        err = settle(&ops[turn], batches[turn], &refused);
        if (!batches[turn]) batches[turn] = pawl_batch_new();
        for (int i = 0; !err && i < BATCH && made < total; i++, made++) {
            pawl_task_t *task = pawl_task_new("pawl/shell");
            err = task ? pawl_task_set_shell(task, "true") : PAWL_E_NO_MEMORY;
            if (!err) err = pawl_batch_add(batches[turn], task);
            pawl_task_destroy(&task);
        }
        if (!err) ops[turn] = pawl_batch_submit_op(client, batches[turn], &err);
    }
    for (int i = 0; i < FLYING; i++) {
        pawl_err last = batches[i] ? settle(&ops[i], batches[i], &refused) : PAWL_OK;
        err = err ? err : last;
        pawl_batch_destroy(&batches[i]);
    }
    if (err)
        fprintf(stderr, "submit_many: %s: %s\n", pawl_err_name(err),
                client ? pawl_client_error(client) : why);
    printf("%ld submitted, %ld refused\n", made - refused, refused);
    pawl_client_destroy(&client);
    return err ? pawl_err_exit_code(err) : refused ? 8 : 0;
}
