/* SPDX-License-Identifier: Apache-2.0
 *
 * A rule in words. What differs between the languages is a table; the order of the parts is the
 * only thing that code decides: English names the time first, Chinese the date. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "client/time/civil.h"
#include "client/time/dur.h"
#include "client/time/rule_inside.h"

typedef struct language {
    const char *months[13];
    const char *weekdays[7];
    const char *nth[5], *last;           /* of a weekday in the month */
    const char *to, *comma, *and_, *or_; /* between values */
    const char *each_second, *each_minute, *each_seconds, *each_minutes; /* %d in the plural */
    const char *each_hours;
    const char *minute_of_hour;                     /* %s minutes of every hour */
    const char *at_times;                           /* %s times of day */
    const char *at_seconds, *at_minutes, *in_hours; /* %s values, in the general form */
    const char *daily;                              /* before times */
    const char *days, *last_day, *last_workday, *near_day, *each_day; /* %s, -, -, %d */
    const char *nth_weekday;                                          /* nth or last, weekday */
    const char *both, *either;                                        /* days, weekdays */
    const char *in_months;                                            /* %s */
    const char *every, *every_days;    /* number, unit, from; number, from */
    const char *every_one, *every_day; /* the same for the number 1 */
    const char *unit[3], *unit_one[3]; /* hours, minutes, seconds */
    const char *once, *dates;          /* %s; how many, first, last */
    const char *nothing;
    bool date_first;
} language_t;

// clang-format off
static const language_t english = {
    .months = { "", "January", "February", "March", "April", "May", "June", "July", "August",
                "September", "October", "November", "December" },
    .weekdays = { "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday" },
    .nth = { "first", "second", "third", "fourth", "fifth" }, .last = "last",
    .to = " to ", .comma = ", ", .and_ = " and ", .or_ = " or ",
    .each_second = "every second", .each_minute = "every minute",
    .each_seconds = "every %d seconds", .each_minutes = "every %d minutes",
    .each_hours = "every %d hours at minute %d",
    .minute_of_hour = "every hour at minute %s",
    .at_times = "at %s",
    .at_seconds = "at second %s", .at_minutes = "at minute %s", .in_hours = "during hour %s",
    .daily = "every day ",
    .days = "on day %s", .last_day = "the last day", .last_workday = "the last weekday (Mon-Fri)",
    .near_day = "the weekday (Mon-Fri) nearest day %d", .each_day = "every day",
    .nth_weekday = "the %s %s of the month",
    .both = "%s if it is %s", .either = "%s of the month, and also %s",
    .in_months = "in %s",
    .every = "every %" PRId64 " %s, counted from %s",
    .every_days = "every %" PRId64 " days at the same local time, counted from %s",
    .every_one = "every %s, counted from %s",
    .every_day = "every day at the same local time, counted from %s",
    .unit = { "hours", "minutes", "seconds" }, .unit_one = { "hour", "minute", "second" },
    .once = "once, at %s", .dates = "%zu times, from %s to %s", .nothing = "never",
};
static const language_t chinese = {
    .months = { "", "1月", "2月", "3月", "4月", "5月", "6月", "7月", "8月", "9月", "10月", "11月",
                "12月" },
    .weekdays = { "星期日", "星期一", "星期二", "星期三", "星期四", "星期五", "星期六" },
    .nth = { "第一个", "第二个", "第三个", "第四个", "第五个" }, .last = "最后一个",
    .to = "至", .comma = "、", .and_ = "、", .or_ = "或",
    .each_second = "每秒", .each_minute = "每分钟",
    .each_seconds = "每 %d 秒", .each_minutes = "每 %d 分钟",
    .each_hours = "每 %d 小时的第 %d 分",
    .minute_of_hour = "每小时第 %s 分",
    .at_times = "%s",
    .at_seconds = "第 %s 秒", .at_minutes = "第 %s 分", .in_hours = "%s 点",
    .daily = "每天 ",
    .days = "每月 %s 日", .last_day = "每月最后一天", .last_workday = "每月最后一个工作日(周一至周五)",
    .near_day = "每月最接近 %d 日的工作日(周一至周五)", .each_day = "每天",
    .nth_weekday = "每月%s%s",
    .both = "%s且为%s", .either = "%s，以及%s",
    .in_months = "%s",
    .every = "每 %" PRId64 " %s，自 %s 起",
    .every_days = "每 %" PRId64 " 天的同一当地时间，自 %s 起",
    .every_one = "每%s，自 %s 起",
    .every_day = "每天的同一当地时间，自 %s 起",
    .unit = { "小时", "分钟", "秒" }, .unit_one = { "小时", "分钟", "秒" },
    .once = "一次，%s", .dates = "共 %zu 次，自 %s 至 %s", .nothing = "从不",
    .date_first = true,
};
// clang-format on

/* The formats stand in the tables above, written beside the arguments they take. */
#pragma GCC diagnostic ignored "-Wformat-nonliteral"

static void add(buf_t *out, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    CHECK(len >= 0);
    buf_add(out, text, (size_t)len < sizeof text ? (size_t)len : sizeof text - 1);
}

/* The text as a C string, for use in a further format; valid until the buffer changes. */
static const char *text_of(buf_t *self)
{
    buf_need(self, 1);
    self->at[self->len] = 0;
    return (const char *)self->at;
}

static int count_bits(uint64_t bits)
{
    return __builtin_popcountll(bits);
}

static bool full(uint64_t set, int low, int high)
{
    return count_bits(set) == high - low + 1;
}

/* s for the set 0, s, 2s, ... when s divides the field, else 0. */
static int even_step(uint64_t set, int size)
{
    int count = count_bits(set);
    if (count < 2 || size % count != 0) return 0;
    for (int value = 0; value < size; value += size / count)
        if (!(set >> value & 1)) return 0;
    return size / count;
}

/* Values in words: names, or numbers where names is NULL; three and more in a row as a range. */
static void set_words(buf_t *out, const language_t *lang, uint64_t set, const char *const *names)
{
    bool any = false;
    for (int value = 0; value < 64; value++) {
        if (!(set >> value & 1)) continue;
        int last = value;
        while (last < 63 && (set >> (last + 1) & 1))
            last++;
        if (last < value + 2) last = value;
        uint64_t later = last < 63 ? set >> (last + 1) : 0;
        if (any) add(out, "%s", later ? lang->comma : lang->and_);
        any = true;
        for (int end = value;; end = last) {
            if (names)
                add(out, "%s", names[end]);
            else
                add(out, "%d", end);
            if (end == last) break;
            add(out, "%s", lang->to);
        }
        value = last;
    }
}

/* Monday comes before Sunday: Monday to Sunday are bits 1 to 7. */
static void weekday_words(buf_t *out, const language_t *lang, uint8_t set, bool both)
{
    const char *names[8];
    for (int day = 0; day < 8; day++)
        names[day] = lang->weekdays[day % 7];
    language_t joined = *lang;
    if (both) joined.and_ = lang->or_; /* "if it is Monday or Friday" */
    set_words(out, &joined, (uint64_t)(set & 0x7e) | (uint64_t)(set & 1) << 7, names);
}

/* All times of day, when they are few. */
static bool few_times(const cron_t *cron, const language_t *lang, buf_t *out)
{
    if (count_bits(cron->second) != 1 || count_bits(cron->hour) * count_bits(cron->minute) > 6)
        return false;
    buf_t times = { 0 };
    int left = count_bits(cron->hour) * count_bits(cron->minute);
    int second = __builtin_ctzll(cron->second);
    for (int minute = 0; minute < 24 * 60; minute++) {
        if (!(cron->hour >> (minute / 60) & 1) || !(cron->minute >> (minute % 60) & 1)) continue;
        add(&times, second ? "%02d:%02d:%02d" : "%02d:%02d", minute / 60, minute % 60, second);
        if (--left) add(&times, "%s", left > 1 ? lang->comma : lang->and_);
    }
    add(out, lang->at_times, text_of(&times));
    buf_free(&times);
    return true;
}

static void part(buf_t *out, const language_t *lang, const char *format, uint64_t set)
{
    buf_t list = { 0 };
    set_words(&list, lang, set, NULL);
    add(out, format, text_of(&list));
    buf_free(&list);
}

/* "every minute", "every 5 minutes", "at minute 3 and 9". */
static void unit_words(buf_t *out, const language_t *lang, uint64_t set, const char *each,
                       const char *stepped, const char *listed)
{
    if (full(set, 0, 59))
        add(out, "%s", each);
    else if (even_step(set, 60))
        add(out, stepped, even_step(set, 60));
    else
        part(out, lang, listed, set);
}

/* *daily: "every day" goes well before it. */
static void time_words(const cron_t *cron, const language_t *lang, buf_t *out, bool *daily)
{
    bool every_hour = full(cron->hour, 0, 23), on_minute = cron->second == 1;
    const char *gap = lang->date_first ? "" : " ";
    *daily = false;
    if (every_hour && on_minute && !full(cron->minute, 0, 59) && !even_step(cron->minute, 60)) {
        part(out, lang, lang->minute_of_hour, cron->minute);
        return;
    }
    if (!every_hour && on_minute && even_step(cron->hour, 24) && count_bits(cron->minute) == 1) {
        add(out, lang->each_hours, even_step(cron->hour, 24), __builtin_ctzll(cron->minute));
        return;
    }
    *daily = !every_hour;
    if (!every_hour && few_times(cron, lang, out)) return;
    if (!every_hour && lang->date_first) part(out, lang, lang->in_hours, cron->hour);
    if (on_minute) {
        unit_words(out, lang, cron->minute, lang->each_minute, lang->each_minutes,
                   lang->at_minutes);
    } else {
        bool any_minute = full(cron->minute, 0, 59);
        if (lang->date_first && any_minute && !full(cron->second, 0, 59) &&
            !even_step(cron->second, 60))
            add(out, "%s", lang->each_minute);
        if (lang->date_first && !any_minute)
            unit_words(out, lang, cron->minute, lang->each_minute, lang->each_minutes,
                       lang->at_minutes);
        unit_words(out, lang, cron->second, lang->each_second, lang->each_seconds,
                   lang->at_seconds);
        if (any_minute && !full(cron->second, 0, 59) && !even_step(cron->second, 60) &&
            !lang->date_first)
            add(out, " of every minute");
        else if (!lang->date_first && !any_minute) {
            add(out, ", ");
            unit_words(out, lang, cron->minute, lang->each_minute, lang->each_minutes,
                       lang->at_minutes);
        }
    }
    if (!every_hour && !lang->date_first) {
        add(out, "%s", gap);
        part(out, lang, lang->in_hours, cron->hour);
    }
}

/* A list whose items are phrases. */
static void phrase(buf_t *out, const language_t *lang, const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    add(out, "%s%s", out->len ? lang->or_ : "", text);
}

static void day_words(const cron_t *cron, const language_t *lang, buf_t *out)
{
    if (full(cron->day, 1, 31)) {
        phrase(out, lang, "%s", lang->each_day);
        return;
    }
    if (cron->day) {
        buf_t list = { 0 };
        set_words(&list, lang, cron->day, NULL);
        phrase(out, lang, lang->days, text_of(&list));
        buf_free(&list);
    }
    for (int day = 1; day <= 31; day++)
        if (cron->nearest >> day & 1) phrase(out, lang, lang->near_day, day);
    if (cron->last_day) phrase(out, lang, "%s", lang->last_day);
    if (cron->last_workday) phrase(out, lang, "%s", lang->last_workday);
}

static void weekdays_words(const cron_t *cron, const language_t *lang, buf_t *out)
{
    if (cron->weekday)
        weekday_words(out, lang, cron->weekday,
                      (cron->day_star || cron->weekday_star) && !full(cron->day, 1, 31));
    for (int nth = 0; nth < 5; nth++)
        for (int day = 0; day < 7; day++)
            if (cron->weekday_nth[nth] >> day & 1)
                phrase(out, lang, lang->nth_weekday, lang->nth[nth], lang->weekdays[day]);
    for (int day = 0; day < 7; day++)
        if (cron->weekday_last >> day & 1)
            phrase(out, lang, lang->nth_weekday, lang->last, lang->weekdays[day]);
}

/* Nothing when all dates of the months match. */
static void date_words(const cron_t *cron, const language_t *lang, buf_t *out)
{
    bool both = cron->day_star || cron->weekday_star;
    bool any_day = full(cron->day, 1, 31), any_weekday = cron->weekday == 127;
    if (both ? any_day && any_weekday : any_day || any_weekday) return;
    buf_t days = { 0 }, weekdays = { 0 };
    day_words(cron, lang, &days);
    weekdays_words(cron, lang, &weekdays);
    if (both && any_day)
        add(out, "%s", text_of(&weekdays));
    else if (both && any_weekday)
        add(out, "%s", text_of(&days));
    else
        add(out, both ? lang->both : lang->either, text_of(&days), text_of(&weekdays));
    buf_free(&days);
    buf_free(&weekdays);
}

static void cron_words(const cron_t *cron, const language_t *lang, buf_t *out)
{
    buf_t time = { 0 }, date = { 0 }, months = { 0 };
    bool daily;
    time_words(cron, lang, &time, &daily);
    date_words(cron, lang, &date);
    if (!full(cron->month, 1, 12)) {
        buf_t list = { 0 };
        set_words(&list, lang, cron->month, lang->months);
        add(&months, lang->in_months, text_of(&list));
        buf_free(&list);
    }
    const char *gap = lang->date_first ? " " : ", ";
    if (lang->date_first) {
        if (months.len) add(out, "%s%s", text_of(&months), gap);
        if (date.len) add(out, "%s%s", text_of(&date), gap);
    }
    if (!date.len && daily) add(out, "%s", lang->daily);
    buf_add(out, time.at, time.len);
    if (!lang->date_first) {
        if (date.len) add(out, "%s%s", gap, text_of(&date));
        if (months.len) add(out, "%s%s", gap, text_of(&months));
    }
    buf_free(&time);
    buf_free(&date);
    buf_free(&months);
}

static const char *moment(const rule_t *rule, int64_t instant, char text[MOMENT_TEXT])
{
    moment_print(instant * 1000000, rule->zone, text);
    return text;
}

static void every_words(const rule_t *rule, const language_t *lang, buf_t *out)
{
    static const int32_t seconds[] = { 3600, 60, 1 };
    char from[MOMENT_TEXT];
    moment(rule, rule->anchor, from);
    if (rule->kind == RULE_EVERY_DAYS && rule->step == DAY_SECONDS) {
        add(out, lang->every_day, from);
        return;
    }
    if (rule->kind == RULE_EVERY_DAYS) {
        add(out, lang->every_days, rule->step / DAY_SECONDS, from);
        return;
    }
    size_t unit = 0;
    while (rule->step % seconds[unit] != 0)
        unit++;
    if (rule->step == seconds[unit])
        add(out, lang->every_one, lang->unit_one[unit], from);
    else
        add(out, lang->every, rule->step / seconds[unit], lang->unit[unit], from);
}

void rule_explain(const rule_t *self, const char *lang_name, buf_t *out)
{
    const language_t *lang = lang_name && strcmp(lang_name, "zh") == 0 ? &chinese : &english;
    char first[MOMENT_TEXT], last[MOMENT_TEXT];
    if (self->kind == RULE_CRON)
        cron_words(&self->cron, lang, out);
    else if (self->kind == RULE_EVERY || self->kind == RULE_EVERY_DAYS)
        every_words(self, lang, out);
    else if (self->instants_count == 0)
        add(out, "%s", lang->nothing);
    else if (self->instants_count == 1)
        add(out, lang->once, moment(self, self->instants[0], first));
    else
        add(out, lang->dates, self->instants_count, moment(self, self->instants[0], first),
            moment(self, self->instants[self->instants_count - 1], last));
    text_of(out);
}
