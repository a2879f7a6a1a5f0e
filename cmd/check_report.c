/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/check_report.h"

#include <stdarg.h>
#include <string.h>

#include "base/alert.h"
#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/hostname.h"
#include "base/hostport.h"
#include "base/str.h"
#include "base/tls_version.h"
#include "probe/grade.h"
#include "probe/server_probe.h"
#include "probe/survey.h"

#define NAMES_SHOWN 8 /* to people, of one certificate */
#define SECONDS_OF_DAY 86400

static const char *const step_words[] = {[PROBE_LOOKUP] = "lookup",
                                         [PROBE_CONNECT] = "connect",
                                         [PROBE_STARTTLS] = "starttls",
                                         [PROBE_TLS] = "tls"};

static double milliseconds(int64_t spent)
{
    return (double)spent / NSEC_PER_MSEC;
}

/* Whole days until then, rounded down; negative once it is over. */
static long long days_until(int64_t when)
{
    int64_t left = when - clock_wall() / NSEC_PER_SEC;
    return left / SECONDS_OF_DAY - (left % SECONDS_OF_DAY < 0);
}

/* ---- for people ---- */

static void put_names(struct buf *out, const struct cert_facts *c)
{
    const char *name = (const char *)c->names.data;
    for (size_t i = 0; i < c->names_len && i < NAMES_SHOWN; i++, name += strlen(name) + 1)
        buf_printf(out, "%s%s", i > 0 ? ", " : " for ", name);
    size_t rest = c->names_more + (c->names_len > NAMES_SHOWN ? c->names_len - NAMES_SHOWN : 0);
    if (rest > 0)
        buf_printf(out, " and %zu more", rest);
}

static void put_end(struct buf *out, int64_t when)
{
    char until[PEM_TIME_MAX];
    if (when == INT64_MIN)
        buf_printf(out, "  expires      at a time that cannot be read\n");
    else if (days_until(when) >= 0)
        buf_printf(out, "  expires      in %lld days, %s\n", days_until(when), pem_time_text(when, until));
    else
        buf_printf(out, "  expired      %lld days ago, %s\n", -1 - days_until(when),
                   pem_time_text(when, until));
}

void check_text_certificate(struct buf *out, const struct cert_facts *c)
{
    if (c->key[0] == '\0')
        return;
    buf_printf(out, "  certificate  '%s'", c->subject);
    put_names(out, c);
    buf_printf(out, "\n  issuer       '%s'\n", c->issuer);
    buf_printf(out, "  key          %s, signed with %s\n", c->key, c->signature);
    put_end(out, c->not_after);
}

static void put_times(struct buf *out, const struct server_probe_result *r)
{
    const char *before = "  time         ";
    for (size_t i = 0; i < PROBE_STEPS; i++) {
        if (r->spent[i] == PROBE_NOT_REACHED)
            continue;
        buf_printf(out, "%s%s %.1f ms", before, step_words[i], milliseconds(r->spent[i]));
        before = ", ";
    }
    if (*before == ',')
        buf_printf(out, "\n");
}

static void put_tls(struct buf *out, const struct check_subject *s, const struct server_probe_result *r)
{
    buf_printf(out, "  TLS          %s, %s, %s", tls_version_word(r->version),
               r->group != NULL ? r->group : "no group", r->cipher);
    if (r->alpn[0] != '\0')
        buf_printf(out, ", ALPN %s", r->alpn);
    else if (s->offered_alpn)
        buf_printf(out, ", no ALPN: the server has chosen none of what was offered");
    buf_printf(out, "\n");
}

static void put_unexpected(struct buf *out, const struct check_findings *f)
{
    struct err found;
    for (size_t i = 0; i < f->expect_len && f->seen.first->shook_hands; i++)
        if (!check_expect_holds(&f->expect[i], &f->seen, &found))
            buf_printf(out, "  EXPECTED     %s, found %s\n", f->expect[i].text, found.text);
    if (f->below != NULL)
        buf_printf(out, "  EXPECTED     grade %s, found %s, which is below %s\n", f->below,
                   grade_text(f->grade->grade), f->below);
    if (f->open)
        buf_printf(out, "  EXPECTED     an answer to all questions, found that the time was over before\n");
}

/* An address is not sent as a name (RFC 6066, 3). */
static void put_name_hint(struct buf *out, const struct check_subject *s, const struct server_probe_result *r)
{
    uint8_t ip[16];
    if (r->alert != ALERT_UNRECOGNIZED_NAME)
        return;
    if (hostname_address(s->name, ip) > 0)
        buf_printf(out, "; it goes by the name that a client asks for: give it with --name NAME");
    else
        buf_printf(out, "; it does not know the name '%s': --name NAME asks for another", s->name);
}

static void put_heading(struct buf *out, const struct check_subject *s, const struct check_findings *f)
{
    const struct server_probe_result *r = f->seen.first;
    if (r->outcome == PROBE_GOOD)
        buf_printf(out, f->grade != NULL ? ": proven" : ": good"); /* how good it is, the grade says */
    else
        buf_printf(out, ": %s: %s", r->outcome == PROBE_UNPROVEN ? "NOT PROVEN" : "FAILED", r->text.text);
    put_name_hint(out, s, r);
    if (f->grade != NULL)
        buf_printf(out, "; grade %s", grade_text(f->grade->grade));
}

void check_report_text(struct buf *out, const struct check_subject *s, const struct check_findings *f)
{
    const struct server_probe_result *r = f->seen.first;
    char address[NET_ADDR_TEXT_MAX];
    str_host_port_put(out, s->host, s->port);
    put_heading(out, s, f);
    buf_printf(out, "\n  asked        %s%s, for %s", s->protocol != NULL ? "STARTTLS in " : "TLS",
               s->protocol != NULL ? s->protocol : "", s->name);
    if (r->address.family != AF_UNSPEC)
        buf_printf(out, ", at %s", net_addr_format(&r->address, address));
    buf_printf(out, "\n");
    if (r->shook_hands) {
        put_tls(out, s, r);
        check_text_certificate(out, &r->certificate);
    }
    put_times(out, r);
    check_quic_text(out, f);
    check_grade_text(out, f);
    put_unexpected(out, f);
}

/* ---- for machines ---- */

void check_json_member(struct buf *out, const char *key, const char *value)
{
    buf_printf(out, ",\"%s\":", key);
    if (value == NULL)
        buf_printf(out, "null");
    else
        str_json(out, value, strlen(value));
}

static void time_member(struct buf *out, const char *key, int64_t when)
{
    char text[PEM_TIME_MAX];
    check_json_member(out, key, when == INT64_MIN ? NULL : pem_time_text(when, text));
}

void check_json_certificate(struct buf *out, const struct cert_facts *c)
{
    const char *name = (const char *)c->names.data;
    buf_printf(out, "\"subject\":");
    str_json(out, c->subject, strlen(c->subject));
    buf_printf(out, ",\"names\":[");
    for (size_t i = 0; i < c->names_len; i++, name += strlen(name) + 1) {
        buf_printf(out, "%s", i > 0 ? "," : "");
        str_json(out, name, strlen(name));
    }
    buf_printf(out, "],\"more_names\":%zu", c->names_more);
    check_json_member(out, "issuer", c->issuer);
    time_member(out, "not_before", c->not_before);
    time_member(out, "not_after", c->not_after);
    if (c->not_after == INT64_MIN)
        buf_printf(out, ",\"days_left\":null");
    else
        buf_printf(out, ",\"days_left\":%lld", days_until(c->not_after));
    check_json_member(out, "key", c->key);
    check_json_member(out, "signature", c->signature);
    buf_printf(out, ",\"chain_length\":%zu", c->chain_len);
}

void check_json_leaf(struct buf *out, const struct cert_facts *c)
{
    buf_printf(out, ",\"certificate\":");
    if (c->key[0] == '\0') {
        buf_printf(out, "null");
        return;
    }
    buf_printf(out, "{");
    check_json_certificate(out, c);
    buf_printf(out, "}");
}

static void unexpected_json(struct buf *out, const struct check_findings *f)
{
    const char *before = "";
    struct err found;
    buf_printf(out, ",\"unexpected\":[");
    for (size_t i = 0; i < f->expect_len && f->seen.first->shook_hands; i++) {
        if (check_expect_holds(&f->expect[i], &f->seen, &found))
            continue;
        buf_printf(out, "%s{\"expected\":", before);
        str_json(out, f->expect[i].text, strlen(f->expect[i].text));
        check_json_member(out, "found", found.text);
        buf_printf(out, "}");
        before = ",";
    }
    buf_printf(out, "]");
}

static void times_json(struct buf *out, const struct server_probe_result *r)
{
    buf_printf(out, ",\"ms\":{");
    for (size_t i = 0; i < PROBE_STEPS; i++) {
        buf_printf(out, "%s\"%s\":", i > 0 ? "," : "", step_words[i]);
        if (r->spent[i] == PROBE_NOT_REACHED)
            buf_printf(out, "null");
        else
            buf_printf(out, "%.3f", milliseconds(r->spent[i]));
    }
    buf_printf(out, "}");
}

void check_json_tls(struct buf *out, const struct server_probe_result *r)
{
    buf_printf(out, ",\"tls\":");
    if (!r->shook_hands) {
        buf_printf(out, "null");
        return;
    }
    buf_printf(out, "{\"version\":\"%s\"", tls_version_word(r->version));
    check_json_member(out, "group", r->group);
    check_json_member(out, "cipher", r->cipher);
    check_json_member(out, "alpn", r->alpn[0] != '\0' ? r->alpn : NULL);
    buf_printf(out, "}");
}

void check_report_json(struct buf *out, const struct check_subject *s, const struct check_findings *f)
{
    const struct server_probe_result *r = f->seen.first;
    char address[NET_ADDR_TEXT_MAX];
    struct buf server = {0};
    str_host_port_put(&server, s->host, s->port);
    buf_printf(out, "{\"server\":\"%s\"", buf_text(&server));
    buf_free(&server);
    check_json_member(out, "address",
                      r->address.family == AF_UNSPEC ? NULL : net_addr_format(&r->address, address));
    check_json_member(out, "name", s->name);
    check_json_member(out, "starttls", s->protocol);
    check_json_member(out, "result", probe_outcome_word(r->outcome));
    check_json_member(out, "detail", r->outcome == PROBE_GOOD ? NULL : r->text.text);
    check_json_tls(out, r);
    check_json_leaf(out, &r->certificate);
    times_json(out, r);
    unexpected_json(out, f);
    check_quic_json(out, f);
    check_grade_json(out, f);
    buf_printf(out, "}\n");
}
