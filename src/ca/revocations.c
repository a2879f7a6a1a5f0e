/* SPDX-License-Identifier: Apache-2.0 */
#include "ca/revocations.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "ca/authority.h"
#include "cert/revoked.h"
#include "loop/ear.h"

_Static_assert(REVOKED_SERIAL_MAX == CA_SERIAL_MAX, "a serial number of ours fits");

struct ca_revocations {
    struct revocations_provider provider;
    struct ear operator;
    char *dir;
    struct authority *authority;
    struct revoked *list;
    int64_t row;  /* of the log, that the list is of */
    int64_t told; /* see ear_tell_seldom() */
};

static int add(void *arg, const struct authority_entry *entry, struct err *err)
{
    struct revoked_row row = {.len = (uint8_t)entry->serial.len, .at = entry->revoked};
    if (entry->ssh)
        return 0;
    memcpy(row.serial, entry->serial.bytes, entry->serial.len);
    return buf_append(arg, &row, sizeof(row)) ? 0 : err_set(err, "out of memory");
}

/* Those of an earlier intermediate as well: what it has issued may outlive its time in office. Never NULL;
 * the caller owns a reference. */
static struct revoked *make_list(const struct authority *a, const struct buf *rows)
{
    struct authority_issuer issuer;
    struct buf issuers = {0}; /* X509 * */
    for (size_t i = 0; authority_issuer(a, i, &issuer); i++)
        CHECK(buf_append(&issuers, &issuer.cert, sizeof(issuer.cert)));
    struct revoked *list = revoked_new((const void *)issuers.data, issuers.len / sizeof(issuer.cert),
                                       (const void *)rows->data, rows->len / sizeof(struct revoked_row));
    buf_free(&issuers);
    return list;
}

/* Those that have expired are refused by that. The folder is opened anew, since only so are the intermediates
 * seen that another process has made. */
static int read_list(struct ca_revocations *r, int64_t now, struct err *err)
{
    struct buf rows = {0};
    struct authority *a = authority_open(r->dir, err);
    int status = a == NULL ? -1 : authority_each_revoked(a, now, add, &rows, err);
    if (status == 0) {
        revoked_unref(r->list);
        r->list = make_list(a, &rows);
    }
    buf_free(&rows);
    authority_close(a);
    return status;
}

/* -1 with `err`: then it is tried again. */
static int look(struct ca_revocations *r, int64_t now, struct err *err)
{
    int64_t row = r->row;
    int changed = authority_revoked_since(r->authority, &row, err);
    if (changed < 0 || (changed > 0 && read_list(r, now, err) < 0))
        return -1;
    r->row = row;
    return 0;
}

static struct revoked *now_revoked(struct revocations_provider *provider)
{
    struct ca_revocations *r = CONTAINER_OF(provider, struct ca_revocations, provider);
    struct err err;
    if (look(r, clock_wall() / NSEC_PER_SEC, &err) < 0)
        ear_tell_seldom(&r->operator, & r->told, "ca: what was revoked lately is not known: %s", err.text);
    return r->list;
}

struct ca_revocations *ca_revocations_open(const char *dir, const struct ear *operator, struct err * err)
{
    struct ca_revocations *r = calloc(1, sizeof(*r));
    CHECK(r != NULL);
    r->dir = strdup(dir);
    CHECK(r->dir != NULL);
    r->provider.now = now_revoked;
    r->operator= * operator;
    r->authority = authority_open(dir, err);
    /* The row first: what comes in between is seen twice, not missed. */
    if (r->authority != NULL && authority_revoked_since(r->authority, &r->row, err) >= 0 &&
        read_list(r, clock_wall() / NSEC_PER_SEC, err) == 0)
        return r;
    ca_revocations_close(r);
    return NULL;
}

void ca_revocations_close(struct ca_revocations *r)
{
    if (r == NULL)
        return;
    authority_close(r->authority);
    revoked_unref(r->list);
    free(r->dir);
    free(r);
}

struct revocations_provider *ca_revocations_provider(struct ca_revocations *r)
{
    return &r->provider;
}
