/* SPDX-License-Identifier: Apache-2.0
 * schemas/errors.h - the errors of schemas/errors.tbl.h as a C type. */
#ifndef SCHEMAS_ERRORS_H
#define SCHEMAS_ERRORS_H

#include <stdbool.h>

typedef enum {
#define ERR(name, number, retry, exit_code, text) ERR_##name = (number),
#include "schemas/errors.tbl.h"
#undef ERR
} err_t;

#define MUST_CHECK __attribute__((warn_unused_result))

/* "QUEUE_FULL" for ERR_QUEUE_FULL; "UNKNOWN" for a number that is not in the table. Static text. */
const char *err_name(err_t err);
/* What it means, one phrase. Static text. */
const char *err_text(err_t err);
/* True when the same request may succeed later. */
bool err_retryable(err_t err);
/* Exit code of `pawl` for it. */
int err_exit_code(err_t err);

#endif
