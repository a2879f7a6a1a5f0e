/* SPDX-License-Identifier: Apache-2.0 */
/* Oblivious DNS over HTTPS, with a resolver of the test's: vectors of others, and hostile
 * keys and answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/aead.h>
#include <openssl/digest.h>
#include <openssl/hkdf.h>
#include <openssl/hpke.h>

#include "base/check.h"
#include "base/cursor.h"
#include "dns/oblivious.h"

#define QUESTION "what is asked"
#define HEAD_LEN 35 /* of a question: type, and the key's name */
#define ENC_LEN 32

static struct str str_of(const struct buf *b)
{
    return (struct str){(const char *)b->data, b->len};
}

static void put_hex(struct buf *b, const char *hex)
{
    unsigned byte;
    for (; *hex != '\0'; hex += 2) {
        assert_int_equal(sscanf(hex, "%2x", &byte), 1);
        assert_true(buf_append(b, &(uint8_t){(uint8_t)byte}, 1));
    }
}

static void put16(struct buf *b, size_t n)
{
    assert_true(buf_append(b, (const uint8_t[]){(uint8_t)(n >> 8), (uint8_t)n}, 2));
}

/* ---- configs ---- */

struct config {
    uint16_t version, kem, kdf, aead;
    size_t key_len;
    const char *behind; /* the key; NULL: nothing */
};

#define GOOD 1, 0x20, 1, 1, 32, NULL

/* `more` bytes are claimed beyond those that are there. */
static void put_configs(struct buf *b, const struct config *v, size_t n, size_t more)
{
    struct buf all = {0};
    for (size_t i = 0; i < n; i++) {
        struct buf one = {0};
        put16(&one, v[i].kem);
        put16(&one, v[i].kdf);
        put16(&one, v[i].aead);
        put16(&one, v[i].key_len);
        for (size_t k = 0; k < v[i].key_len; k++)
            assert_true(buf_append(&one, k == 0 ? "\11" : "\0", 1));
        if (v[i].behind != NULL)
            assert_true(buf_append(&one, v[i].behind, strlen(v[i].behind)));
        put16(&all, v[i].version);
        put16(&all, one.len);
        assert_true(buf_append(&all, one.data, one.len));
        buf_free(&one);
    }
    put16(b, all.len + more);
    if (n > 0)
        assert_true(buf_append(b, all.data, all.len));
    buf_free(&all);
}

static void test_configs(void **state)
{
    static const struct {
        const char *what;
        struct config v[2];
        size_t n, more;
        uint16_t aead; /* of the one that is chosen; 0: none is */
        const char *why;
    } rows[] = {
        {"as it must be", {{GOOD}}, 1, 0, 1, NULL},
        {"AES-256", {{1, 0x20, 1, 2, 32, NULL}}, 1, 0, 2, NULL},
        {"ChaCha20", {{1, 0x20, 1, 3, 32, NULL}, {GOOD}}, 2, 0, 3, NULL},
        {"a newer version first", {{2, 9, 9, 9, 1, "?"}, {GOOD}}, 2, 0, 1, NULL},
        {"another KEM first", {{1, 0x10, 1, 2, 65, NULL}, {GOOD}}, 2, 0, 1, NULL},
        {"none", {{0}}, 0, 0, 0, "is no ObliviousDoHConfigs"},
        {"cut", {{GOOD}}, 1, 1, 0, "is no ObliviousDoHConfigs"},
        {"something behind the key", {{1, 0x20, 1, 1, 32, "?"}}, 1, 0, 0, "is no ObliviousDoHConfigs"},
        {"a good one, then a broken one", {{GOOD}, {1, 0x20, 1, 1, 32, "?"}}, 2, 0, 0, "is no Oblivious"},
        {"no key", {{1, 0x20, 1, 1, 0, NULL}}, 1, 0, 0, "is no ObliviousDoHConfigs"},
        {"a short key", {{1, 0x20, 1, 1, 31, NULL}}, 1, 0, 0, "has no key that can be used here"},
        {"another version", {{0xff06, 0x20, 1, 1, 32, NULL}}, 1, 0, 0, "has no key that can be used here"},
        {"another KDF", {{1, 0x20, 2, 1, 32, NULL}}, 1, 0, 0, "has no key that can be used here"},
        {"another AEAD", {{1, 0x20, 1, 4, 32, NULL}}, 1, 0, 0, "has no key that can be used here"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf b = {0};
        struct dns_oblivious_key key = {.aead = 0};
        struct err err = {""};
        put_configs(&b, rows[i].v, rows[i].n, rows[i].more);
        bool good = dns_oblivious_choose(str_of(&b), &key, &err) == 0;
        if (good != (rows[i].aead != 0) || (good && key.aead != rows[i].aead) ||
            (!good && strstr(err.text, rows[i].why) == NULL))
            fail_msg("%s: %s", rows[i].what, err.text);
        for (size_t len = 0; len < b.len; len++)
            assert_int_equal(dns_oblivious_choose((struct str){(const char *)b.data, len}, &key, &err), -1);
        buf_free(&b);
    }
}

/* ---- a resolver ---- */

struct target {
    EVP_HPKE_KEY key;
    EVP_HPKE_CTX ctx; /* of the question that it has opened last */
    uint16_t aead;
    struct buf configs, question;
};

static const EVP_HPKE_AEAD *aead_of(const struct target *t)
{
    return t->aead == 1   ? EVP_hpke_aes_128_gcm()
           : t->aead == 2 ? EVP_hpke_aes_256_gcm()
                          : EVP_hpke_chacha20_poly1305();
}

static void target_init(struct target *t, uint16_t aead)
{
    uint8_t public_key[32];
    size_t len;
    *t = (struct target){.aead = aead};
    EVP_HPKE_CTX_zero(&t->ctx);
    assert_true(EVP_HPKE_KEY_generate(&t->key, EVP_hpke_x25519_hkdf_sha256()));
    assert_true(EVP_HPKE_KEY_public_key(&t->key, public_key, &len, sizeof(public_key)));
    put_hex(&t->configs, "002c000100280020000100");
    assert_true(buf_append(&t->configs, &(uint8_t){(uint8_t)aead}, 1));
    put16(&t->configs, len);
    assert_true(buf_append(&t->configs, public_key, len));
}

static void target_forget(struct target *t)
{
    EVP_HPKE_CTX_cleanup(&t->ctx);
    EVP_HPKE_CTX_zero(&t->ctx);
    t->question.len = 0;
}

static void target_free(struct target *t)
{
    target_forget(t);
    EVP_HPKE_KEY_cleanup(&t->key);
    buf_free(&t->configs);
    buf_free(&t->question);
}

static void target_open(struct target *t, const struct buf *sealed)
{
    struct cursor c = cursor_of(sealed->data, sealed->len), id = {0}, text = {0};
    uint8_t type;
    const uint8_t *enc = NULL;
    size_t len;
    target_forget(t);
    assert_true(cursor_u8(&c, &type) && type == 1 && cursor_vector(&c, 2, &id) &&
                cursor_vector(&c, 2, &text) && cursor_left(&c) == 0 && cursor_bytes(&text, ENC_LEN, &enc));
    assert_int_equal(cursor_left(&id), 32);
    assert_true(EVP_HPKE_CTX_setup_recipient(&t->ctx, &t->key, EVP_hpke_hkdf_sha256(), aead_of(t), enc,
                                             ENC_LEN, (const uint8_t *)"odoh query", 10));
    assert_true(buf_reserve(&t->question, cursor_left(&text)));
    assert_true(EVP_HPKE_CTX_open(&t->ctx, t->question.data, &len, t->question.cap, text.p,
                                  cursor_left(&text), sealed->data, HEAD_LEN));
    t->question.len = len;
}

static size_t secret_of(const struct target *t, uint8_t ret[32])
{
    size_t len = EVP_AEAD_key_length(EVP_HPKE_AEAD_aead(aead_of(t)));
    assert_true(EVP_HPKE_CTX_export(&t->ctx, ret, len, (const uint8_t *)"odoh response", 13));
    return len;
}

/* Seal that text for who asked last. */
static void target_answer(const struct target *t, const char *plain, size_t plain_len, struct buf *ret)
{
    const EVP_AEAD *aead = EVP_HPKE_AEAD_aead(aead_of(t));
    uint8_t secret[32], prk[EVP_MAX_MD_SIZE], key[32], iv[12], text[512];
    struct buf salt = {0};
    size_t prk_len, len, secret_len = secret_of(t, secret), nonce_len = MAX(secret_len, sizeof(iv));
    EVP_AEAD_CTX ctx;
    assert_true(buf_append(&salt, t->question.data, t->question.len));
    ret->len = 0;
    assert_true(buf_append(ret, "\2", 1));
    put16(ret, nonce_len);
    for (size_t i = 0; i < nonce_len; i++)
        assert_true(buf_append(ret, "n", 1));
    assert_true(buf_append(&salt, ret->data + 1, ret->len - 1));
    assert_true(HKDF_extract(prk, &prk_len, EVP_sha256(), secret, secret_len, salt.data, salt.len) &&
                HKDF_expand(key, secret_len, EVP_sha256(), prk, prk_len, (const uint8_t *)"odoh key", 8) &&
                HKDF_expand(iv, sizeof(iv), EVP_sha256(), prk, prk_len, (const uint8_t *)"odoh nonce", 10));
    assert_true(EVP_AEAD_CTX_init(&ctx, aead, key, secret_len, EVP_AEAD_DEFAULT_TAG_LENGTH, NULL) &&
                EVP_AEAD_CTX_seal(&ctx, text, &len, sizeof(text), iv, sizeof(iv), (const uint8_t *)plain,
                                  plain_len, ret->data, ret->len));
    put16(ret, len);
    assert_true(buf_append(ret, text, len));
    EVP_AEAD_CTX_cleanup(&ctx);
    buf_free(&salt);
}

static void ask(struct target *t, struct str message, struct dns_oblivious_opener *ret)
{
    struct dns_oblivious_key key;
    struct buf sealed = {0};
    assert_int_equal(dns_oblivious_choose(str_of(&t->configs), &key, NULL), 0);
    assert_int_equal(dns_oblivious_seal(&key, message, &sealed, ret, NULL), 0);
    target_open(t, &sealed);
    buf_free(&sealed);
}

#define ANSWER(text) text, sizeof(text) - 1

static void test_round(void **state)
{
    struct target t;
    struct dns_oblivious_opener opener;
    struct buf sealed = {0}, opened = {0};
    (void)state;
    for (uint16_t aead = 1; aead <= 3; aead++) {
        target_init(&t, aead);
        ask(&t, (struct str){QUESTION, strlen(QUESTION)}, &opener);
        assert_memory_equal(t.question.data, "\0\15" QUESTION "\0", 16);
        target_answer(&t, ANSWER("\0\6answer\0\2\0\0"), &sealed);
        assert_int_equal(dns_oblivious_open(&opener, str_of(&sealed), &opened, NULL), 0);
        assert_int_equal(opened.len, 6);
        assert_memory_equal(opened.data, "answer", 6);
        dns_oblivious_forget(&opener);
        buf_free(&opened);
        target_free(&t);
    }
    buf_free(&sealed);
}

/* The length tells no more than the number of blocks. */
static void test_lengths(void **state)
{
    static char long_one[0xfe01];
    struct target t;
    struct dns_oblivious_key key;
    struct dns_oblivious_opener opener;
    struct buf sealed = {0};
    struct err err = {""};
    (void)state;
    target_init(&t, 1);
    for (size_t len = 1; len < 400; len++) {
        ask(&t, (struct str){long_one, len}, &opener);
        assert_int_equal(t.question.len, (len + 4 + 127) / 128 * 128);
        dns_oblivious_forget(&opener);
    }
    ask(&t, (struct str){long_one, sizeof(long_one) - 1}, &opener);
    dns_oblivious_forget(&opener);
    assert_int_equal(dns_oblivious_choose(str_of(&t.configs), &key, NULL), 0);
    for (size_t len = 0; len <= sizeof(long_one); len += sizeof(long_one)) {
        assert_int_equal(dns_oblivious_seal(&key, (struct str){long_one, len}, &sealed, &opener, &err), -1);
        dns_oblivious_forget(&opener);
    }
    target_free(&t);
}

/* A key that every secret comes out the same with (RFC 7748, 6.1). */
static void test_weak_key(void **state)
{
    struct buf configs = {0}, sealed = {0};
    struct dns_oblivious_key key;
    struct dns_oblivious_opener opener;
    struct err err = {""};
    (void)state;
    put_configs(&configs, &(struct config){GOOD}, 1, 0);
    memset(configs.data + configs.len - 32, 0, 32);
    assert_int_equal(dns_oblivious_choose(str_of(&configs), &key, NULL), 0);
    assert_int_equal(dns_oblivious_seal(&key, (struct str){"q", 1}, &sealed, &opener, &err), -1);
    assert_string_equal(err.text, "has a key that nothing can be sealed with");
    assert_int_equal(sealed.len, 0);
    dns_oblivious_forget(&opener);
    buf_free(&configs);
}

static void refuse(const struct dns_oblivious_opener *opener, struct str sealed, const char *what,
                   const char *why)
{
    struct buf opened = {0};
    struct err err = {""};
    if (dns_oblivious_open(opener, sealed, &opened, &err) == 0 || opened.len > 0 ||
        strstr(err.text, why) == NULL)
        fail_msg("%s: %s", what, err.text);
    buf_free(&opened);
}

static void test_hostile_answers(void **state)
{
    static const struct {
        const char *what, *plain;
        size_t len;
    } rows[] = {
        {"nothing", ANSWER("")},
        {"no message", ANSWER("\0\0\0\0")},
        {"no padding", ANSWER("\0\1a")},
        {"padding that is not of zeros", ANSWER("\0\1a\0\2\0\1")},
        {"more behind it", ANSWER("\0\1a\0\0?")},
        {"a message that is cut", ANSWER("\0\7a\0\0")},
        {"padding that is cut", ANSWER("\0\1a\0\2\0")},
    };
    struct target t;
    struct dns_oblivious_opener opener, other;
    struct buf sealed = {0};
    (void)state;
    target_init(&t, 1);
    ask(&t, (struct str){QUESTION, strlen(QUESTION)}, &other);
    ask(&t, (struct str){QUESTION, strlen(QUESTION)}, &opener);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        target_answer(&t, rows[i].plain, rows[i].len, &sealed);
        refuse(&opener, str_of(&sealed), rows[i].what, "the answer holds no DNS message");
    }
    target_answer(&t, ANSWER("\0\6answer\0\0"), &sealed);
    refuse(&other, str_of(&sealed), "to another question", "is not to this question");
    for (size_t i = 0; i < sealed.len; i++) {
        refuse(&opener, (struct str){(const char *)sealed.data, i}, "cut", "the answer ");
        sealed.data[i] ^= 1;
        refuse(&opener, str_of(&sealed), "a bit that is not as it was", "the answer ");
        sealed.data[i] ^= 1;
    }
    assert_true(buf_append(&sealed, "?", 1));
    refuse(&opener, str_of(&sealed), "more behind it", "the answer is none of Oblivious");
    dns_oblivious_forget(&opener);
    dns_oblivious_forget(&other);
    buf_free(&sealed);
    target_free(&t);
}

/* ---- vectors of odoh-go's, of the draft whose messages the RFC has ---- */

#define VECTOR_KEY "5cfba84798114ab3caa71a92499316bc379edd9985ba30493a38534606d281e0" /* of its seed */
#define VECTOR_CONFIGS \
    "002c0001002800200001000100203c7769245980d261c2189e4ed0e05e61d560263a88d6c6c5858187fe75392877"
#define VECTOR_ID "2e8b2b5f69a41e7d019361cbf4319a29cf3bb5b694ac126b86c5e9bb86e0216f"

static const struct {
    const char *question, *answer, *sealed_question, *sealed_answer;
} vectors[] = {
    {"781e4a0e2f758cd075d0483a6863c055c874df4169d6fcae1e0269b0eeb534e3",
     "781e4a0e2f758cd075d0483a6863c055c874df4169d6fcae1e0269b0eeb534e3"
     "781e4a0e2f758cd075d0483a6863c055c874df4169d6fcae1e0269b0eeb534e3",
     "010020" VECTOR_ID "00545ed85db2d4aafe2d34538dfd7e455e83a644afa6e8c92e2b674f68322a0ed262736c8cf91cfe6127"
     "e6d4a3067cf955019ae866cd33c61253841af43a9dd60157e9d7cbabe351885f3a6b6c4c14d293763234319e",
     "020010b789220ab024661a4f05a040e6dc25220054c6a664f4dee4e78199a861e2697c7ed09d1a19203d27ea650dacc59edba9"
     "3aa98c9e9309bddd946ffbcd091c638bd9bc41bf1877334601a49ca8b85417a9f194b5f3bac9d717dbc7075aba6ed832e6299e"
     "00fe5b"},
    {"766372fc22920221ae74cda3b580f4099860b0d61b8378022b57646137197300",
     "766372fc22920221ae74cda3b580f4099860b0d61b8378022b57646137197300"
     "766372fc22920221ae74cda3b580f4099860b0d61b8378022b57646137197300",
     "010020" VECTOR_ID "007405feee2ca2bc0c4a77cd88e5b18cc40292e37e0b1b5ecd3c7a26e1afe4b6b35428106dc3ef832b26"
     "414ebe61fba5e08f76366dfeee42c6c1577e74c5b9a10eaabf0f534518ec73b73e258eeb4084aa7302384ef43b679f43efbecd"
     "1b18f913b404c65d7e28a8f3b10f1b67579e825ae908e31bf5",
     "020010d0745c87448c594d9008ee8c66000e350094232eebb177e2fa5aded9905f14c3abcb2f4421d66ffce4970f54c2451838"
     "eaad0535c8fb5bee9b46a62edf1d2d8997fc40a49afd2a8641064b5925e7f69c18684fcf26e6ad37c0fe28e332a86ce0b539ac"
     "f030fbcadfa175f249cc3dc1beeb449d6d3468ab6954425a838049d4c10015797678eed65bf8c3b05fa341f66859276002c140"
     "7453d1cfdb83d23833c01d16a4ba1a34"},
};

static void check_vector(struct target *t, size_t i)
{
    struct buf sealed_question = {0}, sealed_answer = {0}, question = {0}, answer = {0}, opened = {0};
    struct dns_oblivious_opener opener = {.aead = 1};
    put_hex(&sealed_question, vectors[i].sealed_question);
    put_hex(&sealed_answer, vectors[i].sealed_answer);
    put_hex(&question, vectors[i].question);
    put_hex(&answer, vectors[i].answer);
    target_open(t, &sealed_question);
    assert_memory_equal(t->question.data + 2, question.data, question.len);
    secret_of(t, opener.secret);
    assert_true(buf_append(&opener.question, t->question.data, t->question.len));
    assert_int_equal(dns_oblivious_open(&opener, str_of(&sealed_answer), &opened, NULL), 0);
    assert_int_equal(opened.len, answer.len);
    assert_memory_equal(opened.data, answer.data, answer.len);
    dns_oblivious_forget(&opener);
    struct buf *all[] = {&sealed_question, &sealed_answer, &question, &answer, &opened};
    for (size_t k = 0; k < ARRAY_LEN(all); k++)
        buf_free(all[k]);
}

static void test_vectors(void **state)
{
    struct target t = {.aead = 1};
    struct buf secret = {0}, sealed = {0}, id = {0};
    struct dns_oblivious_key key;
    struct dns_oblivious_opener opener;
    (void)state;
    EVP_HPKE_CTX_zero(&t.ctx);
    put_hex(&secret, VECTOR_KEY);
    put_hex(&t.configs, VECTOR_CONFIGS);
    put_hex(&id, VECTOR_ID);
    assert_true(EVP_HPKE_KEY_init(&t.key, EVP_hpke_x25519_hkdf_sha256(), secret.data, secret.len));
    for (size_t i = 0; i < ARRAY_LEN(vectors); i++)
        check_vector(&t, i);
    assert_int_equal(dns_oblivious_choose(str_of(&t.configs), &key, NULL), 0);
    assert_int_equal(dns_oblivious_seal(&key, (struct str){"q", 1}, &sealed, &opener, NULL), 0);
    assert_memory_equal(sealed.data + 3, id.data, id.len);
    target_open(&t, &sealed);
    dns_oblivious_forget(&opener);
    buf_free(&secret);
    buf_free(&sealed);
    buf_free(&id);
    target_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_configs),         cmocka_unit_test(test_round),
        cmocka_unit_test(test_lengths),         cmocka_unit_test(test_weak_key),
        cmocka_unit_test(test_hostile_answers), cmocka_unit_test(test_vectors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
