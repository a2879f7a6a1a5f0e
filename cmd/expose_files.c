/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/expose_files.h"

#include <stdio.h>
#include <string.h>

#include "cert/cert.h"
#include "cert/trust.h"
#include "cmd/cmd.h"

/* Where a path stands; file NULL: on the command line, or in the environment. */
struct place {
    const char *file;
    struct config_pos at;
    char key[64]; /* "services[2].certificate", or whose it is */
};

static bool cert_is_good(const char *certificate, const char *key, struct err *err)
{
    struct cert_files files = {.certificate = certificate, .key = key};
    struct cert *cert = cert_load(&files, err);
    bool good = cert != NULL;
    cert_unref(cert);
    return good;
}

static bool ca_is_good(const char *ca, struct err *err)
{
    struct trust_files files = {.name = ca, .ca = &ca, .ca_len = 1};
    struct trust *trust = trust_load(&files, err);
    bool good = trust != NULL;
    trust_unref(trust);
    return good;
}

static void complain(const struct place *p, const struct err *why)
{
    if (p->file != NULL)
        fprintf(stderr, "%s:%u:%u: %s: %s\n", p->file, p->at.line, p->at.column, p->key, why->text);
    else if (*p->key != '\0')
        cmd_failed("%s: %s", p->key, why->text);
    else
        cmd_failed("%s", why->text);
}

static struct place place_of_service(const struct expose_options *o, size_t index, const char *key,
                                     struct config_pos at)
{
    struct place p = {.at = at, .file = o->file != NULL ? o->file->file : NULL};
    if (p.file != NULL)
        snprintf(p.key, sizeof(p.key), "services[%zu].%s", index, key);
    else
        snprintf(p.key, sizeof(p.key), "%s", o->exposures[index].service.offer.name);
    return p;
}

bool expose_files_of_service(const struct expose_options *o, size_t index)
{
    static const struct config_service none;
    const struct agent_tls_files *f = &o->exposures[index].tls;
    const struct config_service *c = o->file != NULL ? &o->file->services.v[index] : &none;
    struct err err;
    bool good = true;
    if (f->cert != NULL && f->key != NULL && !cert_is_good(f->cert, f->key, &err)) {
        struct place p = place_of_service(o, index, "certificate", c->certificate.at);
        complain(&p, &err);
        good = false;
    }
    const struct agent_service *s = &o->exposures[index].service;
    if (s->also_cert != NULL && s->also_key != NULL && !cert_is_good(s->also_cert, s->also_key, &err)) {
        struct place p = place_of_service(o, index, "also_cert", c->also_cert.at);
        complain(&p, &err);
        good = false;
    }
    if (f->clients != NULL && !ca_is_good(f->clients, &err)) {
        struct place p = place_of_service(o, index, "clients", c->clients.at);
        complain(&p, &err);
        good = false;
    }
    return good;
}

/* The agent's file and the client's may each have said it; neither: a flag or a variable. */
static struct place place_of_setting(const struct expose_options *o, enum connect_setting which,
                                     const char *key, const struct config_text *agents,
                                     const struct config_text *clients)
{
    const struct connect_settings *s = &o->settings;
    struct place p = {0};
    if (agents != NULL && agents->text == s->value[which])
        p = (struct place){.file = o->file->file, .at = agents->at};
    else if (clients != NULL && s->from_file[which])
        p = (struct place){.file = s->file->file, .at = clients->at};
    if (p.file != NULL)
        snprintf(p.key, sizeof(p.key), "%s", key);
    return p;
}

#define PLACE_OF_SETTING(o, NAME, field)                                                      \
    place_of_setting(o, SETTING_##NAME, #field, (o)->file != NULL ? &(o)->file->field : NULL, \
                     (o)->settings.file != NULL ? &(o)->settings.file->field : NULL)

bool expose_files_of_door(const struct expose_options *o)
{
    const char *const *value = o->settings.value, *ca = value[SETTING_CA];
    struct err err;
    bool good = true;
    if (value[SETTING_CERT] != NULL && value[SETTING_KEY] != NULL &&
        !cert_is_good(value[SETTING_CERT], value[SETTING_KEY], &err)) {
        struct place p = PLACE_OF_SETTING(o, CERT, cert);
        complain(&p, &err);
        good = false;
    }
    if (ca != NULL && strcmp(ca, CONFIG_TRUST_SYSTEM) != 0 && !ca_is_good(ca, &err)) {
        struct place p = PLACE_OF_SETTING(o, CA, ca);
        complain(&p, &err);
        good = false;
    }
    return good;
}
