/* SPDX-License-Identifier: Apache-2.0 */
/* The messages of RFC 9261: those of a TLS 1.3 handshake, without records around them. */
#include <openssl/rand.h>
#include <string.h>

#include "base/check.h"
#include "tls/authenticator_internal.h"
#include "tls/params.h"

enum { EXTENSION_SERVER_NAME = 0, EXTENSION_SIGNATURE_ALGORITHMS = 13 };

#define HEADER 4 /* type and length of a handshake message */

/* ---- reading ---- */

bool authenticator_next(struct cursor *in, uint8_t *ret_type, struct cursor *ret_body, struct str *ret_whole)
{
    struct cursor at = *in;
    if (!cursor_u8(&at, ret_type) || !cursor_vector(&at, 3, ret_body))
        return false;
    *ret_whole = (struct str){(const char *)in->p, (size_t)(at.p - in->p)};
    *in = at;
    return true;
}

static bool read_str(struct cursor *in, size_t n, struct str *ret)
{
    struct cursor c;
    if (!cursor_vector(in, n, &c))
        return false;
    *ret = (struct str){(const char *)c.p, cursor_left(&c)};
    return true;
}

static bool has_extension(const uint16_t *list, size_t len, uint16_t type)
{
    for (size_t i = 0; i < len; i++)
        if (list[i] == type)
            return true;
    return false;
}

/* What we do not know is let be (RFC 9261, 5.2.1), but for its type: it may be answered. */
static int read_request_extensions(struct cursor in, struct request_view *ret, struct err *err)
{
    while (cursor_left(&in) > 0) {
        uint16_t type;
        struct cursor body;
        if (!cursor_u16(&in, &type) || !cursor_vector(&in, 2, &body))
            return err_set(err, "an extension of the authenticator request is cut off");
        if (has_extension(ret->extensions, ret->extensions_len, type))
            return err_set(err, "extension %u stands twice in the authenticator request", type);
        if (ret->extensions_len == EXTENSIONS_MAX)
            return err_set(err, "the authenticator request has more than %d extensions", EXTENSIONS_MAX);
        ret->extensions[ret->extensions_len++] = type;
        if (type == EXTENSION_SIGNATURE_ALGORITHMS &&
            (!cursor_vector(&body, 2, &ret->schemes) || cursor_left(&body) > 0 ||
             cursor_left(&ret->schemes) == 0 || cursor_left(&ret->schemes) % 2 != 0))
            return err_set(err, "signature_algorithms of the authenticator request cannot be read");
    }
    if (cursor_left(&ret->schemes) == 0)
        return err_set(err, "the authenticator request has no signature_algorithms (RFC 9261, 7.1)");
    return 0;
}

int authenticator_read_request(struct str message, struct request_view *ret, struct err *err)
{
    struct cursor in = cursor_of(message.p, message.len), body, extensions;
    struct str whole;
    *ret = (struct request_view){0};
    if (message.len > AUTHENTICATOR_REQUEST_MAX)
        return err_set(err, "an authenticator request of %zu bytes; at most %zu are read", message.len,
                       AUTHENTICATOR_REQUEST_MAX);
    if (!authenticator_next(&in, &ret->type, &body, &whole) || cursor_left(&in) > 0)
        return err_set(err, "the authenticator request is not one whole handshake message");
    if (ret->type != MESSAGE_CERTIFICATE_REQUEST && ret->type != MESSAGE_CLIENT_CERTIFICATE_REQUEST)
        return err_set(err, "handshake message %u is no authenticator request", ret->type);
    if (!read_str(&body, 1, &ret->context) || !cursor_vector(&body, 2, &extensions) || cursor_left(&body) > 0)
        return err_set(err, "the authenticator request cannot be read");
    return read_request_extensions(extensions, ret, err);
}

static int read_certificate(struct cursor body, struct authenticator_view *ret, struct err *err)
{
    if (!read_str(&body, 1, &ret->context) || !cursor_vector(&body, 3, &ret->entries) ||
        cursor_left(&body) > 0)
        return err_set(err, "the Certificate message of the authenticator cannot be read");
    if (cursor_left(&ret->entries) == 0)
        return err_set(err, "the authenticator has a Certificate message without certificates");
    return 0;
}

static int read_verify(struct cursor body, struct authenticator_view *ret, struct err *err)
{
    if (!cursor_u16(&body, &ret->scheme) || !read_str(&body, 2, &ret->signature) || cursor_left(&body) > 0)
        return err_set(err, "the CertificateVerify message of the authenticator cannot be read");
    return 0;
}

/* Certificate, CertificateVerify and Finished, or Finished alone; nothing else, in no other order. */
int authenticator_read(struct str message, struct authenticator_view *ret, struct err *err)
{
    struct cursor in = cursor_of(message.p, message.len), body;
    uint8_t type;
    *ret = (struct authenticator_view){0};
    if (message.len > AUTHENTICATOR_MAX)
        return err_set(err, "an authenticator of %zu bytes; at most %zu are read", message.len,
                       AUTHENTICATOR_MAX);
    if (!authenticator_next(&in, &type, &body, &ret->finished))
        return err_set(err, "the authenticator is cut off");
    if (type == MESSAGE_CERTIFICATE) {
        ret->certificate = ret->finished;
        if (read_certificate(body, ret, err) < 0)
            return -1;
        if (!authenticator_next(&in, &type, &body, &ret->verify) || type != MESSAGE_CERTIFICATE_VERIFY)
            return err_set(err, "the authenticator has no CertificateVerify behind its Certificate");
        if (read_verify(body, ret, err) < 0)
            return -1;
        if (!authenticator_next(&in, &type, &body, &ret->finished))
            return err_set(err, "the authenticator is cut off before its Finished");
    }
    if (type != MESSAGE_FINISHED)
        return err_set(err, "handshake message %u stands where the authenticator's Finished was expected",
                       type);
    if (cursor_left(&in) > 0)
        return err_set(err, "%zu bytes stand behind the authenticator", cursor_left(&in));
    ret->mac = (struct str){(const char *)body.p, cursor_left(&body)};
    return 0;
}

/* Of one entry. Extensions are for the request to allow (RFC 9261, 5.2.1), and none means anything to us. */
static int check_extensions(struct cursor in, const struct request_view *request, struct err *err)
{
    uint16_t seen[EXTENSIONS_MAX];
    size_t n = 0;
    while (cursor_left(&in) > 0) {
        uint16_t type;
        struct cursor body;
        if (!cursor_u16(&in, &type) || !cursor_vector(&in, 2, &body))
            return err_set(err, "an extension of a certificate of the authenticator is cut off");
        if (request == NULL || !has_extension(request->extensions, request->extensions_len, type))
            return err_set(
                err, "a certificate of the authenticator has extension %u, which was not asked for", type);
        if (has_extension(seen, n, type))
            return err_set(err, "extension %u stands twice at a certificate of the authenticator", type);
        seen[n++] = type; /* each is one of the request's: there is room */
    }
    return 0;
}

static int read_entry(struct cursor *in, const struct request_view *request, STACK_OF(CRYPTO_BUFFER) * chain,
                      struct err *err)
{
    struct cursor der, extensions;
    if (!cursor_vector(in, 3, &der) || !cursor_vector(in, 2, &extensions) || cursor_left(&der) == 0)
        return err_set(err, "a certificate of the authenticator is cut off");
    if (sk_CRYPTO_BUFFER_num(chain) == TRUST_CHAIN_MAX)
        return err_set(err, "the authenticator has more than %d certificates", TRUST_CHAIN_MAX);
    if (check_extensions(extensions, request, err) < 0)
        return -1;
    CRYPTO_BUFFER *cert = CRYPTO_BUFFER_new(der.p, cursor_left(&der), NULL);
    CHECK(cert != NULL && sk_CRYPTO_BUFFER_push(chain, cert) > 0);
    return 0;
}

STACK_OF(CRYPTO_BUFFER) *
    authenticator_read_chain(struct cursor entries, const struct request_view *request, struct err *err)
{
    STACK_OF(CRYPTO_BUFFER) *chain = sk_CRYPTO_BUFFER_new_null();
    CHECK(chain != NULL);
    while (cursor_left(&entries) > 0)
        if (read_entry(&entries, request, chain, err) < 0) {
            sk_CRYPTO_BUFFER_pop_free(chain, CRYPTO_BUFFER_free);
            return NULL;
        }
    return chain;
}

int authenticator_context(struct str message, struct str *ret, struct err *err)
{
    struct cursor in = cursor_of(message.p, message.len), body;
    struct str whole;
    uint8_t type;
    if (!authenticator_next(&in, &type, &body, &whole))
        return err_set(err, "neither an authenticator nor a request for one: it is cut off");
    if (type != MESSAGE_CERTIFICATE && type != MESSAGE_CERTIFICATE_REQUEST &&
        type != MESSAGE_CLIENT_CERTIFICATE_REQUEST)
        return err_set(err, "handshake message %u has no certificate_request_context", type);
    return read_str(&body, 1, ret) ? 0 : err_set(err, "the certificate_request_context is cut off");
}

/* ---- writing ---- */

static void put_uint(struct buf *out, size_t n, size_t v)
{
    uint8_t be[8];
    struct writer w = writer_of(be, sizeof(be));
    writer_uint(&w, n, v);
    CHECK(buf_append(out, be, n));
}

void authenticator_put_message(struct buf *out, uint8_t type, const void *head, size_t head_len,
                               const void *body, size_t len)
{
    put_uint(out, 1, type);
    put_uint(out, HEADER - 1, head_len + len);
    CHECK(buf_append(out, head, head_len) && buf_append(out, body, len));
}

void authenticator_put_certificate(struct buf *out, struct str context, CRYPTO_BUFFER *const *chain,
                                   size_t chain_len)
{
    size_t list = 0;
    for (size_t i = 0; i < chain_len; i++)
        list += 3 + CRYPTO_BUFFER_len(chain[i]) + 2;
    put_uint(out, 1, MESSAGE_CERTIFICATE);
    put_uint(out, HEADER - 1, 1 + context.len + 3 + list);
    put_uint(out, 1, context.len);
    CHECK(buf_append(out, context.p, context.len));
    put_uint(out, 3, list);
    for (size_t i = 0; i < chain_len; i++) {
        put_uint(out, 3, CRYPTO_BUFFER_len(chain[i]));
        CHECK(buf_append(out, CRYPTO_BUFFER_data(chain[i]), CRYPTO_BUFFER_len(chain[i])));
        put_uint(out, 2, 0); /* no extensions */
    }
}

static void put_extensions(struct buf *out, const char *name)
{
    size_t len = name == NULL ? 0 : strlen(name), schemes = 2 * TLS_PARAMS_SCHEMES_13;
    put_uint(out, 2, 4 + 2 + schemes + (name == NULL ? 0 : 4 + 5 + len));
    put_uint(out, 2, EXTENSION_SIGNATURE_ALGORITHMS);
    put_uint(out, 2, 2 + schemes);
    put_uint(out, 2, schemes);
    for (size_t i = 0; i < TLS_PARAMS_SCHEMES_13; i++)
        put_uint(out, 2, tls_params_schemes[i]);
    if (name == NULL)
        return;
    put_uint(out, 2, EXTENSION_SERVER_NAME);
    put_uint(out, 2, 5 + len);
    put_uint(out, 2, 3 + len);
    put_uint(out, 1, 0); /* host_name */
    put_uint(out, 2, len);
    CHECK(buf_append(out, name, len));
}

void authenticator_request(enum authenticator_sender of, const char *name, struct buf *out)
{
    uint8_t context[AUTHENTICATOR_CONTEXT];
    struct buf body = {0};
    CHECK(name == NULL || (of == AUTHENTICATOR_SERVER && strlen(name) < UINT8_MAX));
    CHECK(RAND_bytes(context, sizeof(context)) == 1);
    put_uint(&body, 1, sizeof(context));
    CHECK(buf_append(&body, context, sizeof(context)));
    put_extensions(&body, name);
    authenticator_put_message(
        out, of == AUTHENTICATOR_CLIENT ? MESSAGE_CERTIFICATE_REQUEST : MESSAGE_CLIENT_CERTIFICATE_REQUEST,
        NULL, 0, body.data, body.len);
    buf_free(&body);
}
