/* SPDX-License-Identifier: Apache-2.0 */
#include "hello/ja4.h"

#include "base/check.h"

#define EXT_SERVER_NAME 0x0000
#define EXT_ALPN 0x0010

/* Characters of a digest that are kept, and what stands for an empty list. */
#define HASH_TEXT_LEN 12
#define HASH_OF_NONE "000000000000"

/* GREASE values never count. */
struct values {
    size_t count;
    uint16_t v[JA4_LIST_MAX];
};

static bool values_add(struct values *list, uint16_t v)
{
    if (hello_is_grease(v))
        return true;
    if (list->count == JA4_LIST_MAX)
        return false;
    list->v[list->count++] = v;
    return true;
}

static bool values_of(struct cursor wire, struct values *ret)
{
    uint16_t v;
    ret->count = 0;
    while (cursor_u16(&wire, &v))
        if (!values_add(ret, v))
            return false;
    return true;
}

/* By insertion: a few dozen values, and JA4_LIST_MAX bounds what a hostile client makes of it. */
static void values_sort(struct values *list)
{
    for (size_t i = 1; i < list->count; i++) {
        uint16_t v = list->v[i];
        size_t at = i;
        for (; at > 0 && list->v[at - 1] > v; at--)
            list->v[at] = list->v[at - 1];
        list->v[at] = v;
    }
}

static char hex_digit(unsigned nibble)
{
    return "0123456789abcdef"[nibble & 0xf];
}

/* The values as "1301,1302,c02b". */
static void write_values(struct writer *w, const struct values *list)
{
    for (size_t i = 0; i < list->count; i++) {
        uint16_t v = list->v[i];
        char text[5] = {',', hex_digit(v >> 12), hex_digit(v >> 8), hex_digit(v >> 4), hex_digit(v)};
        writer_bytes(w, i == 0 ? text + 1 : text, i == 0 ? 4 : 5);
    }
}

static void write_hash(struct writer *w, ja4_sha256 *sha256, const uint8_t *text, size_t len)
{
    uint8_t digest[32];
    char hex[HASH_TEXT_LEN];
    if (len == 0) {
        writer_bytes(w, HASH_OF_NONE, HASH_TEXT_LEN);
        return;
    }
    sha256(text, len, digest);
    for (size_t i = 0; i < HASH_TEXT_LEN; i++)
        hex[i] = hex_digit(i % 2 == 0 ? digest[i / 2] >> 4 : digest[i / 2]);
    writer_bytes(w, hex, HASH_TEXT_LEN);
}

/* The highest of supported_versions, whatever it is, or the message's own version. */
static const char *version_text(const struct hello *h)
{
    struct cursor list = h->versions;
    uint16_t v, highest = 0;
    while (cursor_u16(&list, &v))
        if (!hello_is_grease(v) && v > highest)
            highest = v;
    switch (cursor_left(&h->versions) > 0 ? highest : h->legacy_version) {
    case 0x0304:
        return "13";
    case 0x0303:
        return "12";
    case 0x0302:
        return "11";
    case 0x0301:
        return "10";
    case 0x0300:
        return "s3";
    default:
        return "00";
    }
}

static bool is_alnum(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* The first and last character of the first protocol, or of its hexadecimal form when either is unprintable.
 */
static void write_protocol(struct writer *w, const struct hello *h)
{
    struct cursor list = h->alpn;
    struct str s;
    if (!hello_next_protocol(&list, &s)) {
        writer_bytes(w, "00", 2);
        return;
    }
    CHECK(s.len > 0);
    unsigned char first = (unsigned char)s.p[0], last = (unsigned char)s.p[s.len - 1];
    bool plain = is_alnum(first) && is_alnum(last);
    writer_uint(w, 1, plain ? first : (unsigned char)hex_digit(first >> 4));
    writer_uint(w, 1, plain ? last : (unsigned char)hex_digit(last));
}

static void write_count(struct writer *w, size_t count)
{
    count = MIN(count, 99);
    char text[2] = {(char)('0' + count / 10), (char)('0' + count % 10)};
    writer_bytes(w, text, 2);
}

/* Part a: what a human reads off it. `extensions` counts all of them. */
static void write_summary(struct writer *w, const struct hello *h, enum ja4_transport transport,
                          size_t ciphers, size_t extensions)
{
    writer_uint(w, 1, (uint64_t)transport);
    writer_bytes(w, version_text(h), 2);
    writer_bytes(w, h->name_kind != HELLO_NAME_NONE ? "d" : "i", 1);
    write_count(w, ciphers);
    write_count(w, extensions);
    write_protocol(w, h);
}

/* Part b: the cipher suites, sorted. */
static void write_cipher_hash(struct writer *w, struct values *ciphers, ja4_sha256 *sha256)
{
    uint8_t text[JA4_LIST_MAX * 5];
    struct writer t = writer_of(text, sizeof(text));
    values_sort(ciphers);
    write_values(&t, ciphers);
    CHECK(!t.full);
    write_hash(w, sha256, text, (size_t)(t.p - text));
}

/* Part c: the extensions, sorted, and the signature algorithms in the client's order. */
static void write_extension_hash(struct writer *w, struct values *extensions, const struct values *signatures,
                                 ja4_sha256 *sha256)
{
    uint8_t text[(HELLO_EXTENSIONS_MAX + JA4_LIST_MAX) * 5 + 1];
    struct writer t = writer_of(text, sizeof(text));
    values_sort(extensions);
    write_values(&t, extensions);
    if (signatures->count > 0)
        writer_bytes(&t, "_", 1);
    write_values(&t, signatures);
    CHECK(!t.full);
    write_hash(w, sha256, text, (size_t)(t.p - text));
}

/* The types of all extensions but the two that part a tells of; *ret_count counts those too. */
static void extension_types(const struct hello *h, struct values *ret, size_t *ret_count)
{
    struct cursor list = h->extensions, body;
    uint16_t type;
    size_t told = 0;
    ret->count = 0;
    while (hello_next_extension(&list, &type, &body)) {
        if (type == EXT_SERVER_NAME || type == EXT_ALPN)
            told++;
        else
            CHECK(values_add(ret, type)); /* hello_parse() takes HELLO_EXTENSIONS_MAX */
    }
    *ret_count = told + ret->count;
}

bool ja4_compute(const struct hello *h, enum ja4_transport transport, ja4_sha256 *sha256,
                 char ret[JA4_TEXT_MAX])
{
    _Static_assert(HELLO_EXTENSIONS_MAX <= JA4_LIST_MAX, "every extension has room");
    struct values ciphers, extensions, signatures;
    size_t extension_count;
    ret[0] = '\0';
    if (!values_of(h->cipher_suites, &ciphers) || !values_of(h->signatures, &signatures))
        return false;
    extension_types(h, &extensions, &extension_count);

    struct writer w = writer_of(ret, JA4_TEXT_MAX);
    write_summary(&w, h, transport, ciphers.count, extension_count);
    writer_bytes(&w, "_", 1);
    write_cipher_hash(&w, &ciphers, sha256);
    writer_bytes(&w, "_", 1);
    write_extension_hash(&w, &extensions, &signatures, sha256);
    writer_bytes(&w, "", 1);
    CHECK(!w.full && w.p == w.end);
    return true;
}
