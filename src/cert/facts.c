/* SPDX-License-Identifier: Apache-2.0 */
#include "cert/facts.h"

#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pool.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "base/check.h"
#include "cert/cert.h"
#include "cert/key.h"
#include "cert/san.h"

/* ---- names ---- */

static void put_general_name(struct cert_facts *f, const GENERAL_NAME *name)
{
    char text[CERT_FACTS_NAME_MAX];
    size_t len = san_text(name, text, sizeof(text));
    if (len == 0)
        return;
    if (f->names_len == CERT_FACTS_NAMES_MAX) {
        f->names_more++;
        return;
    }
    CHECK(buf_append(&f->names, text, len + 1));
    f->names_len++;
}

static void read_names(struct cert_facts *f, const X509 *cert)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    for (size_t i = 0; names != NULL && i < sk_GENERAL_NAME_num(names); i++)
        put_general_name(f, sk_GENERAL_NAME_value(names, i));
    GENERAL_NAMES_free(names);
}

/* ---- the rest ---- */

static int64_t seconds(const ASN1_TIME *t)
{
    int64_t when;
    return ASN1_TIME_to_posix(t, &when) ? when : INT64_MIN;
}

int cert_facts_read(const STACK_OF(CRYPTO_BUFFER) * chain, struct cert_facts *ret, struct err *err)
{
    *ret = (struct cert_facts){.chain_len = chain == NULL ? 0 : sk_CRYPTO_BUFFER_num(chain)};
    if (ret->chain_len == 0)
        return err_set(err, "no certificate was sent");
    X509 *cert = X509_parse_from_buffer(sk_CRYPTO_BUFFER_value(chain, 0));
    ERR_clear_error();
    if (cert == NULL)
        return err_set(err, "the certificate that was sent cannot be read");
    snprintf(ret->subject, sizeof(ret->subject), "%s", pem_subject_text(cert, (char[PEM_NAME_MAX]){0}));
    snprintf(ret->issuer, sizeof(ret->issuer), "%s",
             pem_name_text(X509_get_issuer_name(cert), (char[PEM_NAME_MAX]){0}));
    read_names(ret, cert);
    ret->not_before = seconds(X509_get0_notBefore(cert));
    ret->not_after = seconds(X509_get0_notAfter(cert));
    key_describe(X509_get0_pubkey(cert), ret->key);
    ret->signature = OBJ_nid2sn(X509_get_signature_nid(cert));
    X509_free(cert);
    ERR_clear_error();
    return 0;
}

const char *cert_issuer_text(const struct cert *cert, char text[PEM_NAME_MAX])
{
    CHECK_MAGIC(cert, CERT_MAGIC);
    X509 *leaf = X509_parse_from_buffer(cert->chain[0]);
    CHECK(leaf != NULL); /* it was read when it was loaded */
    pem_name_text(X509_get_issuer_name(leaf), text);
    X509_free(leaf);
    return text;
}

void cert_facts_free(struct cert_facts *facts)
{
    buf_free(&facts->names);
    *facts = (struct cert_facts){0};
}
