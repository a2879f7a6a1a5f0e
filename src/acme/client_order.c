/* SPDX-License-Identifier: Apache-2.0 */
/* An order (RFC 8555, 7.4) and what proves its names: authorizations are read first, then all proofs are put
 * up, then the CA is told of all, then it is watched: so that names of one order do not wait for each other.
 */
#include <stdlib.h>
#include <string.h>

#include "acme/client_certificate.h"
#include "acme/client_internal.h"
#include "base/base64.h"
#include "base/clean.h"
#include "base/str.h"
#include "jose/jws.h"

/* ---- names ---- */

static bool is_address(const char *name)
{
    uint8_t ip[16];
    return hostname_address(name, ip) > 0;
}

/* The same name, however an address is written. */
static bool same_name(const char *a, const char *b)
{
    uint8_t x[16], y[16];
    size_t len = hostname_address(a, x);
    if (len > 0)
        return hostname_address(b, y) == len && memcmp(x, y, len) == 0;
    return strcasecmp(a, b) == 0;
}

/* The name of ours that an identifier is, or NULL. */
static const char *ordered_name(const struct acme_client *c, const json_t *identifier, bool wildcard)
{
    const char *type = client_text(identifier, "type", 16);
    const char *value = client_text(identifier, "value", HOSTNAME_MAX + 1);
    for (size_t i = 0; type != NULL && value != NULL && i < c->settings.names_len; i++) {
        const char *name = c->settings.names[i];
        if (strcmp(type, is_address(name) ? "ip" : "dns") != 0)
            continue;
        if (same_name(name, value) || (wildcard && strncmp(name, "*.", 2) == 0 && same_name(name + 2, value)))
            return name;
    }
    return NULL;
}

/* ---- asking for the order ---- */

static void put_url(struct acme_client *c, const char *url)
{
    CHECK(buf_append(&c->url, url, strlen(url)));
}

int client_make_new_order(struct acme_client *c, struct err *err)
{
    if (c->new_order == NULL)
        return err_set(err, "the CA's directory has no newOrder, so nothing can be ordered of it");
    json_t *identifiers = json_array();
    for (size_t i = 0; i < c->settings.names_len; i++) {
        const char *name = c->settings.names[i];
        json_array_append_new(
            identifiers, json_pack("{s:s, s:s}", "type", is_address(name) ? "ip" : "dns", "value", name));
    }
    json_t *order = json_pack("{s:o}", "identifiers", identifiers);
    if (c->settings.profile != NULL)
        json_object_set_new(order, "profile", json_string(c->settings.profile));
    if (c->replaces != NULL)
        json_object_set_new(order, "replaces", json_string(c->replaces));
    put_url(c, c->new_order);
    client_put_payload(c, order);
    return 0;
}

int client_make_order(struct acme_client *c, struct err *err)
{
    (void)err;
    put_url(c, c->order != NULL ? c->order : c->known_order);
    return 0;
}

int client_make_finalize(struct acme_client *c, struct err *err)
{
    struct buf der = {.max = 0}, text = {.max = 0};
    if (c->finalize == NULL)
        return err_set(err, "the CA's order is ready, but has no finalize");
    put_url(c, c->finalize);
    if (acme_client_csr(c->settings.key, c->settings.names, c->settings.names_len, c->settings.must_staple,
                        &der, err) < 0) {
        buf_free(&der);
        return -1;
    }
    CHECK(base64url_put(&text, der.data, der.len));
    client_put_payload(c, json_pack("{s:s}", "csr", buf_text(&text)));
    buf_free(&der);
    buf_free(&text);
    return 0;
}

int client_make_certificate(struct acme_client *c, struct err *err)
{
    if (c->certificate == NULL)
        return err_set(err, "the CA's order is valid, but has no certificate");
    put_url(c, c->certificate);
    return 0;
}

/* ---- the order that came ---- */

static bool is_what_was_ordered(const struct acme_client *c, const json_t *order)
{
    const json_t *all = json_object_get(order, "identifiers"), *identifier;
    size_t i;
    if (json_array_size(all) != c->settings.names_len)
        return false;
    json_array_foreach(all, i, identifier) if (ordered_name(c, identifier, false) == NULL) return false;
    return true;
}

static bool read_authorizations(struct acme_client *c, const json_t *order)
{
    const json_t *all = json_object_get(order, "authorizations"), *one;
    size_t i;
    if (json_array_size(all) == 0 || json_array_size(all) > ACME_CLIENT_NAMES_MAX)
        return false;
    json_array_foreach(all, i, one)
    {
        const char *url = json_string_value(one);
        if (url == NULL || !client_take_url(c, url, strlen(url), &c->authorizations[i].url))
            return false;
    }
    c->authorizations_len = json_array_size(all);
    return true;
}

static void order_again(struct acme_client *c)
{
    free(c->order);
    c->order = NULL;
    c->known_order = NULL;
    client_go(c, STEP_NEW_ORDER);
}

static void go_by_status(struct acme_client *c, int64_t now, const struct acme_client_answer *a,
                         const json_t *order, bool resumed)
{
    const char *status = client_text(order, "status", 32);
    char text[PROBLEM_TEXT_MAX * 3], clean[32];
    if (status == NULL)
        status = "";
    if (strcmp(status, "ready") == 0) {
        client_go(c, STEP_FINALIZE);
    } else if (strcmp(status, "valid") == 0) {
        client_go(c, STEP_CERTIFICATE);
    } else if (strcmp(status, "pending") == 0 && c->authorizations_len == 0) {
        if (read_authorizations(c, order))
            client_go(c, STEP_AUTHORIZATION);
        else
            client_fail_text(c, ACME_USELESS, "the CA's order has no authorizations that can be read");
    } else if (strcmp(status, "pending") == 0 || strcmp(status, "processing") == 0) {
        c->step = STEP_ORDER;
        client_poll(c, now, a);
    } else if (resumed) {
        order_again(c);
    } else if (strcmp(status, "invalid") == 0) {
        client_problem_text(json_object_get(order, "error"), text);
        client_fail_text(c, ACME_REFUSED, "the CA has refused the order: %s", text);
    } else {
        str_clean(clean, sizeof(clean), status);
        client_fail_text(c, ACME_USELESS,
                         "the CA's order is '%s': expected pending, ready, processing, valid "
                         "or invalid",
                         clean);
    }
}

void client_take_order(struct acme_client *c, int64_t now, const struct acme_client_answer *a)
{
    bool resumed = c->order == NULL && c->known_order != NULL && c->step == STEP_ORDER;
    json_t *order = client_object(c, a);
    if (order == NULL)
        return;
    if (c->step == STEP_NEW_ORDER && !client_take_url(c, a->location.p, a->location.len, &c->order)) {
        client_fail_text(c, ACME_USELESS,
                         "the CA has taken the order, but did not say where it is (Location)");
    } else if (resumed && !is_what_was_ordered(c, order)) {
        order_again(c);
    } else if (!is_what_was_ordered(c, order)) {
        client_fail_text(c, ACME_USELESS, "the CA's order is for other names than those that were ordered");
    } else {
        if (resumed)
            CHECK(client_take_url(c, c->known_order, strlen(c->known_order), &c->order));
        client_url(c, order, "finalize", &c->finalize);
        client_url(c, order, "certificate", &c->certificate);
        go_by_status(c, now, a, order, resumed);
    }
    json_decref(order);
}

/* ---- authorizations ---- */

int client_make_authorization(struct acme_client *c, struct err *err)
{
    (void)err;
    put_url(c, c->authorizations[c->at].url);
    return 0;
}

static bool is_token(const char *text)
{
    size_t len = text != NULL ? strlen(text) : 0;
    return len > 0 && strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") == len;
}

/* Take a challenge of that kind, if the authorization has a good one. */
static bool take_challenge(struct acme_client *c, struct client_authorization *z, const json_t *challenges,
                           enum acme_client_proof_kind kind)
{
    const json_t *one;
    size_t i;
    json_array_foreach(challenges, i, one)
    {
        const char *type = client_text(one, "type", 32), *token = client_text(one, "token", sizeof(z->token));
        const char *status = client_text(one, "status", 32);
        struct buf text = {.max = 0};
        if (type == NULL || strcmp(type, acme_client_proof_name(kind)) != 0 || !is_token(token) ||
            !client_url(c, one, "url", &z->challenge))
            continue;
        str_copy(z->token, sizeof(z->token), token, strlen(token));
        bool ok = jws_key_authorization(token, c->settings.account_key, &text, NULL) == 0;
        z->authorization = ok ? strdup(buf_text(&text)) : NULL;
        buf_free(&text);
        if (z->authorization == NULL)
            return false;
        z->responded = status != NULL && strcmp(status, "pending") != 0;
        z->proof = (struct acme_client_proof){kind, z->name, z->token, z->authorization};
        return true;
    }
    return false;
}

/* The first way of proof that the settings name, the CA offers and the name can have. */
static bool choose_challenge(struct acme_client *c, struct client_authorization *z, const json_t *object)
{
    bool wildcard = json_is_true(json_object_get(object, "wildcard")), address = is_address(z->name);
    for (size_t i = 0; i < c->settings.proofs_len; i++) {
        enum acme_client_proof_kind kind = c->settings.proofs[i];
        if ((kind == ACME_BY_DNS && address) || (kind != ACME_BY_DNS && wildcard))
            continue;
        if (take_challenge(c, z, json_object_get(object, "challenges"), kind))
            return true;
    }
    return false;
}

static void list_challenges(const json_t *object, char *ret, size_t cap)
{
    const json_t *one;
    size_t i;
    char clean[32];
    ret[0] = '\0';
    json_array_foreach(json_object_get(object, "challenges"), i, one)
    {
        const char *type = client_text(one, "type", 64);
        size_t len = strlen(ret);
        str_clean(clean, sizeof(clean), type != NULL ? type : "?");
        snprintf(ret + len, cap - len, "%s%s", len > 0 ? ", " : "", clean);
    }
}

/* The reason why an authorization is invalid is with its challenge (RFC 8555, 7.1.6). */
static void fail_for(struct acme_client *c, const char *name, const json_t *object)
{
    const json_t *one, *found = NULL;
    char text[PROBLEM_TEXT_MAX * 3];
    size_t i;
    json_array_foreach(json_object_get(object, "challenges"), i, one) if (found == NULL) found =
        json_object_get(one, "error");
    client_problem_text(found, text);
    client_fail_text(c, ACME_REFUSED, "the CA did not believe that %s is ours: %s", name, text);
}

/* What came for the step's authorization: pending (false: go on with it), or valid or lost (true). */
static bool is_decided(struct acme_client *c, const json_t *object)
{
    struct client_authorization *z = &c->authorizations[c->at];
    const char *status = client_text(object, "status", 32), *name;
    char clean[32];
    name = ordered_name(c, json_object_get(object, "identifier"),
                        json_is_true(json_object_get(object, "wildcard")));
    if (name == NULL) {
        client_fail_text(c, ACME_USELESS, "the CA wants proof of a name that was not ordered");
        return true;
    }
    name = strncmp(name, "*.", 2) == 0 ? name + 2 : name;
    str_copy(z->name, sizeof(z->name), name, strlen(name));
    if (status != NULL && strcmp(status, "pending") == 0)
        return false;
    if (status != NULL && strcmp(status, "valid") == 0) {
        c->at++;
        c->polls = 0;
        return true;
    }
    str_clean(clean, sizeof(clean), status != NULL ? status : "");
    if (strcmp(clean, "invalid") == 0)
        fail_for(c, z->name, object);
    else
        client_fail_text(c, ACME_REFUSED, "the CA's authorization of %s is '%s': expected pending or valid",
                         z->name, clean);
    return true;
}

void client_take_authorization(struct acme_client *c, int64_t now, const struct acme_client_answer *a)
{
    struct client_authorization *z = &c->authorizations[c->at];
    json_t *object = client_object(c, a);
    char offered[200];
    (void)now;
    if (object == NULL)
        return;
    if (!is_decided(c, object)) {
        if (choose_challenge(c, z, object)) {
            c->at++;
        } else {
            list_challenges(object, offered, sizeof(offered));
            client_fail_text(c, ACME_REFUSED,
                             "%s cannot be proven in a way that is configured; the CA offers: %s", z->name,
                             offered[0] != '\0' ? offered : "none");
        }
    }
    json_decref(object);
}

int client_make_response(struct acme_client *c, struct err *err)
{
    (void)err;
    put_url(c, c->authorizations[c->at].challenge);
    CHECK(buf_append(&c->payload, "{}", 2));
    return 0;
}

void client_take_response(struct acme_client *c, int64_t now, const struct acme_client_answer *a)
{
    (void)now;
    (void)a;
    c->authorizations[c->at].responded = true;
}

void client_take_watch(struct acme_client *c, int64_t now, const struct acme_client_answer *a)
{
    json_t *object = client_object(c, a);
    if (object == NULL)
        return;
    if (!is_decided(c, object))
        client_poll(c, now, a);
    json_decref(object);
}

/* ---- on with what needs nothing ---- */

static bool needs_step(const struct acme_client *c, const struct client_authorization *z)
{
    switch (c->step) {
    case STEP_PRESENT:
        return z->challenge != NULL && !z->presented;
    case STEP_RESPOND:
        return z->challenge != NULL && !z->responded;
    case STEP_WITHDRAW:
        return z->presented;
    case STEP_WATCH:
        return z->challenge != NULL;
    default:
        return true;
    }
}

static void go_on(struct acme_client *c, int64_t now)
{
    switch (c->step) {
    case STEP_AUTHORIZATION:
        client_go(c, STEP_PRESENT);
        break;
    case STEP_PRESENT:
        client_go(c, STEP_RESPOND);
        break;
    case STEP_RESPOND:
        client_go(c, STEP_WATCH);
        c->wait_until = now + 1; /* it has to look first */
        break;
    case STEP_WATCH:
        client_go(c, STEP_WITHDRAW);
        break;
    default:
        client_go(c, c->failing ? STEP_FAILED : STEP_ORDER);
        break;
    }
}

static bool is_about_authorizations(enum client_step step)
{
    return step == STEP_AUTHORIZATION || step == STEP_PRESENT || step == STEP_RESPOND || step == STEP_WATCH ||
           step == STEP_WITHDRAW;
}

void client_settle(struct acme_client *c, int64_t now)
{
    while (is_about_authorizations(c->step) && !c->sent) {
        while (c->at < c->authorizations_len && !needs_step(c, &c->authorizations[c->at]))
            c->at++;
        if (c->at < c->authorizations_len)
            return;
        go_on(c, now);
    }
}

/* ---- the certificate ---- */

void client_take_certificate(struct acme_client *c, int64_t now, const struct acme_client_answer *a)
{
    struct err err;
    if (acme_client_check_chain(a->body, c->settings.key, c->settings.names, c->settings.names_len, now,
                                &err) < 0) {
        client_fail_text(c, ACME_USELESS, "the CA's certificate cannot be used: %s", err.text);
        return;
    }
    CHECK(buf_append(&c->chain, a->body.p, a->body.len));
    client_go(c, STEP_DONE);
}
