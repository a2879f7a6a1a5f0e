/* SPDX-License-Identifier: Apache-2.0 */
/* SSH keys, certificates and KRLs: ssh-keygen makes the first and judges the others. */
#include "authority.h"

#include "ca/ssh.h"

static int64_t now;

/* Output of a command in the scratch folder; NULL when it failed. */
static const char *shell(const char *command)
{
    static char out[16384];
    char line[1024];
    snprintf(line, sizeof(line), "cd %s && { %s; } 2>&1", pki_dir(), command);
    FILE *f = popen(line, "r");
    assert_non_null(f);
    out[fread(out, 1, sizeof(out) - 1, f)] = '\0';
    return pclose(f) == 0 ? out : NULL;
}

static void certify(struct authority *a, const char *pub, const struct authority_ssh *request,
                    struct ca_serial *serial, const char *to)
{
    struct err err = {""};
    struct buf file = {0}, line = {0};
    assert_int_equal(file_read(pki_path(pub), SSH_LINE_MAX, &file, NULL, &err), 0);
    if (authority_ssh_certify(a, (struct str){(const char *)file.data, file.len}, request, "test", now,
                              serial, &line, &err) < 0)
        fail_msg("%s: %s", pub, err.text);
    pki_write(to, line.data, line.len);
    buf_free(&file);
    buf_free(&line);
}

static void test_kinds(void **unused)
{
    (void)unused;
    static const char *const kinds[] = {"ed25519", "ecdsa -b 256", "ecdsa -b 384", "ecdsa -b 521",
                                        "rsa -b 2048"};
    static const char *const principals[] = {"ada", "root"};
    struct ca_serial serial;
    authority_make("kinds", (struct authority_plan){.name = "Kinds"}, now);
    struct authority *a = authority_opened("kinds", "");
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        char command[128];
        snprintf(command, sizeof(command),
                 "rm -f key key.pub && ssh-keygen -q -N '' -C 'ada at home' -f key -t %s", kinds[i]);
        assert_non_null(shell(command));
        const struct authority_ssh request = {.id = "ada@example.com",
                                              .principals = principals,
                                              .principals_len = 2,
                                              .force_command = "/bin/date",
                                              .source_address = "192.0.2.0/24,2001:db8::1",
                                              .no_forwarding = i == 0};
        certify(a, "key.pub", &request, &serial, "key-cert.pub");
        const char *text = shell("ssh-keygen -L -f key-cert.pub");
        expect_in(text, "-cert-v01@openssh.com user certificate");
        expect_in(text, "Key ID: \"ada@example.com\"");
        expect_in(text, "(using ssh-ed25519)");
        expect_in(text, "ada\n");
        expect_in(text, "force-command /bin/date");
        expect_in(text, "source-address 192.0.2.0/24,2001:db8::1");
        expect_in(text, "permit-pty");
        assert_int_equal(strstr(text, "permit-port-forwarding") == NULL, i == 0);
        expect_in(shell("cat key-cert.pub"), " ada at home\n");
    }
    const char *host = "web.example.com";
    const struct authority_ssh request = {
        .host = true, .id = host, .principals = &host, .principals_len = 1, .lifetime = 30 * DAY};
    certify(a, "key.pub", &request, &serial, "host-cert.pub");
    const char *text = shell("ssh-keygen -L -f host-cert.pub");
    expect_in(text, "host certificate");
    expect_in(text, "Critical Options: (none)");
    expect_in(text, "Extensions: (none)");
    authority_close(a);
}

static void test_krl(void **unused)
{
    (void)unused;
    struct err err = {""};
    struct ca_serial good, bad, host;
    const char *who = "ada";
    struct authority_ssh request = {.id = who, .principals = &who, .principals_len = 1};
    authority_make("krl", (struct authority_plan){.name = "Krl"}, now);
    struct authority *a = authority_opened("krl", "");
    assert_non_null(shell("rm -f key key.pub && ssh-keygen -q -N '' -f key -t ed25519"));
    certify(a, "key.pub", &request, &good, "good-cert.pub");
    certify(a, "key.pub", &request, &bad, "bad-cert.pub");
    request.host = true;
    certify(a, "key.pub", &request, &host, "host-cert.pub");
    for (int round = 0; round < 2; round++) {
        struct buf krl = {0};
        if (round == 1) {
            assert_int_equal(authority_revoke(a, &bad, CA_REASON_SUPERSEDED, "test", now, &err),
                             AUTHORITY_REVOKED);
            assert_int_equal(authority_revoke(a, &host, CA_REASON_SUPERSEDED, "test", now, &err),
                             AUTHORITY_REVOKED);
        }
        assert_int_equal(authority_ssh_krl(a, now, &krl, &err), 0);
        pki_write("list.krl", krl.data, krl.len);
        buf_free(&krl);
        expect_in(shell("ssh-keygen -Q -f list.krl good-cert.pub; true"), "ok");
        expect_in(shell("ssh-keygen -Q -f list.krl bad-cert.pub; true"), round == 1 ? "REVOKED" : "ok");
        expect_in(shell("ssh-keygen -Q -f list.krl host-cert.pub; true"), round == 1 ? "REVOKED" : "ok");
    }
    /* X.509 knows nothing of it: no 8-byte serial number in the CRL. */
    struct buf der = {0};
    assert_int_equal(authority_crl(a, 0, now, DAY, &der, &err), 0);
    pki_write("x.crl", der.data, der.len);
    buf_free(&der);
    expect_in(pki_openssl("crl -inform DER -in x.crl -noout -text"), "No Revoked Certificates");
    authority_close(a);
}

static void test_refusals(void **unused)
{
    (void)unused;
    const char *ada = "ada", *bad_name = "a b";
    struct err err = {""};
    struct ca_serial serial;
    struct buf line = {0}, file = {0};
    const struct {
        struct authority_ssh request;
        const char *error;
    } bad[] = {
        {{.id = "x"}, "0 principals"},
        {{.id = "x", .principals = &bad_name, .principals_len = 1}, "'a b': expected the name of a user"},
        {{.id = "", .principals = &ada, .principals_len = 1}, "needs a key id"},
        {{.id = "x\ny", .principals = &ada, .principals_len = 1}, "needs a key id"},
        {{.id = "x", .principals = &ada, .principals_len = 1, .lifetime = 399 * DAY}, "398 days at most"},
        {{.id = "x", .principals = &ada, .principals_len = 1, .source_address = "192.0.2.0/33"},
         "addresses or networks"},
        {{.id = "x", .principals = &ada, .principals_len = 1, .source_address = ""}, "addresses or networks"},
        {{.id = "x", .principals = &ada, .principals_len = 1, .host = true, .no_pty = true}, "not of hosts"},
    };
    authority_make("refusals", (struct authority_plan){.name = "Refusals"}, now);
    struct authority *a = authority_opened("refusals", "");
    assert_non_null(shell("rm -f key key.pub && ssh-keygen -q -N '' -f key -t ed25519"));
    assert_int_equal(file_read(pki_path("key.pub"), SSH_LINE_MAX, &file, NULL, &err), 0);
    const struct str pub = {(const char *)file.data, file.len};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(authority_ssh_certify(a, pub, &bad[i].request, "test", now, &serial, &line, &err),
                         -1);
        expect_in(err.text, bad[i].error);
    }
    buf_free(&file);
    authority_close(a);
}

#define ED "AAAAC3NzaC1lZDI1NTE5AAAAI"

static void test_hostile_keys(void **unused)
{
    (void)unused;
    static const char *const bad[] = {
        "",
        " ",
        "ssh-ed25519",
        "ssh-ed25519 ",
        "ssh-ed25519 !!!!",
        "ssh-ed25519 AAAA",
        "ssh-ed25519 " ED "A==", /* one byte too few */
        "ssh-dss AAAAB3NzaC1kc3MAAAAA",
        "command=\"x\" ssh-ed25519 " ED "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "ssh-rsa " ED "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "ssh-ed25519 " ED "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\nssh-ed25519 AAAA",
        /* a point that is on no curve */
        "ecdsa-sha2-nistp256 "
        "AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
        "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=",
        /* exponent 1; modulus of 8 bits */
        "ssh-rsa AAAAB3NzaC1yc2EAAAABAQAAAAF/",
        "ssh-rsa AAAAB3NzaC1yc2EAAAABAwAAAAF/",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct err err = {""};
        struct ssh_public key;
        assert_int_equal(ssh_public_read(TEXT(bad[i]), &key, &err), -1);
        expect_in(err.text, "the public key of SSH is refused");
        assert_null(key.fields.data);
    }
    /* Small RSA keys that ssh-keygen still makes, and each byte less of a good one. */
    struct err err = {""};
    struct ssh_public key;
    struct buf file = {0};
    assert_non_null(shell("rm -f key key.pub && ssh-keygen -q -N '' -f key -t rsa -b 1024"));
    assert_int_equal(file_read(pki_path("key.pub"), SSH_LINE_MAX, &file, NULL, &err), 0);
    assert_int_equal(ssh_public_read((struct str){(const char *)file.data, file.len}, &key, &err), -1);
    expect_in(err.text, "2048 to 16384 bits");
    buf_free(&file);
    assert_non_null(shell("rm -f key key.pub && ssh-keygen -q -N '' -C '' -f key -t rsa -b 2048"));
    assert_int_equal(file_read(pki_path("key.pub"), SSH_LINE_MAX, &file, NULL, &err), 0);
    size_t whole = file.len;
    while (file.data[whole - 1] == '\n' || file.data[whole - 1] == ' ')
        whole--;
    for (size_t len = 0; len < whole; len++)
        assert_int_equal(ssh_public_read((struct str){(const char *)file.data, len}, &key, &err), -1);
    assert_int_equal(ssh_public_read((struct str){(const char *)file.data, whole}, &key, &err), 0);
    ssh_public_free(&key);
    buf_free(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_krl),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_hostile_keys),
    };
    now = time(NULL);
    return cmocka_run_group_tests(tests, NULL, pki_remove);
}
