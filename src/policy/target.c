/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/target.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/str.h"
#include "policy/policy.h"

#define V4_BITS 96 /* of an address's 16 bytes before IPv4 begins */

/* An entry cut into its parts, in place. */
struct parts {
    char *host;
    char *bits; /* NULL: no "/" */
    char *ports;
    bool brackets;
};

/* Cut HOST:PORTS, HOST/BITS:PORTS, [HOST]:PORTS, [HOST]/BITS:PORTS or [HOST/BITS]:PORTS. */
static int cut(char *text, struct parts *ret, struct err *err)
{
    *ret = (struct parts){.host = text, .ports = text, .brackets = text[0] == '['};
    char *after = text;
    if (ret->brackets) {
        ret->host = text + 1;
        after = strchr(text, ']');
        if (after == NULL)
            return err_set(err, "found '[' without ']': expected [ADDRESS]:PORT or [ADDRESS]/BITS:PORT");
        *after++ = '\0';
    }
    char *colon = strrchr(after, ':');
    if (colon == NULL)
        return err_set(err, "found no port: expected HOST:PORT, HOST:FROM-TO or HOST:*");
    if (!ret->brackets && strchr(after, ':') != colon)
        return err_set(err,
                       "found several ':': expected IPv6 addresses in brackets, as in [2001:db8::]/32:443");
    *colon = '\0';
    ret->ports = colon + 1;
    char *slash = strchr(after, '/');
    if (ret->brackets && slash != after && *after != '\0')
        return err_set(err, "found \"%s\" after ']': expected /BITS or :PORT", after);
    if (slash == NULL)
        slash = strchr(ret->host, '/');
    if (slash != NULL) {
        *slash = '\0';
        ret->bits = slash + 1;
    }
    return 0;
}

static int parse_port(const char *text, uint16_t *ret, struct err *err)
{
    uint64_t port;
    if (!str_u64(text, UINT16_MAX, &port) || port == 0)
        return err_set(err, "found port \"%s\": expected 1 to 65535, FROM-TO or *", text);
    *ret = (uint16_t)port;
    return 0;
}

static int parse_ports(char *text, struct target *ret, struct err *err)
{
    ret->port_first = 1;
    ret->port_last = UINT16_MAX;
    if (strcmp(text, "*") == 0)
        return 0;
    char *dash = strchr(text, '-');
    if (dash != NULL)
        *dash = '\0';
    if (parse_port(text, &ret->port_first, err) != 0)
        return -1;
    if (parse_port(dash != NULL ? dash + 1 : text, &ret->port_last, err) != 0)
        return -1;
    if (ret->port_first > ret->port_last)
        return err_set(err, "found ports %u-%u: expected the lower one first", ret->port_first,
                       ret->port_last);
    return 0;
}

/* Clear the bits after the first `bits`. */
static struct policy_address masked(const struct policy_address *a, uint8_t bits)
{
    struct policy_address m = *a;
    CHECK(bits <= 128);
    for (unsigned i = bits; i < 128; i++)
        m.bytes[i / 8] &= (uint8_t) ~(0x80u >> (i % 8));
    return m;
}

static int parse_net(const struct parts *parts, struct target *ret, struct err *err)
{
    ret->kind = TARGET_NET;
    if (policy_address_parse(parts->host, &ret->base) != 0)
        return err_set(err, "found \"%s\": expected an address such as 10.0.0.0 or [2001:db8::], or a name",
                       parts->host);
    bool v4 = policy_address_is_v4(&ret->base);
    if (v4 && parts->brackets)
        return err_set(err, "found IPv4 in brackets: expected it as a dotted quad, with BITS from 0 to 32");
    unsigned before = v4 ? V4_BITS : 0;
    uint64_t bits = 128 - before;
    if (parts->bits != NULL && !str_u64(parts->bits, 128 - before, &bits))
        return err_set(err, "found /%s: expected /0 to /%u", parts->bits, 128 - before);
    ret->bits = (uint8_t)(bits + before);
    struct policy_address base = masked(&ret->base, ret->bits);
    if (memcmp(&base, &ret->base, sizeof(base)) != 0) {
        char text[POLICY_ADDRESS_MAX];
        policy_address_text(&base, text);
        return err_set(err, "found %s/%u, which has bits set after the first %u: expected %s/%u", parts->host,
                       (unsigned)bits, (unsigned)bits, text, (unsigned)bits);
    }
    return 0;
}

/* A pattern must hold names only: "10.*" is meant for addresses, and would never match one. */
static int check_pattern(const char *pattern, struct err *err)
{
    if (pattern[strspn(pattern, "0123456789.*")] == '\0')
        return err_set(err,
                       "found \"%s\", which looks like a part of an address: expected a network such as "
                       "10.0.0.0/8, a name, or * alone",
                       pattern);
    struct policy_host host;
    struct err ignored;
    char sample[POLICY_HOST_MAX];
    /* With an x for each asterisk a good pattern is a good name. */
    bool fits = str_copy(sample, sizeof(sample), pattern, strlen(pattern));
    for (char *p = sample; *p != '\0'; p++)
        *p = *p == '*' ? 'x' : *p;
    if (!fits || policy_host_parse(sample, strlen(sample), &host, &ignored) != 0 || host.is_address)
        return err_set(
            err,
            "found \"%.80s\": expected a DNS name of a-z, 0-9, '-' and '_', in which * stands for any "
            "characters, or an address",
            pattern);
    return 0;
}

static int parse_name(const struct parts *parts, struct target *ret, struct err *err)
{
    ret->kind = TARGET_NAME;
    if (parts->host[0] == '\0')
        return err_set(err, "found no name: expected one, or *");
    if (check_pattern(parts->host, err) != 0)
        return -1;
    size_t len = strlen(parts->host);
    ret->pattern = strndup(parts->host, parts->host[len - 1] == '.' ? len - 1 : len);
    return ret->pattern != NULL ? 0 : err_set(err, "out of memory");
}

/* Words in front that say what a target is for. */
static const char *const words[] = {
    [POLICY_TCP] = "",         [POLICY_UDP] = "udp:",       [POLICY_NAME] = "name:",
    [POLICY_OFFER] = "offer:", [POLICY_PUBLIC] = "public:", [POLICY_CERTIFY] = "certify:"};

const char *policy_target_of(const char *text, enum policy_space *ret)
{
    *ret = POLICY_TCP;
    for (size_t i = POLICY_TCP + 1; i < ARRAY_LEN(words); i++) {
        size_t len = strlen(words[i]);
        if (strncmp(text, words[i], len) != 0)
            continue;
        *ret = (enum policy_space)i;
        return text + len;
    }
    return text;
}

/* "nam:app.test" has a word in front that is none of ours, and no ports behind it. */
static int check_word(const char *text, struct err *err)
{
    size_t len = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
    const char *rest = text + len + 1;
    if (len == 0 || text[len] != ':' || *rest == '\0' || *rest == ':' ||
        rest[strspn(rest, "0123456789-*")] == '\0')
        return 0;
    return err_set(
        err,
        "unknown kind '%.*s:'; known: name:, offer:, public:, certify:, udp:; in HOST:PORTS found port "
        "\"%.80s\": expected 1 to 65535, FROM-TO or *",
        (int)MIN(len, (size_t)40), text, rest);
}

/* NAME, with ports of the door only where the space has some. */
static int parse_offered(char *text, struct target *ret, struct err *err)
{
    char *colon = strrchr(text, ':');
    if (colon != NULL && ret->space != POLICY_PUBLIC)
        return err_set(err, "found a port: expected a name alone; what agents offer is reached by name");
    if (colon != NULL && parse_ports(colon + 1, ret, err) != 0)
        return -1;
    if (colon != NULL)
        *colon = '\0';
    if (strcmp(text, "*") == 0) {
        ret->kind = TARGET_ANY;
        return 0;
    }
    return parse_name(&(struct parts){.host = text}, ret, err);
}

static int parse_parts(char *text, struct target *ret, struct err *err)
{
    struct parts parts;
    text += policy_target_of(text, &ret->space) - text;
    if (ret->space != POLICY_TCP && ret->space != POLICY_UDP)
        return parse_offered(text, ret, err);
    if (ret->space == POLICY_TCP && check_word(text, err) != 0)
        return -1;
    if (cut(text, &parts, err) != 0 || parse_ports(parts.ports, ret, err) != 0)
        return -1;
    if (parts.host[0] == '\0')
        return err_set(err, "found no host before the port: expected a name, an address or *");
    if (strcmp(parts.host, "*") == 0 && parts.bits == NULL && !parts.brackets) {
        ret->kind = TARGET_ANY;
        return 0;
    }
    struct policy_address address;
    if (parts.brackets || parts.bits != NULL || policy_address_parse(parts.host, &address) == 0)
        return parse_net(&parts, ret, err);
    return parse_name(&parts, ret, err);
}

int target_parse(const char *text, struct target *ret, struct err *err)
{
    *ret = (struct target){.text = strdup(text)};
    char *copy = strdup(text);
    int rc = -1;
    if (ret->text == NULL || copy == NULL)
        err_set(err, "out of memory");
    else if (parse_parts(copy, ret, err) != 0)
        err_prefix(err, "target \"%.100s\"", text);
    else
        rc = 0;
    free(copy);
    return rc;
}

void target_free(struct target *t)
{
    free(t->text);
    free(t->pattern);
    *t = (struct target){0};
}

int policy_target_check(const char *text, struct err *err)
{
    struct target t;
    int rc = target_parse(text, &t, err);
    target_free(&t);
    return rc;
}

bool policy_target_facts(const char *text, struct policy_target_facts *ret)
{
    struct target t;
    struct err ignored;
    bool good = target_parse(text, &t, &ignored) == 0;
    *ret = (struct policy_target_facts){.space = t.space,
                                        .port_first = t.port_first,
                                        .port_last = t.port_last,
                                        .nowhere = good && t.kind == TARGET_NET && t.bits == 128 &&
                                                   policy_address_is_unspecified(&t.base)};
    target_free(&t);
    return good;
}

static bool net_has(const struct target *t, const struct policy_address *a)
{
    /* [::]/0 and its like hold no mapped addresses: those are IPv4. */
    if (policy_address_is_v4(a) != policy_address_is_v4(&t->base))
        return false;
    size_t whole = t->bits / 8, rest = t->bits % 8;
    CHECK(whole + (rest > 0) <= sizeof(a->bytes));
    if (memcmp(a->bytes, t->base.bytes, whole) != 0)
        return false;
    return rest == 0 || ((a->bytes[whole] ^ t->base.bytes[whole]) >> (8 - rest)) == 0;
}

static bool net_has_embedded(const struct target *t, const struct policy_address *a)
{
    struct policy_address inside[POLICY_EMBEDDED_MAX];
    size_t n = policy_address_embedded(a, inside);
    for (size_t i = 0; i < n; i++)
        if (net_has(t, &inside[i]))
            return true;
    return false;
}

bool target_covers(const struct target *wide, bool wide_denies, const struct target *t, bool denies,
                   bool datagrams)
{
    bool both = denies && t->space == POLICY_TCP && datagrams; /* it speaks of those too */
    if (wide->space != t->space && !(wide_denies && wide->space == POLICY_TCP && t->space == POLICY_UDP))
        return false;
    if ((both && !wide_denies) || wide->port_first > t->port_first || wide->port_last < t->port_last)
        return false;
    switch (wide->kind) {
    case TARGET_ANY:
        return true;
    case TARGET_NAME: /* an asterisk of `t` is a character that only one of `wide` matches */
        return t->kind == TARGET_NAME && str_glob_nocase(wide->pattern, t->pattern);
    case TARGET_NET:
        break;
    }
    if (denies && !wide_denies) /* it holds addresses of IPv6 too that lead into it */
        return false;
    return t->kind == TARGET_NET && wide->bits <= t->bits && net_has(wide, &t->base);
}

enum target_match target_match_host(const struct target *t, const struct policy_host *host,
                                    const struct policy_address *address, bool deny)
{
    CHECK(!host->is_address || address != NULL);
    bool both = deny && t->space == POLICY_TCP && host->space == POLICY_UDP;
    if (t->space != host->space && !both)
        return TARGET_NO;
    switch (t->kind) {
    case TARGET_ANY:
        return TARGET_YES;
    case TARGET_NAME:
        return !host->is_address && str_glob_nocase(t->pattern, host->name) ? TARGET_YES : TARGET_NO;
    case TARGET_NET:
        break;
    }
    CHECK(t->kind == TARGET_NET);
    if (address == NULL)
        return TARGET_MAYBE;
    return net_has(t, address) || (deny && net_has_embedded(t, address)) ? TARGET_YES : TARGET_NO;
}
