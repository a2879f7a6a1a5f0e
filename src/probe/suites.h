/* SPDX-License-Identifier: Apache-2.0 */
/* The cipher suites that a server is asked for, by how good they are. */
#ifndef CARDEA_PROBE_SUITES_H
#define CARDEA_PROBE_SUITES_H

#include <stddef.h>
#include <stdint.h>

enum suite_class {
    SUITE_GOOD,        /* ECDHE and AEAD (RFC 9325, 4.2) */
    SUITE_PRIME,       /* DHE, with primes that the server chooses (RFC 9325, 4.1: not to be used) */
    SUITE_CBC,         /* ECDHE and CBC with the MAC first: padding oracles */
    SUITE_STATIC,      /* RSA key exchange: no forward secrecy */
    SUITE_SHORT_BLOCK, /* blocks of 64 bits: Sweet32 (RFC 9325, 4.1) */
    SUITE_BROKEN,      /* no encryption, none to speak of, or no authentication */
    SUITE_CLASSES,
};

#define SUITES_MAX 96 /* of all classes */

/* The suites of a class, in the order in which they are offered; returns how many. */
size_t suites_of(enum suite_class class, uint16_t ret[SUITES_MAX]);

/* All of them, from the best class to the worst. */
size_t suites_all(uint16_t ret[SUITES_MAX]);

/* What IANA calls one, those of TLS 1.3 too; NULL: none that is asked for. Static. */
const char *suite_name(uint16_t code);

/* The word of a class, for machines. Static. */
const char *suite_class_word(enum suite_class class);

#endif
