/* SPDX-License-Identifier: Apache-2.0
 * client/cli/help.c - what the command table says to people: pages of help, and the answer to words
 * that name no command. */
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

int command_unknown(const char *const *words, size_t n)
{
    const char *names[128];
    size_t count = 0, used;
    const command_t *group = n > 1 ? command_find(words, 1, &used) : NULL;
    for (const command_t *command = commands; command->name; command++) {
        if (count + 2 > ARRAY_LEN(names)) break;
        if (group && starts_with(command->name, group->name))
            names[count++] = command->name + first_word(command->name) + 1;
        else if (!group && !strchr(command->name, ' '))
            names[count++] = command->name;
        if (!group && command->short_form) names[count++] = command->short_form;
    }
    const char *word = words[group ? 1 : 0], *in = group ? group->name : "";
    const char *near = did_you_mean(word, names, count), *gap = group ? " " : "";
    return fail(
        EXIT_USAGE, say("unknown command %s%s%s", in, gap, word),
        say("pawl%s%s has no command of that name", gap, in),
        near ? say("pawl %s%s%s (did you mean that?), or pawl help%s%s", in, gap, near, gap, in)
             : say("pawl help%s%s", gap, in));
}

static void print_flags(const flag_t *list)
{
    for (; list && list->name; list++) {
        char left[80];
        snprintf(left, sizeof left, "%c%c%s --%s%s%s", list->letter ? '-' : ' ',
                 list->letter ? list->letter : ' ', list->letter ? "," : " ", list->name,
                 list->kind == FLAG_SWITCH ? "" : " ",
                 list->kind == FLAG_SWITCH ? "" : list->value);
        if (strlen(left) > 26)
            printf("  %s\n  %-26s  %s%s\n", left, "", list->help, list->many ? " (many)" : "");
        else
            printf("  %-26s  %s%s\n", left, list->help, list->many ? " (many)" : "");
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
           "  0 ok   1 failed   2 usage   3 not found   4 conflict, already, stale   5 refused\n"
           "  6 broker unreachable or timed out   7 the task failed (--wait)   8 some of a bulk\n"
           "  failed   9 limit or full   130 interrupted\n"
           "\nenvironment: PAWL_BROKER PAWL_OUTPUT PAWL_TZ\n"
           "more: pawl help COMMAND\n");
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
    }
    printf("\nexample\n  %s\n\nglobal flags: pawl help\n", command->example);
}
