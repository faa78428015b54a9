/* SPDX-License-Identifier: Apache-2.0
 * calendar.c - blackout calendars, and the schedules that follow their changes.
 *
 * The entries of a calendar are kept under the hash of their text and are never deleted: revisions
 * of schedules name them. A change is an edit of every schedule that uses the calendar: each gets a
 * new revision, keeps its cursor and what is decided, and proposals under way earn a CONFLICT. That
 * happens when the schedule is next asked for, and for all the others some hundred a batch: the
 * calendar is marked in its reg row until they are done, so that a restart goes on. */
#include "broker/core/inside.h"

#include <stdlib.h>

enum { FOLLOWED_AT_ONCE = 256, USERS_NAMED = 3 };

/* ---- entries ------------------------------------------------------------------------------------
 */

static err_t read_entries(core_t *core, uint64_t hash, buf_t *text)
{
    for (uint16_t part = 0;; part++) {
        rec_key_t key = key_calendar_part(hash, part);
        slice_t value;
        err_t err = store_get(core->store, TABLE_calendar, key_slice(&key), &value);
        if (err == ERR_NOT_FOUND) return part ? ERR_OK : ERR_CORRUPT;
        TRY(err);
        buf_add(text, value.at, value.len);
    }
}

static bool is_current(core_t *core, uint64_t hash)
{
    for (size_t no = 0; no < core->names_n[NAME_CALENDAR]; no++) {
        const named_t *name = core->names[NAME_CALENDAR][no];
        if (name && name->value == hash) return true;
    }
    return false;
}

/* One holder more for the caller. What is in force now stays in memory for the next one. */
err_t calendar_load(core_t *core, uint64_t hash, calendar_t **out)
{
    calendar_t *calendar = map_get(&core->calendars, hash);
    if (calendar == NULL) {
        buf_t text = { 0 };
        err_t err = read_entries(core, hash, &text);
        if (err == ERR_OK && calendar_parse(&calendar, slice(text.at, text.len), NULL) != ERR_OK)
            err = ERR_CORRUPT;
        buf_free(&text);
        TRY(err);
        if (!is_current(core, hash)) {
            *out = calendar;
            return ERR_OK;
        }
        map_put(&core->calendars, hash, calendar);
    }
    *out = calendar_hold(calendar);
    return ERR_OK;
}

void calendars_free(core_t *core)
{
    size_t at = 0;
    for (calendar_t *calendar; (calendar = map_next(&core->calendars, &at)) != NULL;)
        calendar_release(&calendar);
    map_free(&core->calendars);
}

static void forget(core_t *core, uint64_t hash)
{
    calendar_t *calendar =
        hash && !is_current(core, hash) ? map_take(&core->calendars, hash) : NULL;
    calendar_release(&calendar);
}

/* ---- who uses it --------------------------------------------------------------------------------
 */

err_t calendar_hashes(core_t *core, const Pawl__V1__Schedule *spec, uint64_t *hashes, size_t *bad)
{
    for (size_t i = 0; i < spec->n_calendars; i++) {
        const named_t *name = name_find(core, NAME_CALENDAR, spec->calendars[i]);
        *bad = i;
        if (name == NULL || name->value == 0) return ERR_NOT_FOUND;
        hashes[i] = name->value;
    }
    return ERR_OK;
}

static bool names(const Pawl__V1__Schedule *spec, const char *calendar)
{
    for (size_t i = 0; spec && i < spec->n_calendars; i++)
        if (strcmp(spec->calendars[i], calendar) == 0) return true;
    return false;
}

err_t calendar_users(core_t *core, uint32_t schedule, const Pawl__V1__Schedule *old,
                     const Pawl__V1__Schedule *new)
{
    for (size_t i = 0; old && i < old->n_calendars; i++) {
        const named_t *name = name_find(core, NAME_CALENDAR, old->calendars[i]);
        if (names(new, old->calendars[i])) continue;
        if (name == NULL) return ERR_CORRUPT;
        rec_key_t key = key_calendar_user(name->no, schedule);
        TRY(del_row(core, TABLE_calendar, &key));
    }
    for (size_t i = 0; new &&i < new->n_calendars; i++) {
        const named_t *name = name_find(core, NAME_CALENDAR, new->calendars[i]);
        if (names(old, new->calendars[i])) continue;
        CHECK(name != NULL); /* parse_rule found it */
        rec_key_t key = key_calendar_user(name->no, schedule);
        core->scratch.len = 0;
        calendar_user_encode(&core->scratch);
        TRY(put_scratch(core, TABLE_calendar, &key, 0));
    }
    return ERR_OK;
}

/* The first user of a calendar from schedule number `from` on; 0: none. */
static err_t next_user(core_t *core, uint32_t calendar, uint32_t from, uint32_t *schedule)
{
    rec_key_t at = key_calendar_user(calendar, from);
    slice_t key, value;
    uint32_t of;
    *schedule = 0;
    err_t err = store_seek(core->store, TABLE_calendar, key_slice(&at), false, &key, &value);
    if (err == ERR_NOT_FOUND) return ERR_OK;
    TRY(err);
    if (!calendar_user_key_decode(key, &of, schedule)) return ERR_CORRUPT;
    if (of != calendar) *schedule = 0;
    return ERR_OK;
}

/* ---- changes ------------------------------------------------------------------------------------
 */

static err_t keep_entries(core_t *core, uint64_t hash, slice_t text)
{
    for (uint16_t part = 0; text.len > 0; part++) {
        size_t len = text.len < LIMIT_PART ? text.len : LIMIT_PART;
        rec_key_t key = key_calendar_part(hash, part);
        TRY(store_put(core->store, TABLE_calendar, key_slice(&key), slice(text.at, len), 0));
        text = slice(text.at + len, text.len - len);
    }
    return ERR_OK;
}

static err_t set_entries(core_t *core, const Pawl__V1__Calendar *wanted, uint64_t hash,
                         slice_t text)
{
    named_t *name;
    TRY(name_make(core, NAME_CALENDAR, wanted->name, &name));
    uint64_t old = name->value;
    name->flags &= (uint8_t)~REG_REMOVED;
    free(name->reason);
    name->reason = mem_text(wanted->title);
    if (old != hash) {
        TRY(keep_entries(core, hash, text));
        name->value = hash;
        name->since_wall_us = core->wall_us;
        name->flags |= REG_REZONE;
        core->calendars_stamp++;
        core->calendar_at = 1;
        core->calendar_no = 0;
        forget(core, old);
        TRY(journal_add(core, EVENT_CALENDAR_CHANGED, name->no, 0, 0));
    }
    return name_save(core, name);
}

/* Entry `n` of a calendar is the one at fault. */
static void refuse_entries(core_t *core, Pawl__V1__Reply *reply, const Pawl__V1__Calendar *wanted,
                           slice_t text, const rule_error_t *error)
{
    size_t n = 0, column = error->column;
    for (size_t i = 0; i + 1 < error->column && i < text.len; i++)
        if (text.at[i] == '\n') {
            n++;
            column = error->column - i - 1;
        }
    refuse(core, reply, ERR_BAD_CALENDAR, batch_printf(core, "calendar.entries[%zu]", n),
           "%s at column %zu of \"%.64s\": %s", error->code, column,
           n < wanted->n_entries ? wanted->entries[n] : "", error->text);
}

err_t calendar_put(core_t *core, const command_t *command, Pawl__V1__Reply *reply)
{
    const Pawl__V1__CalendarPut *put = command->request->calendar_put;
    const Pawl__V1__Calendar *wanted = put->calendar;
    const named_t *old = name_find(core, NAME_CALENDAR, wanted->name);
    uint64_t revision = old ? old->value : 0;
    if (put->revision_set_case && put->if_revision != revision) {
        refuse(core, reply, put->if_revision ? ERR_CONFLICT : ERR_EXISTS, "if_revision",
               put->if_revision ? "the calendar \"%s\" has been changed: load it again"
                                : "a calendar \"%s\" exists: change it with `calendar set`",
               wanted->name);
        return ERR_OK;
    }
    space_cost_t cost = space_cost(SPACE_SCHEDULE, LIMIT_CALENDAR_TEXT, core->space.page_bytes);
    if (!space_or_refuse(core, &cost, "a calendar", reply)) return ERR_OK;
    buf_t given = { 0 }, text = { 0 };
    rule_error_t error;
    calendar_t *parsed = NULL;
    for (size_t i = 0; i < wanted->n_entries; i++)
        buf_printf(&given, "%s%s", i ? "\n" : "", wanted->entries[i]);
    err_t err = calendar_parse(&parsed, slice(given.at, given.len), &error);
    calendar_release(&parsed);
    if (err == ERR_OK) {
        calendar_text(slice(given.at, given.len), &text);
        uint64_t hash = hash64(text.at, text.len);
        err = set_entries(core, wanted, hash ? hash : 1, slice(text.at, text.len));
        if (err == ERR_OK) reply_done(core, reply);
    } else {
        refuse_entries(core, reply, wanted, slice(given.at, given.len), &error);
        err = ERR_OK;
    }
    buf_free(&given);
    buf_free(&text);
    core->ops++;
    return err;
}

static err_t refuse_used(core_t *core, const named_t *name, Pawl__V1__Reply *reply)
{
    buf_t users = { 0 };
    uint32_t user = 0;
    err_t err = ERR_OK;
    for (unsigned n = 0; err == ERR_OK; n++) {
        plan_t *plan;
        err = next_user(core, name->no, user + 1, &user);
        if (err != ERR_OK || user == 0) break;
        if (n == USERS_NAMED) {
            buf_printf(&users, " and more");
            break;
        }
        err = plan_get(core, user, &plan);
        if (err == ERR_OK)
            buf_printf(&users, "%s\"%.*s\"", n ? ", " : "", (int)plan->row.name.len,
                       plan->row.name.at);
    }
    if (err == ERR_OK && users.len)
        refuse(core, reply, ERR_IN_USE, "name",
               "schedules use the calendar \"%s\": %.*s; take it from them first", name->name,
               (int)users.len, users.at);
    buf_free(&users);
    return err;
}

err_t calendar_remove(core_t *core, const command_t *command, Pawl__V1__Reply *reply)
{
    const char *text = command->request->calendar_remove->name;
    named_t *name = name_find(core, NAME_CALENDAR, text);
    if (name == NULL || name->value == 0) {
        refuse(core, reply, ERR_NOT_FOUND, "name", "no calendar \"%s\": see `pawl calendar list`",
               text);
        return ERR_OK;
    }
    TRY(refuse_used(core, name, reply));
    if (reply->error) return ERR_OK;
    uint64_t old = name->value;
    name->value = 0;
    name->flags = REG_REMOVED;
    name->since_wall_us = core->wall_us;
    forget(core, old);
    TRY(name_save(core, name));
    TRY(journal_add(core, EVENT_CALENDAR_REMOVED, name->no, 0, 0));
    reply_done(core, reply);
    core->ops++;
    return ERR_OK;
}

/* ---- schedules follow ---------------------------------------------------------------------------
 */

/* A schedule that is asked for reads its calendars as they are now. */
err_t calendar_follow(core_t *core, plan_t *plan)
{
    uint64_t hashes[LIMIT_CALENDARS];
    size_t bad;
    if (plan->calendars_stamp == core->calendars_stamp) return ERR_OK;
    plan->calendars_stamp = core->calendars_stamp;
    if (plan->spec->n_calendars == 0 || plan->row.flags & SCHEDULE_GONE) return ERR_OK;
    if (calendar_hashes(core, plan->spec, hashes, &bad) != ERR_OK) return ERR_CORRUPT;
    if (memcmp(hashes, plan->line.calendars, plan->spec->n_calendars * sizeof *hashes) == 0)
        return ERR_OK;
    return schedule_reread(core, plan, plan->line.zone_hash);
}

void calendars_load(core_t *core)
{
    core->calendar_at = core->calendar_no = 0;
    core->calendars_stamp++;
    for (size_t no = 0; no < core->names_n[NAME_CALENDAR]; no++) {
        const named_t *name = core->names[NAME_CALENDAR][no];
        if (name && name->flags & REG_REZONE) core->calendar_at = 1;
    }
}

/* The next calendar whose users still have to follow; NULL: there is none. */
static named_t *next_marked(core_t *core)
{
    for (size_t no = core->calendar_no; no < core->names_n[NAME_CALENDAR]; no++) {
        named_t *name = core->names[NAME_CALENDAR][no];
        if (name && name->flags & REG_REZONE) return name;
    }
    return NULL;
}

err_t calendars_step(core_t *core)
{
    for (unsigned i = 0; i < FOLLOWED_AT_ONCE && core->calendar_at; i++) {
        named_t *name = next_marked(core);
        uint32_t user = 0;
        if (name == NULL) {
            core->calendar_at = core->calendar_no = 0;
            return ERR_OK;
        }
        if (name->no != core->calendar_no) core->calendar_at = 1;
        core->calendar_no = name->no;
        TRY(next_user(core, name->no, core->calendar_at, &user));
        core->ops++;
        if (user == 0) {
            name->flags &= (uint8_t)~REG_REZONE;
            TRY(name_save(core, name));
            continue;
        }
        plan_t *plan;
        core->calendar_at = user + 1;
        TRY(plan_get(core, user, &plan));
        TRY(calendar_follow(core, plan));
    }
    return ERR_OK;
}
