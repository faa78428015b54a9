/* SPDX-License-Identifier: Apache-2.0
 * client/cli/json.h - small readers of JSON objects. */
#ifndef CLI_JSON_H
#define CLI_JSON_H

#include <jansson.h>
#include <string.h>

/* The text below `key`, borrowed from `object`. NULL: there is none, or it is no text. */
static inline const char *text_at(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

/* Takes the text below `key` away when it says no more than leaving it out does. */
static inline void drop_if(json_t *object, const char *key, const char *standard)
{
    const char *text = text_at(object, key);
    if (text && strcmp(text, standard) == 0) json_object_del(object, key);
}

#endif
