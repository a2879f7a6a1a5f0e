/* SPDX-License-Identifier: Apache-2.0 */
/* An errand's life. Each step (tables/acme_client_steps.def) asks for one thing; what comes of it decides on
 * the next. Whatever needs a signature needs a nonce, and where there is none one is fetched by the way. */
#include "acme/client.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "acme/client_internal.h"
#include "base/str.h"
#include "jose/jws.h"

#define UNANSWERED_MAX 3 /* times that a request is sent again when there was no answer, or a 5xx */
#define POLL_SLOWEST 30  /* seconds */

static const struct client_step_row rows[] = {
#define STEP(NAME, what, method, make, take) [STEP_##NAME] = {what, method, make, take},
#include "tables/acme_client_steps.def"
#undef STEP
};

const struct client_step_row *client_step_row(enum client_step step)
{
    CHECK(step < ARRAY_LEN(rows));
    return &rows[step];
}

/* ---- the beginning ---- */

static bool can_prove_by_dns(const struct acme_client_settings *s)
{
    for (size_t i = 0; i < s->proofs_len; i++)
        if (s->proofs[i] == ACME_BY_DNS)
            return true;
    return false;
}

/* Is there a way to prove it, of those that are configured? dns-01 proves no address (RFC 8738, 7), and
 * nothing else a wildcard (RFC 8555, 7.1.3). */
static int check_name(const struct acme_client_settings *s, const char *name, struct err *err)
{
    uint8_t ip[16];
    bool is_ip = hostname_address(name, ip) > 0, wild = strncmp(name, "*.", 2) == 0;
    if (!is_ip && hostname_check(wild ? name + 2 : name, strlen(name) - (wild ? 2 : 0)) != HOSTNAME_OK)
        return err_set(err,
                       "'%s' is no name that a certificate can be ordered for: expected a DNS name, "
                       "perhaps with '*.' in front, or an IP address",
                       name);
    if (wild && !can_prove_by_dns(s))
        return err_set(err, "%s: a wildcard is proven by dns-01 only, which is not configured", name);
    if (is_ip && s->proofs_len == 1 && s->proofs[0] == ACME_BY_DNS)
        return err_set(err, "%s: dns-01 does not prove an address; use tls-alpn-01 or http-01", name);
    return 0;
}

static int check_order_settings(const struct acme_client_settings *s, struct err *err)
{
    CHECK(s->key != NULL && s->proofs_len > 0 && s->proofs_len <= ACME_PROOF_KINDS);
    if (s->names_len == 0 || s->names_len > ACME_CLIENT_NAMES_MAX)
        return err_set(err, "%zu names: expected 1 to %d", s->names_len, ACME_CLIENT_NAMES_MAX);
    for (size_t i = 0; i < s->names_len; i++) {
        if (check_name(s, s->names[i], err) < 0)
            return -1;
        for (size_t k = 0; k < i; k++)
            if (strcmp(s->names[i], s->names[k]) == 0)
                return err_set(err, "the name %s is given twice", s->names[i]);
    }
    return 0;
}

struct acme_client *acme_client_new(const struct acme_client_settings *settings, int64_t now, struct err *err)
{
    CHECK(settings->directory != NULL);
    CHECK(settings->account_key != NULL || settings->goal == ACME_RENEWAL_INFO ||
          (settings->goal == ACME_REVOKE && settings->key != NULL));
    CHECK(settings->new_key != NULL || settings->goal != ACME_CHANGE_KEY);
    if (settings->goal == ACME_OBTAIN && check_order_settings(settings, err) < 0)
        return NULL;
    struct acme_client *c = calloc(1, sizeof(*c));
    CHECK(c != NULL);
    c->magic = CLIENT_MAGIC;
    c->settings = *settings;
    c->replaces = settings->replaces;
    c->deadline = now + (settings->patience > 0 ? settings->patience : ACME_CLIENT_PATIENCE);
    c->wait_until = now;
    if (settings->account != NULL &&
        !client_take_url(c, settings->account, strlen(settings->account), &c->account))
        c->account = NULL;
    char *usable = NULL; /* it comes from a file */
    if (settings->order != NULL && client_take_url(c, settings->order, strlen(settings->order), &usable))
        c->known_order = settings->order;
    free(usable);
    return c;
}

void acme_client_free(struct acme_client *c)
{
    if (c == NULL)
        return;
    CHECK_MAGIC(c, CLIENT_MAGIC);
    char *const texts[] = {c->new_nonce,    c->new_account, c->new_order, c->revoke,   c->change_key,
                           c->renewal_info, c->account,     c->order,     c->finalize, c->certificate};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        free(texts[i]);
    for (size_t i = 0; i < ARRAY_LEN(c->authorizations); i++) {
        free(c->authorizations[i].url);
        free(c->authorizations[i].challenge);
        free(c->authorizations[i].authorization);
    }
    json_decref(c->profiles);
    buf_free(&c->payload);
    buf_free(&c->body);
    buf_free(&c->url);
    buf_free(&c->chain);
    c->magic = 0;
    free(c);
}

/* ---- its ways ---- */

void client_go(struct acme_client *c, enum client_step step)
{
    c->step = step;
    c->at = 0;
    c->sent = false;
    c->unanswered = c->nonces_refused = c->polls = 0;
}

void client_poll(struct acme_client *c, int64_t now, const struct acme_client_answer *a)
{
    int64_t said = client_retry_after(a->retry_after, now);
    int64_t wait = MIN(POLL_SLOWEST, INT64_C(1) << MIN(c->polls, 6));
    c->polls++;
    c->wait_until = now + (said > 0 ? said : wait);
}

void client_fail(struct acme_client *c, enum acme_client_fault fault, int64_t retry_after)
{
    if (c->failing)
        return;
    c->failing = true;
    c->failure.fault = fault;
    c->failure.retry_after = retry_after;
    c->by_the_way = false;
    client_go(c, STEP_WITHDRAW);
}

void client_fail_text(struct acme_client *c, enum acme_client_fault fault, const char *fmt, ...)
{
    char text[ERR_TEXT_MAX];
    va_list ap;
    if (c->failing)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    err_set(&c->failure.why, "%s", text);
    client_fail(c, fault, 0);
}

void acme_client_abandon(struct acme_client *c, const struct err *why)
{
    client_fail_text(c, ACME_UNREACHABLE, "%s", why->text);
}

/* ---- requests ---- */

static bool is_signed(enum client_method method)
{
    return method == CLIENT_READ || method == CLIENT_POST || method == CLIENT_NEW;
}

static int sign(struct acme_client *c, enum client_method method, struct err *err)
{
    bool as_account = c->settings.account_key != NULL;
    struct jws_header header = {.kid = as_account && method != CLIENT_NEW ? c->account : NULL,
                                .nonce = c->nonce,
                                .url = buf_text(&c->url)};
    struct str payload = {c->payload.len > 0 ? (const char *)c->payload.data : "", c->payload.len};
    c->body.len = 0;
    int rc =
        jws_sign(as_account ? c->settings.account_key : c->settings.key, &header, payload, &c->body, err);
    c->nonce[0] = '\0';
    return rc;
}

/* The request of the step, made once for each time that it is sent. */
static int make(struct acme_client *c, struct err *err)
{
    const struct client_step_row *row = client_step_row(c->by_the_way ? STEP_NONCE : c->step);
    c->url.len = c->payload.len = c->body.len = 0;
    if (row->make(c, err) < 0)
        return -1;
    CHECK(buf_text(&c->url) != NULL);
    return is_signed(row->method) ? sign(c, row->method, err) : 0;
}

static void fill(const struct acme_client *c, struct acme_client_request *ret)
{
    enum client_method method = client_step_row(c->by_the_way ? STEP_NONCE : c->step)->method;
    ret->method = method == CLIENT_GET ? "GET" : method == CLIENT_HEAD ? "HEAD" : "POST";
    ret->url = (const char *)c->url.data;
    ret->body = (struct str){(const char *)c->body.data, c->body.len};
}

static enum acme_client_need ask(struct acme_client *c, struct acme_client_next *ret)
{
    if (!c->sent) {
        struct err err = {{0}};
        c->by_the_way = is_signed(client_step_row(c->step)->method) && c->nonce[0] == '\0';
        if (make(c, &err) < 0) {
            client_fail_text(c, ACME_USELESS, "%s", err.text);
            return ACME_NEEDS_TIME; /* for none: what is up is taken down next */
        }
        c->sent = true;
    }
    fill(c, &ret->request);
    return ACME_NEEDS_ANSWER;
}

static enum acme_client_need need(struct acme_client *c, int64_t now, struct acme_client_next *ret)
{
    switch (c->step) {
    case STEP_DONE:
        return ACME_IS_DONE;
    case STEP_FAILED:
        return ACME_HAS_FAILED;
    case STEP_PRESENT:
        ret->proof = &c->authorizations[c->at].proof;
        return ACME_NEEDS_PROOF;
    case STEP_WITHDRAW:
        ret->proof = &c->authorizations[c->at].proof;
        return ACME_NEEDS_WITHDRAWAL;
    default:
        ret->at = MIN(c->wait_until, c->deadline);
        return !c->sent && now < ret->at ? ACME_NEEDS_TIME : ask(c, ret);
    }
}

enum acme_client_need acme_client_next(struct acme_client *c, int64_t now, struct acme_client_next *ret)
{
    CHECK_MAGIC(c, CLIENT_MAGIC);
    *ret = (struct acme_client_next){.at = now};
    client_settle(c, now);
    if (now >= c->deadline && c->step != STEP_DONE)
        client_fail_text(c, ACME_UNREACHABLE, "the CA was not done within the time that it has");
    client_settle(c, now);
    enum acme_client_need n = need(c, now, ret);
    if (c->failing && n == ACME_NEEDS_TIME) { /* it could not even be asked */
        client_settle(c, now);
        n = need(c, now, ret);
    }
    return n;
}

/* ---- answers ---- */

/* A nonce is base64url (RFC 8555, 6.5.1). */
static void keep_nonce(struct acme_client *c, struct str nonce)
{
    for (size_t i = 0; i < nonce.len; i++) {
        char ch = nonce.p[i];
        if (!((ch >= '0' && ch <= '9') || (ch >= 'A' && ch <= 'Z') || (ch >= 'a' && ch <= 'z') || ch == '-' ||
              ch == '_'))
            return;
    }
    if (nonce.len > 0 && nonce.len < sizeof(c->nonce))
        str_copy(c->nonce, sizeof(c->nonce), nonce.p, nonce.len);
}

void acme_client_answer(struct acme_client *c, int64_t now, const struct acme_client_answer *a)
{
    CHECK_MAGIC(c, CLIENT_MAGIC);
    if (!c->sent)
        return;
    c->sent = false;
    keep_nonce(c, a->nonce);
    if (a->body.len > ACME_CLIENT_ANSWER_MAX) {
        client_fail_text(c, ACME_USELESS, "the CA's answer has more than %d bytes", ACME_CLIENT_ANSWER_MAX);
    } else if (a->status < 200 || a->status > 299) {
        client_problem(c, now, a);
    } else {
        enum client_step step = c->by_the_way ? STEP_NONCE : c->step;
        c->by_the_way = false;
        client_step_row(step)->take(c, now, a);
    }
}

void acme_client_unanswered(struct acme_client *c, int64_t now, const struct err *why)
{
    CHECK_MAGIC(c, CLIENT_MAGIC);
    if (!c->sent)
        return;
    c->sent = false;
    if (c->unanswered == UNANSWERED_MAX) {
        client_fail_text(c, ACME_UNREACHABLE, "%s", why->text);
        return;
    }
    c->wait_until = now + (INT64_C(1) << (2 * c->unanswered)); /* 1, 4, 16 s */
    c->unanswered++;
}

void acme_client_presented(struct acme_client *c, int64_t now, const struct err *why)
{
    CHECK_MAGIC(c, CLIENT_MAGIC);
    if (c->step != STEP_PRESENT)
        return;
    struct client_authorization *z = &c->authorizations[c->at];
    z->presented = true; /* also where it went wrong: perhaps half of it is up */
    if (why != NULL)
        client_fail_text(c, ACME_USELESS, "the proof of %s by %s could not be put up: %s", z->name,
                         acme_client_proof_name(z->proof.kind), why->text);
    else if (z->proof.kind == ACME_BY_DNS)
        c->wait_until = MAX(c->wait_until, now + c->settings.settle);
}

void acme_client_withdrawn(struct acme_client *c)
{
    CHECK_MAGIC(c, CLIENT_MAGIC);
    if (c->step == STEP_WITHDRAW)
        c->authorizations[c->at].presented = false;
}

const struct acme_client_failure *acme_client_failure(const struct acme_client *c)
{
    return &c->failure;
}

const char *acme_client_account(const struct acme_client *c)
{
    return c->account;
}

const char *acme_client_order(const struct acme_client *c)
{
    return c->order;
}

struct str acme_client_chain(const struct acme_client *c)
{
    return (struct str){(const char *)c->chain.data, c->chain.len};
}

const struct acme_client_window *acme_client_window(const struct acme_client *c)
{
    return &c->window;
}
