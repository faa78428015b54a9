/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/output.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

typedef enum { TABLE, WIDE, JSON, NDJSON, CSV, YAML, ID } format_t;
static const char *const format_names[] = {
    "table", "wide", "json", "ndjson", "csv", "yaml", "id"
};

enum { CELL_WIDEST = 60 };

static struct {
    format_t format;
    const char *fields; /* NULL: all of the format */
    bool head, notes;
} setup = { TABLE, NULL, true, true };

struct output {
    const column_t *columns;
    const char **names; /* of the columns shown, in order */
    size_t name_count;
    char **cells; /* of a table, row after row */
    size_t rows, cell_count, cell_room;
    uint64_t limit;
    bool more; /* a row was refused because of the limit */
    int failed;
};

// ---- values ------------------------------------------------------------------------------------

/* {"role":"web"} reads role=web, ["a","b"] reads a,b: no quotes and braces in a table. */
char *cell_text(const json_t *value)
{
    buf_t text = { 0 };
    buf_printf(&text, "%s", "");
    const char *key;
    json_t *item;
    size_t i;
    if (json_is_string(value)) {
        buf_printf(&text, "%s", json_string_value(value));
    } else if (json_is_integer(value)) {
        buf_printf(&text, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    } else if (json_is_boolean(value)) {
        buf_printf(&text, "%s", json_is_true(value) ? "yes" : "no");
    } else if (json_is_object(value)) {
        json_object_foreach((json_t *)(uintptr_t)value, key, item)
        {
            char *inner = cell_text(item);
            buf_printf(&text, "%s%s=%s", text.len ? "," : "", key, inner);
            free(inner);
        }
    } else if (json_is_array(value)) {
        json_array_foreach(value, i, item)
        {
            char *inner = cell_text(item);
            buf_printf(&text, "%s%s", i ? "," : "", inner);
            free(inner);
        }
    } else if (json_is_real(value)) {
        buf_printf(&text, "%g", json_real_value(value));
    }
    return (char *)text.at;
}

// ---- set-up ------------------------------------------------------------------------------------

int output_setup(const char *format, const char *fields, bool head, bool notes, const char *zone)
{
    setup.format = TABLE;
    setup.fields = fields;
    setup.head = head;
    setup.notes = notes;
    if (format) {
        size_t i = 0;
        while (i < ARRAY_LEN(format_names) && strcmp(format_names[i], format) != 0)
            i++;
        if (i == ARRAY_LEN(format_names)) {
            const char *near = did_you_mean(format, format_names, ARRAY_LEN(format_names));
            return fail(EXIT_USAGE, say("unknown output format %s", format),
                        "it is one of table, wide, json, ndjson, csv, yaml, id",
                        say("-o %s", near ? near : "json"));
        }
        setup.format = (format_t)i;
    }
    if (zone && strcmp(zone, "local") != 0) {
        const char *name = strcmp(zone, "utc") == 0 ? "UTC" : zone;
        if (!zone_exists(name))
            return fail(EXIT_USAGE, say("unknown time zone %s", zone),
                        "it is local, utc or a name of the zone database",
                        "--tz Europe/Paris (names: ls /usr/share/zoneinfo)");
        zone = name;
    }
    zone_show(zone);
    return 0;
}

bool output_is_json(void)
{
    return setup.format == JSON || setup.format == NDJSON || setup.format == YAML;
}

bool output_is_table(void)
{
    return setup.format == TABLE || setup.format == WIDE;
}

const char *output_format(void)
{
    return format_names[setup.format];
}

// ---- columns -----------------------------------------------------------------------------------

static bool shown(const column_t *column)
{
    switch (setup.format) {
    case TABLE:
        return column->place == IN_TABLE;
    case WIDE:
        return column->place != IN_JSON;
    default:
        return true;
    }
}

static void add_name(output_t *self, const char *name)
{
    self->names = mem_grow(self->names, (self->name_count + 1) * sizeof *self->names);
    self->names[self->name_count++] = name;
}

static int choose_fields(output_t *self)
{
    const char *all[64];
    size_t n = 0;
    for (const column_t *column = self->columns; column->name && n < ARRAY_LEN(all); column++)
        all[n++] = column->name;
    for (char *at = text_keep(mem_text(setup.fields)), *word; (word = strsep(&at, ","));) {
        size_t i = 0;
        while (i < n && strcmp(all[i], word) != 0)
            i++;
        if (i == n) {
            const char *near = did_you_mean(word, all, n);
            buf_t list = { 0 };
            for (i = 0; i < n; i++)
                buf_printf(&list, "%s%s", i ? " " : "", all[i]);
            return fail(EXIT_USAGE, say("unknown field \"%s\" in --fields", word),
                        say("the fields are: %s", text_keep((char *)list.at)),
                        near ? say("--fields %s (did you mean that?)", near)
                             : "--fields id,status");
        }
        add_name(self, all[i]);
    }
    return 0;
}

output_t *output_new(const column_t *columns, uint64_t limit)
{
    output_t *self = mem_new(sizeof *self);
    self->columns = columns;
    self->limit = limit;
    if (!limit) self->limit = output_is_table() ? OUTPUT_TABLE_ROWS : UINT64_MAX;
    if (setup.format == ID) {
        add_name(self, columns[0].name);
        return self;
    }
    if (setup.fields)
        self->failed = choose_fields(self);
    else
        for (; columns->name; columns++)
            if (shown(columns)) add_name(self, columns->name);
    if (self->failed) self->limit = 0;
    return self;
}

output_t *output_stream(const column_t *columns)
{
    if (setup.format == JSON) setup.format = NDJSON;
    return output_new(columns, UINT64_MAX);
}

bool output_wants(const output_t *self, const char *name)
{
    for (size_t i = 0; i < self->name_count; i++)
        if (strcmp(self->names[i], name) == 0) return true;
    return false;
}

// ---- rows --------------------------------------------------------------------------------------

static void print_csv_cell(const char *text, bool first)
{
    if (!first) putchar(',');
    if (!text[strcspn(text, ",\"\r\n")]) {
        fputs(text, stdout);
        return;
    }
    putchar('"');
    for (; *text; text++) {
        if (*text == '"') putchar('"');
        putchar(*text);
    }
    putchar('"');
}

static void print_csv(const output_t *self, const json_t *row)
{
    for (size_t i = 0; i < self->name_count; i++) {
        char *cell =
            row ? cell_text(json_object_get(row, self->names[i])) : mem_text(self->names[i]);
        print_csv_cell(cell, i == 0);
        free(cell);
    }
    fputs("\r\n", stdout);
}

static void print_yaml(const json_t *object, const char *first, const char *then)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
        printf("%s%s: %s\n", first, key, text ? text : "null"); /* JSON is flow style YAML */
        free(text);
        first = then;
    }
}

/* 02:00:00.123456+01:00 is 02:00:00+01:00 in a table. */
static void drop_fraction(char *cell)
{
    enum { DOT = 19 };
    if (strlen(cell) < DOT + 2 || cell[10] != 'T' || cell[DOT] != '.' || cell[13] != ':') return;
    size_t digits = strspn(cell + DOT + 1, "0123456789") + 1;
    memmove(cell + DOT, cell + DOT + digits, strlen(cell + DOT + digits) + 1);
}

static void keep_row(output_t *self, const json_t *row)
{
    for (size_t i = 0; i < self->name_count; i++) {
        if (self->cell_count == self->cell_room) {
            self->cell_room = self->cell_room ? 2 * self->cell_room : 256;
            self->cells = mem_grow(self->cells, self->cell_room * sizeof *self->cells);
        }
        char *cell = cell_text(json_object_get(row, self->names[i]));
        text_tame(cell); /* one line, and nothing that a terminal obeys */
        if (setup.format == TABLE && !setup.fields) text_cut(cell, CELL_WIDEST);
        drop_fraction(cell);
        self->cells[self->cell_count++] = cell;
    }
}

static json_t *with_fields(const output_t *self, json_t *row)
{
    if (!setup.fields) return row;
    json_t *picked = json_object();
    for (size_t i = 0; i < self->name_count; i++)
        json_object_set(picked, self->names[i], json_object_get(row, self->names[i]));
    json_decref(row);
    return picked;
}

bool output_row(output_t *self, json_t *row)
{
    if (self->rows >= self->limit) {
        self->more = true;
        json_decref(row);
        return false;
    }
    row = with_fields(self, row);
    switch (setup.format) {
    case TABLE:
    case WIDE:
        keep_row(self, row);
        break;
    case JSON:
        fputs(self->rows ? ",\n " : "[", stdout);
        json_dumpf(row, stdout, JSON_COMPACT);
        break;
    case NDJSON:
        json_dumpf(row, stdout, JSON_COMPACT);
        putchar('\n');
        break;
    case CSV:
        if (self->rows == 0 && setup.head) print_csv(self, NULL);
        print_csv(self, row);
        break;
    case YAML:
        print_yaml(row, "- ", "  ");
        break;
    case ID: {
        char *cell = cell_text(json_object_get(row, self->names[0]));
        puts(cell);
        free(cell);
        break;
    }
    }
    self->rows++;
    json_decref(row);
    return true;
}

bool output_record(output_t *self, const pawl_record_t *record)
{
    return output_row(self, record_json(record, self->columns));
}

// ---- end ---------------------------------------------------------------------------------------

static void print_line(const output_t *self, char *const *cells, const size_t *widths)
{
    for (size_t i = 0; i < self->name_count; i++) {
        bool last = i + 1 == self->name_count;
        fputs(cells[i], stdout);
        for (size_t pad = text_width(cells[i]); !last && pad < widths[i] + 2; pad++)
            putchar(' ');
    }
    putchar('\n');
}

static void print_table(const output_t *self)
{
    size_t *widths = mem_new(self->name_count * sizeof *widths);
    char **heads = mem_new(self->name_count * sizeof *heads);
    for (size_t i = 0; i < self->name_count; i++) {
        heads[i] = mem_text(self->names[i]);
        for (char *at = heads[i]; *at; at++)
            *at = *at >= 'a' && *at <= 'z' ? (char)(*at - 32) : *at;
        widths[i] = setup.head ? strlen(heads[i]) : 0;
        for (size_t row = 0; row < self->rows; row++) {
            size_t width = text_width(self->cells[row * self->name_count + i]);
            widths[i] = width > widths[i] ? width : widths[i];
        }
    }
    if (setup.head) print_line(self, heads, widths);
    for (size_t row = 0; row < self->rows; row++)
        print_line(self, self->cells + row * self->name_count, widths);
    for (size_t i = 0; i < self->name_count; i++)
        free(heads[i]);
    free(heads);
    free(widths);
}

int output_written(void)
{
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout)) return 0;
    return fail(EXIT_FAILED, "cannot write the output",
                errno ? strerror(errno) : "an earlier part of it could not be written",
                "the same command again, with its output to a place that takes it");
}

int output_end(output_t **self_p)
{
    output_t *self = *self_p;
    int code = self->failed;
    *self_p = NULL;
    if (!code && output_is_table()) print_table(self);
    if (!code && setup.format == CSV && self->rows == 0 && setup.head) print_csv(self, NULL);
    if (!code && setup.format == JSON) puts(self->rows ? "]" : "[]");
    if (!code && setup.format == YAML && self->rows == 0) puts("[]");
    if (!code) code = output_written();
    bool told = !code && output_is_table() && setup.notes;
    if (told && self->rows == 0) fputs("none\n", stderr);
    if (told && self->more)
        fprintf(stderr,
                "%zu rows shown, there are more: --limit N (to 100000), or -o ndjson for all\n",
                self->rows);
    for (size_t i = 0; i < self->cell_count; i++)
        free(self->cells[i]);
    free(self->cells);
    free(self->names);
    free(self);
    return code;
}

static void print_fields(const json_t *object)
{
    const char *key;
    json_t *value;
    int widest = 0;
    json_object_foreach((json_t *)(uintptr_t)object, key, value) widest =
        (int)strlen(key) > widest ? (int)strlen(key) : widest;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        bool rows = json_is_array(value) && json_is_object(json_array_get(value, 0));
        if (!rows) {
            char *text = cell_text(value);
            text_tame(text);
            printf("%-*s  %s\n", widest, key, text);
            free(text);
            continue;
        }
        size_t i;
        json_t *row;
        json_array_foreach(value, i, row)
        {
            char *text = cell_text(row);
            text_tame(text);
            printf("%-*s  %s\n", widest, i ? "" : key, text);
            free(text);
        }
    }
}

int output_object(json_t *object)
{
    if (setup.fields) {
        json_t *picked = json_object();
        for (char *at = text_keep(mem_text(setup.fields)), *word; (word = strsep(&at, ","));) {
            json_t *value = json_object_get(object, word);
            if (!value) {
                json_decref(object);
                json_decref(picked);
                return fail(EXIT_USAGE, say("unknown field \"%s\" in --fields", word),
                            "this object has no such field", "-o json shows all of them");
            }
            json_object_set(picked, word, value);
        }
        json_decref(object);
        object = picked;
    }
    if (setup.format == JSON || setup.format == NDJSON) {
        json_dumpf(object, stdout, setup.format == JSON ? JSON_INDENT(2) : JSON_COMPACT);
        putchar('\n');
    } else if (setup.format == YAML) {
        print_yaml(object, "", "");
    } else if (setup.format == ID) {
        const json_t *id = json_object_get(object, "id");
        if (!id) id = json_object_get(object, "name");
        if (!id) {
            json_decref(object);
            return fail(EXIT_USAGE, "there is no id to print", "what is shown here has none",
                        "-o json shows all of it");
        }
        char *text = cell_text(id);
        puts(text);
        free(text);
    } else if (setup.format == CSV) {
        output_t row = { .names = NULL };
        const char *key;
        json_t *value;
        json_object_foreach(object, key, value) add_name(&row, key);
        if (setup.head) print_csv(&row, NULL);
        print_csv(&row, object);
        free(row.names);
    } else {
        print_fields(object);
    }
    json_decref(object);
    return output_written();
}
