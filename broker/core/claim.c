/* SPDX-License-Identifier: Apache-2.0
 * claim.c - what an executor says that it runs, against what it holds here: the list of its Hello
 * and the one it sends now and then; and what it has not seen of its assigns, sent again. */
#include "broker/core/inside.h"

err_t executor_claims(core_t *core, executor_t *executor, Pawl__V1__Claim *const *claims, size_t n,
                      Pawl__V1__ClaimVerdict *verdicts)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t known;
        uint8_t kind;
        TRY(lease_resume(core, executor, claims[i]->id.data, claims[i]->token));
        run_t *run = run_by_id(core, claims[i]->id.data);
        if (run && run->row.token == claims[i]->token && run->executor == executor) {
            run->claimed = true;
            if (run->row.flags & RUN_LOST) TRY(lease_keep(core, run)); /* it takes a slot again */
            run->assign_no = 0;                                        /* it has it */
            verdicts[i] = PAWL__V1__CLAIM_VERDICT__CLAIM_KEEP;
            continue;
        }
        err_t err = run ? ERR_OK : task_find(core, claims[i]->id.data, &known, &kind);
        if (err != ERR_OK && err != ERR_NOT_FOUND) return err;
        verdicts[i] = err == ERR_OK ? PAWL__V1__CLAIM_VERDICT__CLAIM_STOP
                                    : PAWL__V1__CLAIM_VERDICT__CLAIM_UNKNOWN;
    }
    return ERR_OK;
}

err_t executor_settle(core_t *core, executor_t *executor)
{
    for (run_t *run = executor->runs, *next; run; run = next) {
        next = run->next;
        if (run->claimed) {
            run->claimed = false;
            TRY(lease_keep(core, run));
            if (run->row.flags & RUN_CANCELLING)
                executor_directive(core, executor, PAWL__V1__DIRECTIVE_KIND__DIRECTIVE_CANCEL, run);
        } else if (run->row.incarnation != executor->incarnation8) {
            TRY(lease_lose(core, run)); /* a fresh process cannot be running it */
        } else if (run->assign_no <= executor->assign_seen && !(run->row.flags & RUN_LOST)) {
            TRY(lease_again(core, run)); /* the assign never arrived */
        }
    }
    executor->compare_at_us = core->now_us + COMPARE_US;
    return ERR_OK;
}

err_t executor_send_unseen(core_t *core, executor_t *executor)
{
    if (executor->assign_seen >= executor->assign_no ||
        core->now_us - executor->assign_sent_us < ASSIGN_AGAIN_US)
        return ERR_OK;
    executor->assign_sent_us = core->now_us;
    for (run_t *run = executor->runs; run; run = run->next)
        if (run->assign_no > executor->assign_seen) TRY(lease_again(core, run));
    return ERR_OK;
}
