/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/formats/systemd.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "client/cli/formats/execstart.h"
#include "client/cli/formats/oncalendar.h"
#include "client/cli/text.h"

/* ---- unit files ------------------------------------------------------------------------------ */

static char *trimmed(char *text)
{
    text += strspn(text, " \t");
    for (size_t len = strlen(text); len && strchr(" \t\r", text[len - 1]); len--)
        text[len - 1] = '\0';
    return text;
}

static void unit_line(unit_t *self, const char **section, char *line)
{
    line = trimmed(line);
    if (!*line || *line == '#' || *line == ';') return;
    if (*line == '[') {
        *section = say("%.*s", (int)strcspn(line + 1, "]"), line + 1);
        return;
    }
    char *equals = strchr(line, '=');
    if (!equals) return;
    *equals = '\0';
    self->lines = mem_grow(self->lines, (self->count + 1) * sizeof *self->lines);
    self->lines[self->count++] = (unit_line_t){ *section, trimmed(line), trimmed(equals + 1) };
}

void unit_read(unit_t *self, const char *bytes, size_t len)
{
    char *text = text_keep(mem_text(say("%.*s", (int)len, bytes)));
    const char *section = "";
    buf_t whole = { 0 };
    for (char *line; (line = strsep(&text, "\n"));) {
        size_t width = strlen(line);
        bool comment = whole.len && strchr("#;", line[strspn(line, " \t")]) && *line;
        if (comment) continue; /* among the lines of a continued one */
        bool more = width && line[width - 1] == '\\';
        buf_printf(&whole, "%.*s%s", (int)(more ? width - 1 : width), line, more ? " " : "");
        if (more) continue;
        unit_line(self, &section, text_keep(mem_text((char *)whole.at)));
        whole.len = 0;
    }
    if (whole.len) unit_line(self, &section, text_keep(mem_text((char *)whole.at)));
    buf_free(&whole);
}

void unit_free(unit_t *self)
{
    free(self->lines);
    *self = (unit_t){ 0 };
}

const char *unit_value(const unit_t *self, const char *section, const char *key)
{
    for (size_t i = self->count; i-- > 0;)
        if (strcmp(self->lines[i].section, section) == 0 && strcmp(self->lines[i].key, key) == 0)
            return *self->lines[i].value ? self->lines[i].value : NULL;
    return NULL;
}

/* The i-th value of a list; an empty assignment clears what came before. NULL: no more. */
static const char *unit_each(const unit_t *self, const char *section, const char *key, size_t i)
{
    size_t begin = 0, n = 0;
    for (size_t k = 0; k < self->count; k++)
        if (strcmp(self->lines[k].section, section) == 0 && strcmp(self->lines[k].key, key) == 0 &&
            !*self->lines[k].value)
            begin = k + 1;
    for (size_t k = begin; k < self->count; k++)
        if (strcmp(self->lines[k].section, section) == 0 && strcmp(self->lines[k].key, key) == 0 &&
            n++ == i)
            return self->lines[k].value;
    return NULL;
}

static bool is_true(const char *value)
{
    static const char *const words[] = { "1", "yes", "y", "true", "t", "on" };
    for (size_t i = 0; value && i < ARRAY_LEN(words); i++)
        if (strcasecmp(words[i], value) == 0) return true;
    return false;
}

const char *timer_service(const unit_t *timer, const char *file_name)
{
    const char *unit = unit_value(timer, "Timer", "Unit");
    size_t len = strlen(file_name), end = strlen(".timer");
    if (unit) return unit;
    return say("%.*s.service", (int)(len > end ? len - end : len), file_name);
}

/* ---- settings -------------------------------------------------------------------------------- */

typedef enum { OF_NO_MATTER, REFUSED_IF_TRUE, REFUSED } verdict_t;

static const struct setting {
    const char *section, *name; /* a name that ends with * : all that begin so */
    verdict_t verdict;
    const char *why;
} settings[] = {
    { "Unit", "Condition*", REFUSED,
      "decides at each start whether it runs: test it in the command" },
    { "Unit", "Assert*", REFUSED, "decides at each start whether it runs: test it in the command" },
    { "Unit", "OnFailure", REFUSED, "starts another unit when it fails" },
    { "Unit", "OnSuccess", REFUSED, "starts another unit when it has ended" },
    { "Unit", "*", OF_NO_MATTER, NULL },
    { "Install", "*", OF_NO_MATTER, NULL },
    { "Timer", "OnInactiveSec", REFUSED, "is no setting of a timer" },
    { "Timer", "OnClockChange", REFUSED_IF_TRUE, "starts it when the clock is set" },
    { "Timer", "OnTimezoneChange", REFUSED_IF_TRUE, "starts it when the zone changes" },
    { "Service", "EnvironmentFile", REFUSED,
      "is read at each start: put its variables into Environment=" },
    { "Service", "PassEnvironment", REFUSED, "hands over variables of the service manager" },
    { "Service", "UnsetEnvironment", REFUSED, "has no counterpart" },
    { "Service", "ExecCondition", REFUSED, "decides at each start whether it runs" },
    { "Service", "ExecStop", REFUSED, "runs at the end in its own way" },
    { "Service", "ExecStopPost", REFUSED, "runs at the end in its own way" },
    { "Service", "SuccessExitStatus", REFUSED, "counts other exit codes as success" },
    { "Service", "RemainAfterExit", REFUSED_IF_TRUE, "keeps the timer from starting it again" },
    { "Service", "Group", REFUSED, "a task has the groups of its account" },
    { "Service", "SupplementaryGroups", REFUSED, "a task has the groups of its account" },
    { "Service", "DynamicUser", REFUSED_IF_TRUE, "makes an account for each run" },
    { "Service", "RootDirectory", REFUSED, "runs it in another root folder" },
    { "Service", "RootImage", REFUSED, "runs it in another root folder" },
    { "Service", "StandardInput*", REFUSED, "feeds it standard input" },
    { "Service", "LoadCredential*", REFUSED, "hands it credentials" },
    { "Service", "SetCredential*", REFUSED, "hands it credentials" },
    { "Service", "PIDFile", REFUSED, "follows a process that forks away" },
    { NULL, NULL, OF_NO_MATTER, NULL },
};
/* Read by the code below. */
static const char *const read_elsewhere[] = {
    "OnCalendar",  "OnActiveSec",      "OnBootSec",          "OnStartupSec",  "OnUnitActiveSec",
    "Persistent",  "AccuracySec",      "RandomizedDelaySec", "Unit",          "FixedRandomDelay",
    "Type",        "ExecStart",        "ExecStartPre",       "ExecStartPost", "User",
    "Environment", "WorkingDirectory", "TimeoutStartSec",    "TimeoutSec",    "RuntimeMaxSec",
};

static bool matches(const struct setting *setting, const unit_line_t *line)
{
    size_t len = strlen(setting->name);
    if (strcmp(setting->section, line->section) != 0) return false;
    if (setting->name[len - 1] == '*') return strncmp(setting->name, line->key, len - 1) == 0;
    return strcmp(setting->name, line->key) == 0;
}

static void judge_settings(import_item_t *item, const unit_t *unit)
{
    buf_t others = { 0 };
    for (size_t i = 0; i < unit->count; i++) {
        const unit_line_t *line = &unit->lines[i];
        const struct setting *setting = settings;
        bool known = strncmp(line->key, "X-", 2) == 0;
        for (size_t k = 0; k < ARRAY_LEN(read_elsewhere); k++)
            known = known || strcmp(read_elsewhere[k], line->key) == 0;
        while (setting->name && !matches(setting, line))
            setting++;
        if (setting->name && (setting->verdict == REFUSED
                                  ? *line->value != '\0'
                                  : setting->verdict == REFUSED_IF_TRUE && is_true(line->value)))
            import_refuse(item, "%s= %s", line->key, setting->why);
        else if (!setting->name && !known && *line->value)
            buf_printf(&others, "%s%s", others.len ? " " : "", line->key);
    }
    if (others.len) import_note(item, "not taken over: %s", (const char *)others.at);
    buf_free(&others);
}

/* ---- when ------------------------------------------------------------------------------------ */

static bool calendar_rule(import_list_t *list, import_item_t *item, const unit_t *timer)
{
    on_calendar_t all = { 0 };
    const char *text, *why = NULL, *rule;
    for (size_t i = 0; (text = unit_each(timer, "Timer", "OnCalendar", i)); i++) {
        on_calendar_t one;
        item->rule = i ? say("%s | %s", item->rule, text) : text;
        if (!on_calendar_read(text, &one, &why))
            return import_refuse(item, "OnCalendar=%s: %s", text, why);
        if (i == 0)
            all = one;
        else if (all.stamp || one.stamp ||
                 (all.zone ? !one.zone || strcmp(all.zone, one.zone) != 0 : one.zone != NULL) ||
                 !cron_sets_join(&all.sets, &one.sets))
            return import_refuse(item,
                                 "several OnCalendar= that no one rule says: a timer for each");
    }
    rule = all.stamp ? say("@at %s", all.stamp) : cron_sets_rule(&all.sets, &why);
    if (!rule) return import_refuse(item, "OnCalendar=%s: %s", item->rule, why);
    const char *zone = all.zone ? all.zone : list->zone;
    json_object_set_new(item->spec, "rule", json_string(rule));
    if (zone) json_object_set_new(item->spec, "zone", json_string(zone));
    import_note(item, "rule %s", rule);
    return true;
}

static bool monotonic_rule(import_item_t *item, const unit_t *timer)
{
    static const char *const firsts[] = { "OnActiveSec", "OnBootSec", "OnStartupSec" };
    const char *every = unit_value(timer, "Timer", "OnUnitActiveSec");
    const char *after = unit_value(timer, "Timer", "OnUnitInactiveSec");
    const char *key = after ? "OnUnitInactiveSec" : "OnUnitActiveSec";
    const char *span = after ? after : every;
    int64_t us;
    for (size_t i = 0; i < ARRAY_LEN(firsts); i++) {
        const char *first = unit_value(timer, "Timer", firsts[i]);
        if (!first) continue;
        if (unit_value(timer, "Timer", "OnCalendar"))
            return import_refuse(item,
                                 "%s= starts it after the machine or the timer came up, beside "
                                 "OnCalendar=",
                                 firsts[i]);
        if (!span)
            return import_refuse(item, "%s= alone is no clock time: it runs once after the start",
                                 firsts[i]);
    }
    if (!span) return true;
    item->rule = say("%s %s", after ? "after" : "every", span);
    if (unit_value(timer, "Timer", "OnCalendar"))
        return import_refuse(item, "%s= beside OnCalendar=: a timer for each", key);
    if (after && every)
        return import_refuse(item, "OnUnitInactiveSec= beside OnUnitActiveSec=: a timer for each");
    if (unit_each(timer, "Timer", key, 1))
        return import_refuse(item, "several %s=: a timer for each", key);
    if (!systemd_span_read(span, &us) || us <= 0 || us % 1000000)
        return import_refuse(item, "%s=%s is not whole seconds of a fixed length", key, span);
    if (after)
        import_after(item, us / 1000000);
    else
        import_every(item, us / 1000000);
    import_note(item, "not from the machine's start");
    return true;
}

static bool read_when(import_list_t *list, import_item_t *item, const unit_t *timer)
{
    const char *delay = unit_value(timer, "Timer", "RandomizedDelaySec");
    bool calendar = unit_value(timer, "Timer", "OnCalendar") != NULL;
    int64_t us;
    if (!monotonic_rule(item, timer)) return false;
    if (!calendar && !unit_value(timer, "Timer", "OnUnitActiveSec") &&
        !unit_value(timer, "Timer", "OnUnitInactiveSec"))
        return import_refuse(item, "it has none of OnCalendar=, OnUnitActiveSec= and "
                                   "OnUnitInactiveSec=");
    if (calendar && !calendar_rule(list, item, timer)) return false;
    if (calendar && is_true(unit_value(timer, "Timer", "Persistent"))) {
        json_object_set_new(item->spec, "mode", json_string("latest"));
        import_note(item, "Persistent=: mode latest");
    }
    if (delay) {
        if (!systemd_span_read(delay, &us))
            return import_refuse(item, "RandomizedDelaySec=%s cannot be read", delay);
        bool fixed_delay = json_object_get(item->spec, "after") != NULL;
        if (us && fixed_delay)
            import_note(item, "RandomizedDelaySec= is not taken over: a fixed delay has no jitter");
        if (us && !fixed_delay) {
            json_object_set_new(item->spec, "jitter", json_string(duration_text(us)));
            import_note(item, "jitter %s, the same each time", duration_text(us));
        }
    }
    if (unit_value(timer, "Timer", "AccuracySec")) import_note(item, "AccuracySec= is not needed");
    return true;
}

/* ---- what ------------------------------------------------------------------------------------ */

static bool read_environment(import_item_t *item, const unit_t *service, json_t *env)
{
    const char *text;
    for (size_t i = 0; (text = unit_each(service, "Service", "Environment", i)); i++) {
        words_t words = { 0 };
        if (!words_read(&words, text, &item->refused)) return false;
        for (size_t k = 0; k < words.count; k++) {
            const char *equals = strchr(words.at[k].text, '=');
            if (!equals || equals == words.at[k].text) {
                words_free(&words);
                return import_refuse(item, "Environment=%s is not NAME=VALUE", text);
            }
            json_object_set_new(env,
                                say("%.*s", (int)(equals - words.at[k].text), words.at[k].text),
                                json_string(equals + 1));
        }
        words_free(&words);
    }
    return true;
}

static bool read_place(import_item_t *item, const unit_t *service, json_t *task, bool user)
{
    const char *account = unit_value(service, "Service", "User");
    const char *folder = unit_value(service, "Service", "WorkingDirectory");
    if (folder && folder[0] != '/')
        return import_refuse(item, "WorkingDirectory=%s is not a fixed folder", folder);
    if (folder && strchr(folder, '%') && !strstr(folder, "%%"))
        return import_refuse(item, "WorkingDirectory=%s has a %% specifier", folder);
    if (folder || !user)
        json_object_set_new(task, "cwd", json_string(folder ? folder : "/"));
    else
        import_note(item, "it starts in the executor's work folder, not in the home folder");
    if (user && account) return import_refuse(item, "User= in a unit of a user");
    if (user) return true;
    item->account = account ? account : "root";
    if (strchr(item->account, '%')) return import_refuse(item, "User= has a %% specifier");
    json_object_set_new(task, "account", json_string(item->account));
    return true;
}

static bool read_limit(import_item_t *item, const unit_t *service, json_t *task, bool oneshot)
{
    const char *keys[] = { oneshot ? "TimeoutStartSec" : "RuntimeMaxSec",
                           oneshot ? "TimeoutSec" : NULL };
    const char *limit = NULL;
    for (size_t i = 0; !limit && i < ARRAY_LEN(keys); i++)
        limit = keys[i] ? unit_value(service, "Service", keys[i]) : NULL;
    int64_t us;
    if (!limit || strcmp(limit, "infinity") == 0) return true;
    if (!systemd_span_read(limit, &us)) return import_refuse(item, "its time limit cannot be read");
    if (us) json_object_set_new(task, "time_limit", json_string(duration_text(us)));
    return true;
}

static bool read_commands(import_item_t *item, const unit_t *service, json_t *task,
                          const json_t *env, bool oneshot)
{
    static const char *const keys[] = { "ExecStartPre", "ExecStart", "ExecStartPost" };
    execs_t execs = { 0 };
    const char *text;
    bool good = true;
    for (size_t k = 0; good && k < ARRAY_LEN(keys); k++)
        for (size_t i = 0; good && (text = unit_each(service, "Service", keys[k], i)); i++) {
            item->what = *item->what ? say("%s; %s", item->what, text) : text;
            if (k == 2 && !oneshot)
                good =
                    import_refuse(item, "ExecStartPost= runs beside a service that is not oneshot");
            if (k == 1 && i > 0 && !oneshot)
                good = import_refuse(item, "several ExecStart= need Type=oneshot");
            good =
                good && execs_read(&execs, text, env,
                                   unit_value(service, "Service", "User") != NULL, &item->refused);
        }
    if (good && !unit_each(service, "Service", "ExecStart", 0))
        good = import_refuse(item, "its service has no ExecStart=");
    if (good) execs_task(&execs, task);
    execs_free(&execs);
    return good;
}

static bool read_what(import_item_t *item, const unit_t *service, bool user)
{
    const char *type = unit_value(service, "Service", "Type");
    json_t *task = json_object_get(item->spec, "task"), *env = json_object();
    bool oneshot = type && strcmp(type, "oneshot") == 0;
    bool good = true;
    if (type && !oneshot && strcmp(type, "simple") != 0 && strcmp(type, "exec") != 0)
        good = import_refuse(item, "Type=%s: what ExecStart= starts is not the whole of the run",
                             type);
    good = good && read_environment(item, service, env) &&
           read_commands(item, service, task, env, oneshot) &&
           read_place(item, service, task, user) && read_limit(item, service, task, oneshot);
    if (json_object_size(env)) json_object_set(task, "env", env);
    json_decref(env);
    return good;
}

void systemd_import(import_list_t *list, const char *file_name, const unit_t *timer,
                    const unit_t *service, bool user)
{
    import_item_t *item = import_add(list, file_name);
    size_t len = strlen(file_name), end = strlen(".timer");
    item->name = import_name(list, say("%.*s", (int)(len > end ? len - end : len), file_name));
    item->spec = json_pack("{s:{}}", "task");
    const char *title = unit_value(timer, "Unit", "Description");
    if (title && strchr(title, '%') == NULL)
        json_object_set_new(item->spec, "title", json_string(title));
    item->rule =
        unit_value(timer, "Timer", "OnCalendar") ? unit_value(timer, "Timer", "OnCalendar") : "";
    if (service && unit_value(service, "Service", "ExecStart"))
        item->what = unit_value(service, "Service", "ExecStart");
    judge_settings(item, timer);
    if (service) judge_settings(item, service);
    item->what = "";
    if (read_when(list, item, timer) && !item->refused) {
        if (!service)
            import_refuse(item, "its service %s was not found", timer_service(timer, file_name));
        else
            read_what(item, service, user);
    }
    if (!*item->what && service && unit_value(service, "Service", "ExecStart"))
        item->what = unit_value(service, "Service", "ExecStart");
    if (!item->refused) return;
    json_decref(item->spec);
    item->spec = NULL;
}
