/* SPDX-License-Identifier: Apache-2.0
 * schemas/wire_rules.c - what each field of a request may hold. schemas/README.md, "Fields", is
 * this table in words. A field without a row: text is a line of at most LIMIT_TEXT bytes, bytes and
 * numbers are free, enums must be known numbers, at most LIMIT_ITEMS items. */
#include "schemas/limits.h"
#include "schemas/wire_unpack.h"

#define YEAR_US        (INT64_C(365) * 86400 * PAWL_SEC_US)
#define DURATION       RULE_NUMBER, 0, 0, 100 * YEAR_US
#define INSTANT        RULE_NUMBER, 0, INT64_C(-62135596800000000), INT64_C(253402300799999999)
#define INSTANT_NOW    RULE_NUMBER, 0, 0, INT64_C(253402300799999999) /* 0 or after 1970 */
#define NUMBER         RULE_NUMBER, 0
#define NAME           RULE_TEXT, TEXT_NAME
#define LINE           RULE_TEXT, TEXT_LINE
#define FREE           RULE_TEXT, TEXT_FREE
#define PROGRAM        RULE_TEXT, TEXT_PROGRAM
#define ID             RULE_ID, 0, 16, 16
#define ID_OR_NONE     RULE_ID, 0, 0, 16
#define RANDOM         RULE_RANDOM, 0, 16, 16
#define RANDOM_OR_NONE RULE_RANDOM, 0, 0, 16
#define BYTES          RULE_BYTES, 0
#define PART           RULE_PART, 0, 1, 1

// clang-format off
const wire_rule_t wire_rules[] = {
    { "Request.seq",               NUMBER, 1, INT64_MAX, 0 },
    { "Request.session",           RANDOM_OR_NONE, 0 },
    { "Request.request_id",        RANDOM_OR_NONE, 0 },

    { "Hello.features",            NAME, 1, LIMIT_LABEL, LIMIT_FEATURES },
    { "Hello.role",                NUMBER, 1, INT64_MAX, 0 },
    { "Hello.name",                NAME, 1, LIMIT_NAME, 0 },
    { "Hello.incarnation",         RANDOM, 0 },
    { "Hello.host",                LINE, 0, LIMIT_HOST, 0 },
    { "Hello.addresses",           LINE, 1, LIMIT_LABEL, LIMIT_ADDRESSES },
    { "Hello.pid",                 NUMBER, 0, INT64_MAX, 0 },
    { "Hello.labels",              PART, LIMIT_LABELS },
    { "Hello.kinds",               NAME, 1, LIMIT_LABEL, LIMIT_FEATURES },
    { "Hello.types",               NAME, 1, LIMIT_NAME, 0 },
    { "Hello.queues",              NAME, 1, LIMIT_NAME, 0 },
    { "Hello.slots",               NUMBER, 0, LIMIT_ITEMS_IN_FLIGHT, 0 },
    { "Hello.credit",              NUMBER, 0, LIMIT_ITEMS_IN_FLIGHT, 0 },
    { "Hello.software",            LINE, 0, LIMIT_NAME, 0 },
    { "Label.key",                 NAME, 1, LIMIT_LABEL, 0 },
    { "Label.value",               LINE, 0, LIMIT_LABEL, 0 },
    { "Container.id",              LINE, 0, LIMIT_HOST, 0 },
    { "Container.name",            LINE, 0, LIMIT_HOST, 0 },
    { "Container.image",           LINE, 0, LIMIT_HOST, 0 },
    { "Claim.id",                  ID, 0 },
    { "Claim.token",               NUMBER, 1, INT64_MAX, 0 },

    { "EnvVar.name",               LINE, 1, LIMIT_NAME, 0 },
    { "EnvVar.value",              PROGRAM, 0, LIMIT_ARGUMENT, 0 },
    { "Command.argv",              PROGRAM, 0, LIMIT_ARGUMENT, 0 },
    { "Command.shell",             PROGRAM, 0, LIMIT_ARGUMENT, 0 },
    { "Command.interpreter",       LINE, 0, LIMIT_NAME, 0 },
    { "Command.script_text",       BYTES, 0, LIMIT_INPUT, 0 },
    { "Command.env",               PART, LIMIT_ENV },
    { "Command.cwd",               LINE, 0, LIMIT_TEXT, 0 },
    { "Command.account",           LINE, 0, LIMIT_LABEL, 0 },
    { "Command.stdin",             BYTES, 0, LIMIT_INPUT, 0 },
    { "Target.executor",           NAME, 0, LIMIT_NAME, 0 },
    { "Target.host",               LINE, 0, LIMIT_HOST, 0 },
    { "Target.labels",             PART, LIMIT_LABELS },
    { "Retry.max_attempts",        NUMBER, 0, LIMIT_ATTEMPTS, 0 },
    { "Retry.backoff_us",          DURATION, 0 },
    { "Retry.factor_milli",        NUMBER, 0, 1000000, 0 },
    { "Retry.cap_us",              DURATION, 0 },
    { "Task.id",                   ID_OR_NONE, 0 },
    { "Task.type",                 NAME, 1, LIMIT_NAME, 0 },
    { "Task.queue",                NAME, 0, LIMIT_NAME, 0 },
    { "Task.priority",             NUMBER, 0, 9, 0 },
    { "Task.input",                BYTES, 0, LIMIT_INPUT, 0 },
    { "Task.input_type",           LINE, 0, LIMIT_NAME, 0 },
    { "Task.key",                  LINE, 0, LIMIT_KEY, 0 },
    { "Task.title",                LINE, 0, LIMIT_TITLE, 0 },
    { "Task.labels",               PART, LIMIT_LABELS },
    { "Task.operation",            LINE, 0, LIMIT_NAME, 0 },
    { "Task.at_us",                INSTANT_NOW, 0 },
    { "Task.delay_us",             DURATION, 0 },
    { "Task.expire_us",            DURATION, 0 },
    { "Task.time_limit_us",        DURATION, 0 },

    { "TaskGet.ids",               ID, 0 },
    { "TaskGet.prefix_low",        ID_OR_NONE, 0 },
    { "TaskGet.prefix_high",       ID_OR_NONE, 0 },
    { "TaskFilter.statuses",       NUMBER, 1, INT64_MAX, LIMIT_LABELS },
    { "TaskFilter.type",           LINE, 0, LIMIT_NAME, 0 },
    { "TaskFilter.queue",          LINE, 0, LIMIT_NAME, 0 },
    { "TaskFilter.schedule",       LINE, 0, LIMIT_NAME, 0 },
    { "TaskFilter.executor",       LINE, 0, LIMIT_NAME, 0 },
    { "TaskFilter.key",            LINE, 0, LIMIT_KEY, 0 },
    { "TaskFilter.since_us",       INSTANT, 0 },
    { "TaskFilter.until_us",       INSTANT, 0 },
    { "TaskFilter.text",           LINE, 0, LIMIT_TITLE, 0 },
    { "TaskFilter.labels",         PART, LIMIT_LABELS },
    { "TaskWait.ids",              ID, 0 },
    { "TaskWait.wait_us",          NUMBER, 0, LIMIT_WAIT_US, 0 },
    { "TaskChange.verb",           NUMBER, 1, INT64_MAX, 0 },
    { "TaskChange.ids",            ID, 0 },
    { "TaskChange.reason",         FREE, 0, LIMIT_TEXT, 0 },
    { "TaskWhy.id",                ID, 0 },
    { "LogRead.id",                ID, 0 },
    { "LogRead.wait_us",           NUMBER, 0, LIMIT_WAIT_US, 0 },
    { "EventRead.wait_us",         NUMBER, 0, LIMIT_WAIT_US, 0 },

    { "Result.id",                 ID, 0 },
    { "Result.token",              NUMBER, 1, INT64_MAX, 0 },
    { "Result.outcome",            NUMBER, 1, INT64_MAX, 0 },
    { "Result.signal",             NUMBER, 0, 255, 0 },
    { "Result.output",             BYTES, 0, LIMIT_OUTPUT, 0 },
    { "Result.output_type",        LINE, 0, LIMIT_NAME, 0 },
    { "Result.message",            FREE, 0, LIMIT_TEXT, 0 },
    { "Result.started_us",         INSTANT, 0 },
    { "Result.ended_us",           INSTANT, 0 },
    { "Result.retry_after_us",     DURATION, 0 },
    { "Result.log_bytes",          NUMBER, 0, INT64_C(1) << 62, 0 },
    { "Usage.cpu_us",              NUMBER, 0, INT64_MAX, 0 },
    { "Usage.memory_bytes",        NUMBER, 0, INT64_MAX, 0 },
    { "Progress.id",               ID, 0 },
    { "Progress.token",            NUMBER, 1, INT64_MAX, 0 },
    { "Progress.text",             FREE, 0, LIMIT_TEXT, 0 },
    { "LogChunk.id",               ID, 0 },
    { "LogChunk.token",            NUMBER, 1, INT64_MAX, 0 },
    { "LogChunk.stream",           NUMBER, 1, 3, 0 },
    { "LogChunk.offset",           NUMBER, 0, INT64_C(1) << 62, 0 },
    { "LogChunk.data",             BYTES, 0, LIMIT_LOG_CHUNK, 0 },
    { "LogChunk.time_us",          INSTANT, 0 },
    { "Report.credit",             NUMBER, 0, LIMIT_ITEMS_IN_FLIGHT, 0 },

    { "Schedule.name",             NAME, 1, LIMIT_NAME, 0 },
    { "Schedule.rule",             LINE, 1, LIMIT_TEXT, 0 },
    { "Schedule.zone",             LINE, 0, LIMIT_NAME, 0 },
    { "Schedule.exclusions",       LINE, 0, LIMIT_TEXT, 0 },
    { "Schedule.grace_us",         DURATION, 0 },
    { "Schedule.window_us",        DURATION, 0 },
    { "Schedule.ahead",            NUMBER, 0, 1000000, 0 },
    { "Schedule.rate",             NUMBER, 0, 1000000, 0 },
    { "Schedule.jitter_us",        DURATION, 0 },
    { "Schedule.start_by_us",      DURATION, 0 },
    { "Schedule.max_running",      NUMBER, 0, 1000000, 0 },
    { "Schedule.from_us",          INSTANT, 0 },
    { "Schedule.to_us",            INSTANT, 0 },
    { "Schedule.task",             BYTES, 1, LIMIT_MESSAGE, 0 },
    { "Schedule.title",            LINE, 0, LIMIT_TITLE, 0 },
    { "SchedulePut.schedule",      PART, 0 },
    { "SchedulePut.cursor_at_us",  INSTANT, 0 },
    { "ScheduleGet.name",          NAME, 1, LIMIT_NAME, 0 },
    { "ScheduleList.after",        NAME, 0, LIMIT_NAME, 0 },
    { "ScheduleList.text",         LINE, 0, LIMIT_NAME, 0 },
    { "ScheduleFollow.after",      NAME, 0, LIMIT_NAME, 0 },
    { "ScheduleChange.verb",       NUMBER, 1, INT64_MAX, 0 },
    { "ScheduleChange.name",       NAME, 1, LIMIT_NAME, 0 },
    { "ScheduleChange.reason",     FREE, 0, LIMIT_TEXT, 0 },
    { "ScheduleHistory.name",      NAME, 0, LIMIT_NAME, 0 },
    { "ScheduleHistory.from_us",   INSTANT, 0 },
    { "ScheduleHistory.to_us",     INSTANT, 0 },
    { "ScheduleHistory.after_us",  INSTANT, 0 },
    { "ScheduleHistory.uid",       RANDOM_OR_NONE, 0 },
    { "Proposal.uid",              RANDOM, 0 },
    { "Proposal.expect_cursor_us", INSTANT, 0 },
    { "Proposal.new_cursor_us",    INSTANT, 0 },

    { "QueueChange.name",          NAME, 1, LIMIT_NAME, 0 },
    { "QueueChange.reason",        FREE, 0, LIMIT_TEXT, 0 },
    { "ExecutorList.name",         NAME, 0, LIMIT_NAME, 0 },
    { "ExecutorChange.name",       NAME, 1, LIMIT_NAME, 0 },
    { "ExecutorChange.reason",     FREE, 0, LIMIT_TEXT, 0 },
};
// clang-format on

const size_t wire_rule_count = sizeof wire_rules / sizeof *wire_rules;
