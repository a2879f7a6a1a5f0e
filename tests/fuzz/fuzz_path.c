/* SPDX-License-Identifier: Apache-2.0 */
/* cert/path.h: how many anchors, then these and what a peer sent, leaf first, each after its length in two
 * bytes. A path that is found holds when each of its steps is looked at alone; the search ends within its
 * limits, and says the same when it tells of all branches. */
#include <stdlib.h>

#include <openssl/err.h>

#include "base/check.h"
#include "base/cursor.h"
#include "cert/path.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define NOW INT64_C(1780272000) /* 2026-06-01, when the seeds are valid */
#define CERTS_MAX 64

static void count(void *arg, const struct path_step *step)
{
    size_t *told = arg;
    CHECK(step->cert != NULL && step->depth >= 1 && step->depth <= PATH_DEPTH_MAX);
    CHECK(step->fault != PATH_NAME || step->named != NULL);
    (*told)++;
}

static bool is_signed_by(struct path_cert *cert, struct path_cert *issuer)
{
    bool good = X509_verify(path_cert_x509(cert), path_cert_key(issuer)) == 1;
    ERR_clear_error();
    return good;
}

static void check_path(const struct path_answer *a, enum trust_purpose purpose)
{
    CHECK(a->len >= 1 && a->len <= PATH_DEPTH_MAX);
    CHECK(a->len == 1 || a->path[a->len - 1]->is_anchor);
    for (size_t i = 1; i < a->len; i++) {
        CHECK(cbs_equal(a->path[i - 1]->issuer, a->path[i]->subject));
        CHECK(path_judge_ca(a->path[i], purpose, NOW) == PATH_GOOD);
        CHECK(is_signed_by(a->path[i - 1], a->path[i]));
    }
    CHECK(path_judge_leaf(a->path[0], purpose, NOW, a->len == 1) == PATH_GOOD);
}

static void judge(struct path_question *q)
{
    struct path_answer answer, again;
    size_t told = 0;
    bool found = path_build(q, &answer);
    CHECK(found == answer.found && answer.steps <= q->limits.steps + 1 &&
          answer.signatures <= q->limits.signatures);
    if (found)
        check_path(&answer, q->purpose);
    else
        CHECK(answer.why.fault != PATH_GOOD && (answer.why.fault != PATH_GAVE_UP || answer.limit != NULL));
    q->trace = count;
    q->arg = &told;
    q->tell_all = true;
    CHECK(path_build(q, &again) == found && again.len == answer.len && told >= again.told);
    for (size_t i = 0; i < answer.len; i++)
        CHECK(again.path[i] == answer.path[i]);
    q->trace = NULL;
    q->tell_all = false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct cursor c = cursor_of(data, len), der;
    struct path_cert certs[CERTS_MAX];
    struct anchors *anchors = anchors_new();
    size_t n = 0;
    uint8_t roots = 0;
    (void)cursor_u8(&c, &roots);
    for (; roots > 0 && cursor_vector(&c, 2, &der); roots--)
        (void)anchors_add(anchors, der.p, cursor_left(&der));
    while (n < CERTS_MAX && cursor_vector(&c, 2, &der)) {
        CBS bytes;
        CBS_init(&bytes, der.p, cursor_left(&der));
        if (path_cert_read(bytes, &certs[n]))
            n++;
        else
            path_cert_close(&certs[n]);
    }
    if (n > 0) {
        struct path_question q = {.certs = certs,
                                  .len = n,
                                  .anchors = anchors,
                                  .purpose = TRUST_SERVER,
                                  .now = NOW,
                                  .limits = path_limits_default};
        judge(&q);
        q.purpose = TRUST_CLIENT;
        q.limits =
            (struct path_limits){.depth = 4, .steps = 8, .signatures = 3, .comparisons = 5, .paths = 1};
        judge(&q);
    }
    for (size_t i = 0; i < n; i++)
        path_cert_close(&certs[i]);
    anchors_unref(anchors);
    ERR_clear_error();
    return 0;
}
