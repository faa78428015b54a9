/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/crew.h"

#include <stdio.h>
#include <stdlib.h>

#include "broker/core/inside.h"
#include "schemas/requirement.h"

/* ---- what is offered ------------------------------------------------------------------------- */

static int compare_no(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static int compare_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Of two "name NUL version". */
static int compare_pair(const void *a, const void *b)
{
    const char *x = *(char *const *)a, *y = *(char *const *)b;
    int order = strcmp(x, y);
    return order ? order : strcmp(x + strlen(x) + 1, y + strlen(y) + 1);
}

static err_t take_names(core_t *core, enum name_kind kind, char *const *texts, size_t n,
                        uint32_t **nos, size_t *nos_n)
{
    *nos = mem_new((n + 1) * sizeof **nos);
    for (size_t i = 0; i < n; i++) {
        named_t *name;
        TRY(name_make(core, kind, texts[i], &name));
        (*nos)[(*nos_n)++] = name->no;
    }
    qsort(*nos, n, sizeof **nos, compare_no);
    return ERR_OK;
}

static char *text_of(buf_t *made)
{
    return (char *)made->at; /* the text owns the memory now */
}

static void take_labels(crew_t *crew, const Pawl__V1__Hello *hello)
{
    crew->labels = mem_new((hello->n_labels + hello->n_sources + 1) * sizeof(char *));
    for (size_t i = 0; i < hello->n_labels; i++) {
        buf_t text = { 0 };
        buf_printf(&text, "%s=%s", hello->labels[i]->key, hello->labels[i]->value);
        crew->labels[crew->labels_n++] = text_of(&text);
    }
    for (size_t i = 0; i < hello->n_sources; i++) {
        buf_t text = { 0 };
        buf_printf(&text, SOURCE_LABEL, hello->sources[i]);
        crew->labels[crew->labels_n++] = text_of(&text);
    }
    qsort(crew->labels, crew->labels_n, sizeof(char *), compare_text);
}

static void take_interpreters(crew_t *crew, const Pawl__V1__Hello *hello)
{
    crew->interpreters = mem_new((hello->n_interpreters + 1) * sizeof(char *));
    for (size_t i = 0; i < hello->n_interpreters; i++) {
        const Pawl__V1__Interpreter *one = hello->interpreters[i];
        buf_t text = { 0 };
        buf_add(&text, one->name, strlen(one->name) + 1);
        buf_add(&text, one->version, strlen(one->version) + 1);
        crew->interpreters[crew->interpreters_n++] = text_of(&text);
    }
    qsort(crew->interpreters, crew->interpreters_n, sizeof(char *), compare_pair);
}

static bool same_numbers(const uint32_t *a, size_t a_n, const uint32_t *b, size_t b_n)
{
    return a_n == b_n && memcmp(a, b, a_n * sizeof *a) == 0;
}

static bool same_texts(char *const *a, size_t a_n, char *const *b, size_t b_n,
                       int (*compare)(const void *, const void *))
{
    for (size_t i = 0; a_n == b_n && i < a_n; i++)
        if (compare(&a[i], &b[i]) != 0) return false;
    return a_n == b_n;
}

static bool same_offer(const crew_t *a, const crew_t *b)
{
    return same_numbers(a->types, a->types_n, b->types, b->types_n) &&
           same_numbers(a->queues, a->queues_n, b->queues, b->queues_n) &&
           same_texts(a->labels, a->labels_n, b->labels, b->labels_n, compare_text) &&
           same_texts(a->interpreters, a->interpreters_n, b->interpreters, b->interpreters_n,
                      compare_pair);
}

static uint64_t hash_of(const crew_t *crew)
{
    uint64_t hash = hash64(crew->types, crew->types_n * sizeof *crew->types);
    hash = hash * 31 + hash64(crew->queues, crew->queues_n * sizeof *crew->queues);
    for (size_t i = 0; i < crew->labels_n; i++)
        hash = hash * 31 + hash64(crew->labels[i], strlen(crew->labels[i]));
    for (size_t i = 0; i < crew->interpreters_n; i++)
        hash = hash * 31 + hash64(crew->interpreters[i], strlen(crew->interpreters[i]));
    return hash ? hash : 1;
}

/* ---- who has room ---------------------------------------------------------------------------- */

enum room crew_room(const executor_t *executor)
{
    if (executor->conn == 0 || executor->suspect ||
        executor->name->flags & (REG_DRAINED | REG_ENDING))
        return ROOM_NONE;
    uint32_t used = executor_used(executor);
    if (used >= executor->credit) return ROOM_NONE;
    return used < executor->slots ? ROOM_SLOT : ROOM_AHEAD;
}

static void step_out(core_t *core, executor_t *executor)
{
    if (executor->line_of == NULL) return;
    struct crew_line *line = &executor->line_of->lines[executor->room];
    *(executor->before ? &executor->before->behind : &line->first) = executor->behind;
    *(executor->behind ? &executor->behind->before : &line->last) = executor->before;
    executor->before = executor->behind = NULL;
    executor->line_of = NULL;
    line->n--;
    core->with_room[executor->room]--;
    executor->room = ROOM_NONE;
}

static void step_in(core_t *core, executor_t *executor, enum room room)
{
    struct crew_line *line = &executor->crew->lines[room];
    executor->room = room;
    executor->line_of = executor->crew;
    executor->before = line->last;
    *(line->last ? &line->last->behind : &line->first) = executor;
    line->last = executor;
    line->n++;
    core->with_room[room]++;
}

void crew_line_up(core_t *core, executor_t *executor)
{
    enum room room = crew_room(executor);
    if (executor->room == room && executor->line_of == (room ? executor->crew : NULL)) return;
    step_out(core, executor);
    if (room) step_in(core, executor, room);
}

void crew_to_the_end(core_t *core, executor_t *executor)
{
    enum room room = executor->room;
    if (room == ROOM_NONE) return;
    step_out(core, executor);
    step_in(core, executor, room);
}

void crews_forget_lines(core_t *core)
{
    for (size_t i = 0; i < core->crews_n; i++)
        memset(core->crews[i]->lines, 0, sizeof core->crews[i]->lines);
    for (size_t i = 0; i < core->executors_n; i++) {
        executor_t *executor = core->executors[i];
        executor->room = ROOM_NONE;
        executor->line_of = NULL;
        executor->before = executor->behind = NULL;
    }
    memset(core->with_room, 0, sizeof core->with_room);
}

/* ---- the crews ------------------------------------------------------------------------------- */

static void crew_free(crew_t *crew)
{
    texts_free(crew->labels, crew->labels_n);
    texts_free(crew->interpreters, crew->interpreters_n);
    free(crew->types);
    free(crew->queues);
    free(crew->lanes);
    free(crew);
}

static void keep(core_t *core, crew_t *crew)
{
    map_chain(&core->crews_by_hash, crew->hash, crew, offsetof(crew_t, same_hash));
    core->crews = mem_grow(core->crews, (core->crews_n + 1) * sizeof(crew_t *));
    core->crews[core->crews_n++] = crew;
    core->crews_stamp++;
}

err_t crew_join(core_t *core, const Pawl__V1__Hello *hello, crew_t **out)
{
    crew_t *wanted = mem_new(sizeof *wanted);
    err_t err =
        take_names(core, NAME_TYPE, hello->types, hello->n_types, &wanted->types, &wanted->types_n);
    if (err == ERR_OK)
        err = take_names(core, NAME_QUEUE, hello->queues, hello->n_queues, &wanted->queues,
                         &wanted->queues_n);
    if (err != ERR_OK) {
        crew_free(wanted);
        return err;
    }
    take_labels(wanted, hello);
    take_interpreters(wanted, hello);
    wanted->hash = hash_of(wanted);
    crew_t *crew = map_get(&core->crews_by_hash, wanted->hash);
    while (crew && !same_offer(crew, wanted))
        crew = crew->same_hash;
    if (crew)
        crew_free(wanted);
    else
        keep(core, crew = wanted);
    crew->members++;
    *out = crew;
    return ERR_OK;
}

static void forget(core_t *core, crew_t *crew)
{
    map_unchain(&core->crews_by_hash, crew->hash, crew, offsetof(crew_t, same_hash));
    size_t at = 0;
    while (core->crews[at] != crew)
        at++;
    core->crews_n--;
    for (; at < core->crews_n; at++)
        core->crews[at] = core->crews[at + 1];
    core->crews_stamp++;
}

void crew_leave(core_t *core, crew_t **crew_p)
{
    crew_t *crew = *crew_p;
    *crew_p = NULL;
    if (crew == NULL || --crew->members > 0) return;
    for (size_t i = 0; i < ROOMS; i++)
        while (crew->lines[i].first)
            step_out(core, crew->lines[i].first);
    forget(core, crew);
    crew_free(crew);
}

void crews_free(core_t *core)
{
    free(core->crews); /* their last member has left */
    core->crews = NULL;
    map_free(&core->crews_by_hash);
}

/* ---- what may be served ---------------------------------------------------------------------- */

static bool has_no(const uint32_t *sorted, size_t n, uint32_t wanted)
{
    return bsearch(&wanted, sorted, n, sizeof *sorted, compare_no) != NULL;
}

static bool has_text(char *const *texts, size_t n, const char *wanted, size_t len)
{
    for (size_t i = 0; i < n; i++)
        if (strlen(texts[i]) == len && memcmp(texts[i], wanted, len) == 0) return true;
    return false;
}

static bool has_labels(const crew_t *crew, const lane_t *lane)
{
    for (size_t at = 0; at < lane->target_len;) {
        size_t len = strnlen(lane->target + at, lane->target_len - at);
        if (lane->target[at] != LANE_NEEDS &&
            !has_text(crew->labels, crew->labels_n, lane->target + at, len))
            return false;
        at += len + 1;
    }
    return true;
}

/* What the lane's scripts ask of an interpreter. */
static bool has_interpreter(const crew_t *crew, const lane_t *lane)
{
    for (size_t i = 0; lane->needs && i < crew->interpreters_n; i++) {
        const char *name = crew->interpreters[i];
        if (requirement_met(lane->needs, name, name + strlen(name) + 1)) return true;
    }
    return lane->needs == NULL;
}

/* The source of a lane whose other texts are no labels. */
static bool has_source(const crew_t *crew, const lane_t *lane)
{
    return lane->source == NULL ||
           has_text(crew->labels, crew->labels_n, lane->source, strlen(lane->source));
}

bool crew_serves(const crew_t *crew, const lane_t *lane)
{
    return has_no(crew->types, crew->types_n, lane->type) &&
           (crew->queues_n == 0 || has_no(crew->queues, crew->queues_n, lane->queue)) &&
           has_interpreter(crew, lane) && has_source(crew, lane) &&
           (lane->target_kind != TARGET_LABELS || has_labels(crew, lane));
}

void crew_choose_lanes(core_t *core, crew_t *crew)
{
    if (crew->lanes_stamp == core->lanes_stamp) return;
    crew->lanes_stamp = core->lanes_stamp;
    crew->lanes_n = 0;
    crew->lanes = mem_grow(crew->lanes, (core->open_lanes_n + 1) * sizeof(lane_t *));
    for (size_t i = 0; i < core->open_lanes_n; i++)
        if (crew_serves(crew, core->open_lanes[i]))
            crew->lanes[crew->lanes_n++] = core->open_lanes[i];
}
