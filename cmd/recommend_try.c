/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/recommend_try.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "cert/cert.h"
#include "cert/expect.h"
#include "cert/trust.h"
#include "loop/loop.h"
#include "probe/server_probe.h"
#include "session/bundles.h"
#include "starttls/starttls.h"
#include "tls/client.h"

const int recommend_groups[] = {0x11ec, 0x11eb, 0x11ed}; /* tables/groups.def */
const size_t recommend_groups_len = ARRAY_LEN(recommend_groups);

/* ---- modes ---- */

const char *recommend_mode_word(enum backend_mode mode)
{
    static const char *const words[MODES] = {"off", "flexible", "full", "full strict", "strict"};
    return words[mode];
}

static bool is_hybrid(int group)
{
    for (size_t i = 0; i < recommend_groups_len; i++)
        if (recommend_groups[i] == group)
            return true;
    return false;
}

enum backend_mode recommend_mode(const struct config_route *route)
{
    const struct config_backend_tls *t = config_route_backend(route)->tls;
    if (t == NULL)
        return route->action == CONFIG_FORWARD ? MODE_OFF : MODE_FLEXIBLE;
    if (t->verify == CONFIG_VERIFY_ANY)
        return MODE_FULL;
    for (size_t i = 0; i < t->groups.n; i++)
        if (!is_hybrid(t->groups.v[i]))
            return MODE_FULL_STRICT;
    return t->min_version == CONFIG_TLS_1_3 ? MODE_STRICT : MODE_FULL_STRICT;
}

/* ---- one handshake ---- */

static void on_done(void *owner)
{
    loop_stop(owner);
}

static const struct starttls *protocol_of(const struct recommend_tools *tools,
                                          const struct config_backend_tls *t, struct starttls **ret_own,
                                          struct err *err)
{
    const char *name = t != NULL ? t->starttls.text : NULL;
    for (size_t i = 0; name != NULL && i < tools->config->protocols.n; i++) {
        const struct config_protocol *p = &tools->config->protocols.v[i];
        if (strcmp(p->name.text, name) == 0)
            return *ret_own = p->chat.text != NULL ? starttls_load(p->chat.text, true, err)
                                                   : starttls_load(p->file.text, false, err);
    }
    return name != NULL ? starttls_builtin(name) : NULL;
}

static struct trust *load_trust(const struct config *c, const char *name, struct err *err)
{
    const struct config_trust *t = config_trust_find(c, name);
    if (t != NULL)
        return bundles_load(t, NULL, err);
    return trust_load(&(struct trust_files){.name = name, .ca = &name, .ca_len = 1}, err);
}

/* What the keys ask of a backend; those of the mode come on top. `expect` is borrowed. */
static void put_params(const struct config *c, const struct recommend_attempt *a, struct expect *expect,
                       struct tls_client_params *ret)
{
    const struct config_backend_tls *t = config_route_backend(a->route)->tls;
    bool proves = a->mode >= MODE_FULL_STRICT, strict = a->mode == MODE_STRICT;
    *expect = (struct expect){.anyone = !proves};
    if (t != NULL && proves)
        *expect = (struct expect){.uri = t->uri.text,
                                  .issuer = t->issuer.text,
                                  .pins = (const uint8_t(*)[EXPECT_PIN_LEN])t->pin.v,
                                  .pins_len = t->pin.n};
    *ret = (struct tls_client_params){.min_version = (uint16_t)(strict      ? CONFIG_TLS_1_3
                                                                : t != NULL ? t->min_version
                                                                            : c->tls.min_version),
                                      .max_version = (uint16_t)(strict      ? CONFIG_TLS_1_3
                                                                : t != NULL ? t->max_version
                                                                            : c->tls.max_version),
                                      .groups = strict      ? recommend_groups
                                                : t != NULL ? t->groups.v
                                                            : c->tls.groups.v,
                                      .groups_len = strict      ? recommend_groups_len
                                                    : t != NULL ? t->groups.n
                                                                : c->tls.groups.n,
                                      .expect = expect,
                                      .only_looks = true};
}

static struct tls_client *make_client(const struct config *c, const struct recommend_attempt *a,
                                      struct expect *expect, struct err *err)
{
    const struct config_backend_tls *t = config_route_backend(a->route)->tls;
    struct tls_client_params params;
    struct tls_client *client = NULL;
    const char **alpn = t != NULL ? calloc(t->alpn.n + 1, sizeof(*alpn)) : NULL;
    bool good = true;
    put_params(c, a, expect, &params);
    for (size_t i = 0; alpn != NULL && i < t->alpn.n; i++)
        alpn[params.alpn_len++] = t->alpn.v[i].text;
    params.alpn = alpn;
    if (a->mode >= MODE_FULL_STRICT && a->trust != NULL)
        good = (params.trust = load_trust(c, a->trust, err)) != NULL;
    if (good && t != NULL && t->certificate.text != NULL)
        good =
            (params.cert = cert_load(
                 &(struct cert_files){.certificate = t->certificate.text, .key = t->key.text}, err)) != NULL;
    if (good)
        client = tls_client_new(&params, err);
    cert_unref(params.cert);
    trust_unref(params.trust);
    free(alpn);
    return client;
}

static void describe(const struct server_probe_result *r, struct err *ret)
{
    err_set(ret, "TLS 1.%d, %s", r->version - 0x0301, r->group != NULL ? r->group : "no key exchange");
}

static bool shake_hands(const struct recommend_tools *tools, const struct recommend_attempt *a,
                        const struct tls_client *client, const struct starttls *protocol,
                        struct err *ret_text)
{
    const struct config_backend_tls *t = config_route_backend(a->route)->tls;
    const char *name = a->name != NULL ? a->name : a->at->host;
    bool by_uri = t != NULL && t->uri.text != NULL && t->name.text == NULL && a->mode >= MODE_FULL_STRICT;
    struct server_probe *p =
        server_probe_start(&(struct server_probe_params){.to = {.loop = tools->loop,
                                                                .resolver = tools->resolver,
                                                                .protocol = protocol,
                                                                .host = a->at->host,
                                                                .port = a->port,
                                                                .name = by_uri ? NULL : name},
                                                         .scratch = tools->scratch,
                                                         .tls = client,
                                                         .sni = by_uri ? name : NULL,
                                                         .timeout = tools->timeout,
                                                         .done = on_done,
                                                         .owner = tools->loop});
    bool works = loop_run(tools->loop, ret_text) == 0;
    if (works) {
        const struct server_probe_result *r = server_probe_result(p);
        works = r->outcome == PROBE_GOOD;
        *ret_text = r->text;
        if (works)
            describe(r, ret_text);
    }
    server_probe_free(p);
    return works;
}

bool recommend_try(const struct recommend_tools *tools, const struct recommend_attempt *a,
                   struct err *ret_text)
{
    const struct config_backend_tls *t = config_route_backend(a->route)->tls;
    struct expect expect;
    struct starttls *own = NULL;
    const struct starttls *protocol = protocol_of(tools, t, &own, ret_text);
    bool lacks = protocol == NULL && t != NULL && t->starttls.text != NULL;
    struct tls_client *client = lacks ? NULL : make_client(tools->config, a, &expect, ret_text);
    bool works = client != NULL && shake_hands(tools, a, client, protocol, ret_text);
    tls_client_free(client);
    starttls_free(own);
    return works;
}
