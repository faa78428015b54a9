/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/process/lean.h"

#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#elif defined(__has_feature)
#define SANITIZED (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#else
#define SANITIZED false
#endif

struct mapping {
    uintptr_t from, to;
    char path[256];
};

/* The next mapping of a shared library. */
static bool next_library(FILE *maps, struct mapping *mapping)
{
    char line[512];
    while (fgets(line, sizeof line, maps)) {
        unsigned long from, to;
        *mapping->path = 0;
        if (sscanf(line, "%lx-%lx %*s %*s %*s %*s %255s", &from, &to, mapping->path) < 3) continue;
        if (*mapping->path != '/' || !strstr(mapping->path, ".so")) continue;
        mapping->from = from;
        mapping->to = to;
        return true;
    }
    return false;
}

/* Are all calls into libraries resolved already? */
static bool is_bound(void)
{
    for (const ElfW(Dyn) *entry = _DYNAMIC; entry->d_tag != DT_NULL; entry++)
        if ((entry->d_tag == DT_FLAGS && (entry->d_un.d_val & DF_BIND_NOW)) ||
            (entry->d_tag == DT_FLAGS_1 && (entry->d_un.d_val & DF_1_NOW)))
            return true;
    return false;
}

enum { KEPT = 2 };

/* The files of the C library and the loader: those that hold these addresses. */
static bool find_kept(FILE *maps, char kept[KEPT][256])
{
    const uintptr_t inside[KEPT] = { (uintptr_t)&malloc, (uintptr_t)getauxval(AT_BASE) };
    struct mapping mapping;
    unsigned found = 0;
    while (next_library(maps, &mapping))
        for (int i = 0; i < KEPT; i++)
            if (mapping.from <= inside[i] && inside[i] < mapping.to) {
                memcpy(kept[i], mapping.path, sizeof mapping.path);
                found++;
            }
    return found == KEPT;
}

unsigned lean_children(void)
{
    unsigned left_out = 0;
    FILE *maps = SANITIZED || !is_bound() ? NULL : fopen("/proc/self/maps", "re");
    if (!maps) return 0;
    char kept[KEPT][256];
    struct mapping mapping;
    bool known = find_kept(maps, kept);
    rewind(maps);
    while (known && next_library(maps, &mapping)) {
        bool keep = strcmp(mapping.path, kept[0]) == 0 || strcmp(mapping.path, kept[1]) == 0;
        if (!keep && madvise((void *)mapping.from, mapping.to - mapping.from, MADV_DONTFORK) == 0)
            left_out++;
    }
    fclose(maps);
    return left_out;
}
