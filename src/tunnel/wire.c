/* SPDX-License-Identifier: Apache-2.0 */
#include "tunnel/wire.h"

#include <jansson.h>
#include <string.h>

#include "base/check.h"
#include "base/clean.h"
#include "base/cursor.h"
#include "base/str.h"

#define WIRE_VERSION 1

static const char *const codes[FRONT_OUTCOMES] = {
#define OUTCOME(name, code, status, phrase, type, text) code,
#include "tables/outcomes.def"
#undef OUTCOME
};

static const char *const texts[FRONT_OUTCOMES] = {
#define OUTCOME(name, code, status, phrase, type, text) text,
#include "tables/outcomes.def"
#undef OUTCOME
};

/* ---- writing ---- */

/* Leave room for the length of a message; *ret_at is where. */
static bool message_begin(struct buf *out, size_t *ret_at)
{
    *ret_at = out->len;
    return buf_append(out, "\0\0", 2);
}

/* Fill in the length; or take the message back where it did not fit. */
static bool message_end(struct buf *out, size_t at, bool ok)
{
    if (!ok) {
        out->len = at;
        return false;
    }
    size_t len = out->len - at - 2;
    CHECK(len > 0 && len <= WIRE_JSON_MAX);
    struct writer w = writer_of(out->data + at, 2);
    writer_uint(&w, 2, len);
    return true;
}

bool wire_encode_hello(const struct front_target *target, bool datagrams, struct buf *out)
{
    CHECK(strnlen(target->host, HOST_MAX) < HOST_MAX);
    struct buf name = {0};
    size_t at;
    bool ok = message_begin(out, &at) && str_host_port_put(&name, target->host, target->port) &&
              buf_printf(out, "{\"v\":%d,\"target\":", WIRE_VERSION) &&
              str_json(out, (const char *)name.data, name.len) &&
              buf_printf(out, ",\"proto\":\"%s\"%s}", target->udp ? "udp" : "tcp",
                         datagrams ? ",\"datagrams\":true" : "");
    buf_free(&name);
    return message_end(out, at, ok);
}

static bool put_string(struct buf *out, const char *key, const char *value)
{
    return buf_printf(out, ",\"%s\":", key) && str_json(out, value, strlen(value));
}

static bool encode_answer(const struct front_answer *answer, struct buf *out)
{
    CHECK(answer->outcome < FRONT_OUTCOMES);
    bool yes = answer->outcome == FRONT_OK;
    /* Cut to what a client takes; so the message cannot outgrow WIRE_JSON_MAX, whatever the escaping adds. */
    char rule[WIRE_RULE_MAX] = "", text[WIRE_TEXT_MAX];
    if (answer->outcome == FRONT_DENIED && answer->rule != NULL)
        str_clean(rule, sizeof(rule), answer->rule);
    str_clean(text, sizeof(text), answer->text != NULL ? answer->text : texts[answer->outcome]);

    size_t at;
    bool ok = message_begin(out, &at) &&
              buf_printf(out, "{\"v\":%d,\"ok\":%s", WIRE_VERSION, yes ? "true" : "false");
    if (!yes)
        ok = ok && put_string(out, "code", codes[answer->outcome]) &&
             (rule[0] == '\0' || put_string(out, "rule", rule)) && put_string(out, "text", text);
    else if (answer->datagrams)
        ok = ok && buf_printf(out, ",\"datagrams\":true");
    ok = ok && buf_append(out, "}", 1);
    return message_end(out, at, ok);
}

/* ---- reading ---- */

/* Find the JSON of the message at the start of `data`. */
static enum wire_result message_find(const uint8_t *data, size_t len, struct cursor *ret, size_t *ret_used,
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

/* The JSON object of a message, of a version that we speak; NULL with `err` set. Keys that we do not know are
 * let be, so that later versions may add some. The caller gives it to json_decref(). */
static json_t *message_load(const struct cursor *json, struct err *err)
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

/* A string that may be absent (then *ret is NULL); -1 where it is something else. The text is borrowed from
 * `o`. */
static int get_string(const json_t *o, const char *key, const char **ret, struct err *err)
{
    const json_t *value = json_object_get(o, key);
    *ret = json_string_value(value);
    if (value != NULL && *ret == NULL)
        return err_set(err, "\"%s\" is not a string", key);
    return 0;
}

/* A yes or no that may be absent, which is no; -1 where it is something else. */
static int get_flag(const json_t *o, const char *key, bool *ret, struct err *err)
{
    const json_t *value = json_object_get(o, key);
    *ret = json_is_true(value);
    if (value != NULL && !json_is_boolean(value))
        return err_set(err, "\"%s\" is neither true nor false", key);
    return 0;
}

static int read_target(const json_t *o, struct front_target *ret, struct err *err)
{
    const char *target, *proto;
    if (get_string(o, "target", &target, err) < 0 || get_string(o, "proto", &proto, err) < 0)
        return -1;
    if (target == NULL)
        return err_set(err, "\"target\" is missing");
    ret->udp = proto != NULL && strcmp(proto, "udp") == 0;
    if (proto != NULL && !ret->udp && strcmp(proto, "tcp") != 0)
        return err_set(err, "\"proto\" is neither \"tcp\" nor \"udp\"");
    if (str_host_port(target, strlen(target), ret->host, &ret->port, err) < 0)
        return err_prefix(err, "\"target\" is not HOST:PORT");
    return 0;
}

static enum front_result ask(const uint8_t *data, size_t len, struct front_request *ret, struct err *err)
{
    struct cursor json;
    ret->bad = FRONT_BAD_HELLO;
    switch (message_find(data, len, &json, &ret->used, err)) {
    case WIRE_MORE:
        return FRONT_MORE;
    case WIRE_BAD:
        return FRONT_BAD;
    case WIRE_OK:
        break;
    }
    CHECK(ret->used <= len && ret->used <= WIRE_MESSAGE_MAX);
    json_t *o = message_load(&json, err);
    int r = o != NULL ? read_target(o, &ret->target, err) : -1;
    if (r == 0)
        r = get_flag(o, "datagrams", &ret->datagrams, err);
    json_decref(o);
    return r < 0 ? FRONT_BAD : FRONT_TARGET;
}

const struct front front_cardea = {
    .name = WIRE_ALPN,
    .max = WIRE_MESSAGE_MAX,
    .over_quic = true,
    .ask = ask,
    .answer = encode_answer,
};

static enum front_outcome outcome_of(const char *code)
{
    for (unsigned i = FRONT_OK + 1; i < FRONT_OUTCOMES; i++)
        if (strcmp(codes[i], code) == 0)
            return (enum front_outcome)i;
    return FRONT_UNREACHABLE;
}

static int read_answer(const json_t *o, struct wire_answer *ret, struct err *err)
{
    const json_t *ok = json_object_get(o, "ok");
    const char *code, *rule, *text;
    if (!json_is_boolean(ok))
        return err_set(err, "\"ok\" is %s", ok == NULL ? "missing" : "neither true nor false");
    if (get_string(o, "code", &code, err) < 0 || get_string(o, "rule", &rule, err) < 0 ||
        get_string(o, "text", &text, err) < 0 || get_flag(o, "datagrams", &ret->datagrams, err) < 0)
        return -1;
    if (json_is_true(ok))
        code = codes[FRONT_OK];
    else if (code == NULL)
        return err_set(err, "\"code\" is missing");
    ret->outcome = json_is_true(ok) ? FRONT_OK : outcome_of(code);
    if (text == NULL || text[0] == '\0')
        text = texts[ret->outcome];
    str_clean(ret->code, sizeof(ret->code), code);
    str_clean(ret->rule, sizeof(ret->rule), rule != NULL ? rule : "");
    str_clean(ret->text, sizeof(ret->text), text);
    return 0;
}

enum wire_result wire_parse_answer(const uint8_t *data, size_t len, struct wire_answer *ret, size_t *ret_used,
                                   struct err *err)
{
    struct cursor json;
    enum wire_result found = message_find(data, len, &json, ret_used, err);
    if (found != WIRE_OK)
        return found;
    CHECK(*ret_used <= len && *ret_used <= WIRE_MESSAGE_MAX);
    json_t *o = message_load(&json, err);
    int r = o != NULL ? read_answer(o, ret, err) : -1;
    json_decref(o);
    return r < 0 ? WIRE_BAD : WIRE_OK;
}
