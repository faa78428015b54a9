/* SPDX-License-Identifier: Apache-2.0 */
#include "client/base/near.h"

#include <stdint.h>
#include <string.h>

/* Optimal string alignment over three rows; words are short, so rows of 64 do. */
size_t edit_distance(const char *a, const char *b)
{
    enum { LONGEST = 63 };
    size_t rows = strlen(a), columns = strlen(b);
    if (rows > LONGEST || columns > LONGEST) return SIZE_MAX;
    size_t row[3][LONGEST + 1] = { { 0 } };
    for (size_t j = 0; j <= columns; j++)
        row[0][j] = j;
    for (size_t i = 1; i <= rows; i++) {
        size_t *now = row[i % 3], *before = row[(i + 2) % 3], *two_before = row[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= columns; j++) {
            size_t best = before[j - 1] + (a[i - 1] != b[j - 1]);
            if (before[j] + 1 < best) best = before[j] + 1;
            if (now[j - 1] + 1 < best) best = now[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                two_before[j - 2] + 1 < best)
                best = two_before[j - 2] + 1;
            now[j] = best;
        }
    }
    return row[rows % 3][columns];
}

const char *did_you_mean(const char *word, const char *const *candidates, size_t n)
{
    const char *best = NULL;
    size_t letters = strlen(word), least = letters / 3 < 1 ? 2 : letters / 3 + 1;
    for (size_t i = 0; i < n; i++) {
        size_t distance = edit_distance(word, candidates[i]);
        if (distance < least) {
            least = distance;
            best = candidates[i];
        }
    }
    return best;
}
