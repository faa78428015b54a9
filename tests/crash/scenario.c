/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/crash/scenario.h"

enum { CHANGES = 10, KEYS = 64, VALUE_MAX = 6000 };

typedef struct summary {
    uint64_t number, digest, rows;
} summary_t;

static slice_t summary_key(void)
{
    return slice("b", 1);
}

static uint64_t draw(uint64_t *random)
{
    *random += UINT64_C(0x9E3779B97F4A7C15);
    uint64_t mixed = (*random ^ *random >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94D049BB133111EB);
    return mixed ^ mixed >> 31;
}

static uint64_t row_hash(table_t table, slice_t key, slice_t value)
{
    uint64_t parts[4] = { (uint64_t)table, hash64(key.at, key.len), hash64(value.at, value.len),
                          value.len };
    return hash64(parts, sizeof parts);
}

static err_t summary_read(slice_t value, summary_t *summary)
{
    reader_t in = reader(value);
    summary->number = reader_u64(&in);
    summary->digest = reader_u64(&in);
    summary->rows = reader_u64(&in);
    return in.bad ? ERR_CORRUPT : ERR_OK;
}

static err_t forget(store_t *store, table_t table, slice_t key, summary_t *summary)
{
    slice_t old;
    err_t err = store_get(store, table, key, &old);
    if (err) return err == ERR_NOT_FOUND ? ERR_OK : err;
    summary->digest ^= row_hash(table, key, old);
    summary->rows--;
    return store_del(store, table, key);
}

static err_t change(store_t *store, uint64_t *random, uint64_t serial, summary_t *summary)
{
    static const table_t tables[] = { TABLE_spec, TABLE_state, TABLE_timer, TABLE_run };
    table_t table = tables[draw(random) % ARRAY_LEN(tables)];
    uint8_t key_bytes[8], bytes[VALUE_MAX];
    be_put_u64(key_bytes, table == TABLE_spec ? serial : draw(random) % KEYS);
    slice_t key = slice(key_bytes, sizeof key_bytes);
    err_t err = forget(store, table, key, summary);
    if (err || (table != TABLE_spec && draw(random) % 3 == 0)) return err;
    if (table == TABLE_spec && serial > 200 * CHANGES) { /* the store keeps its size in long runs */
        be_put_u64(key_bytes, serial - 200 * CHANGES);
        err = forget(store, table, key, summary);
        be_put_u64(key_bytes, serial);
        if (err) return err;
    }
    size_t len = draw(random) % 24 == 0 ? draw(random) % VALUE_MAX : draw(random) % 400;
    if (!table_checked(table)) len = 0;
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)(serial + i * 7);
    summary->digest ^= row_hash(table, key, slice(bytes, len));
    summary->rows++;
    return store_put(store, table, key, slice(bytes, len), 0);
}

err_t scenario_write(store_t *store, uint64_t seed, uint64_t number)
{
    err_t err = store_begin(store);
    if (err) return err;
    summary_t summary = { 0 };
    slice_t value;
    err = store_get(store, TABLE_meta, summary_key(), &value);
    if (!err)
        err = summary_read(value, &summary);
    else if (err == ERR_NOT_FOUND)
        err = ERR_OK;
    CHECK(err || summary.number == number - 1);
    uint64_t random = seed ^ number * UINT64_C(0xD1B54A32D192ED03);
    unsigned changes = number % 16 == 0 ? 8 * CHANGES : CHANGES; /* now and then a large one */
    for (unsigned i = 0; i < changes && !err; i++)
        err = change(store, &random, number * 8 * CHANGES + i, &summary);
    uint8_t bytes[24];
    be_put_u64(be_put_u64(be_put_u64(bytes, number), summary.digest), summary.rows);
    if (!err) err = store_put(store, TABLE_meta, summary_key(), slice(bytes, sizeof bytes), 0);
    return err;
}

static const char *sum_rows(store_view_t *view, summary_t *sum)
{
    for (int table = 0; table < TABLE_COUNT; table++) {
        if (!table_name((table_t)table) || table == TABLE_meta) continue;
        store_scan_t *scan;
        slice_t key, value;
        if (store_scan_open(view, (table_t)table, slice(NULL, 0), false, &scan) != ERR_OK)
            return "a table cannot be read";
        err_t err;
        while ((err = store_scan_next(scan, &key, &value)) == ERR_OK) {
            sum->digest ^= row_hash((table_t)table, key, value);
            sum->rows++;
        }
        store_scan_close(&scan);
        if (err != ERR_NOT_FOUND) return "a row is damaged";
    }
    return NULL;
}

void scenario_check(store_t *store, uint64_t *number, uint64_t *digest, const char **why)
{
    summary_t said = { 0 }, found = { 0 };
    store_view_t *view;
    slice_t value;
    *number = *digest = 0;
    *why = "no snapshot";
    if (store_view_open(store, &view) != ERR_OK) return;
    err_t err = store_view_get(view, TABLE_meta, summary_key(), &value);
    if (!err) err = summary_read(value, &said);
    *why = err && err != ERR_NOT_FOUND ? "the summary is damaged" : sum_rows(view, &found);
    if (!*why && (found.digest != said.digest || found.rows != said.rows))
        *why = "the rows are not those of the summary";
    *number = said.number;
    *digest = said.digest;
    store_view_close(&view);
}
