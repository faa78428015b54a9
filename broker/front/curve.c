/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/front/curve.h"

#include <czmq.h>
#include <stdatomic.h>

#include "client/base/clock.h"
#include "client/base/log.h"

/* In the library since 4.3 and in force, but its header shows it to builds with drafts only. */
#ifndef ZMQ_ZAP_ENFORCE_DOMAIN
#define ZMQ_ZAP_ENFORCE_DOMAIN 93
#endif

enum {
    ZAP_FRAMES = 7, /* version, id, domain, address, identity, mechanism, client's key */
    ZAP_KEY = 32,
    TRIAL_MS = 3000,
    LOG_EVERY_US = 1000000,
};
#define ZAP_ADDRESS "inproc://zeromq.zap.01"
#define ZAP_DOMAIN  "pawl"

struct curve {
    zactor_t *actor;
    keys_t *keys;
    zsock_t *replies;
    void *socket; /* the same, raw; the handler's */
    atomic_ullong refused;
    int64_t logged_us;
};

/* ---- the handler ----------------------------------------------------------------------------- */

typedef struct zap_frames {
    zmq_msg_t at[ZAP_FRAMES];
    int n; /* more than ZAP_FRAMES: the rest was read and thrown away */
} zap_frames_t;

static bool receive(void *socket, zap_frames_t *frames)
{
    int more = 1;
    size_t size = sizeof more;
    for (frames->n = 0; more; frames->n++) {
        zmq_msg_t extra, *to = frames->n < ZAP_FRAMES ? &frames->at[frames->n] : &extra;
        zmq_msg_init(to);
        int rc = zmq_msg_recv(to, socket, 0);
        if (rc < 0 || zmq_getsockopt(socket, ZMQ_RCVMORE, &more, &size) != 0) more = 0;
        if (to == &extra) zmq_msg_close(&extra);
        if (rc < 0) return false;
    }
    return true;
}

static bool frame_is(zap_frames_t *frames, int at, const char *text)
{
    size_t len = strlen(text);
    return zmq_msg_size(&frames->at[at]) == len &&
           !memcmp(zmq_msg_data(&frames->at[at]), text, len);
}

/* The public key of somebody welcome, as text; false on any doubt. */
static bool judge(curve_t *self, zap_frames_t *frames, char public_key[KEY_TEXT])
{
    char name[KEY_NAME];
    access_role_t role;
    return frames->n == ZAP_FRAMES && frame_is(frames, 0, "1.0") &&
           frame_is(frames, 2, ZAP_DOMAIN) && frame_is(frames, 5, "CURVE") &&
           zmq_msg_size(&frames->at[6]) == ZAP_KEY &&
           zmq_z85_encode(public_key, zmq_msg_data(&frames->at[6]), ZAP_KEY) != NULL &&
           keys_owner(self->keys, public_key, name, &role);
}

static void count_refused(curve_t *self, zap_frames_t *frames)
{
    unsigned long long n = atomic_fetch_add(&self->refused, 1) + 1;
    int64_t now = clock_steady_us();
    if (self->logged_us != 0 && now - self->logged_us < LOG_EVERY_US) return;
    self->logged_us = now;
    int len = frames->n > 3 ? (int)zmq_msg_size(&frames->at[3]) : 0;
    log_event(LOG_WARN, "KEY_REFUSED", "address=%.*s refused=%llu", len < 64 ? len : 64,
              len ? (const char *)zmq_msg_data(&frames->at[3]) : "", n);
}

static void answer(curve_t *self)
{
    zap_frames_t frames;
    char key[KEY_TEXT] = "";
    bool whole = receive(self->socket, &frames);
    bool good = whole && judge(self, &frames, key);
    if (whole && !good) count_refused(self, &frames);
    const char *id = frames.n > 1 ? zmq_msg_data(&frames.at[1]) : "";
    size_t id_len = frames.n > 1 ? zmq_msg_size(&frames.at[1]) : 0;
    const struct {
        const void *at;
        size_t len;
    } reply[] = {
        { "1.0", 3 },
        { id, id_len },
        { good ? "200" : "400", 3 },
        { good ? "OK" : "no", 2 },
        { key, good ? strlen(key) : 0 },
        { "", 0 },
    };
    for (size_t i = 0; i < ARRAY_LEN(reply) && whole; i++)
        zmq_send(self->socket, reply[i].at, reply[i].len,
                 i + 1 < ARRAY_LEN(reply) ? ZMQ_SNDMORE : 0);
    for (int i = 0; i < frames.n && i < ZAP_FRAMES; i++)
        zmq_msg_close(&frames.at[i]);
}

static void handler(zsock_t *pipe, void *arg)
{
    curve_t *self = arg;
    zsock_signal(pipe, 0);
    zmq_pollitem_t items[] = { { zsock_resolve(pipe), 0, ZMQ_POLLIN, 0 },
                               { self->socket, 0, ZMQ_POLLIN, 0 } };
    while (zmq_poll(items, 2, -1) >= 0 || errno == EINTR) {
        if (items[0].revents) return; /* told to end; nothing else comes this way */
        if (items[1].revents) answer(self);
    }
}

err_t curve_start(curve_t **out, keys_t *keys)
{
    curve_t *self = mem_new(sizeof *self);
    self->keys = keys;
    self->replies = zsock_new(ZMQ_REP);
    CHECK(self->replies != NULL);
    self->socket = zsock_resolve(self->replies);
    if (zmq_bind(self->socket, ZAP_ADDRESS) != 0) {
        curve_stop(&self);
        return ERR_OS;
    }
    self->actor = zactor_new(handler, self);
    CHECK(self->actor != NULL);
    *out = self;
    return ERR_OK;
}

void curve_stop(curve_t **self_p)
{
    curve_t *self = *self_p;
    if (self == NULL) return;
    zactor_destroy(&self->actor);
    zsock_destroy(&self->replies);
    free(self);
    *self_p = NULL;
}

uint64_t curve_refused(const curve_t *self)
{
    return self ? atomic_load(&self->refused) : 0;
}

/* ---- the trial ------------------------------------------------------------------------------- */

/* What became of one handshake with keys {public, secret}: the event, 0 if none came in time.
 * `where`: of its own, the library gives an address free only later. */
static int handshake(const char *endpoint, const char *where, const char *const keys[2],
                     const char *server_key)
{
    zsock_t *dealer = zsock_new(ZMQ_DEALER), *ears = zsock_new(ZMQ_PAIR);
    CHECK(dealer != NULL && ears != NULL);
    void *socket = zsock_resolve(dealer), *monitor = zsock_resolve(ears);
    int none = 0, event = 0;
    zmq_setsockopt(socket, ZMQ_LINGER, &none, sizeof none);
    bool ready =
        zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, server_key, KEY_TEXT) == 0 &&
        zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, keys[0], KEY_TEXT) == 0 &&
        zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, keys[1], KEY_TEXT) == 0 &&
        zmq_socket_monitor(socket, where,
                           ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH |
                               ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
                               ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL) == 0 &&
        zmq_connect(monitor, where) == 0 && zmq_connect(socket, endpoint) == 0;
    zmq_pollitem_t item = { monitor, 0, ZMQ_POLLIN, 0 };
    if (ready && zmq_poll(&item, 1, TRIAL_MS) == 1) {
        uint8_t bytes[6];
        if (zmq_recv(monitor, bytes, sizeof bytes, 0) == sizeof bytes)
            event = bytes[0] | bytes[1] << 8; /* in the order of this machine's bytes: little */
        char rest[256];
        zmq_recv(monitor, rest, sizeof rest, 0);
    }
    zmq_socket_monitor(socket, NULL, 0);
    zsock_destroy(&dealer);
    zsock_destroy(&ears);
    return event;
}

static err_t try_keys(curve_t *self, const char *endpoint, const keyfile_t *own, char *why,
                      size_t len)
{
    char known[2][KEY_TEXT], unknown[2][KEY_TEXT];
    CHECK(zmq_curve_keypair(known[0], known[1]) == 0);
    CHECK(zmq_curve_keypair(unknown[0], unknown[1]) == 0);
    uint64_t refused = curve_refused(self);
    keys_trial(self->keys, known[0]);
    int wrong = handshake(endpoint, "inproc://pawl-trial-wrong",
                          (const char *[]){ unknown[0], unknown[1] }, own->public_key);
    int right = handshake(endpoint, "inproc://pawl-trial-right",
                          (const char *[]){ known[0], known[1] }, own->public_key);
    keys_trial(self->keys, NULL);
    if (wrong == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH && right == ZMQ_EVENT_HANDSHAKE_SUCCEEDED &&
        curve_refused(self) > refused)
        return ERR_OK;
    snprintf(why, len,
             "%s: tried with a key that nobody knows and one that is known, the library %s and %s",
             endpoint,
             wrong == ZMQ_EVENT_HANDSHAKE_SUCCEEDED ? "let the first in" : "refused the first",
             right == ZMQ_EVENT_HANDSHAKE_SUCCEEDED ? "let the second in" : "refused the second");
    return ERR_REFUSED;
}

/* Where the trial finds an endpoint that was bound to any address. */
static void reachable(const char *bound, char *out, size_t len)
{
    static const char *const any[][2] = { { "tcp://0.0.0.0:", "tcp://127.0.0.1:" },
                                          { "tcp://[::]:", "tcp://[::1]:" } };
    for (size_t i = 0; i < ARRAY_LEN(any); i++)
        if (strncmp(bound, any[i][0], strlen(any[i][0])) == 0) {
            snprintf(out, len, "%s%s", any[i][1], bound + strlen(any[i][0]));
            return;
        }
    snprintf(out, len, "%s", bound);
}

err_t curve_bind(curve_t *self, void *socket, const char *endpoint, const keyfile_t *own, char *why,
                 size_t len)
{
    static const struct {
        int option, value;
    } options[] = {
        { ZMQ_CURVE_SERVER, 1 },
        { ZMQ_ZAP_ENFORCE_DOMAIN, 1 },
        { ZMQ_IPV6, 1 },
        { ZMQ_TCP_KEEPALIVE, 1 },
        { ZMQ_TCP_KEEPALIVE_IDLE, 60 },
        { ZMQ_TCP_KEEPALIVE_INTVL, 10 },
        { ZMQ_TCP_KEEPALIVE_CNT, 3 },
    };
    bool good = zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, own->secret_key, KEY_TEXT) == 0 &&
                zmq_setsockopt(socket, ZMQ_ZAP_DOMAIN, ZAP_DOMAIN, strlen(ZAP_DOMAIN)) == 0;
    for (size_t i = 0; i < ARRAY_LEN(options) && good; i++)
        good = zmq_setsockopt(socket, options[i].option, &options[i].value, sizeof(int)) == 0;
    if (!good || zmq_bind(socket, endpoint) != 0) {
        snprintf(why, len, "%s: %s", endpoint, zmq_strerror(errno));
        return ERR_CONFIG;
    }
    char bound[256], where[300];
    size_t size = sizeof bound;
    if (zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, bound, &size) != 0) bound[0] = '\0';
    reachable(bound, where, sizeof where);
    err_t err = try_keys(self, where, own, why, len);
    if (err == ERR_OK)
        log_event(LOG_INFO, "LISTENING", "endpoint=%s keys=%zu", bound, keys_count(self->keys));
    return err;
}
