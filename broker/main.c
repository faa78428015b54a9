/* SPDX-License-Identifier: Apache-2.0
 * pawl-broker - the one process that owns the store. This file reads the configuration, prepares
 * the process, starts the actors in order and stops them in the opposite one: store, core, stats,
 * logs, readers, writer, front -> ready ... TERM -> front, readers, logs, stats, writer (closes
 * core and store). */
#include <argp.h>
#include <czmq.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/check/check.h"
#include "broker/front/front.h"
#include "broker/logs/logs.h"
#include "broker/core/space.h"
#include "broker/stats.h"
#include "client/base/argv.h"
#include "client/base/clock.h"
#include "client/base/conf.h"
#include "client/base/log.h"
#include "client/base/seal.h"
#include "client/base/standard.h"
#include "schemas/limits.h"

enum { LOCK_WAIT_US = 5000000, FILES_WANTED = 65536, EXIT_WAIT_S = 3 };

/* A hundred years: an end and what is added to it must fit 64 bits. */
#define KEEP_MOST_US (INT64_C(36525) * 86400000000)

extern char **environ;
/* Seen by the C library, though everything else is hidden. */
__attribute__((visibility("default"))) const char *argp_program_version =
    "pawl-broker " PAWL_VERSION;
const char *argp_program_bug_address = NULL;

static const conf_key_t keys[] = {
    { "state", CONF_TEXT, "", 0, 0, "folder of store, logs and sockets; ~/.local/share/pawl" },
    { "listen", CONF_TEXT, "", 0, 0, "endpoint for peers; ipc://STATE/broker.sock" },
    { "tcp", CONF_TEXT, "", 0, 0,
      "endpoint for peers of other machines, e.g. tcp://0.0.0.0:6411; empty: none" },
    { "keys.own", CONF_TEXT, "", 0, 0, "the broker's secret key; STATE/keys/broker.key" },
    { "keys.authorized", CONF_TEXT, "", 0, 0,
      "folder of the public keys of peers; STATE/keys/authorized" },
    { "stats", CONF_TEXT, "", 0, 0, "endpoint for numbers and events; ipc://STATE/stats.sock" },
    { "map", CONF_BYTES, "64GiB", 1 << 20, INT64_C(1) << 46, "the most the store may hold" },
    { "logs.map", CONF_BYTES, "64GiB", 1 << 20, INT64_C(1) << 46, "the most the logs may hold" },
    { "logs.size", CONF_BYTES, "0", 0, 0, "oldest logs give way above it; 0: 90 % of logs.map" },
    { "lease", CONF_DURATION, "30s", 1000000, INT64_C(3600000000),
      "silence after which a peer is lost" },
    { "suspect", CONF_DURATION, "15s", 500000, INT64_C(3600000000),
      "silence after which it gets no new work" },
    { "ping", CONF_DURATION, "5s", 100000, INT64_C(3600000000), "an idle peer pings this often" },
    { "keep.finished", CONF_DURATION, "7d", 0, KEEP_MOST_US,
      "how long ended tasks stay that did not fail" },
    { "keep.failed", CONF_DURATION, "30d", 0, KEEP_MOST_US, "how long failed tasks stay" },
    { "keep.logs", CONF_DURATION, "30d", 0, KEEP_MOST_US, "how long logs stay" },
    { "keep.journal", CONF_DURATION, "30d", 0, KEEP_MOST_US, "how long events stay" },
    { "keep.ledger", CONF_DURATION, "365d", 0, KEEP_MOST_US,
      "how long the ledger of a schedule stays" },
    { "limits.items", CONF_COUNT, "10000", 1, LIMIT_ITEMS, "items in one request" },
    { "limits.peers", CONF_COUNT, "20000", 1, 1000000, "peers at a time" },
    { "limits.requests_in_flight", CONF_COUNT, "1024", 1, 65536, "unanswered requests of a peer" },
    { "limits.items_in_flight", CONF_COUNT, "65536", LIMIT_ITEMS, 10000000, "their items" },
    { "limits.bytes_in_flight", CONF_BYTES, "64MiB", LIMIT_MESSAGE, INT64_C(1) << 40,
      "their bytes" },
    { "limits.bytes_in_flight_all", CONF_BYTES, "1GiB", LIMIT_MESSAGE, INT64_C(1) << 40,
      "of all peers" },
    { "zones.folder", CONF_TEXT, "", 0, 0, "folder of zone files; the system's" },
    { "zones.every", CONF_DURATION, "1h", 1000000, INT64_C(86400000000),
      "zone files are looked at this often" },
    { "debug", CONF_BOOL, "false", 0, 0, "log more" },
};

typedef struct options {
    conf_t *conf;
    const char *config_file, *record;
    const char *flags[ARRAY_LEN(keys)]; /* beside keys: what a flag says, NULL */
    bool check, check_config;
} options_t;

enum { FLAG_CHECK = 256, FLAG_CHECK_CONFIG, FLAG_RECORD, FLAG_STATS, FLAG_MAP, FLAG_TCP };

static const struct argp_option flags[] = {
    { "config", 'c', "FILE", 0,
      "configuration (YAML, section broker); --check-config lists its keys", 1 },
    { "state", 's', "DIR", 0, "folder of store, logs and sockets", 1 },
    { "listen", 'l', "ENDPOINT", 0, "where peers connect: ipc:///path", 1 },
    { "tcp", FLAG_TCP, "ENDPOINT", 0,
      "where peers of other machines connect, with keys: tcp://ADDRESS:PORT", 1 },
    { "stats", FLAG_STATS, "ENDPOINT", 0, "where numbers and events are published", 1 },
    { "map", FLAG_MAP, "SIZE", 0, "the most the store may hold, e.g. 64GiB", 1 },
    { "check", FLAG_CHECK, 0, 0, "verify every record of the store and exit", 2 },
    { "check-config", FLAG_CHECK_CONFIG, 0, 0, "print the configuration in force and exit", 2 },
    { "print-config", 0, 0, OPTION_ALIAS, 0, 2 },
    { "record", FLAG_RECORD, "FILE", 0, "append every batch to FILE, for replay tests", 2 },
    { 0 },
};

static const char **flag_of(options_t *options, const char *key)
{
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (strcmp(keys[i].name, key) == 0) return &options->flags[i];
    check_failed("a flag has its key", __FILE__, __LINE__);
}

static error_t on_flag(int flag, char *value, struct argp_state *state)
{
    options_t *options = state->input;
    switch (flag) {
    case 'c':
        options->config_file = value;
        return 0;
    case 's':
        *flag_of(options, "state") = value;
        return 0;
    case 'l':
        *flag_of(options, "listen") = value;
        return 0;
    case FLAG_STATS:
        *flag_of(options, "stats") = value;
        return 0;
    case FLAG_TCP:
        *flag_of(options, "tcp") = value;
        return 0;
    case FLAG_MAP:
        *flag_of(options, "map") = value;
        return 0;
    case FLAG_CHECK:
        options->check = true;
        return 0;
    case FLAG_CHECK_CONFIG:
        options->check_config = true;
        return 0;
    case FLAG_RECORD:
        options->record = value;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static _Noreturn void die(err_t err, const char *why, const char *advice)
{
    fprintf(stderr, "pawl-broker: %s\n", err_text(err));
    if (*why) fprintf(stderr, "  why:  %s\n", why);
    if (*advice) fprintf(stderr, "  then: %s\n", advice);
    exit(err_exit_code(err));
}

/* ---- configuration --------------------------------------------------------------------------- */

static void set(conf_t *conf, const char *key, const char *value, const char *origin)
{
    char why[512];
    if (conf_set(conf, key, value, origin, why, sizeof why) != ERR_OK)
        die(ERR_CONFIG, why, "pawl-broker --check-config");
}

static void configure(options_t *options)
{
    char why[512], text[4096];
    conf_t *conf = options->conf = conf_new_section("broker", keys, ARRAY_LEN(keys));
    err_t err = ERR_OK;
    if (options->config_file) err = conf_load_all(conf, options->config_file, why, sizeof why);
    if (err == ERR_OK) err = conf_environment(conf, "PAWL_BROKER__", environ, why, sizeof why);
    if (err != ERR_OK) die(err, why, "pawl-broker --check-config");
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (options->flags[i]) {
            snprintf(text, sizeof text, "--%s", keys[i].name);
            set(conf, keys[i].name, options->flags[i], text);
        }
    if (*conf_text(conf, "state") == '\0') {
        const char *home = getenv("HOME");
        if (home == NULL || *home != '/')
            die(ERR_CONFIG, "no state folder: HOME is not set", "pawl-broker --state DIR");
        snprintf(text, sizeof text, "%s/.local/share/pawl", home);
        set(conf, "state", text, "default");
    }
    const char *state = conf_text(conf, "state");
    if (*state != '/') {
        char here[2048];
        if (getcwd(here, sizeof here) == NULL)
            die(ERR_OS, strerror(errno), "pawl-broker --state /absolute/path");
        snprintf(text, sizeof text, "%s/%.2000s", here, state);
        set(conf, "state", text, conf_origin(conf, "state"));
        state = conf_text(conf, "state");
    }
    static const char *const endpoints[][2] = { { "listen", "broker" }, { "stats", "stats" } };
    for (size_t i = 0; i < ARRAY_LEN(endpoints); i++) {
        const char *key = endpoints[i][0];
        if (*conf_text(conf, key) == '\0') {
            snprintf(text, sizeof text, "ipc://%.4000s/%s.sock", state, endpoints[i][1]);
            set(conf, key, text, "default");
        }
        if (endpoint_check(conf_text(conf, key), why, sizeof why) != ERR_OK)
            die(ERR_CONFIG, why, "pawl-broker --listen ipc:///run/pawl/broker.sock");
    }
    static const char *const files[][2] = { { "keys.own", "broker.key" },
                                            { "keys.authorized", "authorized" } };
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        if (*conf_text(conf, files[i][0])) continue;
        snprintf(text, sizeof text, "%.4000s/keys/%s", state, files[i][1]);
        set(conf, files[i][0], text, "default");
    }
    if (*conf_text(conf, "tcp") && strncmp(conf_text(conf, "tcp"), "tcp://", 6) != 0)
        die(ERR_CONFIG, "tcp is an endpoint that reads tcp://ADDRESS:PORT",
            "pawl-broker --tcp tcp://0.0.0.0:6411");
    if (conf_number(conf, "ping") >= conf_number(conf, "suspect") ||
        conf_number(conf, "suspect") > conf_number(conf, "lease"))
        die(ERR_CONFIG, "ping must be shorter than suspect, and suspect not longer than lease",
            "pawl-broker --check-config");
}

/* ---- the process ----------------------------------------------------------------------------- */

static void harden(void)
{
    struct rlimit files;
    seal_process(); /* memory holds what tasks carry */
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < FILES_WANTED) {
        files.rlim_cur = files.rlim_max < FILES_WANTED ? files.rlim_max : FILES_WANTED;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    umask(0077);
}

/* All signals are blocked in all threads; the main thread reads those that matter from the returned
 * descriptor. Faults of the program itself stay what they are. */
static int take_signals(void)
{
    static const int faults[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS };
    sigset_t all, wanted;
    sigfillset(&all);
    for (size_t i = 0; i < ARRAY_LEN(faults); i++)
        sigdelset(&all, faults[i]);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    sigemptyset(&wanted);
    sigaddset(&wanted, SIGTERM);
    sigaddset(&wanted, SIGINT);
    int fd = signalfd(-1, &wanted, SFD_CLOEXEC);
    CHECK(fd >= 0);
    return fd;
}

/* czmq reads ZSYS_* and installs handlers unless told not to. */
static void prepare_czmq(void)
{
    for (char **at = environ; *at;) {
        char name[64];
        const char *equals = strchr(*at, '=');
        if (strncmp(*at, "ZSYS_", 5) == 0 && equals && equals - *at < (ptrdiff_t)sizeof name) {
            snprintf(name, sizeof name, "%.*s", (int)(equals - *at), *at);
            unsetenv(name);
            at = environ;
        } else {
            at++;
        }
    }
    zsys_handler_set(NULL);
    zsys_init();
    zsys_set_io_threads(1);
    zsys_set_linger(0);
    zsys_set_pipehwm(0);
}

/* The folder and what leads to it; it must be ours and closed to others' writing. */
static void make_state(const char *path)
{
    char part[4096];
    struct stat info;
    snprintf(part, sizeof part, "%s", path);
    for (char *at = part + 1;; at++) {
        if (*at != '/' && *at != '\0') continue;
        char was = *at;
        *at = '\0';
        if (mkdir(part, 0700) != 0 && errno != EEXIST) {
            char why[4200];
            snprintf(why, sizeof why, "%s: %s", part, strerror(errno));
            die(ERR_OS, why, "pawl-broker --state DIR");
        }
        *at = was;
        if (was == '\0') break;
    }
    char why[4200], advice[4200];
    if (stat(path, &info) != 0 || !S_ISDIR(info.st_mode) || (info.st_mode & 0022) != 0) {
        snprintf(why, sizeof why, "%s is not a folder that only its owner may write to", path);
        snprintf(advice, sizeof advice, "chmod go-w %s", path);
        die(ERR_CONFIG, why, advice);
    }
    if (info.st_uid != geteuid()) { /* its owner could put another store in place of this one */
        snprintf(why, sizeof why, "%s belongs to user %u, this program runs as user %u", path,
                 (unsigned)info.st_uid, (unsigned)geteuid());
        die(ERR_CONFIG, why, "pawl-broker --state DIR with a folder of its own user");
    }
}

/* ---- the actors ------------------------------------------------------------------------------ */

typedef struct broker {
    store_t *store;
    core_t *core;
    stats_t *stats;
    poison_t *poison;
    tape_t *tape;
    logs_t *logs;
    readers_t *readers;
    writer_t *writer;
    front_t *front;
} broker_t;

/* A map in which not even one task could run would fail somewhere on the way: say so at once. */
static void refuse_small_map(store_t *store, const core_config_t *config, const char *path)
{
    store_usage_t usage;
    char why[4400], advice[200];
    store_usage(store, &usage);
    uint64_t least = space_minimum(config->output_max, usage.page_bytes);
    if (usage.map_bytes >= least) return;
    snprintf(why, sizeof why,
             "%s may hold %llu KiB (broker.map, or what its disk has free); one task with the "
             "largest result (%u KiB) needs %llu KiB",
             path, (unsigned long long)usage.map_bytes >> 10, config->output_max >> 10,
             (unsigned long long)least >> 10);
    snprintf(advice, sizeof advice,
             "make room on that disk, or pawl-broker --map %lluMiB --state DIR",
             (unsigned long long)(least >> 20) + 1);
    die(ERR_STORE_FULL, why, advice);
}

static void open_store(broker_t *broker, const conf_t *conf)
{
    char path[4096], why[4200];
    int64_t holder = 0;
    snprintf(path, sizeof path, "%s/" CHECK_STORE_FOLDER, conf_text(conf, "state"));
    err_t err =
        store_open(&broker->store, path, (uint64_t)conf_number(conf, "map"), LOCK_WAIT_US, &holder);
    if (err == ERR_STORE_LOCKED) {
        snprintf(why, sizeof why, "process %lld has the store %s", (long long)holder, path);
        die(err, why, "stop that broker first, or use another --state");
    }
    if (err != ERR_OK) die(err, path, "pawl-broker --check --state DIR");
    core_config_t config;
    core_config_default(&config);
    config.lease_us = conf_number(conf, "lease");
    config.suspect_us = conf_number(conf, "suspect");
    config.ping_us = conf_number(conf, "ping");
    config.keep_finished_us = conf_number(conf, "keep.finished");
    config.keep_failed_us = conf_number(conf, "keep.failed");
    config.keep_ledger_us = conf_number(conf, "keep.ledger");
    config.keep_journal_us = conf_number(conf, "keep.journal");
    config.items_max = (uint32_t)conf_number(conf, "limits.items");
    config.requests_in_flight = (uint32_t)conf_number(conf, "limits.requests_in_flight");
    config.items_in_flight = (uint32_t)conf_number(conf, "limits.items_in_flight");
    config.bytes_in_flight = (uint64_t)conf_number(conf, "limits.bytes_in_flight");
    uint8_t random[32];
    random_bytes(random, sizeof random);
    int64_t wall_us = clock_wall_us(), steady_us = clock_steady_us();
    tape_start(broker->tape, &config, wall_us, steady_us, random);
    refuse_small_map(broker->store, &config, path);
    err = core_open(&broker->core, broker->store, &config, wall_us, steady_us, random);
    if (err != ERR_OK) die(err, path, "pawl-broker --check --state DIR");
}

static void open_poison(broker_t *self, const conf_t *conf)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/poison", conf_text(conf, "state"));
    if (poison_open(&self->poison, path) == ERR_OK)
        poison_watch(self->poison);
    else
        log_event(LOG_WARN, "POISON_UNWATCHED", "file=\"%s\" why=\"%s\"", path, strerror(errno));
}

static err_t start(broker_t *self, const conf_t *conf)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/" CHECK_LOGS_FOLDER, conf_text(conf, "state"));
    logs_config_t logs = { .path = path,
                           .map_bytes = (uint64_t)conf_number(conf, "logs.map"),
                           .most_bytes = (uint64_t)conf_number(conf, "logs.size"),
                           .keep_us = conf_number(conf, "keep.logs"),
                           .wait_us = LOCK_WAIT_US };
    readers_config_t readers = { .store = self->store,
                                 .read_log = logs_read,
                                 .keep = { conf_number(conf, "keep.finished"),
                                           conf_number(conf, "keep.failed") } };
    readers.output_max = LIMIT_OUTPUT;
    front_config_t front = { .endpoint = conf_text(conf, "listen"),
                             .door = { .endpoint = conf_text(conf, "tcp"),
                                       .own_file = conf_text(conf, "keys.own"),
                                       .keys_folder = conf_text(conf, "keys.authorized") },
                             .state_dir = conf_text(conf, "state"),
                             .record = self->tape != NULL };
    sessions_config_default(&front.sessions);
    front.sessions.lease_us = conf_number(conf, "lease");
    front.sessions.suspect_us = conf_number(conf, "suspect");
    front.sessions.peers_max = (uint32_t)conf_number(conf, "limits.peers");
    front.sessions.requests_max = (uint32_t)conf_number(conf, "limits.requests_in_flight");
    front.sessions.items_max = (uint32_t)conf_number(conf, "limits.items_in_flight");
    front.sessions.bytes_max = (uint64_t)conf_number(conf, "limits.bytes_in_flight");
    front.sessions.bytes_all_max = (uint64_t)conf_number(conf, "limits.bytes_in_flight_all");
    writer_stats_t *first = writer_stats_take(self->core, self->store);
    front.zones = zones_new(conf_text(conf, "zones.folder"));
    front.zones_every_us = conf_number(conf, "zones.every");
    core_zones(self->core, zones_add, front.zones);
    err_t err = stats_start(&self->stats, conf_text(conf, "stats"), front.sessions.bytes_max);
    if (err == ERR_OK) err = logs_start(&self->logs, &logs);
    readers.read_log_arg = self->logs;
    if (err == ERR_OK) err = readers_start(&self->readers, &readers);
    if (err == ERR_OK)
        err = writer_start(&self->writer, self->core, self->store, self->poison, self->tape);
    if (err != ERR_OK) {
        writer_stats_free(&first);
        zones_destroy(&front.zones);
        return err;
    }
    front.poison = self->poison;
    front.writer = writer_socket(self->writer);
    front.logs = logs_socket(self->logs);
    front.readers = readers_socket(self->readers);
    front.stats = stats_socket(self->stats);
    return front_start(&self->front, &front, first);
}

static void stop(broker_t *self)
{
    front_stop(&self->front); /* everything in hand is answered when it returns */
    readers_close(&self->readers);
    logs_close(&self->logs);
    stats_stop(&self->stats);
    if (self->writer) {
        writer_stop(&self->writer);
    } else {
        core_close(&self->core);
        store_close(&self->store);
    }
    poison_close(&self->poison);
    tape_close(&self->tape);
}

/* What has been answered is durable: a library that does not end must not keep the process. */
static void *leave_anyway(void *arg)
{
    (void)arg;
    sleep(EXIT_WAIT_S);
    _exit(0);
}

static void wait_for_signal(int fd)
{
    struct signalfd_siginfo info;
    ssize_t len;
    do
        len = read(fd, &info, sizeof info);
    while (len < 0 && errno == EINTR);
    log_event(LOG_INFO, "SIGNAL", "number=%u from=%u", len > 0 ? info.ssi_signo : 0,
              len > 0 ? info.ssi_pid : 0);
}

int main(int argc, char **argv)
{
    options_t options = { 0 };
    static const struct argp parser = { flags,
                                        on_flag,
                                        NULL,
                                        "The broker of Pawl: keeps tasks and schedules, and gives "
                                        "work to executors.",
                                        NULL,
                                        NULL,
                                        NULL };
    standard_files_open();
    argv_check("pawl-broker", flags, argc, argv);
    argp_parse(&parser, argc, argv, 0, NULL, &options);
    configure(&options);
    conf_t *conf = options.conf;
    if (options.check_config) {
        conf_print(conf, stdout);
        conf_destroy(&conf);
        return 0;
    }
    log_open("broker", conf_bool(conf, "debug") ? LOG_DEBUG : LOG_INFO);
    harden();
    if (options.check) {
        int code = broker_check(conf_text(conf, "state"), stdout);
        conf_destroy(&conf);
        return code;
    }
    make_state(conf_text(conf, "state"));
    int signals = take_signals();
    broker_t broker = { 0 };
    if (options.record && tape_open(&broker.tape, options.record) != ERR_OK)
        die(ERR_OS, options.record, "pawl-broker --record FILE");
    open_store(&broker, conf);
    open_poison(&broker, conf); /* the store's lock makes the file ours */
    prepare_czmq();
    err_t err = start(&broker, conf);
    if (err == ERR_OK) {
        printf("ready pid=%d listen=%s stats=%s\n", (int)getpid(), conf_text(conf, "listen"),
               conf_text(conf, "stats"));
        fflush(stdout);
        wait_for_signal(signals);
    } else {
        fprintf(stderr,
                "pawl-broker: it cannot start\n  why:  %s; the line before says where\n"
                "  then: pawl-broker --check-config shows folders and endpoints\n",
                err_text(err));
    }
    stop(&broker);
    conf_destroy(&conf);
    close(signals);
    pthread_t watchdog;
    if (err == ERR_OK && pthread_create(&watchdog, NULL, leave_anyway, NULL) == 0)
        pthread_detach(watchdog);
    zsys_shutdown();
    return err_exit_code(err);
}
