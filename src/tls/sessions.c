/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/sessions.h"

#include <openssl/ssl.h>
#include <stdlib.h>

#include "base/check.h"

#define SESSIONS_MAGIC 0x5e5510a5u

/* The newest last. */
struct tls_sessions {
    uint32_t magic;
    SSL_SESSION *v[TLS_SESSIONS_MAX];
    size_t n;
    uint32_t age;
};

struct tls_sessions *tls_sessions_new(void)
{
    struct tls_sessions *s = calloc(1, sizeof(*s));
    CHECK(s != NULL);
    s->magic = SESSIONS_MAGIC;
    return s;
}

void tls_sessions_free(struct tls_sessions *s)
{
    if (s == NULL)
        return;
    tls_sessions_forget(s);
    s->magic = 0;
    free(s);
}

size_t tls_sessions_count(const struct tls_sessions *s)
{
    CHECK_MAGIC(s, SESSIONS_MAGIC);
    return s->n;
}

bool tls_sessions_take_early(const struct tls_sessions *s)
{
    CHECK_MAGIC(s, SESSIONS_MAGIC);
    return s->n > 0 && SSL_SESSION_early_data_capable(s->v[s->n - 1]);
}

uint32_t tls_sessions_age(const struct tls_sessions *s)
{
    CHECK_MAGIC(s, SESSIONS_MAGIC);
    return s->age;
}

void tls_sessions_put(struct tls_sessions *s, SSL_SESSION *fresh)
{
    CHECK_MAGIC(s, SESSIONS_MAGIC);
    if (s->n == TLS_SESSIONS_MAX) {
        SSL_SESSION_free(s->v[0]);
        s->n--;
        for (size_t i = 0; i < s->n; i++)
            s->v[i] = s->v[i + 1];
    }
    s->v[s->n++] = fresh;
}

/* The library passes over one that has expired. */
bool tls_sessions_offer(struct tls_sessions *s, SSL *ssl)
{
    CHECK_MAGIC(s, SESSIONS_MAGIC);
    if (s->n == 0)
        return false;
    SSL_SESSION *last = s->v[s->n - 1];
    SSL_set_session(ssl, last);
    if (SSL_SESSION_should_be_single_use(last)) {
        SSL_SESSION_free(last);
        s->n--;
    }
    return true;
}

void tls_sessions_forget(struct tls_sessions *s)
{
    CHECK_MAGIC(s, SESSIONS_MAGIC);
    while (s->n > 0)
        SSL_SESSION_free(s->v[--s->n]);
    s->age++;
}
