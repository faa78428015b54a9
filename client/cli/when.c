/* SPDX-License-Identifier: Apache-2.0
 * client/cli/when.c - pawl when: what a rule means. Needs no broker. */
#include <stdio.h>

#include "client/base/clock.h"
#include "client/cli/handlers.h"
#include "client/cli/moments.h"
#include "client/cli/output.h"
#include "client/time/rule.h"
#include "client/time/when_batch.h"

static json_t *next_json(const moments_t *moments, int64_t from, int64_t n)
{
    json_t *list = json_array();
    for (int64_t at = from; n > 0; n--) {
        at = moments_next(moments, at);
        if (at == RULE_NONE) break;
        json_array_append_new(list,
                              json_string(instant_text_in(moments_zone(moments), at * 1000000)));
    }
    return list;
}

static void print_table(const moments_t *moments, const char *words, int64_t from, int64_t n,
                        const json_t *warnings)
{
    int64_t now = clock_wall_us() / 1000000, at = from;
    printf("rule  %s    %s    zone %s\n", moments_rule(moments), words, moments_zone(moments));
    for (int64_t i = 1; i <= n; i++) {
        at = moments_next(moments, at);
        if (at == RULE_NONE) {
            printf("%s\n", i == 1 ? "never again" : "that was the last one");
            break;
        }
        printf("%3d  %s   %.16s UTC   %s\n", (int)i, moments_show(moments, at),
               instant_text_in("UTC", at * 1000000), moments_from_now(at, now));
    }
    size_t i;
    json_t *warning;
    json_array_foreach(warnings, i, warning) printf("note  %s\n", json_string_value(warning));
}

int cmd_when(cli_t *cli)
{
    const args_t *args = &cli->args;
    if (args_has(args, "batch")) {
        int failed = when_batch(stdin, stdout) != 0 || fflush(stdout) != 0;
        return failed ? fail(EXIT_FAILED, "the batch stopped", "reading or writing failed",
                             "pawl when --batch < FILE")
                      : 0;
    }
    if (args->word_count == 0)
        return fail(EXIT_USAGE, "pawl when needs a rule", "none was given", args->command->example);
    const char *zone = args_text(args, "zone"), *lang = args_text(args, "explain");
    const char *from_text = args_text(args, "from");
    int64_t from_us = clock_wall_us();
    if (!zone) zone = local_zone();
    moments_t *moments = NULL;
    int code = moments_open(&moments, args->words[0], zone, args_text(args, "except"));
    if (!code && from_text) code = cli_instant(cli, "from", from_text, false, &from_us);
    if (code) {
        moments_close(&moments);
        return code;
    }
    /* an instant at --from itself counts: people mean "from then on" */
    int64_t from = from_text ? (from_us + 999999) / 1000000 - 1 : from_us / 1000000;
    int64_t n = args_number(args, "count", 5);
    const char *words = moments_words(moments, lang ? lang : "en");
    json_t *warnings = moments_warnings(moments, from < 0 ? 0 : from);
    from = from < 0 ? 0 : from;
    const char *format = output_format();
    if (strcmp(format, "table") == 0 || strcmp(format, "wide") == 0) {
        print_table(moments, words, from, n, warnings);
    } else if (strcmp(format, "id") == 0) {
        size_t i;
        json_t *at, *list = next_json(moments, from, n);
        json_array_foreach(list, i, at) puts(json_string_value(at));
        json_decref(list);
    } else {
        code = output_object(json_pack("{s:s, s:s, s:s, s:o, s:O}", "rule", moments_rule(moments),
                                       "zone", moments_zone(moments), "words", words, "next",
                                       next_json(moments, from, n), "warnings", warnings));
    }
    json_decref(warnings);
    moments_close(&moments);
    return code;
}
