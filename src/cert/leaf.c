/* SPDX-License-Identifier: Apache-2.0 */
#include "cert/leaf.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/objects.h>
#include <openssl/pem.h>
#include <openssl/pool.h>
#include <openssl/sha.h>
#include <openssl/x509.h>

#include "base/check.h"

#define VALUE_MAX 4096 /* bytes of one value; longer ones are left out */

/* As RFC 4514 has it, control characters escaped, and UTF-8 as it is. */
#define DN_FORM (XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB)

struct str cert_chain_at(const struct stack_st_CRYPTO_BUFFER *chain, size_t i)
{
    if (chain == NULL || i >= sk_CRYPTO_BUFFER_num(chain))
        return (struct str){0};
    const CRYPTO_BUFFER *one = sk_CRYPTO_BUFFER_value(chain, i);
    return (struct str){(const char *)CRYPTO_BUFFER_data(one), CRYPTO_BUFFER_len(one)};
}

struct telling {
    cert_leaf_fn *each;
    void *arg;
};

static bool is_plain(const char *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)p[i] < 0x20 || p[i] == 0x7f)
            return false;
    return len > 0 && len < VALUE_MAX;
}

static void tell(const struct telling *t, const char *name, const void *value, size_t len)
{
    char text[VALUE_MAX];
    if (!is_plain(value, len))
        return;
    str_copy(text, sizeof(text), value, len);
    t->each(t->arg, name, text);
}

/* What a function of the library prints. */
static void tell_bio(const struct telling *t, const char *name, BIO *bio)
{
    const uint8_t *text;
    size_t len;
    if (BIO_mem_contents(bio, &text, &len))
        tell(t, name, text, len);
    CHECK(BIO_reset(bio));
}

/* The components that mod_ssl knows. */
static const struct {
    int nid;
    const char *word;
} components[] = {
    {NID_countryName, "C"},
    {NID_stateOrProvinceName, "ST"},
    {NID_localityName, "L"},
    {NID_organizationName, "O"},
    {NID_organizationalUnitName, "OU"},
    {NID_commonName, "CN"},
    {NID_title, "T"},
    {NID_initials, "I"},
    {NID_givenName, "G"},
    {NID_surname, "S"},
    {NID_userId, "UID"},
    {NID_pkcs9_emailAddress, "Email"},
};

static void tell_component(const struct telling *t, const char *name, const X509_NAME_ENTRY *entry)
{
    unsigned char *utf8 = NULL;
    int len = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(entry));
    if (len > 0)
        tell(t, name, utf8, (size_t)len);
    OPENSSL_free(utf8);
}

static void tell_name(const struct telling *t, const char *word, X509_NAME *dn, BIO *bio)
{
    char name[32];
    if (X509_NAME_print_ex(bio, dn, 0, DN_FORM) >= 0)
        tell_bio(t, word, bio);
    for (size_t k = 0; k < ARRAY_LEN(components); k++) {
        unsigned n = 0;
        for (int i = -1; (i = X509_NAME_get_index_by_NID(dn, components[k].nid, i)) >= 0; n++) {
            snprintf(name, sizeof(name), "%s_%s", word, components[k].word);
            if (n > 0)
                snprintf(name, sizeof(name), "%s_%s_%u", word, components[k].word, n);
            tell_component(t, name, X509_NAME_get_entry(dn, i));
        }
    }
}

static void tell_times(const struct telling *t, const X509 *leaf, BIO *bio)
{
    if (ASN1_TIME_print(bio, X509_get0_notBefore(leaf)))
        tell_bio(t, "V_START", bio);
    if (ASN1_TIME_print(bio, X509_get0_notAfter(leaf)))
        tell_bio(t, "V_END", bio);
}

static void tell_serial(const struct telling *t, const X509 *leaf)
{
    BIGNUM *n = ASN1_INTEGER_to_BN(X509_get0_serialNumber(leaf), NULL);
    char *hex = n == NULL ? NULL : BN_bn2hex(n);
    if (hex != NULL) {
        for (char *p = hex; *p != '\0'; p++)
            *p = (char)(*p >= 'a' && *p <= 'f' ? *p - 'a' + 'A' : *p);
        tell(t, "M_SERIAL", hex, strlen(hex));
    }
    OPENSSL_free(hex);
    BN_free(n);
}

static void tell_algorithms(const struct telling *t, const X509 *leaf)
{
    X509_ALGOR *key = NULL;
    const ASN1_OBJECT *object = NULL;
    const char *signature = OBJ_nid2ln(X509_get_signature_nid(leaf)), *text = NULL;
    if (signature != NULL)
        tell(t, "A_SIG", signature, strlen(signature));
    X509_PUBKEY_get0_param(NULL, NULL, NULL, &key, X509_get_X509_PUBKEY(leaf));
    X509_ALGOR_get0(&object, NULL, NULL, key);
    if (object != NULL && (text = OBJ_nid2ln(OBJ_obj2nid(object))) != NULL)
        tell(t, "A_KEY", text, strlen(text));
}

static X509 *read_leaf(struct str der)
{
    const uint8_t *end = (const uint8_t *)der.p;
    return der.len == 0 || der.len > LONG_MAX ? NULL : d2i_X509(NULL, &end, (long)der.len);
}

bool cert_leaf_each(struct str der, cert_leaf_fn *each, void *arg)
{
    const struct telling t = {each, arg};
    X509 *leaf = read_leaf(der);
    BIO *bio = BIO_new(BIO_s_mem());
    bool ok = leaf != NULL && bio != NULL;
    if (ok) {
        tell_name(&t, "S_DN", X509_get_subject_name(leaf), bio);
        tell_name(&t, "I_DN", X509_get_issuer_name(leaf), bio);
        tell_serial(&t, leaf);
        tell_times(&t, leaf, bio);
        tell_algorithms(&t, leaf);
    }
    BIO_free(bio);
    X509_free(leaf);
    ERR_clear_error();
    return ok;
}

bool cert_key_digest(struct str der, uint8_t ret[CERT_KEY_DIGEST])
{
    X509 *leaf = read_leaf(der);
    uint8_t *spki = NULL;
    int len = leaf == NULL ? -1 : i2d_X509_PUBKEY(X509_get_X509_PUBKEY(leaf), &spki);
    if (len > 0)
        SHA256(spki, (size_t)len, ret);
    OPENSSL_free(spki);
    X509_free(leaf);
    ERR_clear_error();
    return len > 0;
}

bool cert_put_pem(struct buf *out, struct str der)
{
    BIO *bio = BIO_new(BIO_s_mem());
    const uint8_t *text;
    size_t len;
    bool ok = bio != NULL && der.len <= LONG_MAX &&
              PEM_write_bio(bio, PEM_STRING_X509, "", (const uint8_t *)der.p, (long)der.len) > 0 &&
              BIO_mem_contents(bio, &text, &len) && buf_append(out, text, len);
    BIO_free(bio);
    ERR_clear_error();
    return ok;
}
