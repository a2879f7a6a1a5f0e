/* SPDX-License-Identifier: Apache-2.0 */
/* The door asks for an authenticator (renew_wire.h): what a resident does that wants a certificate proven on
 * the connection or stream that it lives on. It asks in words of its own, once, so no answer is good twice;
 * hears the authenticator, gives it to whoever judges, says what came of it and ends. */
#ifndef CARDEA_TUNNEL_DOOR_ASK_H
#define CARDEA_TUNNEL_DOOR_ASK_H

#include "base/buf.h"
#include "base/err.h"
#include "loop/wheel.h"
#include "session/front.h"
#include "session/resident.h"

struct door_ask;
struct session_origin;
struct worker;

/* Called once. It refuses, answers or makes way for another resident, then or later. */
typedef void door_ask_judge(struct door_ask *a, struct str authenticator);

/* Embed it. */
struct door_ask {
    struct resident resident;
    uint32_t magic;
    struct worker *worker;
    struct link *link;
    door_ask_judge *judge;
    struct buf in, out, request;
    struct timer timer; /* the client's time is over */
    bool late;
    bool heard;    /* the authenticator */
    bool answered; /* what is in `out` is the last */
    struct resident_end end;
    struct err detail;
};

/* `early` (borrowed) has been read already. */
void door_ask_begin(struct door_ask *a, const struct resident_ops *ops, door_ask_judge *judge,
                    struct worker *w, struct link *link, const struct session_origin *origin,
                    struct str early);
void door_ask_done(struct door_ask *a);

struct door_ask *door_ask_of(struct resident *r);

void door_ask_refuse(struct door_ask *a, enum close_reason reason, const struct front_answer *answer);

/* For struct resident_ops. */
bool door_ask_run(struct resident *r, struct resident_end *ret);
void door_ask_drain(struct resident *r);

#endif
