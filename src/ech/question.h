/* SPDX-License-Identifier: Apache-2.0 */
/* A question by DNS over HTTPS (RFC 8484): of the resolver itself, or through a proxy that hides from it who
 * asks (RFC 9230). */
#ifndef CARDEA_ECH_QUESTION_H
#define CARDEA_ECH_QUESTION_H

#include "base/buf.h"
#include "base/doh.h"
#include "base/err.h"
#include "base/str.h"

struct ech_question;
struct fetcher;

/* The DNS message that was answered, or `why` there is none, else NULL. Borrowed for the call. */
typedef void ech_answered(void *arg, struct str message, const struct err *why);

/* Begin; `done` is called later, never from within. The resolver (doh_check()) is borrowed until then, the
 * message for the call. With a proxy the resolver's keys are read anew each time. NULL with `err`. */
struct ech_question *ech_question_start(struct fetcher *fetcher, const struct doh_resolver *resolver,
                                        const struct buf *message, ech_answered *done, void *arg,
                                        struct err *err);

/* `done` is not called any more. Not from within it. NULL is allowed. */
void ech_question_cancel(struct ech_question *q);

#endif
