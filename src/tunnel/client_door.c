/* SPDX-License-Identifier: Apache-2.0 */
/* Settings become something to connect with. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "cert/expect.h"
#include "cert/trust.h"
#include "ech/source.h"
#include "tls/groups.h"
#include "tls/sessions.h"
#include "tunnel/carrier.h"
#include "tunnel/client_internal.h"
#include "tunnel/warm.h"

static struct trust *load_trust(const char *ca, struct err *err)
{
    struct trust_files files = {.name = ca, .ca = &ca, .ca_len = 1};
    return trust_load(&files, err);
}

/* Our certificate, where the settings name one. */
static int load_cert(const struct client_settings *s, struct cert **ret, struct err *err)
{
    *ret = NULL;
    if (s->cert == NULL)
        return 0;
    CHECK(s->key != NULL);
    struct cert_files files = {.certificate = s->cert, .key = s->key};
    *ret = cert_load(&files, err);
    return *ret != NULL ? 0 : -1;
}

/* With the door, and with services, which their own CA may vouch for. Both or none. */
static int make_clients(const struct client_door *d, struct cert *cert, bool resumes,
                        struct tls_client **ret_tls, struct tls_client **ret_inner, struct err *err)
{
    static const struct expect anyone = {.anyone = true};
    const char *alpn = d->alpn;
    struct tls_client_params params = {
        .min_version = 0x0303,
        .max_version = 0x0304,
        .groups = tls_groups_default,
        .groups_len = TLS_GROUPS_DEFAULT,
        .pq = d->pq,
        .trust = d->trust,
        .expect = d->unproven ? &anyone : NULL,
        .cert = cert,
        .alpn = &alpn,
        .alpn_len = alpn != NULL ? 1 : 0,
        .resumes = resumes,
    };
    *ret_inner = NULL;
    *ret_tls = tls_client_new(&params, err);
    params.alpn_len = 0;
    params.resumes = false; /* these lead to many services */
    params.trust = d->inner_trust;
    if (*ret_tls != NULL)
        *ret_inner = tls_client_new(&params, err);
    if (*ret_inner != NULL)
        return 0;
    tls_client_free(*ret_tls);
    *ret_tls = NULL;
    return -1;
}

static void drop_tls(struct client_door *d)
{
    tls_client_free(d->tls);
    tls_client_free(d->inner);
    trust_unref(d->trust);
    trust_unref(d->inner_trust);
    d->tls = d->inner = NULL;
    d->trust = d->inner_trust = NULL;
}

/* Who is asked to prove nothing needs nobody to vouch for him. */
static int load_trusts(struct client_door *d, const struct client_settings *s, struct err *err)
{
    if (s->unproven)
        return 0;
    d->trust = load_trust(s->ca, err);
    if (d->trust != NULL)
        d->inner_trust = s->service_ca == NULL ? trust_ref(d->trust) : load_trust(s->service_ca, err);
    return d->inner_trust != NULL ? 0 : -1;
}

#define LOOKUP_NS (5 * NSEC_PER_SEC)

/* The ECHConfigs of the door, as far as they could be had in time. */
static struct ech_source *ask_dns(struct client_door *d, const struct client_settings *s)
{
    if (s->ech_source != NULL)
        return ech_source_ref(s->ech_source);
    struct ech_source *source = ech_source_new(&s->doh, d->name, d->port);
    ech_sources_wait(&source, 1, MIN(LOOKUP_NS, d->timeout));
    if (s->stays)
        ech_source_keep(source, d->loop);
    return source;
}

static int check_resolver(const struct client_settings *s, struct err *err)
{
    static const char *const flags[] = {
        [DOH_URL] = "--doh", [DOH_PROXY] = "--doh-proxy", [DOH_CONFIGS] = "--doh-configs"};
    enum doh_part part;
    if (s->doh.url == NULL)
        return err_set(err,
                       "--ech %s: who is to be asked for the ECH config? Give --doh URL, set CARDEA_DOH, or "
                       "write 'doh: URL' into the file of settings",
                       s->ech);
    return doh_check(&s->doh, &part, err) == 0 ? 0 : err_prefix(err, "%s", flags[part]);
}

/* Without `ech` there is GREASE everywhere. A config is the door's: services have GREASE. */
static int load_ech(struct client_door *d, const struct client_settings *s, struct err *err)
{
    struct ech_setting setting;
    ech_offer_free(&d->ech);
    if (!ech_setting_read(s->ech, &setting))
        return err_set(err, "--ech %s: expected " ECH_SETTING_WORDS, s->ech);
    if (setting.wish == ECH_WISH_AUTO && check_resolver(s, err) != 0)
        return -1;
    struct ech_source *source = setting.wish == ECH_WISH_AUTO ? ask_dns(d, s) : NULL;
    int rc = ech_offer_load(&setting, source, &d->ech, err);
    ech_source_unref(source);
    return rc == 0 ? 0 : err_prefix(err, "--ech");
}

static void choose_inner_ech(struct client_door *d, const struct client_settings *s)
{
    static const struct ech_offer off = {.off = true};
    struct ech_setting setting;
    if (ech_setting_read(s->ech, &setting) && setting.wish == ECH_WISH_OFF)
        d->inner_ech.offer = &off;
}

static int make_tls(struct client_door *d, const struct client_settings *s, struct err *err)
{
    struct cert *cert;
    choose_inner_ech(d, s);
    if (load_cert(s, &cert, err) != 0 || load_trusts(d, s, err) != 0 ||
        make_clients(d, cert, s->stays, &d->tls, &d->inner, err) != 0) {
        drop_tls(d); /* it may be tried again, with other files then */
        cert_unref(cert);
        return -1;
    }
    cert_unref(d->cert);
    d->cert = cert;
    d->sessions = s->stays ? tls_sessions_new() : NULL;
    return 0;
}

int client_door_take_cert(struct client_door *d, struct cert *cert, struct err *err)
{
    struct tls_client *tls = NULL, *inner = NULL;
    if (d->tls != NULL && make_clients(d, cert, d->stays, &tls, &inner, err) != 0)
        return -1;
    tls_client_free(d->tls);
    tls_client_free(d->inner);
    cert_unref(d->cert);
    d->tls = tls;
    d->inner = inner;
    d->cert = cert;
    if (d->sessions != NULL) /* they would resume what the old one has proven */
        tls_sessions_forget(d->sessions);
    if (d->warm != NULL) {
        warm_free(d->warm);
        d->warm = warm_new(d);
    }
    return 0;
}

static int set_up_names(struct client_door *d, const struct client_settings *s, struct err *err)
{
    if (str_host_port(s->door, strlen(s->door), d->host, &d->port, err) != 0)
        return err_prefix(err, "door '%s'", s->door);
    client_text_place(d->host, d->port, d->place);
    d->named = s->name != NULL;
    d->system_ca = strcmp(s->ca, "system") == 0;
    d->ca = str_dup(s->ca);
    d->service_ca = str_dup(s->service_ca);
    d->name = str_dup(s->name != NULL ? s->name : d->host);
    d->alpn = str_dup(s->alpn);
    d->pq = s->pq;
    d->unproven = s->unproven;
    return 0;
}

static int set_up_ways(struct client_door *d, const struct client_settings *s, struct err *err)
{
    if ((d->inner == NULL && make_tls(d, s, err) != 0) || load_ech(d, s, err) != 0)
        return -1;
    d->resolver = resolver_new(d->loop, err);
    if (d->resolver == NULL)
        return -1;
    d->transport = s->transport == TRANSPORT_UNSAID ? TRANSPORT_AUTO : s->transport;
    d->stays = s->stays;
    bool tunnels = s->alpn != NULL && strcmp(s->alpn, WIRE_ALPN) == 0;
    if (d->transport != TRANSPORT_TCP && tunnels)
        d->carrier = carrier_new(d);
    else
        d->transport = TRANSPORT_TCP;
    if (tunnels && d->stays)
        d->warm = warm_new(d);
    if (tunnels && d->cert != NULL && d->renewer == NULL)
        d->renewer = renewer_new(d, s->cert, s->key);
    return 0;
}

/* Calls that last tell of a certificate that runs out, also where another process shows it to the door; those
 * that do not are spared the files. */
#define WATCH_NS (5 * NSEC_PER_SEC)

static void on_watch(struct timer *t)
{
    struct client_door *d = CONTAINER_OF(t, struct client_door, watch);
    struct err err;
    if (d->cert != NULL || load_cert(d->nearby, &d->cert, &err) != 0 || d->cert == NULL)
        return;
    d->renewer = renewer_new(d, d->nearby->cert, d->nearby->key);
}

/* One that knows where it leads, and no more. */
static struct client_door *door_new(struct loop *loop, const struct client_settings *settings,
                                    struct err *err)
{
    CHECK(settings->door != NULL && settings->ca != NULL && settings->timeout > 0);
    struct client_door *d = calloc(1, sizeof(*d));
    CHECK(d != NULL);
    d->magic = CLIENT_DOOR_MAGIC;
    d->loop = loop;
    d->timeout = settings->timeout;
    d->end_to_end = settings->end_to_end;
    d->shared_fd = -1;
    list_init(&d->clients);
    plain_targets_init(&d->plain);
    list_init(&d->left);
    timer_init(&d->watch, on_watch);
    tls_scratch_init(&d->tls_scratch, d->loop);
    tls_scratch_init(&d->inner_scratch, d->loop);
    pipe_scratch_init(&d->pipe_scratch, false); /* one side is TLS: nothing to splice */
    if (set_up_names(d, settings, err) == 0)
        return d;
    client_door_free(d);
    return NULL;
}

struct client_door *client_door_new(struct loop *loop, const struct client_settings *settings,
                                    struct err *err)
{
    struct client_door *d = door_new(loop, settings, err);
    if (d == NULL || set_up_ways(d, settings, err) == 0)
        return d;
    client_door_free(d);
    return NULL;
}

struct client_door *client_door_shared(struct loop *loop, const struct client_settings *settings, int fd,
                                       struct err *err)
{
    struct client_door *d = door_new(loop, settings, err);
    if (d == NULL) {
        close(fd);
        return NULL;
    }
    d->shared_fd = fd;
    d->later = d->nearby = settings;
    loop_set_timer(loop, &d->watch, loop_now(loop) + WATCH_NS);
    return d;
}

struct ech_source *client_door_ech_source(const struct client_door *door)
{
    return door->ech.source != NULL ? ech_source_ref(door->ech.source) : NULL;
}

bool client_door_warning(const struct client_door *door, int64_t now, struct err *ret_text)
{
    const struct cert *c = door->cert; /* it needs no DNS name */
    return c != NULL && (now > c->not_after || now < c->not_before) && cert_warning(c, now, ret_text);
}

int client_door_complete(struct client_door *door)
{
    const struct client_settings *s = door->later;
    door->later = NULL;
    return s == NULL ? 0 : set_up_ways(door, s, &door->text);
}

int client_door_load_tls(struct client_door *door)
{
    return door->inner != NULL ? 0 : make_tls(door, door->later, &door->text);
}

void client_door_notices(struct client_door *door,
                         void (*notice)(void *owner, enum client_notice what, const char *text), void *owner)
{
    door->notice = notice;
    door->notice_owner = owner;
}

void client_door_look(struct client_door *door)
{
    if (door->renewer != NULL)
        renewer_look(door->renewer);
}

void client_door_visitors(struct client_door *door, const struct client_visitors *visitors, void *owner)
{
    door->visitors = visitors;
    door->visitors_owner = owner;
}

void client_door_renew(struct client_door *door, unsigned turn)
{
    if (door->carrier == NULL || turn != door->carrier_turn)
        return;
    struct carrier *old = door->carrier;
    door->carrier_turn++;
    door->carrier = carrier_new(door);
    carrier_want(door->carrier);
    carrier_leave(old, &door->left);
}

void client_door_free(struct client_door *door)
{
    if (door == NULL)
        return;
    CHECK_MAGIC(door, CLIENT_DOOR_MAGIC);
    struct list *node;
    while ((node = list_pop(&door->clients)) != NULL)
        client_drop(node);
    wheel_cancel(&door->watch);
    renewer_free(door->renewer);
    warm_free(door->warm);
    carrier_free(door->carrier);
    carrier_free_all(&door->left);
    if (door->shared_fd >= 0)
        close(door->shared_fd);
    resolver_free(door->resolver);
    tls_sessions_free(door->sessions);
    drop_tls(door);
    ech_offer_free(&door->ech);
    cert_unref(door->cert);
    tls_scratch_free(&door->tls_scratch);
    tls_scratch_free(&door->inner_scratch);
    pipe_scratch_free(&door->pipe_scratch);
    free(door->history.loss);
    free(door->history.said);
    free(door->name);
    free(door->ca);
    free(door->service_ca);
    free(door->alpn);
    door->magic = 0;
    free(door);
}
