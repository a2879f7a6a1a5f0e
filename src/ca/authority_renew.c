/* SPDX-License-Identifier: Apache-2.0 */
/* Another intermediate. Its files are written first and the log tells of it last, in one transaction: until
 * then there is none, and files that the log does not know are nobody's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/ec.h>
#include <openssl/ec_key.h>
#include <openssl/err.h>
#include <openssl/obj.h>

#include "base/check.h"
#include "ca/authority_internal.h"
#include "ca/key_place.h"
#include "cert/key.h"
#include "cert/pkcs11.h"
#include "state/state.h"

#define NUMBER_MAX 9999

/* What is being made. */
struct making {
    struct authority *a;
    const struct authority_renewal *with;
    char cert[GENERATION_FILE_MAX], key[GENERATION_FILE_MAX];
    char detail[2 * GENERATION_FILE_MAX];
    int number;
};

/* ---- names ---- */

bool authority_has_file(const struct authority *a, const char *name)
{
    char *path = authority_path(a->dir, name);
    bool is = access(path, F_OK) == 0;
    free(path);
    return is;
}

/* The first number of which there are no files: what a crash has left is not overwritten. */
static int choose_files(struct making *m, struct err *err)
{
    for (m->number = 2; m->number <= NUMBER_MAX; m->number++) {
        snprintf(m->cert, sizeof(m->cert), INTERMEDIATE "-%d.pem", m->number);
        snprintf(m->key, sizeof(m->key), INTERMEDIATE "-%d.key", m->number);
        if (!authority_has_file(m->a, m->cert) && !authority_has_file(m->a, m->key))
            break;
    }
    if (m->number > NUMBER_MAX)
        return err_set(err, "%s: more than %d intermediates", m->a->dir, NUMBER_MAX);
    if (m->with->same_key)
        str_copy(m->key, sizeof(m->key), authority_current(m->a)->key, strlen(authority_current(m->a)->key));
    snprintf(m->detail, sizeof(m->detail), "%s %s", m->cert, m->key);
    return 0;
}

int authority_next_name(X509 *cert, const char *before, int number, char ret[AUTHORITY_NAME_LEN + 1],
                        struct err *err)
{
    char text[2 * AUTHORITY_NAME_LEN];
    int len = X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, text, sizeof(text));
    if (len <= 0)
        return err_set(err, "the certificate before has no common name");
    size_t tail = strlen(before);
    if (tail > 0 && (size_t)len > tail && strcmp(text + len - tail, before) == 0)
        text[(size_t)len - tail] = '\0';
    len = (int)strlen(text);
    len += snprintf(text + len, sizeof(text) - (size_t)len, " %d", number);
    return len <= AUTHORITY_NAME_LEN && str_copy(ret, AUTHORITY_NAME_LEN + 1, text, (size_t)len)
               ? 0
               : err_set(err, "'%s' is too long for a common name", text);
}

/* Who has another key has another name, so that nobody mixes up their CRLs: that of the first one, and the
 * number. */
static int choose_name(const struct making *m, char ret[AUTHORITY_NAME_LEN + 1], struct err *err)
{
    const struct generation *g = authority_current(m->a);
    X509 *before = g->ca->chain[0];
    char number[GENERATION_FILE_MAX];
    if (m->with->same_key)
        return X509_NAME_get_text_by_NID(X509_get_subject_name(before), NID_commonName, ret,
                                         AUTHORITY_NAME_LEN + 1) > 0
                   ? 0
                   : err_set(err, "%s has no common name", g->cert);
    snprintf(number, sizeof(number), "%s%s", g->suffix[0] != '\0' ? " " : "",
             g->suffix[0] != '\0' ? g->suffix + 1 : "");
    return authority_next_name(before, number, m->number, ret, err);
}

/* ---- keys ---- */

static int parameter_of(const EVP_PKEY *key)
{
    switch (EVP_PKEY_id(key)) {
    case EVP_PKEY_EC:
        return EC_GROUP_get_curve_name(EC_KEY_get0_group(EVP_PKEY_get0_EC_KEY(key)));
    case EVP_PKEY_RSA:
        return EVP_PKEY_bits(key);
    case EVP_PKEY_PQDSA:
        return EVP_PKEY_pqdsa_get_type(key);
    default:
        return 0;
    }
}

enum key_kind authority_kind_like(const EVP_PKEY *key)
{
    for (enum key_kind kind = 0; kind < KEY_KINDS; kind++) {
        int type, parameter;
        key_type(kind, &type, &parameter);
        if (type == EVP_PKEY_id(key) && parameter == parameter_of(key))
            return kind;
    }
    return KEY_P256; /* one of a token that we do not make */
}

static EVP_PKEY *take_key(const struct making *m, struct err *err)
{
    EVP_PKEY *before = authority_current(m->a)->ca->key;
    if (m->with->same_key) {
        EVP_PKEY_up_ref(before);
        return before;
    }
    return key_place_take(m->with->uri, m->with->generate,
                          m->with->any_kind ? authority_kind_like(before) : m->with->kind,
                          m->with->secrets.pin, err);
}

static char *root_key_path(const struct authority *a, const char *root_key)
{
    char *path = root_key != NULL ? strdup(root_key) : authority_path(a->dir, a->roots.v[a->roots.n - 1].key);
    CHECK(path != NULL);
    return path;
}

enum key_place_kind authority_root_key(const struct authority *a, const char *root_key,
                                       char ret_uri[KEY_URI_MAX])
{
    CHECK_MAGIC(a, AUTHORITY_MAGIC);
    if (root_key != NULL && pkcs11_is_uri(root_key)) {
        str_copy(ret_uri, KEY_URI_MAX, root_key, MIN(strlen(root_key), (size_t)KEY_URI_MAX - 1));
        return KEY_PLACE_TOKEN;
    }
    char *path = root_key_path(a, root_key);
    enum key_place_kind place = key_place_look(path, ret_uri);
    free(path);
    return place;
}

int authority_unlock_root(struct authority *a, const char *root_key, const struct key_secrets *secrets,
                          struct err *err)
{
    struct root *root = roots_latest(&a->roots);
    char *path = root_key_path(a, root_key);
    EVP_PKEY *key =
        pkcs11_is_uri(path) ? pkcs11_read_key(path, secrets->pin, err) : key_place_read(path, secrets, err);
    if (key != NULL && X509_check_private_key(root->ca->chain[0], key) != 1) {
        err_set(err, "%.200s: not the key of the certificate in %s/%s", path, a->dir, root->cert);
        EVP_PKEY_free(key);
        key = NULL;
    }
    root->ca->key = key;
    ERR_clear_error();
    free(path);
    return key != NULL ? 0 : -1;
}

void authority_lock_root(struct authority *a)
{
    struct ca *root = roots_latest(&a->roots)->ca;
    EVP_PKEY_free(root->key);
    root->key = NULL;
}

/* ---- making ---- */

/* The constraints of the one before, word by word; `text` is cut up. */
static size_t split(char *text, const char **ret, size_t max)
{
    size_t n = 0;
    for (char *save, *word = strtok_r(text, " ", &save); word != NULL && n < max;
         word = strtok_r(NULL, " ", &save))
        ret[n++] = word;
    return n;
}

static struct ca *sign(const struct making *m, EVP_PKEY *key, int64_t now, struct err *err)
{
    char name[AUTHORITY_NAME_LEN + 1];
    struct buf text = {0};
    struct ca *made = NULL;
    X509 *before = authority_current(m->a)->ca->chain[0];
    bool ok = ca_put_constraints(before, &text) && buf_text(&text) != NULL;
    const char **permitted = calloc(text.len + 1, sizeof(*permitted));
    CHECK(permitted != NULL);
    if (!ok) {
        err_set(err, "out of memory");
    } else if (choose_name(m, name, err) == 0) {
        const struct ca_request request = {.name = name,
                                           .permitted = permitted,
                                           .permitted_len = split(buf_text(&text), permitted, text.len + 1),
                                           .now = now,
                                           .lifetime = m->with->lifetime != 0 ? m->with->lifetime
                                                                              : INTERMEDIATE_LIFETIME};
        EVP_PKEY_up_ref(key);
        made = ca_make(roots_latest(&m->a->roots)->ca, key, CA_PROFILE_INTERMEDIATE, &request, err);
    }
    if (made != NULL)
        roots_put_above(&m->a->roots, made, now);
    free(permitted);
    buf_free(&text);
    return made;
}

static int write_files(const struct making *m, const struct ca *ca, struct err *err)
{
    const struct authority *a = m->a;
    if (!m->with->same_key)
        return authority_write_pair(ca, a->dir, m->cert, m->key, m->with->uri, m->with->secrets.passphrase,
                                    err);
    return authority_write_cert(ca, a->dir, m->cert, err);
}

/* In a transaction, so that two who do this at once do it one after the other. */
static int make(struct making *m, const char *who, int64_t now, struct err *err)
{
    if (choose_files(m, err) < 0)
        return -1;
    EVP_PKEY *key = take_key(m, err);
    struct ca *ca = key == NULL ? NULL : sign(m, key, now, err);
    int rc = ca == NULL ? -1 : write_files(m, ca, err);
    if (rc == 0)
        rc = authority_log_certificate(m->a->db, ca, "renew", who, m->detail, now, err);
    EVP_PKEY_free(key);
    ca_free(ca);
    return rc;
}

int authority_renew(struct authority *a, const struct authority_renewal *renewal, const char *who,
                    int64_t now, struct err *err)
{
    CHECK_MAGIC(a, AUTHORITY_MAGIC);
    struct making m = {.a = a, .with = renewal};
    if (authority_check_unlocked(a, err) < 0 ||
        authority_unlock_root(a, renewal->root_key, &renewal->root, err) < 0)
        return -1;
    int rc = state_begin(a->db, err);
    if (rc == 0)
        rc = state_end(a->db, make(&m, who, now, err), err);
    authority_lock_root(a);
    return rc < 0 ? -1 : authority_follow_roots(a, now, err);
}
