/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/tell.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/str.h"
#include "session/snapshot.h"

#define WARNINGS_MAX 20 /* of one configuration; the rest is counted */

/* Warnings on their way into a buffer. */
struct telling {
    struct buf *out;
    const struct snapshot *snap;
    size_t count;
    bool ok;
};

__attribute__((format(printf, 3, 4))) static void warn(struct telling *t, struct config_pos at,
                                                       const char *fmt, ...)
{
    struct err text, placed;
    va_list ap;
    if (t->count++ >= WARNINGS_MAX)
        return;
    va_start(ap, fmt);
    vsnprintf(text.text, sizeof(text.text), fmt, ap);
    va_end(ap);
    config_error(t->snap->config, at, &placed, "warning: %s", text.text);
    t->ok = t->ok && buf_printf(t->out, "%s\n", placed.text);
}

static void warn_of_certificates(struct telling *t)
{
    const struct config *c = t->snap->config;
    struct err text;
    for (size_t i = 0; i < c->certificates.n; i++)
        if (cert_warning(t->snap->certs[i], time(NULL), &text))
            warn(t, c->certificates.v[i].certificate.at, "%s", text.text);
}

/* Is `name` one label and then `suffix`, which begins with a dot? */
static bool is_label_before(const char *name, const char *suffix)
{
    const char *dot = strchr(name, '.');
    return dot != NULL && dot != name && strcmp(dot, suffix) == 0;
}

/* Does the certificate serve somebody who asks for `sni`: an exact name, or a pattern `*.x`, of which one
 * name is enough? */
static bool is_named(const struct cert *cert, const char *sni)
{
    for (size_t i = 0; i < cert->names_len; i++) {
        const char *name = cert->names[i];
        if (strcmp(name, sni) == 0 || (name[0] == '*' && is_label_before(sni, name + 1)) ||
            (sni[0] == '*' && is_label_before(name, sni + 1)))
            return true;
    }
    return false;
}

static bool has_certificate(const struct cert_store *store, const char *sni)
{
    if (sni[0] != '*')
        return is_named(
            cert_select(store, &(struct cert_query){.sni = {sni, strlen(sni)}, .version = 0x0304}), sni);
    for (size_t i = 0; i < cert_store_count(store); i++)
        if (is_named(cert_store_at(store, i), sni))
            return true;
    return false;
}

/* Clients that ask for the name get a certificate that they must refuse. */
static void warn_of_names(struct telling *t, const struct route_runtime *r)
{
    const struct config_route *rc = r->config;
    for (size_t i = 0; r->store != NULL && i < rc->sni.n; i++) {
        const char *sni = rc->sni.v[i].text;
        if (strcmp(sni, "none") != 0 && strncmp(sni, "**", 2) != 0 && !has_certificate(r->store, sni))
            warn(t, rc->sni.v[i].at, "no certificate names %s (route %s)", sni, rc->name.text);
    }
}

/* Few web servers speak HTTP/2 without TLS. */
static void hint_at_h2(struct telling *t, const struct config_route *rc)
{
    if (rc->action != CONFIG_TERMINATE || rc->terminate->tls != NULL)
        return;
    for (size_t i = 0; i < rc->terminate->alpn.n; i++)
        if (strcmp(rc->terminate->alpn.v[i].text, "h2") == 0)
            warn(t, rc->terminate->alpn.v[i].at,
                 "h2 works only if the backend speaks HTTP/2 in the clear (route %s)", rc->name.text);
}

bool tell_warnings(struct buf *b, const struct snapshot *snap, bool hints)
{
    struct telling t = {.out = b, .snap = snap, .ok = true};
    warn_of_certificates(&t);
    for (size_t i = 0; i < snap->config->routes.n; i++) {
        warn_of_names(&t, &snap->routes[i]);
        if (hints)
            hint_at_h2(&t, snap->routes[i].config);
    }
    if (t.count > WARNINGS_MAX)
        t.ok = t.ok && buf_printf(b, "%s: %zu more warnings are not shown\n", snap->config->file,
                                  t.count - WARNINGS_MAX);
    return t.ok;
}

bool tell_lines(struct buf *b, const char *text)
{
    const char *comma = "";
    bool ok = buf_append(b, "[", 1);
    while (text != NULL && *text != '\0' && ok) {
        size_t n = strcspn(text, "\n");
        if (n > 0) {
            ok = buf_printf(b, "%s", comma) && str_json(b, text, n);
            comma = ",";
        }
        text += n + (text[n] == '\n');
    }
    return ok && buf_append(b, "]", 1);
}

const char *tell_first_bytes_word(enum config_first_bytes what)
{
    static const char *const words[] = {
        [CONFIG_FIRST_SSH] = "ssh", [CONFIG_FIRST_HTTP] = "http", [CONFIG_FIRST_POSTGRES] = "postgres"};
    CHECK((size_t)what < ARRAY_LEN(words));
    return words[what];
}

bool tell_first_bytes(struct buf *b, const struct config_codes *codes)
{
    bool ok = buf_append(b, "[", 1);
    for (size_t i = 0; i < codes->n; i++)
        ok = ok && buf_printf(b, "%s\"%s\"", i > 0 ? "," : "", tell_first_bytes_word(codes->v[i]));
    return ok && buf_append(b, "]", 1);
}
