/* SPDX-License-Identifier: Apache-2.0 */
#include "session/foresee.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/alert.h"
#include "base/check.h"
#include "base/tls_version.h"
#include "cert/store.h"
#include "cert/trust.h"
#include "session/certify.h"
#include "session/front.h"
#include "session/plan.h"
#include "session/routing.h"
#include "session/snapshot.h"
#include "session/staging.h"
#include "tls/groups.h"
#include "tls/server.h"

/* ---- the hello ---- */

#define U16(v) (v) >> 8, (v)&0xff

static const uint8_t all_ciphers[] = {
#define X(name, code) U16(code),
#include "tables/ciphers.def"
#undef X
};

static const uint8_t all_groups[] = {
#define X(name, code, hybrid, remark) U16(code),
#include "tables/groups.def"
#undef X
};

#define GROUPS_BODY_MAX (2 + sizeof(all_groups))

/* The body of an extension: a vector with its length before it. */
static const uint8_t versions_extension[] = {4, U16(CONFIG_TLS_1_3), U16(CONFIG_TLS_1_2)};

/* A hello and what it points to. */
struct made {
    struct hello hello;
    uint8_t groups[GROUPS_BODY_MAX];
    uint8_t signatures[2 * CERT_KEY_KINDS * CERT_KIND_SIGALGS_MAX];
};

static void add_kind(struct writer *w, enum cert_key_kind kind)
{
    uint16_t list[CERT_KIND_SIGALGS_MAX];
    size_t n = cert_kind_sigalgs(kind, list);
    for (size_t i = 0; i < n; i++)
        writer_uint(w, 2, list[i]);
}

static struct cursor put_signatures(const struct foresee_client *c, struct made *m)
{
    struct writer w = writer_of(m->signatures, sizeof(m->signatures));
    for (size_t i = 0; i < c->kinds_len; i++)
        add_kind(&w, c->kinds[i]);
    for (int kind = 0; c->kinds_len == 0 && kind < CERT_KEY_KINDS; kind++)
        add_kind(&w, (enum cert_key_kind)kind);
    CHECK(!w.full);
    return cursor_of(m->signatures, (size_t)(w.p - m->signatures));
}

/* The body of supported_groups: a vector with its length before it. */
static struct cursor groups_body(const struct foresee_client *c, uint8_t space[GROUPS_BODY_MAX])
{
    struct writer w = writer_of(space, GROUPS_BODY_MAX);
    size_t len = c->groups_len > 0 ? 2 * c->groups_len : sizeof(all_groups);
    writer_uint(&w, 2, len);
    for (size_t i = 0; i < c->groups_len; i++)
        writer_uint(&w, 2, c->groups[i]);
    if (c->groups_len == 0)
        writer_bytes(&w, all_groups, sizeof(all_groups));
    CHECK(!w.full);
    return cursor_of(space, 2 + len);
}

static void make_hello(const struct foresee_client *c, struct made *m)
{
    struct hello *h = &m->hello;
    struct cursor groups = groups_body(c, m->groups);
    CHECK(cursor_skip(&groups, 2));
    *h = (struct hello){
        .cipher_suites = cursor_of(all_ciphers, sizeof(all_ciphers)),
        .groups = groups,
        .signatures = put_signatures(c, m),
        .alpn = cursor_of(c->alpn, c->alpn_len),
        .legacy_version = CONFIG_TLS_1_2,
        .version = c->version,
        .name_kind = *c->name == '\0' ? HELLO_NAME_NONE : HELLO_NAME_DNS,
        .name_len = (uint8_t)strlen(c->name),
    };
    CHECK(str_copy(h->name, sizeof(h->name), c->name, strlen(c->name)));
}

static const struct starttls *spoken_by(const struct snapshot *snap, const struct foresee_client *c)
{
    return snap->plan->ports[c->listener].speaks;
}

static enum first_bytes kind_of(const struct snapshot *snap, const struct foresee_client *c)
{
    return spoken_by(snap, c) != NULL ? FIRST_BYTES_STARTTLS : FIRST_BYTES_TLS;
}

/* ---- the steps ---- */

static bool ends(struct foresight *f, enum close_reason reason, enum alert alert, const char *why)
{
    f->reason = reason;
    f->alert = (uint8_t)alert;
    snprintf(f->why, sizeof(f->why), "%s", why);
    return false;
}

/* As ROUTE in peek.c, and take_hello() in quic_carrier.c. False: it ends here. */
static bool find_route(const struct snapshot *snap, const struct snapshot_shared *shared,
                       const struct foresee_client *c, const struct hello *h, struct route_match *ret_match,
                       struct foresight *f)
{
    enum first_bytes kind = kind_of(snap, c);
    const char *why;
    *ret_match = routing_find(snap, c->listener, kind, h);
    bool another = routing_wants_another(h, spoken_by(snap, c), ret_match);
    if (ret_match->route == ROUTE_NONE) {
        enum alert alert = routing_refusal(snap, c->listener, kind, h, &why);
        return ends(f, CLOSE_NO_ROUTE, alert, why);
    }
    if (another)
        return ends(f, CLOSE_NO_ROUTE, ALERT_NO_APPLICATION_PROTOCOL, ROUTING_ANOTHER);
    f->route = &snap->routes[ret_match->route];
    if (c->quic && !snapshot_carries(shared, f->route, ret_match->alpn))
        return ends(f, CLOSE_NO_ROUTE, ALERT_NO_APPLICATION_PROTOCOL, "the route carries nothing over QUIC");
    if (f->route->config->action == CONFIG_REJECT)
        return ends(f, CLOSE_REJECTED, (enum alert)f->route->config->reject, "the route rejects");
    return true;
}

/* The server that would speak with him; NULL: the door does not end TLS. Who shows a certificate is taken to
 * come for what agents expose in private, others for what they expose to everybody. */
static const struct tls_server *server_of(const struct snapshot *snap, const struct foresee_client *c,
                                          struct foresight *f)
{
    const struct route_runtime *r = f->route;
    bool open = r->tls == NULL || (r->config->action == CONFIG_EXPOSE && c->pem == NULL);
    const struct tls_server *own = open ? r->tls_open : r->tls;
    if (own == NULL)
        return NULL;
    const struct tls_server *server = certify_server(snap->config, c->listener, &c->peer, r, own);
    f->candidates = certify_shows_candidates(r, server);
    return server;
}

/* False: there is none, nor will there be. */
static bool choose_certificate(const struct snapshot *snap, const struct foresee_client *c,
                               foresee_lacks *lacks, const struct cert_query *query, struct foresight *f)
{
    const struct route_runtime *r = f->route;
    const struct cert_store *store = f->candidates ? r->candidates.store : r->store;
    const struct certify_wish wish = {
        .route = r, .query = query, .peer = &c->peer, .candidates = f->candidates};
    struct cert *cert;
    const char *why;
    enum cert_desk_result result = certify_choose(&wish, NULL, &cert, &why);
    f->cert = cert != NULL ? cert : store != NULL ? cert_select(store, query) : NULL;
    bool exact = store != NULL && cert_select_exact(store, query) != NULL;
    bool certain = cert != NULL || !r->looks_up || exact;
    f->looked_up = !certain || result != CERT_DESK_FOUND;
    why = !f->looked_up      ? NULL
          : *c->name == '\0' ? CERT_DESK_NAMELESS
                             : lacks(snap->config, r->asks_as, c->name);
    f->looked_up = f->looked_up && why == NULL;
    return why == NULL || f->cert != NULL ||
           ends(f, CLOSE_UNCERTIFIED, (enum alert)certify_alert(CERT_DESK_NONE, false), why);
}

/* Of its versions and groups. */
static const char *refusal_of(const struct tls_server *server, const struct foresee_client *c,
                              struct cursor groups)
{
    bool listed = c->version >= CONFIG_TLS_1_3; /* supported_versions is an extension of TLS 1.3 */
    const struct tls_groups_offer offer = {
        .versions = cursor_of(versions_extension, listed ? sizeof(versions_extension) : 0), .groups = groups};
    return tls_server_refusal(server, &offer);
}

/* As far as TLS agrees. What the library judges by the settings it was given is judged by these here. */
static bool shake_hands(const struct tls_server *server, const struct foresee_client *c,
                        const struct tls_client_hello *hello, const struct config_tls *tls,
                        struct foresight *f)
{
    bool refused = false;
    uint8_t space[GROUPS_BODY_MAX];
    struct cursor groups = groups_body(c, space);
    const char *refusal = refusal_of(server, c, groups);
    char why[128];
    f->version = hello->query.version;
    if (refusal != NULL)
        return ends(f, CLOSE_HANDSHAKE_FAILED, ALERT_INSUFFICIENT_SECURITY, refusal);
    if (c->quic && f->version != CONFIG_TLS_1_3)
        return ends(f, CLOSE_HANDSHAKE_FAILED, ALERT_PROTOCOL_VERSION,
                    "QUIC needs TLS 1.3, and the client or the route does not speak it");
    if (c->version < (uint16_t)tls->min_version) {
        snprintf(why, sizeof(why), "the route speaks %s and up, and the client %s at most",
                 tls_version_name((uint16_t)tls->min_version), tls_version_name(c->version));
        return ends(f, CLOSE_HANDSHAKE_FAILED, ALERT_PROTOCOL_VERSION, why);
    }
    if (!tls_server_shares_group(server, f->version, groups))
        return ends(f, CLOSE_HANDSHAKE_FAILED, ALERT_HANDSHAKE_FAILURE,
                    "the client offers none of the key exchange groups that are taken here");
    if (f->cert != NULL && !f->looked_up && (cert_kinds_verified(&hello->query) >> f->cert->kind & 1) == 0)
        return ends(f, CLOSE_HANDSHAKE_FAILED, ALERT_HANDSHAKE_FAILURE,
                    "the client cannot verify the kind of key that the certificate has");
    if (c->alpn_len > 0) {
        struct str agreed = tls_server_protocol(server, hello->alpn, c->alpn, c->alpn_len, &refused);
        CHECK(str_copy(f->alpn, sizeof(f->alpn), agreed.p, agreed.len));
    }
    return !refused || ends(f, CLOSE_HANDSHAKE_FAILED, ALERT_NO_APPLICATION_PROTOCOL,
                            "the client offers none of the protocols (ALPN) that the route speaks");
}

static bool prove_client(const struct tls_server *server, const struct foresee_client *c, struct foresight *f)
{
    const struct trust *trust = tls_server_trust(server);
    struct trust_refusal refusal;
    struct err err;
    f->asks = trust != NULL;
    f->demands = f->asks && (f->route->config->clients.mode == CONFIG_CLIENTS_REQUIRED ||
                             f->route->config->action == CONFIG_EXPOSE);
    if (f->asks && c->pem != NULL) {
        f->identity = trust_identity_pem(trust, c->pem, time(NULL), &refusal, &err);
        return f->identity != NULL || ends(f, CLOSE_BAD_CERTIFICATE, refusal.alert, err.text);
    }
    return !f->demands ||
           ends(f, CLOSE_NO_CERTIFICATE,
                f->version == CONFIG_TLS_1_3 ? ALERT_CERTIFICATE_REQUIRED : ALERT_HANDSHAKE_FAILURE,
                "the route demands a client certificate");
}

static bool begin_tls(const struct snapshot *snap, const struct foresee_client *c, const struct hello *h,
                      const struct hello_note *note, foresee_lacks *lacks, struct foresight *f)
{
    const struct tls_server *server = server_of(snap, c, f);
    struct routing_client client;
    struct config_tls tls;
    if (server == NULL)
        return true;
    routing_client(h, note, &f->route->config->tls, &client);
    staging_tls(&f->route->config->tls, snap->staging, f->candidates, &tls);
    if (!choose_certificate(snap, c, lacks, &client.hello.query, f))
        return false;
    f->ends_tls = true;
    return shake_hands(server, c, &client.hello, &tls, f) && prove_client(server, c, f);
}

static bool deny(struct foresight *f, const char *action, const char *missing)
{
    char why[POLICY_TEXT_MAX];
    bool told_within = f->route->config->action == CONFIG_TUNNEL; /* in words of the tunnel's protocol */
    return ends(f, CLOSE_DENIED, told_within ? ALERT_CLOSE_NOTIFY : ALERT_ACCESS_DENIED,
                policy_denial(&f->verdict, f->identity, action, missing, why));
}

/* What agents expose in private is a target of the policy; what they expose to everybody is
 * not asked about. */
static bool may_visit(const struct snapshot *snap, const struct foresee_client *c, struct foresight *f)
{
    char action[POLICY_TEXT_MAX], missing[HELLO_NAME_MAX + 16];
    struct policy_host host;
    struct err err;
    if (f->identity == NULL || policy_host_parse(c->name, strlen(c->name), &host, &err) != 0)
        return true;
    host.space = POLICY_NAME;
    f->judged = true;
    f->verdict = policy_reach(snap->policy, (uint32_t)(f->route - snap->routes), f->identity, &host, 0);
    if (f->verdict.effect != POLICY_DENY)
        return true;
    snprintf(action, sizeof(action), "visit %s on route %s", host.name, f->route->config->name.text);
    snprintf(missing, sizeof(missing), "name:%s", host.name);
    return deny(f, action, missing);
}

/* As AUTHORISE. */
static bool authorise(const struct snapshot *snap, const struct snapshot_shared *shared,
                      const struct foresee_client *c, struct foresight *f)
{
    const char *spoken = f->alpn[0] != '\0' ? f->alpn : "http/1.1"; /* as choose_front() in authorise.c */
    const struct config_route *rc = f->route->config;
    char action[POLICY_TEXT_MAX];
    if (!f->ends_tls)
        return true;
    if (rc->action == CONFIG_EXPOSE)
        return may_visit(snap, c, f);
    if (rc->action == CONFIG_TUNNEL) {
        const struct front *front = snapshot_front(shared, (struct str){spoken, strlen(spoken)});
        if (front == NULL || (front->tenant != NULL && !c->quic))
            return ends(f, CLOSE_BAD_REQUEST, ALERT_CLOSE_NOTIFY,
                        "the negotiated ALPN has no way to name a target");
    }
    bool admitted = routing_admits(snap, f->route, f->identity, &f->verdict);
    f->judged = f->route->ask_policy;
    if (admitted)
        return true;
    snprintf(action, sizeof(action), "use route %s", rc->name.text);
    return deny(f, action, NULL);
}

void foresee(const struct snapshot *snap, const struct snapshot_shared *shared,
             const struct foresee_client *c, foresee_lacks *lacks, struct foresight *ret)
{
    struct made made;
    const struct hello *h = &made.hello;
    struct hello_note note = {0};
    struct route_match match;
    CHECK(c->listener < snap->config->listeners.n && !snap->plan->ports[c->listener].plain);
    *ret = (struct foresight){.reason = CLOSE_DONE};
    make_hello(c, &made);
    if (!find_route(snap, shared, c, h, &match, ret))
        return;
    routing_note(h, &match, c->quic ? JA4_QUIC : JA4_TCP, &note);
    if (begin_tls(snap, c, h, &note, lacks, ret))
        authorise(snap, shared, c, ret);
}

void foresight_free(struct foresight *f)
{
    identity_free(f->identity);
    f->identity = NULL;
}

int foresee_routes(const struct snapshot *snap, const struct foresee_client *c,
                   void (*each)(void *arg, const struct route_trial *trial), void *arg, bool *ret_as_http)
{
    struct made made;
    make_hello(c, &made);
    return routing_trace(snap, c->listener, kind_of(snap, c), &made.hello, each, arg, ret_as_http);
}
