/* SPDX-License-Identifier: Apache-2.0 */
#include "tunnel/socks.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/cursor.h"
#include "base/hostname.h"
#include "base/str.h"

#define VERSION 5
#define NO_AUTHENTICATION 0
#define NO_ACCEPTABLE_METHOD 0xff

enum address_type { TYPE_IPV4 = 1, TYPE_NAME = 3, TYPE_IPV6 = 4 };

#define NAME_MAX_BYTES 255
#define PORT_BYTES 2

/* ---- greeting ---- */

static int refuse_version(uint8_t version, struct err *err)
{
    if (version == 4)
        return err_set(err, "a client speaks SOCKS4: set it to SOCKS5");
    if (version >= 'A' && version <= 'Z')
        return err_set(err, "a client speaks HTTP, as to a web proxy: set it to SOCKS5");
    return err_set(err, "a client does not speak SOCKS5: its first byte is %u, not %u", version, VERSION);
}

enum socks_result socks_parse_greeting(const uint8_t *data, size_t len, socks_size *ret_size,
                                       bool *ret_answer, struct err *err)
{
    *ret_answer = false;
    *ret_size = 2;
    if (len >= 1 && data[0] != VERSION) {
        refuse_version(data[0], err);
        return SOCKS_BAD;
    }
    if (len >= 2)
        *ret_size += data[1];
    if (len < *ret_size)
        return SOCKS_MORE;
    *ret_answer = true;
    if (memchr(data + 2, NO_AUTHENTICATION, data[1]) != NULL)
        return SOCKS_OK;
    err_set(err, "a SOCKS client insists on authentication, and there is none here: leave user and password "
                 "out of its settings");
    return SOCKS_BAD;
}

void socks_put_method(bool good, uint8_t ret[2])
{
    ret[0] = VERSION;
    ret[1] = good ? NO_AUTHENTICATION : NO_ACCEPTABLE_METHOD;
}

/* ---- addresses ---- */

/* An address as it stands in requests and datagrams: type, address, port. */
struct address {
    uint8_t type;
    struct str host; /* its bytes, or the name's */
    uint16_t port;
};

/* How many bytes the address that begins here has at least; 0: no such type. */
static size_t address_size(const uint8_t *p, size_t len)
{
    if (len == 0)
        return 1 + 1 + PORT_BYTES; /* the shortest: of a name, which may be empty in an ASSOCIATE */
    switch (p[0]) {
    case TYPE_IPV4:
        return 1 + 4 + PORT_BYTES;
    case TYPE_IPV6:
        return 1 + 16 + PORT_BYTES;
    case TYPE_NAME:
        return 1 + 1 + (len >= 2 ? p[1] : 0) + PORT_BYTES;
    default:
        return 0;
    }
}

/* Take apart one that is there as a whole. */
static struct address address_of(const uint8_t *p, size_t size)
{
    size_t skip = p[0] == TYPE_NAME ? 2 : 1;
    return (struct address){.type = p[0],
                            .host = {(const char *)p + skip, size - skip - PORT_BYTES},
                            .port = (uint16_t)(p[size - 2] << 8 | p[size - 1])};
}

/* Write the host as HOST:PORT has it. */
static void put_host(const struct address *a, char text[NAME_MAX_BYTES + 3])
{
    uint8_t ip[16];
    char host[NAME_MAX_BYTES + 1];
    if (a->type == TYPE_IPV4) {
        inet_ntop(AF_INET, a->host.p, text, INET_ADDRSTRLEN);
        return;
    }
    if (a->type == TYPE_IPV6) {
        inet_ntop(AF_INET6, a->host.p, host, INET6_ADDRSTRLEN);
    } else {
        memcpy(host, a->host.p, a->host.len);
        host[a->host.len] = '\0';
    }
    bool bare = strlen(host) == a->host.len || a->type == TYPE_IPV6;
    bool v6 = bare && hostname_address(host, ip) == 16; /* some clients send one as a name */
    snprintf(text, NAME_MAX_BYTES + 3, v6 ? "[%s]" : "%s", host);
}

static int to_target(const struct address *a, struct front_target *ret, struct err *err)
{
    char host[NAME_MAX_BYTES + 3], text[NAME_MAX_BYTES + 3 + 8];
    if (a->type == TYPE_NAME && memchr(a->host.p, '\0', a->host.len) != NULL)
        return err_set(err, "a NUL in a name");
    put_host(a, host);
    int n = snprintf(text, sizeof(text), "%s:%u", host, a->port);
    return str_host_port(text, (size_t)n, ret->host, &ret->port, err);
}

/* ---- requests ---- */

static enum socks_result refuse(struct socks_request *ret, enum socks_reply reply)
{
    ret->reply = (uint8_t)reply;
    return SOCKS_BAD;
}

static enum socks_result check_command(struct socks_request *ret, const struct address *a, struct err *err)
{
    switch (ret->command) {
    case SOCKS_CONNECT:
        if (to_target(a, &ret->target, err) == 0)
            return SOCKS_OK;
        err_prefix(err, "a SOCKS client asks for what is no target");
        return refuse(ret, SOCKS_FAILURE);
    case SOCKS_ASSOCIATE:
        ret->port = a->port;
        return SOCKS_OK;
    default:
        err_set(err, "a SOCKS client asks for %s, and only CONNECT and UDP ASSOCIATE are served",
                ret->command == SOCKS_BIND ? "BIND" : "an unknown command");
        return refuse(ret, SOCKS_NO_COMMAND);
    }
}

enum socks_result socks_parse_request(const uint8_t *data, size_t len, struct socks_request *ret,
                                      struct err *err)
{
    *ret = (struct socks_request){.size = 3 + address_size(NULL, 0)};
    if ((len >= 1 && data[0] != VERSION) || (len >= 3 && data[2] != 0)) {
        err_set(err, "a client's SOCKS5 request cannot be read: its version or its reserved byte is wrong");
        return refuse(ret, SOCKS_FAILURE);
    }
    if (len > 3) {
        size_t size = address_size(data + 3, len - 3);
        if (size == 0) {
            err_set(err, "a SOCKS client sends an address of type %u; only IPv4, IPv6 and names are known",
                    data[3]);
            return refuse(ret, SOCKS_NO_ADDRESS_TYPE);
        }
        ret->size = 3 + size;
    }
    if (len < ret->size)
        return SOCKS_MORE;
    struct address a = address_of(data + 3, ret->size - 3);
    ret->command = (enum socks_command)data[1];
    return check_command(ret, &a, err);
}

size_t socks_put_reply(uint8_t reply, const struct net_addr *bound, uint8_t ret[SOCKS_REPLY_MAX])
{
    static const struct net_addr none = {.family = AF_INET};
    if (bound == NULL)
        bound = &none;
    bool v6 = bound->family == AF_INET6;
    struct writer w = writer_of(ret, SOCKS_REPLY_MAX);
    writer_uint(&w, 1, VERSION);
    writer_uint(&w, 1, reply);
    writer_uint(&w, 1, 0);
    writer_uint(&w, 1, v6 ? TYPE_IPV6 : TYPE_IPV4);
    writer_bytes(&w, bound->ip, v6 ? 16 : 4);
    writer_uint(&w, 2, bound->port);
    CHECK(!w.full);
    return (size_t)(w.p - ret);
}

/* ---- datagrams ---- */

#define DATAGRAM_HEAD 3 /* two reserved bytes, the number of a fragment */

bool socks_parse_datagram(const uint8_t *data, size_t len, struct socks_datagram *ret)
{
    static const uint8_t whole[DATAGRAM_HEAD];
    if (len <= DATAGRAM_HEAD || memcmp(data, whole, DATAGRAM_HEAD) != 0)
        return false;
    const uint8_t *p = data + DATAGRAM_HEAD;
    size_t left = len - DATAGRAM_HEAD, size = address_size(p, left);
    if (size == 0 || left < size)
        return false;
    struct address a = address_of(p, size);
    *ret = (struct socks_datagram){
        .address = p, .address_len = size, .data = p + size, .len = left - size, .target = {.udp = true}};
    return to_target(&a, &ret->target, NULL) == 0;
}

size_t socks_put_head(const uint8_t *address, size_t address_len, uint8_t ret[SOCKS_HEAD_MAX])
{
    CHECK(address_len <= SOCKS_HEAD_MAX - DATAGRAM_HEAD);
    memset(ret, 0, DATAGRAM_HEAD);
    memcpy(ret + DATAGRAM_HEAD, address, address_len);
    return DATAGRAM_HEAD + address_len;
}
