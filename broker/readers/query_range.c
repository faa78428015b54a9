/* SPDX-License-Identifier: Apache-2.0
 * broker/readers/query_range.c - ranges of a schedule, with what is left of each. */
#include "broker/readers/query_schedule.h"

#include "broker/core/told.h"

err_t schedule_asked(answer_t *self, const char *name, ProtobufCBinaryData uid, const char *field,
                     Pawl__V1__Reply *reply, uint32_t *no)
{
    slice_t text = uid.len ? slice(uid.data, uid.len) : slice_text(name), value;
    rec_key_t key = key_name(uid.len ? NAME_UID : NAME_SCHEDULE, text);
    err_t err = store_view_get(self->view, TABLE_names, key_slice(&key), &value);
    if (err == ERR_NOT_FOUND)
        answer_refuse(self, reply, ERR_NOT_FOUND, field, "there is no schedule \"%s\"", name);
    if (err != ERR_OK) return err;
    return name_row_decode(no, value) ? ERR_OK : ERR_CORRUPT;
}

err_t schedule_range_next(answer_t *self, uint32_t schedule, uint16_t *no, range_row_t *row)
{
    if (*no == UINT16_MAX) return ERR_NOT_FOUND;
    rec_key_t from = key_range(schedule, (uint16_t)(*no + 1));
    store_scan_t *scan = NULL;
    slice_t key, value;
    uint32_t found;
    err_t err = store_scan_open(self->view, TABLE_range, key_slice(&from), false, &scan);
    if (err == ERR_OK) err = store_scan_next(scan, &key, &value);
    if (err == ERR_OK && !range_key_decode(key, &found, no)) err = ERR_CORRUPT;
    if (err == ERR_OK && found != schedule) err = ERR_NOT_FOUND;
    if (err == ERR_OK && !range_row_decode(row, value)) err = ERR_CORRUPT;
    store_scan_close(&scan);
    return err;
}

/* That of its own revision; a rule that is no longer kept leaves that of the schedule. */
static err_t zone_of(answer_t *self, const schedule_rows_t *schedule, uint64_t revision,
                     char **zone)
{
    rec_key_t key = key_sched(schedule->no, SCHED_RULE, revision);
    slice_t value;
    sched_rule_row_t row;
    *zone = schedule->spec->zone;
    err_t err = store_view_get(self->view, TABLE_sched, key_slice(&key), &value);
    if (err != ERR_OK) return err == ERR_NOT_FOUND ? ERR_OK : err;
    if (!sched_rule_row_decode(&row, value)) return ERR_CORRUPT;
    *zone = answer_text(self, row.zone);
    return ERR_OK;
}

static err_t range_info(answer_t *self, const schedule_rows_t *schedule, uint16_t no,
                        const range_row_t *row, revision_t *revision, Pawl__V1__RangeInfo **out)
{
    Pawl__V1__RangeInfo *info = answer_take(self, sizeof *info);
    range_info_fill(row, no, info);
    ANSWER_TRY(zone_of(self, schedule, row->revision, &info->zone));
    if (row->state < RANGE_DONE) {
        ANSWER_TRY(revision_load(self, schedule, row->revision, revision));
        info->left = revision_count(revision, row->low_us, row->high_us);
    }
    *out = info;
    return ERR_OK;
}

err_t schedule_range_open(answer_t *self, const schedule_rows_t *rows, uint16_t *no,
                          range_row_t *row)
{
    const range_list_t *list = &rows->row.ranges;
    err_t err;
    if (list->known) {
        size_t i = 0;
        while (i < list->n && list->open[i] <= *no)
            i++;
        if (i == list->n) return ERR_NOT_FOUND;
        *no = (uint16_t)(list->open[i] - 1);
    }
    while ((err = schedule_range_next(self, rows->no, no, row)) == ERR_OK)
        if (row->state < RANGE_DONE) return ERR_OK;
    return err;
}

err_t schedule_ranges(answer_t *self, const schedule_rows_t *rows, Pawl__V1__ScheduleInfo *info)
{
    revision_t revision = { 0 };
    range_row_t row = { 0 };
    uint16_t no = 0;
    err_t err = ERR_NOT_FOUND;
    info->ranges = answer_take(self, LIMIT_RANGES * sizeof *info->ranges);
    while (info->n_ranges < LIMIT_RANGES &&
           (err = schedule_range_open(self, rows, &no, &row)) == ERR_OK) {
        Pawl__V1__RangeInfo *one;
        err = range_info(self, rows, no, &row, &revision, &one);
        if (err != ERR_OK) break;
        info->ranges[info->n_ranges++] = one;
        if (row.cause == CAUSE_LIVE) info->behind += one->left;
    }
    revision_close(&revision);
    return info->n_ranges == LIMIT_RANGES || err == ERR_NOT_FOUND ? ERR_OK : err;
}

err_t query_range_list(answer_t *self, const Pawl__V1__RangeList *ask, Pawl__V1__Reply *reply)
{
    uint32_t schedule, limit = ask->limit && ask->limit < LIMIT_LIST ? ask->limit : LIMIT_LIST;
    err_t err = schedule_asked(self, ask->name, (ProtobufCBinaryData){ 0 }, "range_list.name",
                               reply, &schedule);
    if (err != ERR_OK) return err == ERR_NOT_FOUND ? ERR_OK : err;
    schedule_rows_t rows;
    ANSWER_TRY(schedule_rows_get(self, schedule, &rows));
    Pawl__V1__RangeItems *items = answer_take(self, sizeof *items);
    pawl__v1__range_items__init(items);
    items->items = answer_take(self, limit * sizeof *items->items);
    reply->body_case = PAWL__V1__REPLY__BODY_RANGES;
    reply->ranges = items;
    revision_t revision = { 0 };
    range_row_t row;
    uint16_t no = ask->after < UINT16_MAX ? (uint16_t)ask->after : UINT16_MAX;
    int64_t begun = answer_now(self);
    for (;;) {
        err = ask->all ? schedule_range_next(self, schedule, &no, &row)
                       : schedule_range_open(self, &rows, &no, &row);
        if (err != ERR_OK) break;
        err = range_info(self, &rows, no, &row, &revision, &items->items[items->n_items]);
        if (err != ERR_OK) break;
        items->n_items++;
        if (items->n_items == limit || answer_page_over(self, begun)) {
            items->next = no;
            break;
        }
    }
    revision_close(&revision);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}
