/* SPDX-License-Identifier: Apache-2.0 */
#include "tunnel/agent_tls.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/check.h"
#include "cert/cert.h"
#include "cert/identity.h"
#include "cert/store.h"
#include "cert/trust.h"
#include "tls/groups.h"
#include "tls/server.h"

struct pattern {
    enum identity_kind kind;
    char *text;
};

struct agent_tls {
    size_t refs;
    struct cert_store *store;
    struct trust *trust; /* NULL: visitors are not asked */
    struct tls_server *server;
    enum tls_pq pq;
    struct pattern *allow;
    size_t allow_len;
};

static int read_pattern(const char *text, struct pattern *ret, struct err *err)
{
    const char *equals = strchr(text, '=');
    ret->kind = IDENTITY_NAME;
    if (equals != NULL) {
        int kind = 0;
        while (kind < IDENTITY_KINDS &&
               (strlen(identity_kind_name((enum identity_kind)kind)) != (size_t)(equals - text) ||
                strncmp(identity_kind_name((enum identity_kind)kind), text, (size_t)(equals - text)) != 0))
            kind++;
        if (kind == IDENTITY_KINDS)
            return err_set(
                err, "whom to allow: '%s': expected name, dns, uri, email, issuer or group before '='", text);
        ret->kind = (enum identity_kind)kind;
    }
    ret->text = strdup(equals != NULL ? equals + 1 : text);
    CHECK(ret->text != NULL);
    return 0;
}

static int load_visitors(struct agent_tls *t, const struct agent_tls_files *f, struct err *err)
{
    if (f->clients != NULL) {
        struct trust_files trust = {.name = f->clients, .ca = &f->clients, .ca_len = 1};
        t->trust = trust_load(&trust, err);
        if (t->trust == NULL)
            return -1;
    }
    t->allow = calloc(f->allow_len + 1, sizeof(*t->allow));
    CHECK(t->allow != NULL);
    for (size_t i = 0; i < f->allow_len; i++, t->allow_len++)
        if (read_pattern(f->allow[i], &t->allow[i], err) < 0)
            return -1;
    return 0;
}

/* Visitors see that certificate (taken) from now on. */
static int show(struct agent_tls *t, struct cert *cert, struct err *err)
{
    if (cert == NULL)
        return -1;
    t->store = cert_store_build(&cert, 1, err);
    cert_unref(cert);
    if (t->store == NULL)
        return -1;
    struct tls_server_params params = {
        .min_version = 0x0303,
        .max_version = 0x0304,
        .groups = tls_groups_default,
        .groups_len = TLS_GROUPS_DEFAULT,
        .pq = t->pq,
        .store = t->store,
        .clients = t->trust != NULL ? TLS_CLIENTS_REQUIRED : TLS_CLIENTS_NONE,
        .trust = t->trust,
        .scope = "agent",
    };
    t->server = tls_server_new(&params, err);
    return t->server != NULL ? 0 : -1;
}

static struct agent_tls *make(void)
{
    struct agent_tls *t = calloc(1, sizeof(*t));
    CHECK(t != NULL);
    t->refs = 1;
    return t;
}

static struct agent_tls *made(struct agent_tls *t, int status)
{
    if (status == 0)
        return t;
    agent_tls_unref(t);
    return NULL;
}

struct agent_tls *agent_tls_new(const struct agent_tls_files *files, struct err *err)
{
    struct agent_tls *t = make();
    struct cert_files chain = {.certificate = files->cert, .key = files->key};
    CHECK((files->cert == NULL) == (files->key == NULL));
    t->pq = files->pq;
    int status = load_visitors(t, files, err);
    if (status == 0 && files->cert != NULL)
        status = show(t, cert_load(&chain, err), err);
    return made(t, status);
}

struct agent_tls *agent_tls_with(const struct agent_tls *like, struct cert *cert, struct err *err)
{
    struct agent_tls *t = make();
    t->trust = like->trust != NULL ? trust_ref(like->trust) : NULL;
    t->pq = like->pq;
    t->allow = calloc(like->allow_len + 1, sizeof(*t->allow));
    CHECK(t->allow != NULL);
    for (; t->allow_len < like->allow_len; t->allow_len++) {
        t->allow[t->allow_len] = like->allow[t->allow_len];
        t->allow[t->allow_len].text = strdup(like->allow[t->allow_len].text);
        CHECK(t->allow[t->allow_len].text != NULL);
    }
    return made(t, show(t, cert_ref(cert), err));
}

bool agent_tls_is_bare(const struct agent_tls *t)
{
    return t->server == NULL;
}

struct agent_tls *agent_tls_ref(struct agent_tls *t)
{
    if (t != NULL)
        t->refs++;
    return t;
}

void agent_tls_unref(struct agent_tls *t)
{
    if (t == NULL || --t->refs > 0)
        return;
    tls_server_free(t->server);
    cert_store_free(t->store);
    trust_unref(t->trust);
    for (size_t i = 0; i < t->allow_len; i++)
        free(t->allow[i].text);
    free(t->allow);
    free(t);
}

/* Exactly, or by a wildcard for its first label (RFC 9525, 6.3). */
static bool is_for(const char *pattern, const char *name)
{
    const char *rest = strchr(name, '.');
    return strcmp(pattern, name) == 0 ||
           (strncmp(pattern, "*.", 2) == 0 && rest != NULL && strcmp(pattern + 1, rest) == 0);
}

bool agent_tls_warning(const struct agent_tls *t, const char *name, int64_t now, struct err *ret_text)
{
    const struct cert *c = cert_store_at(t->store, 0);
    struct buf names = {0};
    for (size_t i = 0; i < c->names_len; i++)
        if (is_for(c->names[i], name))
            return cert_warning(c, now, ret_text);
    for (size_t i = 0; i < c->names_len; i++)
        buf_printf(&names, "%s%s", i > 0 ? ", " : "", c->names[i]);
    err_set(ret_text, "%s is for %s, not for %s: visitors who ask for that name will refuse it", c->label,
            names.len > 0 ? buf_text(&names) : "no name at all", name);
    buf_free(&names);
    return true;
}

struct link *agent_tls_accept(const struct agent_tls *t, struct link *lower, struct str early,
                              struct tls_scratch *scratch)
{
    /* There is one certificate, so nothing of the ClientHello need be known to choose it. */
    struct tls_client_hello hello = {.early = early};
    return tls_server_accept(t->server, &hello, lower, scratch);
}

bool agent_tls_allows(const struct agent_tls *t, const struct identity *visitor)
{
    if (t->trust == NULL)
        return true;
    if (visitor == NULL)
        return false;
    if (t->allow_len == 0)
        return true;
    for (size_t i = 0; i < t->allow_len; i++)
        for (uint32_t f = 0; f < visitor->count; f++)
            if (visitor->facts[f].kind == t->allow[i].kind &&
                str_glob(t->allow[i].text, visitor->facts[f].value))
                return true;
    return false;
}
