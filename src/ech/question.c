/* SPDX-License-Identifier: Apache-2.0 */
#include "ech/question.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"
#include "dns/oblivious.h"
#include "fetch/fetch.h"

#define TYPE "application/dns-message"
#define ANSWER_MAX ((size_t)128 * 1024)
#define CONFIGS_MAX ((size_t)64 * 1024)
#define ASK_NS (5 * NSEC_PER_SEC)

#define OK 200
#define UNAUTHORIZED 401 /* the resolver has no such key (RFC 9230, 4.3) */

struct ech_question {
    struct fetcher *fetcher;
    const struct doh_resolver *resolver;
    struct fetch *fetch;
    ech_answered *done;
    void *arg;
    /* Through a proxy: */
    struct buf message;
    struct buf configs; /* that it was sealed by */
    bool again;         /* ... newer ones than at first */
    struct dns_oblivious_opener opener;
};

static void question_free(struct ech_question *q)
{
    dns_oblivious_forget(&q->opener);
    buf_free(&q->message);
    buf_free(&q->configs);
    free(q);
}

static void finish(struct ech_question *q, struct str message, const struct err *why)
{
    q->done(q->arg, message, why);
    question_free(q);
}

static void fail(struct ech_question *q, const struct err *why)
{
    finish(q, (struct str){"", 0}, why);
}

/* Is there an answer of that type? -1 with `why`. */
static int check(const char *from, const struct fetch_answer *answer, const char *type, struct err *why)
{
    if (answer->status == OK && str_is(answer->type, type))
        return 0;
    return err_set(why, "%s: answers with status %u, expected 200 and a message of type %s", from,
                   answer->status, type);
}

/* ---- of the resolver itself ---- */

static void on_answer(void *arg, const struct fetch_answer *answer, const struct err *err)
{
    struct ech_question *q = arg;
    struct err why;
    if (answer == NULL)
        fail(q, err);
    else if (check(q->resolver->url, answer, TYPE, &why) != 0)
        fail(q, &why);
    else
        finish(q, answer->body, NULL);
}

static int ask(struct ech_question *q, const struct buf *message, struct err *err)
{
    const struct fetch_request request = {.method = "POST",
                                          .url = q->resolver->url,
                                          .type = TYPE,
                                          .body = {(const char *)message->data, message->len},
                                          .ca_file = q->resolver->ca,
                                          .timeout = ASK_NS,
                                          .max = ANSWER_MAX};
    q->fetch = fetch_start(q->fetcher, &request, on_answer, q, err);
    return q->fetch != NULL ? 0 : -1;
}

/* ---- through a proxy ---- */

/* In base64, as people hand it on, or as it is. */
static int read_configs(const struct doh_resolver *r, struct buf *ret, struct err *err)
{
    struct buf text = {0};
    if (file_read(r->configs, CONFIGS_MAX, &text, NULL, err) != 0)
        return -1;
    if (!base64_read_lines((struct str){(const char *)text.data, text.len}, ret))
        CHECK(buf_append(ret, text.data, text.len));
    buf_free(&text);
    return 0;
}

static void on_sealed_answer(void *arg, const struct fetch_answer *answer, const struct err *err);

/* Nothing is sent that tells us apart from others who ask (4.5), nor what is worth to be kept (4.1). */
static int send_sealed(struct ech_question *q, const struct buf *sealed, struct err *err)
{
    static const char *const fields[] = {"Accept: " DNS_OBLIVIOUS_TYPE, "Cache-Control: no-cache, no-store",
                                         "User-Agent:", NULL};
    struct buf url = {0};
    CHECK(doh_put_proxy_url(q->resolver, &url, err) == 0);
    const struct fetch_request request = {.method = "POST",
                                          .url = buf_text(&url),
                                          .type = DNS_OBLIVIOUS_TYPE,
                                          .body = {(const char *)sealed->data, sealed->len},
                                          .ca_file = q->resolver->ca,
                                          .fields = fields,
                                          .timeout = ASK_NS,
                                          .max = ANSWER_MAX};
    q->fetch = fetch_start(q->fetcher, &request, on_sealed_answer, q, err);
    buf_free(&url);
    return q->fetch != NULL ? 0 : -1;
}

/* By the configs that are there. */
static int ask_sealed(struct ech_question *q, struct err *err)
{
    struct dns_oblivious_key key;
    struct buf sealed = {0};
    struct str configs = {(const char *)q->configs.data, q->configs.len};
    struct str message = {(const char *)q->message.data, q->message.len};
    dns_oblivious_forget(&q->opener);
    if (dns_oblivious_choose(configs, &key, err) != 0 ||
        dns_oblivious_seal(&key, message, &sealed, &q->opener, err) != 0)
        return err_prefix(err, "%s", q->resolver->configs);
    int rc = send_sealed(q, &sealed, err);
    buf_free(&sealed);
    return rc;
}

/* Somebody may just have put newer ones into the file. True where it is asked once more. */
static bool ask_by_newer(struct ech_question *q, struct err *err)
{
    struct buf newer = {0};
    err_set(err,
            "%s: answers with status 401: the resolver does not know the key of %s any more (get its "
            "ObliviousDoHConfigs anew), or the proxy does not serve us",
            q->resolver->proxy, q->resolver->configs);
    struct err why;
    bool changed = !q->again && read_configs(q->resolver, &newer, &why) == 0 &&
                   (newer.len != q->configs.len || memcmp(newer.data, q->configs.data, newer.len) != 0);
    if (!changed) {
        buf_free(&newer);
        return false;
    }
    buf_free(&q->configs);
    q->configs = newer;
    q->again = true;
    return ask_sealed(q, err) == 0;
}

static void open_answer(struct ech_question *q, struct str body)
{
    struct buf message = {0};
    struct err why;
    if (dns_oblivious_open(&q->opener, body, &message, &why) != 0) {
        err_prefix(&why, "%s", q->resolver->proxy);
        fail(q, &why);
    } else {
        finish(q, (struct str){(const char *)message.data, message.len}, NULL);
    }
    buf_free(&message);
}

static void on_sealed_answer(void *arg, const struct fetch_answer *answer, const struct err *err)
{
    struct ech_question *q = arg;
    struct err why;
    q->fetch = NULL;
    if (answer == NULL) {
        fail(q, err);
    } else if (answer->status == UNAUTHORIZED) {
        if (!ask_by_newer(q, &why))
            fail(q, &why);
    } else if (check(q->resolver->proxy, answer, DNS_OBLIVIOUS_TYPE, &why) != 0) {
        fail(q, &why);
    } else {
        open_answer(q, answer->body);
    }
}

static int begin_sealed(struct ech_question *q, const struct buf *message, struct err *err)
{
    CHECK(buf_append(&q->message, message->data, message->len));
    return read_configs(q->resolver, &q->configs, err) == 0 ? ask_sealed(q, err) : -1;
}

/* ---- for others ---- */

struct ech_question *ech_question_start(struct fetcher *fetcher, const struct doh_resolver *resolver,
                                        const struct buf *message, ech_answered *done, void *arg,
                                        struct err *err)
{
    struct ech_question *q = calloc(1, sizeof(*q));
    CHECK(q != NULL);
    *q = (struct ech_question){.fetcher = fetcher, .resolver = resolver, .done = done, .arg = arg};
    if ((resolver->proxy != NULL ? begin_sealed(q, message, err) : ask(q, message, err)) == 0)
        return q;
    question_free(q);
    return NULL;
}

void ech_question_cancel(struct ech_question *q)
{
    if (q == NULL)
        return;
    if (q->fetch != NULL)
        fetch_cancel(q->fetch);
    question_free(q);
}
