/* SPDX-License-Identifier: Apache-2.0
 * worker - serves the type "text/upper" with four threads until SIGINT or SIGTERM, then drains.
 *
 *   worker &
 *   pawl task submit --type text/upper --input hello
 *
 * A callback ends its job by exactly one verb. Whatever happens to the connection meanwhile, the
 * result is kept and sent again until the broker has answered it. */
#include <pawl.h>
#include <ctype.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static void upper(pawl_job_t *job, void *arg)
{
    (void)arg;
    size_t len;
    const char *input = pawl_job_input(job, &len);
    char *output = malloc(len + 1);
    if (!output) {
        pawl_job_retry_after(&job, 10 * 1000000, "no memory right now");
        return;
    }
    for (size_t i = 0; i < len; i++)
        output[i] = (char)toupper((unsigned char)input[i]);
    pawl_err err = pawl_job_output(job, output, len, "text/plain");
    free(output);
    if (pawl_job_state_of(job) == PAWL_CANCEL)
        pawl_job_cancelled(&job, "as told");
    else if (err)
        pawl_job_fail(&job, pawl_err_text(err), true);
    else
        pawl_job_finish(&job, "");
}

int main(void)
{
    char why[256] = "out of memory";
    sigset_t stop;
    int signal_number;
    sigemptyset(&stop);
    sigaddset(&stop, SIGINT);
    sigaddset(&stop, SIGTERM);
    sigprocmask(SIG_BLOCK, &stop, NULL); /* before any thread exists */

    pawl_conf_t *conf = pawl_conf_new();
    pawl_err err =
        conf ? pawl_conf_set(conf, "role", "executor", why, sizeof why) : PAWL_E_NO_MEMORY;
    pawl_client_t *client = err ? NULL : pawl_client_new(conf, why, sizeof why);
    pawl_worker_t *worker = client ? pawl_worker_new(client) : NULL;
    if (worker) {
        err = pawl_worker_type(worker, "text/upper", upper, NULL);
        if (!err) err = pawl_worker_slots(worker, 4);
        if (!err) err = pawl_worker_start(worker, 10 * 1000000);
        if (!err) sigwait(&stop, &signal_number);
        if (!err) err = pawl_worker_drain(worker, 30 * 1000000);
    }
    if (err || !worker) fprintf(stderr, "worker: %s\n", client ? pawl_client_error(client) : why);
    pawl_worker_destroy(&worker);
    pawl_client_destroy(&client);
    pawl_conf_destroy(&conf);
    return err ? pawl_err_exit_code(err) : 0;
}
