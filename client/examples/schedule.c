/* SPDX-License-Identifier: Apache-2.0
 * schedule - puts a schedule on record (or changes it), then lists all schedules.
 *
 *   schedule backup '30 2 * * *' 'tar cf /backup/home.tar /home'
 *
 * Read, change, write back with the revision that was read: CONFLICT says that somebody else was
 * faster, and nothing was changed. */
#include <pawl.h>
#include <stdio.h>

#define SECOND INT64_C(1000000)

static pawl_err put(pawl_client_t *client, const char *name, const char *rule, const char *command)
{
    pawl_schedule_t *schedule = NULL;
    uint64_t revision = 0;
    pawl_err err = pawl_schedule_load(client, name, &schedule, &revision, 5 * SECOND);
    if (err == PAWL_E_NOT_FOUND) {
        schedule = pawl_schedule_new(name);
        revision = 0; /* it must not exist */
        err = schedule ? PAWL_OK : PAWL_E_NO_MEMORY;
    }
    pawl_task_t *task = err ? NULL : pawl_task_new("pawl/shell");
    if (!err) err = task ? pawl_task_set_shell(task, command) : PAWL_E_NO_MEMORY;
    if (!err) err = pawl_schedule_set_task(schedule, task);
    if (!err) err = pawl_schedule_set_text(schedule, "rule", rule);
    if (!err) err = pawl_schedule_set_text(schedule, "zone", "Europe/Berlin");
    if (!err) err = pawl_schedule_put(client, schedule, (int64_t)revision, NULL, NULL, 5 * SECOND);
    pawl_task_destroy(&task);
    pawl_schedule_destroy(&schedule);
    return err;
}

int main(int argc, char **argv)
{
    char why[256] = "";
    if (argc != 1 && argc != 4) {
        fprintf(stderr, "usage: schedule [NAME RULE COMMAND-LINE]\n");
        return 2;
    }
    pawl_client_t *client = pawl_client_new(NULL, why, sizeof why);
    if (!client) {
        fprintf(stderr, "schedule: %s\n", why);
        return 1;
    }
    pawl_list_t *list = NULL;
    pawl_err err = argc == 4 ? put(client, argv[1], argv[2], argv[3]) : PAWL_OK;
    if (!err) err = pawl_schedule_list(client, NULL, &list, 5 * SECOND);
    const pawl_record_t *row;
    while (!err && (row = pawl_list_next(list, &err)))
        printf("%-20s %-20s %-8s next %lld\n", pawl_record_text(row, "name"),
               pawl_record_text(row, "rule"), pawl_record_text(row, "state"),
               (long long)pawl_record_int(row, "next_us") / SECOND);
    if (err)
        fprintf(stderr, "schedule: %s: %s (field %s)\n", pawl_err_name(err),
                pawl_client_error(client), pawl_client_error_field(client));
    pawl_list_destroy(&list);
    pawl_client_destroy(&client);
    return pawl_err_exit_code(err);
}
