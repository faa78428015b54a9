/* SPDX-License-Identifier: Apache-2.0
 * bench_life - durable life cycles through a running broker, by the wire alone.
 *
 * One process, one thread, raw sockets: producers keep a window of tasks in flight, executors take
 * what is assigned and report it at once. A life cycle counts when its completion is acknowledged:
 * accepted durable + lease durable before it was sent + result durable. Prints one line of
 * key=value pairs.
 *
 *   bench_life ENDPOINT producers=4 window=64 batch=64 executors=4 credit=64 seconds=2 [fill=N]
 *              [rate=200]   rate: tasks a second, one by one, and the latency from send to receipt
 *   fill=N: first submits N tasks of a type nobody takes, and reports bytes and seconds */
#include <stdio.h>
#include <stdlib.h>
#include <zmq.h>

#include "client/base/base.h"
#include "client/base/clock.h"
#include "client/base/ulid.h"
#include "schemas/wire.h"

enum { PEERS_MAX = 64, BODY = 200, LATENCIES = 1 << 16 };

typedef struct peer {
    void *socket;
    uint8_t session[16];
    uint64_t seq, assign_seen;
    uint32_t in_flight; /* producer: tasks; executor: reports without an answer */
    struct lease {
        uint8_t id[16];
        uint64_t token;
    } * leases; /* executor: to be reported */
    size_t leases_n;
} peer_t;

static const char *endpoint;
static void *context;
static peer_t producers[PEERS_MAX], executors[PEERS_MAX];
static long n_producers = 4, window = 64, batch = 64, n_executors = 4, credit = 64, seconds = 2;
static long fill, rate, payload = BODY;
static uint64_t accepted, completed, refused;
static wire_arena_t arena;
static buf_t frame;
static int64_t *latencies;
static size_t latencies_n;

static uint8_t *room(void *arg, size_t len)
{
    buf_t *buf = arg;
    buf->len = 0;
    buf_need(buf, len);
    buf->len = len;
    return buf->at;
}

static void send_request(peer_t *peer, Pawl__V1__Request *request)
{
    request->seq = ++peer->seq;
    request->assign_seen = peer->assign_seen;
    if (request->body_case != PAWL__V1__REQUEST__BODY_HELLO) {
        request->session.data = peer->session;
        request->session.len = 16;
    }
    wire_request_pack(request, room, &frame);
    if (zmq_send(peer->socket, frame.at, frame.len, 0) < 0) {
        perror("send");
        exit(1);
    }
}

static void say_hello(peer_t *peer, bool executor, long number)
{
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__Hello hello = PAWL__V1__HELLO__INIT;
    char name[64];
    char *types[] = { (char *)(uintptr_t) "bench/echo" };
    char *all_types[] = { types[0], (char *)(uintptr_t) "bench/nobody" };
    uint8_t incarnation[16];
    random_bytes(incarnation, sizeof incarnation);
    snprintf(name, sizeof name, "bench-%d-%s-%ld", (int)clock_steady_us(), executor ? "x" : "p",
             number);
    hello.minor = WIRE_MINOR;
    hello.role = executor ? PAWL__V1__ROLE__ROLE_EXECUTOR : PAWL__V1__ROLE__ROLE_CLIENT;
    hello.name = name;
    hello.host = (char *)(uintptr_t) "localhost";
    hello.incarnation.data = incarnation;
    hello.incarnation.len = 16;
    if (executor) {
        hello.types = number < 0 ? all_types : types;
        hello.n_types = number < 0 ? 2 : 1;
        hello.slots = hello.credit = number < 0 ? 0 : (uint32_t)credit;
    }
    request.body_case = PAWL__V1__REQUEST__BODY_HELLO;
    request.hello = &hello;
    peer->socket = zmq_socket(context, ZMQ_DEALER);
    int zero = 0, hwm = 100000;
    zmq_setsockopt(peer->socket, ZMQ_LINGER, &zero, sizeof zero);
    zmq_setsockopt(peer->socket, ZMQ_SNDHWM, &hwm, sizeof hwm);
    zmq_setsockopt(peer->socket, ZMQ_RCVHWM, &hwm, sizeof hwm);
    zmq_connect(peer->socket, endpoint);
    send_request(peer, &request);
    zmq_msg_t message;
    zmq_msg_init(&message);
    if (zmq_msg_recv(&message, peer->socket, 0) < 0) exit(1);
    const Pawl__V1__Reply *reply;
    wire_fault_t fault;
    wire_arena_reset(&arena);
    if (wire_reply_decode(&arena, zmq_msg_data(&message), zmq_msg_size(&message), &reply, &fault) ||
        reply->body_case != PAWL__V1__REPLY__BODY_WELCOME) {
        fprintf(stderr, "no welcome: %s\n",
                reply && reply->error ? reply->error->text : fault.text);
        exit(1);
    }
    memcpy(peer->session, reply->welcome->session.data, 16);
    zmq_msg_close(&message);
}

static void submit(peer_t *peer, long n, const char *type)
{
    static uint8_t bodies[4096][600], text[512];
    static ProtobufCBinaryData items[4096];
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__Submit body = PAWL__V1__SUBMIT__INIT;
    Pawl__V1__Task task = PAWL__V1__TASK__INIT;
    memset(text, 'x', sizeof text);
    for (long i = 0; i < n; i++) {
        ulid_t id = ulid_now();
        int64_t now = clock_steady_us();
        memcpy(text, &now, sizeof now); /* the receiver reads when it was sent */
        task.id.data = id.at;
        task.id.len = 16;
        task.type = (char *)(uintptr_t)type;
        task.input.data = text;
        task.input.len = (size_t)payload;
        items[i].data = bodies[i];
        items[i].len = pawl__v1__task__pack(&task, bodies[i]);
    }
    body.tasks = items;
    body.n_tasks = (size_t)n;
    request.body_case = PAWL__V1__REQUEST__BODY_SUBMIT;
    request.submit = &body;
    peer->in_flight += (uint32_t)n;
    send_request(peer, &request);
}

static void report(peer_t *peer)
{
    enum { MOST = 4096 };
    static Pawl__V1__Result results[MOST], *list[MOST];
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__Report body = PAWL__V1__REPORT__INIT;
    size_t n = peer->leases_n < (size_t)batch ? peer->leases_n : (size_t)batch;
    for (size_t i = 0; i < n; i++) {
        pawl__v1__result__init(&results[i]);
        results[i].id.data = peer->leases[i].id;
        results[i].id.len = 16;
        results[i].token = peer->leases[i].token;
        results[i].outcome = PAWL__V1__OUTCOME__OUTCOME_DONE;
        list[i] = &results[i];
    }
    body.results = list;
    body.n_results = n;
    request.body_case = PAWL__V1__REQUEST__BODY_REPORT;
    request.report = &body;
    peer->in_flight++;
    send_request(peer, &request);
    peer->leases_n -= n;
    memmove(peer->leases, peer->leases + n, peer->leases_n * sizeof *peer->leases);
}

static void take_assign(peer_t *peer, const Pawl__V1__Assign *assign)
{
    int64_t now = clock_steady_us();
    peer->assign_seen = assign->number;
    peer->leases =
        mem_grow(peer->leases, (peer->leases_n + assign->n_leases + 1) * sizeof *peer->leases);
    for (size_t i = 0; i < assign->n_leases; i++) {
        const Pawl__V1__Lease *lease = assign->leases[i];
        memcpy(peer->leases[peer->leases_n].id, lease->id.data, 16);
        peer->leases[peer->leases_n++].token = lease->token;
        if (rate && latencies_n < LATENCIES) {
            const uint8_t *at = memmem(lease->task.data, lease->task.len, "xxxxxxxx", 8);
            int64_t sent;
            if (at) {
                memcpy(&sent, at - 8, 8);
                latencies[latencies_n++] = now - sent;
            }
        }
    }
}

/* Everything that has arrived for a peer. */
static void drain(peer_t *peer)
{
    zmq_msg_t message;
    zmq_msg_init(&message);
    while (zmq_msg_recv(&message, peer->socket, ZMQ_DONTWAIT) >= 0) {
        const uint8_t *bytes = zmq_msg_data(&message);
        size_t len = zmq_msg_size(&message);
        wire_fault_t fault;
        wire_arena_reset(&arena);
        if (wire_kind(bytes, len) == WIRE_PUSH) {
            const Pawl__V1__Push *push;
            if (wire_push_decode(&arena, bytes, len, &push, &fault) == ERR_OK &&
                push->body_case == PAWL__V1__PUSH__BODY_ASSIGN)
                take_assign(peer, push->assign);
        } else {
            const Pawl__V1__Reply *reply;
            if (wire_reply_decode(&arena, bytes, len, &reply, &fault) != ERR_OK) continue;
            if (reply->error) {
                refused++;
                fprintf(stderr, "refused: %s\n", reply->error->text);
                if (refused > 5) exit(1);
            }
            if (reply->body_case == PAWL__V1__REPLY__BODY_SUBMITTED) {
                accepted += reply->submitted->accepted;
                peer->in_flight -= reply->submitted->accepted + (uint32_t)reply->submitted->n_items;
            } else if (reply->body_case == PAWL__V1__REPLY__BODY_REPORTED) {
                completed += reply->reported->n_verdicts;
                peer->in_flight--;
            }
        }
    }
    zmq_msg_close(&message);
}

/* What it still holds goes back at once: the next run finds no lease of this one. */
static void say_bye(peer_t *peer)
{
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__Bye bye = PAWL__V1__BYE__INIT;
    request.body_case = PAWL__V1__REQUEST__BODY_BYE;
    request.bye = &bye;
    send_request(peer, &request);
    zmq_pollitem_t item = { peer->socket, 0, ZMQ_POLLIN, 0 };
    for (int i = 0; i < 100 && zmq_poll(&item, 1, 20) > 0; i++)
        drain(peer);
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void fill_store(void)
{
    peer_t announcer = { 0 }, *peer = &producers[0];
    say_hello(&announcer, true, -1);
    int64_t begin = clock_steady_us();
    uint64_t before = accepted;
    for (long sent = 0; sent < fill || peer->in_flight;) {
        while (sent < fill && peer->in_flight < 8192) {
            submit(peer, 256, "bench/nobody");
            sent += 256;
        }
        zmq_pollitem_t item = { peer->socket, 0, ZMQ_POLLIN, 0 };
        zmq_poll(&item, 1, 1000);
        drain(peer);
    }
    printf("filled=%llu fill_seconds=%.2f ", (unsigned long long)(accepted - before),
           (double)(clock_steady_us() - begin) / 1e6);
    zmq_close(announcer.socket);
    accepted = before;
}

static void run(void)
{
    int64_t begin = clock_steady_us(), end = begin + seconds * 1000000, next_task = begin;
    uint64_t completed_before = completed;
    zmq_pollitem_t items[2 * PEERS_MAX];
    for (int64_t now = begin; now < end; now = clock_steady_us()) {
        for (long i = 0; i < n_producers && !rate; i++)
            while (producers[i].in_flight + batch <= window)
                submit(&producers[i], batch, "bench/echo");
        for (; rate && next_task <= now; next_task += 1000000 / rate)
            submit(&producers[0], 1, "bench/echo");
        int n = 0;
        for (long i = 0; i < n_producers; i++)
            items[n++] = (zmq_pollitem_t){ producers[i].socket, 0, ZMQ_POLLIN, 0 };
        for (long i = 0; i < n_executors; i++)
            items[n++] = (zmq_pollitem_t){ executors[i].socket, 0, ZMQ_POLLIN, 0 };
        zmq_poll(items, n, rate ? 0 : 100);
        for (long i = 0; i < n_producers; i++)
            if (items[i].revents) drain(&producers[i]);
        for (long i = 0; i < n_executors; i++) {
            if (items[n_producers + i].revents) drain(&executors[i]);
            while (executors[i].leases_n)
                report(&executors[i]);
        }
    }
    double took = (double)(clock_steady_us() - begin) / 1e6;
    printf("cycles=%.0f accepted=%.0f", (double)(completed - completed_before) / took,
           (double)accepted / took);
    if (rate && latencies_n) {
        qsort(latencies, latencies_n, sizeof *latencies, compare);
        printf(" latency_p50_us=%lld latency_p99_us=%lld samples=%zu",
               (long long)latencies[latencies_n / 2], (long long)latencies[latencies_n * 99 / 100],
               latencies_n);
    }
    printf("\n");
}

int main(int argc, char **argv)
{
    struct {
        const char *name;
        long *value;
    } known[] = { { "producers", &n_producers },
                  { "window", &window },
                  { "batch", &batch },
                  { "executors", &n_executors },
                  { "credit", &credit },
                  { "seconds", &seconds },
                  { "fill", &fill },
                  { "rate", &rate },
                  { "payload", &payload } };
    if (argc < 2) {
        fprintf(stderr, "usage: bench_life ENDPOINT [key=value ...]; see the source\n");
        return 2;
    }
    endpoint = argv[1];
    for (int i = 2; i < argc; i++) {
        char *equals = strchr(argv[i], '=');
        bool found = false;
        for (size_t k = 0; equals && k < ARRAY_LEN(known); k++)
            if (strncmp(argv[i], known[k].name, (size_t)(equals - argv[i])) == 0 &&
                strlen(known[k].name) == (size_t)(equals - argv[i])) {
                *known[k].value = atol(equals + 1);
                found = true;
            }
        if (!found) {
            fprintf(stderr, "bench_life: unknown %s\n", argv[i]);
            return 2;
        }
    }
    context = zmq_ctx_new();
    wire_arena_init(&arena);
    latencies = mem_new(LATENCIES * sizeof *latencies);
    for (long i = 0; i < n_executors; i++)
        say_hello(&executors[i], true, i);
    for (long i = 0; i < n_producers; i++)
        say_hello(&producers[i], false, i);
    if (fill) fill_store();
    if (seconds)
        run();
    else
        printf("\n");
    for (long i = 0; i < n_executors; i++)
        say_bye(&executors[i]);
    return 0;
}
