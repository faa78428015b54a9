/* SPDX-License-Identifier: Apache-2.0
 * pawl.h - libpawl, the C SDK of Pawl. Needs libzmq and protobuf-c; no other header.
 *
 * Units: instants are int64 microseconds since 1970-01-01T00:00:00Z, durations int64 microseconds,
 * names end in _us. A timeout_us of 0 does not wait, a negative one waits for ever. Ids are 16
 * bytes; as text 26 characters (PAWL_ID_TEXT with the NUL).
 *
 * Errors: every function that can fail returns 0 or a negative pawl_err; the sentence, the field
 * and when to try again are kept per handle and per thread: pawl_client_error(). Nothing here
 * aborts, prints, catches signals, calls atexit or setlocale.
 *
 * Threads: one handle may be used by any number of threads. It has one hidden I/O thread that owns
 * the socket; it reconnects with jitter, says Hello again and resends what has no answer yet, with
 * the same ids, so a resend does nothing twice. Callbacks run only inside pawl_client_poll() or the
 * blocking call they were given to, on the caller's thread; none runs after the object's destroy
 * has returned. After fork() the child's calls return PAWL_E_FORKED; only destroy may be called.
 *
 * A blocking call that times out: UNREACHABLE (or the broker's refusal of the session) while there
 * is no session, TIMEOUT when the request was sent and its outcome is not known; asked again with
 * the same ids nothing happens twice. Blocking calls wait for room in a full buffer, asynchronous
 * ones return BACKPRESSURE.
 *
 * Ownership: arguments are copied before a call returns. What a getter returns belongs to the
 * object it was asked from. x_destroy(&x) takes NULL and leaves NULL. */
#ifndef PAWL_H
#define PAWL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PAWL_API_VERSION 1
#if defined(__GNUC__)
#define PAWL_EXPORT __attribute__((visibility("default")))
#else
#define PAWL_EXPORT
#endif

enum { PAWL_ID_BYTES = 16, PAWL_ID_TEXT = 27 };

/* 0 or the negative of a number in schemas/errors.tbl.h: -40 is NOT_FOUND, -100 UNREACHABLE. */
typedef int pawl_err;
#define PAWL_OK             0
#define PAWL_E_BAD_REQUEST  (-1)
#define PAWL_E_BUSY         (-22)
#define PAWL_E_REFUSED      (-23)
#define PAWL_E_NOT_FOUND    (-40)
#define PAWL_E_AMBIGUOUS    (-41)
#define PAWL_E_ID_REUSED    (-43)
#define PAWL_E_WRONG_STATUS (-45)
#define PAWL_E_STALE        (-46)
#define PAWL_E_CONFLICT     (-62)
#define PAWL_E_EXISTS       (-64)
#define PAWL_E_STORE_FULL   (-80)
#define PAWL_E_UNREACHABLE  (-100)
#define PAWL_E_TIMEOUT      (-101)
#define PAWL_E_CLOSED       (-102)
#define PAWL_E_BACKPRESSURE (-103)
#define PAWL_E_FORKED       (-104)
#define PAWL_E_OS           (-105)
#define PAWL_E_CONFIG       (-106)
#define PAWL_E_NO_MEMORY    (-107)
#define PAWL_E_EMPTY        (-108)

PAWL_EXPORT const char *pawl_err_name(pawl_err err); /* "NOT_FOUND"; static */
PAWL_EXPORT const char *pawl_err_text(pawl_err err); /* one phrase; static */
PAWL_EXPORT bool pawl_err_retryable(pawl_err err);
PAWL_EXPORT int pawl_err_exit_code(pawl_err err); /* what `pawl` exits with */
PAWL_EXPORT const char *pawl_version(void);       /* "0.1.0" */
PAWL_EXPORT int pawl_api_version(void);

/* ---- ids -------------------------------------------------------------------------------- */

PAWL_EXPORT void pawl_id_new(uint8_t id[PAWL_ID_BYTES]); /* a new ULID */
PAWL_EXPORT void pawl_id_print(const uint8_t id[PAWL_ID_BYTES], char text[PAWL_ID_TEXT]);
PAWL_EXPORT bool pawl_id_parse(const char *text, uint8_t id[PAWL_ID_BYTES]);

/* ---- configuration ---------------------------------------------------------------------- */

/* String keys, so a new option never changes the ABI:
 *   broker      endpoint, e.g. ipc:///run/pawl/broker.sock (default: PAWL_BROKER, then
 *               ~/.local/share/pawl/broker.sock, then /run/pawl/broker.sock: the first that exists)
 *   key         file of the key that a tcp:// endpoint needs (default: PAWL_KEY); read by
 *               pawl_client_new, which refuses a file that others can read
 *   name        how peers list this program (default: program name and pid)
 *   role        client (default) | executor | scheduler
 *   max_pending requests kept while there is no answer yet (default 1024; limit: Welcome)
 *   connect_ivl_ms, connect_max_ms   reconnect back-off (default 100, 10000; jittered) */
typedef struct pawl_conf pawl_conf_t;
PAWL_EXPORT pawl_conf_t *pawl_conf_new(void); /* NULL: out of memory */
PAWL_EXPORT void pawl_conf_destroy(pawl_conf_t **self_p);
/* PAWL_E_CONFIG: unknown key or bad value; errbuf (may be NULL) gets one sentence. */
PAWL_EXPORT pawl_err pawl_conf_set(pawl_conf_t *self, const char *key, const char *value,
                                   char *errbuf, size_t errlen);
PAWL_EXPORT const char *pawl_conf_get(const pawl_conf_t *self, const char *key); /* NULL: unset */

/* ---- client ----------------------------------------------------------------------------- */

typedef struct pawl_client pawl_client_t;
typedef enum { PAWL_CONNECTING, PAWL_CONNECTED, PAWL_LOST, PAWL_STOPPED } pawl_state;

/* Starts connecting and returns at once. conf may be NULL and stays the caller's (copied).
 * NULL: errbuf says why. */
PAWL_EXPORT pawl_client_t *pawl_client_new(const pawl_conf_t *conf, char *errbuf, size_t errlen);
/* Waits until the session stands. PAWL_E_UNREACHABLE (the text says what is known of the cause), or
 * the broker's refusal. A handle of role executor says Hello in pawl_worker_start: before it this
 * returns 0 at once. */
PAWL_EXPORT pawl_err pawl_client_connect(pawl_client_t *self, int64_t timeout_us);
/* Sends what is still queued, waits for answers at most timeout_us, then Bye. Long polls (waits,
 * watches) end at once as PAWL_E_CLOSED, and so does every call after it. No Bye while jobs run or
 * results have no answer: their leases stay, for the next life of this program to claim. */
PAWL_EXPORT pawl_err pawl_client_close(pawl_client_t *self, int64_t timeout_us);
PAWL_EXPORT void pawl_client_destroy(pawl_client_t **self_p); /* never blocks for more than 1 s */
PAWL_EXPORT pawl_state pawl_client_state(const pawl_client_t *self);
PAWL_EXPORT const char *pawl_client_endpoint(const pawl_client_t *self);
/* Of this thread's last failed call on this handle; "" if none. Valid until the next call. */
PAWL_EXPORT const char *pawl_client_error(const pawl_client_t *self);
PAWL_EXPORT const char *pawl_client_error_field(const pawl_client_t *self);
PAWL_EXPORT int64_t pawl_client_error_retry_us(const pawl_client_t *self);
/* An eventfd, readable when pawl_client_poll has something to do. For epoll, libuv, GLib. */
PAWL_EXPORT int pawl_client_fd(const pawl_client_t *self);
/* Runs callbacks that are due; waits up to timeout_us for the first. Returns how many ran. */
PAWL_EXPORT int pawl_client_poll(pawl_client_t *self, int64_t timeout_us);

/* ---- records ---------------------------------------------------------------------------- */

/* What the broker answers is given as records: named fields, read-only. Field names are those of
 * the messages in schemas/pawl.proto (TaskInfo, ScheduleInfo, ...). A new field never changes the
 * ABI. Of a missing or unset field: "" / 0 / false / empty. */
typedef struct pawl_record pawl_record_t;
typedef struct pawl_list pawl_list_t;

typedef enum {
    PAWL_FIELD_NONE, /* no such field */
    PAWL_FIELD_TEXT,
    PAWL_FIELD_BYTES,
    PAWL_FIELD_INT, /* ints, bools and enums */
    PAWL_FIELD_BOOL,
    PAWL_FIELD_ENUM,
    PAWL_FIELD_RECORD,
    PAWL_FIELD_LIST /* repeated: see pawl_record_count */
} pawl_field_kind;

PAWL_EXPORT const char *pawl_record_kind(const pawl_record_t *self); /* "TaskInfo" */
PAWL_EXPORT size_t pawl_record_fields(const pawl_record_t *self);
PAWL_EXPORT const char *pawl_record_field_name(const pawl_record_t *self, size_t i);
PAWL_EXPORT pawl_field_kind pawl_record_field_kind(const pawl_record_t *self, const char *field);
/* Of a list: the kind of its items. */
PAWL_EXPORT pawl_field_kind pawl_record_item_kind(const pawl_record_t *self, const char *field);
PAWL_EXPORT bool pawl_record_has(const pawl_record_t *self, const char *field);
/* Text of a text field; an enum's word in lower case without its prefix ("running"). */
PAWL_EXPORT const char *pawl_record_text(const pawl_record_t *self, const char *field);
PAWL_EXPORT int64_t pawl_record_int(const pawl_record_t *self, const char *field);
PAWL_EXPORT const void *pawl_record_bytes(const pawl_record_t *self, const char *field,
                                          size_t *len);
/* NULL: not set. A bytes field that holds a serialized message (TaskInfo.task, Schedule.task,
 * ScheduleInfo.schedule) keeps the kind BYTES and is given here unpacked, as a record. */
PAWL_EXPORT const pawl_record_t *pawl_record_sub(const pawl_record_t *self, const char *field);
PAWL_EXPORT size_t pawl_record_count(const pawl_record_t *self, const char *field);
PAWL_EXPORT const char *pawl_record_text_at(const pawl_record_t *self, const char *field, size_t i);
PAWL_EXPORT int64_t pawl_record_int_at(const pawl_record_t *self, const char *field, size_t i);
PAWL_EXPORT const pawl_record_t *pawl_record_sub_at(const pawl_record_t *self, const char *field,
                                                    size_t i);
PAWL_EXPORT void pawl_record_destroy(pawl_record_t **self_p); /* only of records that a call made */

/* A list that fetches page after page. next: NULL at the end (err 0) or on failure (err < 0); the
 * record is valid until the next call. */
PAWL_EXPORT const pawl_record_t *pawl_list_next(pawl_list_t *self, pawl_err *err);
PAWL_EXPORT void pawl_list_destroy(pawl_list_t **self_p);

/* ---- a task to submit --------------------------------------------------------------------- */

typedef struct pawl_task pawl_task_t;
PAWL_EXPORT pawl_task_t *pawl_task_new(const char *type); /* "mail/send", "pawl/shell" */
PAWL_EXPORT void pawl_task_destroy(pawl_task_t **self_p);
/* pawl_task_new draws one: the same object submitted again is the same task. For another task with
 * the same fields draw a new one with pawl_id_new; give your own to make resends harmless that
 * outlive the program. */
PAWL_EXPORT void pawl_task_set_id(pawl_task_t *self, const uint8_t id[PAWL_ID_BYTES]);
PAWL_EXPORT void pawl_task_id(const pawl_task_t *self, uint8_t id[PAWL_ID_BYTES]);
PAWL_EXPORT pawl_err pawl_task_set_input(pawl_task_t *self, const void *input, size_t len,
                                         const char *content_type); /* NULL: application/json */
PAWL_EXPORT pawl_err pawl_task_set_argv(pawl_task_t *self, const char *const *argv, size_t n);
PAWL_EXPORT pawl_err pawl_task_set_shell(pawl_task_t *self, const char *command_line);
PAWL_EXPORT pawl_err pawl_task_set_script(pawl_task_t *self, const char *interpreter,
                                          const void *text, size_t len);
/* One of the executor's own secrets: the command gets PAWL_SECRET_NAME_FILE. */
PAWL_EXPORT pawl_err pawl_task_add_secret(pawl_task_t *self, const char *name);
PAWL_EXPORT pawl_err pawl_task_add_env(pawl_task_t *self, const char *name, const char *value);
PAWL_EXPORT pawl_err pawl_task_set_stdin(pawl_task_t *self, const void *bytes, size_t len);
/* Of type pawl/sql: statements for a source of the executor's own file; :name in the text is a
 * parameter. params: JSON, an object by name or a list by position; len 0: the task's input. */
PAWL_EXPORT pawl_err pawl_task_set_sql(pawl_task_t *self, const char *source, const char *text,
                                       const void *params, size_t len);
/* Of type pawl/sql-producer, after pawl_task_set_sql: each row of the query becomes a task like
 * `template` (copied). Columns that fill it: pawl_task_set_text producer.*, and those of its input
 * one by one (none: all). */
PAWL_EXPORT pawl_err pawl_task_set_producer(pawl_task_t *self, const pawl_task_t *template);
PAWL_EXPORT pawl_err pawl_task_add_producer_input(pawl_task_t *self, const char *column);
/* Text fields by name: queue, key, title, operation, cwd, account, target.executor, target.host,
 * target.hash (sticky), fanout.done (all, any, quorum, percent), fanout.offline (wait, skip, fail),
 * producer.key, .priority, .at, .title, .executor, .host, .watermark, .scope. */
PAWL_EXPORT pawl_err pawl_task_set_text(pawl_task_t *self, const char *field, const char *value);
/* Numbers by name: priority (0..9), at_us, delay_us, expire_us, time_limit_us, hold (0/1),
 * retry.max_attempts, retry.backoff_us, retry.factor_milli, retry.cap_us, on_lost (1 retry, 2
 * fail); fanout.count, fanout.done_count, fanout.offline_us, fanout.parallel, fanout.pause_us,
 * fanout.stop_failures, fanout.stop_percent, and 0/1: fanout.late_join, fanout.cancel_rest,
 * fanout.move, producer.dry_run; sql.rows, sql.on_unknown (1 fail, 2 retry), sql.transaction
 * (1 one, 2 none), producer.batch, producer.rows. PAWL_E_BAD_REQUEST: no such field or out of
 * range. */
PAWL_EXPORT pawl_err pawl_task_set_int(pawl_task_t *self, const char *field, int64_t value);
PAWL_EXPORT pawl_err pawl_task_add_label(pawl_task_t *self, const char *key, const char *value);
PAWL_EXPORT pawl_err pawl_task_add_target_label(pawl_task_t *self, const char *key,
                                                const char *value);
/* Makes it a fan-out: one child for each member, each run by its own executor. Members are those
 * that are named, or the enrolled executors with all the labels (none: all that take the type). */
PAWL_EXPORT pawl_err pawl_task_set_fanout(pawl_task_t *self);
PAWL_EXPORT pawl_err pawl_task_add_member(pawl_task_t *self, const char *executor);
PAWL_EXPORT pawl_err pawl_task_add_member_label(pawl_task_t *self, const char *key,
                                                const char *value);

/* ---- submit ----------------------------------------------------------------------------- */

/* Durable when it returns 0. id_out (may be NULL) is the id on record: that of an older task when
 * one with the same key is alive. */
PAWL_EXPORT pawl_err pawl_submit(pawl_client_t *self, const pawl_task_t *task,
                                 uint8_t id_out[PAWL_ID_BYTES], int64_t timeout_us);

typedef struct pawl_batch pawl_batch_t;
PAWL_EXPORT pawl_batch_t *pawl_batch_new(void);
PAWL_EXPORT void pawl_batch_destroy(pawl_batch_t **self_p);
PAWL_EXPORT pawl_err pawl_batch_add(pawl_batch_t *self, const pawl_task_t *task); /* copied */
PAWL_EXPORT size_t pawl_batch_size(const pawl_batch_t *self);
PAWL_EXPORT void pawl_batch_clear(pawl_batch_t *self); /* keeps its memory for the next use */
/* All in one request (split when too large for a message, or for the broker's count of items). 0:
 * sent and answered, see the items. */
PAWL_EXPORT pawl_err pawl_batch_submit(pawl_client_t *client, pawl_batch_t *batch,
                                       int64_t timeout_us);
/* 0: on record; PAWL_E_EMPTY: no answer yet (read items of an operation when it is done). */
PAWL_EXPORT pawl_err pawl_batch_item_error(const pawl_batch_t *self, size_t i);
PAWL_EXPORT const char *pawl_batch_item_text(const pawl_batch_t *self, size_t i);
PAWL_EXPORT void pawl_batch_item_id(const pawl_batch_t *self, size_t i, uint8_t id[PAWL_ID_BYTES]);

/* Asynchronous: op is done when the answer is there; wait for it, poll it, or be called. The op of
 * a single task has that task's refusal as its result; that of a batch has 0 or what befell a whole
 * request. The batch may be destroyed first. */
typedef struct pawl_op pawl_op_t;
typedef void pawl_op_fn(pawl_op_t *op, void *arg);
PAWL_EXPORT pawl_op_t *pawl_submit_op(pawl_client_t *self, const pawl_task_t *task, pawl_err *err);
PAWL_EXPORT pawl_op_t *pawl_batch_submit_op(pawl_client_t *self, pawl_batch_t *batch,
                                            pawl_err *err);
PAWL_EXPORT bool pawl_op_done(const pawl_op_t *self);
PAWL_EXPORT pawl_err pawl_op_wait(pawl_op_t *self, int64_t timeout_us); /* its result, or TIMEOUT */
PAWL_EXPORT pawl_err pawl_op_result(const pawl_op_t *self);
/* Called once, inside pawl_client_poll. Set before or after it is done. */
PAWL_EXPORT void pawl_op_on_done(pawl_op_t *self, pawl_op_fn *fn, void *arg);
PAWL_EXPORT void pawl_op_destroy(pawl_op_t **self_p); /* what was sent stays sent */

/* ---- tasks ------------------------------------------------------------------------------- */

PAWL_EXPORT pawl_err pawl_task_get(pawl_client_t *self, const uint8_t id[PAWL_ID_BYTES],
                                   pawl_record_t **task, int64_t timeout_us);
/* By what a person typed: a whole id or a unique prefix. PAWL_E_AMBIGUOUS, PAWL_E_NOT_FOUND. */
PAWL_EXPORT pawl_err pawl_task_find(pawl_client_t *self, const char *text, pawl_record_t **task,
                                    int64_t timeout_us);
typedef struct pawl_filter pawl_filter_t;
PAWL_EXPORT pawl_filter_t *pawl_filter_new(void);
PAWL_EXPORT void pawl_filter_destroy(pawl_filter_t **self_p);
/* status (may be added many times), type, queue, schedule, executor, key, text, label (k=v),
 * since_us, until_us, newest_first (1), parent (id as text: the children of a fan-out, in the order
 * of their index), roots (1: no children). Numbers as decimal text. */
PAWL_EXPORT pawl_err pawl_filter_add(pawl_filter_t *self, const char *key, const char *value);
PAWL_EXPORT pawl_err pawl_task_list(pawl_client_t *self, const pawl_filter_t *filter,
                                    pawl_list_t **list, int64_t timeout_us);
/* Waits until all (or any) of the tasks have ended. PAWL_E_TIMEOUT: not yet. */
PAWL_EXPORT pawl_err pawl_task_wait(pawl_client_t *self, const uint8_t *ids, size_t n, bool any,
                                    int64_t timeout_us);
/* verb: cancel, retry, start, hold. refused (may be NULL): how many were refused; the first
 * refusal is the handle's error. Returns 0 when none was refused, else the first refusal. */
PAWL_EXPORT pawl_err pawl_task_change(pawl_client_t *self, const char *verb, const uint8_t *ids,
                                      size_t n, const char *reason, size_t *refused,
                                      int64_t timeout_us);
/* The same, and `each` is told every refusal as it comes: whose, and a sentence why. */
typedef void pawl_refusal_fn(void *arg, const uint8_t id[PAWL_ID_BYTES], pawl_err err,
                             const char *why);
PAWL_EXPORT pawl_err pawl_task_change_each(pawl_client_t *self, const char *verb,
                                           const uint8_t *ids, size_t n, const char *reason,
                                           pawl_refusal_fn *each, void *arg, size_t *refused,
                                           int64_t timeout_us);
/* Ends an external task, or moves its deadline: whoever has the completion token of the attempt
 * (pawl_job_completion, PAWL_COMPLETION of a command) may. verb: done (with an output), fail,
 * fail-for-good, extend (deadline in `by_us` from now). While the attempt still runs the call waits
 * for it within timeout_us. id_out (may be NULL): the task. */
typedef struct pawl_completion {
    const char *verb, *token;
    const void *output; /* at most 1 MiB */
    size_t output_len;
    const char *output_type; /* NULL: application/json */
    const char *message;     /* may be NULL */
    int64_t by_us;
} pawl_completion_t;
PAWL_EXPORT pawl_err pawl_task_complete(pawl_client_t *self, const pawl_completion_t *completion,
                                        uint8_t id_out[PAWL_ID_BYTES], int64_t timeout_us);
PAWL_EXPORT pawl_err pawl_task_why(pawl_client_t *self, const uint8_t id[PAWL_ID_BYTES],
                                   pawl_record_t **why, int64_t timeout_us);
/* Log of an attempt (0 = the last): one answer, a LogData record. wait_us: long poll for more. */
PAWL_EXPORT pawl_err pawl_log_read(pawl_client_t *self, const uint8_t id[PAWL_ID_BYTES],
                                   unsigned attempt, uint64_t offset, int64_t wait_us,
                                   pawl_record_t **log, int64_t timeout_us);
/* Log of the next lease after `token` (0: the first) that wrote something: an attempt that was
 * asked again has one for each poll. `token` of the record says whose it is; 0: there is none. */
PAWL_EXPORT pawl_err pawl_log_next(pawl_client_t *self, const uint8_t id[PAWL_ID_BYTES],
                                   uint64_t token, uint64_t offset, pawl_record_t **log,
                                   int64_t timeout_us);

/* Events with a sequence, from `from_seq` (0 = from now on). fn runs inside pawl_client_poll; a gap
 * (older rows are gone) is told by an event of kind "gap", whose seq is the oldest one left; a
 * refusal by one of kind "error", with its text in detail, after which the watch is over. Return
 * false from fn to end it. The next events are fetched when these have been told. */
typedef struct pawl_watch pawl_watch_t;
typedef bool pawl_event_fn(const pawl_record_t *event, void *arg);
PAWL_EXPORT pawl_watch_t *pawl_watch_new(pawl_client_t *self, uint64_t from_seq, pawl_event_fn *fn,
                                         void *arg);
PAWL_EXPORT uint64_t pawl_watch_seq(const pawl_watch_t *self); /* next one wanted */
/* What ended it: a refusal, once it has been told, or that there was no memory; 0: nothing. */
PAWL_EXPORT pawl_err pawl_watch_error(const pawl_watch_t *self);
PAWL_EXPORT void pawl_watch_destroy(pawl_watch_t **self_p);
PAWL_EXPORT pawl_err pawl_event_list(pawl_client_t *self, uint64_t from_seq, pawl_list_t **list,
                                     int64_t timeout_us);

/* ---- schedules ---------------------------------------------------------------------------- */

typedef struct pawl_schedule pawl_schedule_t;
PAWL_EXPORT pawl_schedule_t *pawl_schedule_new(const char *name);
PAWL_EXPORT void pawl_schedule_destroy(pawl_schedule_t **self_p);
/* rule, zone, exclusions, title, mode (normal|latest|strict), overlap (allow|skip|...),
 * on_resume (catchup|skip|latest). Of the last three "" is the default; overlap's and on_resume's
 * follow the mode. */
PAWL_EXPORT pawl_err pawl_schedule_set_text(pawl_schedule_t *self, const char *field,
                                            const char *value);
/* grace_us, window_us, ahead, rate, jitter_us, supersede, start_by_us, max_running, from_us, to_us,
 * max_firings, after_us (a fixed delay behind each end, in place of a rule). */
PAWL_EXPORT pawl_err pawl_schedule_set_int(pawl_schedule_t *self, const char *field, int64_t value);
/* also (more rules), calendars (names): the whole list, copied. */
PAWL_EXPORT pawl_err pawl_schedule_set_list(pawl_schedule_t *self, const char *field,
                                            const char *const *values, size_t n);
/* What schedulers and lists may choose it by; with a key that is there already: its new value. A
 * value of NULL takes the label away, a key of NULL all of them. */
PAWL_EXPORT pawl_err pawl_schedule_set_label(pawl_schedule_t *self, const char *key,
                                             const char *value);
/* The task is copied. */
PAWL_EXPORT pawl_err pawl_schedule_set_task(pawl_schedule_t *self, const pawl_task_t *task);
/* if_revision: -1 whatever stands there, 0 must not exist, n that revision. cursor, of an edit:
 * NULL or "keep" (refused as a contradiction when rule or zone are new), "now" (undecided instants
 * are on record as skipped), "" (a new rule begins now; in mode strict the old one's backlog
 * becomes a range), or an instant in microseconds as digits: the old rule up to it, the new one
 * from then on. made (may be NULL): the ScheduleInfo on record. */
PAWL_EXPORT pawl_err pawl_schedule_put(pawl_client_t *self, const pawl_schedule_t *schedule,
                                       int64_t if_revision, const char *cursor,
                                       pawl_record_t **made, int64_t timeout_us);
/* Many in few requests. Each item is done or refused by itself: its err is 0 or the reason, in
 * words in its why. The function's own error says that from some item on nothing is known: those
 * items have that err. An item whose cursor is an instant is a request of its own. Where the
 * cursors stand afterwards is not told: cursor_us of pawl_schedule_get or of a list says it. */
typedef struct pawl_schedule_item {
    const pawl_schedule_t *schedule;
    int64_t if_revision; /* as in pawl_schedule_put */
    const char *cursor;  /* likewise, NULL and "" included */
    pawl_err err;
    char why[200];
} pawl_schedule_item_t;
PAWL_EXPORT pawl_err pawl_schedule_put_many(pawl_client_t *self, pawl_schedule_item_t *items,
                                            size_t n, int64_t timeout_us);
PAWL_EXPORT pawl_err pawl_schedule_get(pawl_client_t *self, const char *name,
                                       pawl_record_t **schedule, int64_t timeout_us);
/* The same as an object to edit and put back. */
PAWL_EXPORT pawl_err pawl_schedule_load(pawl_client_t *self, const char *name,
                                        pawl_schedule_t **schedule, uint64_t *revision,
                                        int64_t timeout_us);
PAWL_EXPORT pawl_err pawl_schedule_list(pawl_client_t *self, const char *text, pawl_list_t **list,
                                        int64_t timeout_us);
/* The same with a choice by labels, terms joined by commas that must all hold: team=ops, env!=test,
 * site (has such a label), !draft (has none). */
PAWL_EXPORT pawl_err pawl_schedule_list_select(pawl_client_t *self, const char *text,
                                               const char *select, pawl_list_t **list,
                                               int64_t timeout_us);
/* All of them, each row with its definition, as pawl_schedule_get tells it. */
PAWL_EXPORT pawl_err pawl_schedule_list_whole(pawl_client_t *self, pawl_list_t **list,
                                              int64_t timeout_us);
/* The same of those that are named, in this order; who does not exist is left out. n at least 1;
 * the names are borrowed until the list is destroyed. */
PAWL_EXPORT pawl_err pawl_schedule_list_named(pawl_client_t *self, const char *const *names,
                                              size_t n, pawl_list_t **list, int64_t timeout_us);
/* verb: pause, resume, now, remove. option (may be NULL): of resume catchup|skip|latest, of now an
 * overlap word. id_out (may be NULL): the task that `now` made. */
PAWL_EXPORT pawl_err pawl_schedule_change(pawl_client_t *self, const char *verb, const char *name,
                                          const char *reason, const char *option,
                                          uint8_t id_out[PAWL_ID_BYTES], int64_t timeout_us);
/* Verdicts, oldest first, one record an instant. from_us, to_us: 0 = no bound. name: or the uid, as
 * pawl_id_print writes it, of a schedule that was removed. */
PAWL_EXPORT pawl_err pawl_schedule_history(pawl_client_t *self, const char *name, int64_t from_us,
                                           int64_t to_us, bool missed_only, pawl_list_t **list,
                                           int64_t timeout_us);
/* Blackout calendars. entries: a date, a range, MM-DD, a weekday, "days DOM MONTH DOW" each.
 * if_revision: -1 whatever stands there, 0 must not exist, else that of its record. A change is an
 * edit of every schedule that uses it; one in use is not removed (PAWL_E_IN_USE). */
PAWL_EXPORT pawl_err pawl_calendar_put(pawl_client_t *self, const char *name,
                                       const char *const *entries, size_t n, const char *title,
                                       int64_t if_revision, int64_t timeout_us);
PAWL_EXPORT pawl_err pawl_calendar_get(pawl_client_t *self, const char *name,
                                       pawl_record_t **calendar, int64_t timeout_us);
PAWL_EXPORT pawl_err pawl_calendar_list(pawl_client_t *self, pawl_list_t **list,
                                        int64_t timeout_us);
PAWL_EXPORT pawl_err pawl_calendar_remove(pawl_client_t *self, const char *name,
                                          int64_t timeout_us);

/* Whose watermark: one of them, the others NULL. name: of the scope that producers of `principal`
 * (NULL: the caller) have named; scope: the field of its record. task: a producer; then it is the
 * one that this producer uses. */
typedef struct pawl_watermark_of {
    const char *schedule, *name, *principal;
    const uint8_t *task, *scope; /* PAWL_ID_BYTES */
} pawl_watermark_of_t;
/* How far producers have come: WatermarkInfo records. */
PAWL_EXPORT pawl_err pawl_watermark_list(pawl_client_t *self, pawl_list_t **list,
                                         int64_t timeout_us);
PAWL_EXPORT pawl_err pawl_watermark_get(pawl_client_t *self, const pawl_watermark_of_t *of,
                                        pawl_record_t **watermark, int64_t timeout_us);
/* json: the value of `:watermark` in the next run, at most 1,024 bytes. if_revision: -1 whatever
 * stands there, 0 there must be none, else that of its record (PAWL_E_CONFLICT). While a producer
 * of it runs: PAWL_E_IN_USE, or with force that attempt makes no more tasks and fails, and the next
 * one goes on from the new value. */
PAWL_EXPORT pawl_err pawl_watermark_set(pawl_client_t *self, const pawl_watermark_of_t *of,
                                        const void *json, size_t len, int64_t if_revision,
                                        bool force, int64_t timeout_us);
PAWL_EXPORT pawl_err pawl_watermark_remove(pawl_client_t *self, const pawl_watermark_of_t *of,
                                           int64_t if_revision, bool force, int64_t timeout_us);
/* Runs the instants of [from_us, to_us), past or to come, beside the live ones: a range. The texts
 * may be NULL: oldest first; the schedule's overlap policy, queue_all where that would drop
 * instants. rate: tasks a second, 0 the schedule's. stop: at the first task that fails. *range (may
 * be NULL): its number. */
typedef struct pawl_backfill {
    int64_t from_us, to_us;
    const char *order, *overlap;
    uint32_t rate;
    bool stop;
} pawl_backfill_t;
PAWL_EXPORT pawl_err pawl_schedule_backfill(pawl_client_t *self, const char *name,
                                            const pawl_backfill_t *backfill, uint32_t *range,
                                            int64_t timeout_us);
/* verb: pause, resume, cancel (what is left is on record as skipped). */
PAWL_EXPORT pawl_err pawl_range_change(pawl_client_t *self, const char *verb, const char *name,
                                       uint32_t range, int64_t timeout_us);
/* RangeInfo records, in order of their numbers; all: those that are done too. */
PAWL_EXPORT pawl_err pawl_range_list(pawl_client_t *self, const char *name, bool all,
                                     pawl_list_t **list, int64_t timeout_us);
/* Compares what is on record with the rules it was decided by. *page: AuditItems, with the spans
 * and the problems that were found; its `next` is the `after` of the next page, 0: that was all.
 * from_us, to_us: 0 = no bound. */
PAWL_EXPORT pawl_err pawl_schedule_audit(pawl_client_t *self, const char *name, int64_t from_us,
                                         int64_t to_us, uint32_t after, pawl_record_t **page,
                                         int64_t timeout_us);
/* What an outage of all schedulers from down_from_us until down_to_us does to a schedule: decided
 * by the broker's own code, on nothing that is kept. until_us: where to stop, 0 = three instants
 * after it has caught up. takes_us: how long each run lasts, 0 = a second. Of the schedule `name`
 * or, when `schedule` is not NULL, of that one as it would be put. *rehearsal: a Rehearsal record.
 */
typedef struct pawl_outage {
    int64_t down_from_us, down_to_us, until_us, takes_us;
} pawl_outage_t;
PAWL_EXPORT pawl_err pawl_schedule_rehearse(pawl_client_t *self, const char *name,
                                            const pawl_schedule_t *schedule,
                                            const pawl_outage_t *outage, pawl_record_t **rehearsal,
                                            int64_t timeout_us);
/* What a scheduler stands on. fn runs inside pawl_client_poll: first once for each schedule, then
 * for each change (field `removed` set for the last time); again from the start after a reconnect
 * (a call with schedule NULL says: forget what you had). One follow per handle. */
typedef void pawl_follow_fn(const pawl_record_t *schedule, void *arg);
PAWL_EXPORT pawl_err pawl_schedule_follow(pawl_client_t *self, pawl_follow_fn *fn, void *arg);
/* The same for very many: `schedule` holds uid, revision, cursor_us, next_us (0: never), jitter_us,
 * state and removed, nothing else. `select` as in pawl_schedule_list_select: others are not told,
 * and one whose labels change so that it is not chosen any more comes once more as removed. What is
 * due within seconds comes first. After a reconnect BEGIN says that the list comes again: what was
 * told before stays true enough to go on with (a proposal with an old cursor is answered conflict
 * and changes nothing), until END: what did not come between them is gone. */
typedef enum {
    PAWL_FOLLOW_BEGIN = 1,
    PAWL_FOLLOW_SCHEDULE,
    PAWL_FOLLOW_END,
} pawl_follow_what;
typedef void pawl_follow_select_fn(pawl_follow_what what, const pawl_record_t *schedule, void *arg);
PAWL_EXPORT pawl_err pawl_schedule_follow_select(pawl_client_t *self, const char *select,
                                                 pawl_follow_select_fn *fn, void *arg);
typedef struct pawl_proposal {
    uint8_t uid[16];
    uint64_t revision;
    int64_t expect_cursor_us, new_cursor_us;
    uint16_t range; /* for this range of the schedule, with its revision and cursor; 0: itself */
} pawl_proposal_t;
/* Asks for verdicts up to new_cursor_us of each. fn (inside pawl_client_poll) gets the Proposed
 * record, its items in order of the proposals, or NULL and the error when it failed as a whole. */
typedef void pawl_propose_fn(const pawl_record_t *answer, pawl_err err, void *arg);
PAWL_EXPORT pawl_err pawl_propose(pawl_client_t *self, const pawl_proposal_t *items, size_t n,
                                  pawl_propose_fn *fn, void *arg);

/* ---- operation ----------------------------------------------------------------------------- */

PAWL_EXPORT pawl_err pawl_queue_list(pawl_client_t *self, pawl_list_t **list, int64_t timeout_us);
PAWL_EXPORT pawl_err pawl_queue_change(pawl_client_t *self, const char *name, bool pause,
                                       const char *reason, int64_t timeout_us);
PAWL_EXPORT pawl_err pawl_executor_list(pawl_client_t *self, const char *name, pawl_list_t **list,
                                        int64_t timeout_us);
PAWL_EXPORT pawl_err pawl_executor_change(pawl_client_t *self, const char *name, bool drain,
                                          const char *reason, int64_t timeout_us);
/* Its process drains, at most within_us (0: as its own file says), and ends. */
PAWL_EXPORT pawl_err pawl_executor_stop(pawl_client_t *self, const char *name, int64_t within_us,
                                        const char *reason, int64_t timeout_us);
/* It will not come back: no member of fan-outs any more. Refused (PAWL_E_WRONG_STATUS) while it is
 * connected or holds tasks. */
PAWL_EXPORT pawl_err pawl_executor_retire(pawl_client_t *self, const char *name, const char *reason,
                                          int64_t timeout_us);
PAWL_EXPORT pawl_err pawl_peer_list(pawl_client_t *self, pawl_list_t **list, int64_t timeout_us);
/* The JSON object that the stats socket publishes too; schemas/README.md, section 12, tells its
 * fields. Free with free(). */
PAWL_EXPORT pawl_err pawl_stats_json(pawl_client_t *self, char **json, int64_t timeout_us);
PAWL_EXPORT pawl_err pawl_broker_status(pawl_client_t *self, pawl_record_t **status,
                                        int64_t timeout_us);

/* ---- worker -------------------------------------------------------------------------------- */

/* A program that runs tasks. Two styles: callbacks in threads of its own (pawl_worker_type with fn,
 * then pawl_worker_start), or pull (pawl_worker_next from threads of yours). The executor of Pawl
 * is written with the pull style. The client must have been made with role "executor".
 *
 * Results are kept and resent until the broker has answered each: DONE, RECOVERED, STALE, LATE or
 * UNKNOWN. An outbox hook lets a program keep them on disk before they leave. */
typedef struct pawl_worker pawl_worker_t;
typedef struct pawl_job pawl_job_t;
/* Must end the job by one of the verbs below. */
typedef void pawl_work_fn(pawl_job_t *job, void *arg);

PAWL_EXPORT pawl_worker_t *pawl_worker_new(pawl_client_t *client);
/* Joins its threads: waits for running callbacks. Jobs not ended are given back: their pointers are
 * dead. Waits for the answers at most 1 s. No other thread may be inside a call on it. */
PAWL_EXPORT void pawl_worker_destroy(pawl_worker_t **self_p);
/* What it serves is set before the start (PAWL_E_CONFIG after it). A callback that returns without
 * having ended its job fails it. fn NULL: pull. */
PAWL_EXPORT pawl_err pawl_worker_type(pawl_worker_t *self, const char *type, pawl_work_fn *fn,
                                      void *arg);
PAWL_EXPORT pawl_err pawl_worker_kind(pawl_worker_t *self, const char *kind); /* default worker */
PAWL_EXPORT pawl_err pawl_worker_queue(pawl_worker_t *self, const char *queue);
PAWL_EXPORT pawl_err pawl_worker_label(pawl_worker_t *self, const char *key, const char *value);
/* What scripts may be given to here; a task that needs one comes only to who has it. */
PAWL_EXPORT pawl_err pawl_worker_interpreter(pawl_worker_t *self, const char *name,
                                             const char *version);
/* A database it has: tasks that name it as their source come only to who has it. */
PAWL_EXPORT pawl_err pawl_worker_source(pawl_worker_t *self, const char *name);
PAWL_EXPORT pawl_err pawl_worker_slots(pawl_worker_t *self, unsigned slots); /* default 1 */
/* Leases it may hold beyond its slots, so that the next task is already there. Default: slots, at
 * least 1 and at most 64. May be changed at any time. */
PAWL_EXPORT pawl_err pawl_worker_prefetch(pawl_worker_t *self, unsigned extra);
/* Leases that came longer ago and found no slot go back to the broker, unrun and uncounted. How
 * many they were. */
PAWL_EXPORT size_t pawl_worker_return_waiting(pawl_worker_t *self, int64_t older_us);
/* Must be quick and must not call libpawl. store is called by the thread that ends the job, settled
 * on the I/O thread: both at once, perhaps. store: keep this result (an opaque run of bytes) before
 * it is sent; 0 = kept, else the job is not ended and the verb that ended it returns the error.
 * settled: it was answered, forget it; verdict is done, recovered, stale, late or unknown. Only of
 * results that were stored or restored. */
typedef struct pawl_outbox {
    int (*store)(void *arg, const uint8_t id[PAWL_ID_BYTES], uint64_t token, const void *bytes,
                 size_t len);
    void (*settled)(void *arg, const uint8_t id[PAWL_ID_BYTES], uint64_t token,
                    const char *verdict);
    void *arg;
} pawl_outbox_t;
PAWL_EXPORT void pawl_worker_outbox(pawl_worker_t *self, const pawl_outbox_t *outbox); /* copied */
/* Before start: a result kept by an earlier life of this program; it is reported again. */
PAWL_EXPORT pawl_err pawl_worker_restore(pawl_worker_t *self, const uint8_t id[PAWL_ID_BYTES],
                                         uint64_t token, const void *bytes, size_t len);
/* Says Hello as an executor and begins to take work; starts `slots` threads if types have fns. On
 * PAWL_E_UNREACHABLE it has started all the same and goes on trying to connect. */
PAWL_EXPORT pawl_err pawl_worker_start(pawl_worker_t *self, int64_t timeout_us);
/* Takes no new work; returns 0 when nothing runs and every result is answered, else TIMEOUT. Leases
 * not begun are given back. */
PAWL_EXPORT pawl_err pawl_worker_drain(pawl_worker_t *self, int64_t timeout_us);
PAWL_EXPORT void pawl_worker_resume(pawl_worker_t *self);
/* Somebody wants this process to drain, within so long (0: as it thinks right), and to end: `pawl
 * executor stop`. */
PAWL_EXPORT bool pawl_worker_end_wanted(const pawl_worker_t *self, int64_t *within_us);
PAWL_EXPORT bool pawl_worker_draining(const pawl_worker_t *self); /* by us or by the broker */
/* Pull: the next job, PAWL_E_TIMEOUT when none came (or all slots are in use), PAWL_E_CLOSED when
 * the handle is. Counts against slots until it is ended. Lowers pawl_worker_fd when it has none. */
PAWL_EXPORT pawl_err pawl_worker_next(pawl_worker_t *self, pawl_job_t **job, int64_t timeout_us);
/* An eventfd, readable when pawl_worker_next has a job or a directive came. */
PAWL_EXPORT int pawl_worker_fd(const pawl_worker_t *self);

PAWL_EXPORT const uint8_t *pawl_job_id(const pawl_job_t *self); /* 16 bytes */
PAWL_EXPORT uint64_t pawl_job_token(const pawl_job_t *self);
PAWL_EXPORT unsigned pawl_job_attempt(const pawl_job_t *self);
PAWL_EXPORT unsigned pawl_job_attempts_max(const pawl_job_t *self);
PAWL_EXPORT int64_t pawl_job_planned_us(const pawl_job_t *self);
/* Mode latest: how many missed instants this one run stands for, its own included (0: only for its
 * own), and the first and the last of them. */
PAWL_EXPORT uint64_t pawl_job_folded(const pawl_job_t *self, int64_t *first_us, int64_t *last_us);
PAWL_EXPORT const char *pawl_job_schedule(const pawl_job_t *self); /* "" if none */
/* Of a fan-out's child: its parent (NULL: it is none), its place among its siblings from 0 on, and
 * how many they are (0: it is none). */
PAWL_EXPORT const uint8_t *pawl_job_parent(const pawl_job_t *self);
PAWL_EXPORT unsigned pawl_job_shard_index(const pawl_job_t *self);
PAWL_EXPORT unsigned pawl_job_shard_total(const pawl_job_t *self);
PAWL_EXPORT const char *pawl_job_type(const pawl_job_t *self);
PAWL_EXPORT const void *pawl_job_input(const pawl_job_t *self, size_t *len);
PAWL_EXPORT const pawl_record_t *pawl_job_task(const pawl_job_t *self); /* the whole Task */
/* What an outside system needs to end the attempt once it is external: 64 hexadecimal digits. */
PAWL_EXPORT const char *pawl_job_completion(const pawl_job_t *self);
/* How often this attempt said "ask again", and what the last time left ("" and 0: nothing). */
PAWL_EXPORT unsigned pawl_job_polls(const pawl_job_t *self);
PAWL_EXPORT const void *pawl_job_poll_state(const pawl_job_t *self, size_t *len);
/* Of a task with `exclusive`: until when this attempt may run, unless answers of the broker move it
 * on (microseconds of CLOCK_BOOTTIME); by then it must have ended, or another may run beside it.
 * INT64_MAX: no bound. */
PAWL_EXPORT int64_t pawl_job_until_us(const pawl_job_t *self);
typedef enum { PAWL_RUN, PAWL_CANCEL, PAWL_FENCED } pawl_job_state;
/* PAWL_CANCEL: somebody cancelled it, stop and call pawl_job_cancelled. PAWL_FENCED: another has
 * it or the broker does not know it: stop hard, the result will be STALE. */
PAWL_EXPORT pawl_job_state pawl_job_state_of(const pawl_job_t *self);
/* eventfd: readable when the state left RUN. It is the job's: only wait on it. */
PAWL_EXPORT int pawl_job_fd(const pawl_job_t *self);
PAWL_EXPORT pawl_err pawl_job_progress(pawl_job_t *self, int64_t done, int64_t total,
                                       const char *text);
/* stream: 1 stdout, 2 stderr, 3 notes. Buffered, sent with the next report at the latest after
 * 200 ms; PAWL_E_BACKPRESSURE when 4 MiB wait: stop reading the pipe for a moment. */
PAWL_EXPORT pawl_err pawl_job_log(pawl_job_t *self, int stream, const void *bytes, size_t len);
/* The next `len` bytes of the attempt's log are not sent: what follows stands that much further on,
 * and readers see the hole. */
PAWL_EXPORT void pawl_job_log_skip(pawl_job_t *self, uint64_t len);
/* At most 1 MiB (TOO_LARGE). content_type NULL: application/json. */
PAWL_EXPORT pawl_err pawl_job_output(pawl_job_t *self, const void *bytes, size_t len,
                                     const char *content_type);
PAWL_EXPORT void pawl_job_exit(pawl_job_t *self, int exit_code, int signal); /* for the record */
PAWL_EXPORT void pawl_job_usage(pawl_job_t *self, int64_t cpu_us, int64_t memory_bytes);
PAWL_EXPORT void pawl_job_started(pawl_job_t *self, int64_t started_us); /* default: when taken */
/* A row that becomes a task: serialized Task without id, and what tells the row apart: its key, or
 * (key NULL) a hash of its content. */
enum { PAWL_CONTENT_BYTES = 32 };
typedef struct pawl_produce_item {
    const void *task;
    size_t task_len;
    const char *key;
    const uint8_t *content;
} pawl_produce_item_t;
/* Of a job of type pawl/sql-producer: all of them become tasks, in one transaction with the
 * watermark (a JSON value; NULL: it stays), or nothing does. Called again with the same rows it
 * makes nothing twice. *answer: the record Produced, to be destroyed. PAWL_E_STALE: the lease is
 * gone. errbuf gets the sentence of an error. n 0: only asks. */
PAWL_EXPORT pawl_err pawl_job_produce(pawl_job_t *self, const pawl_produce_item_t *items, size_t n,
                                      const void *watermark, size_t watermark_len,
                                      pawl_record_t **answer, char *errbuf, size_t errlen,
                                      int64_t timeout_us);
/* Each of these ends the job, destroys it and leaves NULL. On an error (of the outbox, or when
 * memory is out) the job stays and the call may be made again. Of message the first 500 bytes are
 * kept, made valid UTF-8 on one line. */
PAWL_EXPORT pawl_err pawl_job_finish(pawl_job_t **self_p, const char *message);
PAWL_EXPORT pawl_err pawl_job_fail(pawl_job_t **self_p, const char *message, bool permanent);
PAWL_EXPORT pawl_err pawl_job_timed_out(pawl_job_t **self_p, const char *message);
PAWL_EXPORT pawl_err pawl_job_cancelled(pawl_job_t **self_p, const char *message);
PAWL_EXPORT pawl_err pawl_job_give_back(pawl_job_t **self_p, const char *message);
PAWL_EXPORT pawl_err pawl_job_retry_after(pawl_job_t **self_p, int64_t delay_us,
                                          const char *message);
/* Not done yet: the same attempt is asked again after delay_us, here or elsewhere, and gets `state`
 * (at most 64 KiB). Bounded by the task's `poll`. */
PAWL_EXPORT pawl_err pawl_job_again(pawl_job_t **self_p, int64_t delay_us, const void *state,
                                    size_t len, const char *message);
/* Accepted, somebody else ends it: the task is external until pawl_task_complete, at most
 * deadline_us (0: 24 h), after which the attempt has timed out. */
PAWL_EXPORT pawl_err pawl_job_external(pawl_job_t **self_p, int64_t deadline_us, const char *note);

#ifdef __cplusplus
}
#endif
#endif
