/* SPDX-License-Identifier: Apache-2.0
 * broker/poison.h - requests that kill the broker are found and refused.
 *
 * A small mapped file in the state folder holds the hashes of the requests that are being applied;
 * it outlives the process, whatever ends that. A hash found there at start gets marks: many when
 * the thread that applied it died of its own doing (a fault, an abort), one when the process was
 * killed from outside, which says little about a request. Two crashes of the first kind, or
 * sixteen of the second, make it poison: it is refused from then on. A request under suspicion is
 * applied alone, so that others of its batch clear themselves; a clean commit clears it, an orderly
 * end of the process clears all.
 *
 * The file is scratch: in the host's byte order, thrown away when it does not fit, never synced (a
 * power cut loses it, and with it at most the count).
 *
 * Threads: poison_begin, poison_add, poison_end belong to the writer; judge and clear to the
 * front; open, watch and close to main while neither runs. */
#ifndef BROKER_POISON_H
#define BROKER_POISON_H

#include "client/base/base.h"

enum {
    POISON_APPLYING_MAX = 4096, /* requests of one batch that are noted */
    POISON_SUSPECTS_MAX = 4096, /* the least suspected give way */
    POISON_OWN = 8,             /* marks for a crash of the applying thread itself */
    POISON_KILLED = 1,          /* marks for any other sudden end */
    POISON_MARKS = 16,          /* so many: refused */
};
#define POISON_MAGIC UINT64_C(0x50574C504F493031)

/* The file, byte for byte. */
typedef struct poison_file {
    uint64_t magic;
    uint32_t own;      /* the applying thread was seen to die */
    uint32_t applying; /* how many of the hashes are being applied: 0 between batches */
    uint64_t hashes[POISON_APPLYING_MAX];
    struct poison_suspect {
        uint64_t hash; /* 0: free */
        uint32_t marks, unused;
    } suspects[POISON_SUSPECTS_MAX];
} poison_file_t;

typedef enum { POISON_NONE, POISON_SUSPECT, POISON_REFUSE } poison_verdict_t;

typedef struct poison poison_t;

/* Reads what the process before left and takes the file over. ERR_OS, ERR_DISK_FULL: no file; the
 * broker can run without (all functions below take NULL). */
MUST_CHECK err_t poison_open(poison_t **out, const char *path);
void poison_close(poison_t **self_p); /* an orderly end: empties the file */
/* From now on a fault or abort of the applying thread is noted before it takes its course. Once a
 * process. */
void poison_watch(poison_t *self);

/* Of a request as it came, without what a resend changes (seq, session, assign_seen): its body's
 * kind, length, first and last 256 bytes, and its request id. Never 0. */
uint64_t poison_hash(slice_t frame);

void poison_begin(poison_t *self);
void poison_add(poison_t *self, uint64_t hash); /* 0 is left out */
void poison_end(poison_t *self);

poison_verdict_t poison_judge(const poison_t *self, uint64_t hash);
void poison_clear(poison_t *self, uint64_t hash); /* it was applied, or cleanly refused */

#endif
