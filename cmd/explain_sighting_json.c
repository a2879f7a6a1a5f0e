/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/explain_sighting.h"

#include <jansson.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/str.h"
#include "hello/names.h"

/* What names a number, and leaves those without a name to `number`. */
typedef const char *name_of(uint16_t code, char number[HELLO_NUMBER_MAX]);

static void set_text(json_t *object, const char *key, const char *text)
{
    json_object_set_new(object, key, json_string(text));
}

static json_t *addr_json(const struct net_addr *a)
{
    char text[NET_ADDR_TEXT_MAX];
    return json_string(net_addr_format(a, text));
}

static void add_name(json_t *array, uint16_t code, name_of *name)
{
    char number[HELLO_NUMBER_MAX];
    if (!hello_is_grease(code))
        json_array_append_new(array, json_string(explain_version_word(name(code, number))));
}

static json_t *list_json(struct cursor list, name_of *name)
{
    json_t *array = json_array();
    for (uint16_t v; cursor_u16(&list, &v);)
        add_name(array, v, name);
    return array;
}

static json_t *protocol_json(struct str name)
{
    struct buf b = {0};
    explain_put_protocol(&b, name);
    json_t *text = json_string(buf_text(&b));
    buf_free(&b);
    return text;
}

static json_t *shares_json(struct cursor list)
{
    json_t *array = json_array();
    struct cursor key;
    for (uint16_t v; hello_next_key_share(&list, &v, &key);)
        add_name(array, v, hello_group_name);
    return array;
}

static void set_protocols(json_t *o, struct cursor list)
{
    json_t *array = json_array();
    for (struct str name; hello_next_protocol(&list, &name);)
        json_array_append_new(array, protocol_json(name));
    json_object_set_new(o, "alpn", array);
}

static void set_ech(json_t *o, const struct hello *h)
{
    char kdf[HELLO_NUMBER_MAX], aead[HELLO_NUMBER_MAX];
    if (h->ech == HELLO_ECH_INNER)
        set_text(o, "ech", "inner");
    if (h->ech == HELLO_ECH_OUTER)
        json_object_set_new(o, "ech",
                            json_pack("{s:i, s:s, s:s}", "config", h->ech_config_id, "kdf",
                                      hello_kdf_name(h->ech_kdf, kdf), "aead",
                                      hello_aead_name(h->ech_aead, aead)));
}

static void set_hello(json_t *o, const struct explain_sighting *s)
{
    const struct hello *h = s->seen->hello;
    uint16_t group = explain_pq_group(h);
    if (h->name_kind != HELLO_NAME_NONE)
        set_text(o, "sni", h->name);
    struct cursor own =
        cursor_of((const uint8_t[]){(uint8_t)(h->legacy_version >> 8), (uint8_t)h->legacy_version}, 2);
    json_object_set_new(o, "versions",
                        list_json(cursor_left(&h->versions) > 0 ? h->versions : own, hello_version_name));
    set_protocols(o, h->alpn);
    json_object_set_new(o, "ciphers", list_json(h->cipher_suites, hello_cipher_name));
    json_object_set_new(o, "groups", list_json(h->groups, hello_group_name));
    json_object_set_new(o, "key_shares", shares_json(h->key_shares));
    json_object_set_new(o, "signatures", list_json(h->signatures, hello_signature_name));
    json_object_set_new(o, "post_quantum", json_boolean(group != 0));
    json_object_set_new(o, "post_quantum_share", json_boolean(group != 0 && explain_has_share(h, group)));
    set_ech(o, h);
    json_object_set_new(o, "ticket", json_boolean(h->ticket));
    json_object_set_new(o, "pre_shared_key", json_boolean(h->pre_shared_key));
    json_object_set_new(o, "early_data", json_boolean(h->early_data));
    if (s->ja4[0] != '\0')
        set_text(o, "ja4", s->ja4);
    set_text(o, "ja3", s->ja3);
}

static void set_before(json_t *o, const struct sighting *seen)
{
    if (seen->proxy != 0) {
        json_t *proxy = json_pack("{s:i}", "version", seen->proxy);
        json_object_set_new(proxy, "client", addr_json(&seen->proxy_from));
        json_object_set_new(proxy, "server", addr_json(&seen->proxy_to));
        json_object_set_new(o, "proxy", proxy);
    }
    if (seen->postgres)
        set_text(o, "starttls", "postgresql");
    if (seen->plain > 0)
        json_object_set_new(o, "plain_bytes", json_integer((json_int_t)seen->plain));
    if (seen->quic_retried)
        json_object_set_new(o, "quic_retry", json_true());
}

static json_t *answer_json(const struct sighting *seen)
{
    char number[HELLO_NUMBER_MAX];
    const struct reply *a = seen->answer;
    json_t *o = json_object();
    if (a->retry)
        json_object_set_new(o, "hello_retry", json_true());
    if (a->retry && a->retry_group != 0)
        set_text(o, "hello_retry_group", hello_group_name(a->retry_group, number));
    if (a->kind == REPLY_ALERT)
        set_text(o, "alert", hello_alert_name(a->alert, number));
    if (a->kind == REPLY_CLOSE)
        json_object_set_new(o, "quic_error", json_integer((json_int_t)a->code));
    if (a->kind != REPLY_HELLO)
        return o;
    set_text(o, "version", explain_version_word(hello_version_name(a->version, number)));
    set_text(o, "cipher", hello_cipher_name(a->cipher, number));
    if (a->group != 0)
        set_text(o, "group", hello_group_name(a->group, number));
    if (a->alpn[0] != '\0')
        json_object_set_new(o, "alpn", protocol_json((struct str){a->alpn, strlen(a->alpn)}));
    json_object_set_new(o, "resumed", json_boolean(seen->resumed));
    return o;
}

static json_t *verdicts_json(const struct explain_sighting *s)
{
    json_t *array = json_array();
    for (size_t i = 0; i < s->woulds->count; i++) {
        json_t *o = json_object();
        set_text(o, "floor", s->woulds->text[i]);
        if (s->verdict[i] != WOULD_UNKNOWN)
            json_object_set_new(o, "breaks", json_boolean(would_breaks(s->verdict[i])));
        if (would_breaks(s->verdict[i]))
            set_text(o, "why", would_text(&s->woulds->v[i], s->verdict[i]));
        json_array_append_new(array, o);
    }
    return array;
}

static void set_fault(json_t *o, const struct sighting *seen)
{
    if (seen->complete) {
        set_text(o, "malformed", hello_reason_text(seen->reason));
        return;
    }
    json_object_set_new(o, "have_bytes", json_integer((json_int_t)seen->have));
    if (seen->wanted > 0)
        json_object_set_new(o, "want_bytes", json_integer((json_int_t)seen->wanted));
}

void explain_sighting_json(const struct explain_sighting *s)
{
    char time[CLOCK_TEXT_MAX];
    const struct sighting *seen = s->seen;
    json_t *o = json_object();
    set_text(o, "time", clock_format(seen->time, time));
    json_object_set_new(o, "frame", json_integer((json_int_t)seen->frame));
    json_object_set_new(o, "client", addr_json(&seen->client));
    json_object_set_new(o, "server", addr_json(&seen->server));
    set_text(o, "transport", seen->quic ? "quic" : "tcp");
    if (seen->quic)
        set_text(o, "quic_version", seen->quic_version == 1 ? "1" : "2");
    set_before(o, seen);
    json_object_set_new(o, "complete", json_boolean(seen->complete));
    if (seen->hello != NULL)
        set_hello(o, s);
    else
        set_fault(o, seen);
    json_object_set_new(o, "answer", answer_json(seen));
    if (s->woulds->count > 0)
        json_object_set_new(o, "would", verdicts_json(s));
    json_dumpf(o, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
    putchar('\n');
    json_decref(o);
}
