/* SPDX-License-Identifier: Apache-2.0
 * worker_pull - serves the type "demo/count" from one loop of its own, without callbacks: counts to
 * the number in the input, telling progress, and stops when it is cancelled.
 *
 *   worker_pull 3      (ends after three jobs; without a number it goes on for ever)
 */
#include <pawl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

/* Waits up to a tenth of a second; true: somebody wants the job stopped. */
static bool told_to_stop(pawl_job_t *job)
{
    struct pollfd fd = { .fd = pawl_job_fd(job), .events = POLLIN };
    return poll(&fd, 1, 100) > 0;
}

static pawl_err count(pawl_job_t *job)
{
    size_t len;
    const char *input = pawl_job_input(job, &len);
    char number[16], line[64];
    snprintf(number, sizeof number, "%.*s", (int)len, input);
    long goal = atol(number);
    for (long i = 1; i <= goal; i++) {
        int size = snprintf(line, sizeof line, "%ld of %ld\n", i, goal);
        pawl_job_log(job, 1, line, (size_t)size);
        pawl_job_progress(job, i, goal, "counting");
        if (told_to_stop(job)) /* cancelled, or fenced: the result of a fenced job is not used */
            return pawl_job_cancelled(&job, "stopped while counting");
    }
    return goal > 0 ? pawl_job_finish(&job, "counted") : pawl_job_fail(&job, "no number", true);
}

int main(int argc, char **argv)
{
    long jobs = argc > 1 ? atol(argv[1]) : -1;
    char why[256] = "out of memory";
    pawl_conf_t *conf = pawl_conf_new();
    pawl_err err =
        conf ? pawl_conf_set(conf, "role", "executor", why, sizeof why) : PAWL_E_NO_MEMORY;
    pawl_client_t *client = err ? NULL : pawl_client_new(conf, why, sizeof why);
    pawl_worker_t *worker = client ? pawl_worker_new(client) : NULL;
    err = worker ? pawl_worker_type(worker, "demo/count", NULL, NULL) : PAWL_E_CONFIG;
    if (!err) err = pawl_worker_start(worker, 10 * 1000000);
    while (!err && jobs != 0) {
        pawl_job_t *job;
        err = pawl_worker_next(worker, &job, 60 * 1000000);
        if (err == PAWL_E_TIMEOUT) {
            err = PAWL_OK; /* nothing to do: wait on */
        } else if (!err) {
            err = count(job);
            jobs -= jobs > 0;
        }
    }
    if (!err) err = pawl_worker_drain(worker, 10 * 1000000);
    if (err) fprintf(stderr, "worker_pull: %s\n", client ? pawl_client_error(client) : why);
    pawl_worker_destroy(&worker);
    pawl_client_destroy(&client);
    pawl_conf_destroy(&conf);
    return pawl_err_exit_code(err);
}
