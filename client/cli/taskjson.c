/* SPDX-License-Identifier: Apache-2.0
 * client/cli/taskjson.c - tasks that are JSON objects and stay it. See taskspec.h. */
#include "client/cli/taskspec.h"

#include <stdlib.h>
#include <string.h>

#include "client/cli/json.h"
#include "client/cli/moments.h"
#include "client/cli/text.h"

static void canonical_span(json_t *object, const char *key)
{
    int64_t us;
    const char *text = text_at(object, key);
    if (!text || !duration_read(text, &us)) return;
    if (us || strcmp(key, "backoff") == 0)
        json_object_set_new(object, key, json_string(duration_text(us)));
    else
        json_object_del(object, key);
}

void task_json_canonical(json_t *task)
{
    static const char *const spans[] = { "delay", "expire", "time_limit" };
    static const char *const texts[] = { "cwd",   "account", "stdin",    "key",
                                         "title", "queue",   "operation" };
    static const char *const maps[] = { "env", "labels", "retry", "target" };
    json_t *retry = json_object_get(task, "retry");
    const json_t *factor = json_object_get(retry, "factor");
    for (size_t i = 0; i < ARRAY_LEN(spans); i++)
        canonical_span(task, spans[i]);
    canonical_span(retry, "backoff");
    canonical_span(retry, "cap");
    if (json_is_number(factor))
        json_object_set_new(retry, "factor", json_real(json_number_value(factor)));
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        drop_if(task, texts[i], "");
    for (size_t i = 0; i < ARRAY_LEN(maps); i++)
        if (json_object_get(task, maps[i]) && json_object_size(json_object_get(task, maps[i])) == 0)
            json_object_del(task, maps[i]);
    drop_if(task, "queue", "default");
    drop_if(task, "on_lost", "retry");
    if (json_integer_value(json_object_get(task, "priority")) == 5)
        json_object_del(task, "priority");
    if (json_is_false(json_object_get(task, "hold"))) json_object_del(task, "hold");
    if (json_object_get(task, "argv") || json_object_get(task, "shell"))
        drop_if(task, "type", "pawl/shell");
    if (json_object_get(task, "script")) drop_if(task, "type", "pawl/script");
    if (json_object_get(task, "sql")) drop_if(task, "type", "pawl/sql");
    if (json_object_get(task, "sql_producer")) drop_if(task, "type", "pawl/sql-producer");
}

void task_json_merge(json_t *object, const json_t *changes)
{
    static const char *const whats[] = { "argv", "shell", "script", "sql", "sql_producer" };
    bool another = false;
    for (size_t i = 0; i < ARRAY_LEN(whats); i++)
        another |= json_object_get(changes, whats[i]) != NULL;
    for (size_t i = 0; another && i < ARRAY_LEN(whats); i++)
        json_object_del(object, whats[i]);
    if (another) json_object_del(object, "type");
    json_object_update(object, (json_t *)(uintptr_t)changes);
}

const char *task_json_command(const json_t *object)
{
    const json_t *argv = json_object_get(object, "argv");
    const char *shell = json_string_value(json_object_get(object, "shell"));
    if (shell) return shell;
    size_t n = json_array_size(argv);
    char **words = mem_new((n + 1) * sizeof *words);
    for (size_t i = 0; i < n; i++)
        words[i] = (char *)(uintptr_t)json_string_value(json_array_get(argv, i));
    const char *line = shell_words(words, n);
    free(words);
    return line;
}
