/* SPDX-License-Identifier: Apache-2.0 */
/* http/connect.h: what is taken is within bounds, and no prefix of it was taken for something else. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "http/connect.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* The result depends on the bytes, not on their splitting. */
static void check_splits(const uint8_t *data, size_t len, enum front_result whole)
{
    struct front_request got;
    enum front_result last = FRONT_MORE;
    for (size_t n = 0; n < MIN(len, (size_t)600); n++) {
        enum front_result r = front_connect.ask(data, n, &got, NULL);
        CHECK(last == FRONT_MORE || r == last);
        CHECK(r == FRONT_MORE || r == whole);
        last = r;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct front_request got;
    struct err err = {""};
    struct buf out = {0};
    enum front_result r = front_connect.ask(data, len, &got, &err);
    if (r == FRONT_MORE) {
        CHECK(len < front_connect.max);
    } else if (r == FRONT_BAD) {
        CHECK(err.text[0] != '\0' && (got.bad == FRONT_BAD_HELLO || got.bad == FRONT_BAD_METHOD));
        struct front_answer answer = {.outcome = got.bad, .text = err.text};
        CHECK(front_connect.answer(&answer, &out));
    } else {
        uint16_t port;
        char host[HOST_MAX];
        CHECK(got.used <= len && got.used <= front_connect.max && got.target.port != 0);
        CHECK(memcmp(data + got.used - 4, "\r\n\r\n", 4) == 0);
        CHECK(str_host_port_put(&out, got.target.host, got.target.port));
        CHECK(str_host_port((char *)out.data, out.len, host, &port, NULL) == 0);
        CHECK(strcmp(host, got.target.host) == 0 && port == got.target.port);
    }
    check_splits(data, len, r);
    buf_free(&out);
    return 0;
}
