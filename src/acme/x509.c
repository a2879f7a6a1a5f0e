/* SPDX-License-Identifier: Apache-2.0 */
/* What the server reads out of certificates that it has issued. */
#include <string.h>

#include <openssl/asn1.h>
#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "acme/server_internal.h"
#include "base/base64.h"
#include "cert/pem.h"

static int take_first(void *arg, const char *type, const uint8_t *der, size_t len, struct err *err)
{
    X509 **leaf = arg;
    if (*leaf == NULL && pem_is_certificate(type) && (*leaf = d2i_X509(NULL, &der, (long)len)) == NULL)
        return err_set(err, "a certificate that cannot be read");
    return 0;
}

X509 *acme_leaf(const struct buf *pem, struct err *err)
{
    X509 *leaf = NULL;
    if (pem_each(pem, take_first, &leaf, err) == 0 && leaf == NULL)
        err_set(err, "no certificate in what was issued");
    ERR_clear_error();
    return leaf;
}

bool acme_serial(const X509 *cert, struct ca_serial *ret, char ret_text[ACME_SERIAL_TEXT])
{
    const ASN1_INTEGER *number = X509_get0_serialNumber(cert);
    int len = ASN1_STRING_length(number);
    if (len <= 0 || len > CA_SERIAL_MAX || ASN1_STRING_type(number) != V_ASN1_INTEGER)
        return false;
    ret->len = (size_t)len;
    memcpy(ret->bytes, ASN1_STRING_get0_data(number), ret->len);
    for (size_t i = 0; i < ret->len; i++)
        snprintf(ret_text + 2 * i, 3, "%02x", ret->bytes[i]);
    return true;
}

/* AKI keyIdentifier "." serial number, both in base64url; of the serial the bytes that stand in DER, so with
 * a zero in front where the highest bit is set. */
bool acme_renewal_id(const X509 *cert, struct buf *ret)
{
    char ignored[ACME_SERIAL_TEXT];
    struct ca_serial serial;
    uint8_t bytes[CA_SERIAL_MAX + 1] = {0};
    AUTHORITY_KEYID *authority = X509_get_ext_d2i(cert, NID_authority_key_identifier, NULL, NULL);
    bool ok = authority != NULL && authority->keyid != NULL && acme_serial(cert, &serial, ignored);
    if (ok) {
        size_t zero = serial.bytes[0] >> 7;
        memcpy(bytes + zero, serial.bytes, serial.len);
        ok = base64url_put(ret, ASN1_STRING_get0_data(authority->keyid),
                           (size_t)ASN1_STRING_length(authority->keyid)) &&
             buf_append(ret, ".", 1) && base64url_put(ret, bytes, zero + serial.len);
    }
    AUTHORITY_KEYID_free(authority);
    ERR_clear_error();
    return ok;
}
