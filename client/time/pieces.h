/* SPDX-License-Identifier: Apache-2.0
 * client/time/pieces.h - a zone as a list of pieces in the order of instants. Inside client/time.
 *
 * Each stretch of constant offset is cut into pieces: readings that the clock shows there for the
 * first time ever, and readings it has shown before. In front of the stretch after a forward jump
 * stand the readings that no clock ever shows, all at the instant of the jump. So each local time
 * lies in exactly one FIRST or SKIPPED piece, and whoever walks the pieces meets instants in order
 * however the clock jumps. Piece numbers go on for ever: the footer repeats every 400 years. */
#ifndef TIME_PIECES_H
#define TIME_PIECES_H

#include "client/time/zone.h"

enum piece_kind { PIECE_FIRST, PIECE_AGAIN, PIECE_SKIPPED };

typedef struct piece {
    int64_t at;       /* instant of its first second; of the jump for SKIPPED */
    int64_t from, to; /* local readings [from, to) */
    int32_t offset;   /* of the stretch it belongs to; for SKIPPED the one after the jump */
    int32_t kind;
} piece_t;

/* The number of the FIRST or AGAIN piece that holds instant t. */
size_t pieces_find(const zone_t *zone, int64_t t);
/* The piece with this number. False: there are no more. */
bool pieces_get(const zone_t *zone, size_t number, piece_t *piece);

#endif
