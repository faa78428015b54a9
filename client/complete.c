/* SPDX-License-Identifier: Apache-2.0
 * External tasks: ended by whoever has the completion token. */
#include <stdlib.h>
#include <string.h>

#include "client/arena.h"
#include "client/base/base.h"
#include "client/base/clock.h"
#include "client/client.h"
#include "schemas/limits.h"

enum { LOOK_AGAIN_US = 200000 };

static const struct {
    const char *name;
    Pawl__V1__CompleteVerb verb;
    bool permanent;
} verbs[] = {
    { "done", PAWL__V1__COMPLETE_VERB__COMPLETE_DONE, false },
    { "fail", PAWL__V1__COMPLETE_VERB__COMPLETE_FAIL, false },
    { "fail-for-good", PAWL__V1__COMPLETE_VERB__COMPLETE_FAIL, true },
    { "extend", PAWL__V1__COMPLETE_VERB__COMPLETE_EXTEND, false },
};

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_token(const char *text, uint8_t bytes[LIMIT_COMPLETION])
{
    if (!text || strlen(text) != 2 * (size_t)LIMIT_COMPLETION) return false;
    for (size_t i = 0; i < LIMIT_COMPLETION; i++) {
        int high = digit(text[2 * i]), low = digit(text[2 * i + 1]);
        if (high < 0 || low < 0) return false;
        bytes[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

/* Negative: no end. */
static int64_t left_until(int64_t deadline_us)
{
    int64_t left = deadline_us - clock_steady_us();
    return deadline_us == INT64_MAX ? -1 : left > 0 ? left : 0;
}

/* Not pawl_client_poll: callbacks run where their owner expects them. False: the handle closes. */
static bool rest(pawl_client_t *client, int64_t until_us)
{
    pthread_mutex_lock(&client->lock);
    while (!client->closing && cond_wait_until(&client->changed, &client->lock, until_us)) {
    }
    bool open = !client->closing;
    pthread_mutex_unlock(&client->lock);
    return open;
}

pawl_err pawl_task_complete(pawl_client_t *self, const pawl_completion_t *completion,
                            uint8_t id_out[PAWL_ID_BYTES], int64_t timeout_us)
{
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__TaskComplete body = PAWL__V1__TASK_COMPLETE__INIT;
    uint8_t token[LIMIT_COMPLETION];
    size_t verb = 0;
    while (verb < ARRAY_LEN(verbs) && strcmp(verbs[verb].name, completion->verb) != 0)
        verb++;
    pawl_err err = client_check(self);
    if (err) return err;
    if (verb == ARRAY_LEN(verbs))
        return fail_with_field(self, PAWL_E_BAD_REQUEST,
                               "an external task is ended by done, fail, fail-for-good, extend",
                               "verb", 0);
    if (!read_token(completion->token, token))
        return fail_with_field(self, PAWL_E_BAD_REQUEST,
                               "a completion token is 64 digits 0-9 a-f, as the attempt got it",
                               "token", 0);
    body.verb = verbs[verb].verb;
    body.permanent = verbs[verb].permanent;
    body.completion = (ProtobufCBinaryData){ sizeof token, token };
    body.output =
        (ProtobufCBinaryData){ completion->output_len, (uint8_t *)(uintptr_t)completion->output };
    if (completion->output_type) body.output_type = (char *)(uintptr_t)completion->output_type;
    if (completion->message) body.message = (char *)(uintptr_t)completion->message;
    body.extend_us = completion->by_us;
    request.body_case = PAWL__V1__REQUEST__BODY_TASK_COMPLETE;
    request.task_complete = &body;
    int64_t until = deadline_of(timeout_us);
    for (;;) {
        Pawl__V1__Changed *changed;
        err = ask_change(self, &request, left_until(until), &changed);
        if (!err) {
            if (id_out && changed->id.len == 16) memcpy(id_out, changed->id.data, 16);
            arena_free_of(changed);
            return PAWL_OK;
        }
        /* who was told the token may be faster than the attempt that told it */
        int64_t again = deadline_of(LOOK_AGAIN_US);
        if (err != -(pawl_err)ERR_NOT_YET || again >= until) return err;
        if (!rest(self, again)) return fail_with(self, PAWL_E_CLOSED, NULL);
    }
}
