/* SPDX-License-Identifier: Apache-2.0
 * broker/readers/query_list.c - TaskList: a page of tasks in the order of their acceptance.
 *
 * There is no index by status, type or time. Block rows sum up 1,024 task numbers each, and those
 * that cannot hold a match are skipped, so ten million tasks are ten thousand rows to look at;
 * running ones are read off the run table. A page ends when it is full or lasted long enough; its
 * cursor is the next number to look at. */
#include <stdlib.h>

#include "broker/readers/query_task.h"
#include "client/base/ulid.h"

enum { STATUSES = 12 };

typedef struct sieve {
    bool wanted[STATUSES];
    bool all_statuses, only_running;
    bool nothing; /* a name that is unknown: nothing can match */
    bool by_body; /* key, text or labels: the body must be read */
    uint32_t type, queue, schedule, executor, principal; /* 0: any */
    const Pawl__V1__TaskFilter *filter;
} sieve_t;

static err_t number_of(answer_t *self, enum name_kind kind, const char *text, uint32_t *no,
                       sieve_t *sieve)
{
    if (text[0] == '\0') return ERR_OK;
    err_t err = answer_number(self, kind, text, no);
    if (err == ERR_NOT_FOUND) {
        sieve->nothing = true;
        return ERR_OK;
    }
    return err;
}

static err_t sieve_make(answer_t *self, const Pawl__V1__TaskFilter *filter, sieve_t *sieve)
{
    static const Pawl__V1__TaskFilter none = PAWL__V1__TASK_FILTER__INIT;
    if (filter == NULL) filter = &none;
    *sieve = (sieve_t){ .filter = filter, .all_statuses = filter->n_statuses == 0 };
    sieve->only_running = filter->n_statuses > 0;
    for (size_t i = 0; i < filter->n_statuses; i++) {
        unsigned status = (unsigned)filter->statuses[i];
        if (status < STATUSES) sieve->wanted[status] = true;
        if (status != (unsigned)TASK_S(RUNNING)) sieve->only_running = false;
    }
    sieve->by_body = filter->key[0] || filter->text[0] || filter->n_labels;
    ANSWER_TRY(number_of(self, NAME_TYPE, filter->type, &sieve->type, sieve));
    ANSWER_TRY(number_of(self, NAME_QUEUE, filter->queue, &sieve->queue, sieve));
    ANSWER_TRY(number_of(self, NAME_SCHEDULE, filter->schedule, &sieve->schedule, sieve));
    if (self->own_only)
        ANSWER_TRY(number_of(self, NAME_PRINCIPAL, self->principal, &sieve->principal, sieve));
    return number_of(self, NAME_EXECUTOR, filter->executor, &sieve->executor, sieve);
}

static bool block_can_match(const sieve_t *sieve, const block_row_t *block)
{
    const Pawl__V1__TaskFilter *filter = sieve->filter;
    unsigned candidates = 0;
    for (unsigned status = 1; status < STATUSES; status++)
        if (sieve->all_statuses || sieve->wanted[status]) candidates += block->counts[status];
    if (candidates == 0) return false;
    /* the clock may have been set back within a block: 0 and a reversed pair tell nothing */
    if (block->created_min_us == 0 || block->created_min_us > block->created_max_us) return true;
    return !(filter->since_us && block->created_max_us < filter->since_us) &&
           !(filter->until_us && block->created_min_us >= filter->until_us);
}

static bool spec_matches(const sieve_t *sieve, const spec_row_t *spec)
{
    const Pawl__V1__TaskFilter *filter = sieve->filter;
    return !(filter->roots && spec->flags & SPEC_CHILD) &&
           (!sieve->type || spec->type == sieve->type) &&
           (!sieve->queue || spec->queue == sieve->queue) &&
           (!sieve->principal || spec->principal == sieve->principal) &&
           (!sieve->schedule ||
            (spec->flags & SPEC_SCHEDULED && spec->schedule == sieve->schedule)) &&
           (!filter->since_us || spec->created_wall_us >= filter->since_us) &&
           (!filter->until_us || spec->created_wall_us < filter->until_us);
}

static bool contains(const char *text, const char *part)
{
    return strcasestr(text, part) != NULL;
}

static bool body_matches(answer_t *self, const sieve_t *sieve, const task_rows_t *rows,
                         const Pawl__V1__Task *task)
{
    const Pawl__V1__TaskFilter *filter = sieve->filter;
    if (filter->key[0] && strcmp(filter->key, task->key) != 0) return false;
    for (size_t i = 0; i < filter->n_labels; i++) {
        bool has = false;
        for (size_t k = 0; k < task->n_labels && !has; k++)
            has = strcmp(filter->labels[i]->key, task->labels[k]->key) == 0 &&
                  strcmp(filter->labels[i]->value, task->labels[k]->value) == 0;
        if (!has) return false;
    }
    if (filter->text[0] == '\0') return true;
    char id[ULID_TEXT + 1];
    char *type;
    ulid_print(rows->spec.id, id);
    if (answer_name(self, NAME_TYPE, rows->spec.type, &type) != ERR_OK) type = task->type;
    return contains(id, filter->text) || contains(task->key, filter->text) ||
           contains(task->title, filter->text) || contains(type, filter->text);
}

typedef struct page {
    answer_t *answer;
    sieve_t sieve;
    meta_dynamic_t meta;
    Pawl__V1__TaskItems *items;
    uint32_t limit;
    bool down;
    int64_t begun_us;
    uint64_t looked;
    uint64_t next; /* number to go on with, 0: that was all */
} page_t;

/* Adds task n when it matches. */
static err_t consider(page_t *page, uint64_t n)
{
    answer_t *self = page->answer;
    task_rows_t rows;
    const Pawl__V1__Task *task;
    bool goes;
    err_t err = task_rows_get(self->view, n, &rows);
    if (err == ERR_NOT_FOUND) return ERR_CORRUPT; /* the caller has just seen one of its rows */
    if (err != ERR_OK) return err;
    const sieve_t *sieve = &page->sieve;
    if (!sieve->all_statuses && !sieve->wanted[rows.status]) return ERR_OK;
    uint32_t executor = rows.has_run ? rows.run.executor : rows.state.executor;
    if (sieve->executor && executor != sieve->executor) return ERR_OK;
    if (!spec_matches(sieve, &rows.spec)) return ERR_OK;
    ANSWER_TRY(task_tree_goes(self->view, &rows, &goes));
    if (goes) return ERR_OK;
    ANSWER_TRY(task_rows_unpack(self, &rows, &task));
    if (sieve->by_body && !body_matches(self, sieve, &rows, task)) return ERR_OK;
    ANSWER_TRY(
        task_info(self, &rows, &page->meta, task, &page->items->items[page->items->n_items]));
    page->items->n_items++;
    return ERR_OK;
}

static bool page_full(page_t *page)
{
    enum { LOOK_EVERY = 64, ARENA_MAX = 32 << 20 };
    if (page->items->n_items >= page->limit) return true;
    if (page->answer->arena->total > ARENA_MAX) return true; /* bodies that did not match count */
    return ++page->looked % LOOK_EVERY == 0 && answer_page_over(page->answer, page->begun_us);
}

/* Walks the rows of `table` (spec or run: keys begin with n) from page->next on, up to `last`, and
 * leaves page->next at the number to go on with. *full: the page is over. */
static err_t walk(page_t *page, table_t table, uint64_t last, bool *full)
{
    store_scan_t *scan = NULL;
    rec_key_t from = key_n(page->next);
    *full = false;
    err_t err = store_scan_open(page->answer->view, table, key_slice(&from), page->down, &scan);
    while (err == ERR_OK) {
        slice_t key, value;
        err = store_scan_next(scan, &key, &value);
        if (err == ERR_NOT_FOUND) {
            err = ERR_OK;
            page->next = 0;
            break;
        }
        if (err == ERR_OK && key.len != 8) err = ERR_CORRUPT;
        if (err != ERR_OK) break;
        uint64_t n = be_u64(key.at);
        page->next = n;
        if (page->down ? n < last : n > last) break;
        if ((*full = page_full(page))) break;
        if (table == TABLE_spec) { /* most rows fail here: no other table is touched for them */
            spec_row_t spec;
            if (!spec_row_decode(&spec, value)) {
                err = ERR_CORRUPT;
                break;
            }
            if (!spec_matches(&page->sieve, &spec)) continue;
        }
        err = consider(page, n);
    }
    store_scan_close(&scan);
    return err;
}

/* Blocks from that of page->next on, in the order of the page. */
static err_t walk_blocks(page_t *page)
{
    store_scan_t *scan = NULL;
    rec_key_t from = key_n(page->next >> BLOCK_SHIFT);
    err_t err =
        store_scan_open(page->answer->view, TABLE_block, key_slice(&from), page->down, &scan);
    bool full = false;
    while (err == ERR_OK && !full) {
        slice_t key, value;
        block_row_t row;
        err = store_scan_next(scan, &key, &value);
        if (err == ERR_NOT_FOUND) {
            err = ERR_OK;
            page->next = 0;
            break;
        }
        if (err == ERR_OK && (key.len != 8 || !block_row_decode(&row, value))) err = ERR_CORRUPT;
        if (err != ERR_OK) break;
        if (!block_can_match(&page->sieve, &row)) continue;
        uint64_t low = be_u64(key.at) << BLOCK_SHIFT, high = low + (1u << BLOCK_SHIFT) - 1;
        if (page->next < low || page->next > high) page->next = page->down ? high : low;
        err = walk(page, TABLE_spec, page->down ? low : high, &full);
        if (page->next == 0) break;
    }
    store_scan_close(&scan);
    return err;
}

/* The children of a fan-out, by the index of their kids rows. */
static err_t walk_kids(page_t *page, uint64_t parent)
{
    store_scan_t *scan = NULL;
    rec_key_t from = key_kid(parent, 0, page->next);
    err_t err =
        store_scan_open(page->answer->view, TABLE_kids, key_slice(&from), page->down, &scan);
    while (err == ERR_OK) {
        slice_t key, value;
        uint64_t of, n;
        uint16_t step;
        err = store_scan_next(scan, &key, &value);
        if (err == ERR_OK && !kid_key_decode(key, &of, &step, &n)) err = ERR_CORRUPT;
        if (err == ERR_NOT_FOUND || (err == ERR_OK && of != parent)) {
            page->next = 0;
            err = ERR_OK;
            break;
        }
        if (err != ERR_OK) break;
        page->next = n;
        if (page_full(page)) break;
        err = consider(page, n);
    }
    store_scan_close(&scan);
    return err;
}

static err_t list_children(page_t *page, const Pawl__V1__TaskList *ask, Pawl__V1__Reply *reply)
{
    uint64_t parent;
    uint8_t kind;
    task_rows_t rows;
    err_t err = task_asked(page->answer, ask->filter->parent.data, &parent, &kind);
    if (err == ERR_OK && kind == ID_TOMBSTONE) err = ERR_NOT_FOUND;
    if (err == ERR_OK) err = task_rows_shown(page->answer->view, parent, &rows);
    if (err != ERR_OK && err != ERR_NOT_FOUND) return err;
    if (err != ERR_OK || !(rows.spec.flags & SPEC_PARENT)) {
        answer_refuse(page->answer, reply, err == ERR_OK ? ERR_WRONG_STATUS : ERR_NOT_FOUND,
                      "task_list.filter.parent",
                      err == ERR_OK ? "this task has no children: it is no fan-out"
                                    : "no such task is on record");
        return ERR_OK;
    }
    if (page->next == 0 || (page->down && ask->cursor == 0))
        page->next = page->down ? UINT64_MAX : 0;
    ANSWER_TRY(walk_kids(page, parent));
    page->items->cursor = page->next;
    return ERR_OK;
}

/* Parents of fan-outs run without a lease: the run table does not list them. */
static err_t has_families(answer_t *self, bool *answer)
{
    store_scan_t *scan = NULL;
    slice_t key, value;
    ANSWER_TRY(store_scan_open(self->view, TABLE_fam, slice(NULL, 0), false, &scan));
    err_t err = store_scan_next(scan, &key, &value);
    store_scan_close(&scan);
    *answer = err == ERR_OK;
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

err_t query_task_list(answer_t *self, const Pawl__V1__TaskList *ask, Pawl__V1__Reply *reply)
{
    page_t page = { .answer = self, .down = ask->newest_first };
    page.limit = ask->limit && ask->limit < LIMIT_LIST ? ask->limit : LIMIT_LIST;
    page.begun_us = answer_now(self);
    ANSWER_TRY(answer_meta(self, &page.meta));
    ANSWER_TRY(sieve_make(self, ask->filter, &page.sieve));
    page.items = task_items(self, page.limit, reply);
    page.items->seq = page.meta.next_seq;
    if (page.sieve.nothing) return ERR_OK;
    page.next = ask->cursor ? ask->cursor : page.down ? page.meta.next_n : 1;
    if (ask->filter && ask->filter->parent.len) {
        page.next = ask->cursor;
        return list_children(&page, ask, reply);
    }
    bool full, families;
    ANSWER_TRY(has_families(self, &families));
    if (page.sieve.only_running && !families)
        ANSWER_TRY(walk(&page, TABLE_run, page.down ? 0 : UINT64_MAX, &full));
    else
        ANSWER_TRY(walk_blocks(&page));
    page.items->cursor = page.next;
    return ERR_OK;
}
