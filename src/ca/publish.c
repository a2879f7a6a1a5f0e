/* SPDX-License-Identifier: Apache-2.0 */
/* On the office's thread. */
#include "ca/publish.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "ca/authority.h"
#include "ca/publication.h"
#include "config/config.h"
#include "loop/ear.h"

struct ca_publisher {
    struct ear operator;
    struct publication *publication; /* NULL: there is no CA */
    int64_t told;                    /* see ear_tell_seldom() */
};

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
        ear_tell_seldom(&s->operator, & s->told, "ca: %s", err.text);
    web_exchange_answer(exchange, &answer);
}

struct web_service ca_publisher_web(struct ca_publisher *s)
{
    static const char *const prefixes[] = {PUBLICATION_PATH, NULL};
    return (struct web_service){.name = "ca", .prefixes = prefixes, .plain = true, .serve = serve, .arg = s};
}

struct ca_publisher *ca_publisher_new(const struct ear *operator)
{
    struct ca_publisher *s = calloc(1, sizeof(*s));
    CHECK(s != NULL);
    s->operator= * operator;
    return s;
}

void ca_publisher_free(struct ca_publisher *s)
{
    if (s == NULL)
        return;
    publication_free(s->publication);
    free(s);
}

/* Certificates say where CRL and OCSP are, for as long as they live: better said now than found out then. */
static int check_url(const struct ca_publisher *s, struct authority *a, const char *dir, struct err *err)
{
    struct str url;
    const size_t tail = strlen(PUBLICATION_PATH) - 1; /* the URL ends without the last '/' */
    if (authority_url(a, &url, err) < 0)
        return -1;
    if (url.len > tail && memcmp(url.p + url.len - tail, PUBLICATION_PATH, tail) == 0)
        return 0;
    ear_tell(&s->operator,
             "ca: certificates of the CA in %s say %s%.*s, and the door serves CRL and OCSP below %.*s: "
             "cardea ca set --dir %s --url http://HOST%.*s",
             dir, url.len == 0 ? "nowhere where it is" : "that CRL and OCSP are at ", (int)url.len, url.p,
             (int)tail, PUBLICATION_PATH, dir, (int)tail, PUBLICATION_PATH);
    return 0;
}

int ca_publisher_open(struct ca_publisher *s, struct authority *a, const struct config_ca *ca, bool is_served,
                      struct err *err)
{
    const struct publication_lifetimes lifetimes = {.crl = ca->crl_lifetime / NSEC_PER_SEC,
                                                    .ocsp = ca->ocsp_lifetime / NSEC_PER_SEC};
    CHECK(s->publication == NULL);
    if (is_served && check_url(s, a, ca->directory.text, err) < 0)
        return -1;
    s->publication = publication_new(a, &lifetimes);
    return 0;
}
