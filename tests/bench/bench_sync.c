/* SPDX-License-Identifier: Apache-2.0
 * bench_sync - the machine's own sync rate: append 4 KiB + fdatasync, and overwrite 4 KiB of a
 * written file + fdatasync, for a second each, in the folder given; then what a submit and its
 * lease need of the disk alone (four syncs in a row, 16 KiB each) at 200 a second, from the planned
 * instant on, for four seconds: its tail is the disk's, and a slow one delays those behind it as it
 * does in the broker. Prints key=value pairs. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/base/base.h"
#include "client/base/clock.h"

enum { PAGE = 4096, PAGES = 4096, SAMPLES = 100000 };

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void measure(const char *what, int fd, bool append)
{
    static int64_t took[SAMPLES];
    static char page[PAGE];
    size_t n = 0;
    int64_t end = clock_steady_us() + 1000000;
    for (int64_t at = 0, now = 0; now < end && n < SAMPLES; at++) {
        int64_t begin = clock_steady_us();
        memset(page, (int)at, sizeof page);
        off_t where = (off_t)(append ? at : at % PAGES) * PAGE;
        if (pwrite(fd, page, sizeof page, where) != PAGE || fdatasync(fd) != 0) {
            perror("bench_sync");
            exit(1);
        }
        now = clock_steady_us();
        took[n++] = now - begin;
    }
    qsort(took, n, sizeof *took, compare);
    printf("%s_per_second=%zu %s_p50_us=%lld %s_p99_us=%lld ", what, n, what,
           (long long)took[n / 2], what, (long long)took[n * 99 / 100]);
}

static void measure_paced(int fd)
{
    enum { N = 800, EVERY_US = 5000, SYNCS = 4 };
    static int64_t took[N];
    static char pages[4 * PAGE];
    off_t where = 0;
    int64_t begin = clock_steady_us();
    for (int i = 0; i < N; i++) {
        int64_t planned = begin + (int64_t)i * EVERY_US, wait = planned - clock_steady_us();
        if (wait > 0) usleep((useconds_t)wait);
        for (int k = 0; k < SYNCS; k++, where += (off_t)sizeof pages)
            if (pwrite(fd, pages, sizeof pages, where) != sizeof pages || fdatasync(fd) != 0) {
                perror("bench_sync");
                exit(1);
            }
        took[i] = clock_steady_us() - planned;
    }
    qsort(took, N, sizeof *took, compare);
    printf("paced_p50_us=%lld paced_p99_us=%lld ", (long long)took[N / 2],
           (long long)took[N * 99 / 100]);
}

int main(int argc, char **argv)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/bench_sync.tmp", argc > 1 ? argv[1] : ".");
    int fd = open(path, O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0) {
        perror(path);
        return 1;
    }
    measure("append", fd, true);
    if (ftruncate(fd, 0) != 0) return 1;
    measure_paced(fd);
    if (ftruncate(fd, 0) != 0) return 1;
    static char page[PAGE];
    for (int i = 0; i < PAGES; i++)
        if (pwrite(fd, page, sizeof page, (off_t)i * PAGE) != PAGE) return 1;
    fsync(fd);
    measure("overwrite", fd, false);
    printf("\n");
    close(fd);
    unlink(path);
    return 0;
}
