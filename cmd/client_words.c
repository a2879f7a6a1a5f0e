/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/client_words.h"

#include <stdint.h>

#include "base/check.h"

void client_words_put(struct client_words *w, const char *flag, const char *value)
{
    if (value == NULL)
        return;
    CHECK(w->n + 2 <= CLIENT_WORDS_MAX);
    w->v[w->n++] = (char *)(uintptr_t)flag;
    w->v[w->n++] = (char *)(uintptr_t)value;
}

void client_words_put_secrecy(struct client_words *w, const struct client_settings *s)
{
    client_words_put(w, "--ech", s->ech);
    client_words_put(w, "--doh", s->doh.url);
    client_words_put(w, "--doh-ca", s->doh.ca);
    client_words_put(w, "--doh-proxy", s->doh.proxy);
    client_words_put(w, "--doh-configs", s->doh.configs);
    client_words_put(w, "--pq", tls_pq_word(s->pq));
}
