/* SPDX-License-Identifier: Apache-2.0 */
/* mesh: what it costs to find a path through ten layers of ten CAs, each with a certificate of each one
 * above: from the bytes of 911 certificates to the path. Then where no way leads to the end, since none of
 * them allows a CA below it, so that limits end the search. Prints "ready"; for each line that it reads it
 * does both, and prints the processor time as one JSON object. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <openssl/ec_key.h>
#include <openssl/evp.h>
#include <openssl/nid.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "base/check.h"
#include "base/clock.h"
#include "cert/path.h"

enum {
    WIDTH = 10,
    LAYERS = 10,
    LEAF = WIDTH * LAYERS,
    ROOT,
    ENTITIES,
    CERTS = 1 + (LAYERS - 1) * WIDTH * WIDTH + WIDTH
};

struct mesh {
    struct anchors *anchors;
    CBS der[CERTS];
    size_t len;
};

static EVP_PKEY *new_key(void)
{
    EC_KEY *ec = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
    EVP_PKEY *key = EVP_PKEY_new();
    CHECK(ec != NULL && key != NULL && EC_KEY_generate_key(ec) && EVP_PKEY_assign_EC_KEY(key, ec));
    return key;
}

static void name_entity(X509_NAME *name, unsigned entity)
{
    char text[32];
    snprintf(text, sizeof(text), "Entity %u", entity);
    CHECK(X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_ASC, (const uint8_t *)text, -1, -1, 0));
}

static void extend(X509 *cert, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_nconf_nid(NULL, NULL, nid, value);
    CHECK(extension != NULL && X509_add_ext(cert, extension, -1));
    X509_EXTENSION_free(extension);
}

/* In DER, which stays. */
static CBS certify(EVP_PKEY *const *keys, unsigned issuer, unsigned subject, const char *constraints)
{
    static uint64_t serial;
    uint8_t *der = NULL;
    X509 *cert = X509_new();
    CHECK(cert != NULL && X509_set_version(cert, X509_VERSION_3) &&
          ASN1_INTEGER_set_uint64(X509_get_serialNumber(cert), ++serial) &&
          X509_set_pubkey(cert, keys[subject]) && X509_gmtime_adj(X509_getm_notBefore(cert), -3600) &&
          X509_gmtime_adj(X509_getm_notAfter(cert), 86400));
    name_entity(X509_get_subject_name(cert), subject);
    name_entity(X509_get_issuer_name(cert), issuer);
    if (subject == LEAF)
        extend(cert, NID_subject_alt_name, "DNS:leaf.example");
    else
        extend(cert, NID_basic_constraints, constraints);
    extend(cert, NID_key_usage, subject == LEAF ? "critical,digitalSignature" : "critical,keyCertSign");
    CHECK(X509_sign(cert, keys[issuer], EVP_sha256()) > 0);
    int len = i2d_X509(cert, &der);
    CHECK(len > 0);
    X509_free(cert);
    CBS ret;
    CBS_init(&ret, der, (size_t)len);
    return ret;
}

static void make_mesh(struct mesh *m, EVP_PKEY *const *keys, const char *constraints)
{
    m->anchors = anchors_new();
    CBS root = certify(keys, ROOT, ROOT, "critical,CA:TRUE");
    CHECK(anchors_add(m->anchors, CBS_data(&root), CBS_len(&root)));
    m->der[m->len++] = certify(keys, 0, LEAF, NULL);
    for (unsigned layer = 0; layer < LAYERS; layer++)
        for (unsigned i = 0; i < WIDTH; i++) {
            bool top = layer + 1 == LAYERS;
            for (unsigned k = 0; k < (top ? 1 : WIDTH); k++)
                m->der[m->len++] =
                    certify(keys, top ? ROOT : (layer + 1) * WIDTH + k, layer * WIDTH + i, constraints);
        }
    CHECK(m->len == CERTS);
}

static double processor_ms(void)
{
    struct timespec t;
    CHECK(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) == 0);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* From bytes to the answer, in ms. */
static double search(const struct mesh *m, bool expected)
{
    static struct path_cert certs[CERTS];
    struct path_answer answer;
    const struct path_question question = {.certs = certs,
                                           .len = m->len,
                                           .anchors = m->anchors,
                                           .purpose = TRUST_SERVER,
                                           .now = clock_wall() / NSEC_PER_SEC,
                                           .limits = path_limits_default};
    double begin = processor_ms();
    for (size_t i = 0; i < m->len; i++)
        CHECK(path_cert_read(m->der[i], &certs[i]));
    CHECK(path_build(&question, &answer) == expected);
    double spent = processor_ms() - begin;
    for (size_t i = 0; i < m->len; i++)
        path_cert_close(&certs[i]);
    return spent;
}

int main(void)
{
    static struct mesh good, without_end;
    EVP_PKEY *keys[ENTITIES];
    int c;
    for (size_t i = 0; i < ENTITIES; i++)
        keys[i] = new_key();
    make_mesh(&good, keys, "critical,CA:TRUE");
    make_mesh(&without_end, keys, "critical,CA:TRUE,pathlen:0");
    search(&good, true);
    puts("ready");
    fflush(stdout);
    while ((c = getchar()) != EOF) {
        if (c != '\n')
            continue;
        double found = search(&good, true), gave_up = search(&without_end, false);
        printf("{\"seconds\": %.6f, \"found\": %.4f, \"gave_up\": %.4f}\n", (found + gave_up) / 1e3, found,
               gave_up);
        fflush(stdout);
    }
    return 0;
}
