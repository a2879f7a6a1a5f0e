/* SPDX-License-Identifier: Apache-2.0 */
#include "cert/transparency.h"

#include <limits.h>
#include <string.h>

#include <openssl/bytestring.h>
#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/pool.h>
#include <openssl/x509.h>

#include "cert/ocsp.h"

/* 1.3.6.1.4.1.11129.2.4.2 in certificates, .5 in OCSP responses. */
static const uint8_t in_cert[] = {0x2b, 6, 1, 4, 1, 0xd6, 0x79, 2, 4, 2};
static const uint8_t in_ocsp[] = {0x2b, 6, 1, 4, 1, 0xd6, 0x79, 2, 4, 5};

size_t transparency_count(struct str list)
{
    CBS all, items, item;
    size_t count = 0;
    CBS_init(&all, (const uint8_t *)list.p, list.len);
    if (!CBS_get_u16_length_prefixed(&all, &items) || CBS_len(&all) > 0)
        return 0;
    for (; CBS_len(&items) > 0; count++)
        if (!CBS_get_u16_length_prefixed(&items, &item) || CBS_len(&item) == 0)
            return 0;
    return count;
}

/* The list stands in an OCTET STRING within the one that each extension is. */
static size_t count_extension(const X509_EXTENSION *extension, const uint8_t *oid, size_t oid_len)
{
    const ASN1_OBJECT *object = X509_EXTENSION_get_object(extension);
    const ASN1_OCTET_STRING *data = X509_EXTENSION_get_data(extension);
    CBS outer, list;
    if (OBJ_length(object) != oid_len || memcmp(OBJ_get0_data(object), oid, oid_len) != 0)
        return 0;
    CBS_init(&outer, ASN1_STRING_get0_data(data), (size_t)ASN1_STRING_length(data));
    if (!CBS_get_asn1(&outer, &list, CBS_ASN1_OCTETSTRING))
        return 0;
    return transparency_count((struct str){(const char *)CBS_data(&list), CBS_len(&list)});
}

size_t transparency_in_cert(struct str der)
{
    const uint8_t *p = (const uint8_t *)der.p;
    X509 *cert = der.len > LONG_MAX ? NULL : d2i_X509(NULL, &p, (long)der.len);
    size_t count = 0;
    for (int i = 0; cert != NULL && i < X509_get_ext_count(cert); i++)
        count += count_extension(X509_get_ext(cert, i), in_cert, sizeof(in_cert));
    X509_free(cert);
    ERR_clear_error();
    return count;
}

size_t transparency_in_ocsp(struct str der)
{
    const uint8_t *p = (const uint8_t *)der.p;
    OCSP_RESPONSE *response = der.len > OCSP_ANSWER_MAX ? NULL : d2i_OCSP_RESPONSE(NULL, &p, (long)der.len);
    OCSP_BASICRESP *basic = response == NULL ? NULL : OCSP_response_get1_basic(response);
    size_t count = 0;
    for (int i = 0; basic != NULL && i < OCSP_resp_count(basic); i++) {
        OCSP_SINGLERESP *one = OCSP_resp_get0(basic, (size_t)i);
        for (int j = 0; j < OCSP_SINGLERESP_get_ext_count(one); j++)
            count += count_extension(OCSP_SINGLERESP_get_ext(one, j), in_ocsp, sizeof(in_ocsp));
    }
    OCSP_BASICRESP_free(basic);
    OCSP_RESPONSE_free(response);
    ERR_clear_error();
    return count;
}
