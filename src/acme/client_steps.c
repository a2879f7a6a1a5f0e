/* SPDX-License-Identifier: Apache-2.0 */
/* What is asked of a CA beside orders: the directory, nonces, the account, a revocation, when to renew. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "acme/client_certificate.h"
#include "acme/client_internal.h"
#include "base/base64.h"
#include "base/clean.h"
#include "base/json.h"
#include "jose/jwk.h"
#include "jose/jws.h"

#define RETRY_AFTER_MAX (7 * INT64_C(86400))

/* ---- reading ---- */

const char *client_text(const json_t *object, const char *name, size_t max)
{
    const json_t *member = json_object_get(object, name);
    size_t len = json_string_length(member);
    return len > 0 && len < max ? json_string_value(member) : NULL;
}

/* https: does not lead to http:, where anybody on the way could answer. */
static bool is_url(const struct acme_client *c, const char *p, size_t len)
{
    bool plain = strncasecmp(c->settings.directory, "http:", 5) == 0;
    if (len >= URL_MAX || !((len > 8 && strncasecmp(p, "https://", 8) == 0) ||
                            (plain && len > 7 && strncasecmp(p, "http://", 7) == 0)))
        return false;
    for (size_t i = 0; i < len; i++)
        if (p[i] <= ' ' || p[i] > '~')
            return false;
    return true;
}

bool client_take_url(struct acme_client *c, const char *url, size_t len, char **ret)
{
    if (!is_url(c, url, len))
        return false;
    char *copy = strndup(url, len);
    CHECK(copy != NULL);
    free(*ret);
    *ret = copy;
    return true;
}

bool client_url(struct acme_client *c, const json_t *object, const char *name, char **ret)
{
    const char *url = client_text(object, name, URL_MAX);
    return url != NULL && client_take_url(c, url, strlen(url), ret);
}

json_t *client_object(struct acme_client *c, const struct acme_client_answer *a)
{
    json_t *object =
        json_loadb(a->body.p != NULL ? a->body.p : "", a->body.len, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_object(object))
        return object;
    json_decref(object);
    client_fail_text(c, ACME_USELESS, "asked for %s, the CA answered with something that is no JSON object",
                     client_step_row(c->step)->what);
    return NULL;
}

int64_t client_retry_after(struct str field, int64_t now)
{
    char text[64];
    uint64_t seconds;
    struct tm tm = {0};
    if (field.len == 0 || !str_copy(text, sizeof(text), field.p, field.len))
        return 0;
    if (str_u64(text, UINT64_MAX, &seconds))
        return (int64_t)MIN(seconds, (uint64_t)RETRY_AFTER_MAX);
    const char *end = strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &tm);
    if (end == NULL || *end != '\0')
        return 0;
    int64_t at = timegm(&tm);
    return at > now ? MIN(at - now, RETRY_AFTER_MAX) : 0;
}

static int put_url(struct acme_client *c, const char *url, const char *what, struct err *err)
{
    if (url == NULL)
        return err_set(err, "the CA's directory has no %s, so it cannot do what is asked of it", what);
    CHECK(buf_append(&c->url, url, strlen(url)));
    return 0;
}

void client_put_payload(struct acme_client *c, json_t *object)
{
    CHECK(buf_json(&c->payload, object));
    json_decref(object);
}

/* ---- the directory ---- */

int client_make_directory(struct acme_client *c, struct err *err)
{
    return put_url(c, c->settings.directory, "directory", err);
}

static enum client_step first_order_step(const struct acme_client *c)
{
    return c->known_order != NULL ? STEP_ORDER : STEP_NEW_ORDER;
}

static enum client_step step_of_goal(const struct acme_client *c)
{
    switch (c->settings.goal) {
    case ACME_OBTAIN:
        return first_order_step(c);
    case ACME_REVOKE:
        return STEP_REVOCATION;
    case ACME_CHANGE_KEY:
        return STEP_KEY_CHANGE;
    case ACME_RENEWAL_INFO:
        return STEP_RENEWAL_INFO;
    }
    return STEP_FAILED;
}

/* A profile that the CA does not offer is told of before it is ordered. */
static bool offers_profile(struct acme_client *c)
{
    const char *name;
    json_t *text;
    char all[200] = "", clean[64];
    if (c->settings.goal != ACME_OBTAIN || c->settings.profile == NULL || !json_is_object(c->profiles) ||
        json_object_get(c->profiles, c->settings.profile) != NULL)
        return true;
    json_object_foreach(c->profiles, name, text)
    {
        size_t len = strlen(all);
        str_clean(clean, sizeof(clean), name);
        snprintf(all + len, sizeof(all) - len, "%s%s", len > 0 ? ", " : "", clean);
    }
    client_fail_text(c, ACME_REFUSED, "the CA has no profile '%s'; it offers: %s", c->settings.profile, all);
    return false;
}

void client_take_directory(struct acme_client *c, int64_t now, const struct acme_client_answer *a)
{
    json_t *d = client_object(c, a);
    (void)now;
    if (d == NULL)
        return;
    json_t *meta = json_object_get(d, "meta");
    client_url(c, d, "newNonce", &c->new_nonce);
    client_url(c, d, "newAccount", &c->new_account);
    client_url(c, d, "newOrder", &c->new_order);
    client_url(c, d, "revokeCert", &c->revoke);
    client_url(c, d, "keyChange", &c->change_key);
    client_url(c, d, "renewalInfo", &c->renewal_info);
    c->wants_eab = json_is_true(json_object_get(meta, "externalAccountRequired"));
    json_decref(c->profiles);
    c->profiles = json_incref(json_object_get(meta, "profiles"));
    json_decref(d);
    if (offers_profile(c))
        client_go(c, c->account == NULL && c->settings.account_key != NULL ? STEP_ACCOUNT : step_of_goal(c));
}

int client_make_nonce(struct acme_client *c, struct err *err)
{
    return put_url(c, c->new_nonce, "newNonce", err);
}

void client_take_nonce(struct acme_client *c, int64_t now, const struct acme_client_answer *a)
{
    (void)now;
    (void)a;
    if (c->nonce[0] == '\0')
        client_fail_text(c, ACME_USELESS, "asked for a nonce, the CA gave none (Replay-Nonce)");
}

/* ---- the account ---- */

static int put_eab(struct acme_client *c, json_t *account, struct err *err)
{
    struct buf jwk = {.max = 0}, jws = {.max = 0};
    struct jws_header header = {.kid = c->settings.eab_kid, .url = c->new_account};
    int rc = jwk_put(c->settings.account_key, &jwk) ? 0 : err_set(err, "the account's key signs nothing");
    if (rc == 0)
        rc = jws_sign_mac((const uint8_t *)c->settings.eab_key.p, c->settings.eab_key.len, &header,
                          (struct str){(const char *)jwk.data, jwk.len}, &jws, err);
    if (rc == 0)
        json_object_set_new(account, "externalAccountBinding",
                            json_loadb((const char *)jws.data, jws.len, 0, NULL));
    buf_free(&jwk);
    buf_free(&jws);
    return rc;
}

int client_make_account(struct acme_client *c, struct err *err)
{
    if (c->wants_eab && c->settings.eab_kid == NULL)
        return err_set(err, "the CA takes accounts with external account binding only; get a key from it and "
                            "give its id and its file (eab)");
    if (put_url(c, c->new_account, "newAccount", err) < 0)
        return -1;
    json_t *account = json_pack("{s:b}", "termsOfServiceAgreed", 1);
    if (c->settings.email != NULL)
        json_object_set_new(account, "contact",
                            json_pack("[o]", json_sprintf("mailto:%s", c->settings.email)));
    if (c->settings.eab_kid != NULL && put_eab(c, account, err) < 0) {
        json_decref(account);
        return -1;
    }
    client_put_payload(c, account);
    return 0;
}

void client_take_account(struct acme_client *c, int64_t now, const struct acme_client_answer *a)
{
    (void)now;
    if (!client_take_url(c, a->location.p, a->location.len, &c->account)) {
        client_fail_text(c, ACME_USELESS,
                         "the CA has taken the account, but did not say where it is (Location)");
        return;
    }
    c->fresh_kid = true;
    client_go(c, step_of_goal(c));
}

/* ---- a new key for it ---- */

int client_make_key_change(struct acme_client *c, struct err *err)
{
    struct buf jwk = {.max = 0}, text = {.max = 0}, inner = {.max = 0};
    struct jws_header header = {.url = c->change_key};
    if (put_url(c, c->change_key, "keyChange", err) < 0)
        return -1;
    if (!jwk_put(c->settings.account_key, &jwk))
        return err_set(err, "the account's key signs nothing");
    json_t *what = json_pack("{s:s, s:o}", "account", c->account, "oldKey",
                             json_loadb((const char *)jwk.data, jwk.len, 0, NULL));
    CHECK(buf_json(&text, what));
    int rc =
        jws_sign(c->settings.new_key, &header, (struct str){(const char *)text.data, text.len}, &inner, err);
    if (rc == 0)
        CHECK(buf_append(&c->payload, inner.data, inner.len));
    json_decref(what);
    buf_free(&text);
    buf_free(&jwk);
    buf_free(&inner);
    return rc;
}

void client_take_key_change(struct acme_client *c, int64_t now, const struct acme_client_answer *a)
{
    (void)now;
    (void)a;
    client_go(c, STEP_DONE);
}

/* ---- revocation ---- */

int client_make_revocation(struct acme_client *c, struct err *err)
{
    struct buf text = {.max = 0};
    if (put_url(c, c->revoke, "revokeCert", err) < 0)
        return -1;
    CHECK(base64url_put(&text, c->settings.certificate.p, c->settings.certificate.len));
    client_put_payload(
        c, json_pack("{s:s, s:i}", "certificate", buf_text(&text), "reason", (int)c->settings.reason));
    buf_free(&text);
    return 0;
}

void client_take_revocation(struct acme_client *c, int64_t now, const struct acme_client_answer *a)
{
    (void)now;
    (void)a;
    client_go(c, STEP_DONE);
}

/* ---- when to renew (RFC 9773, 4) ---- */

int client_make_renewal_info(struct acme_client *c, struct err *err)
{
    if (put_url(c, c->renewal_info, "renewalInfo", err) < 0)
        return -1;
    CHECK(buf_append(&c->url, "/", 1));
    return acme_client_cert_id(c->settings.certificate, &c->url, err);
}

/* Two digits, or -1. */
static int two_digits(const char *p)
{
    if (p[0] < '0' || p[0] > '9' || p[1] < '0' || p[1] > '9')
        return -1;
    return (p[0] - '0') * 10 + (p[1] - '0');
}

/* "+HH:MM", in seconds. */
static bool read_offset(const char *p, int64_t *ret)
{
    if (strlen(p) != 6 || (p[0] != '+' && p[0] != '-') || p[3] != ':')
        return false;
    int hours = two_digits(p + 1), minutes = two_digits(p + 4);
    *ret = (p[0] == '+' ? 1 : -1) * (hours * INT64_C(3600) + minutes * INT64_C(60));
    return hours >= 0 && minutes >= 0;
}

/* RFC 3339, in UTC or with an offset, as ARI has it. */
static bool read_time(const json_t *window, const char *name, int64_t *ret)
{
    struct tm tm = {0};
    int64_t offset = 0;
    const char *text = client_text(window, name, 64);
    const char *at = text != NULL ? strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;
    if (at == NULL)
        return false;
    if (*at == '.')
        at += 1 + strspn(at + 1, "0123456789");
    if (strcmp(at, "Z") != 0 && !read_offset(at, &offset))
        return false;
    *ret = timegm(&tm) - offset;
    return true;
}

void client_take_renewal_info(struct acme_client *c, int64_t now, const struct acme_client_answer *a)
{
    json_t *info = client_object(c, a);
    if (info == NULL)
        return;
    const json_t *window = json_object_get(info, "suggestedWindow");
    const char *url = client_text(info, "explanationURL", sizeof(c->window.url));
    bool ok = read_time(window, "start", &c->window.start) && read_time(window, "end", &c->window.end) &&
              c->window.start <= c->window.end;
    if (ok && url != NULL)
        str_clean(c->window.url, sizeof(c->window.url), url);
    c->window.retry_after = client_retry_after(a->retry_after, now);
    json_decref(info);
    if (ok)
        client_go(c, STEP_DONE);
    else
        client_fail_text(c, ACME_USELESS,
                         "the CA's suggestedWindow is none: expected a start, and an end not before it");
}
