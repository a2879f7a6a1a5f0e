/* SPDX-License-Identifier: Apache-2.0 */
/* What a client's connections to its door are to be carried by; the rows are in tables/transports.def. Routes
 * that name and ALPN choose are reached over TCP, whatever is said. */
#ifndef CARDEA_BASE_TRANSPORT_H
#define CARDEA_BASE_TRANSPORT_H

enum transport {
    TRANSPORT_UNSAID, /* others may say: the environment, the default; to a client as TRANSPORT_AUTO */
#define TRANSPORT(NAME, word) TRANSPORT_##NAME,
#include "tables/transports.def"
#undef TRANSPORT
    TRANSPORTS
};

/* As people write it; NULL: it is unsaid. */
static inline const char *transport_word(enum transport transport)
{
    static const char *const words[TRANSPORTS] = {
#define TRANSPORT(NAME, word) [TRANSPORT_##NAME] = (word),
#include "tables/transports.def"
#undef TRANSPORT
    };
    return words[transport];
}

#endif
