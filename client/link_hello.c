/* SPDX-License-Identifier: Apache-2.0
 * client/link_hello.c - Hello: who we are, where we run, what we hold. */
#include "client/link_inside.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/base/clock.h"
#include "client/container.h"
#include "client/machine.h"
#include "client/worker.h"

enum { ADDRESSES = 16 };

/* Addresses of this machine's interfaces, without loopback. */
static size_t own_addresses(char addresses[ADDRESSES][64])
{
    struct ifaddrs *all = NULL;
    size_t n = 0;
    if (getifaddrs(&all) < 0) return 0;
    for (struct ifaddrs *at = all; at && n < ADDRESSES; at = at->ifa_next) {
        int family = at->ifa_addr ? at->ifa_addr->sa_family : AF_UNSPEC;
        if ((family != AF_INET && family != AF_INET6) || (at->ifa_flags & IFF_LOOPBACK)) continue;
        socklen_t len =
            family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
        if (getnameinfo(at->ifa_addr, len, addresses[n], 64, NULL, 0, NI_NUMERICHOST) == 0) n++;
    }
    freeifaddrs(all);
    return n;
}

void link_send_hello(pawl_client_t *client)
{
    link_t *self = client->link;
    Pawl__V1__Hello hello = PAWL__V1__HELLO__INIT;
    Pawl__V1__Container container = PAWL__V1__CONTAINER__INIT;
    char host[256] = "", addresses[ADDRESSES][64];
    char *address_list[ADDRESSES];
    gethostname(host, sizeof host - 1);
    hello.minor = 1;
    hello.role = client->role;
    hello.name = client->name;
    hello.incarnation = (ProtobufCBinaryData){ 16, client->incarnation };
    hello.host = host;
    hello.n_addresses = own_addresses(addresses);
    for (size_t i = 0; i < hello.n_addresses; i++)
        address_list[i] = addresses[i];
    hello.addresses = address_list;
    hello.pid = client->pid;
    container_t found;
    if (container_find("", &found)) {
        container.id = found.id;
        container.name = found.name;
        container.image = found.image;
        hello.container = &container;
    }
    Pawl__V1__Machine machine = PAWL__V1__MACHINE__INIT;
    machine_t on;
    if (client->role == PAWL__V1__ROLE__ROLE_EXECUTOR) {
        machine_find("", &on);
        machine.cpus = on.cpus;
        machine.memory_bytes = on.memory_bytes;
        machine.os = on.os;
        machine.kernel = on.kernel;
        hello.machine = &machine;
    }
    hello.software = (char *)(uintptr_t) "pawl " PAWL_VERSION;
    hello.clock_us = clock_wall_us();
    bytes_t body = { 0 };
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    request.body_case = PAWL__V1__REQUEST__BODY_HELLO;
    request.hello = &hello;
    pthread_mutex_lock(&client->work_lock);
    bool made = !client->worker || worker_fill_hello(client->worker, &hello);
    if (made && bytes_add_message(&body, &request.base) &&
        link_send_frame(client, NULL, &body, &self->hello_seq)) {
        self->stage = LINK_GREETING;
        self->hello_at_us = self->sent_us;
    }
    pthread_mutex_unlock(&client->work_lock);
    free(hello.claims);
    free(hello.labels);
    free(hello.interpreters);
    free(hello.types);
    bytes_free(&body);
}
