/* SPDX-License-Identifier: Apache-2.0 */
/* http/h2*.c: what a connection that outlives a reload goes by. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "tests/unit/h2_peer.h"

#define KB ((size_t)1024)
#define MB ((size_t)1024 * 1024)
#define PIECE (16 * KB) /* of DATA; SETTINGS_MAX_FRAME_SIZE to begin with */

static struct config config(size_t stream_window)
{
    return (struct config){
        .http2 = {
            .idle_timeout = NSEC_PER_SEC, .streams = 4, .stream_window = stream_window, .window = 64 * MB}};
}

static void request(struct world *w, uint32_t stream)
{
    peer_fields(w, stream, END_HEADERS, CONNECT_FIELDS, sizeof(CONNECT_FIELDS) - 1);
    peer_settle(w);
}

/* Take the frames that have come whole: what they add to the credit of the connection ([0]) and of stream 1.
 */
static void take_credit(struct buf *said, size_t credit[2])
{
    struct cursor c = cursor_of(said->data, said->len);
    uint64_t len, type, flags, stream, more;
    size_t whole = 0;
    while (cursor_uint(&c, 3, &len) && cursor_uint(&c, 1, &type) && cursor_uint(&c, 1, &flags) &&
           cursor_uint(&c, 4, &stream) && cursor_left(&c) >= len) {
        struct cursor body = cursor_of(c.p, len);
        if (type == WINDOW_UPDATE && stream <= 1 && cursor_uint(&body, 4, &more))
            credit[stream] += more;
        assert_true(type != GOAWAY && type != RST_STREAM);
        cursor_skip(&c, len);
        whole = said->len - cursor_left(&c);
    }
    buf_consume(said, whole);
}

/* A stream began under one configuration, and the connection has moved to another: the windows remain those
 * that the client was told of, and their bound (sixteen times the first) is that of the first, too. */
static void test_windows_after_a_reload(void **state)
{
    static const struct {
        size_t before, after;
    } rows[] = {{64 * KB, 64 * KB}, {64 * KB, 16 * KB}, {64 * KB, 2 * MB}, {256 * KB, 16 * KB}};
    static const uint8_t zeros[PIECE];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct config later = config(rows[i].after);
        struct snapshot snap = {.config = &later};
        struct epoch epoch = {.snap = &snap};
        struct buf said = {0};
        struct world w = {.config = config(rows[i].before), .said = &said};
        size_t credit[2] = {65535, rows[i].before}, most = 0;
        peer_begin(&w, 64 * KB);
        peer_preface(&w);
        peer_frame(&w, SETTINGS, ACK, 0, NULL, 0);
        request(&w, 1);
        w.in_force = &epoch;
        request(&w, 3);
        for (size_t sent = 0, n; sent < 64 * MB; sent += n) {
            take_credit(&said, credit);
            most = MAX(most, credit[1]);
            n = MIN(MIN(PIECE, credit[0]), credit[1]);
            if (n == 0)
                fail_msg("row %zu: no credit after %zu bytes: %zu, %zu", i, sent, credit[0], credit[1]);
            credit[0] -= n;
            credit[1] -= n;
            peer_frame(&w, DATA, 0, 1, zeros, n);
            peer_settle(&w);
            buf_free(&sessions_find(&w.sessions, 0)->got);
        }
        if (most != 16 * rows[i].before)
            fail_msg("row %zu: a window of %zu bytes grew to %zu", i, rows[i].before, most);
        peer_end(&w, true);
        buf_free(&said);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_windows_after_a_reload)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
