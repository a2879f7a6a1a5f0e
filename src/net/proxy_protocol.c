/* SPDX-License-Identifier: Apache-2.0 */
#include "net/proxy_protocol.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/un.h>

#include "base/check.h"
#include "base/str.h"

#define V1_PREFIX "PROXY "
#define V1_PREFIX_LEN 6u
#define V2_SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define V2_SIGNATURE_LEN 12u
#define V2_HEADER_LEN 16u /* signature, version and command, family and transport, length of what follows */
#define V2_UNIX_LEN 108u

/* Version 2, byte 13: version in the high half, command in the low one. */
enum { V2_VERSION = 2, V2_LOCAL = 0, V2_PROXY = 1 };

/* Byte 14: address family in the high half, transport in the low one. */
enum { V2_UNSPEC = 0x00, V2_INET = 0x10, V2_INET6 = 0x20, V2_UNIX = 0x30, V2_STREAM = 1, V2_DGRAM = 2 };

static const char *const reasons[PROXY_REASON_COUNT] = {
#define X(name, text) text,
#include "tables/proxy_reasons.def"
#undef X
};

const char *proxy_reason_text(enum proxy_reason reason)
{
    CHECK(reason < PROXY_REASON_COUNT);
    return reasons[reason];
}

static enum proxy_result bad(struct proxy_header *h, enum proxy_reason reason)
{
    h->reason = reason;
    return PROXY_BAD;
}

static enum proxy_result more(struct proxy_header *h, size_t need)
{
    h->need = need;
    return PROXY_MORE;
}

/* One view of an address for each family that it can have. */
static struct sockaddr_in *as_in(struct sockaddr_storage *a)
{
    return (struct sockaddr_in *)(void *)a;
}

static struct sockaddr_in6 *as_in6(struct sockaddr_storage *a)
{
    return (struct sockaddr_in6 *)(void *)a;
}

static struct sockaddr_un *as_un(struct sockaddr_storage *a)
{
    return (struct sockaddr_un *)(void *)a;
}

/* Version 1 ------------------------------------------------------------------------------------------ */

enum { WORD_PROTOCOL, WORD_SRC, WORD_DST, WORD_SRC_PORT, WORD_DST_PORT, WORDS };

/* Split a line in place at single spaces. Missing words are NULL; *ret_rest is what follows the last one, or
 * NULL. */
static void split_words(char *line, char *ret_words[WORDS], char **ret_rest)
{
    for (size_t i = 0; i < WORDS; i++)
        ret_words[i] = strsep(&line, " ");
    *ret_rest = line;
}

static bool parse_port(const char *text, in_port_t *ret)
{
    uint64_t port;
    bool canonical = text != NULL && (text[0] != '0' || text[1] == '\0');
    if (!canonical || !str_u64(text, UINT16_MAX, &port))
        return false;
    *ret = htons((uint16_t)port);
    return true;
}

static bool parse_address(const char *text, sa_family_t family, struct sockaddr_storage *ret)
{
    void *at = family == AF_INET ? (void *)&as_in(ret)->sin_addr : (void *)&as_in6(ret)->sin6_addr;
    ret->ss_family = family;
    return text != NULL && inet_pton(family, text, at) == 1;
}

static in_port_t *port_of(struct sockaddr_storage *a)
{
    return a->ss_family == AF_INET ? &as_in(a)->sin_port : &as_in6(a)->sin6_port;
}

/* What stands between "PROXY " and CRLF. */
static enum proxy_reason parse_line(char *line, struct proxy_header *ret)
{
    char *words[WORDS], *rest;
    split_words(line, words, &rest);
    if (strcmp(words[WORD_PROTOCOL], "UNKNOWN") == 0)
        return PROXY_REASON_NONE; /* whatever follows is to be ignored */
    bool tcp6 = strcmp(words[WORD_PROTOCOL], "TCP6") == 0;
    if (!tcp6 && strcmp(words[WORD_PROTOCOL], "TCP4") != 0)
        return PROXY_REASON_V1_PROTOCOL;
    sa_family_t family = tcp6 ? AF_INET6 : AF_INET;
    if (!parse_address(words[WORD_SRC], family, &ret->src) ||
        !parse_address(words[WORD_DST], family, &ret->dst))
        return PROXY_REASON_V1_ADDRESS;
    if (!parse_port(words[WORD_SRC_PORT], port_of(&ret->src)) ||
        !parse_port(words[WORD_DST_PORT], port_of(&ret->dst)))
        return PROXY_REASON_V1_PORT;
    return rest == NULL ? PROXY_REASON_NONE : PROXY_REASON_V1_TRAILING;
}

static enum proxy_result read_v1(const uint8_t *data, size_t len, struct proxy_header *ret)
{
    char line[PROXY_V1_MAX + 1];
    const uint8_t *end = memchr(data, '\n', MIN(len, PROXY_V1_MAX));
    if (end == NULL)
        return len < PROXY_V1_MAX ? more(ret, len + 1) : bad(ret, PROXY_REASON_V1_TOO_LONG);
    ret->version = 1;
    ret->len = (size_t)(end + 1 - data);
    CHECK(ret->len > V1_PREFIX_LEN);
    if (end[-1] != '\r')
        return bad(ret, PROXY_REASON_V1_LINE_END);
    /* A NUL would hide what follows it from the text functions. */
    size_t n = (size_t)(end - 1 - data) - V1_PREFIX_LEN;
    if (memchr(data, '\0', ret->len) != NULL)
        return bad(ret, PROXY_REASON_V1_NUL);
    memcpy(line, data + V1_PREFIX_LEN, n);
    line[n] = '\0';
    enum proxy_reason reason = parse_line(line, ret);
    return reason == PROXY_REASON_NONE ? PROXY_DONE : bad(ret, reason);
}

/* Version 2 ------------------------------------------------------------------------------------------ */

/* CRC-32C (RFC 9260, appendix A), four bits at a time: headers are short and the table is readable. */
static uint32_t crc32c(uint32_t crc, const uint8_t *p, size_t len)
{
    static const uint32_t table[16] = {
        0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
        0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
    };
    for (size_t i = 0; i < len; i++) {
        crc ^= p[i];
        crc = crc >> 4 ^ table[crc & 0xf];
        crc = crc >> 4 ^ table[crc & 0xf];
    }
    return crc;
}

/* Is `stored`, four bytes inside the header, the checksum of the header with zeros in its place? */
static bool checksum_fits(const uint8_t *header, size_t len, const uint8_t *stored)
{
    static const uint8_t zeros[4];
    size_t before = (size_t)(stored - header);
    CHECK(before + sizeof(zeros) <= len);
    uint32_t crc = crc32c(UINT32_MAX, header, before);
    crc = crc32c(crc, zeros, sizeof(zeros));
    crc = ~crc32c(crc, stored + sizeof(zeros), len - before - sizeof(zeros));
    struct cursor c = cursor_of(stored, sizeof(zeros));
    uint64_t value;
    CHECK(cursor_uint(&c, sizeof(zeros), &value));
    return value == crc;
}

bool proxy_next_tlv(struct cursor *list, struct proxy_tlv *ret)
{
    struct cursor at = *list, value;
    if (!cursor_u8(&at, &ret->type) || !cursor_vector(&at, 2, &value))
        return false;
    ret->len = (uint16_t)cursor_left(&value);
    ret->value = value.p;
    *list = at;
    return true;
}

static enum proxy_reason check_tlvs(const uint8_t *header, size_t len, struct cursor list)
{
    const uint8_t *checksum = NULL;
    struct proxy_tlv tlv;
    while (proxy_next_tlv(&list, &tlv)) {
        if (tlv.type != PROXY_TLV_CRC32C)
            continue;
        if (checksum != NULL || tlv.len != sizeof(uint32_t))
            return PROXY_REASON_V2_TLV;
        checksum = tlv.value;
    }
    if (cursor_left(&list) > 0)
        return PROXY_REASON_V2_TLV;
    if (checksum != NULL && !checksum_fits(header, len, checksum))
        return PROXY_REASON_V2_CHECKSUM;
    return PROXY_REASON_NONE;
}

/* Copy one field of a family's address block, if it is there. */
static bool take(struct cursor *c, void *ret, size_t n)
{
    const uint8_t *p;
    if (!cursor_bytes(c, n, &p))
        return false;
    memcpy(ret, p, n);
    return true;
}

static bool take_ports(struct cursor *c, struct proxy_header *ret)
{
    return take(c, port_of(&ret->src), sizeof(in_port_t)) && take(c, port_of(&ret->dst), sizeof(in_port_t));
}

/* The address block, source before destination; what `c` then has left are the TLVs. */
static bool read_addresses(struct cursor *c, uint8_t family, struct proxy_header *ret)
{
    struct sockaddr_storage *src = &ret->src, *dst = &ret->dst;
    switch (family) {
    case V2_INET:
        src->ss_family = dst->ss_family = AF_INET;
        return take(c, &as_in(src)->sin_addr, 4) && take(c, &as_in(dst)->sin_addr, 4) && take_ports(c, ret);
    case V2_INET6:
        src->ss_family = dst->ss_family = AF_INET6;
        return take(c, &as_in6(src)->sin6_addr, 16) && take(c, &as_in6(dst)->sin6_addr, 16) &&
               take_ports(c, ret);
    case V2_UNIX:
        src->ss_family = dst->ss_family = AF_UNIX;
        return take(c, as_un(src)->sun_path, V2_UNIX_LEN) && take(c, as_un(dst)->sun_path, V2_UNIX_LEN);
    default:
        CHECK(family == V2_UNSPEC);
        return true;
    }
}

/* What comes after the fixed header. A proxy's own connection tells nothing about its block (section 2.2). */
static enum proxy_reason read_block(const uint8_t *data, uint8_t family, struct proxy_header *ret)
{
    struct cursor c = cursor_of(data + V2_HEADER_LEN, ret->len - V2_HEADER_LEN);
    if (ret->local)
        return PROXY_REASON_NONE;
    if (!read_addresses(&c, family, ret))
        return PROXY_REASON_V2_TRUNCATED;
    ret->tlvs = c;
    return check_tlvs(data, ret->len, c);
}

/* All of them either say both family and transport or neither. */
static bool is_assigned(uint8_t family, uint8_t transport)
{
    if (family == V2_UNSPEC)
        return transport == 0;
    return family <= V2_UNIX && (transport == V2_STREAM || transport == V2_DGRAM);
}

static enum proxy_result read_v2(const uint8_t *data, size_t len, size_t max, struct proxy_header *ret)
{
    if (len < V2_HEADER_LEN)
        return more(ret, V2_HEADER_LEN);
    uint8_t version = data[12] >> 4, command = data[12] & 0xf, family = data[13] & 0xf0,
            transport = data[13] & 0xf;
    ret->version = V2_VERSION;
    ret->len = V2_HEADER_LEN + ((size_t)data[14] << 8 | data[15]);
    ret->local = command == V2_LOCAL;
    ret->datagram = !ret->local && transport == V2_DGRAM;
    if (version != V2_VERSION)
        return bad(ret, PROXY_REASON_V2_VERSION);
    if (command != V2_LOCAL && command != V2_PROXY)
        return bad(ret, PROXY_REASON_V2_COMMAND);
    if (!ret->local && !is_assigned(family, transport))
        return bad(ret, PROXY_REASON_V2_FAMILY);
    if (ret->len > max)
        return bad(ret, PROXY_REASON_V2_TOO_LONG);
    if (len < ret->len)
        return more(ret, ret->len);
    enum proxy_reason reason = read_block(data, family, ret);
    return reason == PROXY_REASON_NONE ? PROXY_DONE : bad(ret, reason);
}

/* Either version ------------------------------------------------------------------------------------- */

enum proxy_result proxy_protocol_read(const uint8_t *data, size_t len, size_t max_v2,
                                      struct proxy_header *ret)
{
    CHECK(max_v2 >= V2_HEADER_LEN);
    memset(ret, 0, sizeof(*ret));
    if (len == 0)
        return more(ret, 1);
    size_t v1 = MIN(len, V1_PREFIX_LEN), v2 = MIN(len, V2_SIGNATURE_LEN);
    if (memcmp(data, V1_PREFIX, v1) == 0)
        return v1 < V1_PREFIX_LEN ? more(ret, len + 1) : read_v1(data, len, ret);
    if (memcmp(data, V2_SIGNATURE, v2) == 0)
        return v2 < V2_SIGNATURE_LEN ? more(ret, len + 1) : read_v2(data, len, max_v2, ret);
    return PROXY_ABSENT;
}

/* Writing -------------------------------------------------------------------------------------------- */

/* A copy with IPv4 inside IPv6 taken out, as a listener on [::] reports it; NULL becomes AF_UNSPEC. */
static struct sockaddr_storage plain(const struct sockaddr_storage *a)
{
    struct sockaddr_storage ret = {0};
    if (a == NULL)
        return ret;
    ret = *a;
    if (a->ss_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&as_in6(&ret)->sin6_addr))
        return ret;
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = as_in6(&ret)->sin6_port};
    memcpy(&in.sin_addr, &as_in6(&ret)->sin6_addr.s6_addr[12], 4);
    memset(&ret, 0, sizeof(ret));
    memcpy(&ret, &in, sizeof(in));
    return ret;
}

/* The other way, for a pair of which only one is IPv4. */
static void make_in6(struct sockaddr_storage *a)
{
    if (a->ss_family != AF_INET)
        return;
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = as_in(a)->sin_port};
    memset(&in6.sin6_addr.s6_addr[10], 0xff, 2);
    memcpy(&in6.sin6_addr.s6_addr[12], &as_in(a)->sin_addr, 4);
    memcpy(a, &in6, sizeof(in6));
}

static bool is_ip(const struct sockaddr_storage *a)
{
    return a->ss_family == AF_INET || a->ss_family == AF_INET6;
}

size_t proxy_protocol_write_v1(uint8_t *out, size_t cap, const struct sockaddr_storage *src,
                               const struct sockaddr_storage *dst)
{
    struct sockaddr_storage s = plain(src), d = plain(dst);
    char line[PROXY_V1_MAX + 1] = V1_PREFIX "UNKNOWN\r\n";
    if (s.ss_family == d.ss_family && is_ip(&s)) {
        char from[INET6_ADDRSTRLEN], to[INET6_ADDRSTRLEN];
        bool in = s.ss_family == AF_INET;
        const void *src_ip = in ? (void *)&as_in(&s)->sin_addr : (void *)&as_in6(&s)->sin6_addr;
        const void *dst_ip = in ? (void *)&as_in(&d)->sin_addr : (void *)&as_in6(&d)->sin6_addr;
        CHECK(inet_ntop(s.ss_family, src_ip, from, sizeof(from)) &&
              inet_ntop(s.ss_family, dst_ip, to, sizeof(to)));
        int n = snprintf(line, sizeof(line), V1_PREFIX "%s %s %s %u %u\r\n", in ? "TCP4" : "TCP6", from, to,
                         ntohs(*port_of(&s)), ntohs(*port_of(&d)));
        CHECK(n > 0 && (size_t)n < sizeof(line));
    }
    size_t len = strlen(line);
    if (len > cap)
        return 0;
    memcpy(out, line, len);
    return len;
}

/* The address block of a pair, and the byte that names its family and transport. */
static uint8_t write_addresses(struct writer *w, struct sockaddr_storage *s, struct sockaddr_storage *d)
{
    if (is_ip(s) && is_ip(d) && s->ss_family != d->ss_family) {
        make_in6(s);
        make_in6(d);
    }
    if (s->ss_family != d->ss_family || (!is_ip(s) && s->ss_family != AF_UNIX))
        return V2_UNSPEC;
    if (s->ss_family == AF_UNIX) {
        writer_bytes(w, as_un(s)->sun_path, V2_UNIX_LEN);
        writer_bytes(w, as_un(d)->sun_path, V2_UNIX_LEN);
        return V2_UNIX | V2_STREAM;
    }
    bool in = s->ss_family == AF_INET;
    writer_bytes(w, in ? (void *)&as_in(s)->sin_addr : (void *)&as_in6(s)->sin6_addr, in ? 4 : 16);
    writer_bytes(w, in ? (void *)&as_in(d)->sin_addr : (void *)&as_in6(d)->sin6_addr, in ? 4 : 16);
    writer_bytes(w, port_of(s), sizeof(in_port_t));
    writer_bytes(w, port_of(d), sizeof(in_port_t));
    return (in ? V2_INET : V2_INET6) | V2_STREAM;
}

static void write_tlv(struct writer *w, uint8_t type, const void *value, size_t len)
{
    w->full = w->full || len > UINT16_MAX;
    writer_uint(w, 1, type);
    writer_uint(w, 2, len);
    writer_bytes(w, value, len);
}

size_t proxy_ssl_write(uint8_t *out, size_t cap, const struct proxy_ssl *ssl)
{
    const struct {
        enum proxy_tlv_type type;
        const char *text;
    } rows[] = {
        {PROXY_TLV_SSL_VERSION, ssl->version},   {PROXY_TLV_SSL_CN, ssl->cn},
        {PROXY_TLV_SSL_CIPHER, ssl->cipher},     {PROXY_TLV_SSL_SIG_ALG, ssl->sig_alg},
        {PROXY_TLV_SSL_KEY_ALG, ssl->key_alg},   {PROXY_TLV_SSL_GROUP, ssl->group},
        {PROXY_TLV_SSL_SIG_SCHEME, ssl->scheme},
    };
    struct writer w = writer_of(out, cap);
    writer_uint(&w, 1, ssl->flags);
    writer_uint(&w, 4, ssl->verified ? 0 : 1);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].text != NULL && rows[i].text[0] != '\0')
            write_tlv(&w, rows[i].type, rows[i].text, strlen(rows[i].text));
    if (ssl->cert.len > 0)
        write_tlv(&w, PROXY_TLV_SSL_CLIENT_CERT, ssl->cert.value, ssl->cert.len);
    return w.full ? 0 : (size_t)(w.p - out);
}

size_t proxy_protocol_write_v2(uint8_t *out, size_t cap, const struct sockaddr_storage *src,
                               const struct sockaddr_storage *dst, const struct proxy_tlv *tlvs, size_t count)
{
    bool local = src == NULL || dst == NULL;
    struct sockaddr_storage s = plain(local ? NULL : src), d = plain(local ? NULL : dst);
    if (cap < V2_HEADER_LEN)
        return 0;
    struct writer block = writer_of(out + V2_HEADER_LEN, cap - V2_HEADER_LEN);
    uint8_t family = write_addresses(&block, &s, &d);
    for (size_t i = 0; i < count; i++)
        write_tlv(&block, tlvs[i].type, tlvs[i].value, tlvs[i].len);
    size_t len = (size_t)(block.p - out) - V2_HEADER_LEN;
    if (block.full || len > UINT16_MAX)
        return 0;
    struct writer header = writer_of(out, V2_HEADER_LEN);
    writer_bytes(&header, V2_SIGNATURE, V2_SIGNATURE_LEN);
    writer_uint(&header, 1, V2_VERSION << 4 | (local ? V2_LOCAL : V2_PROXY));
    writer_uint(&header, 1, family);
    writer_uint(&header, 2, len);
    CHECK(!header.full && header.p == header.end);
    return V2_HEADER_LEN + len;
}
