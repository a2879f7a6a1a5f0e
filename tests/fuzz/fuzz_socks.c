/* SPDX-License-Identifier: Apache-2.0 */
/* tunnel/socks.h: sizes are exact at every cut, targets are canonical, and the head of an answer is read as
 * the destination that it was made from. */
#include <string.h>

#include "base/check.h"
#include "tunnel/socks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_target(const struct front_target *t)
{
    struct front_target again;
    struct buf b = {0};
    CHECK(t->port != 0 && str_host_port_put(&b, t->host, t->port));
    CHECK(str_host_port((const char *)b.data, b.len, again.host, &again.port, NULL) == 0);
    CHECK(strcmp(again.host, t->host) == 0 && again.port == t->port);
    buf_free(&b);
}

static void greeting(const uint8_t *data, size_t len)
{
    size_t size, ignored;
    bool answer;
    struct err err = {""};
    enum socks_result r = socks_parse_greeting(data, len, &size, &answer, &err);
    if (r == SOCKS_MORE)
        CHECK(size > len && size <= SOCKS_MESSAGE_MAX);
    else if (r == SOCKS_BAD)
        CHECK(err.text[0] != '\0');
    if (r == SOCKS_OK)
        CHECK(size <= len && socks_parse_greeting(data, size - 1, &ignored, &answer, &err) == SOCKS_MORE);
}

static void request(const uint8_t *data, size_t len)
{
    struct socks_request got, again;
    struct err err = {""};
    enum socks_result r = socks_parse_request(data, len, &got, &err);
    if (r == SOCKS_MORE)
        CHECK(got.size > len && got.size <= SOCKS_MESSAGE_MAX);
    else if (r == SOCKS_BAD)
        CHECK(err.text[0] != '\0' && got.reply != SOCKS_SUCCEEDED);
    if (r != SOCKS_OK)
        return;
    CHECK(got.size <= len && socks_parse_request(data, got.size - 1, &again, &err) == SOCKS_MORE);
    CHECK(again.size <= got.size);
    if (got.command == SOCKS_CONNECT)
        check_target(&got.target);
}

static void datagram(const uint8_t *data, size_t len)
{
    struct socks_datagram got, again;
    uint8_t head[SOCKS_HEAD_MAX];
    if (!socks_parse_datagram(data, len, &got))
        return;
    CHECK(got.target.udp && got.data + got.len == data + len);
    check_target(&got.target);
    size_t n = socks_put_head(got.address, got.address_len, head);
    CHECK(socks_parse_datagram(head, n, &again) && again.len == 0);
    CHECK(strcmp(again.target.host, got.target.host) == 0 && again.target.port == got.target.port);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    greeting(data, len);
    request(data, len);
    datagram(data, len);
    return 0;
}
