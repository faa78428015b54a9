/* SPDX-License-Identifier: Apache-2.0 */
#include "client/time/terms.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "client/time/dur.h"

typedef struct language {
    const char *also, *after, *except, *closed, *comma, *from, *to, *once, *most;
} language_t;

static const language_t english = {
    .also = ", and also ",
    .after = "%s after each run has ended",
    .except = "; not at %s",
    .closed = "; not while closed by %s",
    .comma = ", ",
    .from = "; from %s on",
    .to = "; until %s",
    .once = "; one firing, then it has ended",
    .most = "; %" PRIu64 " firings, then it has ended",
};
static const language_t chinese = {
    .also = "，以及 ",
    .after = "每次运行结束后 %s",
    .except = "；%s 除外",
    .closed = "；日历 %s 关闭的时间除外",
    .comma = "、",
    .from = "；自 %s 起",
    .to = "；至 %s 止",
    .once = "；触发一次后结束",
    .most = "；触发 %" PRIu64 " 次后结束",
};

/* The formats stand in the tables above. */
#pragma GCC diagnostic ignored "-Wformat-nonliteral"

static void add_moment(buf_t *out, const char *format, int64_t us, const zone_t *zone)
{
    char text[MOMENT_TEXT];
    if (us == 0) return;
    moment_print(us, zone, text);
    buf_printf(out, format, text);
}

void terms_explain(const terms_t *self, const char *lang_name, buf_t *out)
{
    const language_t *lang = lang_name && strcmp(lang_name, "zh") == 0 ? &chinese : &english;
    if (self->set) {
        for (size_t i = 0; i < ruleset_size(self->set); i++) {
            if (i) buf_printf(out, "%s", lang->also);
            rule_explain(ruleset_rule(self->set, i), lang_name, out);
        }
    } else {
        char delay[DUR_TEXT];
        dur_print(self->after_us, delay);
        buf_printf(out, lang->after, delay);
    }
    if (self->exclusions && *self->exclusions) buf_printf(out, lang->except, self->exclusions);
    if (self->calendars_count) {
        buf_t names = { 0 };
        for (size_t i = 0; i < self->calendars_count; i++)
            buf_printf(&names, "%s%s", i ? lang->comma : "", self->calendars[i]);
        buf_printf(out, lang->closed, (char *)names.at);
        buf_free(&names);
    }
    add_moment(out, lang->from, self->from_us, self->zone);
    add_moment(out, lang->to, self->to_us, self->zone);
    if (self->max_firings == 1)
        buf_printf(out, "%s", lang->once);
    else if (self->max_firings)
        buf_printf(out, lang->most, self->max_firings);
}
