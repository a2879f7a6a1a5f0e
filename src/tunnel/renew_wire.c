/* SPDX-License-Identifier: Apache-2.0 */
#include "tunnel/renew_wire.h"

#include <string.h>

#include "audit/record.h"
#include "base/base64.h"
#include "base/check.h"
#include "tls/authenticator.h"

/* ---- writing ---- */

bool renew_encode_hello(uint64_t id, struct buf *out)
{
    char text[AUDIT_ID_MAX];
    size_t at;
    bool ok = message_begin(out, &at) && message_put_string(out, "renew", audit_id_text(id, text));
    return message_end(out, at, ok);
}

bool renew_encode_request(const struct buf *request, struct buf *out)
{
    size_t at;
    bool ok = message_begin(out, &at) && buf_printf(out, ",\"ok\":true,\"request\":\"") &&
              base64_put(out, request->data, request->len) && buf_append(out, "\"", 1);
    return message_end(out, at, ok);
}

bool renew_encode_proof(size_t size, struct buf *out)
{
    CHECK(size > 0 && size <= AUTHENTICATOR_MAX);
    size_t at;
    bool ok = message_begin(out, &at) && buf_printf(out, ",\"authenticator\":%zu", size);
    return message_end(out, at, ok);
}

bool renew_encode_good(int64_t expires, struct buf *out)
{
    size_t at;
    bool ok = message_begin(out, &at) && buf_printf(out, ",\"ok\":true,\"expires\":%lld", (long long)expires);
    return message_end(out, at, ok);
}

/* ---- reading ---- */

static int read_size(const json_t *o, size_t *ret, struct err *err)
{
    const json_t *size = json_object_get(o, "authenticator");
    json_int_t n = json_integer_value(size);
    if (!json_is_integer(size) || n < 1 || n > (json_int_t)AUTHENTICATOR_MAX)
        return err_set(err, "\"authenticator\" is not a number of bytes from 1 to %zu", AUTHENTICATOR_MAX);
    *ret = (size_t)n;
    return 0;
}

enum wire_result renew_parse_proof(const uint8_t *data, size_t len, struct str *ret, struct err *err)
{
    json_t *o;
    size_t used, size = 0;
    enum wire_result r = message_read(data, len, &o, &used, err);
    if (r != WIRE_OK)
        return r;
    bool ok = read_size(o, &size, err) == 0;
    json_decref(o);
    if (!ok)
        return WIRE_BAD;
    if (len - used < size)
        return WIRE_MORE;
    if (len - used > size) {
        err_set(err, "more bytes than the authenticator's %zu", size);
        return WIRE_BAD;
    }
    *ret = (struct str){(const char *)data + used, size};
    return WIRE_OK;
}

static int read_request(const json_t *o, struct buf *ret, struct err *err)
{
    const char *text;
    if (message_string(o, "request", &text, err) < 0)
        return -1;
    if (text == NULL || ret == NULL)
        return 0;
    size_t n = strlen(text), pad = n >= 2 && text[n - 2] == '=' ? 2 : n >= 1 && text[n - 1] == '=' ? 1 : 0;
    size_t bytes = n % 4 == 0 ? n / 4 * 3 - MIN(pad, n / 4 * 3) : 0;
    if (bytes == 0 || !buf_reserve(ret, bytes) || !base64_read(text, ret->data + ret->len, bytes))
        return err_set(err, "\"request\" is not base64");
    ret->len += bytes;
    return 0;
}

static int read_expires(const json_t *o, int64_t *ret, struct err *err)
{
    const json_t *expires = json_object_get(o, "expires");
    *ret = json_integer_value(expires);
    if (expires != NULL && !json_is_integer(expires))
        return err_set(err, "\"expires\" is not a number of seconds");
    return 0;
}

enum wire_result renew_parse_answer(const uint8_t *data, size_t len, struct wire_answer *ret,
                                    struct buf *ret_request, int64_t *ret_expires, size_t *ret_used,
                                    struct err *err)
{
    json_t *o;
    *ret_expires = 0;
    enum wire_result r = wire_parse_answer(data, len, ret, ret_used, err);
    if (r != WIRE_OK || ret->outcome != FRONT_OK)
        return r;
    r = message_read(data, len, &o, ret_used, err);
    CHECK(r == WIRE_OK); /* it was read before */
    if (read_request(o, ret_request, err) < 0 || read_expires(o, ret_expires, err) < 0)
        r = WIRE_BAD;
    json_decref(o);
    return r;
}
