/* SPDX-License-Identifier: Apache-2.0 */
/* The part of a snapshot that the configuration makes by itself: the file as read, who goes where, who may.
 * It stays as it is until a reload, whatever becomes of certificates and CRLs meanwhile, so snapshots share
 * it. */
#ifndef CARDEA_SESSION_PLAN_H
#define CARDEA_SESSION_PLAN_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "config/config.h"
#include "hello/first_bytes.h"
#include "starttls/starttls.h"

struct policy;
struct route_table;

/* Bytes of one file of server names. */
#define PLAN_SNI_FILE_MAX ((size_t)1 << 30)

/* How connections of a listener begin. */
struct plan_port {
    bool plain;                    /* without TLS */
    const struct starttls *speaks; /* in the clear, up to STARTTLS in this protocol; NULL: with TLS */
    uint32_t kinds;                /* of first bytes that some route of its takes: a bit each */
};

/* Are its clients to see the backend's own greeting, before TLS? */
bool plan_port_leads(const struct plan_port *port);

struct plan {
    uint32_t magic;
    _Atomic uint32_t refs;
    struct config *config;
    struct route_table *table;
    struct policy *policy;
    struct plan_port *ports;   /* in the order of config->listeners */
    struct starttls **scripts; /* in the order of config->protocols */
};

/* Of `config` (taken), nothing made yet. One reference for the caller. */
struct plan *plan_new(struct config *config);

/* Read the files of names and build table and policy. -1 with lines of errors appended to `errors`. Before it
 * is shared. */
int plan_make(struct plan *plan, struct buf *errors);

/* The protocol of that name, the configuration's own before those built in; NULL: there is none. */
const struct starttls *plan_protocol(const struct plan *plan, const char *name);

/* The name of the protocol in which a client asks for TLS that begins so; NULL: in none. */
const char *plan_protocol_of(enum first_bytes kind);

/* Has it that section, `ask` or `answer` among them, or a relay in which the same comes about? */
bool plan_protocol_can(const struct starttls *p, enum starttls_section section);

/* Append a line about something at that place of the file; `errors` may be NULL. */
void plan_complain(const struct plan *plan, struct config_pos at, const struct err *why, struct buf *errors);

/* What whoever makes something of a plan finds wrong. */
struct complaints {
    const struct plan *plan;
    struct buf *errors; /* or NULL */
    bool failed;        /* there was one */
};

/* Append a line about something at that place of the file, and remember that there was one. */
void complain(struct complaints *said, struct config_pos at, const struct err *why);

/* ---- plan_ports.c: for plan_make() and plan_unref() ---- */

/* Read scripts, and settle what listeners speak and which routes take that. What is wrong
 * is complained of. */
void plan_ports_make(struct plan *plan, struct complaints *to);
void plan_ports_free(struct plan *plan);

/* The kinds of first bytes that a route takes, a bit each. */
uint32_t plan_kinds_of(const struct plan *plan, const struct config_route *rc);

/* References may be taken and given back in any thread; the last one frees. */
struct plan *plan_ref(struct plan *plan);
void plan_unref(struct plan *plan);

/* Texts of the configuration (borrowed) as the array that others take, with plan_texts_done() to free it. */
const char *const *plan_texts(const struct config_texts *texts);
void plan_texts_done(const char *const *v);

#endif
