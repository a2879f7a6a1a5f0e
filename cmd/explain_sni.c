/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/explain_sni.h"

#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/tell.h"
#include "base/check.h"
#include "base/file.h"
#include "base/hostname.h"
#include "base/tls_version.h"
#include "cert/identity.h"
#include "cert/pem.h"
#include "cert/store.h"
#include "cert/trust.h"
#include "cmd/cmd.h"
#include "cmd/explain_told.h"
#include "cmd/serve.h"
#include "cmd/serve_check.h"
#include "config/keys.h"
#include "keeper/prospect.h"
#include "session/foresee.h"
#include "session/plan.h"
#include "session/snapshot.h"

#define ALPN_BYTES_MAX 1024
#define GROUPS_MAX 16 /* tables/groups.def has fewer */

struct options {
    const char *config, *sni, *alpn, *from, *identity, *listener, *tls, *groups, *verifies;
    bool quic, json;
};

/* What the options say of the client. */
struct visitor {
    struct foresee_client client;
    char name[HOSTNAME_MAX + 1];
    uint8_t alpn[ALPN_BYTES_MAX];
    uint16_t groups[GROUPS_MAX];
    enum cert_key_kind kinds[CERT_KEY_KINDS];
    struct buf pem;
};

/* ---- what is asked ---- */

static bool is_protocol(const char *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (p[i] <= ' ' || p[i] > '~')
            return false;
    return len > 0 && len <= UINT8_MAX;
}

/* "h2,http/1.1" in the form of the wire. False: it is no such list. */
static bool read_alpn(const char *list, struct visitor *v)
{
    struct foresee_client *c = &v->client;
    for (size_t len; *list != '\0'; list += len + (list[len] == ',')) {
        len = strcspn(list, ",");
        if (!is_protocol(list, len) || c->alpn_len + 1 + len > sizeof(v->alpn) ||
            (list[len] == ',' && list[len + 1] == '\0'))
            return false;
        v->alpn[c->alpn_len++] = (uint8_t)len;
        memcpy(v->alpn + c->alpn_len, list, len);
        c->alpn_len += len;
    }
    c->alpn = v->alpn;
    return true;
}

/* "P-256,RSA", as `verifies` of an audit line has it. */
static bool read_kinds(const char *list, struct visitor *v)
{
    struct foresee_client *c = &v->client;
    c->kinds = v->kinds;
    for (size_t len; *list != '\0'; list += len + (list[len] == ',')) {
        len = strcspn(list, ",");
        int kind = 0;
        while (kind < CERT_KEY_KINDS &&
               !str_is((struct str){list, len}, cert_kind_word((enum cert_key_kind)kind)))
            kind++;
        if (kind == CERT_KEY_KINDS || c->kinds_len == CERT_KEY_KINDS)
            return false;
        v->kinds[c->kinds_len++] = (enum cert_key_kind)kind;
    }
    return c->kinds_len > 0;
}

/* 0: there is none of that name. */
static uint16_t group_of(struct str name)
{
    const struct schema_name *g = keys_groups;
    while (g->name != NULL && !str_is(name, g->name))
        g++;
    return g->name != NULL ? (uint16_t)g->value : 0;
}

/* "X25519,P-256", as `offers_groups` of an audit line has it; none of them twice. */
static bool read_groups(const char *list, struct visitor *v)
{
    struct foresee_client *c = &v->client;
    c->groups = v->groups;
    for (size_t len; *list != '\0'; list += len + (list[len] == ',')) {
        len = strcspn(list, ",");
        uint16_t group = group_of((struct str){list, len});
        for (size_t i = 0; i < c->groups_len; i++)
            group = v->groups[i] == group ? 0 : group;
        if (group == 0)
            return false;
        CHECK(c->groups_len < GROUPS_MAX);
        v->groups[c->groups_len++] = group;
    }
    return c->groups_len > 0;
}

static int read_name(const char *text, struct visitor *v)
{
    size_t len = strlen(text);
    v->client.name = v->name;
    if (strcmp(text, "none") == 0)
        return CMD_OK;
    if (len > 1 && text[len - 1] == '.')
        len--;
    enum hostname_fault fault = hostname_check(text, len);
    if (fault != HOSTNAME_OK)
        return cmd_misused("explain", "--sni: '%s' is no host name: %s; 'none' is a client that sends none",
                           text, hostname_fault_text(fault));
    CHECK(str_copy(v->name, sizeof(v->name), text, len));
    str_lower(v->name, len);
    return CMD_OK;
}

static int read_client(const struct options *o, struct visitor *v)
{
    struct err err;
    int status = read_name(o->sni, v);
    if (status != CMD_OK)
        return status;
    if (o->alpn != NULL && !read_alpn(o->alpn, v))
        return cmd_misused(
            "explain", "--alpn: found '%s', expected protocols apart by ',', such as h2,http/1.1", o->alpn);
    if (o->from != NULL && !net_addr_parse(o->from, 0, &v->client.peer))
        return cmd_misused(
            "explain", "--from: found '%s', expected an address such as 192.0.2.1 or 2001:db8::1", o->from);
    if (o->tls != NULL && strcmp(o->tls, "1.2") != 0 && strcmp(o->tls, "1.3") != 0)
        return cmd_misused("explain", "--tls: found '%s', expected 1.2 or 1.3", o->tls);
    if (o->groups != NULL && !read_groups(o->groups, v))
        return cmd_misused("explain",
                           "--groups: found '%s', expected key exchange groups as 'tls.groups' of the "
                           "configuration has them, apart by ',', such as X25519,P-256",
                           o->groups);
    if (o->verifies != NULL && !read_kinds(o->verifies, v))
        return cmd_misused(
            "explain",
            "--verifies: found '%s', expected kinds of key apart by ',', such as P-256,RSA,ML-DSA-65",
            o->verifies);
    v->client.version = o->tls != NULL && strcmp(o->tls, "1.2") == 0 ? CONFIG_TLS_1_2 : CONFIG_TLS_1_3;
    v->client.quic = o->quic;
    if (o->identity != NULL && file_read(o->identity, TRUST_FILE_MAX, &v->pem, NULL, &err) != 0)
        return cmd_failed("%s", err.text);
    v->client.pem = o->identity != NULL ? &v->pem : NULL;
    return CMD_OK;
}

/* The listener that is named; else the first that clients come to with TLS. */
static int find_listener(const struct snapshot *snap, const struct options *o, struct foresee_client *c)
{
    const struct config_listeners *all = &snap->config->listeners;
    size_t i = 0;
    while (i < all->n &&
           (o->listener != NULL ? strcmp(all->v[i].name.text, o->listener) != 0 : snap->plan->ports[i].plain))
        i++;
    if (i == all->n && o->listener == NULL)
        return cmd_failed("%s: no listener takes TLS", o->config);
    if (i == all->n)
        return cmd_failed("%s: no listener is called %s", o->config, o->listener);
    if (snap->plan->ports[i].plain)
        return cmd_failed("%s: clients of listener %s send no server name: it speaks without TLS", o->config,
                          all->v[i].name.text);
    if (c->quic && !snapshot_listens_udp(snap, i))
        return cmd_failed("%s: listener %s has no QUIC: that needs an address of IP, 'quic' and a route with "
                          "'tunnel'",
                          o->config, all->v[i].name.text);
    c->listener = (uint32_t)i;
    return CMD_OK;
}

/* ---- the answer ---- */

struct work {
    const struct options *options;
    struct visitor visitor;
};

static void add_trial(void *arg, const struct route_trial *trial)
{
    explain_told_trial(arg, trial);
}

static int answer(const struct snapshot *snap, const struct snapshot_shared *shared, const struct work *w)
{
    struct foresight f;
    struct explain_told told = {.snap = snap,
                                .client = &w->visitor.client,
                                .certificate = w->options->identity,
                                .foresight = &f,
                                .trials = json_array()};
    foresee(snap, shared, &w->visitor.client, prospect_lacks, &f);
    CHECK(foresee_routes(snap, &w->visitor.client, add_trial, &told, &told.as_http) == 0);
    if (w->options->json)
        explain_told_json(&told);
    else
        explain_told_text(&told);
    int status = f.reason == CLOSE_DONE ? CMD_OK : CMD_FAILED;
    json_decref(told.trials);
    foresight_free(&f);
    return status;
}

static int with_bindings(const struct door_bindings *bindings, void *arg)
{
    struct work *w = arg;
    struct buf errors = {0};
    struct snapshot_shared shared;
    struct snapshot *snap = check_build(w->options->config, bindings, false, &shared, &errors);
    int status = CMD_FAILED;
    if (snap == NULL)
        fputs(buf_text(&errors), stderr);
    else
        status = find_listener(snap, w->options, &w->visitor.client);
    if (snap != NULL && status == CMD_OK)
        status = answer(snap, &shared, w);
    snapshot_unref(snap);
    snapshot_shared_free(&shared);
    buf_free(&errors);
    return status;
}

static const struct option options[] = {
    {"config", required_argument, NULL, 'c'},
    {"sni", required_argument, NULL, 's'},
    {"alpn", required_argument, NULL, 'a'},
    {"from", required_argument, NULL, 'f'},
    {"identity", required_argument, NULL, 'i'},
    {"listener", required_argument, NULL, 'l'},
    {"tls", required_argument, NULL, 't'},
    {"groups", required_argument, NULL, 'g'},
    {"verifies", required_argument, NULL, 'v'},
    {"quic", no_argument, NULL, 'q'},
    {"json", no_argument, NULL, 'j'},
    {"help", no_argument, NULL, 'h'},
    {0},
};

static bool take(struct options *o, int c)
{
    const char **text = c == 'c'   ? &o->config
                        : c == 's' ? &o->sni
                        : c == 'a' ? &o->alpn
                        : c == 'f' ? &o->from
                        : c == 'i' ? &o->identity
                        : c == 'l' ? &o->listener
                        : c == 't' ? &o->tls
                        : c == 'g' ? &o->groups
                        : c == 'v' ? &o->verifies
                                   : NULL;
    if (text != NULL)
        *text = optarg;
    o->quic = o->quic || c == 'q';
    o->json = o->json || c == 'j';
    return text != NULL || c == 'q' || c == 'j';
}

int explain_sni(int argc, char **argv)
{
    struct options o = {0};
    struct work w = {.options = &o};
    for (int c; (c = cmd_option(argc, argv, "c:h", options)) != -1;)
        if (!take(&o, c))
            return cmd_usage("explain", c == 'h');
    if (optind != argc)
        return cmd_misused("explain", "unexpected argument: %s", argv[optind]);
    if (o.config == NULL)
        return cmd_misused("explain", "by which configuration? -c FILE is missing");
    int status = read_client(&o, &w.visitor);
    if (status == CMD_OK)
        status = serve_lend(with_bindings, &w);
    buf_free(&w.visitor.pem);
    return status;
}
