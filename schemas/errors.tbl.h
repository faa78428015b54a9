/* SPDX-License-Identifier: Apache-2.0
 * schemas/errors.tbl.h - every error, once. Numbers are on the wire: never renumber or reuse.
 *
 * ERR(name, number, retry, exit, "what it means")
 *   retry  NEVER: the same request fails again; LATER: may succeed later; RESEND: sent again by the
 * SDK exit   exit code of `pawl` when a command ends with it (1 failed, 2 usage, 3 not found, 4
 * conflict, 5 refused, 6 unreachable, 8 part of a bulk, 9 limit or full)
 */
ERR(OK, 0, NEVER, 0, "success")
/* requests */
ERR(BAD_REQUEST, 1, NEVER, 2, "the request is malformed")
ERR(BAD_MAGIC, 2, NEVER, 2, "the frame does not start with this protocol's magic")
ERR(VERSION, 3, NEVER, 5, "the protocol version is not spoken here")
ERR(UNIMPLEMENTED, 4, NEVER, 1, "this broker does not know the request")
ERR(TOO_LARGE, 5, NEVER, 9, "a size limit was exceeded")
ERR(TOO_MANY, 6, NEVER, 9, "a count limit was exceeded")
ERR(BAD_UTF8, 7, NEVER, 2, "a text is not valid UTF-8 or holds control bytes")
ERR(BAD_NAME, 8, NEVER, 2, "a name is empty, too long or has bytes that names may not have")
ERR(BAD_VALUE, 9, NEVER, 2, "a value is outside its range")
ERR(CONTRADICTION, 10, NEVER, 2, "two settings exclude each other")
/* session */
ERR(NO_SESSION, 20, RESEND, 6, "no session: send Hello first")
ERR(SESSION_LOST, 21, RESEND, 6, "the session ended after too long a silence")
ERR(BUSY, 22, LATER, 9, "too much in flight")
ERR(REFUSED, 23, NEVER, 5, "the principal may not do this")
ERR(SHUTTING_DOWN, 24, RESEND, 6, "the broker is stopping")
ERR(NAME_TAKEN, 25, LATER, 4, "a live peer uses this name")
/* tasks */
ERR(NOT_FOUND, 40, NEVER, 3, "no such task, schedule, queue or executor")
ERR(AMBIGUOUS, 41, NEVER, 2, "the prefix fits more than one id")
ERR(BAD_ID, 42, NEVER, 2, "the id is not a ULID, or its time is too far from the broker's")
ERR(ID_REUSED, 43, NEVER, 4, "the id is on record with another body")
ERR(UNKNOWN_TYPE, 44, NEVER, 3, "the type is not registered and no executor has announced it")
ERR(WRONG_STATUS, 45, NEVER, 4, "the task's status does not allow this")
ERR(STALE, 46, NEVER, 4, "a newer token exists")
ERR(DUPLICATE, 47, NEVER, 4, "a live task holds this key")
ERR(BAD_TOKEN, 55, NEVER, 5, "the completion token is none of this broker's")
ERR(NOT_YET, 56, LATER, 4, "the attempt still runs: it becomes external when its report is in")
/* schedules */
ERR(BAD_RULE, 60, NEVER, 2, "the rule cannot be read")
ERR(BAD_ZONE, 61, NEVER, 2, "the time zone is not known")
ERR(CONFLICT, 62, NEVER, 4, "the revision or the cursor has moved")
ERR(TOO_LATE, 63, NEVER, 2, "every instant of the rule lies in the past")
ERR(EXISTS, 64, NEVER, 4, "the name is in use")
ERR(TOO_EARLY, 65, LATER, 4, "the instant lies ahead of the broker's clock")
ERR(IN_USE, 66, NEVER, 4, "something uses it")
ERR(BAD_CALENDAR, 67, NEVER, 2, "an entry of the calendar cannot be read")
ERR(NO_INSTANT, 70, NEVER, 2, "the rule has no instant in this span")
/* store */
ERR(STORE_FULL, 80, LATER, 9,
    "the store is near its limit: what adds is refused, what ends is taken")
ERR(STORE_IO, 81, NEVER, 1, "the disk failed")
ERR(CORRUPT, 82, NEVER, 1, "a record fails its checksum or contradicts another")
ERR(STORE_LOCKED, 83, LATER, 4, "another broker holds the store")
ERR(STORE_VERSION, 84, NEVER, 1, "the store was written by another version")
ERR(DISK_FULL, 85, LATER, 9, "the disk is full")
ERR(POISON, 86, NEVER, 1, "the request was being applied when the broker died, twice")
/* local: never on the wire */
ERR(UNREACHABLE, 100, LATER, 6, "the broker cannot be reached")
ERR(TIMEOUT, 101, LATER, 6, "no answer in time")
ERR(CLOSED, 102, NEVER, 6, "the handle is closed")
ERR(BACKPRESSURE, 103, LATER, 9, "the local buffer is full")
ERR(FORKED, 104, NEVER, 1, "the handle belongs to the parent process")
ERR(OS, 105, NEVER, 1, "a system call failed")
ERR(CONFIG, 106, NEVER, 2, "the configuration is wrong")
ERR(NO_MEMORY, 107, LATER, 1, "out of memory")
ERR(EMPTY, 108, LATER, 1, "nothing there")
