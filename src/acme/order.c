/* SPDX-License-Identifier: Apache-2.0 */
/* Orders as they are (RFC 8555, 7.1.3). How they come to be: new_order.c. */
#include <stdlib.h>
#include <string.h>

#include "acme/server_internal.h"
#include "base/check.h"
#include "cert/pem.h"

static bool read_row(struct acme_call *c, struct state_query *q, struct acme_order *o)
{
    o->number = state_int(q, 0);
    acme_column(q, 1, o->id, sizeof(o->id));
    o->status = (enum acme_status)state_int(q, 2);
    o->expires = state_int(q, 3);
    o->not_before = state_int(q, 4);
    o->not_after = state_int(q, 5);
    acme_column(q, 6, o->profile_name, sizeof(o->profile_name));
    o->profile = acme_profile_named(c->s, o->profile_name);
    acme_column(q, 7, o->replaces, sizeof(o->replaces));
    acme_column(q, 8, o->certificate, sizeof(o->certificate));
    struct str error = state_text(q, 9);
    if (error.len > 0)
        CHECK((o->error = strndup(error.p, error.len)) != NULL);
    if (o->status < ACME_PROCESSING && o->expires <= c->now)
        o->status = ACME_INVALID;
    return acme_names_load(state_text(q, 10), &o->names, &o->names_len);
}

bool acme_order_load(struct acme_call *c, struct str id, struct acme_order *ret)
{
    char text[ACME_ID_MAX];
    *ret = (struct acme_order){0};
    if (!str_copy(text, sizeof(text), id.p, id.len))
        return acme_problem(c, ACME_NOT_FOUND, "this account has no such order");
    struct state_query *q =
        acme_ask(c->s, &c->err,
                 "SELECT number, id, status, expires, not_before, not_after, profile, "
                 "replaces, certificate, error, names FROM orders WHERE id = ? AND account = ?",
                 "ss", text, c->account.id);
    enum state_result result = q == NULL ? STATE_FAILED : state_step(q, &c->err);
    bool read = result == STATE_ROW && read_row(c, q, ret);
    if (q != NULL)
        state_done(q);
    if (result == STATE_END)
        return acme_problem(c, ACME_NOT_FOUND, "this account has no such order");
    if (result == STATE_ROW && !read)
        err_set(&c->err, "order %s of the database has identifiers that cannot be read", text);
    return read || acme_broken(c);
}

void acme_order_free(struct acme_order *o)
{
    free(o->error);
    free(o->names);
    *o = (struct acme_order){0};
}

/* Put the URLs of its authorizations in. -1 with c->err. */
static int put_authorizations(struct acme_call *c, const struct acme_order *o, json_t *list)
{
    struct state_query *q =
        acme_ask(c->s, &c->err, "SELECT authorization FROM wants WHERE number = ?", "i", o->number);
    enum state_result result = q == NULL ? STATE_FAILED : STATE_ROW;
    while (result == STATE_ROW && (result = state_step(q, &c->err)) == STATE_ROW) {
        char id[ACME_ID_MAX], url[ACME_URL_MAX];
        acme_column(q, 0, id, sizeof(id));
        json_array_append_new(list, json_string(acme_url(c->s, ACME_AT_AUTHORIZATION, id, url)));
    }
    if (q != NULL)
        state_done(q);
    return result == STATE_FAILED ? -1 : 0;
}

static void put_time(json_t *o, const char *key, int64_t when)
{
    char text[PEM_TIME_MAX];
    if (when != 0)
        json_object_set_new(o, key, json_string(pem_time_text(when, text)));
}

void acme_order_answer(struct acme_call *c, unsigned status, const struct acme_order *o)
{
    char url[ACME_URL_MAX];
    json_t *authorizations = json_array();
    if (put_authorizations(c, o, authorizations) < 0) {
        json_decref(authorizations);
        acme_broken(c);
        return;
    }
    json_t *v =
        json_pack("{s:s, s:o, s:o, s:s, s:s}", "status", acme_status_name(o->status), "identifiers",
                  acme_names_json(o->names, o->names_len), "authorizations", authorizations, "finalize",
                  acme_url(c->s, ACME_AT_FINALIZE, o->id, url), "profile", o->profile_name);
    put_time(v, "expires", o->expires);
    put_time(v, "notBefore", o->not_before);
    put_time(v, "notAfter", o->not_after);
    if (o->replaces[0] != '\0')
        json_object_set_new(v, "replaces", json_string(o->replaces));
    if (o->certificate[0] != '\0')
        json_object_set_new(v, "certificate",
                            json_string(acme_url(c->s, ACME_AT_CERTIFICATE, o->certificate, url)));
    if (o->error != NULL)
        json_object_set_new(v, "error", json_loads(o->error, 0, NULL));
    web_answer_field(c->answer, "Location", "%s", acme_url(c->s, ACME_AT_ORDER, o->id, url));
    acme_json(c, status, v);
}

void acme_answer_order(struct acme_call *c)
{
    struct acme_order o;
    if (acme_order_load(c, c->id, &o))
        acme_order_answer(c, 200, &o);
    acme_order_free(&o);
}

int acme_orders_follow(struct acme_server *s, const char *authorization, bool valid, const char *problem,
                       struct err *err)
{
    if (acme_look_forget(s, authorization, err) < 0)
        return -1;
    if (valid)
        return acme_run(
            s, err,
            "UPDATE orders SET status = 1 WHERE status = 0 AND number IN (SELECT number FROM wants "
            "WHERE authorization = ?) AND NOT EXISTS (SELECT 1 FROM wants w JOIN authorizations a "
            "ON a.id = w.authorization WHERE w.number = orders.number AND a.status <> 3)",
            "s", authorization);
    return acme_run(s, err,
                    "UPDATE orders SET status = 4, error = ? WHERE status < 2 AND number IN "
                    "(SELECT number FROM wants WHERE authorization = ?)",
                    "ss", problem, authorization);
}
