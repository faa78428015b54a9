/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/attempt.h"

#include <stdlib.h>

static const char **texts_of(const pawl_record_t *record, const char *field, size_t *count)
{
    *count = record ? pawl_record_count(record, field) : 0;
    if (*count == 0) return NULL;
    const char **texts = mem_new(*count * sizeof *texts);
    for (size_t i = 0; i < *count; i++)
        texts[i] = pawl_record_text_at(record, field, i);
    return texts;
}

static slice_t bytes_of(const pawl_record_t *record, const char *field)
{
    size_t len = 0;
    const void *at = record ? pawl_record_bytes(record, field, &len) : NULL;
    return slice(at, at ? len : 0);
}

static const char *text_of(const pawl_record_t *record, const char *field)
{
    return record ? pawl_record_text(record, field) : "";
}

static struct shell_env *env_of(const pawl_record_t *command, size_t *count)
{
    *count = command ? pawl_record_count(command, "env") : 0;
    if (*count == 0) return NULL;
    struct shell_env *env = mem_new(*count * sizeof *env);
    for (size_t i = 0; i < *count; i++) {
        const pawl_record_t *one = pawl_record_sub_at(command, "env", i);
        env[i] =
            (struct shell_env){ pawl_record_text(one, "name"), pawl_record_text(one, "value") };
    }
    return env;
}

const char *attempt_account(const pawl_job_t *job)
{
    return text_of(pawl_record_sub(pawl_job_task(job), "command"), "account");
}

bool attempt_plan(shell_plan_t *plan, const pawl_job_t *job, const char *id,
                  const struct attempt_place *place, buf_t *message, int *exit_code)
{
    const pawl_record_t *command = pawl_record_sub(pawl_job_task(job), "command");
    char parent[PAWL_ID_TEXT] = "";
    if (pawl_job_parent(job)) pawl_id_print(pawl_job_parent(job), parent);
    shell_task_t what = { .id = id,
                          .type = pawl_job_type(job),
                          .schedule = pawl_job_schedule(job),
                          .parent = parent,
                          .shard_index = pawl_job_shard_index(job),
                          .shard_total = pawl_job_shard_total(job),
                          .attempt = pawl_job_attempt(job),
                          .token = pawl_job_token(job),
                          .planned_us = pawl_job_planned_us(job),
                          .shell = text_of(command, "shell"),
                          .interpreter = text_of(command, "interpreter"),
                          .script = bytes_of(command, "script_text"),
                          .standard_input = bytes_of(command, "stdin"),
                          .cwd = text_of(command, "cwd"),
                          .account = attempt_account(job),
                          .script_file = text_of(command, "script_file"),
                          .completion = pawl_job_completion(job),
                          .polls = pawl_job_polls(job),
                          .spare = place->spare };
    what.folded_count = pawl_job_folded(job, &what.folded_first_us, NULL);
    size_t len = 0;
    const void *bytes = pawl_job_input(job, &len);
    what.input = slice(bytes, len);
    bytes = pawl_job_poll_state(job, &len);
    what.poll_state = slice(bytes, len);
    const char **argv = texts_of(command, "argv", &what.argc);
    const char **secrets = texts_of(command, "secrets", &what.secret_count);
    struct shell_env *env = env_of(command, &what.env_count);
    what.argv = argv;
    what.secrets = secrets;
    what.env = env;
    bool made = shell_plan_make(plan, place->config, place->work, &what, message, exit_code);
    free(argv);
    free(secrets);
    free(env);
    return made;
}
