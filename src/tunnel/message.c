/* SPDX-License-Identifier: Apache-2.0 */
#include "tunnel/message.h"

#include <string.h>

#include "base/check.h"
#include "base/cursor.h"
#include "base/str.h"

#define WIRE_VERSION 1

/* ---- writing ---- */

bool message_begin(struct buf *out, size_t *ret_at)
{
    *ret_at = out->len;
    return buf_append(out, "\0\0", 2) && buf_printf(out, "{\"v\":%d", WIRE_VERSION);
}

bool message_end(struct buf *out, size_t at, bool ok)
{
    if (!ok || !buf_append(out, "}", 1)) {
        out->len = at;
        return false;
    }
    size_t len = out->len - at - 2;
    CHECK(len > 0 && len <= WIRE_JSON_MAX);
    struct writer w = writer_of(out->data + at, 2);
    writer_uint(&w, 2, len);
    return true;
}

bool message_put_string(struct buf *out, const char *key, const char *value)
{
    return buf_printf(out, ",\"%s\":", key) && str_json(out, value, strlen(value));
}

/* ---- reading ---- */

/* Find the JSON of the message at the start of `data`. */
static enum wire_result find(const uint8_t *data, size_t len, struct cursor *ret, size_t *ret_used,
                             struct err *err)
{
    struct cursor c = cursor_of(data, len);
    uint16_t n;
    const uint8_t *json;
    if (!cursor_u16(&c, &n))
        return WIRE_MORE;
    if (n == 0 || n > WIRE_JSON_MAX) {
        err_set(err, "a message of %u bytes; it has 1 to %d (is the other side speaking %s?)", n,
                WIRE_JSON_MAX, WIRE_ALPN);
        return WIRE_BAD;
    }
    if (!cursor_bytes(&c, n, &json))
        return WIRE_MORE;
    *ret = cursor_of(json, n);
    *ret_used = 2 + (size_t)n;
    return WIRE_OK;
}

/* The errors quote nothing of what was sent: it could be long, secret, or meant for a terminal. */
static void explain_json(const json_error_t *why, struct err *err)
{
    switch (json_error_code(why)) {
    case json_error_duplicate_key:
        err_set(err, "a key stands twice in the JSON (byte %d)", why->position);
        break;
    case json_error_null_character:
    case json_error_null_byte_in_key:
        err_set(err, "a NUL in a string of the JSON (byte %d)", why->position);
        break;
    case json_error_out_of_memory:
        err_set(err, "out of memory");
        break;
    default:
        err_set(err, "not valid JSON (byte %d)", why->position);
        break;
    }
}

/* The JSON object of a message, of a version that we speak; NULL with `err` set. */
static json_t *load(const struct cursor *json, struct err *err)
{
    json_error_t why;
    json_t *o = json_loadb((const char *)json->p, cursor_left(json), JSON_REJECT_DUPLICATES, &why);
    if (o == NULL) {
        explain_json(&why, err);
        return NULL;
    }
    const json_t *v = json_object_get(o, "v");
    if (!json_is_object(o))
        err_set(err, "the JSON is not an object");
    else if (v == NULL)
        err_set(err, "\"v\", the version, is missing");
    else if (!json_is_integer(v))
        err_set(err, "\"v\", the version, is not an integer");
    else if (json_integer_value(v) != WIRE_VERSION)
        err_set(err, "version %lld of the tunnel protocol is not known here; this side speaks version %d",
                (long long)json_integer_value(v), WIRE_VERSION);
    else
        return o;
    json_decref(o);
    return NULL;
}

enum wire_result message_read(const uint8_t *data, size_t len, json_t **ret, size_t *ret_used,
                              struct err *err)
{
    struct cursor json;
    enum wire_result found = find(data, len, &json, ret_used, err);
    if (found != WIRE_OK)
        return found;
    CHECK(*ret_used <= len && *ret_used <= WIRE_MESSAGE_MAX);
    *ret = load(&json, err);
    return *ret != NULL ? WIRE_OK : WIRE_BAD;
}

int message_string(const json_t *o, const char *key, const char **ret, struct err *err)
{
    const json_t *value = json_object_get(o, key);
    *ret = json_string_value(value);
    if (value != NULL && *ret == NULL)
        return err_set(err, "\"%s\" is not a string", key);
    return 0;
}

int message_bool(const json_t *o, const char *key, bool *ret_there, bool *ret, struct err *err)
{
    const json_t *value = json_object_get(o, key);
    *ret_there = value != NULL;
    if (value == NULL)
        return 0;
    if (!json_is_boolean(value))
        return err_set(err, "\"%s\" is neither true nor false", key);
    *ret = json_is_true(value);
    return 0;
}

int message_name(const char *key, const char *text, char ret[HOST_MAX], struct err *err)
{
    if (str_host_name(text, strlen(text), ret, err) != 0)
        return err_prefix(err, "\"%s\" is not a name", key);
    return 0;
}

int message_id(const char *key, const char *text, char ret[OFFER_ID_TEXT], struct err *err)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    size_t len = strlen(text);
    if (len == 0 || len >= OFFER_ID_TEXT || strspn(text, alphabet) != len)
        return err_set(err, "\"%s\" holds no id: that has 1 to %d letters, digits, '-' and '_'", key,
                       OFFER_ID_TEXT - 1);
    str_copy(ret, OFFER_ID_TEXT, text, len);
    return 0;
}
