/* SPDX-License-Identifier: Apache-2.0 */
/* What a handshake costs in bytes and round trips, and where measurements say that it begins to cost more.
 * Pure.
 *
 * The thresholds:
 * - A server may send a first flight of 10 packets before it must wait for an acknowledgement (RFC 6928);
 *   large operators use 30. Each flight after that may be twice as large, and costs a round trip.
 * - Cloudflare, "Sizing Up Post-Quantum Signatures" (2021): handshakes with up to 40 kB of dummy
 * certificates, to servers with a window of 30 packets, are slower by steps near 10 kB and between 30 and 40
 * kB, and some clients and middleboxes fail beyond 10 kB; 9 kB for all signatures and keys of a handshake
 * would do.
 * - AWS, "How to tune TLS for hybrid post-quantum cryptography with Kyber" (2022): a hybrid key exchange
 * costs 2,356 bytes more in both directions together, and 0.25 ms. */
#ifndef CARDEA_TLS_BUDGET_H
#define CARDEA_TLS_BUDGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BUDGET_CHAIN_GOOD 9000   /* bytes of certificates with which nothing is known to go wrong */
#define BUDGET_CHAIN_WALL 10000  /* ... beyond which clients and middleboxes were seen to fail */
#define BUDGET_HYBRID_BYTES 2356 /* that a hybrid key exchange adds, both ways together */
#define BUDGET_PACKET 1460       /* bytes of TCP in a packet of 1,500 over IPv4 */
#define BUDGET_WINDOW 10         /* packets of the initial congestion window that everybody has */
#define BUDGET_WINDOW_LARGE 30   /* ... and that large operators have */

struct budget_handshake {
    uint16_t version; /* 0x0304 */
    bool resumed;
    bool retried;    /* HelloRetryRequest */
    size_t received; /* bytes from the server up to the end of the handshake */
};

/* Flights in which a server sends so many bytes that begins with a window of so many packets; 1 at least. */
unsigned budget_flights(size_t bytes, unsigned window);

/* Round trips until the client may send data: that of TCP, those of TLS, and those that a server spends
 * waiting for its window to open. */
unsigned budget_round_trips(const struct budget_handshake *h, unsigned window);

#endif
