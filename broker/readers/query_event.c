/* SPDX-License-Identifier: Apache-2.0
 * broker/readers/query_event.c - EventRead: the journal from a sequence number on.
 *
 * Entries hold numbers; what people read (id, type, queue, executor) is joined from the task's spec
 * and the names of the snapshot. A task that was purged since leaves an entry without them. */
#include "broker/readers/query_task.h"
#include "broker/readers/query_watermark.h"

static err_t join_task(answer_t *self, const journal_entry_t *entry, Pawl__V1__EventInfo *info)
{
    slice_t value;
    spec_row_t spec;
    err_t err = spec_row_get(self->view, entry->subject, &spec);
    if (err == ERR_OK) {
        info->id = answer_bytes(self, slice(spec.id, sizeof spec.id));
        ANSWER_TRY(answer_name(self, NAME_TYPE, spec.type, &info->type));
        ANSWER_TRY(answer_name(self, NAME_QUEUE, spec.queue, &info->queue));
        if (spec.flags & SPEC_SCHEDULED)
            ANSWER_TRY(answer_name(self, NAME_SCHEDULE, spec.schedule, &info->name));
    } else if (err == ERR_NOT_FOUND) {
        rec_key_t key = key_part(entry->subject, PART_TOMBSTONE, 0, 0);
        err = store_view_get(self->view, TABLE_part, key_slice(&key), &value);
        if (err == ERR_OK) info->id = answer_bytes(self, value);
    }
    if (err != ERR_OK && err != ERR_NOT_FOUND) return err;
    info->attempt = entry->attempt;
    if (entry->aux && entry->aux <= UINT32_MAX)
        ANSWER_TRY(answer_name(self, NAME_EXECUTOR, (uint32_t)entry->aux, &info->executor));
    return ERR_OK;
}

/* The scope whose watermark was changed by hand. */
static err_t join_watermark(answer_t *self, const journal_entry_t *entry, Pawl__V1__EventInfo *info)
{
    static const char *const words[] = { [SCOPE_TASK] = "of the task",
                                         [SCOPE_SCHEDULE] = "of the schedule",
                                         [SCOPE_NAMED] = "of a scope of" };
    char *principal = NULL;
    if (entry->attempt < ARRAY_LEN(words) && words[entry->attempt])
        info->detail = answer_text(self, slice_text(words[entry->attempt]));
    if (entry->attempt == SCOPE_SCHEDULE)
        return answer_name(self, NAME_SCHEDULE, (uint32_t)entry->subject, &info->name);
    if (entry->attempt == SCOPE_NAMED) {
        ANSWER_TRY(answer_name(self, NAME_PRINCIPAL, (uint32_t)entry->subject, &principal));
        info->detail = answer_printf(self, "%s %s", info->detail, principal);
        return watermark_name(self, entry->aux, &info->name);
    }
    journal_entry_t plain = *entry;
    plain.aux = plain.attempt = 0;
    return join_task(self, &plain, info);
}

/* What an edit, or new data of a zone, moved; nothing of entries that do not say so. */
static void join_moved(answer_t *self, const journal_entry_t *entry, Pawl__V1__EventInfo *info)
{
    int64_t before_us, after_us;
    if (entry->aux == 0 && entry->attempt == 0) return;
    if (entry->event == EVENT_ZONE_CHANGED) {
        uint64_t n = entry->aux - 1;
        info->detail = answer_printf(self, "%llu schedule%s moved to its new data",
                                     (unsigned long long)n, n == 1 ? "" : "s");
        return;
    }
    journal_edit_get(entry, &before_us, &after_us);
    info->detail =
        answer_printf(self, "next %s -> %s", before_us ? answer_instant(self, before_us) : "never",
                      after_us ? answer_instant(self, after_us) : "never");
}

static err_t join(answer_t *self, const journal_entry_t *entry, Pawl__V1__EventInfo *info)
{
    const char *kind = journal_event_text(entry->event);
    info->seq = entry->seq;
    info->time_us = entry->wall_us;
    info->kind =
        kind ? answer_text(self, slice_text(kind)) : answer_printf(self, "event.%u", entry->event);
    if (entry->event < EVENT_SCHEDULE_CREATED) return join_task(self, entry, info);
    if (entry->event == EVENT_WATERMARK_SET || entry->event == EVENT_WATERMARK_REMOVED)
        return join_watermark(self, entry, info);
    bool fanout = entry->event == EVENT_FANOUT_STOPPED || entry->event == EVENT_FANOUT_JOINED;
    if (fanout) { /* aux counts children here */
        journal_entry_t plain = *entry;
        plain.aux = 0;
        ANSWER_TRY(join_task(self, &plain, info));
    }
    if (entry->event == EVENT_SCHEDULE_EDITED || entry->event == EVENT_ZONE_CHANGED)
        join_moved(self, entry, info);
    else if (entry->aux)
        info->detail = answer_printf(self, "%llu", (unsigned long long)entry->aux);
    uint32_t no = (uint32_t)entry->subject;
    if (fanout) return ERR_OK;
    if (entry->event >= EVENT_RANGE_MADE && entry->event <= EVENT_BACKLOG) {
        if (entry->attempt) /* number of the range */
            info->detail = answer_printf(self, "range %u, %llu", entry->attempt,
                                         (unsigned long long)entry->aux);
        return answer_name(self, NAME_SCHEDULE, no, &info->name);
    }
    if (entry->event < EVENT_EXECUTOR_JOINED || entry->event == EVENT_SCHEDULE_UNATTENDED ||
        entry->event == EVENT_SCHEDULE_ATTENDED)
        return answer_name(self, NAME_SCHEDULE, no, &info->name);
    if (entry->event < EVENT_QUEUE_PAUSED) {
        ANSWER_TRY(answer_name(self, NAME_EXECUTOR, no, &info->name));
        info->executor = info->name;
        return ERR_OK;
    }
    if (entry->event == EVENT_PEER_CUT && no) {
        ANSWER_TRY(answer_name(self, NAME_EXECUTOR, no, &info->name));
        info->executor = info->name;
        return ERR_OK;
    }
    switch (entry->event) {
    case EVENT_ZONE_CHANGED:
    case EVENT_ZONE_GONE:
        return answer_name(self, NAME_ZONE, no, &info->name);
    case EVENT_SCHEDULE_ENDED:
        return answer_name(self, NAME_SCHEDULE, no, &info->name);
    case EVENT_CALENDAR_CHANGED:
    case EVENT_CALENDAR_REMOVED:
        return answer_name(self, NAME_CALENDAR, no, &info->name);
    default:
        break;
    }
    if (entry->event <= EVENT_QUEUE_RESUMED) {
        ANSWER_TRY(answer_name(self, NAME_QUEUE, no, &info->name));
        info->queue = info->name;
    }
    return ERR_OK;
}

/* Positions the scan on the row that holds `seq`, or on the first behind it. */
static err_t open_at(answer_t *self, uint64_t seq, store_scan_t **scan)
{
    rec_key_t from = key_n(seq);
    slice_t key, value;
    ANSWER_TRY(store_scan_open(self->view, TABLE_jrn, key_slice(&from), true, scan));
    err_t err = store_scan_next(*scan, &key, &value);
    store_scan_close(scan);
    if (err != ERR_OK && err != ERR_NOT_FOUND) return err;
    if (err == ERR_OK && key.len != 8) return ERR_CORRUPT;
    if (err == ERR_OK) from = key_n(be_u64(key.at));
    return store_scan_open(self->view, TABLE_jrn, key_slice(&from), false, scan);
}

static err_t oldest_of(answer_t *self, uint64_t next_seq, uint64_t *oldest)
{
    store_scan_t *scan = NULL;
    slice_t key, value;
    *oldest = next_seq;
    ANSWER_TRY(store_scan_open(self->view, TABLE_jrn, slice(NULL, 0), false, &scan));
    err_t err = store_scan_next(scan, &key, &value);
    if (err == ERR_OK && key.len != 8) err = ERR_CORRUPT;
    if (err == ERR_OK) *oldest = be_u64(key.at);
    store_scan_close(&scan);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

typedef struct event_page {
    Pawl__V1__EventItems *items;
    uint64_t from;
    uint32_t limit;
    int64_t begun_us;
} event_page_t;

/* The entries of one row from page->from on. *full: the page is over. */
static err_t add_row(answer_t *self, event_page_t *page, uint64_t first, slice_t row, bool *full)
{
    journal_unpack_t unpack;
    journal_entry_t entry;
    if (!journal_unpack_begin(&unpack, first, row)) return ERR_CORRUPT;
    while (journal_unpack_next(&unpack, &entry)) {
        if (entry.seq < page->from) continue;
        *full = page->items->n_items == page->limit || self->arena->total > ANSWER_PAGE_BYTES ||
                (page->items->n_items % 64 == 63 && answer_page_over(self, page->begun_us));
        if (*full) return ERR_OK;
        Pawl__V1__EventInfo *info = answer_take(self, sizeof *info);
        pawl__v1__event_info__init(info);
        ANSWER_TRY(join(self, &entry, info));
        page->items->items[page->items->n_items++] = info;
        page->items->next_seq = entry.seq + 1;
    }
    return unpack.in.bad ? ERR_CORRUPT : ERR_OK;
}

err_t query_event_read(answer_t *self, const Pawl__V1__EventRead *ask, uint64_t from_seq,
                       Pawl__V1__Reply *reply)
{
    meta_dynamic_t meta;
    event_page_t page = { .from = from_seq ? from_seq : 1, .begun_us = answer_now(self) };
    page.limit = ask->limit && ask->limit < LIMIT_LIST ? ask->limit : LIMIT_LIST;
    ANSWER_TRY(answer_meta(self, &meta));
    page.items = answer_take(self, sizeof *page.items);
    pawl__v1__event_items__init(page.items);
    page.items->items = answer_take(self, page.limit * sizeof *page.items->items);
    reply->events = page.items;
    reply->body_case = PAWL__V1__REPLY__BODY_EVENTS;
    ANSWER_TRY(oldest_of(self, meta.next_seq, &page.items->oldest_seq));
    if (page.from > meta.next_seq)
        page.from = meta.next_seq; /* e.g. of a store that was restored */
    if (page.from < page.items->oldest_seq) page.from = page.items->oldest_seq; /* a gap: told */
    page.items->next_seq = page.from;
    if (page.from == meta.next_seq) return ERR_OK;
    store_scan_t *scan = NULL;
    err_t err = open_at(self, page.from, &scan);
    bool full = false;
    while (err == ERR_OK && !full) {
        slice_t key, value;
        err = store_scan_next(scan, &key, &value);
        if (err == ERR_OK && key.len != 8) err = ERR_CORRUPT;
        if (err == ERR_OK) err = add_row(self, &page, be_u64(key.at), value, &full);
    }
    store_scan_close(&scan);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}
