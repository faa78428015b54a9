/* SPDX-License-Identifier: Apache-2.0
 * executor/spare.h - the folder of a slot's last attempt, which its next attempt uses again.
 *
 * Only folders of our own account, only when nothing but the input is in them and both are as we
 * made them. Making a folder and a file and removing them for each command cost more than all else
 * that a short command costs: ext4 searches long for a new inode where many were freed within
 * seconds. Whether a command left something is told by time stamps, so that a command which leaves
 * nothing costs one look. A time stamp is trusted only when it was seen well after it was made: a
 * second change within the same tick of the clock behind them would leave it as it is.
 *
 * Between two attempts the folder stands under the name of the one before. Single-threaded. */
#ifndef EXECUTOR_SPARE_H
#define EXECUTOR_SPARE_H

#include "executor/workfolder.h"

/* Of a file or folder, as it was seen. */
struct spare_stamp {
    uint64_t inode;
    int64_t written_ns; /* st_mtim */
    bool firm;          /* seen so late that no change after it can have the same */
};

typedef struct spare {
    char path[WORKFOLDER_PATH]; /* "": there is none */
    struct spare_stamp folder, input;
    bool null_input; /* its input is the one of tasks without input */
    bool untouched;  /* as spare_look found it last */
} spare_t;

#define SPARE_INPUT "input.json"
#define SPARE_NULL  "null\n"

/* It stands at `path` now. False: there is none, or it cannot be used again; make one.
 * `null_input` tells whether its input must be written. */
MUST_CHECK bool spare_take(spare_t *self, const char *path);
/* True: the attempt took it as `path` and put nothing into it, so it left no output either. */
bool spare_look(spare_t *self, const char *path);
/* The attempt in `path` ("": none was made) is over. Keeps its folder when the next may use it,
 * else removes it with all that is in it. */
void spare_keep(spare_t *self, const char *path);
void spare_remove(spare_t *self);

#endif
