/* SPDX-License-Identifier: Apache-2.0 */
/* From a certification request to a certificate (RFC 8555, 7.4 and 7.4.2). */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "acme/server_internal.h"
#include "base/base64.h"
#include "base/check.h"
#include "ca/csr.h"

/* The request's names
 * --------------------------------------------------------------------------------------------------- */

/* Which of the order's names this text is; -1: none. */
static int index_of(const struct acme_order *o, const char *text)
{
    struct acme_name n;
    enum acme_problem problem;
    const char *why;
    uint8_t ip[16];
    if (!acme_name_read(hostname_address(text, ip) > 0 ? "ip" : "dns", text, &n, &problem, &why))
        return -1;
    for (size_t i = 0; i < o->names_len; i++)
        if (acme_name_equal(&o->names[i], &n))
            return (int)i;
    return -1;
}

/* The names of the order and no others, be it in the subject or among the alternative names. */
static bool check_names(struct acme_call *c, const struct csr *csr, const struct acme_order *o)
{
    bool seen[ACME_NAMES_MAX] = {false};
    size_t count = 0;
    CHECK(o->names_len <= ACME_NAMES_MAX);
    for (size_t i = 0; i <= csr->sans_len; i++) {
        const char *text = i < csr->sans_len ? csr->sans[i] : csr->name;
        if (text == NULL)
            continue;
        int at = index_of(o, text);
        if (at < 0)
            return acme_problem(c, ACME_BAD_CSR, "the request names '%.100s', which is not in the order",
                                text);
        count += !seen[at];
        seen[at] = true;
    }
    return count == o->names_len ||
           acme_problem(c, ACME_BAD_CSR, "the request names %zu of the %zu names of the order; expected all",
                        count, o->names_len);
}

static bool read_csr(struct acme_call *c, const struct acme_order *o, struct csr *ret)
{
    const json_t *given = json_object_get(c->payload, "csr");
    struct buf der = {0};
    if (!json_is_string(given))
        return acme_problem(c, ACME_MALFORMED, "\"csr\" is not there as a string");
    struct str text = {json_string_value(given), json_string_length(given)};
    bool ok = base64url_read(text, &der) ||
              acme_problem(c, ACME_MALFORMED, "\"csr\" is not base64url without padding");
    ok = ok && (csr_read((struct str){(const char *)der.data, der.len}, ret, &c->err) == 0 ||
                acme_problem(c, ACME_BAD_CSR, "%s", c->err.text));
    buf_free(&der);
    if (!ok || !check_names(c, ret, o))
        return false;
    /* A key has one use (RFC 8555, 11.1). */
    return EVP_PKEY_cmp(ret->key, c->key) != 1 ||
           acme_problem(c, ACME_BAD_CSR, "the request is for the account's own key; make another");
}

/* Issuing
 * -----------------------------------------------------------------------------------------------------------
 */

/* What is asked of the CA, and the texts that it points at. */
struct wish {
    struct acme_certify what;
    char sans[ACME_NAMES_MAX][ACME_NAME_TEXT];
    const char *list[ACME_NAMES_MAX];
    char who[ACME_ID_MAX + 8];
};

/* The names and groups of it. Free with free(). */
static struct wish *wish_of(const struct acme_call *c, const struct acme_order *o,
                            const struct acme_rule *rule)
{
    struct wish *w = calloc(1, sizeof(*w));
    CHECK(w != NULL);
    for (size_t i = 0; i < o->names_len; i++)
        w->list[i] = acme_name_text(&o->names[i], w->sans[i]);
    snprintf(w->who, sizeof(w->who), "acme:%s", c->account.id);
    w->what = (struct acme_certify){
        .kind = o->profile->kind,
        /* Policy knows a client by its name; a server's stands in the alternative names only. */
        .name = o->profile->kind == CA_PROFILE_SERVER ? NULL : w->list[0],
        .sans = w->list,
        .sans_len = o->names_len,
        .groups = rule->groups,
        .now = c->now,
        .who = w->who,
    };
    while (rule->groups != NULL && rule->groups[w->what.groups_len] != NULL)
        w->what.groups_len++;
    return w;
}

bool acme_certifiable(struct acme_call *c, const struct acme_order *o, const struct acme_rule *rule)
{
    const struct acme_issuer *issuer = &c->s->params->issuer;
    char text[ACME_NAME_TEXT];
    for (size_t i = 0; o->profile->kind == CA_PROFILE_CLIENT && i < o->names_len; i++)
        if (o->names[i].wildcard)
            return acme_problem(c, ACME_REJECTED_IDENTIFIER,
                                "%s: a client is one; expected names without \"*\" under profile %s",
                                acme_name_text(&o->names[i], text), o->profile_name);
    struct wish *w = wish_of(c, o, rule);
    struct err err;
    int rc = issuer->check(issuer->arg, &w->what, &err);
    free(w);
    return rc == 0 || acme_problem(c, ACME_REJECTED_IDENTIFIER, "%s", err.text);
}

/* Time has gone by since the order was made: is there a lifetime left? 0: no. */
static int64_t lifetime_of(const struct acme_call *c, const struct acme_order *o)
{
    int64_t from = o->not_before != 0 ? o->not_before : c->now;
    int64_t to = o->not_after != 0 ? o->not_after : from + o->profile->lifetime;
    return to > c->now ? MIN(to - from, o->profile->lifetime) : 0;
}

static bool issue(struct acme_call *c, const struct acme_order *o, const struct acme_rule *rule,
                  const struct csr *csr, struct buf *ret_chain)
{
    const struct acme_issuer *issuer = &c->s->params->issuer;
    int64_t lifetime = lifetime_of(c, o);
    if (lifetime == 0)
        return acme_problem(c, ACME_MALFORMED,
                            "the time that this order asks for has passed; make a new order");
    struct wish *w = wish_of(c, o, rule);
    w->what.key = csr->key;
    w->what.must_staple = csr->must_staple;
    w->what.not_before = o->not_before;
    w->what.lifetime = lifetime;
    int rc = issuer->issue(issuer->arg, &w->what, ret_chain, &c->err);
    free(w);
    return rc == 0 || acme_broken(c);
}

static bool write_certificate(struct acme_call *c, struct acme_order *o, struct buf *chain, X509 *leaf)
{
    char serial_text[ACME_SERIAL_TEXT];
    struct ca_serial serial;
    struct buf renewal = {0};
    int64_t from = 0, to = 0;
    json_t *list = acme_names_json(o->names, o->names_len);
    char *names = acme_json_text(list);
    json_decref(list);
    acme_new_id(o->certificate);
    bool ok = names != NULL && buf_text(chain) != NULL && acme_serial(leaf, &serial, serial_text) &&
              ASN1_TIME_to_posix(X509_get0_notBefore(leaf), &from) &&
              ASN1_TIME_to_posix(X509_get0_notAfter(leaf), &to);
    bool renewable = ok && acme_renewal_id(leaf, &renewal);
    if (!ok)
        err_set(&c->err, "what was issued is no certificate that can be read");
    ok =
        ok && acme_begin(c) &&
        acme_run(c->s, &c->err, "INSERT INTO certificates VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0)", "ssssssiii",
                 o->certificate, c->account.id, serial_text, renewable ? buf_text(&renewal) : NULL, names,
                 buf_text(chain), c->now, from, to) == 0 &&
        acme_run(c->s, &c->err, "UPDATE orders SET status = 3, certificate = ?, expires = ? WHERE number = ?",
                 "sii", o->certificate, to, o->number) == 0;
    o->status = ACME_VALID;
    o->expires = to;
    free(names);
    buf_free(&renewal);
    c->s->certificates++;
    return ok ? acme_commit(c) : acme_broken(c);
}

int acme_certificates_count(struct acme_server *s, struct err *err)
{
    return acme_count(s, err, &s->certificates, "SELECT COUNT(*) FROM certificates", "");
}

static bool finalize(struct acme_call *c, struct acme_order *o, const struct acme_rule *rule,
                     const struct csr *csr)
{
    struct buf chain = {0};
    X509 *leaf = NULL;
    bool ok = issue(c, o, rule, csr, &chain);
    if (ok && (leaf = acme_leaf(&chain, &c->err)) == NULL)
        ok = acme_broken(c);
    ok = ok && write_certificate(c, o, &chain, leaf);
    X509_free(leaf);
    buf_free(&chain);
    return ok;
}

/* The rules may have changed since the order was made: what they say now counts. */
static bool check_rules(struct acme_call *c, const struct acme_order *o, const struct acme_rule **ret)
{
    int64_t trusted, good;
    *ret = o->profile == NULL ? NULL : acme_permit(c->s, &c->account, o->profile, o->names, o->names_len);
    if (*ret == NULL)
        return acme_problem(c, ACME_UNAUTHORIZED, "this server's rules do not permit this order any more");
    if (acme_count(
            c->s, &c->err, &trusted,
            "SELECT COUNT(*) FROM wants w JOIN authorizations a ON a.id = w.authorization WHERE w.number = ? "
            "AND a.trusted = 1",
            "i", o->number) < 0 ||
        acme_count(c->s, &c->err, &good,
                   "SELECT COUNT(*) FROM wants w JOIN authorizations a ON a.id = w.authorization WHERE "
                   "w.number = ? AND a.status = 3 AND a.expires > ?",
                   "ii", o->number, c->now) < 0)
        return acme_broken(c);
    return ((size_t)good == o->names_len && (trusted == 0 || (*ret)->trusted)) ||
           acme_problem(c, ACME_UNAUTHORIZED,
                        "authorizations of this order hold no longer; make a new order");
}

void acme_answer_finalize(struct acme_call *c)
{
    struct acme_order o;
    struct csr csr = {0};
    const struct acme_rule *rule;
    bool ok = acme_order_load(c, c->id, &o);
    if (ok && o.status != ACME_READY)
        ok = acme_problem(c, ACME_ORDER_NOT_READY, "this order is %s; expected ready",
                          acme_status_name(o.status));
    if (ok && check_rules(c, &o, &rule) && acme_certifiable(c, &o, rule) && read_csr(c, &o, &csr) &&
        finalize(c, &o, rule, &csr))
        acme_order_answer(c, 200, &o);
    csr_free(&csr);
    acme_order_free(&o);
}

void acme_answer_certificate(struct acme_call *c)
{
    char id[ACME_ID_MAX];
    struct state_query *q = NULL;
    enum state_result result = STATE_END;
    if (str_copy(id, sizeof(id), c->id.p, c->id.len)) {
        q = acme_ask(c->s, &c->err, "SELECT chain FROM certificates WHERE id = ? AND account = ?", "ss", id,
                     c->account.id);
        result = q == NULL ? STATE_FAILED : state_step(q, &c->err);
    }
    if (result == STATE_ROW) {
        struct str chain = state_text(q, 0);
        c->answer->status = 200;
        c->answer->type = "application/pem-certificate-chain";
        if (!buf_append(&c->answer->body, chain.p, chain.len)) {
            err_set(&c->err, "out of memory");
            result = STATE_FAILED;
        }
    }
    if (q != NULL)
        state_done(q);
    if (result == STATE_END)
        acme_problem(c, ACME_NOT_FOUND, "this account has no such certificate");
    else if (result == STATE_FAILED)
        acme_broken(c);
}
