/* SPDX-License-Identifier: Apache-2.0 */
#include "client/base/away.h"

#include <inttypes.h>

#include "client/base/log.h"

void away_look(away_t *self, const char *endpoint, const char *why, int64_t now_us)
{
    if (!why) {
        if (self->told)
            log_event(LOG_INFO, "BROKER_BACK", "endpoint=%s after_ms=%" PRId64, endpoint,
                      (now_us - self->since_us) / 1000);
        *self = (away_t){ 0 };
        return;
    }
    if (self->since_us == 0) self->since_us = now_us;
    if (self->told || now_us - self->since_us < AWAY_TOLD_US) return;
    log_event(LOG_WARN, "BROKER_AWAY", "endpoint=%s why=\"%s\"", endpoint, why);
    self->told = true;
}
