/* SPDX-License-Identifier: Apache-2.0 */
/* SSH's public keys: reading those of others. */
#include "ca/ssh.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/nid.h>

#include "base/base64.h"
#include "base/check.h"
#include "base/cursor.h"

#define BLOB_MAX (8 * 1024)
#define ED25519_LEN 32
#define RSA_BITS_MIN 2048
#define RSA_BITS_MAX 16384
#define APPLICATION_MAX 256

/* Reads the fields of a key blob behind the type; NULL, or what is wrong. */
typedef const char *read_fields(struct cursor *c, const char *curve);

static read_fields read_ed25519, read_ecdsa, read_rsa, read_sk_ed25519, read_sk_ecdsa;

static const struct type_row {
    const char *type;
    const char *cert_type;
    read_fields *read;
    const char *curve;
} types[] = {
    {"ssh-ed25519", "ssh-ed25519-cert-v01@openssh.com", read_ed25519, NULL},
    {"ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256-cert-v01@openssh.com", read_ecdsa, "nistp256"},
    {"ecdsa-sha2-nistp384", "ecdsa-sha2-nistp384-cert-v01@openssh.com", read_ecdsa, "nistp384"},
    {"ecdsa-sha2-nistp521", "ecdsa-sha2-nistp521-cert-v01@openssh.com", read_ecdsa, "nistp521"},
    {"ssh-rsa", "ssh-rsa-cert-v01@openssh.com", read_rsa, NULL},
    {"sk-ssh-ed25519@openssh.com", "sk-ssh-ed25519-cert-v01@openssh.com", read_sk_ed25519, NULL},
    {"sk-ecdsa-sha2-nistp256@openssh.com", "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com", read_sk_ecdsa,
     "nistp256"},
};

/* ---- fields ---- */

static bool string_is(struct cursor *c, const char *text)
{
    struct cursor s;
    size_t len = strlen(text);
    return cursor_vector(c, 4, &s) && cursor_left(&s) == len && memcmp(s.p, text, len) == 0;
}

static const char *read_ed25519(struct cursor *c, const char *curve)
{
    struct cursor key;
    (void)curve;
    return cursor_vector(c, 4, &key) && cursor_left(&key) == ED25519_LEN ? NULL
                                                                         : "no Ed25519 key of 32 bytes";
}

static bool on_curve(const struct cursor *point, const char *curve)
{
    int nid = strcmp(curve, "nistp256") == 0   ? NID_X9_62_prime256v1
              : strcmp(curve, "nistp384") == 0 ? NID_secp384r1
                                               : NID_secp521r1;
    EC_GROUP *group = EC_GROUP_new_by_curve_name(nid);
    EC_POINT *at = group == NULL ? NULL : EC_POINT_new(group);
    bool ok = at != NULL && cursor_left(point) > 0 && point->p[0] == POINT_CONVERSION_UNCOMPRESSED &&
              EC_POINT_oct2point(group, at, point->p, cursor_left(point), NULL) == 1;
    EC_POINT_free(at);
    EC_GROUP_free(group);
    ERR_clear_error();
    return ok;
}

static const char *read_ecdsa(struct cursor *c, const char *curve)
{
    struct cursor point;
    if (!string_is(c, curve))
        return "not the curve that its type says";
    return cursor_vector(c, 4, &point) && on_curve(&point, curve) ? NULL : "no point of its curve";
}

/* A positive number without a byte too many (RFC 4251, 5); its bits, or 0. */
static size_t read_mpint(struct cursor *c, struct cursor *ret)
{
    if (!cursor_vector(c, 4, ret) || cursor_left(ret) == 0 || (ret->p[0] & 0x80) != 0)
        return 0;
    if (ret->p[0] == 0 && (cursor_left(ret) == 1 || (ret->p[1] & 0x80) == 0))
        return 0;
    const uint8_t *p = ret->p + (ret->p[0] == 0);
    size_t bits = 8 * (size_t)(ret->end - p);
    for (uint8_t top = 0x80; (*p & top) == 0; top >>= 1)
        bits--;
    return bits;
}

static const char *read_rsa(struct cursor *c, const char *curve)
{
    struct cursor e, n;
    (void)curve;
    size_t e_bits = read_mpint(c, &e), n_bits = read_mpint(c, &n);
    if (e_bits < 2 || e_bits > 33 || (e.end[-1] & 1) == 0)
        return "an RSA exponent that is not odd, or not from 3 to 2^33";
    if (n_bits < RSA_BITS_MIN || n_bits > RSA_BITS_MAX || (n.end[-1] & 1) == 0)
        return "no RSA modulus of 2048 to 16384 bits";
    return NULL;
}

static const char *read_application(struct cursor *c, const char *fault)
{
    struct cursor application;
    if (fault != NULL)
        return fault;
    return cursor_vector(c, 4, &application) && cursor_left(&application) <= APPLICATION_MAX
               ? NULL
               : "no application of a security key";
}

static const char *read_sk_ed25519(struct cursor *c, const char *curve)
{
    return read_application(c, read_ed25519(c, curve));
}

static const char *read_sk_ecdsa(struct cursor *c, const char *curve)
{
    return read_application(c, read_ecdsa(c, curve));
}

/* ---- the line ---- */

static const struct type_row *find_type(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (str_is(name, types[i].type))
            return &types[i];
    return NULL;
}

/* The next word; what is left begins behind it. */
static struct str next_word(struct str *line)
{
    while (line->len > 0 && (*line->p == ' ' || *line->p == '\t'))
        line->p++, line->len--;
    struct str word = {line->p, 0};
    while (word.len < line->len && word.p[word.len] != ' ' && word.p[word.len] != '\t')
        word.len++;
    line->p += word.len;
    line->len -= word.len;
    return word;
}

static int read_blob(struct str text, struct buf *ret, struct err *err)
{
    char copy[BLOB_MAX / 3 * 4 + 8];
    size_t padding = 0;
    if (text.len == 0 || text.len % 4 != 0 || !str_copy(copy, sizeof(copy), text.p, text.len))
        return err_set(err, "no public key in base64");
    while (padding < 2 && text.p[text.len - 1 - padding] == '=')
        padding++;
    size_t len = text.len / 4 * 3 - padding;
    if (!buf_reserve(ret, len))
        return err_set(err, "out of memory");
    if (!base64_read(copy, ret->data, len))
        return err_set(err, "no public key in base64");
    ret->len = len;
    return 0;
}

static int take_blob(const struct type_row *row, const struct buf *blob, struct ssh_public *ret,
                     struct err *err)
{
    struct cursor c = cursor_of(blob->data, blob->len);
    if (!string_is(&c, row->type))
        return err_set(err, "a key of another type than '%s'", row->type);
    struct cursor fields = c;
    const char *fault = row->read(&c, row->curve);
    if (fault == NULL && cursor_left(&c) > 0)
        fault = "bytes behind the key";
    if (fault != NULL)
        return err_set(err, "%s", fault);
    ret->type = row->type;
    ret->cert_type = row->cert_type;
    return buf_append(&ret->fields, fields.p, cursor_left(&fields)) ? 0 : err_set(err, "out of memory");
}

static int take_line(struct str line, struct ssh_public *ret, struct err *err)
{
    struct buf blob = {0};
    const struct type_row *row = find_type(next_word(&line));
    if (row == NULL)
        return err_set(
            err,
            "expected a line such as 'ssh-ed25519 AAAA... NAME', as ssh-keygen writes it into a .pub file; "
            "ssh-dss, certificates and options before the type are not taken");
    int rc = read_blob(next_word(&line), &blob, err);
    if (rc == 0)
        rc = take_blob(row, &blob, ret, err);
    buf_free(&blob);
    while (line.len > 0 && *line.p == ' ')
        line.p++, line.len--;
    for (size_t i = 0; rc == 0 && i < line.len; i++) {
        char c = line.p[i] < ' ' || line.p[i] > '~' ? '?' : line.p[i];
        if (!buf_append(&ret->comment, &c, 1))
            rc = err_set(err, "out of memory");
    }
    return rc;
}

int ssh_public_read(struct str line, struct ssh_public *ret, struct err *err)
{
    *ret = (struct ssh_public){0};
    while (line.len > 0 && (line.p[line.len - 1] == '\n' || line.p[line.len - 1] == '\r'))
        line.len--;
    int rc = 0;
    if (line.len > SSH_LINE_MAX || memchr(line.p, '\n', line.len) != NULL)
        rc = err_set(err, "more than one line, or %d bytes", SSH_LINE_MAX);
    if (rc == 0)
        rc = take_line(line, ret, err);
    if (rc == 0)
        return 0;
    ssh_public_free(ret);
    return err_prefix(err, "the public key of SSH is refused");
}

void ssh_public_free(struct ssh_public *key)
{
    buf_free(&key->fields);
    buf_free(&key->comment);
    *key = (struct ssh_public){0};
}
