/* SPDX-License-Identifier: Apache-2.0
 * client/cli/keys.c - pawl key: makes, lists and removes the files that let a peer of another
 * machine in. Works on the broker's machine, on files alone; a running broker sees the change
 * within seconds. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

#include "client/base/keyfile.h"
#include "client/cli/handlers.h"
#include "client/cli/output.h"
#include "client/cli/programs.h"

/* "" when -b or PAWL_BROKER names a broker whose folder is not on this machine. */
static const char *keys_folder(cli_t *cli)
{
    const char *folder = args_text(&cli->args, "keys"), *broker = args_text(&cli->args, "broker");
    if (folder) return folder;
    if (!broker) broker = getenv("PAWL_BROKER");
    if (!broker || !*broker) return say("%s/keys", default_state());
    const char *state = state_of_endpoint(broker);
    return state ? say("%s/keys", state) : "";
}

/* 0, or the code of a printed error. */
static int check_folder(cli_t *cli)
{
    const char *folder = args_text(&cli->args, "keys");
    if (*keys_folder(cli)) return 0;
    if (folder)
        return fail(EXIT_USAGE, "bad value of --keys", "\"\" names no folder",
                    "--keys DIR, the folder keys below the broker's state");
    return fail(EXIT_USAGE, "whose keys?",
                "-b or PAWL_BROKER names a broker whose folder is not on this machine",
                "this on the broker's machine, or --keys DIR");
}

static const char *public_path(cli_t *cli, const char *name)
{
    return say("%s/authorized/%s.pub", keys_folder(cli), name);
}

static void draw(keyfile_t *keys, const char *name, const char *role)
{
    memset(keys, 0, sizeof *keys);
    snprintf(keys->name, sizeof keys->name, "%s", name);
    snprintf(keys->role, sizeof keys->role, "%s", role);
    CHECK(zmq_curve_keypair(keys->public_key, keys->secret_key) == 0); /* only without CURVE */
}

/* With the folders above it; nobody else gets into those that are made. */
static bool make_folder(const char *path)
{
    char *part = strdup(path);
    CHECK(part != NULL);
    bool good = true;
    for (char *slash = part + 1; good && (slash = strchr(slash, '/')) != NULL; *slash++ = '/') {
        *slash = '\0';
        good = mkdir(part, 0700) == 0 || errno == EEXIST;
    }
    free(part);
    return good && (mkdir(path, 0700) == 0 || errno == EEXIST);
}

/* ---- new ------------------------------------------------------------------------------------- */

/* The broker's own public key; its pair is drawn when there is none. */
static int broker_key(cli_t *cli, char public_key[KEY_TEXT])
{
    const char *path = say("%s/broker.key", keys_folder(cli));
    char why[600];
    keyfile_t keys;
    err_t err = keyfile_read(path, true, &keys, why, sizeof why);
    if (err == ERR_NOT_FOUND) {
        draw(&keys, "broker", "");
        err = keyfile_write(path, &keys, why, sizeof why);
        if (err == ERR_OK) cli_note(cli, "made the broker's key %s", path);
    }
    if (err != ERR_OK)
        return fail(EXIT_FAILED, "there is no key of the broker", why,
                    "--keys DIR names a folder of your own");
    memcpy(public_key, keys.public_key, KEY_TEXT);
    keyfile_wipe(&keys);
    return 0;
}

/* The secret file first: a public one without it would let nobody in, but stand in the way. */
static int write_pair(cli_t *cli, keyfile_t *keys, const char *secret_file)
{
    char why[600];
    const char *what = say("cannot make the key of %s", keys->name);
    const char *public_file = public_path(cli, keys->name);
    if (access(public_file, F_OK) == 0)
        return fail(EXIT_CONFLICT, what, say("%s has a key already: %s", keys->name, public_file),
                    say("pawl key rm %s, and then this again", keys->name));
    if (keyfile_write(secret_file, keys, why, sizeof why) != ERR_OK)
        return fail(EXIT_FAILED, what, why, "--out FILE names another file");
    memset(keys->secret_key, 0, sizeof keys->secret_key);
    memset(keys->broker_key, 0, sizeof keys->broker_key);
    if (keyfile_write(public_file, keys, why, sizeof why) == ERR_OK) return 0;
    unlink(secret_file);
    return fail(EXIT_FAILED, what, why, "--keys DIR names a folder of your own");
}

static json_t *made_json(cli_t *cli, const char *name, const char *role, const char *file)
{
    json_t *deed = cli_deed(cli, name, "new");
    json_object_set_new(deed, "role", json_string(role));
    json_object_set_new(deed, "file", json_string(file));
    json_object_set_new(deed, "public_file", json_string(public_path(cli, name)));
    return deed;
}

int cmd_key_new(cli_t *cli)
{
    const char *name = cli->args.words[0], *role = args_text(&cli->args, "role");
    const char *out = args_text(&cli->args, "out"), *folder = keys_folder(cli);
    if (!role) role = "executor";
    if (!out) out = say("%s.key", name);
    if (!keyfile_is_name(name))
        return fail(EXIT_USAGE, say("cannot make a key named %s", name),
                    "a name has letters, digits, . _ - and at most 64 bytes",
                    "pawl key new web-07 --role executor");
    int code = check_folder(cli);
    if (code) return code;
    if (cli->dry_run)
        return cli_done(cli, made_json(cli, name, role, out), "would make %s and %s", out,
                        public_path(cli, name));
    if (!make_folder(say("%s/authorized", folder)))
        return fail(EXIT_FAILED, say("cannot use the folder %s", folder), strerror(errno),
                    "--keys DIR names a folder of your own");
    keyfile_t keys;
    draw(&keys, name, role);
    code = broker_key(cli, keys.broker_key);
    if (!code) code = write_pair(cli, &keys, out);
    keyfile_wipe(&keys);
    if (code) return code;
    if (output_is_json()) return output_object(made_json(cli, name, role, out));
    printf("%s\n", out);
    cli_note(cli,
             "%s may come as %s; move the file to its machine (it is secret), and there:", name,
             role);
    cli_note(cli,
             strcmp(role, "executor") == 0
                 ? "  pawl-executor --broker tcp://BROKER:6411 --key FILE --name %s --state DIR"
             : strcmp(role, "scheduler") == 0
                 ? "  pawl-scheduler --broker tcp://BROKER:6411 --key FILE --name %s"
                 : "  pawl -b tcp://BROKER:6411 --key-file FILE task list   # as %s",
             name);
    return 0;
}

/* ---- list, rm -------------------------------------------------------------------------------- */

static int is_public(const struct dirent *entry)
{
    size_t len = strlen(entry->d_name);
    return len > 4 && entry->d_name[0] != '.' && strcmp(entry->d_name + len - 4, ".pub") == 0;
}

static const column_t key_columns[] = {
    { "name", "", AS_GIVEN, IN_TABLE },
    { "role", "", AS_GIVEN, IN_TABLE },
    { "public", "", AS_GIVEN, IN_TABLE },
    { 0 },
};

int cmd_key_list(cli_t *cli)
{
    const char *folder = say("%s/authorized", keys_folder(cli));
    struct dirent **entries = NULL;
    int code = check_folder(cli);
    if (code) return code;
    int n = scandir(folder, &entries, is_public, alphasort);
    if (n < 0 && errno != ENOENT)
        return fail(EXIT_FAILED, say("cannot list %s", folder), strerror(errno),
                    "the user that runs the broker can");
    output_t *output = output_new(key_columns, 0);
    for (int i = 0; i < n; i++) {
        char why[600];
        keyfile_t keys;
        const char *path = say("%s/%s", folder, entries[i]->d_name);
        if (keyfile_read(path, false, &keys, why, sizeof why) == ERR_OK)
            output_row(output, json_pack("{s:s, s:s, s:s}", "name", keys.name, "role", keys.role,
                                         "public", keys.public_key));
        else
            code = fail(EXIT_PARTLY, say("cannot read %s", path), why, "mend or remove the file");
        free(entries[i]);
    }
    free(entries);
    int printed = output_end(&output);
    return printed ? printed : code;
}

int cmd_key_rm(cli_t *cli)
{
    const char *name = cli->args.words[0], *path = public_path(cli, name);
    const char *what = say("cannot remove the key of %s", name);
    if (!keyfile_is_name(name)) return fail(EXIT_USAGE, what, "that is no name", "pawl key list");
    int code = check_folder(cli);
    if (code) return code;
    if (access(path, F_OK) != 0)
        return fail(errno == ENOENT ? EXIT_NOT_FOUND : EXIT_FAILED, what,
                    say("%s: %s", path, strerror(errno)), "pawl key list");
    if (cli->dry_run) return cli_done(cli, cli_deed(cli, name, "rm"), "would remove %s", path);
    if (unlink(path) != 0)
        return fail(EXIT_FAILED, what, strerror(errno), "the user that runs the broker can");
    return cli_done(cli, cli_deed(cli, name, "rm"),
                    "%s is out within seconds: a running broker ends its sessions", name);
}
