/* SPDX-License-Identifier: Apache-2.0
 * client/base/select.h - a choice by labels: "team=ops,env!=test,site,!draft".
 *
 * Terms are joined by commas and must all hold: K=V has that value, K!=V has not (also when there
 * is no K), K is there, !K is not. White space around terms is ignored; a value ends at the comma.
 * An empty text chooses everything. Pure; a select is its own copy of the text. */
#ifndef CLIENT_BASE_SELECT_H
#define CLIENT_BASE_SELECT_H

#include "client/base/base.h"
#include "schemas/limits.h"

typedef struct label {
    slice_t key, value;
} label_t;

typedef struct select {
    size_t n;
    struct {
        label_t label;
        bool any;     /* the key alone counts */
        bool negated; /* the term must not hold */
    } terms[LIMIT_LABELS];
    char text[LIMIT_SELECT + 1]; /* as it was given; the terms point into it */
} select_t;

/* False: *why (static text) says what is wrong and *column (from 1) where. */
MUST_CHECK bool select_parse(select_t *self, const char *text, const char **why, size_t *column);
bool select_matches(const select_t *self, const label_t *labels, size_t n);

/* Labels as one run of bytes, as rows keep them: key length u8, key, value length u8, value, ... */
void labels_encode(buf_t *to, const label_t *labels, size_t n);
/* Returns how many; SIZE_MAX: damaged. `labels` has room for LIMIT_LABELS and points into `from`.
 */
size_t labels_decode(label_t *labels, slice_t from);

#endif
