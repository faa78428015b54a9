/* SPDX-License-Identifier: Apache-2.0 */
#include "schemas/errors.h"

#include <stddef.h>

enum retry { NEVER, LATER, RESEND };

static const struct row {
    err_t err;
    enum retry retry;
    int exit_code;
    const char *name;
    const char *text;
} table[] = {
#define ERR(name, number, retry, exit_code, text) { ERR_##name, retry, exit_code, #name, text },
#include "schemas/errors.tbl.h"
#undef ERR
};

static const struct row *find(err_t err)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].err == err) return &table[i];
    return NULL;
}

const char *err_name(err_t err)
{
    const struct row *row = find(err);
    return row ? row->name : "UNKNOWN";
}

const char *err_text(err_t err)
{
    const struct row *row = find(err);
    return row ? row->text : "an error that this version does not know";
}

bool err_retryable(err_t err)
{
    const struct row *row = find(err);
    return row && row->retry != NEVER;
}

int err_exit_code(err_t err)
{
    const struct row *row = find(err);
    return row ? row->exit_code : 1;
}
