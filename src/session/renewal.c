/* SPDX-License-Identifier: Apache-2.0 */
#include "session/renewal.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cert/identity.h"
#include "session/ending.h"
#include "session/quic_carrier.h"
#include "session/session_internal.h"
#include "session/standing.h"
#include "session/worker.h"
#include "tls/server.h"

#define RENEWAL_MAGIC 0x4e4e3a10u

/* It belongs to one thread at a time, but for the word that nobody waits for it any more, which is the
 * asker's. */
struct renewal {
    uint32_t magic;
    struct message message;
    struct worker *from;
    struct worker *home;
    struct renewal_question question;
    renewal_told *told;
    void *owner;
    bool is_void;
    bool good;
    int64_t expires;
    struct err why;
};

/* ---- what decides ---- */

static bool is_same_person(const struct identity *a, const struct identity *b)
{
    uint8_t da[IDENTITY_DIGEST], db[IDENTITY_DIGEST];
    identity_digest(a, da);
    identity_digest(b, db);
    return memcmp(da, db, sizeof(da)) == 0;
}

/* The new certificate against the old one, and the policy. */
static bool is_let_in(const struct identity *who, const struct route_runtime *route,
                      const struct snapshot *now, const struct link_peer *peer, struct err *err)
{
    char text[POLICY_TEXT_MAX];
    if (peer->identity == NULL || !is_same_person(who, peer->identity)) {
        err_set(err,
                "the certificate of '%s' does not say the same of its holder as the one that the connection "
                "was opened with ('%s'), down to names, groups and issuer: open a new connection with it",
                identity_label(who), peer->identity == NULL ? "" : identity_label(peer->identity));
        return false;
    }
    struct policy_verdict v = policy_use_tunnel(now->policy, (uint32_t)(route - now->routes), who);
    if (v.effect != POLICY_DENY || v.rule == NULL) /* without a rule the target decides */
        return true;
    err_set(err, "%s", policy_denial(&v, who, "use the tunnel", NULL, text));
    return false;
}

bool renewal_prove(const struct renewal_question *q, const struct authenticator_keys *keys,
                   const struct route_runtime *route, const struct snapshot *now,
                   const struct link_peer *peer, struct authenticator_proof *ret, struct err *err)
{
    const struct authenticator_terms terms = {
        .keys = keys,
        .sender = AUTHENTICATOR_CLIENT,
        .request = {(const char *)q->request.data, q->request.len},
    };
    const struct str message = {(const char *)q->authenticator.data, q->authenticator.len};
    const struct trust *trust = tls_server_trust(route->tls);
    *ret = (struct authenticator_proof){0};
    if (trust == NULL) {
        err_set(err, "route %s does not ask for client certificates any more", route->config->name.text);
        return false;
    }
    if (authenticator_prove(&terms, message, trust, NULL, time(NULL), ret, err) == AUTHENTICATOR_GOOD &&
        is_let_in(ret->identity, route, now, peer, err))
        return true;
    authenticator_proof_free(ret);
    return false;
}

/* ---- a tunnel over TCP, or an agent's offer ---- */

/* The route that a new connection of this client would be led to, which has to be the one that it came by.
 * NULL with `err`. */
static const struct route_runtime *lead_again(const struct session *s, const struct snapshot *now,
                                              struct err *err)
{
    const struct standing at = {.epoch = s->epoch, .route = s->route, .listener = s->listener};
    const struct str sni = session_note(s, NOTE_SNI), alpn = session_note(s, NOTE_ALPN);
    struct hello_note hello = {.kind = FIRST_BYTES_TLS, .alpn_len = (uint8_t)alpn.len};
    CHECK(alpn.len <= sizeof(hello.alpn));
    str_copy(hello.sni, sizeof(hello.sni), sni.p, sni.len);
    if (alpn.len > 0)
        memcpy(hello.alpn, alpn.p, alpn.len);
    const struct route_runtime *route = standing_lead(&at, now, &hello, false, err);
    if (route == NULL || route == session_route_now(s))
        return route;
    err_set(err, "a new connection would come to route %s, not to %s", route->config->name.text,
            s->route->config->name.text);
    return NULL;
}

static bool renew_session(struct session *s, const struct renewal_question *q, int64_t *ret_expires,
                          struct err *err)
{
    const struct snapshot *now = s->worker->epoch->snap;
    const struct route_runtime *route = lead_again(s, now, err);
    struct link *tls = tls_link_bottom(s->down);
    struct authenticator_keys keys;
    struct authenticator_proof proof;
    struct link_peer peer;
    link_peer(s->down, &peer);
    if (route == NULL)
        return false;
    if (session_is_denied_now(s)) {
        err_set(
            err,
            "by the configuration in force the client would not be let in to what the connection leads to");
        return false;
    }
    if (tls_link_export(tls, AUTHENTICATOR_CLIENT, &keys, err) != 0)
        return false;
    bool good = renewal_prove(q, &keys, route, now, &peer, &proof, err);
    authenticator_forget(&keys);
    if (!good)
        return false;
    *ret_expires = trust_expires(proof.chain);
    tls_link_renew(tls, &proof);
    session_extend(s);
    return true;
}

/* Only what a tunnel's client was told the id of, and what has a TLS connection of its own. */
static struct session *find(struct worker *w, uint64_t id)
{
    for (struct list *n = w->sessions.next; n != &w->sessions; n = n->next) {
        struct session *s = session_of_node(n);
        bool stands = s->state == SESSION_PIPE || s->state == SESSION_RESIDE;
        if (session_is_called(s, id, false) && stands && s->carrier == 0 && session_is_tunnel(s) &&
            tls_link_bottom(s->down) != NULL && s->reason != CLOSE_EXPIRED)
            return s;
    }
    return NULL;
}

static void extend_streams(struct worker *w, uint64_t id)
{
    for (struct list *n = w->sessions.next; n != &w->sessions; n = n->next) {
        struct session *s = session_of_node(n);
        if (session_is_called(s, id, true))
            session_extend(s);
    }
}

static void judge(struct renewal *r)
{
    const struct renewal_question *q = &r->question;
    struct session *s = find(r->home, q->id);
    if (s != NULL) {
        r->good = renew_session(s, q, &r->expires, &r->why);
        return;
    }
    if (!quic_carriers_renew(r->home, q, &r->good, &r->expires, &r->why))
        err_set(&r->why, "there is no such connection, or none that a certificate can be proven on");
    if (r->good)
        extend_streams(r->home, q->id);
}

/* ---- there and back ---- */

static void on_return(struct message *m)
{
    struct renewal *r = CONTAINER_OF(m, struct renewal, message);
    CHECK_MAGIC(r, RENEWAL_MAGIC);
    if (!r->is_void)
        r->told(r->owner, r->good, r->expires, &r->why);
    buf_free(&r->question.request);
    buf_free(&r->question.authenticator);
    r->magic = 0;
    free(r);
}

static void on_arrival(struct message *m)
{
    struct renewal *r = CONTAINER_OF(m, struct renewal, message);
    CHECK_MAGIC(r, RENEWAL_MAGIC);
    judge(r);
    r->message.run = on_return;
    loop_post(r->from->loop, &r->message);
}

/* An id says whose it is, see worker_next_id(). */
static struct worker *home_of(const struct worker *w, uint64_t id)
{
    return &w->fellows->worker[(id - w->shared->first_id) % w->shared->workers];
}

struct renewal *renewal_begin(struct worker *w, const struct renewal_question *question, renewal_told *told,
                              void *owner)
{
    struct renewal *r = calloc(1, sizeof(*r));
    CHECK(r != NULL);
    *r = (struct renewal){.magic = RENEWAL_MAGIC,
                          .message.run = on_arrival,
                          .from = w,
                          .home = home_of(w, question->id),
                          .question = *question,
                          .told = told,
                          .owner = owner};
    loop_post(r->home->loop, &r->message);
    return r;
}

void renewal_cancel(struct renewal *r)
{
    if (r != NULL)
        r->is_void = true;
}
