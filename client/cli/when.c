/* SPDX-License-Identifier: Apache-2.0
 * client/cli/when.c - pawl when: what a rule means. Needs no broker. */
#include <inttypes.h>
#include <stdio.h>

#include "client/base/clock.h"
#include "client/cli/handlers.h"
#include "client/cli/moments.h"
#include "client/cli/output.h"
#include "client/time/rule.h"
#include "client/time/when_batch.h"

enum { CLOSED_SHOWN = 3 };

typedef struct asked {
    int64_t from, upto; /* instants in (from, upto] */
    int64_t n;
    bool counted, backwards;
} asked_t;

/* The next instant to show; RULE_NONE: that was all. */
static int64_t step(const moments_t *moments, const asked_t *asked, int64_t at)
{
    if (asked->backwards) return moments_prev(moments, at);
    int64_t next = moments_next(moments, at);
    return next > asked->upto ? RULE_NONE : next;
}

static json_t *next_json(const moments_t *moments, const asked_t *asked)
{
    json_t *list = json_array();
    int64_t at = asked->backwards ? asked->from + 1 : asked->from;
    for (int64_t n = asked->n; n > 0; n--) {
        at = step(moments, asked, at);
        if (at == RULE_NONE) break;
        json_array_append_new(list,
                              json_string(instant_text_in(moments_zone(moments), at * 1000000)));
    }
    return list;
}

/* What calendars close in front of an instant. */
static void print_closed(const moments_t *moments, const asked_t *asked, int64_t at)
{
    const char *calendar = "";
    int shown = 0;
    if (asked->backwards) return;
    while ((at = moments_closed_next(moments, at, &calendar)) != RULE_NONE && at <= asked->upto)
        if (++shown <= CLOSED_SHOWN)
            printf("  -  %s   closed by %s\n", moments_show(moments, at), calendar);
        else
            break;
    if (shown > CLOSED_SHOWN) printf("  -  and more that are closed\n");
}

static void print_table(const moments_t *moments, const char *words, const asked_t *asked,
                        const json_t *warnings)
{
    int64_t now = clock_wall_us() / 1000000, at = asked->backwards ? asked->from + 1 : asked->from;
    printf("rule  %s    %s    zone %s\n", moments_rules(moments), words, moments_zone(moments));
    if (strcmp(moments_rules(moments), moments_normal(moments)) != 0)
        printf("as    %s\n", moments_normal(moments));
    if (asked->counted)
        printf("count %" PRIu64 "\n", moments_count(moments, asked->from, asked->upto));
    for (int64_t i = 1; i <= asked->n; i++) {
        print_closed(moments, asked, at);
        at = step(moments, asked, at);
        if (at == RULE_NONE) {
            bool bounded = asked->counted || asked->backwards;
            if (!bounded || i == 1)
                printf("%s\n", bounded  ? "none in that time"
                               : i == 1 ? "never again"
                                        : "that was the last one");
            break;
        }
        printf("%3d  %s   %.16s UTC   %s\n", (int)i, moments_show(moments, at),
               instant_text_in("UTC", at * 1000000), moments_from_now(at, now));
    }
    size_t i;
    json_t *warning;
    json_array_foreach(warnings, i, warning) printf("note  %s\n", json_string_value(warning));
}

/* An instant of a flag, in whole seconds rounded up; `seconds` stays as it is without the flag. */
static int second_of(cli_t *cli, const char *flag, int64_t *seconds)
{
    const char *text = args_text(&cli->args, flag);
    int64_t us;
    int code = text ? cli_instant(cli, flag, text, false, &us) : 0;
    if (text && !code) *seconds = us > 0 ? (us + 999999) / 1000000 : 0;
    return code;
}

static int open_when(cli_t *cli, const char *zone, moments_t **moments)
{
    static const char *const name[] = { "--closed" };
    const args_t *args = &cli->args;
    const char *also[RULESET_RULES_MAX];
    size_t also_count = args_count(args, "also");
    for (size_t i = 0; i < also_count && i < ARRAY_LEN(also); i++)
        also[i] = args_given(args, "also", i)->value;
    buf_t entries = { 0 };
    for (size_t i = 0; i < args_count(args, "closed"); i++)
        buf_printf(&entries, "%s%s", i ? "\n" : "", args_given(args, "closed", i)->value);
    const char *text = (const char *)entries.at;
    moments_spec_t spec = { .rule = args->words[0],
                            .zone = zone,
                            .exclusions = args_text(args, "except"),
                            .name = args_text(args, "name"),
                            .also = also,
                            .also_count = also_count,
                            .calendars = name,
                            .calendar_texts = &text,
                            .calendars_count = text != NULL };
    int code = moments_open(moments, &spec);
    buf_free(&entries);
    return code;
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
    asked_t asked = { .from = clock_wall_us() / 1000000,
                      .upto = RULE_END,
                      .n = args_number(args, "count", 5),
                      .counted = args_has(args, "to"),
                      .backwards = args_has(args, "last") };
    moments_t *moments = NULL;
    int code = open_when(cli, zone ? zone : local_zone(), &moments);
    if (!code) code = second_of(cli, "from", &asked.from);
    if (!code) code = second_of(cli, "to", &asked.upto);
    if (!code && args_has(args, "from") && asked.counted && asked.upto < asked.from)
        code = fail(EXIT_USAGE, "the span ends before it begins",
                    say("from %s to %s", args_text(args, "from"), args_text(args, "to")),
                    say("--from %s --to %s", args_text(args, "to"), args_text(args, "from")));
    if (code) {
        moments_close(&moments);
        return code;
    }
    /* an instant at --from itself counts: people mean "from then on" */
    if (args_has(args, "from") && asked.from > 0) asked.from--;
    const char *words = moments_words(moments, lang ? lang : "en");
    json_t *warnings = moments_warnings(moments, asked.from);
    const char *format = output_format();
    if (strcmp(format, "table") == 0 || strcmp(format, "wide") == 0) {
        print_table(moments, words, &asked, warnings);
    } else if (strcmp(format, "id") == 0) {
        size_t i;
        json_t *at, *list = next_json(moments, &asked);
        json_array_foreach(list, i, at) puts(json_string_value(at));
        json_decref(list);
    } else {
        json_t *object =
            json_pack("{s:s, s:s, s:s, s:s, s:o, s:O}", "rule", moments_rules(moments), "normal",
                      moments_normal(moments), "zone", moments_zone(moments), "words", words,
                      "next", next_json(moments, &asked), "warnings", warnings);
        if (asked.counted)
            json_object_set_new(
                object, "count",
                json_integer((json_int_t)moments_count(moments, asked.from, asked.upto)));
        code = output_object(object);
    }
    json_decref(warnings);
    moments_close(&moments);
    return code;
}
