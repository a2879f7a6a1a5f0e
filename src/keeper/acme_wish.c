/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/acme_wish.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "config/config.h"

/* As tables of src/config/keys.c have them. */
_Static_assert(CA_KEY_P256 == 0 && CA_KEY_P384 == 1 && CA_KEY_ED25519 == 2 && CA_KEY_RSA2048 == 3 &&
                   CA_KEY_RSA3072 == 4,
               "the kinds of keys are numbered alike");
_Static_assert((int)ACME_BY_TLS_ALPN == (int)CONFIG_BY_TLS_ALPN && (int)ACME_BY_HTTP == (int)CONFIG_BY_HTTP &&
                   (int)ACME_BY_DNS == (int)CONFIG_BY_DNS,
               "the challenges are numbered alike");

static char *copy(const char *text)
{
    char *fresh = text != NULL ? strdup(text) : NULL;
    CHECK((fresh == NULL) == (text == NULL));
    return fresh;
}

static char **copy_texts(const struct config_texts *from)
{
    char **fresh = calloc(from->n + 1, sizeof(*fresh));
    CHECK(fresh != NULL);
    for (size_t i = 0; i < from->n; i++)
        fresh[i] = copy(from->v[i].text);
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
        fresh[i] = copy(from[i]);
    return fresh;
}

static void free_texts(char **texts)
{
    for (size_t i = 0; texts != NULL && texts[i] != NULL; i++)
        free(texts[i]);
    free(texts);
}

/* Its CA, which is one more where `ca` has not got it. */
static int add_backup(struct acme_wish *w, const struct config_acme *from)
{
    const char *url = from->backup_ca.text;
    if (!from->backup)
        return -1;
    if (url == NULL)
        return 1;
    size_t i = 0;
    while (i < w->cas_len && strcmp(w->cas[i], url) != 0)
        i++;
    if (i < w->cas_len)
        return (int)i;
    w->cas = realloc(w->cas, (w->cas_len + 2) * sizeof(*w->cas));
    CHECK(w->cas != NULL);
    w->cas[w->cas_len++] = copy(url);
    w->cas[w->cas_len] = NULL;
    return (int)i;
}

struct acme_wish *acme_wish_new(const struct config_acme *from)
{
    struct acme_wish *w = calloc(1, sizeof(*w));
    CHECK(w != NULL);
    w->names = copy_texts(&from->names);
    w->names_len = from->names.n;
    w->cas = copy_texts(&from->ca);
    w->cas_len = from->ca.n;
    w->ca_file = copy(from->ca_file.text);
    w->email = copy(from->email.text);
    w->profile = copy(from->profile.text);
    if (from->eab != NULL) {
        w->eab_kid = copy(from->eab->kid.text);
        w->eab_key_file = copy(from->eab->key_file.text);
    }
    if (from->dns != NULL) {
        w->hook = from->dns->hook != NULL ? copy_words(from->dns->hook) : NULL;
        if (w->hook == NULL)
            net_addr_parse(from->dns->server.host, from->dns->server.port, &w->dns_server);
        w->dns_zone = copy(from->dns->zone.text);
        w->dns_key = copy(from->dns->key.text);
        w->dns_secret_file = copy(from->dns->secret_file.text);
        w->settle = from->dns->settle / NSEC_PER_SEC;
    }
    w->key = (enum ca_key_kind)from->key;
    for (size_t i = 0; i < from->challenge.n && w->proofs_len < ACME_PROOF_KINDS; i++)
        w->proofs[w->proofs_len++] = (enum acme_client_proof_kind)from->challenge.v[i];
    w->backup = add_backup(w, from);
    w->renew_before = from->renew_before / NSEC_PER_SEC;
    return w;
}

struct acme_wish *acme_wish_for(const struct acme_wish *like, const char *name)
{
    struct acme_wish *w = malloc(sizeof(*w));
    CHECK(w != NULL);
    *w = *like;
    w->names = calloc(2, sizeof(char *));
    CHECK(w->names != NULL);
    w->names[0] = copy(name);
    w->names_len = 1;
    w->cas = copy_words(like->cas);
    w->ca_file = copy(like->ca_file);
    w->email = copy(like->email);
    w->profile = copy(like->profile);
    w->eab_kid = copy(like->eab_kid);
    w->eab_key_file = copy(like->eab_key_file);
    w->hook = like->hook != NULL ? copy_words(like->hook) : NULL;
    w->dns_zone = copy(like->dns_zone);
    w->dns_key = copy(like->dns_key);
    w->dns_secret_file = copy(like->dns_secret_file);
    w->on_demand = true;
    return w;
}

void acme_wish_free(struct acme_wish *w)
{
    if (w == NULL)
        return;
    free_texts(w->names);
    free_texts(w->cas);
    free_texts(w->hook);
    free(w->ca_file);
    free(w->email);
    free(w->profile);
    free(w->eab_kid);
    free(w->eab_key_file);
    free(w->dns_zone);
    free(w->dns_key);
    free(w->dns_secret_file);
    free(w);
}
