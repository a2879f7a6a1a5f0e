/* SPDX-License-Identifier: Apache-2.0 */
/* `quic_server FD CERTIFICATE KEY FLAGS`: a QUIC server of OpenSSL's (3.5 or later) on a bound UDP socket. It
 * takes the first protocol that a client offers, and one client after the other until each closes. The
 * library is there without its headers, so what is used of them is said here. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct ssl_st SSL;
typedef struct ssl_ctx_st SSL_CTX;
typedef int select_cb(SSL *, const unsigned char **, unsigned char *, const unsigned char *, unsigned,
                      void *);

const void *OSSL_QUIC_server_method(void);
SSL_CTX *SSL_CTX_new(const void *);
int SSL_CTX_use_certificate_chain_file(SSL_CTX *, const char *);
int SSL_CTX_use_PrivateKey_file(SSL_CTX *, const char *, int);
void SSL_CTX_set_alpn_select_cb(SSL_CTX *, select_cb *, void *);
SSL *SSL_new_listener(SSL_CTX *, uint64_t);
int SSL_set_fd(SSL *, int);
int SSL_listen(SSL *);
SSL *SSL_accept_connection(SSL *, uint64_t);
int SSL_do_handshake(SSL *);
int SSL_read(SSL *, void *, int);
void SSL_free(SSL *);

#define PEM 1 /* SSL_FILETYPE_PEM */

static int take_first(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in,
                      unsigned in_len, void *arg)
{
    (void)ssl;
    (void)arg;
    if (in_len < 2 || in[0] >= in_len)
        return 2; /* SSL_TLSEXT_ERR_ALERT_FATAL */
    *out = in + 1;
    *out_len = in[0];
    return 0;
}

int main(int argc, char **argv)
{
    SSL_CTX *ctx = SSL_CTX_new(OSSL_QUIC_server_method());
    if (argc != 5 || ctx == NULL || SSL_CTX_use_certificate_chain_file(ctx, argv[2]) != 1 ||
        SSL_CTX_use_PrivateKey_file(ctx, argv[3], PEM) != 1)
        return 1;
    SSL_CTX_set_alpn_select_cb(ctx, take_first, NULL);
    SSL *listener = SSL_new_listener(ctx, strtoull(argv[4], NULL, 0));
    if (listener == NULL || SSL_set_fd(listener, atoi(argv[1])) != 1 || SSL_listen(listener) != 1)
        return 1;
    for (;;) {
        char ignored[4096];
        SSL *client = SSL_accept_connection(listener, 0);
        if (client == NULL)
            continue;
        if (SSL_do_handshake(client) == 1)
            while (SSL_read(client, ignored, sizeof(ignored)) > 0)
                ;
        SSL_free(client);
    }
}
