/* SPDX-License-Identifier: Apache-2.0 */
/* capture/capture.h: whatever frames there are, what is told is within bounds, everything that was held is
 * let go, and telling it twice comes to the same. Input: a byte that chooses the link, then frames, each
 * after its length in two bytes. With a link that there is not the rest is read as the plain content of a
 * QUIC packet (quic/initial.h). */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "capture/capture.h"
#include "capture/packet.h"
#include "quic/initial.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct told {
    size_t count;
    size_t complete;
    uint64_t bytes;
};

static void on_seen(void *owner, const struct sighting *s)
{
    struct told *told = owner;
    told->count++;
    told->complete += s->complete;
    told->bytes += s->have;
    CHECK(s->answer != NULL && s->answer->session_id_len <= REPLY_SESSION_ID_MAX);
    CHECK(strlen(s->answer->alpn) < REPLY_ALPN_MAX);
    CHECK(s->frame > 0);
    CHECK(s->hello == NULL || (s->complete && s->reason == HELLO_REASON_NONE && s->have == s->wanted));
    CHECK(s->hello != NULL || s->reason != HELLO_REASON_NONE || !s->complete);
    CHECK(s->have <= CAPTURE_FLOW_MIN + 65536);
}

static struct told run(int link, const uint8_t *data, size_t len)
{
    const struct capture_limits limits = {.flow = CAPTURE_FLOW_MIN, .total = CAPTURE_TOTAL_MIN};
    struct told told = {0};
    struct capture *c = capture_new(&limits, on_seen, &told);
    struct cursor all = cursor_of(data, len), frame;
    for (int64_t now = 0; cursor_vector(&all, 2, &frame); now += 1000000)
        capture_frame(c, link, now, frame.p, cursor_left(&frame), cursor_left(&frame));
    capture_end(c);
    CHECK(capture_counts(c)->hellos == told.count);
    capture_free(c);
    return told;
}

static void read_content(const uint8_t *data, size_t len)
{
    struct cursor frames = cursor_of(data, len), datagram = frames;
    struct initial_content content;
    struct quic_packet packet;
    enum initial_frame kind;
    while ((kind = initial_next_frame(&frames, &content)) != INITIAL_END)
        CHECK(kind != INITIAL_CRYPTO || (content.data.p >= data && content.data.end <= data + len));
    while (quic_packet_next(&datagram, &packet)) {
        CHECK(packet.head.p >= data && packet.body.end <= data + len && packet.head.end == packet.body.p);
        CHECK(datagram.p == packet.body.end);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const int links[] = {PACKET_LINK_ETHERNET, PACKET_LINK_RAW,      PACKET_LINK_NULL,
                                PACKET_LINK_COOKED,   PACKET_LINK_COOKED_2, -1};
    if (len == 0)
        return 0;
    int link = links[data[0] % ARRAY_LEN(links)];
    if (link < 0) {
        read_content(data + 1, len - 1);
        return 0;
    }
    struct told once = run(link, data + 1, len - 1), twice = run(link, data + 1, len - 1);
    CHECK(once.count == twice.count && once.complete == twice.complete && once.bytes == twice.bytes);
    return 0;
}
