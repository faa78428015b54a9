/* SPDX-License-Identifier: Apache-2.0
 *
 * Each table is a treap: a search tree by key that is a heap by a hash of the key, so its shape
 * follows from its keys. Nodes are counted; a node with one owner is changed in place, a shared one
 * is copied first. The committed roots own one reference, an open transaction and each view own one
 * more: that alone makes rollback and snapshots. */
#include "broker/store/memstore_inside.h"

#include <stdlib.h>

enum { PAGE = 256, ROW_OVERHEAD = 16 }; /* small: its maps are, too */

typedef struct mem_view {
    store_view_t base;
    memstore_t *store;
    image_t image;
} mem_view_t;

typedef struct mem_scan {
    store_scan_t base;
    const node_t *root;
    bool down, strict, ended; /* strict: `from` was returned already */
    size_t from_len;
    uint8_t *from;
} mem_scan_t;

/* ---- trees ----------------------------------------------------------------------------------- */

slice_t mem_entry_key(const entry_t *entry)
{
    return slice(entry->bytes, entry->key_len);
}

slice_t mem_entry_value(const entry_t *entry)
{
    return slice(entry->bytes + entry->key_len, entry->value_len);
}

entry_t *mem_entry_new(slice_t key, size_t value_len)
{
    entry_t *entry = mem_new(sizeof *entry + key.len + value_len);
    entry->owners = 1;
    entry->key_len = key.len;
    entry->value_len = value_len;
    be_put_bytes(entry->bytes, key.at, key.len);
    return entry;
}

static void entry_drop(entry_t *entry)
{
    if (--entry->owners == 0) free(entry);
}

static node_t *share(node_t *node)
{
    if (node) node->owners++;
    return node;
}

static void node_drop(node_t *node)
{
    if (!node || --node->owners > 0) return;
    node_drop(node->left);
    node_drop(node->right);
    entry_drop(node->entry);
    free(node);
}

/* Takes one reference of `node`, gives back a node that nobody else has. */
static node_t *own(node_t *node)
{
    if (node->owners == 1) return node;
    node_t *copy = mem_new(sizeof *copy);
    *copy = *node;
    copy->owners = 1;
    copy->entry->owners++;
    share(copy->left);
    share(copy->right);
    node->owners--;
    return copy;
}

static uint64_t priority_of(slice_t key)
{
    return hash_mix(hash64(key.at, key.len));
}

/* A number that sorts as the first eight bytes of a key do; a shorter one ends in zeros. */
static uint64_t head_of(slice_t key)
{
    uint8_t first[8] = { 0 };
    if (key.len >= sizeof first) return be_u64(key.at);
    be_put_bytes(first, key.at, key.len);
    return be_u64(first);
}

/* head: head_of(key). */
static inline int compare(slice_t key, uint64_t head, const node_t *node)
{
    if (head != node->head) return head < node->head ? -1 : 1;
    return slice_compare(key, mem_entry_key(node->entry));
}

/* Takes `entry`; an equal key's entry is replaced. */
static node_t *insert(node_t *node, entry_t *entry, uint64_t head, uint64_t priority)
{
    if (!node) {
        node = mem_new(sizeof *node);
        *node = (node_t){ .owners = 1, .priority = priority, .head = head, .entry = entry };
        return node;
    }
    node = own(node);
    int order = compare(mem_entry_key(entry), head, node);
    if (order == 0) {
        entry_drop(node->entry);
        node->entry = entry;
        return node;
    }
    node_t **side = order < 0 ? &node->left : &node->right;
    *side = insert(*side, entry, head, priority);
    node_t *child = *side;
    if (child->priority <= node->priority) return node;
    node_t **inner = order < 0 ? &child->right : &child->left;
    *side = *inner;
    *inner = node;
    return child;
}

static node_t *join(node_t *left, node_t *right)
{
    if (!left || !right) return left ? left : right;
    if (left->priority > right->priority) {
        left = own(left);
        left->right = join(left->right, right);
        return left;
    }
    right = own(right);
    right->left = join(left, right->left);
    return right;
}

/* The key must be there. */
static node_t *cut(node_t *node, slice_t key, uint64_t head)
{
    node = own(node);
    int order = compare(key, head, node);
    if (order < 0) {
        node->left = cut(node->left, key, head);
    } else if (order > 0) {
        node->right = cut(node->right, key, head);
    } else {
        node_t *rest = join(node->left, node->right);
        node->left = node->right = NULL;
        node_drop(node);
        return rest;
    }
    return node;
}

entry_t *mem_tree_find(const node_t *node, slice_t key)
{
    uint64_t head = head_of(key);
    while (node) {
        int order = compare(key, head, node);
        if (order == 0) return node->entry;
        node = order < 0 ? node->left : node->right;
    }
    return NULL;
}

/* The nearest entry at `from` or beyond it; `strict`: beyond it only. An empty `from`: the end of
 * the table that the walk begins at. */
static entry_t *near(const node_t *node, slice_t from, bool down, bool strict)
{
    entry_t *best = NULL;
    uint64_t head = head_of(from);
    while (node) {
        int order = from.len ? -compare(from, head, node) : down ? -1 : 1;
        if (down) order = -order;
        if (order > 0 || (order == 0 && !strict)) {
            best = node->entry;
            node = down ? node->right : node->left;
        } else {
            node = down ? node->left : node->right;
        }
    }
    return best;
}

image_t mem_image_share(const image_t *image)
{
    image_t copy = *image;
    for (int i = 0; i < TABLE_COUNT; i++)
        share(copy.roots[i]);
    return copy;
}

static void image_drop(image_t *image)
{
    for (int i = 0; i < TABLE_COUNT; i++)
        node_drop(image->roots[i]);
    *image = (image_t){ 0 };
}

static uint64_t cost(const entry_t *entry)
{
    return entry->key_len + entry->value_len + ROW_OVERHEAD;
}

void mem_image_put(image_t *image, table_t table, entry_t *entry)
{
    const entry_t *old = mem_tree_find(image->roots[table], mem_entry_key(entry));
    if (old)
        image->bytes -= cost(old);
    else
        image->rows[table]++;
    image->bytes += cost(entry);
    slice_t key = mem_entry_key(entry);
    image->roots[table] = insert(image->roots[table], entry, head_of(key), priority_of(key));
}

/* ---- the operations -------------------------------------------------------------------------- */

static err_t mem_begin(store_t *base)
{
    memstore_t *self = memstore_of(base);
    CHECK(!self->open);
    if (self->dead) return ERR_STORE_IO;
    self->working = mem_image_share(&self->committed);
    self->may_add = base->freeing || self->committed.bytes < self->fault.map_bytes;
    self->open = true;
    return ERR_OK;
}

void mem_abort(store_t *base)
{
    memstore_t *self = memstore_of(base);
    if (self->open) image_drop(&self->working);
    self->open = false;
}

static err_t found(const entry_t *entry, slice_t *raw)
{
    if (!entry) return ERR_NOT_FOUND;
    *raw = mem_entry_value(entry);
    return ERR_OK;
}

static err_t mem_get(store_t *base, table_t table, slice_t key, slice_t *raw)
{
    memstore_t *self = memstore_of(base);
    CHECK(self->open && key.len > 0 && key.len <= 511);
    return found(mem_tree_find(self->working.roots[table], key), raw);
}

static err_t mem_put(store_t *base, table_t table, slice_t key, size_t len, unsigned flags,
                     uint8_t **room)
{
    memstore_t *self = memstore_of(base);
    CHECK(self->open && key.len > 0 && key.len <= 511);
    if (!self->may_add || (self->fault.on_put && self->fault.on_put(self->fault.arg, table)))
        return ERR_STORE_FULL;
    if ((flags & STORE_NEW) && mem_tree_find(self->working.roots[table], key)) return ERR_EXISTS;
    if (self->working.bytes + len + key.len > self->fault.map_bytes + self->fault.map_bytes / 16)
        return ERR_STORE_FULL;
    entry_t *entry = mem_entry_new(key, len);
    mem_image_put(&self->working, table, entry);
    *room = entry->bytes + entry->key_len;
    return ERR_OK;
}

static err_t mem_del(store_t *base, table_t table, slice_t key)
{
    memstore_t *self = memstore_of(base);
    CHECK(self->open && key.len > 0 && key.len <= 511);
    const entry_t *entry = mem_tree_find(self->working.roots[table], key);
    if (!entry) return ERR_NOT_FOUND;
    self->working.bytes -= cost(entry);
    self->working.rows[table]--;
    self->working.roots[table] = cut(self->working.roots[table], key, head_of(key));
    return ERR_OK;
}

static err_t mem_seek(store_t *base, table_t table, slice_t from, bool down, slice_t *key,
                      slice_t *raw)
{
    memstore_t *self = memstore_of(base);
    CHECK(self->open);
    const entry_t *entry = near(self->working.roots[table], from, down, false);
    if (entry) *key = mem_entry_key(entry);
    return found(entry, raw);
}

static err_t mem_commit(store_t *base)
{
    memstore_t *self = memstore_of(base);
    CHECK(self->open);
    self->commits++;
    memstore_commit_t how = self->fault.next_commit;
    self->fault.next_commit = MEMSTORE_COMMIT_OK;
    if (how == MEMSTORE_COMMIT_OK && self->fault.on_commit)
        how = self->fault.on_commit(self->fault.arg, self->commits);
    if (how == MEMSTORE_COMMIT_OK || how == MEMSTORE_COMMIT_APPLIED_UNKNOWN) {
        image_drop(&self->committed);
        self->committed = self->working;
        self->working = (image_t){ 0 };
        self->open = false;
    } else {
        mem_abort(base);
    }
    if (how == MEMSTORE_COMMIT_OK) return ERR_OK;
    self->dead = how != MEMSTORE_COMMIT_REFUSED;
    return self->dead ? ERR_STORE_IO : ERR_STORE_FULL;
}

static void mem_usage(store_t *base, store_usage_t *usage)
{
    memstore_t *self = memstore_of(base);
    uint64_t pages = (self->committed.bytes + PAGE - 1) / PAGE;
    *usage = (store_usage_t){ .map_bytes = self->fault.map_bytes,
                              .used_bytes = pages * PAGE,
                              .page_bytes = PAGE };
}

/* It has no pages to copy: what the transaction adds in bytes is all. */
static void mem_written(store_t *base, store_written_t *written)
{
    const memstore_t *self = memstore_of(base);
    uint64_t before = self->committed.bytes, now = self->working.bytes;
    written->grown = written->dirty = now > before ? (now - before + PAGE - 1) / PAGE : 0;
}

static err_t mem_view_open(store_t *base, store_view_t **out)
{
    memstore_t *self = memstore_of(base);
    mem_view_t *view = mem_new(sizeof *view);
    view->store = self;
    view->image = mem_image_share(&self->committed);
    self->views++;
    *out = &view->base;
    return ERR_OK;
}

static void mem_view_close(store_view_t **view_p)
{
    mem_view_t *view = (mem_view_t *)*view_p;
    view->store->views--;
    image_drop(&view->image);
    free(view);
    *view_p = NULL;
}

static err_t mem_view_get(store_view_t *view, table_t table, slice_t key, slice_t *raw)
{
    return found(mem_tree_find(((mem_view_t *)view)->image.roots[table], key), raw);
}

static err_t mem_scan_open(store_view_t *view, table_t table, slice_t from, bool down,
                           store_scan_t **out)
{
    mem_scan_t *scan = mem_new(sizeof *scan);
    scan->root = ((mem_view_t *)view)->image.roots[table];
    scan->down = down;
    scan->from = mem_copy(from.at, from.len);
    scan->from_len = from.len;
    *out = &scan->base;
    return ERR_OK;
}

static err_t mem_scan_next(store_scan_t *base, slice_t *key, slice_t *raw)
{
    mem_scan_t *scan = (mem_scan_t *)base;
    if (scan->ended) return ERR_NOT_FOUND;
    slice_t from = slice(scan->from, scan->from_len);
    const entry_t *entry = near(scan->root, from, scan->down, scan->strict);
    scan->ended = !entry;
    if (!entry) return ERR_NOT_FOUND;
    *key = mem_entry_key(entry);
    scan->strict = true;
    scan->from = mem_grow(scan->from, key->len);
    scan->from_len = key->len;
    be_put_bytes(scan->from, key->at, key->len);
    return found(entry, raw);
}

static void mem_scan_close(store_scan_t **scan_p)
{
    mem_scan_t *scan = (mem_scan_t *)*scan_p;
    free(scan->from);
    free(scan);
    *scan_p = NULL;
}

static void mem_close(store_t **self_p)
{
    memstore_t *self = memstore_of(*self_p);
    CHECK(self->views == 0);
    mem_abort(*self_p);
    image_drop(&self->committed);
    free(self);
    *self_p = NULL;
}

static const store_ops_t mem_ops = {
    .begin = mem_begin,
    .get = mem_get,
    .put = mem_put,
    .del = mem_del,
    .commit = mem_commit,
    .abort = mem_abort,
    .usage = mem_usage,
    .written = mem_written,
    .seek = mem_seek,
    .view_open = mem_view_open,
    .view_close = mem_view_close,
    .view_get = mem_view_get,
    .scan_open = mem_scan_open,
    .scan_next = mem_scan_next,
    .scan_close = mem_scan_close,
    .close = mem_close,
};

store_t *memstore_new(void)
{
    memstore_t *self = mem_new(sizeof *self);
    self->base.ops = &mem_ops;
    self->fault.map_bytes = UINT64_C(64) << 30;
    return &self->base;
}
