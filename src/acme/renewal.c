/* SPDX-License-Identifier: Apache-2.0 */
/* When to renew (ARI, RFC 9773). */
#include <stdlib.h>
#include <string.h>

#include "acme/server_internal.h"
#include "base/check.h"
#include "ca/authority.h"
#include "cert/pem.h"

#define ASK_AGAIN (6 * ACME_HOUR)

struct renewable {
    char account[ACME_ID_MAX];
    struct ca_serial serial;
    int64_t issued, not_before, not_after, revoked;
    int64_t replace; /* up to when what was issued is to be replaced */
    struct acme_name *names;
    size_t names_len;
};

/* 1; 0: there is none; -1 with c->err. */
static int find(struct acme_call *c, const char *certid, struct renewable *ret)
{
    struct state_query *q =
        acme_ask(c->s, &c->err,
                 "SELECT account, not_before, not_after, revoked, names, serial, issued FROM certificates "
                 "WHERE renewal = ?",
                 "s", certid);
    char serial[ACME_SERIAL_TEXT];
    *ret = (struct renewable){0};
    if (q == NULL)
        return -1;
    enum state_result result = state_step(q, &c->err);
    if (result == STATE_ROW) {
        acme_column(q, 0, ret->account, sizeof(ret->account));
        ret->not_before = state_int(q, 1);
        ret->not_after = state_int(q, 2);
        ret->revoked = state_int(q, 3);
        acme_names_load(state_text(q, 4), &ret->names, &ret->names_len);
        acme_column(q, 5, serial, sizeof(serial));
        CHECK(ca_serial_parse(serial, &ret->serial)); /* we have written it */
        ret->issued = state_int(q, 6);
    }
    state_done(q);
    return result == STATE_ROW ? 1 : result == STATE_END ? 0 : -1;
}

/* What the CA knows of it, and perhaps not we: it has other doors. False: the call is answered. */
static bool ask_issuer(struct acme_call *c, struct renewable *r)
{
    int64_t revoked;
    const struct acme_issuer *issuer = &c->s->params->issuer;
    if (issuer->look(issuer->arg, &r->serial, &revoked, &r->replace, &c->err) < 0)
        return acme_broken(c);
    r->revoked = r->revoked != 0 ? r->revoked : revoked;
    return true;
}

/* From two thirds of the lifetime on, for a fiftieth of it, so that not all come at once and two tries more
 * are left. At once for what is revoked (RFC 9773, 4.2); as long from the order on for what is to be
 * replaced. */
static void window(const struct renewable *r, int64_t now, int64_t *ret_start, int64_t *ret_end)
{
    int64_t lifetime = r->not_after - r->not_before;
    *ret_start = r->not_before + lifetime / 3 * 2;
    if (r->revoked != 0)
        *ret_start = now - 2 * ACME_HOUR;
    else if (r->issued <= r->replace)
        *ret_start = MIN(*ret_start, r->replace);
    *ret_end = r->revoked != 0 ? now - ACME_HOUR : *ret_start + MAX(lifetime / 50, 1);
}

void acme_answer_renewal_info(struct acme_call *c)
{
    char certid[ACME_URL_MAX], start_text[PEM_TIME_MAX], end_text[PEM_TIME_MAX];
    struct renewable r = {0};
    int64_t start, end;
    if (!str_is(c->request->method, "GET") && !str_is(c->request->method, "HEAD")) {
        web_answer_field(c->answer, "Allow", "GET, HEAD");
        acme_problem(c, ACME_METHOD, "only GET is answered here");
        return;
    }
    int found = str_copy(certid, sizeof(certid), c->id.p, c->id.len) ? find(c, certid, &r) : 0;
    free(r.names);
    if (found <= 0) {
        (void)(found < 0 ? acme_broken(c)
                         : acme_problem(c, ACME_NOT_FOUND, "no certificate of that id was issued here"));
        return;
    }
    if (!ask_issuer(c, &r))
        return;
    window(&r, c->now, &start, &end);
    web_answer_field(c->answer, "Retry-After", "%lld",
                     (long long)MIN((int64_t)ASK_AGAIN, MAX((r.not_after - r.not_before) / 12, 60)));
    acme_json(c, 200,
              json_pack("{s:{s:s, s:s}}", "suggestedWindow", "start", pem_time_text(start, start_text), "end",
                        pem_time_text(end, end_text)));
}

static bool shares_name(const struct renewable *r, const struct acme_name *names, size_t count)
{
    for (size_t i = 0; i < r->names_len; i++)
        for (size_t k = 0; k < count; k++)
            if (acme_name_equal(&r->names[i], &names[k]))
                return true;
    return false;
}

bool acme_replaces_check(struct acme_call *c, const char *certid, const struct acme_name *names, size_t count)
{
    struct renewable r;
    int64_t others = 0;
    int found = find(c, certid, &r);
    bool own = found == 1 && strcmp(r.account, c->account.id) == 0 && shares_name(&r, names, count);
    free(r.names);
    if (found < 0 ||
        acme_count(c->s, &c->err, &others,
                   "SELECT COUNT(*) FROM orders WHERE replaces = ? AND status <> 4 AND (status = 3 OR "
                   "expires > ?)",
                   "si", certid, c->now) < 0)
        return acme_broken(c);
    if (!own)
        return acme_problem(c, ACME_MALFORMED,
                            "\"replaces\" is not a certificate of this account with a name of this order");
    return others == 0 ||
           acme_problem(c, ACME_ALREADY_REPLACED, "another order replaces this certificate already");
}
