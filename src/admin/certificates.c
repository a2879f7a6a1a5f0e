/* SPDX-License-Identifier: Apache-2.0 */
/* GET /certificates: what is served for which names, who has issued it, what stands by, what comes next; of
 * what the configuration names, with a summary of each folder and of the names on demand. With ?each=1 or
 * ?match=PATTERN all of them, page by page: "next" is what `after` has to say for the next one, or null. */
#include "admin/certificates.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "admin/admin_internal.h"
#include "base/check.h"
#include "base/clock.h"
#include "cert/cert.h"
#include "keeper/swaps.h"
#include "session/snapshot.h"
#include "session/staging.h"
#include "session/standby.h"

#define NAMES_LISTED 16
#define ROWS_OF_PAGE 250 /* files that the keeper reads at a time */

/* ---- asking ---- */

static bool was_promoted(const struct snapshot *snap, const struct cert *cert)
{
    for (size_t i = 0; snap->staging != NULL && i < snap->staging->n; i++)
        if (snap->staging->v[i].promoted && snap->staging->v[i].cert == cert)
            return true;
    return false;
}

static void add_file(struct listing_query *q, const struct snapshot *snap, struct cert *cert)
{
    q->files[q->files_len++] =
        (struct listing_file){.cert = cert_ref(cert), .promoted = was_promoted(snap, cert)};
}

/* What stands by for it, and why it is the one that is served. */
static void add_other(struct listing_file *f, const struct admin *a, const struct standby_pair *pair)
{
    if (pair->side[STANDBY_BACKUP] == NULL)
        return;
    f->other = cert_ref(pair->side[f->cert == pair->side[STANDBY_FIRST] ? STANDBY_BACKUP : STANDBY_FIRST]);
    if (a->swaps == NULL)
        return;
    const struct swaps_state state = swaps_state_of(a->swaps, pair);
    f->swapped = state.why;
    f->swapped_at = state.at;
}

/* Those of the configuration, but where something was promoted that instead. */
static void gather_files(struct listing_query *q, const struct admin *a)
{
    const struct snapshot *snap = door_snapshot(a->door);
    struct stand_ins ins;
    stand_ins_make(snap->certs, snap->config->certificates.n, snap->staging, false, &ins);
    q->files = calloc(ins.n + ins.more_len + 1, sizeof(*q->files));
    CHECK(q->files != NULL);
    for (size_t i = 0; i < ins.n; i++) {
        bool twice = false;
        for (size_t k = 0; k < i && ins.v[i] != snap->certs[i] && !twice; k++)
            twice = ins.v[k] == ins.v[i];
        if (ins.v[i] == NULL || twice)
            continue;
        add_file(q, snap, ins.v[i]);
        if (ins.v[i] == snap->certs[i])
            add_other(&q->files[q->files_len - 1], a, &snap->pairs[i]);
    }
    for (size_t i = 0; i < ins.more_len; i++)
        add_file(q, snap, ins.more[i]);
    stand_ins_done(&ins);
}

void certificates_ask(const struct admin *a, const struct listing_query *query, listing_done *done, void *arg)
{
    struct listing_query q = *query;
    const struct listing_answer none = {0};
    if (a->list == NULL) {
        done(arg, &none);
        return;
    }
    gather_files(&q, a);
    a->list(a->list_arg, &q, done, arg);
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
    static const char *const heard[] = {
        [LISTING_UNHEARD] = "null", [LISTING_GOOD] = "false", [LISTING_REVOKED] = "true"};
    return buf_printf(b, ",\"%s\":{\"state\":\"%s\",\"revoked\":%s", key, listing_rank_word(s->rank),
                      heard[s->revoked]) &&
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
           put_text(b, "label", l->label) && put_text(b, "unusable", l->unusable) &&
           put_slot(b, "served", &l->served) && put_slot(b, "backup", &l->backup) &&
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

static bool put_rows(struct buf *b, const struct listing_answer *a)
{
    bool ok = buf_printf(b, "{\"certificates\":[");
    for (size_t i = 0; i < a->rows.len && ok; i++)
        ok = buf_append(b, ",\n", i > 0 ? 2 : 0) && put_listing(b, &a->rows.v[i]);
    return ok && buf_append(b, "]", 1);
}

static bool put_source(struct buf *b, const struct listing_source *s)
{
    const struct listing_summary *is = &s->is;
    bool ok =
        buf_printf(b, "{\"from\":\"%s\"", s->from) && put_text(b, "label", s->label) &&
        buf_printf(
            b, ",\"total\":%zu,\"good\":%zu,\"ending\":%zu,\"expired\":%zu,\"revoked\":%zu,\"unusable\":%zu",
            is->total, is->good, is->ending, is->expired, is->revoked, is->unusable) &&
        put_time(b, "soonest", is->soonest) &&
        put_text(b, "soonest_name", is->soonest != 0 ? is->soonest_name : NULL) &&
        put_time(b, "counted", is->counted) && buf_printf(b, ",\"bad\":[");
    for (size_t i = 0; i < is->bad_len && ok; i++)
        ok = buf_append(b, ",", i > 0) && admin_json_text(b, is->bad[i]);
    return ok && buf_append(b, "]}", 2);
}

bool certificates_json(struct buf *b, const struct listing_answer *a, const struct staging *beside)
{
    bool ok = put_rows(b, a) && buf_printf(b, ",\n\"certificates_total\":%zu,\n\"sources\":[", a->total);
    for (size_t i = 0; i < a->sources_len && ok; i++)
        ok = buf_append(b, ",\n", i > 0 ? 2 : 0) && put_source(b, &a->sources[i]);
    return ok && buf_append(b, "]", 1) && put_beside(b, beside) && buf_append(b, "}\n", 2);
}

static void answer(void *arg, const struct listing_answer *listed)
{
    const struct admin *a = exchange_arg(arg);
    struct buf body = {0};
    bool ok = certificates_json(&body, listed, a == NULL ? NULL : door_snapshot(a->door)->staging);
    admin_answer(arg, ok, TYPE_JSON, &body);
}

static void answer_page(void *arg, const struct listing_answer *listed)
{
    struct buf body = {0};
    bool ok = put_rows(&body, listed) &&
              put_text(&body, "next", listed->next[0] != '\0' ? listed->next : NULL) &&
              buf_append(&body, "}\n", 2);
    admin_answer(arg, ok, TYPE_JSON, &body);
}

/* A host name, with '*' for any text. */
static bool is_pattern(const char *text)
{
    return text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._*")] == '\0';
}

void admin_certificates(struct exchange *e, const struct request *request)
{
    struct listing_query q = {.most = CERTIFICATES_LISTED, .patient = true};
    const struct admin *a = exchange_arg(e);
    char each[2];
    bool match = request_value(request, "match", q.match, sizeof(q.match));
    q.each = match || request_value(request, "each", each, sizeof(each));
    request_value(request, "after", q.after, sizeof(q.after));
    str_lower(q.match, strlen(q.match));
    if (q.each)
        q.most = ROWS_OF_PAGE;
    if (!is_pattern(q.match) || (request->query[0] != '\0' && !q.each))
        exchange_refuse(e, 400,
                        "the query must be each=1 or match=NAME, where * is any text, and after=NEXT");
    else
        certificates_ask(a, &q, q.each ? answer_page : answer, e);
}
