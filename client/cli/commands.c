/* SPDX-License-Identifier: Apache-2.0
 * client/cli/commands.c - every command of `pawl`, with its flags and an example. */
#include "client/cli/command.h"

#include "client/cli/handlers.h"

// clang-format off
#define SWITCH(name, letter, help)            { name, letter, FLAG_SWITCH, "", help, false, 0, 0 }
#define TEXT(name, letter, value, help)       { name, letter, FLAG_TEXT, value, help, false, 0, 0 }
#define TEXTS(name, letter, value, help)      { name, letter, FLAG_TEXT, value, help, true, 0, 0 }
#define PAIR(name, value, help)               { name, 0, FLAG_PAIR, value, help, false, 0, 0 }
#define SPAN(name, help)                      { name, 0, FLAG_DURATION, "D", help, false, 0, 0 }
#define WORDS(name, words, help)              { name, 0, FLAG_WORD, words, help, false, 0, 0 }
#define NUMBER(name, letter, least, most, help) \
    { name, letter, FLAG_NUMBER, "N", help, false, least, most }
#define END                                   { NULL, 0, FLAG_SWITCH, NULL, NULL, false, 0, 0 }

#define OVERLAPS "allow|skip|queue_one|queue_latest|queue_all|cancel|kill"
#define HUGE_NUMBER INT64_C(1000000000000)

const flag_t global_flags[] = {
    TEXT("broker", 'b', "ENDPOINT", "broker to ask (else PAWL_BROKER, ~/.local/share/pawl, /run/pawl)"),
    TEXT("key-file", 0, "FILE", "key that a broker on another machine knows (else PAWL_KEY)"),
    TEXT("output", 'o', "FORMAT", "table, wide, json, ndjson, csv, yaml or id"),
    TEXT("fields", 0, "A,B", "only these fields, in this order"),
    TEXT("tz", 0, "ZONE", "zone of what is printed: local, utc or a name like Europe/Paris"),
    SPAN("timeout", "patience with the broker (10s); given: also with tasks waited for"),
    SWITCH("quiet", 'q', "no notes on stderr, only errors"),
    SWITCH("verbose", 'v', "more notes on stderr"),
    SWITCH("yes", 'y', "do not ask"),
    SWITCH("dry-run", 0, "say what would change, change nothing"),
    SWITCH("no-header", 0, "tables and CSV without their first line"),
    SWITCH("help", 'h', "this help"),
    SWITCH("version", 'V', "the version"),
    END,
};

static const flag_t up_flags[] = {
    TEXT("state", 0, "DIR", "folder of the store and the sockets (~/.local/share/pawl)"),
    NUMBER("slots", 0, 1, 1024, "tasks that run at once (number of processors, at least 2)"),
    NUMBER("executors", 0, 1, 64, "executors to start, each with so many slots (1)"),
    TEXT("select", 0, "LABELS", "the scheduler looks after these only, e.g. team=ops,env!=test"),
    END,
};
/* What a task may have, wherever one is described by flags. */
static const flag_t task_flags[] = {
    TEXT("type", 't', "TYPE", "category/name; without it a command's built-in one"),
    TEXT("shell", 0, "TEXT", "a command line for /bin/sh -c, in place of -- CMD"),
    TEXT("script-file", 0, "FILE", "a script below a folder that the executor allows"),
    TEXT("interpreter", 0, "NAME", "what --script-file is given to: python3, python3>=3.11"),
    TEXTS("secret", 0, "NAME", "a secret of the executor's, as PAWL_SECRET_NAME_FILE"),
    PAIR("sql", "SOURCE SQL", "statements for a database that executors name"),
    PAIR("each", "SOURCE QUERY", "each row of the query becomes a task like the rest says"),
    TEXTS("param", 0, "N=V", "of --sql, --each: what :N stands for"),
    NUMBER("rows", 0, 1, 1000000000, "--sql: rows kept as output (1000); --each: rows at most"),
    WORDS("on-unknown", "fail|retry", "--sql: the link broke during COMMIT"),
    WORDS("transaction", "one|none", "--sql: all statements or none; none: each by itself"),
    TEXTS("column", 0, "F=C", "--each: key, priority, at, title, executor, host, input of column C"),
    TEXT("watermark", 0, "C", "--each: go on behind the last value of this column, :watermark"),
    TEXT("scope", 0, "NAME", "--each: where a key is one task only (the schedule; task: each run)"),
    NUMBER("batch", 0, 1, 10000, "--each: rows a transaction (2000)"),
    SWITCH("rehearse", 0, "--each: read and check the rows, make no task"),
    TEXT("input", 0, "J|@F|-", "input as JSON: text, a file's, or standard input's"),
    TEXTS("on", 0, "host=H", "host=H executor=E label=K=V hash=KEY; many: all:K=V n:3:K=V a,b,c"),
    TEXT("done", 0, "WHEN", "fan-out: all (default), any, quorum:N or percent:P must finish"),
    TEXT("offline", 0, "HOW", "fan-out: wait[:D], skip or fail who is not there"),
    TEXT("wave", 0, "N[:D]", "fan-out: N at once; D between two waves"),
    TEXT("stop-after", 0, "N|P%", "fan-out: no further one after so many failures"),
    SWITCH("late-join", 0, "fan-out: who enrols meanwhile takes part"),
    SWITCH("keep-rest", 0, "fan-out: when done early the rest goes on"),
    SWITCH("move", 0, "fan-out: a lost one may run elsewhere"),
    NUMBER("priority", 0, 0, 9, "0 first, 9 last (5)"),
    NUMBER("retry", 0, 1, 1000, "attempts in all"),
    TEXT("backoff", 0, "D", "pause before the second attempt (5s), doubling"),
    TEXT("time-limit", 0, "D", "of one attempt"),
    TEXT("queue", 0, "NAME", "queue (default)"),
    TEXT("title", 0, "TEXT", "words for people"),
    TEXTS("label", 0, "K=V", "label"),
    TEXTS("env", 0, "K=V", "variable of the command's environment"),
    TEXT("cwd", 0, "DIR", "folder the command starts in"),
    TEXT("stdin", 0, "TEXT", "the command's standard input"),
    TEXT("account", 0, "NAME", "account it runs as, where the executor allows that"),
    SWITCH("exclusive", 0, "two attempts of it never run at once, also when an executor is cut off"),
    WORDS("on-lost", "retry|fail", "when its executor is lost"),
    END,
};
/* What only a task that is submitted may have. */
static const flag_t run_flags[] = {
    TEXT("key", 0, "KEY", "one unfinished task per type and key"),
    TEXT("expire", 0, "D", "give up when it has not started so long after it was accepted"),
    TEXT("at", 0, "T", "not before this instant"),
    TEXT("in", 0, "D", "not before so long from now"),
    SWITCH("hold", 0, "wait for pawl task start"),
    TEXT("pause", 0, "D", "fan-out: between two waves"),
    SWITCH("wait", 0, "wait for its end; exit 7 when it did not finish"),
    SWITCH("follow", 'f', "print what it prints and returns, and wait"),
    SWITCH("exit-code", 0, "wait, and exit as the command did; 128 + N after a signal"),
    END,
};
static const flag_t limit_flags[] = {
    NUMBER("limit", 0, 1, 100000, "rows at most (tables: 100; else all)"),
    END,
};
static const flag_t children_flags[] = {
    TEXTS("status", 0, "S", "blocked waiting running finished failed cancelled expired ..."),
    END,
};
static const flag_t show_flags[] = {
    SWITCH("children", 0, "of a fan-out: every host, not the first failures only"),
    END,
};
static const flag_t filter_flags[] = {
    TEXTS("status", 0, "S", "held delayed blocked waiting running external finished failed ..."),
    TEXT("type", 't', "TYPE", "of this type"),
    TEXT("queue", 0, "NAME", "of this queue"),
    TEXT("schedule", 0, "NAME", "made by this schedule"),
    TEXT("executor", 0, "NAME", "last run there"),
    TEXT("key", 0, "KEY", "with this key"),
    TEXT("since", 0, "T|D", "created at or after: an instant, or 1h ago"),
    TEXT("until", 0, "T|D", "created before"),
    TEXT("text", 0, "TEXT", "in id, key, title or type"),
    TEXTS("label", 0, "K=V", "with this label"),
    END,
};
static const flag_t list_flags[] = {
    SWITCH("newest-first", 0, "the newest first, as tables have them"),
    SWITCH("oldest-first", 0, "the oldest first, as all other formats have them"),
    SWITCH("roots", 0, "without the children of fan-outs"),
    END,
};
static const flag_t change_flags[] = {
    TEXT("reason", 0, "TEXT", "kept with the change"),
    SWITCH("all-matching", 0, "all that the filters match, in place of ids"),
    END,
};
static const flag_t reason_flags[] = { TEXT("reason", 0, "TEXT", "kept with the change"), END };
static const flag_t complete_flags[] = {
    TEXT("result", 0, "JSON", "the task's output"),
    TEXT("result-file", 0, "FILE|-", "the task's output, from a file"),
    TEXT("result-type", 0, "TYPE", "content type of the output (application/json)"),
    TEXT("message", 0, "TEXT", "kept with the task"),
    END,
};
static const flag_t fail_flags[] = {
    SWITCH("permanent", 0, "not to be tried again"),
    END,
};
static const flag_t extend_flags[] = {
    SPAN("by", "the new deadline, from now"),
    TEXT("message", 0, "TEXT", "kept with the task"),
    END,
};
static const flag_t stop_flags[] = {
    SPAN("deadline", "then what runs is stopped and given back (as the executor's file says)"),
    END,
};
static const flag_t wait_flags[] = { SWITCH("any", 0, "until one of them has ended"), END };
static const flag_t logs_flags[] = {
    SWITCH("follow", 'f', "until the task has ended; of a schedule: task after task"),
    NUMBER("attempt", 0, 1, 1000, "of this attempt (the last)"),
    SWITCH("polls", 0, "each poll of an attempt that was asked again, in order"),
    END,
};
static const flag_t rule_flags[] = {
    TEXT("cron", 0, "RULE", "30 2 * * 1-5: minute hour day month weekday"),
    TEXT("every", 0, "D", "10s, 5m, 1h, 1d"),
    TEXTS("at", 0, "T", "once, at this instant"),
    TEXT("dates", 0, "A,B|@F", "on these dates or instants; @F: a file of them"),
    TEXT("after", 0, "D", "so long after the end of each run, in place of a rule"),
    TEXTS("also", 0, "RULE", "and at the instants of this rule too; \"\": no others"),
    TEXT("zone", 0, "ZONE", "zone of the rule (this machine's)"),
    TEXT("except", 0, "A,B", "not on these local dates"),
    TEXTS("calendar", 0, "NAME", "not while this calendar is closed; \"\": none"),
    NUMBER("max-firings", 0, 0, HUGE_NUMBER, "ends after so many; 0: goes on"),
    END,
};
static const flag_t calendar_flags[] = {
    TEXTS("file", 'f', "FILE", "entries from a file, one a line; -: standard input"),
    TEXT("title", 0, "TEXT", "words for people"),
    END,
};
static const flag_t watermark_flags[] = {
    TEXT("expect", 0, "VALUE", "only if this is the present value; \"\": only if there is none"),
    TEXT("principal", 0, "NAME", "whose scope=NAME it is (yours)"),
    SWITCH("force", 0, "also while a producer of it runs: its attempt makes no more tasks and fails"),
    END,
};
static const flag_t principal_flags[] = {
    TEXT("principal", 0, "NAME", "whose scope=NAME it is (yours)"),
    END,
};
static const flag_t policy_flags[] = {
    WORDS("mode", "normal|latest|strict", "what becomes of missed instants (normal)"),
    WORDS("overlap", OVERLAPS, "when the last one still runs"),
    TEXT("overlap-scope", 0, "SCOPE",
         "who counts: schedule (its own tasks), type (of all schedules with its type), or a key "
         "such as db-{label.db} (of all with that key)"),
    SPAN("window", "strict, latest: forget instants older than this"),
    NUMBER("ahead", 0, 1, 1000000, "unfinished tasks of it at most (1000)"),
    SPAN("grace", "lateness that still is on time (30s)"),
    SPAN("jitter", "spread over so much after each instant"),
    SPAN("start-by", "drop a task that has not started so long after its instant"),
    NUMBER("max-running", 0, 1, 100000, "that may run at once before overlap acts (1)"),
    NUMBER("rate", 0, 1, 100000, "late tasks made a second (100)"),
    WORDS("on-resume", "catchup|skip|latest", "what becomes of the instants of a pause"),
    WORDS("live-first", "yes|no", "strict: new instants run beside a backlog, not behind it (no)"),
    WORDS("order", "oldest|newest", "of such a backlog (oldest)"),
    NUMBER("warn", 0, 0, 1000000000, "backlog that raises an event, 0 never (1000)"),
    WORDS("supersede", "yes|no", "a run that still waits gives way to the next (normal: yes)"),
    TEXT("start", 0, "T", "no instant before this; \"\": no bound"),
    TEXT("end", 0, "T", "no instant after this; \"\": no bound"),
    SWITCH("pause", 0, "paused from the beginning"),
    END,
};
static const flag_t set_flags[] = {
    TEXT("cursor", 0, "keep|now|T", "of open instants: keep them, skip them, or the new rule from T on"),
    NUMBER("revision", 0, 1, INT64_MAX, "change it only if this is still its revision"),
    END,
};
static const flag_t schedule_list_flags[] = {
    TEXT("text", 0, "TEXT", "in the name"),
    TEXTS("label", 0, "K=V", "with this label (also K!=V, K, !K); all of several must hold"),
    END,
};
static const flag_t resume_flags[] = {
    WORDS("missed", "catchup|skip|latest", "the instants of the pause (as the schedule says)"),
    SWITCH("skip-missed", 0, "the same as --missed skip"),
    SWITCH("make-missed", 0, "the same as --missed catchup"),
    END,
};
static const flag_t now_flags[] = { WORDS("overlap", OVERLAPS, "instead of the schedule's"), END };
static const flag_t count_flags[] = { NUMBER("count", 'n', 1, 100000, "how many instants"), END };
static const flag_t history_flags[] = {
    TEXT("from", 0, "T|D", "instants at or after"),
    TEXT("to", 0, "T|D", "instants before"),
    END,
};
static const flag_t explain_flags[] = {
    TEXT("down", 0, "A..B", "no scheduler from A until B: instants, 3h ago, or B as +4h after A"),
    TEXT("until", 0, "T", "where to stop (when it has caught up, three instants later)"),
    SPAN("takes", "how long each run lasts (1s)"),
    NUMBER("limit", 0, 1, 100000, "rows at most (tables: 100; else all)"),
    END,
};
static const flag_t backfill_flags[] = {
    TEXT("from", 0, "T|D", "instants at or after"),
    TEXT("to", 0, "T|D", "instants before"),
    WORDS("order", "oldest|newest", "which first (oldest)"),
    NUMBER("rate", 0, 1, 100000, "tasks made a second (the schedule's)"),
    WORDS("overlap", OVERLAPS, "instead of the schedule's; where that drops instants queue_all"),
    WORDS("on-failure", "continue|stop", "when a task of it fails (continue)"),
    END,
};
static const flag_t peer_flags[] = {
    SWITCH("all", 0, "tables: those that have gone too, as all other formats have them"),
    END,
};
static const flag_t range_flags[] = { SWITCH("all", 0, "those that are done too"), END };
static const flag_t when_flags[] = {
    TEXT("zone", 0, "ZONE", "zone of the rule (this machine's)"),
    TEXTS("also", 0, "RULE", "and at the instants of this rule too"),
    TEXT("from", 0, "T", "from this instant on (now)"),
    TEXT("to", 0, "T", "up to this instant; says how many there are"),
    SWITCH("last", 0, "the instants before --from, newest first"),
    TEXT("except", 0, "A,B", "not on these local dates"),
    TEXTS("closed", 0, "ENTRY", "as in a calendar: 12-24..12-26, SAT..SUN, days * 11 THU#4"),
    TEXT("name", 0, "NAME", "what H in the rule spreads by"),
    WORDS("explain", "en|zh", "language of the words"),
    SWITCH("batch", 0, "lines `zone TAB rule TAB start TAB count` in, instants out"),
    END,
};
static const flag_t import_flags[] = {
    SWITCH("system", 0, "with a user column, as /etc/crontab and /etc/cron.d have"),
    TEXTS("user", 'u', "USER", "what crontab -l -u USER prints"),
    END,
};
/* Of every import. */
static const flag_t import_all_flags[] = {
    TEXT("prefix", 0, "NAME", "in front of the schedules' names; crontab: NAME-LINE (the file's)"),
    TEXTS("on", 0, "host=H", "where they run: host=H, executor=E or label=KEY=VALUE"),
    TEXT("queue", 0, "NAME", "their queue (default)"),
    END,
};
static const flag_t import_zone_flags[] = {
    TEXT("zone", 0, "ZONE", "zone of rules that name none (this machine's; celery-beat: UTC)"),
    END,
};
static const flag_t import_type_flags[] = {
    TEXTS("type-map", 0, "A=B", "their task or handler A is the type B here"),
    END,
};
static const flag_t export_flags[] = { TEXT("text", 0, "TEXT", "in the name"), END };
static const flag_t export_crontab_flags[] = {
    SWITCH("system", 0, "with a user column, for /etc/cron.d"),
    END,
};
static const flag_t apply_flags[] = {
    TEXTS("file", 'f', "DIR|FILE", "YAML or JSON; of a folder *.yaml, *.yml and *.json; -: stdin"),
    SWITCH("prune", 0, "remove what this owner's files made and no longer hold"),
    TEXT("owner", 0, "NAME", "whose files these are (default); --prune keeps to them"),
    SWITCH("adopt", 0, "take over schedules that others made"),
    END,
};
static const flag_t stats_flags[] = { SWITCH("watch", 0, "again every second"), END };
static const flag_t top_flags[] = { SWITCH("once", 0, "one picture, then end"), END };
static const flag_t events_flags[] = {
    NUMBER("from", 0, 1, HUGE_NUMBER, "from this sequence number on (1; tables: the last ones)"),
    SWITCH("follow", 'f', "go on with what happens"),
    END,
};
static const flag_t key_flags[] = {
    TEXT("keys", 0, "DIR", "folder of the broker's keys (those of -b, else ~/.local/share/pawl/keys)"),
    END,
};
static const flag_t key_new_flags[] = {
    WORDS("role", "admin|operator|submitter|executor|scheduler|monitor", "what it may do (executor)"),
    TEXT("out", 0, "FILE", "its secret file (NAME.key)"),
    END,
};
static const flag_t check_flags[] = {
    TEXT("state", 0, "DIR", "folder of the store (~/.local/share/pawl)"),
    END,
};

enum { ANY = 1000000 };
#define GROUP(name, help, example) { name, "", help, example, NULL, { NULL }, 0, 0, REST_NONE, NULL }

const command_t commands[] = {
    { "up", "", "broker, scheduler and executor for this user, in the foreground",
      "pawl up --slots 4", cmd_up, { up_flags }, 0, 0, REST_NONE, NULL },
    { "run", "", "submit one command or task",
      "pawl run --follow -- ./sync.sh --region eu-1", cmd_run, { task_flags, run_flags },
      0, 0, REST_IMPLICIT, NULL },

    GROUP("task", "submit, list, show and change tasks", "pawl task list --status failed"),
    { "task submit", "FILE|-", "submit many: one JSON object a line in, one id a line out",
      "echo '{\"argv\":[\"/bin/echo\",\"hi\"]}' | pawl task submit -", cmd_task_submit, { NULL },
      1, 1, REST_NONE, NULL },
    { "task list", "", "tasks, by filters",
      "pawl task list --status failed --since 1h -o ndjson", cmd_task_list,
      { filter_flags, list_flags, limit_flags }, 0, 0, REST_NONE, "ls" },
    { "task show", "ID", "all there is about one task",
      "pawl task show 01JZ3K7V -o json", cmd_task_show, { show_flags }, 1, 1, REST_NONE, NULL },
    { "task children", "ID", "the children of a fan-out, a row for each host",
      "pawl task children 01JZ3K7V --status failed,expired", cmd_task_children,
      { children_flags, limit_flags },
      1, 1, REST_NONE, NULL },
    { "task logs", "ID", "what a task printed; of a fan-out: behind each host's name",
      "pawl task logs -f 01JZ3K7V", cmd_logs, { logs_flags }, 1, 1, REST_NONE, NULL },
    { "task wait", "ID...", "wait until tasks have ended; exit 7 when one did not finish",
      "pawl task wait 01JZ3K7V 01JZ3K7W", cmd_task_wait, { wait_flags }, 1, ANY, REST_NONE, NULL },
    { "task why", "ID", "why a task waits, or how it ended", "pawl task why 01JZ3K7V", cmd_why,
      { NULL }, 1, 1, REST_NONE, NULL },
    { "task cancel", "ID...|-", "stop or drop tasks",
      "pawl task cancel 01JZ3K7V", cmd_task_change, { change_flags, filter_flags },
      0, ANY, REST_NONE, NULL },
    { "task retry", "ID...|-", "run ended tasks again",
      "pawl task list --status failed -o id | pawl task retry -", cmd_task_change,
      { change_flags, filter_flags }, 0, ANY, REST_NONE, NULL },
    { "task start", "ID...|-", "let held tasks run",
      "pawl task start 01JZ3K7V", cmd_task_change, { change_flags, filter_flags },
      0, ANY, REST_NONE, NULL },
    { "task hold", "ID...|-", "keep waiting tasks from running",
      "pawl task hold 01JZ3K7V", cmd_task_change, { change_flags, filter_flags },
      0, ANY, REST_NONE, NULL },
    { "task complete", "TOKEN", "end an external task: it finishes",
      "pawl task complete $PAWL_COMPLETION --result '{\"paid\":true}'", cmd_task_complete,
      { complete_flags }, 1, 1, REST_NONE, NULL },
    { "task fail", "TOKEN", "end an external task: this attempt failed",
      "pawl task fail $PAWL_COMPLETION --message \"card refused\" --permanent",
      cmd_task_complete, { complete_flags, fail_flags }, 1, 1, REST_NONE, NULL },
    { "task extend", "TOKEN", "move the deadline of an external task",
      "pawl task extend $PAWL_COMPLETION --by 2h", cmd_task_complete, { extend_flags },
      1, 1, REST_NONE, NULL },
    { "task output", "ID", "the result a task returned, as its bytes",
      "pawl task output 01JZ3K7V", cmd_task_output, { NULL }, 1, 1, REST_NONE, NULL },

    GROUP("schedule", "what runs by the clock", "pawl schedule list"),
    { "schedule add", "NAME", "a new schedule",
      "pawl schedule add nightly --cron \"30 2 * * *\" --mode strict -- /usr/local/bin/backup.sh",
      cmd_schedule_add, { rule_flags, policy_flags, task_flags }, 1, 1, REST_COMMAND, NULL },
    { "schedule set", "NAME", "change a schedule: what is given replaces what stands there",
      "pawl schedule set nightly --cron \"0 3 * * *\"", cmd_schedule_set,
      { rule_flags, policy_flags, task_flags, set_flags }, 1, 1, REST_COMMAND, NULL },
    { "schedule list", "", "all schedules, with their next instant",
      "pawl schedule list -o wide", cmd_schedule_list, { schedule_list_flags, limit_flags },
      0, 0, REST_NONE, NULL },
    { "schedule show", "NAME", "all there is about one schedule",
      "pawl schedule show nightly -o json", cmd_schedule_show, { NULL }, 1, 1, REST_NONE, NULL },
    { "schedule why", "NAME", "why it does not fire, or when it will",
      "pawl schedule why nightly", cmd_schedule_why, { NULL }, 1, 1, REST_NONE, NULL },
    { "schedule pause", "NAME", "no instants fire until it is resumed",
      "pawl schedule pause nightly --reason \"disk swap\"", cmd_schedule_change, { reason_flags },
      1, 1, REST_NONE, NULL },
    { "schedule resume", "NAME", "end a pause",
      "pawl schedule resume nightly --skip-missed", cmd_schedule_change,
      { resume_flags, reason_flags }, 1, 1, REST_NONE, NULL },
    { "schedule now", "NAME", "run it once, now; prints the task's id",
      "pawl schedule now nightly", cmd_schedule_change, { now_flags, reason_flags },
      1, 1, REST_NONE, NULL },
    { "schedule preview", "NAME", "the next instants",
      "pawl schedule preview nightly -n 10", cmd_schedule_preview, { count_flags },
      1, 1, REST_NONE, NULL },
    { "schedule history", "NAME|UID [FROM [TO]]", "each instant with its verdict, oldest first",
      "pawl schedule history nightly --from 7d -o ndjson", cmd_schedule_history,
      { history_flags, limit_flags }, 1, 3, REST_NONE, NULL },
    { "schedule missed", "NAME|UID [FROM [TO]]", "the instants that were skipped",
      "pawl schedule missed nightly", cmd_schedule_history, { history_flags, limit_flags },
      1, 3, REST_NONE, NULL },
    { "schedule backfill", "NAME", "run a span's instants, past or to come; prints its number",
      "pawl schedule backfill nightly --from 2026-01-01 --to 2026-02-01 --order newest",
      cmd_schedule_backfill, { backfill_flags }, 1, 1, REST_NONE, NULL },
    { "schedule range", "list|pause|resume|cancel NAME [N]", "backfills and backlogs that run apart",
      "pawl schedule range cancel nightly 3", cmd_schedule_range, { range_flags, limit_flags },
      2, 3, REST_NONE, NULL },
    { "schedule audit", "NAME [FROM [TO]]", "is each instant on record, once? exit 1 when not",
      "pawl schedule audit nightly --from 30d", cmd_schedule_audit, { history_flags },
      1, 3, REST_NONE, NULL },
    { "schedule explain", "[NAME]", "what an outage does to it, or to what flags make of it",
      "pawl schedule explain nightly --down 2026-12-01T01:00..+5h --mode latest",
      cmd_schedule_explain, { explain_flags, rule_flags, policy_flags, task_flags },
      0, 1, REST_COMMAND, NULL },
    { "schedule rm", "NAME", "remove it; its history stays, under its uid",
      "pawl schedule rm nightly", cmd_schedule_change, { reason_flags }, 1, 1, REST_NONE, NULL },

    { "schedule apply", "", "make schedules as files say; what they do not hold stays",
      "pawl schedule apply -f schedules/ --prune --dry-run", cmd_schedule_apply,
      { apply_flags, set_flags }, 0, 0, REST_NONE, NULL },
    { "schedule diff", "", "what apply would change",
      "pawl schedule diff -f schedules/", cmd_schedule_apply, { apply_flags },
      0, 0, REST_NONE, NULL },

    GROUP("calendar", "days and hours at which schedules rest", "pawl calendar list"),
    { "calendar set", "NAME [ENTRY]...", "make or change one: its entries are those given",
      "pawl calendar set holidays 12-24..01-01 2027-05-06 SUN", cmd_calendar_set,
      { calendar_flags }, 1, ANY, REST_NONE, NULL },
    { "calendar list", "", "all calendars, with the schedules that use them",
      "pawl calendar list", cmd_calendar_list, { limit_flags }, 0, 0, REST_NONE, NULL },
    { "calendar show", "NAME", "its entries", "pawl calendar show holidays", cmd_calendar_show,
      { NULL }, 1, 1, REST_NONE, NULL },
    { "calendar rm", "NAME", "remove it; refused while schedules use it",
      "pawl calendar rm holidays", cmd_calendar_rm, { NULL }, 1, 1, REST_NONE, NULL },

    GROUP("watermark", "how far producers of tasks (--each) have come", "pawl watermark list"),
    { "watermark list", "", "all that are kept", "pawl watermark list -o wide",
      cmd_watermark_list, { limit_flags }, 0, 0, REST_NONE, NULL },
    { "watermark show", "WHICH", "one: schedule=NAME, scope=NAME, task=ID or id=ID",
      "pawl watermark show schedule=harvest", cmd_watermark_show, { principal_flags },
      1, 1, REST_NONE, NULL },
    { "watermark set", "WHICH VALUE", "the next run goes on behind this value",
      "pawl watermark set schedule=harvest 1200 --expect 3400", cmd_watermark_change,
      { watermark_flags }, 2, 2, REST_NONE, NULL },
    { "watermark rm", "WHICH", "forget it: the next run begins anew",
      "pawl watermark rm scope=mails", cmd_watermark_change, { watermark_flags },
      1, 1, REST_NONE, NULL },

    { "when", "RULE", "what a rule means, and its next instants; needs no broker",
      "pawl when \"0 2 * * 1-5\" --zone Europe/Paris -n 3", cmd_when, { when_flags, count_flags },
      0, 1, REST_NONE, NULL },

    GROUP("executor", "where tasks run", "pawl executor list"),
    { "executor list", "", "all executors, with slots and load",
      "pawl executor list -o wide", cmd_executor_list, { limit_flags }, 0, 0, REST_NONE, NULL },
    { "executor show", "NAME", "all there is about one executor",
      "pawl executor show web-07", cmd_executor_show, { NULL }, 1, 1, REST_NONE, NULL },
    { "executor drain", "NAME", "let it finish and give it nothing new",
      "pawl executor drain web-07 --reason reboot", cmd_executor_change, { reason_flags },
      1, 1, REST_NONE, NULL },
    { "executor quiet", "NAME", "the same as drain",
      "pawl executor quiet web-07", cmd_executor_change, { reason_flags }, 1, 1, REST_NONE, NULL },
    { "executor stop", "NAME", "let it finish, at most so long, and end its process",
      "pawl executor stop web-07 --deadline 5m", cmd_executor_change,
      { stop_flags, reason_flags }, 1, 1, REST_NONE, NULL },
    { "executor retire", "NAME", "it will not come back: fan-outs go to it no more",
      "pawl executor retire web-07 --reason scrapped", cmd_executor_change, { reason_flags },
      1, 1, REST_NONE, NULL },
    { "executor resume", "NAME", "give it work again",
      "pawl executor resume web-07", cmd_executor_change, { reason_flags }, 1, 1, REST_NONE, NULL },

    GROUP("queue", "lines of waiting tasks", "pawl queue list"),
    { "queue list", "", "all queues, with counts by status",
      "pawl queue list", cmd_queue_list, { limit_flags }, 0, 0, REST_NONE, NULL },
    { "queue pause", "NAME", "nothing of it starts until it is resumed",
      "pawl queue pause default --reason maintenance", cmd_queue_change, { reason_flags },
      1, 1, REST_NONE, NULL },
    { "queue resume", "NAME", "end a pause",
      "pawl queue resume default", cmd_queue_change, { reason_flags }, 1, 1, REST_NONE, NULL },

    GROUP("peer", "who is connected to the broker", "pawl peer list"),
    { "peer list", "", "role, machine, process, container, last seen",
      "pawl peer list -o json", cmd_peer_list, { peer_flags, limit_flags }, 0, 0, REST_NONE, NULL },

    GROUP("import", "take over what other tools run", "pawl import crontab /etc/cron.d --dry-run"),
    { "import crontab", "[FILE|DIR|-]...", "schedules from crontabs",
      "crontab -l | pawl import crontab - --dry-run", cmd_import_crontab,
      { import_flags, import_zone_flags, import_all_flags }, 0, ANY, REST_NONE, NULL },
    { "import systemd-timers", "[DIR|FILE]...", "schedules from timer units and their services",
      "pawl import systemd-timers /etc/systemd/system --dry-run", cmd_import_systemd,
      { import_zone_flags, import_all_flags }, 0, ANY, REST_NONE, NULL },
    { "import celery-beat", "FILE...", "schedules from JSON of Celery beat or django-celery-beat",
      "pawl import celery-beat beat.json --type-map shop.tasks.send=mail/send --dry-run",
      cmd_import_celery, { import_zone_flags, import_type_flags, import_all_flags },
      1, ANY, REST_NONE, NULL },
    { "import xxl-job", "FILE...", "schedules from XXL-JOB's table xxl_job_info as CSV",
      "pawl import xxl-job xxl_job_info.csv --zone Asia/Shanghai --dry-run", cmd_import_xxl_job,
      { import_zone_flags, import_type_flags, import_all_flags }, 1, ANY, REST_NONE, NULL },

    GROUP("export", "write schedules to files", "pawl export yaml > schedules.yaml"),
    { "export yaml", "[NAME]...", "schedules as pawl schedule apply reads them",
      "pawl export yaml > schedules.yaml", cmd_export, { export_flags }, 0, ANY, REST_NONE, NULL },
    { "export json", "[NAME]...", "the same as JSON",
      "pawl export json nightly", cmd_export, { export_flags }, 0, ANY, REST_NONE, NULL },
    { "export crontab", "[NAME]...", "a crontab; what it cannot say is in comments, and told",
      "pawl export crontab --system > /etc/cron.d/from-pawl", cmd_export,
      { export_crontab_flags, export_flags }, 0, ANY, REST_NONE, NULL },

    { "logs", "ID|SCHEDULE", "what a task, or the newest of a schedule, printed",
      "pawl logs -f nightly", cmd_logs, { logs_flags }, 1, 1, REST_NONE, NULL },
    { "ps", "", "tasks that run now", "pawl ps", cmd_task_list,
      { filter_flags, list_flags, limit_flags }, 0, 0, REST_NONE, NULL },
    { "top", "", "live numbers; q quits", "pawl top", cmd_top, { top_flags }, 0, 0, REST_NONE, NULL },
    { "stats", "", "the broker's numbers", "pawl stats -o json", cmd_stats, { stats_flags },
      0, 0, REST_NONE, NULL },
    { "events", "", "the journal: each change of status, with its sequence",
      "pawl events --from 1 -o ndjson", cmd_events, { events_flags, limit_flags },
      0, 0, REST_NONE, NULL },
    { "why", "ID", "why a task waits, or how it ended", "pawl why 01JZ3K7V", cmd_why, { NULL },
      1, 1, REST_NONE, NULL },

    GROUP("broker", "the broker itself", "pawl broker status"),
    { "broker status", "", "version, process, store", "pawl broker status -o json",
      cmd_broker_status, { NULL }, 0, 0, REST_NONE, NULL },
    { "broker check", "", "verify a store, offline",
      "pawl broker check --state ~/.local/share/pawl", cmd_broker_check, { check_flags },
      0, 0, REST_NONE, NULL },

    GROUP("key", "who may come from another machine", "pawl key new web-07 --role executor"),
    { "key new", "NAME", "make a key: its secret file, and what lets it in",
      "pawl key new web-07 --role executor --out web-07.key", cmd_key_new, { key_new_flags, key_flags },
      1, 1, REST_NONE, NULL },
    { "key list", "", "whose keys are known", "pawl key list", cmd_key_list, { key_flags },
      0, 0, REST_NONE, NULL },
    { "key rm", "NAME", "no longer let it in; its sessions end", "pawl key rm web-07", cmd_key_rm,
      { key_flags }, 1, 1, REST_NONE, NULL },

    { "completion", "SHELL", "a script by which bash completes words of pawl",
      "source <(pawl completion bash)", cmd_completion, { NULL }, 1, 1, REST_NONE, NULL },
    { "version", "", "the version", "pawl version", cmd_version, { NULL }, 0, 0, REST_NONE, NULL },
    { "help", "[COMMAND|TOPIC]", "help", "pawl help schedule add", cmd_help, { NULL },
      0, 3, REST_NONE, NULL },
    { NULL, NULL, NULL, NULL, NULL, { NULL }, 0, 0, REST_NONE, NULL },
};
// clang-format on
