/* SPDX-License-Identifier: Apache-2.0
 * journal.c - every change of status, with a global sequence, packed into rows of at most 2,000
 * bytes; and the block summaries, which let lists and retention skip 1,024 tasks at a time. */
#include "broker/core/inside.h"

#include <stdlib.h>

static err_t write_row(core_t *core)
{
    core->journal_open = false;
    if (core->journal.count == 0) return ERR_OK;
    rec_key_t key = key_n(core->journal.first_seq);
    return store_put(core->store, TABLE_jrn, key_slice(&key),
                     slice(core->journal.at, core->journal.len), 0);
}

err_t journal_add(core_t *core, uint8_t event, uint64_t subject, uint32_t attempt, uint64_t aux)
{
    journal_entry_t entry = { .seq = core->meta.next_seq,
                              .event = event,
                              .subject = subject,
                              .attempt = attempt,
                              .aux = aux,
                              .wall_us = core->wall_us };
    if (!core->journal_open) {
        journal_pack_begin(&core->journal, entry.seq);
        core->journal_open = true;
    }
    if (!journal_pack_add(&core->journal, &entry)) {
        TRY(write_row(core));
        journal_pack_begin(&core->journal, entry.seq);
        core->journal_open = true;
        CHECK(journal_pack_add(&core->journal, &entry));
    }
    core->meta.next_seq++;
    return ERR_OK;
}

err_t journal_edit(core_t *core, const plan_t *plan, int64_t before_us)
{
    journal_entry_t told = { 0 };
    int64_t after_us = plan_due_us(plan);
    journal_edit_put(&told, before_us == INT64_MAX ? 0 : before_us,
                     after_us == INT64_MAX ? 0 : after_us);
    return journal_add(core, EVENT_SCHEDULE_EDITED, plan->no, told.attempt, told.aux);
}

static void tell_subscribers(core_t *core, uint8_t event, const task_t *task, uint64_t aux)
{
    Pawl__V1__EventInfo info = PAWL__V1__EVENT_INFO__INIT;
    info.seq = core->meta.next_seq - 1;
    info.time_us = core->wall_us;
    info.kind = (char *)(uintptr_t)journal_event_text(event);
    info.id.data = (uint8_t *)(uintptr_t)task->spec.id;
    info.id.len = 16;
    info.attempt = task->run ? task->run->row.attempt : task->state.attempts;
    named_t *queue = name_at(core, NAME_QUEUE, task->spec.queue);
    named_t *type = name_at(core, NAME_TYPE, task->spec.type);
    named_t *executor = aux ? name_at(core, NAME_EXECUTOR, (uint32_t)aux) : NULL;
    info.queue = queue ? queue->name : info.queue;
    info.type = type ? type->name : info.type;
    info.executor = executor ? executor->name : info.executor;
    output_t *out = out_add(core, OUT_EVENT, 0);
    memcpy(out->id, task->spec.id, 16);
    size_t len = pawl__v1__event_info__get_packed_size(&info);
    buf_need(&core->out->bytes, len);
    out->at = (uint32_t)core->out->bytes.len;
    out->len = (uint32_t)len;
    pawl__v1__event_info__pack(&info, core->out->bytes.at + core->out->bytes.len);
    core->out->bytes.len += len;
}

err_t journal_task(core_t *core, uint8_t event, const task_t *task, uint64_t aux)
{
    uint32_t attempt = task->run ? task->run->row.attempt : task->state.attempts;
    TRY(journal_add(core, event, task->n, attempt, aux));
    if (core->config.want_events) tell_subscribers(core, event, task, aux);
    return ERR_OK;
}

err_t journal_flush(core_t *core)
{
    return core->journal_open ? write_row(core) : ERR_OK;
}

/* ---- blocks ---------------------------------------------------------------------------------- */

enum { BLOCKS_KEPT = 4096 };

static void make_dirty(core_t *core, block_t *block)
{
    if (block->dirty) return;
    block->dirty = true;
    if (core->dirty_blocks_n == core->dirty_blocks_room) {
        core->dirty_blocks_room = core->dirty_blocks_room ? core->dirty_blocks_room * 2 : 64;
        core->dirty_blocks =
            mem_grow(core->dirty_blocks, core->dirty_blocks_room * sizeof(block_t *));
    }
    core->dirty_blocks[core->dirty_blocks_n++] = block;
}

err_t block_of(core_t *core, uint64_t n, block_t **out)
{
    uint64_t no = n >> BLOCK_SHIFT;
    if (core->block && core->block->no == no) {
        make_dirty(core, core->block);
        *out = core->block;
        return ERR_OK;
    }
    block_t *block = map_get(&core->blocks, no + 1);
    if (block == NULL) {
        block = mem_new(sizeof *block);
        block->no = no;
        map_put(&core->blocks, no + 1, block);
        rec_key_t key = key_n(no);
        slice_t value;
        err_t err = store_get(core->store, TABLE_block, key_slice(&key), &value);
        if (err == ERR_OK && !block_row_decode(&block->row, value)) err = ERR_CORRUPT;
        if (err != ERR_OK && err != ERR_NOT_FOUND) return err;
    }
    make_dirty(core, block);
    core->block = block;
    *out = block;
    return ERR_OK;
}

err_t blocks_flush(core_t *core)
{
    for (size_t i = 0; i < core->dirty_blocks_n; i++) {
        block_t *block = core->dirty_blocks[i];
        block->dirty = false;
        core->scratch.len = 0;
        block_row_encode(&block->row, &core->scratch);
        rec_key_t key = key_n(block->no);
        TRY(put_scratch(core, TABLE_block, &key, 0));
    }
    core->dirty_blocks_n = 0;
    if (core->blocks.n > BLOCKS_KEPT) blocks_free(core);
    return ERR_OK;
}

void blocks_free(core_t *core)
{
    size_t at = 0;
    for (block_t *block; (block = map_next(&core->blocks, &at)) != NULL;)
        free(block);
    map_free(&core->blocks);
    core->block = NULL;
    free(core->dirty_blocks);
    core->dirty_blocks = NULL;
    core->dirty_blocks_n = core->dirty_blocks_room = 0;
}
