/* SPDX-License-Identifier: Apache-2.0 */
/* A lasting CA: its folder, what it issues (judged by openssl), revocation, the log, and the clock moved by
 * months. */
#include <sys/stat.h>
#include <sys/wait.h>

#include "authority.h"

#include "ca/csr.h"
#include "ca/journal.h"
#include "cert/trust.h"
#include "state/state.h"

static int64_t now;

/* ---- the folder ---- */

static int unlock(struct authority *a, struct str passphrase, struct err *err)
{
    return authority_unlock(a, &(struct key_secrets){.passphrase = passphrase}, err);
}

static void test_folder(void **unused)
{
    (void)unused;
    static const char *const files[] = {"root.key", "intermediate.key", "ssh_user_ca.key", "ssh_host_ca.key",
                                        "ca.db"};
    struct stat st;
    struct err err = {""};
    assert_int_equal(mkdir(pki_path("folder"), 0755), 0); /* an empty one may be there */
    authority_make("folder", (struct authority_plan){.passphrase = TEXT("another long one")}, now);
    assert_int_equal(stat(pki_path("folder"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        char path[64];
        snprintf(path, sizeof(path), "folder/%s", files[i]);
        assert_int_equal(stat(pki_path(path), &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
    }
    expect_in(pki_openssl("verify -x509_strict -CAfile folder/root.pem folder/intermediate.pem"), "OK");
    const char *text = pki_openssl("x509 -in folder/intermediate.pem -noout -text");
    expect_in(text, "CA:TRUE, pathlen:0");
    expect_in(text, "Digital Signature, Certificate Sign, CRL Sign");
    expect_in(text, "Subject: CN = Example CA");
    expect_in(pki_openssl("asn1parse -in folder/root.key"), "aes-256-cbc");
    expect_in(pki_openssl("pkey -in folder/root.key -passin 'pass:far too long to guess' -noout -check"),
              "valid");
    assert_null(pki_openssl("pkey -in folder/root.key -passin 'pass:guessed' -noout"));
    expect_in(pki_openssl("pkey -in folder/intermediate.key -passin 'pass:another long one' -noout -check"),
              "valid");

    struct authority *a = authority_open(pki_path("folder"), &err);
    assert_non_null(a);
    assert_true(authority_is_locked(a));
    const char *dns = "a.example.com";
    const struct ca_request request = {.sans = &dns, .sans_len = 1, .now = now};
    assert_null(authority_issue(a, CA_PROFILE_SERVER, &request, "test", &err));
    expect_in(err.text, "not been unlocked");
    assert_int_equal(unlock(a, TEXT(""), &err), -1);
    expect_in(err.text, "intermediate.key: the key is encrypted, and no passphrase was given");
    assert_int_equal(unlock(a, TEXT("another wrong one"), &err), -1);
    expect_in(err.text, "intermediate.key: not the passphrase");
    assert_null(strstr(err.text, "wrong one"));
    assert_int_equal(unlock(a, TEXT("another long one"), &err), 0);
    /* The root's key can be taken away. */
    assert_int_equal(unlink(pki_path("folder/root.key")), 0);
    authority_server(a, dns, now, 0, NULL);
    authority_close(a);
    assert_null(authority_open(pki_path("nowhere"), &err));
    expect_in(err.text, "no CA in ");
}

static void test_plans(void **unused)
{
    (void)unused;
    static const char *const constraint[] = {
        "dns:*.example.com", "example.com", "ip:192.0.2.1/24", "ip:192.0.2.0/33", "email:",
        "uri:http://x/",     "dns:.."};
    static const char long_name[] = "a name that is so long that nothing fits behind it";
    struct err err = {""};
    struct authority_plan plan = {.name = "Plans", .root_passphrase = ROOT_PASSPHRASE};
    for (size_t i = 0; i < ARRAY_LEN(constraint); i++) {
        plan.permitted = &constraint[i];
        plan.permitted_len = 1;
        assert_int_equal(authority_init(pki_path("plans"), &plan, now, &err), -1);
        expect_in(err.text, constraint[i]);
        assert_int_equal(access(pki_path("plans"), F_OK), -1);
    }
    plan.permitted_len = 0;
    const struct {
        struct authority_plan plan;
        const char *error;
    } bad[] = {
        {{.name = "X", .root_passphrase = TEXT("short")},
         "the passphrase for root.key has 5 bytes, expected 8"},
        {{.name = "X", .root_passphrase = ROOT_PASSPHRASE, .passphrase = TEXT("1")},
         "for intermediate.key has 1"},
        {{.name = "", .root_passphrase = ROOT_PASSPHRASE}, "needs a name"},
        {{.name = "a\nb", .root_passphrase = ROOT_PASSPHRASE}, "needs a name"},
        {{.name = long_name, .root_passphrase = ROOT_PASSPHRASE}, "needs a name"},
        {{.name = "X", .root_passphrase = ROOT_PASSPHRASE, .url = "ftp://x"},
         "'ftp://x': expected http://HOST"},
        {{.name = "X", .root_passphrase = ROOT_PASSPHRASE, .url = "http://x/"}, "'http://x/': expected"},
        {{.name = "X", .root_passphrase = ROOT_PASSPHRASE, .root_lifetime = -1}, "lifetime"},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(authority_init(pki_path("plans"), &bad[i].plan, now, &err), -1);
        expect_in(err.text, bad[i].error);
    }
    assert_int_equal(mkdir(pki_path("full"), 0755), 0);
    pki_write("full/precious", "x", 1);
    assert_int_equal(authority_init(pki_path("full"), &plan, now, &err), -1);
    expect_in(err.text, "not empty");
    assert_int_equal(access(pki_path("full/precious"), F_OK), 0);
    char command[256];
    snprintf(command, sizeof(command), "ls %s | grep -q -e 'plans\\.' -e 'full\\.'", pki_dir());
    assert_int_not_equal(system(command), 0); /* nothing half-made stays */
}

/* ---- issuing ---- */

static void test_profiles(void **unused)
{
    (void)unused;
    static const char *const sans[] = {"www.example.com", "192.0.2.7", "spiffe://example.org/ops"};
    static const char *const groups[] = {"ops"};
    struct err err = {""};
    authority_make("profiles", (struct authority_plan){.url = "http://ca.example.com/x"}, now);
    struct authority *a = authority_opened("profiles", "");
    for (enum ca_profile p = 0; p < CA_PROFILES; p++) {
        const struct ca_request request = {.name = "Somebody",
                                           .sans = sans,
                                           .sans_len = 3,
                                           .groups = groups,
                                           .groups_len = 1,
                                           .must_staple = p == CA_PROFILE_SERVER,
                                           .now = now};
        struct ca *made = authority_issue(a, p, &request, "test", &err);
        if (p == CA_PROFILE_INTERMEDIATE) {
            assert_null(made);
            continue;
        }
        pki_save(made, "leaf");
        ca_free(made);
        const char *text = pki_openssl("x509 -in leaf.pem -noout -text");
        expect_in(text, "CA:FALSE");
        expect_in(text, "X509v3 Key Usage: critical\n                Digital Signature\n");
        expect_in(text, "OCSP - URI:http://ca.example.com/x/ocsp");
        expect_in(text, "CA Issuers - URI:http://ca.example.com/x/intermediate.der");
        expect_in(text, "URI:http://ca.example.com/x/crl.der");
        assert_int_equal(strstr(text, "TLS Web Server") != NULL, p != CA_PROFILE_CLIENT);
        assert_int_equal(strstr(text, "TLS Web Client") != NULL, p != CA_PROFILE_SERVER);
        assert_int_equal(strstr(text, "status_request") != NULL, p == CA_PROFILE_SERVER);
        expect_in(pki_openssl("verify -x509_strict -CAfile profiles/root.pem -untrusted leaf.pem leaf.pem"),
                  "OK");
    }
    /* Another process changes where the CRL is. */
    struct authority *b = authority_opened("profiles", "");
    assert_int_equal(authority_set_url(b, "", "test", now, &err), 0);
    authority_close(b);
    authority_server(a, "plain.example.com", now, 0, "leaf");
    assert_null(strstr(pki_openssl("x509 -in leaf.pem -noout -text"), "URI:"));
    authority_close(a);
}

static void test_lifetimes(void **unused)
{
    (void)unused;
    struct err err = {""};
    const char *dns = "a.example.com";
    authority_make("lifetimes", (struct authority_plan){.intermediate_lifetime = 200 * DAY}, now);
    struct authority *a = authority_opened("lifetimes", "");
    struct ca_request request = {.sans = &dns, .sans_len = 1, .now = now, .lifetime = 399 * DAY};
    assert_null(authority_issue(a, CA_PROFILE_SERVER, &request, "test", &err));
    expect_in(err.text, "a lifetime of 399 days, expected 398 at most in the profile server");
    request.lifetime = -5;
    assert_null(authority_issue(a, CA_PROFILE_SERVER, &request, "test", &err));
    /* 150 days on, 90 are not left; 250 days on, nothing is. */
    request.lifetime = 0;
    request.now = now + 150 * DAY;
    struct ca *made = authority_issue(a, CA_PROFILE_SERVER, &request, "test", &err);
    int64_t end;
    assert_true(ASN1_TIME_to_posix(X509_get0_notAfter(ca_x509(made)), &end));
    assert_true(end == now + 200 * DAY);
    ca_free(made);
    request.now = now + 250 * DAY;
    assert_null(authority_issue(a, CA_PROFILE_SERVER, &request, "test", &err));
    expect_in(err.text, "issuer has expired");
    authority_close(a);
}

static struct evp_pkey_st *weak_key(int type, int bits)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_id(type, NULL);
    EVP_PKEY *key = NULL;
    assert_int_equal(EVP_PKEY_keygen_init(ctx), 1);
    if (type == EVP_PKEY_RSA)
        assert_int_equal(EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, bits), 1);
    assert_int_equal(EVP_PKEY_keygen(ctx, &key), 1);
    EVP_PKEY_CTX_free(ctx);
    return key;
}

static void test_certify(void **unused)
{
    (void)unused;
    struct err err = {""};
    struct ca_serial serial;
    struct buf pem = {0};
    struct csr csr;
    const char *dns = "b.example.com";
    const struct ca_request request = {.sans = &dns, .sans_len = 1, .now = now, .lifetime = 3600};
    authority_make("certify", (struct authority_plan){.key = KEY_ED25519}, now);
    struct authority *a = authority_opened("certify", "");
    assert_non_null(pki_openssl(
        "req -new -newkey rsa:2048 -nodes -keyout csr.key -subj /CN=evil.example.com -out csr.pem"));
    struct buf file = {0};
    assert_int_equal(file_read(pki_path("csr.pem"), 65536, &file, NULL, &err), 0);
    assert_int_equal(csr_read_any(&file, &csr, &err), 0);
    assert_string_equal(csr.name, "evil.example.com");
    assert_int_equal(
        authority_certify(a, csr.key, CA_PROFILE_SERVER, &request, "acme:7", &serial, &pem, &err), 0);
    pki_write("certified.pem", pem.data, pem.len);
    expect_in(pki_openssl("verify -CAfile certify/root.pem -untrusted certified.pem certified.pem"), "OK");
    const char *text = pki_openssl("x509 -in certified.pem -noout -text");
    expect_in(text, "DNS:b.example.com");
    assert_null(strstr(text, "evil"));
    expect_in(pki_openssl(
                  "x509 -in certified.pem -noout -pubkey -out a.pub && openssl pkey -in csr.key -pubout -out "
                  "b.pub && cmp a.pub b.pub && echo same"),
              "same");
    /* By a name of it that it was revoked can be asked. */
    assert_int_equal(authority_revoked_name(a, "b.example.com", now, &err), 0);
    assert_int_equal(authority_revoke(a, &serial, CA_REASON_UNSPECIFIED, "test", now, &err),
                     AUTHORITY_REVOKED);
    assert_int_equal(authority_revoked_name(a, "b.example.com", now, &err), 1);
    assert_int_equal(authority_revoked_name(a, "b.example.com", now + 3600, &err), 0);
    assert_int_equal(authority_revoked_name(a, "example.com", now, &err), 0);
    /* What is too weak is not certified, whoever asks. */
    EVP_PKEY *weak = weak_key(EVP_PKEY_RSA, 1024);
    size_t before = pem.len;
    assert_int_equal(authority_certify(a, weak, CA_PROFILE_SERVER, &request, "acme:7", &serial, &pem, &err),
                     -1);
    expect_in(err.text, "an RSA key of 1024 bits, expected 2048");
    assert_int_equal(pem.len, before);
    EVP_PKEY_free(weak);
    char who[300];
    memset(who, 'w', sizeof(who));
    who[299] = '\0';
    assert_int_equal(authority_certify(a, csr.key, CA_PROFILE_SERVER, &request, who, &serial, &pem, &err),
                     -1);
    csr_free(&csr);
    buf_free(&file);
    buf_free(&pem);
    authority_close(a);
}

/* ML-DSA, which OpenSSL 3.0 does not know: judged by our own verification. */
static void test_mldsa(void **unused)
{
    (void)unused;
    struct err err = {""};
    const char *dns = "pq.example.com";
    const char *anchor = pki_path("mldsa/root.pem");
    authority_make("mldsa", (struct authority_plan){.key = KEY_MLDSA65}, now);
    struct authority *a = authority_opened("mldsa", "");
    const struct ca_request request = {.sans = &dns, .sans_len = 1, .now = now, .key = KEY_MLDSA44};
    struct ca *made = authority_issue(a, CA_PROFILE_SERVER, &request, "test", &err);
    assert_non_null(made);
    struct trust *trust = trust_load(&(struct trust_files){.name = "pq", .ca = &anchor, .ca_len = 1}, &err);
    assert_non_null(trust);
    STACK_OF(CRYPTO_BUFFER) *stack = pki_stack(ca_x509(made), authority_intermediate(a), NULL);
    if (trust_verify(trust, stack, TRUST_SERVER, dns, now, NULL, &err) < 0)
        fail_msg("%s", err.text);
    pki_stack_free(stack);
    struct buf der = {0};
    assert_int_equal(authority_crl(a, 0, now, DAY, &der, &err), 0);
    const uint8_t *p = der.data;
    X509_CRL *crl = d2i_X509_CRL(NULL, &p, (long)der.len);
    EVP_PKEY *key = X509_get_pubkey(authority_intermediate(a));
    assert_int_equal(X509_CRL_verify(crl, key), 1);
    EVP_PKEY_free(key);
    X509_CRL_free(crl);
    buf_free(&der);
    trust_unref(trust);
    ca_free(made);
    authority_close(a);
}

/* ---- name constraints ---- */

static void test_constraints(void **unused)
{
    (void)unused;
    static const char *const permitted[] = {"dns:example.com", "email:example.com", "uri:.example.com"};
    static const struct {
        const char *san;
        bool good;
    } names[] = {
        {"www.example.com", true},        {"example.com", true},           {"example.com.example.net", false},
        {"notexample.com", false},        {"*.example.com", true},         {"192.0.2.1", false},
        {"2001:db8::1", false},           {"a@example.com", true},         {"a@sub.example.com", false},
        {"https://a.example.com/", true}, {"https://example.org/", false},
    };
    struct err err = {""};
    authority_make("limits", (struct authority_plan){.permitted = permitted, .permitted_len = 3}, now);
    expect_in(pki_openssl("x509 -in limits/intermediate.pem -noout -text"), "Name Constraints: critical");
    struct authority *a = authority_opened("limits", "");
    struct ca *issuer =
        ca_load(pki_path("limits/intermediate.pem"), pki_path("limits/intermediate.key"), &err);
    assert_non_null(issuer);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const struct ca_request request = {.name = "N", .sans = &names[i].san, .sans_len = 1, .now = now};
        struct ca *made = authority_issue(a, CA_PROFILE_AGENT, &request, "test", &err);
        if ((made != NULL) != names[i].good)
            fail_msg("%s: %s", names[i].san, made != NULL ? "issued" : err.text);
        if (made == NULL)
            expect_in(err.text, "name constraints");
        ca_free(made);
    }
    /* One that was signed all the same is refused by others. */
    static const char *const forged[] = {"DNS:example.org", "IP:192.0.2.1", "email:a@example.org"};
    for (size_t i = 0; i < ARRAY_LEN(forged); i++) {
        X509 *cert = pki_blank(issuer, ca_private_key(issuer));
        pki_extension(cert, NID_subject_alt_name, forged[i]);
        pki_sign(cert, issuer);
        BIO *bio = BIO_new_file(pki_path("forged.pem"), "w");
        assert_true(PEM_write_bio_X509(bio, cert));
        BIO_free(bio);
        X509_free(cert);
        const char *text = pki_openssl(
            "verify -CAfile limits/root.pem -untrusted limits/intermediate.pem forged.pem || true");
        assert_true(strstr(text, "permitted subtree violation") != NULL ||
                    strstr(text, "excluded subtree violation") != NULL);
    }
    ca_free(issuer);
    authority_close(a);
}

/* ---- revocation ---- */

static void save_crl(struct authority *a, int64_t at, const char *name)
{
    struct err err = {""};
    struct buf der = {0};
    if (authority_crl(a, 0, at, 7 * DAY, &der, &err) < 0)
        fail_msg("%s", err.text);
    pki_write(name, der.data, der.len);
    buf_free(&der);
}

static void test_crl(void **unused)
{
    (void)unused;
    struct err err = {""};
    struct ca_serial unknown = {.bytes = {1}, .len = 1};
    char text[CA_SERIAL_TEXT], command[256];
    authority_make("crl", (struct authority_plan){.name = "Crl"}, now);
    struct authority *a = authority_opened("crl", "");
    struct ca_serial good = authority_server(a, "good.example.com", now, 30 * DAY, "good"),
                     bad = authority_server(a, "bad.example.com", now, 30 * DAY, "bad");
    assert_int_equal(authority_revoke(a, &bad, CA_REASON_KEY_COMPROMISE, "test", now, &err),
                     AUTHORITY_REVOKED);
    assert_int_equal(authority_revoke(a, &bad, CA_REASON_SUPERSEDED, "test", now, &err),
                     AUTHORITY_WAS_REVOKED);
    assert_int_equal(authority_revoke(a, &unknown, CA_REASON_SUPERSEDED, "test", now, &err),
                     AUTHORITY_UNKNOWN);
    save_crl(a, now, "one.crl");
    save_crl(a, now, "two.crl");
    expect_in(pki_openssl(
                  "crl -inform DER -in one.crl -out one.pem && openssl crl -in one.pem -noout -text -CAfile "
                  "crl/intermediate.pem"),
              "verify OK");
    const char *list = pki_openssl("crl -inform DER -in one.crl -noout -text");
    expect_in(list, ca_serial_text(&bad, text));
    expect_in(list, "Key Compromise");
    assert_null(strstr(list, ca_serial_text(&good, text)));
    snprintf(
        command, sizeof(command),
        "verify -crl_check -CAfile crl/root.pem -untrusted crl/intermediate.pem -CRLfile one.pem good.pem");
    expect_in(pki_openssl(command), "good.pem: OK");
    snprintf(command, sizeof(command),
             "verify -crl_check -CAfile crl/root.pem -untrusted crl/intermediate.pem -CRLfile one.pem "
             "bad.pem || true");
    expect_in(pki_openssl(command), "certificate revoked");
    expect_in(pki_openssl("crl -inform DER -in one.crl -noout -crlnumber"), "crlNumber=0x06");
    expect_in(pki_openssl("crl -inform DER -in two.crl -noout -crlnumber"), "crlNumber=0x07");
    /* Expired ones stay for a week, then they are left out. */
    save_crl(a, now + 36 * DAY, "three.crl");
    expect_in(pki_openssl("crl -inform DER -in three.crl -noout -text"), ca_serial_text(&bad, text));
    save_crl(a, now + 38 * DAY, "four.crl");
    expect_in(pki_openssl("crl -inform DER -in four.crl -noout -text"), "No Revoked Certificates");
    authority_close(a);
}

static int count_entry(void *arg, const struct authority_entry *entry, struct err *err)
{
    size_t *count = arg;
    (void)err;
    ++*count;
    assert_true(str_is(entry->profile, "server"));
    assert_true(str_is(entry->who, "test"));
    assert_true(entry->content.len > 100);
    return 0;
}

static int stop_there(void *arg, const struct authority_entry *entry, struct err *err)
{
    (void)arg;
    (void)entry;
    return err_set(err, "stopped");
}

static void test_list(void **unused)
{
    (void)unused;
    struct err err = {""};
    size_t count = 0;
    struct ca_serial none = {.len = 1};
    authority_make("list", (struct authority_plan){.name = "List"}, now);
    struct authority *a = authority_opened("list", "");
    struct ca_serial first = authority_server(a, "one.example.com", now, 10 * DAY, NULL);
    authority_server(a, "two.example.com", now, 30 * DAY, NULL);
    assert_int_equal(authority_each(a, 0, count_entry, &count, &err), 0);
    assert_int_equal(count, 2);
    assert_int_equal(authority_each(a, now + 20 * DAY, count_entry, &count, &err), 0);
    assert_int_equal(count, 3);
    assert_int_equal(authority_find(a, &first, count_entry, &count, &err), 1);
    assert_int_equal(count, 4);
    assert_int_equal(authority_find(a, &none, count_entry, &count, &err), 0);
    assert_int_equal(authority_each(a, 0, stop_there, NULL, &err), -1);
    assert_string_equal(err.text, "stopped");
    assert_int_equal(authority_find(a, &first, stop_there, NULL, &err), -1);
    authority_close(a);
}

static void test_words(void **unused)
{
    (void)unused;
    static const char *const bad[] = {
        "", "1", "123", "0x12", "12:", "1:2", "12::34", "zz", "000102030405060708090a0b0c0d0e0f1011121314"};
    struct ca_serial serial;
    enum ca_reason reason;
    char text[CA_SERIAL_TEXT];
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(ca_serial_parse(bad[i], &serial));
    assert_true(ca_serial_parse("0a:fF10", &serial));
    assert_string_equal(ca_serial_text(&serial, text), "0AFF10");
    assert_true(ca_reason_parse("privilegeWithdrawn", &reason));
    assert_int_equal(reason, CA_REASON_PRIVILEGE_WITHDRAWN);
    assert_false(ca_reason_parse("certificateHold", &reason));
    assert_null(ca_reason_name(6));
}

/* ---- the log ---- */

static void sql(struct state *db, const char *text)
{
    struct err err = {""};
    struct state_query *q = state_query(db, text, &err);
    if (q == NULL || state_run(q, &err) < 0)
        fail_msg("%s: %s", text, err.text);
}

static void test_log_only_grows(void **unused)
{
    (void)unused;
    static const char *const acts[] = {
        "UPDATE log SET who = 'somebody else' WHERE row = 1",
        "DELETE FROM log WHERE row = 3",
        "INSERT INTO log VALUES (9, 0, 'issue', '', x'', '', x'', x'')",
        "INSERT INTO log VALUES (2, 0, 'issue', '', x'', '', x'', x'')",
        "REPLACE INTO log VALUES (1, 0, 'issue', '', x'', '', x'', x'')",
    };
    struct err err = {""};
    authority_make("grows", (struct authority_plan){.name = "Grows"}, now);
    struct authority *a = authority_opened("grows", "");
    authority_server(a, "one.example.com", now, 0, NULL);
    authority_close(a);
    struct state *db = journal_open(pki_path("grows/ca.db"), &err);
    for (size_t i = 0; i < ARRAY_LEN(acts); i++) {
        struct state_query *q = state_query(db, acts[i], &err);
        assert_non_null(q);
        assert_int_equal(state_run(q, &err), -1);
        expect_in(err.text, "the log ");
    }
    state_close(db);
}

/* Whoever can write to the database drops the triggers first. The log has rows 1, 2: init; 3, 4: issue; 5:
 * revoke; 6: issue. */
static void test_audit(void **unused)
{
    (void)unused;
    static const struct {
        const char *act;
        const char *error;
    } forgeries[] = {
        {"UPDATE log SET who = 'somebody else' WHERE row = 3", "breaks at row 3: its hash"},
        {"UPDATE log SET content = x'00' WHERE row = 4", "breaks at row 4: its hash"},
        {"UPDATE log SET at = at + 1 WHERE row = 1", "breaks at row 1: its hash"},
        {"UPDATE log SET detail = 'keyCompromise' WHERE row = 5", "breaks at row 5: its hash"},
        {"UPDATE log SET hash = x'00' WHERE row = 2", "breaks at row 2: its hash"},
        {"UPDATE log SET row = 7 WHERE row = 6", "breaks at row 6: it is missing, row 7 follows"},
        {"DELETE FROM log WHERE row = 5", "breaks at row 5: it is missing, row 6 follows"},
        {"DELETE FROM log WHERE row = 6", "ends at row 5, but once had row 6"},
        {"DELETE FROM log", "ends at row 0, but once had row 6"},
        {"INSERT INTO log SELECT 7, at, act, who, serial, detail, content, hash FROM log WHERE row = 6",
         "breaks at row 7: its hash"},
        {"UPDATE certificate SET revoked = 0, reason = 0, revoked_row = NULL",
         "at row 5: what was revoked there does not count as revoked"},
        {"UPDATE certificate SET revoked = 5 WHERE row = 3", "at row 3: it counts as revoked"},
        {"UPDATE certificate SET reason = 1 WHERE row = 4", "at row 5: what was revoked there"},
        {"UPDATE certificate SET names = 'other.example.com' WHERE row = 3",
         "at row 3: what was issued there"},
        {"UPDATE certificate SET serial = x'4142' WHERE row = 3", "at row 3: what was issued there"},
        {"UPDATE certificate SET not_after = not_after + 1 WHERE row = 6", "at row 6: what was issued there"},
        {"DELETE FROM certificate WHERE row = 6", "at row 6: what was issued there is missing"},
        {"INSERT INTO certificate (row, serial, profile, label, names, issuer, not_before, not_after)"
         " VALUES (1, x'4142', 'server', '', '', 2, 0, 1)",
         "at row 1: the list of certificates has one that the log does not know"},
    };
    struct err err = {""};
    struct authority_head head, again;
    authority_make("sound", (struct authority_plan){.name = "Sound"}, now);
    struct authority *a = authority_opened("sound", "");
    authority_server(a, "one.example.com", now, 0, NULL);
    struct ca_serial two = authority_server(a, "two.example.com", now, 0, NULL);
    assert_int_equal(authority_revoke(a, &two, CA_REASON_SUPERSEDED, "test", now, &err), AUTHORITY_REVOKED);
    authority_server(a, "three.example.com", now, 0, NULL);
    if (authority_audit(a, NULL, &head, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(head.row, 6);
    authority_close(a);
    for (size_t i = 0; i < ARRAY_LEN(forgeries); i++) {
        char command[256];
        snprintf(command, sizeof(command), "cd %s && rm -rf forged && cp -r sound forged", pki_dir());
        assert_int_equal(system(command), 0);
        struct state *db = journal_open(pki_path("forged/ca.db"), &err);
        assert_non_null(db);
        sql(db, "DROP TRIGGER log_stays");
        sql(db, "DROP TRIGGER log_is_kept");
        sql(db, "DROP TRIGGER log_grows");
        sql(db, "PRAGMA foreign_keys = OFF");
        sql(db, forgeries[i].act);
        assert_int_equal(journal_audit(db, &head, &again, &err), -1);
        if (strstr(err.text, forgeries[i].error) == NULL)
            fail_msg("%s: %s", forgeries[i].act, err.text);
        state_close(db);
    }
    /* Nor may the log be another CA's, or gone. */
    authority_make("other", (struct authority_plan){.name = "Other"}, now);
    char command[256];
    snprintf(command, sizeof(command), "cd %s && rm other/ca.db* && cp sound/ca.db other/", pki_dir());
    assert_int_equal(system(command), 0);
    a = authority_opened("other", "");
    assert_int_equal(authority_audit(a, NULL, &again, &err), -1);
    expect_in(err.text, "other/root.pem is not the certificate that the log begins with");
    authority_close(a);
    assert_int_equal(unlink(pki_path("other/ca.db")), 0);
    assert_null(authority_open(pki_path("other"), &err));
    expect_in(err.text, "other/ca.db: put a copy back");
    assert_int_equal(access(pki_path("other/ca.db"), F_OK), -1);
    /* What comes after the head that was kept is no fault; another hash is. */
    a = authority_opened("sound", "");
    authority_server(a, "four.example.com", now, 0, NULL);
    assert_int_equal(authority_audit(a, &head, &again, &err), 0);
    assert_int_equal(again.row, 7);
    head.hash[5] ^= 1;
    assert_int_equal(authority_audit(a, &head, &again, &err), -1);
    expect_in(err.text, "at or before row 6");
    authority_close(a);
}

#define EACH 25

static int issue_some(const char *folder)
{
    struct err err = {""};
    struct authority *a = authority_open(pki_path(folder), &err);
    bool ok = a != NULL && unlock(a, TEXT(""), &err) == 0;
    for (int i = 0; i < EACH && ok; i++) {
        const char *dns = "a.example.com";
        const struct ca_request request = {.sans = &dns, .sans_len = 1, .now = now};
        struct buf der = {0};
        struct ca *made = authority_issue(a, CA_PROFILE_SERVER, &request, "test", &err);
        struct ca_serial serial = made != NULL ? ca_serial(made) : (struct ca_serial){.len = 0};
        ok = made != NULL &&
             authority_revoke(a, &serial, CA_REASON_UNSPECIFIED, "test", now, &err) == AUTHORITY_REVOKED &&
             authority_crl(a, 0, now, DAY, &der, &err) == 0;
        ca_free(made);
        buf_free(&der);
    }
    if (!ok)
        fprintf(stderr, "%s\n", err.text);
    authority_close(a);
    return ok ? 0 : 1;
}

/* The door and the command line use one folder at once: no row is lost or written twice. */
static void test_two_processes(void **unused)
{
    (void)unused;
    struct err err = {""};
    struct authority_head head;
    pid_t children[2];
    authority_make("two", (struct authority_plan){.name = "Two"}, now);
    for (int i = 0; i < 2; i++) {
        children[i] = fork();
        if (children[i] == 0)
            _exit(issue_some("two"));
    }
    for (int i = 0; i < 2; i++) {
        int status;
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_int_equal(status, 0);
    }
    struct authority *a = authority_opened("two", "");
    if (authority_audit(a, NULL, &head, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(head.row, 2 + 2 * 3 * EACH);
    size_t count = 0;
    assert_int_equal(authority_each(a, 0, count_entry, &count, &err), 0);
    assert_int_equal(count, 2 * EACH);
    authority_close(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_folder),         cmocka_unit_test(test_plans),
        cmocka_unit_test(test_profiles),       cmocka_unit_test(test_lifetimes),
        cmocka_unit_test(test_certify),        cmocka_unit_test(test_mldsa),
        cmocka_unit_test(test_constraints),    cmocka_unit_test(test_crl),
        cmocka_unit_test(test_list),           cmocka_unit_test(test_words),
        cmocka_unit_test(test_log_only_grows), cmocka_unit_test(test_audit),
        cmocka_unit_test(test_two_processes),
    };
    now = time(NULL);
    return cmocka_run_group_tests(tests, NULL, pki_remove);
}
