/* SPDX-License-Identifier: Apache-2.0
 * client/machine.c - CPUs, memory, system and load of the machine. */
#include "client/machine.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "schemas/wire.h"

/* What a broker takes as a line. */
static void put(char to[MACHINE_TEXT], const char *text)
{
    wire_text_line(to, MACHINE_TEXT, text, strlen(text));
}

/* PRETTY_NAME="Debian GNU/Linux 12 (bookworm)", quotes or none. */
static bool read_os(const char *root, const char *path, char os[MACHINE_TEXT])
{
    static const char key[] = "PRETTY_NAME=";
    char line[512];
    snprintf(line, sizeof line, "%s%s", root, path);
    FILE *file = fopen(line, "re");
    if (!file) return false;
    while (!os[0] && fgets(line, sizeof line, file)) {
        if (strncmp(line, key, sizeof key - 1) != 0) continue;
        char *value = line + sizeof key - 1;
        value[strcspn(value, "\n")] = '\0';
        if (*value == '"' || *value == '\'') {
            char *end = strrchr(value + 1, *value);
            if (end) *end = '\0';
            value++;
        }
        put(os, value);
    }
    fclose(file);
    return os[0] != '\0';
}

void machine_find(const char *root, machine_t *machine)
{
    *machine = (machine_t){ 0 };
    cpu_set_t set;
    struct utsname name;
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    if (sched_getaffinity(0, sizeof set, &set) == 0) cpus = CPU_COUNT(&set);
    if (cpus > 0) machine->cpus = (uint32_t)cpus;
    if (pages > 0 && page > 0) machine->memory_bytes = (uint64_t)pages * (uint64_t)page;
    if (!read_os(root, "/etc/os-release", machine->os))
        read_os(root, "/usr/lib/os-release", machine->os);
    if (uname(&name) == 0) {
        char kernel[sizeof name.sysname + sizeof name.release + 1];
        snprintf(kernel, sizeof kernel, "%s %s", name.sysname, name.release);
        put(machine->kernel, kernel);
    }
}

bool machine_load(uint32_t *milli)
{
    enum { MOST = 1000000 }; /* more than any machine has; the number must fit */
    double load[1];
    if (getloadavg(load, 1) != 1 || !(load[0] >= 0)) return false;
    *milli = (uint32_t)((load[0] < MOST ? load[0] : MOST) * 1000);
    return true;
}

enum { LOAD_LOOK_US = 10000000 };

bool load_is_news(load_told_t *self, int64_t now_us)
{
    uint32_t milli, told = self->milli;
    if (now_us < self->look_us) return false;
    self->look_us = now_us + LOAD_LOOK_US;
    if (!machine_load(&milli)) return false;
    return !self->any || (milli > told ? milli - told : told - milli) > 100 + told / 8;
}

void load_note(load_told_t *self, uint32_t milli, int64_t now_us)
{
    *self = (load_told_t){ true, milli, now_us + LOAD_LOOK_US };
}
