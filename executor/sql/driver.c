/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/sql/driver.h"

#include <stdio.h>
#include <stdlib.h>

static const struct {
    const char *name;
    const sql_driver_t *driver;
} drivers[] = { { "sqlite", &sql_sqlite },
                { "postgresql", &sql_postgresql },
                { "mariadb", &sql_mariadb },
                { "mysql", &sql_mariadb } };

const sql_driver_t *sql_driver(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(drivers); i++)
        if (strcmp(drivers[i].name, name) == 0) return drivers[i].driver;
    return NULL;
}

/* A library may quote the connection string it was given. */
static void cut_out(char *text, const char *secret)
{
    size_t len = secret ? strlen(secret) : 0;
    if (len == 0) return;
    for (char *found = text; (found = strstr(found, secret));) {
        memset(found, '*', len);
        found += len;
    }
}

void sql_error_set(sql_error_t *self, const sql_source_t *source, const char *state,
                   const char *text)
{
    snprintf(self->state, sizeof self->state, "%s", state ? state : "");
    size_t len = strlen(text);
    char *copy = mem_copy(text, len + 1);
    cut_out(copy, source->password);
    size_t to = 0;
    for (size_t i = 0; i < len && to + 1 < sizeof self->text; i++) {
        unsigned char byte = (unsigned char)copy[i];
        if (byte < 0x20 || byte == 0x7f) {
            if (to > 0 && self->text[to - 1] != ' ') self->text[to++] = ' ';
        } else {
            self->text[to++] = (char)byte;
        }
    }
    while (to > 0 && self->text[to - 1] == ' ')
        to--;
    self->text[to] = '\0';
    free(copy);
}
