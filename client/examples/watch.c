/* SPDX-License-Identifier: Apache-2.0
 * watch - prints events as they happen, from a program that has an event loop of its own.
 *
 *   watch        from now on
 *   watch 1      from the oldest event on record
 *
 * Events are numbered; after a lost connection the watch goes on behind the last one. When the
 * broker has thrown away what comes next, an event of kind "gap" says so. */
#include <pawl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool print_event(const pawl_record_t *event, void *arg)
{
    char id[PAWL_ID_TEXT] = "";
    size_t len;
    const uint8_t *bytes = pawl_record_bytes(event, "id", &len);
    (void)arg;
    if (len == PAWL_ID_BYTES) pawl_id_print(bytes, id);
    printf("%lld %-12s %s%s %s\n", (long long)pawl_record_int(event, "seq"),
           pawl_record_text(event, "kind"), id, pawl_record_text(event, "name"),
           pawl_record_text(event, "detail"));
    return strcmp(pawl_record_text(event, "kind"), "error") != 0; /* false ends the watch */
}

int main(int argc, char **argv)
{
    char why[256];
    pawl_client_t *client = pawl_client_new(NULL, why, sizeof why);
    if (!client) {
        fprintf(stderr, "watch: %s\n", why);
        return 1;
    }
    pawl_err err = pawl_client_connect(client, 5 * 1000000);
    pawl_watch_t *watch = NULL;
    if (!err) {
        watch =
            pawl_watch_new(client, argc > 1 ? strtoull(argv[1], NULL, 10) : 0, print_event, NULL);
        err = watch ? PAWL_OK : PAWL_E_NO_MEMORY;
    }
    struct pollfd fds[] = { { .fd = pawl_client_fd(client), .events = POLLIN } };
    while (!err && poll(fds, 1, -1) > 0) {
        pawl_client_poll(client, 0);
        fflush(stdout);
    }
    if (err) fprintf(stderr, "watch: %s: %s\n", pawl_err_name(err), pawl_client_error(client));
    pawl_watch_destroy(&watch);
    pawl_client_destroy(&client);
    return pawl_err_exit_code(err);
}
