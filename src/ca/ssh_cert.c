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
#include "ca/ssh_internal.h"

#define NONCE_LEN 32
#define TYPE_USER 1
#define TYPE_HOST 2
#define KRL_MAGIC UINT64_C(0x5353484b524c0a00) /* "SSHKRL\n\0" */
#define KRL_FORMAT 1
#define KRL_CERTIFICATES 1
#define KRL_SERIALS 0x20

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
        ok = ssh_put_text(&inner, cert->principals[i]);
    return ssh_put_packed(b, &inner, ok);
}

static bool put_option(struct buf *b, const char *name, const char *value)
{
    struct buf inner = {0};
    return value == NULL || (ssh_put_text(b, name) && ssh_put_packed(b, &inner, ssh_put_text(&inner, value)));
}

/* Both lists are in order of names, as they must be. */
static bool put_options(struct buf *b, const struct ssh_cert *cert)
{
    struct buf inner = {0};
    bool ok = put_option(&inner, "force-command", cert->force_command) &&
              put_option(&inner, "source-address", cert->source_address);
    return ssh_put_packed(b, &inner, ok);
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
        ok = !extensions[i].given || (ssh_put_text(&inner, extensions[i].name) && ssh_put_text(&inner, ""));
    return ssh_put_packed(b, &inner, ok);
}

static bool put_content(struct buf *b, const struct ssh_public *key, const struct ssh_cert *cert,
                        const struct buf *ca_blob)
{
    uint8_t nonce[NONCE_LEN];
    return RAND_bytes(nonce, sizeof(nonce)) == 1 && ssh_put_text(b, key->cert_type) &&
           ssh_put_bytes(b, nonce, sizeof(nonce)) && buf_append(b, key->fields.data, key->fields.len) &&
           ssh_put_uint(b, 8, cert->serial) && ssh_put_uint(b, 4, cert->host ? TYPE_HOST : TYPE_USER) &&
           ssh_put_text(b, cert->id) && put_principals(b, cert) &&
           ssh_put_uint(b, 8, (uint64_t)cert->not_before) && ssh_put_uint(b, 8, (uint64_t)cert->not_after) &&
           put_options(b, cert) && put_extensions(b, cert) && ssh_put_text(b, "") &&
           ssh_put_bytes(b, ca_blob->data, ca_blob->len);
}

int ssh_cert_put(struct buf *ret, const struct ssh_public *key, const struct ssh_cert *cert, EVP_PKEY *ca,
                 const struct buf *ca_blob, struct err *err)
{
    struct buf b = {0};
    bool ok =
        put_content(&b, key, cert, ca_blob) && ssh_put_signature(&b, ca) && buf_append(ret, b.data, b.len);
    buf_free(&b);
    ERR_clear_error();
    return ok ? 0 : err_set(err, "the certificate for SSH could not be made");
}

/* ---- KRLs ---- */

bool ssh_krl_begin(struct buf *ret, uint64_t version, int64_t now)
{
    return ssh_put_uint(ret, 8, KRL_MAGIC) && ssh_put_uint(ret, 4, KRL_FORMAT) &&
           ssh_put_uint(ret, 8, version) && ssh_put_uint(ret, 8, (uint64_t)now) && ssh_put_uint(ret, 8, 0) &&
           ssh_put_text(ret, "") && ssh_put_text(ret, "");
}

bool ssh_krl_add(struct buf *ret, const struct buf *ca_blob, const uint64_t *serials, size_t count)
{
    struct buf section = {0}, list = {0};
    if (count == 0)
        return true;
    bool ok = ssh_put_bytes(&section, ca_blob->data, ca_blob->len) && ssh_put_text(&section, "") &&
              ssh_put_uint(&section, 1, KRL_SERIALS);
    for (size_t i = 0; i < count && ok; i++)
        ok = ssh_put_uint(&list, 8, serials[i]);
    ok = ssh_put_packed(&section, &list, ok) && ssh_put_uint(ret, 1, KRL_CERTIFICATES);
    return ssh_put_packed(ret, &section, ok);
}
