/* SPDX-License-Identifier: Apache-2.0 */
/* Reads a ClientHello (RFC 8446, 4.1.2; RFC 5246, 7.4.1.2). Pure: bytes in, facts out, nothing allocated.
 * Takes the handshake message alone, so that a QUIC CRYPTO stream serves as well as TLS records
 * (hello/scan.h). */
#ifndef CARDEA_HELLO_HELLO_H
#define CARDEA_HELLO_HELLO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cursor.h"
#include "base/hostname.h"
#include "base/str.h"
#include "hello/reason.h"

/* Real clients send about 20; beyond this a hello is refused. */
#define HELLO_EXTENSIONS_MAX 128

#define HELLO_NAME_MAX HOSTNAME_MAX /* bytes of the name, without its last dot */

enum hello_group {
    HELLO_GROUP_P256 = 0x0017,
    HELLO_GROUP_P384 = 0x0018,
    HELLO_GROUP_X25519 = 0x001d,
    HELLO_GROUP_P256MLKEM768 = 0x11eb,
    HELLO_GROUP_X25519MLKEM768 = 0x11ec,
    HELLO_GROUP_P384MLKEM1024 = 0x11ed,
};

enum hello_name {
    HELLO_NAME_NONE,    /* no server_name */
    HELLO_NAME_DNS,     /* `name` holds it */
    HELLO_NAME_ADDRESS, /* an IP address: forbidden, yet health checks send it; `name` is empty: as NONE */
};

enum hello_ech {
    HELLO_ECH_NONE,
    HELLO_ECH_OUTER, /* real or GREASE: who lacks the key cannot tell (RFC 9849, 6.2) */
    HELLO_ECH_INNER, /* decrypted by a client-facing server in front of us */
};

/* What the client says. The cursors point into the message that was parsed and live as long as it does; each
 * is a validated list, empty when it was not sent. Read through a copy: `struct cursor c = h->groups;`.
 * GREASE values are still in the lists (RFC 8701). */
struct hello {
    struct cursor message; /* all of it, its header too */
    struct cursor session_id;
    struct cursor cipher_suites;   /* u16 each */
    struct cursor extensions;      /* hello_next_extension() */
    struct cursor alpn;            /* hello_next_protocol() */
    struct cursor versions;        /* u16 each: supported_versions */
    struct cursor groups;          /* u16 each: supported_groups */
    struct cursor key_shares;      /* hello_next_key_share() */
    struct cursor signatures;      /* u16 each: signature_algorithms */
    struct cursor signatures_cert; /* u16 each: signature_algorithms_cert */
    uint16_t legacy_version;
    uint16_t version;    /* highest offered, GREASE aside: 0x0303 = TLS 1.2, 0x0304 = TLS 1.3 */
    bool ticket;         /* session_ticket with a ticket in it (TLS 1.2 resumption) */
    bool pre_shared_key; /* pre_shared_key (TLS 1.3 resumption) */
    bool early_data;
    bool pq_group; /* X25519MLKEM768 is in `groups` */
    bool pq_share; /* and in `key_shares` */
    enum hello_ech ech;
    uint8_t ech_config_id; /* HELLO_ECH_OUTER */
    uint16_t ech_kdf;      /* of HPKE (RFC 9180, 7), as the next */
    uint16_t ech_aead;
    enum hello_name name_kind;
    uint8_t name_len;
    char name[HELLO_NAME_MAX + 3]; /* server_name in lower case without a trailing dot, NUL-terminated */
};

/* Read a whole handshake message, its header of 4 bytes included. HELLO_REASON_NONE when it is good; else
 * what is wrong with it, and *ret means nothing. Strict about the structure and about what RFC 8446 lets a
 * server check at once: extensions sent twice, pre_shared_key not last. Leaves to the TLS library what only
 * who answers can judge. */
enum hello_reason hello_parse(const uint8_t *message, size_t len, struct hello *ret);

/* Take the next item off a copy of one of the lists above; false at the end. What it gives lies in the
 * message: an extension's body, a protocol's name (RFC 7301, 3.1), a key share's group and key (RFC
 * 8446, 4.2.8). */
bool hello_next_extension(struct cursor *list, uint16_t *ret_type, struct cursor *ret_body);
bool hello_next_protocol(struct cursor *list, struct str *ret_protocol);
bool hello_next_key_share(struct cursor *list, uint16_t *ret_group, struct cursor *ret_key);

/* Whether a list of u16 (cipher_suites, versions, groups, signatures) has `value`. */
bool hello_has_u16(struct cursor list, uint16_t value);

/* RFC 8701: 0x0a0a, 0x1a1a, ... 0xfafa. */
static inline bool hello_is_grease(uint16_t v)
{
    return (v & 0x0f0f) == 0x0a0a && v >> 8 == (v & 0xff);
}

#endif
