/* SPDX-License-Identifier: Apache-2.0 */
#include "tunnel/agent_wire.h"

#include <string.h>

#include "base/check.h"
#include "base/clean.h"
#include "tunnel/wire.h"

/* ---- the control stream ---- */

/* Cleaned, no byte of it takes more than three in JSON, so the message cannot outgrow WIRE_JSON_MAX. */
static bool put_known(struct buf *out, const char *key, const char *text)
{
    char clean[MAX(WIRE_IDENTITY_MAX, WIRE_WITHDRAWN_MAX)];
    str_clean(clean, sizeof(clean), text);
    return clean[0] == '\0' || message_put_string(out, key, clean);
}

static bool put_spares(const struct wire_control *control, struct buf *out)
{
    CHECK(control->spares <= OFFER_IDS_MAX);
    bool ok = buf_printf(out, ",\"spares\":[");
    for (size_t i = 0; ok && i < control->spares; i++)
        ok = buf_printf(out, "%s\"%s\"", i > 0 ? "," : "", control->spare[i]);
    return ok && buf_append(out, "]", 1);
}

static bool put_uncertified(const struct wire_control *control, struct buf *out)
{
    return message_put_string(out, "uncertified", front_code(control->uncertified)) &&
           put_known(out, "text", control->why) && buf_printf(out, ",\"again\":%u", control->again);
}

/* How many bytes follow the message. */
static bool put_length(struct buf *out, const char *key, struct str bytes)
{
    return bytes.len == 0 || buf_printf(out, ",\"%s\":%zu", key, bytes.len);
}

bool wire_encode_control(const struct wire_control *control, struct buf *out)
{
    size_t at, before = out->len;
    CHECK(control->csr.len <= WIRE_CSR_MAX && control->chain.len <= WIRE_CHAIN_MAX);
    CHECK(control->csr.len == 0 || control->chain.len == 0);
    bool ok = message_begin(out, &at) && put_length(out, "csr", control->csr) &&
              put_length(out, "chain", control->chain);
    if (control->says_ready)
        ok = ok && buf_printf(out, ",\"ready\":%s", control->ready ? "true" : "false");
    if (control->drain)
        ok = ok && buf_printf(out, ",\"drain\":true");
    if (control->down != FRONT_OK)
        ok = ok && message_put_string(out, "down", front_code(control->down));
    if (control->withdrawn[0] != '\0')
        ok = ok && put_known(out, "withdrawn", control->withdrawn);
    if (control->says_fellows)
        ok = ok && buf_printf(out, ",\"fellows\":%u", control->fellows) &&
             put_known(out, "fellow", control->fellow);
    if (control->spares > 0)
        ok = ok && put_spares(control, out);
    if (control->uncertified != FRONT_OK)
        ok = ok && put_uncertified(control, out);
    if (!message_end(out, at, ok))
        return false;
    ok = buf_append(out, control->csr.p, control->csr.len) &&
         buf_append(out, control->chain.p, control->chain.len);
    if (!ok)
        out->len = before;
    return ok;
}

static int read_spares(const json_t *spares, struct wire_control *ret, struct err *err)
{
    if (!json_is_array(spares))
        return err_set(err, "\"spares\" is not a list");
    size_t n = json_array_size(spares);
    if (n > OFFER_IDS_MAX)
        return err_set(err, "\"spares\" holds %zu ids; at most %d are taken", n, OFFER_IDS_MAX);
    for (size_t i = 0; i < n; i++) {
        const char *id = json_string_value(json_array_get(spares, i));
        if (id == NULL)
            return err_set(err, "\"spares\" holds something that is not a string");
        if (message_id("spares", id, ret->spare[i], err) < 0)
            return -1;
    }
    ret->spares = n;
    return 0;
}

static int read_identity(const json_t *o, const char *key, char ret[WIRE_IDENTITY_MAX], struct err *err)
{
    const char *text;
    if (message_string(o, key, &text, err) < 0)
        return -1;
    bool fits = text != NULL && strlen(text) < WIRE_IDENTITY_MAX;
    str_clean(ret, WIRE_IDENTITY_MAX, fits ? text : "");
    return 0;
}

static int read_fellows(const json_t *o, struct wire_control *ret, struct err *err)
{
    const json_t *fellows = json_object_get(o, "fellows");
    json_int_t n = json_integer_value(fellows);
    ret->says_fellows = fellows != NULL;
    if (fellows != NULL && (!json_is_integer(fellows) || n < 0 || n > OFFER_FELLOWS_MAX))
        return err_set(err, "\"fellows\" is not a number from 0 to %d", OFFER_FELLOWS_MAX);
    ret->fellows = (uint32_t)n;
    return read_identity(o, "fellow", ret->fellow, err);
}

/* A length in bytes that may be absent (0). */
static int read_length(const json_t *o, const char *key, json_int_t most, size_t *ret, struct err *err)
{
    const json_t *length = json_object_get(o, key);
    json_int_t n = json_integer_value(length);
    if (length != NULL && (!json_is_integer(length) || n < 1 || n > most))
        return err_set(err, "\"%s\" is not a number of bytes from 1 to %lld", key, (long long)most);
    *ret = (size_t)n;
    return 0;
}

static int read_uncertified(const json_t *o, struct wire_control *ret, struct err *err)
{
    const char *code, *text;
    const json_t *again = json_object_get(o, "again");
    json_int_t n = json_integer_value(again);
    if (message_string(o, "uncertified", &code, err) < 0 || message_string(o, "text", &text, err) < 0)
        return -1;
    if (code == NULL)
        return 0;
    if (again != NULL && (!json_is_integer(again) || n < 0 || n > WIRE_AGAIN_MAX))
        return err_set(err, "\"again\" is not a number of seconds from 0 to %d", WIRE_AGAIN_MAX);
    ret->again = (uint32_t)n;
    ret->uncertified = strcmp(code, front_code(FRONT_OK)) != 0 ? wire_outcome(code) : FRONT_UNREACHABLE;
    str_clean(ret->why, sizeof(ret->why), text != NULL && text[0] != '\0' ? text : "it does not say why");
    return 0;
}

/* What is to follow the message. */
static int read_lengths(const json_t *o, struct wire_control *ret, struct err *err)
{
    if (read_length(o, "csr", WIRE_CSR_MAX, &ret->csr.len, err) < 0 ||
        read_length(o, "chain", WIRE_CHAIN_MAX, &ret->chain.len, err) < 0)
        return -1;
    if (ret->csr.len > 0 && ret->chain.len > 0)
        return err_set(err, "\"csr\" and \"chain\" in one message");
    return 0;
}

/* "withdrawn" says something even where its text is empty. */
static int read_control(const json_t *o, struct wire_control *ret, struct err *err)
{
    bool there;
    const char *down, *withdrawn;
    *ret = (struct wire_control){0};
    if (message_bool(o, "ready", &ret->says_ready, &ret->ready, err) < 0 ||
        message_bool(o, "drain", &there, &ret->drain, err) < 0 || message_string(o, "down", &down, err) < 0 ||
        message_string(o, "withdrawn", &withdrawn, err) < 0 || read_fellows(o, ret, err) < 0 ||
        read_uncertified(o, ret, err) < 0 || read_lengths(o, ret, err) < 0)
        return -1;
    if (ret->says_ready && !ret->ready && down != NULL)
        ret->down = wire_outcome(down);
    if (withdrawn != NULL)
        str_clean(ret->withdrawn, sizeof(ret->withdrawn),
                  withdrawn[0] != '\0' ? withdrawn : "it may not be offered any more");
    const json_t *spares = json_object_get(o, "spares");
    return spares != NULL ? read_spares(spares, ret, err) : 0;
}

static enum wire_result take_bytes(const uint8_t *data, size_t len, struct wire_control *ret,
                                   size_t *ret_used)
{
    struct str *bytes = ret->csr.len > 0 ? &ret->csr : &ret->chain;
    if (len - *ret_used < bytes->len)
        return WIRE_MORE;
    bytes->p = (const char *)data + *ret_used;
    *ret_used += bytes->len;
    return WIRE_OK;
}

enum wire_result wire_parse_control(const uint8_t *data, size_t len, struct wire_control *ret,
                                    size_t *ret_used, struct err *err)
{
    json_t *o;
    enum wire_result r = message_read(data, len, &o, ret_used, err);
    if (r != WIRE_OK)
        return r;
    r = read_control(o, ret, err) < 0 ? WIRE_BAD : WIRE_OK;
    json_decref(o);
    return r == WIRE_OK ? take_bytes(data, len, ret, ret_used) : r;
}

/* ---- a visitor's stream ---- */

static bool put_addr(struct buf *out, const char *key, const struct net_addr *addr)
{
    char text[NET_ADDR_TEXT_MAX];
    if (addr->family != AF_INET && addr->family != AF_INET6)
        return true;
    return message_put_string(out, key, net_addr_format(addr, text));
}

bool wire_encode_visit(const struct wire_visit *visit, struct buf *out)
{
    CHECK(strnlen(visit->name, HOST_MAX) < HOST_MAX);
    size_t at;
    bool ok = message_begin(out, &at) && message_put_string(out, "visit", visit->name) &&
              put_addr(out, "peer", &visit->peer) && put_addr(out, "local", &visit->local) &&
              put_known(out, "identity", visit->identity) && put_known(out, "sni", visit->sni) &&
              put_known(out, "alpn", visit->alpn) &&
              message_put_string(out, "proto", visit->udp ? "udp" : "tcp") &&
              (!visit->datagrams || buf_printf(out, ",\"datagrams\":true"));
    return message_end(out, at, ok);
}

static int read_addr(const json_t *o, const char *key, struct net_addr *ret, struct err *err)
{
    const char *text;
    char host[HOST_MAX];
    uint16_t port;
    if (message_string(o, key, &text, err) < 0)
        return -1;
    if (text == NULL)
        return 0;
    if (str_host_port(text, strlen(text), host, &port, err) < 0)
        return err_prefix(err, "\"%s\" is not ADDRESS:PORT", key);
    if (!net_addr_parse(host, port, ret))
        return err_set(err, "\"%s\" is not ADDRESS:PORT: there is a name", key);
    return 0;
}

static int read_text(const json_t *o, const char *key, char *ret, size_t cap, struct err *err)
{
    const char *text;
    if (message_string(o, key, &text, err) < 0)
        return -1;
    str_clean(ret, cap, text != NULL ? text : "");
    return 0;
}

static int read_visit(const json_t *o, struct wire_visit *ret, struct err *err)
{
    const char *name, *proto;
    bool there;
    *ret = (struct wire_visit){0};
    if (message_string(o, "visit", &name, err) < 0 || message_string(o, "proto", &proto, err) < 0 ||
        message_bool(o, "datagrams", &there, &ret->datagrams, err) < 0)
        return -1;
    if (name == NULL)
        return err_set(err, "\"visit\" is missing");
    ret->udp = proto != NULL && strcmp(proto, "udp") == 0;
    if (proto != NULL && !ret->udp && strcmp(proto, "tcp") != 0)
        return err_set(err, "\"proto\" is neither \"tcp\" nor \"udp\"");
    if (message_name("visit", name, ret->name, err) < 0 || read_addr(o, "peer", &ret->peer, err) < 0 ||
        read_addr(o, "local", &ret->local, err) < 0 || read_identity(o, "identity", ret->identity, err) < 0 ||
        read_text(o, "sni", ret->sni, sizeof(ret->sni), err) < 0)
        return -1;
    return read_text(o, "alpn", ret->alpn, sizeof(ret->alpn), err);
}

enum wire_result wire_parse_visit(const uint8_t *data, size_t len, struct wire_visit *ret, size_t *ret_used,
                                  struct err *err)
{
    json_t *o;
    enum wire_result r = message_read(data, len, &o, ret_used, err);
    if (r != WIRE_OK)
        return r;
    r = read_visit(o, ret, err) < 0 ? WIRE_BAD : WIRE_OK;
    json_decref(o);
    return r;
}

/* ---- what is said to the agent of a visitor ---- */

/* What does not fit is cut. */
static void put_text(char *to, size_t cap, const char *p, size_t len)
{
    str_copy(to, cap, p, MIN(len, cap - 1));
}

bool wire_greet_agent(const struct front_visit *visit, struct buf *out)
{
    struct wire_visit v = {
        .peer = visit->peer, .local = visit->local, .udp = visit->udp, .datagrams = visit->udp};
    put_text(v.name, sizeof(v.name), visit->name, strlen(visit->name));
    if (visit->identity != NULL && strlen(visit->identity) < sizeof(v.identity))
        put_text(v.identity, sizeof(v.identity), visit->identity, strlen(visit->identity));
    put_text(v.sni, sizeof(v.sni), visit->sni.p == NULL ? "" : visit->sni.p, visit->sni.len);
    put_text(v.alpn, sizeof(v.alpn), visit->alpn.p == NULL ? "" : visit->alpn.p, visit->alpn.len);
    return wire_encode_visit(&v, out);
}

enum front_result wire_agent_greeted(const uint8_t *data, size_t len, struct front_greeted *ret,
                                     struct err *err)
{
    struct wire_answer answer;
    switch (wire_parse_answer(data, len, &answer, &ret->used, err)) {
    case WIRE_MORE:
        return FRONT_MORE;
    case WIRE_BAD:
        err_prefix(err, "the agent's answer cannot be read");
        return FRONT_BAD;
    case WIRE_OK:
        break;
    }
    ret->outcome = answer.outcome;
    put_text(ret->text, sizeof(ret->text), answer.text, strlen(answer.text));
    return FRONT_TARGET;
}
