/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/host.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "base/check.h"
#include "base/str.h"

static const uint8_t v4_prefix[12] = {[10] = 0xff, [11] = 0xff};

static struct policy_address from_v4(const void *ip)
{
    struct policy_address a;
    memcpy(a.bytes, v4_prefix, sizeof(v4_prefix));
    memcpy(a.bytes + sizeof(v4_prefix), ip, 4);
    return a;
}

struct policy_address policy_address_of(const struct sockaddr *address)
{
    CHECK(address->sa_family == AF_INET || address->sa_family == AF_INET6);
    /* Copied, because a caller's sockaddr need not be aligned for what is inside. */
    if (address->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, address, sizeof(in));
        return from_v4(&in.sin_addr);
    }
    struct sockaddr_in6 in6;
    struct policy_address a;
    memcpy(&in6, address, sizeof(in6));
    memcpy(a.bytes, &in6.sin6_addr, sizeof(a.bytes));
    return a;
}

bool policy_address_is_v4(const struct policy_address *a)
{
    return memcmp(a->bytes, v4_prefix, sizeof(v4_prefix)) == 0;
}

bool policy_address_is_unspecified(const struct policy_address *a)
{
    static const uint8_t zeros[16];
    size_t from = policy_address_is_v4(a) ? sizeof(v4_prefix) : 0;
    return memcmp(a->bytes + from, zeros, sizeof(zeros) - from) == 0;
}

/* Where forms of IPv6 addresses hold IPv4. */
static const struct embedding {
    uint8_t prefix[12];
    uint8_t prefix_len; /* bytes */
    uint8_t at[4];
    uint8_t flip; /* each byte is XORed with this */
} embeddings[] = {
    {{0x00, 0x64, 0xff, 0x9b}, 12, {12, 13, 14, 15}, 0},
    /* 64:ff9b:1::/48 is for prefixes of one's own choice in it; RFC 6052, 2.2 has a layout for each length.
     */
    {{0x00, 0x64, 0xff, 0x9b, 0x00, 0x01}, 6, {6, 7, 9, 10}, 0},
    {{0x00, 0x64, 0xff, 0x9b, 0x00, 0x01}, 6, {7, 9, 10, 11}, 0},
    {{0x00, 0x64, 0xff, 0x9b, 0x00, 0x01}, 6, {9, 10, 11, 12}, 0},
    {{0x00, 0x64, 0xff, 0x9b, 0x00, 0x01}, 6, {12, 13, 14, 15}, 0},
    {{0x20, 0x02}, 2, {2, 3, 4, 5}, 0},
    {{0x20, 0x01, 0x00, 0x00}, 4, {4, 5, 6, 7}, 0},
    {{0x20, 0x01, 0x00, 0x00}, 4, {12, 13, 14, 15}, 0xff},
    {{[8] = 0xff, [9] = 0xff}, 12, {12, 13, 14, 15}, 0},
    {{0}, 12, {12, 13, 14, 15}, 0},
};

size_t policy_address_embedded(const struct policy_address *a, struct policy_address ret[POLICY_EMBEDDED_MAX])
{
    static const struct policy_address loopback = {{[15] = 1}};
    size_t n = 0;
    if (memcmp(a, &loopback, sizeof(loopback)) == 0 || policy_address_is_unspecified(a))
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(embeddings); i++) {
        const struct embedding *e = &embeddings[i];
        if (memcmp(a->bytes, e->prefix, e->prefix_len) != 0)
            continue;
        struct in_addr in;
        uint8_t bytes[4];
        for (size_t k = 0; k < sizeof(bytes); k++)
            bytes[k] = a->bytes[e->at[k]] ^ e->flip;
        memcpy(&in, bytes, sizeof(in));
        CHECK(n < POLICY_EMBEDDED_MAX);
        ret[n++] = from_v4(&in);
    }
    return n;
}

int policy_address_parse(const char *text, struct policy_address *ret)
{
    uint8_t ip[16];
    size_t len = hostname_address(text, ip);
    if (len == 0)
        return -1;
    if (len == sizeof(ret->bytes))
        memcpy(ret->bytes, ip, sizeof(ret->bytes));
    else
        *ret = from_v4(ip);
    return 0;
}

void policy_address_text(const struct policy_address *a, char ret_text[POLICY_ADDRESS_MAX])
{
    bool v4 = policy_address_is_v4(a);
    const char *text = inet_ntop(v4 ? AF_INET : AF_INET6, a->bytes + (v4 ? sizeof(v4_prefix) : 0), ret_text,
                                 POLICY_ADDRESS_MAX);
    CHECK(text != NULL);
}

static int parse_address(const char *shown, const char *text, struct policy_host *ret, struct err *err)
{
    if (policy_address_parse(text, &ret->address) != 0)
        return err_set(err,
                       "host \"%s\" looks like an address but is none in the usual form: expected 192.0.2.1 "
                       "or 2001:db8::1, without zone",
                       shown);
    if (policy_address_is_unspecified(&ret->address))
        return err_set(err, "host \"%s\" is the unspecified address, which no one can be reached at", shown);
    ret->is_address = true;
    policy_address_text(&ret->address, ret->name);
    return 0;
}

/* What the peer sent, fit to be printed. */
static void show(const char *text, size_t len, char *ret, size_t cap)
{
    str_copy(ret, cap, text, len);
    for (; *ret != '\0'; ret++)
        if (*ret < ' ' || *ret > '~')
            *ret = '?';
}

int policy_host_parse(const char *text, size_t len, struct policy_host *ret, struct err *err)
{
    char shown[81], name[POLICY_HOST_MAX + 1];
    *ret = (struct policy_host){.is_address = false};
    show(text, len, shown, sizeof(shown));
    if (len == 0)
        return err_set(err, "the host is empty: expected a name or an address");
    if (memchr(text, '\0', len) != NULL || !str_copy(name, sizeof(name), text, len))
        return err_set(err, "host \"%s\" has a zero byte or more than 253 bytes", shown);
    str_lower(name, len);
    if (name[0] == '[') {
        if (len < 2 || name[len - 1] != ']' || memchr(name, ':', len) == NULL)
            return err_set(err, "host \"%s\": expected an IPv6 address in the brackets", shown);
        name[len - 1] = '\0';
        return parse_address(shown, name + 1, ret, err);
    }
    if (strchr(name, ':') != NULL)
        return parse_address(shown, name, ret, err);
    size_t n = len - (name[len - 1] == '.');
    switch (hostname_check(name, n)) {
    case HOSTNAME_OK:
        str_copy(ret->name, sizeof(ret->name), name, n);
        return 0;
    case HOSTNAME_NUMBER: /* with its last dot: "127.0.0.1." is no address in the usual form */
        return parse_address(shown, name, ret, err);
    default:
        return err_set(err, "host \"%s\" is no DNS name: expected labels of 1 to 63 of a-z, 0-9, '-' and '_'",
                       shown);
    }
}
