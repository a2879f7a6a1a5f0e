/* SPDX-License-Identifier: Apache-2.0 */
#include "cert/tls_feature.h"

#include <string.h>

#include <openssl/bytestring.h>
#include <openssl/obj.h>

#define STATUS_REQUEST 5 /* the extension of TLS that the feature names (RFC 6066, 8) */

static const char id[] = "1.3.6.1.5.5.7.1.24"; /* id-pe-tlsfeature */
static const uint8_t id_der[] = {0x2b, 6, 1, 5, 5, 7, 1, 24};
static const uint8_t must_staple[] = {0x30, 3, 2, 1, STATUS_REQUEST}; /* SEQUENCE { INTEGER } */

static bool has_status_request(const ASN1_OCTET_STRING *data)
{
    CBS all, features;
    uint64_t feature;
    CBS_init(&all, ASN1_STRING_get0_data(data), (size_t)ASN1_STRING_length(data));
    if (!CBS_get_asn1(&all, &features, CBS_ASN1_SEQUENCE))
        return false;
    while (CBS_get_asn1_uint64(&features, &feature))
        if (feature == STATUS_REQUEST)
            return true;
    return false;
}

bool tls_feature_has(const X509 *cert)
{
    ASN1_OBJECT *object = OBJ_txt2obj(id, 1);
    int at = object == NULL ? -1 : X509_get_ext_by_OBJ(cert, object, -1);
    ASN1_OBJECT_free(object);
    return at >= 0 && has_status_request(X509_EXTENSION_get_data(X509_get_ext(cert, at)));
}

bool tls_feature_is(X509_EXTENSION *extension)
{
    const ASN1_OBJECT *object = X509_EXTENSION_get_object(extension);
    const ASN1_OCTET_STRING *data = X509_EXTENSION_get_data(extension);
    return OBJ_length(object) == sizeof(id_der) &&
           memcmp(OBJ_get0_data(object), id_der, sizeof(id_der)) == 0 &&
           ASN1_STRING_length(data) == sizeof(must_staple) &&
           memcmp(ASN1_STRING_get0_data(data), must_staple, sizeof(must_staple)) == 0;
}

X509_EXTENSION *tls_feature_new(void)
{
    ASN1_OBJECT *object = OBJ_txt2obj(id, 1);
    ASN1_OCTET_STRING *data = ASN1_OCTET_STRING_new();
    X509_EXTENSION *extension = NULL;
    if (object != NULL && data != NULL && ASN1_OCTET_STRING_set(data, must_staple, sizeof(must_staple)))
        extension = X509_EXTENSION_create_by_OBJ(NULL, object, 0, data);
    ASN1_OCTET_STRING_free(data);
    ASN1_OBJECT_free(object);
    return extension;
}
