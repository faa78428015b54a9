/* SPDX-License-Identifier: Apache-2.0
 * client/cli/yamlfile.h - YAML as JSON values that know their lines.
 *
 * Plain scalars are what YAML 1.2's core schema says (null, true, 12, 1.5, else text); quoted ones
 * are texts. Aliases and << are followed, with a bound on what they may grow to. */
#ifndef CLI_YAMLFILE_H
#define CLI_YAMLFILE_H

#include <jansson.h>
#include <stdio.h>

#include "client/base/base.h"

typedef struct yaml_document {
    json_t *value; /* owned */
    json_t *lines; /* {"task.retry.factor": 12}: the line of each key; owned */
    int line;      /* where it begins */
} yaml_document_t;

typedef struct yaml_file {
    const char *path;
    yaml_document_t *documents;
    size_t count;
} yaml_file_t;

/* False: `why` is "PATH:LINE: what is wrong"; nothing needs to be freed. Empty documents are passed
 * over. A document that is a list counts as one document for each item. */
bool yaml_read(yaml_file_t *self, const char *path, const char *text, size_t len, const char **why);
void yaml_free(yaml_file_t *self);
/* The line of a dotted key, or of the nearest one around it. */
int yaml_line(const yaml_document_t *self, const char *key);

/* One document in block style, long texts as blocks; reads back as the same value. */
void yaml_write(const json_t *object, FILE *to);

#endif
