/* SPDX-License-Identifier: Apache-2.0 */
/* Looking at a server as a client would: connect, ask for TLS in the server's protocol, handshake, and tell
 * what was found. A server that does not prove itself is told about like any other. Nothing else is said to
 * it. */
#ifndef CARDEA_PROBE_SERVER_PROBE_H
#define CARDEA_PROBE_SERVER_PROBE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "cert/facts.h"
#include "net/addr.h"

struct loop;
struct resolver;
struct server_probe;
struct starttls;
struct tls_client;
struct tls_scratch;

enum server_probe_outcome {
#define X(NAME, word, meaning) PROBE_##NAME,
#include "tables/probe_outcomes.def"
#undef X
};

#define PROBE_ALPN_MAX 256
#define PROBE_NOT_REACHED (-1) /* a step that the probe has not come through */

/* The steps that take time. */
enum server_probe_step { PROBE_LOOKUP, PROBE_CONNECT, PROBE_STARTTLS, PROBE_TLS, PROBE_STEPS };

struct server_probe_result {
    enum server_probe_outcome outcome;
    struct err text;            /* what was found and what was expected; "" with PROBE_GOOD */
    struct net_addr address;    /* that was tried last; AF_UNSPEC: none was */
    int64_t spent[PROBE_STEPS]; /* nanoseconds, or PROBE_NOT_REACHED */
    bool shook_hands;           /* the handshake is complete, and what follows is known */
    uint16_t version;           /* 0x0304 */
    const char *group;          /* static; NULL: none was used */
    const char *cipher;         /* IANA name, static */
    char alpn[PROBE_ALPN_MAX];  /* what the server chose; "": nothing */
    struct cert_facts certificate;
};

struct server_probe_params {
    struct loop *loop;
    struct resolver *resolver;
    struct tls_scratch *scratch;
    const struct tls_client *tls;    /* one that only looks (tls/client.h), of any number of probes */
    const struct starttls *protocol; /* has a section `ask`; NULL: TLS begins at once */
    const char *host;                /* where to connect */
    uint16_t port;
    const char *name;          /* what the server must prove to be; also sent as SNI. NULL: any, and none */
    const char *sni;           /* sent in its place; NULL: `name` is */
    int64_t timeout;           /* for all of it, in nanoseconds */
    void (*done)(void *owner); /* from the loop, once; free it there if you like */
    void *owner;
};

/* Begin. What the parameters point at is borrowed and must outlive the probe. Never NULL. */
struct server_probe *server_probe_start(const struct server_probe_params *params);

/* What was found, once `done` was called. Lives as long as the probe. */
const struct server_probe_result *server_probe_result(const struct server_probe *p);

/* At any time. NULL is allowed. */
void server_probe_free(struct server_probe *p);

/* The word of an outcome, for machines. Static. */
const char *server_probe_word(enum server_probe_outcome outcome);

#endif
