/* SPDX-License-Identifier: Apache-2.0 */
/* Names in certificates: the subject, and subject alternative names (RFC 5280, 4.1.2.6 and 4.2.1.6). */
#include <string.h>

#include <openssl/asn1.h>
#include <openssl/nid.h>
#include <openssl/x509v3.h>

#include "base/hostname.h"
#include "ca/ca_internal.h"
#include "cert/cert.h"

#define NAME_PART_MAX 64 /* ub-common-name, ub-organizational-unit-name (RFC 5280, A.1) */
#define SANS_MAX 256
#define GROUPS_MAX 48 /* what cardea takes from one certificate is bounded too (cert/identity.h) */

static int add_name_part(X509_NAME *name, int nid, const char *text, struct err *err)
{
    size_t len = strlen(text);
    if (len == 0 || len > NAME_PART_MAX)
        return err_set(err, "'%s': a name or group has 1 to %d bytes", text, NAME_PART_MAX);
    if (!X509_NAME_add_entry_by_NID(name, nid, MBSTRING_UTF8, (const uint8_t *)text, (ossl_ssize_t)len, -1,
                                    0))
        return err_set(err, "'%s': not text in UTF-8", text);
    return 0;
}

int ca_set_subject(X509 *cert, const struct ca_request *request, struct err *err)
{
    X509_NAME *name = X509_get_subject_name(cert);
    if (request->groups_len > GROUPS_MAX)
        return err_set(err, "%zu groups; at most %d fit", request->groups_len, GROUPS_MAX);
    for (size_t i = 0; i < request->groups_len; i++)
        if (add_name_part(name, NID_organizationalUnitName, request->groups[i], err) < 0)
            return -1;
    return request->name == NULL ? 0 : add_name_part(name, NID_commonName, request->name, err);
}

static bool is_printable_ascii(const char *text)
{
    for (; *text != '\0'; text++)
        if (*text <= ' ' || *text > '~')
            return false;
    return true;
}

/* What kind of SAN a text is, by its looks; -1 when it is none. */
static int san_type(const char *text, uint8_t ret_ip[16], size_t *ret_ip_len)
{
    *ret_ip_len = hostname_address(text, ret_ip);
    if (*ret_ip_len > 0)
        return GEN_IPADD;
    if (!is_printable_ascii(text))
        return -1;
    if (strstr(text, "://") != NULL)
        return GEN_URI;
    const char *at = strchr(text, '@');
    if (at != NULL)
        return at != text && cert_dns_name_ok(at + 1, strlen(at + 1)) ? GEN_EMAIL : -1;
    return cert_dns_name_ok(text, strlen(text)) ? GEN_DNS : -1;
}

int ca_san_type(const char *text)
{
    uint8_t ip[16];
    size_t ip_len;
    return san_type(text, ip, &ip_len);
}

static int add_san(GENERAL_NAMES *names, const char *text, struct err *err)
{
    uint8_t ip[16];
    size_t ip_len;
    int type = san_type(text, ip, &ip_len);
    if (type < 0)
        return err_set(err, "'%s': expected a DNS name, an IP address, a URI or an email address", text);
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_STRING *value = ASN1_STRING_type_new(type == GEN_IPADD ? V_ASN1_OCTET_STRING : V_ASN1_IA5STRING);
    bool ok = name != NULL && value != NULL &&
              (type == GEN_IPADD ? ASN1_STRING_set(value, ip, (ossl_ssize_t)ip_len)
                                 : ASN1_STRING_set(value, text, (ossl_ssize_t)strlen(text)));
    if (ok) {
        GENERAL_NAME_set0_value(name, type, value);
        value = NULL;
        ok = sk_GENERAL_NAME_push(names, name) > 0;
    }
    if (!ok) {
        ASN1_STRING_free(value);
        GENERAL_NAME_free(name);
        return err_set(err, "out of memory");
    }
    return 0;
}

/* Add a SAN extension; critical when there is no other name (RFC 5280, 4.2.1.6). */
int ca_add_sans(X509 *cert, const struct ca_request *request, struct err *err)
{
    if (request->sans_len == 0)
        return 0;
    if (request->sans_len > SANS_MAX)
        return err_set(err, "%zu names; at most %d fit", request->sans_len, SANS_MAX);
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    int rc = names == NULL ? err_set(err, "out of memory") : 0;
    for (size_t i = 0; i < request->sans_len && rc == 0; i++)
        rc = add_san(names, request->sans[i], err);
    int critical = X509_NAME_entry_count(X509_get_subject_name(cert)) == 0;
    if (rc == 0 && X509_add1_ext_i2d(cert, NID_subject_alt_name, names, critical, 0) != 1)
        rc = err_set(err, "out of memory");
    GENERAL_NAMES_free(names);
    return rc;
}
