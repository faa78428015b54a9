/* SPDX-License-Identifier: Apache-2.0
 * client/cli/stats.c - pawl stats and pawl top: the broker's numbers, once or every second. */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include "client/cli/handlers.h"
#include "client/cli/output.h"

enum { TURN_MS = 1000 };

/* NULL: *code is that of a printed error. */
static json_t *ask(cli_t *cli, char **text, int *code)
{
    char *answer = NULL;
    json_error_t why;
    pawl_err err = pawl_stats_json(cli->client, &answer, cli->timeout_us);
    if (err) {
        *code = fail_client(cli->client, err, "cannot show the numbers");
        return NULL;
    }
    json_t *object = json_loads(answer, 0, &why);
    if (!object)
        *code = fail(EXIT_FAILED, "cannot show the numbers", say("not JSON: %s", why.text),
                     "a broker of this program's version");
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

/* For the eye: what is 0 is left out, each queue has its line. */
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
    json_object_set_new(stats, "queues", queues);
    json_object_set_new(stats, "tasks", without_zeros(json_object_get(stats, "tasks")));
}

static int print_once(cli_t *cli)
{
    int code = 0;
    char *text = NULL;
    json_t *object = ask(cli, &text, &code);
    if (object && !args_text(&cli->args, "fields") &&
        (strcmp(output_format(), "json") == 0 || strcmp(output_format(), "ndjson") == 0)) {
        puts(text); /* as it is: also what the stats socket publishes */
        json_decref(object);
        code = output_written();
    } else if (object) {
        if (strcmp(output_format(), "table") == 0 || strcmp(output_format(), "wide") == 0)
            shorten(object);
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

static const char *latency(const json_t *stats, const char *name)
{
    const json_t *group = json_object_get(json_object_get(stats, "latency"), name);
    return say("p50 %s  p99 %s  max %s", seconds(group, "p50"), seconds(group, "p99"),
               seconds(group, "max"));
}

static void draw(const json_t *stats, bool screen)
{
    const char *end = screen ? "\033[K\n" : "\n";
    json_t *queue;
    size_t i;
    const json_t *store = json_object_get(stats, "store"),
                 *commit = json_object_get(stats, "commit");
    if (screen) fputs("\033[H", stdout);
    printf("pawl  %s  up %.0f s  executors %s  slots %s  events %s%s%s", cell(stats, "time"),
           json_number_value(json_object_get(stats, "uptime")), cell(stats, "executors"),
           cell(stats, "slots"), cell(stats, "events_seq"), end, end);
    printf("rates a second   submitted %.1f   started %.1f   ended %.1f%s",
           number_at(stats, "rates", "submitted"), number_at(stats, "rates", "started"),
           number_at(stats, "rates", "ended"), end);
    printf("waited           %s%s", latency(stats, "queue"), end);
    printf("ran              %s%s", latency(stats, "run"), end);
    printf("commits          count %s  p50 %s  p99 %s  batch %s%s", cell(commit, "count"),
           seconds(commit, "p50"), seconds(commit, "p99"), cell(commit, "batch"), end);
    printf("store            used %s  live %s  map %s%s", cell(store, "used"), cell(store, "live"),
           cell(store, "map"), end);
    printf("oldest waiting   %s%s%s", seconds(stats, "oldest_waiting"), end, end);
    printf("tasks            %s%s%s", cell(stats, "tasks"), end, end);
    printf("QUEUE%s", end);
    json_array_foreach(json_object_get(stats, "queues"), i, queue)
    {
        const char *name = cell(queue, "name");
        json_object_del(queue, "name");
        printf("%-24s %s%s", name, text_keep(cell_text(queue)), end);
    }
    if (screen) printf("%sq quits\033[K\033[J", end);
    fflush(stdout);
}

static struct termios before;

static void restore_terminal(void)
{
    tcsetattr(STDIN_FILENO, TCSANOW, &before);
    fputs("\033[?1049l\033[?25h", stdout);
    fflush(stdout);
}

static void take_terminal(void)
{
    struct termios raw;
    tcgetattr(STDIN_FILENO, &before);
    raw = before;
    raw.c_lflag &= (tcflag_t) ~(ICANON | ECHO | ISIG); /* Ctrl-C comes as a byte and quits */
    tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    atexit(restore_terminal);
    fputs("\033[?1049h\033[?25l\033[2J", stdout);
}

/* True: the person wants to leave. */
static bool quits(void)
{
    struct pollfd look = { .fd = STDIN_FILENO, .events = POLLIN };
    char key = 0;
    if (poll(&look, 1, TURN_MS) <= 0) return false;
    return read(STDIN_FILENO, &key, 1) != 1 || key == 'q' || key == 3 || key == 27;
}

int cmd_top(cli_t *cli)
{
    if (output_is_json()) return print_numbers(cli, !args_has(&cli->args, "once"));
    int code = cli_connect(cli);
    bool once = args_has(&cli->args, "once") || !isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO);
    if (!code && !once) take_terminal();
    while (!code) {
        json_t *stats = ask(cli, NULL, &code);
        if (stats) {
            shorten(stats);
            draw(stats, !once);
        }
        json_decref(stats);
        if (once || code || quits()) break;
    }
    return code;
}
