/* SPDX-License-Identifier: Apache-2.0 */
/* The authenticator is judged where the connection is that it is for (session/renewal.h). */
#include "tunnel/door_renewal.h"

#include <stdlib.h>

#include "session/renewal.h"
#include "session/session.h"
#include "tunnel/door_ask.h"
#include "tunnel/renew_wire.h"

struct door_renewal {
    struct door_ask ask;
    uint64_t id; /* of that connection */
    struct renewal *asked;
};

static void on_judged(void *owner, bool good, int64_t expires, const struct err *why)
{
    struct door_renewal *d = owner;
    d->asked = NULL;
    d->ask.answered = true;
    if (good)
        CHECK(renew_encode_good(expires, &d->ask.out));
    else
        door_ask_refuse(&d->ask, CLOSE_DENIED,
                        &(struct front_answer){.outcome = FRONT_DENIED, .text = why->text});
    resident_wake(&d->ask.resident);
}

static void judge(struct door_ask *a, struct str authenticator)
{
    struct door_renewal *d = CONTAINER_OF(a, struct door_renewal, ask);
    struct renewal_question question = {.id = d->id, .request = a->request};
    a->request = (struct buf){0};
    CHECK(buf_append(&question.authenticator, authenticator.p, authenticator.len));
    d->asked = renewal_begin(a->worker, &question, on_judged, d);
}

static void door_renewal_close(struct resident *r)
{
    struct door_renewal *d = CONTAINER_OF(door_ask_of(r), struct door_renewal, ask);
    renewal_cancel(d->asked);
    door_ask_done(&d->ask);
    free(d);
}

static const struct resident_ops door_renewal_ops = {
    .action = "renewal",
    .run = door_ask_run,
    .drain = door_ask_drain,
    .close = door_renewal_close,
};

struct resident *door_renewal_reside(struct worker *w, struct link *link, const struct session_origin *origin,
                                     struct str early)
{
    struct door_renewal *d = calloc(1, sizeof(*d));
    CHECK(d != NULL);
    d->id = origin->request->renew;
    door_ask_begin(&d->ask, &door_renewal_ops, judge, w, link, origin, early);
    return &d->ask.resident;
}
