/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/str.h"
#include "cmd/check_path.h"

/* ---- for people ---- */

static void put_cert(struct buf *out, const struct path_report_cert *cert)
{
    if (cert->sent == 0)
        buf_printf(out, "'%s' (anchor)", cert->subject);
    else
        buf_printf(out, "'%s' (sent as %zu)", cert->subject, cert->sent);
}

static void put_path(struct buf *out, const struct path_report *r)
{
    for (size_t i = 0; i < r->path_len; i++) {
        char until[PEM_TIME_MAX];
        buf_printf(out, "  %2zu  ", i + 1);
        put_cert(out, &r->path[i]);
        buf_printf(out, ", by '%s', until %s\n", r->path[i].issuer,
                   pem_time_text(r->path[i].not_after, until));
    }
}

/* Each branch is indented by what is below it; '*' marks the path. */
static void put_step(struct buf *out, const struct path_report_step *s)
{
    buf_printf(out, "  %c %*s", s->chosen ? '*' : ' ', (int)(2 * (s->depth - 1)), "");
    put_cert(out, &s->cert);
    if (s->has_issuer) {
        buf_printf(out, " by ");
        put_cert(out, &s->issuer);
    }
    buf_printf(out, s->taken ? "\n" : ": %s\n", s->why);
}

void check_path_text(struct buf *out, const struct check_path_case *c, const struct path_report *r)
{
    buf_printf(out, "%s: %s", c->chain, r->accepted ? "accept" : "reject");
    if (!r->accepted)
        buf_printf(out, ": %s", r->why.text);
    buf_printf(out, "\n");
    if (r->issued != 0)
        buf_printf(out, "certificate %zu is issued by the first one: the leaf has to stand first\n",
                   r->issued);
    put_path(out, r);
    buf_printf(out, "%zu certificates, %zu candidates looked at, %zu signatures checked\n", r->certs,
               r->candidates, r->signatures);
    for (size_t i = 0; i < r->steps_len; i++)
        put_step(out, &r->steps[i]);
    if (r->steps_more > 0)
        buf_printf(out, "    and %zu more\n", r->steps_more);
}

/* ---- for machines ---- */

static void put_text(struct buf *out, const char *key, const char *value)
{
    buf_printf(out, ",\"%s\":", key);
    if (value == NULL)
        buf_printf(out, "null");
    else
        str_json(out, value, strlen(value));
}

/* Members of an object, behind its brace. */
static void put_cert_members(struct buf *out, const struct path_report_cert *cert)
{
    char time[PEM_TIME_MAX];
    buf_printf(out, "\"anchor\":%s,\"sent\":", cert->sent == 0 ? "true" : "false");
    if (cert->sent == 0)
        buf_printf(out, "null");
    else
        buf_printf(out, "%zu", cert->sent);
    put_text(out, "subject", cert->subject);
    put_text(out, "issuer", cert->issuer);
    put_text(out, "not_before", pem_time_text(cert->not_before, time));
    put_text(out, "not_after", pem_time_text(cert->not_after, time));
}

static void put_cert_object(struct buf *out, const struct path_report_cert *cert)
{
    buf_printf(out, "{");
    put_cert_members(out, cert);
    buf_printf(out, "}");
}

static void put_steps(struct buf *out, const struct path_report *r)
{
    buf_printf(out, ",\"steps\":[");
    for (size_t i = 0; i < r->steps_len; i++) {
        const struct path_report_step *s = &r->steps[i];
        buf_printf(out, "%s{\"depth\":%zu,\"taken\":%s,\"chosen\":%s", i > 0 ? "," : "", s->depth,
                   s->taken ? "true" : "false", s->chosen ? "true" : "false");
        put_text(out, "reason", s->why);
        buf_printf(out, ",\"cert\":");
        put_cert_object(out, &s->cert);
        buf_printf(out, ",\"candidate\":");
        if (s->has_issuer)
            put_cert_object(out, &s->issuer);
        else
            buf_printf(out, "null");
        buf_printf(out, "}");
    }
    buf_printf(out, "],\"more_steps\":%zu", r->steps_more);
}

void check_path_json(struct buf *out, const struct check_path_case *c, const struct path_report *r)
{
    const char *verdict = r->accepted ? "accept" : "reject";
    char at[PEM_TIME_MAX];
    buf_printf(out, "{\"verdict\":\"%s\"", verdict);
    put_text(out, "reason", r->accepted ? NULL : r->why.text);
    put_text(out, "chain", c->chain);
    put_text(out, "name", c->name);
    put_text(out, "purpose", c->purpose == TRUST_CLIENT ? "client" : "server");
    put_text(out, "at", pem_time_text(c->at, at));
    if (c->label != NULL) {
        put_text(out, "case", c->label);
        put_text(out, "category", c->category);
        put_text(out, "expected", c->expected);
        buf_printf(out, ",\"as_expected\":%s",
                   c->expected == NULL                 ? "null"
                   : strcmp(c->expected, verdict) == 0 ? "true"
                                                       : "false");
    }
    buf_printf(out, ",\"certificates\":%zu,\"candidates\":%zu,\"signatures\":%zu,\"path\":[", r->certs,
               r->candidates, r->signatures);
    for (size_t i = 0; i < r->path_len; i++) {
        buf_printf(out, "%s", i > 0 ? "," : "");
        put_cert_object(out, &r->path[i]);
    }
    buf_printf(out, "]");
    if (c->label == NULL)
        put_steps(out, r);
    buf_printf(out, "}\n");
}
