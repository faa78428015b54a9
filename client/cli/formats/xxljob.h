/* SPDX-License-Identifier: Apache-2.0
 * client/cli/formats/xxljob.h - the table xxl_job_info of XXL-JOB as CSV with a header line. Pure.
 *
 * A BEAN job becomes the type xxl-job/HANDLER (or what --type-map says) with its parameter, a text,
 * as input; a GLUE job of a script language a task with that script. */
#ifndef CLI_XXLJOB_H
#define CLI_XXLJOB_H

#include "client/cli/formats/importlist.h"

/* NULL: taken. Else why the file as a whole cannot be read. */
const char *xxl_job_import(import_list_t *list, const char *text, size_t len);

#endif
