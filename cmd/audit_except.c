/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/audit_except.h"

#include <string.h>
#include <sys/socket.h>

#include "audit/record.h"
#include "base/check.h"
#include "base/hostport.h"
#include "base/str.h"
#include "net/addr.h"

static bool read_network(const char *text, struct audit_exception *ret)
{
    char host[NET_ADDR_TEXT_MAX];
    size_t len = strcspn(text, "/");
    struct net_addr a;
    uint64_t prefix;
    if (!str_copy(host, sizeof(host), text, len) || !net_addr_parse(host, 0, &a))
        return false;
    uint64_t most = a.family == AF_INET ? 32 : 128;
    prefix = most;
    if (text[len] == '/' && !str_u64(text + len + 1, most, &prefix))
        return false;
    ret->family = a.family;
    memcpy(ret->network, a.ip, sizeof(ret->network));
    ret->prefix = (uint8_t)prefix;
    return true;
}

int audit_except_add(struct audit_except *e, const char *text, struct err *err)
{
    static const char *const keys[] = {[AUDIT_EXCEPT_IDENTITY] = "identity=",
                                       [AUDIT_EXCEPT_NETWORK] = "network=",
                                       [AUDIT_EXCEPT_JA4] = "ja4="};
    size_t by = 0;
    while (by < ARRAY_LEN(keys) && strncmp(text, keys[by], strlen(keys[by])) != 0)
        by++;
    const char *value = by == ARRAY_LEN(keys) ? "" : text + strlen(keys[by]);
    if (*value == '\0')
        return err_set(err, "found '%s', expected identity=NAME, network=ADDRESS/BITS or ja4=FINGERPRINT",
                       text);
    if (e->n == AUDIT_EXCEPT_MAX)
        return err_set(err, "more than %d", AUDIT_EXCEPT_MAX);
    struct audit_exception *x = &e->v[e->n];
    *x = (struct audit_exception){.by = (enum audit_except_by)by, .text = value};
    if (x->by == AUDIT_EXCEPT_NETWORK && !read_network(value, x))
        return err_set(err,
                       "found '%s', expected an address or a network such as 192.0.2.7, 192.0.2.0/24 or "
                       "2001:db8::/48",
                       text);
    e->n++;
    return 0;
}

bool audit_peer(const struct audit_line *line, struct net_addr *ret)
{
    struct str peer = line->v[AUDIT_PEER];
    char text[NET_ADDR_TEXT_MAX], host[HOST_MAX];
    uint16_t port;
    return str_copy(text, sizeof(text), peer.p, peer.len) &&
           str_host_port(text, peer.len, host, &port, NULL) == 0 && net_addr_parse(host, port, ret);
}

static bool is_identity(struct str told, const char *identity)
{
    char text[AUDIT_LINE_MAX];
    if (told.len == 0)
        return false;
    audit_line_text(told, text, sizeof(text));
    return strcmp(text, identity) == 0;
}

static bool is_of(const struct audit_exception *x, const struct audit_line *line)
{
    struct net_addr peer;
    switch (x->by) {
    case AUDIT_EXCEPT_IDENTITY:
        return is_identity(line->v[AUDIT_IDENTITY], x->text);
    case AUDIT_EXCEPT_NETWORK:
        return audit_peer(line, &peer) && net_addr_in(&peer, x->family, x->network, x->prefix);
    default:
        return str_is(line->v[AUDIT_JA4], x->text);
    }
}

bool audit_except_holds(const struct audit_except *e, const struct audit_line *line)
{
    for (size_t i = 0; i < e->n; i++)
        if (is_of(&e->v[i], line))
            return true;
    return false;
}
