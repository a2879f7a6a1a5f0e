/* SPDX-License-Identifier: Apache-2.0 */
/* web/reader.h: what is read does not depend on how the bytes were cut, stays within its bounds, and a
 * request that is written again from what was read is the same request. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "web/reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static enum web_read read_all(struct web_reader *r, const uint8_t *data, size_t len, size_t step,
                              size_t *ret_used, struct err *err)
{
    enum web_read result = WEB_READ_MORE;
    *ret_used = 0;
    while (*ret_used < len && result == WEB_READ_MORE) {
        size_t used, n = MIN(step, len - *ret_used);
        result = web_reader_feed(r, data + *ret_used, n, &used, err);
        CHECK(used <= n && (result != WEB_READ_MORE || used == n));
        *ret_used += used;
    }
    CHECK(r->body.len <= WEB_BODY_MAX && r->head.len <= HEAD_MAX && r->trailers.len <= HEAD_MAX);
    return result;
}

static bool same(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

static void check_same(const struct web_request *a, const struct web_request *b)
{
    CHECK(same(a->method, b->method) && same(a->path, b->path) && same(a->query, b->query) &&
          same(a->host, b->host) && same(a->type, b->type) && same(a->body, b->body));
}

static void put(struct buf *out, const char *before, struct str value, const char *after)
{
    CHECK(buf_printf(out, "%s", before) && buf_append(out, value.p, value.len) &&
          buf_printf(out, "%s", after));
}

/* As another writer would. */
static void check_again(const struct web_request *a)
{
    struct buf out = {0};
    struct web_reader r = {0};
    struct err err;
    size_t used;
    put(&out, "", a->method, " ");
    put(&out, "", a->path, a->query.len > 0 ? "?" : "");
    put(&out, "", a->query, " HTTP/1.1\r\nHost:");
    put(&out, "", a->host, "\r\n");
    if (a->type.len > 0)
        put(&out, "Content-Type:", a->type, "\r\n");
    CHECK(buf_printf(&out, "Content-Length: %zu\r\n\r\n", a->body.len) &&
          buf_append(&out, a->body.p, a->body.len));
    if (out.len - a->body.len <= HEAD_MAX) {
        CHECK(read_all(&r, out.data, out.len, out.len, &used, &err) == WEB_READ_WHOLE && used == out.len);
        struct web_request b = web_reader_request(&r);
        check_same(a, &b);
    }
    web_reader_free(&r);
    buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct web_reader whole = {0}, bytes = {0};
    struct err err = {""}, ignored;
    size_t used, used_bytes;
    enum web_read result = read_all(&whole, data, len, MAX(len, (size_t)1), &used, &err);
    enum web_read other = read_all(&bytes, data, MIN(len, (size_t)2000), 1, &used_bytes, &ignored);
    if (len <= 2000)
        CHECK(result == other && whole.bad == bytes.bad && (result != WEB_READ_WHOLE || used == used_bytes));
    if (result == WEB_READ_BAD)
        CHECK(err.text[0] != '\0' && (whole.bad / 100 == 4 || whole.bad / 100 == 5));
    if (result == WEB_READ_WHOLE) {
        struct web_request request = web_reader_request(&whole);
        CHECK(request.path.len > 0 && request.path.p[0] == '/');
        if (other == WEB_READ_WHOLE) {
            struct web_request again = web_reader_request(&bytes);
            check_same(&request, &again);
        }
        check_again(&request);
    }
    web_reader_free(&whole);
    web_reader_free(&bytes);
    return 0;
}
