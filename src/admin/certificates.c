/* SPDX-License-Identifier: Apache-2.0 */
/* GET /certificates: what is served for which names, who has issued it, what stands by, what comes next. */
#include "admin/certificates.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "admin/admin_internal.h"
#include "base/check.h"
#include "base/clock.h"
#include "cert/facts.h"
#include "session/snapshot.h"
#include "session/staging.h"

#define NAMES_LISTED 16

/* ---- gathering ---- */

/* Those of the configuration, until the others have come. */
struct gathering {
    listing_done *done;
    void *arg;
    size_t most, len, total;
    struct cert **certs; /* a reference each: the configuration may be another one by then */
    struct listing *v;
    char (*issuers)[PEM_NAME_MAX];
};

static int by_end(const void *a, const void *b)
{
    const struct cert *const *x = a, *const *y = b;
    return ((*x)->not_after > (*y)->not_after) - ((*x)->not_after < (*y)->not_after);
}

static int by_life(const void *a, const void *b)
{
    const struct listing *x = a, *y = b;
    return (x->served.not_after > y->served.not_after) - (x->served.not_after < y->served.not_after);
}

static struct listing listing_of_file(const struct cert *cert, char issuer[PEM_NAME_MAX])
{
    int64_t now = time(NULL);
    const struct cert_staple *staple = cert_staple(cert);
    return (struct listing){.from = "file",
                            .label = cert->label,
                            .names = (const char *const *)cert->names,
                            .names_len = cert->names_len,
                            .next_try = LIFE_NEVER,
                            .served = {.held = true,
                                       .rank = now >= cert->not_after ? LIFE_EXPIRED : LIFE_GOOD,
                                       .issuer = cert_issuer_text(cert, issuer),
                                       .key = cert->key_text,
                                       .not_before = cert->not_before,
                                       .not_after = cert->not_after,
                                       .staple_next = staple != NULL ? staple->until : 0}};
}

/* Those of the configuration, but where something was promoted that instead. */
static void gather_certs(struct gathering *g, const struct snapshot *snap)
{
    struct stand_ins ins;
    stand_ins_make(snap->certs, snap->config->certificates.n, snap->staging, false, &ins);
    g->certs = calloc(ins.n + ins.more_len + 1, sizeof(struct cert *));
    CHECK(g->certs != NULL);
    for (size_t i = 0; i < ins.n; i++) {
        bool twice = false;
        for (size_t k = 0; k < i && ins.v[i] != snap->certs[i] && !twice; k++)
            twice = ins.v[k] == ins.v[i];
        if (ins.v[i] != NULL && !twice)
            g->certs[g->total++] = ins.v[i];
    }
    for (size_t i = 0; i < ins.more_len; i++)
        g->certs[g->total++] = ins.more[i];
    stand_ins_done(&ins);
}

static bool was_promoted(const struct snapshot *snap, const struct cert *cert)
{
    for (size_t i = 0; snap->staging != NULL && i < snap->staging->n; i++)
        if (snap->staging->v[i].promoted && snap->staging->v[i].cert == cert)
            return true;
    return false;
}

static void gather_files(struct gathering *g, const struct snapshot *snap)
{
    gather_certs(g, snap);
    qsort(g->certs, g->total, sizeof(struct cert *), by_end);
    g->len = MIN(g->total, g->most);
    g->v = calloc(g->len + 1, sizeof(*g->v));
    g->issuers = calloc(g->len + 1, sizeof(*g->issuers));
    CHECK(g->v != NULL && g->issuers != NULL);
    for (size_t i = 0; i < g->len; i++) {
        g->v[i] = listing_of_file(cert_ref(g->certs[i]), g->issuers[i]);
        if (was_promoted(snap, g->certs[i]))
            g->v[i].from = "promoted";
    }
}

static void gathered(void *arg, const struct listing *v, size_t len, size_t total)
{
    struct gathering *g = arg;
    struct listing *all = calloc(g->len + len + 1, sizeof(*all));
    CHECK(all != NULL);
    memcpy(all, g->v, g->len * sizeof(*all));
    if (len > 0)
        memcpy(all + g->len, v, len * sizeof(*all));
    qsort(all, g->len + len, sizeof(*all), by_life);
    g->done(g->arg, all, MIN(g->len + len, g->most), g->total + total);
    for (size_t i = 0; i < g->len; i++)
        cert_unref(g->certs[i]);
    free(all);
    free(g->certs);
    free(g->v);
    free(g->issuers);
    free(g);
}

void certificates_list(const struct admin *a, size_t most, listing_done *done, void *arg)
{
    struct gathering *g = calloc(1, sizeof(*g));
    CHECK(g != NULL);
    g->done = done;
    g->arg = arg;
    g->most = most;
    gather_files(g, door_snapshot(a->door));
    if (a->list != NULL)
        a->list(a->list_arg, most, gathered, g);
    else
        gathered(g, NULL, 0, 0);
}

/* ---- JSON ---- */

static bool put_text(struct buf *b, const char *key, const char *text)
{
    return buf_printf(b, ",\"%s\":", key) && admin_json_text(b, text);
}

/* Seconds since 1970 as RFC 3339; null for none. */
static bool put_time(struct buf *b, const char *key, int64_t at)
{
    char text[CLOCK_TEXT_MAX];
    if (at <= 0 || at == LIFE_NEVER)
        return put_text(b, key, NULL);
    clock_format(MIN(at, INT64_MAX / NSEC_PER_SEC) * NSEC_PER_SEC, text); /* some end in 9999 */
    return put_text(b, key, text);
}

static bool put_staple(struct buf *b, const struct listing_slot *s)
{
    if (s->staple_next == 0)
        return buf_printf(b, ",\"staple\":null");
    return buf_printf(b, ",\"staple\":{\"fresh\":%s", s->staple_next > time(NULL) ? "true" : "false") &&
           put_time(b, "this_update", s->staple_this) && put_time(b, "next_update", s->staple_next) &&
           buf_append(b, "}", 1);
}

static bool put_slot(struct buf *b, const char *key, const struct listing_slot *s)
{
    if (!s->held)
        return buf_printf(b, ",\"%s\":null", key);
    return buf_printf(b, ",\"%s\":{\"state\":\"%s\"", key, listing_rank_word(s->rank)) &&
           put_text(b, "issuer", s->issuer) && put_text(b, "ca", s->ca) && put_text(b, "key", s->key) &&
           put_time(b, "not_before", s->not_before) && put_time(b, "not_after", s->not_after) &&
           buf_printf(b, ",\"seconds\":%lld,\"seconds_left\":%lld", (long long)(s->not_after - s->not_before),
                      (long long)MAX(0, s->not_after - time(NULL))) &&
           put_time(b, "issued", s->issued) &&
           buf_printf(b, ",\"must_staple\":%s", s->must_staple ? "true" : "false") && put_staple(b, s) &&
           buf_append(b, "}", 1);
}

static bool put_names(struct buf *b, const struct listing *l)
{
    bool ok = buf_printf(b, "\"names\":[");
    for (size_t i = 0; i < l->names_len && i < NAMES_LISTED && ok; i++)
        ok = buf_append(b, ",", i > 0) && admin_json_text(b, l->names[i]);
    return ok && buf_printf(b, "],\"names_total\":%zu", l->names_len);
}

/* What went wrong last, and what the CA wants. */
static bool put_troubles(struct buf *b, const struct listing *l)
{
    bool ok = put_text(b, "failure", l->failures > 0 ? life_failure_word(l->failure) : NULL) &&
              buf_printf(b, ",\"failures\":%u", l->failures) && put_time(b, "failed", l->failed);
    if (l->window_end == 0)
        return ok && buf_printf(b, ",\"renewal_window\":null");
    char start[CLOCK_TEXT_MAX], end[CLOCK_TEXT_MAX];
    return ok &&
           buf_printf(b, ",\"renewal_window\":{\"start\":\"%s\",\"end\":\"%s\"",
                      clock_format(l->window_start * NSEC_PER_SEC, start),
                      clock_format(l->window_end * NSEC_PER_SEC, end)) &&
           put_text(b, "explanation", l->explanation) && buf_append(b, "}", 1);
}

static bool put_listing(struct buf *b, const struct listing *l)
{
    int64_t next = l->next_try == LIFE_NEVER ? 0 : MAX(l->next_try, time(NULL));
    return buf_append(b, "{", 1) && put_names(b, l) && put_text(b, "from", l->from) &&
           put_text(b, "label", l->label) && put_slot(b, "served", &l->served) &&
           put_slot(b, "backup", &l->backup) &&
           buf_printf(b, ",\"backup_wanted\":%s", l->backup_wanted ? "true" : "false") &&
           put_text(b, "swapped", l->swapped != LIFE_NOT_SWAPPED ? life_swap_word(l->swapped) : NULL) &&
           put_time(b, "swapped_at", l->swapped_at) && put_time(b, "next_try", next) && put_troubles(b, l) &&
           buf_append(b, "}", 1);
}

static bool put_beside(struct buf *b, const struct staging *s)
{
    bool ok = buf_printf(b, ",\n\"beside\":[");
    for (size_t i = 0; s != NULL && i < s->n && ok; i++)
        ok = buf_printf(b, "%s{\"state\":\"%s\"", i > 0 ? "," : "",
                        s->v[i].promoted ? "promoted" : "candidate") &&
             put_text(b, "label", s->v[i].label) && put_text(b, "tls", s->v[i].tls_text) &&
             put_time(b, "since", s->v[i].since) && buf_append(b, "}", 1);
    return ok && buf_append(b, "]", 1);
}

bool certificates_json(struct buf *b, const struct listing *v, size_t len, size_t total,
                       const struct staging *beside)
{
    bool ok = buf_printf(b, "{\"certificates\":[");
    for (size_t i = 0; i < len && ok; i++)
        ok = buf_append(b, ",\n", i > 0 ? 2 : 0) && put_listing(b, &v[i]);
    return ok && buf_printf(b, "],\n\"certificates_total\":%zu", total) && put_beside(b, beside) &&
           buf_append(b, "}\n", 2);
}

static void answer(void *arg, const struct listing *v, size_t len, size_t total)
{
    const struct admin *a = exchange_arg(arg);
    struct buf body = {0};
    bool ok = certificates_json(&body, v, len, total, a == NULL ? NULL : door_snapshot(a->door)->staging);
    admin_answer(arg, ok, TYPE_JSON, &body);
}

void admin_certificates(struct exchange *e, const struct request *request)
{
    (void)request;
    certificates_list(exchange_arg(e), CERTIFICATES_LISTED, answer, e);
}
