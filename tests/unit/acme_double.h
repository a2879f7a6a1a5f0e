/* SPDX-License-Identifier: Apache-2.0 */
/* A CA that an ACME client can be told about: it does its part by RFC 8555, and at one place what a test
 * makes it do instead. No time passes but what the client waits for. */
#ifndef CARDEA_TESTS_UNIT_ACME_DOUBLE_H
#define CARDEA_TESTS_UNIT_ACME_DOUBLE_H

#include "acme/client.h"
#include "cert/key.h"
#include "jose/jws.h"

#include "pki.h"

#define ACME_NOW INT64_C(1800000000)
#define ACME_BASE "https://ca.example.com/"
#define ACME_PROBLEM(type, detail) \
    "{\"type\":\"urn:ietf:params:acme:error:" type "\",\"detail\":\"" detail "\"}"

/* What is said to requests whose URL ends so, instead of what would be right: from the `after`-th on, `times`
 * times. */
struct acme_oddity {
    const char *path; /* NULL: none */
    unsigned after, times;
    unsigned status;
    const char *body, *retry_after, *location;
};

struct acme_double {
    struct ca *root, *intermediate, *leaf;
    struct evp_pkey_st *account_key;
    const char *names[8]; /* NULL: no more */
    struct buf chain;     /* what it gives; empty: that of the leaf */
    struct acme_oddity odd;
    unsigned odd_seen;
    unsigned nonce, polls; /* how often an authorization and the order are pending */
    bool refuses_nonces;   /* every second one */
    bool wants_eab, offers_dns_only, is_valid_already;
    const char *meta; /* more of it */

    unsigned presented, withdrawn, up, requests;
    unsigned accounts, orders, finalized, responded;
    char nonce_text[32], last_payload[4096];
    int64_t now;
};

static inline void acme_double_init(struct acme_double *d, const char *const *names)
{
    *d = (struct acme_double){.now = ACME_NOW};
    size_t n = 0;
    while (names[n] != NULL) {
        d->names[n] = names[n];
        n++;
    }
    struct err err;
    d->root = ca_create_root(
        &(struct ca_request){.name = "r", .not_before = ACME_NOW - 86400, .lifetime = 10 * PKI_YEAR}, &err);
    assert_non_null(d->root);
    d->intermediate =
        pki_issue(d->root, CA_PROFILE_INTERMEDIATE,
                  (struct ca_request){.name = "i", .not_before = ACME_NOW - 86400, .lifetime = PKI_YEAR});
    d->leaf =
        pki_issue(d->intermediate, CA_PROFILE_SERVER,
                  (struct ca_request){
                      .sans = names, .sans_len = n, .not_before = ACME_NOW - 3600, .lifetime = 90 * 86400});
    d->account_key = key_make(KEY_P256);
}

static inline void acme_double_free(struct acme_double *d)
{
    ca_free(d->root);
    ca_free(d->intermediate);
    ca_free(d->leaf);
    EVP_PKEY_free(d->account_key);
    buf_free(&d->chain);
}

static inline size_t acme_names_len(const struct acme_double *d)
{
    size_t n = 0;
    while (d->names[n] != NULL)
        n++;
    return n;
}

static inline struct acme_client_settings acme_settings(const struct acme_double *d)
{
    return (struct acme_client_settings){.directory = ACME_BASE "dir",
                                         .account_key = d->account_key,
                                         .names = d->names,
                                         .names_len = acme_names_len(d),
                                         .proofs = {ACME_BY_TLS_ALPN, ACME_BY_HTTP, ACME_BY_DNS},
                                         .proofs_len = 3,
                                         .key = ca_private_key(d->leaf)};
}

/* ---- what it says ---- */

static inline void acme_put_identifier(struct buf *b, const char *name)
{
    uint8_t ip[16];
    buf_printf(b, "{\"type\":\"%s\",\"value\":\"%s\"}", hostname_address(name, ip) > 0 ? "ip" : "dns", name);
}

static inline void acme_put_order(struct acme_double *d, struct buf *b, const char *status)
{
    buf_printf(b, "{\"status\":\"%s\",\"finalize\":\"" ACME_BASE "finalize\",\"identifiers\":[", status);
    for (size_t i = 0; d->names[i] != NULL; i++) {
        buf_printf(b, "%s", i > 0 ? "," : "");
        acme_put_identifier(b, d->names[i]);
    }
    buf_printf(b, "],\"authorizations\":[");
    for (size_t i = 0; d->names[i] != NULL; i++)
        buf_printf(b, "%s\"" ACME_BASE "authz%zu\"", i > 0 ? "," : "", i);
    buf_printf(b, "]%s}", strcmp(status, "valid") == 0 ? ",\"certificate\":\"" ACME_BASE "cert\"" : "");
}

static inline void acme_put_authorization(struct acme_double *d, struct buf *b, size_t i)
{
    static const char *const types[] = {"tls-alpn-01", "http-01", "dns-01", "dns-account-01"};
    bool wild = strncmp(d->names[i], "*.", 2) == 0, valid = d->is_valid_already;
    if (!valid && d->responded > i && d->polls > 0)
        d->polls--;
    else if (d->responded > i)
        valid = true;
    buf_printf(b, "{\"status\":\"%s\",\"identifier\":", valid ? "valid" : "pending");
    acme_put_identifier(b, d->names[i] + (wild ? 2 : 0));
    buf_printf(b, ",\"wildcard\":%s,\"challenges\":[", wild ? "true" : "false");
    for (size_t k = d->offers_dns_only || wild ? 2 : 0; k < 4; k++)
        buf_printf(b,
                   "{\"type\":\"%s\",\"status\":\"pending\",\"token\":\"token-%zu_%zu\",\"url\":\"" ACME_BASE
                   "chall%zu\"}%s",
                   types[k], i, k, i, k < 3 ? "," : "");
    buf_printf(b, "]}");
}

static inline bool acme_path_is(const char *url, const char *path)
{
    size_t len = strlen(url), n = strlen(path);
    return len >= n && strcmp(url + len - n, path) == 0;
}

/* The answer by the book; returns its status. */
static inline unsigned acme_answer_by_path(struct acme_double *d, const char *path, struct buf *b,
                                           struct str *location)
{
    unsigned i;
    if (strcmp(path, "dir") == 0) {
        buf_printf(b,
                   "{\"newNonce\":\"" ACME_BASE "nonce\",\"newAccount\":\"" ACME_BASE "account\","
                   "\"newOrder\":\"" ACME_BASE "order\",\"revokeCert\":\"" ACME_BASE "revoke\","
                   "\"keyChange\":\"" ACME_BASE "key\",\"renewalInfo\":\"" ACME_BASE "ari\","
                   "\"meta\":{\"externalAccountRequired\":%s%s}}",
                   d->wants_eab ? "true" : "false", d->meta != NULL ? d->meta : "");
        return 200;
    }
    if (strcmp(path, "nonce") == 0)
        return 200;
    if (strcmp(path, "account") == 0) {
        d->accounts++;
        *location = (struct str){ACME_BASE "acct/1", strlen(ACME_BASE "acct/1")};
        buf_printf(b, "{\"status\":\"valid\"}");
        return 201;
    }
    if (strcmp(path, "order") == 0) {
        d->orders++;
        *location = (struct str){ACME_BASE "order/1", strlen(ACME_BASE "order/1")};
        acme_put_order(d, b, "pending");
        return 201;
    }
    if (strcmp(path, "order/1") == 0) {
        acme_put_order(d, b,
                       d->finalized == 0                ? "ready"
                       : d->polls > 0 && d->polls-- > 0 ? "processing"
                                                        : "valid");
        return 200;
    }
    if (sscanf(path, "authz%u", &i) == 1) {
        acme_put_authorization(d, b, i);
        return 200;
    }
    if (sscanf(path, "chall%u", &i) == 1) {
        assert_int_equal(d->up, acme_names_len(d)); /* all are up before the first is looked at */
        d->responded++;
        return 200;
    }
    if (strcmp(path, "finalize") == 0) {
        d->finalized++;
        d->polls = 2;
        acme_put_order(d, b, "processing");
        return 200;
    }
    if (strcmp(path, "cert") == 0) {
        if (d->chain.len > 0)
            buf_append(b, d->chain.data, d->chain.len);
        else
            assert_true(ca_chain_pem(d->leaf, b));
        return 200;
    }
    if (strncmp(path, "ari/", 4) == 0) {
        buf_printf(b, "{\"suggestedWindow\":{\"start\":\"2027-02-14T08:00:00Z\",\"end\":\"2027-02-15T10:00:"
                      "00.5+02:00\"},"
                      "\"explanationURL\":\"https://ca.example.com/why\"}");
        return 200;
    }
    return strcmp(path, "revoke") == 0 || strcmp(path, "key") == 0 ? 200 : 404;
}

/* Everything that is signed is signed by the account, or a revocation by the certificate's key, for this URL,
 * with the nonce that was given last. */
static inline void acme_check_signed(struct acme_double *d, const struct acme_client_request *r)
{
    struct jws j;
    struct err err = {{0}};
    if (jws_load(r->body, &j, &err) != JWS_OK)
        fail_msg("%s", err.text);
    bool by_certificate = acme_path_is(r->url, "/revoke") && j.jwk != NULL;
    assert_true(jws_verify(&j, by_certificate ? ca_private_key(d->leaf) : d->account_key));
    assert_string_equal(j.url, r->url);
    assert_string_equal(j.nonce, d->nonce_text);
    if (acme_path_is(r->url, "/account") || by_certificate)
        assert_non_null(j.jwk);
    else
        assert_string_equal(j.kid, ACME_BASE "acct/1");
    str_copy(d->last_payload, sizeof(d->last_payload), (const char *)j.payload.data, j.payload.len);
    jws_free(&j);
}

static inline bool acme_is_odd(struct acme_double *d, const char *url)
{
    if (d->odd.path == NULL || !acme_path_is(url, d->odd.path))
        return false;
    d->odd_seen++;
    return d->odd_seen > d->odd.after && d->odd_seen <= d->odd.after + MAX(d->odd.times, 1);
}

static inline void acme_double_answer(struct acme_double *d, struct acme_client *c,
                                      const struct acme_client_request *r)
{
    struct acme_client_answer a = {.status = 400};
    struct buf body = {.max = 0};
    assert_true(strncmp(r->url, ACME_BASE, strlen(ACME_BASE)) == 0);
    bool post = strcmp(r->method, "POST") == 0;
    d->requests++;
    if (post)
        acme_check_signed(d, r);
    bool bad_nonce = post && d->refuses_nonces && d->nonce % 2 == 1;
    snprintf(d->nonce_text, sizeof(d->nonce_text), "nonce-%u", d->nonce++);
    if (acme_is_odd(d, r->url)) {
        if (d->odd.status == 0) { /* no answer at all */
            acme_client_unanswered(c, d->now, &(struct err){"https://ca.example.com/: it is out"});
            return;
        }
        a.status = d->odd.status;
        buf_printf(&body, "%s", d->odd.body != NULL ? d->odd.body : "");
        if (d->odd.retry_after != NULL)
            a.retry_after = (struct str){d->odd.retry_after, strlen(d->odd.retry_after)};
        if (d->odd.location != NULL)
            a.location = (struct str){d->odd.location, strlen(d->odd.location)};
    } else if (bad_nonce) {
        buf_printf(&body, ACME_PROBLEM("badNonce", "not that one"));
    } else {
        a.status = acme_answer_by_path(d, r->url + strlen(ACME_BASE), &body, &a.location);
    }
    if (post || acme_path_is(r->url, "/nonce"))
        a.nonce = (struct str){d->nonce_text, strlen(d->nonce_text)};
    a.body = (struct str){(const char *)body.data, body.len};
    acme_client_answer(c, d->now, &a);
    buf_free(&body);
}

/* Run an errand to its end. True when it is done. */
static inline bool acme_double_run(struct acme_double *d, struct acme_client *c)
{
    struct acme_client_next next;
    for (unsigned i = 0; i < 3000; i++) {
        switch (acme_client_next(c, d->now, &next)) {
        case ACME_NEEDS_ANSWER:
            acme_double_answer(d, c, &next.request);
            break;
        case ACME_NEEDS_TIME:
            assert_true(next.at > d->now);
            d->now = next.at;
            break;
        case ACME_NEEDS_PROOF:
            d->presented++;
            d->up++;
            acme_client_presented(c, d->now, NULL);
            break;
        case ACME_NEEDS_WITHDRAWAL:
            d->withdrawn++;
            d->up--;
            acme_client_withdrawn(c);
            break;
        case ACME_IS_DONE:
            assert_int_equal(d->up, 0);
            return true;
        case ACME_HAS_FAILED:
            assert_int_equal(d->up, 0);
            return false;
        }
    }
    fail_msg("an errand without an end");
    return false;
}

#endif
