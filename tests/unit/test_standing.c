/* SPDX-License-Identifier: Apache-2.0 */
/* session/standing.c: a connection that stays, under one configuration and lists after another. */
#include "pki.h"

#include "base/clock.h"
#include "cert/identity.h"
#include "session/front.h"
#include "session/routing.h"
#include "session/standing.h"
#include "session/worker.h"

#define DAY (INT64_C(86400))

static struct ca *root, *other, *carol;
static struct identity *identity;
static STACK_OF(CRYPTO_BUFFER) * chain;
static const struct front front = {.name = "test", .over_quic = true};
static const struct front_binding fronts[] = {{"cardea/1", &front}};
static const struct door_bindings bindings = {.fronts = fronts, .fronts_len = ARRAY_LEN(fronts)};

static void write_crl(const struct ca *revoked)
{
    struct buf pem = {0};
    pki_crl(root, revoked, 1, time(NULL), DAY, &pem);
    pki_write("staff.crl", pem.data, pem.len);
    buf_free(&pem);
}

static int make_pki(void **state)
{
    const struct identity_fact name = {IDENTITY_NAME, "carol"};
    (void)state;
    root = pki_root("Staff");
    other = pki_root("Other");
    carol = pki_client(root, "carol");
    struct ca *door = pki_server(root, "door.test");
    pki_save(root, "root");
    pki_save(other, "other");
    pki_save(door, "door");
    ca_free(door);
    chain = pki_stack(ca_x509(carol), NULL);
    identity = identity_make(&name, 1);
    return 0;
}

static int drop_pki(void **state)
{
    pki_stack_free(chain);
    identity_free(identity);
    ca_free(root);
    ca_free(other);
    ca_free(carol);
    return pki_remove(state);
}

/* ---- configurations ---- */

#define MAIN "{name: main, address: \"127.0.0.1:1\"}"
#define ASIDE "{name: aside, address: \"127.0.0.1:2\"}"
#define NO_QUIC "{name: main, address: \"127.0.0.1:1\", quic: false}"
#define STAFF "clients: {mode: required, trust: staff}"
#define ROUTE(name, more) "{name: " name ", sni: door.test, alpn: [cardea/1], tunnel: {}, " more "}"
#define TUNNEL ROUTE("tunnel", STAFF)
#define RULE "{name: all, who: {name: carol}, targets: [\"10.0.0.0/8:*\"]}"

/* What a configuration says that is different; NULL: as the first does. */
struct given {
    const char *listeners, *routes, *policy;
    bool revoked;
};

static struct snapshot *build(struct snapshot_shared *shared, const struct given *g)
{
    struct buf text = {0}, errors = {0};
    write_crl(g->revoked ? carol : NULL);
    assert_true(buf_printf(
        &text,
        "listeners: [%s]\ncertificates: [{certificate: %s, key: %s}]\n"
        "trust: [{name: staff, ca: [%s], crl: [%s]}, {name: other, ca: [%s]}]\nroutes: [%s]\npolicy: [%s]\n",
        g->listeners != NULL ? g->listeners : MAIN, pki_path("door.pem"), pki_path("door.key"),
        pki_path("root.pem"), pki_path("staff.crl"), pki_path("other.pem"),
        g->routes != NULL ? g->routes : TUNNEL, g->policy != NULL ? g->policy : RULE));
    struct config *c = config_parse("test.yaml", buf_text(&text), text.len, &errors);
    struct snapshot *snap = c == NULL ? NULL : snapshot_build(c, shared, &errors);
    if (snap == NULL)
        fail_msg("%.*s", (int)errors.len, (const char *)errors.data);
    buf_free(&text);
    buf_free(&errors);
    return snap;
}

/* ---- what comes, one after the other, and what it does ---- */

struct step {
    struct given given;
    int64_t later;       /* seconds since the handshake */
    bool same;           /* no other configuration than in the step before */
    const char *refused; /* words of why; NULL: welcome */
    enum close_reason reason;
    const char *route; /* that it is on then; NULL: "tunnel" */
    uint32_t listener;
};

#define STEPS 4

static const struct row {
    const char *what;
    bool udp;                 /* QUIC */
    struct step steps[STEPS]; /* up to the one at no time */
} rows[] = {
    {"nothing but another number", .steps = {{.later = 1}, {.later = 2}}},
    {"the policy is asked for each request, of the configuration in force",
     .steps = {{{.policy = "{name: all, who: {name: carol}, targets: [\"10.0.0.1:1\"]}"}, .later = 1}}},
    {"the route has another name", .steps = {{{.routes = ROUTE("renamed", STAFF)}, 1, .route = "renamed"}}},
    {"the route is gone, and back",
     .steps = {{{.routes = "{name: tunnel, sni: else.test, tunnel: {}, alpn: [cardea/1], " STAFF "}"},
                1,
                .refused = "no tunnel for this client any more (it came in by route tunnel)",
                .reason = CLOSE_NO_ROUTE},
               {.later = 2, .same = true, .refused = "no tunnel", .reason = CLOSE_NO_ROUTE},
               {.later = 3},
               {.later = 4, .same = true}}},
    {"the route leads elsewhere",
     .steps = {{{.routes = "{name: tunnel, sni: door.test, pass: {to: \"127.0.0.1:9\"}}"},
                1,
                .refused = "no tunnel",
                .reason = CLOSE_NO_ROUTE}}},
    {"the listener moves in the list",
     .steps = {{{.listeners = ASIDE ", " MAIN}, 1, .listener = 1}, {.later = 2}}},
    {"the listener has another name",
     .steps = {{{.listeners = "{name: renamed, address: \"127.0.0.1:1\"}"}, .later = 1}}},
    {"the listener is gone", .steps = {{{.listeners = ASIDE},
                                        1,
                                        .refused = "does not listen at 127.0.0.1:1 any",
                                        .reason = CLOSE_NO_ROUTE},
                                       {.later = 2}}},
    {"the listener has no QUIC any more", .udp = true,
     .steps = {{{.listeners = NO_QUIC}, 1, .refused = "127.0.0.1:1 for QUIC", .reason = CLOSE_NO_ROUTE}}},
    {"... which is nothing to TCP", .steps = {{{.listeners = NO_QUIC}, .later = 1}}},
    {"revoked, and not any more",
     .steps = {{{.revoked = true}, 1, .refused = "revoked", .reason = CLOSE_BAD_CERTIFICATE},
               {{.revoked = true}, 2, .refused = "revoked", .reason = CLOSE_BAD_CERTIFICATE},
               {.later = 3}}},
    {"another CA is trusted",
     .steps = {{{.routes = ROUTE("tunnel", "clients: {mode: required, trust: other}")},
                1,
                .refused = "not in trust bundle other",
                .reason = CLOSE_BAD_CERTIFICATE}}},
    {"the certificate expires",
     .steps =
         {{.later = 30, .same = true},
          {.later = 366 * DAY, .same = true, .refused = "has expired on", .reason = CLOSE_BAD_CERTIFICATE},
          {.later = 1, .same = true, .refused = "has expired on", .reason = CLOSE_BAD_CERTIFICATE}}},
    {"the list expires, which is seen within a minute", .steps = {{.later = 1, .same = true},
                                                                  {.later = 2 * DAY,
                                                                   .same = true,
                                                                   .refused = "a CRL that has expired",
                                                                   .reason = CLOSE_BAD_CERTIFICATE}}},
};

/* ---- the connection ---- */

struct world {
    struct snapshot_shared shared;
    struct epoch epochs[1 + STEPS];
    size_t count;
    struct standing st;
    struct hello_note hello;
    struct link_peer peer;
};

static struct epoch *install(struct world *w, const struct given *g)
{
    struct epoch *e = &w->epochs[w->count++];
    *e = (struct epoch){.snap = build(&w->shared, g), .holders = 1, .number = w->count};
    return e;
}

static void begin(struct world *w)
{
    *w = (struct world){
        .hello = {.sni = "door.test", .alpn_len = 8, .alpn = "cardea/1", .kind = FIRST_BYTES_TLS},
        .peer = {.identity = identity, .chain = chain}};
    snapshot_shared_init(&w->shared, 1, &bindings);
    w->st.epoch = install(w, &(struct given){0});
    w->st.route = &w->st.epoch->snap->routes[0];
}

static void end(struct world *w)
{
    standing_free(&w->st);
    while (w->count > 0)
        snapshot_unref(w->epochs[--w->count].snap);
    snapshot_shared_free(&w->shared);
}

static void take(struct world *w, const struct row *r, const struct step *s, int64_t wall)
{
    struct standing *st = &w->st;
    struct epoch *before = st->epoch, *latest = s->same ? &w->epochs[w->count - 1] : install(w, &s->given);
    const struct standing_now now = {latest, (1000 + s->later) * NSEC_PER_SEC, wall + s->later};
    bool welcome = standing_judge(st, &now, &w->hello, &w->peer, r->udp);
    if (welcome != (s->refused == NULL) || welcome != (st->why == NULL) || st->refused != s->reason ||
        (!welcome && strstr(st->why->text, s->refused) == NULL))
        fail_msg("%s, %lld s later: %s, %s", r->what, (long long)s->later, welcome ? "welcome" : "refused",
                 st->why == NULL ? "-" : st->why->text);
    assert_ptr_equal(st->epoch, welcome ? latest : before);
    if (!welcome)
        return;
    assert_ptr_equal(st->route, &latest->snap->routes[0]);
    assert_string_equal(st->route->config->name.text, s->route != NULL ? s->route : "tunnel");
    assert_int_equal(st->listener, s->listener);
}

static void test_rows(void **state)
{
    int64_t wall = time(NULL);
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct world w;
        begin(&w);
        for (size_t k = 0; k < STEPS && rows[i].steps[k].later != 0; k++)
            take(&w, &rows[i], &rows[i].steps[k], wall);
        end(&w);
    }
}

/* The chain is proven anew once a minute, not before each session. */
static void test_how_often(void **state)
{
    struct world w;
    int64_t wall = time(NULL);
    (void)state;
    begin(&w);
    for (int64_t s = 1; s <= 150; s++) {
        const struct standing_now now = {w.st.epoch, s * NSEC_PER_SEC, wall + s};
        assert_true(standing_judge(&w.st, &now, &w.hello, &w.peer, false));
        assert_int_equal(w.st.proven, (s - (s - 1) % 60) * NSEC_PER_SEC);
    }
    end(&w);
}

static int64_t look_at(int64_t lifetime)
{
    const struct ca_request request = {
        .name = "dave", .not_before = time(NULL) - DAY, .lifetime = DAY + lifetime};
    struct ca *dave = pki_issue(root, CA_PROFILE_CLIENT, request);
    STACK_OF(CRYPTO_BUFFER) *stack = pki_stack(ca_x509(dave), NULL);
    int64_t look = standing_look(&(struct link_peer){.chain = stack}) / NSEC_PER_SEC;
    pki_stack_free(stack);
    ca_free(dave);
    return look;
}

/* When the certificate expires, but in a minute at the latest; and never at once. */
static void test_when_to_look(void **state)
{
    (void)state;
    assert_in_range(look_at(30), 20, 30);
    assert_int_equal(look_at(DAY), 60);
    assert_int_equal(look_at(-30), 1);
    assert_int_equal(standing_look(&(struct link_peer){.chain = NULL}), 60 * NSEC_PER_SEC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows), cmocka_unit_test(test_how_often),
                                       cmocka_unit_test(test_when_to_look)};
    return cmocka_run_group_tests(tests, make_pki, drop_pki);
}
