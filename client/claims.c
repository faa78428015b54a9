/* SPDX-License-Identifier: Apache-2.0
 * client/claims.c - what a worker says it holds and can do, in Hello and after it, and what the
 * broker says to each lease it claims. All under work_lock; see worker.h. */
#include <stdlib.h>
#include <string.h>

#include "client/worker.h"

/* ---- claims: the whole running list ---------------------------------------------------------- */

void worker_forget_claims(pawl_worker_t *self)
{
    free(self->claims);
    free(self->claim_ids);
    self->claims = NULL;
    self->claim_ids = NULL;
    self->claim_count = 0;
}

bool worker_make_claims(pawl_worker_t *self, size_t most)
{
    const job_list_t *lists[] = { &self->running, &self->storing, &self->waiting, &self->sent,
                                  &self->ready };
    size_t n = worker_held(self) < most ? worker_held(self) : most;
    worker_forget_claims(self);
    self->claims = calloc(n + 1, sizeof *self->claims);
    self->claim_ids = calloc(n + 1, 16);
    if (!self->claims || !self->claim_ids) {
        worker_forget_claims(self);
        return false;
    }
    for (size_t k = 0; k < 5; k++) {
        for (const struct pawl_job *job = lists[k]->first; job && self->claim_count < n;
             job = job->next) {
            Pawl__V1__Claim *claim = &self->claims[self->claim_count];
            memcpy(self->claim_ids[self->claim_count], job->id, 16);
            pawl__v1__claim__init(claim);
            claim->id = (ProtobufCBinaryData){ 16, self->claim_ids[self->claim_count] };
            claim->token = job->token;
            claim->result_waits = job->stage >= LEASE_WAITING;
            self->claim_count++;
        }
    }
    return true;
}

Pawl__V1__Claim **worker_claim_list(const pawl_worker_t *self)
{
    Pawl__V1__Claim **list = calloc(self->claim_count + 1, sizeof *list);
    for (size_t i = 0; list && i < self->claim_count; i++)
        list[i] = &self->claims[i];
    return list;
}

void worker_on_verdict(pawl_worker_t *self, const Pawl__V1__Claim *claim,
                       Pawl__V1__ClaimVerdict verdict)
{
    struct pawl_job *job = worker_find(self, claim->id.data, claim->token);
    if (!job || (verdict != PAWL__V1__CLAIM_VERDICT__CLAIM_STOP &&
                 verdict != PAWL__V1__CLAIM_VERDICT__CLAIM_UNKNOWN))
        return;
    if (job->stage == LEASE_READY)
        job_settle(job, "stale"); /* nobody began it: nothing to stop or tell */
    else if (job->stage <= LEASE_STORING)
        job_set_state(job, PAWL_FENCED);
    else if (verdict == PAWL__V1__CLAIM_VERDICT__CLAIM_UNKNOWN && job->stage == LEASE_WAITING)
        job_settle(job, "unknown");
}

void worker_on_verdicts(pawl_worker_t *self, const Pawl__V1__ClaimVerdict *verdicts, size_t n)
{
    for (size_t i = 0; i < n && i < self->claim_count; i++)
        worker_on_verdict(self, &self->claims[i], verdicts[i]);
    worker_forget_claims(self);
    self->report_wanted = true;
    pthread_cond_broadcast(&self->changed);
}

/* ---- Hello ----------------------------------------------------------------------------------- */

/* One block: the pointers, then what they point to. */
static bool fill_interpreters(const pawl_worker_t *self, Pawl__V1__Hello *hello)
{
    size_t n = self->interpreters.n;
    hello->interpreters = malloc((n + 1) * (sizeof(void *) + sizeof(Pawl__V1__Interpreter)));
    if (!hello->interpreters) return false;
    Pawl__V1__Interpreter *all = (Pawl__V1__Interpreter *)(void *)(hello->interpreters + n + 1);
    for (size_t i = 0; i < n; i++) {
        pawl__v1__interpreter__init(&all[i]);
        all[i].name = self->interpreters.at[i];
        all[i].version = self->interpreter_versions.at[i];
        hello->interpreters[i] = &all[i];
    }
    hello->n_interpreters = n;
    return true;
}

bool worker_fill_hello(pawl_worker_t *self, Pawl__V1__Hello *hello)
{
    if (!worker_make_claims(self, self->client->limit_items)) return false;
    size_t label_count = self->label_keys.n;
    hello->n_claims = self->claim_count;
    hello->claims = worker_claim_list(self);
    hello->claims_follow = worker_held(self) > self->claim_count;
    self->send_running = hello->claims_follow;
    hello->kinds = self->kinds.at;
    hello->n_kinds = self->kinds.n;
    hello->queues = self->queues.at;
    hello->n_queues = self->queues.n;
    hello->sources = self->sources.at;
    hello->n_sources = self->sources.n;
    hello->slots = self->slots;
    hello->credit = worker_credit(self);
    hello->types = calloc(self->type_count + 1, sizeof *hello->types);
    /* one block: the pointers, then the labels they point to */
    hello->labels = malloc((label_count + 1) * (sizeof(void *) + sizeof(Pawl__V1__Label)));
    if (!hello->claims || !hello->types || !hello->labels) return false;
    for (size_t i = 0; i < self->type_count; i++)
        hello->types[i] = self->types[i].name;
    hello->n_types = self->type_count;
    Pawl__V1__Label *labels = (Pawl__V1__Label *)(void *)(hello->labels + label_count + 1);
    for (size_t i = 0; i < label_count; i++) {
        pawl__v1__label__init(&labels[i]);
        labels[i].key = self->label_keys.at[i];
        labels[i].value = self->label_values.at[i];
        hello->labels[i] = &labels[i];
    }
    hello->n_labels = label_count;
    return fill_interpreters(self, hello);
}
