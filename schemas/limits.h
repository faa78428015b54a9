/* SPDX-License-Identifier: Apache-2.0
 * schemas/limits.h - defaults of every limit a peer can meet. Each is told in Welcome or named by
 * the error that enforces it. Sizes are bytes, times microseconds. */
#ifndef SCHEMAS_LIMITS_H
#define SCHEMAS_LIMITS_H

#include <stdint.h>

#define PAWL_SEC_US INT64_C(1000000)

enum {
    LIMIT_MESSAGE = 8 << 20,
    LIMIT_INPUT = 1 << 20,
    LIMIT_OUTPUT = 1 << 20,
    LIMIT_ARENA_MAX = 64 << 20, /* unpacking one message: 8 x its size, at most this */
    LIMIT_NAME = 200,
    LIMIT_KEY = 256,
    LIMIT_LABEL = 64, /* key or value */
    LIMIT_LABELS = 16,
    LIMIT_SELECT = 1000, /* text of a choice by labels */
    LIMIT_PUTS = 1000,   /* schedules in one SchedulePut */
    LIMIT_TITLE = 500,
    LIMIT_TEXT = 4096, /* rule, reason, message, progress text */
    LIMIT_ITEMS = 10000,
    LIMIT_REQUESTS_IN_FLIGHT = 1024,
    LIMIT_ITEMS_IN_FLIGHT = 65536,
    LIMIT_BYTES_IN_FLIGHT = 64 << 20,
    LIMIT_BYTES_IN_FLIGHT_ALL = 1 << 30,
    LIMIT_BATCH_OPS = 4096, /* operations in one commit, about */
    LIMIT_FIRINGS = 4096,   /* of one batch, and so of one proposal */
    LIMIT_RULE_WORK_US = 2000,
    LIMIT_PEERS = 20000,
    LIMIT_ATTEMPTS = 1000,
    LIMIT_LOG_ATTEMPT = 1 << 20,
    LIMIT_LOG_HEAD = 256 << 10,
    LIMIT_LOG_CHUNK = 64 << 10,
    LIMIT_RANGES = 16, /* of a schedule that are not done */
    LIMIT_LIST = 1000, /* rows of one list answer */
    LIMIT_REPLIES_KEPT = 10000,
    LIMIT_INTERPRETERS = 64,     /* of an executor */
    LIMIT_SECRETS = 16,          /* of a command */
    LIMIT_POLL_STATE = 64 << 10, /* what one poll leaves for the next */
    LIMIT_POLLS = 1000000,
    LIMIT_COMPLETION = 32,     /* bytes of a completion token, exactly */
    LIMIT_OUTPUT_INLINE = 512, /* larger output goes to parts */
    LIMIT_SPEC_INLINE = 1900,
    LIMIT_PART = 4060,
    LIMIT_MESSAGE_KEPT = 500,
    LIMIT_ARGUMENT = 131071, /* one argument, shell line or value of the environment, as in Linux */
    LIMIT_ENV = 1000,        /* variables of one command */
    LIMIT_HOST = 255,        /* host, container id, name, image */
    LIMIT_ADDRESSES = 64,
    LIMIT_FEATURES = 64,     /* features, kinds */
    LIMIT_RULES = 16,        /* of one schedule */
    LIMIT_RULES_TEXT = 8192, /* all of them together */
    LIMIT_CALENDARS = 16,    /* that one schedule names */
    LIMIT_ENTRIES = 4096,    /* of one calendar */
    LIMIT_ENTRY = 200,
    LIMIT_CALENDAR_TEXT = 64 << 10, /* all its entries */
    LIMIT_CHILDREN = 10000,         /* of one fan-out */
    LIMIT_CHILDREN_AT_ONCE = 1000,  /* cancelled, held, released, removed, ... in one commit */
    LIMIT_SOURCE = 40,              /* name of a source */
    LIMIT_SOURCES = 256,            /* of an executor */
    LIMIT_SQL_ROWS = 100000,
    LIMIT_WATERMARK = 1024,
};

#define DEFAULT_PING_US              (5 * PAWL_SEC_US)
#define DEFAULT_SUSPECT_US           (15 * PAWL_SEC_US)
#define DEFAULT_LEASE_US             (30 * PAWL_SEC_US)
#define DEFAULT_POLLS                10000
#define DEFAULT_POLL_DEADLINE_US     (7 * 86400 * PAWL_SEC_US)
#define DEFAULT_EXTERNAL_US          (86400 * PAWL_SEC_US)
#define DEFAULT_BACKOFF_US           (5 * PAWL_SEC_US)
#define DEFAULT_BACKOFF_FACTOR_MILLI 2000
#define DEFAULT_BACKOFF_CAP_US       (3600 * PAWL_SEC_US)
#define DEFAULT_BACKOFF_JITTER_MILLI 200
#define DEFAULT_GRACE_US             (30 * PAWL_SEC_US)
#define DEFAULT_AHEAD                1000
#define DEFAULT_RATE                 100
#define DEFAULT_WARN                 1000
#define DEFAULT_MAP_BYTES            (INT64_C(64) << 30)
#define DEFAULT_KEEP_FINISHED_US     (7 * 86400 * PAWL_SEC_US)
#define DEFAULT_KEEP_FAILED_US       (30 * 86400 * PAWL_SEC_US)
#define DEFAULT_KEEP_JOURNAL_US      (30 * 86400 * PAWL_SEC_US)
#define DEFAULT_KEEP_LEDGER_US       (INT64_C(365) * 86400 * PAWL_SEC_US)
#define DEFAULT_OFFLINE_US           (3600 * PAWL_SEC_US)       /* fan-out: wait for an executor */
#define DEFAULT_ENROLLED_US          (30 * 86400 * PAWL_SEC_US) /* unseen so long: no member */
/* An exclusive attempt ends itself so long before its lease does, and nobody else gets the task
 * until so long after: what clocks may drift, and a kill may take, lies between. */
#define EXCLUSIVE_MARGIN_US(lease_us) ((lease_us) / 4)
#define LIMIT_ID_PAST_US              (INT64_C(90) * 86400 * PAWL_SEC_US)
#define LIMIT_ID_AHEAD_US             (INT64_C(86400) * PAWL_SEC_US)
#define LIMIT_WAIT_US                 (60 * PAWL_SEC_US) /* longest long poll */

#endif
