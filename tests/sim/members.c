/* SPDX-License-Identifier: Apache-2.0
 * Who belongs to a fan-out, the slow way: from what each executor said in its last Hello, whether
 * it is here, when it was last seen, and whether it was retired.
 *
 * A batch changes that as its commands go by, and rows do not tell at which of them a fan-out was
 * made. So it is worked out after each command, and one of these moments must be it. */
#include "tests/sim/judge.h"

#include <stdio.h>
#include <stdlib.h>

#include "client/base/base.h"

enum { MOST = 16 }; /* executors of a seed */

typedef struct member {
    Pawl__V1__Hello *hello; /* the last one that was taken; owned */
    conn_t conn;            /* 0: not here */
    bool enrolled;          /* there is a row */
    int64_t seen_us;        /* as the row says */
} member_t;

/* What one moment of the batch adds to the last Hello and the row. */
typedef struct when {
    struct {
        const Pawl__V1__Hello *hello;
        bool here, enrolled;
    } of[MOST];
} when_t;

struct members {
    member_t of[MOST]; /* by number */
    when_t *moments;   /* of this batch */
    size_t moments_n;
    Pawl__V1__Hello **old; /* replaced in this batch, still named by its moments */
    size_t old_n;
    uint32_t came[64]; /* said Hello in this batch */
    size_t came_n;
    bool retired[MOST]; /* its row went in this batch */
    int64_t opened_us;
};

static struct members *members_of(sim_t *sim)
{
    if (sim->judge->members == NULL) sim->judge->members = mem_new(sizeof(struct members));
    return sim->judge->members;
}

static void forget_moments(struct members *self)
{
    for (size_t i = 0; i < self->old_n; i++)
        pawl__v1__hello__free_unpacked(self->old[i], NULL);
    free(self->old);
    free(self->moments);
    self->old = NULL;
    self->moments = NULL;
    self->old_n = self->moments_n = self->came_n = 0;
    memset(self->retired, 0, sizeof self->retired);
}

void members_free(judge_t *judge)
{
    struct members *self = judge->members;
    if (self == NULL) return;
    forget_moments(self);
    for (size_t i = 0; i < MOST; i++)
        if (self->of[i].hello) pawl__v1__hello__free_unpacked(self->of[i].hello, NULL);
    free(self);
    judge->members = NULL;
}

/* ---- rows ------------------------------------------------------------------------------------ */

void members_row(sim_t *sim, slice_t key, slice_t value, bool gone)
{
    struct members *self = members_of(sim);
    enrolled_row_t row;
    uint32_t no = key.len == 4 ? be_u32(key.at) : MOST;
    if (no >= MOST || (!gone && !enrolled_row_decode(&row, value))) {
        sim_fail(sim, "a row of who is enrolled cannot be read");
        return;
    }
    self->of[no].enrolled = !gone;
    self->retired[no] |= gone;
    if (!gone) self->of[no].seen_us = row.seen_us;
}

/* ---- the commands of a batch ----------------------------------------------------------------- */

static uint32_t number_of(const judge_t *judge, const char *name)
{
    for (size_t no = 1; no < judge->executors_n && no < MOST; no++)
        if (judge->executors[no] && strcmp(judge->executors[no], name) == 0) return (uint32_t)no;
    return 0;
}

static bool was_welcomed(const outputs_t *out, conn_t conn)
{
    for (size_t i = 0; i < out->n; i++)
        if (out->items[i].kind == OUT_WELCOME && out->items[i].conn == conn) return true;
    return false;
}

static void add_moment(struct members *self, const bool *enrolled)
{
    self->moments = mem_grow(self->moments, (self->moments_n + 1) * sizeof *self->moments);
    when_t *when = &self->moments[self->moments_n++];
    for (size_t no = 0; no < MOST; no++) {
        when->of[no].hello = self->of[no].hello;
        when->of[no].here = self->of[no].conn != 0;
        when->of[no].enrolled = enrolled[no];
    }
}

static void take_hello(struct members *self, uint32_t no, conn_t conn, const Pawl__V1__Hello *hello)
{
    member_t *member = &self->of[no];
    size_t len = pawl__v1__hello__get_packed_size(hello);
    uint8_t *bytes = mem_new(len);
    pawl__v1__hello__pack(hello, bytes);
    if (member->hello) {
        self->old = mem_grow(self->old, (self->old_n + 1) * sizeof *self->old);
        self->old[self->old_n++] = member->hello;
    }
    member->hello = pawl__v1__hello__unpack(NULL, len, bytes);
    CHECK(member->hello != NULL);
    free(bytes);
    member->conn = conn;
    if (self->came_n < ARRAY_LEN(self->came)) self->came[self->came_n++] = no;
}

static void leave(struct members *self, conn_t conn)
{
    for (size_t no = 0; no < MOST; no++)
        if (self->of[no].conn == conn) self->of[no].conn = 0;
}

/* The rows of the batch have been read: names and numbers are known, and who has a row at its end.
 */
void members_batch(sim_t *sim, const batch_t *batch, const outputs_t *out)
{
    struct members *self = members_of(sim);
    bool enrolled[MOST];
    if (batch == NULL) { /* a start: nobody is here yet */
        for (size_t no = 0; no < MOST; no++)
            self->of[no].conn = 0;
        self->opened_us = sim->judge->broker_us;
        return;
    }
    for (size_t no = 0; no < MOST; no++)
        enrolled[no] = self->of[no].enrolled || self->retired[no]; /* as it began */
    add_moment(self, enrolled);
    for (size_t i = 0; i < batch->n; i++) {
        const command_t *command = &batch->commands[i];
        const Pawl__V1__Request *request = command->kind == CMD_REQUEST ? command->request : NULL;
        Pawl__V1__Request__BodyCase body = request ? request->body_case : 0;
        uint32_t no = 0;
        if (command->kind == CMD_GONE || command->kind == CMD_LOST ||
            body == PAWL__V1__REQUEST__BODY_BYE)
            leave(self, command->conn);
        if (body == PAWL__V1__REQUEST__BODY_HELLO &&
            request->hello->role == PAWL__V1__ROLE__ROLE_EXECUTOR &&
            was_welcomed(out, command->conn) &&
            (no = number_of(sim->judge, request->hello->name)) != 0) {
            take_hello(self, no, command->conn, request->hello);
            enrolled[no] = true;
        }
        if (body == PAWL__V1__REQUEST__BODY_EXECUTOR_CHANGE &&
            request->executor_change->verb == PAWL__V1__EXECUTOR_VERB__EXECUTOR_RETIRE &&
            (no = number_of(sim->judge, request->executor_change->name)) != 0 &&
            self->retired[no] && self->of[no].conn == 0)
            enrolled[no] = false;
        add_moment(self, enrolled);
    }
}

/* ---- who fits -------------------------------------------------------------------------------- */

static bool has(char *const *texts, size_t n, const char *text)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(texts[i], text) == 0) return true;
    return false;
}

/* "python3>=3.11" of ("python3", "3.11.2"); versions of up to three numbers here. */
static bool meets(const char *wanted, const char *name, const char *version)
{
    char who[32] = "", how[4] = "";
    int want[3] = { 0 }, have[3] = { 0 }, order = 0;
    int read = sscanf(wanted, "%31[a-z0-9]%3[<>=]%d.%d.%d", who, how, &want[0], &want[1], &want[2]);
    if (strcmp(who, name) != 0) return false;
    if (read < 2) return true;
    if (sscanf(version, "%d.%d.%d", &have[0], &have[1], &have[2]) < 1) return false;
    for (size_t i = 0; i < 3 && order == 0; i++)
        order = (have[i] > want[i]) - (have[i] < want[i]);
    return (strchr(how, '=') && order == 0) || (strchr(how, '<') && order < 0) ||
           (strchr(how, '>') && order > 0);
}

static bool fits(const Pawl__V1__Hello *hello, const Pawl__V1__Task *body)
{
    const Pawl__V1__Fanout *fanout = body->fanout;
    const char *needs = body->command ? body->command->interpreter : "";
    bool good = *needs == '\0';
    if (hello == NULL || !has(hello->types, hello->n_types, body->type)) return false;
    if (hello->n_queues &&
        !has(hello->queues, hello->n_queues, body->queue[0] ? body->queue : "default"))
        return false;
    if (body->sql && !has(hello->sources, hello->n_sources, body->sql->source)) return false;
    for (size_t i = 0; i < hello->n_interpreters; i++)
        good |= meets(needs, hello->interpreters[i]->name, hello->interpreters[i]->version);
    for (size_t i = 0; i < fanout->n_labels; i++) {
        bool found = false;
        for (size_t k = 0; k < hello->n_labels; k++)
            found |= strcmp(hello->labels[k]->key, fanout->labels[i]->key) == 0 &&
                     strcmp(hello->labels[k]->value, fanout->labels[i]->value) == 0;
        good &= found;
    }
    return good;
}

/* ---- who was chosen -------------------------------------------------------------------------- */

typedef struct candidate {
    const char *name;
    uint32_t no;
    bool away;
    uint64_t weight;
} candidate_t;

/* Those that are here first; among equals the highest hash of the fan-out's id and the number. */
static bool is_before(const candidate_t *a, const candidate_t *b)
{
    if (a->away != b->away) return b->away;
    return a->weight != b->weight ? a->weight > b->weight : a->no < b->no;
}

/* The names that it has at this moment; returns how many. */
static size_t expected(sim_t *sim, const mtask_t *parent, const when_t *when,
                       const char *names[MOST])
{
    const struct members *self = sim->judge->members;
    const Pawl__V1__Fanout *fanout = parent->fanout;
    candidate_t all[MOST];
    size_t n = 0, named = 0;
    for (size_t i = 0; i < fanout->n_executors; i++)
        if (!has((char **)(uintptr_t)names, named, fanout->executors[i]))
            names[named++] = fanout->executors[i];
    if (fanout->n_executors) return named;
    for (uint32_t no = 1; no < MOST; no++) {
        const member_t *member = &self->of[no];
        bool here = when->of[no].here;
        if (!when->of[no].enrolled || !fits(when->of[no].hello, parent->body)) continue;
        if (!here && sim->judge->broker_us - member->seen_us > DEFAULT_ENROLLED_US) continue;
        uint8_t seed[20];
        be_put_u32(be_put_bytes(seed, parent->id, 16), no);
        uint64_t x = hash64(seed, sizeof seed); /* the mix of broker/core/inside.h */
        x = (x ^ x >> 33) * UINT64_C(0xff51afd7ed558ccd);
        x = (x ^ x >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
        all[n++] =
            (candidate_t){ sim->judge->executors[no], no,
                           !here && sim->judge->broker_us >= self->opened_us + sim->swarm.lease_us,
                           x ^ x >> 33 };
    }
    if (fanout->count && n < fanout->count) return 0;
    size_t most = fanout->count ? fanout->count : n;
    for (size_t i = 0; i < n; i++) {
        size_t better = 0;
        for (size_t k = 0; k < n; k++)
            better += is_before(&all[k], &all[i]);
        if (better < most) names[named++] = all[i].name;
    }
    return named;
}

static bool are_children(const judge_t *judge, const mtask_t *parent, const char *const *names,
                         size_t n)
{
    size_t found = 0;
    for (size_t i = 0; i < parent->children_n; i++)
        found += has((char **)(uintptr_t)names, n, judge->tasks[parent->children[i]].host);
    return found == n && found == parent->children_n;
}

static void add_name(char list[120], const char *name)
{
    size_t len = strlen(list);
    snprintf(list + len, 120 - len, " %s", name);
}

static void judge_members(sim_t *sim, const mtask_t *parent)
{
    const struct members *self = sim->judge->members;
    const char *names[MOST];
    size_t n = 0;
    for (size_t i = 0; i < self->moments_n; i++) {
        n = expected(sim, parent, &self->moments[i], names);
        if (!are_children(sim->judge, parent, names, n)) continue;
        if (!parent->fanout->n_executors) sim_met(n ? MET_CHOSEN : MET_NOBODY);
        if (parent->fanout->count && n) sim_met(MET_SO_MANY);
        return;
    }
    char has_now[120] = "", should[120] = "";
    for (size_t i = 0; i < parent->children_n; i++)
        add_name(has_now, sim->judge->tasks[parent->children[i]].host);
    for (size_t i = 0; i < n; i++)
        add_name(should, names[i]);
    sim_fail(sim, "fan-out %llu has these members:%s; at last it should have:%s",
             (unsigned long long)parent->n, has_now, should);
}

/* Who came in this batch has a child of each fan-out that may be joined and that it fits. */
static void judge_joins(sim_t *sim)
{
    judge_t *judge = sim->judge;
    const struct members *self = judge->members;
    bool roomy = sim->swarm.map_bytes == 0 && sim->swarm.put_full == 0;
    for (size_t i = 1; self->came_n && i < judge->tasks_n; i++) {
        const mtask_t *parent = &judge->tasks[i];
        if (!parent->there || !parent->fanout || !parent->fanout->late_join ||
            parent->born == judge->batches)
            continue;
        for (size_t k = 0; k < self->came_n; k++) {
            const char *name = judge->executors[self->came[k]];
            bool joined = false;
            for (size_t c = 0; c < parent->children_n; c++)
                joined |= strcmp(judge->tasks[parent->children[c]].host, name) == 0;
            bool waits = (parent->status == T(RUNNING) || parent->status == T(DELAYED)) &&
                         !parent->cancel_asked && !judge_has_ended(parent->state_status) &&
                         judge->broker_us < parent->join_until_us;
            if (waits && roomy && !joined && fits(self->of[self->came[k]].hello, parent->body))
                sim_fail(sim, "%s came, fits fan-out %llu, and has no child of it", name,
                         (unsigned long long)parent->n);
        }
    }
}

void members_judge(sim_t *sim)
{
    judge_t *judge = sim->judge;
    struct members *self = members_of(sim);
    for (size_t i = 0; i < judge->families_n && self->moments_n && !sim->failed; i++) {
        const mtask_t *parent = &judge->tasks[judge->families[i]];
        if (parent->there && parent->body && parent->born == judge->batches)
            judge_members(sim, parent);
    }
    if (!sim->failed) judge_joins(sim);
    forget_moments(self);
}
