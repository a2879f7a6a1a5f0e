/* SPDX-License-Identifier: Apache-2.0 */
#include "cert/path.h"

#include <stdlib.h>

#include <openssl/err.h>

#include "base/check.h"
#include "cert/path_graph.h"

/* A signature that was checked: that of a certificate, by a key. */
struct checked {
    const struct path_cert *cert;
    const struct path_cert *anchor; /* whose key it is; NULL: one that was sent */
    uint32_t key;                   /* its number, of one that was sent */
    bool good;
};

struct search {
    const struct path_question *q;
    struct path_answer *ret;
    struct path_graph graph;
    struct path_cert *path[PATH_DEPTH_MAX]; /* leaf first */
    size_t len;
    bool *explained; /* by certificate: what is above it need not be told of again */
    size_t steps, told;
    struct checked checked[PATH_SIGNATURES_MAX];
    size_t checked_len;
    size_t comparisons_left;
    size_t paths;
    size_t best; /* the rank of ret->why; 0: there is none */
    enum path_fault leaf_fault;
};

/* Where a part of the search ends. */
enum outcome { GO_ON, FOUND, ENDED };

#define AN_ANCHOR SIZE_MAX /* in place of the number of a certificate that was sent */

/* ---- rules of one certificate ---- */

static enum path_fault judge_any(const struct path_cert *cert, int64_t now)
{
    if (cert->odd_extensions)
        return PATH_ODD_EXTENSIONS;
    if (cert->unknown_critical)
        return PATH_UNKNOWN_CRITICAL;
    if (now >= cert->not_after)
        return PATH_EXPIRED;
    if (now < cert->not_before)
        return PATH_NOT_YET_VALID;
    if (cert->rsa_bits > RSA_BITS_MAX && !cert->is_anchor)
        return PATH_HUGE_KEY;
    return cert->rsa_bits != 0 && cert->rsa_bits < RSA_BITS_MIN ? PATH_WEAK_KEY : PATH_GOOD;
}

enum path_fault path_judge_leaf(const struct path_cert *leaf, enum trust_purpose purpose, int64_t now,
                                bool is_anchor)
{
    unsigned usage = KEY_USAGE_SIGNATURE | KEY_USAGE_AGREEMENT;
    if (purpose == TRUST_SERVER)
        usage |= KEY_USAGE_ENCIPHERMENT;
    if (!path_cert_serves(leaf, purpose) || (leaf->key_usage & usage) == 0)
        return PATH_WRONG_PURPOSE;
    enum path_fault fault = judge_any(leaf, now);
    if (fault == PATH_GOOD && !is_anchor && leaf->weak_digest != NULL)
        fault = PATH_WEAK_SIGNATURE;
    return fault;
}

enum path_fault path_judge_ca(const struct path_cert *ca, enum trust_purpose purpose, int64_t now)
{
    /* Version 1 has no way to say it. Who puts a root of that kind into a bundle says it for it. */
    bool is_ca = ca->is_ca || (ca->version1 && ca->is_anchor && ca->self_issued);
    if (!is_ca)
        return PATH_NOT_A_CA;
    if ((ca->key_usage & KEY_USAGE_CERT_SIGN) == 0)
        return PATH_NO_CERT_SIGN;
    if (!path_cert_serves(ca, purpose))
        return PATH_WRONG_PURPOSE;
    enum path_fault fault = judge_any(ca, now);
    if (fault == PATH_GOOD && !ca->is_anchor && ca->weak_digest != NULL)
        fault = PATH_WEAK_SIGNATURE;
    return fault;
}

/* ---- rules of a candidate on top of the path ---- */

static bool stands_below(const struct search *s, const struct path_cert *cert)
{
    for (size_t i = 0; i < s->len; i++)
        if (cbs_equal(s->path[i]->key, cert->key) && cbs_equal(s->path[i]->subject, cert->subject))
            return true;
    return false;
}

/* RFC 5280, 4.2.1.9: those that are self-issued are not counted, nor is the leaf. */
static bool too_many_below(const struct search *s, const struct path_cert *ca)
{
    int64_t below = 0;
    for (size_t i = 1; i < s->len; i++)
        below += !s->path[i]->self_issued;
    return ca->path_len != PATH_LEN_NONE && below > ca->path_len;
}

/* RFC 5280, 6.1.3 (b) and (c). */
static enum path_fault hold_names(struct search *s, struct path_step *step)
{
    const struct path_cert *ca = step->issuer;
    if (CBS_len(&ca->constraints) == 0)
        return PATH_GOOD;
    for (size_t i = 0; i < s->len; i++) {
        if (i > 0 && s->path[i]->self_issued)
            continue;
        step->names = name_constraints_meet(ca->constraints, ca->constraints_critical, &s->path[i]->called,
                                            &s->comparisons_left, step->name);
        step->named = s->path[i];
        if (step->names == CONSTRAINT_TOO_MANY) {
            s->ret->limit = "comparisons of names";
            s->ret->limit_value = s->q->limits.comparisons;
            return PATH_GAVE_UP;
        }
        if (step->names != CONSTRAINT_MET)
            return PATH_NAME;
    }
    return PATH_GOOD;
}

/* All but the signature. */
static enum path_fault judge_step(struct search *s, struct path_step *step, size_t number)
{
    const struct path_cert *ca = step->issuer;
    if (stands_below(s, ca))
        return PATH_LOOP;
    enum path_fault fault =
        number == AN_ANCHOR ? path_judge_ca(ca, s->q->purpose, s->q->now) : s->graph.fault[number];
    if (fault == PATH_NAME) /* once more, to tell which name */
        fault = hold_names(s, step);
    if (fault != PATH_GOOD)
        return fault;
    if (s->len >= s->q->limits.depth)
        return PATH_TOO_LONG;
    if (too_many_below(s, ca))
        return PATH_TOO_MANY_BELOW;
    return hold_names(s, step);
}

/* ---- signatures ---- */

static enum path_fault verify(struct path_cert *cert, struct path_cert *issuer)
{
    X509 *x509 = path_cert_x509(cert);
    EVP_PKEY *key = path_cert_key(issuer);
    if (x509 == NULL || key == NULL)
        return PATH_UNREADABLE;
    enum path_fault fault = X509_verify(x509, key) == 1 ? PATH_GOOD : PATH_BAD_SIGNATURE;
    ERR_clear_error();
    return fault;
}

static enum path_fault check_signature(struct search *s, struct path_cert *issuer, size_t number)
{
    struct checked now = {.cert = s->path[s->len - 1]};
    if (number == AN_ANCHOR)
        now.anchor = issuer;
    else
        now.key = s->graph.key[number];
    for (const struct checked *c = s->checked; c < s->checked + s->checked_len; c++)
        if (c->cert == now.cert && c->anchor == now.anchor && c->key == now.key)
            return c->good ? PATH_GOOD : PATH_BAD_SIGNATURE;
    if (s->checked_len == s->q->limits.signatures) {
        s->ret->limit = "signatures";
        s->ret->limit_value = s->q->limits.signatures;
        return PATH_GAVE_UP;
    }
    enum path_fault fault = verify(s->path[s->len - 1], issuer);
    now.good = fault == PATH_GOOD;
    s->checked[s->checked_len++] = now;
    return fault;
}

/* ---- what is told ---- */

/* The branch that came furthest gives the reason: one towards an anchor's name before one that leads nowhere,
 * then the longest, then the first. */
static size_t rank_of(const struct search *s, const struct path_step *step, size_t number)
{
    bool known =
        number == AN_ANCHOR || (step->issuer != NULL && s->graph.names[s->graph.issuer[number]].known);
    return step->depth + (known ? PATH_DEPTH_MAX + 1 : 0);
}

static void note(struct search *s, const struct path_step *step, size_t number)
{
    size_t rank = rank_of(s, step, number);
    s->told++;
    if (s->q->trace != NULL)
        s->q->trace(s->q->arg, step);
    if (step->fault == PATH_GOOD || step->fault == PATH_LOOP ||
        (rank <= s->best && step->fault != PATH_GAVE_UP))
        return;
    s->best = rank;
    s->ret->why = *step;
}

static struct path_step step_to(const struct search *s, struct path_cert *issuer)
{
    return (struct path_step){.cert = s->path[s->len - 1], .issuer = issuer, .depth = s->len};
}

static enum outcome end(struct search *s, const char *limit, size_t value)
{
    struct path_step step = step_to(s, NULL);
    s->ret->limit = limit;
    s->ret->limit_value = value;
    step.fault = PATH_GAVE_UP;
    note(s, &step, AN_ANCHOR);
    return ENDED;
}

/* ---- the search ---- */

/* Does what the two say of the issuer's key agree? 0: yes; 1: one is silent; 2: no. */
#define KEY_CLASSES 3
static int key_class(const struct path_cert *cert, const struct path_cert *issuer)
{
    if (CBS_len(&cert->authority_key_id) == 0 || CBS_len(&issuer->key_id) == 0)
        return 1;
    return cbs_equal(cert->authority_key_id, issuer->key_id) ? 0 : 2;
}

/* Is it no wonder that the signature does not fit? One that is self-signed names an issuer that is itself. */
static bool is_of_other_key(const struct path_cert *cert, const struct path_cert *issuer)
{
    return cert->self_issued || key_class(cert, issuer) == KEY_CLASSES - 1;
}

static enum outcome refuse_leaf(struct search *s)
{
    struct path_step step = {.cert = s->path[0], .depth = s->len, .fault = s->leaf_fault};
    note(s, &step, AN_ANCHOR);
    return ENDED;
}

static void tally(struct search *s)
{
    s->ret->steps = s->steps;
    s->ret->signatures = s->checked_len;
    s->ret->told = s->told;
}

static enum outcome complete(struct search *s)
{
    enum path_verdict verdict = PATH_TAKE;
    if (s->ret->found)
        return GO_ON; /* one more way, which was told of */
    if (s->leaf_fault != PATH_GOOD)
        return refuse_leaf(s);
    if (s->paths++ == s->q->limits.paths)
        return end(s, "complete paths", s->q->limits.paths);
    if (s->q->accept != NULL)
        verdict = s->q->accept(s->q->arg, s->path, s->len);
    if (verdict != PATH_TAKE) {
        struct path_step step = {.cert = s->path[s->len - 1], .depth = s->len, .fault = PATH_REFUSED};
        note(s, &step, AN_ANCHOR);
        return verdict == PATH_STOP ? ENDED : GO_ON;
    }
    for (s->ret->len = 0; s->ret->len < s->len; s->ret->len++)
        s->ret->path[s->ret->len] = s->path[s->ret->len];
    for (size_t i = 1; i + 1 < s->len; i++)
        s->explained[s->path[i] - s->q->certs] = true;
    tally(s);
    s->ret->found = true;
    return s->q->tell_all ? GO_ON : FOUND;
}

static enum outcome climb(struct search *s, size_t number, bool dead);

/* Among the candidates for one issuer. */
struct seen {
    bool circle; /* one that stands below */
    bool other;
};

/* Look at one candidate, and go on above it. `dead`: no anchor can be reached from here, and it is only to be
 * told why; each certificate is gone through once for that, and no signature is checked. */
static enum outcome try_candidate(struct search *s, struct path_cert *issuer, size_t number, bool dead,
                                  struct seen *seen)
{
    struct path_step step = step_to(s, issuer);
    if (s->steps++ == s->q->limits.steps)
        return end(s, "candidates", s->q->limits.steps);
    step.fault = judge_step(s, &step, number);
    seen->circle |= step.fault == PATH_LOOP;
    seen->other |= step.fault != PATH_LOOP;
    if (step.fault == PATH_GOOD && number != AN_ANCHOR) {
        bool is_dead = s->graph.names[s->graph.issuer[number]].near == GRAPH_FAR;
        if ((is_dead || s->ret->found) && s->explained[number])
            return GO_ON;
        s->explained[number] |= is_dead || s->ret->found;
        dead = dead || is_dead;
    }
    if (step.fault == PATH_GOOD && !dead)
        step.fault = check_signature(s, issuer, number);
    if (step.fault == PATH_BAD_SIGNATURE && is_of_other_key(step.cert, issuer))
        step.fault = PATH_OTHER_KEY;
    note(s, &step, number);
    if (step.fault != PATH_GOOD)
        return step.fault == PATH_GAVE_UP ? ENDED : GO_ON;
    CHECK(!dead || number != AN_ANCHOR); /* no path without signatures */
    s->path[s->len++] = issuer;
    enum outcome outcome = number == AN_ANCHOR ? complete(s) : climb(s, number, dead);
    s->len--;
    return outcome;
}

/* All candidates of one class for the issuer of the path's top. */
static enum outcome try_class(struct search *s, const struct graph_name *name, int class, bool dead,
                              struct seen *seen)
{
    const struct path_cert *top = s->path[s->len - 1];
    const struct anchors *anchors = s->q->anchors;
    enum outcome outcome = GO_ON;
    for (size_t a = name->anchor; a != ANCHORS_NONE && outcome == GO_ON; a = anchors_next(anchors, a))
        if (key_class(top, anchors_at(anchors, a)) == class)
            outcome = try_candidate(s, anchors_at(anchors, a), AN_ANCHOR, dead, seen);
    for (uint32_t i = name->first; i < name->end && outcome == GO_ON; i++) {
        size_t number = s->graph.order[i];
        if (key_class(top, &s->q->certs[number]) == class)
            outcome = try_candidate(s, &s->q->certs[number], number, dead, seen);
    }
    return outcome;
}

/* Find who has signed the path's top, which was sent as `number`, and so on up to an anchor. */
static enum outcome climb(struct search *s, size_t number, bool dead)
{
    const struct graph_name *name = &s->graph.names[s->graph.issuer[number]];
    enum outcome outcome = GO_ON;
    struct seen seen = {0};
    for (int class = 0; class < KEY_CLASSES && outcome == GO_ON; class ++)
        outcome = try_class(s, name, class, dead, &seen);
    if (outcome == GO_ON && !seen.other) {
        struct path_step step = step_to(s, NULL);
        step.fault = seen.circle && !step.cert->self_issued ? PATH_CIRCLE : PATH_NO_ISSUER;
        note(s, &step, number);
    }
    return outcome;
}

/* ---- the leaf ---- */

static bool is_in_bundle(const struct path_question *q)
{
    size_t a = anchors_first(q->anchors, q->certs[0].subject);
    while (a != ANCHORS_NONE && !path_cert_is(anchors_at(q->anchors, a), &q->certs[0]))
        a = anchors_next(q->anchors, a);
    return a != ANCHORS_NONE;
}

/* A leaf that stands in the bundle itself needs nobody else. What is wrong with the leaf is told at once
 * where it comes from somebody whom the bundle knows; else that nobody does matters more. */
static enum outcome begin(struct search *s)
{
    bool is_anchor = is_in_bundle(s->q);
    const struct graph_name *name = &s->graph.names[s->graph.issuer[0]];
    s->leaf_fault = path_judge_leaf(s->path[0], s->q->purpose, s->q->now, is_anchor);
    if (s->leaf_fault != PATH_GOOD && (is_anchor || (name->known && !s->path[0]->self_issued)))
        return refuse_leaf(s);
    enum outcome outcome = is_anchor ? complete(s) : GO_ON;
    return outcome == GO_ON ? climb(s, 0, name->near == GRAPH_FAR) : outcome;
}

bool path_build(const struct path_question *question, struct path_answer *ret)
{
    CHECK(question->len > 0 && question->limits.depth <= PATH_DEPTH_MAX &&
          question->limits.signatures <= PATH_SIGNATURES_MAX);
    *ret = (struct path_answer){0};
    struct search s = {.q = question, .ret = ret, .comparisons_left = question->limits.comparisons};
    path_graph_make(question, &s.graph);
    s.explained = calloc(question->len, sizeof(*s.explained));
    CHECK(s.explained != NULL);
    s.path[s.len++] = &question->certs[0];
    (void)begin(&s);
    if (!ret->found)
        tally(&s);
    free(s.explained);
    path_graph_free(&s.graph);
    return ret->found;
}
