/* SPDX-License-Identifier: Apache-2.0 */
/* Looking at a server over QUIC (RFC 9000, 9001), as probe/server_probe.h does over TCP: a handshake, what
 * the server says of itself with it, and whether it gives out tickets. Nothing is said on a stream. */
#ifndef CARDEA_PROBE_QUIC_PROBE_H
#define CARDEA_PROBE_QUIC_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cert/path_report.h"
#include "probe/approach.h"
#include "probe/server_probe.h"
#include "quic/quic.h"
#include "quic/versions.h"

struct quic_probe;
struct tls_client;
struct trust;

struct quic_probe_result {
    struct server_probe_result shake;      /* `traffic` is `handshake`'s */
    struct path_report path;               /* how its certificate is proven; with shook_hands */
    struct quic_handshake_facts handshake; /* with shook_hands, as what follows */
    uint64_t allowed;              /* what a server may send before it knows our address (RFC 9000, 8.1) */
    unsigned round_trips;          /* until data may be sent */
    struct quic_versions versions; /* that it names when it is asked for one that there is not; none: it is
                                    * silent then */
    bool tickets;                  /* it gives out some */
    bool early_data;               /* ... that let data be sent at once (0-RTT) */
};

struct quic_probe_params {
    struct approach_to to;        /* of these `protocol` means nothing here */
    const struct tls_client *tls; /* one that only looks, and keeps tickets (tls/client.h); shared */
    const struct trust *trust;    /* the same as that client's */
    const struct quic_secrets *secrets;
    struct quic_scratch *scratch;
    int64_t timeout;           /* for all of it, in nanoseconds */
    void (*done)(void *owner); /* from the loop, once; free it there if you like */
    void *owner;
};

/* Begin. What the parameters point at is borrowed and must outlive the probe. Never NULL. */
struct quic_probe *quic_probe_start(const struct quic_probe_params *params);

/* What was found, once `done` was called. Lives as long as the probe. */
const struct quic_probe_result *quic_probe_result(const struct quic_probe *p);

/* At any time. NULL is allowed. */
void quic_probe_free(struct quic_probe *p);

/* "v1", "v2", or the number of another version of QUIC. `space` has QUIC_VERSION_TEXT_MAX bytes. */
#define QUIC_VERSION_TEXT_MAX 16
const char *quic_version_text(uint32_t version, char *space);

#endif
