/* SPDX-License-Identifier: Apache-2.0 */
/* From a ClientHello to a route, and from the route to TLS: the same for a hello that came in TCP and one
 * that came in QUIC. */
#ifndef CARDEA_SESSION_ROUTING_H
#define CARDEA_SESSION_ROUTING_H

#include "base/alert.h"
#include "hello/first_bytes.h"
#include "hello/hello.h"
#include "hello/ja4.h"
#include "hello/offers.h"
#include "policy/policy.h"
#include "route/route.h"
#include "tls/server.h"

struct config_tls;
struct route_runtime;
struct snapshot;
struct starttls;

/* What is kept of a ClientHello: for the audit line, and for ALPN. */
struct hello_note {
    char sni[HELLO_NAME_MAX + 3];
    uint8_t alpn_len;
    char alpn[255];                 /* the protocol that routing settled on, or the client's first offer */
    bool alpn_matched;              /* ... the former */
    char outer[HELLO_NAME_MAX + 3]; /* of an ECH that was accepted: the name in the clear */
    uint8_t kind;                   /* enum first_bytes: how it came to TLS */
    char ja4[JA4_TEXT_MAX];
    struct hello_offers offers;
};

/* The route for a client of that listener whose first bytes are of that kind; `h` is NULL when they were no
 * ClientHello. */
struct route_match routing_find(const struct snapshot *snap, uint32_t listener, enum first_bytes kind,
                                const struct hello *h);

/* The route for a client that has said what is in `note`: as far as that goes, where its hello would lead
 * now.
 */
struct route_match routing_again(const struct snapshot *snap, uint32_t listener,
                                 const struct hello_note *note);

/* Nothing was found: would another ALPN have been taken under the same name? */
bool routing_knows_name(const struct snapshot *snap, uint32_t listener, enum first_bytes kind,
                        const struct hello *h);

/* ... then this is what the client is told, and why for people (static text). RFC 7301, 3.2; RFC 6066, 3. */
enum alert routing_refusal(const struct snapshot *snap, uint32_t listener, enum first_bytes kind,
                           const struct hello *h, const char **ret_why);

/* The same lookup as routing_find() makes, rule by rule: see route_trace(). *ret_as_http: the client sent no
 * ALPN, and was taken for one that speaks HTTP/1.1. -1 when memory is out. */
int routing_trace(const struct snapshot *snap, uint32_t listener, enum first_bytes kind,
                  const struct hello *h, void (*each)(void *arg, const struct route_trial *trial), void *arg,
                  bool *ret_as_http);

/* After STARTTLS in `spoken` (NULL: TLS began at once): does the client want to speak something else within
 * TLS? A browser that was led here by somebody else's page does (ALPACA). Where a route names protocols these
 * count; else the one that was spoken before, if it has a name, which `match` gets then. */
bool routing_wants_another(const struct hello *h, const struct starttls *spoken, struct route_match *match);

/* Why, for people. */
#define ROUTING_ANOTHER "the client offers other protocols (ALPN) than the one in which it has asked for TLS"

/* May a client use the route at all? Of a tunnel a target may say no later, and names the rule then. */
bool routing_admits(const struct snapshot *snap, const struct route_runtime *route, const struct identity *id,
                    struct policy_verdict *ret);

/* The route that takes TLS clients who ask for that name: one that leads to agents, where some listener or
 * protocol has one; else any. ROUTE_NONE: there is none. */
uint32_t routing_of_name(const struct snapshot *snap, const char *name);

/* Keep what is needed of the hello. */
void routing_note(const struct hello *h, const struct route_match *match, enum ja4_transport transport,
                  struct hello_note *ret);

#define ROUTING_LIST_MAX 64

/* A hello in the form that a TLS server takes. It points into `hello`, `note` and itself. */
struct routing_client {
    uint16_t sigalgs[ROUTING_LIST_MAX];
    uint16_t sigalgs_cert[ROUTING_LIST_MAX];
    uint16_t ciphers[ROUTING_LIST_MAX];
    struct tls_client_hello hello;
};

/* Fill *ret for a server with these versions; `early` is left empty. */
void routing_client(const struct hello *h, const struct hello_note *note, const struct config_tls *tls,
                    struct routing_client *ret);

#endif
