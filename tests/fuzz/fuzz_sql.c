/* SPDX-License-Identifier: Apache-2.0
 * Fuzzes what the executor reads of a task of sql: the text of statements and the JSON of
 * parameters. Input: one byte (which of the dialects, or J for JSON), then the text.
 *
 * Judged, beside what the sanitizers see: each mark of a statement has its parameter; what was read
 * as a value is written as JSON that reads back as the same value.
 *
 * With -DREPLAY it is a plain program that runs the files it is given. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "executor/sql/json.h"
#include "executor/sql/script.h"

#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "fuzz_sql: line %d: %s\n", __LINE__, #condition);                      \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static const sql_dialect_t dialects[] = {
    { .numbered = true, .dollar_quotes = true, .backslash_e = true, .nested_comments = true },
    { .backslash = true, .backticks = true, .hash_comments = true, .code_comments = true },
    { .backticks = true, .brackets = true, .bytes_order = true },
};

static void try_script(const sql_dialect_t *dialect, const char *text)
{
    sql_script_t script;
    char why[200] = "";
    if (!sql_script_read(&script, dialect, text, why, sizeof why)) {
        MUST(why[0] != '\0' && script.count == 0);
        return;
    }
    MUST(script.count > 0);
    for (size_t i = 0; i < script.count; i++) {
        MUST(script.statements[i].text[0] != '\0');
        for (size_t k = 0; k < script.statements[i].param_count; k++)
            MUST(script.statements[i].params[k] < script.name_count);
    }
    sql_script_free(&script);
}

static void try_json(slice_t json)
{
    sql_params_t params = { 0 };
    char why[200] = "";
    if (!sql_params_read(&params, json, why, sizeof why)) MUST(why[0] != '\0');
    for (size_t i = 0; i < params.count; i++) {
        const sql_value_t *value = &params.items[i].value;
        buf_t text = { 0 };
        sql_params_t again = { 0 };
        json_add_value(&text, value);
        MUST(sql_params_read_one(&again, "x", slice(text.at, text.len), why, sizeof why));
        const sql_value_t *read = sql_params_find(&again, "x");
        bool bytes = read->kind == SQL_BYTES && value->kind == SQL_TEXT; /* text with a NUL */
        MUST(read->kind == value->kind || read->kind == SQL_TEXT || bytes);
        MUST(read->len == value->len && memcmp(read->at, value->at, value->len) == 0);
        sql_params_free(&again);
        buf_free(&text);
    }
    sql_params_free(&params);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    if (len == 0) return 0;
    if (bytes[0] == 'J') {
        try_json(slice(bytes + 1, len - 1));
        return 0;
    }
    char *text = calloc(1, len);
    memcpy(text, bytes + 1, len - 1);
    try_script(&dialects[bytes[0] % 3], text);
    free(text);
    return 0;
}

#ifdef REPLAY
int main(int argc, char **argv)
{
    static uint8_t bytes[1 << 20];
    for (int i = 1; i < argc; i++) {
        FILE *file = fopen(argv[i], "rb");
        MUST(file != NULL);
        LLVMFuzzerTestOneInput(bytes, fread(bytes, 1, sizeof bytes, file));
        fclose(file);
    }
    printf("fuzz_sql: %d files replayed\n", argc - 1);
    return 0;
}
#endif
