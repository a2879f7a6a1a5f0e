/* SPDX-License-Identifier: Apache-2.0 */
#include "ca/ocsp_request.h"

#include <openssl/err.h>

#define TAG(n) (CBS_ASN1_CONTEXT_SPECIFIC | CBS_ASN1_CONSTRUCTED | (n))
#define REQUEST_MAX (64 * 1024)
#define NONCE_MAX 128

static const uint8_t oid_nonce[] = {0x2b, 6, 1, 5, 5, 7, 0x30, 1, 2};

static bool read_cert_id(CBS *c, struct ocsp_asked *ret)
{
    CBS id, whole, algorithm;
    if (!CBS_get_asn1_element(c, &ret->id, CBS_ASN1_SEQUENCE))
        return false;
    whole = ret->id;
    if (!CBS_get_asn1(&whole, &id, CBS_ASN1_SEQUENCE) ||
        !CBS_get_asn1_element(&id, &algorithm, CBS_ASN1_SEQUENCE) ||
        !CBS_get_asn1(&id, &ret->name_hash, CBS_ASN1_OCTETSTRING) ||
        !CBS_get_asn1(&id, &ret->key_hash, CBS_ASN1_OCTETSTRING) ||
        !CBS_get_asn1(&id, &ret->serial, CBS_ASN1_INTEGER) || CBS_len(&id) != 0)
        return false;
    ret->digest = EVP_parse_digest_algorithm(&algorithm);
    return CBS_is_valid_asn1_integer(&ret->serial, NULL);
}

/* Extensions of a single request change nothing for us; one that is critical would have to. */
static bool read_extension(CBS *c, CBS *ret_nonce)
{
    CBS whole, extension, oid, value, inner;
    int critical;
    if (!CBS_get_asn1_element(c, &whole, CBS_ASN1_SEQUENCE))
        return false;
    CBS copy = whole;
    if (!CBS_get_asn1(&copy, &extension, CBS_ASN1_SEQUENCE) ||
        !CBS_get_asn1(&extension, &oid, CBS_ASN1_OBJECT) ||
        !CBS_get_optional_asn1_bool(&extension, &critical, CBS_ASN1_BOOLEAN, 0) ||
        !CBS_get_asn1(&extension, &value, CBS_ASN1_OCTETSTRING) || CBS_len(&extension) != 0)
        return false;
    if (ret_nonce == NULL || !CBS_mem_equal(&oid, oid_nonce, sizeof(oid_nonce)))
        return !critical;
    if (CBS_len(ret_nonce) != 0 || !CBS_get_asn1(&value, &inner, CBS_ASN1_OCTETSTRING) ||
        CBS_len(&value) != 0 || CBS_len(&inner) == 0 || CBS_len(&inner) > NONCE_MAX)
        return false;
    *ret_nonce = whole;
    return true;
}

/* `c` is the content of the [n] that holds them, or empty. */
static bool read_extensions(CBS *c, CBS *ret_nonce)
{
    CBS list;
    if (!CBS_get_asn1(c, &list, CBS_ASN1_SEQUENCE) || CBS_len(c) != 0)
        return false;
    while (CBS_len(&list) > 0)
        if (!read_extension(&list, ret_nonce))
            return false;
    return true;
}

static bool read_single(CBS *list, struct ocsp_request *ret)
{
    CBS single, extensions;
    int present;
    if (ret->count == AUTHORITY_OCSP_MAX || !CBS_get_asn1(list, &single, CBS_ASN1_SEQUENCE) ||
        !read_cert_id(&single, &ret->asked[ret->count++]) ||
        !CBS_get_optional_asn1(&single, &extensions, &present, TAG(0)) || CBS_len(&single) != 0)
        return false;
    return !present || read_extensions(&extensions, NULL);
}

static bool read_request(CBS *c, struct ocsp_request *ret)
{
    CBS outer, tbs, list, ignored, extensions;
    uint64_t version;
    int present;
    if (!CBS_get_asn1(c, &outer, CBS_ASN1_SEQUENCE) || CBS_len(c) != 0 ||
        !CBS_get_asn1(&outer, &tbs, CBS_ASN1_SEQUENCE) ||
        !CBS_get_optional_asn1(&outer, &ignored, NULL, TAG(0)) || CBS_len(&outer) != 0)
        return false;
    if (!CBS_get_optional_asn1_uint64(&tbs, &version, TAG(0), 0) || version != 0 ||
        !CBS_get_optional_asn1(&tbs, &ignored, NULL, TAG(1)) ||
        !CBS_get_asn1(&tbs, &list, CBS_ASN1_SEQUENCE) ||
        !CBS_get_optional_asn1(&tbs, &extensions, &present, TAG(2)) || CBS_len(&tbs) != 0)
        return false;
    while (CBS_len(&list) > 0)
        if (!read_single(&list, ret))
            return false;
    return ret->count > 0 && (!present || read_extensions(&extensions, &ret->nonce));
}

bool ocsp_request_read(struct str der, struct ocsp_request *ret)
{
    CBS c;
    *ret = (struct ocsp_request){.count = 0};
    CBS_init(&c, (const uint8_t *)der.p, der.len);
    bool ok = der.len <= REQUEST_MAX && read_request(&c, ret);
    ERR_clear_error();
    return ok;
}
