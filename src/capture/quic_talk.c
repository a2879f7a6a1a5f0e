/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/quic_talk.h"

#include "base/check.h"

#define MESSAGE_HEADER 4u
#define CLIENT_HELLO 1
#define CRYPTO_ERROR 0x100u /* RFC 9001, 4.8 */

/* Keys ----------------------------------------------------------------------------------------------- */

static struct cursor dcid_of(const struct quic_talk *t)
{
    return cursor_of(t->dcid, t->dcid_len);
}

static void set_dcid(struct quic_talk *t, const struct quic_packet *p, const struct initial_keys *keys)
{
    t->dcid_len = (uint8_t)cursor_left(&p->dcid);
    CHECK(t->dcid_len <= QUIC_TALK_CID_MAX);
    if (t->dcid_len > 0)
        memcpy(t->dcid, p->dcid.p, t->dcid_len);
    t->version = p->version;
    t->client_keys = *keys;
    t->server_version = 0;
}

/* Does the packet open as a client's first one? Then *ret has its keys. */
static bool opens_as_first(const struct quic_packet *p, uint8_t *plain, struct initial_keys *ret)
{
    struct cursor frames;
    initial_keys_derive(p->version, p->dcid, true, ret);
    return initial_open(ret, p, plain, &frames);
}

bool quic_talk_start(struct quic_talk *t, struct cursor datagram, uint8_t *plain, size_t *total)
{
    struct quic_packet p;
    struct initial_keys keys;
    if (!quic_packet_next(&datagram, &p) || p.type != QUIC_INITIAL || !opens_as_first(&p, plain, &keys))
        return false;
    *t = (struct quic_talk){.client = assembly_start(0, total), .server = assembly_start(0, total)};
    set_dcid(t, &p, &keys);
    return true;
}

/* Messages ------------------------------------------------------------------------------------------- */

size_t quic_talk_wanted(const struct quic_talk *t)
{
    const uint8_t *p = t->message.data;
    return t->message.len < MESSAGE_HEADER ? 0
                                           : MESSAGE_HEADER + ((size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3]);
}

/* What of the client's stream has come in order. */
static void take_client(struct quic_talk *t, size_t most)
{
    size_t len;
    bool begins;
    const uint8_t *data;
    t->message.max = most;
    while (!t->complete && !t->odd && (data = assembly_peek(&t->client, &len, &begins)) != NULL) {
        if (!buf_append(&t->message, data, len))
            t->odd = true;
        assembly_drop(&t->client);
        size_t wanted = quic_talk_wanted(t);
        t->odd = t->odd || t->message.data[0] != CLIENT_HELLO || wanted > most;
        t->complete = !t->odd && wanted > 0 && t->message.len >= wanted;
        if (t->complete)
            t->message.len = wanted;
    }
    if (t->complete || t->odd)
        assembly_clear(&t->client);
}

static void take_server(struct quic_talk *t)
{
    size_t len;
    bool begins;
    const uint8_t *data;
    while ((data = assembly_peek(&t->server, &len, &begins)) != NULL) {
        reply_messages(&t->answer, data, len);
        assembly_drop(&t->server);
    }
    if (t->answer.done)
        assembly_clear(&t->server);
}

static void take_close(struct quic_talk *t, uint64_t code)
{
    struct reply *a = &t->answer.reply;
    bool alert = code >= CRYPTO_ERROR && code <= CRYPTO_ERROR + UINT8_MAX;
    if (a->kind != REPLY_NONE)
        return;
    a->kind = alert ? REPLY_ALERT : REPLY_CLOSE;
    a->alert = alert ? (uint8_t)(code - CRYPTO_ERROR) : 0;
    a->code = code;
    t->answer.done = true;
}

static void take_frames(struct quic_talk *t, struct cursor frames, bool from_client, size_t most)
{
    struct assembly *stream = from_client ? &t->client : &t->server;
    bool closed = from_client ? t->complete || t->odd : t->answer.done;
    struct initial_content c;
    enum initial_frame kind;
    while ((kind = initial_next_frame(&frames, &c)) != INITIAL_END) {
        if (kind == INITIAL_CLOSE && !from_client)
            take_close(t, c.code);
        if (kind == INITIAL_CRYPTO && !closed && cursor_left(&c.data) > 0 && c.offset <= most)
            assembly_put(stream, c.offset, c.data.p, cursor_left(&c.data), most);
    }
    if (from_client)
        take_client(t, most);
    else
        take_server(t);
}

/* Packets -------------------------------------------------------------------------------------------- */

/* A client changes to the id that the server gave, and its keys stay; only after a Retry are they others. */
static enum quic_talk_result take_of_client(struct quic_talk *t, const struct quic_packet *p, uint8_t *plain,
                                            size_t most)
{
    struct initial_keys keys = t->client_keys;
    struct cursor frames;
    if (p->version != t->version)
        initial_keys_derive(p->version, dcid_of(t), true, &keys);
    if (initial_open(&keys, p, plain, &frames)) {
        if (p->version == t->version)
            t->client_keys = keys;
        take_frames(t, frames, true, most);
        return QUIC_TALK_TAKEN;
    }
    if (!opens_as_first(p, plain, &keys))
        return QUIC_TALK_FOREIGN;
    if (!t->is_awaited && (t->complete || t->answer.done))
        return QUIC_TALK_ANEW;
    t->is_awaited = false;
    set_dcid(t, p, &keys);
    t->client_keys.newest = 0;
    if (!initial_open(&t->client_keys, p, plain, &frames))
        return QUIC_TALK_FOREIGN;
    take_frames(t, frames, true, most);
    return QUIC_TALK_TAKEN;
}

static enum quic_talk_result take_of_server(struct quic_talk *t, const struct quic_packet *p, uint8_t *plain,
                                            size_t most)
{
    struct cursor frames;
    if (t->server_version != p->version) {
        initial_keys_derive(p->version, dcid_of(t), false, &t->server_keys);
        t->server_version = p->version;
    }
    if (!initial_open(&t->server_keys, p, plain, &frames))
        return QUIC_TALK_FOREIGN;
    take_frames(t, frames, false, most);
    return QUIC_TALK_TAKEN;
}

enum quic_talk_result quic_talk_take(struct quic_talk *t, struct cursor datagram, bool from_client,
                                     uint8_t *plain, size_t most)
{
    struct quic_packet p;
    enum quic_talk_result result = QUIC_TALK_FOREIGN;
    while (quic_packet_next(&datagram, &p)) {
        /* One at most, and before anything else (RFC 9000, 17.2.5.2). */
        if (p.type == QUIC_RETRY && !from_client && !t->retried && !t->answer.done)
            t->retried = t->is_awaited = true;
        if (p.type != QUIC_INITIAL)
            continue;
        enum quic_talk_result r =
            from_client ? take_of_client(t, &p, plain, most) : take_of_server(t, &p, plain, most);
        if (r == QUIC_TALK_ANEW)
            return r;
        if (r == QUIC_TALK_TAKEN)
            result = r;
    }
    return result;
}

void quic_talk_free(struct quic_talk *t)
{
    assembly_clear(&t->client);
    assembly_clear(&t->server);
    buf_free(&t->message);
    reply_free(&t->answer);
}
