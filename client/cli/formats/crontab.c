/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/formats/crontab.h"

#include <ctype.h>
#include <stdlib.h>

#include "client/cli/text.h"

/* What holds for the lines below. */
typedef struct reading {
    crontab_t *to;
    bool user_column;
    const char *zone, *shell;
    const char *name; /* that the comment above gives */
    json_t *env;
} reading_t;

static const char *skip_blanks(const char *at)
{
    return at + strspn(at, " \t");
}

/* ---- NAME = value ---------------------------------------------------------------------------- */

/* The text up to `end`, with one pair of equal quotes around it taken off. */
static const char *unquoted(const char *from, const char *end)
{
    if (end - from >= 2 && (*from == '"' || *from == '\'') && end[-1] == *from) {
        from++;
        end--;
    }
    return say("%.*s", (int)(end - from), from);
}

static bool read_variable(const char *line, const char **name, const char **value)
{
    const char *end = line;
    if (*line == '"' || *line == '\'') {
        end = strchr(line + 1, *line);
        if (!end) return false;
        end++;
    } else {
        while (isalnum((unsigned char)*end) || *end == '_')
            end++;
    }
    const char *equals = skip_blanks(end);
    if (end == line || *equals != '=' || isdigit((unsigned char)*line)) return false;
    const char *from = skip_blanks(equals + 1), *to = from + strlen(from);
    while (to > from && (to[-1] == ' ' || to[-1] == '\t'))
        to--;
    *name = unquoted(line, end);
    *value = unquoted(from, to);
    return true;
}

static void take_variable(reading_t *self, const char *name, const char *value)
{
    static const char *const of_cron[] = {
        "MAILFROM",     "CONTENT_TYPE",      "CONTENT_TRANSFER_ENCODING",
        "RANDOM_DELAY", "START_HOURS_RANGE", "CRON_CORRECT_MAIL_HEADER"
    };
    crontab_t *to = self->to;
    if (strcmp(name, "CRON_TZ") == 0) {
        self->zone = *value ? value : NULL;
        return;
    }
    if (strcmp(name, "SHELL") == 0) {
        self->shell = *value ? value : NULL;
        return;
    }
    if (strcmp(name, "MAILTO") == 0) {
        to->mailto = value;
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(of_cron); i++)
        if (strcmp(of_cron[i], name) == 0) {
            to->ignored = mem_grow(to->ignored, (to->ignored_count + 1) * sizeof *to->ignored);
            to->ignored[to->ignored_count++] = of_cron[i];
            return;
        }
    json_t *env = self->env ? json_copy(self->env) : json_object(); /* lines above keep theirs */
    json_object_set_new(env, name, json_string(value));
    json_decref(self->env);
    self->env = env;
}

/* ---- the command ----------------------------------------------------------------------------- */

static const char *read_command(crontab_line_t *line, const char *at)
{
    buf_t command = { 0 };
    buf_printf(&command, "%s", "");
    while (*at && *at != '%') {
        if (*at == '\\' && at[1] == '%') {
            line->unescaped = true;
            at++;
        } else if (*at == '\\' && at[1]) {
            buf_add(&command, at++, 1);
        }
        buf_add(&command, at++, 1);
    }
    buf_add(&command, "", 1);
    line->command = text_keep((char *)command.at);
    return *at == '%' ? at + 1 : NULL;
}

static void read_stdin(crontab_line_t *line, const char *at)
{
    buf_t text = { 0 };
    buf_printf(&text, "%s", "");
    for (; *at; at++) {
        if (*at == '\\' && at[1] == '%') {
            line->unescaped = true;
            buf_printf(&text, "%c", *++at);
        } else {
            buf_printf(&text, "%c", *at == '%' ? '\n' : *at);
        }
    }
    if (text.len && text.at[text.len - 1] != '\n') /* cron ends the last line too */
        buf_printf(&text, "\n");
    line->stdin_text = text_keep((char *)text.at);
}

/* ---- an entry -------------------------------------------------------------------------------- */

/* Takes one word; false at the end of the line. */
static bool take_word(const char **at, buf_t *to, const char *divider)
{
    *at = skip_blanks(*at);
    size_t len = strcspn(*at, " \t");
    if (!len) return false;
    buf_printf(to, "%s%.*s", to->len ? divider : "", (int)len, *at);
    *at += len;
    return true;
}

static const char *take_text(const char **at)
{
    buf_t word = { 0 };
    buf_printf(&word, "%s", "");
    take_word(at, &word, "");
    return text_keep((char *)word.at);
}

static void read_entry(reading_t *self, const char *at, crontab_line_t *line)
{
    enum { FIELDS = 5 };
    if (*at == '-') /* some crons: do not log this one */
        at++;
    buf_t rule = { 0 };
    buf_printf(&rule, "%s", "");
    int fields = 0, wanted = *at == '@' ? 1 : FIELDS;
    while (fields < wanted && take_word(&at, &rule, " "))
        fields++;
    line->rule = text_keep((char *)rule.at);
    line->account = self->user_column ? take_text(&at) : "";
    line->source = skip_blanks(at);
    line->command = line->source;
    if (strcasecmp(line->rule, "@reboot") == 0)
        line->refused = "@reboot has no clock time: it is not a schedule";
    else if (fields < wanted)
        line->refused = say("it has %d of the five time fields", fields);
    else if (self->user_column && !*line->account)
        line->refused = "the user column is missing";
    else if (!*line->source)
        line->refused = self->user_column ? "no command behind the user's name (is it a user's "
                                            "crontab, without a user column?)"
                                          : "no command behind the time fields";
    if (line->refused) return;
    const char *rest = read_command(line, line->source);
    if (rest) read_stdin(line, rest);
    if (!line->command[strspn(line->command, " \t")])
        line->refused = "no command before the first %: its text would be the input of nothing";
}

static void read_line(reading_t *self, const char *text, size_t number)
{
    static const char says_name[] = "# pawl: schedule ";
    const char *name, *value, *at = skip_blanks(text);
    if (strncmp(at, says_name, strlen(says_name)) == 0) {
        at = skip_blanks(at + strlen(says_name));
        size_t len = strlen(at); /* names hold blanks, but not at their end */
        while (len && strchr(" \t\r", at[len - 1]))
            len--;
        self->name = say("%.*s", (int)len, at);
    }
    if (!*at || *at == '#' || at != skip_blanks(text)) return;
    if (read_variable(at, &name, &value)) {
        take_variable(self, name, value);
        return;
    }
    crontab_t *to = self->to;
    to->lines = mem_grow(to->lines, (to->count + 1) * sizeof *to->lines);
    crontab_line_t *line = &to->lines[to->count++];
    *line = (crontab_line_t){ .number = number, .zone = self->zone, .shell = self->shell };
    line->name = self->name && *self->name ? self->name : NULL;
    self->name = NULL;
    line->env = self->env ? json_incref(self->env) : json_object();
    read_entry(self, at, line);
}

void crontab_read(crontab_t *self, const char *text, size_t len, bool user_column)
{
    *self = (crontab_t){ 0 };
    reading_t reading = { .to = self, .user_column = user_column };
    size_t number = 0;
    for (const char *end = text + len; text < end; number++) {
        const char *stop = memchr(text, '\n', (size_t)(end - text));
        size_t width = stop ? (size_t)(stop - text) : (size_t)(end - text);
        size_t shown = width && text[width - 1] == '\r' ? width - 1 : width;
        size_t before = self->count;
        read_line(&reading, say("%.*s", (int)shown, text), number + 1);
        if (self->count > before && memchr(text, '\0', shown)) /* what was read is its beginning */
            self->lines[before].refused = "it holds a NUL byte";
        text += width + 1;
    }
    json_decref(reading.env);
}

void crontab_free(crontab_t *self)
{
    for (size_t i = 0; i < self->count; i++)
        json_decref(self->lines[i].env);
    free(self->lines);
    free(self->ignored);
    *self = (crontab_t){ 0 };
}
