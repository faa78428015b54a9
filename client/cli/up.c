/* SPDX-License-Identifier: Apache-2.0
 * client/cli/up.c - pawl up: broker, scheduler and executors for this user, in the foreground. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "client/base/clock.h"
#include "client/base/seal.h"
#include "client/cli/handlers.h"
#include "client/cli/programs.h"
#include "client/cli/supervise.h"

enum {
    LOOK_US = 50 * 1000,        /* between two looks whether everything serves */
    ASK_US = 1000 * 1000,       /* for one answer while starting */
    SLOW_US = 15 * 1000 * 1000, /* then say that it takes long */
    IDLE_US = 60 * 1000 * 1000,
    FEWEST_SLOTS = 2,
    EXECUTORS_MOST = 64,
    HOST_ROOM = 128,
};

typedef struct up {
    cli_t *cli;
    const char *state, *endpoint;
    const char *select; /* of the scheduler; NULL: all schedules */
    int64_t slots, executors;
    int lock;
    supervisor_t *supervisor;
    pawl_client_t *client; /* only until everything serves */
    int64_t started_us;
    bool slow_told;
} up_t;

/* ---- the folder ------------------------------------------------------------------------------ */

static int make_folders(const char *path)
{
    char *copy = text_keep(mem_text(path));
    for (char *at = copy + 1; *at; at++) {
        if (*at != '/') continue;
        *at = '\0';
        if (mkdir(copy, 0700) != 0 && errno != EEXIST) return -1;
        *at = '/';
    }
    return mkdir(copy, 0700) == 0 || errno == EEXIST ? 0 : -1;
}

/* The state folder, absolute. 0 or the code of a printed error. */
static int open_folder(const char *given, const char **folder_out)
{
    struct sockaddr_un address;
    const char *advice = "--state DIR with a folder that you may write to";
    if (!*given)
        return fail(EXIT_USAGE, "the state folder has no name", "--state is empty",
                    "--state DIR, or no --state for ~/.local/share/pawl");
    char *here = given[0] == '/' ? NULL : getcwd(NULL, 0);
    const char *folder = here ? say("%s/%s", text_keep(here), given) : given;
    const char *longest = say("%s/broker.sock", folder);
    size_t most = sizeof address.sun_path - 1;
    if (strlen(longest) > most)
        return fail(EXIT_LIMIT, "the state folder's path is too long",
                    say("%s has %zu bytes; the path of a unix socket has at most %zu", longest,
                        strlen(longest), most),
                    "--state DIR with a shorter path");
    if (make_folders(folder) != 0 || access(folder, W_OK | X_OK) != 0)
        return fail(EXIT_FAILED, say("cannot make or use the state folder %s", folder),
                    strerror(errno), advice);
    if (mkdir(say("%s/log", folder), 0700) != 0 && errno != EEXIST)
        return fail(EXIT_FAILED, "cannot make the folder of logs", strerror(errno), advice);
    *folder_out = folder;
    return 0;
}

/* One `pawl up` a folder: the lock ends with the process, the pid in it is for people. */
static int take_lock(up_t *self)
{
    const char *path = say("%s/up.lock", self->state);
    char pid[32] = "";
    self->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (self->lock < 0)
        return fail(EXIT_FAILED, say("cannot open %s", path), strerror(errno),
                    "--state DIR with a folder that you may write to");
    if (flock(self->lock, LOCK_EX | LOCK_NB) != 0) {
        ssize_t got = read(self->lock, pid, sizeof pid - 1);
        pid[got > 0 ? strcspn(pid, "\n") : 0] = '\0';
        return fail(
            EXIT_CONFLICT, "pawl up runs already",
            say("process %s serves the state folder %s", *pid ? pid : "?", self->state),
            say("kill -INT %s ends it; --state DIR starts another beside it", *pid ? pid : "PID"));
    }
    int len = snprintf(pid, sizeof pid, "%d\n", (int)getpid());
    if (ftruncate(self->lock, 0) != 0 || pwrite(self->lock, pid, (size_t)len, 0) != len)
        return fail(EXIT_FAILED, say("cannot write %s", path), strerror(errno), "room on the disk");
    return 0;
}

/* ---- the roles ------------------------------------------------------------------------------- */

static int check_programs(void)
{
    static const char *const programs[] = { "pawl-broker", "pawl-scheduler", "pawl-executor" };
    for (size_t i = 0; i < ARRAY_LEN(programs); i++)
        if (access(program_path(programs[i]), X_OK) != 0)
            return fail(EXIT_FAILED, say("cannot run %s", program_path(programs[i])),
                        strerror(errno),
                        "make, or an installation with all programs in one folder");
    return 0;
}

static char *changeable(const char *text)
{
    return (char *)(uintptr_t)text; /* argv is char *const *; nobody writes to it */
}

static void start_role(up_t *self, const char *label, const char *const *words, int order,
                       int hopeless_exit)
{
    char *argv[16];
    size_t n = 0;
    for (; words[n] && n + 1 < ARRAY_LEN(argv); n++)
        argv[n] = changeable(words[n]);
    argv[n] = NULL;
    supervisor_add(self->supervisor, label, argv, order, hopeless_exit);
}

static void start_roles(up_t *self)
{
    char host[HOST_ROOM] = "local";
    gethostname(host, sizeof host - 1);
    const char *const broker[] = { program_path("pawl-broker"), "--state", self->state, NULL };
    const char *const scheduler[] = {
        program_path("pawl-scheduler"),   "--broker",   self->endpoint,
        self->select ? "--select" : NULL, self->select, NULL,
    };
    start_role(self, "broker", broker, 2, EXIT_CONFLICT); /* another broker has the store */
    start_role(self, "scheduler", scheduler, 1, 0);
    for (int64_t i = 1; i <= self->executors; i++) {
        const char *suffix = i > 1 ? say("-%" PRId64, i) : "";
        const char *const executor[] = { program_path("pawl-executor"),
                                         "--broker",
                                         self->endpoint,
                                         "--state",
                                         say("%s/executor%s", self->state, suffix),
                                         "--slots",
                                         say("%" PRId64, self->slots),
                                         "--name",
                                         say("%s%s", host, suffix),
                                         NULL };
        start_role(self, say("executor%s", suffix), executor, 0, 0);
    }
}

static void print_roles(const up_t *self)
{
    bool usual = strcmp(self->state, default_state()) == 0 && !getenv("PAWL_BROKER");
    char *words[] = { changeable(program_called()), changeable("-b"), changeable(self->endpoint) };
    const char *pawl = shell_words(words, usual ? 1 : ARRAY_LEN(words)); /* to be copied */
    printf("pawl %s   state %s   log %s/log\n", pawl_version(), self->state, self->state);
    printf("  broker     pid %-8d %s   numbers %s\n", (int)supervisor_pid(self->supervisor, 0),
           self->endpoint, say("ipc://%s/stats.sock", self->state));
    printf("  scheduler  pid %d\n", (int)supervisor_pid(self->supervisor, 1));
    for (int64_t i = 0; i < self->executors; i++)
        printf("  executor   pid %-8d %" PRId64 " slots\n",
               (int)supervisor_pid(self->supervisor, (size_t)i + 2), self->slots);
    printf("try, in another terminal:\n"
           "  %s run --follow -- echo \"it works\"\n"
           "  %s schedule add hello --every 10s -- echo \"it works\"\n"
           "  %s task list\n"
           "stop: Ctrl-C (running tasks get 30 s)\n",
           pawl, pawl, pawl);
    fflush(stdout);
}

/* ---- ready? ---------------------------------------------------------------------------------- */

/* It is our broker that answers, not another on the same socket. */
static bool broker_is_ours(const up_t *self)
{
    pawl_record_t *status = NULL;
    pawl_err err = pawl_broker_status(self->client, &status, ASK_US);
    bool ours = !err && pawl_record_int(status, "pid") == supervisor_pid(self->supervisor, 0);
    pawl_record_destroy(&status);
    return ours;
}

static bool all_serve(up_t *self)
{
    char why[256];
    if (!self->client) {
        pawl_conf_t *conf = pawl_conf_new();
        CHECK(conf && pawl_conf_set(conf, "broker", self->endpoint, why, sizeof why) == 0);
        pawl_conf_set(conf, "connect_ivl_ms", "20", why, sizeof why);
        pawl_conf_set(conf, "connect_max_ms", "200", why, sizeof why);
        self->client = pawl_client_new(conf, why, sizeof why);
        pawl_conf_destroy(&conf);
    }
    if (!self->client || pawl_client_state(self->client) != PAWL_CONNECTED) return false;
    pawl_list_t *list = NULL;
    const pawl_record_t *peer;
    int64_t executors = 0, schedulers = 0;
    pawl_err err = pawl_peer_list(self->client, &list, ASK_US);
    while (!err && (peer = pawl_list_next(list, &err))) {
        const char *role = pawl_record_text(peer, "role");
        bool alive = pawl_record_int(peer, "alive") != 0;
        executors += alive && strcmp(role, "executor") == 0;
        schedulers += alive && strcmp(role, "scheduler") == 0;
    }
    pawl_list_destroy(&list);
    return !err && schedulers >= 1 && executors >= self->executors && broker_is_ours(self);
}

static void look_whether_ready(up_t *self, bool *ready)
{
    int64_t taken_us = clock_steady_us() - self->started_us;
    *ready = all_serve(self);
    if (*ready) {
        pawl_client_close(self->client, ASK_US);
        pawl_client_destroy(&self->client);
        printf("ready after %.1f s\n", (double)taken_us / 1e6);
        fflush(stdout);
    } else if (taken_us > SLOW_US && !self->slow_told) {
        fprintf(stderr, "not all roles serve yet; their logs: %s/log\n", self->state);
        self->slow_told = true;
    }
}

static int supervise(up_t *self)
{
    supervise_t turn;
    bool ready = false;
    do {
        turn = supervisor_turn(self->supervisor, ready ? IDLE_US : LOOK_US);
        if (!ready && turn == SUPERVISE_GOES_ON && !supervisor_stopping(self->supervisor))
            look_whether_ready(self, &ready);
    } while (turn == SUPERVISE_GOES_ON);
    pawl_client_destroy(&self->client);
    if (turn == SUPERVISE_GAVE_UP)
        return fail(EXIT_FAILED, "pawl up gave up", "a role cannot be kept running",
                    say("its last lines above, or the logs in %s/log", self->state));
    cli_note(self->cli, "stopped");
    return turn == SUPERVISE_CUT_SHORT ? EXIT_INTERRUPTED : EXIT_OK;
}

int cmd_up(cli_t *cli)
{
    seal_process(); /* the roles have our environment, and the executor's commands our account */
    const char *state = args_text(&cli->args, "state");
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    int64_t usual = processors > FEWEST_SLOTS ? processors : FEWEST_SLOTS;
    up_t self = { .cli = cli, .lock = -1, .started_us = clock_steady_us() };
    self.slots = args_number(&cli->args, "slots", usual);
    self.executors = args_number(&cli->args, "executors", 1);
    self.select = args_text(&cli->args, "select");
    int code = open_folder(state ? state : default_state(), &self.state);
    if (!self.state) return code;
    self.endpoint = say("ipc://%s/broker.sock", self.state);
    code = check_programs();
    if (!code) code = take_lock(&self);
    if (!code) {
        self.supervisor = supervisor_new(cli->verbose ? NULL : say("%s/log", self.state));
        start_roles(&self);
        print_roles(&self);
        code = supervise(&self);
        supervisor_destroy(&self.supervisor);
    }
    if (self.lock >= 0) close(self.lock);
    return code;
}
