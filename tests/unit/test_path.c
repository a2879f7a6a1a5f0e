/* SPDX-License-Identifier: Apache-2.0 */
/* cert/path.h on graphs that are made here: an entity is a letter with a key, a certificate is "A>B", by A
 * for B, with what is wrong with it behind '!'. */
#include "pki.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/nid.h>

#include "base/clock.h"
#include "cert/path.h"
#include "cert/pem.h"

#define NOW INT64_C(1800000000)
#define DAY 86400
#define ENTITIES 128

/* ---- making certificates ---- */

static EVP_PKEY *keys[ENTITIES];

static EVP_PKEY *key_of(unsigned entity)
{
    assert_true(entity < ENTITIES);
    if (keys[entity] == NULL) {
        EC_KEY *ec = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
        assert_true(EC_KEY_generate_key(ec));
        keys[entity] = EVP_PKEY_new();
        assert_true(EVP_PKEY_assign_EC_KEY(keys[entity], ec));
    }
    return keys[entity];
}

static int drop_keys(void **state)
{
    for (size_t i = 0; i < ENTITIES; i++)
        EVP_PKEY_free(keys[i]);
    return pki_remove(state);
}

struct spec {
    unsigned issuer, subject;
    const char *wrong; /* letters, as defects[] has them */
    bool leaf;
};

static bool has(const struct spec *spec, char defect)
{
    return spec->wrong != NULL && strchr(spec->wrong, defect) != NULL;
}

static void name_entity(X509_NAME *name, unsigned entity)
{
    char text[32];
    snprintf(text, sizeof(text), "Entity %u", entity);
    assert_true(
        X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_ASC, (const uint8_t *)text, -1, -1, 0));
}

/* x expired, y not yet valid, c constraints on other names, d constraints that exclude the leaf, e another
 * extendedKeyUsage, E anyExtendedKeyUsage, b no basicConstraints, a not a CA, k no keyCertSign, p no CA
 * below, u unknown and critical, s SHA-1, g signature broken, i another authorityKeyIdentifier, q none, t
 * basic constraints twice, o older than the others */
static void add_extensions(X509 *cert, const struct spec *spec)
{
    char id[64];
    if (!has(spec, 'b') && !spec->leaf)
        pki_extension(cert, NID_basic_constraints,
                      has(spec, 'a')   ? "critical,CA:FALSE"
                      : has(spec, 'p') ? "critical,CA:TRUE,pathlen:0"
                                       : "critical,CA:TRUE");
    if (has(spec, 't'))
        pki_extension(cert, NID_basic_constraints, "critical,CA:TRUE");
    pki_extension(cert, NID_key_usage,
                  spec->leaf || has(spec, 'k') ? "critical,digitalSignature" : "critical,keyCertSign");
    if (has(spec, 'e') || has(spec, 'E'))
        pki_extension(cert, NID_ext_key_usage, has(spec, 'e') ? "emailProtection" : "anyExtendedKeyUsage");
    if (has(spec, 'c'))
        pki_extension(cert, NID_name_constraints, "critical,permitted;DNS:elsewhere.example");
    if (has(spec, 'd'))
        pki_extension(cert, NID_name_constraints, "critical,excluded;DNS:leaf.example");
    if (spec->leaf)
        pki_extension(cert, NID_subject_alt_name, "DNS:leaf.example");
    if (has(spec, 'u'))
        pki_extension(cert, NID_issuing_distribution_point, "critical,onlyuser:TRUE");
    snprintf(id, sizeof(id), "%08X", spec->subject);
    pki_extension(cert, NID_subject_key_identifier, id);
    if (!has(spec, 'q')) {
        AUTHORITY_KEYID *authority = AUTHORITY_KEYID_new();
        uint8_t bytes[4] = {0, 0, 0, (uint8_t)spec->issuer};
        authority->keyid = ASN1_OCTET_STRING_new();
        bytes[0] = has(spec, 'i') ? 0xff : 0;
        assert_true(ASN1_OCTET_STRING_set(authority->keyid, bytes, sizeof(bytes)));
        assert_int_equal(X509_add1_ext_i2d(cert, NID_authority_key_identifier, authority, 0, 0), 1);
        AUTHORITY_KEYID_free(authority);
    }
}

/* In DER; the caller frees it. */
static size_t make(const struct spec *spec, uint8_t **ret)
{
    static uint64_t serial;
    X509 *cert = X509_new();
    int64_t from = NOW - DAY - (has(spec, 'o') ? DAY : 0), until = NOW + DAY;
    assert_true(X509_set_version(cert, X509_VERSION_3));
    assert_true(ASN1_INTEGER_set_uint64(X509_get_serialNumber(cert), ++serial));
    name_entity(X509_get_subject_name(cert), spec->subject);
    name_entity(X509_get_issuer_name(cert), spec->issuer);
    assert_true(X509_set_pubkey(cert, key_of(spec->subject)));
    assert_non_null(ASN1_TIME_set_posix(X509_getm_notBefore(cert), has(spec, 'y') ? NOW + DAY / 2 : from));
    assert_non_null(ASN1_TIME_set_posix(X509_getm_notAfter(cert), has(spec, 'x') ? NOW - 1 : until));
    add_extensions(cert, spec);
    assert_true(X509_sign(cert, key_of(spec->issuer), has(spec, 's') ? EVP_sha1() : EVP_sha256()) > 0);
    *ret = NULL;
    int len = i2d_X509(cert, ret);
    assert_true(len > 0);
    if (has(spec, 'g'))
        (*ret)[len - 1] ^= 1;
    X509_free(cert);
    return (size_t)len;
}

/* ---- worlds ---- */

struct world {
    struct anchors *anchors;
    struct path_cert *certs; /* what was sent */
    uint8_t **der;
    size_t len, cap;
};

static void send(struct world *w, const struct spec *spec)
{
    CBS der;
    if (w->len == w->cap) {
        w->cap = w->cap == 0 ? 16 : 2 * w->cap;
        w->certs = reallocarray(w->certs, w->cap, sizeof(*w->certs));
        w->der = reallocarray(w->der, w->cap, sizeof(*w->der));
        assert_true(w->certs != NULL && w->der != NULL);
    }
    size_t len = make(spec, &w->der[w->len]);
    CBS_init(&der, w->der[w->len], len);
    assert_true(path_cert_read(der, &w->certs[w->len++]));
}

static void trust(struct world *w, const struct spec *spec)
{
    uint8_t *der;
    if (w->anchors == NULL)
        w->anchors = anchors_new();
    size_t len = make(spec, &der);
    assert_true(anchors_add(w->anchors, der, len));
    OPENSSL_free(der);
}

static void end_world(struct world *w)
{
    for (size_t i = 0; i < w->len; i++) {
        path_cert_close(&w->certs[i]);
        OPENSSL_free(w->der[i]);
    }
    free(w->certs);
    free(w->der);
    anchors_unref(w->anchors);
}

/* "A>B!xy": the leaf is L, and is sent first wherever it stands; what has no '>' is an anchor of its own. */
static struct world make_world(const char *text)
{
    struct world w = {0};
    for (int leaf = 1; leaf >= 0; leaf--) {
        char copy[512];
        char *rest = copy;
        snprintf(copy, sizeof(copy), "%s", text);
        for (char *one; (one = strsep(&rest, " ")) != NULL;) {
            char *wrong = strchr(one, '!');
            struct spec spec = {.wrong = wrong != NULL ? wrong + 1 : NULL};
            bool is_anchor = one[1] != '>';
            spec.issuer = (unsigned char)one[0];
            spec.subject = (unsigned char)one[is_anchor ? 0 : 2];
            spec.leaf = spec.subject == 'L';
            if (is_anchor && leaf == 0)
                trust(&w, &spec);
            else if (!is_anchor && spec.leaf == (leaf == 1))
                send(&w, &spec);
        }
    }
    if (w.anchors == NULL)
        w.anchors = anchors_new();
    return w;
}

static bool search(struct world *w, const struct path_limits *limits, struct path_answer *ret)
{
    struct path_question question = {.certs = w->certs,
                                     .len = w->len,
                                     .anchors = w->anchors,
                                     .purpose = TRUST_SERVER,
                                     .now = NOW,
                                     .limits = *limits};
    return path_build(&question, ret);
}

/* The path, leaf first, by letters. */
static const char *path_text(const struct path_answer *answer, char ret[PATH_DEPTH_MAX + 1])
{
    for (size_t i = 0; i < answer->len; i++) {
        char name[PEM_NAME_MAX];
        pem_subject_text(path_cert_x509(answer->path[i]), name);
        ret[i] = (char)strtoul(name + strlen("Entity "), NULL, 10);
    }
    ret[answer->len] = '\0';
    return ret;
}

/* ---- cases ---- */

static const struct {
    const char *what, *world;
    const char *path; /* NULL: there is none */
    enum path_fault why;
} cases[] = {
    {"no intermediate", "R R>L", "LR", 0},
    {"one intermediate", "R R>A A>L", "LAR", 0},
    {"wrong order", "R R>A A>B B>C C>L", "LCBAR", 0},
    {"the root is sent too", "R R>A A>L R>R", "LAR", 0},
    {"superfluous certificates", "R R>A A>L X>Y Z>Z Y>X R>Z", "LAR", 0},
    {"nobody knows the issuer", "R A>L", NULL, PATH_NO_ISSUER},
    {"an intermediate is missing", "R B>L A>B", NULL, PATH_NO_ISSUER},
    {"the other root is sent", "R S>L S>S", NULL, PATH_NO_ISSUER},
    {"an empty bundle", "R>L R>R", NULL, PATH_NO_ISSUER},
    {"the leaf is an anchor", "L Q>L", NULL,
     PATH_NO_ISSUER}, /* another certificate of the same name and key */
    {"an intermediate is an anchor", "A R>A A>L", "LA", 0},
    {"an intermediate is an anchor, and its own issuer is bad", "A R>A!x A>L", "LA", 0},
    /* cross-signed */
    {"two roots, the first", "R R>A S>A A>L", "LAR", 0},
    {"two roots, the second", "S R>A S>A A>L", "LAS", 0},
    {"two roots, the other one expired", "S R>A!x S>A A>L", "LAS", 0},
    {"the cross certificate in front is expired", "R R>A A>L R>A!x", "LAR", 0},
    {"the newer one of two", "R R>A!o R>A A>L", "LAR", 0},
    {"the root as a cross certificate of another", "S S>R R>R R>A A>L", "LARS", 0},
    {"the same, without the right one", "S R>R R>A A>L", NULL, PATH_NO_ISSUER},
    {"the cross certificate is expired, the root is an anchor", "S R S>R!x R>A A>L", "LAR", 0},
    {"RFC 4158, figure 7", "T T>A T>C A>C C>A A>B C>B B>L", "LBAT", 0},
    {"one way only", "T T>A T>C!x A>C C>A A>B!x C>B B>L", "LBCAT", 0},
    {"the other way only", "T T>A!x T>C A>C C>A A>B C>B!x B>L", "LBACT", 0},
    {"no way", "T T>A!x T>C!x A>C C>A A>B C>B B>L", NULL, PATH_EXPIRED},
    {"a circle without a way out", "R A>B B>C C>A A>L", NULL, PATH_CIRCLE},
    {"a circle with one", "R A>B B>C C>A R>B A>L", "LACBR", 0},
    {"two who have signed each other", "R A>B B>A A>L R>A", "LAR", 0},
    /* what is wrong with an intermediate, alone and with a way around it */
    {"expired", "R R>A!x A>L", NULL, PATH_EXPIRED},
    {"not yet valid", "R R>A!y A>L", NULL, PATH_NOT_YET_VALID},
    {"not yet valid, another", "R R>A!y R>A A>L", "LAR", 0},
    {"name constraints", "R R>A!c A>L", NULL, PATH_NAME},
    {"name constraints, another", "R S R>A!c S>A A>L", "LAS", 0},
    {"excluded", "R R>A!d A>L", NULL, PATH_NAME},
    {"extendedKeyUsage", "R R>A!e A>L", NULL, PATH_WRONG_PURPOSE},
    {"extendedKeyUsage, another", "R S R>A!e S>A A>L", "LAS", 0},
    {"any extendedKeyUsage", "R R>A!E A>L", "LAR", 0},
    {"no basicConstraints", "R R>A!b A>L", NULL, PATH_NOT_A_CA},
    {"no basicConstraints, another", "R S R>A!b S>A A>L", "LAS", 0},
    {"not a CA", "R R>A!a A>L", NULL, PATH_NOT_A_CA},
    {"not a CA, another", "R S R>A!a S>A A>L", "LAS", 0},
    {"no keyCertSign", "R R>A!k A>L", NULL, PATH_NO_CERT_SIGN},
    {"SHA-1", "R R>A!s A>L", NULL, PATH_WEAK_SIGNATURE},
    {"SHA-1, another", "R S R>A!s S>A A>L", "LAS", 0},
    {"unknown critical extension", "R R>A!u A>L", NULL, PATH_UNKNOWN_CRITICAL},
    {"the same extension twice", "R R>A!t A>L", NULL, PATH_ODD_EXTENSIONS},
    {"a broken signature", "R R>A!g A>L", NULL, PATH_BAD_SIGNATURE},
    {"a broken signature, another", "R R>A!g R>A A>L", "LAR", 0},
    /* path length */
    {"no CA below", "R R>A!p A>L", "LAR", 0},
    {"no CA below, but one there", "R R>A!p A>B B>L", NULL, PATH_TOO_MANY_BELOW},
    {"no CA below, another way", "R S R>A!p S>A A>B B>L", "LBAS", 0},
    {"a self-issued one is not counted", "R R>A!p A>A A>L", "LAR", 0},
    {"the anchor allows no CA", "R!p R>A A>L", NULL, PATH_TOO_MANY_BELOW},
    /* identifiers of keys are advice */
    {"another identifier", "R R>A!i A>L", "LAR", 0},
    {"no identifier", "R R>A!q A>L!q", "LAR", 0},
    /* the leaf */
    {"an expired leaf", "R R>L!x", NULL, PATH_EXPIRED},
    {"an expired leaf of nobody", "R A>L!x", NULL, PATH_NO_ISSUER},
    {"a leaf for mail", "R R>L!e", NULL, PATH_WRONG_PURPOSE},
    {"a leaf for anything", "R R>L!E", "LR", 0},
    {"a leaf signed with SHA-1", "R R>L!s", NULL, PATH_WEAK_SIGNATURE},
    {"a leaf with constraints of its own", "R R>L!c", "LR", 0},
    {"a leaf with a broken signature", "R R>L!g", NULL, PATH_BAD_SIGNATURE},
    /* anchors are certificates too */
    {"an expired anchor", "R!x R>L", NULL, PATH_EXPIRED},
    {"an expired anchor, and its successor", "R!x R R>L", "LR", 0},
    {"an anchor with constraints", "R!c R>L", NULL, PATH_NAME},
    {"an anchor for mail", "R!e R>L", NULL, PATH_WRONG_PURPOSE},
    {"an anchor that is no CA", "R!a R>L", NULL, PATH_NOT_A_CA},
    {"an anchor signed with SHA-1", "R!s R>L", "LR", 0},
};

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char path[PATH_DEPTH_MAX + 1];
        struct path_answer answer;
        struct world w = make_world(cases[i].world);
        bool found = search(&w, &path_limits_default, &answer);
        if (found != (cases[i].path != NULL) || found != answer.found)
            fail_msg("%s: %s (fault %d)", cases[i].what, found ? "there is a path" : "there is no path",
                     (int)answer.why.fault);
        if (found && strcmp(path_text(&answer, path), cases[i].path) != 0)
            fail_msg("%s: found %s, expected %s", cases[i].what, path, cases[i].path);
        if (!found && answer.why.fault != cases[i].why)
            fail_msg("%s: found fault %d, expected %d", cases[i].what, (int)answer.why.fault,
                     (int)cases[i].why);
        end_world(&w);
    }
}

/* Whatever the order in which they come, the verdict is the same. */
static void test_any_order(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct path_answer answer;
        struct world w = make_world(cases[i].world);
        for (size_t k = 1; k < w.len; k++) {
            struct path_cert first = w.certs[1];
            memmove(&w.certs[1], &w.certs[2], (w.len - 2) * sizeof(first));
            w.certs[w.len - 1] = first;
            assert_true(search(&w, &path_limits_default, &answer) == (cases[i].path != NULL));
        }
        end_world(&w);
    }
}

/* ---- large graphs ---- */

#define WIDTH 10
#define LAYERS 10
#define ROOT 127
#define LEAF 126

/* Ten layers of ten CAs, each with a certificate of each one above. */
static struct world make_mesh(const char *top_wrong, const char *wrong)
{
    struct world w = {0};
    send(&w, &(struct spec){.issuer = 0, .subject = LEAF, .leaf = true});
    for (unsigned layer = 0; layer < LAYERS; layer++)
        for (unsigned i = 0; i < WIDTH; i++) {
            if (layer + 1 == LAYERS) {
                send(&w, &(struct spec){.issuer = ROOT, .subject = layer * WIDTH + i, .wrong = top_wrong});
                continue;
            }
            for (unsigned k = 0; k < WIDTH; k++)
                send(&w, &(struct spec){.issuer = (layer + 1) * WIDTH + k,
                                        .subject = layer * WIDTH + i,
                                        .wrong = wrong});
        }
    trust(&w, &(struct spec){.issuer = ROOT, .subject = ROOT});
    return w;
}

/* Processor time of this process, in ns: others may be at work as well. */
static int64_t spent(void)
{
    struct timespec t;
    assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t), 0);
    return t.tv_sec * NSEC_PER_SEC + t.tv_nsec;
}

static void test_mesh(void **state)
{
    (void)state;
    struct path_answer answer;
    struct world w = make_mesh(NULL, NULL);
    /* Read again, as from a peer, so that all of the work is in it. */
    int64_t begin = spent();
    for (size_t i = 0; i < w.len; i++) {
        CBS der = w.certs[i].der;
        path_cert_close(&w.certs[i]);
        assert_true(path_cert_read(der, &w.certs[i]));
    }
    int64_t read = spent();
    assert_true(search(&w, &path_limits_default, &answer));
    int64_t end = spent();
    print_message("%zu certificates: read in %.2f ms, path in %.2f ms, %zu candidates, %zu signatures\n",
                  w.len, (double)(read - begin) / NSEC_PER_MSEC, (double)(end - read) / NSEC_PER_MSEC,
                  answer.steps, answer.signatures);
    assert_int_equal(answer.len, LAYERS + 2);
    assert_int_equal(answer.signatures, LAYERS + 1);
    assert_int_equal(answer.steps, LAYERS + 1);
    end_world(&w);
}

/* Where no anchor can be reached, each certificate is looked at, but not each of 10^10 ways, and no
 * signature. */
static void test_mesh_without_end(void **state)
{
    (void)state;
    struct path_answer answer;
    struct world w = make_mesh("x", NULL);
    assert_false(search(&w, &path_limits_default, &answer));
    assert_int_equal(answer.why.fault, PATH_EXPIRED);
    assert_int_equal(answer.signatures, 0);
    assert_in_range(answer.steps, w.len - 1, WIDTH * w.len);
    end_world(&w);
}

/* Nor where those who could lead to it do not allow the leaf's name. */
static void test_mesh_of_other_names(void **state)
{
    (void)state;
    struct path_answer answer;
    struct world w = make_mesh("c", NULL);
    assert_false(search(&w, &path_limits_default, &answer));
    assert_int_equal(answer.why.fault, PATH_NAME);
    assert_int_equal(answer.signatures, 0);
    end_world(&w);
}

/* Where each way ends in a rule about those below, nothing tells so before: limits do. */
static void test_mesh_of_ways(void **state)
{
    (void)state;
    struct path_answer answer;
    struct world w = make_mesh("p", NULL);
    int64_t begin = spent();
    assert_false(search(&w, &path_limits_default, &answer));
    print_message("gave up in %.2f ms, %zu candidates, %zu signatures\n",
                  (double)(spent() - begin) / NSEC_PER_MSEC, answer.steps, answer.signatures);
    assert_int_equal(answer.why.fault, PATH_GAVE_UP);
    assert_in_range(answer.steps, 1, path_limits_default.steps + 1);
    assert_in_range(answer.signatures, 1, path_limits_default.signatures);
    end_world(&w);
}

static void test_limits(void **state)
{
    (void)state;
    static const struct {
        const char *world;
        struct path_limits limits;
        const char *limit;
    } limits[] = {
        /* Broken certificates before the right one. */
        {"R R>A!g R>A!g R>A!g R>A!g R>A!g R>A!g R>A!o A>L", {20, 1000, 5, 1000, 8}, "signatures"},
        {"R R>A!g R>A!g R>A!g R>A!g R>A!g R>A!g R>A!o A>L", {20, 5, 100, 1000, 8}, "candidates"},
        {"R R>A!d A>L", {20, 1000, 100, 0, 8}, "comparisons of names"},
    };
    struct path_answer answer;
    for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
        struct world w = make_world(limits[i].world);
        assert_false(search(&w, &limits[i].limits, &answer));
        assert_int_equal(answer.why.fault, PATH_GAVE_UP);
        assert_string_equal(answer.limit, limits[i].limit);
        end_world(&w);
    }
    struct world w = make_world("R R>A A>B B>C C>D D>L");
    struct path_limits shallow = path_limits_default;
    shallow.depth = 6;
    assert_true(search(&w, &shallow, &answer));
    shallow.depth = 5;
    assert_false(search(&w, &shallow, &answer));
    end_world(&w);
}

/* ---- who decides in the end ---- */

struct judge {
    unsigned refused; /* the path whose second entity is this one */
    enum path_verdict verdict;
    unsigned asked, steps;
};

static enum path_verdict judge_path(void *arg, struct path_cert *const *path, size_t len)
{
    struct judge *judge = arg;
    char name[PEM_NAME_MAX];
    judge->asked++;
    pem_subject_text(path_cert_x509(path[len - 1]), name);
    return strtoul(name + strlen("Entity "), NULL, 10) == judge->refused ? judge->verdict : PATH_TAKE;
}

static void count_step(void *arg, const struct path_step *step)
{
    struct judge *judge = arg;
    assert_non_null(step->cert);
    judge->steps++;
}

static void test_accept(void **state)
{
    (void)state;
    struct path_answer answer;
    struct world w = make_world("R S R>A S>A!o A>L");
    struct judge judge = {.refused = 'R', .verdict = PATH_TRY_ANOTHER};
    struct path_question question = {.certs = w.certs,
                                     .len = w.len,
                                     .anchors = w.anchors,
                                     .purpose = TRUST_SERVER,
                                     .now = NOW,
                                     .limits = path_limits_default,
                                     .accept = judge_path,
                                     .trace = count_step,
                                     .arg = &judge};
    char path[PATH_DEPTH_MAX + 1];
    assert_true(path_build(&question, &answer));
    assert_string_equal(path_text(&answer, path), "LAS");
    assert_int_equal(judge.asked, 2);
    assert_true(judge.steps >= answer.steps);
    judge = (struct judge){.refused = 'R', .verdict = PATH_STOP};
    assert_false(path_build(&question, &answer));
    assert_int_equal(answer.why.fault, PATH_REFUSED);
    assert_int_equal(judge.asked, 1);
    question.limits.paths = 1;
    judge = (struct judge){.refused = 'R', .verdict = PATH_TRY_ANOTHER};
    assert_false(path_build(&question, &answer));
    assert_int_equal(answer.why.fault, PATH_GAVE_UP);
    end_world(&w);
}

/* ---- certificates that are none ---- */

static void test_damaged(void **state)
{
    (void)state;
    uint8_t *der;
    size_t len = make(&(struct spec){.issuer = 'R', .subject = 'L', .leaf = true}, &der);
    struct path_cert cert;
    CBS bytes;
    for (size_t n = 0; n < len; n++) {
        CBS_init(&bytes, der, n);
        assert_false(path_cert_read(bytes, &cert));
        path_cert_close(&cert);
    }
    /* A bit turned: it is read or not, and what is read is found in full or not. */
    for (size_t bit = 0; bit < 8 * len; bit++) {
        der[bit / 8] ^= (uint8_t)(1 << bit % 8);
        CBS_init(&bytes, der, len);
        if (path_cert_read(bytes, &cert))
            (void)path_cert_x509(&cert);
        path_cert_close(&cert);
        der[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    OPENSSL_free(der);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_any_order),
        cmocka_unit_test(test_mesh),
        cmocka_unit_test(test_mesh_without_end),
        cmocka_unit_test(test_mesh_of_other_names),
        cmocka_unit_test(test_mesh_of_ways),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_accept),
        cmocka_unit_test(test_damaged),
    };
    return cmocka_run_group_tests_name("path", tests, NULL, drop_keys);
}
