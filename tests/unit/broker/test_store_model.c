/* SPDX-License-Identifier: Apache-2.0
 * Random operations on both stores, against rows in a plain array. */
#include "tests/unit/broker/store_world.h"

enum { MODEL_KEYS = 300, MODEL_TABLES = 4, MODEL_STEPS = 20000 };

static const table_t model_tables[MODEL_TABLES] = { TABLE_spec, TABLE_state, TABLE_timer,
                                                    TABLE_jrn };

/* Rows by table and key number; key numbers are the order. The seed and length give the value. */
typedef struct model {
    struct {
        bool there;
        uint32_t seed;
        size_t len;
    } rows[MODEL_TABLES][MODEL_KEYS];
} model_t;

static uint64_t draw(uint64_t *random)
{
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    return *random;
}

static slice_t model_key(unsigned number, uint8_t to[KV_KEY_MAX])
{
    size_t padding = number * 37 % 211;
    memset(be_put_u16(to, (uint16_t)number), 'k', padding);
    return slice(to, 2 + padding);
}

static slice_t model_value(uint32_t seed, size_t len, uint8_t to[6000])
{
    for (size_t i = 0; i < len; i++)
        to[i] = (uint8_t)(seed >> i % 4 * 8) ^ (uint8_t)i;
    return slice(to, len);
}

static void assert_model_row(const model_t *model, unsigned table, unsigned number, err_t err,
                             slice_t value)
{
    uint8_t expected[6000];
    assert_int_equal(err, model->rows[table][number].there ? ERR_OK : ERR_NOT_FOUND);
    if (!err)
        assert_true(slice_equal(value, model_value(model->rows[table][number].seed,
                                                   model->rows[table][number].len, expected)));
}

static void assert_model_scan(const model_t *model, store_view_t *view, unsigned table,
                              unsigned from, bool down)
{
    uint8_t bytes[KV_KEY_MAX];
    store_scan_t *scan;
    slice_t key, value;
    assert_int_equal(
        store_scan_open(view, model_tables[table], model_key(from, bytes), down, &scan), ERR_OK);
    for (unsigned i = from; i < MODEL_KEYS; i = down ? i - 1 : i + 1) {
        if (!model->rows[table][i].there) continue;
        assert_int_equal(store_scan_next(scan, &key, &value), ERR_OK);
        assert_true(slice_equal(key, model_key(i, bytes)));
        assert_model_row(model, table, i, ERR_OK, value);
    }
    assert_int_equal(store_scan_next(scan, &key, &value), ERR_NOT_FOUND);
    store_scan_close(&scan);
}

static void assert_model_seek(const model_t *model, store_t *store, unsigned table, unsigned from,
                              bool down)
{
    uint8_t bytes[KV_KEY_MAX];
    slice_t key, value;
    err_t err = store_seek(store, model_tables[table], model_key(from, bytes), down, &key, &value);
    unsigned i = from;
    while (i < MODEL_KEYS && !model->rows[table][i].there)
        i = down ? i - 1 : i + 1;
    if (i >= MODEL_KEYS) {
        assert_int_equal(err, ERR_NOT_FOUND);
        return;
    }
    assert_int_equal(err, ERR_OK);
    assert_true(slice_equal(key, model_key(i, bytes)));
    assert_model_row(model, table, i, ERR_OK, value);
}

static void model_write(model_t *model, store_t *store, uint64_t *random, unsigned table,
                        unsigned number)
{
    uint8_t bytes[KV_KEY_MAX], content[6000];
    slice_t key = model_key(number, bytes);
    bool there = model->rows[table][number].there;
    if (draw(random) % 3 == 0) {
        err_t err = store_del(store, model_tables[table], key);
        assert_int_equal(err, there ? ERR_OK : ERR_NOT_FOUND);
        model->rows[table][number].there = false;
        return;
    }
    uint32_t seed = (uint32_t)draw(random);
    size_t len = draw(random) % 16 == 0 ? draw(random) % 6000 : draw(random) % 400;
    if (!table_checked(model_tables[table])) len = 0;
    unsigned flags = draw(random) % 2 ? STORE_NEW : 0;
    slice_t value = model_value(seed, len, content);
    err_t err = store_put(store, model_tables[table], key, value, flags);
    assert_int_equal(err, flags && there ? ERR_EXISTS : ERR_OK);
    if (err) return;
    model->rows[table][number].there = true;
    model->rows[table][number].seed = seed;
    model->rows[table][number].len = len;
}

static void run_model(void **state, uint64_t seed)
{
    store_t *store = ((fixture_t *)*state)->store;
    model_t *committed = mem_new(sizeof *committed), *working = mem_new(sizeof *working);
    model_t *seen = mem_new(sizeof *seen); /* by `view` */
    store_view_t *view = NULL;
    uint64_t random = seed;
    assert_int_equal(store_begin(store), ERR_OK);
    for (unsigned step = 0; step < MODEL_STEPS; step++) {
        unsigned table = (unsigned)(draw(&random) % MODEL_TABLES);
        unsigned number = (unsigned)(draw(&random) % MODEL_KEYS);
        uint8_t bytes[KV_KEY_MAX];
        slice_t value = { 0 };
        switch (draw(&random) % 32) {
        case 0:
            if (draw(&random) % 3 == 0) {
                store_abort(store);
                *working = *committed;
            } else {
                commit(store);
                *committed = *working;
            }
            assert_int_equal(store_begin(store), ERR_OK);
            break;
        case 1:
            store_view_close(&view);
            assert_int_equal(store_view_open(store, &view), ERR_OK);
            *seen = *committed;
            break;
        case 2:
            if (view) assert_model_scan(seen, view, table, number, draw(&random) % 2);
            break;
        case 3: {
            err_t err =
                view ? store_view_get(view, model_tables[table], model_key(number, bytes), &value)
                     : ERR_NOT_FOUND;
            if (view) assert_model_row(seen, table, number, err, value);
            break;
        }
        case 4:
        case 5:
        case 6:
        case 7:
        case 8:
            assert_model_seek(working, store, table, number, draw(&random) % 2);
            break;
        case 9:
        case 10:
        case 11: {
            err_t err = store_get(store, model_tables[table], model_key(number, bytes), &value);
            assert_model_row(working, table, number, err, value);
            break;
        }
        default:
            model_write(working, store, &random, table, number);
        }
    }
    commit(store);
    store_view_close(&view);
    assert_int_equal(store_view_open(store, &view), ERR_OK);
    for (unsigned table = 0; table < MODEL_TABLES; table++) {
        assert_model_scan(working, view, table, 0, false);
        assert_model_scan(working, view, table, MODEL_KEYS - 1, true);
    }
    store_view_close(&view);
    free(committed);
    free(working);
    free(seen);
}

static void random_operations_agree_with_a_plain_array(void **state)
{
    const char *chosen = getenv("PAWL_SEED");
    uint64_t seed = chosen ? strtoull(chosen, NULL, 0) : UINT64_C(0x9E3779B97F4A7C15);
    print_message("seed %#llx\n", (unsigned long long)seed);
    run_model(state, seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(random_operations_agree_with_a_plain_array),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
