/* SPDX-License-Identifier: Apache-2.0 */
#include "ech/inner.h"

#include "base/check.h"

#define CLIENT_HELLO 1
#define HEADER_LEN 4
#define RANDOM_LEN 32
#define EXT_OUTER_EXTENSIONS 0xfd00
#define EXT_ENCRYPTED_CLIENT_HELLO 0xfe0d

/* The parts of an EncodedClientHelloInner, in their order. */
struct encoded {
    struct cursor fixed; /* legacy_version and random */
    struct cursor session_id;
    struct cursor middle; /* cipher_suites and legacy_compression_methods with their lengths */
    struct cursor extensions;
    struct cursor padding;
};

static bool read_encoded(struct cursor c, struct encoded *ret)
{
    struct cursor ignored, begin = c;
    if (!cursor_skip(&c, 2 + RANDOM_LEN))
        return false;
    ret->fixed = (struct cursor){begin.p, c.p};
    if (!cursor_vector(&c, 1, &ret->session_id))
        return false;
    begin = c;
    if (!cursor_vector(&c, 2, &ignored) || !cursor_vector(&c, 1, &ignored))
        return false;
    ret->middle = (struct cursor){begin.p, c.p};
    if (!cursor_vector(&c, 2, &ret->extensions))
        return false;
    ret->padding = c;
    return true;
}

static bool is_zero(struct cursor c)
{
    uint8_t all = 0;
    while (c.p < c.end)
        all |= *c.p++;
    return all == 0;
}

static bool put(struct buf *b, struct cursor c)
{
    return buf_append(b, c.p, cursor_left(&c));
}

static bool put_uint(struct buf *b, size_t n, size_t v)
{
    uint8_t bytes[4];
    struct writer w = writer_of(bytes, sizeof(bytes));
    writer_uint(&w, n, v);
    return buf_append(b, bytes, n);
}

/* Append the extensions of `outer` that the list names. They must stand there in the same order, so that the
 * search never goes back: linear, and each at most once. */
static const char *put_outer(struct cursor body, struct cursor *outer, struct buf *ret)
{
    struct cursor types;
    uint16_t wanted, type = 0;
    if (!cursor_vector(&body, 1, &types) || cursor_left(&body) > 0 || cursor_left(&types) == 0 ||
        cursor_left(&types) % 2 != 0)
        return "ech_outer_extensions that cannot be read";
    while (cursor_u16(&types, &wanted)) {
        struct cursor begin, ignored;
        if (wanted == EXT_ENCRYPTED_CLIENT_HELLO)
            return "ech_outer_extensions that name encrypted_client_hello";
        do {
            begin = *outer;
            if (!hello_next_extension(outer, &type, &ignored))
                return "ech_outer_extensions that the outer hello does not have, or not in this order";
        } while (type != wanted);
        if (!put(ret, (struct cursor){begin.p, outer->p}))
            return "a hello that is too long";
    }
    return NULL;
}

static const char *put_extensions(struct cursor list, const struct hello *outer, struct buf *ret)
{
    bool expanded = false;
    struct cursor begin = list, body, rest = outer->extensions;
    uint16_t type;
    for (; hello_next_extension(&list, &type, &body); begin = list) {
        const char *fault = NULL;
        if (type == EXT_OUTER_EXTENSIONS && expanded)
            return "ech_outer_extensions twice";
        if (type == EXT_OUTER_EXTENSIONS)
            fault = put_outer(body, &rest, ret);
        else if (!put(ret, (struct cursor){begin.p, list.p}))
            fault = "a hello that is too long";
        if (fault != NULL)
            return fault;
        expanded = expanded || type == EXT_OUTER_EXTENSIONS;
    }
    return cursor_left(&list) == 0 ? NULL : "extensions that are cut short";
}

/* What the hello must be, put together: one for a client-facing server alone to see, and of TLS 1.3
 * (5.1; 6.1: the client must not offer less). */
static const char *judge(const struct buf *message)
{
    struct hello h;
    uint16_t version;
    if (hello_parse(message->data, message->len, &h) != HELLO_REASON_NONE)
        return "an inner hello that is damaged";
    if (h.ech != HELLO_ECH_INNER)
        return "an inner hello without the mark of one";
    if (cursor_left(&h.versions) == 0)
        return "an inner hello that does not offer TLS 1.3";
    struct cursor list = h.versions;
    while (cursor_u16(&list, &version))
        if (version >> 8 == 3 && version < 0x0304)
            return "an inner hello that offers less than TLS 1.3";
    return h.version >= 0x0304 ? NULL : "an inner hello that does not offer TLS 1.3";
}

/* Write a length of `n` bytes at `at`, of all that stands behind it. */
static bool set_length(struct buf *b, size_t at, size_t n)
{
    size_t len = b->len - at - n;
    struct writer w = writer_of(b->data + at, n);
    writer_uint(&w, n, len);
    return len >> (8 * n) == 0;
}

const char *ech_inner_decode(struct cursor encoded, const struct hello *outer, struct buf *ret)
{
    struct encoded e;
    CHECK(ret->len == 0);
    if (!read_encoded(encoded, &e))
        return "an inner hello that is cut short";
    if (cursor_left(&e.session_id) > 0)
        return "an inner hello with a session id";
    if (!is_zero(e.padding))
        return "padding that is not zero";
    size_t session_len = cursor_left(&outer->session_id);
    if (!put_uint(ret, HEADER_LEN, (size_t)CLIENT_HELLO << 24) || !put(ret, e.fixed) ||
        !put_uint(ret, 1, session_len) || !put(ret, outer->session_id) || !put(ret, e.middle) ||
        !put_uint(ret, 2, 0))
        return "a hello that is too long";
    size_t at = ret->len - 2;
    const char *fault = put_extensions(e.extensions, outer, ret);
    if (fault != NULL)
        return fault;
    if (!set_length(ret, at, 2) || !set_length(ret, 1, 3))
        return "a hello that is too long";
    return judge(ret);
}
