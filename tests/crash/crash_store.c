/* SPDX-License-Identifier: Apache-2.0
 * crash-store [BATCHES [SUBSETS [SEED]]] - what the store promises, under power cuts, kills and
 * failing calls. Prints one line; exit 0 when everything held and every seeded fault was caught.
 *
 * Power cuts: a recorded run (tests/crash/shim.c) is replayed. Between two syncs a disk may have
 * kept any part of what was written since the first; of each such span it tries nothing, every
 * prefix by page, every page dropped, and SUBSETS random sets of 512-byte sectors. Each image is
 * opened as the store: the last acknowledged batch must be there, nothing newer than the one on its
 * way, every row valid and exactly those that the batches up to there leave behind. A checker that
 * cannot fail proves nothing: two runs with seeded faults must lose acknowledged batches. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/base/log.h"
#include "tests/crash/scenario.h"
#include "tests/crash/shim.h"
#include "tests/sim/memstore.h"

enum { SECTOR = 512, PAGE = 4096, MAP_BYTES = 8 << 20, SHORT_BATCHES = 20, KILL_BATCHES = 17 };

typedef struct event {
    crash_event_t head;
    const uint8_t *bytes;
} event_t;

typedef struct recording {
    uint8_t *file; /* mapped */
    size_t file_len;
    event_t *events;
    size_t count;
} recording_t;

/* Shared with the children that open images: an image may crash the library. */
typedef struct tally {
    uint64_t state;  /* being looked at */
    uint64_t states; /* looked at */
    uint64_t lost, newer, invalid;
    char first[200]; /* what was wrong first */
} tally_t;

static uint64_t seed = 1;
static unsigned subsets = 12;
static char work[64]; /* a folder of ours, in memory when there is one */
static char programs[PATH_MAX];
static uint64_t *digests; /* by batch, from the store in memory */
static uint64_t batches_max;

/* ---- helpers --------------------------------------------------------------------------------- */

static void path_in(char to[PATH_MAX], const char *folder, const char *name)
{
    CHECK(snprintf(to, PATH_MAX, "%s/%s/%s", work, folder, name) < PATH_MAX);
}

static void remove_store(const char *folder)
{
    static const char *const names[] = { "data.mdb", "lock.mdb", "lock.pawl", "new.mdb",
                                         "new.mdb-lock" };
    char path[PATH_MAX];
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        path_in(path, folder, names[i]);
        unlink(path);
    }
    path_in(path, folder, ".");
    path[strlen(path) - 2] = '\0';
    rmdir(path);
}

static void compute_digests(void)
{
    digests = mem_new((batches_max + 2) * sizeof *digests);
    store_t *store = memstore_new();
    for (uint64_t number = 1; number <= batches_max + 1; number++) {
        CHECK(scenario_write(store, seed, number) == ERR_OK && store_commit(store) == ERR_OK);
        uint64_t last;
        const char *why;
        scenario_check(store, &last, &digests[number], &why);
        CHECK(!why && last == number);
    }
    store_close(&store);
}

/* Runs crash-scenario under the shim; `variable` is NAME=VALUE or NULL. Returns the exit code, or
 * minus the signal. */
static int run_scenario(const char *folder, uint64_t batches, const char *fault,
                        const char *variable)
{
    char program[PATH_MAX + 32], preload[PATH_MAX + 64], log[PATH_MAX], path[PATH_MAX];
    snprintf(program, sizeof program, "%s/crash-scenario", programs);
    snprintf(preload, sizeof preload, "LD_PRELOAD=%s/crash-shim.so", programs);
    path_in(path, folder, ".");
    path[strlen(path) - 2] = '\0';
    CHECK(snprintf(log, sizeof log, "CRASH_LOG=%s/%s.log", work, folder) < (int)sizeof log);
    char count[24], seed_text[24];
    snprintf(count, sizeof count, "%" PRIu64, batches);
    snprintf(seed_text, sizeof seed_text, "%" PRIu64, seed);
    char *arguments[] = { program, path, count, seed_text, (char *)(uintptr_t)fault, NULL };
    char *environment[] = { preload, log, (char *)(uintptr_t)variable, NULL };
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        int null = open("/dev/null", O_WRONLY);
        if (strcmp(folder, "recorded") != 0) /* failing calls are logged; they are meant to */
            dup2(null, STDERR_FILENO);
        execve(program, arguments, environment);
        _exit(127);
    }
    int status;
    while (waitpid(child, &status, 0) != child)
        CHECK(errno == EINTR);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static recording_t recording_load(const char *folder)
{
    recording_t self = { 0 };
    char path[PATH_MAX];
    CHECK(snprintf(path, sizeof path, "%s/%s.log", work, folder) < (int)sizeof path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat stat = { 0 };
    if (fd < 0 || fstat(fd, &stat) != 0 || stat.st_size == 0) {
        if (fd >= 0) close(fd);
        return self; /* killed in front of its first step */
    }
    self.file_len = (size_t)stat.st_size;
    self.file = mmap(NULL, self.file_len, PROT_READ, MAP_PRIVATE, fd, 0);
    CHECK(self.file != MAP_FAILED);
    close(fd);
    unlink(path);
    size_t room = 0;
    for (size_t at = 0; at + sizeof(crash_event_t) <= self.file_len;) {
        if (self.count == room) {
            room = room ? room * 2 : 1024;
            self.events = mem_grow(self.events, room * sizeof *self.events);
        }
        event_t *event = &self.events[self.count++];
        memcpy(&event->head, self.file + at, sizeof event->head);
        event->bytes = self.file + at + sizeof event->head;
        at += sizeof event->head;
        if (event->head.kind == CRASH_WRITE || event->head.kind == CRASH_WRITE_THROUGH)
            at += event->head.len;
        CHECK(at <= self.file_len);
    }
    return self;
}

static void recording_free(recording_t *self)
{
    if (self->file) munmap(self->file, self->file_len);
    free(self->events);
    *self = (recording_t){ 0 };
}

/* The highest batch marked with `kind`. */
static uint64_t marked(const recording_t *self, char kind)
{
    uint64_t highest = 0;
    for (size_t i = 0; i < self->count; i++)
        if (self->events[i].head.kind == kind) highest = self->events[i].head.at;
    return highest;
}

/* ---- judging an image ------------------------------------------------------------------------ */

static void complain(tally_t *tally, uint64_t *counter, const char *what, uint64_t found,
                     uint64_t acked, uint64_t begun)
{
    ++*counter;
    if (!tally->first[0])
        snprintf(tally->first, sizeof tally->first,
                 "state %" PRIu64 ": %s (found %" PRIu64 ", acked %" PRIu64 ", begun %" PRIu64 ")",
                 tally->state, what, found, acked, begun);
}

/* `folder` holds a store that a power cut or a kill left. `go_on`: it must also take a batch. */
static void judge(const char *folder, uint64_t acked, uint64_t begun, bool go_on, tally_t *tally)
{
    char path[PATH_MAX];
    path_in(path, folder, ".");
    store_t *store;
    tally->states++;
    err_t err = store_open(&store, path, MAP_BYTES, 0, NULL);
    if (err) {
        complain(tally, &tally->invalid, err_name(err), 0, acked, begun);
        return;
    }
    uint64_t found, digest;
    const char *why;
    scenario_check(store, &found, &digest, &why);
    if (!why && found <= batches_max + 1 && digest != digests[found])
        why = "not what the batches leave behind";
    if (why)
        complain(tally, &tally->invalid, why, found, acked, begun);
    else if (found < acked)
        complain(tally, &tally->lost, "an acknowledged batch is lost", found, acked, begun);
    else if (found > begun)
        complain(tally, &tally->newer, "a batch from nowhere", found, acked, begun);
    else if (go_on) {
        err = scenario_write(store, seed, found + 1);
        if (!err) err = store_commit(store);
        scenario_check(store, &found, &digest, &why);
        if (err || why || digest != digests[found])
            complain(tally, &tally->invalid, "it takes no further batch", found, acked, begun);
    }
    store_close(&store);
}

/* ---- power cuts ------------------------------------------------------------------------------ */

typedef struct disk {
    uint8_t *image; /* what is surely on it */
    size_t len;
    bool renamed;   /* data.mdb is its name; else new.mdb */
    uint8_t *trial; /* the image being tried */
    size_t trial_len;
} disk_t;

typedef struct span {
    const event_t *writes[4096];
    size_t count;
    size_t pages; /* of all its writes */
    uint64_t acked, begun;
} span_t;

static size_t pages_of(const event_t *write)
{
    return (write->head.len + PAGE - 1) / PAGE;
}

static void lay(uint8_t *image, size_t *len, const event_t *write, size_t from, size_t bytes)
{
    size_t at = write->head.at + from;
    CHECK(at + bytes <= 2 * MAP_BYTES);
    memcpy(image + at, write->bytes + from, bytes);
    if (at + bytes > *len) *len = at + bytes;
}

typedef enum { KEEP_PREFIX, KEEP_ALL_BUT, KEEP_SECTORS } keep_t;

/* Builds the trial image: what is sure and, of the span, the part that (how, which) says. */
static void build(disk_t *disk, const span_t *span, keep_t how, size_t which)
{
    memcpy(disk->trial, disk->image, disk->len);
    memset(disk->trial + disk->len, 0,
           disk->trial_len > disk->len ? disk->trial_len - disk->len : 0);
    size_t len = disk->len, page = 0;
    uint64_t random = seed ^ which * UINT64_C(0x9E3779B97F4A7C15) ^ span->begun << 32;
    unsigned odds = which % 3 == 0 ? 128 : which % 3 == 1 ? 230 : 26; /* of 256: a sector is kept */
    for (size_t i = 0; i < span->count; i++) {
        const event_t *write = span->writes[i];
        for (size_t from = 0; from < write->head.len; from += PAGE, page++) {
            size_t bytes = write->head.len - from < PAGE ? write->head.len - from : PAGE;
            if (how == KEEP_PREFIX ? page < which : how == KEEP_ALL_BUT ? page != which : false)
                lay(disk->trial, &len, write, from, bytes);
            for (size_t part = 0; how == KEEP_SECTORS && part < bytes; part += SECTOR) {
                random = random * UINT64_C(6364136223846793005) + 1442695040888963407u;
                size_t sector = bytes - part < SECTOR ? bytes - part : SECTOR;
                if (random >> 56 < odds) lay(disk->trial, &len, write, from + part, sector);
            }
        }
    }
    disk->trial_len = len;
}

static void try_image(disk_t *disk, const span_t *span, bool renamed, tally_t *tally)
{
    char path[PATH_MAX];
    remove_store("image");
    path_in(path, "image", ".");
    path[strlen(path) - 2] = '\0';
    CHECK(mkdir(path, 0700) == 0);
    path_in(path, "image", renamed ? "data.mdb" : "new.mdb");
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CHECK(fd >= 0);
    CHECK(write(fd, disk->trial, disk->trial_len) == (ssize_t)disk->trial_len);
    close(fd);
    judge("image", span->acked, span->begun, tally->state % 8 == 0, tally);
}

/* All states that a cut within the span may leave. Those below *tally->state were done. */
static void try_span(disk_t *disk, const span_t *span, bool renamed, uint64_t *state,
                     uint64_t begin, tally_t *tally)
{
    size_t prefixes = span->pages + 1, drops = span->pages > 1 ? span->pages - 1 : 0;
    size_t sectors = span->count ? subsets : 0;
    for (size_t i = 0; i < prefixes + drops + sectors; i++) {
        if ((*state)++ < begin) continue;
        tally->state = *state - 1;
        if (i < prefixes)
            build(disk, span, KEEP_PREFIX, i);
        else if (i < prefixes + drops)
            build(disk, span, KEEP_ALL_BUT, i - prefixes);
        else
            build(disk, span, KEEP_SECTORS, i - prefixes - drops);
        try_image(disk, span, renamed, tally);
    }
}

static void settle(disk_t *disk, span_t *span, const event_t *only)
{
    for (size_t i = 0; i < span->count; i++)
        if (!only || span->writes[i] == only)
            lay(disk->image, &disk->len, span->writes[i], 0, span->writes[i]->head.len);
    if (only) { /* the others are still on their way */
        span->count--;
        span->pages -= pages_of(only);
    } else {
        span->count = span->pages = 0;
    }
}

/* Walks the recording and tries every state from number `begin` on. In a child. */
static void replay(const recording_t *recording, uint64_t begin, tally_t *tally)
{
    disk_t disk = { .image = mem_new(2 * MAP_BYTES), .trial = mem_new(2 * MAP_BYTES) };
    span_t *span = mem_new(sizeof *span);
    uint64_t state = 0;
    bool renaming = false; /* renamed, the folder not synced yet: either name may be found */
    for (size_t i = 0; i < recording->count; i++) {
        const event_t *event = &recording->events[i];
        switch (event->head.kind) {
        case CRASH_BEGUN:
            span->begun = event->head.at;
            break;
        case CRASH_ACKED:
            span->acked = event->head.at;
            break;
        case CRASH_WRITE:
        case CRASH_WRITE_THROUGH:
            CHECK(span->count < ARRAY_LEN(span->writes));
            span->writes[span->count++] = event;
            span->pages += pages_of(event);
            if (event->head.kind == CRASH_WRITE) break;
            try_span(&disk, span, disk.renamed, &state, begin, tally);
            settle(&disk, span, event);
            break;
        case CRASH_SYNC:
            try_span(&disk, span, disk.renamed, &state, begin, tally);
            settle(&disk, span, NULL);
            break;
        case CRASH_RENAME:
            renaming = true;
            break;
        case CRASH_SYNC_FOLDER:
            if (!renaming) break;
            try_span(&disk, span, false, &state, begin, tally);
            try_span(&disk, span, true, &state, begin, tally);
            renaming = false;
            disk.renamed = true;
            break;
        default:
            CHECK(false && "a kind of event"); /* the shim writes no other */
        }
    }
    try_span(&disk, span, disk.renamed, &state, begin, tally); /* the power goes after the end */
    free(disk.image);
    free(disk.trial);
    free(span);
}

/* Records a run and tries its states, in children that are replaced when an image kills one. */
static void power_cuts(uint64_t batches, const char *fault, tally_t *tally)
{
    memset(tally, 0, sizeof *tally);
    CHECK(run_scenario("recorded", batches, fault, NULL) == 0);
    recording_t recording = recording_load("recorded");
    CHECK(marked(&recording, CRASH_ACKED) == batches);
    remove_store("recorded");
    for (uint64_t begin = 0;;) {
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            int null = open("/dev/null", O_WRONLY);
            if (fault) dup2(null, STDERR_FILENO);
            replay(&recording, begin, tally);
            _exit(0);
        }
        int status;
        while (waitpid(child, &status, 0) != child)
            CHECK(errno == EINTR);
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0) break;
        complain(tally, &tally->invalid, "opening it crashed", 0, 0, 0);
        begin = tally->state + 1;
    }
    remove_store("image");
    recording_free(&recording);
}

/* ---- kills and failing calls ----------------------------------------------------------------- */

/* Judges what a run left behind, then lets a run without faults go to the end. True: the fault that
 * CRASH_FAIL asks for came. */
static bool judge_and_finish(const char *folder, tally_t *tally)
{
    recording_t recording = recording_load(folder);
    uint64_t acked = marked(&recording, CRASH_ACKED), begun = marked(&recording, CRASH_BEGUN);
    bool struck = false;
    for (size_t i = 0; i < recording.count; i++)
        struck |= recording.events[i].head.kind == CRASH_STRUCK;
    recording_free(&recording);
    char path[PATH_MAX];
    path_in(path, folder, ".");
    if (access(path, F_OK) == 0) /* else it ended before it had a folder */
        judge(folder, acked, begun, false, tally);
    int code = run_scenario(folder, KILL_BATCHES, NULL, NULL);
    recording = recording_load(folder);
    recording_free(&recording);
    if (code != 0)
        complain(tally, &tally->invalid, "the next run cannot finish", (uint64_t)code, 0, 0);
    remove_store(folder);
    return struck;
}

static void kills(tally_t *tally)
{
    memset(tally, 0, sizeof *tally);
    for (unsigned step = 1;; step++) {
        char variable[32];
        snprintf(variable, sizeof variable, "CRASH_KILL=%u", step);
        tally->state = step;
        int code = run_scenario("killed", KILL_BATCHES, NULL, variable);
        CHECK(code == 0 || code == -SIGKILL);
        (void)judge_and_finish("killed", tally);
        if (code == 0) break;
    }
}

/* Every step fails once: with `error`, or half-way (0). */
static void failing_calls(int error, tally_t *tally)
{
    bool struck = true;
    for (unsigned step = 1; struck; step++) {
        char variable[48];
        snprintf(variable, sizeof variable, "CRASH_FAIL=%u:%d", step, error);
        tally->state = step;
        int code = run_scenario("failing", KILL_BATCHES, NULL, variable);
        if (code != 0 && code != 3 && code != 10)
            complain(tally, &tally->invalid, "wrong exit after a failed call", (uint64_t)code, 0,
                     0);
        struck = judge_and_finish("failing", tally);
    }
}

/* ---- main ------------------------------------------------------------------------------------ */

static uint64_t bad(const tally_t *tally)
{
    return tally->lost + tally->newer + tally->invalid;
}

int main(int argc, char **argv)
{
    uint64_t batches = argc > 1 ? strtoull(argv[1], NULL, 10) : 100;
    subsets = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : subsets;
    seed = argc > 3 ? strtoull(argv[3], NULL, 0) : seed;
    batches_max = batches > SHORT_BATCHES ? batches : SHORT_BATCHES;
    CHECK(realpath("/proc/self/exe", programs));
    *strrchr(programs, '/') = '\0';
    log_open("crash-store", LOG_ERROR); /* reopening after a failure warns; it is meant to */
    strcpy(work,
           access("/dev/shm", W_OK) == 0 ? "/dev/shm/pawl-crash-XXXXXX" : "/tmp/pawl-crash-XXXXXX");
    CHECK(mkdtemp(work));
    compute_digests();
    tally_t *tally =
        mmap(NULL, sizeof *tally * 5, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(tally != MAP_FAILED);
    tally_t *cuts = tally, *unsynced = tally + 1, *early = tally + 2, *killed = tally + 3,
            *failed = tally + 4;
    power_cuts(batches, NULL, cuts);
    power_cuts(SHORT_BATCHES, "nometasync", unsynced);
    power_cuts(SHORT_BATCHES, "ack-early", early);
    kills(killed);
    failing_calls(EIO, failed);
    failing_calls(ENOSPC, failed);
    failing_calls(0, failed);
    rmdir(work);
    bool held = !bad(cuts) && !bad(killed) && !bad(failed);
    bool caught = unsynced->lost > 0 && early->lost > 0;
    for (size_t i = 0; i < 5; i++)
        if (tally[i].first[0] && (i == 0 || i > 2))
            fprintf(stderr, "crash-store: %s\n", tally[i].first);
    printf("crash-store: %s: %" PRIu64 " power-cut states %" PRIu64 " bad; seeded faults %s "
           "(nometasync lost %" PRIu64 " of %" PRIu64 ", ack-early %" PRIu64 " of %" PRIu64
           "); %" PRIu64 " kills %" PRIu64 " bad; %" PRIu64 " failed calls %" PRIu64
           " bad; seed %" PRIu64 "\n",
           held && caught ? "ok" : "FAILED", cuts->states, bad(cuts), caught ? "caught" : "MISSED",
           unsynced->lost, unsynced->states, early->lost, early->states, killed->states,
           bad(killed), failed->states, bad(failed), seed);
    free(digests);
    return held && caught ? 0 : 1;
}
