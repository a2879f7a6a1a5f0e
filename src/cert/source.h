/* SPDX-License-Identifier: Apache-2.0 */
/* Where certificates come from that are not in memory yet: a folder of files, what an ACME client has
 * obtained, what is issued on demand. A source lives on a thread of its own, where it may block. Who needs a
 * certificate (session/cert_desk.h) posts a question and goes on with something else; the answer comes back
 * by message, to the loop that it was asked from. */
#ifndef CARDEA_CERT_SOURCE_H
#define CARDEA_CERT_SOURCE_H

#include <stdint.h>

#include "base/hostname.h"
#include "loop/loop.h"
#include "net/addr.h"

struct cert;

#define CERT_ANSWER_MAX 4         /* certificates of one name: of each kind of key one */
#define CERT_ANY_ROUTE UINT32_MAX /* a route that does not say which certificates are its own */

struct cert_answer {
    struct cert *certs[CERT_ANSWER_MAX]; /* a reference each; most preferred first, see cert_pick() */
    size_t count;                        /* 0: the name is refused */
    const char *why;                     /* ... and why, for the audit line; static text */
    int64_t good_for; /* nanoseconds. Certificates: how long they are served without asking again; 0: until
                       * the source tells of a change. A refusal: how long it is remembered, a second at
                       * least */
};

struct cert_source;

struct cert_question {
    struct message message;
    struct loop *home;                                /* where `answered` runs */
    void (*answered)(struct cert_question *question); /* the question is the asker's again; `answer` too */
    struct cert_source *source;
    uint32_t route;              /* of config->routes, where that names certificates; else CERT_ANY_ROUTE */
    struct net_addr peer;        /* whose wish it was first */
    char name[HOSTNAME_MAX + 1]; /* as hostname_check() takes it, in lower case */
    struct cert_answer answer;
};

struct cert_source_ops {
    /* Take a question. From any thread; neither blocks nor fails. It is answered exactly once, by
     * cert_question_answer(), in any thread and perhaps before this returns; also when the source's thread is
     * being stopped. */
    void (*ask)(struct cert_source *source, struct cert_question *question);
    /* The last reference has gone, in any thread. */
    void (*free)(struct cert_source *source);
};

/* Embed it. */
struct cert_source {
    const struct cert_source_ops *ops;
    uint32_t refs; /* atomic */
};

/* One reference, for the caller. */
void cert_source_init(struct cert_source *source, const struct cert_source_ops *ops);

/* In any thread; the last one frees. NULL is allowed. */
struct cert_source *cert_source_ref(struct cert_source *source);
void cert_source_unref(struct cert_source *source);

/* Ask: `question` is filled in up to `name`, and belongs to the source until `answered`. A reference to the
 * source is held meanwhile. */
void cert_source_ask(struct cert_source *source, struct cert_question *question);

/* For sources: send the answer home. The references in it are the asker's from then on. */
void cert_question_answer(struct cert_question *question, const struct cert_answer *answer);

/* Give back the references of an answer. */
void cert_answer_done(struct cert_answer *answer);

#endif
