/* SPDX-License-Identifier: Apache-2.0
 * client/cli/formats/importlist.h - what a reader of another tool's file found: one item a job,
 * each taken or refused. Pure: no broker. */
#ifndef CLI_IMPORTLIST_H
#define CLI_IMPORTLIST_H

#include <jansson.h>

#include "client/base/base.h"

/* Texts are those of text.h and never NULL, but for `refused` and `name`. */
typedef struct import_item {
    const char *at;      /* where it stands: "backup:3", "apt-daily.timer" */
    const char *rule;    /* as written there */
    const char *account; /* "" none */
    const char *what;    /* the command or task as written there */
    const char *name;    /* of the schedule; NULL: find one from `stem` and `number` */
    const char *stem;
    size_t number;
    const char *refused; /* NULL: taken */
    const char *notes;   /* what became different, divided by "; " */
    json_t *spec;        /* for schedule_spec_read, without name; owned; NULL when refused */
} import_item_t;

typedef struct import_list {
    import_item_t *items;
    size_t count;
    /* What the reader is told. */
    const char *zone;    /* of rules that name none; NULL: the reader's own choice */
    const char *prefix;  /* in front of names; NULL: none */
    const json_t *types; /* {"their name": "our/type"}; NULL: none */
} import_list_t;

/* Valid until the next one is added. */
import_item_t *import_add(import_list_t *self, const char *at);
void import_list_free(import_list_t *self);
/* The first reason stays. Always false. */
bool import_refuse(import_item_t *item, const char *format, ...) PRINTF_LIKE(2, 3);
void import_note(import_item_t *item, const char *format, ...) PRINTF_LIKE(2, 3);
/* A rule every so many seconds; in hours, minutes or seconds, never days, which are of the
 * calendar. */
void import_every(import_item_t *item, int64_t seconds);
/* A fixed delay of so many seconds behind the end of each run. */
void import_after(import_item_t *item, int64_t seconds);
/* `text` as a name: other letters than A-Za-z0-9-_. become -. */
const char *import_name(const import_list_t *self, const char *text);
/* The type that their task of this name becomes: of `types`, else "category/NAME" with other
 * letters replaced as in names. */
const char *import_type(const import_list_t *self, const char *category, const char *name);

#endif
