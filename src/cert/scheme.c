/* SPDX-License-Identifier: Apache-2.0 */
#include "cert/scheme.h"

#include <openssl/obj.h>
#include <openssl/x509.h>

#include "base/check.h"

/* In certificates the curve of an ECDSA key is not bound to the hash; clients name them together all the
 * same. RSASSA-PSS has two rows of schemes, by the signer's key; those who list one list the other. */
static const struct {
    int nid;
    uint16_t scheme;
} rows[] = {
    {NID_ecdsa_with_SHA256, 0x0403},
    {NID_ecdsa_with_SHA384, 0x0503},
    {NID_ecdsa_with_SHA512, 0x0603},
    {NID_ED25519, 0x0807},
    {NID_sha256WithRSAEncryption, 0x0401},
    {NID_sha384WithRSAEncryption, 0x0501},
    {NID_sha512WithRSAEncryption, 0x0601},
    {NID_sha1WithRSAEncryption, 0x0201},
    {NID_MLDSA44, 0x0904},
    {NID_MLDSA65, 0x0905},
    {NID_MLDSA87, 0x0906},
};

static uint16_t scheme_of(const X509 *cert)
{
    int nid = X509_get_signature_nid(cert);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].nid == nid)
            return rows[i].scheme;
    return 0;
}

size_t cert_schemes(X509 *const *chain, size_t len, uint16_t *ret, size_t most)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        uint16_t scheme = scheme_of(chain[i]);
        bool own = X509_NAME_cmp(X509_get_subject_name(chain[i]), X509_get_issuer_name(chain[i])) == 0;
        size_t k = 0;
        while (k < n && ret[k] != scheme)
            k++;
        if (k == n && n < most && scheme != 0 && !own)
            ret[n++] = scheme;
    }
    return n;
}
