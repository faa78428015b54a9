/* SPDX-License-Identifier: Apache-2.0
 * client/time/dur.h - durations and moments as people type and read them. Microseconds.
 *
 * Pure: no clock, no global state. Text that is refused leaves the result untouched. */
#ifndef TIME_DUR_H
#define TIME_DUR_H

#include "client/base/base.h"
#include "client/time/zone.h"

enum { DUR_TEXT = 24, MOMENT_TEXT = 48 };

/* The largest unit that says it exactly: `500ms 90s 2h 3d` (us too), as configurations and flags
 * read it (client/base/conf.h). */
void dur_print(int64_t us, char text[DUR_TEXT]);

/* RFC 3339 with up to six digits of a second and `Z` or an offset; `T` may be a blank, seconds may
 * be left out. Without offset: local time in `zone`, a bare date being its midnight; a time that
 * the clock skips is the first second after the jump, a repeated one its first showing. Years 1970
 * to 9998. ERR_BAD_VALUE: anything else, or no offset and zone NULL. */
MUST_CHECK err_t moment_parse(const char *text, const zone_t *zone, int64_t *us);
/* RFC 3339 with the offset in the zone (NULL: `Z`); fractions of a second only when there are any.
 * An offset that has seconds is not RFC 3339: such a moment is printed with the offset cut to
 * minutes and the clock moved to fit, so that the text names the same instant. */
void moment_print(int64_t us, const zone_t *zone, char text[MOMENT_TEXT]);

#endif
