/* SPDX-License-Identifier: Apache-2.0 */
/* What fetch.c (libcurl's multi interface on a loop) and transfer.c (one request) share. */
#ifndef CARDEA_FETCH_FETCH_INTERNAL_H
#define CARDEA_FETCH_FETCH_INTERNAL_H

#include "base/buf.h"
#include "base/list.h"
#include "fetch/fetch.h"
#include "fetch/library.h"
#include "loop/loop.h"

struct fetcher {
    uint32_t magic;
    const struct curl_library *curl;
    struct loop *loop;
    CURLM *multi;
    struct list fetches; /* under way */
    struct list over;    /* whose end has not been told yet */
    struct list sockets;
    struct timer timer; /* libcurl's */
    struct task step;   /* libcurl wants to be called, or ends are to be told */
    bool due;           /* libcurl wants to be called without delay */
};

struct fetch {
    uint32_t magic;
    struct fetcher *fetcher;
    struct list node;
    CURL *easy;
    struct curl_slist *fields, *connect_to;
    char *name; /* its URL as errors show it */
    char *ca_file;
    int64_t timeout;
    size_t max;
    struct buf sent;  /* content of the request */
    struct buf heads; /* the fields of the last answer, as they came */
    struct buf body;  /* its content */
    bool heads_flooded, body_flooded;
    bool is_new;                   /* its connection, which has not been judged yet (fetch/proof.h) */
    struct err distrust;           /* why its server is not believed; empty: it is, or nobody has asked */
    char trouble[CURL_ERROR_SIZE]; /* libcurl's words */
    CURLcode code;                 /* once it is over */
    fetch_done *done;
    void *arg;
};

/* A request that libcurl can be given. NULL with `err`. */
struct fetch *transfer_new(struct fetcher *f, const struct fetch_request *r, struct err *err);

/* One that libcurl no longer has. */
void transfer_free(struct fetch *t);

/* It is over: read the answer, or why there is none. -1 with `err`. The answer borrows from `t`. */
int transfer_result(struct fetch *t, struct fetch_answer *ret, struct err *err);

#endif
