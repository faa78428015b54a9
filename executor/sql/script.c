/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/sql/script.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum { WORD_MAX = 32 };

struct scan {
    sql_script_t *script;
    const sql_dialect_t *dialect;
    const char *at;
    buf_t text;     /* of the statement so far */
    size_t *params; /* likewise */
    size_t param_count;
    bool anything;           /* it has more than space and comments */
    bool create;             /* it begins with CREATE: END matters */
    unsigned words, depth;   /* of this statement; BEGIN and CASE that are open */
    char first[WORD_MAX];    /* word */
    char previous[WORD_MAX]; /* word, for END IF and START TRANSACTION */
    char *why;
    size_t why_len;
};

static bool letter(char c)
{
    return isalpha((unsigned char)c) || c == '_' || (c & 0x80);
}

static bool word_part(char c)
{
    return letter(c) || isdigit((unsigned char)c) || c == '$';
}

static void take(struct scan *self, size_t n)
{
    buf_add(&self->text, self->at, n);
    self->at += n;
}

static bool unclosed(struct scan *self, const char *what)
{
    snprintf(self->why, self->why_len, "the statement text ends inside %s", what);
    return false;
}

/* From the opening quote to the closing one; a doubled one inside is one of the text. */
static bool take_quoted(struct scan *self, char close, bool backslash, const char *what)
{
    const char *end = self->at + 1;
    for (;; end++) {
        if (!*end) return unclosed(self, what);
        if (backslash && *end == '\\' && end[1]) {
            end++;
        } else if (*end == close) {
            if (end[1] != close || close == ']') break;
            end++;
        }
    }
    take(self, (size_t)(end - self->at) + 1);
    return true;
}

static void take_line(struct scan *self)
{
    take(self, strcspn(self->at, "\n"));
}

static bool take_block(struct scan *self)
{
    unsigned depth = 1;
    const char *end = self->at + 2;
    for (; depth > 0; end++) {
        if (!*end) return unclosed(self, "a comment");
        if (end[0] == '*' && end[1] == '/') {
            depth--;
            end++;
        } else if (self->dialect->nested_comments && end[0] == '/' && end[1] == '*') {
            depth++;
            end++;
        }
    }
    take(self, (size_t)(end - self->at));
    return true;
}

/* $tag$ ... $tag$; true and nothing taken: it is none. */
static bool take_dollar(struct scan *self)
{
    const char *end = self->at + 1;
    if (letter(*end))
        while (letter(*end) || isdigit((unsigned char)*end))
            end++;
    if (*end != '$') {
        take(self, 1);
        return true;
    }
    size_t tag = (size_t)(end - self->at) + 1;
    for (end++; *end; end++)
        if (*end == '$' && strncmp(end, self->at, tag) == 0) {
            take(self, (size_t)(end - self->at) + tag);
            return true;
        }
    return unclosed(self, "a dollar quote");
}

/* ---- words ----------------------------------------------------------------------------------- */

static bool is(const char *word, const char *wanted)
{
    return strcasecmp(word, wanted) == 0;
}

static void take_word(struct scan *self)
{
    size_t len = 1;
    while (word_part(self->at[len]))
        len++;
    char word[WORD_MAX] = "";
    if (len < sizeof word) memcpy(word, self->at, len);
    if (self->words++ == 0) {
        memcpy(self->first, word, sizeof word);
        self->create = is(word, "CREATE");
    }
    bool after_end = is(self->previous, "END");
    if (self->create && (is(word, "BEGIN") || is(word, "CASE")) && !after_end)
        self->depth++;
    else if (self->create && is(word, "END") && self->depth > 0)
        self->depth--;
    else if (after_end && (is(word, "IF") || is(word, "LOOP") || is(word, "WHILE") ||
                           is(word, "REPEAT") || is(word, "FOR")))
        self->depth++; /* that END closed what was not counted */
    memcpy(self->previous, word, sizeof word);
    self->anything = true;
    take(self, len);
}

/* ---- parameters ------------------------------------------------------------------------------ */

static bool name_index(struct scan *self, const char *name, size_t len, size_t *index)
{
    sql_script_t *script = self->script;
    for (size_t i = 0; i < script->name_count; i++)
        if (strlen(script->names[i]) == len && memcmp(script->names[i], name, len) == 0) {
            *index = i;
            return true;
        }
    if (script->name_count == SCRIPT_NAMES_MAX) {
        snprintf(self->why, self->why_len, "it has more than %d different parameters",
                 SCRIPT_NAMES_MAX);
        return false;
    }
    char *copy = mem_new(len + 1);
    memcpy(copy, name, len);
    script->names = mem_grow(script->names, (script->name_count + 1) * sizeof(char *));
    *index = script->name_count;
    script->names[script->name_count++] = copy;
    return true;
}

static bool take_parameter(struct scan *self)
{
    size_t len = 1, index;
    while (letter(self->at[len]) || isdigit((unsigned char)self->at[len]))
        len++;
    if (!name_index(self, self->at + 1, len - 1, &index)) return false;
    self->at += len;
    self->anything = true;
    size_t known = 0;
    while (self->dialect->numbered && known < self->param_count && self->params[known] != index)
        known++;
    if (!self->dialect->numbered || known == self->param_count) {
        if (self->param_count == SCRIPT_NAMES_MAX) {
            snprintf(self->why, self->why_len, "a statement has more than %d parameters",
                     SCRIPT_NAMES_MAX);
            return false;
        }
        known = self->param_count;
        self->params = mem_grow(self->params, (known + 1) * sizeof *self->params);
        self->params[self->param_count++] = index;
    }
    if (self->dialect->numbered)
        buf_printf(&self->text, "$%zu", known + 1);
    else
        buf_add(&self->text, "?", 1);
    return true;
}

static bool take_colon(struct scan *self)
{
    char before = self->text.len ? (char)self->text.at[self->text.len - 1] : ' ';
    char after = self->at[1];
    self->anything = true;
    if (after == ':' || after == '=') {
        take(self, 2);
        return true;
    }
    bool glued = word_part(before) || strchr(")]'\"`", before);
    if (glued || !(letter(after) || isdigit((unsigned char)after))) {
        take(self, 1);
        return true;
    }
    return take_parameter(self);
}

/* ---- statements ------------------------------------------------------------------------------ */

/* What would end or open a transaction under the feet of the task, or run a text that does. */
static bool controls_transaction(const struct scan *self)
{
    static const char *const words[] = { "BEGIN",   "START",   "COMMIT",    "ROLLBACK",
                                         "END",     "ABORT",   "SAVEPOINT", "RELEASE",
                                         "PREPARE", "EXECUTE", "XA" };
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (is(self->first, words[i])) return true;
    return false;
}

static bool end_statement(struct scan *self)
{
    sql_script_t *script = self->script;
    if (self->anything) {
        if (controls_transaction(self)) {
            snprintf(self->why, self->why_len,
                     "%s is not allowed: the transaction is the task's; \"transaction\": \"none\" "
                     "commits each statement",
                     self->first);
            return false;
        }
        if (script->count == SCRIPT_STATEMENTS_MAX) {
            snprintf(self->why, self->why_len, "it has more than %d statements",
                     SCRIPT_STATEMENTS_MAX);
            return false;
        }
        script->statements =
            mem_grow(script->statements, (script->count + 1) * sizeof *script->statements);
        char *text = mem_new(self->text.len + 1);
        memcpy(text, self->text.at, self->text.len);
        script->statements[script->count++] =
            (sql_statement_t){ text, self->params, self->param_count, is(self->first, "SET") };
        self->params = NULL;
    }
    free(self->params);
    self->params = NULL;
    self->param_count = 0;
    self->text.len = 0;
    self->anything = self->create = false;
    self->words = self->depth = 0;
    self->first[0] = self->previous[0] = '\0';
    return true;
}

/* Whether the server runs it depends on its version: so nobody can say here which word such a
 * statement begins with, and what it does is decided by that. */
static bool is_code(const struct scan *self)
{
    const char *at = self->at + 2;
    return self->dialect->code_comments && at[*at == 'M'] == '!';
}

static bool refuse_code(struct scan *self)
{
    snprintf(self->why, self->why_len,
             "code in a comment (%.4s) is not allowed: write it without the comment", self->at);
    return false;
}

static bool step(struct scan *self)
{
    static const char mark[] = "\xEF\xBB\xBF"; /* of byte order: to SQLite it is a space */
    const sql_dialect_t *dialect = self->dialect;
    const char *at = self->at;
    if (strncmp(at, mark, 3) == 0) {
        take(self, 3);
        return true;
    }
    if (letter(*at)) {
        bool escaped = dialect->backslash_e && (*at == 'E' || *at == 'e') && at[1] == '\'';
        if (!escaped) {
            take_word(self);
            return true;
        }
        self->anything = true;
        take(self, 1);
        return take_quoted(self, '\'', true, "a quoted text");
    }
    if (at[0] == '-' && at[1] == '-') {
        take_line(self);
        return true;
    }
    if (dialect->hash_comments && *at == '#') {
        take_line(self);
        return true;
    }
    if (at[0] == '/' && at[1] == '*') return is_code(self) ? refuse_code(self) : take_block(self);
    if (isspace((unsigned char)*at)) {
        take(self, 1);
        return true;
    }
    if (*at == ';' && self->depth == 0) {
        self->at++;
        return end_statement(self);
    }
    self->anything |= *at != ';';
    switch (*at) {
    case '\'':
        return take_quoted(self, '\'', dialect->backslash, "a quoted text");
    case '"':
        return take_quoted(self, '"', dialect->backslash, "a quoted name");
    case '`':
        if (dialect->backticks) return take_quoted(self, '`', false, "a quoted name");
        break;
    case '[':
        if (dialect->brackets) return take_quoted(self, ']', false, "a quoted name");
        break;
    case '$':
        if (dialect->dollar_quotes) return take_dollar(self);
        break;
    case ':':
        return take_colon(self);
    case '\\':
        if (at[1] == ':') self->at++;
        break;
    default:
        break;
    }
    take(self, 1);
    while (isdigit((unsigned char)*at) && word_part(*self->at)) /* 1e5, 0x1f: one token */
        take(self, 1);
    return true;
}

bool sql_script_read(sql_script_t *self, const sql_dialect_t *dialect, const char *text, char *why,
                     size_t len)
{
    *self = (sql_script_t){ 0 };
    struct scan scan = {
        .script = self, .dialect = dialect, .at = text, .why = why, .why_len = len
    };
    bool good = true;
    while (good && *scan.at)
        good = step(&scan);
    good = good && end_statement(&scan);
    if (good && self->count == 0) {
        snprintf(why, len, "it has no statement");
        good = false;
    }
    free(scan.params);
    buf_free(&scan.text);
    if (!good) sql_script_free(self);
    return good;
}

void sql_script_free(sql_script_t *self)
{
    for (size_t i = 0; i < self->count; i++) {
        free(self->statements[i].text);
        free(self->statements[i].params);
    }
    for (size_t i = 0; i < self->name_count; i++)
        free(self->names[i]);
    free(self->statements);
    free(self->names);
    *self = (sql_script_t){ 0 };
}
