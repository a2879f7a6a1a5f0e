/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP requests to others (a CA, an OCSP responder, an ask hook), on a loop, without waiting. libcurl does
 * it, and is loaded when the first fetcher is made. HTTP/2 where a server that proves itself takes it, else
 * HTTP/1.1; TLS 1.2 at least; no proxy, also where the environment names one. Whether a server has proven who
 * it is is decided by cert/trust.h, before any request is said to it. */
#ifndef CARDEA_FETCH_FETCH_H
#define CARDEA_FETCH_FETCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

struct fetch;
struct fetcher;
struct loop;

/* Can requests be made at all? Loads libcurl; in any thread. -1 with `err` saying what to install. */
int fetch_check(struct err *err);

/* For the thread of `loop`. NULL with `err`, above all where libcurl is not installed. */
struct fetcher *fetcher_new(struct loop *loop, struct err *err);

/* Cancels what is under way; no `done` is called any more. Not from within a `done`. NULL is allowed. */
void fetcher_free(struct fetcher *f);

/* Copied. */
struct fetch_request {
    const char *method; /* "GET", "HEAD" or "POST" */
    const char *url;    /* http: or https: */
    const char *type;   /* Content-Type of `body`, or NULL */
    struct str body;
    const char *ca_file;              /* PEM that the server's chain must lead to; NULL: the system's */
    const char *cert_file, *key_file; /* ours, PEM, shown where the server asks for one; NULL: none */
    const char *connect_to; /* "HOST:PORT" to connect to instead of the URL's (the name stays); NULL */
    const char *host; /* sent as Host in place of the URL's, for who asks a server under one name for the site
                       * of another; NULL */
    const char *const *fields; /* more that is sent, "NAME: VALUE", or "NAME:" for one that is not, to a NULL;
                                * NULL: none */
    bool follow;               /* redirects, ten at most, to http: and https: (RFC 8555, 8.3) */
    bool unproven;             /* the server need not prove who it is, as where http-01 is led to https: */
    int64_t timeout;           /* ns, for all of it; 0: 30 s */
    size_t max;                /* bytes of content at most, more is an error; 0: 1 MiB */
};

struct fetch_answer {
    unsigned status;
    struct str type; /* Content-Type, or empty */
    struct str body;
    const struct fetch *of;
};

/* The value of a field of the answer, whatever case its name has; the last one; empty where there is none. */
struct str fetch_field(const struct fetch_answer *a, const char *name);

/* `answer` is NULL when none came, and `err` says why (with the URL, but for its query and password, and safe
 * to print): borrowed for the call. Answers of any status are answers. */
typedef void fetch_done(void *arg, const struct fetch_answer *answer, const struct err *err);

/* Begin; `done` is called later, from the loop, never from within. NULL with `err`. */
struct fetch *fetch_start(struct fetcher *f, const struct fetch_request *r, fetch_done *done, void *arg,
                          struct err *err);

/* Forget it: `done` is not called. Not from within its own `done`. */
void fetch_cancel(struct fetch *t);

#endif
