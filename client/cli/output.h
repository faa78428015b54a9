/* SPDX-License-Identifier: Apache-2.0
 * client/cli/output.h - the one formatter below all commands: they hand it records, never text.
 *
 * A record is a JSON object; its columns are given by a list of column_t, which says how each field
 * of an SDK record turns into JSON (ids as 26 characters, instants as RFC 3339 with offset,
 * statuses as words) and where it is shown. Rows stream: json prints `[`, rows, `]`; ndjson, csv
 * and id one line a row; a table waits for its rows to know the widths. */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include <jansson.h>
#include <stdio.h>

#include "client/cli/cli.h"
#include "client/cli/instant.h"

typedef enum {
    AS_TEXT, /* "" becomes null */
    AS_WORD, /* text that is never absent */
    AS_INT,
    AS_EXIT, /* an int that may be absent: null */
    AS_BOOL,
    AS_CHOICE,  /* a bool that may be absent: null */
    AS_INSTANT, /* microseconds; 0 becomes null */
    AS_DURATION,
    AS_PATIENCE, /* a duration that may be absent: null */
    AS_ID,       /* 16 bytes */
    AS_TEXTS,
    AS_LABELS,    /* {"key":"value"} */
    AS_VERSIONS,  /* {"name":"version"} */
    AS_CONTAINER, /* {"id","name","image"} or null */
    AS_MACHINE,   /* {"cpus","memory_bytes","os","kernel"} or null */
    AS_MILLI,     /* a thousandth of it; null: not told */
    AS_COUNTS,    /* {"waiting":3} */
    AS_GIVEN,     /* not from the record: the command sets it */
} shape_t;

typedef enum { IN_TABLE, IN_WIDE, IN_JSON } place_t;

typedef struct column {
    const char *name;  /* in JSON; the head of a table is this in capitals */
    const char *field; /* of the SDK's record */
    shape_t shape;
    place_t place;
} column_t;

extern const column_t task_columns[], schedule_columns[], policy_columns[], history_columns[],
    executor_columns[], peer_columns[], queue_columns[], event_columns[], status_columns[],
    attempt_columns[], child_columns[], child_count_columns[], fanout_columns[], range_columns[],
    audit_columns[];

/* An SDK record as a JSON object with exactly these columns, in this order. */
json_t *record_json(const pawl_record_t *record, const column_t *columns);

/* Sets how every following output looks: format (table, wide, json, ndjson, csv, yaml, id), fields
 * (comma separated, NULL: all of the format), head line or not, notes on stderr (that a table is
 * empty, or cut) or not, zone of instants (local, utc or an IANA name). 0 or the code of a printed
 * error. */
int output_setup(const char *format, const char *fields, bool head, bool notes, const char *zone);
/* The format is for machines: no decoration wanted. */
bool output_is_json(void); /* json, ndjson or yaml */
/* For people: rows in columns (table or wide). */
bool output_is_table(void);
const char *output_format(void);
/* Whether all that was printed so far could be written. 0 or the code of a printed error. */
int output_written(void);

typedef struct output output_t;
enum { OUTPUT_TABLE_ROWS = 100 };
/* limit 0: none was given, then a table shows OUTPUT_TABLE_ROWS and a hint. */
output_t *output_new(const column_t *columns, uint64_t limit);
/* For rows that go on coming: json is written as ndjson, an array would have no end. */
output_t *output_stream(const column_t *columns);
/* Is this column shown? For what costs a request of its own. */
bool output_wants(const output_t *self, const char *name);
/* Takes row. False: enough, no more rows are wanted. */
bool output_row(output_t *self, json_t *row);
bool output_record(output_t *self, const pawl_record_t *record);
/* 0, or the code of a printed error: of --fields, or of a stdout that cannot be written. */
int output_end(output_t **self_p);
/* One object: JSON as it is, or one line a field. Takes object. */
int output_object(json_t *object);

/* How a cell of a table or CSV shows a JSON value. */
char *cell_text(const json_t *value); /* free() it */

#endif
