/* SPDX-License-Identifier: Apache-2.0 */
#include "cert/identity.h"

#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/asn1.h>
#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/str.h"

#define IDENTITY_BYTES_MAX (16 * 1024) /* all values with their NULs */
#define SPIFFE "spiffe://"

/* Facts on their way into the block: values are offsets into `bytes`, for that still moves. */
struct gathering {
    struct buf bytes;
    struct {
        enum identity_kind kind;
        size_t at;
    } facts[IDENTITY_FACTS_MAX];
    uint32_t count;
    unsigned uris;
    bool spiffe;
};

static const char *const kind_names[] = {
    [IDENTITY_NAME] = "name",   [IDENTITY_DNS] = "dns",       [IDENTITY_URI] = "uri",
    [IDENTITY_EMAIL] = "email", [IDENTITY_ISSUER] = "issuer", [IDENTITY_GROUP] = "group",
};
_Static_assert(ARRAY_LEN(kind_names) == IDENTITY_KINDS, "a name for each kind");

const char *identity_kind_name(enum identity_kind kind)
{
    CHECK((unsigned)kind < IDENTITY_KINDS);
    return kind_names[kind];
}

/* C0, DEL, and C1, which in UTF-8 is a byte 0xc2 and one below 0xa0. */
static bool is_control(const unsigned char *p, size_t left)
{
    return p[0] < 0x20 || p[0] == 0x7f || (p[0] == 0xc2 && left > 1 && p[1] < 0xa0);
}

/* Add one fact. An empty value says nothing and is left out. */
static int gather(struct gathering *g, enum identity_kind kind, const char *p, size_t len, struct err *err)
{
    if (len == 0)
        return 0;
    if (memchr(p, '\0', len) != NULL)
        return err_set(err, "the certificate has a NUL byte inside a name (%s)", identity_kind_name(kind));
    for (size_t i = 0; i < len; i++)
        if (is_control((const unsigned char *)p + i, len - i))
            return err_set(err, "the certificate has a control character inside a name (%s)",
                           identity_kind_name(kind));
    if (g->count == IDENTITY_FACTS_MAX)
        return err_set(err, "the certificate has more than %d names", IDENTITY_FACTS_MAX);
    size_t at = g->bytes.len;
    if (!buf_append(&g->bytes, p, len) || !buf_append(&g->bytes, "", 1)) {
        g->bytes.len = at;
        return err_set(err, "the names in the certificate take more than %d bytes", IDENTITY_BYTES_MAX);
    }
    g->facts[g->count].kind = kind;
    g->facts[g->count].at = at;
    g->count++;
    return 0;
}

/* A component of a distinguished name, which comes in one of several encodings. */
static int gather_entry(struct gathering *g, enum identity_kind kind, X509_NAME_ENTRY *entry, struct err *err)
{
    unsigned char *utf8 = NULL;
    int len = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(entry));
    if (len < 0)
        return err_set(err, "the certificate has a name that is not text in its encoding (%s)",
                       identity_kind_name(kind));
    int rc = gather(g, kind, (char *)utf8, (size_t)len, err);
    OPENSSL_free(utf8);
    return rc;
}

/* The last CN counts: directories put the most specific component last, and some name containers by CN as
 * well. */
static int gather_common_name(struct gathering *g, enum identity_kind kind, const X509_NAME *name,
                              struct err *err)
{
    int last = -1;
    for (int i = -1; (i = X509_NAME_get_index_by_NID(name, NID_commonName, i)) >= 0;)
        last = i;
    return last < 0 ? 0 : gather_entry(g, kind, X509_NAME_get_entry(name, last), err);
}

static int gather_units(struct gathering *g, const X509_NAME *name, struct err *err)
{
    for (int i = -1; (i = X509_NAME_get_index_by_NID(name, NID_organizationalUnitName, i)) >= 0;)
        if (gather_entry(g, IDENTITY_GROUP, X509_NAME_get_entry(name, i), err) < 0)
            return -1;
    return 0;
}

/* One segment of a SPIFFE path (SPIFFE-ID, 2.2): [a-zA-Z0-9._-]+, and neither "." nor "..". */
static bool spiffe_segment_ok(const char *p, size_t len)
{
    if (len == 0 || (len == 1 && p[0] == '.') || (len == 2 && p[0] == '.' && p[1] == '.'))
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = p[i];
        bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!alnum && c != '.' && c != '_' && c != '-')
            return false;
    }
    return true;
}

/* Each path prefix of spiffe://domain/a/b is a group: "a", "a/b". What is not a SPIFFE ID to the letter is
 * refused: such a name was made to be read in two ways. */
static int gather_spiffe(struct gathering *g, const char *uri, size_t len, struct err *err)
{
    const char *end = uri + len, *domain = uri + strlen(SPIFFE);
    const char *slash = memchr(domain, '/', (size_t)(end - domain));
    const char *domain_end = slash == NULL ? end : slash;
    if (!spiffe_segment_ok(domain, (size_t)(domain_end - domain)))
        return err_set(err, "the certificate has a malformed SPIFFE ID");
    const char *path = domain_end + 1;
    for (const char *at = domain_end; at < end;) {
        const char *segment = at + 1, *next = memchr(segment, '/', (size_t)(end - segment));
        at = next == NULL ? end : next;
        if (!spiffe_segment_ok(segment, (size_t)(at - segment)))
            return err_set(err, "the certificate has a malformed SPIFFE ID");
        if (gather(g, IDENTITY_GROUP, path, (size_t)(at - path), err) < 0)
            return -1;
    }
    return 0;
}

static int gather_uri(struct gathering *g, const char *p, size_t len, struct err *err)
{
    if (gather(g, IDENTITY_URI, p, len, err) < 0)
        return -1;
    g->uris++;
    if (len < strlen(SPIFFE) || memcmp(p, SPIFFE, strlen(SPIFFE)) != 0)
        return 0;
    g->spiffe = true;
    return gather_spiffe(g, p, len, err);
}

/* One SAN. The three text kinds are IA5String (RFC 5280, 4.2.1.6), so anything over ASCII is refused. */
static int gather_general_name(struct gathering *g, const GENERAL_NAME *name, struct err *err)
{
    if (name->type != GEN_DNS && name->type != GEN_URI && name->type != GEN_EMAIL)
        return 0;
    const ASN1_STRING *s = name->d.ia5;
    const char *p = (const char *)ASN1_STRING_get0_data(s);
    size_t len = (size_t)ASN1_STRING_length(s);
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)p[i] > 0x7f || p[i] == ' ')
            return err_set(err,
                           "the certificate has a subject alternative name with a space or outside ASCII");
    if (name->type == GEN_URI)
        return gather_uri(g, p, len, err);
    size_t at = g->bytes.len;
    if (gather(g, name->type == GEN_DNS ? IDENTITY_DNS : IDENTITY_EMAIL, p, len, err) < 0)
        return -1;
    if (name->type == GEN_DNS && len > 0)
        str_lower((char *)g->bytes.data + at, len);
    return 0;
}

static int gather_alternatives(struct gathering *g, const X509 *leaf, struct err *err)
{
    int critical = 0;
    GENERAL_NAMES *names = X509_get_ext_d2i(leaf, NID_subject_alt_name, &critical, NULL);
    if (names == NULL) /* -1: there is none; anything else: damaged, or there twice */
        return critical == -1 ? 0
                              : err_set(err, "the certificate's subject alternative names cannot be read");
    int rc = 0;
    for (size_t i = 0; i < sk_GENERAL_NAME_num(names) && rc == 0; i++)
        rc = gather_general_name(g, sk_GENERAL_NAME_value(names, i), err);
    GENERAL_NAMES_free(names);
    /* X509-SVID, 2: more than one URI SAN must be refused. */
    if (rc == 0 && g->spiffe && g->uris > 1)
        return err_set(err, "the certificate has a SPIFFE ID and another URI");
    return rc;
}

/* The block: header, facts, then all values. */
static struct identity *assemble(const struct gathering *g)
{
    size_t head = sizeof(struct identity) + g->count * sizeof(struct identity_fact);
    struct identity *id = malloc(head + g->bytes.len);
    if (id == NULL)
        return NULL;
    char *values = (char *)id + head;
    if (g->bytes.len > 0)
        memcpy(values, g->bytes.data, g->bytes.len);
    id->magic = IDENTITY_MAGIC;
    id->count = g->count;
    for (uint32_t i = 0; i < g->count; i++)
        id->facts[i] = (struct identity_fact){g->facts[i].kind, values + g->facts[i].at};
    return id;
}

static int gather_leaf(struct gathering *g, const X509 *leaf, struct err *err)
{
    const X509_NAME *subject = X509_get_subject_name(leaf);
    if (gather_common_name(g, IDENTITY_NAME, subject, err) < 0 || gather_alternatives(g, leaf, err) < 0 ||
        gather_common_name(g, IDENTITY_ISSUER, X509_get_issuer_name(leaf), err) < 0 ||
        gather_units(g, subject, err) < 0)
        return -1;
    return 0;
}

struct identity *identity_from_der(const uint8_t *der, size_t len, struct err *err)
{
    const uint8_t *end = der;
    X509 *leaf = len > LONG_MAX ? NULL : d2i_X509(NULL, &end, (long)len);
    struct identity *id = NULL;
    struct gathering g = {.bytes = {.max = IDENTITY_BYTES_MAX}};
    if (leaf == NULL || end != der + len)
        err_set(err, "the certificate cannot be read");
    else if (gather_leaf(&g, leaf, err) == 0 && (id = assemble(&g)) == NULL)
        err_set(err, "out of memory");
    buf_free(&g.bytes);
    X509_free(leaf);
    ERR_clear_error();
    return id;
}

struct identity *identity_make(const struct identity_fact *facts, size_t count)
{
    struct gathering g = {.bytes = {.max = IDENTITY_BYTES_MAX}};
    struct identity *id = NULL;
    size_t i = 0;
    while (i < count && gather(&g, facts[i].kind, facts[i].value, strlen(facts[i].value), NULL) == 0)
        i++;
    if (i == count)
        id = assemble(&g);
    buf_free(&g.bytes);
    return id;
}

void identity_free(struct identity *id)
{
    if (id == NULL)
        return;
    CHECK_MAGIC(id, IDENTITY_MAGIC);
    id->magic = 0;
    free(id);
}

const char *identity_label(const struct identity *id)
{
    static const enum identity_kind order[] = {IDENTITY_NAME, IDENTITY_URI, IDENTITY_EMAIL, IDENTITY_DNS};
    CHECK_MAGIC(id, IDENTITY_MAGIC);
    for (size_t k = 0; k < ARRAY_LEN(order); k++)
        for (uint32_t i = 0; i < id->count; i++)
            if (id->facts[i].kind == order[k])
                return id->facts[i].value;
    return "unnamed";
}

static bool is_of_login(const struct identity_fact *fact)
{
    return fact->kind == IDENTITY_URI &&
           strncmp(fact->value, IDENTITY_LOGIN_URI, sizeof(IDENTITY_LOGIN_URI) - 1) == 0;
}

void identity_digest(const struct identity *id, uint8_t ret[IDENTITY_DIGEST])
{
    SHA256_CTX sum;
    SHA256_Init(&sum);
    for (uint32_t i = 0; i < id->count; i++) {
        uint8_t kind = (uint8_t)id->facts[i].kind;
        if (is_of_login(&id->facts[i]))
            continue;
        SHA256_Update(&sum, &kind, 1);
        SHA256_Update(&sum, id->facts[i].value, strlen(id->facts[i].value) + 1);
    }
    SHA256_Final(ret, &sum);
}
