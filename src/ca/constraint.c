/* SPDX-License-Identifier: Apache-2.0 */
/* Name constraints (RFC 5280, 4.2.1.10): what an intermediate may issue for. */
#include <string.h>

#include <arpa/inet.h>

#include <openssl/asn1.h>
#include <openssl/nid.h>
#include <openssl/x509v3.h>

#include "base/hostname.h"
#include "ca/ca_internal.h"
#include "cert/name_constraints.h"

#define PERMITTED_MAX 64
#define COMPARISONS_MAX 50000 /* as for a peer's chain: cert/path.h */
#define ADDRESS_MAX 16

static const struct constraint_kind {
    const char *prefix;
    int type;
} kinds[] = {
    {"dns:", GEN_DNS},
    {"ip:", GEN_IPADD},
    {"email:", GEN_EMAIL},
    {"uri:", GEN_URI},
};

/* Append a subtree; `value` is taken over, also where that fails. */
static bool push(STACK_OF(GENERAL_SUBTREE) * trees, int type, ASN1_STRING *value)
{
    GENERAL_SUBTREE *tree = GENERAL_SUBTREE_new();
    if (tree == NULL || value == NULL) {
        GENERAL_SUBTREE_free(tree);
        ASN1_STRING_free(value);
        return false;
    }
    GENERAL_NAME_set0_value(tree->base, type, value);
    if (sk_GENERAL_SUBTREE_push(trees, tree) > 0)
        return true;
    GENERAL_SUBTREE_free(tree);
    return false;
}

static bool push_bytes(STACK_OF(GENERAL_SUBTREE) * trees, int type, const void *bytes, size_t len)
{
    ASN1_STRING *value = ASN1_STRING_type_new(type == GEN_IPADD ? V_ASN1_OCTET_STRING : V_ASN1_IA5STRING);
    if (value != NULL && !ASN1_STRING_set(value, bytes, (ossl_ssize_t)len)) {
        ASN1_STRING_free(value);
        value = NULL;
    }
    return push(trees, type, value);
}

/* An address and its mask, as the extension has them; 0: the text is no network. */
static size_t network(const char *text, uint8_t ret[2 * ADDRESS_MAX])
{
    char address[64];
    uint64_t bits;
    const char *slash = strchr(text, '/');
    size_t len = slash == NULL ? strlen(text) : (size_t)(slash - text);
    if (!str_copy(address, sizeof(address), text, len))
        return 0;
    size_t bytes = hostname_address(address, ret);
    if (bytes == 0 || (slash != NULL && !str_u64(slash + 1, 8 * bytes, &bits)))
        return 0;
    if (slash == NULL)
        bits = 8 * bytes;
    for (size_t i = 0; i < bytes; i++) {
        size_t set = bits > 8 * i ? bits - 8 * i : 0;
        uint8_t mask = (uint8_t)(set >= 8 ? 0xff : 0xff << (8 - set));
        if ((ret[i] & ~mask) != 0)
            return 0;
        ret[bytes + i] = mask;
    }
    return 2 * bytes;
}

static bool is_domain(const char *text)
{
    text += *text == '.';
    return hostname_check(text, strlen(text)) == HOSTNAME_OK;
}

static int add(STACK_OF(GENERAL_SUBTREE) * trees, const char *text, unsigned *ret_types, struct err *err)
{
    uint8_t net[2 * ADDRESS_MAX];
    const struct constraint_kind *kind = NULL;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (strncmp(text, kinds[i].prefix, strlen(kinds[i].prefix)) == 0)
            kind = &kinds[i];
    if (kind == NULL)
        return err_set(err, "'%s': expected dns:NAME, ip:NETWORK, email:NAME or uri:NAME", text);
    const char *value = text + strlen(kind->prefix);
    size_t len = kind->type == GEN_IPADD ? network(value, net) : strlen(value);
    if (kind->type == GEN_IPADD && len == 0)
        return err_set(
            err, "'%s': expected a network such as ip:192.0.2.0/24, without bits behind its prefix", text);
    if (kind->type != GEN_IPADD && !is_domain(value))
        return err_set(err, "'%s': expected a domain name behind '%s'", text, kind->prefix);
    *ret_types |= 1u << kind->type;
    const void *bytes = kind->type == GEN_IPADD ? (const void *)net : value;
    return push_bytes(trees, kind->type, bytes, len) ? 0 : err_set(err, "out of memory");
}

/* A limit on DNS names means nothing while addresses can be certified, and the other way round: the kind that
 * is not named is excluded whole, as the Baseline Requirements have it (7.1.5). */
static bool exclude(NAME_CONSTRAINTS *constraints, unsigned types)
{
    static const uint8_t zero[2 * ADDRESS_MAX] = {0};
    const unsigned dns = 1u << GEN_DNS, ip = 1u << GEN_IPADD;
    if ((types & (dns | ip)) == 0 || (types & (dns | ip)) == (dns | ip))
        return true;
    STACK_OF(GENERAL_SUBTREE) *trees = constraints->excludedSubtrees = sk_GENERAL_SUBTREE_new_null();
    if (trees == NULL)
        return false;
    if ((types & ip) != 0)
        return push_bytes(trees, GEN_DNS, "", 0);
    return push_bytes(trees, GEN_IPADD, zero, 8) && push_bytes(trees, GEN_IPADD, zero, 32);
}

int ca_add_constraints(X509 *cert, const struct ca_request *request, struct err *err)
{
    if (request->permitted_len == 0)
        return 0;
    if (request->permitted_len > PERMITTED_MAX)
        return err_set(err, "%zu name constraints; at most %d fit", request->permitted_len, PERMITTED_MAX);
    NAME_CONSTRAINTS *constraints = NAME_CONSTRAINTS_new();
    if (constraints == NULL || (constraints->permittedSubtrees = sk_GENERAL_SUBTREE_new_null()) == NULL) {
        NAME_CONSTRAINTS_free(constraints);
        return err_set(err, "out of memory");
    }
    unsigned types = 0;
    int rc = 0;
    for (size_t i = 0; i < request->permitted_len && rc == 0; i++)
        rc = add(constraints->permittedSubtrees, request->permitted[i], &types, err);
    if (rc == 0 && (!exclude(constraints, types) ||
                    X509_add1_ext_i2d(cert, NID_name_constraints, constraints, 1, 0) != 1))
        rc = err_set(err, "out of memory");
    NAME_CONSTRAINTS_free(constraints);
    return rc;
}

/* An address and its mask, as it was given. */
static bool put_network(struct buf *ret, const uint8_t *net, size_t len)
{
    char text[INET6_ADDRSTRLEN];
    unsigned bits = 0;
    size_t bytes = len / 2;
    if ((bytes != 4 && bytes != ADDRESS_MAX) ||
        inet_ntop(bytes == 4 ? AF_INET : AF_INET6, net, text, sizeof(text)) == NULL)
        return buf_printf(ret, "?");
    for (size_t i = 0; i < bytes; i++)
        bits += (unsigned)__builtin_popcount(net[bytes + i]);
    return buf_printf(ret, "%s/%u", text, bits);
}

static bool put_subtree(struct buf *ret, const GENERAL_NAME *name)
{
    int type;
    const ASN1_STRING *value = GENERAL_NAME_get0_value(name, &type);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (kinds[i].type != type)
            continue;
        const uint8_t *p = ASN1_STRING_get0_data(value);
        size_t len = (size_t)ASN1_STRING_length(value);
        return buf_printf(ret, "%s%s", ret->len > 0 ? " " : "", kinds[i].prefix) &&
               (type == GEN_IPADD ? put_network(ret, p, len) : buf_append(ret, p, len));
    }
    return true; /* of a kind that is not issued */
}

bool ca_put_constraints(const X509 *cert, struct buf *ret)
{
    NAME_CONSTRAINTS *constraints = X509_get_ext_d2i(cert, NID_name_constraints, NULL, NULL);
    bool ok = true;
    for (size_t i = 0;
         constraints != NULL && i < sk_GENERAL_SUBTREE_num(constraints->permittedSubtrees) && ok; i++)
        ok = put_subtree(ret, sk_GENERAL_SUBTREE_value(constraints->permittedSubtrees, i)->base);
    NAME_CONSTRAINTS_free(constraints);
    return ok;
}

/* The value of an extension of a certificate; false where it has none such. */
static bool get_extension(const X509 *cert, int nid, CBS *ret, bool *ret_critical)
{
    X509_EXTENSION *extension = X509_get_ext(cert, X509_get_ext_by_NID(cert, nid, -1));
    if (extension == NULL)
        return false;
    const ASN1_OCTET_STRING *value = X509_EXTENSION_get_data(extension);
    CBS_init(ret, ASN1_STRING_get0_data(value), (size_t)ASN1_STRING_length(value));
    *ret_critical = X509_EXTENSION_get_critical(extension) == 1;
    return true;
}

int ca_check_constraints(const X509 *issuer, X509 *cert, struct err *err)
{
    char name[CONSTRAINT_NAME_MAX] = "";
    size_t left = COMPARISONS_MAX;
    struct constrained_names names = {0};
    CBS constraints, subject, san;
    bool critical, ignored;
    if (!get_extension(issuer, NID_name_constraints, &constraints, &critical))
        return 0;
    uint8_t *der = NULL;
    int len = i2d_X509_NAME(X509_get_subject_name(cert), &der);
    if (len < 0)
        return err_set(err, "out of memory");
    CBS_init(&subject, der, (size_t)len);
    bool read = CBS_get_asn1(&subject, &names.subject, CBS_ASN1_SEQUENCE) == 1;
    if (read && get_extension(cert, NID_subject_alt_name, &san, &ignored))
        read = CBS_get_asn1(&san, &names.san, CBS_ASN1_SEQUENCE) == 1;
    enum constraint_verdict verdict = CONSTRAINT_ODD_NAME;
    if (read && name_constraints_check(constraints))
        verdict = name_constraints_meet(constraints, critical, &names, &left, name);
    OPENSSL_free(der);
    if (verdict == CONSTRAINT_MET)
        return 0;
    return err_set(err, "the name constraints of the CA do not allow all of these names (%s%s%s)", name,
                   name[0] != '\0' ? ": " : "", name_constraints_text(verdict));
}
