/* SPDX-License-Identifier: Apache-2.0
 * client/cli/formats/celery.h - Celery beat's schedules in JSON: the fixtures of django-celery-beat
 * (manage.py dumpdata), or {"name": {"task", "schedule", "args", "kwargs", "options"}}. Pure.
 *
 * A task `shop.tasks.send` becomes the type celery/shop.tasks.send (or what --type-map says), its
 * input {"args": [...], "kwargs": {...}}. */
#ifndef CLI_CELERY_H
#define CLI_CELERY_H

#include "client/cli/formats/cronsets.h"
#include "client/cli/formats/importlist.h"

/* NULL: taken. Else why the file as a whole cannot be read. */
const char *celery_import(import_list_t *list, const char *text, size_t len);

/* One field of celery.schedules.crontab: *, *\/n, a-b, a-b/n, lists, names of days and months.
 * False: *why. */
bool celery_field(const char *text, unsigned low, unsigned high, uint64_t *set, const char **why);

#endif
