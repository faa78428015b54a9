/* SPDX-License-Identifier: Apache-2.0
 * client/cli/stats.c - pawl stats and pawl top: the broker's numbers, once or every second. */
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include "client/cli/handlers.h"
#include "client/cli/output.h"

enum { TURN_MS = 1000, KEY_US = 300 * 1000 };

static int tell_failure(const cli_t *cli, pawl_err err)
{
    static const char what[] = "cannot show the numbers";
    if (err) return fail_client(cli->client, err, what);
    return fail(EXIT_FAILED, what, "what the broker sent is not JSON",
                "a broker of this program's version");
}

/* NULL: *err, or PAWL_OK and what came is not JSON. `text` (may be NULL): what came, to be freed.
 */
static json_t *ask(const cli_t *cli, int64_t timeout_us, char **text, pawl_err *err)
{
    char *answer = NULL;
    *err = pawl_stats_json(cli->client, &answer, timeout_us);
    json_t *object = *err ? NULL : json_loads(answer, 0, NULL);
    if (text)
        *text = answer;
    else
        free(answer);
    return object;
}

/* Counts that are not 0, and what is so. */
static json_t *without_zeros(const json_t *counts)
{
    const char *key;
    json_t *value, *shown = json_object();
    json_object_foreach((json_t *)(uintptr_t)counts, key, value)
    {
        if (json_is_true(value) || json_number_value(value) > 0) json_object_set(shown, key, value);
    }
    return shown;
}

/* For the eye: what is 0 is left out, each queue has its line, the time is that of --tz. */
static void shorten(json_t *stats)
{
    const char *name;
    json_t *counts, *queues = json_array();
    json_object_foreach(json_object_get(stats, "queues"), name, counts)
    {
        json_t *queue = json_pack("{s:s}", "name", name);
        json_t *shown = without_zeros(counts);
        json_object_update(queue, shown);
        json_decref(shown);
        json_array_append_new(queues, queue);
    }
    int64_t us;
    const char *time = json_string_value(json_object_get(stats, "time"));
    if (time && instant_read(time, NULL, &us))
        json_object_set_new(stats, "time", json_string(instant_text(us / 1000000 * 1000000)));
    json_object_set_new(stats, "queues", queues);
    json_object_set_new(stats, "tasks", without_zeros(json_object_get(stats, "tasks")));
}

static int print_once(cli_t *cli)
{
    int code = 0;
    char *text = NULL;
    pawl_err err;
    json_t *object = ask(cli, cli->timeout_us, &text, &err);
    if (!object) code = tell_failure(cli, err);
    if (object && !args_text(&cli->args, "fields") &&
        (strcmp(output_format(), "json") == 0 || strcmp(output_format(), "ndjson") == 0)) {
        puts(text); /* as it is: also what the stats socket publishes */
        json_decref(object);
        code = output_written();
    } else if (object) {
        if (output_is_table()) shorten(object);
        code = output_object(object);
    }
    free(text);
    return code;
}

static int print_numbers(cli_t *cli, bool watch)
{
    int code = cli_connect(cli);
    if (watch) cli_leave_on_interrupt(NULL);
    while (!code) {
        code = print_once(cli);
        if (!watch) break;
        if (!output_is_json()) putchar('\n');
        fflush(stdout);
        text_forget(); /* it may go on for days */
        poll(NULL, 0, TURN_MS);
    }
    return code;
}

int cmd_stats(cli_t *cli)
{
    return print_numbers(cli, args_has(&cli->args, "watch"));
}

/* ---- top ------------------------------------------------------------------------------------- */

static double number_at(const json_t *object, const char *group, const char *name)
{
    return json_number_value(json_object_get(json_object_get(object, group), name));
}

static const char *cell(const json_t *object, const char *name)
{
    return text_keep(cell_text(json_object_get(object, name)));
}

static const char *seconds(const json_t *object, const char *name)
{
    double value = json_number_value(json_object_get(object, name));
    return value < 1 ? say("%.1f ms", value * 1000) : say("%.1f s", value);
}

/* "12 KiB", "59.5 GiB" */
static const char *size(const json_t *object, const char *name)
{
    static const char *const units[] = { "bytes", "KiB", "MiB", "GiB", "TiB" };
    double value = json_number_value(json_object_get(object, name));
    size_t unit = 0;
    for (; value >= 1024 && unit + 1 < ARRAY_LEN(units); unit++)
        value /= 1024;
    return say(value < 10 && unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
}

static const char *latency(const json_t *stats, const char *name)
{
    const json_t *group = json_object_get(json_object_get(stats, "latency"), name);
    return say("p50 %s  p99 %s  max %s", seconds(group, "p50"), seconds(group, "p99"),
               seconds(group, "max"));
}

/* What runs and says how far it is. Of more tasks than RUNNING_MOST nobody could read them, and
 * asking would cost: `pawl ps -o wide` lists all. */
static void draw_running(cli_t *cli, const json_t *stats, const char *end)
{
    enum { RUNNING_MOST = 100, SHOWN = 10 };
    double running = number_at(stats, "tasks", "running");
    pawl_list_t *list = NULL;
    const pawl_record_t *task;
    size_t shown = 0;
    if (running < 1 || running > RUNNING_MOST) return;
    pawl_filter_t *filter = pawl_filter_new();
    pawl_err err = PAWL_E_NO_MEMORY;
    if (filter && pawl_filter_add(filter, "status", "running") == PAWL_OK)
        err = pawl_task_list(cli->client, filter, &list, KEY_US);
    while (!err && shown < SHOWN && (task = pawl_list_next(list, &err))) {
        json_t *row = record_json(task, task_columns);
        if (json_is_string(json_object_get(row, "progress"))) {
            if (shown++ == 0) printf("%sPROGRESS%s", end, end);
            printf("%s %-20s %s%s", cell(row, "id"), cell(row, "type"), cell(row, "progress"), end);
        }
        json_decref(row);
    }
    pawl_list_destroy(&list);
    pawl_filter_destroy(&filter);
}

static void draw(cli_t *cli, const json_t *stats, bool screen)
{
    const char *end = screen ? "\033[K\n" : "\n";
    json_t *queue;
    size_t i;
    const json_t *store = json_object_get(stats, "store"),
                 *commit = json_object_get(stats, "commit");
    if (screen) fputs("\033[H", stdout);
    printf("pawl  %s  up %s  executors %s  slots %s  events %s%s%s", cell(stats, "time"),
           duration_text((int64_t)json_number_value(json_object_get(stats, "uptime")) * 1000000),
           cell(stats, "executors"), cell(stats, "slots"), cell(stats, "events_seq"), end, end);
    printf("rates a second   submitted %.1f   started %.1f   ended %.1f%s",
           number_at(stats, "rates", "submitted"), number_at(stats, "rates", "started"),
           number_at(stats, "rates", "ended"), end);
    printf("waited           %s%s", latency(stats, "queue"), end);
    printf("ran              %s%s", latency(stats, "run"), end);
    printf("commits          count %s  p50 %s  p99 %s  batch %s%s", cell(commit, "count"),
           seconds(commit, "p50"), seconds(commit, "p99"), cell(commit, "batch"), end);
    printf("store            used %s  live %s  map %s%s", size(store, "used"), size(store, "live"),
           size(store, "map"), end);
    printf("oldest waiting   %s%s%s", seconds(stats, "oldest_waiting"), end, end);
    printf("tasks            %s%s%s", cell(stats, "tasks"), end, end);
    printf("QUEUE%s", end);
    json_array_foreach(json_object_get(stats, "queues"), i, queue)
    {
        const char *name = cell(queue, "name");
        json_object_del(queue, "name");
        printf("%-24s %s%s", name, text_keep(cell_text(queue)), end);
    }
    draw_running(cli, stats, end);
    if (screen) printf("%sq quits\033[K\033[J", end);
    fflush(stdout);
}

static struct termios before;
static volatile sig_atomic_t terminal_taken;

/* Also from a handler: only calls that are safe there. */
static void give_terminal_back(void)
{
    static const char leave[] = "\033[?1049l\033[?25h";
    if (!terminal_taken) return;
    terminal_taken = 0;
    tcsetattr(STDIN_FILENO, TCSANOW, &before);
    ssize_t ignored = write(STDOUT_FILENO, leave, sizeof leave - 1);
    (void)ignored;
}

static void on_end(int number)
{
    give_terminal_back();
    _exit(128 + number);
}

static void take_terminal(void)
{
    struct termios raw;
    tcgetattr(STDIN_FILENO, &before);
    raw = before;
    raw.c_lflag &= (tcflag_t) ~(ICANON | ECHO | ISIG); /* Ctrl-C comes as a byte and quits */
    tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    terminal_taken = 1;
    signal(SIGTERM, on_end);
    signal(SIGHUP, on_end);
    fputs("\033[?1049h\033[?25l\033[2J", stdout);
    fflush(stdout);
}

/* True: the person wants to leave. */
static bool quits(int wait_ms)
{
    struct pollfd look = { .fd = STDIN_FILENO, .events = POLLIN };
    char key = 0;
    if (poll(&look, 1, wait_ms) <= 0) return false;
    return read(STDIN_FILENO, &key, 1) != 1 || key == 'q' || key == 3 || key == 27;
}

/* One picture. False: *err ends it, or what came is not JSON. */
static bool show(cli_t *cli, bool screen, pawl_err *err)
{
    json_t *stats = ask(cli, screen ? KEY_US : cli->timeout_us, NULL, err);
    bool late = screen && (*err == PAWL_E_TIMEOUT || *err == PAWL_E_UNREACHABLE);
    if (late && cli_away_us(cli) <= cli->timeout_us) {
        printf("\033[Hwaiting for broker at %s; q quits\033[K", pawl_client_endpoint(cli->client));
        fflush(stdout);
        return true;
    }
    if (stats) {
        shorten(stats);
        draw(cli, stats, screen);
    }
    json_decref(stats);
    text_forget(); /* it may go on for days */
    return stats != NULL;
}

int cmd_top(cli_t *cli)
{
    if (output_is_json()) return print_numbers(cli, !args_has(&cli->args, "once"));
    int code = cli_connect(cli);
    if (code) return code;
    bool once = args_has(&cli->args, "once") || !isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO);
    pawl_err err = PAWL_OK;
    if (once) return show(cli, false, &err) ? output_written() : tell_failure(cli, err);
    cli_hush(cli); /* what it says would stand across the picture */
    take_terminal();
    bool good = show(cli, true, &err);
    while (good && !quits(err ? 0 : TURN_MS))
        good = show(cli, true, &err);
    fflush(stdout);
    give_terminal_back(); /* before the error: what stands on the other screen goes with it */
    return good ? 0 : tell_failure(cli, err);
}
