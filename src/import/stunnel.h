/* SPDX-License-Identifier: Apache-2.0 */
/* What stunnel's file says, before it becomes a door. */
#ifndef CARDEA_IMPORT_STUNNEL_H
#define CARDEA_IMPORT_STUNNEL_H

#include "import/remember.h"
#include "import/setting.h"

#define STUNNEL_GLOBAL 1u  /* may stand before the first service */
#define STUNNEL_SERVICE 2u /* may stand within a service */

struct stunnel_service {
    const char *name;
    struct place at;
    struct scope scope;
    struct node *listener, *route; /* once built; the listener is NULL for a secondary one */
    struct stunnel_service *next;
};

struct stunnel {
    struct import im;
    struct scope global;
    struct stunnel_service *first, *last;
    struct remember comments;
};

/* Read the file and those it includes. -1 with im.err. */
int stunnel_read(struct stunnel *st, const char *path);

/* Make the door of it. -1 with im.err. */
int stunnel_build(struct stunnel *st);

/* An option of the service: its own, else the one before all services. NULL when neither is there. */
struct setting *stunnel_option(const struct stunnel *st, const struct stunnel_service *svc, const char *name);

/* The next of an option that may be given several times, first with `after` NULL: those before all services,
 * then its own. */
struct setting *stunnel_each(const struct stunnel *st, const struct stunnel_service *svc,
                             const struct setting *after, const char *name);

/* A yes or no; -1 with im.err. */
int stunnel_bool(struct stunnel *st, const struct stunnel_service *svc, const char *name, bool fallback,
                 bool *ret);

/* The part that is about TLS. `route` is a route's node, `action` its terminate or forward. -1 with im.err.
 */
int stunnel_server_tls(struct stunnel *st, struct stunnel_service *svc);
int stunnel_client_tls(struct stunnel *st, struct stunnel_service *svc, struct node *forward);

#endif
