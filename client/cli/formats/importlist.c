/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/formats/importlist.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>

#include "client/cli/text.h"

import_item_t *import_add(import_list_t *self, const char *at)
{
    self->items = mem_grow(self->items, (self->count + 1) * sizeof *self->items);
    import_item_t *item = &self->items[self->count++];
    *item = (import_item_t){ .at = at, .rule = "", .account = "", .what = "", .notes = "" };
    item->stem = "";
    return item;
}

void import_list_free(import_list_t *self)
{
    for (size_t i = 0; i < self->count; i++)
        json_decref(self->items[i].spec);
    free(self->items);
    self->items = NULL;
    self->count = 0;
}

bool import_refuse(import_item_t *item, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (!item->refused) item->refused = say_args(format, args);
    va_end(args);
    return false;
}

void import_note(import_item_t *item, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const char *note = say_args(format, args);
    va_end(args);
    item->notes = *item->notes ? say("%s; %s", item->notes, note) : note;
}

static const char *span_text(int64_t seconds)
{
    int64_t size = seconds % 3600 == 0 ? 3600 : seconds % 60 == 0 ? 60 : 1;
    const char *unit = size == 3600 ? "h" : size == 60 ? "m" : "s";
    return say("%" PRId64 "%s", seconds / size, unit);
}

void import_every(import_item_t *item, int64_t seconds)
{
    const char *every = span_text(seconds);
    json_object_set_new(item->spec, "every", json_string(every));
    import_note(item, "every %s from the import on", every);
}

void import_after(import_item_t *item, int64_t seconds)
{
    const char *after = span_text(seconds);
    json_object_set_new(item->spec, "after", json_string(after));
    import_note(item, "%s after the end of each run, the first one at the import", after);
}

static const char *tamed(const char *text)
{
    char *name = text_keep(mem_text(text));
    for (char *at = name; *at; at++)
        if (!isalnum((unsigned char)*at) && !strchr("-_.", *at)) *at = '-';
    return name;
}

const char *import_name(const import_list_t *self, const char *text)
{
    const char *name = tamed(text);
    return self->prefix ? say("%s-%s", self->prefix, name) : name;
}

const char *import_type(const import_list_t *self, const char *category, const char *name)
{
    const char *mapped = json_string_value(json_object_get(self->types, name));
    return mapped ? mapped : say("%s/%s", category, tamed(name));
}
