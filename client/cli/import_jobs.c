/* SPDX-License-Identifier: Apache-2.0
 * client/cli/import_jobs.c - pawl import celery-beat and xxl-job: one file, read as a whole. */
#include "client/cli/formats/celery.h"
#include "client/cli/handlers.h"
#include "client/cli/fileread.h"
#include "client/cli/import.h"
#include "client/cli/formats/xxljob.h"

typedef const char *read_text_fn(import_list_t *list, const char *text, size_t len);

static int read_files(cli_t *cli, import_list_t *list, read_text_fn *read, const char *hint)
{
    int code = 0;
    for (size_t i = 0; !code && i < cli->args.word_count; i++) {
        buf_t text = { 0 };
        code = file_read(cli->args.words[i], &text);
        const char *why = code ? NULL : read(list, (const char *)text.at, text.len);
        if (why) code = fail(EXIT_USAGE, say("cannot read %s", cli->args.words[i]), why, hint);
        buf_free(&text);
    }
    if (!code)
        cli_note(cli, "changes of the clock follow Pawl's own rule: pawl when RULE --zone ZONE "
                      "shows it");
    return code;
}

static int read_celery(cli_t *cli, import_list_t *list)
{
    return read_files(cli, list, celery_import,
                      "python manage.py dumpdata django_celery_beat > beat.json");
}

static int read_xxl_job(cli_t *cli, import_list_t *list)
{
    return read_files(cli, list, xxl_job_import, "xxl_job_info as CSV with its header line");
}

int cmd_import_celery(cli_t *cli)
{
    return import_run(cli, "celery-beat", read_celery);
}

int cmd_import_xxl_job(cli_t *cli)
{
    return import_run(cli, "xxl-job", read_xxl_job);
}
