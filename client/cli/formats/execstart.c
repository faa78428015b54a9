/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/formats/execstart.h"

#include <ctype.h>
#include <stdlib.h>

#include "client/cli/text.h"

/* ---- words ----------------------------------------------------------------------------------- */

static void add_word(words_t *self, const char *text, bool quoted)
{
    self->at = mem_grow(self->at, (self->count + 1) * sizeof *self->at);
    self->at[self->count++] = (word_t){ text, quoted };
}

/* Behind a backslash; the number of bytes read, 0: not known. */
static size_t escape(const char *at, buf_t *to)
{
    static const char from[] = "abfnrtv\\\"'s;", into[] = "\a\b\f\n\r\t\v\\\"' ;";
    const char *found = *at ? strchr(from, *at) : NULL;
    if (found) {
        buf_printf(to, "%c", into[found - from]);
        return 1;
    }
    bool hex = *at == 'x';
    size_t digits = hex ? strspn(at + 1, "0123456789abcdefABCDEF") : strspn(at, "01234567");
    if (digits < (hex ? 2 : 3)) return 0;
    char number[4] = { 0 };
    memcpy(number, hex ? at + 1 : at, hex ? 2 : 3);
    long byte = strtol(number, NULL, hex ? 16 : 8);
    if (byte < 1 || byte > 127) return 0;
    buf_printf(to, "%c", (int)byte);
    return 3;
}

bool words_read(words_t *self, const char *at, const char **why)
{
    for (at += strspn(at, " \t"); *at; at += strspn(at, " \t")) {
        buf_t word = { 0 };
        bool quoted = false;
        char open = '\0';
        buf_printf(&word, "%s", "");
        for (; *at && (open || (*at != ' ' && *at != '\t')); at++) {
            if (*at == '\\') {
                size_t taken = escape(at + 1, &word);
                if (!taken) *why = say("an escape cannot be read: %s", at);
                at += taken;
                quoted = true;
            } else if (*at == '%') {
                if (at[1] != '%') *why = say("the specifier %.2s is not read here", at);
                buf_printf(&word, "%%");
                at += at[1] == '%';
            } else if (open ? *at == open : (*at == '"' || *at == '\'')) {
                open = open ? '\0' : *at;
                quoted = true;
            } else {
                buf_printf(&word, "%c", *at);
            }
            if (*why) break;
        }
        if (open && !*why) *why = "a quote is not closed";
        add_word(self, text_keep((char *)word.at), quoted);
        if (*why) {
            words_free(self);
            return false;
        }
    }
    return true;
}

void words_free(words_t *self)
{
    free(self->at);
    *self = (words_t){ 0 };
}

/* ---- commands -------------------------------------------------------------------------------- */

static void add_argument(exec_t *exec, const char *text)
{
    exec->argv = mem_grow(exec->argv, (exec->count + 1) * sizeof *exec->argv);
    exec->argv[exec->count++] = text;
}

static size_t name_length(const char *at)
{
    size_t len = 0;
    while (isalnum((unsigned char)at[len]) || at[len] == '_')
        len++;
    return isdigit((unsigned char)*at) ? 0 : len;
}

static const char *variable(const json_t *env, const char *name, size_t len, const char **why)
{
    const char *value = json_string_value(json_object_get(env, say("%.*s", (int)len, name)));
    if (!value) *why = say("$%.*s is not set by the unit itself", (int)len, name);
    return value ? value : "";
}

/* $NAME alone is split into words; ${NAME} stays inside its word; $$ is a dollar sign. */
static bool add_expanded(exec_t *exec, const word_t *word, const json_t *env, const char **why)
{
    const char *at = word->text;
    if (*at == '$' && at[1] && name_length(at + 1) == strlen(at + 1)) {
        words_t words = { 0 };
        if (!words_read(&words, variable(env, at + 1, strlen(at + 1), why), why)) return false;
        for (size_t i = 0; i < words.count; i++)
            add_argument(exec, words.at[i].text);
        words_free(&words);
        return *why == NULL;
    }
    buf_t text = { 0 };
    buf_printf(&text, "%s", "");
    for (; *at && !*why; at++) {
        size_t len = at[0] == '$' && at[1] == '{' ? name_length(at + 2) : 0;
        if (len && at[2 + len] == '}') {
            buf_printf(&text, "%s", variable(env, at + 2, len, why));
            at += len + 2;
        } else {
            buf_printf(&text, "%c", *at);
            at += at[0] == '$' && at[1] == '$';
        }
    }
    add_argument(exec, text_keep((char *)text.at));
    return *why == NULL;
}

/* The prefixes of the first word; returns what is behind them. */
static const char *prefixes(const char *at, exec_t *exec, bool *literal, bool has_user,
                            const char **why)
{
    for (; *at && strchr("-:@+!|", *at); at++) {
        if (*at == '-') exec->may_fail = true;
        if (*at == ':') *literal = true;
        if (*at == '@') *why = "the prefix @ gives the program another name";
        if ((*at == '+' || *at == '!') && has_user)
            *why = "a command with the prefix + or ! runs with other rights than User=";
        if (*at == '|') *why = "the prefix | runs it through the user's shell";
    }
    return at;
}

bool execs_read(execs_t *self, const char *text, const json_t *env, bool has_user, const char **why)
{
    words_t words = { 0 };
    bool begins = true, literal = false;
    if (!words_read(&words, text, why)) return false;
    for (size_t i = 0; i < words.count && !*why; i++) {
        word_t word = words.at[i];
        if (strcmp(word.text, ";") == 0 && !word.quoted) {
            begins = true;
            continue;
        }
        if (begins) {
            self->at = mem_grow(self->at, (self->count + 1) * sizeof *self->at);
            self->at[self->count++] = (exec_t){ 0 };
            literal = false;
            word.text = prefixes(word.text, &self->at[self->count - 1], &literal, has_user, why);
            if (!*word.text || strchr(word.text, '$'))
                *why = "the program's name is not a fixed one";
            begins = false;
        }
        exec_t *exec = &self->at[self->count - 1];
        if (literal)
            add_argument(exec, word.text);
        else
            add_expanded(exec, &word, env, why);
    }
    words_free(&words);
    return *why == NULL;
}

void execs_task(const execs_t *self, json_t *task)
{
    if (self->count == 1 && !self->at[0].may_fail) {
        json_t *argv = json_array();
        for (size_t i = 0; i < self->at[0].count; i++)
            json_array_append_new(argv, json_string(self->at[0].argv[i]));
        json_object_set_new(task, "argv", argv);
        return;
    }
    buf_t line = { 0 };
    for (size_t i = 0; i < self->count; i++) {
        const exec_t *exec = &self->at[i];
        const char *words = shell_words((char *const *)(uintptr_t)exec->argv, exec->count);
        buf_printf(&line, exec->may_fail ? "%s{ %s || :; }" : "%s%s", i ? " && " : "", words);
    }
    json_object_set_new(task, "shell", json_string((const char *)line.at));
    buf_free(&line);
}

void execs_free(execs_t *self)
{
    for (size_t i = 0; i < self->count; i++)
        free(self->at[i].argv);
    free(self->at);
    *self = (execs_t){ 0 };
}
