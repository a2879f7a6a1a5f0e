/* SPDX-License-Identifier: Apache-2.0 */
/* session/hand_on.h: who the client is, as a user's name, in a PROXY header, in an environment. */
#include "pki.h"

#include "audit/record.h"
#include "cert/cert.h"
#include "cert/identity.h"
#include "net/proxy_protocol.h"
#include "session/hand_on.h"

/* ---- the user's name ---- */

static struct config_hand_on rule_of(enum config_user_fact user, const char *pattern)
{
    return (struct config_hand_on){.user = user, .user_pattern = {.text = pattern}};
}

static void test_user(void **state)
{
    (void)state;
    static const struct identity_fact facts[] = {
        {IDENTITY_NAME, "Ada Łovelace"},
        {IDENTITY_EMAIL, "ada@other.example"},
        {IDENTITY_EMAIL, "ada.l@example.com"},
        {IDENTITY_DNS, "laptop.example.com"},
        {IDENTITY_URI, "spiffe://example.com/user/ada"},
    };
    static const struct {
        enum config_user_fact user;
        const char *pattern, *expected; /* NULL: no name */
    } rows[] = {
        {CONFIG_USER_CN, NULL, "Ada Łovelace"},
        {CONFIG_USER_EMAIL, NULL, "ada@other.example"},
        {CONFIG_USER_EMAIL, "*@example.com", "ada.l"},
        {CONFIG_USER_EMAIL, "*@example.net", NULL},
        {CONFIG_USER_DNS, "*.example.com", "laptop"},
        {CONFIG_USER_DNS, "laptop*.example.com", NULL}, /* nothing is left for the name */
        {CONFIG_USER_DNS, "laptop.example.com*", NULL},
        {CONFIG_USER_DNS, "laptop.example.co*.example.com", NULL}, /* the ends may not overlap */
        {CONFIG_USER_URI, "spiffe://example.com/user/*", "ada"},
        {CONFIG_USER_URI, "SPIFFE://example.com/user/*", NULL},
        {CONFIG_USER_CN, "Ada *", "Łovelace"},
        {CONFIG_USER_CN, "Ada \xc5*", NULL}, /* half a character */
    };
    struct identity *id = identity_make(facts, ARRAY_LEN(facts));
    assert_non_null(id);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char name[HAND_ON_USER_MAX];
        struct config_hand_on rule = rule_of(rows[i].user, rows[i].pattern);
        assert_int_equal(hand_on_user(id, &rule, name), rows[i].expected != NULL);
        assert_string_equal(name, rows[i].expected == NULL ? "" : rows[i].expected);
    }
    identity_free(id);
}

/* Nobody, nameless, and names that are none. */
static void test_no_user(void **state)
{
    (void)state;
    char name[HAND_ON_USER_MAX], longest[HAND_ON_USER_MAX + 1];
    struct config_hand_on rule = rule_of(CONFIG_USER_CN, NULL);
    assert_false(hand_on_user(NULL, &rule, name));
    struct identity *id = identity_make(&(struct identity_fact){IDENTITY_DNS, "a.example.com"}, 1);
    assert_false(hand_on_user(id, &rule, name));
    identity_free(id);
    memset(longest, 'x', sizeof(longest));
    longest[HAND_ON_USER_MAX] = '\0';
    id = identity_make(&(struct identity_fact){IDENTITY_NAME, longest}, 1);
    assert_false(hand_on_user(id, &rule, name));
    identity_free(id);
    longest[HAND_ON_USER_MAX - 1] = '\0';
    id = identity_make(&(struct identity_fact){IDENTITY_NAME, longest}, 1);
    assert_true(hand_on_user(id, &rule, name));
    assert_string_equal(name, longest);
    identity_free(id);
}

/* ---- a client ---- */

struct fixture {
    struct ca *root, *leaf;
    STACK_OF(CRYPTO_BUFFER) * chain;
    struct identity *id;
    struct cert own;
    struct hand_on_client client;
};

static void prepare(struct fixture *f, X509 *leaf)
{
    struct err err;
    f->chain = pki_stack(leaf, ca_x509(f->root), NULL);
    const CRYPTO_BUFFER *der = sk_CRYPTO_BUFFER_value(f->chain, 0);
    f->id = identity_from_der(CRYPTO_BUFFER_data(der), CRYPTO_BUFFER_len(der), &err);
    assert_non_null(f->id);
    f->own = (struct cert){.signature = "RSA-SHA256", .proxy_text = "EC256"};
    f->client = (struct hand_on_client){
        .id = 12345,
        .sni = {"www.example.com", 15},
        .alpn = {"imap", 4},
        .tls = true,
        .facts = {.version = 0x0304,
                  .group = 29,
                  .group_name = "X25519",
                  .cipher_text = "TLS_AES_128_GCM_SHA256",
                  .signature = "ecdsa_secp256r1_sha256",
                  .own = &f->own,
                  .identity = f->id,
                  .chain = f->chain},
    };
    assert_true(net_addr_parse("2001:db8::1", 40000, &f->client.peer));
    assert_true(net_addr_parse("192.0.2.1", 443, &f->client.local));
}

static void begin(struct fixture *f)
{
    static const char *const sans[] = {"ada@example.com", "a.example.com", "b.example.com"};
    static const char *const groups[] = {"ops", "staff"};
    f->root = pki_root("The Root");
    f->leaf = pki_issue(
        f->root, CA_PROFILE_CLIENT,
        (struct ca_request){.name = "Ada", .sans = sans, .sans_len = 3, .groups = groups, .groups_len = 2});
    prepare(f, ca_x509(f->leaf));
}

static void end(struct fixture *f)
{
    identity_free(f->id);
    pki_stack_free(f->chain);
    ca_free(f->leaf);
    ca_free(f->root);
}

/* ---- PROXY ---- */

/* A TLV of a list, or none. */
static struct str find(struct cursor list, uint8_t type)
{
    struct proxy_tlv tlv;
    while (proxy_next_tlv(&list, &tlv))
        if (tlv.type == type)
            return (struct str){tlv.value, tlv.len};
    return (struct str){0};
}

static struct cursor header(const struct fixture *f, struct config_codes tlvs, uint8_t *out, bool *ret_cut)
{
    struct proxy_header h;
    struct config_hand_on rule = {.proxy = CONFIG_SEND_PROXY_V2, .tlvs = tlvs};
    size_t len = hand_on_proxy(&rule, &f->client, out, ret_cut);
    assert_int_equal(proxy_protocol_read(out, len, HAND_ON_PROXY_MAX, &h), PROXY_DONE);
    assert_int_equal(h.len, len);
    return h.tlvs;
}

static struct config_codes all_tlvs(void)
{
    static int codes[] = {CONFIG_TLV_ALPN, CONFIG_TLV_AUTHORITY, CONFIG_TLV_UNIQUE_ID, CONFIG_TLV_SSL,
                          CONFIG_TLV_CERTIFICATE};
    return (struct config_codes){codes, ARRAY_LEN(codes)};
}

/* Flags, verify, and what stands within. */
static struct cursor ssl_of(struct cursor tlvs, uint8_t *ret_flags, uint64_t *ret_verify)
{
    struct str ssl = find(tlvs, PROXY_TLV_SSL);
    struct cursor c = cursor_of(ssl.p, ssl.len);
    assert_true(cursor_u8(&c, ret_flags) && cursor_uint(&c, 4, ret_verify));
    return c;
}

static void test_header(void **state)
{
    (void)state;
    struct fixture f;
    uint8_t out[HAND_ON_PROXY_MAX], flags;
    uint64_t verify;
    char id[AUDIT_ID_MAX];
    bool cut;
    begin(&f);
    struct cursor tlvs = header(&f, all_tlvs(), out, &cut);
    assert_false(cut);
    assert_true(str_is(find(tlvs, PROXY_TLV_ALPN), "imap"));
    assert_true(str_is(find(tlvs, PROXY_TLV_AUTHORITY), "www.example.com"));
    assert_true(str_is(find(tlvs, PROXY_TLV_UNIQUE_ID), audit_id_text(12345, id)));
    struct cursor ssl = ssl_of(tlvs, &flags, &verify);
    assert_int_equal(flags, PROXY_SSL_TLS | PROXY_SSL_CERT_CONN | PROXY_SSL_CERT_SESSION);
    assert_int_equal(verify, 0);
    assert_true(str_is(find(ssl, PROXY_TLV_SSL_VERSION), "TLSv1.3"));
    assert_true(str_is(find(ssl, PROXY_TLV_SSL_CN), "Ada"));
    assert_true(str_is(find(ssl, PROXY_TLV_SSL_CIPHER), "TLS_AES_128_GCM_SHA256"));
    assert_true(str_is(find(ssl, PROXY_TLV_SSL_SIG_ALG), "RSA-SHA256"));
    assert_true(str_is(find(ssl, PROXY_TLV_SSL_KEY_ALG), "EC256"));
    assert_true(str_is(find(ssl, PROXY_TLV_SSL_GROUP), "x25519"));
    assert_true(str_is(find(ssl, PROXY_TLV_SSL_SIG_SCHEME), "ecdsa_secp256r1_sha256"));
    const CRYPTO_BUFFER *der = sk_CRYPTO_BUFFER_value(f.chain, 0);
    struct str cert = find(ssl, PROXY_TLV_SSL_CLIENT_CERT);
    assert_int_equal(cert.len, CRYPTO_BUFFER_len(der));
    assert_memory_equal(cert.p, CRYPTO_BUFFER_data(der), cert.len);

    f.client.facts.resumed = true; /* shown on the connection before */
    f.client.facts.signature = NULL;
    ssl = ssl_of(header(&f, all_tlvs(), out, &cut), &flags, &verify);
    assert_int_equal(flags, PROXY_SSL_TLS | PROXY_SSL_CERT_SESSION);
    assert_int_equal(find(ssl, PROXY_TLV_SSL_SIG_SCHEME).len, 0);
    end(&f);
}

/* Nothing that was not proven, and nothing of TLS that goes through. */
static void test_header_of_nobody(void **state)
{
    (void)state;
    struct fixture f;
    uint8_t out[HAND_ON_PROXY_MAX], flags;
    uint64_t verify;
    bool cut;
    begin(&f);
    f.client.facts.identity = NULL;
    struct cursor ssl = ssl_of(header(&f, all_tlvs(), out, &cut), &flags, &verify);
    assert_int_equal(flags, PROXY_SSL_TLS);
    assert_int_equal(verify, 1);
    assert_int_equal(find(ssl, PROXY_TLV_SSL_CN).len + find(ssl, PROXY_TLV_SSL_CLIENT_CERT).len, 0);
    f.client.tls = false;
    struct cursor tlvs = header(&f, all_tlvs(), out, &cut);
    assert_int_equal(find(tlvs, PROXY_TLV_SSL).len, 0);
    assert_true(str_is(find(tlvs, PROXY_TLV_AUTHORITY), "www.example.com"));
    int none = CONFIG_TLV_NONE;
    tlvs = header(&f, (struct config_codes){&none, 1}, out, &cut);
    assert_int_equal(cursor_left(&tlvs), 0);
    struct config_hand_on rule = {.proxy = CONFIG_SEND_PROXY_V1};
    f.client.peer.family = AF_UNSPEC;
    assert_int_equal(hand_on_proxy(&rule, &f.client, out, &cut), 15);
    assert_memory_equal(out, "PROXY UNKNOWN\r\n", 15);
    end(&f);
}

/* A certificate that is too large is left out of a header that is whole without it; a common name that is too
 * long to be anybody's is left out too. */
static void test_header_is_bounded(void **state)
{
    (void)state;
    static const size_t sizes[] = {3000, 3600, 3700, 3800, 3900, 4000, 4100, 60000};
    struct fixture f;
    uint8_t out[HAND_ON_PROXY_MAX], flags;
    uint64_t verify;
    bool cut = false;
    begin(&f);
    char *many = malloc(60000);
    memset(many, 'x', 60000);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        CRYPTO_BUFFER *big = CRYPTO_BUFFER_new((uint8_t *)many, sizes[i], NULL);
        STACK_OF(CRYPTO_BUFFER) *chain = sk_CRYPTO_BUFFER_new_null();
        sk_CRYPTO_BUFFER_push(chain, big);
        f.client.facts.chain = chain;
        struct cursor ssl = ssl_of(header(&f, all_tlvs(), out, &cut), &flags, &verify);
        assert_true(str_is(find(ssl, PROXY_TLV_SSL_CN), "Ada"));
        assert_int_equal(find(ssl, PROXY_TLV_SSL_CLIENT_CERT).len, cut ? 0 : sizes[i]);
        assert_int_equal(cut, sizes[i] > 3800);
        pki_stack_free(chain);
    }
    many[3000] = '\0';
    struct identity *id = identity_make(&(struct identity_fact){IDENTITY_NAME, many}, 1);
    f.client.facts.identity = id;
    f.client.facts.chain = f.chain;
    struct cursor ssl = ssl_of(header(&f, all_tlvs(), out, &cut), &flags, &verify);
    assert_int_equal(find(ssl, PROXY_TLV_SSL_CN).len, 0);
    assert_int_equal(flags & PROXY_SSL_CERT_CONN, PROXY_SSL_CERT_CONN);
    identity_free(id);
    free(many);
    end(&f);
}

/* ---- the environment ---- */

static const char *variable(char **env, const char *name)
{
    size_t len = strlen(name);
    for (; *env != NULL; env++)
        if (strncmp(*env, name, len) == 0 && (*env)[len] == '=')
            return *env + len + 1;
    return NULL;
}

static void test_environment(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"REMOTE_ADDR", "2001:db8::1"},
        {"REMOTE_PORT", "40000"},
        {"SERVER_ADDR", "192.0.2.1"},
        {"SERVER_PORT", "443"},
        {"SERVER_NAME", "www.example.com"},
        {"HTTPS", "on"},
        {"SSL_TLS_SNI", "www.example.com"},
        {"SSL_PROTOCOL", "TLSv1.3"},
        {"SSL_CIPHER", "TLS_AES_128_GCM_SHA256"},
        {"SSL_SESSION_RESUMED", "Initial"},
        {"SSL_CLIENT_VERIFY", "SUCCESS"},
        {"SSL_CLIENT_S_DN_CN", "Ada"},
        {"SSL_CLIENT_S_DN_OU", "ops"},
        {"SSL_CLIENT_S_DN_OU_1", "staff"},
        {"SSL_CLIENT_I_DN", "CN=The Root"},
        {"SSL_CLIENT_I_DN_CN", "The Root"},
        {"SSL_CLIENT_A_SIG", "ecdsa-with-SHA256"},
        {"SSL_CLIENT_A_KEY", "id-ecPublicKey"},
        {"SSL_CLIENT_SAN_Email_0", "ada@example.com"},
        {"SSL_CLIENT_SAN_DNS_0", "a.example.com"},
        {"SSL_CLIENT_SAN_DNS_1", "b.example.com"},
        {"REMOTE_USER", "ada"},
    };
    struct fixture f;
    begin(&f);
    struct config_hand_on rule = rule_of(CONFIG_USER_EMAIL, "*@example.com");
    char **env = hand_on_environment(&rule, &f.client), id[AUDIT_ID_MAX];
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_non_null(variable(env, rows[i][0]));
        assert_string_equal(variable(env, rows[i][0]), rows[i][1]);
    }
    assert_string_equal(variable(env, "UNIQUE_ID"), audit_id_text(12345, id));
    assert_non_null(strstr(variable(env, "SSL_CLIENT_S_DN"), "CN=Ada"));
    struct ca_serial serial = ca_serial(f.leaf);
    assert_int_equal(strlen(variable(env, "SSL_CLIENT_M_SERIAL")), 2 * serial.len);
    assert_int_equal(strncmp(variable(env, "SSL_CLIENT_CERT"), "-----BEGIN CERTIFICATE-----\n", 28), 0);
    assert_non_null(variable(env, "SSL_CLIENT_CERT_CHAIN_0"));
    assert_null(variable(env, "SSL_CLIENT_CERT_CHAIN_1"));
    for (char **at = env; *at != NULL; at++)
        assert_true(strncmp(*at, "SSL_CLIENT_CERT", 15) == 0 || strchr(*at, '\n') == NULL);
    free(env);

    f.client.facts.identity = NULL;
    env = hand_on_environment(&rule, &f.client);
    assert_string_equal(variable(env, "SSL_CLIENT_VERIFY"), "NONE");
    assert_true(variable(env, "SSL_CLIENT_S_DN") == NULL && variable(env, "REMOTE_USER") == NULL &&
                variable(env, "SSL_CLIENT_CERT") == NULL);
    free(env);
    f.client.tls = false;
    env = hand_on_environment(&rule, &f.client);
    assert_true(variable(env, "HTTPS") == NULL && variable(env, "SSL_CLIENT_VERIFY") == NULL);
    free(env);
    end(&f);
}

/* What would begin another variable, or a line of a log, is escaped or left out. */
static void test_environment_hostile(void **state)
{
    (void)state;
    struct fixture f = {.root = pki_root("The Root")};
    struct ca *key = pki_client(f.root, "k");
    X509 *cert = pki_blank(f.root, ca_private_key(key));
    pki_subject(cert, NID_organizationName, MBSTRING_ASC, "Evil\nREMOTE_USER=root", 21);
    pki_subject(cert, NID_localityName, MBSTRING_ASC, "a\0b", 3);
    pki_subject(cert, NID_commonName, MBSTRING_UTF8, "m\xc3\xbcller,O=x", 11);
    pki_sign(cert, f.root);
    prepare(&f, cert);
    struct config_hand_on rule = rule_of(CONFIG_USER_CN, NULL);
    char **env = hand_on_environment(&rule, &f.client);
    assert_null(variable(env, "SSL_CLIENT_S_DN_O"));
    assert_null(variable(env, "SSL_CLIENT_S_DN_L"));
    assert_string_equal(variable(env, "SSL_CLIENT_S_DN_CN"), "m\xc3\xbcller,O=x");
    assert_string_equal(variable(env, "REMOTE_USER"), "m\xc3\xbcller,O=x");
    assert_string_equal(variable(env, "SSL_CLIENT_S_DN"),
                        "CN=m\xc3\xbcller\\,O=x,L=a\\00b,O=Evil\\0AREMOTE_USER=root");
    for (char **at = env; *at != NULL; at++)
        assert_true(strncmp(*at, "SSL_CLIENT_CERT", 15) == 0 || strchr(*at, '\n') == NULL);
    free(env);
    X509_free(cert);
    ca_free(key);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_user),
        cmocka_unit_test(test_no_user),
        cmocka_unit_test(test_header),
        cmocka_unit_test(test_header_of_nobody),
        cmocka_unit_test(test_header_is_bounded),
        cmocka_unit_test(test_environment),
        cmocka_unit_test(test_environment_hostile),
    };
    return cmocka_run_group_tests(tests, NULL, pki_remove);
}
