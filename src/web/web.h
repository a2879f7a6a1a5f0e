/* SPDX-License-Identifier: Apache-2.0 */
/* Requests for what the door itself serves over HTTP (the CA, ACME, login), and the answers: plain data, the
 * same whatever carried them. Those who answer know neither sockets nor the version of HTTP. */
#ifndef CARDEA_WEB_WEB_H
#define CARDEA_WEB_WEB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

struct identity;

#define WEB_BODY_MAX (64 * 1024) /* bytes of a request's content */

/* A request, read whole. Its texts are borrowed from whoever read it. */
struct web_request {
    struct str method; /* a token, as sent: "GET" */
    struct str path;   /* begins with '/'; as sent, nothing decoded, without the query */
    struct str query;  /* behind the '?', or empty */
    struct str host;   /* of Host or :authority, with its port if it has one */
    struct str type;   /* Content-Type as sent, or empty */
    struct str since;  /* If-Modified-Since or empty */
    struct str body;
    bool tls;                        /* it came within TLS */
    struct str source;               /* the client's address, without port, in text */
    const struct identity *identity; /* that the client has proven, or NULL */
    const uint8_t *key;  /* SHA-256 of the public key (SubjectPublicKeyInfo) that it was proven by, or NULL */
    uint16_t https_port; /* where clients who came without TLS are to go */
};

#define WEB_DEED_TEXT 65
#define WEB_DEED_DETAIL 200

/* What was done for a client, or refused to him, that deserves an audit line of its own: somebody has a
 * certificate now, say. Texts are cut to what fits. */
struct web_deed {
    const char *action; /* static: "login" */
    const char *what;   /* static: "login:password"; NULL: there is none */
    bool refused;
    char who[WEB_DEED_TEXT]; /* an account */
    char session[WEB_DEED_TEXT];
    char serial[WEB_DEED_TEXT]; /* of the certificate */
    char detail[WEB_DEED_DETAIL];
};

/* What to answer. Zero-initialise; free with web_answer_free(). */
struct web_answer {
    unsigned status;
    const char *type;  /* media type of `body`, static; NULL: there is no content */
    struct buf fields; /* further fields, "Name: value\r\n" each */
    struct buf body;
    struct web_deed deed;
};

/* Append a field; value printf style. What would end its line is replaced by '?'. */
void web_answer_field(struct web_answer *a, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Append a field that says when (seconds since 1970; RFC 9110, 5.6.7), as Last-Modified does. */
void web_answer_date(struct web_answer *a, const char *name, int64_t at);

/* Make it that status with a line of plain text (printf style) for people. */
void web_answer_text(struct web_answer *a, unsigned status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Make it 405: the path is there, but not for the method; `allow` (RFC 9110, 10.2.1) are those it takes. */
void web_answer_not_allowed(struct web_answer *a, const char *allow);

void web_answer_free(struct web_answer *a);

/* The words for a status ("Not Found"), static; "" for one that nobody here answers with. */
const char *web_phrase(unsigned status);

/* How an answer goes out on a connection of HTTP/1.1. */
struct web_framing {
    bool head_only; /* the request was HEAD: the content is told of, but not sent */
    bool closes;    /* the connection ends behind it */
    int64_t now;    /* seconds since 1970 */
};

/* Append the answer as RFC 9112 has it: status line, Date, Content-Length, its own fields, content. False
 * when it does not fit; nothing is appended then. */
bool web_answer_write(const struct web_answer *a, const struct web_framing *how, struct buf *out);

#endif
