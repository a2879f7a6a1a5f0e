/* SPDX-License-Identifier: Apache-2.0 */
/* From a request to the function that answers it: which resource, who has signed, may he. */
#include "acme/server_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/evp.h>

#include "base/check.h"

#define JOSE_TYPE "application/jose+json"

const struct acme_resource acme_resources[ACME_RESOURCES] = {
#define RESOURCE(NAME, path, listed, has_id, signer, function) {path, listed, has_id, signer, function},
#include "tables/acme_resources.def"
#undef RESOURCE
};

static const char *const challenge_names[] = {
#define CHALLENGE(NAME, word, wildcard, ip) word,
#include "tables/acme_challenges.def"
#undef CHALLENGE
};

const char *acme_challenge_name(enum acme_challenge c)
{
    CHECK((unsigned)c < ACME_CHALLENGES);
    return challenge_names[c];
}

/* The server
 * --------------------------------------------------------------------------------------------------------
 */

static uint32_t or_default(uint32_t value, uint32_t usual)
{
    return value != 0 ? value : usual;
}

static int64_t or_usual_time(int64_t seconds, int64_t usual)
{
    return seconds != 0 ? seconds : usual;
}

static struct acme_limits with_defaults(const struct acme_limits *l)
{
    return (struct acme_limits){
        .accounts = or_default(l->accounts, 100000),
        .accounts_per_source = or_default(l->accounts_per_source, 20),
        .orders = or_default(l->orders, 10000),
        .orders_per_account = or_default(l->orders_per_account, 100),
        .failures = or_default(l->failures, 5),
        .names = MIN(or_default(l->names, ACME_NAMES_MAX), (uint32_t)ACME_NAMES_MAX),
        .certificates = or_default(l->certificates, 1000000),
        .waiting_per_account = or_default(l->waiting_per_account, 200),
        .waiting_per_source = or_default(l->waiting_per_source, 1000),
        .pending = or_usual_time(l->pending, ACME_HOUR),
        .idle = or_usual_time(l->idle, 90 * (int64_t)ACME_DAY),
    };
}

struct acme_server *acme_server_new(const struct acme_server_params *params, struct err *err)
{
    CHECK(params->profiles_len > 0 && params->issuer.check != NULL && params->issuer.issue != NULL &&
          params->issuer.look != NULL && params->issuer.revoke != NULL);
    const char *host = strstr(params->url, "://");
    const char *path = host == NULL ? NULL : strchr(host + 3, '/');
    size_t len = strlen(params->url);
    if (path == NULL || params->url[len - 1] == '/' || len > ACME_URL_MAX / 2) {
        err_set(err, "'%s': expected a URL with a path, without a '/' at its end", params->url);
        return NULL;
    }
    struct state *state = acme_db_open(params->path, err);
    if (state == NULL)
        return NULL;
    struct acme_server *s = calloc(1, sizeof(*s));
    CHECK(s != NULL);
    *s = (struct acme_server){.magic = ACME_SERVER_MAGIC,
                              .params = params,
                              .limits = with_defaults(&params->limits),
                              .path = path,
                              .state = state,
                              .nonces = acme_nonces_new()};
    if (acme_certificates_count(s, err) == 0)
        return s;
    acme_server_free(s);
    return NULL;
}

void acme_server_take(struct acme_server *s, const struct acme_server_params *params)
{
    CHECK_MAGIC(s, ACME_SERVER_MAGIC);
    CHECK(params->profiles_len > 0 && strcmp(params->path, s->params->path) == 0);
    const char *host = strstr(params->url, "://");
    const char *path = host == NULL ? NULL : strchr(host + 3, '/');
    CHECK(path != NULL); /* as acme_server_new() has looked at it: the tail is ours */
    s->params = params;
    s->limits = with_defaults(&params->limits);
    s->path = path;
}

void acme_server_free(struct acme_server *s)
{
    if (s == NULL)
        return;
    CHECK_MAGIC(s, ACME_SERVER_MAGIC);
    state_close(s->state);
    acme_nonces_free(s->nonces);
    free(s);
}

static bool starts_with(struct str text, const char *begin)
{
    size_t len = strlen(begin);
    return text.len >= len && memcmp(text.p, begin, len) == 0;
}

static struct str behind(struct str text, size_t n)
{
    return (struct str){text.p + n, text.len - n};
}

bool acme_server_has(const struct acme_server *s, struct str path)
{
    size_t len = strlen(s->path);
    return starts_with(path, s->path) && path.len > len && path.p[len] == '/';
}

/* Who has signed
 * ----------------------------------------------------------------------------------------------------
 */

/* `url` of the header is where the request has gone (RFC 8555, 6.4): as we call ourselves, whatever Host
 * says, since a request that was meant for another server must not serve here. */
static bool check_url(struct acme_call *c)
{
    const char *url = c->jws.url, *base = c->s->params->url;
    struct str path = behind(c->request->path, strlen(c->s->path)), query = c->request->query;
    size_t base_len = strlen(base), whole = base_len + path.len + (query.len > 0 ? 1 + query.len : 0);
    if (url != NULL && strlen(url) == whole && memcmp(url, base, base_len) == 0 &&
        memcmp(url + base_len, path.p, path.len) == 0 &&
        (query.len == 0 ||
         (url[base_len + path.len] == '?' && memcmp(url + base_len + path.len + 1, query.p, query.len) == 0)))
        return true;
    return acme_problem(c, ACME_UNAUTHORIZED,
                        "\"url\" of the JWS is not where the request has gone; expected %s%.*s", base,
                        (int)MIN(path.len, (size_t)200), path.p);
}

static bool check_account(struct acme_call *c)
{
    char prefix[ACME_URL_MAX];
    struct str kid = {c->jws.kid, strlen(c->jws.kid)};
    acme_url(c->s, ACME_AT_ACCOUNT, "", prefix);
    int found = starts_with(kid, prefix)
                    ? acme_account_by_id(c->s, behind(kid, strlen(prefix)), &c->account, &c->err)
                    : 0;
    if (found < 0)
        return acme_broken(c);
    if (found == 0)
        return acme_problem(c, ACME_ACCOUNT_DOES_NOT_EXIST,
                            "\"kid\" of the JWS is no account of this server");
    if (c->account.status != ACME_VALID)
        return acme_problem(c, ACME_UNAUTHORIZED, "this account is %s", acme_status_name(c->account.status));
    c->key = c->account.key;
    EVP_PKEY_up_ref(c->key);
    return true;
}

static bool check_key(struct acme_call *c)
{
    c->key = jwk_read(c->jws.jwk, &c->err);
    return c->key != NULL || acme_problem(c, ACME_BAD_PUBLIC_KEY, "%s", c->err.text);
}

static bool check_signer(struct acme_call *c)
{
    enum acme_signer signer = c->resource->signer;
    if (c->jws.kid == NULL && c->jws.jwk == NULL)
        return acme_problem(c, ACME_MALFORMED, "the JWS says neither \"kid\" nor \"jwk\"");
    if (signer == BY_KEY && c->jws.jwk == NULL)
        return acme_problem(c, ACME_MALFORMED, "this is to be signed by a key that the JWS shows as \"jwk\"");
    if (signer == BY_ACCOUNT && c->jws.kid == NULL)
        return acme_problem(c, ACME_MALFORMED,
                            "this is to be signed by an account that the JWS names as \"kid\"");
    if (!(c->jws.kid != NULL ? check_account(c) : check_key(c)))
        return false;
    return jws_verify(&c->jws, c->key) ||
           acme_problem(c, ACME_MALFORMED, "the JWS's signature is not by its key");
}

static bool read_payload(struct acme_call *c)
{
    const struct buf *p = &c->jws.payload;
    if (p->len == 0)
        return true;
    c->payload = json_loadb((const char *)p->data, p->len, JSON_REJECT_DUPLICATES, NULL);
    return json_is_object(c->payload) || acme_problem(c, ACME_MALFORMED, "the payload is not a JSON object");
}

static bool is_jose(struct str type)
{
    size_t len = strlen(JOSE_TYPE);
    return type.len >= len && strncasecmp(type.p, JOSE_TYPE, len) == 0 &&
           (type.len == len || type.p[len] == ';' || type.p[len] == ' ');
}

/* RFC 8555, 6.2 to 6.5. */
static bool open_envelope(struct acme_call *c)
{
    if (!str_is(c->request->method, "POST")) {
        web_answer_field(c->answer, "Allow", "POST");
        return acme_problem(c, ACME_METHOD, "only POST is answered here");
    }
    if (!is_jose(c->request->type))
        return acme_problem(c, ACME_MEDIA_TYPE, "expected Content-Type: " JOSE_TYPE);
    enum jws_result result = jws_load(c->request->body, &c->jws, &c->err);
    if (result == JWS_MALFORMED)
        return acme_problem(c, ACME_MALFORMED, "%s", c->err.text);
    if (result == JWS_BAD_ALGORITHM || c->jws.algorithm == JWS_HS256)
        return acme_problem(c, ACME_BAD_SIGNATURE_ALGORITHM, "expected one of " JWS_NAMES_SIGNATURE);
    if (!check_url(c))
        return false;
    if (c->jws.nonce == NULL || !acme_nonce_use(c->s->nonces, c->jws.nonce))
        return acme_problem(c, ACME_BAD_NONCE, "\"nonce\" of the JWS is not one that this server waits for");
    return check_signer(c) && read_payload(c);
}

/* Which resource
 * ----------------------------------------------------------------------------------------------------
 */

static bool find_resource(struct acme_call *c)
{
    struct str rest = behind(c->request->path, strlen(c->s->path) + 1);
    const char *slash = memchr(rest.p, '/', rest.len);
    struct str word = {rest.p, slash == NULL ? rest.len : (size_t)(slash - rest.p)};
    c->id = slash == NULL ? (struct str){0} : behind(rest, word.len + 1);
    for (size_t i = 0; i < ACME_RESOURCES && c->resource == NULL; i++)
        if (str_is(word, acme_resources[i].path) && acme_resources[i].has_id == (slash != NULL) &&
            (slash == NULL || c->id.len > 0))
            c->resource = &acme_resources[i];
    return c->resource != NULL ||
           acme_problem(c, ACME_NOT_FOUND, "there is nothing of that path; the directory is %s/directory",
                        c->s->params->url);
}

static void finish(struct acme_call *c)
{
    char nonce[ACME_NONCE_MAX];
    bool directory = c->resource == &acme_resources[ACME_AT_DIRECTORY];
    if (c->writing)
        state_rollback(c->s->state);
    if (str_is(c->request->method, "POST") || c->resource == &acme_resources[ACME_AT_NEW_NONCE]) {
        web_answer_field(c->answer, "Replay-Nonce", "%s", acme_nonce_make(c->s->nonces, nonce));
        web_answer_field(c->answer, "Cache-Control", "no-store");
    }
    if (!directory)
        web_answer_field(c->answer, "Link", "<%s/directory>;rel=\"index\"", c->s->params->url);
    jws_free(&c->jws);
    json_decref(c->payload);
    EVP_PKEY_free(c->key);
    acme_account_free(&c->account);
}

int acme_server_answer(struct acme_server *s, const struct web_request *request, int64_t now,
                       struct web_answer *ret, struct err *err)
{
    CHECK_MAGIC(s, ACME_SERVER_MAGIC);
    CHECK(acme_server_has(s, request->path));
    struct acme_call c = {.s = s, .request = request, .answer = ret, .now = now};
    if (find_resource(&c) && (c.resource->signer == ANYBODY || open_envelope(&c)))
        c.resource->answer(&c);
    finish(&c);
    if (c.broken && err != NULL)
        *err = c.err;
    return c.broken ? -1 : 0;
}

/* The directory, nonces
 * --------------------------------------------------------------------------------------------- */

static bool is_read(struct acme_call *c)
{
    if (str_is(c->request->method, "GET") || str_is(c->request->method, "HEAD"))
        return true;
    web_answer_field(c->answer, "Allow", "GET, HEAD");
    return acme_problem(c, ACME_METHOD, "only GET is answered here");
}

static json_t *meta(const struct acme_server_params *p)
{
    json_t *o = json_object(), *profiles = json_object();
    if (p->terms != NULL)
        json_object_set_new(o, "termsOfService", json_string(p->terms));
    if (p->website != NULL)
        json_object_set_new(o, "website", json_string(p->website));
    if (p->caa != NULL)
        json_object_set_new(o, "caaIdentities", json_pack("[s]", p->caa));
    json_object_set_new(o, "externalAccountRequired", json_boolean(p->eab_required));
    for (size_t i = 0; i < p->profiles_len; i++)
        json_object_set_new(profiles, p->profiles[i].name, json_string(p->profiles[i].text));
    json_object_set_new(o, "profiles", profiles);
    return o;
}

void acme_answer_directory(struct acme_call *c)
{
    char url[ACME_URL_MAX];
    if (!is_read(c))
        return;
    json_t *o = json_object();
    for (size_t i = 0; i < ACME_RESOURCES; i++) {
        const struct acme_resource *r = &acme_resources[i];
        if (r->listed == NULL)
            continue;
        snprintf(url, sizeof(url), "%s/%s", c->s->params->url, r->path);
        json_object_set_new(o, r->listed, json_string(url));
    }
    json_object_set_new(o, "meta", meta(c->s->params));
    acme_json(c, 200, o);
}

/* RFC 8555, 7.2: HEAD has 200, GET has 204. */
void acme_answer_nonce(struct acme_call *c)
{
    if (is_read(c))
        c->answer->status = str_is(c->request->method, "HEAD") ? 200 : 204;
}
