/* SPDX-License-Identifier: Apache-2.0 */
/* jose/: the vectors of the RFCs, every algorithm there and back, and what must not be taken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/nid.h>

#include "base/base64.h"
#include "base/check.h"
#include "jose/jwk.h"
#include "jose/jws.h"

#define RSA_7638                                                                                             \
    "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZC" \
    "iFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZg" \
    "nYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIq" \
    "bw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
#define RSA_7515                                                                                             \
    "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-" \
    "SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS" \
    "-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2" \
    "ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"
#define PAYLOAD_7515 \
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
#define EC_7515                                                                                \
    "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\"," \
    "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}"
#define ED_8037 "{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}"

static EVP_PKEY *key_of(const char *json)
{
    struct err err;
    json_t *o = json_loads(json, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(o);
    EVP_PKEY *key = jwk_read(o, &err);
    json_decref(o);
    if (key == NULL)
        fail_msg("%s: %s", json, err.text);
    return key;
}

static EVP_PKEY *make(int type, int parameter)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_id(type, NULL);
    EVP_PKEY *key = NULL;
    assert_int_equal(EVP_PKEY_keygen_init(ctx), 1);
    if (type == EVP_PKEY_EC)
        assert_int_equal(EVP_PKEY_CTX_set_ec_paramgen_curve_nid(ctx, parameter), 1);
    if (type == EVP_PKEY_RSA)
        assert_int_equal(EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, parameter), 1);
    assert_int_equal(EVP_PKEY_keygen(ctx, &key), 1);
    EVP_PKEY_CTX_free(ctx);
    return key;
}

static struct str str_of(const char *text)
{
    return (struct str){text, strlen(text)};
}

/* RFC 7638, 3.1 and RFC 8037, A.3. */
static void test_thumbprints(void **state)
{
    static const struct {
        const char *jwk, *thumbprint;
    } rows[] = {
        {"{\"kty\":\"RSA\",\"n\":\"" RSA_7638 "\",\"e\":\"AQAB\",\"alg\":\"RS256\",\"kid\":\"2011-04-29\"}",
         "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"},
        {ED_8037, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[JWK_THUMBPRINT_MAX];
        EVP_PKEY *key = key_of(rows[i].jwk);
        assert_true(jwk_thumbprint(key, text));
        assert_string_equal(text, rows[i].thumbprint);
        EVP_PKEY_free(key);
    }
}

/* What is read comes out again in the canonical form. */
static void test_canonical(void **state)
{
    static const char *const rows[] = {EC_7515, ED_8037,
                                       "{\"e\":\"AQAB\",\"kty\":\"RSA\",\"n\":\"" RSA_7638 "\"}"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf out = {0};
        EVP_PKEY *key = key_of(rows[i]);
        assert_true(jwk_put(key, &out));
        assert_string_equal(buf_text(&out), rows[i]);
        buf_free(&out);
        EVP_PKEY_free(key);
    }
}

/* RFC 7515, A.2 and A.3; RFC 8037, A.4. */
static const struct {
    const char *jwk, *header, *payload, *signature;
} vectors[] = {
    {"{\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"" RSA_7515 "\"}", "eyJhbGciOiJSUzI1NiJ9", PAYLOAD_7515,
     "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJ"
     "dbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN"
     "9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXL"
     "IhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"},
    {EC_7515, "eyJhbGciOiJFUzI1NiJ9", PAYLOAD_7515,
     "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"},
    {ED_8037, "eyJhbGciOiJFZERTQSJ9", "RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
     "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"},
};

static char *flattened(const char *header, const char *payload, const char *signature)
{
    struct buf text = {0};
    assert_true(buf_printf(&text, "{\"protected\":\"%s\",\"payload\":\"%s\",\"signature\":\"%s\"}", header,
                           payload, signature));
    return buf_text(&text);
}

static void test_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
        struct jws j;
        struct err err;
        char *text = flattened(vectors[i].header, vectors[i].payload, vectors[i].signature);
        EVP_PKEY *key = key_of(vectors[i].jwk);
        assert_int_equal(jws_load(str_of(text), &j, &err), JWS_OK);
        assert_true(jws_verify(&j, key));
        for (size_t k = 0; k < ARRAY_LEN(vectors); k++) {
            EVP_PKEY *other = key_of(vectors[k].jwk);
            assert_int_equal(jws_verify(&j, other), k == i);
            EVP_PKEY_free(other);
        }
        for (size_t at = 0; at < j.signature.len; at += 7) {
            j.signature.data[at] ^= 1;
            assert_false(jws_verify(&j, key));
            j.signature.data[at] ^= 1;
        }
        j.signature.len--;
        assert_false(jws_verify(&j, key));
        jws_free(&j);
        EVP_PKEY_free(key);
        free(text);
    }
}

/* RFC 7515, A.1. */
static void test_mac(void **state)
{
    static const char secret_text[] =
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
    char *text = flattened("eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9", PAYLOAD_7515,
                           "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
    struct buf secret = {0}, out = {0};
    struct jws j;
    (void)state;
    assert_true(base64url_read(str_of(secret_text), &secret));
    assert_int_equal(jws_load(str_of(text), &j, NULL), JWS_OK);
    assert_true(jws_verify_mac(&j, secret.data, secret.len));
    assert_false(jws_verify_mac(&j, secret.data, secret.len - 1));
    /* A public key is never taken for a shared secret, nor the other way round. */
    EVP_PKEY *key = key_of(EC_7515);
    assert_false(jws_verify(&j, key));
    jws_free(&j);
    free(text);

    struct jws_header header = {.kid = "kid-1", .url = "https://ca.example.com/acme/new-account"};
    assert_int_equal(jws_sign_mac(secret.data, secret.len, &header, str_of("{}"), &out, NULL), 0);
    assert_int_equal(jws_load((struct str){(const char *)out.data, out.len}, &j, NULL), JWS_OK);
    assert_string_equal(j.kid, "kid-1");
    assert_true(jws_verify_mac(&j, secret.data, secret.len));
    assert_false(jws_verify(&j, key));
    jws_free(&j);
    buf_free(&out);
    buf_free(&secret);
    EVP_PKEY_free(key);
}

static void test_there_and_back(void **state)
{
    static const struct {
        int type, parameter;
        enum jws_algorithm algorithm;
    } rows[] = {{EVP_PKEY_EC, NID_X9_62_prime256v1, JWS_ES256},
                {EVP_PKEY_EC, NID_secp384r1, JWS_ES384},
                {EVP_PKEY_ED25519, 0, JWS_EDDSA},
                {EVP_PKEY_RSA, 2048, JWS_RS256}};
    static const char payload[] = "{\"termsOfServiceAgreed\":true}";
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct jws_header header = {.nonce = "n\"1", .url = "https://ca.example.com/acme/new-account"};
        struct buf out = {0}, authorization = {0};
        struct err err;
        struct jws j;
        EVP_PKEY *key = make(rows[i].type, rows[i].parameter);
        assert_int_equal(jws_sign(key, &header, str_of(payload), &out, &err), 0);
        assert_int_equal(jws_load((struct str){(const char *)out.data, out.len}, &j, &err), JWS_OK);
        assert_int_equal(j.algorithm, rows[i].algorithm);
        assert_string_equal(j.nonce, "n\"1");
        assert_string_equal(j.url, header.url);
        assert_null(j.kid);
        assert_int_equal(j.payload.len, strlen(payload));
        EVP_PKEY *shown = jwk_read(j.jwk, &err);
        assert_non_null(shown);
        assert_int_equal(EVP_PKEY_cmp(shown, key), 1);
        assert_true(jws_verify(&j, shown));
        assert_int_equal(jws_key_authorization("TOKEN", shown, &authorization, &err), 0);
        assert_int_equal(authorization.len, strlen("TOKEN.") + JWK_THUMBPRINT_LEN);
        jws_free(&j);
        buf_free(&out);
        buf_free(&authorization);
        EVP_PKEY_free(shown);
        EVP_PKEY_free(key);
    }
}

#define X32 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

static void test_hostile_keys(void **state)
{
    static const struct {
        const char *jwk, *why;
    } rows[] = {
        {"{}", "kty"},
        {"[]", "kty"},
        {"{\"kty\":1}", "kty"},
        {"{\"kty\":\"oct\",\"k\":\"AAAA\"}", "expected EC, RSA or OKP"},
        {"{\"kty\":\"EC\"}", "crv"},
        {"{\"kty\":\"EC\",\"crv\":\"P-521\",\"x\":\"AA\",\"y\":\"AA\"}", "crv"},
        {"{\"kty\":\"EC\",\"crv\":\"secp256k1\",\"x\":\"" X32 "\",\"y\":\"" X32 "\"}", "crv"},
        {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" X32 "\"}", "\"y\""},
        {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" X32 "\",\"y\":7}", "\"y\""},
        {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" X32 "\",\"y\":\"\"}", "\"y\""},
        /* the point at infinity, in a way, and one beside the curve */
        {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" X32 "\",\"y\":\"" X32 "\"}", "not a point"},
        /* too short by a zero byte (RFC 7518, 6.2.1.2) */
        {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\",\"y\":\"" X32
         "\"}",
         "\"x\""},
        {"{\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"" X32 "\",\"y\":\"" X32 "\"}", "expected 48"},
        {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU=\",\"y\":"
         "\"" X32 "\"}",
         "base64url"},
        {"{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"" X32 "\"}", "Ed25519"},
        {"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AAAA\"}", "expected 32"},
        {"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" X32 "\",\"d\":\"" X32 "\"}", "private"},
        {"{\"kty\":\"RSA\",\"n\":\"" RSA_7515 "\"}", "\"e\""},
        {"{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}", "bits"},
        {"{\"kty\":\"RSA\",\"n\":\"" RSA_7515 "\",\"e\":\"AQ\"}", "exponent"},
        {"{\"kty\":\"RSA\",\"n\":\"" RSA_7515 "\",\"e\":\"AA\"}", "leading zeros"},
        {"{\"kty\":\"RSA\",\"n\":\"" RSA_7515 "\",\"e\":\"AQAA\"}", "exponent"},
        {"{\"kty\":\"RSA\",\"n\":\"" RSA_7515 "\",\"e\":\"" X32 "\"}", "leading zeros"},
        {"{\"kty\":\"RSA\",\"n\":\"AA" RSA_7515 "\",\"e\":\"AQAB\"}", "\"n\""},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err err = {0};
        json_t *o = json_loads(rows[i].jwk, JSON_REJECT_DUPLICATES, NULL);
        assert_non_null(o);
        EVP_PKEY *key = jwk_read(o, &err);
        if (key != NULL || strstr(err.text, rows[i].why) == NULL)
            fail_msg("%s: '%s'", rows[i].jwk, err.text);
        json_decref(o);
    }
    EVP_PKEY *p521 = make(EVP_PKEY_EC, NID_secp521r1);
    struct buf out = {0};
    assert_false(jwk_put(p521, &out));
    assert_int_equal(out.len, 0);
    assert_int_equal(jws_sign(p521, &(struct jws_header){.kid = "k"}, str_of(""), &out, NULL), -1);
    buf_free(&out);
    EVP_PKEY_free(p521);
}

/* `header` is JSON, put into base64url for the test. */
static enum jws_result load_header(const char *header, struct err *err)
{
    struct buf b = {0};
    struct jws j;
    assert_true(base64url_put(&b, header, strlen(header)));
    char *text = flattened(buf_text(&b), "e30", "AAAA");
    enum jws_result result = jws_load(str_of(text), &j, err);
    jws_free(&j);
    buf_free(&b);
    free(text);
    return result;
}

static void test_hostile_headers(void **state)
{
    static const struct {
        const char *header;
        enum jws_result result;
    } rows[] = {
        {"{\"alg\":\"ES256\",\"kid\":\"k\"}", JWS_OK},
        {"{\"alg\":\"none\",\"kid\":\"k\"}", JWS_BAD_ALGORITHM},
        {"{\"alg\":\"None\",\"kid\":\"k\"}", JWS_BAD_ALGORITHM},
        {"{\"alg\":\"\",\"kid\":\"k\"}", JWS_BAD_ALGORITHM},
        {"{\"alg\":\"es256\",\"kid\":\"k\"}", JWS_BAD_ALGORITHM},
        {"{\"alg\":\"HS512\",\"kid\":\"k\"}", JWS_BAD_ALGORITHM},
        {"{\"alg\":\"PS256\",\"kid\":\"k\"}", JWS_BAD_ALGORITHM},
        {"{\"alg\":\"ES256K\",\"kid\":\"k\"}", JWS_BAD_ALGORITHM},
        {"{\"alg\":\"RS1\",\"kid\":\"k\"}", JWS_BAD_ALGORITHM},
        {"{\"alg\":[\"ES256\"],\"kid\":\"k\"}", JWS_MALFORMED},
        {"{\"kid\":\"k\"}", JWS_MALFORMED},
        {"{\"alg\":\"ES256\",\"kid\":\"k\",\"jwk\":{}}", JWS_MALFORMED},
        {"{\"alg\":\"ES256\",\"kid\":7}", JWS_MALFORMED},
        {"{\"alg\":\"ES256\",\"kid\":\"k\",\"url\":[]}", JWS_MALFORMED},
        {"{\"alg\":\"ES256\",\"kid\":\"k\",\"nonce\":{}}", JWS_MALFORMED},
        {"{\"alg\":\"ES256\",\"kid\":\"k\",\"nonce\":\"a\\u0000b\"}", JWS_MALFORMED},
        {"{\"alg\":\"ES256\",\"kid\":\"k\",\"crit\":[\"exp\"]}", JWS_MALFORMED},
        {"{\"alg\":\"ES256\",\"kid\":\"k\",\"b64\":false}", JWS_MALFORMED},
        {"{\"alg\":\"ES256\",\"alg\":\"none\",\"kid\":\"k\"}", JWS_MALFORMED},
        {"{\"alg\":\"ES256\",\"kid\":\"k\"} ", JWS_OK},
        {"{\"alg\":\"ES256\",\"kid\":\"k\"}x", JWS_MALFORMED},
        {"[\"ES256\"]", JWS_MALFORMED},
        {"", JWS_MALFORMED},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err err = {0};
        enum jws_result result = load_header(rows[i].header, &err);
        if (result != rows[i].result || (result != JWS_OK && err.text[0] == '\0'))
            fail_msg("%s: %d, %s", rows[i].header, (int)result, err.text);
    }
}

#define GOOD_HEADER "eyJhbGciOiJFUzI1NiJ9" /* {"alg":"ES256"} */

static void test_hostile_forms(void **state)
{
    static const char *const rows[] = {
        "",
        "null",
        "[]",
        "\"\"",
        "{}",
        GOOD_HEADER ".e30.AAAA", /* the compact form */
        "{\"payload\":\"e30\",\"signature\":\"AAAA\"}",
        "{\"protected\":\"" GOOD_HEADER "\",\"signature\":\"AAAA\"}",
        "{\"protected\":\"" GOOD_HEADER "\",\"payload\":\"e30\"}",
        "{\"protected\":\"" GOOD_HEADER "\",\"payload\":{},\"signature\":\"AAAA\"}",
        "{\"protected\":\"" GOOD_HEADER "\",\"payload\":\"e30=\",\"signature\":\"AAAA\"}",
        "{\"protected\":\"" GOOD_HEADER "\",\"payload\":\"e30\",\"signature\":\"AA+A\"}",
        "{\"protected\":\"" GOOD_HEADER "==\",\"payload\":\"e30\",\"signature\":\"AAAA\"}",
        "{\"protected\":\"" GOOD_HEADER "\",\"payload\":\"e30\",\"payload\":\"e30\",\"signature\":\"AAAA\"}",
        "{\"protected\":\"" GOOD_HEADER
        "\",\"header\":{\"kid\":\"k\"},\"payload\":\"e30\",\"signature\":\"AAAA\"}",
        "{\"protected\":\"" GOOD_HEADER "\",\"signatures\":[],\"payload\":\"e30\",\"signature\":\"AAAA\"}",
        "{\"protected\":\"" GOOD_HEADER "\",\"payload\":\"e30\",\"signature\":\"AAAA\"}x",
        "{\"protected\":\"" GOOD_HEADER "\",\"payload\":\"e30\",\"signature\":\"AAAA\"",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err err = {0};
        struct jws j;
        if (jws_load(str_of(rows[i]), &j, &err) != JWS_MALFORMED || err.text[0] == '\0')
            fail_msg("%s was taken", rows[i]);
        jws_free(&j);
    }
}

/* Signatures that a careless verifier takes: r and s of 0, of the order, and an empty one. */
static void test_hostile_signatures(void **state)
{
    static const char order[] = "_____wAAAAD__________7zm-q2nF56E87nKwvxjJVE";
    EVP_PKEY *key = key_of(EC_7515);
    struct buf zeros = {0}, orders = {0};
    uint8_t none[64] = {0};
    (void)state;
    assert_true(base64url_put(&zeros, none, sizeof(none)));
    struct buf n = {0};
    assert_true(base64url_read(str_of(order), &n) && base64url_read(str_of(order), &n));
    assert_int_equal(n.len, 64);
    assert_true(base64url_put(&orders, n.data, n.len));
    const char *const rows[] = {"", "AA", buf_text(&zeros), buf_text(&orders)};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct jws j;
        char *text = flattened(GOOD_HEADER, "e30", rows[i]);
        assert_int_equal(jws_load(str_of(text), &j, NULL), JWS_OK);
        assert_false(jws_verify(&j, key));
        jws_free(&j);
        free(text);
    }
    buf_free(&zeros);
    buf_free(&orders);
    buf_free(&n);
    EVP_PKEY_free(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_thumbprints),
        cmocka_unit_test(test_canonical),
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_mac),
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_hostile_keys),
        cmocka_unit_test(test_hostile_headers),
        cmocka_unit_test(test_hostile_forms),
        cmocka_unit_test(test_hostile_signatures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
