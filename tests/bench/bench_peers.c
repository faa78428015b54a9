/* SPDX-License-Identifier: Apache-2.0
 * bench_peers - the same work on the servers people use today, for figures of the same run.
 *
 *   bench_peers redis-stream PORT producers=4 window=64 executors=4 credit=64 seconds=2
 *   bench_peers beanstalkd   PORT producers=4 window=64 executors=4 seconds=2
 *
 * Producers keep `window` jobs of 200 bytes in flight (pipelined), workers take up to `credit` at
 * once where the protocol can, acknowledge them and take the next in one write. Prints acknowledged
 * jobs a second. Plain sockets on 127.0.0.1, poll, one thread. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/base/base.h"
#include "client/base/clock.h"

enum { PEERS_MAX = 64, PAYLOAD = 200 };

typedef struct conn {
    int fd;
    bool worker;
    buf_t in, out;
    size_t sent;
    long in_flight; /* producer: jobs; worker: replies awaited */
    long acks;      /* worker: jobs in the acknowledgement under way */
} conn_t;

static conn_t conns[PEERS_MAX];
static long n_producers = 4, n_executors = 4, window = 64, credit = 64, seconds = 2;
static uint64_t done;
static char body[PAYLOAD + 1];

static int dial(int port)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0) {
        perror("connect");
        exit(1);
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static void flush_out(conn_t *c)
{
    while (c->sent < c->out.len) {
        ssize_t n = send(c->fd, c->out.at + c->sent, c->out.len - c->sent, MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN) return;
        if (n <= 0) exit(1);
        c->sent += (size_t)n;
    }
    c->out.len = c->sent = 0;
}

static void take_in(conn_t *c)
{
    for (;;) {
        buf_need(&c->in, 65536);
        ssize_t n = recv(c->fd, c->in.at + c->in.len, c->in.room - c->in.len, MSG_DONTWAIT);
        if (n <= 0) return;
        c->in.len += (size_t)n;
    }
}

static void drop(conn_t *c, size_t len)
{
    memmove(c->in.at, c->in.at + len, c->in.len - len);
    c->in.len -= len;
}

/* ---- redis: RESP ----------------------------------------------------------------------------- */

/* Length of the whole reply at `at`, 0 while it is not there yet. */
static size_t resp_len(const char *at, size_t len)
{
    const char *end = memmem(at, len, "\r\n", 2);
    if (end == NULL) return 0;
    size_t head = (size_t)(end - at) + 2;
    if (*at == '$') {
        long n = atol(at + 1);
        size_t whole = n < 0 ? head : head + (size_t)n + 2;
        return whole <= len ? whole : 0;
    }
    if (*at == '*') {
        long n = atol(at + 1);
        size_t used = head;
        for (long i = 0; i < n; i++) {
            size_t one = used < len ? resp_len(at + used, len - used) : 0;
            if (one == 0) return 0;
            used += one;
        }
        return used;
    }
    return head;
}

static void redis_take(conn_t *c)
{
    buf_printf(&c->out,
               "*9\r\n$10\r\nXREADGROUP\r\n$5\r\nGROUP\r\n$1\r\ng\r\n$3\r\nw%02d\r\n$5\r\nCOUNT\r\n"
               "$%d\r\n%ld\r\n$7\r\nSTREAMS\r\n$1\r\ns\r\n$1\r\n>\r\n",
               (int)(c - conns), snprintf(NULL, 0, "%ld", credit), credit);
    c->in_flight++;
}

/* Ids in an XREADGROUP reply are bulk strings with a dash between digits, before their fields. */
static long redis_ack(conn_t *c, const char *at, size_t len)
{
    static buf_t ids;
    long n = 0;
    ids.len = 0;
    for (const char *p = at; (p = memmem(p, len - (size_t)(p - at), "*2\r\n$", 5)) != NULL;
         p += 5) {
        const char *start = memmem(p + 5, 12, "\r\n", 2);
        const char *end = start ? memmem(start + 2, 40, "\r\n", 2) : NULL;
        if (end == NULL || memchr(start + 2, '-', (size_t)(end - start - 2)) == NULL) continue;
        buf_printf(&ids, "$%d\r\n%.*s\r\n", (int)(end - start - 2), (int)(end - start - 2),
                   start + 2);
        n++;
    }
    if (n) {
        buf_printf(&c->out, "*%ld\r\n$4\r\nXACK\r\n$1\r\ns\r\n$1\r\ng\r\n", n + 3);
        buf_add(&c->out, ids.at, ids.len);
        c->in_flight++;
    }
    return n;
}

static void redis_step(conn_t *c)
{
    size_t used = 0;
    for (size_t len;
         used < c->in.len && (len = resp_len((char *)c->in.at + used, c->in.len - used)) > 0;
         used += len) {
        const char *at = (char *)c->in.at + used;
        c->in_flight--;
        if (*at == '-') {
            fprintf(stderr, "redis: %.*s\n", (int)len, at);
            exit(1);
        }
        if (!c->worker) continue;
        if (*at == ':')
            done += (uint64_t)atol(at + 1);
        else
            redis_ack(c, at, len);
    }
    drop(c, used);
    if (c->worker && c->in_flight == 0) {
        redis_take(c);
    } else if (c->worker && c->out.len && c->in_flight == 1) {
        redis_take(c); /* acknowledge and take in one write */
    }
    while (!c->worker && c->in_flight < window) {
        buf_printf(&c->out, "*5\r\n$4\r\nXADD\r\n$1\r\ns\r\n$1\r\n*\r\n$1\r\nb\r\n$%d\r\n%s\r\n",
                   PAYLOAD, body);
        c->in_flight++;
    }
}

/* ---- beanstalkd ------------------------------------------------------------------------------ */

static void beanstalk_step(conn_t *c)
{
    size_t used = 0;
    for (;;) {
        const char *at = (char *)c->in.at + used;
        size_t left = c->in.len - used;
        const char *end = left ? memmem(at, left, "\r\n", 2) : NULL;
        if (end == NULL) break;
        size_t len = (size_t)(end - at) + 2;
        if (strncmp(at, "RESERVED ", 9) == 0) {
            long id = 0, size = 0;
            if (sscanf(at, "RESERVED %ld %ld", &id, &size) != 2 || left < len + (size_t)size + 2)
                break;
            len += (size_t)size + 2;
            buf_printf(&c->out, "delete %ld\r\nreserve\r\n", id);
        } else if (strncmp(at, "DELETED", 7) == 0) {
            done++;
        } else if (strncmp(at, "INSERTED", 8) == 0) {
            c->in_flight--;
        }
        used += len;
    }
    drop(c, used);
    while (!c->worker && c->in_flight < window) {
        buf_printf(&c->out, "put 1 0 60 %d\r\n%s\r\n", PAYLOAD, body);
        c->in_flight++;
    }
}

int main(int argc, char **argv)
{
    struct {
        const char *name;
        long *value;
    } known[] = { { "producers=", &n_producers },
                  { "executors=", &n_executors },
                  { "window=", &window },
                  { "credit=", &credit },
                  { "seconds=", &seconds } };
    if (argc < 3) {
        fprintf(stderr, "usage: bench_peers redis-stream|beanstalkd PORT [key=value ...]\n");
        return 2;
    }
    bool redis = strcmp(argv[1], "redis-stream") == 0;
    for (int i = 3; i < argc; i++)
        for (size_t k = 0; k < ARRAY_LEN(known); k++)
            if (strncmp(argv[i], known[k].name, strlen(known[k].name)) == 0)
                *known[k].value = atol(argv[i] + strlen(known[k].name));
    memset(body, 'x', PAYLOAD);
    long n = n_producers + n_executors;
    for (long i = 0; i < n; i++) {
        conns[i].fd = dial(atoi(argv[2]));
        conns[i].worker = i >= n_producers;
    }
    if (redis) { /* the group, once; an old stream is removed */
        buf_printf(&conns[0].out, "DEL s\r\nXGROUP CREATE s g $ MKSTREAM\r\n");
        conns[0].in_flight = 2;
    }
    for (long i = n_producers; !redis && i < n; i++)
        buf_printf(&conns[i].out, "reserve\r\n");
    flush_out(&conns[0]);
    while (redis && conns[0].in_flight) {
        struct pollfd one = { conns[0].fd, POLLIN, 0 };
        poll(&one, 1, 1000);
        take_in(&conns[0]);
        size_t len;
        while (conns[0].in.len && (len = resp_len((char *)conns[0].in.at, conns[0].in.len)) > 0) {
            drop(&conns[0], len);
            conns[0].in_flight--;
        }
    }
    int64_t begin = clock_steady_us(), end = begin + seconds * 1000000;
    while (clock_steady_us() < end) {
        struct pollfd fds[PEERS_MAX];
        for (long i = 0; i < n; i++) {
            if (redis)
                redis_step(&conns[i]);
            else
                beanstalk_step(&conns[i]);
            flush_out(&conns[i]);
            fds[i] = (struct pollfd){ conns[i].fd, POLLIN, 0 };
            if (conns[i].out.len) fds[i].events |= POLLOUT;
        }
        poll(fds, (nfds_t)n, 100);
        for (long i = 0; i < n; i++)
            if (fds[i].revents & POLLIN) take_in(&conns[i]);
    }
    printf("cycles=%.0f\n", (double)done / ((double)(clock_steady_us() - begin) / 1e6));
    return 0;
}
