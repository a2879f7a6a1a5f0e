/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/acme_wish.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/str.h"
#include "config/config.h"

_Static_assert((int)ACME_BY_TLS_ALPN == (int)CONFIG_BY_TLS_ALPN && (int)ACME_BY_HTTP == (int)CONFIG_BY_HTTP &&
                   (int)ACME_BY_DNS == (int)CONFIG_BY_DNS,
               "the challenges are numbered alike");

static char **copy_texts(const struct config_texts *from)
{
    char **fresh = calloc(from->n + 1, sizeof(*fresh));
    CHECK(fresh != NULL);
    for (size_t i = 0; i < from->n; i++)
        fresh[i] = str_dup(from->v[i].text);
    return fresh;
}

static char **copy_words(char *const *from)
{
    size_t n = 0;
    while (from[n] != NULL)
        n++;
    char **fresh = calloc(n + 1, sizeof(*fresh));
    CHECK(fresh != NULL);
    for (size_t i = 0; i < n; i++)
        fresh[i] = str_dup(from[i]);
    return fresh;
}

static void free_texts(char **texts)
{
    for (size_t i = 0; texts != NULL && texts[i] != NULL; i++)
        free(texts[i]);
    free(texts);
}

/* ---- CAs ---- */

static void add_ca(struct acme_wish *w, const struct config_acme_ca *from)
{
    w->cas[w->cas_len++] = (struct acme_wish_ca){
        .name = str_dup(from->name.text),
        .url = str_dup(from->url.text),
        .ca_file = str_dup(from->ca_file.text),
        .email = str_dup(from->email.text),
        .profile = str_dup(from->profile.text),
        .eab_kid = from->eab != NULL ? str_dup(from->eab->kid.text) : NULL,
        .eab_key_file = from->eab != NULL ? str_dup(from->eab->key_file.text) : NULL,
    };
}

static struct acme_wish_ca *copy_cas(const struct acme_wish *from)
{
    struct acme_wish_ca *fresh = calloc(from->cas_len, sizeof(*fresh));
    CHECK(fresh != NULL);
    for (size_t i = 0; i < from->cas_len; i++) {
        const struct acme_wish_ca *ca = &from->cas[i];
        fresh[i] = (struct acme_wish_ca){str_dup(ca->name),        str_dup(ca->url),     str_dup(ca->ca_file),
                                         str_dup(ca->email),       str_dup(ca->profile), str_dup(ca->eab_kid),
                                         str_dup(ca->eab_key_file)};
    }
    return fresh;
}

static void free_cas(struct acme_wish *w)
{
    for (size_t i = 0; i < w->cas_len; i++) {
        const struct acme_wish_ca *ca = &w->cas[i];
        char *const own[] = {ca->name,    ca->url,     ca->ca_file,     ca->email,
                             ca->profile, ca->eab_kid, ca->eab_key_file};
        for (size_t k = 0; k < ARRAY_LEN(own); k++)
            free(own[k]);
    }
    free(w->cas);
}

const struct acme_wish_ca *acme_wish_ca(const struct acme_wish *w, const char *url)
{
    for (size_t i = 0; i < w->cas_len; i++)
        if (strcmp(w->cas[i].url, url) == 0)
            return &w->cas[i];
    return NULL;
}

const char *acme_wish_profile(const struct acme_wish *w)
{
    return w->cas[0].profile != NULL ? w->cas[0].profile : "";
}

/* ---- wishes ---- */

struct acme_wish *acme_wish_new(const struct config_acme *from)
{
    struct acme_wish *w = calloc(1, sizeof(*w));
    CHECK(w != NULL);
    w->names = copy_texts(&from->names);
    w->names_len = from->names.n;
    w->cas = calloc(from->from.n, sizeof(*w->cas));
    CHECK(w->cas != NULL && from->from.n > 0);
    for (size_t i = 0; i < from->from.n; i++)
        add_ca(w, &from->from.v[i]);
    if (from->dns != NULL) {
        w->hook = from->dns->hook != NULL ? copy_words(from->dns->hook) : NULL;
        if (w->hook == NULL)
            net_addr_parse(from->dns->server.host, from->dns->server.port, &w->dns_server);
        w->dns_zone = str_dup(from->dns->zone.text);
        w->dns_key = str_dup(from->dns->key.text);
        w->dns_secret_file = str_dup(from->dns->secret_file.text);
        w->settle = from->dns->settle / NSEC_PER_SEC;
        w->hook_timeout = from->dns->hook_timeout;
    }
    w->key = from->key_kind;
    for (size_t i = 0; i < from->challenges.n && w->proofs_len < ACME_PROOF_KINDS; i++)
        w->proofs[w->proofs_len++] = (enum acme_client_proof_kind)from->challenges.v[i];
    w->backup = from->backup_from == CONFIG_NO_BACKUP ? -1 : (int)from->backup_from;
    w->patience = from->order_timeout / NSEC_PER_SEC;
    w->renew_before = from->renew_before / NSEC_PER_SEC;
    w->must_staple = from->must_staple;
    w->unused_after = from->unused_after / NSEC_PER_SEC;
    return w;
}

struct acme_wish *acme_wish_for(const struct acme_wish *like, const char *name)
{
    struct acme_wish *w = malloc(sizeof(*w));
    CHECK(w != NULL);
    *w = *like;
    w->names = calloc(2, sizeof(char *));
    CHECK(w->names != NULL);
    w->names[0] = str_dup(name);
    w->names_len = 1;
    w->cas = copy_cas(like);
    w->hook = like->hook != NULL ? copy_words(like->hook) : NULL;
    w->dns_zone = str_dup(like->dns_zone);
    w->dns_key = str_dup(like->dns_key);
    w->dns_secret_file = str_dup(like->dns_secret_file);
    w->on_demand = true;
    return w;
}

void acme_wish_free(struct acme_wish *w)
{
    if (w == NULL)
        return;
    free_texts(w->names);
    free_cas(w);
    free_texts(w->hook);
    free(w->dns_zone);
    free(w->dns_key);
    free(w->dns_secret_file);
    free(w);
}
