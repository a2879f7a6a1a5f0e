/* SPDX-License-Identifier: Apache-2.0 */
#include "session/hand_on.h"

#include <string.h>

#include "audit/record.h"
#include "base/tls_version.h"
#include "base/utf8.h"
#include "cert/cert.h"
#include "cert/identity.h"
#include "cert/leaf.h"
#include "net/proxy_protocol.h"
#include "net/socket.h"
#include "session/session_internal.h"

void hand_on_client(const struct session *s, struct hand_on_client *ret)
{
    const struct hello_note *hello = &s->setup->hello;
    int fd = link_socket(link_bottom(s->down));
    *ret = (struct hand_on_client){
        .id = s->id,
        .peer = s->peer,
        .local = s->setup->local,
        .sni = {hello->sni, strlen(hello->sni)},
        .alpn = {hello->alpn, hello->alpn_matched ? hello->alpn_len : 0},
    };
    if (ret->local.family == AF_UNSPEC && fd >= 0)
        ret->local = socket_local(fd);
    ret->tls = link_peer(s->down, &ret->facts) && s->when.opened != 0;
    if (ret->tls)
        ret->alpn = ret->facts.alpn;
}

/* ---- PROXY ---- */

/* As IANA's registry and OpenSSL call it (RFC 8446, 4.2.7). */
static const char *group_text(const struct link_peer *facts)
{
    switch (facts->group) {
    case 23:
        return "secp256r1";
    case 24:
        return "secp384r1";
    case 25:
        return "secp521r1";
    case 29:
        return "x25519";
    default:
        return facts->group_name;
    }
}

/* One that is too long for a user's name is left out, so that the header keeps its bounds. */
static const char *common_name(const struct identity *id)
{
    for (uint32_t i = 0; id != NULL && i < id->count; i++)
        if (id->facts[i].kind == IDENTITY_NAME)
            return strlen(id->facts[i].value) < HAND_ON_USER_MAX ? id->facts[i].value : NULL;
    return NULL;
}

static struct proxy_ssl ssl_of(const struct link_peer *facts)
{
    bool shown = facts->identity != NULL;
    return (struct proxy_ssl){
        .flags = (uint8_t)(PROXY_SSL_TLS | (shown ? PROXY_SSL_CERT_SESSION : 0) |
                           (shown && !facts->resumed ? PROXY_SSL_CERT_CONN : 0)),
        .verified = shown,
        .version = tls_version_name(facts->version),
        .cn = common_name(facts->identity),
        .cipher = facts->cipher_text,
        .sig_alg = facts->own == NULL ? NULL : facts->own->signature,
        .key_alg = facts->own == NULL ? NULL : facts->own->proxy_text,
        .group = group_text(facts),
        .scheme = facts->signature,
    };
}

struct header {
    struct proxy_tlv tlvs[4];
    size_t n;
    char id[AUDIT_ID_MAX];
    uint8_t ssl[HAND_ON_PROXY_MAX];
};

static void add(struct header *h, enum proxy_tlv_type type, const void *value, size_t len)
{
    CHECK(h->n < ARRAY_LEN(h->tlvs));
    if (len > 0)
        h->tlvs[h->n++] = (struct proxy_tlv){(uint8_t)type, (uint16_t)len, value};
}

static void gather(struct header *h, unsigned wanted, const struct hand_on_client *c, struct str certificate)
{
    h->n = 0;
    if ((wanted & CONFIG_TLV_ALPN) != 0)
        add(h, PROXY_TLV_ALPN, c->alpn.p, c->alpn.len);
    if ((wanted & CONFIG_TLV_AUTHORITY) != 0)
        add(h, PROXY_TLV_AUTHORITY, c->sni.p, c->sni.len);
    if ((wanted & CONFIG_TLV_UNIQUE_ID) != 0)
        add(h, PROXY_TLV_UNIQUE_ID, audit_id_text(c->id, h->id), AUDIT_ID_MAX - 1);
    if ((wanted & (CONFIG_TLV_SSL | CONFIG_TLV_CERTIFICATE)) == 0 || !c->tls)
        return;
    struct proxy_ssl ssl = ssl_of(&c->facts);
    CHECK(certificate.len <= HAND_ON_PROXY_MAX);
    ssl.cert = (struct proxy_tlv){PROXY_TLV_SSL_CLIENT_CERT, (uint16_t)certificate.len, certificate.p};
    add(h, PROXY_TLV_SSL, h->ssl, proxy_ssl_write(h->ssl, sizeof(h->ssl), &ssl));
}

static unsigned tlvs_of(const struct config_hand_on *rule)
{
    unsigned bits = 0;
    for (size_t i = 0; i < rule->tlvs.n; i++)
        bits |= (unsigned)rule->tlvs.v[i];
    return bits;
}

size_t hand_on_proxy(const struct config_hand_on *rule, const struct hand_on_client *c, uint8_t *out,
                     bool *ret_cut)
{
    struct sockaddr_storage src, dst;
    bool known = net_addr_to(&c->peer, &src) > 0 && net_addr_to(&c->local, &dst) > 0;
    const struct sockaddr_storage *from = known ? &src : NULL, *to = known ? &dst : NULL;
    *ret_cut = false;
    if (rule->proxy == CONFIG_SEND_PROXY_V1)
        return proxy_protocol_write_v1(out, HAND_ON_PROXY_MAX, from, to);
    struct header h;
    unsigned wanted = tlvs_of(rule);
    struct str certificate = {0}, none = {0};
    if ((wanted & CONFIG_TLV_CERTIFICATE) != 0 && c->tls && c->facts.identity != NULL)
        certificate = cert_chain_at(c->facts.chain, 0);
    size_t len = 0;
    if (certificate.len <= HAND_ON_PROXY_MAX) {
        gather(&h, wanted, c, certificate);
        bool whole = certificate.len == 0 || (h.n > 0 && h.tlvs[h.n - 1].type == PROXY_TLV_SSL);
        len = whole ? proxy_protocol_write_v2(out, HAND_ON_PROXY_MAX, from, to, h.tlvs, h.n) : 0;
    }
    if (len == 0) {
        *ret_cut = true;
        gather(&h, wanted, c, none);
        len = proxy_protocol_write_v2(out, HAND_ON_PROXY_MAX, from, to, h.tlvs, h.n);
    }
    CHECK(len > 0);
    return len;
}

/* ---- the user's name ---- */

/* Of a fact that fits, what the pattern's '*' stands for. */
static bool fits(const char *fact, const char *pattern, struct str *ret)
{
    size_t len = strlen(fact);
    *ret = (struct str){fact, len};
    if (pattern == NULL)
        return true;
    const char *star = strchr(pattern, '*');
    CHECK(star != NULL);
    size_t head = (size_t)(star - pattern), tail = strlen(star + 1);
    if (len < head + tail || memcmp(fact, pattern, head) != 0 ||
        memcmp(fact + len - tail, star + 1, tail) != 0)
        return false;
    *ret = (struct str){fact + head, len - head - tail};
    return true;
}

/* Control characters are those of ASCII, DEL, and C1 (U+0080 to U+009F). */
static bool is_name(struct str s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.len; i += n) {
        const unsigned char *p = (const unsigned char *)s.p + i;
        n = utf8_length(p, s.len - i);
        if (n == 0 || p[0] < 0x20 || p[0] == 0x7f || (p[0] == 0xc2 && p[1] < 0xa0))
            return false;
    }
    return s.len > 0 && s.len < HAND_ON_USER_MAX;
}

bool hand_on_user(const struct identity *id, const struct config_hand_on *rule, char ret[HAND_ON_USER_MAX])
{
    static const enum identity_kind kinds[] = {
        [CONFIG_USER_CN] = IDENTITY_NAME,
        [CONFIG_USER_DNS] = IDENTITY_DNS,
        [CONFIG_USER_URI] = IDENTITY_URI,
        [CONFIG_USER_EMAIL] = IDENTITY_EMAIL,
    };
    ret[0] = '\0';
    for (uint32_t i = 0; id != NULL && i < id->count; i++) {
        struct str name;
        if (id->facts[i].kind == kinds[rule->user] &&
            fits(id->facts[i].value, rule->user_pattern.text, &name))
            return is_name(name) && str_copy(ret, HAND_ON_USER_MAX, name.p, name.len);
    }
    return false;
}
