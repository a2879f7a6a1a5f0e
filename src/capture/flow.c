/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/flow.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

/* Offset of the first byte of a TCP stream that is known: far from 0, so that what is older has one too. */
#define ORIGIN (UINT64_C(1) << 32)

/* A sequence number that is further off than that is of another connection, or of an attacker. */
#define WINDOW_MAX (INT32_C(1) << 30)

struct flow_key flow_key_of(const struct packet *p, unsigned *ret_side)
{
    struct flow_key key = {.a = p->from, .b = p->to, .udp = p->kind == PACKET_UDP};
    *ret_side = memcmp(&p->from, &p->to, sizeof(p->from)) > 0;
    if (*ret_side == 1) {
        key.a = p->to;
        key.b = p->from;
    }
    return key;
}

struct flow *flow_new(const struct flow_key *key, size_t *total)
{
    struct flow *f = calloc(1, sizeof(*f));
    CHECK(f != NULL);
    f->key = *key;
    list_init(&f->chain);
    list_init(&f->age);
    list_init(&f->queue);
    for (int i = 0; i < 2; i++)
        f->tcp[i].pieces = assembly_start(ORIGIN, total);
    *total += sizeof(*f);
    return f;
}

void flow_forget(struct flow *f)
{
    for (int i = 0; i < 2; i++) {
        assembly_clear(&f->tcp[i].pieces);
        finder_free(&f->tcp[i].finder);
        f->tcp[i].finder.state = FINDER_DONE;
    }
    quic_talk_free(&f->quic);
}

void flow_free(struct flow *f, size_t *total)
{
    flow_forget(f);
    list_remove(&f->chain);
    list_remove(&f->age);
    list_remove(&f->queue);
    *total -= sizeof(*f) + f->buffers;
    free(f);
}

/* TCP ------------------------------------------------------------------------------------------------ */

bool flow_is_anew(const struct flow *f, const struct packet *p, unsigned side)
{
    const struct tcp_side *s = &f->tcp[side];
    return (p->flags & PACKET_SYN) != 0 && (p->flags & PACKET_ACK) == 0 && s->known &&
           (p->sequence + 1 != s->sequence || f->closed);
}

/* Hand on what is there without a hole. */
static void drain(struct flow *f, unsigned side, size_t most)
{
    struct tcp_side *s = &f->tcp[side];
    size_t len;
    bool begins;
    const uint8_t *data;
    while (s->finder.state != FINDER_DONE && (data = assembly_peek(&s->pieces, &len, &begins)) != NULL) {
        finder_take(&s->finder, data, len, begins, most);
        assembly_drop(&s->pieces);
    }
    if (s->finder.state == FINDER_DONE)
        assembly_clear(&s->pieces);
    /* Of two, as where one side sends back what it gets, the first counts. */
    if (!f->begun && s->finder.found == FINDER_HELLO) {
        f->begun = true;
        f->client = side;
    }
}

/* Give up what is missing, and go on behind it. */
static void skip_hole(struct flow *f, unsigned side, size_t most)
{
    struct tcp_side *s = &f->tcp[side];
    if (!assembly_skip_hole(&s->pieces))
        return;
    finder_miss(&s->finder);
    drain(f, side, most);
}

static void begin(struct tcp_side *s, uint32_t sequence, bool seen_all)
{
    s->known = true;
    s->sequence = sequence;
    s->finder = finder_start(seen_all);
}

/* Where its first byte stands; false: too far off to be of this connection. */
static bool offset_of(const struct tcp_side *s, uint32_t sequence, uint64_t *ret)
{
    uint32_t next = s->sequence + (uint32_t)(s->pieces.next - ORIGIN);
    int32_t away = (int32_t)(sequence - next);
    *ret = s->pieces.next + (uint64_t)(int64_t)away;
    return away < WINDOW_MAX && away > -WINDOW_MAX;
}

static void take_payload(struct flow *f, unsigned side, const struct packet *p, uint32_t sequence,
                         size_t most)
{
    struct tcp_side *s = &f->tcp[side];
    uint64_t offset;
    size_t len = cursor_left(&p->payload);
    if (!s->known)
        begin(s, sequence, false);
    if (len == 0 || s->finder.state == FINDER_DONE || !offset_of(s, sequence, &offset))
        return;
    while (!assembly_put(&s->pieces, offset, p->payload.p, len, most) && !assembly_is_empty(&s->pieces)) {
        uint64_t before = s->pieces.next;
        skip_hole(f, side, most);
        if (s->finder.state == FINDER_DONE || s->pieces.next == before)
            return;
    }
    drain(f, side, most);
}

void flow_take_tcp(struct flow *f, const struct packet *p, unsigned side, size_t most)
{
    struct tcp_side *s = &f->tcp[side];
    uint32_t sequence = p->sequence;
    if ((p->flags & PACKET_SYN) != 0) {
        sequence++; /* it takes a number itself; data may follow (RFC 7413) */
        if (!s->known)
            begin(s, sequence, true);
    }
    take_payload(f, side, p, sequence, most);
    s->ended = s->ended || (p->flags & PACKET_FIN) != 0;
    bool waits = !assembly_is_empty(&f->tcp[0].pieces) || !assembly_is_empty(&f->tcp[1].pieces);
    if (!waits && ((p->flags & PACKET_RST) != 0 || (f->tcp[0].ended && f->tcp[1].ended)))
        f->closed = true;
}

/* Both ----------------------------------------------------------------------------------------------- */

size_t flow_buffers(const struct flow *f)
{
    size_t n = f->quic.message.cap + f->quic.answer.held.cap;
    for (int i = 0; i < 2; i++)
        n += f->tcp[i].finder.held.cap + f->tcp[i].finder.answer.held.cap;
    return n;
}

bool flow_is_complete(const struct flow *f)
{
    if (f->key.udp)
        return f->quic.answer.done && (f->quic.complete || f->quic.odd);
    return f->tcp[0].finder.state == FINDER_DONE && f->tcp[1].finder.state == FINDER_DONE;
}

void flow_close(struct flow *f, size_t most)
{
    f->closed = true;
    for (unsigned i = 0; i < 2; i++)
        while (f->tcp[i].finder.state != FINDER_DONE && !assembly_is_empty(&f->tcp[i].pieces))
            skip_hole(f, i, most);
}

static void parse(const uint8_t *message, size_t len, struct hello *hello, struct sighting *ret)
{
    ret->have = ret->wanted = len;
    ret->reason = hello_parse(message, len, hello);
    ret->hello = ret->reason == HELLO_REASON_NONE ? hello : NULL;
}

static void describe_tcp(const struct flow *f, struct hello *hello, uint8_t *scratch, struct sighting *ret)
{
    const struct finder *from = &f->tcp[f->client].finder;
    const struct hello_scan *scan = &from->scan;
    size_t heads = 5 * ((size_t)scan->records + 1);
    ret->postgres = from->postgres;
    ret->plain = from->plain;
    ret->proxy = from->proxy;
    ret->proxy_from = from->proxy_from;
    ret->proxy_to = from->proxy_to;
    ret->answer = &f->tcp[!f->client].finder.answer.reply;
    ret->wanted = scan->message_len;
    ret->have = from->held.len > heads ? from->held.len - heads : 0;
    ret->complete = from->result != HELLO_MORE;
    ret->reason = scan->reason;
    if (from->result == HELLO_DONE)
        parse(hello_scan_message(scan, from->held.data, scratch), scan->message_len, hello, ret);
}

static void describe_quic(const struct flow *f, struct hello *hello, struct sighting *ret)
{
    const struct quic_talk *q = &f->quic;
    ret->quic = true;
    ret->quic_version = q->version;
    ret->quic_retried = q->retried;
    ret->answer = &q->answer.reply;
    ret->wanted = quic_talk_wanted(q);
    ret->have = q->message.len;
    ret->complete = q->complete;
    if (q->complete)
        parse(q->message.data, q->message.len, hello, ret);
}

void flow_describe(const struct flow *f, struct hello *hello, uint8_t *scratch, struct sighting *ret)
{
    *ret = (struct sighting){.time = f->hello_time, .frame = f->hello_frame};
    ret->client = f->client == 0 ? f->key.a : f->key.b;
    ret->server = f->client == 0 ? f->key.b : f->key.a;
    if (f->key.udp)
        describe_quic(f, hello, ret);
    else
        describe_tcp(f, hello, scratch, ret);
    if (ret->hello != NULL)
        ret->resumed = reply_resumes(ret->answer, hello->session_id.p, cursor_left(&hello->session_id));
}
