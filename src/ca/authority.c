/* SPDX-License-Identifier: Apache-2.0 */
#include "ca/authority.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/x509v3.h>

#include "base/check.h"
#include "ca/authority_internal.h"
#include "ca/journal.h"
#include "ca/key_place.h"
#include "ca/ssh.h"
#include "cert/key.h"
#include "cert/pkcs11.h"
#include "state/state.h"

#define DAY INT64_C(86400)
#define URL_MAX 512

char *authority_path(const char *dir, const char *name)
{
    char *path;
    CHECK(asprintf(&path, "%s/%s", dir, name) >= 0);
    return path;
}

/* ---- opening ---- */

static struct state *load_database(const char *dir, struct err *err)
{
    char *path = authority_path(dir, DATABASE);
    struct state *db = NULL;
    /* A new one would be a log without a past, and serial numbers that nobody knows. */
    if (access(path, F_OK) < 0)
        err_errno(err, errno, "%s: put a copy back; it is never made anew", path);
    else
        db = journal_open(path, err);
    free(path);
    return db;
}

struct authority *authority_open(const char *dir, struct err *err)
{
    struct authority *a = calloc(1, sizeof(*a));
    CHECK(a != NULL && (a->dir = strdup(dir)) != NULL);
    a->magic = AUTHORITY_MAGIC;
    if ((a->db = load_database(dir, err)) == NULL || authority_load_generations(a, err) < 0) {
        err_prefix(err, "no CA in %s", dir);
        authority_close(a);
        return NULL;
    }
    return a;
}

/* The files of keys that unlocking needs. */
static const char *key_file(const struct authority *a, size_t i)
{
    const char *const files[] = {authority_current(a)->key, SSH_USER_CA ".key", SSH_HOST_CA ".key"};
    return i < ARRAY_LEN(files) ? files[i] : NULL;
}

static enum key_place_kind look_at_key(const struct authority *a, const char *file, char uri[KEY_URI_MAX])
{
    char *path = authority_path(a->dir, file);
    enum key_place_kind place = key_place_look(path, uri);
    free(path);
    return place;
}

bool authority_has_key(const struct authority *a, enum key_place_kind place)
{
    char uri[KEY_URI_MAX];
    const char *file;
    for (size_t i = 0; (file = key_file(a, i)) != NULL; i++)
        if (look_at_key(a, file, uri) == place)
            return true;
    return false;
}

bool authority_is_locked(const struct authority *a)
{
    CHECK_MAGIC(a, AUTHORITY_MAGIC);
    return authority_has_key(a, KEY_PLACE_ENCRYPTED);
}

bool authority_asks_pin(const struct authority *a)
{
    CHECK_MAGIC(a, AUTHORITY_MAGIC);
    char uri[KEY_URI_MAX];
    const char *file;
    for (size_t i = 0; (file = key_file(a, i)) != NULL; i++)
        if (look_at_key(a, file, uri) == KEY_PLACE_TOKEN && pkcs11_asks_pin(uri))
            return true;
    return false;
}

static int load_ssh(struct authority *a, int which, const struct key_secrets *secrets, struct err *err)
{
    char *path = authority_path(a->dir, which == SSH_USER ? SSH_USER_CA ".key" : SSH_HOST_CA ".key");
    EVP_PKEY *key = key_place_read(path, secrets, err);
    int rc = key == NULL ? -1 : ssh_put_key(&a->ssh_pub[which], key, err);
    a->ssh[which] = key;
    free(path);
    return rc;
}

static void lock(struct authority *a)
{
    for (size_t i = 0; i < a->generations_len; i++) {
        struct ca *ca = a->generations[i].ca;
        if (ca == NULL) /* the log was not read to its end */
            continue;
        EVP_PKEY_free(ca->key);
        ca->key = NULL;
    }
    for (int which = 0; which < SSH_CAS; which++) {
        EVP_PKEY_free(a->ssh[which]);
        a->ssh[which] = NULL;
        buf_free(&a->ssh_pub[which]);
    }
}

int authority_unlock(struct authority *a, const struct key_secrets *secrets, struct err *err)
{
    CHECK_MAGIC(a, AUTHORITY_MAGIC);
    struct err ignored;
    if (authority_current(a)->ca->key != NULL)
        return 0;
    for (size_t i = 0; i + 1 < a->generations_len; i++)
        (void)authority_load_key(a, &a->generations[i], secrets, &ignored);
    int rc = authority_load_key(a, authority_current(a), secrets, err);
    for (int which = 0; which < SSH_CAS && rc == 0; which++)
        rc = load_ssh(a, which, secrets, err);
    if (rc < 0)
        lock(a);
    return rc;
}

void authority_close(struct authority *a)
{
    if (a == NULL)
        return;
    CHECK_MAGIC(a, AUTHORITY_MAGIC);
    roots_free(&a->roots);
    lock(a);
    authority_free_generations(a);
    state_close(a->db);
    buf_free(&a->url);
    free(a->dir);
    a->magic = 0;
    free(a);
}

X509 *authority_root(const struct authority *a)
{
    CHECK_MAGIC(a, AUTHORITY_MAGIC);
    return a->roots.v[a->roots.n - 1].ca->chain[0];
}

X509 *authority_earlier_root(const struct authority *a, size_t i)
{
    CHECK_MAGIC(a, AUTHORITY_MAGIC);
    return i + 1 < a->roots.n ? a->roots.v[a->roots.n - 2 - i].ca->chain[0] : NULL;
}

bool authority_put_roots(const struct authority *a, int64_t now, struct buf *ret_pem)
{
    CHECK_MAGIC(a, AUTHORITY_MAGIC);
    return roots_put_pem(&a->roots, now, ret_pem);
}

X509 *authority_intermediate(const struct authority *a)
{
    CHECK_MAGIC(a, AUTHORITY_MAGIC);
    return authority_current(a)->ca->chain[0];
}

int authority_check_unlocked(const struct authority *a, struct err *err)
{
    return authority_current(a)->ca->key != NULL && a->ssh[SSH_HOST] != NULL
               ? 0
               : err_set(err, "the keys of the CA in %s have not been unlocked", a->dir);
}

/* ---- settings ---- */

int authority_url(struct authority *a, struct str *ret, struct err *err)
{
    CHECK_MAGIC(a, AUTHORITY_MAGIC);
    a->url.len = 0; /* another process may have changed it */
    if (journal_setting(a->db, "url", &a->url, err) < 0)
        return -1;
    *ret = (struct str){(const char *)a->url.data, a->url.len};
    return 0;
}

int authority_check_url(const char *url, struct err *err)
{
    size_t len = strlen(url);
    bool ok = len <= URL_MAX && (strncmp(url, "http://", 7) == 0 || strncmp(url, "https://", 8) == 0) &&
              url[len - 1] != '/' && ca_san_type(url) == GEN_URI;
    return ok ? 0
              : err_set(err,
                        "'%s': expected http://HOST, perhaps with a path, without a '/' at its end (clients "
                        "ask for CRLs and OCSP without TLS, RFC 5280, 8)",
                        url);
}

static int set(struct authority *a, const char *name, const char *value, const char *who, int64_t now,
               struct err *err)
{
    struct buf detail = {0};
    int64_t row;
    if (!buf_printf(&detail, "%s=%s", name, value))
        return err_set(err, "out of memory");
    const struct journal_act act = {
        .at = now, .act = "set", .who = who, .detail = {(const char *)detail.data, detail.len}};
    int rc = state_begin(a->db, err);
    if (rc == 0)
        rc = state_end(a->db, journal_append(a->db, &act, &row, err), err);
    buf_free(&detail);
    return rc;
}

int authority_set_url(struct authority *a, const char *url, const char *who, int64_t now, struct err *err)
{
    CHECK_MAGIC(a, AUTHORITY_MAGIC);
    if (url[0] != '\0' && authority_check_url(url, err) < 0)
        return -1;
    return set(a, "url", url, who, now, err);
}

int authority_set_replace(struct authority *a, bool all, const char *who, int64_t now, struct err *err)
{
    char value[24] = "";
    CHECK_MAGIC(a, AUTHORITY_MAGIC);
    if (all)
        snprintf(value, sizeof(value), "%lld", (long long)now);
    return set(a, "replace", value, who, now, err);
}

int authority_replace(struct authority *a, int64_t *ret, struct err *err)
{
    struct buf value = {0};
    uint64_t until = 0;
    CHECK_MAGIC(a, AUTHORITY_MAGIC);
    const char *text = NULL;
    int rc = 0;
    if (journal_setting(a->db, "replace", &value, err) < 0)
        rc = -1;
    else if ((text = buf_text(&value)) == NULL)
        rc = err_set(err, "out of memory");
    else if (value.len > 0 && !str_u64(text, INT64_MAX, &until))
        rc = err_set(err, "the log has '%s' for a time", text);
    *ret = (int64_t)until;
    buf_free(&value);
    return rc;
}

/* ---- issuing ---- */

static const struct profile_row {
    const char *name;
    int64_t lifetime, max;
} profiles[CA_PROFILES] = {
    [CA_PROFILE_SERVER] = {"server", 90 * DAY, 398 * DAY},
    [CA_PROFILE_CLIENT] = {"client", 90 * DAY, 398 * DAY},
    [CA_PROFILE_AGENT] = {"agent", 90 * DAY, 398 * DAY},
};

/* Fill in what the profile says, and refuse what it does not allow. */
static int apply_profile(struct authority *a, enum ca_profile profile, struct ca_request *request,
                         struct err *err)
{
    CHECK((unsigned)profile < CA_PROFILES && request->now > 0);
    const struct profile_row *row = &profiles[profile];
    struct str url;
    if (row->name == NULL)
        return err_set(err, "an authority issues certificates of servers, clients and agents only");
    if (request->lifetime == 0)
        request->lifetime = row->lifetime;
    if (request->lifetime > row->max)
        return err_set(err, "a lifetime of %lld days, expected %lld at most in the profile %s",
                       (long long)(request->lifetime / DAY), (long long)(row->max / DAY), row->name);
    if (authority_url(a, &url, err) < 0)
        return -1;
    if (url.len > 0 && (request->url = buf_text(&a->url)) == NULL)
        return err_set(err, "out of memory");
    request->url_suffix = authority_current(a)->suffix;
    return authority_check_unlocked(a, err);
}

static bool join(struct buf *ret, const char *const *texts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!buf_printf(ret, "%s%s", i == 0 ? "" : " ", texts[i]))
            return false;
    return true;
}

static int64_t posix_of(const ASN1_TIME *time)
{
    int64_t seconds = 0;
    CHECK(ASN1_TIME_to_posix(time, &seconds) == 1); /* we have written it */
    return seconds;
}

/* Nothing leaves that is not in the log. */
static int record(struct authority *a, X509 *cert, enum ca_profile profile, const struct ca_request *request,
                  const char *who, struct err *err)
{
    const char *label = request->name != NULL ? request->name : request->sans[0];
    struct buf names = {0};
    uint8_t *der = NULL;
    int len = i2d_X509(cert, &der);
    int rc = -1;
    if (len <= 0 || !join(&names, request->sans, request->sans_len)) {
        err_set(err, "out of memory");
    } else {
        const struct authority_entry entry = {
            .serial = ca_serial_of(cert),
            .profile = {profiles[profile].name, strlen(profiles[profile].name)},
            .label = {label, strlen(label)},
            .names = {(const char *)names.data, names.len},
            .who = {who, strlen(who)},
            .not_before = posix_of(X509_get0_notBefore(cert)),
            .not_after = posix_of(X509_get0_notAfter(cert)),
            .issuer = authority_current(a)->issuer,
            .content = {(const char *)der, (size_t)len},
        };
        rc = journal_issue(a->db, &entry, request->now, false, err);
    }
    buf_free(&names);
    OPENSSL_free(der);
    return rc;
}

/* NULL with `err`: then nothing was issued. */
static X509 *certify(struct authority *a, EVP_PKEY *key, enum ca_profile profile,
                     const struct ca_request *asked, const char *who, struct err *err)
{
    struct ca_request request = *asked;
    if (apply_profile(a, profile, &request, err) < 0)
        return NULL;
    roots_put_above(&a->roots, authority_current(a)->ca, request.now); /* some end as time goes by */
    X509 *cert =
        ca_check_key(key, err) < 0 ? NULL : ca_certify(authority_current(a)->ca, key, profile, &request, err);
    if (cert != NULL && record(a, cert, profile, &request, who, err) < 0) {
        X509_free(cert);
        cert = NULL;
    }
    return cert;
}

int authority_check_names(const struct authority *a, const struct ca_request *request, struct err *err)
{
    CHECK_MAGIC(a, AUTHORITY_MAGIC);
    return ca_check_names(authority_current(a)->ca, request, err);
}

int authority_certify(struct authority *a, EVP_PKEY *key, enum ca_profile profile,
                      const struct ca_request *request, const char *who, struct ca_serial *ret_serial,
                      struct buf *ret_chain_pem, struct err *err)
{
    CHECK_MAGIC(a, AUTHORITY_MAGIC);
    X509 *cert = certify(a, key, profile, request, who, err);
    if (cert == NULL)
        return -1;
    *ret_serial = ca_serial_of(cert);
    bool ok = ca_cert_pem(cert, ret_chain_pem) && ca_chain_pem(authority_current(a)->ca, ret_chain_pem);
    X509_free(cert);
    return ok ? 0 : err_set(err, "out of memory");
}

struct ca *authority_issue(struct authority *a, enum ca_profile profile, const struct ca_request *request,
                           const char *who, struct err *err)
{
    CHECK_MAGIC(a, AUTHORITY_MAGIC);
    struct ca *made = ca_new();
    EVP_PKEY *key = key_make(request->key);
    X509 *cert = NULL;
    if (made == NULL || key == NULL)
        err_set(err, "no key could be made");
    else
        cert = certify(a, key, profile, request, who, err);
    if (cert == NULL) {
        EVP_PKEY_free(key);
        ca_free(made);
        return NULL;
    }
    made->key = key;
    made->chain[made->chain_len++] = cert;
    ca_put_above(made, authority_current(a)->ca);
    return made;
}
