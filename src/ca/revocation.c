/* SPDX-License-Identifier: Apache-2.0 */
/* What an authority has issued and revoked. */
#include <string.h>

#include <openssl/mem.h>

#include "base/check.h"
#include "base/hex.h"
#include "ca/authority_internal.h"
#include "ca/journal.h"
#include "state/state.h"

#define DAY INT64_C(86400)
/* Whoever has seen a CRL with a certificate on it need not see the next one without it as soon as it has
 * expired (RFC 5280, 3.3: one more CRL at least). */
#define KEPT_EXPIRED (7 * DAY)

/* ---- words ---- */

static const struct reason_row {
    enum ca_reason reason;
    const char *name;
} reasons[] = {
    {CA_REASON_UNSPECIFIED, "unspecified"},
    {CA_REASON_KEY_COMPROMISE, "keyCompromise"},
    {CA_REASON_CA_COMPROMISE, "cACompromise"},
    {CA_REASON_AFFILIATION_CHANGED, "affiliationChanged"},
    {CA_REASON_SUPERSEDED, "superseded"},
    {CA_REASON_CESSATION_OF_OPERATION, "cessationOfOperation"},
    {CA_REASON_PRIVILEGE_WITHDRAWN, "privilegeWithdrawn"},
    {CA_REASON_AA_COMPROMISE, "aACompromise"},
};

const char *ca_reason_name(int reason)
{
    for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
        if ((int)reasons[i].reason == reason)
            return reasons[i].name;
    return NULL;
}

bool ca_reason_parse(const char *name, enum ca_reason *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
        if (strcmp(reasons[i].name, name) == 0) {
            *ret = reasons[i].reason;
            return true;
        }
    }
    return false;
}

bool ca_serial_parse(const char *text, struct ca_serial *ret)
{
    struct ca_serial serial = {.len = 0};
    while (*text != '\0') {
        int high = hex_digit(text[0]), low = high < 0 ? -1 : hex_digit(text[1]);
        if (low < 0 || serial.len == sizeof(serial.bytes))
            return false;
        serial.bytes[serial.len++] = (uint8_t)(high << 4 | low);
        text += 2;
        text += *text == ':' && text[1] != '\0';
    }
    *ret = serial;
    return serial.len > 0;
}

const char *ca_serial_text(const struct ca_serial *serial, char text[CA_SERIAL_TEXT])
{
    static const char digits[] = "0123456789ABCDEF";
    size_t n = 0;
    for (size_t i = 0; i < serial->len; i++) {
        text[n++] = digits[serial->bytes[i] >> 4];
        text[n++] = digits[serial->bytes[i] & 15];
    }
    text[n] = '\0';
    return text;
}

/* ---- acts ---- */

enum authority_revoked authority_revoke(struct authority *a, const struct ca_serial *serial,
                                        enum ca_reason reason, const char *who, int64_t now, struct err *err)
{
    CHECK_MAGIC(a, AUTHORITY_MAGIC);
    CHECK(ca_reason_name((int)reason) != NULL && now > 0);
    return journal_revoke(a->db, serial, reason, who, now, err);
}

int authority_revoked_since(struct authority *a, int64_t *row, struct err *err)
{
    CHECK_MAGIC(a, AUTHORITY_MAGIC);
    return journal_revoked_since(a->db, row, err);
}

int authority_each_revoked(struct authority *a, int64_t since, authority_entry_fn *fn, void *arg,
                           struct err *err)
{
    CHECK_MAGIC(a, AUTHORITY_MAGIC);
    return journal_revoked(a->db, since, fn, arg, err);
}

struct sought {
    struct str name;
    bool begins; /* with `name`; else it is that */
    bool found;
};

static bool is_sought(const struct sought *s, struct str name)
{
    return (s->begins ? name.len >= s->name.len : name.len == s->name.len) &&
           memcmp(name.p, s->name.p, s->name.len) == 0;
}

static int seek(void *arg, const struct authority_entry *entry, struct err *err)
{
    struct sought *s = arg;
    const char *rest = entry->names.p, *end = entry->names.p + entry->names.len;
    (void)err;
    while (!s->found && rest < end) {
        const char *blank = memchr(rest, ' ', (size_t)(end - rest));
        const char *stop = blank != NULL ? blank : end;
        s->found = is_sought(s, (struct str){rest, (size_t)(stop - rest)});
        rest = stop + 1;
    }
    return 0;
}

int authority_revoked_name(struct authority *a, const char *name, int64_t since, struct err *err)
{
    struct sought sought = {.name = {name, strlen(name)}};
    CHECK_MAGIC(a, AUTHORITY_MAGIC);
    if (journal_revoked(a->db, since, seek, &sought, err) < 0)
        return -1;
    return sought.found;
}

/* What is to be revoked. */
struct gathered {
    struct sought sought;
    const char *label;  /* NULL: any */
    struct buf serials; /* struct ca_serial */
};

static bool is_of(const struct gathered *g, const struct authority_entry *entry)
{
    return g->label == NULL || str_is(entry->label, g->label);
}

static int gather(void *arg, const struct authority_entry *entry, struct err *err)
{
    struct gathered *g = arg;
    g->sought.found = false;
    seek(&g->sought, entry, err);
    if (!g->sought.found || entry->revoked != 0 || !is_of(g, entry) ||
        buf_append(&g->serials, &entry->serial, sizeof(entry->serial)))
        return 0;
    return err_set(err, "out of memory");
}

static int revoke_all(struct authority *a, struct gathered *g, enum ca_reason reason, const char *who,
                      int64_t now, struct err *err)
{
    int count = journal_each(a->db, now, gather, g, err) < 0 ? -1 : 0;
    const struct ca_serial *serials = (const void *)g->serials.data;
    for (size_t i = 0; count >= 0 && i < g->serials.len / sizeof(*serials); i++) {
        enum authority_revoked done = authority_revoke(a, &serials[i], reason, who, now, err);
        count = done == AUTHORITY_FAILED ? -1 : count + (done == AUTHORITY_REVOKED);
    }
    buf_free(&g->serials);
    return count;
}

int authority_revoke_name(struct authority *a, const char *name, enum ca_reason reason, const char *who,
                          int64_t now, struct err *err)
{
    struct gathered g = {.sought.name = {name, strlen(name)}};
    CHECK_MAGIC(a, AUTHORITY_MAGIC);
    return revoke_all(a, &g, reason, who, now, err);
}

int authority_revoke_label(struct authority *a, const char *label, const char *prefix, enum ca_reason reason,
                           const char *who, int64_t now, struct err *err)
{
    struct gathered g = {.sought = {.name = {prefix, strlen(prefix)}, .begins = true}, .label = label};
    CHECK_MAGIC(a, AUTHORITY_MAGIC);
    return revoke_all(a, &g, reason, who, now, err);
}

int authority_each(struct authority *a, int64_t since, authority_entry_fn *fn, void *arg, struct err *err)
{
    CHECK_MAGIC(a, AUTHORITY_MAGIC);
    return journal_each(a->db, since, fn, arg, err);
}

int authority_find(struct authority *a, const struct ca_serial *serial, authority_entry_fn *fn, void *arg,
                   struct err *err)
{
    CHECK_MAGIC(a, AUTHORITY_MAGIC);
    return journal_find(a->db, serial, fn, arg, err);
}

int authority_revoked_at(struct authority *a, const struct ca_serial *serial, int64_t *ret, struct err *err)
{
    struct journal_status status = {0};
    CHECK_MAGIC(a, AUTHORITY_MAGIC);
    int found = journal_status(a->db, serial, &status, err);
    *ret = found > 0 ? status.revoked : 0;
    return found < 0 ? -1 : 0;
}

/* ---- the CRL ---- */

struct revoked_by {
    int64_t issuer;
    struct buf all; /* of struct ca_revoked */
};

static int add_to_crl(void *arg, const struct authority_entry *entry, struct err *err)
{
    struct revoked_by *by = arg;
    const struct ca_revoked revoked = {
        .serial = entry->serial, .at = entry->revoked, .reason = entry->reason};
    if (entry->ssh || entry->issuer != by->issuer || buf_append(&by->all, &revoked, sizeof(revoked)))
        return 0;
    return err_set(err, "out of memory");
}

/* Its number is that of the row that tells of it: so it grows, whichever process makes it. */
static int make_crl(struct authority *a, const struct generation *g, int64_t now, int64_t lifetime,
                    struct buf *ret_der, struct err *err)
{
    const struct journal_act act = {
        .at = now, .act = "crl", .who = "crl", .detail = {g->cert, strlen(g->cert)}};
    struct revoked_by by = {.issuer = g->issuer};
    int64_t row;
    int rc = journal_append(a->db, &act, &row, err);
    if (rc == 0)
        rc = journal_revoked(a->db, now - KEPT_EXPIRED, add_to_crl, &by, err);
    if (rc == 0)
        rc = ca_make_crl(g->ca, (const void *)by.all.data, by.all.len / sizeof(struct ca_revoked),
                         (uint64_t)row, now, lifetime, ret_der, err);
    buf_free(&by.all);
    return rc;
}

int authority_crl(struct authority *a, size_t issuer, int64_t now, int64_t lifetime, struct buf *ret_der,
                  struct err *err)
{
    CHECK_MAGIC(a, AUTHORITY_MAGIC);
    const struct generation *g = authority_generation(a, issuer);
    size_t before = ret_der->len;
    CHECK(g != NULL);
    if (authority_check_unlocked(a, err) < 0)
        return -1;
    if (g->ca->key == NULL)
        return err_set(err, "%s/%s: the key could not be read, so there is no CRL of %s", a->dir, g->key,
                       g->cert);
    if (state_begin(a->db, err) < 0)
        return -1;
    if (state_end(a->db, make_crl(a, g, now, lifetime, ret_der, err), err) == 0)
        return 0;
    ret_der->len = before;
    return -1;
}
