/* SPDX-License-Identifier: Apache-2.0
 * broker/store/record.h - keys and values of every table: encode and decode. schemas/STORE.md is
 * the same in words. Pure; nothing here touches a store.
 *
 * Keys are big-endian, values begin with a version byte; the checksum behind them is the store's
 * business. Decoders return false for bytes that are too short, too new or inconsistent: the caller
 * answers ERR_CORRUPT. Times: *_wall_us is calendar time, *_us without `wall` is broker time. */
#ifndef BROKER_STORE_RECORD_H
#define BROKER_STORE_RECORD_H

#include "client/base/base.h"
#include "schemas/limits.h"

enum { KEY_MAX = 320, RECORD_VERSION = 1, STORE_FORMAT = 1 };

/* A key being built; `slice_of(&key)` borrows it. */
typedef struct rec_key {
    uint8_t at[KEY_MAX];
    size_t len;
} rec_key_t;
static inline slice_t key_slice(const rec_key_t *key)
{
    return slice(key->at, key->len);
}

/* ---- meta: key u8 ---------------------------------------------------------------------------- */
enum { META_STATIC = 1, META_DYNAMIC = 2 };
rec_key_t key_u8(uint8_t value);
typedef struct meta_static {
    uint16_t format, generation; /* generation: high 16 bits of every token, raised by a restore */
    uint8_t store_id[16], secret[32];
    int64_t created_wall_us;
    bool numbers_order; /* ids of rows with a number for a key follow it (produced_id); version 2 */
} meta_static_t;
typedef struct meta_dynamic {
    uint64_t epoch, batch, next_n, next_seq;
    int64_t broker_us, wall_us;
    uint32_t next_no[16]; /* next number of each names kind, see name_kind */
} meta_dynamic_t;
void meta_static_encode(const meta_static_t *self, buf_t *to);
bool meta_static_decode(meta_static_t *self, slice_t from);
void meta_dynamic_encode(const meta_dynamic_t *self, buf_t *to);
bool meta_dynamic_decode(meta_dynamic_t *self, slice_t from);

/* ---- ids: id 16 -> what it stands for -------------------------------------------------------- */
enum { ID_TASK = 1, ID_ALIAS = 2, ID_TOMBSTONE = 3 };
rec_key_t key_id(const uint8_t id[16]);
typedef struct id_row {
    uint8_t kind;
    uint64_t n;        /* alias: of the task that answered for it */
    uint32_t expiry_s; /* tombstone: wall seconds; 0 otherwise */
} id_row_t;
void id_row_encode(const id_row_t *self, buf_t *to);
bool id_row_decode(id_row_t *self, slice_t from);

/* ---- spec: n -> header, body (a serialized Task as it came) ---------------------------------- */
rec_key_t key_n(uint64_t n);
enum {
    SPEC_HELD = 1, /* where it was first placed; none of these and not BLOCKED: ready */
    SPEC_DELAYED = 2,
    SPEC_PARKED = 4,
    SPEC_SCHEDULED = 8,  /* schedule and instant follow */
    SPEC_PARTS = 16,     /* the body lies in part rows of kind PART_SPEC */
    SPEC_KEYED = 32,     /* holds a uniq row */
    SPEC_EXPIRES = 64,   /* expire_wall_us is set */
    SPEC_MANUAL = 128,   /* made by run-now: no instant of the ledger */
    SPEC_LATE = 256,     /* in the late band */
    SPEC_PARENT = 1024,  /* of a fan-out: a fam row stands beside it, and it never has a lease */
    SPEC_CHILD = 2048,   /* parent and index follow; its body is its parent's */
    SPEC_BLOCKED = 4096, /* a child that was not released at once */
    SPEC_FIRING = 16384, /* of a range, folded, or counted at a gate of its own: see firing_* */
};
enum { FIRING_RANGE = 1, FIRING_FOLDED = 2, FIRING_GATE = 4 };
typedef struct spec_row {
    uint16_t flags;
    uint8_t priority;
    uint32_t attempts_max; /* counted tries before it fails for good */
    uint32_t lane, principal, queue, type;
    int64_t created_wall_us;
    int64_t due_us; /* of its ready key: broker time it became ready + priority offset */
    uint8_t id[16];
    uint32_t schedule; /* SPEC_SCHEDULED */
    int64_t instant_wall_us;
    uint64_t parent; /* SPEC_CHILD: number of its parent, */
    uint32_t index;  /* and its place among its siblings */
    uint8_t firing;  /* SPEC_FIRING: FIRING_* */
    uint16_t range;  /* of that range of its schedule; 0: of its own line of time, or by hand */
    int64_t folded_first_us; /* it stands for folded_count instants from here to its own */
    uint64_t folded_count;   /* 0: only for itself */
    uint8_t gate[16];        /* counts there; without it: at its schedule's own gate */
    int64_t timer_at;        /* SPEC_DELAYED: at (clock below), to find its timer row */
    uint8_t timer_clock;
    int64_t expire_us; /* SPEC_EXPIRES: on timer_clock's... see timer kinds; wall for start_by */
    uint8_t expire_clock;
    uint32_t body_len;
    slice_t body; /* borrowed; empty when SPEC_PARTS */
} spec_row_t;
void spec_row_encode(const spec_row_t *self, buf_t *to);
bool spec_row_decode(spec_row_t *self, slice_t from);

/* ---- part: n, kind, token, part -> bytes ----------------------------------------------------- */
enum {
    PART_SPEC = 1,
    PART_OUTPUT = 2,
    PART_POLL = 5,      /* token 0: what the last poll of the running attempt left for the next */
    PART_TOMBSTONE = 4, /* the id of a purged task, or (own n) of one that another answered for */
};
rec_key_t key_part(uint64_t n, uint8_t kind, uint64_t token, uint16_t part);

/* ---- state: n -> what is known beyond spec and run ------------------------------------------- */
/* Exists only once the first attempt ended or somebody or a timer intervened. Without it: a run row
 * means running, else the spec's flags tell held, delayed or waiting. With a run row the status
 * is running whatever stands here. */
enum {
    STATE_REPORTED = 1, /* the last attempt was ended by a Report with `token` */
    STATE_CANCELLING = 2,
    STATE_LOST = 4, /* the last attempt ended as lost: its result may still be RECOVERED */
    STATE_EXIT = 8, /* exit_code is set */
    STATE_OUTPUT_PARTS = 16,
    STATE_BY_HAND = 32, /* run again by hand after it had ended */
};
enum {
    TAIL_PLACE = 1,
    TAIL_MESSAGE = 2,
    TAIL_OUTPUT = 3,
    TAIL_OUTPUT_TYPE = 4,
    TAIL_PROGRESS = 5,
    TAIL_USAGE = 6,
    TAIL_TIMER = 7,
    TAIL_PARK = 8,
    TAIL_POLL = 9,
    TAIL_LANE = 14
};
typedef struct state_row {
    uint8_t status; /* TaskStatus */
    uint16_t flags;
    uint16_t attempts;    /* counted tries so far */
    uint8_t lost, reason; /* reason: see reasons below */
    uint64_t token;       /* the newest ever leased (0: never) */
    uint32_t executor;    /* of the last attempt, 0 none */
    int64_t start_wall_us, end_wall_us;
    int16_t exit_code;
    uint8_t outcome, signal;
    /* tail; slices are borrowed */
    int64_t due_us;   /* waiting: the due of its ready or park key */
    int64_t timer_at; /* delayed: its timer row */
    uint8_t timer_clock;
    slice_t park;  /* waiting, parked: the gate, 16 bytes */
    uint32_t lane; /* it has moved to: instead of its spec's; 0: it has not */
    slice_t message, output, output_type, progress_text;
    uint32_t output_len; /* whole length, also when in parts */
    int64_t progress_done, progress_total;
    int64_t cpu_us, memory_bytes;
    uint32_t polls;        /* how often the attempt that goes on said: ask again */
    int64_t poll_since_us; /* broker time of the first of them */
    uint32_t poll_len;     /* bytes in PART_POLL rows */
} state_row_t;
void state_row_encode(const state_row_t *self, buf_t *to);
bool state_row_decode(state_row_t *self, slice_t from);

/* Why a task waits, failed or was dropped; permanent numbers. */
// clang-format off
#define TASK_REASONS(X)                                                                            \
    X(NONE, 0, "") X(EXHAUSTED, 1, "exhausted") X(PERMANENT, 2, "permanent")                       \
    X(DEADLINE, 3, "deadline") X(LOST, 4, "lost") X(QUARANTINE, 5, "quarantine")                   \
    X(TIMEOUT, 6, "timeout") X(BY_HAND, 7, "cancelled by hand") X(EXPIRED, 8, "expired")           \
    X(START_BY, 9, "start_by") X(SUPERSEDED, 10, "superseded") X(REMOVED, 11, "schedule removed")  \
    X(OVERLAP, 12, "overlap") X(RETRY, 13, "retry") X(RETURNED, 14, "returned")                    \
    X(RETRY_AFTER, 15, "retry after") X(DELAY, 16, "delay") X(HELD, 17, "held")                    \
    X(POLL, 40, "asked again") X(EXTERNAL, 41, "external") \
    X(NO_MEMBERS, 50, "no members") X(CHILDREN, 51, "children") X(OFFLINE, 52, "offline")          \
    X(STOPPED, 53, "stopped after failures") X(PARENT, 54, "parent") X(WAVE, 55, "wave")           \
    X(TOO_MANY, 56, "too many members")
// clang-format on
enum task_reason {
#define X(name, number, text) REASON_##name = (number),
    TASK_REASONS(X)
#undef X
};
const char *task_reason_text(uint8_t reason);

/* ---- ready: lane, flag, tag, due, n -> empty ------------------------------------------------- */
enum { READY_KEY = 27 };
rec_key_t key_ready(uint32_t lane, int64_t due_us, uint64_t n);
bool ready_key_decode(slice_t key, uint32_t *lane, int64_t *due_us, uint64_t *n);

/* ---- run: n -> lease ------------------------------------------------------------------------- */
enum {
    RUN_CANCELLING = 1,
    RUN_HAS_STATE = 2,
    RUN_LOST = 4,     /* on_lost fail: waits one more lease */
    RUN_REPLACED = 8, /* a producer whose watermark was changed by hand: it makes nothing more */
};
typedef struct run_row {
    uint32_t executor;
    uint64_t incarnation; /* first 8 bytes of the executor's incarnation */
    uint64_t token;
    uint16_t attempt;
    uint8_t flags, lost; /* lost: attempts lost so far */
    int64_t leased_us, leased_wall_us;
    uint32_t lane;
    uint32_t schedule; /* 0 none */
} run_row_t;
void run_row_encode(const run_row_t *self, buf_t *to);
bool run_row_decode(run_row_t *self, slice_t from);

/* ---- timer: clock, at, kind, n -> empty ------------------------------------------------------ */
enum { CLOCK_ELAPSED = 1, CLOCK_WALL = 2 };
enum {
    TIMER_DUE = 1,
    TIMER_EXPIRE = 2,
    TIMER_LOST = 3,
    TIMER_TOMBSTONE = 4, /* forget an id */
    TIMER_EXTERNAL = 5,  /* who has the completion token has not used it */
    TIMER_FAMILY = 20,   /* of a parent: a pause is over, an executor stays away, nobody joins */
};
rec_key_t key_timer(uint8_t clock, int64_t at, uint8_t kind, uint64_t n);
bool timer_key_decode(slice_t key, uint8_t *clock, int64_t *at, uint8_t *kind, uint64_t *n);

/* ---- park: gate 16, tag 6, due, n -> lane ; gate: gate 16 -> kind, counters ------------------ */
/* OVERLAP: of one schedule, whose cursor row holds the other counters. SCOPE: of all schedules that
 * count together. RANGE: of a range with a policy of its own. */
enum { GATE_OVERLAP = 1, GATE_SCOPE = 2, GATE_RANGE = 3 };
void gate_of_schedule(uint32_t schedule, uint8_t gate[16]);
void gate_of_range(uint32_t schedule, uint16_t range, uint8_t gate[16]);
/* text: the type, or the key as it was filled in; hashed with the store's secret. */
void gate_of_scope(const uint8_t secret[32], uint8_t scope, slice_t text, uint8_t gate[16]);
rec_key_t key_gate(const uint8_t gate[16]);
/* backlog: the task is of a range: those of the live line leave the gate first. */
rec_key_t key_park(const uint8_t gate[16], bool backlog, int64_t due_us, uint64_t n);
bool park_key_decode(slice_t key, uint8_t gate[16], int64_t *due_us, uint64_t *n);
void park_row_encode(uint32_t lane, buf_t *to);
bool park_row_decode(uint32_t *lane, slice_t from);
typedef struct gate_row {
    uint8_t kind;
    uint32_t subject; /* schedule; SCOPE: 0 */
    uint32_t waiting; /* park rows */
    /* SCOPE and RANGE only, of the tasks that count here and have not ended: */
    uint32_t admitted; /* let through to a lane */
    uint32_t running;  /* that had a lease */
    uint64_t leased_n; /* the newest that had a lease; 0 none */
} gate_row_t;
void gate_row_encode(const gate_row_t *self, buf_t *to);
bool gate_row_decode(gate_row_t *self, slice_t from);
/* Where a task of a schedule counts, for as long as it exists. */
void gate_of_task(const spec_row_t *spec, uint8_t gate[16]);

/* ---- lane: l -> what all its tasks have in common -------------------------------------------- */
enum {
    TARGET_ANY = 0,
    TARGET_EXECUTOR = 1,
    TARGET_HOST = 2,
    TARGET_LABELS = 3,
    TARGET_HASH = 4 /* target: one byte, the bucket of the key */
};
enum { BAND_LIVE = 0, BAND_LATE = 1, BANDS };
rec_key_t key_u32(uint32_t value);
typedef struct lane_row {
    uint32_t queue, type;
    uint8_t band, target_kind;
    slice_t target; /* executor or host name; labels as sorted "k=v" joined by NUL */
    uint32_t waiting;
    bool counted;   /* false: a row of version 1, which does not say */
    uint64_t tasks; /* on record, of whatever status, whose spec or state row names the lane */
} lane_row_t;
void lane_row_encode(const lane_row_t *self, buf_t *to);
bool lane_row_decode(lane_row_t *self, slice_t from);

/* ---- try: n, token -> an attempt that did not end the task ----------------------------------- */
rec_key_t key_try(uint64_t n, uint64_t token);
typedef struct try_row {
    uint16_t attempt;
    uint32_t executor;
    int64_t start_wall_us, end_wall_us;
    uint8_t outcome, signal, flags; /* flags: STATE_EXIT; outcome: Outcome, or ENDED_LOST etc. */
    int16_t exit_code;
    int64_t cpu_us, memory_bytes;
    uint32_t polls; /* how often it said: ask again */
    slice_t message;
} try_row_t;
enum { ENDED_LOST = 100, ENDED_STALE = 101 }; /* beside the wire's Outcome numbers */
void try_row_encode(const try_row_t *self, buf_t *to);
bool try_row_decode(try_row_t *self, slice_t from);

/* ---- uniq: scope, type, text -> holder ------------------------------------------------------- */
rec_key_t key_uniq(uint8_t scope, uint32_t type, slice_t text);
void uniq_row_encode(uint64_t n, buf_t *to);
bool uniq_row_decode(uint64_t *n, slice_t from);

/* ---- jrn: first seq -> packed entries -------------------------------------------------------- */
// clang-format off
#define JOURNAL_EVENTS(X)                                                                          \
    X(CREATED, 1, "created") X(HELD, 2, "held") X(DELAYED, 3, "delayed") X(BLOCKED, 4, "blocked")  \
    X(WAITING, 5, "waiting") X(RUNNING, 6, "running") X(EXTERNAL, 7, "external")                   \
    X(FINISHED, 8, "finished") X(FAILED, 9, "failed") X(CANCELLED, 10, "cancelled")                \
    X(SUPERSEDED, 11, "superseded") X(EXPIRED, 12, "expired") X(CANCELLING, 13, "cancelling")      \
    X(LOST, 14, "lost") X(PURGED, 15, "purged")                                                    \
    X(SCHEDULE_CREATED, 32, "schedule.created") X(SCHEDULE_EDITED, 33, "schedule.edited")          \
    X(SCHEDULE_PAUSED, 34, "schedule.paused") X(SCHEDULE_RESUMED, 35, "schedule.resumed")          \
    X(SCHEDULE_REMOVED, 36, "schedule.removed") X(SCHEDULE_SKIPPED, 37, "schedule.skipped")        \
    X(EXECUTOR_JOINED, 48, "executor.joined") X(EXECUTOR_LOST, 49, "executor.lost")                \
    X(EXECUTOR_LEFT, 50, "executor.left") X(EXECUTOR_DRAINED, 51, "executor.drained")              \
    X(EXECUTOR_RESUMED, 52, "executor.resumed")                                                    \
    X(QUEUE_PAUSED, 56, "queue.paused") X(QUEUE_RESUMED, 57, "queue.resumed")                      \
    X(HISTORY_GAVE_WAY, 60, "store.history_gave_way") X(ZONE_CHANGED, 61, "zone.changed")          \
    X(STORE_LEVEL, 62, "store.level") X(LEASES_WAIT, 63, "store.leases_wait")                      \
    X(PEER_CUT, 65, "peer.cut") X(LOGS_LOST, 66, "logs.lost")                                      \
    X(SCHEDULE_ENDED, 67, "schedule.ended") X(CALENDAR_CHANGED, 68, "calendar.changed")            \
    X(CALENDAR_REMOVED, 69, "calendar.removed") X(ZONE_GONE, 70, "zone.gone")                      \
    X(RANGE_MADE, 71, "schedule.range.made") X(RANGE_DONE, 72, "schedule.range.done")              \
    X(RANGE_PAUSED, 73, "schedule.range.paused") X(RANGE_RESUMED, 74, "schedule.range.resumed")    \
    X(RANGE_CANCELLED, 75, "schedule.range.cancelled") X(BACKLOG, 76, "schedule.backlog")          \
    X(EXECUTOR_STOPPED, 85, "executor.stop") X(EXECUTOR_RETIRED, 97, "executor.retire")            \
    X(FANOUT_STOPPED, 87, "fanout.stopped") X(FANOUT_JOINED, 88, "fanout.joined")          \
    X(SCHEDULE_UNATTENDED, 77, "schedule.unattended") X(SCHEDULE_ATTENDED, 78, "schedule.attended") \
    X(WATERMARK_SET, 110, "watermark.set") X(WATERMARK_REMOVED, 111, "watermark.removed")
// clang-format on
enum journal_event {
#define X(name, number, text) EVENT_##name = (number),
    JOURNAL_EVENTS(X)
#undef X
};
const char *journal_event_text(uint8_t event); /* NULL: unknown */
enum { JOURNAL_ROW_MAX = 2000 };
/* One entry. subject: task n (event < 32), schedule s, executor x, queue q. aux: executor number of
 * running and what ended a run; the count of schedule.skipped, schedule.backlog,
 * schedule.unattended, a range's instants (attempt: its number) and store.history_gave_way; bytes
 * of peer.cut and logs.lost, whose subject is the executor x, if it is one, or 0. watermark.set,
 * watermark.removed: attempt is the scope_kind_t, subject the task n, schedule s or principal p,
 * aux the first eight bytes of the scope. */
typedef struct journal_entry {
    uint64_t seq;
    uint8_t event;
    uint64_t subject;
    uint32_t attempt;
    uint64_t aux;
    int64_t wall_us; /* kept in milliseconds */
} journal_entry_t;
/* schedule.edited: the next instants of the rule before and of the one behind it in milliseconds,
 * 48 bits each; 0 none. zone.changed: aux is one more than the number of schedules that follow it.
 * Both are 0 in entries of an earlier time. */
void journal_edit_put(journal_entry_t *entry, int64_t before_us, int64_t after_us);
void journal_edit_get(const journal_entry_t *entry, int64_t *before_us, int64_t *after_us);
/* Packs entries one after the other; begin a new row when `journal_pack` says false (row full). */
typedef struct journal_pack {
    uint8_t at[JOURNAL_ROW_MAX];
    size_t len;
    uint64_t first_seq, last_subject;
    int64_t last_ms;
    uint32_t count;
} journal_pack_t;
void journal_pack_begin(journal_pack_t *self, uint64_t first_seq);
bool journal_pack_add(journal_pack_t *self, const journal_entry_t *entry);
typedef struct journal_unpack {
    reader_t in;
    uint64_t seq, last_subject;
    int64_t last_ms;
    uint32_t left; /* entries to come */
} journal_unpack_t;
bool journal_unpack_begin(journal_unpack_t *self, uint64_t first_seq, slice_t row);
/* false: end or damaged (in.bad) */
bool journal_unpack_next(journal_unpack_t *self, journal_entry_t *entry);

/* ---- block: n / 1024 -> summary -------------------------------------------------------------- */
enum { BLOCK_SHIFT = 10 };
typedef struct block_row {
    uint16_t counts[12];                    /* tasks by status; [0]: purged */
    int64_t created_min_us, created_max_us; /* wall */
    int64_t end_min_us, end_max_us;         /* wall, of ended ones; 0 none */
} block_row_t;
void block_row_encode(const block_row_t *self, buf_t *to);
bool block_row_decode(block_row_t *self, slice_t from);

/* ---- count: kind, number -> tasks by status -------------------------------------------------- */
enum {
    COUNT_QUEUE = 1,
    COUNT_TYPE = 2,
    COUNT_REPLIES = 3 /* of a principal: [1] remembered ones */
};
rec_key_t key_kind_no(uint8_t kind, uint32_t no);
void count_row_encode(const uint64_t counts[12], buf_t *to);
bool count_row_decode(uint64_t counts[12], slice_t from);

/* ---- names: kind, text -> number ; reg: kind, number -> record ------------------------------- */
enum name_kind {
    NAME_TYPE = 1,
    NAME_QUEUE = 2,
    NAME_PRINCIPAL = 3,
    NAME_EXECUTOR = 4,
    NAME_SCHEDULE = 5,
    NAME_ZONE = 6,
    NAME_LANE = 7,
    NAME_UID = 8 /* schedule uid -> s */,
    NAME_CALENDAR = 9,
    NAME_KINDS = 10
};
rec_key_t key_name(enum name_kind kind, slice_t text);
void name_row_encode(uint32_t no, buf_t *to);
bool name_row_decode(uint32_t *no, slice_t from);
enum {
    REG_PAUSED = 1,
    REG_DRAINED = 2,
    REG_BUILTIN = 4,
    REG_REMOVED = 8,
    REG_REZONE = 16, /* a zone or calendar that changed: not all its schedules have followed */
    REG_GONE = 32,   /* a zone that tzdata has no more */
    REG_ENDING = 64, /* an executor whose life `value` (8 bytes of its incarnation) is to end */
};
typedef struct reg_row {
    uint8_t flags;
    int64_t since_wall_us; /* of the flag */
    uint64_t value; /* zone, calendar: hash of its bytes; executor: first 8 bytes of incarnation */
    slice_t name, reason;
} reg_row_t;
void reg_row_encode(const reg_row_t *self, buf_t *to);
bool reg_row_decode(reg_row_t *self, slice_t from);

/* ---- zone: hash, part -> TZif bytes (LIMIT_PART a row) --------------------------------------- */
rec_key_t key_zone(uint64_t hash, uint16_t part);

/* ---- calendar: 1, hash, part -> entries, a line each (LIMIT_PART a row) ;
 *      2, calendar, schedule -> version: this schedule names it ----------------------------------
 */
enum { CALENDAR_PART = 1, CALENDAR_USER = 2 };
rec_key_t key_calendar_part(uint64_t hash, uint16_t part);
rec_key_t key_calendar_user(uint32_t calendar, uint32_t schedule);
bool calendar_user_key_decode(slice_t key, uint32_t *calendar, uint32_t *schedule);
void calendar_user_encode(buf_t *to);

/* ---- sched: s, kind, number -> header | definition part | rule of a revision | labels
 * (client/base/select.h) ----------------------------------------------------------------------- */
enum { SCHED_HEADER = 0, SCHED_PART = 1, SCHED_RULE = 2, SCHED_LABELS = 3 };
rec_key_t key_sched(uint32_t schedule, uint8_t kind, uint64_t number);
enum {
    SCHEDULE_PAUSED = 1,
    SCHEDULE_GONE = 2,
    SCHEDULE_ZONELESS = 4, /* paused because tzdata lost its zone; the zone's return ends that */
    SCHEDULE_RANGES = 8,   /* there is, or was, a range of it */
};
/* Which ranges of a schedule are not done, so that nobody has to look through those that are. */
typedef struct range_list {
    bool known;    /* false: of a version that did not keep it; the rows tell */
    uint16_t last; /* number of the newest, done or not; 0: there never was one */
    size_t n;
    uint16_t open[LIMIT_RANGES]; /* numbers, rising */
} range_list_t;
typedef struct sched_row {
    uint8_t uid[16];
    uint64_t revision;
    uint8_t flags;
    int64_t created_wall_us, edited_wall_us, paused_wall_us;
    uint32_t principal;
    uint32_t definition_len; /* bytes of the serialized Schedule in SCHED_PART rows */
    slice_t name, reason;    /* reason: of the pause */
    range_list_t ranges;     /* version 2, written once there was a range */
} sched_row_t;
void sched_row_encode(const sched_row_t *self, buf_t *to);
bool sched_row_decode(sched_row_t *self, slice_t from);
typedef struct sched_rule_row { /* key number: revision */
    uint64_t zone_hash;
    int64_t jitter_us, from_us, to_us;
    slice_t rule, zone, exclusions;
    /* version 2, written when any of it says something */
    slice_t also[LIMIT_RULES - 1];
    size_t also_n;
    uint64_t calendars[LIMIT_CALENDARS]; /* hashes of their entries */
    size_t calendars_n;
    int64_t after_us;
    /* version 3: since when it holds */
    bool begun;         /* the next two are known */
    int64_t settled_us; /* the rule before it answers for all of its instants up to here, */
    int64_t begin_us;   /* and this one for its own after here: its first cursor */
} sched_rule_row_t;
void sched_rule_row_encode(const sched_rule_row_t *self, buf_t *to);
bool sched_rule_row_decode(sched_rule_row_t *self, slice_t from);

/* ---- ledger: s, range, from -> extent ; scur: s -> cursor and the open extent ---------------- */
// clang-format off
#define VERDICTS(X) \
    X(FIRED, 1, "fired") X(SKIPPED, 2, "skipped") X(FOLDED, 3, "folded") X(SUPERSEDED, 4, "superseded")
// clang-format on
enum verdict {
#define X(name, number, text) VERDICT_##name = (number),
    VERDICTS(X)
#undef X
};
// clang-format off
#define VERDICT_REASONS(X)                                                                         \
    X(NONE, 0, "") X(ON_TIME, 1, "on time") X(LATE, 2, "late") X(OVERLAP, 3, "overlap")            \
    X(WINDOW, 4, "window") X(PAUSED, 5, "paused") X(REMOVED, 6, "removed") X(EDITED, 7, "edited")  \
    X(CATCHUP, 8, "catchup") X(LATEST, 9, "latest") X(ZONE, 10, "zone")                          \
    X(CANCELLED, 16, "cancelled") X(BACKFILL, 17, "backfill")
// clang-format on
enum verdict_reason {
#define X(name, number, text) VERDICT_REASON_##name = (number),
    VERDICT_REASONS(X)
#undef X
};
const char *verdict_text(uint8_t verdict);
const char *verdict_reason_text(uint8_t reason);
typedef struct extent {
    int64_t from_us, to_us; /* first and last instant, un-jittered, wall */
    uint64_t count;         /* 0: no extent */
    uint8_t verdict, reason;
    uint64_t revision, zone_hash;
    int64_t decided_first_us, decided_last_us; /* wall */
    uint64_t aux; /* skipped for overlap: task n that blocked; folded: instant it went into */
} extent_t;
rec_key_t key_ledger(uint32_t schedule, uint16_t range, int64_t from_us);
bool ledger_key_decode(slice_t key, uint32_t *schedule, uint16_t *range, int64_t *from_us);
void extent_encode(const extent_t *self, buf_t *to);
bool extent_decode(extent_t *self, slice_t from);
typedef struct scur_row {
    uint64_t revision;
    int64_t cursor_us; /* every instant up to it has a verdict */
    int64_t floor_us;  /* window: instants below it are skipped */
    int64_t armed_us;
    int64_t last_fired_us;
    uint32_t running;  /* tasks of it that had a lease and have not ended */
    uint32_t waiting;  /* tasks of it that never had a lease and have not ended */
    uint32_t admitted; /* of both, at its own gate, those that it let through to a lane */
    uint64_t fired, missed;
    uint64_t number;    /* of manual runs */
    uint64_t last_n;    /* newest task that it made and that never had a lease; 0 none */
    uint64_t leased_n;  /* newest task of it that had a lease and has not ended; 0 none */
    extent_t open;      /* newest ledger extent, not yet in the ledger table */
    uint32_t elsewhere; /* of `running`, those that count at another gate than its own */
    bool warned;        /* the backlog exceeds `warn`, and an event told so */
    int64_t zone_us; /* new zone data came then: what is due up to it counts as on time; 0 none */
    bool due_known;  /* the next two: what a list of a million is made from */
    int64_t due_us;  /* jittered instant after the cursor, INT64_MAX none: to be proposed then */
    int64_t jitter_us;
    uint32_t parked; /* of `waiting`, those that are parked at the gate of a scope */
} scur_row_t;
void scur_row_encode(const scur_row_t *self, buf_t *to);
bool scur_row_decode(scur_row_t *self, slice_t from);

/* A completion token: n, token, and 16 bytes of SipHash-2-4-128 over them. The key is derived from
 * the store's secret. Dead by itself once the task has a newer token. False: not one of ours. */
void completion_key(const uint8_t secret[32], uint8_t key[16]);
void completion_make(const uint8_t key[16], uint64_t n, uint64_t token,
                     uint8_t bytes[LIMIT_COMPLETION]);
bool completion_read(const uint8_t key[16], const uint8_t bytes[LIMIT_COMPLETION], uint64_t *n,
                     uint64_t *token);
/* ---- range: s, r -> a backfill, or a backlog that was split off ------------------------------ */
// clang-format off
#define RANGE_STATES(X) \
    X(OPEN, 1, "open") X(PAUSED, 2, "paused") X(STOPPED, 3, "stopped") X(DONE, 4, "done") \
    X(CANCELLED, 5, "cancelled")
// clang-format on
enum range_state {
#define X(name, number, text) RANGE_##name = (number),
    RANGE_STATES(X)
#undef X
};
const char *range_state_text(uint8_t state);
enum { RANGE_NEWEST = 1 /* from its high end */, RANGE_STOP = 2 /* at the first failure */ };
/* Instants of one revision in (from, to]; those in (low, high] have no verdict yet. It shrinks from
 * one end only, so the other end and that one tell which are decided. r is never used again. */
typedef struct range_row {
    uint8_t state, flags, cause; /* CAUSE_LIVE, CAUSE_BACKFILL */
    uint8_t overlap;             /* 0: the schedule's */
    uint32_t rate;               /* tasks a second; 0: the schedule's */
    uint64_t revision;           /* whose rule */
    int64_t from_us, to_us, low_us, high_us;
    int64_t made_wall_us, ended_wall_us;
    uint64_t fired, skipped, failed; /* verdicts; tasks that failed */
    extent_t open;                   /* its newest extent, not yet in the ledger table */
} range_row_t;
rec_key_t key_range(uint32_t schedule, uint16_t range);
bool range_key_decode(slice_t key, uint32_t *schedule, uint16_t *range);
void range_row_encode(const range_row_t *self, buf_t *to);
bool range_row_decode(range_row_t *self, slice_t from);

/* Id of the task that a schedule makes: planned time in the first 48 bits (milliseconds), then 80
 * bits of BLAKE2b keyed with the store's secret over (uid, instant, cause, number). */
enum cause { CAUSE_LIVE = 1, CAUSE_MANUAL = 2, CAUSE_BACKFILL = 3 };
void firing_id(const uint8_t secret[32], const uint8_t uid[16], int64_t instant_us, uint8_t cause,
               uint64_t number, uint8_t id[16]);

/* ---- watermark: scope 16 -> how far a producer has come ------------------------------------- */
typedef enum { SCOPE_TASK = 1, SCOPE_SCHEDULE = 2, SCOPE_NAMED = 3 } scope_kind_t;
typedef struct watermark_row {
    uint8_t kind;      /* scope_kind_t */
    uint64_t created;  /* tasks made within the scope */
    slice_t value;     /* JSON; empty: none yet */
    uint64_t revision; /* rises with each write. 0: a row of version 1, without what follows */
    uint32_t no;       /* SCOPE_NAMED: principal; SCOPE_SCHEDULE: schedule; else 0 */
    slice_t name;      /* SCOPE_NAMED: the name; SCOPE_TASK: the id; else empty */
    uint64_t writer;   /* number of the producer that wrote it last; 0: by hand */
    int64_t changed_wall_us;
} watermark_row_t;
/* As peers know it: rows of version 1 are as good as written once. */
static inline uint64_t watermark_revision(const watermark_row_t *row)
{
    return row->revision ? row->revision : 1;
}
rec_key_t key_watermark(const uint8_t scope[16]);
void watermark_row_encode(const watermark_row_t *self, buf_t *to);
bool watermark_row_decode(watermark_row_t *self, slice_t from);
/* A scope and the ids within it are hashes keyed with the store's secret. name: a task's id, a
 * schedule's uid, or principal (u32) and text. */
void scope_id(const uint8_t secret[32], scope_kind_t kind, slice_t name, uint8_t scope[16]);
/* Of a name, at most LIMIT_LABEL bytes long, that producers of a principal have. */
void scope_of_name(const uint8_t secret[32], uint32_t principal, const char *name,
                   uint8_t scope[16]);
/* time: the first six bytes, as they are in the scope. identity: a row's key, or (content) the hash
 * of what it holds. in_order: where the key is a number, the next two bytes are those of number /
 * 256, so that rows read in the order of their keys are written side by side. */
void produced_id(const uint8_t secret[32], const uint8_t scope[16], const uint8_t time[6],
                 bool content, bool in_order, slice_t identity, uint8_t id[16]);

/* ---- reply: principal, request id -> order, reply ;
 *      replyage: principal, order, request id -> empty */
rec_key_t key_reply(uint32_t principal, const uint8_t request_id[16]);
rec_key_t key_reply_age(uint32_t principal, int64_t order_us, const uint8_t request_id[16]);
void reply_row_encode(int64_t order_us, slice_t reply, buf_t *to);
bool reply_row_decode(int64_t *order_us, slice_t *reply, slice_t from);

#endif
