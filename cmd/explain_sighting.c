/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/explain_sighting.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/str.h"
#include "base/tls_group.h"
#include "cmd/table.h"
#include "hello/names.h"
#include "tls/digest.h"

#define NAMES_SHOWN 6   /* of a list, to people; JSON has all */
#define GROUPS_SHOWN 16 /* each is looked for among the key shares */
#define TLS_1_3 0x0304

/* What names a number, and leaves those without a name to `number`. */
typedef const char *name_of(uint16_t code, char number[HELLO_NUMBER_MAX]);

struct explain_sighting explain_sighting_of(const struct sighting *seen, const struct explain_woulds *woulds)
{
    struct explain_sighting s = {.seen = seen, .woulds = woulds};
    for (size_t i = 0; i < woulds->count; i++)
        s.verdict[i] = WOULD_UNKNOWN;
    if (seen->hello == NULL)
        return s;
    struct would_offer offer = would_offer_of(seen->hello);
    ja3_compute(seen->hello, tls_md5, s.ja3);
    ja4_compute(seen->hello, seen->quic ? JA4_QUIC : JA4_TCP, tls_sha256, s.ja4);
    for (size_t i = 0; i < woulds->count; i++)
        s.verdict[i] = would_judge(&woulds->v[i], &offer);
    return s;
}

void explain_put_protocol(struct buf *b, struct str name)
{
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = (uint8_t)name.p[i];
        if (c > ' ' && c < 0x7f && c != '\\')
            buf_append(b, &c, 1);
        else
            buf_printf(b, "\\x%02x", c);
    }
}

const char *explain_version_word(const char *name)
{
    return strncmp(name, "TLS ", 4) == 0 ? name + 4 : name;
}

/* For people ----------------------------------------------------------------------------------------- */

static void row(struct table *t, const char *label, struct buf *value)
{
    table_add(t, "  %s", label);
    table_add(t, "%s", value->len > 0 ? buf_text(value) : "-");
    buf_free(value);
}

/* "31: A, B, C and 28 more". */
static struct buf list_text(struct cursor list, name_of *name)
{
    char number[HELLO_NUMBER_MAX];
    struct buf b = {0}, names = {0};
    size_t count = 0;
    for (uint16_t v; cursor_u16(&list, &v);) {
        if (hello_is_grease(v))
            continue;
        if (count++ < NAMES_SHOWN)
            buf_printf(&names, "%s%s", names.len > 0 ? ", " : "", name(v, number));
    }
    if (count > 0)
        buf_printf(&b, "%zu: %s", count, buf_text(&names));
    if (count > NAMES_SHOWN)
        buf_printf(&b, " and %zu more", count - NAMES_SHOWN);
    buf_free(&names);
    return b;
}

static struct buf versions_text(const struct hello *h)
{
    char number[HELLO_NUMBER_MAX];
    struct cursor list = h->versions;
    struct buf b = {0};
    if (cursor_left(&list) == 0)
        buf_printf(&b, "%s at most", hello_version_name(h->version, number));
    for (uint16_t v; cursor_u16(&list, &v);)
        if (!hello_is_grease(v))
            buf_printf(&b, "%s%s", b.len > 0 ? ", " : "", hello_version_name(v, number));
    return b;
}

static struct buf protocols_text(const struct hello *h)
{
    struct cursor list = h->alpn;
    struct buf b = {0};
    for (struct str name; hello_next_protocol(&list, &name);) {
        if (b.len > 0)
            buf_append(&b, ", ", 2);
        explain_put_protocol(&b, name);
    }
    return b;
}

bool explain_has_share(const struct hello *h, uint16_t group)
{
    struct cursor list = h->key_shares, key;
    for (uint16_t v; hello_next_key_share(&list, &v, &key);)
        if (v == group)
            return true;
    return false;
}

/* With a mark at those that a key share is sent of. */
static struct buf groups_text(const struct hello *h)
{
    char number[HELLO_NUMBER_MAX];
    struct cursor list = h->groups;
    struct buf b = {0};
    size_t count = 0;
    bool shared = false;
    for (uint16_t v; cursor_u16(&list, &v);) {
        if (hello_is_grease(v) || count++ >= GROUPS_SHOWN)
            continue;
        bool share = explain_has_share(h, v);
        shared = shared || share;
        buf_printf(&b, "%s%s%s", b.len > 0 ? ", " : "", hello_group_name(v, number), share ? "*" : "");
    }
    if (count > GROUPS_SHOWN)
        buf_printf(&b, " and %zu more", count - GROUPS_SHOWN);
    if (shared)
        buf_printf(&b, "  (*: with a key share)");
    return b;
}

uint16_t explain_pq_group(const struct hello *h)
{
    struct cursor list = h->groups;
    for (uint16_t v; cursor_u16(&list, &v);)
        if (tls_group_is_hybrid(v))
            return v;
    return 0;
}

static void put_pq(struct table *t, const struct hello *h)
{
    char number[HELLO_NUMBER_MAX];
    struct buf b = {0};
    uint16_t group = explain_pq_group(h);
    if (group == 0)
        buf_printf(&b, "no");
    else
        buf_printf(&b, "%s, %s", hello_group_name(group, number),
                   explain_has_share(h, group) ? "with a key share" : "without a key share");
    row(t, "post-quantum", &b);
    table_paint(t, group != 0 ? TABLE_GREEN : TABLE_YELLOW);
}

static void put_ech(struct table *t, const struct hello *h)
{
    char kdf[HELLO_NUMBER_MAX], aead[HELLO_NUMBER_MAX];
    struct buf b = {0};
    if (h->ech == HELLO_ECH_NONE)
        return;
    if (h->ech == HELLO_ECH_INNER)
        buf_printf(&b, "the decrypted hello");
    else
        buf_printf(&b, "offered, or pretended to be (GREASE): configuration %u, %s, %s", h->ech_config_id,
                   hello_kdf_name(h->ech_kdf, kdf), hello_aead_name(h->ech_aead, aead));
    row(t, "ECH", &b);
}

static void put_resumption(struct table *t, const struct hello *h)
{
    struct buf b = {0};
    if (!h->ticket && !h->pre_shared_key && !h->early_data)
        return;
    buf_printf(&b, "asks to resume by %s%s",
               h->pre_shared_key ? "a pre-shared key (TLS 1.3)" : "a ticket (TLS 1.2)",
               h->early_data ? ", sends early data" : "");
    row(t, "session", &b);
}

static void put_hello(struct table *t, const struct explain_sighting *s)
{
    const struct hello *h = s->seen->hello;
    struct buf name = {0}, ja4 = {0}, ja3 = {0};
    buf_printf(&name, "%s", h->name_kind == HELLO_NAME_ADDRESS ? "an IP address" : h->name);
    row(t, "server name", &name);
    struct buf versions = versions_text(h), protocols = protocols_text(h), groups = groups_text(h);
    row(t, "versions", &versions);
    row(t, "protocols", &protocols);
    put_pq(t, h);
    row(t, "groups", &groups);
    struct buf ciphers = list_text(h->cipher_suites, hello_cipher_name);
    struct buf signatures = list_text(h->signatures, hello_signature_name);
    row(t, "cipher suites", &ciphers);
    row(t, "signatures", &signatures);
    put_ech(t, h);
    put_resumption(t, h);
    buf_printf(&ja4, "%s", s->ja4);
    buf_printf(&ja3, "%s", s->ja3);
    row(t, "JA4", &ja4);
    row(t, "JA3", &ja3);
}

/* What came before it on the same connection. */
static void put_before(struct table *t, const struct sighting *seen)
{
    char from[NET_ADDR_TEXT_MAX];
    struct buf b = {0};
    if (seen->proxy != 0)
        buf_printf(&b, "PROXY header v%u for %s", seen->proxy, net_addr_format(&seen->proxy_from, from));
    if (seen->postgres)
        buf_printf(&b, "%sSSLRequest of PostgreSQL", b.len > 0 ? ", " : "");
    if (seen->plain > 0)
        buf_printf(&b, "%s%" PRIu64 " bytes of plain text", b.len > 0 ? ", " : "", seen->plain);
    if (seen->quic_retried)
        buf_printf(&b, "%sRetry", b.len > 0 ? ", " : "");
    if (b.len > 0)
        row(t, "before it", &b);
}

static struct buf answer_text(const struct sighting *seen)
{
    char version[HELLO_NUMBER_MAX], cipher[HELLO_NUMBER_MAX], group[HELLO_NUMBER_MAX];
    const struct reply *a = seen->answer;
    struct buf b = {0};
    if (a->kind == REPLY_NONE)
        buf_printf(&b, a->retry ? "asks for another hello" : "not in the capture");
    if (a->kind == REPLY_ALERT)
        buf_printf(&b, "refuses: %s", hello_alert_name(a->alert, version));
    if (a->kind == REPLY_CLOSE)
        buf_printf(&b, "refuses: QUIC error 0x%" PRIx64, a->code);
    if (a->kind == REPLY_HELLO)
        buf_printf(&b, "%s, %s%s%s", hello_version_name(a->version, version),
                   hello_cipher_name(a->cipher, cipher), a->group != 0 ? ", " : "",
                   a->group != 0 ? hello_group_name(a->group, group) : "");
    if (a->alpn[0] != '\0') {
        buf_printf(&b, ", ");
        explain_put_protocol(&b, (struct str){a->alpn, strlen(a->alpn)});
    }
    if (seen->resumed)
        buf_printf(&b, ", resumed");
    if (a->retry && a->retry_group != 0)
        buf_printf(&b, "; HelloRetryRequest for %s", hello_group_name(a->retry_group, group));
    else if (a->retry)
        buf_printf(&b, "; HelloRetryRequest");
    return b;
}

static void put_answer(struct table *t, const struct sighting *seen)
{
    enum reply_kind kind = seen->answer->kind;
    struct buf b = answer_text(seen);
    row(t, "server", &b);
    if (kind == REPLY_ALERT || kind == REPLY_CLOSE)
        table_paint(t, TABLE_RED);
}

static void put_fault(struct table *t, const struct sighting *seen)
{
    struct buf b = {0};
    if (seen->complete)
        buf_printf(&b, "malformed: %s", hello_reason_text(seen->reason));
    else if (seen->wanted > 0)
        buf_printf(&b, "incomplete: %zu of %zu bytes were captured", seen->have, seen->wanted);
    else
        buf_printf(&b, "incomplete: cut off in its first bytes");
    row(t, "hello", &b);
    table_paint(t, TABLE_RED);
}

static void put_verdicts(struct table *t, const struct explain_sighting *s)
{
    for (size_t i = 0; i < s->woulds->count; i++) {
        if (!would_breaks(s->verdict[i]))
            continue;
        struct buf b = {0};
        buf_printf(&b, "at %s: %s", s->woulds->text[i], would_text(&s->woulds->v[i], s->verdict[i]));
        row(t, "would break", &b);
        table_paint(t, TABLE_RED);
    }
}

void explain_sighting_text(const struct explain_sighting *s)
{
    char time[CLOCK_TEXT_MAX], client[NET_ADDR_TEXT_MAX], server[NET_ADDR_TEXT_MAX];
    const struct sighting *seen = s->seen;
    struct table t = {.columns = 2};
    table_add(&t, "%s", clock_format(seen->time, time));
    table_add(&t, "%s > %s over %s%s", net_addr_format(&seen->client, client),
              net_addr_format(&seen->server, server), seen->quic ? "QUIC" : "TCP",
              seen->quic && seen->quic_version != 1 ? " version 2" : "");
    put_before(&t, seen);
    if (seen->hello != NULL)
        put_hello(&t, s);
    else
        put_fault(&t, seen);
    put_answer(&t, seen);
    put_verdicts(&t, s);
    table_end(&t, stdout);
}
