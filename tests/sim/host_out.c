/* SPDX-License-Identifier: Apache-2.0
 * Out of the broker's process: what waits for its commit, and leaves when that is on record. */
#include "tests/sim/host_inside.h"

#include <stdlib.h>

static void drop_release(release_t *release)
{
    outputs_free(&release->out);
    free(release->commands);
    free(release->items);
    free(release);
}

void host_drop_releases(host_t *host)
{
    while (host->first) {
        release_t *release = host->first;
        host->first = release->next;
        drop_release(release);
    }
}

command_t *host_add(sim_t *sim, command_kind_t kind, item_t item)
{
    host_t *host = sim->host;
    if (host->n == host->room) {
        host->room = host->room ? host->room * 2 : 64;
        host->commands = mem_grow(host->commands, host->room * sizeof *host->commands);
        host->items = mem_grow(host->items, host->room * sizeof *host->items);
    }
    host->items[host->n] = item;
    command_t *command = &host->commands[host->n++];
    *command = (command_t){ .kind = kind, .conn = item.conn };
    if (!host->stepping) {
        host->stepping = true;
        sim_post(sim, EV_STEP, sim->now_us + (int64_t)sim_below(sim, 3000), 0, host->life, NULL, 0);
    }
    return command;
}

void host_answer(sim_t *sim, uint64_t route, uint64_t seq, Pawl__V1__Reply *reply)
{
    buf_t bytes = { 0 };
    reply->seq = seq;
    wire_reply_pack(reply, buf_room, &bytes);
    link_down(sim, route, bytes.at, bytes.len);
    buf_free(&bytes);
}

void host_refuse(sim_t *sim, uint64_t route, uint64_t seq, err_t err)
{
    Pawl__V1__Reply reply = PAWL__V1__REPLY__INIT;
    Pawl__V1__Error error = PAWL__V1__ERROR__INIT;
    error.code = (uint32_t)err;
    error.text = (char *)(uintptr_t)err_text(err);
    reply.error = &error;
    host_answer(sim, route, seq, &reply);
}

static void send_output(sim_t *sim, const outputs_t *out, const output_t *one)
{
    host_t *host = sim->host;
    session_t *session = sessions_by_conn(host->sessions, one->conn);
    if (session == NULL) return;
    if (one->kind == OUT_WELCOME &&
        !sessions_activate(host->sessions, one->conn, one->id, host_moment(sim)))
        return;
    if (!session_live(session) && one->kind != OUT_REPLY) return;
    const uint8_t *bytes = out->bytes.at + one->at;
    sim_hash(sim, bytes, one->len);
    if (link_down(sim, session->route, bytes, one->len)) return;
    if (one->kind == OUT_PUSH && one->flag && sim_coin(sim, 70))
        host_add(sim, CMD_UNDELIVERED, (item_t){ .conn = one->conn });
}

static void keep_for_later(sim_t *sim, const release_t *release)
{
    host_t *host = sim->host;
    host->again = mem_grow(host->again, (host->again_n + release->n + 1) * sizeof *host->again);
    for (size_t i = 0; i < release->n; i++) {
        command_t command = release->commands[i];
        if (command.kind == CMD_REQUEST && release->items[i].bye)
            command = (command_t){ .kind = CMD_LOST, .conn = command.conn };
        if (command.kind == CMD_LOST || command.kind == CMD_GONE ||
            command.kind == CMD_UNDELIVERED || command.kind == CMD_SUSPECT)
            host->again[host->again_n++] = command;
    }
}

static void settle_items(sim_t *sim, const release_t *release)
{
    host_t *host = sim->host;
    for (size_t i = 0; i < release->n; i++) {
        const item_t *item = &release->items[i];
        if (item->counted) sessions_done(host->sessions, item->conn, item->items, item->bytes);
        session_t *session =
            item->hello || item->bye ? sessions_by_conn(host->sessions, item->conn) : NULL;
        if (session == NULL) continue;
        if (item->answer && !(release->refused && release->commands[i].kind == CMD_REQUEST)) {
            Pawl__V1__Reply reply = PAWL__V1__REPLY__INIT;
            host_answer(sim, session->route, item->seq, &reply);
        }
        if (item->bye || session->state == SESSION_CONNECTING)
            sessions_end(host->sessions, item->conn, SESSION_GONE, host_moment(sim));
    }
}

void host_release(sim_t *sim)
{
    host_t *host = sim->host;
    release_t *one = host->first;
    if (one == NULL) return;
    host->first = one->next;
    if (host->first == NULL) host->last = &host->first;
    for (size_t i = 0; i < one->out.n; i++) {
        const output_t *out = &one->out.items[i];
        if (out->kind == OUT_REPLY || out->kind == OUT_PUSH || out->kind == OUT_WELCOME)
            send_output(sim, &one->out, out);
        else if (out->kind == OUT_DROP)
            sessions_end(host->sessions, out->conn, SESSION_GONE, host_moment(sim));
    }
    if (one->refused) keep_for_later(sim, one);
    settle_items(sim, one);
    drop_release(one);
}
