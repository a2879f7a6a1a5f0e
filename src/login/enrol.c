/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates without a password: for a key that an administrator approves, and for who has one that can be
 * renewed. */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "cert/identity.h"
#include "login/enrolments.h"
#include "login/login_internal.h"

/* ---- approval ---- */

static bool read_csr(struct login_step *s, struct buf *ret, uint8_t ret_key[LOGIN_KEY_DIGEST])
{
    struct err err = {""};
    if (!form_blob(s->m, "csr", LOGIN_CSR_MAX, ret))
        login_refuse(s, 400, "'csr' is missing, or not base64 of at most %d bytes", LOGIN_CSR_MAX);
    else if (s->l->issuer.look(s->l->issuer.arg, (struct str){(const char *)ret->data, ret->len}, ret_key,
                               &err) < 0)
        login_refuse(s, 400, "'csr': %s", err.text);
    else
        return true;
    return false;
}

static void let_wait(struct login_step *s, const struct enrolment_request *request)
{
    struct err err = {""};
    char code[CODE_TEXT_MAX];
    uint8_t ticket[ENROLMENT_TICKET];
    int status = enrolments_add(s->l->accounts, request, s->now, code, ticket, &err);
    if (status < 0) {
        login_broken(s, &err);
        return;
    }
    if (status == 0) {
        login_wait(s, ENROLMENT_LIFE / 4);
        return;
    }
    json_t *m = json_object();
    form_put_text(m, "code", code, strlen(code));
    form_put_bytes(m, "ticket", ticket, sizeof(ticket));
    CHECK(json_object_set_new(m, "until", json_integer(s->now + ENROLMENT_LIFE)) == 0 &&
          json_object_set_new(m, "poll", json_integer(LOGIN_POLL)) == 0);
    login_say(s, m);
}

void login_enrol(struct login_step *s)
{
    struct buf csr = {0};
    uint8_t key[LOGIN_KEY_DIGEST];
    struct str host;
    int64_t wait = tries_wait(s->l->sources, login_text(s->source), s->now);
    if (wait > 0) {
        login_wait(s, wait);
        return;
    }
    tries_count(s->l->sources, login_text(s->source), s->now);
    if (!form_text(s->m, "host", 255, &host))
        host = login_text("unnamed");
    if (read_csr(s, &csr, key)) {
        const struct enrolment_request request = {.csr = {(const char *)csr.data, csr.len},
                                                  .key = key,
                                                  .source = login_text(s->source),
                                                  .host = host};
        let_wait(s, &request);
    }
    buf_free(&csr);
}

static void enrol_approved(struct login_step *s, const struct enrolment *e, struct str csr)
{
    struct account account;
    struct err err = {""};
    char session[SESSION_ID_MAX], who[2 * ACCOUNT_NAME_MAX + 32];
    int64_t until = s->now + s->l->settings.renewable;
    int status = accounts_find(s->l->accounts, login_text(e->account), &account, &err);
    if (status == 0 || (status == 1 && account.disabled)) {
        login_refuse(s, 403, "refused");
        return;
    }
    /* Ended first: whatever happens behind, a ticket is good for one certificate. */
    if (status == 1)
        status = enrolments_end(s->l->accounts, e->code, &err);
    if (status == 0) {
        login_refuse(s, 410, "the code is used up");
        return;
    }
    if (status < 0 ||
        accounts_begin_session(s->l->accounts, login_text(account.name), (struct str){NULL, 0},
                               (struct str){NULL, 0}, s->now, s->l->settings.renewable, session, &err) < 0) {
        login_broken(s, &err);
        return;
    }
    snprintf(who, sizeof(who), "login:%s approved:%s", account.name, e->who);
    json_t *m = json_object();
    if (login_give(s, &account, csr, session, until, who, m))
        login_say(s, json_incref(m));
    json_decref(m);
}

static void tell_verdict(struct login_step *s, const struct enrolment *e, struct str csr)
{
    struct err err = {""};
    if (e->verdict == ENROLMENT_APPROVED)
        enrol_approved(s, e, csr);
    else if (e->verdict == ENROLMENT_REFUSED) {
        (void)enrolments_end(s->l->accounts, e->code, &err); /* else its time ends it */
        login_refuse(s, 403, "an administrator has refused");
    } else {
        json_t *m = json_object();
        CHECK(json_object_set_new(m, "poll", json_integer(LOGIN_POLL)) == 0);
        login_say(s, m);
        s->ret->status = 202;
    }
}

void login_enrol_poll(struct login_step *s)
{
    struct err err = {""};
    struct enrolment e;
    struct buf csr = {0};
    uint8_t ticket[ENROLMENT_TICKET];
    if (!form_bytes(s->m, "ticket", ticket, sizeof(ticket))) {
        login_refuse(s, 400, "'ticket' is missing, or not %d bytes in base64", ENROLMENT_TICKET);
        return;
    }
    int status = enrolments_find(s->l->accounts, ticket, s->now, &e, &csr, &err);
    if (status < 0)
        login_broken(s, &err);
    else if (status == 0)
        login_refuse(s, 410, "the code is used up or too old: run 'cardea login --code' again");
    else
        tell_verdict(s, &e, (struct str){(const char *)csr.data, csr.len});
    buf_free(&csr);
}

/* ---- renewal ---- */

static void renew(struct login_step *s, struct str user, struct str session_id, struct str csr)
{
    struct account account = {.disabled = true};
    struct err err = {""};
    char session[SESSION_ID_MAX], who[ACCOUNT_NAME_MAX + 8];
    int64_t until = 0;
    int status = accounts_find_session(s->l->accounts, user, session_id, s->now, &until, &err);
    if (status == 1)
        status = accounts_find(s->l->accounts, user, &account, &err);
    if (status < 0) {
        login_broken(s, &err);
        return;
    }
    int revoked = status == 1 ? login_is_revoked(s, session_id, &err) : 0;
    if (revoked < 0) {
        login_broken(s, &err);
        return;
    }
    if (status == 0 || account.disabled || revoked) {
        login_refuse(s, 403, "this login is over: run 'cardea login' again");
        return;
    }
    str_copy(session, sizeof(session), session_id.p, session_id.len);
    snprintf(who, sizeof(who), "login:%s", account.name);
    json_t *m = json_object();
    if (login_give(s, &account, csr, session, until, who, m))
        login_say(s, json_incref(m));
    json_decref(m);
}

void login_renew(struct login_step *s)
{
    struct buf csr = {0};
    uint8_t key[LOGIN_KEY_DIGEST];
    const char *user = login_find_fact(s->r->identity, IDENTITY_NAME, "");
    const char *session = login_find_fact(s->r->identity, IDENTITY_URI, LOGIN_URI);
    if (user == NULL || session == NULL || strlen(session) >= SESSION_ID_MAX) {
        login_refuse(s, 403, "no certificate of a login was shown: run 'cardea login'");
        return;
    }
    int64_t wait = tries_wait(s->l->issued, login_text(user), s->now);
    if (wait > 0)
        login_wait(s, wait);
    else if (read_csr(s, &csr, key))
        renew(s, login_text(user), login_text(session), (struct str){(const char *)csr.data, csr.len});
    buf_free(&csr);
}
