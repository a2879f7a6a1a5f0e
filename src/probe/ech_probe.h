/* SPDX-License-Identifier: Apache-2.0 */
/* Looking at what the DNS tells of a server's Encrypted ClientHello (RFC 9848), and whether it is so: the
 * name's HTTPS record is asked for, and a handshake made by its config (RFC 9849). */
#ifndef CARDEA_PROBE_ECH_PROBE_H
#define CARDEA_PROBE_ECH_PROBE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/hostname.h"
#include "probe/approach.h"

struct ech_probe;
struct ech_resolver;
struct fetcher;
struct tls_client;
struct tls_scratch;

#define ECH_PROBE_ALPN_MAX 8
#define ECH_PROBE_PROTOCOL_MAX 32

enum ech_finding {
#define X(NAME, word, title) ECH_IS_##NAME,
#include "tables/ech_findings.def"
#undef X
};

struct ech_facts {
    bool asked; /* else nothing else is said */
    enum ech_finding finding;
    struct err text;                    /* more of it, for people; "": no more is known */
    char public_name[HOSTNAME_MAX + 1]; /* of the config that was tried; "": none was */
    struct err public_text; /* why the server would not prove that; "": it would, or see `finding` */
    size_t alpn_len;        /* what the record names, but for what is none of usual words */
    char alpn[ECH_PROBE_ALPN_MAX][ECH_PROBE_PROTOCOL_MAX + 1];
};

struct ech_probe_params {
    struct approach_to to; /* `name` and `port` are what the DNS is asked about */
    struct tls_scratch *scratch;
    const struct tls_client *tls; /* one that only looks, and offers TLS 1.3 */
    struct fetcher *fetcher;      /* for, as in ech/lookup.h, ... */
    const struct ech_resolver *resolver;
    int64_t timeout;           /* for the DNS, and for each connection, in nanoseconds */
    void (*done)(void *owner); /* from the loop, once; free it there if you like */
    void *owner;
};

/* Begin. What the parameters point at is borrowed and must outlive the probe. Never NULL. */
struct ech_probe *ech_probe_start(const struct ech_probe_params *params);

/* What was found, once `done` was called. Lives as long as the probe. */
const struct ech_facts *ech_probe_facts(const struct ech_probe *p);

/* At any time. NULL is allowed. */
void ech_probe_free(struct ech_probe *p);

/* The word of a finding, for machines, and for people. Static. */
const char *ech_finding_word(enum ech_finding finding);
const char *ech_finding_title(enum ech_finding finding);

#endif
