/* SPDX-License-Identifier: Apache-2.0
 * What the store has room for: the estimates are never below what LMDB really takes, and a store
 * filled to any level by submits lets everything that runs end at once with the largest result,
 * makes strict cursors wait, and serves again once what ended is forgotten. On the real store, on
 * maps of 4 MiB and more. PAWL_SPACE_LEVELS: fill levels to try (50; a campaign takes 500). */
#include "tests/unit/broker/core_world.h"

#include <unistd.h>

#include "broker/core/space.h"
#include "broker/store/lmdb.h"
#include "schemas/limits.h"

#define MIB (UINT64_C(1) << 20)

typedef struct place {
    world_t w;
    char folder[64];
    uint64_t next_id;
    ulid_t running[64];
    uint64_t tokens[64];
    size_t running_n;
    uint64_t purge_from;
    size_t accepted;   /* of the last Submit */
    bool time_ordered; /* ids as producers draw them, not anywhere in `ids` */
} place_t;

/* Every commit is measured: what the store says that it wrote is never less than what it did. */
static const store_ops_t *real_ops;
static store_ops_t measured_ops;
static struct {
    store_written_t told;
    uint64_t dirty, grown;
} last_commit;

static err_t watched_begin(store_t *store)
{
    store->watch = true;
    return real_ops->begin(store);
}

static err_t measured_commit(store_t *store)
{
    uint64_t before, live, freed;
    kv_pages(lmdb_store_kv(store), &before, &freed);
    store_written(store, &last_commit.told);
    err_t err = real_ops->commit(store);
    if (err != ERR_OK) return err;
    kv_pages(lmdb_store_kv(store), &live, &freed);
    last_commit.dirty = live + freed - before;
    last_commit.grown = live > before ? live - before : 0;
    if (last_commit.dirty > last_commit.told.dirty || last_commit.grown > last_commit.told.grown)
        print_message(
            "dirty %llu told %llu, grown %llu told %llu\n", (unsigned long long)last_commit.dirty,
            (unsigned long long)last_commit.told.dirty, (unsigned long long)last_commit.grown,
            (unsigned long long)last_commit.told.grown);
    assert_true(last_commit.dirty <= last_commit.told.dirty);
    assert_true(last_commit.grown <= last_commit.told.grown);
    return err;
}

static void measure_commits(store_t *store)
{
    real_ops = store->ops;
    measured_ops = *real_ops;
    measured_ops.begin = watched_begin;
    measured_ops.commit = measured_commit;
    store->ops = &measured_ops;
}

static void open_place(place_t *self, uint64_t map_bytes)
{
    memset(self, 0, sizeof *self);
    snprintf(self->folder, sizeof self->folder, "%s/pawl-space-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(self->folder));
    int64_t holder;
    char path[80];
    snprintf(path, sizeof path, "%s/store", self->folder);
    assert_int_equal(store_open(&self->w.store, path, map_bytes, 0, &holder), ERR_OK);
    measure_commits(self->w.store);
    self->w.wall_us = EPOCH_US;
    self->w.steady_us = 5000000;
    wire_arena_init(&self->w.arena);
    open_core(&self->w);
}

static void close_place(place_t *self)
{
    static const char *const files[] = { "data.mdb", "lock.mdb", "lock.pawl" };
    char difference[300], path[120];
    assert_int_equal(core_verify(self->w.core, difference, sizeof difference), ERR_OK);
    assert_string_equal(difference, "");
    core_close(&self->w.core);
    store_close(&self->w.store);
    outputs_free(&self->w.out);
    wire_arena_free(&self->w.arena);
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        snprintf(path, sizeof path, "%s/store/%s", self->folder, files[i]);
        unlink(path);
    }
    snprintf(path, sizeof path, "%s/store", self->folder);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(rmdir(self->folder), 0);
}

static ulid_t next_id(place_t *self)
{
    uint8_t random[10];
    be_put_u64(random + 2, ++self->next_id * UINT64_C(0x9E3779B97F4A7C15)); /* anywhere in `ids` */
    random[0] = random[1] = 0;
    if (self->time_ordered) return ulid_make(EPOCH_US + (int64_t)self->next_id * 1000, random);
    return ulid_make(EPOCH_US - (int64_t)(self->next_id * 7919 % 1000000) * 1000000, random);
}

/* Submits `n` tasks of `size` bytes of input in one request; its error or ERR_OK. */
static err_t submit_many(place_t *self, size_t n, size_t size)
{
    Pawl__V1__Request r = PAWL__V1__REQUEST__INIT;
    Pawl__V1__Submit s = PAWL__V1__SUBMIT__INIT;
    ProtobufCBinaryData *tasks = mem_new(n * sizeof *tasks);
    uint8_t *input = mem_new(size + 2);
    memset(input, 'x', size + 2);
    input[0] = input[size + 1] = '"';
    for (size_t i = 0; i < n; i++) {
        Pawl__V1__Task task = PAWL__V1__TASK__INIT;
        ulid_t id = next_id(self);
        task.id.data = id.at;
        task.id.len = 16;
        task.type = (char *)(uintptr_t) "mail/send";
        task.input.data = input;
        task.input.len = size + 2;
        tasks[i].len = pawl__v1__task__get_packed_size(&task);
        tasks[i].data = mem_new(tasks[i].len);
        pawl__v1__task__pack(&task, tasks[i].data);
    }
    s.tasks = tasks;
    s.n_tasks = n;
    r.body_case = PAWL__V1__REQUEST__BODY_SUBMIT;
    r.submit = &s;
    const Pawl__V1__Reply *reply = request(&self->w, 1, &r);
    assert_non_null(reply);
    err_t err = reply->error ? (err_t)reply->error->code : ERR_OK;
    size_t refused = err == ERR_OK ? reply->submitted->n_items : 0;
    for (size_t i = 0; i < refused; i++) { /* what fits of a request is taken */
        const Pawl__V1__Error *error = reply->submitted->items[i]->error;
        assert_int_equal(error->code, ERR_STORE_FULL);
        assert_true(error->retry_after_us > 0);
    }
    if (err == ERR_OK) assert_int_equal(reply->submitted->accepted + refused, n);
    if (err == ERR_OK && n > 1) assert_true(reply->submitted->accepted > 0);
    self->accepted = err == ERR_OK ? reply->submitted->accepted : 0;
    if (reply->error && err == ERR_STORE_FULL) assert_true(reply->error->retry_after_us > 0);
    for (size_t i = 0; i < n; i++)
        free(tasks[i].data);
    free(tasks);
    free(input);
    return refused ? ERR_STORE_FULL : err;
}

static void take_leases(place_t *self)
{
    const Pawl__V1__Lease *leases[64];
    size_t n = leases_of(&self->w, 7, leases, 64);
    for (size_t i = 0; i < n; i++) {
        memcpy(self->running[self->running_n].at, leases[i]->id.data, 16);
        self->tokens[self->running_n++] = leases[i]->token;
    }
}

/* Ends the first `n` of what runs with `size` bytes each; what a request cannot carry goes in more.
 * Every one must be taken. */
static void end_some(place_t *self, size_t n, size_t size, uint32_t credit)
{
    uint8_t *output = mem_new(size + 1);
    memset(output, 'y', size);
    size_t most = size ? (size_t)(7 << 20) / size : 64;
    while (n > 0) {
        size_t now = n < most ? n : most;
        Pawl__V1__Request r = PAWL__V1__REQUEST__INIT;
        Pawl__V1__Report rep = PAWL__V1__REPORT__INIT;
        Pawl__V1__Result results[64], *list[64];
        for (size_t i = 0; i < now; i++) {
            pawl__v1__result__init(&results[i]);
            results[i].id.data = self->running[i].at;
            results[i].id.len = 16;
            results[i].token = self->tokens[i];
            results[i].outcome = DONE;
            results[i].output.data = output;
            results[i].output.len = size;
            list[i] = &results[i];
        }
        rep.results = list;
        rep.n_results = now;
        rep.credit_set_case = PAWL__V1__REPORT__CREDIT_SET_CREDIT;
        rep.credit = credit;
        r.body_case = PAWL__V1__REQUEST__BODY_REPORT;
        r.report = &rep;
        const Pawl__V1__Reply *reply = request(&self->w, 7, &r);
        assert_non_null(reply);
        if (reply->error) print_message("%s\n", reply->error->text);
        assert_null(reply->error);
        for (size_t i = 0; i < now; i++)
            assert_int_equal(reply->reported->verdicts[i], VERDICT(DONE));
        self->running_n -= now;
        memmove(self->running, self->running + now, self->running_n * sizeof *self->running);
        memmove(self->tokens, self->tokens + now, self->running_n * sizeof *self->tokens);
        take_leases(self);
        n -= now;
    }
    free(output);
}

static void set_credit(place_t *self, uint32_t credit)
{
    end_some(self, 0, 0, credit);
    Pawl__V1__Request r = PAWL__V1__REQUEST__INIT;
    Pawl__V1__Report rep = PAWL__V1__REPORT__INIT;
    rep.credit_set_case = PAWL__V1__REPORT__CREDIT_SET_CREDIT;
    rep.credit = credit;
    r.body_case = PAWL__V1__REQUEST__BODY_REPORT;
    r.report = &rep;
    assert_null(request(&self->w, 7, &r)->error);
    take_leases(self);
}

static uint64_t used_percent(place_t *self)
{
    store_usage_t usage;
    store_usage(self->w.store, &usage);
    return usage.used_bytes * 100 / usage.map_bytes;
}

/* Some 4,000 of them, the next ones with the next call. */
static void purge_some(place_t *self)
{
    uint64_t ns[4096];
    core_stats_t stats;
    core_stats(self->w.core, &stats);
    free(stats.queues);
    if (self->purge_from > stats.submitted) self->purge_from = 0;
    for (size_t i = 0; i < ARRAY_LEN(ns); i++)
        ns[i] = ++self->purge_from;
    command_t command = { .kind = CMD_PURGE, .ns = ns, .n = ARRAY_LEN(ns) };
    assert_int_equal(step(&self->w, &command, 1), ERR_OK);
    take_leases(self);
}

static void tell_where(place_t *self, uint64_t map, uint32_t slots, uint64_t percent, size_t size)
{
    core_stats_t stats;
    core_stats(self->w.core, &stats);
    free(stats.queues);
    print_message("map %llu slots %u percent %llu size %zu: used %llu %%, level %s, %llu leases "
                  "left, %llu wait, %llu run, %zu leased here\n",
                  (unsigned long long)map, slots, (unsigned long long)percent, size,
                  (unsigned long long)used_percent(self), stats.level,
                  (unsigned long long)stats.leases_left,
                  (unsigned long long)COUNT(&self->w, WAITING),
                  (unsigned long long)COUNT(&self->w, RUNNING), self->running_n);
}

/* A strict schedule that is due each second; `uid` keeps its own over requests. */
static Pawl__V1__ScheduleInfo each_second(place_t *self, uint32_t ahead, uint8_t uid[16])
{
    plan_spec_t spec = { .rule = (char *)(uintptr_t) "@every 1s from 2026-01-01T00:00:00Z",
                         .mode = PAWL__V1__MODE__MODE_STRICT,
                         .ahead = ahead };
    Pawl__V1__ScheduleInfo info = *put_schedule(&self->w, spec);
    memcpy(uid, info.uid.data, 16);
    info.uid.data = uid;
    return info;
}

/* One level: `slots` tasks run, submits fill up to `percent` or until they are refused. */
static void one_level(uint64_t map, uint32_t slots, uint64_t percent, size_t size, size_t together)
{
    place_t place;
    open_place(&place, map);
    place_t *self = &place;
    uint8_t uid[16];
    Pawl__V1__ScheduleInfo info = each_second(self, 5, uid);
    int64_t cursor = info.cursor_us;
    assert_null(hello(&self->w, 7, (char *)(uintptr_t) "one", 1, slots)->error);
    for (uint32_t i = 0; i < slots; i++) {
        if (submit_many(self, 1, 100) != ERR_OK) break; /* what runs keeps all the room */
        take_leases(self);
    }
    assert_true(self->running_n > 0); /* however small the map: one at least */
    set_credit(self, 0);
    err_t refused = ERR_OK;
    while (used_percent(self) < percent && refused == ERR_OK)
        refused = submit_many(self, together, size);
    if (refused) assert_int_equal(refused, ERR_STORE_FULL);
    pass(&self->w, 3000000);
    const Pawl__V1__ProposalAnswer *answer = propose(&self->w, &info, cursor);
    if (refused && answer->fired == 0) { /* the cursor waits */
        assert_int_equal(answer->verdict, PAWL__V1__PROPOSAL_VERDICT__PROPOSAL_HELD);
        assert_int_equal(answer->cursor_us, cursor);
        assert_true(answer->retry_us > self->w.wall_us);
    }
    assert_int_equal(answer->skipped, 0);
    cursor = answer->cursor_us;
    end_some(self, self->running_n, LIMIT_OUTPUT, 0); /* at once, whatever is there */
    /* the line is worked off, and what ended gives way */
    set_credit(self, 64);
    uint64_t most = 5000 + 4 * COUNT(&self->w, WAITING); /* one in a few rounds is enough */
    for (uint64_t rounds = 0; COUNT(&self->w, WAITING) + COUNT(&self->w, RUNNING) > 0; rounds++) {
        if (rounds == most) tell_where(self, map, slots, percent, size);
        assert_true(rounds < most);
        end_some(self, self->running_n, rounds % 3 == 0 ? LIMIT_OUTPUT : 10, 64);
        purge_some(self);
        pass(&self->w, 1000000);
        tick(&self->w);
        take_leases(self);
    }
    purge_some(self);
    pass(&self->w, 2000000);
    tick(&self->w);
    /* service is back: pages that a commit has freed can be used by the one after the next, and
     * what the free list holds is counted once a second of the real clock */
    for (unsigned rounds = 0; submit_many(self, 1, 100) != ERR_OK; rounds++) {
        assert_true(rounds < 1000);
        usleep(20000);
        pass(&self->w, 1000000);
        tick(&self->w);
    }
    answer = propose(&self->w, &info, cursor);
    assert_true(answer->fired > 0);
    close_place(self);
}

static void what_runs_ends_at_once_at_every_fill_level(void **state)
{
    (void)state;
    const char *wanted = getenv("PAWL_SPACE_LEVELS");
    unsigned levels = wanted ? (unsigned)atoi(wanted) : 50;
    static const size_t sizes[] = { 3000, 100, 1500, 12000, 60000 };
    static const size_t together[] = { 1, 8, 3 };
    for (unsigned i = 0; i < levels; i++) {
        uint64_t map = i % 10 == 9 ? 32 * MIB : i % 5 == 4 ? 8 * MIB : 4 * MIB;
        one_level(map, 1 + i % 24, 10 + i * 90 / levels, sizes[i % 5], together[i % 3]);
    }
}

/* ---- the estimates ----------------------------------------------------------------------------
 */

/* Pages that the batch between the two calls wrote. */
static uint64_t live_before;
static void begin_measure(place_t *self)
{
    uint64_t freed;
    kv_pages(lmdb_store_kv(self->w.store), &live_before, &freed);
}

static void measured(place_t *self, const char *what, space_op_t op, uint64_t times, uint64_t bytes)
{
    uint64_t live, freed;
    kv_pages(lmdb_store_kv(self->w.store), &live, &freed);
    uint64_t grown = live > live_before ? live - live_before : 0;
    uint64_t dirty = live + freed - live_before;
    space_cost_t cost = space_cost(SPACE_BATCH, 0, 4096);
    space_add(&cost, op, times, bytes, 4096);
    if (getenv("PAWL_SPACE_TELL"))
        print_message("%-20s x %5llu: wrote %5llu of %6llu, grew by %5llu of %6llu\n", what,
                      (unsigned long long)times, (unsigned long long)dirty,
                      (unsigned long long)cost.dirty, (unsigned long long)grown,
                      (unsigned long long)cost.grown);
    assert_true(dirty <= cost.dirty);
    assert_true(grown <= cost.grown);
}

static void an_estimate_is_never_below_what_the_store_really_takes(void **state)
{
    (void)state;
    place_t place, *self = &place;
    open_place(&place, 256 * MIB);
    uint8_t uid[16];
    Pawl__V1__ScheduleInfo info = each_second(self, 100000, uid);
    int64_t cursor = info.cursor_us;
    assert_null(hello(&self->w, 7, (char *)(uintptr_t) "one", 1, 64)->error);
    set_credit(self, 0);
    static const size_t counts[] = { 1, 2, 7, 64, 500, 3000 };
    static const size_t sizes[] = { 10, 400, 1500, 4000, 100000 };
    for (unsigned round = 0; round < 3; round++) /* in an empty tree, and in ever larger ones */
        for (size_t i = 0; i < ARRAY_LEN(counts); i++)
            for (size_t k = 0; k < ARRAY_LEN(sizes); k++) {
                if (counts[i] * sizes[k] > 3 << 20) continue;
                begin_measure(self);
                assert_int_equal(submit_many(self, counts[i], sizes[k]), ERR_OK);
                measured(self, "submit", SPACE_SUBMIT, counts[i], sizes[k] + 60);
            }
    for (unsigned i = 0; i < 20; i++) {
        pass(&self->w, 1000000 * (1 + i * 3));
        begin_measure(self);
        const Pawl__V1__ProposalAnswer *answer = propose(&self->w, &info, cursor);
        cursor = answer->cursor_us;
        if (answer->fired) measured(self, "fire", SPACE_FIRE, answer->fired, 100);
    }
    for (uint32_t i = 1; i <= 64; i += 9) {
        begin_measure(self);
        set_credit(self, i);
        measured(self, "lease", SPACE_LEASE, self->running_n, 0);
        size_t n = self->running_n;
        begin_measure(self);
        end_some(self, n < 7 ? n : 7, i % 2 ? LIMIT_OUTPUT : 300, 0);
        measured(self, "end", SPACE_END, n < 7 ? n : 7, i % 2 ? LIMIT_OUTPUT : 300);
        end_some(self, self->running_n, 5, 0);
    }
    close_place(&place);
}

static void ratio_of(place_t *self, const char *what, size_t n, uint64_t most)
{
    assert_int_equal(submit_many(self, n, 400), ERR_OK);
    print_message("%s, %zu tasks: wrote %llu, counted %llu\n", what, n,
                  (unsigned long long)last_commit.dirty,
                  (unsigned long long)last_commit.told.dirty);
    assert_true(last_commit.told.dirty <= most * last_commit.dirty);
}

static void what_is_counted_is_at_most_four_times_what_is_written(void **state)
{
    (void)state;
    const char *wanted = getenv("PAWL_SPACE_TASKS");
    size_t many = wanted ? (size_t)atol(wanted) : 100000;
    for (unsigned ordered = 0; ordered < 2; ordered++) {
        place_t place, *self = &place;
        open_place(&place, 2048 * MIB);
        assert_null(hello(&self->w, 7, (char *)(uintptr_t) "one", 1, 1)->error);
        set_credit(self, 0);
        self->time_ordered = ordered;
        ratio_of(self, ordered ? "empty store, ids by time" : "empty store, ids anywhere", 64, 4);
        ratio_of(self, ordered ? "empty store, ids by time" : "empty store, ids anywhere", 10000,
                 4);
        for (size_t n = 0; n < many; n += 10000)
            assert_int_equal(submit_many(self, 10000, 400), ERR_OK);
        ratio_of(self, ordered ? "large store, ids by time" : "large store, ids anywhere", 64, 4);
        ratio_of(self, ordered ? "large store, ids by time" : "large store, ids anywhere", 10000,
                 4);
        close_place(&place);
    }
}

static void a_large_submit_fits_a_small_map_and_of_a_larger_one_is_taken_what_fits(void **state)
{
    (void)state;
    place_t place, *self = &place;
    open_place(&place, 64 * MIB);
    assert_null(hello(&self->w, 7, (char *)(uintptr_t) "one", 1, 1)->error);
    set_credit(self, 0);
    assert_int_equal(submit_many(self, 10000, 400), ERR_OK);
    assert_int_equal(submit_many(self, 10000, 700), ERR_OK);
    err_t err = ERR_OK;
    uint64_t waiting = 0;
    while (err == ERR_OK) {
        waiting = COUNT(&self->w, WAITING);
        err = submit_many(self, 10000, 700);
    }
    assert_int_equal(err, ERR_STORE_FULL);
    assert_int_equal(COUNT(&self->w, WAITING), waiting + self->accepted);
    print_message("64 MiB: %llu tasks, %zu of the last 10000, %llu %% used\n",
                  (unsigned long long)COUNT(&self->w, WAITING), self->accepted,
                  (unsigned long long)used_percent(self));
    assert_true(used_percent(self) > 70);
    close_place(&place);
}

/* ---- limits of the configuration --------------------------------------------------------------
 */

static void fewer_items_are_taken_and_told_where_the_configuration_says_so(void **state)
{
    (void)state;
    place_t place, *self = &place;
    open_place(&place, 256 * MIB);
    core_close(&self->w.core);
    core_config_t config;
    core_config_default(&config);
    config.items_max = 3;
    config.requests_in_flight = 11;
    config.items_in_flight = 12;
    config.bytes_in_flight = 13;
    uint8_t random[32] = { 7 };
    assert_int_equal(core_open(&self->w.core, self->w.store, &config, self->w.wall_us,
                               self->w.steady_us, random),
                     ERR_OK);
    const Pawl__V1__Reply *welcome = hello(&self->w, 7, (char *)(uintptr_t) "one", 1, 1);
    assert_int_equal(welcome->welcome->limits->items, 3);
    assert_int_equal(welcome->welcome->limits->requests_in_flight, 11);
    assert_int_equal(welcome->welcome->limits->items_in_flight, 12);
    assert_int_equal(welcome->welcome->limits->bytes_in_flight, 13);
    assert_int_equal(submit_many(self, 3, 10), ERR_OK);
    assert_int_equal(submit_many(self, 4, 10), ERR_TOO_MANY);
    close_place(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fewer_items_are_taken_and_told_where_the_configuration_says_so),
        cmocka_unit_test(an_estimate_is_never_below_what_the_store_really_takes),
        cmocka_unit_test(what_is_counted_is_at_most_four_times_what_is_written),
        cmocka_unit_test(a_large_submit_fits_a_small_map_and_of_a_larger_one_is_taken_what_fits),
        cmocka_unit_test(what_runs_ends_at_once_at_every_fill_level),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
