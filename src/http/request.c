/* SPDX-License-Identifier: Apache-2.0 */
#include "http/request.h"

#include <string.h>
#include <strings.h>

#include "base/check.h"

enum seen {
    SEEN_METHOD = 1 << 0,
    SEEN_PROTOCOL = 1 << 1,
    SEEN_SCHEME = 1 << 2,
    SEEN_AUTHORITY = 1 << 3,
    SEEN_PATH = 1 << 4,
    SEEN_HOST = 1 << 5,
    SEEN_LENGTH = 1 << 6,
    SEEN_REGULAR = 1 << 7,
};

#define FIELD_OVERHEAD 32 /* RFC 9113, 6.5.2 */

void request_begin(struct request *r)
{
    memset(r, 0, sizeof(*r));
}

static void spoil(struct request *r, const char *why)
{
    if (r->bad == NULL)
        r->bad = why;
}

/* A field that may be there once. */
static void once(struct request *r, enum seen which)
{
    if (r->is & which)
        spoil(r, "a field that may be there once is there twice");
    r->is |= which;
}

static void keep(struct request *r, struct str value, char *to, size_t cap, uint16_t *ret_len)
{
    if (value.len > cap) {
        spoil(r, "a field that is longer than any target");
        return;
    }
    if (value.len > 0)
        memcpy(to, value.p, value.len);
    *ret_len = (uint16_t)value.len;
}

static void take_pseudo(struct request *r, struct str name, struct str value)
{
    if (r->is & SEEN_REGULAR)
        spoil(r, "a pseudo-field behind a field"); /* RFC 9113, 8.3 */
    if (str_is(name, ":method")) {
        once(r, SEEN_METHOD);
        r->connect = str_is(value, "CONNECT");
    } else if (str_is(name, ":protocol")) {
        once(r, SEEN_PROTOCOL);
        r->connect_udp = str_is(value, "connect-udp");
    } else if (str_is(name, ":scheme")) {
        once(r, SEEN_SCHEME);
        r->https = str_is(value, "https");
    } else if (str_is(name, ":authority")) {
        once(r, SEEN_AUTHORITY);
        keep(r, value, r->authority, sizeof(r->authority), &r->authority_len);
    } else if (str_is(name, ":path")) {
        once(r, SEEN_PATH);
        keep(r, value, r->path, sizeof(r->path), &r->path_len);
    } else {
        spoil(r, "a pseudo-field that requests do not have");
    }
}

/* RFC 9110, 5.6.2, in lower case (RFC 9113, 8.2.1). */
static bool is_field_name(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.p[i];
        bool alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z');
        if (!alnum && (c == '\0' || strchr("!#$%&'*+-.^_`|~", c) == NULL))
            return false;
    }
    return s.len > 0;
}

/* RFC 9113, 8.2.1: no NUL, CR, LF; and as in HTTP/1.1 here, no other control character but TAB. */
static bool is_field_value(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

/* RFC 9113, 8.2.2. */
static bool is_of_connection(struct str name, struct str value)
{
    static const char *const names[] = {"connection", "proxy-connection", "keep-alive", "transfer-encoding",
                                        "upgrade"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (str_is(name, names[i]))
            return true;
    return str_is(name, "te") && !str_is(value, "trailers");
}

static void take_regular(struct request *r, struct str name, struct str value)
{
    r->is |= SEEN_REGULAR;
    if (!is_field_name(name))
        spoil(r, "a name that no field has");
    else if (is_of_connection(name, value))
        spoil(r, "a field of the connection, as only HTTP/1.1 has them");
    if (str_is(name, "host")) {
        once(r, SEEN_HOST);
        keep(r, value, r->host, sizeof(r->host), &r->host_len);
    } else if (str_is(name, "content-length")) {
        once(r, SEEN_LENGTH);
        if (!str_is(value, "0"))
            spoil(r, "no content is taken here, so no Content-Length but 0");
    }
}

bool request_field(struct request *r, struct str name, struct str value)
{
    size_t size = MIN(name.len + value.len + FIELD_OVERHEAD, (size_t)1 << 24);
    r->size = (uint32_t)MIN((size_t)r->size + size, (size_t)UINT32_MAX);
    r->count++;
    if (request_is_too_long(r))
        spoil(r, "the fields of the request are too long");
    else if (r->count > HEAD_FIELDS_MAX)
        spoil(r, "too many fields");
    else if (!is_field_value(value))
        spoil(r, "a control character in the request");
    if (r->bad != NULL)
        return false;
    if (name.len > 0 && name.p[0] == ':')
        take_pseudo(r, name, value);
    else
        take_regular(r, name, value);
    return r->bad == NULL;
}

static enum front_result refuse(struct front_request *ret, enum front_outcome outcome)
{
    ret->bad = outcome;
    return FRONT_BAD;
}

/* RFC 9113, 8.5: the target is the authority, and there is no more. */
static int read_connect(const struct request *r, struct front_target *ret, struct err *err)
{
    if (r->is & (SEEN_SCHEME | SEEN_PATH))
        return err_set(err, "CONNECT with :scheme or :path");
    ret->udp = false;
    if (str_host_port(r->authority, r->authority_len, ret->host, &ret->port, err) == 0)
        return 0;
    err_prefix(err, ":authority of CONNECT is not HOST:PORT");
    return -1;
}

/* RFC 9298, 3.4: the authority is the door's, the path names the target. */
static int read_connect_udp(const struct request *r, struct front_target *ret, struct err *err)
{
    if (!r->https)
        return err_set(err, "connect-udp with a :scheme that is not https");
    if (r->authority_len == 0)
        return err_set(err, "connect-udp without :authority");
    return masque_udp_path((struct str){r->path, r->path_len}, ret, err);
}

/* RFC 9113, 8.3.1: Host must not name somebody else. */
static bool hosts_differ(const struct request *r)
{
    return (r->is & SEEN_HOST) && (r->is & SEEN_AUTHORITY) &&
           (r->host_len != r->authority_len || strncasecmp(r->host, r->authority, r->host_len) != 0);
}

enum front_result request_end(const struct request *r, struct front_request *ret, struct err *err)
{
    struct front_target target = {0};
    *ret = (struct front_request){.bad = FRONT_BAD_HELLO};
    if (r->bad != NULL || hosts_differ(r)) {
        err_set(err, "%s", r->bad != NULL ? r->bad : "host is not what :authority is");
        return FRONT_BAD;
    }
    if (!r->connect) {
        err_set(err, "only CONNECT is served here: this door is a proxy, not a web server");
        return refuse(ret, FRONT_BAD_METHOD);
    }
    bool extended = r->is & SEEN_PROTOCOL;
    if (extended && !r->connect_udp) {
        err_set(err, "the only :protocol that is served here is connect-udp");
        return refuse(ret, FRONT_BAD_PROTOCOL);
    }
    if ((extended ? read_connect_udp(r, &target, err) : read_connect(r, &target, err)) != 0)
        return FRONT_BAD;
    ret->target = target;
    return FRONT_TARGET;
}
