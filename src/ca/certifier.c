/* SPDX-License-Identifier: Apache-2.0 */
/* On the office's thread. */
#include "ca/certifier.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clean.h"
#include "base/clock.h"
#include "base/hash.h"
#include "ca/authority.h"
#include "ca/csr.h"
#include "cert/identity.h"
#include "config/config.h"
#include "loop/ear.h"

#define HOUR 3600
#define ROWS 2
#define CELLS 4096
#define WHO_MAX 256

/* What was issued within the hour: a sketch of fixed size, of whose rows the lower count is taken. It is
 * never too low; too high only where others share all cells. */
struct issued {
    int64_t hour; /* since 1970 */
    uint32_t all;
    struct hash_key key[ROWS];
    uint32_t cell[ROWS][CELLS];
};

struct certifier {
    struct ear operator;
    struct authority *authority; /* the office's; NULL: there is none yet */
    struct certifier_settings settings;
    int64_t told; /* see ear_tell_seldom() */
    struct issued issued;
};

/* ---- how many ---- */

static uint32_t *cell_of(struct issued *i, size_t row, const struct buf *key)
{
    return &i->cell[row][hash_bytes(&i->key[row], key->data, key->len) % CELLS];
}

static bool is_too_many(struct certifier *c, const struct buf *key, int64_t now)
{
    struct issued *i = &c->issued;
    uint32_t least = UINT32_MAX;
    if (now / HOUR != i->hour) {
        i->hour = now / HOUR;
        i->all = 0;
        memset(i->cell, 0, sizeof(i->cell));
    }
    for (size_t row = 0; row < ROWS; row++)
        least = MIN(least, *cell_of(i, row, key));
    return least >= c->settings.per_name || i->all >= c->settings.per_hour;
}

static void count(struct certifier *c, const struct buf *key)
{
    c->issued.all++;
    for (size_t row = 0; row < ROWS; row++)
        (*cell_of(&c->issued, row, key))++;
}

/* An agent, by all that it has proven, and a name. */
static void put_key(struct buf *ret, const struct identity *agent, const char *name)
{
    uint8_t digest[IDENTITY_DIGEST];
    identity_digest(agent, digest);
    CHECK(buf_append(ret, digest, sizeof(digest)) && buf_append(ret, name, strlen(name)));
}

/* ---- what is certified ---- */

/* A request may name the offer, or nobody. */
static int check_names(const struct csr *csr, const char *name, struct err *err)
{
    const char *other = csr->name != NULL && strcmp(csr->name, name) != 0 ? csr->name : NULL;
    for (size_t i = 0; i < csr->sans_len && other == NULL; i++)
        if (strcmp(csr->sans[i], name) != 0)
            other = csr->sans[i];
    if (other == NULL)
        return 0;
    return err_set(err, "the certification request names %s, and what is offered is %s", other, name);
}

static int certify(struct certifier *c, const struct csr *csr, const struct web_request *request,
                   const char *name, int64_t now, struct buf *ret_pem, struct err *err)
{
    struct ca_serial serial;
    char label[WHO_MAX - 16], who[WHO_MAX];
    const struct ca_request what = {
        .sans = &name, .sans_len = 1, .now = now, .lifetime = c->settings.lifetime};
    str_clean(label, sizeof(label), identity_label(request->identity));
    snprintf(who, sizeof(who), "agent:%s", label);
    return authority_certify(c->authority, csr->key, CA_PROFILE_SERVER, &what, who, &serial, ret_pem, err);
}

/* The status. */
static unsigned judge(struct certifier *c, const struct web_request *request, const char *name,
                      struct buf *ret_pem, struct err *err)
{
    const int64_t now = clock_wall() / NSEC_PER_SEC;
    struct csr csr = {0};
    struct buf key = {0};
    unsigned status = 400;
    put_key(&key, request->identity, name);
    if (is_too_many(c, &key, now)) {
        status = 429;
        err_set(
            err,
            "the CA has certified as much within the hour as it may: %u for one agent and name, %u in all",
            c->settings.per_name, c->settings.per_hour);
    } else if (csr_read(request->body, &csr, err) == 0 && check_names(&csr, name, err) == 0) {
        status = certify(c, &csr, request, name, now, ret_pem, err) == 0 ? 200 : 503;
    }
    if (status == 200)
        count(c, &key);
    csr_free(&csr);
    buf_free(&key);
    return status;
}

/* The CA could not, or its constraints are against it. */
static void report(struct certifier *c, const struct web_request *request, const char *name,
                   const struct err *why)
{
    ear_tell_seldom(&c->operator, & c->told, "ca: %s gets no certificate for %s: %s",
                    identity_label(request->identity), name, why->text);
}

static void serve(void *arg, const struct web_request *request, struct web_exchange *exchange)
{
    struct certifier *c = arg;
    struct web_answer answer = {0};
    struct buf pem = {0};
    struct err err;
    char name[256];
    if (c->settings.lifetime == 0) {
        web_exchange_text(exchange, 503, "the door's CA is not at hand for what agents offer");
        return;
    }
    CHECK(request->identity != NULL && str_copy(name, sizeof(name), request->path.p, request->path.len));
    unsigned status = judge(c, request, name, &pem, &err);
    if (status == 200) {
        answer = (struct web_answer){.status = 200, .type = "application/pem-certificate-chain", .body = pem};
        web_exchange_answer(exchange, &answer);
        return;
    }
    buf_free(&pem);
    if (status == 503)
        report(c, request, name, &err);
    web_exchange_text(exchange, status, "%s", err.text);
}

/* ---- its life ---- */

struct web_service certifier_web(struct certifier *c)
{
    static const char *const prefixes[] = {NULL};
    return (struct web_service){.name = "agents", .prefixes = prefixes, .serve = serve, .arg = c};
}

struct certifier *certifier_new(const struct ear *operator)
{
    struct certifier *c = calloc(1, sizeof(*c));
    CHECK(c != NULL);
    c->operator= * operator;
    for (size_t row = 0; row < ROWS; row++)
        c->issued.key[row] = hash_random_key();
    return c;
}

void certifier_free(struct certifier *c)
{
    free(c);
}

struct certifier_settings certifier_settings(const struct config_ca *ca)
{
    const struct config_ca_agents *agents = ca->agents;
    if (agents == NULL)
        return (struct certifier_settings){0};
    return (struct certifier_settings){.lifetime = agents->lifetime / NSEC_PER_SEC,
                                       .per_name = (uint32_t)agents->per_name,
                                       .per_hour = (uint32_t)agents->per_hour};
}

void certifier_take(struct certifier *c, struct authority *a, const struct certifier_settings *settings)
{
    c->authority = a;
    c->settings = *settings;
}
