/* SPDX-License-Identifier: Apache-2.0 */
/* cert/trust.h: an anchor, a CRL and then a peer's certificates, leaf first, each after its length in two
 * bytes. Whatever they are, the chain is proven or there is a reason, an alert, and the same answer the next
 * time. Certificates come from strangers, CRLs from a CA that fetches them from who knows where. */
#include <openssl/base64.h>
#include <openssl/pool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/cursor.h"
#include "cert/trust.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define NOW INT64_C(1800000000) /* in 2027, when the seeds are valid */
#define PATH_MAX_HERE 32

/* A file in memory, known by a path. */
static int put_file(const void *data, size_t len, char path[PATH_MAX_HERE])
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    CHECK(fd >= 0 && write(fd, data, len) == (ssize_t)len);
    snprintf(path, PATH_MAX_HERE, "/proc/self/fd/%d", fd);
    return fd;
}

static int put_pem(struct cursor der, char path[PATH_MAX_HERE])
{
    struct buf pem = {0};
    size_t len;
    CHECK(EVP_EncodedLength(&len, cursor_left(&der)) == 1 &&
          buf_printf(&pem, "-----BEGIN CERTIFICATE-----\n"));
    CHECK(buf_reserve(&pem, len));
    pem.len += EVP_EncodeBlock(pem.data + pem.len, der.p, cursor_left(&der));
    CHECK(buf_printf(&pem, "\n-----END CERTIFICATE-----\n"));
    int fd = put_file(pem.data, pem.len, path);
    buf_free(&pem);
    return fd;
}

static struct trust *load(struct cursor anchor, struct cursor crl)
{
    char ca_path[PATH_MAX_HERE], crl_path[PATH_MAX_HERE];
    const char *ca = ca_path, *list = crl_path;
    int ca_fd = put_pem(anchor, ca_path), crl_fd = put_file(crl.p, cursor_left(&crl), crl_path);
    struct trust_files files = {
        .name = "fuzz", .ca = &ca, .ca_len = 1, .crl = &list, .crl_len = cursor_left(&crl) > 0};
    struct err err = {""};
    struct trust *trust = trust_load(&files, &err);
    CHECK(trust != NULL || err.text[0] != '\0');
    close(ca_fd);
    close(crl_fd);
    return trust;
}

static void judge(const struct trust *trust, const STACK_OF(CRYPTO_BUFFER) * chain,
                  enum trust_purpose purpose, const char *host)
{
    struct trust_refusal refusal = {0}, again = {0};
    struct err err = {""}, again_err = {""};
    int result = trust_verify(trust, chain, purpose, host, NOW, &refusal, &err);
    CHECK(result == 0 || (result == -1 && refusal.alert != 0 && err.text[0] != '\0'));
    CHECK(result == trust_verify(trust, chain, purpose, host, NOW, &again, &again_err));
    CHECK(result == 0 || refusal.alert == again.alert);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct cursor c = cursor_of(data, len), anchor, crl, der;
    if (!cursor_vector(&c, 2, &anchor) || !cursor_vector(&c, 2, &crl))
        return 0;
    struct trust *trust = load(anchor, crl);
    if (trust == NULL)
        return 0;
    STACK_OF(CRYPTO_BUFFER) *chain = sk_CRYPTO_BUFFER_new_null();
    while (cursor_vector(&c, 2, &der))
        sk_CRYPTO_BUFFER_push(chain, CRYPTO_BUFFER_new(der.p, cursor_left(&der), NULL));
    if (sk_CRYPTO_BUFFER_num(chain) > 0) {
        judge(trust, chain, TRUST_CLIENT, NULL);
        judge(trust, chain, TRUST_SERVER, "a.b");
        trust_expires(chain);
    }
    sk_CRYPTO_BUFFER_pop_free(chain, CRYPTO_BUFFER_free);
    trust_unref(trust);
    return 0;
}
