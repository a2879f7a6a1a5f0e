/* SPDX-License-Identifier: Apache-2.0 */
/* opaque/: the vectors of RFC 9497 and RFC 9807, and what a hostile side may send. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/hex.h"
#include "opaque/opaque.h"
#include "opaque/oprf.h"
#include "opaque_vectors.h"

#define STR(text) ((struct str){text, strlen(text)})

static void unhex(const char *text, uint8_t *ret, size_t len)
{
    assert_int_equal(strlen(text), 2 * len);
    for (size_t i = 0; i < len; i++)
        ret[i] = (uint8_t)(hex_digit(text[2 * i]) << 4 | hex_digit(text[2 * i + 1]));
}

static void assert_hex(const uint8_t *got, size_t len, const char *want)
{
    uint8_t bytes[512];
    assert_true(len <= sizeof(bytes));
    unhex(want, bytes, len);
    assert_memory_equal(got, bytes, len);
}

/* RFC 9497, A.1.1. */
static void test_oprf_vectors(void **state)
{
    static const struct {
        const char *input;
        const char *blinded, *evaluated, *output;
    } rows[] = {
        {"00", "609a0ae68c15a3cf6903766461307e5c8bb2f95e7e6550e1ffa2dc99e412803c",
         "7ec6578ae5120958eb2db1745758ff379e77cb64fe77b0b2d8cc917ea0869c7e",
         "527759c3d9366f277d8c6020418d96bb393ba2afb20ff90df23fb7708264e2f3"
         "ab9135e3bd69955851de4b1f9fe8a0973396719b7912ba9ee8aa7d0b5e24bcf6"},
        {"5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a",
         "da27ef466870f5f15296299850aa088629945a17d1f5b7f5ff043f76b3c06418",
         "b4cbf5a4f1eeda5a63ce7b77c7d23f461db3fcab0dd28e4e17cecb5c90d02c25",
         "f4a74c9c592497375e796aa837e907b1a045d34306a749db9f34221f7e750cb4"
         "f2a6413a6bf6fa5e19ba6348eb673934a722a7ede2e7621306d18951e7cf2c73"},
    };
    uint8_t seed[OPRF_SEED], key[OPRF_SCALAR], blind[OPRF_SCALAR];
    (void)state;
    memset(seed, 0xa3, sizeof(seed));
    assert_true(oprf_derive_key(seed, "test key", key, NULL));
    assert_hex(key, sizeof(key), "5ebcea5ee37023ccb9fc2d2019f9d7737be85591ae8652ffa9ef0f4d37063b0e");
    unhex("64d37aed22a27f5191de1c1d69fadb899d8862b58eb4220029e036ec4c1f6706", blind, sizeof(blind));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint8_t input[17], element[OPRF_ELEMENT], answer[OPRF_ELEMENT], output[OPRF_OUTPUT];
        size_t len = strlen(rows[i].input) / 2;
        unhex(rows[i].input, input, len);
        assert_true(oprf_blind(input, len, blind, element));
        assert_hex(element, sizeof(element), rows[i].blinded);
        assert_true(oprf_evaluate(key, element, answer));
        assert_hex(answer, sizeof(answer), rows[i].evaluated);
        assert_true(oprf_finalize(input, len, blind, answer, output));
        assert_hex(output, sizeof(output), rows[i].output);
    }
}

static const struct opaque_stretch no_stretch = {0};
#define PASSWORD STR("CorrectHorseBatteryStaple")
#define CREDENTIAL STR("1234")

static struct opaque_server server_of(const char *oprf_seed, const char *private_key, const char *public_key)
{
    struct opaque_server s;
    unhex(oprf_seed, s.oprf_seed, sizeof(s.oprf_seed));
    unhex(private_key, s.private_key, sizeof(s.private_key));
    assert_true(opaque_server_complete(&s));
    assert_hex(s.public_key, sizeof(s.public_key), public_key);
    return s;
}

static void register_vector(const struct opaque_vector *v, const struct opaque_names *names,
                            const struct opaque_server *s, uint8_t record[OPAQUE_RECORD])
{
    struct opaque_client_random random = {0};
    struct opaque_client client;
    uint8_t request[OPAQUE_REQUEST], response[OPAQUE_RESPONSE], export_key[OPAQUE_HASH];
    unhex(v->blind_registration, random.blind, sizeof(random.blind));
    unhex(v->envelope_nonce, random.nonce, sizeof(random.nonce));
    assert_true(opaque_register_start(PASSWORD, &random, &client, request));
    assert_hex(request, sizeof(request), v->registration_request);
    assert_true(opaque_register_answer(s, CREDENTIAL, request, response));
    assert_hex(response, sizeof(response), v->registration_response);
    assert_true(opaque_register_finish(&client, PASSWORD, names, &no_stretch, response, record, export_key));
    assert_hex(record, OPAQUE_RECORD, v->registration_upload);
    assert_hex(export_key, sizeof(export_key), v->export_key);
    assert_true(opaque_record_is_sound(record));
}

static void login_vector(const struct opaque_vector *v, const struct opaque_names *names,
                         const struct opaque_server *s, const uint8_t record[OPAQUE_RECORD])
{
    struct opaque_client_random random = {0};
    struct opaque_server_random answer;
    struct opaque_client client;
    struct opaque_expected expected;
    struct opaque_secrets secrets;
    uint8_t ke1[OPAQUE_KE1], ke2[OPAQUE_KE2], ke3[OPAQUE_KE3];
    unhex(v->blind_login, random.blind, sizeof(random.blind));
    unhex(v->client_nonce, random.nonce, sizeof(random.nonce));
    unhex(v->client_keyshare_seed, random.keyshare_seed, sizeof(random.keyshare_seed));
    assert_true(opaque_login_start(PASSWORD, &random, &client, ke1));
    assert_hex(ke1, sizeof(ke1), v->ke1);
    unhex(v->masking_nonce, answer.masking_nonce, sizeof(answer.masking_nonce));
    unhex(v->server_nonce, answer.nonce, sizeof(answer.nonce));
    unhex(v->server_keyshare_seed, answer.keyshare_seed, sizeof(answer.keyshare_seed));
    assert_true(opaque_login_answer(s, names, CREDENTIAL, record, ke1, &answer, ke2, &expected));
    assert_hex(ke2, sizeof(ke2), v->ke2);
    assert_true(opaque_login_finish(&client, PASSWORD, names, &no_stretch, ke2, ke3, &secrets));
    assert_hex(ke3, sizeof(ke3), v->ke3);
    assert_hex(secrets.export_key, OPAQUE_HASH, v->export_key);
    assert_hex(secrets.session_key, OPAQUE_HASH, v->session_key);
    assert_hex(expected.session_key, OPAQUE_HASH, v->session_key);
    assert_true(opaque_is_proven(&expected, ke3));
}

/* RFC 9807, C.1.1 and C.1.2. */
static void test_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(opaque_vectors); i++) {
        const struct opaque_vector *v = &opaque_vectors[i];
        struct opaque_names names = {STR("OPAQUE-POC"), STR(v->client), STR(v->server)};
        struct opaque_server s = server_of(v->oprf_seed, v->server_private_key, v->server_public_key);
        uint8_t record[OPAQUE_RECORD];
        register_vector(v, &names, &s, record);
        login_vector(v, &names, &s, record);
    }
}

/* RFC 9807, C.2.1. */
static void test_fake_vector(void **state)
{
    struct opaque_names names = {STR("OPAQUE-POC"), STR("alice"), STR("bob")};
    struct opaque_server s = server_of(opaque_fake_vector.oprf_seed, opaque_fake_vector.server_private_key,
                                       opaque_fake_vector.server_public_key);
    uint8_t record[OPAQUE_RECORD] = {0}, ke1[OPAQUE_KE1], ke2[OPAQUE_KE2];
    struct opaque_server_random answer;
    struct opaque_expected expected;
    (void)state;
    unhex(opaque_fake_vector.client_public_key, record, OPAQUE_KEY);
    unhex(opaque_fake_vector.masking_key, record + OPAQUE_KEY, OPAQUE_HASH);
    unhex(opaque_fake_vector.ke1, ke1, sizeof(ke1));
    unhex(opaque_fake_vector.masking_nonce, answer.masking_nonce, sizeof(answer.masking_nonce));
    unhex(opaque_fake_vector.server_nonce, answer.nonce, sizeof(answer.nonce));
    unhex(opaque_fake_vector.server_keyshare_seed, answer.keyshare_seed, sizeof(answer.keyshare_seed));
    assert_true(opaque_login_answer(&s, &names, CREDENTIAL, record, ke1, &answer, ke2, &expected));
    assert_hex(ke2, sizeof(ke2), opaque_fake_vector.ke2);
}

/* A login with what is random really random; each argument can be made different from what it was when the
 * password was set. */
struct play {
    struct opaque_server server;
    struct opaque_names names;
    uint8_t record[OPAQUE_RECORD];
    struct opaque_client client;
    struct opaque_expected expected;
    uint8_t ke1[OPAQUE_KE1], ke2[OPAQUE_KE2], ke3[OPAQUE_KE3];
    struct opaque_secrets secrets;
};

static const struct opaque_stretch cheap = {.passes = 1, .memory = 8192};

static void play_register(struct play *p)
{
    struct opaque_client_random random;
    uint8_t request[OPAQUE_REQUEST], response[OPAQUE_RESPONSE];
    opaque_random_server(&p->server);
    opaque_random_client(&random);
    p->names = (struct opaque_names){STR("test"), STR("alice"), {NULL, 0}};
    assert_true(opaque_register_start(PASSWORD, &random, &p->client, request));
    assert_true(opaque_register_answer(&p->server, STR("alice"), request, response));
    assert_true(opaque_register_finish(&p->client, PASSWORD, &p->names, &cheap, response, p->record, NULL));
}

static bool play_start(struct play *p, struct str password)
{
    struct opaque_client_random random;
    struct opaque_server_random answer;
    opaque_random_client(&random);
    opaque_random_answer(&answer);
    assert_true(opaque_login_start(password, &random, &p->client, p->ke1));
    return opaque_login_answer(&p->server, &p->names, STR("alice"), p->record, p->ke1, &answer, p->ke2,
                               &p->expected);
}

static bool play_finish(struct play *p, struct str password)
{
    return opaque_login_finish(&p->client, password, &p->names, &cheap, p->ke2, p->ke3, &p->secrets);
}

static void test_who_is_refused(void **state)
{
    struct play p = {0};
    (void)state;
    play_register(&p);
    assert_true(play_start(&p, PASSWORD) && play_finish(&p, PASSWORD));
    assert_true(opaque_is_proven(&p.expected, p.ke3));
    assert_memory_equal(p.expected.session_key, p.secrets.session_key, OPAQUE_HASH);

    assert_true(play_start(&p, STR("CorrectHorseBatteryStaplf")));
    assert_false(play_finish(&p, STR("CorrectHorseBatteryStaplf")));
    assert_false(opaque_is_proven(&p.expected, p.ke3)); /* that of the login before */

    p.names.client = STR("bob"); /* somebody else's record */
    assert_true(play_start(&p, PASSWORD));
    assert_false(play_finish(&p, PASSWORD));
    p.names.client = STR("alice");

    opaque_fake_record(&p.server, STR("alice"), p.record);
    assert_true(opaque_record_is_sound(p.record));
    assert_true(play_start(&p, PASSWORD));
    assert_false(play_finish(&p, PASSWORD));
    opaque_wipe(&p, sizeof(p));
}

/* No bit of KE2 or KE3 may change on its way. */
static void test_each_bit_counts(void **state)
{
    struct play p = {0};
    (void)state;
    play_register(&p);
    assert_true(play_start(&p, PASSWORD) && play_finish(&p, PASSWORD));
    for (size_t i = 0; i < sizeof(p.ke3); i++) {
        p.ke3[i] ^= 1;
        assert_false(opaque_is_proven(&p.expected, p.ke3));
        p.ke3[i] ^= 1;
    }
    for (size_t i = 0; i < sizeof(p.ke2); i++) {
        uint8_t bit = (uint8_t)(1 << i % 8);
        p.ke2[i] ^= bit;
        if (play_finish(&p, PASSWORD))
            fail_msg("KE2 with byte %zu changed is taken", i);
        p.ke2[i] ^= bit;
    }
    assert_true(play_finish(&p, PASSWORD));
}

/* Elements that are none: RFC 9496, A.3 (not canonical, negative, not a square ...), and the identity. */
static const char *const bad_elements[] = {
    "0000000000000000000000000000000000000000000000000000000000000000",
    "00ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "f3ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "01ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "ed57ffd8c914fb201471d1c3d245ce3c746fcbe63a3679d51b6a516ebebe0e20",
    "26948d35ca62e643e26a83177332e6b6afeb9d08e4268b650f1f5bbd8d81d371",
    "4eac077a713c57b4f4397629a4145982c661f48044dd3f96427d40b147d9742f",
    "c34c4e1800c8e5a2d3ea3dd63b5c1ee9d5fd9b6eff1fbc6bff0ee5f9b3be55a5",
};

static void test_bad_elements(void **state)
{
    struct play p = {0};
    (void)state;
    play_register(&p);
    for (size_t i = 0; i < ARRAY_LEN(bad_elements); i++) {
        uint8_t bad[OPAQUE_KEY], response[OPAQUE_RESPONSE], good[OPAQUE_KEY], ke1[OPAQUE_KE1];
        uint8_t record[OPAQUE_RECORD];
        struct opaque_server_random answer;
        unhex(bad_elements[i], bad, sizeof(bad));
        assert_false(opaque_register_answer(&p.server, STR("alice"), bad, response));
        opaque_random_answer(&answer);
        assert_true(play_start(&p, PASSWORD));
        memcpy(ke1, p.ke1, sizeof(ke1));
        for (size_t at = 0; at < OPAQUE_KE1; at += OPAQUE_KEY + OPAQUE_NONCE) { /* request, key share */
            memcpy(ke1, p.ke1, sizeof(ke1));
            memcpy(ke1 + at, bad, sizeof(bad));
            assert_false(opaque_login_answer(&p.server, &p.names, STR("alice"), p.record, ke1, &answer, p.ke2,
                                             &p.expected));
        }
        memcpy(record, p.record, sizeof(record));
        memcpy(record, bad, sizeof(bad));
        assert_false(opaque_record_is_sound(record));
        assert_true(play_start(&p, PASSWORD));
        memcpy(good, p.ke2, sizeof(good));
        memcpy(p.ke2, bad, sizeof(bad)); /* the evaluated element */
        assert_false(play_finish(&p, PASSWORD));
        memcpy(response, bad, sizeof(bad));
        memcpy(response + OPAQUE_KEY, p.server.public_key, OPAQUE_KEY);
        assert_false(opaque_register_finish(&p.client, PASSWORD, &p.names, &cheap, response, record, NULL));
        memcpy(response, good, sizeof(good));
        if (i > 0) { /* a server's key that is the identity decodes, and fails when it is used */
            memcpy(response + OPAQUE_KEY, bad, sizeof(bad));
            assert_false(
                opaque_register_finish(&p.client, PASSWORD, &p.names, &cheap, response, record, NULL));
        }
    }
}

static void test_passwords(void **state)
{
    struct opaque_client_random random;
    struct opaque_client client;
    uint8_t out[OPAQUE_KE1];
    static const char long_one[OPAQUE_PASSWORD_MAX + 1];
    (void)state;
    opaque_random_client(&random);
    assert_false(opaque_register_start(STR(""), &random, &client, out));
    assert_false(opaque_login_start(STR(""), &random, &client, out));
    assert_true(opaque_login_start((struct str){long_one, OPAQUE_PASSWORD_MAX}, &random, &client, out));
    assert_false(opaque_login_start((struct str){long_one, sizeof(long_one)}, &random, &client, out));
    memset(random.blind, 0, sizeof(random.blind));
    assert_false(opaque_login_start(PASSWORD, &random, &client, out));
}

/* A fake record is the same each time, another for each name, and nobody's. */
static void test_fake_records(void **state)
{
    struct opaque_server s;
    uint8_t a[OPAQUE_RECORD], again[OPAQUE_RECORD], b[OPAQUE_RECORD];
    (void)state;
    opaque_random_server(&s);
    opaque_fake_record(&s, STR("alice"), a);
    opaque_fake_record(&s, STR("alice"), again);
    opaque_fake_record(&s, STR("bob"), b);
    assert_memory_equal(a, again, sizeof(a));
    assert_memory_not_equal(a, b, OPAQUE_KEY);
    assert_memory_not_equal(a + OPAQUE_KEY, b + OPAQUE_KEY, OPAQUE_HASH);
}

static void test_binding(void **state)
{
    uint8_t key[OPAQUE_HASH] = {1}, a[OPAQUE_HASH], b[OPAQUE_HASH];
    (void)state;
    opaque_bind(key, "one", (struct str[]){STR("ab"), STR("c")}, 2, a);
    opaque_bind(key, "one", (struct str[]){STR("a"), STR("bc")}, 2, b);
    assert_false(opaque_same(a, b, sizeof(a)));
    opaque_bind(key, "two", (struct str[]){STR("ab"), STR("c")}, 2, b);
    assert_false(opaque_same(a, b, sizeof(a)));
    opaque_bind(key, "one", (struct str[]){STR("ab"), STR("c")}, 2, b);
    assert_true(opaque_same(a, b, sizeof(a)));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_oprf_vectors),    cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_fake_vector),     cmocka_unit_test(test_who_is_refused),
        cmocka_unit_test(test_each_bit_counts), cmocka_unit_test(test_bad_elements),
        cmocka_unit_test(test_passwords),       cmocka_unit_test(test_fake_records),
        cmocka_unit_test(test_binding),
    };
    CHECK(opaque_init());
    return cmocka_run_group_tests(tests, NULL, NULL);
}
