/* SPDX-License-Identifier: Apache-2.0 */
/* What the metrics tell of certificates. */
#include <string.h>

#include "admin/admin_internal.h"
#include "admin/certificates.h"
#include "cert/cert.h"
#include "session/snapshot.h"
#include "session/standby.h"

/* What a figure is told of. */
static const char *label_of(const struct listing *l)
{
    return l->label != NULL ? l->label : l->names_len > 0 ? l->names[0] : "";
}

static bool is_measured(const struct listing *v, size_t i)
{
    if (strcmp(v[i].from, "file") == 0 || !v[i].served.held)
        return false;
    for (size_t k = 0; k < i; k++) /* a sample may be given only once */
        if (strcmp(label_of(&v[k]), label_of(&v[i])) == 0)
            return false;
    return true;
}

static bool put_sample(struct buf *b, const char *name, const char *label, int64_t value)
{
    return buf_printf(b, "cardea_%s{certificate=", name) && admin_put_label(b, label) &&
           buf_printf(b, "} %lld\n", (long long)value);
}

/* Whichever of its pair is served. */
static const char *label_of_file(const struct snapshot *snap, size_t i)
{
    return snap->pairs[i].side[STANDBY_FIRST]->label;
}

static bool is_repeated(const struct snapshot *snap, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (snap->certs[k] != NULL && strcmp(label_of_file(snap, k), label_of_file(snap, i)) == 0)
            return true;
    return false;
}

/* What is served of an entry, or what stands by for that; NULL: nothing. */
static const struct cert *cert_of(const struct snapshot *snap, size_t i, bool backup)
{
    const struct standby_pair *pair = &snap->pairs[i];
    if (!backup)
        return snap->certs[i];
    return pair->side[snap->certs[i] == pair->side[STANDBY_FIRST] ? STANDBY_BACKUP : STANDBY_FIRST];
}

static bool put_files(struct buf *b, const char *name, const struct snapshot *snap, bool backups)
{
    bool ok = true;
    for (size_t i = 0; i < snap->config->certificates.n && ok; i++) {
        const struct cert *cert = cert_of(snap, i, backups);
        ok = cert == NULL || is_repeated(snap, i) ||
             put_sample(b, name, label_of_file(snap, i), cert->not_after);
    }
    return ok;
}

static int64_t end_of(const struct listing *l)
{
    return l->served.not_after;
}

static int64_t backup_of(const struct listing *l)
{
    return l->backup.held ? l->backup.not_after : 0;
}

static int64_t staple_of(const struct listing *l)
{
    return l->served.staple_next;
}

static int64_t failures_of(const struct listing *l)
{
    return l->failures;
}

static bool put_listed(struct buf *b, const struct snapshot *snap, const struct listing *v, size_t len)
{
    static const struct {
        const char *name, *help;
        int64_t (*figure)(const struct listing *);
    } rows[] = {
        {"certificate_not_after_seconds", "When the certificate expires, since 1970", end_of},
        {"certificate_backup_not_after_seconds", "When its backup expires, since 1970; 0: there is none",
         backup_of},
        {"certificate_staple_next_update_seconds",
         "Until when its staple is good, since 1970; 0: there is none", staple_of},
        {"certificate_order_failures", "Orders for it that have failed since one went well", failures_of},
    };
    bool ok = true;
    for (size_t row = 0; row < sizeof(rows) / sizeof(rows[0]) && ok; row++) {
        ok = admin_gauge(b, rows[row].name, rows[row].help) &&
             (row > 1 || put_files(b, rows[row].name, snap, row == 1));
        for (size_t i = 0; i < len && ok; i++)
            ok =
                !is_measured(v, i) || put_sample(b, rows[row].name, label_of(&v[i]), rows[row].figure(&v[i]));
    }
    return ok;
}

static bool put_source_label(struct buf *b, const struct listing_source *s)
{
    return buf_printf(b, "{source=") && admin_put_label(b, s->label != NULL ? s->label : s->from);
}

/* Of a source that has been counted yet. */
static bool put_states(struct buf *b, const struct listing_source *s)
{
    const struct listing_summary *is = &s->is;
    const struct {
        const char *state;
        size_t count;
    } rows[] = {
        {"good", is->good}, {"expired", is->expired}, {"revoked", is->revoked}, {"unusable", is->unusable}};
    bool ok = true;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]) && ok && is->counted != 0; i++)
        ok = buf_printf(b, "cardea_source_certificates") && put_source_label(b, s) &&
             buf_printf(b, ",state=\"%s\"} %zu\n", rows[i].state, rows[i].count);
    return ok;
}

static bool put_soonest(struct buf *b, const struct listing_source *s)
{
    return s->is.counted == 0 ||
           (buf_printf(b, "cardea_source_not_after_seconds") && put_source_label(b, s) &&
            buf_printf(b, "} %lld\n", (long long)s->is.soonest));
}

/* Folders that two configurations name, or with other bounds, are there twice for a moment. */
static bool is_first(const struct listing_answer *a, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (a->sources[k].label != NULL && a->sources[i].label != NULL &&
            strcmp(a->sources[k].label, a->sources[i].label) == 0)
            return false;
    return true;
}

static bool put_sources(struct buf *b, const struct listing_answer *a)
{
    bool ok = admin_gauge(b, "source_certificates",
                          "Certificates of a folder, or of names on demand, when they were counted last");
    for (size_t i = 0; i < a->sources_len && ok; i++)
        ok = !is_first(a, i) || put_states(b, &a->sources[i]);
    ok = ok && admin_gauge(b, "source_not_after_seconds",
                           "When the first of these expires that is good, since 1970; 0: there is none");
    for (size_t i = 0; i < a->sources_len && ok; i++)
        ok = !is_first(a, i) || put_soonest(b, &a->sources[i]);
    return ok;
}

bool certificates_prometheus(struct buf *b, const struct snapshot *snap, const struct listing_answer *a)
{
    return put_listed(b, snap, a->rows.v, a->rows.len) && put_sources(b, a);
}
