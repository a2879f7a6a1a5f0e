/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of a client as the environment of a program: names are those of CGI (RFC 3875) and of
 * Apache's mod_ssl. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/record.h"
#include "base/buf.h"
#include "base/tls_version.h"
#include "cert/identity.h"
#include "cert/leaf.h"
#include "session/hand_on.h"

#define CHAIN_MAX 16 /* certificates of a chain that are told */

/* NAME=VALUE texts one after the other, each with its NUL. */
struct environment {
    struct buf texts;
    size_t n;
};

static void put(struct environment *env, const char *name, const char *value, size_t len)
{
    if (len == 0 || memchr(value, '\0', len) != NULL)
        return;
    CHECK(buf_printf(&env->texts, "%s=", name) && buf_append(&env->texts, value, len) &&
          buf_append(&env->texts, "", 1));
    env->n++;
}

static void put_text(struct environment *env, const char *name, const char *value)
{
    if (value != NULL)
        put(env, name, value, strlen(value));
}

/* Left out where it is not printable: clients choose it. */
static void put_printable(struct environment *env, const char *name, struct str value)
{
    for (size_t i = 0; i < value.len; i++)
        if ((unsigned char)value.p[i] < 0x20 || (unsigned char)value.p[i] >= 0x7f)
            return;
    put(env, name, value.p, value.len);
}

static void put_end(struct environment *env, const char *who, const struct net_addr *addr)
{
    char host[NET_ADDR_TEXT_MAX], port[8], name[32];
    if (addr->family != AF_INET && addr->family != AF_INET6)
        return;
    snprintf(port, sizeof(port), "%u", addr->port);
    snprintf(name, sizeof(name), "%s_PORT", who);
    put_text(env, name, port);
    snprintf(name, sizeof(name), "%s_ADDR", who);
    put_text(env, name, net_addr_host(addr, host));
}

static void put_leaf_fact(void *arg, const char *fact, const char *value)
{
    char name[64];
    snprintf(name, sizeof(name), "SSL_CLIENT_%s", fact);
    put_text(arg, name, value);
}

static void put_pem(struct environment *env, const char *name, struct str der)
{
    struct buf pem = {0};
    if (der.len > 0 && cert_put_pem(&pem, der))
        put(env, name, (const char *)pem.data, pem.len);
    buf_free(&pem);
}

/* Names of the subject beside its own, numbered by kind. */
static void put_alternatives(struct environment *env, const struct identity *id)
{
    static const struct {
        enum identity_kind kind;
        const char *word;
    } kinds[] = {{IDENTITY_DNS, "DNS"}, {IDENTITY_URI, "URI"}, {IDENTITY_EMAIL, "Email"}};
    char name[64];
    for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
        unsigned n = 0;
        for (uint32_t i = 0; i < id->count; i++) {
            if (id->facts[i].kind != kinds[k].kind)
                continue;
            snprintf(name, sizeof(name), "SSL_CLIENT_SAN_%s_%u", kinds[k].word, n++);
            put_text(env, name, id->facts[i].value);
        }
    }
}

static void put_identity(struct environment *env, const struct config_hand_on *rule,
                         const struct link_peer *facts)
{
    char user[HAND_ON_USER_MAX], name[32];
    put_text(env, "SSL_CLIENT_VERIFY", facts->identity == NULL ? "NONE" : "SUCCESS");
    if (facts->identity == NULL)
        return;
    if (hand_on_user(facts->identity, rule, user))
        put_text(env, "REMOTE_USER", user);
    put_alternatives(env, facts->identity);
    struct str leaf = cert_chain_at(facts->chain, 0);
    cert_leaf_each(leaf, put_leaf_fact, env);
    put_pem(env, "SSL_CLIENT_CERT", leaf);
    for (unsigned i = 0; i + 1 < CHAIN_MAX; i++) {
        snprintf(name, sizeof(name), "SSL_CLIENT_CERT_CHAIN_%u", i);
        put_pem(env, name, cert_chain_at(facts->chain, i + 1));
    }
}

static void put_tls(struct environment *env, const struct link_peer *facts)
{
    put_text(env, "HTTPS", "on");
    put_text(env, "SSL_PROTOCOL", tls_version_name(facts->version));
    put_text(env, "SSL_CIPHER", facts->cipher_text);
    put_text(env, "SSL_SESSION_RESUMED", facts->resumed ? "Resumed" : "Initial");
}

/* The array, and behind it the texts. */
static char **finish(struct environment *from)
{
    size_t head = (from->n + 1) * sizeof(char *);
    char **env = malloc(head + from->texts.len);
    CHECK(env != NULL);
    char *at = (char *)env + head;
    if (from->texts.len > 0)
        memcpy(at, from->texts.data, from->texts.len);
    for (size_t i = 0; i < from->n; i++, at += strlen(at) + 1)
        env[i] = at;
    env[from->n] = NULL;
    buf_free(&from->texts);
    return env;
}

char **hand_on_environment(const struct config_hand_on *rule, const struct hand_on_client *c)
{
    struct environment env = {0};
    char id[AUDIT_ID_MAX];
    put_text(&env, "PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    put_text(&env, "UNIQUE_ID", audit_id_text(c->id, id));
    put_end(&env, "REMOTE", &c->peer);
    put_end(&env, "SERVER", &c->local);
    put_printable(&env, "SERVER_NAME", c->sni);
    put_printable(&env, "SSL_TLS_SNI", c->sni);
    put_printable(&env, "SNI", c->sni);
    if (c->tls)
        put_printable(&env, "ALPN", c->alpn);
    if (c->tls) {
        put_tls(&env, &c->facts);
        put_identity(&env, rule, &c->facts);
    }
    return finish(&env);
}
