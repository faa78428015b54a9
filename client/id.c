/* SPDX-License-Identifier: Apache-2.0 */
#include "client/pawl.h"

#include <string.h>

#include "client/base/ulid.h"

_Static_assert((int)PAWL_ID_BYTES == (int)ULID_BYTES, "an id is a ULID");
_Static_assert((int)PAWL_ID_TEXT == (int)ULID_TEXT + 1, "and so is its text");

void pawl_id_new(uint8_t id[PAWL_ID_BYTES])
{
    ulid_t drawn = ulid_now();
    memcpy(id, drawn.at, PAWL_ID_BYTES);
}

void pawl_id_print(const uint8_t id[PAWL_ID_BYTES], char text[PAWL_ID_TEXT])
{
    ulid_print(id, text);
}

bool pawl_id_parse(const char *text, uint8_t id[PAWL_ID_BYTES])
{
    ulid_t read;
    if (!text || !ulid_parse(text, strlen(text), &read)) return false;
    memcpy(id, read.at, PAWL_ID_BYTES);
    return true;
}
