/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/candidates.h"

#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/file.h"
#include "base/str.h"
#include "cert/cert.h"
#include "cert/pkcs11.h"
#include "session/staging.h"

#define MAGIC 0xca4d1da7u
#define FOLDER "candidates"
#define LIST "list.json"
#define TLS_LABEL "tls"
#define LABEL_MAX 255
#define LIST_MAX (4 * 1024 * 1024)
#define ENTRIES_MAX ((size_t)2 * STAGING_MAX + CANDIDATES_KEPT)

enum stage { STAGE_CANDIDATE, STAGE_PRODUCTION, STAGE_RETIRED, STAGES };
static const char *const stage_words[STAGES] = {"candidate", "production", "retired"};

/* A row of the list. Its files are DIR/ID.pem and DIR/ID.key. */
struct entry {
    int64_t id;
    char *label;
    char *key;  /* the URI of a key in a token; NULL: the file */
    char *tls;  /* settings; NULL: a certificate */
    int64_t by; /* retired: by whose promotion */
    int64_t since;
    enum stage stage;
    struct cert *cert; /* NULL: settings, or it cannot be read any more */
    struct staged_tls settings;
};

struct table {
    struct entry v[ENTRIES_MAX + 1];
    size_t n;
};

struct candidates {
    uint32_t magic;
    char *dir;
    struct table now;
    struct table before; /* while an order is prepared */
    bool ordered;
    int64_t next_id;
    uint64_t number;
    char *label;
};

/* ---- tables ---- */

static void entry_done(struct entry *e)
{
    free(e->label);
    free(e->key);
    free(e->tls);
    cert_unref(e->cert);
    *e = (struct entry){0};
}

static void table_done(struct table *t)
{
    for (size_t i = 0; i < t->n; i++)
        entry_done(&t->v[i]);
    t->n = 0;
}

static void table_copy(struct table *to, const struct table *from)
{
    for (size_t i = 0; i < from->n; i++) {
        to->v[i] = from->v[i];
        to->v[i].label = str_dup(from->v[i].label);
        to->v[i].key = str_dup(from->v[i].key);
        to->v[i].tls = str_dup(from->v[i].tls);
        to->v[i].cert = from->v[i].cert == NULL ? NULL : cert_ref(from->v[i].cert);
    }
    to->n = from->n;
}

static void table_remove(struct table *t, size_t i)
{
    entry_done(&t->v[i]);
    memmove(&t->v[i], &t->v[i + 1], (t->n - i - 1) * sizeof(*t->v));
    t->n--;
}

static bool table_has(const struct table *t, int64_t id)
{
    for (size_t i = 0; i < t->n; i++)
        if (t->v[i].id == id)
            return true;
    return false;
}

/* ---- files ---- */

static void path_of(const struct candidates *c, int64_t id, const char *end, char ret[PATH_MAX])
{
    snprintf(ret, PATH_MAX, "%s/%lld.%s", c->dir, (long long)id, end);
}

static void remove_files(const struct candidates *c, int64_t id)
{
    char path[PATH_MAX];
    path_of(c, id, "pem", path);
    unlink(path);
    path_of(c, id, "key", path);
    unlink(path);
}

static int make_folder(const struct candidates *c, struct err *err)
{
    char parent[PATH_MAX];
    snprintf(parent, sizeof(parent), "%s", c->dir);
    *strrchr(parent, '/') = '\0';
    if ((mkdir(parent, 0700) < 0 && errno != EEXIST) || (mkdir(c->dir, 0700) < 0 && errno != EEXIST))
        return err_errno(err, errno, "cannot make the folder %s, which is to hold candidates", c->dir);
    return 0;
}

static int copy_file(const char *from, const char *to, struct err *err)
{
    struct buf text = {0};
    int done = file_read(from, CERT_FILE_MAX, &text, NULL, err);
    if (done == 0)
        done = file_write_atomic(to, 0600, text.data, text.len, err);
    buf_wipe(&text);
    return done;
}

static struct cert *load(const struct candidates *c, const struct entry *e, struct err *err)
{
    char chain[PATH_MAX], key[PATH_MAX];
    path_of(c, e->id, "pem", chain);
    path_of(c, e->id, "key", key);
    const struct cert_files files = {
        .certificate = chain, .key = e->key != NULL ? e->key : key, .label = e->label};
    return cert_load(&files, err);
}

/* ---- the list ---- */

static json_t *entry_json(const struct entry *e)
{
    return json_pack("{s:I, s:s, s:s*, s:s*, s:I, s:I, s:s}", "id", (json_int_t)e->id, "label", e->label,
                     "key", e->key, "tls", e->tls, "by", (json_int_t)e->by, "since", (json_int_t)e->since,
                     "stage", stage_words[e->stage]);
}

static int write_list(const struct candidates *c, struct err *err)
{
    char path[PATH_MAX];
    json_t *list = json_pack("{s:i, s:I, s:[]}", "version", 1, "next", (json_int_t)c->next_id, "entries");
    for (size_t i = 0; list != NULL && i < c->now.n; i++)
        if (json_array_append_new(json_object_get(list, "entries"), entry_json(&c->now.v[i])) != 0) {
            json_decref(list);
            list = NULL;
        }
    char *text = list == NULL ? NULL : json_dumps(list, JSON_INDENT(1));
    json_decref(list);
    if (text == NULL)
        return err_set(err, "out of memory, or a label that is not UTF-8");
    snprintf(path, sizeof(path), "%s/" LIST, c->dir);
    int done = file_write_atomic(path, 0600, text, strlen(text), err);
    free(text);
    return done;
}

static bool read_entry(json_t *row, struct entry *ret)
{
    const char *label, *stage, *key = NULL, *tls = NULL;
    json_int_t id, by, since;
    *ret = (struct entry){.stage = STAGES};
    if (json_unpack(row, "{s:I, s:s, s?s, s?s, s:I, s:I, s:s}", "id", &id, "label", &label, "key", &key,
                    "tls", &tls, "by", &by, "since", &since, "stage", &stage) != 0)
        return false;
    for (int i = 0; i < STAGES; i++)
        if (strcmp(stage, stage_words[i]) == 0)
            ret->stage = (enum stage)i;
    ret->id = id;
    ret->by = by;
    ret->since = since;
    ret->label = str_dup(label);
    ret->key = str_dup(key);
    ret->tls = str_dup(tls);
    return ret->stage != STAGES && id > 0;
}

/* What it names, as far as it can be had. */
static void furnish(const struct candidates *c, struct entry *e, struct buf *troubles)
{
    struct err err;
    if (e->tls != NULL) {
        if (staging_read_tls(e->tls, &e->settings, &err) == 0)
            return;
    } else if ((e->cert = load(c, e, &err)) != NULL) {
        return;
    }
    buf_printf(troubles, "%s %s is not served: %s\n", stage_words[e->stage], e->label, err.text);
}

static int read_rows(struct candidates *c, json_t *list, struct buf *troubles, struct err *err)
{
    json_int_t version = 0, next = 0;
    json_t *rows = NULL, *row;
    size_t i;
    if (json_unpack(list, "{s:I, s:I, s:o}", "version", &version, "next", &next, "entries", &rows) != 0 ||
        version != 1 || !json_is_array(rows) || json_array_size(rows) > ENTRIES_MAX)
        return err_set(err, "%s/" LIST ": not a list of candidates as this version writes it", c->dir);
    c->next_id = next;
    json_array_foreach(rows, i, row)
    {
        if (!read_entry(row, &c->now.v[c->now.n++]))
            return err_set(err, "%s/" LIST ": entry %zu is damaged", c->dir, i);
        furnish(c, &c->now.v[i], troubles);
    }
    return 0;
}

/* What a crash, or an entry that has gone, has left behind. */
static void sweep(const struct candidates *c)
{
    DIR *dir = opendir(c->dir);
    const struct dirent *d;
    while (dir != NULL && (d = readdir(dir)) != NULL) {
        char *end;
        long long id = strtoll(d->d_name, &end, 10);
        if (id > 0 && (strcmp(end, ".pem") == 0 || strcmp(end, ".key") == 0) && !table_has(&c->now, id))
            remove_files(c, id);
    }
    if (dir != NULL)
        closedir(dir);
}

static int read_list(struct candidates *c, struct buf *troubles, struct err *err)
{
    char path[PATH_MAX];
    struct buf text = {0};
    json_error_t why;
    snprintf(path, sizeof(path), "%s/" LIST, c->dir);
    if (access(path, F_OK) != 0 && errno == ENOENT)
        return 0;
    if (file_read(path, LIST_MAX, &text, NULL, err) != 0)
        return -1;
    json_t *list = json_loadb((const char *)text.data, text.len, JSON_REJECT_DUPLICATES, &why);
    buf_free(&text);
    if (list == NULL)
        return err_set(err, "%s: line %d: %s", path, why.line, why.text);
    int done = read_rows(c, list, troubles, err);
    json_decref(list);
    return done;
}

struct candidates *candidates_open(const char *dir, struct buf *troubles, struct err *err)
{
    struct candidates *c = calloc(1, sizeof(*c));
    struct buf path = {0};
    CHECK(c != NULL && buf_printf(&path, "%s/" FOLDER, dir));
    c->magic = MAGIC;
    c->next_id = 1;
    c->dir = str_dup(buf_text(&path));
    buf_free(&path);
    if (strlen(c->dir) > PATH_MAX - 64)
        err_set(err, "the path of state is longer than %d bytes", PATH_MAX);
    else if (read_list(c, troubles, err) == 0)
        return c;
    candidates_close(c);
    return NULL;
}

void candidates_close(struct candidates *c)
{
    if (c == NULL)
        return;
    CHECK_MAGIC(c, MAGIC);
    candidates_undo(c);
    table_done(&c->now);
    free(c->label);
    free(c->dir);
    c->magic = 0;
    free(c);
}

struct staging *candidates_now(struct candidates *c, int64_t now)
{
    CHECK_MAGIC(c, MAGIC);
    struct staging *s = staging_new(c->now.n);
    s->number = ++c->number;
    for (size_t i = 0; i < c->now.n; i++) {
        const struct entry *e = &c->now.v[i];
        bool promoted = e->stage == STAGE_PRODUCTION;
        if (e->stage == STAGE_RETIRED || (e->tls == NULL && e->cert == NULL) ||
            (promoted && e->cert != NULL && e->cert->not_after <= now))
            continue;
        const struct staged item = {.label = e->label,
                                    .cert = e->cert,
                                    .tls = e->settings,
                                    .tls_text = e->tls,
                                    .promoted = promoted,
                                    .since = e->since};
        staging_add(s, &item);
    }
    return s;
}

int64_t candidates_next_end(const struct candidates *c, int64_t now)
{
    int64_t end = INT64_MAX;
    CHECK_MAGIC(c, MAGIC);
    for (size_t i = 0; i < c->now.n; i++) {
        const struct cert *cert = c->now.v[i].stage == STAGE_PRODUCTION ? c->now.v[i].cert : NULL;
        if (cert != NULL && cert->not_after > now)
            end = MIN(end, cert->not_after);
    }
    return end;
}

/* ---- orders ---- */

static size_t count(const struct table *t, enum stage stage)
{
    size_t n = 0;
    for (size_t i = 0; i < t->n; i++)
        n += t->v[i].stage == stage;
    return n;
}

static struct entry *find(struct table *t, enum stage stage, const char *label)
{
    for (size_t i = t->n; i > 0; i--)
        if (t->v[i - 1].stage == stage && strcmp(t->v[i - 1].label, label) == 0)
            return &t->v[i - 1];
    return NULL;
}

static void put_labels(struct buf *b, const struct table *t, enum stage stage)
{
    for (size_t i = 0, n = 0; i < t->n; i++)
        if (t->v[i].stage == stage)
            buf_printf(b, "%s%s", n++ > 0 ? ", " : "", t->v[i].label);
}

/* The one of that label, or the only one. NULL with `err`. */
static struct entry *choose(struct table *t, enum stage stage, const char *label, struct err *err)
{
    const char *what = stage == STAGE_CANDIDATE ? "candidate" : "promoted one";
    size_t n = count(t, stage);
    struct buf list = {0};
    if (label == NULL && n == 1)
        for (size_t i = 0; i < t->n; i++)
            if (t->v[i].stage == stage)
                return &t->v[i];
    struct entry *e = label == NULL ? NULL : find(t, stage, label);
    put_labels(&list, t, stage);
    if (n == 0)
        err_set(err, "there is no %s%s", what,
                stage == STAGE_CANDIDATE ? ": put one up with 'cardea cert stage FILE'" : "");
    else if (label == NULL)
        err_set(err, "there are several: %s; say which", buf_text(&list));
    else if (e == NULL)
        err_set(err, "there is no %s '%s'; there is %s", what, label, buf_text(&list));
    buf_free(&list);
    return e;
}

static void drop_candidate(struct table *t, const char *label)
{
    struct entry *e = find(t, STAGE_CANDIDATE, label);
    if (e != NULL)
        table_remove(t, (size_t)(e - t->v));
}

static int take_files(struct candidates *c, const struct candidates_order *o, struct entry *e,
                      struct err *err)
{
    char path[PATH_MAX];
    const struct cert_files given = {.certificate = o->file, .key = o->key, .label = e->label};
    struct cert *cert = cert_load(&given, err); /* its errors name what the operator has named */
    if (cert == NULL)
        return -1;
    if (cert->names_len == 0) {
        cert_unref(cert);
        return err_set(err, "%s: no DNS name in its subjectAltName, so no client would get it", o->file);
    }
    e->cert = cert;
    if (make_folder(c, err) != 0)
        return -1;
    path_of(c, e->id, "pem", path);
    if (copy_file(o->file, path, err) != 0)
        return -1;
    if (pkcs11_is_uri(o->key)) {
        e->key = str_dup(o->key);
        return 0;
    }
    path_of(c, e->id, "key", path);
    if (copy_file(o->key, path, err) != 0)
        return -1;
    /* The files may have changed in between: what is kept is what is served. */
    cert_unref(e->cert);
    e->cert = load(c, e, err);
    return e->cert != NULL ? 0 : -1;
}

static int stage(struct candidates *c, const struct candidates_order *o, int64_t now, struct err *err)
{
    struct table *t = &c->now;
    const char *label = o->tls != NULL ? TLS_LABEL : o->label != NULL ? o->label : o->file;
    if (strlen(label) > LABEL_MAX)
        label += strlen(label) - LABEL_MAX;
    if (o->tls == NULL && strcmp(label, TLS_LABEL) == 0)
        return err_set(err, "the name '%s' is that of TLS settings; give another with --name", TLS_LABEL);
    drop_candidate(t, label);
    if (count(t, STAGE_CANDIDATE) >= STAGING_MAX)
        return err_set(err, "found %d candidates, expected fewer: disable one", STAGING_MAX);
    struct entry e = {.id = c->next_id++, .label = str_dup(label), .tls = str_dup(o->tls), .since = now};
    if (o->tls != NULL ? staging_read_tls(o->tls, &e.settings, err) != 0 : take_files(c, o, &e, err) != 0) {
        remove_files(c, e.id);
        entry_done(&e);
        return -1;
    }
    t->v[t->n++] = e;
    c->label = str_dup(label);
    return 0;
}

/* What this one takes the place of among those promoted before: settings of settings, certificates as they
 * stand in for the configuration's. */
static void retire_before(struct table *t, const struct entry *e)
{
    struct cert *certs[ENTRIES_MAX + 1];
    bool marks[ENTRIES_MAX + 1] = {false};
    for (size_t i = 0; i < t->n; i++)
        certs[i] = t->v[i].stage == STAGE_PRODUCTION ? t->v[i].cert : NULL;
    if (e->cert != NULL)
        staging_stands_for(e->cert, certs, t->n, marks);
    for (size_t i = 0; i < t->n; i++) {
        bool replaced = e->tls != NULL ? t->v[i].tls != NULL : marks[i];
        if (t->v[i].stage != STAGE_PRODUCTION || !replaced)
            continue;
        t->v[i].stage = STAGE_RETIRED;
        t->v[i].by = e->id;
    }
}

/* The oldest go. */
static void forget_old(struct table *t)
{
    for (size_t n = count(t, STAGE_RETIRED), i = 0; n > CANDIDATES_KEPT; i++)
        if (t->v[i].stage == STAGE_RETIRED) {
            table_remove(t, i--);
            n--;
        }
}

static int promote(struct candidates *c, const struct candidates_order *o, int64_t now, struct err *err)
{
    struct table *t = &c->now;
    struct entry *e = choose(t, STAGE_CANDIDATE, o->label, err);
    if (e == NULL)
        return -1;
    if (e->tls == NULL && (e->cert == NULL || e->cert->not_after <= now))
        return err_set(err, "%s has expired, or cannot be read any more: stage another", e->label);
    if (count(t, STAGE_PRODUCTION) >= STAGING_MAX)
        return err_set(err,
                       "%d were promoted and stand beside the configuration, expected fewer: put them into "
                       "the configuration",
                       STAGING_MAX);
    retire_before(t, e);
    c->label = str_dup(e->label);
    struct entry moved = *e;
    moved.stage = STAGE_PRODUCTION;
    moved.since = now;
    size_t at = (size_t)(e - t->v);
    memmove(&t->v[at], &t->v[at + 1], (t->n - at - 1) * sizeof(*t->v));
    t->v[t->n - 1] = moved; /* what was promoted last counts last */
    forget_old(t);
    return 0;
}

static int roll_back(struct candidates *c, const struct candidates_order *o, int64_t now, struct err *err)
{
    struct table *t = &c->now;
    struct entry *e = choose(t, STAGE_PRODUCTION, o->label, err);
    if (e == NULL)
        return -1;
    int64_t id = e->id;
    c->label = str_dup(e->label);
    drop_candidate(t, c->label);
    for (size_t i = 0; i < t->n; i++) {
        if (t->v[i].id == id) {
            t->v[i].stage = STAGE_CANDIDATE;
            t->v[i].since = now;
        } else if (t->v[i].stage == STAGE_RETIRED && t->v[i].by == id) {
            t->v[i].stage = STAGE_PRODUCTION;
            t->v[i].by = 0;
        }
    }
    return 0;
}

static int disable(struct candidates *c, const struct candidates_order *o, struct err *err)
{
    struct entry *e = choose(&c->now, STAGE_CANDIDATE, o->label, err);
    if (e == NULL)
        return -1;
    c->label = str_dup(e->label);
    table_remove(&c->now, (size_t)(e - c->now.v));
    return 0;
}

int candidates_order(struct candidates *c, const struct candidates_order *o, int64_t now, struct err *err)
{
    CHECK_MAGIC(c, MAGIC);
    CHECK(!c->ordered);
    table_copy(&c->before, &c->now);
    c->ordered = true;
    free(c->label);
    c->label = NULL;
    int done = o->verb == CANDIDATES_STAGE      ? stage(c, o, now, err)
               : o->verb == CANDIDATES_PROMOTE  ? promote(c, o, now, err)
               : o->verb == CANDIDATES_ROLLBACK ? roll_back(c, o, now, err)
                                                : disable(c, o, err);
    if (done != 0)
        candidates_undo(c);
    return done;
}

int candidates_keep(struct candidates *c, struct err *err)
{
    CHECK(c->ordered);
    if (make_folder(c, err) != 0 || write_list(c, err) != 0) {
        candidates_undo(c);
        return -1;
    }
    table_done(&c->before);
    c->ordered = false;
    sweep(c);
    return 0;
}

void candidates_undo(struct candidates *c)
{
    if (!c->ordered)
        return;
    table_done(&c->now);
    c->now = c->before;
    c->before = (struct table){.n = 0};
    c->ordered = false;
    sweep(c);
}

const char *candidates_label(const struct candidates *c)
{
    return c->label == NULL ? "" : c->label;
}
