/* SPDX-License-Identifier: Apache-2.0 */
#include "cert/san.h"

#include <string.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "base/check.h"
#include "net/addr.h"

static size_t put_text(const uint8_t *p, size_t len, char *text, size_t max)
{
    size_t n = MIN(len, max - 1);
    for (size_t i = 0; i < n; i++)
        text[i] = p[i] > 0x20 && p[i] < 0x7f ? (char)p[i] : '?';
    text[n] = '\0';
    return n;
}

static size_t put_address(const uint8_t *ip, size_t len, char *text, size_t max)
{
    char host[NET_ADDR_TEXT_MAX];
    struct net_addr a = {.family = len == 4 ? AF_INET : AF_INET6};
    if (len != 4 && len != 16) /* RFC 5280, 4.2.1.6 */
        return put_text(NULL, 0, text, max);
    memcpy(a.ip, ip, len);
    net_addr_host(&a, host);
    return put_text((const uint8_t *)host, strlen(host), text, max);
}

size_t san_text(const GENERAL_NAME *name, char *text, size_t max)
{
    int kind;
    const ASN1_STRING *value = GENERAL_NAME_get0_value(name, &kind);
    CHECK(max > 0);
    if (kind == GEN_DNS || kind == GEN_URI || kind == GEN_EMAIL)
        return put_text(ASN1_STRING_get0_data(value), (size_t)ASN1_STRING_length(value), text, max);
    if (kind == GEN_IPADD)
        return put_address(ASN1_STRING_get0_data(value), (size_t)ASN1_STRING_length(value), text, max);
    return put_text(NULL, 0, text, max);
}

size_t san_first_text(const X509 *cert, char *text, size_t max)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    size_t len = 0;
    CHECK(max > 0);
    text[0] = '\0';
    for (size_t i = 0; names != NULL && len == 0 && i < sk_GENERAL_NAME_num(names); i++)
        len = san_text(sk_GENERAL_NAME_value(names, i), text, max);
    GENERAL_NAMES_free(names);
    ERR_clear_error();
    return len;
}
