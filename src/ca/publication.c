/* SPDX-License-Identifier: Apache-2.0 */
#include "ca/publication.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/mem.h>
#include <openssl/sha.h>
#include <openssl/x509.h>

#include "base/check.h"
#include "base/hash.h"
#include "ca/authority.h"
#include "ca/ocsp_path.h"
#include "cert/pem.h"

#define PUBLICATION_MAGIC 0xca9b1150u

#define OCSP_KEPT 1024        /* answers, a power of two */
#define OCSP_KEPT_REQUEST 512 /* bytes of a request whose answer is kept */

/* Seconds for which others may keep what can change by a revocation, and what cannot. The first is how late
 * one may be noticed behind a cache. */
#define CACHED_BRIEFLY 300
#define CACHED 86400

#define TYPE_TEXT "text/plain; charset=utf-8"
#define TYPE_PEM "application/x-pem-file"
#define TYPE_CERT "application/pkix-cert"
#define TYPE_CRL "application/pkix-crl"
#define TYPE_OCSP_REQUEST "application/ocsp-request"
#define TYPE_OCSP "application/ocsp-response"
#define OCSP_PATH PUBLICATION_PATH CA_URL_OCSP

/* Something signed, and when. */
struct made {
    struct buf der; /* empty: not yet */
    int64_t at;
};

struct kept {
    struct buf request;
    struct made response;
};

struct publication {
    uint32_t magic;
    struct authority *authority;
    struct publication_lifetimes lifetimes;
    int64_t row; /* of the log, up to which it is known what was revoked */
    struct list_made {
        struct made made;
        bool outdated; /* something was revoked since */
    } * crls;          /* of each issuer */
    size_t issuers;
    struct hash_key key;
    struct kept *kept; /* OCSP_KEPT; where two would have the same place the later one stays */
};

struct publication *publication_new(struct authority *a, const struct publication_lifetimes *lifetimes)
{
    struct publication *p = calloc(1, sizeof(*p));
    CHECK(p != NULL && lifetimes->crl > 0 && lifetimes->ocsp > 0);
    *p = (struct publication){.magic = PUBLICATION_MAGIC,
                              .authority = a,
                              .lifetimes = *lifetimes,
                              .key = hash_random_key(),
                              .kept = calloc(OCSP_KEPT, sizeof(*p->kept))};
    struct authority_issuer issuer;
    while (authority_issuer(a, p->issuers, &issuer))
        p->issuers++;
    CHECK(p->issuers > 0);
    p->crls = calloc(p->issuers, sizeof(*p->crls));
    CHECK(p->kept != NULL && p->crls != NULL);
    return p;
}

static void forget(struct kept *k)
{
    buf_free(&k->request);
    buf_free(&k->response.der);
}

void publication_free(struct publication *p)
{
    if (p == NULL)
        return;
    CHECK_MAGIC(p, PUBLICATION_MAGIC);
    for (size_t i = 0; i < OCSP_KEPT; i++)
        forget(&p->kept[i]);
    free(p->kept);
    for (size_t i = 0; i < p->issuers; i++)
        buf_free(&p->crls[i].made.der);
    free(p->crls);
    p->magic = 0;
    free(p);
}

/* ---- what was kept ---- */

/* Was anything revoked? Then what was signed before is no longer given. */
static int look_at_log(struct publication *p, struct err *err)
{
    int revoked = authority_revoked_since(p->authority, &p->row, err);
    if (revoked > 0) {
        for (size_t i = 0; i < p->issuers; i++)
            p->crls[i].outdated = true;
        for (size_t i = 0; i < OCSP_KEPT; i++)
            forget(&p->kept[i]);
    }
    return revoked < 0 ? -1 : 0;
}

/* A clock that was set back makes it anew too. */
static bool is_fresh(const struct made *m, int64_t lifetime, int64_t now)
{
    return m->der.len > 0 && now >= m->at && now - m->at <= lifetime / 2;
}

/* ---- answering ---- */

/* Give it, with what RFC 5019, 6.2, says to caches. */
static void give(struct web_answer *ret, const char *type, const struct made *m, int64_t lifetime,
                 int64_t now)
{
    uint8_t hash[SHA256_DIGEST_LENGTH];
    int64_t left = m->at + lifetime - now;
    ret->status = 200;
    ret->type = type;
    CHECK(buf_append(&ret->body, m->der.data, m->der.len));
    SHA256(m->der.data, m->der.len, hash);
    web_answer_field(ret, "Cache-Control", "public, max-age=%lld, no-transform, must-revalidate",
                     (long long)MIN(left, CACHED_BRIEFLY));
    web_answer_date(ret, "Last-Modified", m->at);
    web_answer_date(ret, "Expires", m->at + lifetime);
    web_answer_field(ret, "ETag", "\"%02x%02x%02x%02x%02x%02x%02x%02x\"", hash[0], hash[1], hash[2], hash[3],
                     hash[4], hash[5], hash[6], hash[7]);
}

static int fail(struct web_answer *ret)
{
    web_answer_text(ret, 500, "the CA cannot answer now; its operator has been told why");
    return -1;
}

/* ---- the CRL ---- */

static int make_crl(struct publication *p, size_t issuer, int64_t now, struct err *err)
{
    struct list_made *crl = &p->crls[issuer];
    struct buf der = {0};
    int rc = authority_crl(p->authority, issuer, now, p->lifetimes.crl, &der, err);
    if (rc < 0) {
        buf_free(&der);
        return -1;
    }
    buf_free(&crl->made.der);
    *crl = (struct list_made){.made = {.der = der, .at = now}};
    return 0;
}

/* Where no new one can be had the old one still is what the CA has signed, as long as it holds. */
static int refresh_crl(struct publication *p, size_t issuer, int64_t now, struct err *err)
{
    const struct list_made *crl = &p->crls[issuer];
    return crl->outdated || !is_fresh(&crl->made, p->lifetimes.crl, now) ? make_crl(p, issuer, now, err) : 0;
}

static bool holds(const struct publication *p, size_t issuer, int64_t now)
{
    const struct made *m = &p->crls[issuer].made;
    return m->der.len > 0 && now >= m->at && now < m->at + p->lifetimes.crl;
}

static int answer_crl(struct publication *p, size_t issuer, int64_t now, struct web_answer *ret,
                      struct err *err)
{
    int rc = look_at_log(p, err);
    if (rc == 0)
        rc = refresh_crl(p, issuer, now, err);
    if (!holds(p, issuer, now))
        return fail(ret);
    give(ret, TYPE_CRL, &p->crls[issuer].made, p->lifetimes.crl, now);
    return rc;
}

/* Those of all issuers, one behind the other in PEM. */
static int answer_all_crls(struct publication *p, int64_t now, struct web_answer *ret, struct err *err)
{
    struct made all = {.at = now};
    int rc = look_at_log(p, err);
    for (size_t i = 0; i < p->issuers; i++) {
        const struct made *m = &p->crls[i].made;
        if (authority_issuer_is_over(p->authority, i, now))
            continue;
        if (rc == 0)
            rc = refresh_crl(p, i, now, err);
        if (!holds(p, i, now)) {
            buf_free(&all.der);
            return fail(ret);
        }
        CHECK(ca_put_pem(&all.der, "X509 CRL", m->der.data, m->der.len));
        all.at = MIN(all.at, m->at);
    }
    give(ret, TYPE_PEM, &all, p->lifetimes.crl, now);
    buf_free(&all.der);
    return rc;
}

/* ---- OCSP ---- */

static struct kept *place_of(struct publication *p, struct str der)
{
    return &p->kept[hash_bytes(&p->key, der.p, der.len) & (OCSP_KEPT - 1)];
}

static bool is_for(const struct kept *k, struct str der)
{
    return k->request.len == der.len && memcmp(k->request.data, der.p, der.len) == 0;
}

/* Takes the response. */
static void keep(struct publication *p, struct str der, struct made *response)
{
    struct kept *k = place_of(p, der);
    forget(k);
    k->response = *response;
    *response = (struct made){0};
    CHECK(buf_append(&k->request, der.p, der.len));
}

static int sign_ocsp(struct publication *p, struct str der, int64_t now, struct web_answer *ret,
                     struct err *err)
{
    struct made made = {.at = now};
    bool lasting;
    if (authority_ocsp(p->authority, der, now, p->lifetimes.ocsp, &made.der, &lasting, err) < 0) {
        buf_free(&made.der);
        return fail(ret);
    }
    if (lasting) {
        give(ret, TYPE_OCSP, &made, p->lifetimes.ocsp, now);
        if (der.len <= OCSP_KEPT_REQUEST)
            keep(p, der, &made);
    } else {
        ret->status = 200;
        ret->type = TYPE_OCSP;
        CHECK(buf_append(&ret->body, made.der.data, made.der.len));
        web_answer_field(ret, "Cache-Control", "no-store");
    }
    buf_free(&made.der);
    return 0;
}

static int answer_ocsp(struct publication *p, struct str der, int64_t now, struct web_answer *ret,
                       struct err *err)
{
    if (look_at_log(p, err) < 0)
        return fail(ret);
    const struct kept *k = place_of(p, der);
    if (!is_for(k, der) || !is_fresh(&k->response, p->lifetimes.ocsp, now))
        return sign_ocsp(p, der, now, ret, err);
    give(ret, TYPE_OCSP, &k->response, p->lifetimes.ocsp, now);
    return 0;
}

static bool is_get(struct str method)
{
    return str_is(method, "GET") || str_is(method, "HEAD");
}

/* `rest` is what stands behind the path of OCSP. */
static int route_ocsp(struct publication *p, const struct web_request *r, struct str rest, int64_t now,
                      struct web_answer *ret, struct err *err)
{
    struct buf der = {0};
    int rc = 0;
    if (str_is(r->method, "POST") && (rest.len == 0 || str_is(rest, "/"))) {
        if (str_is(r->type, TYPE_OCSP_REQUEST))
            return answer_ocsp(p, r->body, now, ret, err);
        web_answer_text(ret, 415, "expected content of the type " TYPE_OCSP_REQUEST);
    } else if (!is_get(r->method)) {
        web_answer_not_allowed(ret, "GET, HEAD, POST");
    } else if (rest.len < 2 || rest.p[0] != '/' ||
               !ocsp_path_read((struct str){rest.p + 1, rest.len - 1}, &der)) {
        web_answer_text(ret, 400,
                        "expected an OCSP request in base64 behind " OCSP_PATH
                        "/, or as the content of a POST (RFC 6960, appendix A)");
    } else {
        rc = answer_ocsp(p, (struct str){(const char *)der.data, der.len}, now, ret, err);
    }
    buf_free(&der);
    return rc;
}

/* ---- certificates, and the page ---- */

static int answer_certificate(X509 *cert, bool pem, struct web_answer *ret, struct err *err)
{
    uint8_t *der = NULL;
    int len = i2d_X509(cert, &der);
    bool ok = len > 0 && (pem ? ca_put_pem(&ret->body, "CERTIFICATE", der, (size_t)len)
                              : buf_append(&ret->body, der, (size_t)len));
    OPENSSL_free(der);
    if (!ok) {
        ret->body.len = 0;
        err_set(err, "out of memory");
        return fail(ret);
    }
    ret->status = 200;
    ret->type = pem ? TYPE_PEM : TYPE_CERT;
    web_answer_field(ret, "Cache-Control", "public, max-age=%d", CACHED);
    return 0;
}

/* Whom to trust: while two roots do, both. */
static int answer_roots(const struct authority *a, int64_t now, struct web_answer *ret, struct err *err)
{
    if (!authority_put_roots(a, now, &ret->body)) {
        ret->body.len = 0;
        err_set(err, "out of memory");
        return fail(ret);
    }
    ret->status = 200;
    ret->type = TYPE_PEM;
    web_answer_field(ret, "Cache-Control", "public, max-age=%d", CACHED);
    return 0;
}

/* An issuer before: its name, and where its own files are. */
static void put_earlier(const struct publication *p, struct buf *text)
{
    struct authority_issuer issuer;
    for (size_t i = 0; authority_issuer(p->authority, i, &issuer); i++) {
        char name[PEM_NAME_MAX];
        if (i == 1)
            CHECK(buf_printf(text, "Who has issued before, and answers for that:\n\n"));
        if (i > 0)
            CHECK(
                buf_printf(text, CA_URL_ISSUER "%s.pem, " CA_URL_ISSUER "%s.der, " CA_URL_CRL "%s.der: %s\n",
                           issuer.suffix, issuer.suffix, issuer.suffix, pem_subject_text(issuer.cert, name)));
    }
    CHECK(p->issuers < 2 || buf_append(text, "\n", 1));
}

static int answer_page(struct publication *p, int64_t now, struct web_answer *ret, struct err *err)
{
    struct authority_facts facts;
    struct authority_issuer issuer;
    CHECK(authority_issuer(p->authority, 0, &issuer));
    const char *suffix = issuer.suffix;
    if (authority_look(p->authority, now, &facts, err) < 0)
        return fail(ret);
    ret->status = 200;
    ret->type = TYPE_TEXT;
    CHECK(buf_printf(&ret->body,
                     "Here is a certificate authority.\n\n"
                     "root.pem, root.der: whom to trust: %s\n" CA_URL_ISSUER "%s.pem, " CA_URL_ISSUER
                     "%s.der: who issues: %s\n" CA_URL_CRL
                     "%s.der: what is revoked of it (RFC 5280)\n" CA_URL_CRL
                     ".pem: the same of all that have issued\n"
                     "ocsp: the same of one certificate (RFC 6960)\n\n",
                     facts.root.name, suffix, suffix, facts.intermediate.name, suffix));
    put_earlier(p, &ret->body);
    CHECK(buf_printf(
        &ret->body,
        "Before you trust the root hold its SHA-256 against the one that you were told by other means:\n"
        "%s\n\n"
        "openssl ocsp -issuer " CA_URL_ISSUER "%s.pem -CAfile root.pem -cert FILE -url http://HOST" OCSP_PATH
        "\n",
        facts.root.sha256, suffix));
    return 0;
}

static bool is_called(struct str name, const char *begin, const char *suffix, const char *end)
{
    char text[64];
    snprintf(text, sizeof(text), "%s%s%s", begin, suffix, end);
    return str_is(name, text);
}

/* `name` is what stands behind PUBLICATION_PATH. */
static int route_get(struct publication *p, struct str name, int64_t now, struct web_answer *ret,
                     struct err *err)
{
    struct authority_issuer issuer;
    if (name.len == 0)
        return answer_page(p, now, ret, err);
    if (str_is(name, CA_URL_CRL ".pem"))
        return answer_all_crls(p, now, ret, err);
    if (str_is(name, "root.pem"))
        return answer_roots(p->authority, now, ret, err);
    if (str_is(name, "root.der"))
        return answer_certificate(authority_root(p->authority), false, ret, err);
    for (size_t i = 0; authority_issuer(p->authority, i, &issuer); i++) {
        if (is_called(name, CA_URL_CRL, issuer.suffix, CA_URL_DER))
            return answer_crl(p, i, now, ret, err);
        bool pem = is_called(name, CA_URL_ISSUER, issuer.suffix, ".pem");
        if (pem || is_called(name, CA_URL_ISSUER, issuer.suffix, CA_URL_DER))
            return answer_certificate(issuer.cert, pem, ret, err);
    }
    web_answer_text(ret, 404, "there is nothing here; " PUBLICATION_PATH " tells what is");
    return 0;
}

int publication_answer(struct publication *p, const struct web_request *request, int64_t now,
                       struct web_answer *ret, struct err *err)
{
    CHECK_MAGIC(p, PUBLICATION_MAGIC);
    size_t prefix = strlen(PUBLICATION_PATH), ocsp = strlen(CA_URL_OCSP);
    CHECK(request->path.len >= prefix);
    struct str name = {request->path.p + prefix, request->path.len - prefix};
    if (name.len >= ocsp && memcmp(name.p, CA_URL_OCSP, ocsp) == 0 &&
        (name.len == ocsp || name.p[ocsp] == '/'))
        return route_ocsp(p, request, (struct str){name.p + ocsp, name.len - ocsp}, now, ret, err);
    if (is_get(request->method))
        return route_get(p, name, now, ret, err);
    web_answer_not_allowed(ret, "GET, HEAD");
    return 0;
}
