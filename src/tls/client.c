/* SPDX-License-Identifier: Apache-2.0 */
/* The peer must always prove itself: there is no way to make a client without a trust bundle. */
#include "tls/client.h"

#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/hostname.h"
#include "cert/cert.h"
#include "cert/trust.h"
#include "tls/params.h"
#include "tls/tls_internal.h"

#define CLIENT_MAGIC 0x7c11e470u

/* Tickets that have come and were not used, the newest last. Each is used once, so that connections cannot be
 * told to be of one client by it (RFC 8446, C.4). */
#define SESSIONS_MAX 4

struct sessions {
    SSL_SESSION *v[SESSIONS_MAX];
    size_t n;
};

struct tls_client {
    uint32_t magic;
    SSL_CTX *ctx;
    struct trust *trust;
    struct cert *cert;
    struct sessions *sessions; /* NULL: none are kept */
};

/* ---- tickets ---- */

static void sessions_put(struct sessions *s, SSL_SESSION *fresh)
{
    if (s->n == SESSIONS_MAX) {
        SSL_SESSION_free(s->v[0]);
        s->n--;
        for (size_t i = 0; i < s->n; i++)
            s->v[i] = s->v[i + 1];
    }
    s->v[s->n++] = fresh;
}

/* Those of QUIC are good there only; its library keeps a pointer of its own with each connection. */
static int on_session(SSL *ssl, SSL_SESSION *fresh)
{
    struct tls_client *c = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    CHECK_MAGIC(c, CLIENT_MAGIC);
    if (SSL_get_app_data(ssl) != NULL || !SSL_SESSION_is_resumable(fresh))
        return 0;
    sessions_put(c->sessions, fresh);
    return 1; /* it is ours */
}

static void keep_sessions(struct tls_client *c)
{
    c->sessions = calloc(1, sizeof(*c->sessions));
    CHECK(c->sessions != NULL);
    SSL_CTX_set_app_data(c->ctx, c);
    SSL_CTX_set_session_cache_mode(c->ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(c->ctx, on_session);
}

/* The library passes over one that has expired. The peer's chain is proven again all the same (tls/proof.h).
 */
static void resume(const struct tls_client *c, SSL *ssl)
{
    if (c->sessions == NULL || c->sessions->n == 0)
        return;
    SSL_SESSION *last = c->sessions->v[--c->sessions->n];
    SSL_set_session(ssl, last);
    SSL_SESSION_free(last);
}

static void sessions_free(struct sessions *s)
{
    if (s == NULL)
        return;
    while (s->n > 0)
        SSL_SESSION_free(s->v[--s->n]);
    free(s);
}

/* ---- the client ---- */

static int configure(struct tls_client *c, const struct tls_client_params *p, struct err *err)
{
    struct buf alpn = {0};
    c->ctx = tls_params_ctx(p->min_version, p->max_version, p->groups, p->groups_len, err);
    if (c->ctx == NULL || !tls_params_alpn(p->alpn, p->alpn_len, &alpn, err)) {
        buf_free(&alpn);
        return -1;
    }
    if (alpn.len > 0)
        SSL_CTX_set_alpn_protos(c->ctx, alpn.data, (unsigned)alpn.len);
    buf_free(&alpn);
    SSL_CTX_set_custom_verify(c->ctx, SSL_VERIFY_PEER, tls_proof_verify);
    if (p->resumes)
        keep_sessions(c);
    if (c->cert != NULL &&
        !SSL_CTX_set_chain_and_key(c->ctx, c->cert->chain, c->cert->chain_len, c->cert->key, NULL))
        return err_set(err, "certificate %s: %s", c->cert->label, tls_reason());
    return 0;
}

struct tls_client *tls_client_new(const struct tls_client_params *params, struct err *err)
{
    struct tls_client *c = calloc(1, sizeof(*c));
    CHECK(c != NULL && params->trust != NULL);
    c->magic = CLIENT_MAGIC;
    c->trust = trust_ref(params->trust);
    c->cert = params->cert == NULL ? NULL : cert_ref(params->cert);
    if (configure(c, params, err) == 0)
        return c;
    tls_client_free(c);
    return NULL;
}

void tls_client_free(struct tls_client *client)
{
    if (client == NULL)
        return;
    CHECK_MAGIC(client, CLIENT_MAGIC);
    SSL_CTX_free(client->ctx);
    sessions_free(client->sessions);
    trust_unref(client->trust);
    cert_unref(client->cert);
    client->magic = 0;
    free(client);
}

SSL *tls_client_ssl(const struct tls_client *client, const char *host, const char *sni,
                    struct tls_proof *ret_proof)
{
    CHECK_MAGIC(client, CLIENT_MAGIC);
    SSL *ssl = SSL_new(client->ctx);
    CHECK(ssl != NULL);
    SSL_set_connect_state(ssl);
    const char *name = sni != NULL ? sni : host;
    uint8_t ignored[16];
    if (hostname_address(name, ignored) == 0) /* RFC 6066, 3: addresses are not sent */
        SSL_set_tlsext_host_name(ssl, name);
    *ret_proof = (struct tls_proof){.trust = client->trust, .host = strdup(host)};
    CHECK(ret_proof->host != NULL);
    return ssl;
}

struct link *tls_client_connect(const struct tls_client *client, const char *host, const char *sni,
                                struct link *lower, struct tls_scratch *scratch)
{
    struct tls_proof proof;
    SSL *ssl = tls_client_ssl(client, host, sni, &proof);
    resume(client, ssl);
    return tls_link_new(ssl, lower, scratch, &proof, (struct str){0});
}
