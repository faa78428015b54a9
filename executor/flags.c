/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/flags.h"

#include <argp.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/base/argv.h"
#include "executor/refuse.h"

struct flags {
    executor_config_t *config;
    const char *file;
    const char *value[6]; /* of the keys below; applied after file and environment */
    char **labels;
    size_t label_count;
    bool print;
};
static const struct {
    int letter;
    const char *key;
} flag_keys[] = {
    { 's', "state_dir" }, { 'b', "broker" }, { 'n', "name" }, { 'j', "slots" }, { 'k', "key" }
};

static const struct argp_option options[] = {
    { "config", 'c', "FILE", 0, "configuration (YAML; section executor)", 0 },
    { "state", 's', "DIR", 0, "folder for lock, outbox and work", 0 },
    { "key", 'k', "FILE", 0, "the key that a tcp endpoint needs", 1 },
    { "broker", 'b', "ENDPOINT", 0, "where the broker listens, e.g. ipc:///run/pawl/broker.sock",
      0 },
    { "name", 'n', "NAME", 0, "name of this executor (default: host name)", 0 },
    { "slots", 'j', "N", 0, "commands run at once (default: number of CPUs)", 0 },
    { "labels", 'l', "KEY=VALUE", 0, "labels, with commas or repeated", 0 },
    { "check-config", 'C', NULL, 0, "print the configuration in force and exit", 0 },
    { "print-config", 0, NULL, OPTION_ALIAS, NULL, 0 },
    { 0 }
};
/* Seen by the C library, though everything else is hidden. */
__attribute__((visibility("default"))) const char *argp_program_version =
    "pawl-executor " PAWL_VERSION;

static error_t parse_flag(int letter, char *value, struct argp_state *state)
{
    struct flags *flags = state->input;
    if (letter == 'c') {
        flags->file = value;
    } else if (letter == 'C') {
        flags->print = true;
    } else if (letter == 'l') {
        flags->labels = mem_grow(flags->labels, (flags->label_count + 1) * sizeof(char *));
        flags->labels[flags->label_count++] = value;
    } else {
        for (size_t i = 0; i < ARRAY_LEN(flag_keys); i++)
            if (flag_keys[i].letter == letter) {
                flags->value[i] = value;
                return 0;
            }
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static err_t read_config(struct flags *flags, char *why, size_t len)
{
    executor_config_t *config = flags->config;
    err_t err = flags->file ? conf_load_all(config->conf, flags->file, why, len) : ERR_OK;
    if (!err) err = conf_environment(config->conf, CONFIG_ENVIRONMENT, environ, why, len);
    for (size_t i = 0; !err && i < ARRAY_LEN(flag_keys); i++)
        if (flags->value[i])
            err =
                conf_set(config->conf, flag_keys[i].key, flags->value[i], "command line", why, len);
    for (size_t i = 0; !err && i < flags->label_count; i++)
        err = conf_add(config->conf, "labels", flags->labels[i], "--labels", why, len);
    return err ? err : config_complete(config, why, len);
}

bool flags_read(int argc, char **argv, executor_config_t *config, int *exit_code)
{
    struct flags flags = { .config = config };
    const struct argp parser = { options,
                                 parse_flag,
                                 NULL,
                                 "Runs commands and scripts that the broker leases to it.\v"
                                 "TERM or INT drains; a second one stops at once.\n\n"
                                 "In a container, PAWL_CONTAINER_NAME and PAWL_CONTAINER_IMAGE "
                                 "tell lists what cannot be seen from inside.",
                                 NULL,
                                 NULL,
                                 NULL };
    argv_check("pawl-executor", options, argc, argv);
    argp_parse(&parser, argc, argv, 0, NULL, &flags);
    char why[512];
    err_t err = read_config(&flags, why, sizeof why);
    free(flags.labels);
    if (!err && !flags.print) return true;
    if (!err) conf_print(config->conf, stdout);
    *exit_code = err ? refuse(EXIT_USAGE, "the configuration is wrong", why, REFUSE_ALL_KEYS) : 0;
    return false;
}
