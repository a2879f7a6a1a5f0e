/* SPDX-License-Identifier: Apache-2.0 */
/* The line that every connection leaves behind: one JSON object. Fields: doc/internals/audit.md. */
#ifndef CARDEA_AUDIT_RECORD_H
#define CARDEA_AUDIT_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "audit/reason.h"
#include "base/buf.h"
#include "base/str.h"

/* What became of the datagrams of a flow. */
struct audit_datagrams {
    uint64_t in;      /* from the client, sent to the target; or all of a visitor's */
    uint64_t out;     /* from the target */
    uint64_t dropped; /* by the door, either way */
    int64_t lost;     /* on their way to the client or agent, as far as is known; negative: nobody knows */
    uint64_t largest; /* bytes of one */
};

/* What happened to one connection. Texts that are NULL or empty and numbers that are negative
 * are left out. */
struct audit_record {
    int64_t time; /* wall clock at the end, nanoseconds */
    uint64_t id;
    const char *listener;
    const char *transport; /* NULL: TCP */
    uint64_t carrier;      /* the id of the connection that this is a stream of, or 0 */
    const char *peer;
    struct str starttls; /* the protocol that was spoken in the clear before TLS */
    struct str sni;
    const char *ech;      /* what became of an encrypted ClientHello: ech_result_word() */
    struct str outer_sni; /* accepted: the name in the clear */
    struct str alpn;
    const char *route;
    const char *action;
    const char *version;
    const char *group;
    const char *signature; /* scheme that the door's key has signed the handshake with */
    const char *cipher;
    const char *verifies; /* kinds of key by which the client can tell who the door is, apart by ',' */
    bool tls;             /* `resumed` and `hello_retry` are known */
    bool resumed;
    bool hello_retry;
    struct str ja4;
    const char *offers_groups;  /* of those that a configuration may name: what the client offers ... */
    const char *offers_ciphers; /* ... by code point */
    const char *identity;
    struct str target;
    const char *backend;     /* the one that was used, or tried last */
    const char *backend_tls; /* how the TLS connection to it came to be: "full", "resumed", "spare" */
    const char *agent;       /* who has served it: the identity of the agent that offers the name */
    const char *offer;       /* in what kind: "private", "public", "end-to-end" (TLS passed through) */
    const char *rule;        /* the policy row that denied */
    const char *login;       /* the session of a login, in which certificates are renewed */
    const char *serial;      /* of a certificate that was issued, in hexadecimal */
    uint64_t bytes_in;
    uint64_t bytes_out;
    bool carries;                            /* `streams` is known */
    uint64_t streams;                        /* that a carrier has had */
    bool answers;                            /* `requests` is known */
    uint64_t requests;                       /* that the door itself has answered */
    unsigned status;                         /* of the last answer; 0: there was none */
    const struct audit_datagrams *datagrams; /* NULL: it was no flow of datagrams */
    uint32_t handshake_bytes_in; /* of a handshake that has begun: see struct link_peer; 0: left out */
    uint32_t handshake_bytes_out;
    int64_t handshake_ns;
    int64_t total_ns;
    enum close_reason reason;
    const char *detail; /* what exactly, where the reason leaves it open */
};

/* Bytes of the longest line, its newline among them: what a pipe takes whole or not at all. */
#define AUDIT_LINE_MAX 4096

/* Append the line with its newline. Texts are cut, which ends them with an ellipsis, where the line would be
 * too long otherwise. False when memory is out. */
bool audit_format(struct buf *out, const struct audit_record *r);

/* 64 bits as 13 characters of lower-case base 32 (RFC 4648 alphabet), NUL-terminated. */
#define AUDIT_ID_MAX 14
const char *audit_id_text(uint64_t id, char text[AUDIT_ID_MAX]);

/* Read such a text. False where it is none, or that of 0, which nothing is called. */
bool audit_id_parse(const char *text, uint64_t *ret);

#endif
