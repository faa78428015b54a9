/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/offer.h"

#include <stdio.h>
#include <stdlib.h>

#include "executor/interpreters.h"

struct found {
    const char *name; /* of the configuration */
    char version[INTERPRETER_VERSION];
};

struct offer {
    const executor_config_t *config;
    struct found *interpreters;
    size_t count;
};

static void found_interpreter(void *arg, const char *name, const char *version)
{
    offer_t *self = arg;
    self->interpreters =
        mem_grow(self->interpreters, (self->count + 1) * sizeof *self->interpreters);
    struct found *found = &self->interpreters[self->count++];
    found->name = name;
    snprintf(found->version, sizeof found->version, "%s", version);
}

offer_t *offer_new(const executor_config_t *config)
{
    offer_t *self = mem_new(sizeof *self);
    self->config = config;
    if (conf_listed(config->conf, "allow.kinds",
                    "script")) /* else nobody asks, and it takes time */
        interpreters_probe(config->conf, found_interpreter, self);
    return self;
}

void offer_destroy(offer_t **self_p)
{
    if (*self_p) free((*self_p)->interpreters);
    free(*self_p);
    *self_p = NULL;
}

static pawl_err add_label(const offer_t *self, pawl_worker_t *worker, const char *key,
                          const char *value)
{
    if (conf_mapped(self->config->conf, "labels", key)) return PAWL_OK;
    return pawl_worker_label(worker, key, value);
}

static const struct known {
    const char *kind, *type;
    bool sql; /* only with a source to run on */
} known[] = { { "shell", "pawl/shell", false },
              { "script", "pawl/script", false },
              { "sql", "pawl/sql", true },
              { "sql-producer", "pawl/sql-producer", true } };

static bool offers(const offer_t *self, const struct known *one)
{
    return conf_listed(self->config->conf, "allow.kinds", one->kind) &&
           (!one->sql || self->config->sources.count > 0);
}

bool offer_has(const offer_t *self, const char *type)
{
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (strcmp(known[i].type, type) == 0) return offers(self, &known[i]);
    return false;
}

pawl_err offer_make(const offer_t *self, pawl_worker_t *worker, bool has_cgroup, bool cgroup_limits)
{
    const executor_config_t *config = self->config;
    pawl_err err = pawl_worker_slots(worker, (unsigned)config->slots);
    if (!err) err = pawl_worker_prefetch(worker, 0); /* see executor/ahead.h */
    for (size_t i = 0; !err && i < ARRAY_LEN(known); i++)
        if (offers(self, &known[i])) {
            err = pawl_worker_kind(worker, known[i].kind);
            if (!err) err = pawl_worker_type(worker, known[i].type, NULL, NULL);
        }
    bool scripts = conf_listed(config->conf, "allow.kinds", "script");
    for (size_t i = 0; !err && scripts && i < self->count; i++)
        err = pawl_worker_interpreter(worker, self->interpreters[i].name,
                                      self->interpreters[i].version);
    for (size_t i = 0; !err && i < conf_count(config->conf, "queues"); i++)
        err = pawl_worker_queue(worker, conf_item(config->conf, "queues", i));
    for (size_t i = 0; !err && i < conf_count(config->conf, "labels"); i++)
        err = pawl_worker_label(worker, conf_name(config->conf, "labels", i),
                                conf_item(config->conf, "labels", i));
    for (size_t i = 0; !err && i < config->sources.count; i++)
        err = pawl_worker_source(worker, config->sources.items[i].name);
    if (!err) err = add_label(self, worker, "process_control", has_cgroup ? "cgroup" : "sweep");
    if (!err) err = add_label(self, worker, "process_limits", cgroup_limits ? "cgroup" : "rlimits");
    return err;
}
