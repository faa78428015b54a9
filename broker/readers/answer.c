/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/readers/answer.h"

#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

/* ---- names ----------------------------------------------------------------------------------- */

struct names {
    char **texts[NAME_KINDS]; /* by number; NULL: not asked for yet */
    size_t room[NAME_KINDS];
    zone_cache_t zones;
};

names_t *names_new(void)
{
    return mem_new(sizeof(names_t));
}

void names_destroy(names_t **self_p)
{
    names_t *self = *self_p;
    if (self == NULL) return;
    for (size_t kind = 0; kind < NAME_KINDS; kind++) {
        for (size_t no = 0; no < self->room[kind]; no++)
            free(self->texts[kind][no]);
        free(self->texts[kind]);
    }
    zone_cache_free(&self->zones);
    free(self);
    *self_p = NULL;
}

zone_cache_t *names_zones(names_t *self)
{
    return &self->zones;
}

static char **slot_of(names_t *self, enum name_kind kind, uint32_t no)
{
    enum { ROOM_MAX = 1 << 22 }; /* damaged numbers must not take the memory */
    if (no >= ROOM_MAX) return NULL;
    size_t old = self->room[kind];
    if (no >= old) {
        size_t room = old ? old : 64;
        while (room <= no)
            room *= 2;
        self->texts[kind] = mem_grow(self->texts[kind], room * sizeof(char *));
        memset(self->texts[kind] + old, 0, (room - old) * sizeof(char *));
        self->room[kind] = room;
    }
    return &self->texts[kind][no];
}

static char *text_copy(slice_t text)
{
    char *copy = mem_new(text.len + 1);
    if (text.len) memcpy(copy, text.at, text.len);
    return copy;
}

/* Schedules keep their name in their own header. */
static err_t read_name(answer_t *self, enum name_kind kind, uint32_t no, slice_t *name)
{
    slice_t value;
    if (kind == NAME_SCHEDULE) {
        rec_key_t key = key_sched(no, SCHED_HEADER, 0);
        sched_row_t row;
        ANSWER_TRY(store_view_get(self->view, TABLE_sched, key_slice(&key), &value));
        if (!sched_row_decode(&row, value)) return ERR_CORRUPT;
        *name = row.name;
        return ERR_OK;
    }
    rec_key_t key = key_kind_no((uint8_t)kind, no);
    reg_row_t row;
    ANSWER_TRY(store_view_get(self->view, TABLE_reg, key_slice(&key), &value));
    if (!reg_row_decode(&row, value)) return ERR_CORRUPT;
    *name = row.name;
    return ERR_OK;
}

err_t answer_name(answer_t *self, enum name_kind kind, uint32_t no, char **text)
{
    *text = (char *)(uintptr_t) "";
    char **slot = slot_of(self->names, kind, no);
    if (slot && *slot) {
        *text = *slot;
        return ERR_OK;
    }
    slice_t name;
    err_t err = read_name(self, kind, no, &name);
    if (err == ERR_NOT_FOUND) return ERR_OK; /* it may get one in a later snapshot */
    if (err != ERR_OK) return err;
    if (slot)
        *text = *slot = text_copy(name);
    else
        *text = answer_text(self, name);
    return ERR_OK;
}

err_t answer_number(answer_t *self, enum name_kind kind, const char *text, uint32_t *no)
{
    rec_key_t key = key_name(kind, slice_text(text));
    slice_t value;
    ANSWER_TRY(store_view_get(self->view, TABLE_names, key_slice(&key), &value));
    return name_row_decode(no, value) ? ERR_OK : ERR_CORRUPT;
}

/* ---- memory ---------------------------------------------------------------------------------- */

void *answer_take(answer_t *self, size_t bytes)
{
    void *at = wire_arena_take(self->arena, bytes);
    CHECK(at != NULL);
    memset(at, 0, bytes);
    return at;
}

char *answer_text(answer_t *self, slice_t text)
{
    char *copy = answer_take(self, text.len + 1);
    if (text.len) memcpy(copy, text.at, text.len);
    return copy;
}

static char *print(answer_t *self, const char *format, va_list args)
{
    char *text = wire_arena_print(self->arena, format, args);
    CHECK(text != NULL);
    return text;
}

char *answer_printf(answer_t *self, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = print(self, format, args);
    va_end(args);
    return text;
}

char *answer_instant(answer_t *self, int64_t wall_us)
{
    time_t seconds = (time_t)(wall_us / PAWL_SEC_US);
    struct tm tm;
    char text[64] = "";
    if (gmtime_r(&seconds, &tm)) strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
    return answer_text(self, slice_text(text));
}

ProtobufCBinaryData answer_bytes(answer_t *self, slice_t bytes)
{
    return (ProtobufCBinaryData){ bytes.len, (uint8_t *)answer_text(self, bytes) };
}

void answer_refuse(answer_t *self, Pawl__V1__Reply *reply, err_t err, const char *field,
                   const char *format, ...)
{
    Pawl__V1__Error *error = answer_take(self, sizeof *error);
    pawl__v1__error__init(error);
    va_list args;
    va_start(args, format);
    error->text = print(self, format, args);
    va_end(args);
    wire_text_mend(error->text); /* what it quotes may have been cut */
    error->code = (uint32_t)err;
    error->field = answer_text(self, slice_text(field));
    reply->error = error;
    reply->body_case = PAWL__V1__REPLY__BODY__NOT_SET;
}

/* ---- rows, time ------------------------------------------------------------------------------ */

err_t answer_meta(answer_t *self, meta_dynamic_t *meta)
{
    rec_key_t key = key_u8(META_DYNAMIC);
    slice_t value;
    ANSWER_TRY(store_view_get(self->view, TABLE_meta, key_slice(&key), &value));
    return meta_dynamic_decode(meta, value) ? ERR_OK : ERR_CORRUPT;
}

int64_t answer_calendar(const meta_dynamic_t *meta, uint8_t clock, int64_t at_us)
{
    return clock == CLOCK_ELAPSED ? at_us - meta->broker_us + meta->wall_us : at_us;
}

int64_t answer_now(const answer_t *self)
{
    return self->clock_us ? self->clock_us() : 0;
}

bool answer_page_over(const answer_t *self, int64_t begun_us)
{
    return self->clock_us && self->clock_us() - begun_us >= ANSWER_PAGE_US;
}
