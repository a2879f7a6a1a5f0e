/* SPDX-License-Identifier: Apache-2.0 */
#include "tunnel/share_request.h"

#include <jansson.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"

/* The hello with one more key: {"v":1,"target":...,"proto":"tcp","timeout_ms":N}. A reader of hellos ignores
 * keys that it does not know. A flow over UDP is frames there, whatever it is on the way to the door. */
bool share_encode_hello(const struct front_target *target, int64_t timeout, struct buf *out)
{
    size_t at = out->len;
    int64_t ms = MIN(MAX(timeout / NSEC_PER_MSEC, INT64_C(1)), SHARE_TIMEOUT_MAX);
    if (!wire_encode_hello(target, (struct wire_client){0}, out))
        return false;
    CHECK(out->len > at + 2 && out->data[out->len - 1] == '}');
    out->len--;
    if (!buf_printf(out, ",\"timeout_ms\":%lld}", (long long)ms)) {
        out->len = at;
        return false;
    }
    size_t len = out->len - at - 2;
    out->data[at] = (uint8_t)(len >> 8);
    out->data[at + 1] = (uint8_t)len;
    return true;
}

static const char status_json[] = "{\"v\":1,\"status\":true}";

bool share_encode_status(struct buf *out)
{
    uint8_t head[2] = {0, sizeof(status_json) - 1};
    return buf_append(out, head, sizeof(head)) && buf_append(out, status_json, sizeof(status_json) - 1);
}

static bool is_status(const uint8_t *data, size_t len)
{
    size_t whole = 2 + sizeof(status_json) - 1;
    return len >= whole && data[0] == 0 && data[1] == sizeof(status_json) - 1 &&
           memcmp(data + 2, status_json, sizeof(status_json) - 1) == 0;
}

static int read_timeout(const uint8_t *json, size_t len, struct share_request *ret, struct err *err)
{
    json_t *o = json_loadb((const char *)json, len, JSON_REJECT_DUPLICATES, NULL);
    const json_t *value = json_object_get(o, "timeout_ms");
    int64_t ms = json_integer_value(value); /* 0 for what is no integer */
    json_decref(o);
    if (ms < 1 || ms > SHARE_TIMEOUT_MAX)
        return err_set(err, "\"timeout_ms\" is not a number from 1 to %lld", (long long)SHARE_TIMEOUT_MAX);
    ret->timeout = ms * NSEC_PER_MSEC;
    return 0;
}

enum front_result share_parse(const uint8_t *data, size_t len, struct share_request *ret, size_t *ret_used,
                              struct err *err)
{
    struct front_request request = {0};
    *ret = (struct share_request){0};
    if (is_status(data, len)) {
        ret->status = true;
        *ret_used = 2 + sizeof(status_json) - 1;
        return FRONT_TARGET;
    }
    enum front_result result = front_cardea.ask(data, len, &request, err);
    if (result == FRONT_OFFER || result == FRONT_SPARE) {
        err_set(err, "\"target\" is missing");
        return FRONT_BAD;
    }
    if (result != FRONT_TARGET)
        return result;
    ret->target = request.target;
    *ret_used = request.used;
    return read_timeout(data + 2, request.used - 2, ret, err) == 0 ? FRONT_TARGET : FRONT_BAD;
}
