/* SPDX-License-Identifier: Apache-2.0
 * output.c - what every file of core uses: memory of the batch, refusals, what leaves with it. */
#include "broker/core/inside.h"

#include <stdarg.h>
#include <stdlib.h>

void *batch_alloc(core_t *core, size_t bytes)
{
    void *at = wire_arena_take(core->arena, bytes ? bytes : 1);
    CHECK(at != NULL);
    return memset(at, 0, bytes);
}

static char *format_text(core_t *core, const char *format, va_list args)
{
    char *text = wire_arena_print(core->arena, format, args);
    CHECK(text != NULL);
    return text;
}

char *batch_printf(core_t *core, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = format_text(core, format, args);
    va_end(args);
    return text;
}

slice_t text_clip(slice_t text, size_t most)
{
    if (text.len <= most) return text;
    size_t len = most;
    while (len > 0 && (text.at[len] & 0xC0) == 0x80)
        len--;
    return slice(text.at, len);
}

static Pawl__V1__Error *new_error(core_t *core, err_t err, const char *field, char *text)
{
    Pawl__V1__Error *error = batch_alloc(core, sizeof *error);
    pawl__v1__error__init(error);
    error->code = (uint32_t)err;
    error->field = batch_printf(core, "%s", field);
    error->text = text;
    wire_text_mend(text); /* what it quotes may have been cut */
    return error;
}

Pawl__V1__Error *make_error(core_t *core, err_t err, const char *field, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = format_text(core, format, args);
    va_end(args);
    return new_error(core, err, field, text);
}

void refuse(core_t *core, Pawl__V1__Reply *reply, err_t err, const char *field, const char *format,
            ...)
{
    va_list args;
    va_start(args, format);
    reply->error = new_error(core, err, field, format_text(core, format, args));
    va_end(args);
    reply->body_case = PAWL__V1__REPLY__BODY__NOT_SET;
}

void outputs_clear(outputs_t *self)
{
    self->n = 0;
    self->bytes.len = 0;
}

void outputs_free(outputs_t *self)
{
    free(self->items);
    buf_free(&self->bytes);
    *self = (outputs_t){ 0 };
}

output_t *out_add(core_t *core, output_kind_t kind, conn_t conn)
{
    outputs_t *out = core->out;
    if (out->n == out->room) {
        out->room = out->room ? out->room * 2 : 64;
        out->items = mem_grow(out->items, out->room * sizeof *out->items);
    }
    output_t *item = &out->items[out->n++];
    memset(item, 0, sizeof *item);
    item->kind = kind;
    item->conn = conn;
    return item;
}

void out_reply(core_t *core, conn_t conn, output_kind_t kind, const Pawl__V1__Reply *reply)
{
    Pawl__V1__Reply copy = *reply;
    output_t *item = out_add(core, kind, conn);
    item->at = (uint32_t)core->out->bytes.len;
    item->len = (uint32_t)wire_reply_pack(&copy, buf_room, &core->out->bytes);
}

void out_push(core_t *core, conn_t conn, const Pawl__V1__Push *push, bool assign)
{
    Pawl__V1__Push copy = *push;
    output_t *item = out_add(core, OUT_PUSH, conn);
    item->flag = assign;
    item->at = (uint32_t)core->out->bytes.len;
    item->len = (uint32_t)wire_push_pack(&copy, buf_room, &core->out->bytes);
}

Pawl__V1__Changed *reply_changed(core_t *core, Pawl__V1__Reply *reply)
{
    Pawl__V1__Changed *changed = batch_alloc(core, sizeof *changed);
    pawl__v1__changed__init(changed);
    reply->body_case = PAWL__V1__REPLY__BODY_CHANGED;
    reply->changed = changed;
    return changed;
}

void reply_done(core_t *core, Pawl__V1__Reply *reply)
{
    reply_changed(core, reply)->done = 1;
}

/* A stream from the batch's 32 bytes: hash of (bytes, counter). Secret enough for uids and session
 * ids, because the bytes are. */
void draw_random(core_t *core, void *to, size_t len)
{
    uint8_t id[16];
    CHECK(len <= sizeof id);
    firing_id(core->batch->random, core->fixed.store_id, (int64_t)core->meta.batch, 0,
              ++core->random_used, id);
    uint8_t mixed[16];
    firing_id(core->batch->random, id, 0, 1, core->random_used, mixed);
    /* the first six bytes of a derived id are a time: take the random ends of two */
    memcpy(id, mixed + 6, 6);
    memcpy(to, id, len);
}
