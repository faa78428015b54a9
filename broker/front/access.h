/* SPDX-License-Identifier: Apache-2.0
 * broker/front/access.h - what a role may ask for. Denied unless the table says otherwise. Pure. */
#ifndef BROKER_ACCESS_H
#define BROKER_ACCESS_H

#include "client/base/base.h"
#include "schemas/wire.h"

typedef enum {
    ACCESS_NONE,
    ACCESS_ADMIN, /* everything; whoever comes over ipc, where the kernel says which user it is */
    ACCESS_OPERATOR,
    ACCESS_SUBMITTER,
    ACCESS_EXECUTOR,
    ACCESS_SCHEDULER,
    ACCESS_MONITOR,
    ACCESS_ROLES
} access_role_t;

const char *access_role_text(access_role_t role);
access_role_t access_role_of(const char *text); /* ACCESS_NONE: no such role */
/* May it send such a request? Of Hello: with the role it claims there. */
bool access_allows(access_role_t role, const Pawl__V1__Request *request);

#endif
