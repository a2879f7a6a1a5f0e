/* SPDX-License-Identifier: Apache-2.0 */
/* On the office's thread. */
#include "ca/publish.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "ca/authority.h"
#include "ca/publication.h"
#include "config/config.h"
#include "loop/loop.h"

#define QUIET 60 /* seconds between two notices: each request may be a reason for one */

struct ca_publisher {
    struct loop *control;
    ca_publisher_notice *notice;
    void *notice_arg;
    struct authority *authority;
    struct publication *publication; /* NULL: there is no CA */
    int64_t told;                    /* seconds since 1970 */
};

/* ---- telling ---- */

struct told {
    struct message message;
    struct ca_publisher *s;
    char text[ERR_TEXT_MAX + 8];
};

static void on_told(struct message *m)
{
    struct told *t = CONTAINER_OF(m, struct told, message);
    t->s->notice(t->s->notice_arg, t->text);
    free(t);
}

static void report(struct ca_publisher *s, const struct err *err, int64_t now)
{
    if (now >= s->told && now - s->told < QUIET)
        return;
    struct told *t = calloc(1, sizeof(*t));
    CHECK(t != NULL);
    s->told = now;
    t->message.run = on_told;
    t->s = s;
    snprintf(t->text, sizeof(t->text), "ca: %s", err->text);
    loop_post(s->control, &t->message);
}

/* ---- the service ---- */

static void serve(void *arg, const struct web_request *request, struct web_exchange *exchange)
{
    struct ca_publisher *s = arg;
    struct web_answer answer = {0};
    struct err err;
    const int64_t now = clock_wall() / NSEC_PER_SEC;
    if (s->publication == NULL) {
        web_exchange_text(exchange, 503, "the door was started without `ca`: start it anew");
        return;
    }
    if (publication_answer(s->publication, request, now, &answer, &err) < 0)
        report(s, &err, now);
    web_exchange_answer(exchange, &answer);
}

struct web_service ca_publisher_web(struct ca_publisher *s)
{
    static const char *const prefixes[] = {PUBLICATION_PATH, NULL};
    return (struct web_service){.name = "ca", .prefixes = prefixes, .plain = true, .serve = serve, .arg = s};
}

struct ca_publisher *ca_publisher_new(struct loop *control, ca_publisher_notice *notice, void *arg)
{
    struct ca_publisher *s = calloc(1, sizeof(*s));
    CHECK(s != NULL);
    s->control = control;
    s->notice = notice;
    s->notice_arg = arg;
    return s;
}

void ca_publisher_free(struct ca_publisher *s)
{
    if (s == NULL)
        return;
    publication_free(s->publication);
    authority_close(s->authority);
    free(s);
}

/* Certificates say where CRL and OCSP are, for as long as they live: better said now than found out then. */
static int check_url(struct ca_publisher *s, const char *dir, struct err *err)
{
    struct str url;
    struct err why;
    const size_t tail = strlen(PUBLICATION_PATH) - 1; /* the URL ends without the last '/' */
    if (authority_url(s->authority, &url, err) < 0)
        return -1;
    if (url.len > tail && memcmp(url.p + url.len - tail, PUBLICATION_PATH, tail) == 0)
        return 0;
    err_set(&why,
            "ca: certificates of the CA in %s say %s%.*s, and the door serves CRL and OCSP below %.*s: "
            "cardea ca set --dir %s --url http://HOST%.*s",
            dir, url.len == 0 ? "nowhere where it is" : "that CRL and OCSP are at ", (int)url.len, url.p,
            (int)tail, PUBLICATION_PATH, dir, (int)tail, PUBLICATION_PATH);
    s->notice(s->notice_arg, why.text);
    return 0;
}

int ca_publisher_open(struct ca_publisher *s, const struct config_ca *ca, bool is_served, struct err *err)
{
    const struct publication_lifetimes lifetimes = {.crl = ca->crl_lifetime / NSEC_PER_SEC,
                                                    .ocsp = ca->ocsp_lifetime / NSEC_PER_SEC};
    CHECK(s->publication == NULL);
    s->authority = authority_open(ca->directory.text, err);
    if (s->authority == NULL || authority_unlock_by_file(s->authority, ca->passphrase_file.text, err) < 0 ||
        (is_served && check_url(s, ca->directory.text, err) < 0))
        return -1;
    s->publication = publication_new(s->authority, &lifetimes);
    return 0;
}
