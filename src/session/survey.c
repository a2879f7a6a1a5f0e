/* SPDX-License-Identifier: Apache-2.0 */
#include "session/survey.h"

#include <stdio.h>

#include "audit/sink.h"
#include "base/file.h"
#include "cert/cert.h"
#include "cert/secret_file.h"
#include "cert/trust.h"
#include "config/config.h"
#include "policy/policy.h"
#include "session/plan.h"

#define KEY_MAX 64 /* of the names of keys below */

static void report(const struct config *c, struct config_pos at, const struct err *why, struct buf *errors)
{
    struct err placed;
    config_error(c, at, &placed, "%s", why->text);
    buf_printf(errors, "%s\n", placed.text);
}

/* Has each of them a text? Where the file has errors some may have none. */
static bool are_read(const struct config_texts *texts)
{
    for (size_t i = 0; i < texts->n; i++)
        if (texts->v[i].text == NULL)
            return false;
    return true;
}

static void look_at_trust(const struct config *c, const struct config_trust *t, struct buf *errors)
{
    struct err err;
    if (t->name.text == NULL || t->ca.n == 0 || !are_read(&t->ca) || !are_read(&t->crl))
        return;
    struct trust_files files = {t->name.text, plan_texts(&t->ca), t->ca.n, plan_texts(&t->crl), t->crl.n};
    struct trust *trust = trust_load(&files, &err);
    if (trust == NULL)
        report(c, t->head.at, &err, errors);
    trust_unref(trust);
    plan_texts_done(files.ca);
    plan_texts_done(files.crl);
}

/* `names` may be NULL. */
static void look_at_certificate(const struct config *c, const struct config_text *certificate,
                                const struct config_text *key, const struct config_texts *names,
                                struct buf *errors)
{
    struct err err;
    if (certificate->text == NULL || key->text == NULL || (names != NULL && !are_read(names)))
        return;
    const char *const *list = names == NULL ? NULL : plan_texts(names);
    struct cert_files files = {.certificate = certificate->text,
                               .key = key->text,
                               .names = list,
                               .names_len = names == NULL ? 0 : names->n};
    struct cert *cert = cert_load(&files, &err);
    if (cert == NULL)
        report(c, certificate->at, &err, errors);
    cert_unref(cert);
    plan_texts_done(list);
}

static void look_at_route(const struct config *c, const struct config_route *rc, struct buf *errors)
{
    struct buf text = {0};
    struct err err;
    if (rc->sni_file.text != NULL && file_read(rc->sni_file.text, PLAN_SNI_FILE_MAX, &text, NULL, &err) != 0)
        report(c, rc->sni_file.at, &err, errors);
    buf_free(&text);
    const struct config_backend *backend = config_route_backend(rc);
    if (backend != NULL && backend->tls != NULL)
        look_at_certificate(c, &backend->tls->certificate, &backend->tls->key, NULL, errors);
}

static void look_at_targets(const struct config *c, const struct config_texts *targets, struct buf *errors)
{
    struct err err;
    for (size_t i = 0; i < targets->n; i++)
        if (targets->v[i].text != NULL && policy_target_check(targets->v[i].text, &err) != 0)
            report(c, targets->v[i].at, &err, errors);
}

/* `key`: where in the file, such as "acme_cas[0].eab.key_file". */
static void look_at_secret(const struct config *c, const char *key, const struct config_text *file,
                           struct buf *errors)
{
    struct buf secret = {0};
    struct err err;
    if (file->text != NULL && secret_file_read(file->text, &secret, &err) != 0) {
        err_prefix(&err, "%s", key);
        report(c, file->at, &err, errors);
    }
    buf_wipe(&secret);
}

static void look_at_acme_ca(const struct config *c, size_t i, struct buf *errors)
{
    const struct config_acme_ca *ca = &c->acme_cas.v[i];
    const char *name = ca->name.text != NULL ? ca->name.text : "?";
    const struct trust_files roots = {
        .name = name, .ca = (const char *const *)&ca->ca_file.text, .ca_len = 1};
    char key[KEY_MAX];
    struct err err;
    struct trust *trust = ca->ca_file.text != NULL ? trust_load(&roots, &err) : NULL;
    if (ca->ca_file.text != NULL && trust == NULL) {
        err_prefix(&err, "acme_cas[%zu].ca_file", i);
        report(c, ca->ca_file.at, &err, errors);
    }
    trust_unref(trust);
    snprintf(key, sizeof(key), "acme_cas[%zu].eab.key_file", i);
    if (ca->eab != NULL)
        look_at_secret(c, key, &ca->eab->key_file, errors);
}

int survey_acme(const struct config *c, struct buf *errors)
{
    size_t before = errors->len;
    for (size_t i = 0; i < c->acme_cas.n; i++)
        look_at_acme_ca(c, i, errors);
    for (size_t i = 0; i < c->certificates.n; i++) {
        const struct config_certificate *cc = &c->certificates.v[i];
        const struct config_acme *a = cc->acme != NULL ? cc->acme : cc->on_demand;
        char key[KEY_MAX];
        snprintf(key, sizeof(key), "certificates[%zu].%s.dns.secret_file", i,
                 cc->acme != NULL ? "acme" : "on_demand");
        if (a != NULL && a->dns != NULL)
            look_at_secret(c, key, &a->dns->secret_file, errors);
    }
    return errors->len == before ? 0 : -1;
}

int survey_audit(const struct config *c, struct buf *errors)
{
    struct err err, why;
    if (sink_file_check(c->audit.file.text, &err) == 0)
        return 0;
    err_set(&why, "audit.file: %s", err.text);
    report(c, c->audit.file.at, &why, errors);
    return -1;
}

void survey_file(const char *path, struct buf *errors)
{
    struct config *c = config_survey(path);
    if (c == NULL)
        return;
    for (size_t i = 0; i < c->trust.n; i++)
        look_at_trust(c, &c->trust.v[i], errors);
    for (size_t i = 0; i < c->certificates.n; i++)
        look_at_certificate(c, &c->certificates.v[i].certificate, &c->certificates.v[i].key,
                            &c->certificates.v[i].names, errors);
    for (size_t i = 0; i < c->routes.n; i++)
        look_at_route(c, &c->routes.v[i], errors);
    for (size_t i = 0; i < c->policy.n; i++)
        look_at_targets(c, &c->policy.v[i].targets, errors);
    survey_acme(c, errors);
    if (c->audit.file.text != NULL)
        survey_audit(c, errors);
    config_free(c);
}
