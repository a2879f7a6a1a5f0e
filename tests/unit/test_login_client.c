/* SPDX-License-Identifier: Apache-2.0 */
/* login/client.h and login/keep.h: what a client makes of a door's answers, also of those that no good door
 * gives, and what it keeps. */
#include "pki.h"

#include <sys/stat.h>

#include "cert/fresh_key.h"
#include "cert/key.h"
#include "cert/pem.h"
#include "login/client.h"
#include "login/form.h"
#include "login/keep.h"
#include "login/login.h"
#include "login/seal.h"

#define STR(text) ((struct str){text, strlen(text)})

/* ---- what is kept ---- */

/* A certificate for that key and name, by `issuer`. */
static void certify(struct ca *issuer, EVP_PKEY *key, const char *name, struct buf *ret)
{
    struct ca *model = pki_issue(issuer, CA_PROFILE_CLIENT, (struct ca_request){.name = name});
    X509 *x = X509_dup(ca_x509(model));
    BIO *bio = BIO_new(BIO_s_mem());
    const uint8_t *p;
    size_t len;
    assert_true(X509_set_pubkey(x, key) && X509_sign(x, ca_private_key(issuer), EVP_sha256()) > 0 &&
                PEM_write_bio_X509(bio, x) && BIO_mem_contents(bio, &p, &len) && buf_append(ret, p, len));
    BIO_free(bio);
    X509_free(x);
    ca_free(model);
}

static void test_kept(void **state)
{
    struct err err = {""};
    struct buf csr = {0}, pem = {0}, text = {0};
    struct ca *root = pki_root("Root");
    EVP_PKEY *key = fresh_key_make(&csr, &err);
    struct keep k = {.door = "door.example.com:443", .ca = "system", .renewable_until = 1234567}, back;
    const char *path = pki_path("login.pem");
    struct stat st;
    (void)state;
    certify(root, key, "alice", &pem);
    umask(0);
    assert_int_equal(keep_read(path, &back, &err), 0);
    assert_int_equal(keep_write(path, &k, (struct str){(char *)pem.data, pem.len}, key, &err), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(keep_read(path, &back, &err), 1);
    assert_string_equal(back.door, "door.example.com:443");
    assert_string_equal(back.name, "");
    assert_string_equal(back.ca, "system");
    assert_string_equal(back.user, "alice");
    assert_int_equal(back.renewable_until, 1234567);
    assert_true(back.until > time(NULL));
    /* As all others read it. */
    EVP_PKEY *read = key_load(path, &err);
    assert_non_null(read);
    assert_int_equal(EVP_PKEY_cmp(read, key), 1);
    EVP_PKEY_free(read);
    assert_true(keep_key_text(key, &text));
    assert_int_equal(text.len, strlen("SHA256:") + 44);
    buf_free(&csr);
    buf_free(&pem);
    buf_free(&text);
    fresh_key_free(key);
    ca_free(root);
}

static void test_not_kept(void **state)
{
    struct err err = {""};
    struct buf csr = {0}, pem = {0}, before = {0}, after = {0};
    struct ca *root = pki_root("Root");
    EVP_PKEY *key = fresh_key_make(&csr, &err), *other = fresh_key_make(&csr, &err);
    struct keep k = {.door = "a"}, bad = {.door = "a\nb"};
    const char *path = pki_path("kept.pem");
    (void)state;
    certify(root, key, "alice", &pem);
    const struct str chain = {(char *)pem.data, pem.len};
    assert_int_equal(keep_write(path, &k, chain, key, &err), 0);
    assert_int_equal(file_read(path, 65536, &before, NULL, &err), 0);
    assert_int_equal(keep_write(path, &k, chain, other, &err), -1);
    assert_string_equal(err.text, "the certificate that the door gave is for another key than ours");
    assert_int_equal(keep_write(path, &k, STR("nothing"), key, &err), -1);
    assert_int_equal(keep_write(path, &bad, chain, key, &err), -1);
    assert_int_equal(file_read(path, 65536, &after, NULL, &err), 0);
    assert_int_equal(before.len, after.len);
    assert_memory_equal(before.data, after.data, before.len);
    assert_int_equal(file_write_atomic(path, 0600, "rubbish", 7, &err), 0);
    assert_int_equal(keep_read(path, &k, &err), -1);
    buf_free(&csr);
    buf_free(&pem);
    buf_free(&before);
    buf_free(&after);
    fresh_key_free(key);
    fresh_key_free(other);
    ca_free(root);
}

/* The key that is asked for stays the same until it has its certificate, and is nobody else's to read. */
static void test_key_that_follows(void **state)
{
    struct err err = {""};
    struct buf csr = {0}, again = {0}, pem = {0};
    struct ca *root = pki_root("Root");
    char path[PATH_MAX], next[PATH_MAX + 8];
    struct stat st;
    struct keep k = {.door = "door.example.com:443", .ca = "system"};
    (void)state;
    snprintf(path, sizeof(path), "%s", pki_path("follows.pem"));
    snprintf(next, sizeof(next), "%s.next", path);
    EVP_PKEY *key = keep_key_next(path, &csr, &err), *same = keep_key_next(path, &again, &err);
    assert_true(key != NULL && same != NULL && EVP_PKEY_cmp(key, same) == 1);
    assert_int_equal(stat(next, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    certify(root, key, "alice", &pem);
    assert_int_equal(keep_write(path, &k, (struct str){(char *)pem.data, pem.len}, key, &err), 0);
    assert_int_equal(stat(next, &st), -1);
    EVP_PKEY *other = keep_key_next(path, &again, &err);
    assert_int_equal(EVP_PKEY_cmp(key, other), 0);
    pki_write("follows.pem.next", "no key", 6); /* as good as none */
    EVP_PKEY *fresh = keep_key_next(path, &again, &err);
    assert_true(fresh != NULL && EVP_PKEY_cmp(other, fresh) == 0);
    assert_int_equal(keep_remove(path, &err), 0);
    assert_int_equal(stat(path, &st), -1);
    assert_int_equal(stat(next, &st), -1);
    assert_int_equal(keep_remove(path, &err), 0); /* nothing is there */
    EVP_PKEY *const keys[] = {key, same, other, fresh};
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        fresh_key_free(keys[i]);
    buf_free(&csr);
    buf_free(&again);
    buf_free(&pem);
    ca_free(root);
}

/* A door cannot put lines of its own into the file, nor a key. */
static void test_only_certificates_are_kept(void **state)
{
    static const char lines[] = "ca: /tmp/theirs.pem\ndoor: evil.example.com:443\nrenewable-until: 99\n";
    struct err err = {""};
    struct buf csr = {0}, pem = {0}, junk = {0}, with_key = {0};
    struct ca *root = pki_root("Root");
    EVP_PKEY *key = fresh_key_make(&csr, &err), *other = fresh_key_make(&csr, &err);
    struct keep k = {.door = "door.example.com:443", .ca = "system", .since = 17, .renewable_until = 5}, back;
    const char *path = pki_path("only.pem");
    const uint8_t *p = NULL;
    size_t len = 0;
    BIO *bio = BIO_new(BIO_s_mem());
    (void)state;
    certify(root, key, "alice", &pem);
    assert_true(buf_append(&junk, lines, strlen(lines)) && buf_append(&junk, pem.data, pem.len) &&
                buf_append(&junk, lines, strlen(lines)));
    assert_int_equal(keep_write(path, &k, (struct str){(char *)junk.data, junk.len}, key, &err), 0);
    assert_int_equal(keep_read(path, &back, &err), 1);
    assert_string_equal(back.door, "door.example.com:443");
    assert_string_equal(back.ca, "system");
    assert_int_equal(back.renewable_until, 5);
    assert_int_equal(back.since, 17);
    assert_true(PEM_write_bio_PKCS8PrivateKey(bio, other, NULL, NULL, 0, NULL, NULL) == 1 &&
                BIO_mem_contents(bio, &p, &len) == 1);
    assert_true(buf_append(&with_key, pem.data, pem.len) && buf_append(&with_key, p, len));
    assert_int_equal(keep_write(path, &k, (struct str){(char *)with_key.data, with_key.len}, key, &err), -1);
    assert_non_null(strstr(err.text, "not certificates alone"));
    BIO_free(bio);
    buf_free(&csr);
    buf_free(&pem);
    buf_free(&junk);
    buf_free(&with_key);
    fresh_key_free(key);
    fresh_key_free(other);
    ca_free(root);
}

static void test_fingerprints(void **state)
{
    static const char *const bad[] = {"", "00", ":", "zz", "sha256", NULL};
    struct err err = {""};
    struct buf csr = {0}, pem = {0}, out = {0};
    struct ca *root = pki_root("Root");
    EVP_PKEY *key = fresh_key_make(&csr, &err);
    char plain[65] = "", colons[97] = "", wrong[65];
    uint8_t digest[32];
    unsigned len = 0;
    (void)state;
    certify(root, key, "alice", &pem);
    BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.len);
    X509 *x = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    assert_true(X509_digest(x, EVP_sha256(), digest, &len) && len == 32);
    for (size_t i = 0; i < 32; i++) {
        snprintf(plain + 2 * i, 3, "%02x", digest[i]);
        snprintf(colons + 3 * i, 4, "%02X%s", digest[i], i < 31 ? ":" : "");
    }
    memcpy(wrong, plain, sizeof(wrong));
    wrong[63] = wrong[63] == '0' ? '1' : '0';
    const struct str chain = {(char *)pem.data, pem.len};
    assert_int_equal(keep_check_fingerprint(chain, plain, &out, &err), 0);
    assert_memory_equal(out.data, pem.data, pem.len);
    assert_int_equal(keep_check_fingerprint(chain, colons, &out, &err), 0);
    /* The one that is meant, wherever it stands, and that one alone. */
    struct buf both = {0};
    assert_true(ca_chain_pem(root, &both) && buf_append(&both, pem.data, pem.len));
    buf_consume(&out, out.len);
    assert_int_equal(keep_check_fingerprint((struct str){(char *)both.data, both.len}, plain, &out, &err), 0);
    assert_int_equal(out.len, pem.len);
    assert_memory_equal(out.data, pem.data, pem.len);
    buf_free(&both);
    assert_int_equal(keep_check_fingerprint(chain, wrong, &out, &err), -1);
    assert_int_equal(keep_check_fingerprint(STR("no certificate"), plain, &out, &err), -1);
    for (size_t i = 0; bad[i] != NULL; i++)
        assert_int_equal(keep_check_fingerprint(chain, bad[i], &out, &err), -1);
    BIO_free(bio);
    X509_free(x);
    buf_free(&csr);
    buf_free(&pem);
    buf_free(&out);
    fresh_key_free(key);
    ca_free(root);
}

/* ---- answers ---- */

/* An answer with these, each of so many zero bytes. */
static json_t *answer(const char *first, size_t first_len, const char *second, size_t second_len)
{
    static const uint8_t zeros[1024];
    json_t *m = json_object();
    form_put_bytes(m, first, zeros, first_len);
    form_put_bytes(m, second, zeros, second_len);
    return m;
}

static void test_bad_answers(void **state)
{
    static const struct {
        const char *key;
        size_t len, token;
    } rows[] = {{"ke2", OPAQUE_KE2, SEAL_BYTES},
                {"ke2", OPAQUE_KE2 - 1, SEAL_BYTES},
                {"ke2", OPAQUE_KE2 + 1, SEAL_BYTES},
                {"ke2", 0, SEAL_BYTES},
                {"ke2", OPAQUE_KE2, 0},
                {"ke3", OPAQUE_KE2, SEAL_BYTES},
                {"ke2", OPAQUE_KE2, SEAL_BYTES + 1}};
    struct login_client c;
    struct err err = {""};
    (void)state;
    assert_true(login_client_begin(&c, "alice", STR("secret")));
    c.stretch = (struct opaque_stretch){0};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        json_t *m = login_client_start(&c, &err),
               *said = answer(rows[i].key, rows[i].len, "token", rows[i].token);
        assert_non_null(m);
        assert_null(login_client_prove(&c, said, STR("csr"), &err));
        assert_int_equal(login_client_check(&c, said, &err), -1);
        json_decref(m);
        json_decref(said);
    }
    for (size_t len = 0; len < 80; len++) {
        json_t *m = login_client_register(&c, "code", &err), *said = answer("response", len, "more", 1);
        assert_non_null(m);
        assert_null(login_client_record(&c, "code", said, &err));
        json_decref(m);
        json_decref(said);
    }
    login_client_wipe(&c);
    assert_true(login_client_begin(&c, "alice", STR("")));
    assert_null(login_client_start(&c, &err));
    assert_null(login_client_register(&c, "code", &err));
}

/* A certificate that somebody else put into the answer. */
static void test_answer_is_bound(void **state)
{
    struct login_client c;
    struct err err = {""};
    uint8_t mac[OPAQUE_HASH];
    const struct str pem = STR("PEM");
    (void)state;
    assert_true(login_client_begin(&c, "alice", STR("secret")));
    memset(c.secrets.session_key, 5, OPAQUE_HASH);
    opaque_bind(c.secrets.session_key, LOGIN_MAC_CERTIFICATE, &pem, 1, mac);
    json_t *m = json_object();
    form_put_text(m, "certificate", "PEM", 3);
    form_put_bytes(m, "mac", mac, sizeof(mac));
    assert_int_equal(login_client_check(&c, m, &err), 0);
    form_put_text(m, "certificate", "MEP", 3);
    assert_int_equal(login_client_check(&c, m, &err), -1);
    json_decref(m);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kept),
        cmocka_unit_test(test_not_kept),
        cmocka_unit_test(test_key_that_follows),
        cmocka_unit_test(test_only_certificates_are_kept),
        cmocka_unit_test(test_fingerprints),
        cmocka_unit_test(test_bad_answers),
        cmocka_unit_test(test_answer_is_bound),
    };
    return cmocka_run_group_tests(tests, NULL, pki_remove);
}
