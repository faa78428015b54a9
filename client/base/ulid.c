/* SPDX-License-Identifier: Apache-2.0 */
#include "client/base/ulid.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "client/base/clock.h"

static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

ulid_t ulid_make(int64_t wall_us, const uint8_t random[10])
{
    ulid_t id;
    uint64_t ms = wall_us > 0 ? (uint64_t)wall_us / 1000 : 0;
    for (int i = 0; i < 6; i++)
        id.at[i] = (uint8_t)(ms >> (40 - 8 * i));
    memcpy(id.at + 6, random, 10);
    return id;
}

/* Within a millisecond the random part counts up, so that ids of one process stay in order. A child
 * must not count on from what its parent counts on from: it begins with a random part of its own.
 */
ulid_t ulid_now(void)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static ulid_t last;
    static pid_t owner;
    pid_t process = getpid();
    pthread_mutex_lock(&lock);
    if (owner != process) last = (ulid_t){ { 0 } };
    owner = process;
    uint8_t random[10];
    random_bytes(random, sizeof random);
    ulid_t id = ulid_make(clock_wall_us(), random);
    if (memcmp(id.at, last.at, 6) <= 0) {
        id = last;
        for (int i = ULID_BYTES - 1; i >= 0 && ++id.at[i] == 0; i--)
            ;
    }
    last = id;
    pthread_mutex_unlock(&lock);
    return id;
}

int64_t ulid_time_us(const uint8_t id[ULID_BYTES])
{
    uint64_t ms = 0;
    for (int i = 0; i < 6; i++)
        ms = ms << 8 | id[i];
    return (int64_t)ms * 1000;
}

/* 26 characters hold 130 bits: the first one carries two zero bits before the id. */
void ulid_print(const uint8_t id[ULID_BYTES], char text[ULID_TEXT + 1])
{
    for (int i = 0; i < ULID_TEXT; i++) {
        unsigned value = 0;
        for (int bit = 5 * i - 2; bit < 5 * i + 3; bit++) {
            unsigned byte = bit < 0 ? 0 : id[bit / 8];
            unsigned is_set = byte >> (7 - (unsigned)bit % 8) & 1u;
            value = value << 1 | is_set;
        }
        text[i] = alphabet[value];
    }
    text[ULID_TEXT] = '\0';
}

static int digit(char c)
{
    if (c >= 'a' && c <= 'z') c = (char)(c - 'a' + 'A');
    if (c == 'I' || c == 'L') return 1;
    if (c == 'O') return 0;
    const char *at = c ? strchr(alphabet, c) : NULL;
    return at ? (int)(at - alphabet) : -1;
}

static bool fill(const char *text, size_t len, int rest, ulid_t *id)
{
    memset(id, 0, sizeof *id);
    for (int i = 0; i < ULID_TEXT; i++) {
        int value = (size_t)i < len ? digit(text[i]) : rest;
        if (value < 0 || (i == 0 && (size_t)i < len && value > 7)) return false;
        for (int k = 0; k < 5; k++) {
            int bit = 5 * i - 2 + k;
            if (bit >= 0 && (value >> (4 - k) & 1))
                id->at[bit / 8] |= (uint8_t)(1u << (7 - bit % 8));
        }
    }
    return true;
}

bool ulid_parse(const char *text, size_t len, ulid_t *id)
{
    return len == ULID_TEXT && fill(text, len, 0, id);
}

bool ulid_prefix(const char *text, size_t len, ulid_t *low, ulid_t *high)
{
    return len >= 1 && len <= ULID_TEXT && fill(text, len, 0, low) && fill(text, len, 31, high);
}
