/* SPDX-License-Identifier: Apache-2.0 */
/* Accounts (RFC 8555, 7.3). */
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "acme/server_internal.h"
#include "base/check.h"
#include "net/addr.h"

#define CONTACTS_MAX 10
#define CONTACT_MAX 254 /* bytes of an address (RFC 5321, 4.5.3.1.3, without the brackets) */
#define ORDERS_LISTED 100
#define MAILTO "mailto:"

/* Loading
 * -----------------------------------------------------------------------------------------------------------
 */

static int read_row(struct state_query *q, struct acme_account *ret, struct err *err)
{
    struct str jwk = state_text(q, 4);
    acme_column(q, 0, ret->id, sizeof(ret->id));
    acme_column(q, 1, ret->thumbprint, sizeof(ret->thumbprint));
    acme_column(q, 2, ret->eab, sizeof(ret->eab));
    ret->status = (enum acme_status)state_int(q, 3);
    json_t *o = json_loadb(jwk.p, jwk.len, JSON_REJECT_DUPLICATES, NULL);
    ret->key = jwk_read(o, err);
    json_decref(o);
    return ret->key == NULL ? err_prefix(err, "account %s of the database", ret->id) : 1;
}

static int load(struct state_query *q, struct acme_account *ret, struct err *err)
{
    *ret = (struct acme_account){0};
    if (q == NULL)
        return -1;
    enum state_result result = state_step(q, err);
    int rc = result == STATE_ROW ? read_row(q, ret, err) : result == STATE_END ? 0 : -1;
    state_done(q);
    return rc;
}

int acme_account_by_id(struct acme_server *s, struct str id, struct acme_account *ret, struct err *err)
{
    char text[ACME_ID_MAX];
    if (!str_copy(text, sizeof(text), id.p, id.len))
        return 0;
    return load(
        acme_ask(s, err, "SELECT id, thumbprint, eab, status, jwk FROM accounts WHERE id = ?", "s", text),
        ret, err);
}

int acme_account_by_key(struct acme_server *s, const char *thumbprint, struct acme_account *ret,
                        struct err *err)
{
    return load(acme_ask(s, err, "SELECT id, thumbprint, eab, status, jwk FROM accounts WHERE thumbprint = ?",
                         "s", thumbprint),
                ret, err);
}

void acme_account_free(struct acme_account *a)
{
    EVP_PKEY_free(a->key);
    *a = (struct acme_account){0};
}

/* Showing
 * -----------------------------------------------------------------------------------------------------------
 */

static json_t *view(struct state_query *q)
{
    struct str contact = state_text(q, 1), eab = state_text(q, 3);
    json_t *o = json_pack("{s:s, s:b}", "status", acme_status_name((enum acme_status)state_int(q, 0)),
                          "termsOfServiceAgreed", state_int(q, 2) != 0);
    json_object_set_new(o, "contact", json_loadb(contact.p, contact.len, 0, NULL));
    if (eab.len > 0)
        json_object_set_new(o, "externalAccountBinding", json_loadb(eab.p, eab.len, 0, NULL));
    return o;
}

static void answer_account(struct acme_call *c, const char *id, unsigned status)
{
    char url[ACME_URL_MAX];
    json_t *o = NULL;
    struct state_query *q =
        acme_ask(c->s, &c->err, "SELECT status, contact, terms, eab_jws FROM accounts WHERE id = ?", "s", id);
    if (q != NULL && state_step(q, &c->err) == STATE_ROW)
        o = view(q);
    if (q != NULL)
        state_done(q);
    if (o == NULL) {
        acme_broken(c);
        return;
    }
    json_object_set_new(o, "orders", json_string(acme_url(c->s, ACME_AT_ORDERS, id, url)));
    web_answer_field(c->answer, "Location", "%s", acme_url(c->s, ACME_AT_ACCOUNT, id, url));
    acme_json(c, status, o);
}

/* What an account says of itself
 * ------------------------------------------------------------------------------------ */

/* One address and nothing else: no list, no header fields (RFC 8555, 7.3). */
static bool check_contact(struct acme_call *c, const json_t *value)
{
    const char *text = json_string_value(value);
    if (text == NULL)
        return acme_problem(c, ACME_MALFORMED, "\"contact\" is not a list of strings");
    if (strncmp(text, MAILTO, strlen(MAILTO)) != 0)
        return acme_problem(c, ACME_UNSUPPORTED_CONTACT,
                            "expected \"mailto:\" addresses only in \"contact\"");
    const char *address = text + strlen(MAILTO), *at = strchr(address, '@');
    size_t len = strlen(address);
    if (at == NULL || at == address || strchr(at + 1, '@') != NULL || len > CONTACT_MAX ||
        strpbrk(address, "?,; \t\"<>") != NULL ||
        hostname_check(at + 1, len - (size_t)(at + 1 - address)) != HOSTNAME_OK)
        return acme_problem(c, ACME_INVALID_CONTACT,
                            "\"contact\" has something that is not one e-mail address");
    return true;
}

/* The contacts as the database has them; `ret` is NULL where none are given. */
static bool read_contacts(struct acme_call *c, char **ret)
{
    const json_t *list = json_object_get(c->payload, "contact");
    *ret = NULL;
    if (list == NULL)
        return true;
    if (!json_is_array(list) || json_array_size(list) > CONTACTS_MAX)
        return acme_problem(c, ACME_MALFORMED, "\"contact\" is not a list of at most %d", CONTACTS_MAX);
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!check_contact(c, json_array_get(list, i)))
            return false;
    *ret = acme_json_text(list);
    return *ret != NULL || acme_broken(c);
}

/* External account binding
 * ------------------------------------------------------------------------------------------ */

/* The inner JWS is by a secret that the operator has given out, and of this very key (RFC 8555, 7.3.4). */
static bool check_binding(struct acme_call *c, const struct jws *j)
{
    const struct acme_server_params *p = c->s->params;
    struct buf secret = {0};
    char url[ACME_URL_MAX], thumbprint[JWK_THUMBPRINT_MAX];
    if (j->kid == NULL || strlen(j->kid) > ACME_EAB_ID_MAX || j->nonce != NULL)
        return acme_problem(c, ACME_MALFORMED,
                            "\"externalAccountBinding\": expected a \"kid\" and no \"nonce\"");
    acme_url(c->s, ACME_AT_NEW_ACCOUNT, NULL, url);
    if (j->url == NULL || strcmp(j->url, url) != 0)
        return acme_problem(c, ACME_UNAUTHORIZED, "\"externalAccountBinding\": \"url\" is not %s", url);
    bool known = p->eab != NULL && p->eab(p->eab_arg, (struct str){j->kid, strlen(j->kid)}, &secret);
    bool ok = known && jws_verify_mac(j, secret.data, secret.len);
    buf_wipe(&secret);
    if (!ok)
        return acme_problem(c, ACME_UNAUTHORIZED,
                            "\"externalAccountBinding\" is not by a key that this server has given out");
    json_t *jwk = json_loadb((const char *)j->payload.data, j->payload.len, JSON_REJECT_DUPLICATES, NULL);
    EVP_PKEY *key = jwk_read(jwk, NULL);
    json_decref(jwk);
    ok = key != NULL && jwk_thumbprint(key, thumbprint) && EVP_PKEY_cmp(key, c->key) == 1;
    EVP_PKEY_free(key);
    return ok || acme_problem(c, ACME_UNAUTHORIZED,
                              "\"externalAccountBinding\" is of another key than the account's");
}

/* `ret_id` and `ret_jws` are empty where there is none and need not be. */
static bool read_binding(struct acme_call *c, char ret_id[ACME_EAB_ID_MAX + 1], char **ret_jws)
{
    json_t *given = json_object_get(c->payload, "externalAccountBinding");
    struct jws j;
    ret_id[0] = '\0';
    *ret_jws = NULL;
    if (given == NULL)
        return !c->s->params->eab_required ||
               acme_problem(c, ACME_EXTERNAL_ACCOUNT_REQUIRED,
                            "an account needs \"externalAccountBinding\" here: ask the operator for a key");
    bool ok = jws_read(json_incref(given), &j, &c->err) == JWS_OK ||
              acme_problem(c, ACME_MALFORMED, "\"externalAccountBinding\": %s", c->err.text);
    ok = ok && check_binding(c, &j);
    if (ok) {
        str_copy(ret_id, ACME_EAB_ID_MAX + 1, j.kid, strlen(j.kid));
        *ret_jws = acme_json_text(given);
    }
    jws_free(&j);
    return ok;
}

/* New accounts
 * ------------------------------------------------------------------------------------------------------ */

/* Whom a source's accounts are counted for: of IPv6 a /64, which is what one subscriber has. */
static void source_of(struct str source, char ret[NET_ADDR_TEXT_MAX])
{
    struct net_addr a;
    str_copy(ret, NET_ADDR_TEXT_MAX, source.p, source.len);
    if (!net_addr_parse(ret, 0, &a) || a.family != AF_INET6)
        return;
    memset(a.ip + 8, 0, 8);
    net_addr_host(&a, ret);
}

static bool check_room(struct acme_call *c, const char *source)
{
    int64_t recent, all;
    if (acme_count(c->s, &c->err, &recent, "SELECT COUNT(*) FROM accounts WHERE source = ? AND created > ?",
                   "si", source, c->now - ACME_HOUR) < 0 ||
        acme_count(c->s, &c->err, &all, "SELECT COUNT(*) FROM accounts", "") < 0)
        return acme_broken(c);
    if (recent >= c->s->limits.accounts_per_source)
        return acme_too_many(c, ACME_HOUR, "too many new accounts from this address; at most %u in an hour",
                             c->s->limits.accounts_per_source);
    return all < c->s->limits.accounts || acme_too_many(c, ACME_DAY, "this server holds no more accounts");
}

static bool insert(struct acme_call *c, const char *id, const char *thumbprint, const char *contact,
                   const char *eab, const char *eab_jws)
{
    struct buf jwk = {0};
    char source[NET_ADDR_TEXT_MAX];
    source_of(c->request->source, source);
    if (!acme_begin(c) || !check_room(c, source))
        return false;
    const char *text = jwk_put(c->key, &jwk) ? buf_text(&jwk) : NULL;
    int rc =
        text == NULL
            ? err_set(&c->err, "out of memory")
            : acme_run(c->s, &c->err, "INSERT INTO accounts VALUES (?,?,?,?,?,?,?,?,?,?,0)", "sssisisssi", id,
                       thumbprint, text, (int64_t)ACME_VALID, contact != NULL ? contact : "[]",
                       (int64_t)json_is_true(json_object_get(c->payload, "termsOfServiceAgreed")),
                       eab[0] != '\0' ? eab : NULL, eab_jws, source, c->now);
    buf_free(&jwk);
    return rc == 0 ? acme_commit(c) : acme_broken(c);
}

static void make_account(struct acme_call *c, const char *thumbprint)
{
    char id[ACME_ID_MAX], eab[ACME_EAB_ID_MAX + 1], *contact = NULL, *eab_jws = NULL;
    if (c->s->params->terms != NULL && !json_is_true(json_object_get(c->payload, "termsOfServiceAgreed"))) {
        acme_problem(c, ACME_MALFORMED, "\"termsOfServiceAgreed\" is not true; the terms are at %s",
                     c->s->params->terms);
        return;
    }
    acme_new_id(id);
    if (read_contacts(c, &contact) && read_binding(c, eab, &eab_jws) &&
        insert(c, id, thumbprint, contact, eab, eab_jws))
        answer_account(c, id, 201);
    free(contact);
    free(eab_jws);
}

void acme_answer_new_account(struct acme_call *c)
{
    char thumbprint[JWK_THUMBPRINT_MAX];
    struct acme_account known;
    if (c->payload == NULL) {
        acme_problem(c, ACME_MALFORMED, "an account is asked for by a JSON object, be it {}");
        return;
    }
    CHECK(jwk_thumbprint(c->key, thumbprint));
    int found = acme_account_by_key(c->s, thumbprint, &known, &c->err);
    if (found < 0)
        acme_broken(c);
    else if (found == 1 && known.status != ACME_VALID)
        acme_problem(c, ACME_UNAUTHORIZED, "this key's account is %s", acme_status_name(known.status));
    else if (found == 1)
        answer_account(c, known.id, 200);
    else if (json_is_true(json_object_get(c->payload, "onlyReturnExisting")))
        acme_problem(c, ACME_ACCOUNT_DOES_NOT_EXIST, "this key has no account here");
    else
        make_account(c, thumbprint);
    acme_account_free(&known);
}

/* An account's own
 * --------------------------------------------------------------------------------------------------- */

static bool is_own(struct acme_call *c)
{
    return str_is(c->id, c->account.id) ||
           acme_problem(c, ACME_UNAUTHORIZED, "this is not of the account that has signed");
}

/* Deactivate it and all that it had under way (RFC 8555, 7.3.6). */
static bool deactivate(struct acme_call *c)
{
    const char *id = c->account.id;
    bool ok = acme_begin(c) &&
              (acme_run(c->s, &c->err, "UPDATE accounts SET status = ? WHERE id = ?", "is",
                        (int64_t)ACME_DEACTIVATED, id) == 0 ||
               acme_broken(c)) &&
              (acme_run(c->s, &c->err, "UPDATE orders SET status = ? WHERE account = ? AND status < 2", "is",
                        (int64_t)ACME_INVALID, id) == 0 ||
               acme_broken(c)) &&
              (acme_run(c->s, &c->err,
                        "UPDATE authorizations SET status = ? WHERE account = ? AND status IN (0, 3)", "is",
                        (int64_t)ACME_DEACTIVATED, id) == 0 ||
               acme_broken(c)) &&
              (acme_look_forget_account(c->s, id, &c->err) == 0 || acme_broken(c));
    return ok && acme_commit(c);
}

static bool update(struct acme_call *c)
{
    char *contact;
    const char *id = c->account.id;
    bool agrees = json_is_true(json_object_get(c->payload, "termsOfServiceAgreed"));
    if (!read_contacts(c, &contact))
        return false;
    bool ok = acme_begin(c);
    if (ok &&
        ((contact != NULL &&
          acme_run(c->s, &c->err, "UPDATE accounts SET contact = ? WHERE id = ?", "ss", contact, id) < 0) ||
         (agrees && acme_run(c->s, &c->err, "UPDATE accounts SET terms = 1 WHERE id = ?", "s", id) < 0)))
        ok = acme_broken(c);
    free(contact);
    return ok && acme_commit(c);
}

void acme_answer_account(struct acme_call *c)
{
    const json_t *status = json_object_get(c->payload, "status");
    if (!is_own(c))
        return;
    if (status != NULL &&
        (!json_is_string(status) || strcmp(json_string_value(status), "deactivated") != 0)) {
        acme_problem(c, ACME_MALFORMED, "\"status\" of an account can only be made \"deactivated\"");
        return;
    }
    if (status != NULL ? deactivate(c) : c->payload == NULL || update(c))
        answer_account(c, c->account.id, 200);
}

/* The account's orders that are not invalid, newest first; the next ones are behind a Link (RFC 8555,
 * 7.1.2.1). */
void acme_answer_orders(struct acme_call *c)
{
    char url[ACME_URL_MAX], before_text[24] = "";
    uint64_t before = INT64_MAX;
    json_t *list = json_array();
    int64_t last = 0;
    static const char query[] = "before=";
    struct str given = c->request->query;
    if (given.len > strlen(query) && memcmp(given.p, query, strlen(query)) == 0)
        str_copy(before_text, sizeof(before_text), given.p + strlen(query), given.len - strlen(query));
    if (!is_own(c) || (given.len > 0 && !str_u64(before_text, INT64_MAX, &before) &&
                       !acme_problem(c, ACME_MALFORMED, "the query is not one of this list's links"))) {
        json_decref(list);
        return;
    }
    struct state_query *q = acme_ask(c->s, &c->err,
                                     "SELECT id, number FROM orders WHERE account = ? AND status <> 4 AND "
                                     "number < ? ORDER BY number DESC LIMIT ?",
                                     "sii", c->account.id, (int64_t)before, (int64_t)ORDERS_LISTED);
    enum state_result result = q == NULL ? STATE_FAILED : STATE_ROW;
    while (result == STATE_ROW && (result = state_step(q, &c->err)) == STATE_ROW) {
        char id[ACME_ID_MAX];
        acme_column(q, 0, id, sizeof(id));
        last = state_int(q, 1);
        json_array_append_new(list, json_string(acme_url(c->s, ACME_AT_ORDER, id, url)));
    }
    if (q != NULL)
        state_done(q);
    if (result == STATE_FAILED) {
        json_decref(list);
        acme_broken(c);
        return;
    }
    if (json_array_size(list) == ORDERS_LISTED)
        web_answer_field(c->answer, "Link", "<%s?before=%lld>;rel=\"next\"",
                         acme_url(c->s, ACME_AT_ORDERS, c->account.id, url), (long long)last);
    acme_json(c, 200, json_pack("{s:o}", "orders", list));
}

/* A new key
 * ----------------------------------------------------------------------------------------------------------
 */

/* The inner JWS is by the new key, names the account and its old key (RFC 8555, 7.3.5). */
static bool check_new_key(struct acme_call *c, const struct jws *j, EVP_PKEY *new_key)
{
    char account[ACME_URL_MAX];
    bool ok = jws_verify(j, new_key) ||
              acme_problem(c, ACME_MALFORMED, "the inner JWS's signature is not by its key");
    if (!ok)
        return false;
    if (j->url == NULL || c->jws.url == NULL || strcmp(j->url, c->jws.url) != 0 || j->nonce != NULL)
        return acme_problem(c, ACME_MALFORMED,
                            "the inner JWS must have the same \"url\" as the outer one, and no \"nonce\"");
    json_t *o = json_loadb((const char *)j->payload.data, j->payload.len, JSON_REJECT_DUPLICATES, NULL);
    const char *named = json_string_value(json_object_get(o, "account"));
    EVP_PKEY *old_key = jwk_read(json_object_get(o, "oldKey"), NULL);
    acme_url(c->s, ACME_AT_ACCOUNT, c->account.id, account);
    ok =
        named != NULL && strcmp(named, account) == 0 && old_key != NULL && EVP_PKEY_cmp(old_key, c->key) == 1;
    EVP_PKEY_free(old_key);
    json_decref(o);
    return ok || acme_problem(c, ACME_MALFORMED,
                              "the inner JWS must name the \"account\" that has signed, and its \"oldKey\"");
}

static bool store_new_key(struct acme_call *c, const EVP_PKEY *new_key)
{
    char thumbprint[JWK_THUMBPRINT_MAX], url[ACME_URL_MAX];
    struct acme_account other;
    struct buf jwk = {0};
    CHECK(jwk_thumbprint(new_key, thumbprint));
    int found = acme_account_by_key(c->s, thumbprint, &other, &c->err);
    if (found == 1) {
        web_answer_field(c->answer, "Location", "%s", acme_url(c->s, ACME_AT_ACCOUNT, other.id, url));
        acme_problem(c, ACME_CONFLICT, "the new key has an account already");
    }
    acme_account_free(&other);
    if (found != 0)
        return found < 0 ? acme_broken(c) : false;
    const char *text = jwk_put(new_key, &jwk) ? buf_text(&jwk) : NULL;
    bool ok =
        text != NULL && acme_run(c->s, &c->err, "UPDATE accounts SET thumbprint = ?, jwk = ? WHERE id = ?",
                                 "sss", thumbprint, text, c->account.id) == 0;
    buf_free(&jwk);
    return ok || acme_broken(c);
}

void acme_answer_key_change(struct acme_call *c)
{
    struct jws j;
    EVP_PKEY *new_key = NULL;
    bool ok = jws_read(json_incref(c->payload), &j, &c->err) == JWS_OK && j.jwk != NULL;
    if (!ok)
        acme_problem(c, ACME_MALFORMED, "the payload is not a JWS by the new key, with its \"jwk\"");
    else if ((new_key = jwk_read(j.jwk, &c->err)) == NULL)
        acme_problem(c, ACME_BAD_PUBLIC_KEY, "%s", c->err.text);
    else if (check_new_key(c, &j, new_key) && store_new_key(c, new_key))
        answer_account(c, c->account.id, 200);
    EVP_PKEY_free(new_key);
    jws_free(&j);
}
