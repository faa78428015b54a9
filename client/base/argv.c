/* SPDX-License-Identifier: Apache-2.0 */
#include "client/base/argv.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "client/base/base.h"
#include "client/base/near.h"

enum { FLAGS_MOST = 40, EXIT_WRONG = 2, KEY_USAGE = 1 << 20, KEY_HELP };

typedef struct known {
    const char *program;
    struct option flags[FLAGS_MOST + 1]; /* a nameless one ends them */
    const char *values[FLAGS_MOST];      /* beside flags: how the value is called, NULL: none */
    size_t count;
    char letters[3 * FLAGS_MOST];
} known_t;

static void add(known_t *self, const char *name, int key, const char *value)
{
    CHECK(self->count < FLAGS_MOST);
    self->values[self->count] = value;
    self->flags[self->count++] =
        (struct option){ name, value ? required_argument : no_argument, NULL, key };
    if (key > ' ' && key < 0x7f)
        snprintf(self->letters + strlen(self->letters), 3, "%c%s", key, value ? ":" : "");
}

/* An alias has the key and the value of what stands before it. */
static void learn(known_t *self, const struct argp_option *options)
{
    const struct argp_option *meant = options;
    /* words come where they stand, and nothing is printed */
    snprintf(self->letters, sizeof self->letters, "-:?");
    for (; options->name; options++) {
        if (!(options->flags & OPTION_ALIAS)) meant = options;
        add(self, options->name, meant->key, meant->arg);
    }
    add(self, "help", KEY_HELP, NULL); /* '?' is what getopt says of an unknown one */
    add(self, "usage", KEY_USAGE, NULL);
    add(self, "version", 'V', NULL);
}

static _Noreturn void refuse(const known_t *self, const char *what, const char *why,
                             const char *then)
{
    fprintf(stderr, "%s: %s\n  why:  %s\n  then: %s %s\n", self->program, what, why, self->program,
            then);
    exit(EXIT_WRONG);
}

/* --stat: of several flags, or of none. */
static _Noreturn void refuse_unknown(const known_t *self, const char *word)
{
    const char *names[FLAGS_MOST], *near = NULL;
    char what[160], why[300] = "there is no such flag", then[200] = "--help tells all flags";
    size_t len = strcspn(word, "="), found = 0;
    snprintf(what, sizeof what, "unknown flag %.*s", (int)(len < 100 ? len : 100), word);
    if (strncmp(word, "--", 2) == 0) {
        char plain[64];
        snprintf(plain, sizeof plain, "%.*s", (int)(len - 2 < 63 ? len - 2 : 63), word + 2);
        for (size_t i = 0; i < self->count; i++) {
            names[i] = self->flags[i].name;
            if (strncmp(names[i], plain, strlen(plain)) != 0) continue;
            size_t used = strlen(why);
            if (found++ == 0)
                snprintf(why, sizeof why, "it may be --%s", names[i]);
            else
                snprintf(why + used, sizeof why - used, " or --%s", names[i]);
        }
        if (!found) near = did_you_mean(plain, names, self->count);
    }
    if (near)
        snprintf(then, sizeof then, "--%s (did you mean that?), or %s --help", near, self->program);
    refuse(self, what, why, then);
}

static size_t flag_of(const known_t *self, int key)
{
    size_t i = 0;
    while (i < self->count && self->flags[i].val != key)
        i++;
    return i;
}

static _Noreturn void refuse_flag(const known_t *self, int key, bool lacks_value, const char *word)
{
    size_t i = flag_of(self, key);
    char what[200], then[200];
    char letter[] = { '-', (char)key, '\0' };
    if (i == self->count) refuse_unknown(self, key > 0 ? letter : word);
    const char *name = self->flags[i].name, *value = self->values[i];
    snprintf(what, sizeof what, "--%s %s", name, lacks_value ? "needs a value" : "takes no value");
    snprintf(then, sizeof then, "--%s%s%s", name, value ? " " : "", value ? value : "");
    refuse(self, what, lacks_value ? "the command line ends here" : "one was given", then);
}

static _Noreturn void refuse_word(const known_t *self, const char *word)
{
    char what[160];
    snprintf(what, sizeof what, "unexpected word \"%.100s\"", word);
    refuse(self, what, "it takes flags, each with its own value", "--help tells all flags");
}

void argv_check(const char *program, const struct argp_option *options, int argc, char **argv)
{
    known_t known = { .program = program };
    learn(&known, options);
    optind = 0; /* begins anew: glibc */
    int key;
    while ((key = getopt_long(argc, argv, known.letters, known.flags, NULL)) != -1) {
        const char *word = argv[optind - 1];
        if (key == 1) refuse_word(&known, optarg);
        if (key == ':') refuse_flag(&known, optopt, true, word);
        /* optopt is 0 for a long one that is unknown, and for -?, which is help */
        if (key == '?' && (optopt || strncmp(word, "--", 2) == 0))
            refuse_flag(&known, optopt, false, word);
    }
    if (optind < argc) refuse_word(&known, argv[optind]);
}
