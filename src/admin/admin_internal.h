/* SPDX-License-Identifier: Apache-2.0 */
/* Between server.c, which opens the sockets, and the files of the resources. */
#ifndef CARDEA_ADMIN_ADMIN_INTERNAL_H
#define CARDEA_ADMIN_ADMIN_INTERNAL_H

#include <sys/types.h>

#include "admin/responder.h"
#include "admin/server.h"

struct backend;
struct candidates;

#define ADMIN_MAGIC 0xad314001u

/* A unix socket that was made. */
struct admin_socket {
    char *path;   /* NULL: none */
    dev_t device; /* which file it is, so that no other door's is removed */
    ino_t inode;
};

/* The `arg` of the responders. */
struct admin {
    uint32_t magic;
    struct loop *loop;
    struct door *door;
    struct admin_socket socket, whois;
    char *metrics; /* address as configured, or NULL */
    uint64_t ca;   /* what `ca` says at the start (struct config_head); 0: nothing */
    struct responder *on_socket;
    struct responder *on_whois; /* NULL: no socket for those who ask who somebody is */
    struct responder *on_port;  /* NULL: no metrics port */
    door_reloaded *on_reload;   /* may be NULL */
    void *on_reload_arg;
    listing_ask *list; /* certificates that are not files of the configuration; NULL: there are none */
    void *list_arg;
    struct candidates *candidates; /* NULL: nothing can be staged */
    swap_ask *swap;                /* NULL: there are no backups */
    void *swap_arg;
    const struct swaps *swaps; /* NULL: nobody swaps what comes in files */
    struct admin_demands demands;
    admin_ca_fn *ca_ends; /* NULL: there is nobody */
    void *ca_ends_arg;
};

/* One per resource; see struct resource. */
void admin_status(struct exchange *e, const struct request *request);
void admin_sessions(struct exchange *e, const struct request *request);
void admin_metrics(struct exchange *e, const struct request *request);
void admin_reload(struct exchange *e, const struct request *request);
void admin_certificates(struct exchange *e, const struct request *request);
void admin_staging(struct exchange *e, const struct request *request);
void admin_stage(struct exchange *e, const struct request *request);
void admin_swap(struct exchange *e, const struct request *request);
void admin_forget(struct exchange *e, const struct request *request);
void admin_ech(struct exchange *e, const struct request *request);
void admin_ech_publish(struct exchange *e, const struct request *request);
void admin_ech_withdraw(struct exchange *e, const struct request *request);
void admin_end(struct exchange *e, const struct request *request);
void admin_whois(struct exchange *e, const struct request *request);
void admin_ca(struct exchange *e, const struct request *request);

/* Append a text as a JSON string; NULL becomes null. False when memory is out. */
bool admin_json_text(struct buf *b, const char *text);

/* Append a value of a label, in quotes. False when memory is out. */
bool admin_put_label(struct buf *b, const char *text);

/* Append what stands before the samples of a gauge, whose name is without "cardea_". */
bool admin_gauge(struct buf *b, const char *name, const char *help);

/* Append how it is with the HTTPS records, where any are published. False when memory is out. */
bool admin_ech_metrics(struct buf *b, const struct door *door);

/* Append when the certificates of the door's CA expire, if it has one. False when memory is out. */
bool admin_ca_metrics(struct buf *b, const struct admin *a);

/* Answer 200 with `body`, or 500 when `ok` is false: memory was out while it was made. */
void admin_answer(struct exchange *e, bool ok, const char *type, struct buf *body);

/* Answer 409 with {"error":...}: what was asked for cannot be done. */
void admin_refuse(struct exchange *e, const struct err *why);

/* Would a new connection be sent there: no check and no failure of late speaks against it? */
bool admin_backend_up(const struct backend *b);

#endif
