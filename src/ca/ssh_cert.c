/* SPDX-License-Identifier: Apache-2.0 */
/* SSH's certificates and KRLs: writing them. */
#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include "base/base64.h"
#include "base/check.h"
#include "base/cursor.h"
#include "ca/ssh.h"

#define ED25519 "ssh-ed25519"
#define ED25519_LEN 32
#define SIGNATURE_LEN 64
#define NONCE_LEN 32
#define TYPE_USER 1
#define TYPE_HOST 2
#define KRL_MAGIC UINT64_C(0x5353484b524c0a00) /* "SSHKRL\n\0" */
#define KRL_FORMAT 1
#define KRL_CERTIFICATES 1
#define KRL_SERIALS 0x20

static bool put_uint(struct buf *b, size_t n, uint64_t value)
{
    uint8_t bytes[8];
    struct writer w = writer_of(bytes, sizeof(bytes));
    writer_uint(&w, n, value);
    return buf_append(b, bytes, n);
}

static bool put_bytes(struct buf *b, const void *bytes, size_t len)
{
    return put_uint(b, 4, len) && buf_append(b, bytes, len);
}

static bool put_text(struct buf *b, const char *text)
{
    return put_bytes(b, text, strlen(text));
}

/* `inner` as a string; it is freed. */
static bool put_packed(struct buf *b, struct buf *inner, bool ok)
{
    ok = ok && put_bytes(b, inner->data, inner->len);
    buf_free(inner);
    return ok;
}

int ssh_put_key(struct buf *ret, const EVP_PKEY *key, struct err *err)
{
    uint8_t bytes[ED25519_LEN];
    size_t len = sizeof(bytes);
    if (EVP_PKEY_id(key) != EVP_PKEY_ED25519 || EVP_PKEY_get_raw_public_key(key, bytes, &len) != 1)
        return err_set(err, "a key of a CA for SSH is of another kind than Ed25519");
    return put_text(ret, ED25519) && put_bytes(ret, bytes, len) ? 0 : err_set(err, "out of memory");
}

bool ssh_put_line(struct buf *ret, const struct buf *blob, const char *comment)
{
    struct cursor c = cursor_of(blob->data, blob->len), type;
    CHECK(cursor_vector(&c, 4, &type));
    return buf_append(ret, type.p, cursor_left(&type)) && buf_append(ret, " ", 1) &&
           base64_put(ret, blob->data, blob->len) && buf_printf(ret, " %s\n", comment);
}

/* ---- certificates ---- */

static bool put_principals(struct buf *b, const struct ssh_cert *cert)
{
    struct buf inner = {0};
    bool ok = true;
    for (size_t i = 0; i < cert->principals_len && ok; i++)
        ok = put_text(&inner, cert->principals[i]);
    return put_packed(b, &inner, ok);
}

static bool put_option(struct buf *b, const char *name, const char *value)
{
    struct buf inner = {0};
    return value == NULL || (put_text(b, name) && put_packed(b, &inner, put_text(&inner, value)));
}

/* Both lists are in order of names, as they must be. */
static bool put_options(struct buf *b, const struct ssh_cert *cert)
{
    struct buf inner = {0};
    bool ok = put_option(&inner, "force-command", cert->force_command) &&
              put_option(&inner, "source-address", cert->source_address);
    return put_packed(b, &inner, ok);
}

static bool put_extensions(struct buf *b, const struct ssh_cert *cert)
{
    const struct {
        const char *name;
        bool given;
    } extensions[] = {
        {"permit-X11-forwarding", !cert->no_forwarding},
        {"permit-agent-forwarding", !cert->no_forwarding},
        {"permit-port-forwarding", !cert->no_forwarding},
        {"permit-pty", !cert->no_pty},
        {"permit-user-rc", true},
    };
    struct buf inner = {0};
    bool ok = true;
    for (size_t i = 0; i < ARRAY_LEN(extensions) && ok && !cert->host; i++)
        ok = !extensions[i].given || (put_text(&inner, extensions[i].name) && put_text(&inner, ""));
    return put_packed(b, &inner, ok);
}

static bool put_content(struct buf *b, const struct ssh_public *key, const struct ssh_cert *cert,
                        const struct buf *ca_blob)
{
    uint8_t nonce[NONCE_LEN];
    return RAND_bytes(nonce, sizeof(nonce)) == 1 && put_text(b, key->cert_type) &&
           put_bytes(b, nonce, sizeof(nonce)) && buf_append(b, key->fields.data, key->fields.len) &&
           put_uint(b, 8, cert->serial) && put_uint(b, 4, cert->host ? TYPE_HOST : TYPE_USER) &&
           put_text(b, cert->id) && put_principals(b, cert) && put_uint(b, 8, (uint64_t)cert->not_before) &&
           put_uint(b, 8, (uint64_t)cert->not_after) && put_options(b, cert) && put_extensions(b, cert) &&
           put_text(b, "") && put_bytes(b, ca_blob->data, ca_blob->len);
}

static bool put_signature(struct buf *b, EVP_PKEY *ca)
{
    uint8_t signature[SIGNATURE_LEN];
    size_t len = sizeof(signature);
    struct buf inner = {0};
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx != NULL && EVP_DigestSignInit(ctx, NULL, NULL, NULL, ca) == 1 &&
              EVP_DigestSign(ctx, signature, &len, b->data, b->len) == 1;
    EVP_MD_CTX_free(ctx);
    ok = ok && put_text(&inner, ED25519) && put_bytes(&inner, signature, len);
    return put_packed(b, &inner, ok);
}

int ssh_cert_put(struct buf *ret, const struct ssh_public *key, const struct ssh_cert *cert, EVP_PKEY *ca,
                 const struct buf *ca_blob, struct err *err)
{
    struct buf b = {0};
    bool ok = put_content(&b, key, cert, ca_blob) && put_signature(&b, ca) && buf_append(ret, b.data, b.len);
    buf_free(&b);
    ERR_clear_error();
    return ok ? 0 : err_set(err, "the certificate for SSH could not be made");
}

/* ---- KRLs ---- */

bool ssh_krl_begin(struct buf *ret, uint64_t version, int64_t now)
{
    return put_uint(ret, 8, KRL_MAGIC) && put_uint(ret, 4, KRL_FORMAT) && put_uint(ret, 8, version) &&
           put_uint(ret, 8, (uint64_t)now) && put_uint(ret, 8, 0) && put_text(ret, "") && put_text(ret, "");
}

bool ssh_krl_add(struct buf *ret, const struct buf *ca_blob, const uint64_t *serials, size_t count)
{
    struct buf section = {0}, list = {0};
    if (count == 0)
        return true;
    bool ok = put_bytes(&section, ca_blob->data, ca_blob->len) && put_text(&section, "") &&
              put_uint(&section, 1, KRL_SERIALS);
    for (size_t i = 0; i < count && ok; i++)
        ok = put_uint(&list, 8, serials[i]);
    ok = put_packed(&section, &list, ok) && put_uint(ret, 1, KRL_CERTIFICATES);
    return put_packed(ret, &section, ok);
}
