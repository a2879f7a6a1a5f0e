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
    const struct session_beginning beginning = {.account = login_text(e->account),
                                                .source = login_text(s->source),
                                                .key = e->key,
                                                .now = s->now,
                                                .life = s->l->settings.renewable};
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
    if (status < 0 || sessions_begin(s->l->accounts, &beginning, session, &err) == SESSION_FAILED) {
        login_broken(s, &err);
        return;
    }
    snprintf(who, sizeof(who), "login:%s approved:%s", account.name, e->who);
    json_t *m = json_object();
    if (login_give(s, &account, csr, session, s->now + beginning.life, who, m) &&
        login_put_alarm(s, &account, m))
        login_say(s, json_incref(m));
    json_decref(m);
}

static void tell_verdict(struct login_step *s, const struct enrolment *e, struct str csr)
{
    struct err err = {""};
    if (e->verdict != ENROLMENT_WAITS)
        login_deed(s, "login:code", login_text(e->account));
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

/* Is the session over for another reason than its keys: the account is disabled, a certificate of it revoked?
 * 1, 0, or -1 with `err`. */
static int is_barred(const struct login_step *s, const struct session_renewal *r, struct account *ret,
                     struct err *err)
{
    int found = accounts_find(s->l->accounts, r->account, ret, err);
    if (found < 0)
        return -1;
    return found == 0 || ret->disabled ? 1 : login_is_revoked(s, r->shown.session, err);
}

static enum session_verdict judge(struct login_step *s, const struct session_renewal *r,
                                  struct account *ret_account, int64_t *ret_until, struct err *err)
{
    int barred = is_barred(s, r, ret_account, err);
    if (barred != 0)
        return barred < 0 ? SESSION_FAILED : SESSION_OVER;
    return sessions_renew(s->l->accounts, r, ret_until, err);
}

static void refuse_reused(struct login_step *s, const struct session_renewal *r, const char *who)
{
    snprintf(s->ret->deed.detail, sizeof(s->ret->deed.detail), "%s",
             login_end_reused(s, r->shown.session, who));
    login_refuse(
        s, 403,
        "this login is over: its key had been replaced by a newer one, so there are two copies of it, "
        "and one may be in wrong hands. Run 'cardea login' again, and tell an administrator if you do "
        "not know where the other one is");
}

static void renew(struct login_step *s, const struct session_renewal *r, struct str csr)
{
    struct account account = {.disabled = true};
    struct err err = {""};
    char session[SESSION_ID_MAX], who[ACCOUNT_NAME_MAX + 8];
    int64_t until = 0;
    enum session_verdict verdict = judge(s, r, &account, &until, &err);
    snprintf(who, sizeof(who), "login:%s", account.name);
    str_copy(session, sizeof(session), r->shown.session.p, r->shown.session.len);
    snprintf(s->ret->deed.session, sizeof(s->ret->deed.session), "%s", session);
    if (verdict == SESSION_FAILED)
        login_broken(s, &err);
    else if (verdict == SESSION_REUSED)
        refuse_reused(s, r, who);
    else if (verdict == SESSION_OVER)
        login_refuse(s, 403, "this login is over: run 'cardea login' again");
    else {
        json_t *m = json_object();
        if (login_give(s, &account, csr, session, until, who, m))
            login_say(s, json_incref(m));
        json_decref(m);
    }
}

static struct str name_shown(const struct identity *id)
{
    for (uint32_t i = 0; id != NULL && i < id->count; i++)
        if (id->facts[i].kind == IDENTITY_NAME)
            return login_text(id->facts[i].value);
    return login_text("");
}

void login_renew(struct login_step *s)
{
    struct buf csr = {0};
    uint8_t key[LOGIN_KEY_DIGEST];
    const struct session_renewal r = {.account = name_shown(s->r->identity),
                                      .shown = login_shown(s),
                                      .next = key,
                                      .source = login_text(s->source),
                                      .now = s->now};
    login_deed(s, "login:renew", r.account);
    if (r.account.len == 0 || r.shown.session.len == 0) {
        login_refuse(s, 403, "no certificate of a login was shown: run 'cardea login'");
        return;
    }
    int64_t wait = tries_wait(s->l->issued, r.account, s->now);
    if (wait > 0)
        login_wait(s, wait);
    else if (read_csr(s, &csr, key))
        renew(s, &r, (struct str){(const char *)csr.data, csr.len});
    buf_free(&csr);
}
