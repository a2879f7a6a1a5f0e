/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/cert_live.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/clean.h"
#include "base/clock.h"
#include "base/hostname.h"
#include "base/hostport.h"
#include "loop/loop.h"
#include "net/resolver.h"
#include "probe/server_probe.h"
#include "tls/client.h"
#include "tls/tls_link.h"

#define TIMEOUT_NS (10 * NSEC_PER_SEC)
#define NAMES_MAX 4
#define FOR_WILDCARD "cardea-test" /* a label that stands for any */
#define TLS12 0x0303
#define TLS13 0x0304

/* A kind of client. Code points are those of IANA: SignatureScheme (RFC 8446, 4.2.3), NamedGroup (4.2.7). */
struct profile {
    const char *what;
    uint16_t min_version, max_version;
    const char *ciphers; /* of TLS 1.2; NULL: the usual ones */
    uint16_t verifies[4];
    int groups[2];
    bool nameless;
};

static const struct profile profiles[] = {
    {"TLS 1.2, ECDSA alone",
     TLS12,
     TLS12,
     "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305",
     {0x0403, 0x0503},
     {0x001d, 0x0017},
     false},
    {"TLS 1.2, RSA alone",
     TLS12,
     TLS12,
     "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-CHACHA20-POLY1305",
     {0x0804, 0x0401, 0x0805, 0x0501},
     {0x001d, 0x0017},
     false},
    {"TLS 1.3", TLS13, TLS13, NULL, {0}, {0x001d, 0x0017}, false},
    {"TLS 1.3, X25519MLKEM768 alone", TLS13, TLS13, NULL, {0}, {0x11ec}, false},
    {"no SNI", TLS12, TLS13, NULL, {0}, {0x001d, 0x0017}, true},
};

enum { PRODUCTION, STAGING, PLACES };

struct trying;

struct
try {
    struct trying *all;
    size_t profile;
    char name[HOSTNAME_MAX + 1];
    struct server_probe *probe[PLACES];
};

struct trying {
    struct loop *loop;
    struct resolver *resolver;
    struct tls_scratch scratch;
    struct tls_client *tls[ARRAY_LEN(profiles)];
    char host[PLACES][HOST_MAX];
    uint16_t port[PLACES];
    struct try v[NAMES_MAX * ARRAY_LEN(profiles)];
    size_t len, left;
};

/* ---- trying ---- */

static size_t count_of(const uint16_t *v, size_t most)
{
    size_t n = 0;
    while (n < most && v[n] != 0)
        n++;
    return n;
}

static struct tls_client *client_of(const struct profile *p, struct trust *roots, struct err *err)
{
    return tls_client_new(
        &(struct tls_client_params){.min_version = p->min_version,
                                    .max_version = p->max_version,
                                    .groups = p->groups,
                                    .groups_len = p->groups[1] != 0 ? 2 : 1,
                                    .ciphers = p->ciphers,
                                    .verifies = p->verifies,
                                    .verifies_len = count_of(p->verifies, ARRAY_LEN(p->verifies)),
                                    .trust = roots,
                                    .only_looks = true},
        err);
}

static void on_done(void *owner)
{
    struct try *t = owner;
    if (--t->all->left == 0)
        loop_stop(t->all->loop);
}

static void begin(struct trying *all, struct try *t)
{
    for (int i = 0; i < PLACES; i++)
        t->probe[i] = server_probe_start(
            &(struct server_probe_params){.to = {.loop = all->loop,
                                                 .resolver = all->resolver,
                                                 .host = all->host[i],
                                                 .port = all->port[i],
                                                 .name = profiles[t->profile].nameless ? NULL : t->name},
                                          .scratch = &all->scratch,
                                          .tls = all->tls[t->profile],
                                          .timeout = TIMEOUT_NS,
                                          .done = on_done,
                                          .owner = t});
}

/* One try for each profile and name; without a name one alone. */
static void plan(struct trying *all, const json_t *names)
{
    size_t n = MIN(json_array_size(names), (size_t)NAMES_MAX);
    for (size_t p = 0; p < ARRAY_LEN(profiles); p++)
        for (size_t i = 0; i < (profiles[p].nameless ? MIN(n, (size_t)1) : n); i++) {
            struct try *t = &all->v[all->len++];
            const char *name = json_string_value(json_array_get(names, i));
            bool wild = name != NULL && strncmp(name, "*.", 2) == 0;
            *t = (struct try){.all = all, .profile = p};
            snprintf(t->name, sizeof(t->name), "%s%s", wild ? FOR_WILDCARD : "",
                     name == NULL ? "" : name + wild);
        }
}

static int read_place(struct trying *all, int i, const char *text, struct err *err)
{
    struct err why;
    return str_host_port(text, strlen(text), all->host[i], &all->port[i], &why) == 0
               ? 0
               : err_set(err, "'%s': %s", text, why.text);
}

static int open_all(struct trying *all, const struct cert_live *live, struct err *err)
{
    if (read_place(all, PRODUCTION, live->production, err) != 0 ||
        read_place(all, STAGING, live->staging, err) != 0)
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(profiles); i++)
        if ((all->tls[i] = client_of(&profiles[i], live->roots, err)) == NULL)
            return -1;
    if ((all->loop = loop_new(err)) == NULL || (all->resolver = resolver_new(all->loop, err)) == NULL)
        return -1;
    tls_scratch_init(&all->scratch, all->loop);
    return 0;
}

static void close_all(struct trying *all)
{
    for (size_t i = 0; i < all->len; i++)
        for (int k = 0; k < PLACES; k++)
            server_probe_free(all->v[i].probe[k]);
    for (size_t i = 0; i < ARRAY_LEN(profiles); i++)
        tls_client_free(all->tls[i]);
    resolver_free(all->resolver);
    loop_free(all->loop);
    tls_scratch_free(&all->scratch);
}

/* ---- telling ---- */

static void describe(const struct server_probe_result *r, struct buf *out)
{
    if (!r->shook_hands)
        CHECK(buf_printf(out, "%s", r->text.text));
    else
        CHECK(buf_printf(out, "TLS 1.%d, %s, %s, %s by %s%s", r->version - 0x0301,
                         r->group != NULL ? r->group : "no group", r->cipher, r->certificate.key,
                         r->certificate.issuer, r->outcome == PROBE_GOOD ? "" : ", not proven"));
}

static const char *level_of(const struct server_probe_result *now, const struct server_probe_result *then,
                            bool same)
{
    if (now->shook_hands && !then->shook_hands)
        return "lost";
    if (now->outcome == PROBE_GOOD && then->outcome != PROBE_GOOD)
        return "lost";
    return same ? "good" : now->shook_hands ? "changed" : "note";
}

static void tell(const struct try *t, json_t *findings)
{
    const struct server_probe_result *now = server_probe_result(t->probe[PRODUCTION]),
                                     *then = server_probe_result(t->probe[STAGING]);
    const struct profile *p = &profiles[t->profile];
    struct buf before = {0}, after = {0}, text = {0};
    describe(now, &before);
    describe(then, &after);
    bool same = now->shook_hands == then->shook_hands &&
                (!now->shook_hands || strcmp(buf_text(&before), buf_text(&after)) == 0);
    CHECK(buf_printf(&text, "%s%s%s: %s", p->what, p->nameless ? "" : ", ", p->nameless ? "" : t->name,
                     buf_text(&after)));
    CHECK(buf_printf(&text, "%s%s", same ? ", as in production" : "; in production ",
                     same ? "" : buf_text(&before)));
    str_clean(buf_text(&text), text.len + 1, buf_text(&text));
    json_array_append_new(findings, json_pack("{s:s, s:s, s:s}", "level", level_of(now, then, same), "what",
                                              "handshake", "text", buf_text(&text)));
    buf_free(&before);
    buf_free(&after);
    buf_free(&text);
}

int cert_live_try(const struct cert_live *live, const json_t *names, json_t *findings, struct err *err)
{
    struct trying *all = calloc(1, sizeof(*all));
    CHECK(all != NULL);
    plan(all, names);
    int done = open_all(all, live, err);
    all->left = all->len * PLACES;
    for (size_t i = 0; i < all->len && done == 0; i++)
        begin(all, &all->v[i]);
    if (done == 0 && all->left > 0)
        done = loop_run(all->loop, err);
    for (size_t i = 0; i < all->len && done == 0; i++)
        tell(&all->v[i], findings);
    close_all(all);
    free(all);
    return done;
}
