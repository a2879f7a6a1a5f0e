/* SPDX-License-Identifier: Apache-2.0 */
/* Making a key in a token. */
#include <string.h>

#include <openssl/bytestring.h>
#include <openssl/ec.h>
#include <openssl/ec_key.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/rand.h>

#include "base/check.h"
#include "cert/pkcs11.h"
#include "cert/pkcs11_internal.h"

#define ID_LEN 16
#define CURVE_MAX 32 /* bytes of an object identifier */

/* What both halves have: the name, and the id by which they find each other. */
struct named {
    CK_ATTRIBUTE label, id;
    uint8_t new_id[ID_LEN];
};

static bool name_it(const struct token_search *search, struct named *ret)
{
    const CK_ATTRIBUTE *label = p11_kit_uri_get_attribute(search->uri, CKA_LABEL);
    const CK_ATTRIBUTE *id = p11_kit_uri_get_attribute(search->uri, CKA_ID);
    if (label == NULL || RAND_bytes(ret->new_id, sizeof(ret->new_id)) != 1)
        return false;
    ret->label = *label;
    ret->id = id != NULL ? *id : (CK_ATTRIBUTE){CKA_ID, ret->new_id, sizeof(ret->new_id)};
    return true;
}

static bool put_curve(int nid, uint8_t ret[CURVE_MAX], size_t *ret_len)
{
    CBB cbb;
    EC_GROUP *group = EC_GROUP_new_by_curve_name(nid);
    bool ok = group != NULL && CBB_init_fixed(&cbb, ret, CURVE_MAX) &&
              EC_KEY_marshal_curve_name(&cbb, group) && CBB_finish(&cbb, NULL, ret_len);
    EC_GROUP_free(group);
    return ok;
}

static CK_RV generate(const struct token_key *k, const struct token_search *search, struct named *named,
                      CK_OBJECT_HANDLE *ret)
{
    CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
    CK_ULONG bits = (CK_ULONG)search->parameter;
    uint8_t exponent[] = {1, 0, 1}, curve[CURVE_MAX];
    size_t curve_len = 0;
    bool ec = search->type == EVP_PKEY_EC;
    if (ec && !put_curve(search->parameter, curve, &curve_len))
        return CKR_CURVE_NOT_SUPPORTED;
    CK_MECHANISM mechanism = {ec ? CKM_EC_KEY_PAIR_GEN : CKM_RSA_PKCS_KEY_PAIR_GEN, NULL, 0};
    CK_ATTRIBUTE private[] = {{CKA_TOKEN, &yes, sizeof(yes)},
                              {CKA_PRIVATE, &yes, sizeof(yes)},
                              {CKA_SENSITIVE, &yes, sizeof(yes)},
                              {CKA_SIGN, &yes, sizeof(yes)},
                              {CKA_EXTRACTABLE, &no, sizeof(no)},
                              named->label,
                              named->id};
    CK_ATTRIBUTE public_ec[] = {{CKA_TOKEN, &yes, sizeof(yes)},
                                {CKA_VERIFY, &yes, sizeof(yes)},
                                {CKA_EC_PARAMS, curve, curve_len},
                                named->label,
                                named->id};
    CK_ATTRIBUTE public_rsa[] = {{CKA_TOKEN, &yes, sizeof(yes)},
                                 {CKA_VERIFY, &yes, sizeof(yes)},
                                 {CKA_MODULUS_BITS, &bits, sizeof(bits)},
                                 {CKA_PUBLIC_EXPONENT, exponent, sizeof(exponent)},
                                 named->label,
                                 named->id};
    CK_OBJECT_HANDLE public;
    return k->module->C_GenerateKeyPair(k->session, &mechanism, ec ? public_ec : public_rsa,
                                        ec ? ARRAY_LEN(public_ec) : ARRAY_LEN(public_rsa), private,
                                        ARRAY_LEN(private), &public, ret);
}

static int make(struct token_key *k, const struct token_search *search, struct err *err)
{
    struct named named;
    CK_OBJECT_HANDLE object;
    const CK_TOKEN_INFO *token = p11_kit_uri_get_token_info(search->uri);
    if (!name_it(search, &named) || (token->label[0] == '\0' && token->serialNumber[0] == '\0'))
        return err_set(err, "%s: a new key needs a place and a name: pkcs11:token=NAME;object=NAME",
                       search->label);
    if (token_look(k, search, &object) > 0)
        return err_set(err, "%s: there is such a key already, and none is made over it", search->label);
    CK_RV rv = generate(k, search, &named, &object);
    if (rv != CKR_OK)
        return err_set(err, "%s: the token makes no such key: %s%s", search->label, p11_kit_strerror(rv),
                       rv == CKR_USER_NOT_LOGGED_IN ? " (a PIN is needed: pin-source=file:PATH)" : "");
    return 1;
}

int pkcs11_make_key(const char *text, struct str pin, int type, int parameter, struct err *err)
{
    struct token_search search = {
        .flags = CKF_RW_SESSION, .visit = make, .type = type, .parameter = parameter};
    struct token_key *k = token_find(text, pin, &search, "there is no such token", err);
    token_key_free(k);
    return k == NULL ? -1 : 0;
}
