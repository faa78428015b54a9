/* SPDX-License-Identifier: Apache-2.0
 * client/cli/args.c - reads a command line by the command table. One pass from left to right: words
 * name the command first, then are its own; flags are the command's or global. */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "client/cli/command.h"
#include "client/cli/fail.h"
#include "client/cli/text.h"

typedef struct reading {
    args_t *args;
    int argc, at;
    char **argv;
    const char *name[2]; /* words that name the command so far */
    size_t named;
    bool settled; /* no further word can belong to the name */
} reading_t;

static const flag_t *flag_in(const flag_t *list, const char *name, size_t len, char letter)
{
    for (; list && list->name; list++)
        if (letter ? list->letter == letter
                   : strlen(list->name) == len && memcmp(list->name, name, len) == 0)
            return list;
    return NULL;
}

static const flag_t *flag_find(const command_t *command, const char *name, size_t len, char letter)
{
    for (size_t i = 0; command && i < FLAG_GROUPS; i++) {
        const flag_t *flag = flag_in(command->flags[i], name, len, letter);
        if (flag) return flag;
    }
    return flag_in(global_flags, name, len, letter);
}

static const char *help_of(const command_t *command)
{
    return command ? say("pawl help %s", command->name) : "pawl help";
}

static int unknown_flag(const args_t *args, const char *text)
{
    const char *names[128];
    size_t n = 0, len = strcspn(text, "=");
    for (size_t i = 0; args->command && i < FLAG_GROUPS; i++)
        for (const flag_t *flag = args->command->flags[i]; flag && flag->name; flag++)
            if (n < ARRAY_LEN(names)) names[n++] = flag->name;
    for (const flag_t *flag = global_flags; flag->name; flag++)
        if (n < ARRAY_LEN(names)) names[n++] = flag->name;
    const char *plain = say("%.*s", (int)len, text);
    const char *near =
        plain[0] == '-' && plain[1] == '-' ? did_you_mean(plain + 2, names, n) : NULL;
    return fail(EXIT_USAGE, say("unknown flag %s", plain),
                args->command ? say("pawl %s has no such flag", args->command->name)
                              : "only global flags may stand before the command's name",
                near ? say("--%s (did you mean that?), or %s", near, help_of(args->command))
                     : help_of(args->command));
}

static bool word_of(const char *words, const char *word)
{
    size_t len = strlen(word);
    for (const char *at = words; *at;) {
        size_t n = strcspn(at, "|");
        if (n == len && memcmp(at, word, n) == 0) return true;
        at += n + (at[n] == '|');
    }
    return false;
}

static int add_value(args_t *args, const flag_t *flag, const char *value, const char *second)
{
    given_t given = { .flag = flag, .value = value, .second = second };
    const char *what = say("bad value of --%s", flag->name);
    if (flag->kind == FLAG_NUMBER) {
        char *end;
        errno = 0;
        long long number = strtoll(value, &end, 10);
        bool whole = *value && !*end && !errno && !isspace((unsigned char)*value) && *value != '+';
        if (!whole || number < flag->least || number > flag->most)
            return fail(EXIT_USAGE, what,
                        say("\"%s\" is not a whole number from %" PRId64 " to %" PRId64, value,
                            flag->least, flag->most),
                        help_of(args->command));
        given.number = number;
    } else if (flag->kind == FLAG_DURATION) {
        if (!duration_read(value, &given.number))
            return fail(EXIT_USAGE, what,
                        say("\"%s\" is not a duration; a bare number is refused", value),
                        say("--%s 20s (units: ms s m h d, also 1h30m)", flag->name));
    } else if (flag->kind == FLAG_WORD && !word_of(flag->value, value)) {
        return fail(EXIT_USAGE, what, say("\"%s\" is none of %s", value, flag->value),
                    help_of(args->command));
    }
    for (size_t i = 0; i < args->given_count && !flag->many; i++)
        if (args->given[i].flag == flag) {
            args->given[i] = given; /* the last one counts, as with most tools */
            return 0;
        }
    args->given = mem_grow(args->given, (args->given_count + 1) * sizeof *args->given);
    args->given[args->given_count++] = given;
    return 0;
}

static int add_flag(reading_t *self, const flag_t *flag, const char *value)
{
    args_t *args = self->args;
    if (flag->kind == FLAG_SWITCH) {
        if (value)
            return fail(EXIT_USAGE, say("--%s takes no value", flag->name),
                        say("\"%s\" was given", value), say("--%s", flag->name));
        if (strcmp(flag->name, "help") == 0) args->wants_help = true;
        if (strcmp(flag->name, "version") == 0) args->wants_version = true;
        return add_value(args, flag, NULL, NULL);
    }
    if (!value && self->at + 1 < self->argc) value = self->argv[++self->at];
    const char *second = NULL;
    if (value && flag->kind == FLAG_PAIR) {
        if (self->at + 1 < self->argc) second = self->argv[++self->at];
        if (!second) value = NULL;
    }
    if (!value)
        return fail(EXIT_USAGE, say("--%s needs a value", flag->name), "the command line ends here",
                    say("--%s %s", flag->name, flag->value));
    return add_value(args, flag, value, second);
}

static int read_long(reading_t *self, const char *text)
{
    size_t len = strcspn(text + 2, "=");
    const flag_t *flag = flag_find(self->args->command, text + 2, len, 0);
    if (!flag) return unknown_flag(self->args, text);
    return add_flag(self, flag, text[2 + len] == '=' ? text + 3 + len : NULL);
}

/* -n 3, -n3, -fv */
static int read_letters(reading_t *self, const char *text)
{
    for (const char *at = text + 1; *at; at++) {
        const flag_t *flag = flag_find(self->args->command, NULL, 0, *at);
        if (!flag) return unknown_flag(self->args, say("-%c", *at));
        bool takes_value = flag->kind != FLAG_SWITCH;
        int code = add_flag(self, flag, takes_value && at[1] ? at + 1 + (at[1] == '=') : NULL);
        if (code || takes_value) return code;
    }
    return 0;
}

static void add_word(args_t *args, const char *word)
{
    args->words = mem_grow(args->words, (args->word_count + 1) * sizeof *args->words);
    args->words[args->word_count++] = word;
}

static int read_word(reading_t *self, const char *word, bool *ends)
{
    args_t *args = self->args;
    size_t used = 0;
    if (!self->settled) {
        self->name[self->named++] = word;
        const command_t *command = command_find(self->name, self->named, &used);
        if (used == self->named) {
            args->command = command;
            /* a name of one word may be a command and the first half of others: `stats` is not */
            self->settled = command->run != NULL || self->named == 2;
            return 0;
        }
        return command_unknown("pawl", self->name, self->named,
                               self->at + 1 < self->argc ? self->argv[self->at + 1] : NULL);
    }
    if (args->command->rest == REST_IMPLICIT) {
        *ends = true;
        return 0;
    }
    add_word(args, word);
    return 0;
}

static int check_words(const args_t *args)
{
    const command_t *command = args->command;
    if (args->wants_help || args->wants_version || !command || !command->run) return 0;
    if (args->word_count < command->words_least)
        return fail(EXIT_USAGE, say("pawl %s needs %s", command->name, command->words),
                    say("%zu of at least %zu given", args->word_count, command->words_least),
                    command->example);
    if (args->word_count > command->words_most)
        return fail(EXIT_USAGE, say("pawl %s: too many words", command->name),
                    say("\"%s\" is one more than the %zu it takes",
                        args->words[command->words_most], command->words_most),
                    command->rest == REST_NONE
                        ? command->example
                        : say("-- in front of the command to run: %s", command->example));
    return 0;
}

int args_read(args_t *self, int argc, char **argv)
{
    *self = (args_t){ 0 };
    reading_t reading = { .args = self, .argc = argc, .argv = argv, .at = 1 };
    for (bool flags_end = false; reading.at < argc; reading.at++) {
        char *text = argv[reading.at];
        bool ends = false;
        int code = 0;
        if (!flags_end && strcmp(text, "--") == 0) {
            if (self->command && self->command->rest != REST_NONE) {
                self->rest = argv + reading.at + 1;
                self->rest_count = (size_t)(argc - reading.at - 1);
                break;
            }
            flags_end = true;
        } else if (!flags_end && text[0] == '-' && text[1] == '-') {
            code = read_long(&reading, text);
        } else if (!flags_end && text[0] == '-' && text[1]) {
            code = read_letters(&reading, text);
        } else {
            code = read_word(&reading, text, &ends);
        }
        if (code) return code;
        if (ends) {
            self->rest = argv + reading.at;
            self->rest_count = (size_t)(argc - reading.at);
            break;
        }
    }
    return check_words(self);
}

void args_free(args_t *self)
{
    free(self->given);
    free(self->words);
    *self = (args_t){ 0 };
}

const given_t *args_given(const args_t *self, const char *flag, size_t i)
{
    for (size_t at = 0; at < self->given_count; at++)
        if (strcmp(self->given[at].flag->name, flag) == 0 && i-- == 0) return &self->given[at];
    return NULL;
}

bool args_has(const args_t *self, const char *flag)
{
    return args_given(self, flag, 0) != NULL;
}

size_t args_count(const args_t *self, const char *flag)
{
    size_t n = 0;
    while (args_given(self, flag, n))
        n++;
    return n;
}

const char *args_text(const args_t *self, const char *flag)
{
    const given_t *given = args_given(self, flag, 0);
    return given ? given->value : NULL;
}

int64_t args_number(const args_t *self, const char *flag, int64_t otherwise)
{
    const given_t *given = args_given(self, flag, 0);
    return given ? given->number : otherwise;
}
