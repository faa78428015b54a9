/* SPDX-License-Identifier: Apache-2.0
 * client/cli/complete.c - pawl task complete, fail, extend: external tasks, by their token. */
#include <string.h>

#include "client/cli/handlers.h"
#include "client/cli/output.h"
#include "client/cli/fileread.h"

/* The verb of the SDK. */
static const char *sdk_verb(const cli_t *cli)
{
    const char *verb = verb_of(cli);
    if (strcmp(verb, "complete") == 0) return "done";
    return strcmp(verb, "fail") == 0 && args_has(&cli->args, "permanent") ? "fail-for-good" : verb;
}

int cmd_task_complete(cli_t *cli)
{
    const char *file = args_text(&cli->args, "result-file");
    const char *result = args_text(&cli->args, "result");
    const char *what = say("cannot %s the task", verb_of(cli));
    uint8_t id[PAWL_ID_BYTES];
    char text[PAWL_ID_TEXT];
    buf_t bytes = { 0 };
    int code = file ? file_read(file, &bytes) : 0;
    if (!file && result) buf_add(&bytes, result, strlen(result));
    if (!code) code = cli_connect(cli);
    pawl_completion_t completion = { .verb = sdk_verb(cli),
                                     .token = cli->args.words[0],
                                     .output = bytes.at,
                                     .output_len = bytes.len,
                                     .output_type = args_text(&cli->args, "result-type"),
                                     .message = args_text(&cli->args, "message"),
                                     .by_us = args_number(&cli->args, "by", 0) };
    if (!code && strcmp(completion.verb, "extend") == 0 && completion.by_us == 0)
        code = fail(EXIT_USAGE, what, "by how long is not given", "pawl task extend TOKEN --by 1h");
    bool changes = !code && !cli->dry_run;
    pawl_err err =
        changes ? pawl_task_complete(cli->client, &completion, id, cli->timeout_us) : PAWL_OK;
    if (err) code = fail_client(cli->client, err, what);
    buf_free(&bytes);
    if (code) return code;
    if (!cli->dry_run) pawl_id_print(id, text);
    json_t *deed = json_pack("{s:s?, s:s, s:b}", "id", cli->dry_run ? NULL : text, "action",
                             verb_of(cli), "dry_run", cli->dry_run);
    if (cli->dry_run)
        return cli_done(cli, deed, "would %s the task of this token (nothing changed)",
                        verb_of(cli));
    return cli_done(cli, deed, "%s: %s", verb_of(cli), text);
}
