/* SPDX-License-Identifier: Apache-2.0 */
/* One pass over the message. Every read goes through a cursor, whose end is the end of the vector it is in,
 * so no length of the client's reaches beyond the message. Lists are checked whole when they are met and kept
 * as cursors: whoever walks one later need not look for faults any more.
 *
 * Time is linear in the message, but for the search for types sent twice, which HELLO_EXTENSIONS_MAX bounds.
 */
#include "hello/hello.h"

#include "base/check.h"
#include "hello/server_name.h"

#define CLIENT_HELLO 1
#define RANDOM_LEN 32
#define SESSION_ID_MAX 32
#define COMPRESSION_NULL 0

/* Extension types (IANA, TLS ExtensionType Values) that are read here. */
enum extension {
    EXT_SERVER_NAME = 0,
    EXT_SUPPORTED_GROUPS = 10,
    EXT_SIGNATURE_ALGORITHMS = 13,
    EXT_ALPN = 16,
    EXT_SESSION_TICKET = 35,
    EXT_PRE_SHARED_KEY = 41,
    EXT_EARLY_DATA = 42,
    EXT_SUPPORTED_VERSIONS = 43,
    EXT_SIGNATURE_ALGORITHMS_CERT = 50,
    EXT_KEY_SHARE = 51,
    EXT_ENCRYPTED_CLIENT_HELLO = 0xfe0d,
};

/* Lists ---------------------------------------------------------------------------------------------- */

bool hello_next_extension(struct cursor *list, uint16_t *ret_type, struct cursor *ret_body)
{
    struct cursor at = *list;
    if (!cursor_u16(&at, ret_type) || !cursor_vector(&at, 2, ret_body))
        return false;
    *list = at;
    return true;
}

bool hello_next_protocol(struct cursor *list, struct str *ret_protocol)
{
    struct cursor name;
    if (!cursor_vector(list, 1, &name))
        return false;
    *ret_protocol = (struct str){(const char *)name.p, cursor_left(&name)};
    return true;
}

bool hello_next_key_share(struct cursor *list, uint16_t *ret_group, struct cursor *ret_key)
{
    /* Laid out as extensions are: u16, then a vector of up to 2^16-1 bytes. */
    return hello_next_extension(list, ret_group, ret_key);
}

bool hello_has_u16(struct cursor list, uint16_t value)
{
    uint16_t v;
    while (cursor_u16(&list, &v))
        if (v == value)
            return true;
    return false;
}

/* Extensions ----------------------------------------------------------------------------------------- */

/* A body that is one non-empty vector of u16, its length in `prefix` bytes. */
static bool read_u16_list(struct cursor body, size_t prefix, struct cursor *ret)
{
    return cursor_vector(&body, prefix, ret) && cursor_left(&body) == 0 && cursor_left(ret) > 0 &&
           cursor_left(ret) % 2 == 0;
}

/* RFC 7301, 3.1: no empty list, no empty name. */
static bool read_alpn(struct cursor body, struct hello *h)
{
    if (!cursor_vector(&body, 2, &h->alpn) || cursor_left(&body) > 0 || cursor_left(&h->alpn) == 0)
        return false;
    struct cursor list = h->alpn;
    struct str name;
    while (hello_next_protocol(&list, &name))
        if (name.len == 0)
            return false;
    return cursor_left(&list) == 0;
}

/* RFC 8446, 4.2.1. The drafts of TLS 1.3 (0x7fXX) and DTLS are not versions that we know. */
static bool read_versions(struct cursor body, struct hello *h)
{
    if (!read_u16_list(body, 1, &h->versions))
        return false;
    struct cursor list = h->versions;
    uint16_t v, highest = 0;
    while (cursor_u16(&list, &v))
        if (v >> 8 == 3 && v > highest)
            highest = v;
    h->version = highest;
    return true;
}

static bool read_groups(struct cursor body, struct hello *h)
{
    if (!read_u16_list(body, 2, &h->groups))
        return false;
    h->pq_group = hello_has_u16(h->groups, HELLO_GROUP_X25519MLKEM768);
    return true;
}

/* RFC 8446, 4.2.8. The list may be empty: the client then asks to be told a group. */
static bool read_key_shares(struct cursor body, struct hello *h)
{
    if (!cursor_vector(&body, 2, &h->key_shares) || cursor_left(&body) > 0)
        return false;
    struct cursor list = h->key_shares, key;
    uint16_t group;
    while (hello_next_key_share(&list, &group, &key)) {
        if (cursor_left(&key) == 0)
            return false;
        h->pq_share = h->pq_share || group == HELLO_GROUP_X25519MLKEM768;
    }
    return cursor_left(&list) == 0;
}

/* RFC 8446, 4.2.11: identities and binders; whether they fit each other is for who knows the keys. */
static bool read_pre_shared_key(struct cursor body, struct hello *h)
{
    struct cursor identities, binders;
    h->pre_shared_key = true;
    return cursor_vector(&body, 2, &identities) && cursor_vector(&body, 2, &binders) &&
           cursor_left(&body) == 0 && cursor_left(&identities) >= 7 && cursor_left(&binders) >= 33;
}

/* RFC 9849, 5. */
static bool read_ech(struct cursor body, struct hello *h)
{
    enum { OUTER = 0, INNER = 1 };
    uint8_t type;
    struct cursor enc, payload;
    if (!cursor_u8(&body, &type))
        return false;
    if (type == INNER) {
        h->ech = HELLO_ECH_INNER;
        return cursor_left(&body) == 0;
    }
    h->ech = HELLO_ECH_OUTER;
    return type == OUTER && cursor_u16(&body, &h->ech_kdf) && cursor_u16(&body, &h->ech_aead) &&
           cursor_u8(&body, &h->ech_config_id) && cursor_vector(&body, 2, &enc) &&
           cursor_vector(&body, 2, &payload) && cursor_left(&body) == 0 && cursor_left(&payload) > 0;
}

#define REASON(ok, name) ((ok) ? HELLO_REASON_NONE : HELLO_REASON_##name)

/* Read the extensions that we use; skip the others, as RFC 8446, 4.1.2 demands. */
static enum hello_reason read_extension(uint16_t type, struct cursor body, struct hello *h)
{
    switch (type) {
    case EXT_SERVER_NAME:
        return server_name_parse(body, h);
    case EXT_SUPPORTED_GROUPS:
        return REASON(read_groups(body, h), SUPPORTED_GROUPS);
    case EXT_SIGNATURE_ALGORITHMS:
        return REASON(read_u16_list(body, 2, &h->signatures), SIGNATURE_ALGORITHMS);
    case EXT_ALPN:
        return REASON(read_alpn(body, h), ALPN);
    case EXT_SESSION_TICKET:
        h->ticket = cursor_left(&body) > 0;
        return HELLO_REASON_NONE;
    case EXT_PRE_SHARED_KEY:
        return REASON(read_pre_shared_key(body, h), PRE_SHARED_KEY);
    case EXT_EARLY_DATA:
        h->early_data = true;
        return REASON(cursor_left(&body) == 0, EARLY_DATA);
    case EXT_SUPPORTED_VERSIONS:
        return REASON(read_versions(body, h), SUPPORTED_VERSIONS);
    case EXT_SIGNATURE_ALGORITHMS_CERT:
        return REASON(read_u16_list(body, 2, &h->signatures_cert), SIGNATURE_ALGORITHMS);
    case EXT_KEY_SHARE:
        return REASON(read_key_shares(body, h), KEY_SHARE);
    case EXT_ENCRYPTED_CLIENT_HELLO:
        return REASON(read_ech(body, h), ECH);
    default:
        return HELLO_REASON_NONE;
    }
}

/* The extension types met so far: a bit for each of the low numbers, where nearly all are, and a list of the
 * others. */
struct seen {
    uint64_t low;
    size_t total;
    size_t high_count;
    uint16_t high[HELLO_EXTENSIONS_MAX];
};

static enum hello_reason seen_add(struct seen *seen, uint16_t type)
{
    if (++seen->total > HELLO_EXTENSIONS_MAX)
        return HELLO_REASON_EXTENSION_COUNT;
    if (type < 64) {
        uint64_t bit = UINT64_C(1) << type;
        if (seen->low & bit)
            return HELLO_REASON_EXTENSION_TWICE;
        seen->low |= bit;
        return HELLO_REASON_NONE;
    }
    for (size_t i = 0; i < seen->high_count; i++)
        if (seen->high[i] == type)
            return HELLO_REASON_EXTENSION_TWICE;
    seen->high[seen->high_count++] = type;
    return HELLO_REASON_NONE;
}

static enum hello_reason read_extensions(struct hello *h)
{
    struct seen seen;
    seen.low = 0;
    seen.total = seen.high_count = 0;
    struct cursor list = h->extensions, body;
    uint16_t type;
    while (hello_next_extension(&list, &type, &body)) {
        if (h->pre_shared_key)
            return HELLO_REASON_PRE_SHARED_KEY_NOT_LAST;
        enum hello_reason r = seen_add(&seen, type);
        if (r == HELLO_REASON_NONE)
            r = read_extension(type, body, h);
        if (r != HELLO_REASON_NONE)
            return r;
    }
    return REASON(cursor_left(&list) == 0, EXTENSION_TRUNCATED);
}

/* The message ---------------------------------------------------------------------------------------- */

/* What comes before the extensions. */
static enum hello_reason read_fixed_fields(struct cursor *c, struct hello *h)
{
    struct cursor compression;
    if (!cursor_u16(c, &h->legacy_version) || !cursor_skip(c, RANDOM_LEN) ||
        !cursor_vector(c, 1, &h->session_id) || !cursor_vector(c, 2, &h->cipher_suites) ||
        !cursor_vector(c, 1, &compression))
        return HELLO_REASON_TRUNCATED;
    if (h->legacy_version >> 8 != 3)
        return HELLO_REASON_VERSION;
    if (cursor_left(&h->session_id) > SESSION_ID_MAX)
        return HELLO_REASON_SESSION_ID;
    if (cursor_left(&h->cipher_suites) == 0 || cursor_left(&h->cipher_suites) % 2 != 0)
        return HELLO_REASON_CIPHER_SUITES;
    size_t n = cursor_left(&compression);
    return REASON(n > 0 && memchr(compression.p, COMPRESSION_NULL, n) != NULL, COMPRESSION);
}

enum hello_reason hello_parse(const uint8_t *message, size_t len, struct hello *ret)
{
    struct cursor all = cursor_of(message, len), body;
    uint8_t type;
    memset(ret, 0, offsetof(struct hello, name) + 1);
    ret->message = all;
    if (!cursor_u8(&all, &type) || !cursor_vector(&all, 3, &body))
        return HELLO_REASON_TRUNCATED;
    if (type != CLIENT_HELLO)
        return HELLO_REASON_NOT_A_HELLO;
    enum hello_reason r = read_fixed_fields(&body, ret);
    if (r != HELLO_REASON_NONE)
        return r;
    /* TLS 1.3 is offered in supported_versions alone, so 0x0304 here would not be it (RFC 8446, 4.1.2). */
    ret->version = MIN(ret->legacy_version, 0x0303);
    /* The extensions may be left out altogether (RFC 5246, 7.4.1.2). */
    if (cursor_left(&body) > 0) {
        if (!cursor_vector(&body, 2, &ret->extensions))
            return HELLO_REASON_TRUNCATED;
        r = read_extensions(ret);
        if (r != HELLO_REASON_NONE)
            return r;
    }
    CHECK((ret->name_kind == HELLO_NAME_DNS) == (ret->name_len > 0));
    return REASON(cursor_left(&body) == 0 && cursor_left(&all) == 0, TRAILING);
}
