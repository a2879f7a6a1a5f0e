/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/serve_ca.h"

#include <stdlib.h>
#include <string.h>

#include "acme/service.h"
#include "base/check.h"
#include "base/clock.h"
#include "ca/authority.h"
#include "ca/certifier.h"
#include "ca/publish.h"
#include "ca/revocations.h"
#include "config/config.h"
#include "login/service.h"
#include "loop/ear.h"
#include "loop/loop.h"
#include "session/door.h"

struct serve_ca {
    struct ear operator;
    struct authority *authority; /* the office's; NULL: there is none */
    struct login_service *login;
    struct acme_service *acme;
    struct ca_publisher *publisher;
    struct ca_revocations *revocations; /* the control thread's, for the life of the door; NULL: no CA */
    struct certifier *certifier;
    /* What is in force, as the control thread knows it. */
    char *directory;
    uint64_t content;      /* of the section */
    bool acme_served;      /* it has `acme` */
    char root[65];         /* SHA-256 of the latest */
    char intermediate[65]; /* ... and of the one that issues */
};

struct serve_ca *serve_ca_new(const struct ear *operator)
{
    struct serve_ca *c = calloc(1, sizeof(*c));
    CHECK(c != NULL);
    c->operator= * operator;
    c->login = login_service_new(operator);
    c->acme = acme_service_new(operator);
    c->publisher = ca_publisher_new(operator);
    c->certifier = certifier_new(operator);
    return c;
}

void serve_ca_free(struct serve_ca *c)
{
    if (c == NULL)
        return;
    login_service_free(c->login);
    acme_service_free(c->acme);
    ca_publisher_free(c->publisher);
    ca_revocations_close(c->revocations);
    certifier_free(c->certifier);
    authority_close(c->authority);
    free(c->directory);
    free(c);
}

void serve_ca_services(struct serve_ca *c, struct web_service ret[SERVE_CA_SERVICES])
{
    ret[0] = login_service_web(c->login);
    ret[1] = acme_service_web(c->acme);
    ret[2] = ca_publisher_web(c->publisher);
}

struct revocations_provider *serve_ca_revocations(const struct serve_ca *c)
{
    return c->revocations == NULL ? NULL : ca_revocations_provider(c->revocations);
}

struct web_service serve_ca_certifier(struct serve_ca *c)
{
    return certifier_web(c->certifier);
}

bool serve_ca_ends(void *arg, struct ca_end *ret_root, struct ca_end *ret_intermediate)
{
    const struct serve_ca *c = arg;
    return ca_publisher_ends(c->publisher, ret_root, ret_intermediate);
}

/* ---- opening ---- */

static bool is_served(const struct config *c, const char *service)
{
    for (size_t i = 0; i < c->routes.n; i++)
        for (size_t k = 0; k < c->routes.v[i].serve.n; k++)
            if (strcmp(c->routes.v[i].serve.v[k].text, service) == 0)
                return true;
    return false;
}

static struct login_settings login_settings_of(const struct config_ca *ca)
{
    return (struct login_settings){.renewable = ca->login.renewable / NSEC_PER_SEC};
}

/* NULL with `err`. */
static struct authority *open_authority(const struct config_ca *ca, struct authority_facts *ret,
                                        struct err *err)
{
    struct authority *a = authority_open(ca->directory.text, err);
    if (a != NULL && authority_look(a, clock_wall() / NSEC_PER_SEC, ret, err) == 0)
        return a;
    authority_close(a);
    return NULL;
}

static void note(struct serve_ca *c, const struct config_ca *ca, const struct authority_facts *facts)
{
    c->content = ca->head.content;
    memcpy(c->root, facts->root.sha256, sizeof(c->root));
    memcpy(c->intermediate, facts->intermediate.sha256, sizeof(c->intermediate));
}

/* What cannot be written is told, and keeps nothing from being served. */
static void follow_roots(const struct serve_ca *c, struct authority *a)
{
    struct err why;
    if (authority_follow_roots(a, clock_wall() / NSEC_PER_SEC, &why) < 0)
        ear_tell(&c->operator, "ca: %s", why.text);
}

int serve_ca_open(struct serve_ca *c, const struct config *config, struct err *err)
{
    const struct config_ca *ca = config->ca;
    struct authority_facts facts;
    if (ca == NULL)
        return 0;
    const struct login_settings settings = login_settings_of(ca);
    const struct certifier_settings agents = certifier_settings(ca);
    c->authority = open_authority(ca, &facts, err);
    if (c->authority == NULL || authority_unlock_by_file(c->authority, ca->passphrase_file.text, err) < 0 ||
        login_service_open(c->login, c->authority, ca->directory.text, &settings, err) < 0 ||
        acme_service_open(c->acme, c->authority, ca, err) < 0 ||
        ca_publisher_open(c->publisher, c->authority, ca, is_served(config, "ca"), err) < 0)
        return -1;
    follow_roots(c, c->authority);
    c->revocations = ca_revocations_open(ca->directory.text, &c->operator, err);
    if (c->revocations == NULL)
        return -1;
    certifier_take(c->certifier, c->authority, &agents);
    c->directory = strdup(ca->directory.text);
    CHECK(c->directory != NULL);
    c->acme_served = ca->acme != NULL;
    note(c, ca, &facts);
    return 0;
}

/* ---- taking it anew ---- */

/* On its way to the office. */
struct handover {
    struct message message;
    struct serve_ca *to;
    struct authority *authority;
    struct publication *publication;
    struct acme_settings *acme; /* NULL: it has none */
    struct login_settings login;
    struct certifier_settings agents;
};

/* On the office's thread, between two requests; what is under way there goes on with what it began with. */
static void hand_over(struct message *m)
{
    struct handover *h = CONTAINER_OF(m, struct handover, message);
    struct serve_ca *c = h->to;
    struct authority *before = c->authority;
    c->authority = h->authority;
    login_service_take(c->login, h->authority, &h->login);
    if (h->acme != NULL)
        acme_service_take(c->acme, h->authority, h->acme);
    ca_publisher_take(c->publisher, h->publication, h->authority);
    certifier_take(c->certifier, h->authority, &h->agents);
    authority_close(before);
    free(h);
}

static int send_to_office(struct serve_ca *c, struct door *door, struct authority *a,
                          const struct config *config, struct err *err)
{
    struct handover *h = calloc(1, sizeof(*h));
    CHECK(h != NULL);
    *h = (struct handover){.message = {.run = hand_over},
                           .to = c,
                           .authority = a,
                           .login = login_settings_of(config->ca),
                           .agents = certifier_settings(config->ca)};
    h->publication = ca_publisher_prepare(c->publisher, a, config->ca, is_served(config, "ca"), err);
    if (h->publication == NULL) {
        free(h);
        return -1;
    }
    if (config->ca->acme != NULL)
        h->acme = acme_service_prepare(config->ca);
    door_post_office(door, &h->message);
    return 0;
}

static bool needs_start(const struct serve_ca *c, const struct config_ca *ca)
{
    if (ca == NULL || c->directory == NULL)
        return ca != NULL || c->directory != NULL;
    return strcmp(ca->directory.text, c->directory) != 0 || (ca->acme != NULL) != c->acme_served;
}

enum serve_ca_result serve_ca_reload(struct serve_ca *c, struct door *door, const struct config *config,
                                     struct err *err)
{
    const struct config_ca *ca = config->ca;
    struct authority_facts facts;
    if (needs_start(c, ca))
        return SERVE_CA_STAYS;
    if (ca == NULL)
        return SERVE_CA_TAKEN;
    struct authority *a = open_authority(ca, &facts, err);
    if (a == NULL)
        return SERVE_CA_FAILED;
    bool roots = strcmp(facts.root.sha256, c->root) != 0;
    bool issues = strcmp(facts.intermediate.sha256, c->intermediate) != 0;
    if (ca->head.content == c->content && !roots && !issues) {
        authority_close(a);
        return SERVE_CA_TAKEN;
    }
    follow_roots(c, a);
    if (authority_unlock_by_file(a, ca->passphrase_file.text, err) < 0 ||
        send_to_office(c, door, a, config, err) < 0) {
        authority_close(a);
        return SERVE_CA_FAILED;
    }
    if (roots)
        ear_tell(&c->operator, "ca: who trusts %s believes what is issued from now on", facts.root.name);
    if (issues)
        ear_tell(&c->operator, "ca: %s issues from now on", facts.intermediate.name);
    note(c, ca, &facts);
    return SERVE_CA_TAKEN;
}
