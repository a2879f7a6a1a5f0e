/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/asker.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "cert/ocsp.h"
#include "fetch/fetch.h"
#include "loop/loop.h"

#define ASKER_MAGIC 0xa5ce4000u
#define ASK_NS (30 * NSEC_PER_SEC)
#define CRL_NS (120 * NSEC_PER_SEC)
#define CRL_FRESH INT64_C(60) /* seconds at most for which others of the same CA use what one has fetched */

struct kept_crl {
    char *url; /* NULL: the place is free */
    struct crl *crl;
    int64_t fetched; /* seconds since 1970 */
};

struct asker {
    uint32_t magic;
    struct fetcher *fetcher;
    struct loop *loop;
    struct asker_settings settings;
    struct kept_crl crls[ASKER_CRLS];
};

struct question {
    struct asker *asker;
    struct cert *cert;
    struct issued names; /* whom to ask */
    question_done *done;
    void *arg;
    struct fetch *fetch; /* NULL: the CRL is at hand */
    struct task turn;
};

static int64_t now_seconds(void)
{
    return clock_wall() / NSEC_PER_SEC;
}

struct asker *asker_new(struct loop *loop, struct fetcher *fetcher, const struct asker_settings *settings)
{
    struct asker *a = calloc(1, sizeof(*a));
    CHECK(a != NULL);
    *a = (struct asker){.magic = ASKER_MAGIC, .loop = loop, .fetcher = fetcher, .settings = *settings};
    return a;
}

void asker_set(struct asker *a, const struct asker_settings *settings)
{
    CHECK_MAGIC(a, ASKER_MAGIC);
    a->settings = *settings;
}

static void drop_crl(struct kept_crl *k)
{
    free(k->url);
    cert_crl_free(k->crl);
    *k = (struct kept_crl){0};
}

void asker_free(struct asker *a)
{
    if (a == NULL)
        return;
    CHECK_MAGIC(a, ASKER_MAGIC);
    for (size_t i = 0; i < ASKER_CRLS; i++)
        drop_crl(&a->crls[i]);
    a->magic = 0;
    free(a);
}

bool asker_can(const struct cert *cert, struct issued *ret)
{
    struct issued names;
    if (ret == NULL)
        ret = &names;
    return issued_read_leaf(cert_leaf_der(cert), ret, NULL) == 0 && cert_chain_der(cert, 1).len > 0 &&
           (ret->ocsp[0] != '\0' || ret->crl[0] != '\0');
}

/* ---- answers ---- */

static void finish(struct question *q, const struct question_answer *answer, const struct err *err)
{
    q->done(q->arg, answer, err);
    cert_unref(q->cert);
    free(q);
}

static void fail(struct question *q, const char *url, const struct err *why)
{
    struct err err;
    err_set(&err, "%s: %s", url, why->text);
    finish(q, NULL, &err);
}

static int check_http(const struct fetch_answer *a, struct err *err)
{
    return a->status == 200 ? 0 : err_set(err, "it answered with status %u, expected 200", a->status);
}

static void on_ocsp(void *arg, const struct fetch_answer *a, const struct err *why)
{
    struct question *q = arg;
    struct question_answer answer = {.url = q->names.ocsp};
    struct err err;
    int rc = a == NULL ? -1 : check_http(a, &err);
    if (rc == 0)
        rc = ocsp_answer(a->body, cert_leaf_der(q->cert), cert_chain_der(q->cert, 1), now_seconds(),
                         &answer.status, &err);
    if (rc == 0 && answer.status.verdict == CERT_NOT_REVOKED)
        answer.staple = a->body;
    if (a == NULL)
        finish(q, NULL, why);
    else if (rc < 0)
        fail(q, q->names.ocsp, &err);
    else
        finish(q, &answer, NULL);
}

/* ---- CRLs ---- */

/* The place of that URL, or a free one, or that which was fetched longest ago. */
static struct kept_crl *place_of(struct asker *a, const char *url)
{
    struct kept_crl *best = &a->crls[0];
    for (size_t i = 0; i < ASKER_CRLS; i++) {
        struct kept_crl *k = &a->crls[i];
        if (k->url != NULL && strcmp(k->url, url) == 0)
            return k;
        if (best->url != NULL && (k->url == NULL || k->fetched < best->fetched))
            best = k;
    }
    return best;
}

static struct kept_crl *fresh_crl(struct asker *a, const char *url)
{
    struct kept_crl *k = place_of(a, url);
    int64_t age = now_seconds() - k->fetched, most = MIN(CRL_FRESH, a->settings.check_every / 2);
    return k->url != NULL && strcmp(k->url, url) == 0 && age >= 0 && age < most ? k : NULL;
}

static void tell_by_crl(struct question *q, struct crl *crl)
{
    struct question_answer answer = {.url = q->names.crl};
    struct err err;
    if (cert_crl_status(crl, cert_leaf_der(q->cert), cert_chain_der(q->cert, 1), now_seconds(),
                        &answer.status, &err) == 0)
        finish(q, &answer, NULL);
    else
        fail(q, q->names.crl, &err);
}

static void on_crl(void *arg, const struct fetch_answer *a, const struct err *why)
{
    struct question *q = arg;
    struct err err;
    struct crl *crl = a != NULL && check_http(a, &err) == 0 ? cert_crl_read(a->body, &err) : NULL;
    if (a == NULL) {
        finish(q, NULL, why);
        return;
    }
    if (crl == NULL) {
        fail(q, q->names.crl, &err);
        return;
    }
    struct kept_crl *k = place_of(q->asker, q->names.crl);
    drop_crl(k);
    *k = (struct kept_crl){.url = strdup(q->names.crl), .crl = crl, .fetched = now_seconds()};
    CHECK(k->url != NULL);
    tell_by_crl(q, crl);
}

/* ---- asking ---- */

static int ask_ocsp(struct question *q, struct err *err)
{
    struct buf body = {0}, url = {0};
    int rc = ocsp_question(cert_leaf_der(q->cert), cert_chain_der(q->cert, 1), &body, err);
    if (rc == 0) {
        const struct str asked = {(const char *)body.data, body.len};
        bool get = ocsp_url(q->names.ocsp, asked, &url);
        const struct fetch_request r = {.method = get ? "GET" : "POST",
                                        .url = get ? buf_text(&url) : q->names.ocsp,
                                        .type = get ? NULL : "application/ocsp-request",
                                        .body = get ? (struct str){"", 0} : asked,
                                        .follow = true,
                                        .timeout = ASK_NS,
                                        .max = OCSP_ANSWER_MAX};
        q->fetch = fetch_start(q->asker->fetcher, &r, on_ocsp, q, err);
        rc = q->fetch != NULL ? 0 : -1;
    }
    buf_free(&body);
    buf_free(&url);
    return rc;
}

static int fetch_crl(struct question *q, struct err *err)
{
    const struct fetch_request r = {.method = "GET",
                                    .url = q->names.crl,
                                    .follow = true,
                                    .timeout = CRL_NS,
                                    .max = q->asker->settings.crl_max};
    q->fetch = fetch_start(q->asker->fetcher, &r, on_crl, q, err);
    return q->fetch != NULL ? 0 : -1;
}

/* The CRL was at hand a moment ago. */
static void on_turn(struct task *t)
{
    struct question *q = CONTAINER_OF(t, struct question, turn);
    const struct kept_crl *k = fresh_crl(q->asker, q->names.crl);
    struct err err;
    if (k != NULL)
        tell_by_crl(q, k->crl);
    else if (fetch_crl(q, &err) < 0)
        fail(q, q->names.crl, &err);
}

static int ask_crl(struct question *q, struct err *err)
{
    if (fresh_crl(q->asker, q->names.crl) == NULL)
        return fetch_crl(q, err);
    loop_defer(q->asker->loop, &q->turn);
    return 0;
}

struct question *asker_ask(struct asker *a, struct cert *cert, question_done *done, void *arg,
                           struct err *err)
{
    CHECK_MAGIC(a, ASKER_MAGIC);
    struct question *q = calloc(1, sizeof(*q));
    CHECK(q != NULL);
    *q = (struct question){.asker = a, .cert = cert_ref(cert), .done = done, .arg = arg};
    task_init(&q->turn, on_turn);
    int rc;
    if (a->fetcher == NULL)
        rc = err_set(err, "libcurl is missing");
    else if (!asker_can(cert, &q->names))
        rc = err_set(err, "it names nobody who could be asked");
    else
        rc = q->names.ocsp[0] != '\0' ? ask_ocsp(q, err) : ask_crl(q, err);
    if (rc == 0)
        return q;
    cert_unref(q->cert);
    free(q);
    return NULL;
}

void question_cancel(struct question *q)
{
    if (q == NULL)
        return;
    if (q->fetch != NULL)
        fetch_cancel(q->fetch);
    list_remove(&q->turn.node);
    cert_unref(q->cert);
    free(q);
}

struct cert_staple *asker_staple(const struct cert *cert, struct str response, int64_t now)
{
    struct cert_status status;
    if (response.len == 0 ||
        ocsp_answer(response, cert_leaf_der(cert), cert_chain_der(cert, 1), now, &status, NULL) != 0 ||
        status.verdict != CERT_NOT_REVOKED)
        return NULL;
    return cert_staple_new(response.p, response.len, status.next_update);
}
