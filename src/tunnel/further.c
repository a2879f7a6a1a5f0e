/* SPDX-License-Identifier: Apache-2.0 */
/* An offer that is made as somebody else than the connection was opened as: that one is proven on the
 * connection (RFC 9261; doc/internals/tunnel-protocol.md, "Further identities"), each time that the offer is
 * made. When there is a newer certificate in the file the offer is made anew, before the door withdraws it.
 */
#include <time.h>

#include "base/clock.h"
#include "cert/cert.h"
#include "tunnel/client_internal.h"
#include "tunnel/exposer_internal.h"
#include "tunnel/renew_wire.h"

/* The file is looked at so many times in what is left of the certificate's life, within bounds. */
#define LOOKS 20
#define LOOK_MIN_NS (250 * NSEC_PER_MSEC)
#define LOOK_MAX_NS (300 * NSEC_PER_SEC)

bool further_is_wanted(const struct exposer_offer *o)
{
    return o->service.also_cert != NULL;
}

static struct cert *load(const struct exposer_offer *o, struct err *err)
{
    struct cert_files files = {.certificate = o->service.also_cert, .key = o->service.also_key};
    return cert_load(&files, err);
}

int further_prove(struct exposer_offer *o, struct str request, struct err *err)
{
    struct authenticator_keys keys;
    struct buf made = {0};
    struct cert *cert = load(o, err);
    cert_unref(o->further.cert);
    o->further.cert = cert;
    if (cert == NULL || renewer_export(o->control, o->shared, &keys, err) != 0)
        return -1;
    struct authenticator_terms terms = {.keys = &keys, .sender = AUTHENTICATOR_CLIENT, .request = request};
    int rc = authenticator_make(&terms, cert, &made, err);
    authenticator_forget(&keys);
    if (rc == 0 && (!renew_encode_proof(made.len, &o->out) || !buf_append(&o->out, made.data, made.len)))
        rc = err_set(err, "%s: the chain is too long to be proven on a connection", cert->label);
    buf_free(&made);
    return rc;
}

static void look_later(struct exposer_offer *o)
{
    int64_t left = MAX(o->further.cert->not_after - time(NULL), (int64_t)0);
    int64_t wait = MIN(left, (int64_t)LOOK_MAX_NS / NSEC_PER_SEC * LOOKS) * NSEC_PER_SEC / LOOKS;
    loop_set_timer(o->agent->loop, &o->further.timer, loop_now(o->agent->loop) + MAX(wait, LOOK_MIN_NS));
}

/* What cannot be read, or is not valid yet, is left for the next look. */
static void on_timer(struct timer *t)
{
    struct exposer_offer *o = CONTAINER_OF(t, struct exposer_offer, further.timer);
    struct cert *fresh = load(o, NULL);
    bool newer =
        fresh != NULL && fresh->not_after > o->further.cert->not_after && fresh->not_before <= time(NULL);
    cert_unref(fresh);
    if (newer)
        exposer_offer_again(o);
    else
        look_later(o);
}

void further_init(struct exposer_offer *o)
{
    timer_init(&o->further.timer, on_timer);
}

void further_stood(struct exposer_offer *o)
{
    if (o->further.cert != NULL)
        look_later(o);
}

void further_lost(struct exposer_offer *o)
{
    wheel_cancel(&o->further.timer);
    cert_unref(o->further.cert);
    o->further.cert = NULL;
}
