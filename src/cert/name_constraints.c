/* SPDX-License-Identifier: Apache-2.0 */
#include "cert/name_constraints.h"

#include <stdio.h>
#include <string.h>

#include <arpa/inet.h>

#include "base/hostname.h"
#include "base/str.h"
#include "cert/dn.h"
#include "cert/subtree.h"

#define PERMITTED (CBS_ASN1_CONTEXT_SPECIFIC | CBS_ASN1_CONSTRUCTED | 0)
#define EXCLUDED (CBS_ASN1_CONTEXT_SPECIFIC | CBS_ASN1_CONSTRUCTED | 1)
#define MINIMUM (CBS_ASN1_CONTEXT_SPECIFIC | 0)

#define BYTES_OF_A_COMPARISON 64 /* names that are longer count as several */

static const uint8_t common_name[] = {0x55, 0x04, 0x03};
static const uint8_t email_address[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x01};

/* ---- the extension ---- */

struct subtrees {
    CBS permitted, excluded;
};

static bool read_subtrees(CBS extension, struct subtrees *ret)
{
    CBS all;
    int has_permitted, has_excluded;
    *ret = (struct subtrees){0};
    return CBS_get_asn1(&extension, &all, CBS_ASN1_SEQUENCE) && CBS_len(&extension) == 0 &&
           CBS_get_optional_asn1(&all, &ret->permitted, &has_permitted, PERMITTED) &&
           CBS_get_optional_asn1(&all, &ret->excluded, &has_excluded, EXCLUDED) && CBS_len(&all) == 0 &&
           (has_permitted || has_excluded);
}

struct subtree {
    enum name_kind kind;
    CBS_ASN1_TAG tag;
    CBS base;
};

/* A minimum of 0 says nothing, and some write it. */
static bool skip_minimum(CBS *subtree)
{
    CBS minimum;
    return !CBS_peek_asn1_tag(subtree, MINIMUM) ||
           (CBS_get_asn1(subtree, &minimum, MINIMUM) && CBS_mem_equal(&minimum, (const uint8_t *)"", 1));
}

static bool next_subtree(CBS *list, struct subtree *ret)
{
    CBS one;
    return CBS_get_asn1(list, &one, CBS_ASN1_SEQUENCE) &&
           subtree_read_name(&one, &ret->kind, &ret->base, &ret->tag) && skip_minimum(&one) &&
           CBS_len(&one) == 0;
}

static bool check_subtrees(CBS list)
{
    struct subtree s;
    while (CBS_len(&list) > 0)
        if (!next_subtree(&list, &s) || !subtree_is_valid(s.kind, s.base))
            return false;
    return true;
}

bool name_constraints_check(CBS extension)
{
    struct subtrees s;
    return read_subtrees(extension, &s) && check_subtrees(s.permitted) && check_subtrees(s.excluded);
}

/* ---- one name ---- */

struct holding {
    struct subtrees subtrees;
    bool critical;
    size_t *left;
    char *ret_name;
};

static void tell_name(enum name_kind kind, CBS value, char ret[CONSTRAINT_NAME_MAX])
{
    size_t len = CBS_len(&value);
    if (kind == NAME_IP && (len == 4 || len == 16)) {
        inet_ntop(len == 4 ? AF_INET : AF_INET6, CBS_data(&value), ret, CONSTRAINT_NAME_MAX);
    } else if (kind == NAME_EMAIL || kind == NAME_DNS || kind == NAME_URI) {
        len = len < CONSTRAINT_NAME_MAX ? len : CONSTRAINT_NAME_MAX - 1;
        for (size_t i = 0; i < len; i++) {
            uint8_t c = CBS_data(&value)[i];
            ret[i] = c > ' ' && c < 0x7f ? (char)c : '?';
        }
        ret[len] = '\0';
    } else {
        snprintf(ret, CONSTRAINT_NAME_MAX, "%s",
                 kind == NAME_DIRECTORY ? "a distinguished name" : "a name of an unknown kind");
    }
}

/* Whoever makes a name makes its length, and that of the constraints. */
static bool count_down(const struct holding *h, size_t bytes)
{
    size_t cost = 1 + bytes / BYTES_OF_A_COMPARISON;
    bool enough = cost <= *h->left;
    *h->left = enough ? *h->left - cost : 0;
    return enough;
}

/* One name and one list. SUBTREE_NO with `ret_any` false: the list has nothing on its kind. */
static enum constraint_verdict hold_against(const struct holding *h, CBS list, enum name_kind kind,
                                            CBS_ASN1_TAG tag, CBS value, bool *ret_any,
                                            enum subtree_match *ret_most)
{
    struct subtree s;
    *ret_any = false;
    *ret_most = SUBTREE_NO;
    while (CBS_len(&list) > 0 && next_subtree(&list, &s)) {
        bool same = s.kind == kind && s.tag == tag;
        if (!count_down(h, same ? CBS_len(&s.base) + CBS_len(&value) : 0))
            return CONSTRAINT_TOO_MANY;
        if (!same)
            continue;
        if (kind == NAME_UNKNOWN && !h->critical)
            continue;
        enum subtree_match match =
            kind == NAME_UNKNOWN ? SUBTREE_ODD_NAME : subtree_match(kind, s.base, value);
        if (match == SUBTREE_ODD_NAME)
            return CONSTRAINT_ODD_NAME;
        *ret_any = true;
        if (match > *ret_most)
            *ret_most = match;
    }
    return CONSTRAINT_MET;
}

static enum constraint_verdict hold(const struct holding *h, enum name_kind kind, CBS_ASN1_TAG tag, CBS value)
{
    bool any_permitted, any_excluded;
    enum subtree_match permitted, excluded;
    enum constraint_verdict verdict = count_down(h, CBS_len(&value)) ? CONSTRAINT_MET : CONSTRAINT_TOO_MANY;
    if (verdict == CONSTRAINT_MET)
        verdict = hold_against(h, h->subtrees.permitted, kind, tag, value, &any_permitted, &permitted);
    if (verdict == CONSTRAINT_MET)
        verdict = hold_against(h, h->subtrees.excluded, kind, tag, value, &any_excluded, &excluded);
    if (verdict == CONSTRAINT_MET && any_excluded && excluded != SUBTREE_NO)
        verdict = CONSTRAINT_EXCLUDED;
    if (verdict == CONSTRAINT_MET && any_permitted && permitted != SUBTREE_ALL)
        verdict = CONSTRAINT_NOT_PERMITTED;
    if (verdict != CONSTRAINT_MET)
        tell_name(kind, value, h->ret_name);
    return verdict;
}

/* ---- all names of a certificate ---- */

static CBS_ASN1_TAG tag_of(enum name_kind kind)
{
    return CBS_ASN1_CONTEXT_SPECIFIC | (kind == NAME_DIRECTORY ? CBS_ASN1_CONSTRUCTED : 0) |
           (CBS_ASN1_TAG)kind;
}

static enum constraint_verdict hold_known(const struct holding *h, enum name_kind kind, CBS value)
{
    return hold(h, kind, tag_of(kind), value);
}

/* What a common name says, when there is no SAN to say it. */
static enum constraint_verdict hold_common_name(const struct holding *h, CBS value)
{
    char text[HOSTNAME_MAX + 1];
    uint8_t ip[16];
    const char *p = (const char *)CBS_data(&value);
    size_t len = CBS_len(&value);
    if (len == 0 || memchr(p, '\0', len) != NULL || !str_copy(text, sizeof(text), p, len))
        return CONSTRAINT_MET;
    size_t ip_len = hostname_address(text, ip);
    if (ip_len > 0) {
        CBS address;
        CBS_init(&address, ip, ip_len);
        return hold_known(h, NAME_IP, address);
    }
    const char *domain = strncmp(text, "*.", 2) == 0 ? text + 2 : text;
    if (strchr(domain, '.') != NULL && hostname_check(domain, strlen(domain)) == HOSTNAME_OK)
        return hold_known(h, NAME_DNS, value);
    return CONSTRAINT_MET;
}

static enum constraint_verdict hold_subject(const struct holding *h, const struct constrained_names *names)
{
    struct dn_reader reader = {.rdns = names->subject};
    struct dn_attribute a;
    enum constraint_verdict verdict = CONSTRAINT_MET;
    if (CBS_len(&names->subject) > 0)
        verdict = hold_known(h, NAME_DIRECTORY, names->subject);
    while (verdict == CONSTRAINT_MET && dn_next(&reader, &a)) {
        if (CBS_mem_equal(&a.kind, email_address, sizeof(email_address)))
            verdict = hold_known(h, NAME_EMAIL, a.value);
        else if (CBS_len(&names->san) == 0 && CBS_mem_equal(&a.kind, common_name, sizeof(common_name)))
            verdict = hold_common_name(h, a.value);
    }
    return verdict;
}

enum constraint_verdict name_constraints_meet(CBS extension, bool critical,
                                              const struct constrained_names *names, size_t *left,
                                              char ret_name[CONSTRAINT_NAME_MAX])
{
    struct holding h = {.critical = critical, .left = left, .ret_name = ret_name};
    ret_name[0] = '\0';
    if (!read_subtrees(extension, &h.subtrees))
        return CONSTRAINT_ODD_NAME;
    enum constraint_verdict verdict = hold_subject(&h, names);
    enum name_kind kind;
    CBS san = names->san, value;
    CBS_ASN1_TAG tag;
    while (verdict == CONSTRAINT_MET && CBS_len(&san) > 0)
        verdict =
            subtree_read_name(&san, &kind, &value, &tag) ? hold(&h, kind, tag, value) : CONSTRAINT_ODD_NAME;
    return verdict;
}

const char *name_constraints_text(enum constraint_verdict verdict)
{
    static const char *const texts[] = {
        [CONSTRAINT_MET] = "it is allowed",
        [CONSTRAINT_NOT_PERMITTED] = "permitted subtree violation",
        [CONSTRAINT_EXCLUDED] = "excluded subtree violation",
        [CONSTRAINT_ODD_NAME] = "it cannot be compared",
        [CONSTRAINT_TOO_MANY] = "too many names and subtrees to compare",
    };
    return texts[verdict];
}
