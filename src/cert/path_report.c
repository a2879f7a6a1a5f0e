/* SPDX-License-Identifier: Apache-2.0 */
#include "cert/path_report.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pool.h>

#include "base/check.h"
#include "base/str.h"
#include "cert/trust_internal.h"

struct making {
    const struct path_report_question *q;
    struct path_cert *certs;
    struct path_report *ret;
    struct path_step *steps; /* beside ret->steps */
};

static void describe(const struct making *m, struct path_cert *cert, struct path_report_cert *ret)
{
    const X509 *x509 = path_cert_x509(cert);
    *ret = (struct path_report_cert){.subject = "?",
                                     .issuer = "?",
                                     .sent = cert->is_anchor ? 0 : (size_t)(cert - m->certs) + 1,
                                     .not_before = cert->not_before,
                                     .not_after = cert->not_after};
    if (x509 == NULL)
        return;
    pem_subject_text(x509, ret->subject);
    pem_name_text(X509_get_issuer_name(x509), ret->issuer);
}

/* What trust_refuse_step() would say to a peer. */
static char *words_of(const struct making *m, const struct path_step *step)
{
    struct err err = {""};
    struct verdict v = {.trust = m->q->trust, .purpose = m->q->purpose, .now = m->q->now, .err = &err};
    if (step->fault == PATH_GOOD)
        return NULL;
    if (step->fault == PATH_REFUSED)
        err_set(&err, "the path is complete, and refused as a whole");
    else if (step->fault == PATH_GAVE_UP)
        err_set(&err, "gave up here");
    else
        (void)trust_refuse_step(&v, step, NULL, 0);
    char *why = strdup(err.text);
    CHECK(why != NULL);
    return why;
}

static void keep_step(void *arg, const struct path_step *step)
{
    struct making *m = arg;
    struct path_report *r = m->ret;
    if (r->steps_len == PATH_REPORT_STEPS_MAX) {
        r->steps_more++;
        return;
    }
    struct path_report_step *kept = &r->steps[r->steps_len];
    m->steps[r->steps_len++] = *step;
    kept->depth = step->depth;
    kept->taken = step->fault == PATH_GOOD;
    kept->has_issuer = step->issuer != NULL;
    kept->why = words_of(m, step);
    describe(m, step->cert, &kept->cert);
    if (kept->has_issuer)
        describe(m, step->issuer, &kept->issuer);
}

/* Of the steps that were taken, those that the path is made of: the last at each depth before it was found.
 */
static void mark_chosen(struct making *m, const struct path_answer *answer)
{
    for (size_t depth = answer->len - 1, i = MIN(answer->told, m->ret->steps_len); depth > 0 && i > 0; i--) {
        const struct path_step *step = &m->steps[i - 1];
        if (step->fault != PATH_GOOD || step->depth != depth || step->issuer != answer->path[depth])
            continue;
        m->ret->steps[i - 1].chosen = true;
        depth--;
    }
}

struct first_block {
    char type[32]; /* what stands behind BEGIN; "": there is no block */
};

static int keep_first(void *arg, const char *type, const uint8_t *der, size_t len, struct err *err)
{
    struct first_block *first = arg;
    (void)der;
    (void)len;
    (void)err;
    if (first->type[0] == '\0')
        str_copy(first->type, sizeof(first->type), type, strlen(type));
    return 0;
}

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), of_end = strlen(end);
    return len >= of_end && strcmp(text + len - of_end, end) == 0;
}

/* What a file without certificates holds, for who has given the wrong one. */
static const char *what_it_is(const struct buf *text)
{
    struct first_block first = {""};
    struct err ignored;
    (void)pem_each(text, keep_first, &first, &ignored);
    if (first.type[0] == '\0')
        return text->len == 0          ? "it is empty"
               : text->data[0] == 0x30 ? "it is DER, not PEM"
                                       : "it has no block of PEM";
    return ends_with(first.type, "PRIVATE KEY")           ? "it is a private key"
           : ends_with(first.type, "PUBLIC KEY")          ? "it is a public key"
           : ends_with(first.type, "CERTIFICATE REQUEST") ? "it is a request for a certificate"
           : ends_with(first.type, "CRL")                 ? "it is a revocation list"
                                                          : "it is PEM of another kind";
}

/* A first certificate by whose name another of the chain is issued is hardly the leaf. */
static void seek_issued(const struct making *m)
{
    struct path_report *r = m->ret;
    for (size_t i = 1; i < r->certs && r->issued == 0; i++)
        if (!m->certs[i].self_issued &&
            CBS_mem_equal(&m->certs[i].issuer, CBS_data(&m->certs[0].subject), CBS_len(&m->certs[0].subject)))
            r->issued = i + 1;
}

static bool read_chain(struct making *m, const STACK_OF(CRYPTO_BUFFER) * chain)
{
    struct path_report *r = m->ret;
    r->certs = sk_CRYPTO_BUFFER_num(chain);
    m->certs = calloc(r->certs + 1, sizeof(*m->certs));
    CHECK(m->certs != NULL);
    if (r->certs == 0)
        err_set(&r->why, "there is no certificate (-----BEGIN CERTIFICATE-----): %s",
                what_it_is(m->q->chain));
    for (size_t i = 0; i < r->certs; i++) {
        CBS der;
        CRYPTO_BUFFER_init_CBS(sk_CRYPTO_BUFFER_value(chain, i), &der);
        if (!path_cert_read(der, &m->certs[i])) {
            err_set(&r->why, "certificate %zu cannot be read", i + 1);
            return false;
        }
    }
    seek_issued(m);
    return r->certs > 0;
}

static void judge(struct making *m)
{
    struct path_report *r = m->ret;
    struct path_answer answer;
    struct verdict v = {
        .trust = m->q->trust, .host = m->q->host, .purpose = m->q->purpose, .now = m->q->now, .err = &r->why};
    r->steps = calloc(PATH_REPORT_STEPS_MAX, sizeof(*r->steps));
    m->steps = calloc(PATH_REPORT_STEPS_MAX, sizeof(*m->steps));
    CHECK(r->steps != NULL && m->steps != NULL);
    r->accepted = trust_judge(&v, m->certs, r->certs, &path_limits_default, keep_step, m, &answer) == 0;
    r->candidates = answer.steps;
    r->signatures = answer.signatures;
    if (r->accepted) {
        r->path = calloc(answer.len, sizeof(*r->path));
        CHECK(r->path != NULL);
        for (; r->path_len < answer.len; r->path_len++)
            describe(m, answer.path[r->path_len], &r->path[r->path_len]);
        mark_chosen(m, &answer);
    }
    free(m->steps);
}

void path_report_make(const struct path_report_question *question, struct path_report *ret)
{
    struct making m = {.q = question, .ret = ret};
    STACK_OF(CRYPTO_BUFFER) *chain = sk_CRYPTO_BUFFER_new_null();
    CHECK(chain != NULL);
    *ret = (struct path_report){0};
    if (trust_read_pem(question->chain, PATH_REPORT_CERTS_MAX, chain, &ret->why) == 0 &&
        read_chain(&m, chain))
        judge(&m);
    for (size_t i = 0; i < ret->certs; i++)
        path_cert_close(&m.certs[i]);
    free(m.certs);
    sk_CRYPTO_BUFFER_pop_free(chain, CRYPTO_BUFFER_free);
    ERR_clear_error();
}

void path_report_free(struct path_report *report)
{
    for (size_t i = 0; i < report->steps_len; i++)
        free(report->steps[i].why);
    free(report->steps);
    free(report->path);
    *report = (struct path_report){0};
}
