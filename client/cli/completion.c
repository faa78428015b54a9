/* SPDX-License-Identifier: Apache-2.0
 * client/cli/completion.c - pawl completion bash: the command table as a script by which bash
 * completes words. What follows from the table is printed from it; the rest is the text below.
 *
 * A flag is told as --name or --name,-l; behind it :VALUE when it takes one, =a|b|c when that is
 * one of these words. Names come from the broker and are never expanded by the shell. */
#include <stdio.h>
#include <string.h>

#include "client/cli/handlers.h"

static const char script[] =
    "_pawl_names() { # NOUN CUR: what there is of it, as far as the broker answers at once\n"
    "    local name list\n"
    "    case $1 in\n"
    "    task) list=(task list --newest-first --limit 50) ;;\n"
    "    key) list=(key list) ;; # as many as the broker's file has\n"
    "    *) list=(\"$1\" list --limit 1000) ;;\n"
    "    esac\n"
    "    while IFS= read -r name; do\n"
    "        [[ $name == \"$2\"* ]] && COMPREPLY+=(\"$(printf %q \"$name\")\")\n"
    "    done < <(\"${COMP_WORDS[0]}\" \"${list[@]}\" -o id -q --timeout "
    "\"${PAWL_COMPLETE_TIMEOUT:-300ms}\" 2>/dev/null "
    "</dev/null)\n"
    "}\n"
    "_pawl_words() { # CUR WORD...\n"
    "    local cur=$1 word\n"
    "    for word in \"${@:2}\"; do [[ $word == \"$cur\"* ]] && COMPREPLY+=(\"$word\"); done\n"
    "}\n"
    "_pawl_files() { # CUR\n"
    "    local file\n"
    "    compopt -o filenames 2>/dev/null\n"
    "    while IFS= read -r file; do COMPREPLY+=(\"$file\"); done < <(compgen -f -- \"$1\")\n"
    "}\n"
    "_pawl_flag() { # FLAG COMMAND: its entry\n"
    "    local entry name\n"
    "    for entry in $(_pawl_flags \"$2\"); do\n"
    "        name=${entry%%[:=]*}\n"
    "        if [[ ${name%%,*} == \"$1\" || ${name#*,} == \"$1\" ]]; then echo \"$entry\"; return; "
    "fi\n"
    "    done\n"
    "}\n"
    "_pawl_value() { # ENTRY CUR\n"
    "    local name=${1%%[:=]*} IFS='|'\n"
    "    case $name${1#\"$name\"} in\n"
    "    --output,*) _pawl_words \"$2\" table wide json ndjson csv yaml id ;;\n"
    "    --schedule:* | --executor:* | --queue:* | --calendar:*) _pawl_names \"${name#--}\" \"$2\" "
    ";;\n"
    "    \"$name\"=*) _pawl_words \"$2\" ${1#*=} ;;\n"
    "    \"$name\":*FILE* | \"$name\":*DIR*) _pawl_files \"$2\" ;;\n"
    "    esac\n"
    "}\n"
    "_pawl() {\n"
    "    local cur=${COMP_WORDS[COMP_CWORD]} command='' words=0 entry='' word i\n"
    "    local -\n"
    "    set -f # the table has signs of patterns\n"
    "    COMPREPLY=()\n"
    "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
    "        word=${COMP_WORDS[i]}\n"
    "        case $word in\n"
    "        --)\n"
    "            if ((i + 1 == COMP_CWORD)); then\n"
    "                while IFS= read -r word; do COMPREPLY+=(\"$word\"); done < <(compgen -c -- "
    "\"$cur\")\n"
    "            else\n"
    "                _pawl_files \"$cur\"\n"
    "            fi\n"
    "            return ;;\n"
    "        -*)\n"
    "            entry=$(_pawl_flag \"$word\" \"$command\")\n"
    "            [[ $entry == *[:=]* ]] || continue\n"
    "            [[ ${COMP_WORDS[i + 1]} == = ]] && ((i++))\n"
    "            ((i++))\n"
    "            if ((i >= COMP_CWORD)); then\n"
    "                [[ $cur == = ]] && cur=''\n"
    "                _pawl_value \"$entry\" \"$cur\"\n"
    "                return\n"
    "            fi ;;\n"
    "        *)\n"
    "            if [[ -z $command && $word == help ]]; then\n"
    "                continue\n"
    "            elif [[ -z $command ]]; then\n"
    "                command=$word\n"
    "            elif [[ $command != *' '* && -n $(_pawl_verbs \"$command\") ]]; then\n"
    "                command=\"$command $word\"\n"
    "            else\n"
    "                ((words++))\n"
    "            fi ;;\n"
    "        esac\n"
    "    done\n"
    "    if [[ $cur == -* ]]; then\n"
    "        for entry in $(_pawl_flags \"$command\"); do\n"
    "            word=${entry%%[:=,]*}\n"
    "            [[ $word == \"$cur\"* ]] && COMPREPLY+=(\"$word\")\n"
    "        done\n"
    "    elif [[ $command != *' '* && -n $(_pawl_verbs \"$command\") ]]; then\n"
    "        _pawl_words \"$cur\" $(_pawl_verbs \"$command\")\n"
    "    else\n"
    "        for word in $(_pawl_takes \"$command\" \"$words\"); do\n"
    "            case $word in\n"
    "            file) _pawl_files \"$cur\" ;;\n"
    "            *) _pawl_names \"$word\" \"$cur\" ;;\n"
    "            esac\n"
    "        done\n"
    "    fi\n"
    "}\n"
    "complete -F _pawl pawl\n";

static bool is_of(const command_t *command, const char *noun)
{
    size_t len = strlen(noun);
    return strncmp(command->name, noun, len) == 0 && command->name[len] == ' ';
}

static bool has_verbs(const char *noun)
{
    for (const command_t *command = commands; command->name; command++)
        if (is_of(command, noun)) return true;
    return false;
}

static void print_verbs(void)
{
    printf("_pawl_verbs() { # NOUN, or nothing\n    case $1 in\n    '') echo");
    for (const command_t *command = commands; command->name; command++) {
        if (!strchr(command->name, ' ')) printf(" %s", command->name);
        if (command->short_form) printf(" %s", command->short_form);
    }
    printf(" ;;\n");
    for (const command_t *noun = commands; noun->name; noun++) {
        if (strchr(noun->name, ' ') || !has_verbs(noun->name)) continue;
        printf("    %s) echo", noun->name);
        for (const command_t *command = commands; command->name; command++)
            if (is_of(command, noun->name)) printf(" %s", strchr(command->name, ' ') + 1);
        printf(" ;;\n");
    }
    printf("    esac\n}\n");
}

static void print_flag_list(const flag_t *list)
{
    for (; list && list->name; list++) {
        printf(" --%s", list->name);
        if (list->letter) printf(",-%c", list->letter);
        if (list->kind == FLAG_SWITCH) continue;
        putchar(list->kind == FLAG_WORD ? '=' : ':');
        /* that file is on another machine */
        const char *value = strcmp(list->name, "script-file") == 0 ? "SCRIPT" : list->value;
        for (const char *at = value; *at; at++)
            putchar(*at == ' ' ? '_' : *at);
    }
}

/* The values stand in quotes: nothing in them is for the shell. */
static void print_flags(void)
{
    printf("_pawl_flags() { # COMMAND\n    case $1 in\n");
    for (const command_t *command = commands; command->name; command++) {
        if (!command->run || !command->flags[0]) continue;
        printf("    '%s'", command->name);
        if (command->short_form) printf(" | %s", command->short_form);
        printf(") echo '");
        for (size_t i = 0; i < FLAG_GROUPS; i++)
            print_flag_list(command->flags[i]);
        printf("' ;;\n");
    }
    printf("    esac\n    echo '");
    print_flag_list(global_flags);
    printf("'\n}\n");
}

/* What the words behind a command are: names of a noun, files. */
static const char *taken_by(const command_t *command)
{
    static const char *const nouns[] = {
        "schedule", "executor", "queue", "calendar", "task", "key"
    };
    const char *words = command->words;
    if (strstr(words, "FILE") || strstr(words, "DIR")) return "file";
    if (strcmp(command->name, "why") == 0) return "task";
    if (strcmp(command->name, "logs") == 0) return "schedule task";
    if (strncmp(command->name, "export ", 7) == 0) return "schedule";
    bool named = strncmp(words, "NAME", 4) == 0 || strncmp(words, "[NAME]", 6) == 0 ||
                 strncmp(words, "ID", 2) == 0;
    const char *verb = strchr(command->name, ' ');
    if (!named || !verb || strcmp(verb, " add") == 0 || strcmp(verb, " new") == 0) return NULL;
    for (size_t i = 0; i < ARRAY_LEN(nouns); i++)
        if (is_of(command, nouns[i])) return nouns[i];
    return NULL;
}

static void print_takes(void)
{
    printf("_pawl_takes() { # COMMAND, how many words it has\n    case $1/$2 in\n");
    for (const command_t *command = commands; command->name; command++) {
        const char *taken = command->run ? taken_by(command) : NULL;
        size_t first = strcspn(command->words, " "); /* NAME... goes on, NAME [ENTRY]... not */
        const char *dots = strstr(command->words, "...");
        bool many = dots && (size_t)(dots - command->words) < first;
        if (taken) printf("    '%s/'%s) echo '%s' ;;\n", command->name, many ? "*" : "0", taken);
    }
    printf("    'schedule range/1') echo 'schedule' ;;\n    esac\n}\n");
}

int cmd_completion(cli_t *cli)
{
    const char *shell = cli->args.words[0];
    if (strcmp(shell, "bash") != 0)
        return fail(EXIT_USAGE, say("no completion for %s", text_tamed(shell)),
                    "bash is the shell it is made for", "pawl completion bash");
    printf("# Completes words of pawl in bash: source <(pawl completion bash)\n"
           "# PAWL_COMPLETE_TIMEOUT: how long names are waited for (300ms).\n");
    print_verbs();
    print_flags();
    print_takes();
    fputs(script, stdout);
    return 0;
}
