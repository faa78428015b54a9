/* SPDX-License-Identifier: Apache-2.0
 * broker/readers/query_audit.c - ScheduleAudit: the spans of a schedule's ledger, each compared
 * with the rule of its revision, a page at a time. */
#include "broker/readers/audit.h"

enum { SPANS_MAX = 500, PROBLEMS_MAX = 100 };

typedef struct page {
    answer_t *answer;
    Pawl__V1__AuditItems *items;
    uint32_t after;
    int64_t begun_us;
} page_t;

static bool on_span(void *arg, const audit_span_t *span)
{
    page_t *self = arg;
    const extent_t *extent = &span->extent;
    Pawl__V1__AuditItem *item = answer_take(self->answer, sizeof *item);
    pawl__v1__audit_item__init(item);
    item->range = span->range;
    item->from_us = extent->from_us;
    item->to_us = extent->to_us;
    item->instants = extent->count;
    item->verdict = (char *)(uintptr_t)verdict_text(extent->verdict);
    item->reason = (char *)(uintptr_t)verdict_reason_text(extent->reason);
    item->revision = extent->revision;
    item->tasks = span->tasks;
    item->gone = span->gone;
    Pawl__V1__AuditItems *items = self->items;
    items->items[items->n_items++] = item;
    items->instants += item->instants;
    items->tasks += item->tasks;
    if (items->checked_from_us == 0 || item->from_us < items->checked_from_us)
        items->checked_from_us = item->from_us;
    if (item->to_us > items->checked_to_us) items->checked_to_us = item->to_us;
    if (items->n_items < SPANS_MAX && items->n_problems < PROBLEMS_MAX &&
        !answer_page_over(self->answer, self->begun_us))
        return true;
    items->next = self->after + (uint32_t)items->n_items;
    return false;
}

static void on_problem(void *arg, table_t table, const char *text)
{
    page_t *self = arg;
    (void)table;
    if (self->items->n_problems < PROBLEMS_MAX)
        self->items->problems[self->items->n_problems++] =
            answer_text(self->answer, slice_text(text));
}

err_t query_schedule_audit(answer_t *self, const Pawl__V1__ScheduleAudit *ask,
                           Pawl__V1__Reply *reply)
{
    uint32_t no;
    err_t err = schedule_asked(self, ask->name, ask->uid, "schedule_audit.name", reply, &no);
    if (err != ERR_OK) return err == ERR_NOT_FOUND ? ERR_OK : err;
    schedule_rows_t rows;
    ANSWER_TRY(schedule_rows_get(self, no, &rows));
    Pawl__V1__AuditItems *items = answer_take(self, sizeof *items);
    pawl__v1__audit_items__init(items);
    items->items = answer_take(self, SPANS_MAX * sizeof *items->items);
    items->problems = answer_take(self, PROBLEMS_MAX * sizeof *items->problems);
    reply->body_case = PAWL__V1__REPLY__BODY_AUDIT;
    reply->audit = items;
    page_t page = {
        .answer = self, .items = items, .after = ask->after, .begun_us = answer_now(self)
    };
    audit_t audit = { .answer = self,
                      .schedule = &rows,
                      .from_us = ask->from_us ? ask->from_us : INT64_MIN,
                      .to_us = ask->to_us ? ask->to_us : INT64_MAX,
                      .after = ask->after,
                      .tasks = true,
                      .on_span = on_span,
                      .on_problem = on_problem,
                      .arg = &page };
    return audit_run(&audit);
}
