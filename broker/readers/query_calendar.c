/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/readers/query_calendar.h"

#include <stdlib.h>

#include "client/time/calendar.h"

err_t calendar_entries(answer_t *self, uint64_t hash, buf_t *text)
{
    for (uint16_t part = 0;; part++) {
        rec_key_t key = key_calendar_part(hash, part);
        slice_t value;
        err_t err = store_view_get(self->view, TABLE_calendar, key_slice(&key), &value);
        if (err == ERR_NOT_FOUND) return part ? ERR_OK : ERR_CORRUPT;
        if (err != ERR_OK) return err;
        buf_add(text, value.at, value.len);
    }
}

static err_t count_users(answer_t *self, uint32_t no, uint32_t *count)
{
    rec_key_t from = key_calendar_user(no, 0);
    store_scan_t *scan = NULL;
    slice_t key, value;
    uint32_t calendar, schedule;
    err_t err = store_scan_open(self->view, TABLE_calendar, key_slice(&from), false, &scan);
    for (; err == ERR_OK; ++*count) {
        err = store_scan_next(scan, &key, &value);
        if (err != ERR_OK || !calendar_user_key_decode(key, &calendar, &schedule) || calendar != no)
            break;
    }
    store_scan_close(&scan);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

/* An entry a line. */
static err_t add_entries(answer_t *self, uint64_t hash, bool whole, Pawl__V1__CalendarInfo *info)
{
    buf_t text = { 0 };
    err_t err = calendar_entries(self, hash, &text);
    if (err == ERR_OK) {
        info->entries_n = 1;
        for (size_t i = 0; i < text.len; i++)
            info->entries_n += text.at[i] == '\n';
        if (whole) info->entries = answer_take(self, info->entries_n * sizeof *info->entries);
        for (size_t from = 0, at = 0; whole && at <= text.len; at++) {
            if (at < text.len && text.at[at] != '\n') continue;
            info->entries[info->n_entries++] = answer_text(self, slice(text.at + from, at - from));
            from = at + 1;
        }
    }
    buf_free(&text);
    return err;
}

/* NULL in *out: it has been removed. */
static err_t read_info(answer_t *self, uint32_t no, bool whole, Pawl__V1__CalendarInfo **out)
{
    rec_key_t key = key_kind_no(NAME_CALENDAR, no);
    slice_t value;
    reg_row_t row;
    *out = NULL;
    ANSWER_TRY(store_view_get(self->view, TABLE_reg, key_slice(&key), &value));
    if (!reg_row_decode(&row, value)) return ERR_CORRUPT;
    if (row.value == 0) return ERR_OK;
    Pawl__V1__CalendarInfo *info = answer_take(self, sizeof *info);
    pawl__v1__calendar_info__init(info);
    info->name = answer_text(self, row.name);
    info->title = answer_text(self, row.reason);
    info->revision = row.value;
    info->changed_us = row.since_wall_us;
    info->following = (row.flags & REG_REZONE) != 0;
    *out = info;
    ANSWER_TRY(count_users(self, no, &info->users));
    return add_entries(self, info->revision, whole, info);
}

static err_t add_one(answer_t *self, const Pawl__V1__CalendarList *ask,
                     Pawl__V1__CalendarItems *items, Pawl__V1__Reply *reply)
{
    uint32_t no;
    Pawl__V1__CalendarInfo *info = NULL;
    err_t err = answer_number(self, NAME_CALENDAR, ask->name, &no);
    if (err == ERR_OK) err = read_info(self, no, true, &info);
    if (err != ERR_OK && err != ERR_NOT_FOUND) return err;
    if (info == NULL)
        answer_refuse(self, reply, ERR_NOT_FOUND, "calendar_list.name",
                      "there is no calendar \"%s\"", ask->name);
    else
        items->items[items->n_items++] = info;
    return ERR_OK;
}

static err_t add_page(answer_t *self, const Pawl__V1__CalendarList *ask, uint32_t limit,
                      Pawl__V1__CalendarItems *items)
{
    int64_t begun = answer_now(self);
    rec_key_t from = key_name(NAME_CALENDAR, slice_text(ask->after));
    if (ask->after[0]) from.at[from.len++] = 0; /* strictly behind it */
    store_scan_t *scan = NULL;
    err_t err = store_scan_open(self->view, TABLE_names, key_slice(&from), false, &scan);
    while (err == ERR_OK) {
        slice_t key, value;
        uint32_t no;
        Pawl__V1__CalendarInfo *info;
        err = store_scan_next(scan, &key, &value);
        if (err != ERR_OK || key.len == 0 || key.at[0] != NAME_CALENDAR) break;
        if (items->n_items == limit || (items->n_items && answer_page_over(self, begun))) {
            items->next = items->items[items->n_items - 1]->name;
            break;
        }
        err = name_row_decode(&no, value) ? read_info(self, no, false, &info) : ERR_CORRUPT;
        if (err == ERR_OK && info) items->items[items->n_items++] = info;
    }
    store_scan_close(&scan);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

err_t query_calendar_list(answer_t *self, const Pawl__V1__CalendarList *ask, Pawl__V1__Reply *reply)
{
    uint32_t limit = ask->limit && ask->limit < LIMIT_LIST ? ask->limit : LIMIT_LIST;
    Pawl__V1__CalendarItems *items = answer_take(self, sizeof *items);
    pawl__v1__calendar_items__init(items);
    items->items = answer_take(self, limit * sizeof *items->items);
    reply->calendars = items;
    reply->body_case = PAWL__V1__REPLY__BODY_CALENDARS;
    if (ask->name[0]) return add_one(self, ask, items, reply);
    return add_page(self, ask, limit, items);
}
