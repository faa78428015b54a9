/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/memstore.h"

#include <stdio.h>

memstore_fault_t *memstore_faults(store_t *self)
{
    return &memstore_of(self)->fault;
}

void memstore_crash(store_t *self)
{
    mem_abort(self);
    memstore_of(self)->dead = false;
}

store_t *memstore_clone(store_t *self)
{
    store_t *copy = memstore_new();
    memstore_of(copy)->committed = mem_image_share(&memstore_of(self)->committed);
    memstore_of(copy)->fault.map_bytes = memstore_of(self)->fault.map_bytes;
    copy->keep_write_set = self->keep_write_set;
    copy->hash_writes = self->hash_writes;
    return copy;
}

bool memstore_damage(store_t *base, table_t table, slice_t key, size_t at, uint8_t mask)
{
    memstore_t *self = memstore_of(base);
    CHECK(!self->open);
    const entry_t *old = mem_tree_find(self->committed.roots[table], key);
    if (!old || old->value_len == 0) return false;
    entry_t *entry = mem_entry_new(mem_entry_key(old), old->value_len);
    uint8_t *value = entry->bytes + entry->key_len;
    be_put_bytes(value, mem_entry_value(old).at, old->value_len);
    value[at % old->value_len] ^= mask;
    mem_image_put(&self->committed, table, entry);
    return true;
}

uint64_t memstore_rows(store_t *self, table_t table)
{
    return memstore_of(self)->committed.rows[table];
}

uint64_t memstore_commits(const store_t *self)
{
    return ((const memstore_t *)self)->commits;
}

static uint64_t hash_tree(const node_t *node, uint64_t hash)
{
    if (!node) return hash;
    hash = hash_tree(node->left, hash);
    uint64_t row[3] = { hash, hash64(node->entry->bytes, node->entry->key_len),
                        hash64(mem_entry_value(node->entry).at, node->entry->value_len) };
    return hash_tree(node->right, hash64(row, sizeof row));
}

uint64_t memstore_hash(store_t *self)
{
    uint64_t hash = 0;
    for (int i = 0; i < TABLE_COUNT; i++)
        hash = hash_tree(memstore_of(self)->committed.roots[i], hash * 31 + (uint64_t)i);
    return hash;
}

static void tell(char *to, size_t len, table_t table, slice_t key, const char *what)
{
    int used = snprintf(to, len, "%s %s: ", table_name(table), what);
    for (size_t i = 0; used > 0 && i < key.len && (size_t)used + 3 < len; i++)
        used += snprintf(to + used, len - (size_t)used, "%02x", key.at[i]);
}

static bool same_table(store_view_t *a, store_view_t *b, table_t table, char *difference,
                       size_t len)
{
    const store_ops_t *ops_a = a->store->ops, *ops_b = b->store->ops;
    store_scan_t *scan_a, *scan_b;
    slice_t nothing = slice(NULL, 0), key_a, key_b, raw_a, raw_b;
    CHECK(store_scan_open(a, table, nothing, false, &scan_a) == ERR_OK);
    CHECK(store_scan_open(b, table, nothing, false, &scan_b) == ERR_OK);
    bool same = true, more = true;
    while (same && more) {
        err_t err_a = ops_a->scan_next(scan_a, &key_a, &raw_a);
        err_t err_b = ops_b->scan_next(scan_b, &key_b, &raw_b);
        more = !err_a && !err_b;
        same =
            err_a == err_b && (!more || (slice_equal(key_a, key_b) && slice_equal(raw_a, raw_b)));
        if (same) continue;
        if (more && slice_equal(key_a, key_b))
            tell(difference, len, table, key_a, "has two values");
        else if (!err_a && (err_b || slice_compare(key_a, key_b) < 0))
            tell(difference, len, table, key_a, "only in the first");
        else
            tell(difference, len, table, key_b, "only in the second");
    }
    store_scan_close(&scan_a);
    store_scan_close(&scan_b);
    return same;
}

bool store_same(store_t *a, store_t *b, char *difference, size_t len)
{
    store_view_t *view_a, *view_b;
    CHECK(store_view_open(a, &view_a) == ERR_OK);
    CHECK(store_view_open(b, &view_b) == ERR_OK);
    bool same = true;
    for (int table = 0; same && table < TABLE_COUNT; table++)
        if (table_name((table_t)table))
            same = same_table(view_a, view_b, (table_t)table, difference, len);
    store_view_close(&view_a);
    store_view_close(&view_b);
    return same;
}
