/* SPDX-License-Identifier: Apache-2.0 */
/* What is found here must be what the TLS library finds later in the same bytes, or a client could be routed
 * by one name and served another. So whatever could be read in two ways is refused: an empty record, another
 * record type in between, bytes behind the message in its last record.
 *
 * The state moves on by whole records. `need` says how many bytes the next step wants, so a client that sends
 * byte by byte costs a comparison each, and no header is looked at more than a few times. `max` is compared
 * with what is asked for, not with what has come: a length that can never be met is refused at once. */
#include "hello/scan.h"

#include <string.h>

#include "base/check.h"

#define RECORD_HEADER 5u /* type, version, length (RFC 8446, 5.1) */
#define RECORD_HANDSHAKE 22
#define RECORD_MAX (1u << 14)
#define MESSAGE_HEADER 4u /* type, length of 24 bits (RFC 8446, 4) */
#define CLIENT_HELLO 1

struct hello_scan hello_scan_start(size_t max)
{
    CHECK(max >= 1 && max <= HELLO_SIZE_MAX);
    return (struct hello_scan){.max = (uint32_t)max, .need = 1};
}

static enum hello_result bad(struct hello_scan *s, enum hello_reason reason)
{
    s->reason = reason;
    return HELLO_BAD;
}

static enum hello_result more(struct hello_scan *s, uint32_t need)
{
    /* Whoever asks for bytes beyond the limit would never get them. */
    if (need > s->max)
        return bad(s, HELLO_REASON_TOO_LONG);
    s->need = need;
    return HELLO_MORE;
}

static enum hello_result check_record_header(struct hello_scan *s, const uint8_t *header, uint32_t *ret_len)
{
    bool first = s->records == 0;
    if (header[0] != RECORD_HANDSHAKE)
        return first ? HELLO_NOT_TLS : bad(s, HELLO_REASON_RECORD_TYPE);
    if (header[1] != 3)
        return first ? HELLO_NOT_TLS : bad(s, HELLO_REASON_RECORD_VERSION);
    *ret_len = (uint32_t)header[3] << 8 | header[4];
    if (*ret_len == 0)
        return bad(s, HELLO_REASON_RECORD_EMPTY);
    if (*ret_len > RECORD_MAX)
        return bad(s, HELLO_REASON_RECORD_TOO_LONG);
    return HELLO_DONE;
}

/* Gather the message's own header, which may be spread over up to four records, and judge it once it is
 * whole. */
static enum hello_result check_message_header(struct hello_scan *s, const uint8_t *payload,
                                              uint32_t record_len, size_t got)
{
    uint32_t have = s->payload_len;
    CHECK(have < MESSAGE_HEADER);
    uint32_t take = MIN(MESSAGE_HEADER - have, record_len);
    if (got < take)
        return more(s, s->wire_len + RECORD_HEADER + take);
    memcpy(s->header + have, payload, take);
    if (have + take < MESSAGE_HEADER)
        return HELLO_DONE;
    if (s->header[0] != CLIENT_HELLO)
        return bad(s, HELLO_REASON_NOT_A_HELLO);
    s->message_len =
        MESSAGE_HEADER + ((uint32_t)s->header[1] << 16 | (uint32_t)s->header[2] << 8 | s->header[3]);
    if (s->message_len > s->max)
        return bad(s, HELLO_REASON_TOO_LONG);
    return HELLO_DONE;
}

/* One record, the one that begins at `wire_len`: HELLO_DONE when it is whole and good. */
static enum hello_result scan_record(struct hello_scan *s, const uint8_t *record, size_t got)
{
    if (got < RECORD_HEADER) {
        if (s->wire_len == 0 && got > 0 && record[0] != RECORD_HANDSHAKE)
            return HELLO_NOT_TLS;
        return more(s, s->wire_len + RECORD_HEADER);
    }
    uint32_t len;
    enum hello_result r = check_record_header(s, record, &len);
    if (r != HELLO_DONE)
        return r;
    if (s->message_len == 0) {
        r = check_message_header(s, record + RECORD_HEADER, len, got - RECORD_HEADER);
        if (r != HELLO_DONE)
            return r;
    }
    if (s->message_len != 0 && len > s->message_len - s->payload_len)
        return bad(s, HELLO_REASON_MORE_BEHIND);
    uint32_t end = s->wire_len + RECORD_HEADER + len;
    if (got < RECORD_HEADER + len)
        return more(s, end);
    if (end > s->max)
        return bad(s, HELLO_REASON_TOO_LONG);
    s->wire_len = end;
    s->payload_len += len;
    s->records++;
    return HELLO_DONE;
}

enum hello_result hello_scan(struct hello_scan *s, const uint8_t *data, size_t len)
{
    CHECK(s->max > 0 && s->reason == HELLO_REASON_NONE);
    if (len < s->need)
        return HELLO_MORE;
    while (s->message_len == 0 || s->payload_len < s->message_len) {
        CHECK(s->wire_len <= len);
        enum hello_result r = scan_record(s, data + s->wire_len, len - s->wire_len);
        if (r != HELLO_DONE)
            return r;
    }
    CHECK(s->payload_len == s->message_len && s->wire_len <= s->max);
    return HELLO_DONE;
}

const uint8_t *hello_scan_message(const struct hello_scan *s, const uint8_t *data, uint8_t *scratch)
{
    CHECK(s->message_len != 0 && s->payload_len == s->message_len);
    if (s->records == 1)
        return data + RECORD_HEADER;
    CHECK(scratch != NULL);
    uint32_t done = 0;
    for (uint32_t at = 0; at < s->wire_len;) {
        uint32_t len = (uint32_t)data[at + 3] << 8 | data[at + 4];
        /* The caller's bytes could have changed since they were scanned. */
        CHECK(len <= s->message_len - done);
        memcpy(scratch + done, data + at + RECORD_HEADER, len);
        done += len;
        at += RECORD_HEADER + len;
    }
    CHECK(done == s->message_len);
    return scratch;
}
