/* SPDX-License-Identifier: Apache-2.0 */
/* An ACME server with a CA of the test's own, and a client that is played: its requests are made here, its
 * clock is a number. Used by a unit test and a fuzz target, so what fails is CHECKed. */
#ifndef CARDEA_TESTS_UNIT_ACME_PLAYED_H
#define CARDEA_TESTS_UNIT_ACME_PLAYED_H

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "acme/acme_server.h"
#include "base/base64.h"
#include "base/check.h"
#include "ca/ca_internal.h"
#include "jose/jwk.h"
#include "jose/jws.h"

#define PLAYED_URL "https://ca.example.com/acme"
#define PLAYED_DAY INT64_C(86400)
#define PLAYED_START INT64_C(1900000000)

struct played {
    struct acme_server_params params;
    struct acme_server *server;
    char dir[256], path[272];
    struct ca *ca;
    int64_t now;
    const char *source;
    unsigned issued, revoked;
    int reason;
    const char *groups; /* the first one of the last certificate, or NULL */
    enum ca_profile kind;
    bool refuses;                   /* the CA does not work */
    int64_t revoked_by_ca, replace; /* what it says of each certificate */
    /* The last answer. */
    unsigned status;
    json_t *body;
    char *text;   /* the content */
    char *fields; /* the fields */
    char nonce[64];
};

/* A client. */
struct player {
    struct played *world;
    EVP_PKEY *key;
    char kid[512];
};

static inline EVP_PKEY *played_key(void)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_id(EVP_PKEY_EC, NULL);
    EVP_PKEY *key = NULL;
    CHECK(ctx != NULL && EVP_PKEY_keygen_init(ctx) == 1 &&
          EVP_PKEY_CTX_set_ec_paramgen_curve_nid(ctx, NID_X9_62_prime256v1) == 1 &&
          EVP_PKEY_keygen(ctx, &key) == 1);
    EVP_PKEY_CTX_free(ctx);
    return key;
}

/* ---- the CA ---- */

static inline int played_issue(void *arg, const struct acme_certify *what, struct buf *ret_chain,
                               struct err *err)
{
    struct played *w = arg;
    struct ca_request request = {.name = what->name,
                                 .sans = what->sans,
                                 .sans_len = what->sans_len,
                                 .groups = what->groups,
                                 .groups_len = what->groups_len,
                                 .now = what->now,
                                 .not_before = what->not_before,
                                 .lifetime = what->lifetime};
    if (w->refuses)
        return err_set(err, "the CA's folder is on a disk that has gone: /secret/path");
    X509 *cert = ca_certify(w->ca, what->key, what->kind, &request, err);
    if (cert == NULL)
        return -1;
    CHECK(ca_cert_pem(cert, ret_chain) && ca_chain_pem(w->ca, ret_chain));
    X509_free(cert);
    w->issued++;
    w->kind = what->kind;
    w->groups = what->groups_len > 0 ? what->groups[0] : NULL;
    return 0;
}

static inline int played_check(void *arg, const struct acme_certify *what, struct err *err)
{
    const struct played *w = arg;
    const struct ca_request request = {.name = what->name,
                                       .sans = what->sans,
                                       .sans_len = what->sans_len,
                                       .groups = what->groups,
                                       .groups_len = what->groups_len};
    return ca_check_names(w->ca, &request, err);
}

static inline int played_look(void *arg, const struct ca_serial *serial, int64_t *ret_revoked,
                              int64_t *ret_replace, struct err *err)
{
    const struct played *w = arg;
    (void)err;
    CHECK(serial->len > 0);
    *ret_revoked = w->revoked_by_ca;
    *ret_replace = w->replace;
    return 0;
}

static inline enum acme_revoked played_revoke(void *arg, const struct ca_serial *serial, int reason,
                                              const char *who, int64_t now, struct err *err)
{
    struct played *w = arg;
    (void)now;
    (void)err;
    CHECK(serial->len > 0 && strncmp(who, "acme:", 5) == 0);
    w->revoked++;
    w->reason = reason;
    return ACME_REVOKED;
}

static inline bool played_eab(void *arg, struct str id, struct buf *ret_secret)
{
    (void)arg;
    return str_is(id, "device-7") && buf_append(ret_secret, "0123456789abcdef", 16);
}

/* ---- the world ---- */

static const struct acme_profile played_profiles[] = {
    {"server", "for servers", CA_PROFILE_SERVER, 90 * PLAYED_DAY},
    {"short", "for servers, short", CA_PROFILE_SERVER, 6 * PLAYED_DAY},
    {"client", "for people and devices", CA_PROFILE_CLIENT, 7 * PLAYED_DAY},
};

static inline void played_open(struct played *w)
{
    struct err err;
    w->server = acme_server_new(&w->params, &err);
    CHECK(w->server != NULL);
}

/* In the folder `w->dir`. `params` is filled in where the test has said nothing. */
static inline void played_begin_there(struct played *w)
{
    struct err err;
    struct ca_request root = {.name = "Played root", .now = PLAYED_START, .lifetime = 3650 * PLAYED_DAY};
    snprintf(w->path, sizeof(w->path), "%s/acme.db", w->dir);
    w->now = PLAYED_START;
    w->source = "192.0.2.1";
    w->ca = ca_create_root(&root, &err);
    CHECK(w->ca != NULL);
    w->params.url = PLAYED_URL;
    w->params.path = w->path;
    w->params.issuer = (struct acme_issuer){
        .arg = w, .check = played_check, .issue = played_issue, .look = played_look, .revoke = played_revoke};
    w->params.profiles = played_profiles;
    w->params.profiles_len = ARRAY_LEN(played_profiles);
    w->params.eab = played_eab;
    for (size_t i = 0; i < ACME_CHALLENGES; i++)
        w->params.challenges[i] = true;
    played_open(w);
}

static inline void played_begin(struct played *w)
{
    strcpy(w->dir, "/tmp/cardea-acme-XXXXXX");
    CHECK(mkdtemp(w->dir) != NULL);
    played_begin_there(w);
}

static inline void played_forget(struct played *w)
{
    json_decref(w->body);
    free(w->text);
    free(w->fields);
    w->body = NULL;
    w->text = w->fields = NULL;
}

/* The folder stays. */
static inline void played_leave(struct played *w)
{
    played_forget(w);
    acme_server_free(w->server);
    ca_free(w->ca);
}

static inline void played_end(struct played *w)
{
    char path[sizeof(w->path) + 16];
    static const char *const ends[] = {"", "-wal", "-shm", "-journal"};
    played_leave(w);
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        snprintf(path, sizeof(path), "%s%s", w->path, ends[i]);
        unlink(path);
    }
    CHECK(rmdir(w->dir) == 0);
}

/* The value of a field of the last answer, "" where there is none. */
static inline const char *played_field(const struct played *w, const char *name, char ret[512])
{
    char wanted[64];
    snprintf(wanted, sizeof(wanted), "%s: ", name);
    const char *at = strstr(w->fields, wanted);
    ret[0] = '\0';
    if (at != NULL)
        str_copy(ret, 512, at + strlen(wanted), strcspn(at + strlen(wanted), "\r"));
    return ret;
}

/* ---- requests ---- */

/* `url` begins with PLAYED_URL's host. */
static inline int played_send(struct played *w, const char *method, const char *url, const char *type,
                              struct str content, struct err *err)
{
    struct web_answer a = {0};
    const char *path = url + strlen("https://ca.example.com"), *query = strchr(path, '?');
    struct web_request r = {
        .method = {method, strlen(method)},
        .path = {path, query == NULL ? strlen(path) : (size_t)(query - path)},
        .query = {query == NULL ? "" : query + 1, query == NULL ? 0 : strlen(query + 1)},
        .host = {"ca.example.com", strlen("ca.example.com")},
        .type = {type, strlen(type)},
        .body = content,
        .tls = true,
        .source = {w->source, strlen(w->source)},
    };
    int rc = acme_server_answer(w->server, &r, w->now, &a, err);
    char nonce[512];
    played_forget(w);
    w->status = a.status;
    CHECK((w->text = strdup(buf_text(&a.body))) != NULL && (w->fields = strdup(buf_text(&a.fields))) != NULL);
    w->body = json_loads(w->text, JSON_REJECT_DUPLICATES, NULL);
    if (*played_field(w, "Replay-Nonce", nonce) != '\0')
        str_copy(w->nonce, sizeof(w->nonce), nonce, strlen(nonce));
    web_answer_free(&a);
    return rc;
}

static inline void played_get(struct played *w, const char *url)
{
    (void)played_send(w, "GET", url, "", (struct str){"", 0}, NULL);
}

/* POST with the JWS of a player, by its account unless `by_key`. An empty payload is POST-as-GET. */
static inline unsigned played_post_as(struct player *p, const char *url, const char *payload, bool by_key)
{
    struct buf out = {0};
    struct err err;
    struct played *w = p->world;
    if (w->nonce[0] == '\0')
        played_get(w, PLAYED_URL "/new-nonce");
    struct jws_header header = {.kid = by_key ? NULL : p->kid, .nonce = w->nonce, .url = url};
    CHECK(jws_sign(p->key, &header, (struct str){payload, strlen(payload)}, &out, &err) == 0);
    (void)played_send(w, "POST", url, "application/jose+json", (struct str){(const char *)out.data, out.len},
                      &err);
    buf_free(&out);
    return w->status;
}

static inline unsigned played_post(struct player *p, const char *url, const char *payload)
{
    return played_post_as(p, url, payload, false);
}

/* A text of the last answer's object, which is its own: it lives until the next answer. */
static inline const char *played_text(const struct played *w, const char *key)
{
    const char *text = json_string_value(json_object_get(w->body, key));
    return text == NULL ? "" : text;
}

/* ---- a client's steps ---- */

static inline void player_free(struct player *p)
{
    EVP_PKEY_free(p->key);
}

/* A key and its account. */
static inline void player_enrol(struct player *p, struct played *w, const char *payload)
{
    *p = (struct player){.world = w, .key = played_key()};
    played_post_as(p, PLAYED_URL "/new-account", payload, true);
    played_field(w, "Location", p->kid);
}

/* A request for a certificate, in base64url, for names with a space between two; the key is the caller's. */
static inline char *played_csr(EVP_PKEY *key, const char *names)
{
    X509_REQ *req = X509_REQ_new();
    GENERAL_NAMES *sans = GENERAL_NAMES_new();
    STACK_OF(X509_EXTENSION) *extensions = sk_X509_EXTENSION_new_null();
    char *list = strdup(names), *save = NULL;
    CHECK(req != NULL && sans != NULL && extensions != NULL && list != NULL);
    for (char *name = strtok_r(list, " ", &save); name != NULL; name = strtok_r(NULL, " ", &save)) {
        uint8_t ip[16];
        size_t ip_len = hostname_address(name, ip);
        GENERAL_NAME *g = GENERAL_NAME_new();
        ASN1_STRING *value = ASN1_STRING_type_new(ip_len > 0 ? V_ASN1_OCTET_STRING : V_ASN1_IA5STRING);
        CHECK(g != NULL && value != NULL &&
              ASN1_STRING_set(value, ip_len > 0 ? (const void *)ip : name,
                              (ossl_ssize_t)(ip_len > 0 ? ip_len : strlen(name))));
        GENERAL_NAME_set0_value(g, ip_len > 0 ? GEN_IPADD : GEN_DNS, value);
        CHECK(sk_GENERAL_NAME_push(sans, g) > 0);
    }
    if (sk_GENERAL_NAME_num(sans) > 0)
        CHECK(X509V3_add1_i2d(&extensions, NID_subject_alt_name, sans, 0, 0) == 1 &&
              X509_REQ_add_extensions(req, extensions) == 1);
    CHECK(X509_REQ_set_pubkey(req, key) == 1 && X509_REQ_sign(req, key, EVP_sha256()) > 0);
    uint8_t *der = NULL;
    int len = i2d_X509_REQ(req, &der);
    struct buf text = {0};
    CHECK(len > 0 && base64url_put(&text, der, (size_t)len));
    OPENSSL_free(der);
    X509_REQ_free(req);
    GENERAL_NAMES_free(sans);
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
    free(list);
    return buf_text(&text);
}

/* An order for names with a space between two; `more` is further members of the payload (",\"k\":v"). */
static inline unsigned player_order(struct player *p, const char *names, const char *more)
{
    struct buf payload = {0};
    char *list = strdup(names), *save = NULL;
    uint8_t ip[16];
    CHECK(list != NULL && buf_printf(&payload, "{\"identifiers\":["));
    for (char *name = strtok_r(list, " ", &save); name != NULL; name = strtok_r(NULL, " ", &save))
        CHECK(buf_printf(&payload, "%s{\"type\":\"%s\",\"value\":\"%s\"}", name == list ? "" : ",",
                         hostname_address(name, ip) > 0 ? "ip" : "dns", name));
    CHECK(buf_printf(&payload, "]%s}", more));
    unsigned status = played_post(p, PLAYED_URL "/new-order", buf_text(&payload));
    buf_free(&payload);
    free(list);
    return status;
}

/* Ask for the first challenge of each authorization of the order that was answered last, and prove it, or
 * not. */
static inline void player_prove(struct player *p, bool ok)
{
    struct played *w = p->world;
    json_t *list = json_incref(json_object_get(w->body, "authorizations"));
    for (size_t i = 0; i < json_array_size(list); i++) {
        struct acme_check check;
        played_post(p, json_string_value(json_array_get(list, i)), "");
        json_t *challenges = json_object_get(w->body, "challenges");
        if (strcmp(played_text(w, "status"), "pending") != 0)
            continue;
        char *url = strdup(json_string_value(json_object_get(json_array_get(challenges, 0), "url")));
        played_post(p, url, "{}");
        free(url);
        CHECK(acme_server_next(w->server, w->now, &check, NULL) == 1);
        CHECK(acme_server_validated(w->server, check.id, ok, ACME_CONNECTION, "nobody is there", w->now,
                                    NULL) == 0);
    }
    json_decref(list);
}

/* Finalize the order whose URL for that is `url`, with a new key, for these names. */
static inline unsigned player_finalize(struct player *p, const char *url, const char *names)
{
    EVP_PKEY *key = played_key();
    char *csr = played_csr(key, names);
    struct buf payload = {0};
    CHECK(buf_printf(&payload, "{\"csr\":\"%s\"}", csr));
    unsigned status = played_post(p, url, buf_text(&payload));
    buf_free(&payload);
    free(csr);
    EVP_PKEY_free(key);
    return status;
}

/* Order, prove, finalize; the certificate is the last answer's text. */
static inline void player_obtain(struct player *p, const char *names, const char *more)
{
    struct played *w = p->world;
    CHECK(player_order(p, names, more) == 201);
    char *finalize = strdup(played_text(w, "finalize"));
    player_prove(p, true);
    CHECK(player_finalize(p, finalize, names) == 200);
    free(finalize);
    char *certificate = strdup(played_text(w, "certificate"));
    CHECK(played_post(p, certificate, "") == 200);
    free(certificate);
}

#endif
