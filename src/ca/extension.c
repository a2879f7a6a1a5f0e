/* SPDX-License-Identifier: Apache-2.0 */
/* Extensions of certificates (RFC 5280, 4.2), but for names and what limits them. */
#include <string.h>

#include <openssl/asn1.h>
#include <openssl/digest.h>
#include <openssl/nid.h>
#include <openssl/obj.h>
#include <openssl/x509v3.h>

#include "base/check.h"
#include "ca/ca_internal.h"
#include "cert/tls_feature.h"

#define KEY_ID_BYTES 20
#define BIT_SIGNATURE 0 /* bits of keyUsage (RFC 5280, 4.2.1.3) */
#define BIT_CERT_SIGN 5
#define BIT_CRL_SIGN 6
#define NO_PATH_LENGTH (-1)

static bool add_basic_constraints(X509 *cert, bool ca, int path_length)
{
    BASIC_CONSTRAINTS *constraints = BASIC_CONSTRAINTS_new();
    if (constraints == NULL)
        return false;
    constraints->ca = ca ? ASN1_BOOLEAN_TRUE : ASN1_BOOLEAN_FALSE;
    bool ok = true;
    if (path_length != NO_PATH_LENGTH) {
        constraints->pathlen = ASN1_INTEGER_new();
        ok = constraints->pathlen != NULL && ASN1_INTEGER_set_int64(constraints->pathlen, path_length);
    }
    ok = ok && X509_add1_ext_i2d(cert, NID_basic_constraints, constraints, 1, 0) == 1;
    BASIC_CONSTRAINTS_free(constraints);
    return ok;
}

/* An intermediate signs OCSP answers as well, which are neither certificates nor CRLs (RFC 5280, 4.2.1.3). */
static bool add_key_usage(X509 *cert, bool ca, bool root)
{
    ASN1_BIT_STRING *usage = ASN1_BIT_STRING_new();
    bool ok = usage != NULL && (root || ASN1_BIT_STRING_set_bit(usage, BIT_SIGNATURE, 1)) &&
              (!ca || (ASN1_BIT_STRING_set_bit(usage, BIT_CERT_SIGN, 1) &&
                       ASN1_BIT_STRING_set_bit(usage, BIT_CRL_SIGN, 1)));
    ok = ok && X509_add1_ext_i2d(cert, NID_key_usage, usage, 1, 0) == 1;
    ASN1_BIT_STRING_free(usage);
    return ok;
}

/* OBJ_nid2obj() gives what is static and not owned. */
static bool add_extended_usage(X509 *cert, enum ca_profile profile)
{
    EXTENDED_KEY_USAGE *usages = sk_ASN1_OBJECT_new_null();
    bool server = profile == CA_PROFILE_SERVER || profile == CA_PROFILE_AGENT;
    bool client = profile == CA_PROFILE_CLIENT || profile == CA_PROFILE_AGENT;
    bool ok = usages != NULL && (!server || sk_ASN1_OBJECT_push(usages, OBJ_nid2obj(NID_server_auth)) > 0) &&
              (!client || sk_ASN1_OBJECT_push(usages, OBJ_nid2obj(NID_client_auth)) > 0) &&
              X509_add1_ext_i2d(cert, NID_ext_key_usage, usages, 0, 0) == 1;
    sk_ASN1_OBJECT_free(usages);
    return ok;
}

/* The first 160 bits of the SHA-256 of the public key (RFC 7093, 2, method 1). */
static bool key_id(const X509 *cert, uint8_t ret[KEY_ID_BYTES])
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    if (X509_pubkey_digest(cert, EVP_sha256(), digest, &len) != 1)
        return false;
    CHECK(len >= KEY_ID_BYTES);
    memcpy(ret, digest, KEY_ID_BYTES);
    return true;
}

static bool add_subject_key_id(X509 *cert)
{
    uint8_t id[KEY_ID_BYTES];
    ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
    bool ok = value != NULL && key_id(cert, id) && ASN1_OCTET_STRING_set(value, id, sizeof(id)) &&
              X509_add1_ext_i2d(cert, NID_subject_key_identifier, value, 0, 0) == 1;
    ASN1_OCTET_STRING_free(value);
    return ok;
}

AUTHORITY_KEYID *ca_authority_key_id(const X509 *issuer)
{
    uint8_t id[KEY_ID_BYTES];
    AUTHORITY_KEYID *authority = AUTHORITY_KEYID_new();
    ASN1_OCTET_STRING *theirs = X509_get_ext_d2i(issuer, NID_subject_key_identifier, NULL, NULL);
    if (theirs == NULL) {
        theirs = ASN1_OCTET_STRING_new();
        if (theirs == NULL || !key_id(issuer, id) || !ASN1_OCTET_STRING_set(theirs, id, sizeof(id))) {
            ASN1_OCTET_STRING_free(theirs);
            theirs = NULL;
        }
    }
    if (authority == NULL || theirs == NULL) {
        AUTHORITY_KEYID_free(authority);
        ASN1_OCTET_STRING_free(theirs);
        return NULL;
    }
    authority->keyid = theirs;
    return authority;
}

static bool add_authority_key_id(X509 *cert, const X509 *issuer)
{
    AUTHORITY_KEYID *authority = ca_authority_key_id(issuer);
    bool ok =
        authority != NULL && X509_add1_ext_i2d(cert, NID_authority_key_identifier, authority, 0, 0) == 1;
    AUTHORITY_KEYID_free(authority);
    return ok;
}

/* A URI below `url`, as a general name. */
static GENERAL_NAME *uri_below(const char *url, const char *file)
{
    struct buf text = {0};
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_IA5STRING *value = ASN1_IA5STRING_new();
    bool ok = name != NULL && value != NULL && buf_printf(&text, "%s/%s", url, file) &&
              ASN1_STRING_set(value, text.data, (ossl_ssize_t)text.len);
    buf_free(&text);
    if (!ok) {
        GENERAL_NAME_free(name);
        ASN1_IA5STRING_free(value);
        return NULL;
    }
    GENERAL_NAME_set0_value(name, GEN_URI, value);
    return name;
}

static bool add_access(AUTHORITY_INFO_ACCESS *all, int method, const char *url, const char *file)
{
    ACCESS_DESCRIPTION *access = ACCESS_DESCRIPTION_new();
    GENERAL_NAME *location = uri_below(url, file);
    if (access == NULL || location == NULL) {
        ACCESS_DESCRIPTION_free(access);
        GENERAL_NAME_free(location);
        return false;
    }
    ASN1_OBJECT_free(access->method);
    access->method = OBJ_nid2obj(method);
    GENERAL_NAME_free(access->location);
    access->location = location;
    if (sk_ACCESS_DESCRIPTION_push(all, access) > 0)
        return true;
    ACCESS_DESCRIPTION_free(access);
    return false;
}

/* Where its issuer can be asked about it (RFC 5280, 4.2.2.1). */
static bool add_authority_access(X509 *cert, const char *url, const char *issuer)
{
    AUTHORITY_INFO_ACCESS *all = AUTHORITY_INFO_ACCESS_new();
    bool ok = all != NULL && add_access(all, NID_ad_OCSP, url, CA_URL_OCSP) &&
              add_access(all, NID_ad_ca_issuers, url, issuer) &&
              X509_add1_ext_i2d(cert, NID_info_access, all, 0, 0) == 1;
    AUTHORITY_INFO_ACCESS_free(all);
    return ok;
}

/* Where the CRL is (RFC 5280, 4.2.1.13). */
static bool add_crl_points(X509 *cert, const char *url, const char *crl)
{
    CRL_DIST_POINTS *points = CRL_DIST_POINTS_new();
    DIST_POINT *point = DIST_POINT_new();
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    GENERAL_NAME *uri = uri_below(url, crl);
    bool ok = points != NULL && point != NULL && names != NULL && uri != NULL &&
              (point->distpoint = DIST_POINT_NAME_new()) != NULL && sk_GENERAL_NAME_push(names, uri) > 0;
    if (ok) {
        uri = NULL;
        point->distpoint->type = 0; /* fullName */
        point->distpoint->name.fullname = names;
        names = NULL;
        ok = sk_DIST_POINT_push(points, point) > 0;
        if (ok)
            point = NULL;
    }
    ok = ok && X509_add1_ext_i2d(cert, NID_crl_distribution_points, points, 0, 0) == 1;
    GENERAL_NAME_free(uri);
    GENERAL_NAMES_free(names);
    DIST_POINT_free(point);
    CRL_DIST_POINTS_free(points);
    return ok;
}

static bool add_must_staple(X509 *cert)
{
    X509_EXTENSION *extension = tls_feature_new();
    bool ok = extension != NULL && X509_add_ext(cert, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return ok;
}

static bool add_places(X509 *cert, const struct ca_request *request)
{
    const char *suffix = request->url_suffix != NULL ? request->url_suffix : "";
    char issuer[64], crl[64];
    snprintf(issuer, sizeof(issuer), "%s%s%s", CA_URL_ISSUER, suffix, CA_URL_DER);
    snprintf(crl, sizeof(crl), "%s%s%s", CA_URL_CRL, suffix, CA_URL_DER);
    return add_authority_access(cert, request->url, issuer) && add_crl_points(cert, request->url, crl);
}

/* What only leaves have. */
static bool add_leaf_extensions(X509 *cert, enum ca_profile profile, const struct ca_request *request)
{
    return add_extended_usage(cert, profile) && (!request->must_staple || add_must_staple(cert)) &&
           (request->url == NULL || add_places(cert, request));
}

bool ca_add_cross_extensions(X509 *cert, const X509 *issuer)
{
    return add_basic_constraints(cert, true, NO_PATH_LENGTH) && add_key_usage(cert, true, true) &&
           add_subject_key_id(cert) && add_authority_key_id(cert, issuer);
}

bool ca_add_extensions(X509 *cert, const X509 *issuer, enum ca_profile profile,
                       const struct ca_request *request)
{
    bool root = issuer == NULL, ca = root || profile == CA_PROFILE_INTERMEDIATE;
    return add_basic_constraints(cert, ca, ca && !root ? 0 : NO_PATH_LENGTH) &&
           add_key_usage(cert, ca, root) && add_subject_key_id(cert) &&
           (root || add_authority_key_id(cert, issuer)) &&
           (ca || add_leaf_extensions(cert, profile, request));
}
