/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/fail.h"

#include <stdio.h>
#include <string.h>

#include "client/cli/text.h"

int fail(exit_t code, const char *what, const char *why, const char *what_to_type)
{
    fflush(stdout);
    fprintf(stderr, "error: %s\n  why: %s\n  try: %s\n", text_tamed(what), text_tamed(why),
            text_tamed(what_to_type));
    return (int)code;
}

const char *client_why(const pawl_client_t *client, pawl_err err)
{
    const char *text = client ? pawl_client_error(client) : "";
    const char *field = client ? pawl_client_error_field(client) : "";
    int64_t retry_us = client ? pawl_client_error_retry_us(client) : 0;
    return say("%s%s%s%s%s (%s)", *text ? text : pawl_err_text(err), *field ? ", field " : "",
               field, retry_us > 0 ? "; try again in " : "",
               retry_us > 0 ? duration_text(retry_us) : "", pawl_err_name(err));
}

static const char *running = "";

void fail_in(const char *command)
{
    running = command;
}

/* What lists the things this command is about. */
static const char *where_they_are(void)
{
    static const char *const nouns[] = { "schedule", "executor", "queue",
                                         "task",     "calendar", "watermark" };
    for (size_t i = 0; i < sizeof nouns / sizeof *nouns; i++)
        if (strncmp(running, nouns[i], strlen(nouns[i])) == 0)
            return say("pawl %s list shows what there is%s", nouns[i],
                       strcmp(running, "schedule history") == 0 ||
                               strcmp(running, "schedule missed") == 0
                           ? "; one that was removed is named by its uid"
                           : "");
    return "pawl task list and pawl schedule list show what there is";
}

static const char *what_helps(const pawl_client_t *client, pawl_err err)
{
    static const char *const states[] = { "schedule", "executor", "queue" };
    switch (err) {
    case PAWL_E_UNREACHABLE:
    case PAWL_E_TIMEOUT:
    case PAWL_E_CLOSED:
        return say("pawl up (starts one), or -b ENDPOINT for another broker than %s, or a longer "
                   "--timeout",
                   client ? pawl_client_endpoint(client) : "this");
    case PAWL_E_NOT_FOUND:
        return where_they_are();
    case -ERR_UNKNOWN_TYPE:
        return "pawl executor list -o wide shows the types that are known; a command needs none: "
               "pawl run -- CMD";
    case -ERR_REFUSED:
        return "as the broker's own user, or with a key whose role may do it (--key-file): pawl "
               "key "
               "list there shows the roles";
    case -ERR_TOO_EARLY:
        return "--cursor with an instant that is past (1h: an hour ago), or --cursor now";
    case -ERR_TOO_LATE:
        return "a later instant, or --mode strict to run what is past";
    case PAWL_E_AMBIGUOUS:
        return "more letters of the id";
    case PAWL_E_CONFLICT:
        if (client && strcmp(pawl_client_error_field(client), "cursor_at_us") == 0)
            return "a later instant for --cursor, or --cursor now";
        return "the same command again: it starts from what stands there now";
    case PAWL_E_EXISTS:
        return "another name, or pawl schedule set NAME to change the one that exists";
    case PAWL_E_STORE_FULL:
        return "pawl broker status shows the store's use; the same command again when there is "
               "room";
    case PAWL_E_WRONG_STATUS:
        for (size_t i = 0; i < sizeof states / sizeof *states; i++)
            if (strncmp(running, states[i], strlen(states[i])) == 0)
                return say("pawl %s list shows the state of each", states[i]);
        return "pawl why ID tells what the task waits for or how it ended";
    default:
        return pawl_err_retryable(err)
                   ? "the same command again"
                   : say("pawl help %s shows what is taken, with an example", running);
    }
}

int fail_client(const pawl_client_t *client, pawl_err err, const char *what)
{
    return fail((exit_t)pawl_err_exit_code(err), what, client_why(client, err),
                what_helps(client, err));
}
