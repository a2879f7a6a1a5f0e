/* SPDX-License-Identifier: Apache-2.0 */
/* `cardea check`: what do servers offer to those who ask them for TLS, and how good is it? Several are looked
 * at side by side; what is said of them comes in the order in which they were given. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/hostname.h"
#include "base/hostport.h"
#include "base/str.h"
#include "cert/cert.h"
#include "cert/trust.h"
#include "cmd/check_dns.h"
#include "cmd/check_options.h"
#include "cmd/check_path.h"
#include "cmd/check_report.h"
#include "cmd/cmd.h"
#include "cmd/protocols.h"
#include "cmd/recommend.h"
#include "cmd/table.h"
#include "loop/loop.h"
#include "net/resolver.h"
#include "probe/quic_probe.h"
#include "probe/survey.h"
#include "starttls/starttls.h"
#include "tls/client.h"
#include "tls/tls_link.h"

#define AT_ONCE 16          /* servers; more wait, so that times tell of them and not of us */
#define SUBMISSION_PORT 587 /* RFC 6409: SMTP, at a port of its own */
#define HTTPS_PORT 443      /* where no port is given */

struct checking;

struct server {
    struct checking *checking;
    char host[HOST_MAX];
    char address[NET_ADDR_TEXT_MAX]; /* at which the first handshake was made */
    struct check_subject subject;
    const struct starttls *protocol; /* NULL: TLS at once */
    struct server_probe *probe;
    struct quic_probe *quic;    /* NULL: it is not asked for */
    struct survey *survey;      /* NULL: no TLS is spoken, or it is not asked for */
    size_t answered, questions; /* of the survey */
    bool looked_at;
};

/* Who looks over QUIC; zeroed where nobody does. */
struct over_quic {
    struct tls_client *tls;
    struct trust *trust;
    struct quic_scratch *scratch;
    struct quic_secrets secrets;
};

struct checking {
    struct check_options options;
    struct loop *loop;
    struct resolver *resolver;
    struct check_dns dns;
    struct tls_scratch scratch;
    struct tls_client *tls;
    struct survey_clients *clients;
    struct over_quic quic;
    struct starttls *own; /* the user's script */
    struct server *servers;
    size_t n, begun, told;
    bool all_good;
    bool coloured;       /* standard output */
    bool shows_progress; /* standard error */
};

/* ---- telling ---- */

static void show_progress(const struct checking *c)
{
    size_t answered = 0, questions = 0;
    for (size_t i = 0; i < c->begun; i++) {
        answered += c->servers[i].answered;
        questions += c->servers[i].questions;
    }
    if (c->shows_progress)
        fprintf(stderr, "\r\033[K%zu of %zu questions answered", answered, questions);
}

static void end_progress(const struct checking *c)
{
    if (c->shows_progress)
        fprintf(stderr, "\r\033[K");
}

/* What --fail-below says of it. */
static void judge_grade(const struct check_options *o, struct check_findings *f)
{
    if (!o->fails_below || f->grade == NULL)
        return;
    f->below = f->grade->grade < o->below ? grade_text(o->below) : NULL;
    f->open = f->seen.facts->cut_short && !o->accepted[GRADE_INCOMPLETE];
}

/* Is it as it was asked to be? */
static bool is_as_expected(const struct check_findings *f)
{
    if (f->seen.first->outcome != PROBE_GOOD || f->below != NULL || f->open)
        return false;
    if (f->seen.quic != NULL && f->seen.quic->shake.outcome != PROBE_GOOD)
        return false;
    for (size_t i = 0; i < f->expect_len; i++) {
        struct err found;
        if (!check_expect_holds(&f->expect[i], &f->seen, &found))
            return false;
    }
    return true;
}

static void tell(const struct server *s)
{
    struct checking *c = s->checking;
    struct grade_report *grade = calloc(1, sizeof(*grade));
    CHECK(grade != NULL);
    struct check_findings f = {.seen = {.first = server_probe_result(s->probe),
                                        .facts = s->survey == NULL ? NULL : survey_facts(s->survey),
                                        .quic = s->quic == NULL ? NULL : quic_probe_result(s->quic)},
                               .expect = c->options.expect,
                               .expect_len = c->options.expect_len,
                               .coloured = c->coloured};
    if (f.seen.facts != NULL && !grade_can_be(f.seen.facts))
        f.seen.facts = NULL;
    if (f.seen.facts != NULL) {
        grade_make(&(struct grade_question){.facts = f.seen.facts,
                                            .quic = f.seen.quic,
                                            .public_trust = c->options.ca == NULL,
                                            .accepted = c->options.accepted,
                                            .now = clock_wall() / NSEC_PER_SEC},
                   grade);
        f.grade = grade;
    }
    judge_grade(&c->options, &f);
    c->all_good = is_as_expected(&f) && c->all_good;
    struct buf out = {0};
    (c->options.json ? check_report_json : check_report_text)(&out, &s->subject, &f);
    end_progress(c);
    fwrite(out.data, 1, out.len, stdout);
    fflush(stdout);
    buf_free(&out);
    free(grade);
}

/* ---- looking ---- */

static void begin_next(struct checking *c);

static void end_server(struct server *s)
{
    struct checking *c = s->checking;
    s->looked_at = true;
    for (; c->told < c->n && c->servers[c->told].looked_at; c->told++)
        tell(&c->servers[c->told]);
    if (c->told == c->n)
        loop_stop(c->loop);
    else
        begin_next(c);
}

static void look_over_quic(struct server *s);

static void on_surveyed(void *owner)
{
    look_over_quic(owner);
}

static void on_progress(void *owner, size_t done, size_t all)
{
    struct server *s = owner;
    s->answered = done;
    s->questions = all;
    show_progress(s->checking);
}

static struct approach_to approach_to(const struct server *s)
{
    const struct checking *c = s->checking;
    return (struct approach_to){.loop = c->loop,
                                .resolver = c->resolver,
                                .protocol = s->protocol,
                                .host = s->host,
                                .port = s->subject.port,
                                .name = s->subject.name};
}

static void on_quic(void *owner)
{
    end_server(owner);
}

/* Over TCP all is known. There is no STARTTLS over QUIC. */
static void look_over_quic(struct server *s)
{
    struct checking *c = s->checking;
    if (!c->options.quic || s->protocol != NULL) {
        end_server(s);
        return;
    }
    struct approach_to to = approach_to(s);
    if (s->address[0] != '\0')
        to.host = s->address;
    s->quic = quic_probe_start(&(struct quic_probe_params){.to = to,
                                                           .tls = c->quic.tls,
                                                           .trust = c->quic.trust,
                                                           .secrets = &c->quic.secrets,
                                                           .scratch = c->quic.scratch,
                                                           .timeout = c->options.timeout,
                                                           .done = on_quic,
                                                           .owner = s});
}

static void on_probed(void *owner)
{
    struct server *s = owner;
    struct checking *c = s->checking;
    const struct server_probe_result *first = server_probe_result(s->probe);
    bool spoke = first->shook_hands || first->outcome == PROBE_TLS_FAILED;
    /* All of one address: behind a name there may be several servers, and not one like the other. */
    if (spoke)
        net_addr_host(&first->address, s->address);
    if (c->options.quick || !spoke) {
        look_over_quic(s);
        return;
    }
    struct approach_to to = approach_to(s);
    to.host = s->address;
    s->survey = survey_start(&(struct survey_params){.to = to,
                                                     .scratch = &c->scratch,
                                                     .clients = c->clients,
                                                     .first = first->shook_hands ? first : NULL,
                                                     .resolver = check_dns_for(&c->dns, &s->subject),
                                                     .fetcher = c->dns.fetcher,
                                                     .question_timeout = c->options.question_timeout,
                                                     .timeout = c->options.survey_timeout,
                                                     .progress = on_progress,
                                                     .done = on_surveyed,
                                                     .owner = s});
}

static void begin_next(struct checking *c)
{
    if (c->begun == c->n)
        return;
    struct server *s = &c->servers[c->begun++];
    s->probe = server_probe_start(&(struct server_probe_params){.to = approach_to(s),
                                                                .scratch = &c->scratch,
                                                                .tls = c->tls,
                                                                .timeout = c->options.timeout,
                                                                .done = on_probed,
                                                                .owner = s});
}

/* ---- setting up ---- */

/* "trust bundle FILE: what is wrong" has nothing to do with a bundle here. */
static void blame_option(const char *ca, struct err *err)
{
    char text[ERR_TEXT_MAX];
    size_t before = strlen("trust bundle ") + strlen(ca) + strlen(": ");
    str_copy(text, sizeof(text), err->text, strlen(err->text));
    err_set(err, "--ca: %s", strlen(text) > before ? text + before : text);
}

/* As over TCP, but for what is offered. */
static int make_quic(struct checking *c, const struct tls_client_params *tcp, struct err *err)
{
    struct tls_client_params params = *tcp;
    if (!c->options.quic)
        return 0;
    params.min_version = 0x0304;
    params.alpn = c->options.quic_alpn;
    params.alpn_len = c->options.quic_alpn_len;
    params.resumes = true;
    c->quic.tls = tls_client_new(&params, err);
    c->quic.trust = trust_ref(params.trust);
    c->quic.scratch = quic_scratch_new();
    quic_secrets_make(&c->quic.secrets);
    return c->quic.tls != NULL ? 0 : -1;
}

static int make_tls(struct checking *c, struct err *err)
{
    const struct check_options *o = &c->options;
    const char *ca = o->ca != NULL ? o->ca : "system";
    struct trust *trust = trust_load(&(struct trust_files){.name = ca, .ca = &ca, .ca_len = 1}, err);
    if (trust == NULL && o->ca != NULL)
        blame_option(ca, err);
    struct cert *cert = NULL;
    if (trust != NULL && o->cert != NULL)
        cert = cert_load(&(struct cert_files){.certificate = o->cert, .key = o->key}, err);
    struct tls_client_params params = {.min_version = 0x0303,
                                       .max_version = 0x0304,
                                       .groups = server_probe_groups,
                                       .groups_len = SERVER_PROBE_GROUPS,
                                       .trust = trust,
                                       .cert = cert,
                                       .alpn = o->alpn,
                                       .alpn_len = o->alpn_len,
                                       .only_looks = true};
    if (trust != NULL && (cert != NULL || o->cert == NULL))
        c->tls = tls_client_new(&params, err);
    bool good = c->tls != NULL && make_quic(c, &params, err) == 0;
    if (good && !o->quick)
        c->clients = survey_clients_new(trust, cert, err);
    cert_unref(cert);
    trust_unref(trust);
    return good && (o->quick || c->clients != NULL) ? 0 : -1;
}

static int look(struct checking *c, struct err *err)
{
    if (make_tls(c, err) != 0 || (c->loop = loop_new(err)) == NULL ||
        (c->resolver = resolver_new(c->loop, err)) == NULL ||
        check_dns_begin(&c->dns, &c->options, c->loop, c->resolver, err) != 0)
        return -1;
    tls_scratch_init(&c->scratch, c->loop);
    for (int i = 0; i < AT_ONCE; i++)
        begin_next(c);
    return loop_run(c->loop, err);
}

static int run(struct checking *c)
{
    struct err err = {0};
    c->all_good = true;
    c->coloured = table_is_coloured(stdout);
    c->shows_progress = table_is_coloured(stderr);
    int status = look(c, &err) != 0 ? cmd_failed("%s", err.text) : c->all_good ? CMD_OK : CMD_FAILED;
    for (size_t i = 0; i < c->n; i++) {
        quic_probe_free(c->servers[i].quic);
        survey_free(c->servers[i].survey);
        server_probe_free(c->servers[i].probe);
    }
    survey_clients_free(c->clients);
    tls_client_free(c->quic.tls);
    quic_scratch_free(c->quic.scratch);
    trust_unref(c->quic.trust);
    tls_client_free(c->tls);
    check_dns_end(&c->dns);
    resolver_free(c->resolver);
    while (c->loop != NULL && loop_settle(c->loop)) /* sockets of QUIC go at the end of a round */
        ;
    loop_free(c->loop);
    tls_scratch_free(&c->scratch);
    return status;
}

/* ---- servers ---- */

/* The protocol that is usual at a port, where TLS does not begin at once; NULL: none. */
static const char *usual_protocol(uint16_t port)
{
    const char *const *names = starttls_builtin_names();
    if (port == SUBMISSION_PORT)
        return "smtp";
    while (*names != NULL && starttls_port(starttls_builtin(*names)) != port)
        names++;
    return *names;
}

static const struct starttls *read_script(struct checking *c, struct err *err)
{
    const struct check_options *o = &c->options;
    if (c->own == NULL)
        c->own = starttls_load(o->chat != NULL ? o->chat : o->starttls, o->chat != NULL, err);
    return c->own;
}

static int unknown_protocol(const char *name, struct err *err)
{
    char hint[STR_HINT_MAX];
    struct buf list = {0};
    if (starttls_is_at_once(name))
        return err_set(err, "found '%s': in %s TLS begins at once, which is --starttls none", name, name);
    protocols_put(&list, STARTTLS_ASK, ", ");
    err_set(err,
            "found '%s', expected none, one of %s, or the file of a script of your own, with a '/' or '.' "
            "in its name%s",
            name, buf_text(&list), str_hint(name, starttls_builtin_words(), hint));
    buf_free(&list);
    return -1;
}

/* Which script the server is asked with, and what it is called; both NULL: none. Returns -1 with `err`. */
static int choose_protocol(struct checking *c, struct server *s, struct err *err)
{
    const struct check_options *o = &c->options;
    const char *given = o->chat != NULL ? o->chat : o->starttls;
    const char *name = given != NULL ? given : usual_protocol(s->subject.port);
    if (name == NULL || strcmp(name, "none") == 0)
        return 0;
    bool is_file = o->chat != NULL || starttls_is_file(name);
    s->protocol = is_file ? read_script(c, err) : starttls_builtin(name);
    s->subject.protocol = name;
    if (s->protocol == NULL && is_file)
        return -1;
    if (s->protocol == NULL)
        return unknown_protocol(name, err);
    if (starttls_section(s->protocol, STARTTLS_ASK) >= 0)
        return 0;
    return err_set(err, "%s has no section `ask`, which is what a server is asked with", name);
}

/* A host alone is at the port that is usual for the protocol it is asked in. */
static int read_address(const struct check_options *o, const char *text, struct server *s, struct err *err)
{
    uint8_t ip[16];
    bool alone = strspn(text, "0123456789") < strlen(text) && strchr(text, ':') == NULL;
    if (!alone)
        return str_host_port(text, strlen(text), s->host, &s->subject.port, err);
    const struct starttls *known = o->starttls == NULL ? NULL : starttls_builtin(o->starttls);
    s->subject.port = known == NULL ? HTTPS_PORT : starttls_port(known);
    if (hostname_address(text, ip) == 0)
        return str_host_name(text, strlen(text), s->host, err);
    str_copy(s->host, sizeof(s->host), text, strlen(text));
    return 0;
}

static int add_server(struct checking *c, const char *text)
{
    const struct check_options *o = &c->options;
    struct server *s = &c->servers[c->n++];
    char hint[HOST_HINT_MAX];
    struct err err;
    s->checking = c;
    if (read_address(o, text, s, &err) != 0)
        return cmd_misused("check", "'%s': %s%s", text, err.text, str_host_port_hint(text, hint));
    s->subject.host = s->host;
    s->subject.offered_alpn = o->alpn_len > 0;
    s->subject.name = o->name != NULL ? o->name : s->host;
    if (choose_protocol(c, s, &err) != 0)
        return cmd_misused("check", "--%s: %s", o->chat != NULL ? "chat" : "starttls", err.text);
    return -1;
}

static int add_servers(struct checking *c, char **argv, int count)
{
    int status = -1;
    c->servers = calloc((size_t)count, sizeof(*c->servers));
    CHECK(c->servers != NULL);
    for (int i = 0; status < 0 && i < count; i++)
        status = add_server(c, argv[i]);
    return status;
}

int cmd_check(int argc, char **argv)
{
    struct checking c = {0};
    if (check_path_is_asked(argc, argv))
        return check_path(argc, argv);
    if (recommend_is_asked(argc, argv))
        return recommend(argc, argv);
    int status = check_options_read(argc, argv, &c.options);
    if (status < 0)
        status = add_servers(&c, argv + optind, argc - optind);
    if (status < 0)
        status = run(&c);
    starttls_free(c.own);
    free(c.servers);
    return status;
}
