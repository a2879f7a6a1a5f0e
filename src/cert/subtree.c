/* SPDX-License-Identifier: Apache-2.0 */
#include "cert/subtree.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/hostname.h"
#include "cert/dn.h"

/* A piece of text, borrowed. */
struct span {
    const char *p;
    size_t len;
};

static struct span span_of(CBS bytes)
{
    return (struct span){(const char *)CBS_data(&bytes), CBS_len(&bytes)};
}

static struct span drop(struct span s, size_t n)
{
    return (struct span){s.p + n, s.len - n};
}

static bool same(struct span a, struct span b)
{
    return a.len == b.len && strncasecmp(a.p, b.p, a.len) == 0;
}

/* Are these labels of letters, digits, '-' and '_' with dots between, no NUL and nothing else among them? */
static bool is_domain(struct span s)
{
    size_t label = 0;
    if (s.len == 0 || s.len > HOSTNAME_MAX)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.p[i] == '.' && label == 0)
            return false;
        label = s.p[i] == '.' ? 0 : label + 1;
        if (label > HOSTNAME_LABEL_MAX ||
            (s.p[i] != '.' && s.p[i] != '-' && s.p[i] != '_' && !isalnum((unsigned char)s.p[i])))
            return false;
    }
    return label > 0;
}

/* Is `name` at least one label longer than `domain`, and ends in it? */
static bool is_below(struct span name, struct span domain)
{
    if (name.len <= domain.len + 1)
        return false;
    struct span end = drop(name, name.len - domain.len);
    return end.p[-1] == '.' && same(end, domain);
}

/* A host, as the constraints on mail and URIs have it: ".domain" is what is below, another text that host. */
static bool host_matches(struct span base, struct span host)
{
    if (base.len > 0 && base.p[0] == '.')
        return is_below(host, drop(base, 1));
    return base.len == 0 || same(base, host);
}

/* ---- the kinds ---- */

static bool is_domain_base(struct span base)
{
    return base.len == 0 || is_domain(base.p[0] == '.' ? drop(base, 1) : base);
}

static enum subtree_match match_dns(struct span base, struct span name)
{
    bool wild = name.len > 2 && memcmp(name.p, "*.", 2) == 0;
    if (name.len > 0 && name.p[name.len - 1] == '.') /* the root's dot: the same name */
        name.len--;
    if (wild)
        name = drop(name, 2);
    if (!is_domain(name))
        return SUBTREE_ODD_NAME;
    if (base.len == 0)
        return SUBTREE_ALL;
    bool only_below = base.p[0] == '.';
    struct span domain = only_below ? drop(base, 1) : base;
    if (is_below(name, domain) || (same(name, domain) && (wild || !only_below)))
        return SUBTREE_ALL;
    /* The subtree's own name may be one that the wildcard matches. */
    if (wild && !only_below && is_below(domain, name) &&
        memchr(domain.p, '.', domain.len - name.len - 1) == NULL)
        return SUBTREE_SOME;
    return SUBTREE_NO;
}

/* Split at the last '@'. */
static bool split_mailbox(struct span text, struct span *ret_local, struct span *ret_host)
{
    const char *at = text.len > 0 ? memrchr(text.p, '@', text.len) : NULL;
    if (at == NULL)
        return false;
    *ret_local = (struct span){text.p, (size_t)(at - text.p)};
    *ret_host = drop(text, ret_local->len + 1);
    return true;
}

static bool is_mailbox(struct span text)
{
    struct span local, host;
    if (!split_mailbox(text, &local, &host) || local.len == 0 || !is_domain(host))
        return false;
    for (size_t i = 0; i < local.len; i++)
        if (local.p[i] <= ' ' || local.p[i] > '~')
            return false;
    return true;
}

static bool is_email_base(struct span base)
{
    struct span local, host;
    return split_mailbox(base, &local, &host) ? is_mailbox(base) : is_domain_base(base);
}

static enum subtree_match match_email(struct span base, struct span name)
{
    struct span local, host, base_local, base_host;
    if (!is_mailbox(name) || !split_mailbox(name, &local, &host))
        return SUBTREE_ODD_NAME;
    bool matches;
    if (split_mailbox(base, &base_local, &base_host))
        matches = local.len == base_local.len && memcmp(local.p, base_local.p, local.len) == 0 &&
                  same(host, base_host);
    else
        matches = host_matches(base, host);
    return matches ? SUBTREE_ALL : SUBTREE_NO;
}

/* The host in the authority of a URI (RFC 3986, 3.2). False where there is none. */
static bool host_of(struct span uri, struct span *ret)
{
    const char *colon = uri.len > 0 ? memchr(uri.p, ':', uri.len) : NULL;
    if (colon == NULL || colon == uri.p)
        return false;
    struct span rest = drop(uri, (size_t)(colon - uri.p) + 1);
    if (rest.len < 2 || memcmp(rest.p, "//", 2) != 0)
        return false;
    rest = drop(rest, 2);
    for (size_t i = 0; i < rest.len; i++)
        if (strchr("/?#", rest.p[i]) != NULL)
            rest.len = i;
    const char *at = rest.len > 0 ? memrchr(rest.p, '@', rest.len) : NULL;
    if (at != NULL)
        rest = drop(rest, (size_t)(at - rest.p) + 1);
    const char *port = rest.len > 0 ? memchr(rest.p, ':', rest.len) : NULL;
    if (port != NULL)
        rest.len = (size_t)(port - rest.p);
    *ret = rest;
    return hostname_check(rest.p, rest.len) == HOSTNAME_OK;
}

static enum subtree_match match_uri(struct span base, struct span name)
{
    struct span host;
    if (!host_of(name, &host))
        return SUBTREE_ODD_NAME;
    return host_matches(base, host) ? SUBTREE_ALL : SUBTREE_NO;
}

/* An address and a mask of ones and then zeros. */
static bool is_network(struct span base)
{
    size_t bytes = base.len / 2;
    if (base.len != 8 && base.len != 32)
        return false;
    bool over = false;
    for (size_t i = 0; i < 8 * bytes; i++) {
        bool bit = ((uint8_t)base.p[bytes + i / 8] >> (7 - i % 8) & 1) != 0;
        if (bit && over)
            return false;
        over = !bit;
    }
    return true;
}

static enum subtree_match match_ip(struct span base, struct span name)
{
    if (name.len != 4 && name.len != 16)
        return SUBTREE_ODD_NAME;
    if (base.len != 2 * name.len)
        return SUBTREE_NO;
    for (size_t i = 0; i < name.len; i++)
        if (((base.p[i] ^ name.p[i]) & base.p[name.len + i]) != 0)
            return SUBTREE_NO;
    return SUBTREE_ALL;
}

static enum subtree_match match_directory(CBS base, CBS name)
{
    struct buf above = {0}, below = {0};
    enum subtree_match match = SUBTREE_ODD_NAME;
    if (dn_canonical(base, &above) && dn_canonical(name, &below))
        match = above.len <= below.len && (above.len == 0 || memcmp(above.data, below.data, above.len) == 0)
                    ? SUBTREE_ALL
                    : SUBTREE_NO;
    buf_free(&above);
    buf_free(&below);
    return match;
}

static bool is_directory_base(CBS base)
{
    struct buf canonical = {0};
    bool ok = dn_canonical(base, &canonical);
    buf_free(&canonical);
    return ok;
}

/* ---- what others ask ---- */

bool subtree_read_name(CBS *from, enum name_kind *ret_kind, CBS *ret_value, CBS_ASN1_TAG *ret_tag)
{
    if (!CBS_get_any_asn1(from, ret_value, ret_tag) ||
        (*ret_tag & CBS_ASN1_CLASS_MASK) != CBS_ASN1_CONTEXT_SPECIFIC)
        return false;
    CBS_ASN1_TAG number = *ret_tag & CBS_ASN1_TAG_NUMBER_MASK;
    bool constructed = (*ret_tag & CBS_ASN1_CONSTRUCTED) != 0;
    switch (number) {
    case NAME_EMAIL:
    case NAME_DNS:
    case NAME_URI:
    case NAME_IP:
        *ret_kind = (enum name_kind)number;
        return !constructed;
    case NAME_DIRECTORY: {
        CBS name = *ret_value;
        *ret_kind = NAME_DIRECTORY;
        return constructed && CBS_get_asn1(&name, ret_value, CBS_ASN1_SEQUENCE) && CBS_len(&name) == 0;
    }
    default:
        *ret_kind = NAME_UNKNOWN;
        return number <= 8;
    }
}

bool subtree_is_valid(enum name_kind kind, CBS base)
{
    switch (kind) {
    case NAME_EMAIL:
        return is_email_base(span_of(base));
    case NAME_DNS:
    case NAME_URI:
        return is_domain_base(span_of(base));
    case NAME_IP:
        return is_network(span_of(base));
    case NAME_DIRECTORY:
        return is_directory_base(base);
    }
    return true;
}

enum subtree_match subtree_match(enum name_kind kind, CBS base, CBS name)
{
    switch (kind) {
    case NAME_EMAIL:
        return match_email(span_of(base), span_of(name));
    case NAME_DNS:
        return match_dns(span_of(base), span_of(name));
    case NAME_URI:
        return match_uri(span_of(base), span_of(name));
    case NAME_IP:
        return match_ip(span_of(base), span_of(name));
    case NAME_DIRECTORY:
        return match_directory(base, name);
    }
    return SUBTREE_ODD_NAME;
}
