/* SPDX-License-Identifier: Apache-2.0 */
/* Who changes a zone: its name server, by DNS UPDATE (dns/updater.h), or a program of the user's that knows
 * the DNS (net/hook.h). On one loop, in its thread. */
#ifndef CARDEA_DNS_CHANGER_H
#define CARDEA_DNS_CHANGER_H

#include "base/list.h"
#include "dns/updater.h"

/* Borrowed while a change is under way. */
struct dns_changer {
    struct loop *loop;
    char *const *program;  /* its words to a NULL, the first one a path; NULL: the server is asked */
    struct list *programs; /* ... among which it is while it runs (net/program.h) */
    int64_t patience;      /* ... ns */
    struct dns_server server;
};

struct dns_changing;

/* Begin: the server is asked for `update`, or the program is run with `words` (to a NULL) behind its own.
 * Both are borrowed for the call, and only one is looked at. `done` is called once, later; a program is never
 * `silent`. NULL with `err`: it could not begin. */
struct dns_changing *dns_changer_start(const struct dns_changer *who, const struct dns_update *update,
                                       const char *const words[], dns_updated *done, void *arg,
                                       struct err *err);

/* `done` is not called any more. It may have been done; a program is told to end, and may finish. */
void dns_changing_cancel(struct dns_changing *c);

#endif
