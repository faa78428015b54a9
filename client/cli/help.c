/* SPDX-License-Identifier: Apache-2.0
 * client/cli/help.c - what the command table says to people: pages of help. */
#include <stdio.h>
#include <stdlib.h>

#include "client/cli/command.h"
#include "client/cli/fail.h"
#include "client/cli/text.h"

/* "task" of "task list" */
static size_t first_word(const char *name)
{
    return strcspn(name, " ");
}

static bool starts_with(const char *name, const char *group)
{
    size_t len = strlen(group);
    return strncmp(name, group, len) == 0 && name[len] == ' ';
}

const command_t *command_find(const char *const *words, size_t n, size_t *used)
{
    const command_t *best = NULL;
    *used = 0;
    for (const command_t *command = commands; command->name; command++) {
        if (command->short_form && n == 1 && strcmp(command->short_form, words[0]) == 0) {
            *used = 1;
            return command;
        }
        size_t len = first_word(command->name);
        if (strlen(words[0]) != len || memcmp(words[0], command->name, len) != 0) continue;
        const char *verb = command->name[len] ? command->name + len + 1 : NULL;
        if (!verb && *used < 1) {
            best = command;
            *used = 1;
        } else if (verb && n > 1 && strcmp(verb, words[1]) == 0) {
            best = command;
            *used = 2;
        }
    }
    return best;
}

enum { PAGE_COLUMNS = 80, HELP_COLUMN = 28 };

/* From HELP_COLUMN on, broken at blanks so that a page fits a terminal of the usual width. */
static void print_help(const char *help)
{
    size_t column = HELP_COLUMN;
    for (bool first = true; *help; first = false) {
        size_t len = strcspn(help, " ");
        if (!first && column + 1 + len > PAGE_COLUMNS) {
            printf("\n%*s", HELP_COLUMN, "");
            column = HELP_COLUMN;
        } else if (!first) {
            putchar(' ');
            column++;
        }
        printf("%.*s", (int)len, help);
        column += len;
        help += len + strspn(help + len, " ");
    }
    putchar('\n');
}

static void print_flags(const flag_t *list)
{
    for (; list && list->name; list++) {
        char left[80];
        int len = snprintf(left, sizeof left, "  %c%c%s --%s%s%s", list->letter ? '-' : ' ',
                           list->letter ? list->letter : ' ', list->letter ? "," : " ", list->name,
                           list->kind == FLAG_SWITCH ? "" : " ",
                           list->kind == FLAG_SWITCH ? "" : list->value);
        bool fits = len + 2 <= HELP_COLUMN;
        printf("%s%s%*s", left, fits ? "" : "\n", fits ? HELP_COLUMN - len : HELP_COLUMN, "");
        print_help(list->many ? say("%s (many)", list->help) : list->help);
    }
}

static void print_group(const char *group)
{
    for (const command_t *command = commands; command->name; command++)
        if (starts_with(command->name, group))
            printf("  %-18s %s%s%s%s\n", command->name + first_word(command->name) + 1,
                   command->help, command->short_form ? " (short: pawl " : "",
                   command->short_form ? command->short_form : "", command->short_form ? ")" : "");
}

/* What no single command is the place for. */
static const struct topic {
    const char *name, *help, *text;
} topics[] = {
    { "dst", "what a rule does when clocks change",
      "A rule is read in its zone (--zone). When that zone's clock changes:\n\n"
      "  rule            time that is skipped              time that comes twice\n"
      "  every hour      nothing is made up                runs both times\n"
      "  named hours     once, first second after the gap  once, the first time\n"
      "  @every Nd       as named hours                    as named hours\n"
      "  @every Nh Nm Ns not affected: the time that has passed counts\n"
      "  @at, @dates     first second after the gap        the first time\n\n"
      "  every hour      * * * * *     */15 * * * *   @hourly\n"
      "  named hours     30 2 * * *    0 */2 * * *    @daily\n\n"
      "Every hour means all 24 hours, however they are written (0-23 too); any other\n"
      "rule names its hours. Skipped times that end up at one instant are one run, also\n"
      "with a time of the rule that is there anyway. A date that is skipped as a whole\n"
      "has no run of named hours. What is written with Z or an offset is not affected,\n"
      "nor is any rule with --zone UTC. More: docs/schedules.md\n\n"
      "example\n"
      "  pawl when \"30 2 * * *\" --zone Europe/Paris --from 2027-03-27 -n 3\n" },
};

/* False: there is none of that name. */
static bool print_topic(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(topics); i++)
        if (strcmp(topics[i].name, name) == 0) {
            printf("pawl help %s: %s\n\n%s", name, topics[i].help, topics[i].text);
            return true;
        }
    return false;
}

/* Is it one of the words that this command begins with: list|pause|resume NAME? */
static bool begins_with(const command_t *command, const char *word)
{
    size_t len = strlen(word);
    const char *at = command->words, *end = at + strcspn(at, " ");
    while (at < end) {
        size_t n = strcspn(at, "| ");
        if (n == len && memcmp(at, word, n) == 0) return true;
        at += n + 1;
    }
    return false;
}

int help_words(const char *const *words, size_t n)
{
    const char *names[ARRAY_LEN(topics)];
    size_t used = 0;
    if (n == 1 && print_topic(words[0])) return 0;
    const command_t *command = command_find(words, n, &used);
    if (command && (used == n || (used + 1 == n && begins_with(command, words[used])))) {
        help_print(command);
        return 0;
    }
    if (command && command->run)
        return fail(EXIT_USAGE, say("no help on \"%s\"", words[used]),
                    say("it is no word of pawl %s", command->name),
                    say("pawl help %s", command->name));
    for (size_t i = 0; i < ARRAY_LEN(topics); i++)
        names[i] = topics[i].name;
    const char *near = n == 1 ? did_you_mean(words[0], names, ARRAY_LEN(names)) : NULL;
    if (!near) return command_unknown("pawl help", words, n, NULL);
    return fail(EXIT_USAGE, say("no help on \"%s\"", words[0]),
                "it names neither a command nor a topic",
                say("pawl help %s (did you mean that?), or pawl help", near));
}

static void print_overview(void)
{
    printf("pawl: cron and a job queue for a fleet of machines\n\n"
           "usage: pawl [global flags] COMMAND [flags] [words]\n\ncommands\n");
    for (const command_t *command = commands; command->name; command++)
        if (!strchr(command->name, ' ')) printf("  %-12s %s\n", command->name, command->help);
    printf("  %-12s %s\n", "ls", "short for task list");
    printf("\nglobal flags, anywhere on the line\n");
    print_flags(global_flags);
    printf("\nexit codes\n"
           "  0 ok   1 failed   2 usage   3 not found   4 conflict, already, stale\n"
           "  5 refused   6 broker unreachable or timed out   7 the task failed (--wait)\n"
           "  8 some of a bulk failed   9 limit or full   130 interrupted\n"
           "\nenvironment: PAWL_BROKER PAWL_KEY PAWL_OUTPUT PAWL_TZ\n"
           "more: pawl help COMMAND\n\ntopics\n");
    for (size_t i = 0; i < ARRAY_LEN(topics); i++)
        printf("  pawl help %-12s %s\n", topics[i].name, topics[i].help);
}

/* What a page has to say beside flags. */
static const struct page {
    const char *command, *text;
} pages[] = {
    { "task submit",
      "fields of a line; one of type, argv, shell, script, sql, sql_producer is needed\n"
      "  id             26 characters (ULID) drawn by you: the same line again is the same task\n"
      "  type           category/name that an executor has announced\n"
      "  argv           [\"/bin/echo\",\"hi\"], a command without a shell\n"
      "  shell          \"echo $HOME | wc -c\", a line for /bin/sh -c\n"
      "  script         {\"interpreter\":\"python3>=3.11\", \"text\" or \"file\", \"args\":[...]}\n"
      "  sql, sql_producer  statements, and tasks made from rows: docs/sql.md\n"
      "  env cwd account stdin  of a command: {\"A\":\"b\"}, folder, user, text\n"
      "  secrets        [\"db\"], as files PAWL_SECRET_DB_FILE\n"
      "  input          any JSON, at most 1 MiB\n"
      "  key            two tasks of one type and key that have not ended are one\n"
      "  queue priority title labels  \"default\", 0 first to 9 last (5), text, "
      "{\"team\":\"ops\"}\n"
      "  operation      words for the audit: of what this is a part\n"
      "  at, delay      \"2026-12-01T02:00:00+01:00\", or \"30s\"\n"
      "  hold           true: waits for pawl task start\n"
      "  expire         \"1h\": not started by then it never is\n"
      "  time_limit     \"10m\", of one attempt\n"
      "  exclusive      true: two attempts never run at once\n"
      "  target         {\"executor\":\"web-07\"} or {\"host\":\"10.0.0.7\"},\n"
      "                 {\"labels\":{\"role\":\"web\"}}, {\"hash\":\"customer-7\"}\n"
      "  fanout         the same on many executors: docs/fanout.md\n"
      "  retry          {\"max_attempts\":3, \"backoff\":\"20s\", \"factor\":2, \"cap\":\"1h\"}\n"
      "  on_lost        \"retry\", or \"fail\": run at most once\n"
      "  poll           {\"max_polls\":100, \"deadline\":\"2d\"}, of who asks again\n"
      "\nA refused line is a - at its place; its number and why are on stderr; exit 8.\n" },
};

static void print_page(const char *command)
{
    for (size_t i = 0; i < ARRAY_LEN(pages); i++)
        if (strcmp(pages[i].command, command) == 0) printf("\n%s", pages[i].text);
}

void help_print(const command_t *command)
{
    if (!command) {
        print_overview();
        return;
    }
    printf("pawl %s: %s\n\n", command->name, command->help);
    if (!command->run) {
        printf("usage: pawl %s COMMAND [flags]\n\ncommands\n", command->name);
        print_group(command->name);
    } else {
        printf("usage: pawl %s [flags]%s%s%s\n", command->name, *command->words ? " " : "",
               command->words, command->rest == REST_NONE ? "" : " -- CMD...");
        if (command->short_form) printf("short: pawl %s\n", command->short_form);
        bool any = false;
        for (size_t i = 0; i < FLAG_GROUPS; i++)
            any = any || (command->flags[i] && command->flags[i]->name);
        if (any) printf("\nflags\n");
        for (size_t i = 0; i < FLAG_GROUPS; i++)
            print_flags(command->flags[i]);
        print_page(command->name);
    }
    printf("\nexample\n  %s\n\nglobal flags: pawl help\n", command->example);
}
