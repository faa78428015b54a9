/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/formats/csv.h"

#include <stdlib.h>

#include "client/cli/text.h"

void csv_open(csv_t *self, const char *text, size_t len)
{
    static const char mark[] = "\xef\xbb\xbf"; /* spreadsheets put it in front */
    size_t skip = len >= 3 && memcmp(text, mark, 3) == 0 ? 3 : 0;
    *self = (csv_t){ .at = text + skip, .end = text + len, .line = 1 };
}

static void add_cell(csv_t *self, buf_t *cell, bool quoted)
{
    buf_add(cell, "", 1);
    const char *text = text_keep((char *)cell->at);
    *cell = (buf_t){ 0 };
    if (!quoted && (strcmp(text, "NULL") == 0 || strcmp(text, "\\N") == 0)) text = "";
    if (self->count == self->room) {
        self->room = self->room ? 2 * self->room : 64;
        self->cells = mem_grow(self->cells, self->room * sizeof *self->cells);
    }
    self->cells[self->count++] = text;
}

static void take_quoted(csv_t *self, buf_t *cell)
{
    for (self->at++; self->at < self->end; self->at++) {
        char byte = *self->at;
        bool more = self->at + 1 < self->end;
        if (byte == '"' && more && self->at[1] == '"') {
            self->at++;
        } else if (byte == '"') {
            self->at++;
            return;
        } else if (byte == '\\' && more && self->at[1] == '"' && self->at + 2 < self->end &&
                   !strchr(",\r\n", self->at[2])) {
            byte = *++self->at;
        } else if (byte == '\n') {
            self->line++;
        }
        buf_add(cell, &byte, 1);
    }
}

bool csv_next(csv_t *self)
{
    buf_t cell = { 0 };
    bool quoted = false;
    self->count = 0;
    while (self->at < self->end && (*self->at == '\n' || *self->at == '\r'))
        self->line += *self->at++ == '\n';
    if (self->at >= self->end) return false;
    self->record_line = self->line;
    while (self->at < self->end && *self->at != '\n') {
        if (*self->at == '"' && cell.len == 0 && !quoted) {
            quoted = true;
            take_quoted(self, &cell);
            continue;
        }
        if (*self->at == ',') {
            add_cell(self, &cell, quoted);
            quoted = false;
        } else if (*self->at != '\r' || (self->at + 1 < self->end && self->at[1] != '\n')) {
            buf_add(&cell, self->at, 1);
        }
        self->at++;
    }
    add_cell(self, &cell, quoted);
    if (self->at < self->end) {
        self->at++;
        self->line++;
    }
    return true;
}

void csv_close(csv_t *self)
{
    free(self->cells);
    *self = (csv_t){ 0 };
}
