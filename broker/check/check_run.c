/* SPDX-License-Identifier: Apache-2.0
 * check_run.c - the check as a program: in a child process, so that pages which make the reader
 * crash are a line of the report; first the store, then the logs. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker/check/check_inside.h"
#include "broker/logs/log_check.h"
#include "schemas/limits.h"

enum { IN_LOGS = -1 }; /* of place->table */

/* Three lines: what, why, what to type. */
static int refuse(int code, const char *state, const char *what, const char *why, const char *then)
{
    fprintf(stderr, "error: %s %s\n  why: %s\n  try: %s\n", what, state, why, then);
    return code;
}

static bool has_task(void *arg, const uint8_t id[16])
{
    rec_key_t key = key_id(id);
    slice_t value;
    return store_view_get(arg, TABLE_ids, key_slice(&key), &value) == ERR_OK;
}

static int check_logs(store_t *store, const char *folder, FILE *out)
{
    log_tally_t tally = { 0 };
    store_view_t *view = NULL;
    struct stat info;
    if (stat(folder, &info) == -1 && errno == ENOENT) {
        fprintf(out, "logs: none yet\n");
        return CHECK_WHOLE;
    }
    err_t err = store_view_open(store, &view);
    if (err == ERR_OK) err = log_check(folder, has_task, view, out, &tally);
    store_view_close(&view);
    if (err != ERR_OK) {
        fprintf(out, "damaged: %s cannot be read: %s\n", folder, err_text(err));
        return CHECK_DAMAGED;
    }
    if (tally.problems)
        fprintf(out, "damaged: %zu problems in", tally.problems);
    else
        fprintf(out, "logs ok:");
    fprintf(out, " %llu logs, %llu pieces, %llu bytes; %llu orphans, which sweeping takes\n",
            (unsigned long long)tally.logs, (unsigned long long)tally.pieces,
            (unsigned long long)tally.bytes, (unsigned long long)tally.orphans);
    return tally.problems ? CHECK_DAMAGED : CHECK_WHOLE;
}

/* In the child. Exit codes as broker_check's. */
static int check_folders(const char *state, FILE *out, volatile check_place_t *place)
{
    store_t *store = NULL;
    int64_t holder = 0;
    struct stat info;
    size_t problems = 0;
    buf_t path = { 0 }, logs = { 0 }, why = { 0 };
    buf_printf(&path, "%s/" CHECK_STORE_FOLDER, state);
    buf_printf(&logs, "%s/" CHECK_LOGS_FOLDER, state);
    if (stat((const char *)path.at, &info) == -1) { /* opening would make one */
        buf_printf(&why, "%s: %s", (const char *)path.at, strerror(errno));
        return refuse(CHECK_MISSING, state, "no broker has kept its store in", (const char *)why.at,
                      "pawl broker check --state DIR");
    }
    err_t err = store_open(&store, (const char *)path.at, (uint64_t)DEFAULT_MAP_BYTES, 0, &holder);
    if (err == ERR_STORE_LOCKED) {
        buf_printf(&why, "process %lld holds it, and a store that changes cannot be checked",
                   (long long)holder);
        return refuse(CHECK_LOCKED, state, "a broker runs on", (const char *)why.at,
                      "stop it (Ctrl-C in pawl up, or systemctl stop), then the same again");
    }
    if (err == ERR_OK) err = check_with(store, out, place, &problems);
    int code = problems ? CHECK_DAMAGED : CHECK_WHOLE;
    if (err != ERR_OK) {
        fprintf(out, "damaged: %s cannot be read: %s\n", (const char *)path.at, err_text(err));
        code = CHECK_DAMAGED;
    } else {
        place->table = IN_LOGS;
        place->key_len = 0;
        if (check_logs(store, (const char *)logs.at, out) != CHECK_WHOLE) code = CHECK_DAMAGED;
    }
    store_close(&store);
    buf_free(&path);
    buf_free(&logs);
    return code;
}

static void tell_crash(FILE *out, int status, const volatile check_place_t *place)
{
    const char *table = place->table == IN_LOGS ? "of the logs"
                        : place->table          ? table_name((table_t)place->table)
                                                : "none";
    fprintf(out, "damaged: the reader died (%s) in table %s behind key ",
            WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "exit", table);
    for (uint32_t i = 0; i < place->key_len && i < sizeof place->key; i++)
        fprintf(out, "%02x", place->key[i]);
    fputc('\n', out);
}

int broker_check(const char *state_dir, FILE *out)
{
    void *shared = mmap(NULL, sizeof(check_place_t), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    fflush(out);
    pid_t child = shared == MAP_FAILED ? -1 : fork();
    if (child == 0) {
        int code = check_folders(state_dir, out, shared);
        fflush(out);
        _exit(code);
    }
    int status = 0, code = CHECK_DAMAGED;
    while (child > 0 && waitpid(child, &status, 0) == -1 && errno == EINTR)
        continue;
    if (child == -1)
        (void)refuse(CHECK_DAMAGED, state_dir, "there is no process to check", strerror(errno),
                     "the same again");
    else if (WIFEXITED(status) && WEXITSTATUS(status) <= CHECK_LOCKED)
        code = WEXITSTATUS(status);
    else
        tell_crash(out, status, shared);
    if (shared != MAP_FAILED) munmap(shared, sizeof(check_place_t));
    return code;
}
