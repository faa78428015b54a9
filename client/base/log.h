/* SPDX-License-Identifier: Apache-2.0
 * client/base/log.h - one line, one event: `time level actor EVENT key=value ...` on stderr.
 *
 * For daemons; the SDK never logs. Thread-safe: one write(2) a line. Decisions and refusals are
 * logged, function entries are not. Control bytes in values are escaped. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <syslog.h> /* czmq brings it along; two of its macros would stand for our names */
#undef LOG_DEBUG
#undef LOG_INFO

#include "client/base/base.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

/* `actor` names the program or the part, at most 16 bytes kept. Level below `least` is dropped. */
void log_open(const char *actor, enum log_level least);
void log_event(enum log_level level, const char *event, const char *format, ...) PRINTF_LIKE(3, 4);

#endif
