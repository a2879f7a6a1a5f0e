/* SPDX-License-Identifier: Apache-2.0 */
/* tunnel/wire.h, both directions: what is taken is within bounds, does not depend on the split, and reads
 * back as itself when it is written again. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "tunnel/renew_wire.h"
#include "tunnel/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static bool put_again(const struct front_request *got, enum front_result what, struct buf *out)
{
    const struct wire_client client = {got->datagrams, got->renews};
    return what == FRONT_OFFER   ? wire_encode_offer(&got->offer, got->renews, got->proves, out)
           : what == FRONT_SPARE ? wire_encode_spare(got->spare, out)
           : what == FRONT_RENEW ? renew_encode_hello(got->renew, out)
                                 : wire_encode_hello(&got->target, client, out);
}

static void check_same(const struct front_request *a, const struct front_request *b, enum front_result what)
{
    if (what == FRONT_TARGET) {
        CHECK((a->target.port == 0) == a->target.offered && b->target.offered == a->target.offered);
        CHECK(strcmp(b->target.host, a->target.host) == 0 && b->target.port == a->target.port);
        CHECK(b->target.udp == a->target.udp && b->datagrams == a->datagrams);
    } else if (what == FRONT_OFFER) {
        CHECK(a->offer.port == 0 || a->offer.kind == OFFER_PUBLIC);
        CHECK(strcmp(b->offer.name, a->offer.name) == 0 && b->offer.kind == a->offer.kind);
        CHECK(b->offer.udp == a->offer.udp && b->offer.port == a->offer.port);
        CHECK(b->proves == a->proves && b->renews == a->renews);
    } else if (what == FRONT_RENEW) {
        CHECK(a->renew != 0 && b->renew == a->renew);
    } else {
        CHECK(a->spare[0] != '\0' && strcmp(a->spare, b->spare) == 0);
    }
}

static void hello(const uint8_t *data, size_t len)
{
    struct front_request got, again;
    struct err err = {""};
    struct buf out = {0};
    enum front_result r = front_cardea.ask(data, len, &got, &err);
    if (r == FRONT_MORE) {
        CHECK(len < front_cardea.max);
    } else if (r == FRONT_BAD) {
        CHECK(err.text[0] != '\0' && got.bad == FRONT_BAD_HELLO);
        struct front_answer answer = {.outcome = got.bad, .text = err.text};
        struct wire_answer heard;
        size_t used;
        CHECK(front_cardea.answer(&answer, &out) && out.len <= WIRE_MESSAGE_MAX);
        CHECK(wire_parse_answer(out.data, out.len, &heard, &used, NULL) == WIRE_OK && used == out.len);
    } else {
        CHECK(got.used <= len && got.used <= front_cardea.max);
        CHECK(front_cardea.ask(data, got.used - 1, &again, NULL) == FRONT_MORE);
        CHECK(put_again(&got, r, &out));
        CHECK(front_cardea.ask(out.data, out.len, &again, NULL) == r && again.used == out.len);
        check_same(&got, &again, r);
    }
    buf_free(&out);
}

static bool is_clean(const char *text)
{
    return strpbrk(text, "\r\n\x1b") == NULL;
}

/* What a door might have said in the same words. `datagrams` and `tls` do not go together: no flow speaks
 * TLS. */
static void answer_again(const struct wire_answer *got)
{
    struct front_answer answer = {.outcome = got->outcome,
                                  .rule = got->rule,
                                  .text = got->text,
                                  .tls = got->tls,
                                  .datagrams = got->datagrams,
                                  .connection = got->connection,
                                  .warning = got->warning[0] != '\0' ? got->warning : NULL};
    struct wire_answer again;
    struct buf out = {0};
    size_t used;
    CHECK(front_cardea.answer(&answer, &out) && out.len <= WIRE_MESSAGE_MAX);
    CHECK(wire_parse_answer(out.data, out.len, &again, &used, NULL) == WIRE_OK && used == out.len);
    CHECK(again.connection == got->connection || got->outcome != FRONT_OK);
    CHECK(again.outcome == got->outcome && strcmp(again.warning, got->warning) == 0);
    if (got->outcome == FRONT_OK)
        CHECK(again.tls == got->tls && again.datagrams == (got->datagrams && !got->tls));
    buf_free(&out);
}

static void answer(const uint8_t *data, size_t len)
{
    struct wire_answer got;
    size_t used;
    struct err err = {""};
    enum wire_result r = wire_parse_answer(data, len, &got, &used, &err);
    if (r == WIRE_MORE)
        CHECK(len < WIRE_MESSAGE_MAX);
    else if (r == WIRE_BAD)
        CHECK(err.text[0] != '\0');
    if (r != WIRE_OK)
        return;
    CHECK(used <= len && got.text[0] != '\0' && (got.warning[0] == '\0' || got.outcome == FRONT_OK));
    CHECK(is_clean(got.text) && is_clean(got.code) && is_clean(got.rule) && is_clean(got.warning));
    answer_again(&got);
}

/* The JSON alone, framed here, so that the fuzzer need not get the length right. */
static void framed(const uint8_t *data, size_t len)
{
    uint8_t message[WIRE_MESSAGE_MAX];
    size_t n = MIN(len, (size_t)WIRE_JSON_MAX);
    if (n == 0)
        return;
    message[0] = (uint8_t)(n >> 8);
    message[1] = (uint8_t)n;
    memcpy(message + 2, data, n);
    hello(message, n + 2);
    answer(message, n + 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    hello(data, len);
    answer(data, len);
    framed(data, len);
    return 0;
}
