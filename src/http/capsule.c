/* SPDX-License-Identifier: Apache-2.0 */
#include "http/capsule.h"

#include "base/check.h"
#include "base/cursor.h"

#define TYPE_DATAGRAM 0
#define CONTEXT_UDP 0

enum stage {
    STAGE_HEAD,    /* type and length, into `head` */
    STAGE_CONTEXT, /* of a datagram, into `head` too */
    STAGE_PAYLOAD,
    STAGE_SKIP,
};

static void enter(struct capsule_reader *r, enum stage stage)
{
    r->stage = (uint8_t)stage;
    r->head_len = 0;
}

/* The capsule is over? Then the next one begins. */
static void leave_when_done(struct capsule_reader *r)
{
    if (r->left > 0)
        return;
    buf_free(&r->payload);
    enter(r, STAGE_HEAD);
}

/* A byte of type and length. */
static const char *take_head(struct capsule_reader *r, uint8_t byte)
{
    uint64_t type, length;
    CHECK(r->head_len < 16);
    r->head[r->head_len++] = byte;
    struct cursor c = cursor_of(r->head, r->head_len);
    if (!cursor_varint(&c, &type) || !cursor_varint(&c, &length))
        return NULL;
    r->left = length;
    enter(r, type == TYPE_DATAGRAM ? STAGE_CONTEXT : STAGE_SKIP);
    if (type == TYPE_DATAGRAM && length == 0)
        return "a datagram without a context id";
    leave_when_done(r);
    return NULL;
}

/* A byte of the context id. */
static const char *take_context(struct capsule_reader *r, uint8_t byte,
                                void (*each)(void *arg, const uint8_t *data, size_t len), void *arg)
{
    uint64_t context;
    CHECK(r->head_len < 8);
    r->head[r->head_len++] = byte;
    r->left--;
    struct cursor c = cursor_of(r->head, r->head_len);
    if (!cursor_varint(&c, &context))
        return r->left > 0 ? NULL : "a datagram without a context id";
    enter(r, context == CONTEXT_UDP ? STAGE_PAYLOAD : STAGE_SKIP);
    if (context == CONTEXT_UDP && r->left > CAPSULE_UDP_MAX)
        return "a datagram that is longer than UDP has any";
    if (context == CONTEXT_UDP && r->left == 0)
        each(arg, r->head, 0);
    leave_when_done(r);
    return NULL;
}

/* Bytes of a payload; it goes straight from where it lies when it lies there whole. */
static size_t take_payload(struct capsule_reader *r, const uint8_t *p, size_t len,
                           void (*each)(void *arg, const uint8_t *data, size_t len), void *arg)
{
    size_t n = (size_t)MIN(r->left, (uint64_t)len);
    if (r->payload.len == 0 && n == r->left) {
        each(arg, p, n);
    } else {
        CHECK(buf_append(&r->payload, p, n) && r->payload.len <= CAPSULE_UDP_MAX);
        if (n == r->left)
            each(arg, r->payload.data, r->payload.len);
    }
    return n;
}

const char *capsule_feed(struct capsule_reader *r, const void *data, size_t len,
                         void (*each)(void *arg, const uint8_t *data, size_t len), void *arg)
{
    const uint8_t *p = data;
    const char *why = NULL;
    while (len > 0 && why == NULL) {
        size_t n = 1;
        if (r->stage == STAGE_HEAD) {
            why = take_head(r, *p);
        } else if (r->stage == STAGE_CONTEXT) {
            why = take_context(r, *p, each, arg);
        } else {
            n = r->stage == STAGE_PAYLOAD ? take_payload(r, p, len, each, arg)
                                          : (size_t)MIN(r->left, (uint64_t)len);
            r->left -= n;
            leave_when_done(r);
        }
        p += n;
        len -= n;
    }
    return why;
}

bool capsule_is_whole(const struct capsule_reader *r)
{
    return r->stage == STAGE_HEAD && r->head_len == 0;
}

void capsule_reader_free(struct capsule_reader *r)
{
    buf_free(&r->payload);
    *r = (struct capsule_reader){0};
}

bool capsule_put(struct buf *out, const void *payload, size_t len)
{
    uint8_t head[CAPSULE_HEAD_MAX];
    struct writer w = writer_of(head, sizeof(head));
    if (len > CAPSULE_UDP_MAX)
        return true;
    writer_varint(&w, TYPE_DATAGRAM);
    writer_varint(&w, len + 1); /* with the context id */
    writer_varint(&w, CONTEXT_UDP);
    CHECK(!w.full);
    size_t n = (size_t)(w.p - head);
    if (!buf_reserve(out, n + len))
        return false;
    CHECK(buf_append(out, head, n) && buf_append(out, payload, len));
    return true;
}
