/* SPDX-License-Identifier: Apache-2.0
 * client/cli/targets.c - executors that a task names and nobody knows. */
#include "client/cli/targets.h"

#include <string.h>

#include "client/cli/text.h"

/* What cannot be asked is taken as known: a warning must be right. */
static bool is_known(cli_t *cli, const char *name)
{
    pawl_list_t *list = NULL;
    const pawl_record_t *executor = NULL;
    pawl_err err = pawl_executor_list(cli->client, name, &list, cli->timeout_us);
    while (!err && (executor = pawl_list_next(list, &err)) &&
           strcmp(pawl_record_text(executor, "name"), name) != 0) {
    }
    pawl_list_destroy(&list);
    return err || executor;
}

void targets_warn(cli_t *cli, const json_t *task)
{
    enum { ASKED = 100, NAMED = 5 };
    const json_t *one = json_object_get(json_object_get(task, "target"), "executor");
    const json_t *many = json_object_get(json_object_get(task, "fanout"), "executors");
    const char *names = "";
    size_t unknown = 0, n = one ? 1 : json_array_size(many);
    for (size_t i = 0; i < n && i < ASKED && !cli->quiet; i++) {
        const char *name = json_string_value(one ? one : json_array_get(many, i));
        if (!name || is_known(cli, name)) continue;
        if (unknown++ < NAMED) names = say("%s%s\"%s\"", names, *names ? ", " : "", name);
    }
    if (unknown > NAMED) names = say("%s and %zu more", names, unknown - NAMED);
    if (unknown)
        cli_note(cli, "warning  nobody of the name %s is enrolled: %s (pawl executor list)", names,
                 one ? "the task waits until one comes" : "it is offline, see --offline");
}
