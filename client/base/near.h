/* SPDX-License-Identifier: Apache-2.0
 * client/base/near.h - what a mistyped word was probably meant to be.
 *
 * Pure; nothing is kept. Words of more than 63 bytes are near to nothing. */
#ifndef BASE_NEAR_H
#define BASE_NEAR_H

#include <stddef.h>

/* The candidate that `word` was probably meant to be: at most a third of its letters (but at least
 * one) differ, a swap of neighbours counting once. NULL: none is near. */
const char *did_you_mean(const char *word, const char *const *candidates, size_t n);
/* Letters to change, add, drop or swap; SIZE_MAX for a word that is too long. */
size_t edit_distance(const char *a, const char *b);

#endif
