/* SPDX-License-Identifier: Apache-2.0 */
/* The certificate of an offer end-to-end for which none was given: the door's CA certifies a key that is made
 * here (doc/internals/tunnel-protocol.md, "Certificates"). It is kept in a file with its key, for the next
 * start, and renewed when two thirds of its life are over: who visits stays with the one before. */
#include <string.h>
#include <time.h>

#include <sys/stat.h>

#include "base/clock.h"
#include "cert/cert.h"
#include "cert/fresh_key.h"
#include "cert/pem.h"
#include "tunnel/agent_tls.h"
#include "tunnel/client_internal.h"
#include "tunnel/exposer_internal.h"

#define LOOK_MAX_NS (300 * NSEC_PER_SEC) /* the day's time may jump */
#define AGAIN_LEAST_NS NSEC_PER_SEC

static int64_t now_of(const struct exposer_offer *o)
{
    return loop_now(o->agent->loop);
}

static void forget_key(struct own_cert *c)
{
    fresh_key_free(c->key);
    c->key = NULL;
}

bool own_cert_is_missing(const struct exposer_offer *o)
{
    return o->own_cert.wanted && o->own_cert.cert == NULL;
}

/* ---- showing it ---- */

/* Visitors to come see `cert` (taken), or, NULL, what `tls` has by itself. -1 with `err`: nothing changes. */
static int show(struct exposer_offer *o, struct agent_tls *tls, struct cert *cert, struct err *err)
{
    struct agent_tls *with = cert != NULL ? agent_tls_with(tls, cert, err) : agent_tls_ref(tls);
    if (cert != NULL && with == NULL) {
        cert_unref(cert);
        return -1;
    }
    agent_tls_unref(o->service.tls);
    o->service.tls = with;
    cert_unref(o->own_cert.cert);
    o->own_cert.cert = cert;
    return 0;
}

static void tell_uncertified(struct exposer_offer *o, const char *text, int64_t wait)
{
    exposer_offer_tell(o, &(struct agent_news){.event = AGENT_UNCERTIFIED, .text = text, .wait = wait});
}

/* ---- asking ---- */

static void look_after(struct exposer_offer *o, int64_t wait)
{
    loop_set_timer(o->agent->loop, &o->own_cert.timer, now_of(o) + MIN(MAX(wait, (int64_t)0), LOOK_MAX_NS));
}

static void ask(struct exposer_offer *o)
{
    struct own_cert *c = &o->own_cert;
    struct buf csr = {0};
    struct err err;
    c->key = fresh_key_make(&csr, &err);
    if (c->key == NULL) {
        tell_uncertified(o, err.text, LOOK_MAX_NS);
        look_after(o, LOOK_MAX_NS);
    } else {
        exposer_offer_say(o, &(struct wire_control){.csr = {(const char *)csr.data, csr.len}});
    }
    buf_free(&csr);
}

/* In how many nanoseconds it is time; 0: now. */
static int64_t time_left(const struct exposer_offer *o)
{
    const struct own_cert *c = &o->own_cert;
    int64_t wait = MAX(c->not_before - now_of(o), (int64_t)0);
    if (c->cert == NULL)
        return wait;
    int64_t life = MAX(c->cert->not_after - c->since, (int64_t)0);
    int64_t due = MAX(c->since + life * 2 / 3 - time(NULL), (int64_t)0);
    return MAX(wait, MIN(due, INT64_MAX / NSEC_PER_SEC) * NSEC_PER_SEC);
}

static void look(struct exposer_offer *o)
{
    if (!o->own_cert.wanted || o->own_cert.key != NULL || o->state != OFFER_STANDS || o->agent->stopping)
        return;
    int64_t left = time_left(o);
    if (left == 0)
        ask(o);
    else
        look_after(o, left);
}

static void on_timer(struct timer *t)
{
    look(CONTAINER_OF(t, struct exposer_offer, own_cert.timer));
}

void own_cert_stood(struct exposer_offer *o)
{
    look(o);
}

void own_cert_lost(struct exposer_offer *o)
{
    forget_key(&o->own_cert);
}

/* ---- the answer ---- */

/* What was made of our key, and for our name? */
static struct cert *read_chain(struct exposer_offer *o, struct str chain, struct err *err)
{
    const char *name = o->service.offer.name;
    struct cert *cert = cert_from(chain, o->own_cert.key, name, err);
    if (cert != NULL && cert->not_after <= time(NULL))
        err_set(err, "the certificate has expired already: do this machine's clock and the door's agree?");
    else if (cert != NULL && cert_has_name(cert, name))
        return cert;
    else if (cert != NULL)
        err_set(err, "the certificate is for another name");
    cert_unref(cert);
    return NULL;
}

static void tell_certified(struct exposer_offer *o, bool again)
{
    struct err text;
    char when[PEM_TIME_MAX];
    err_set(&text, "the door's CA has certified it, until %s",
            pem_time_text(o->own_cert.cert->not_after, when));
    exposer_offer_tell(o, &(struct agent_news){.event = AGENT_CERTIFIED, .text = text.text, .again = again});
}

/* Without its file the certificate serves all the same, until the next start. */
static void keep(struct exposer_offer *o, struct str chain)
{
    struct err err;
    if (o->service.kept == NULL || fresh_key_keep(o->service.kept, chain, o->own_cert.key, &err) == 0)
        return;
    err_prefix(&err, "its certificate is not kept for the next start");
    tell_uncertified(o, err.text, 0);
}

/* The text is the door's. */
static bool go_without(struct exposer_offer *o, const char *why, int64_t wait, bool lasting)
{
    struct err *text = &o->agent->door->text;
    bool missing = own_cert_is_missing(o);
    forget_key(&o->own_cert);
    o->own_cert.not_before = now_of(o) + MAX(wait, AGAIN_LEAST_NS);
    if (missing && lasting) {
        err_set(text, "the door %s does not certify %s: %s", o->agent->door->place, o->service.offer.name,
                why);
        return false;
    }
    tell_uncertified(o, why, MAX(wait, AGAIN_LEAST_NS));
    look(o);
    return true;
}

bool own_cert_take(struct exposer_offer *o, struct str chain)
{
    struct own_cert *c = &o->own_cert;
    struct err err;
    if (c->key == NULL) /* nothing was asked */
        return true;
    struct cert *cert = read_chain(o, chain, &err);
    bool first = own_cert_is_missing(o);
    if (cert == NULL || show(o, o->service.tls, cert, &err) != 0)
        return go_without(o, err.text, LOOK_MAX_NS, false);
    c->since = time(NULL);
    c->not_before = now_of(o) + AGAIN_LEAST_NS; /* however short the door's CA means it */
    keep(o, chain);
    forget_key(c);
    o->has_stood = true;
    tell_certified(o, !first);
    if (first)
        exposer_offer_ready(o);
    look(o);
    return true;
}

bool own_cert_refused(struct exposer_offer *o, const struct wire_control *control)
{
    bool lasting = control->uncertified == FRONT_DENIED || control->uncertified == FRONT_BAD_HELLO;
    if (o->own_cert.key == NULL)
        return true;
    return go_without(o, control->why, control->again * NSEC_PER_SEC, lasting);
}

/* ---- its life ---- */

/* What was kept at an earlier start, if it is still good. */
static struct cert *load(struct exposer_offer *o)
{
    struct cert_files files = {
        .certificate = o->service.kept, .key = o->service.kept, .label = o->service.offer.name};
    struct stat st;
    if (o->service.kept == NULL || stat(o->service.kept, &st) != 0)
        return NULL;
    struct cert *cert = cert_load(&files, NULL);
    if (cert == NULL || !cert_has_name(cert, o->service.offer.name) || cert->not_after <= time(NULL)) {
        cert_unref(cert);
        return NULL;
    }
    o->own_cert.since = MIN((int64_t)st.st_mtime, cert->not_after);
    return cert;
}

void own_cert_fit(struct exposer_offer *o, struct agent_tls *tls)
{
    struct own_cert *c = &o->own_cert;
    struct cert *cert = NULL;
    struct err err;
    if (c->timer.fire == NULL)
        timer_init(&c->timer, on_timer);
    c->wanted = tls != NULL && agent_tls_is_bare(tls);
    if (c->wanted)
        cert = c->cert != NULL ? cert_ref(c->cert) : load(o);
    if (show(o, tls, cert, &err) != 0)
        show(o, tls, NULL, &err);
    look(o);
}

void own_cert_stop(struct exposer_offer *o)
{
    wheel_cancel(&o->own_cert.timer);
    forget_key(&o->own_cert);
    cert_unref(o->own_cert.cert);
}
