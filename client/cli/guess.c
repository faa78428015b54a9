/* SPDX-License-Identifier: Apache-2.0
 * client/cli/guess.c - words that name no command, and what was probably meant: letters mistyped,
 * verb and noun (or name) swapped, a verb without its noun, another tool's word. */
#include <string.h>

#include "client/cli/command.h"
#include "client/cli/fail.h"
#include "client/cli/text.h"

/* Words of other tools. What comes first and is there counts: of a noun only its own verbs, else
 * what stands alone. */
static const struct {
    const char *word, *meant;
} others[] = {
    { "delete", "rm" },
    { "remove", "rm" },
    { "edit", "set" },
    { "change", "set" },
    { "update", "set" },
    { "modify", "set" },
    { "create", "add" },
    { "create", "set" },
    { "create", "new" },
    { "new", "add" },
    { "make", "add" },
    { "run", "now" },
    { "trigger", "now" },
    { "fire", "now" },
    { "start", "now" },
    { "disable", "pause" },
    { "stop", "pause" },
    { "stop", "cancel" },
    { "suspend", "pause" },
    { "enable", "resume" },
    { "unpause", "resume" },
    { "kill", "cancel" },
    { "abort", "cancel" },
    { "rerun", "retry" },
    { "status", "show" },
    { "get", "show" },
    { "describe", "show" },
    { "info", "show" },
    { "inspect", "show" },
    { "ls", "list" },
    { "log", "logs" },
    { "next", "preview" },
    { "status", "broker status" },
    { "info", "broker status" },
    { "ping", "broker status" },
    { "init", "up" },
    { "start", "up" },
    { "server", "up" },
    { "serve", "up" },
    { "job", "task" },
    { "jobs", "task" },
    { "cron", "schedule" },
    { "crontab", "import crontab" },
    { "worker", "executor" },
    { "workers", "executor" },
    { "agent", "executor" },
    { "agents", "executor" },
    { "exec", "run" },
    { "doctor", "broker check" },
    { "watch", "events" },
};

static bool named(const char *name)
{
    for (const command_t *command = commands; command->name; command++)
        if (strcmp(command->name, name) == 0) return true;
    return false;
}

/* "schedule list" of (schedule, list); NULL: there is none. */
static const char *of_noun(const char *noun, const char *verb)
{
    const char *name = noun && verb ? say("%s %s", noun, verb) : "";
    return named(name) ? name : NULL;
}

/* The commands with this verb: "task list, pawl schedule list". NULL: none. */
static const char *with_verb(const char *verb)
{
    enum { TOLD = 3 };
    const char *all = NULL;
    size_t n = 0;
    for (const command_t *command = commands; command->name; command++) {
        const char *blank = strchr(command->name, ' ');
        if (!blank || strcmp(blank + 1, verb) != 0 || n++ >= TOLD) continue;
        all = all ? say("%s, pawl %s", all, command->name) : command->name;
    }
    return n > TOLD ? say("%s, ...", all) : all;
}

/* By letters, among the verbs of the noun or, without one, what may stand first. */
static const char *by_letters(const char *noun, const char *word)
{
    const char *names[128] = { NULL };
    size_t n = 0, len = noun ? strlen(noun) : 0;
    for (const command_t *command = commands; command->name; command++) {
        if (n + 2 > ARRAY_LEN(names)) break;
        const char *blank = strchr(command->name, ' ');
        if (noun && blank && (size_t)(blank - command->name) == len &&
            memcmp(command->name, noun, len) == 0)
            names[n++] = blank + 1;
        else if (!noun && !blank)
            names[n++] = command->name;
        if (!noun && command->short_form) names[n++] = command->short_form;
    }
    const char *near = did_you_mean(word, names, n);
    return near && noun ? say("%s %s", noun, near) : near;
}

static const char *by_other_tools(const char *noun, const char *word)
{
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        if (strcmp(others[i].word, word) != 0) continue;
        const char *meant = noun ? of_noun(noun, others[i].meant) : others[i].meant;
        if (meant && named(meant)) return meant;
    }
    return NULL;
}

/* `next`: the word behind; may be NULL. */
static const char *guess(const char *noun, const char *word, const char *next)
{
    const char *meant = noun ? of_noun(noun, next) : of_noun(next, word);
    if (meant) return noun ? say("%s %s", meant, word) : meant; /* they were swapped */
    if (!noun) meant = with_verb(word);
    if (!meant) meant = by_other_tools(noun, word);
    return meant ? meant : by_letters(noun, word);
}

int command_unknown(const char *program, const char *const *words, size_t n, const char *next)
{
    size_t used;
    const command_t *group = n > 1 ? command_find(words, 1, &used) : NULL;
    const char *noun = group ? group->name : NULL, *word = words[group ? 1 : 0];
    const char *meant = guess(noun, word, next), *gap = noun ? " " : "", *in = noun ? noun : "";
    return fail(EXIT_USAGE, say("unknown command %s%s%s", in, gap, word),
                say("pawl%s%s has no command of that name", gap, in),
                meant ? say("%s %s (did you mean that?), or pawl help%s%s", program, meant, gap, in)
                      : say("pawl help%s%s", gap, in));
}
