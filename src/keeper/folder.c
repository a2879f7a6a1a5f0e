/* SPDX-License-Identifier: Apache-2.0 */
/* What is read stands in a cache under the name of its file, as it was for whoever asked first. Every so
 * often it is read again, whether or not the watch has told of a change: what links lead to changes unseen.
 * What turns out bad then is not put in the place of what was good. */
#include "keeper/folder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "cert/cache.h"
#include "cert/cert.h"
#include "cert/issuers.h"
#include "keeper/folder_watch.h"
#include "loop/loop.h"

#define FOLDER_MAGIC 0xf01de400u

#define GOOD_FOR (10 * 60 * NSEC_PER_SEC) /* watched */
#define LOOK_AGAIN (10 * NSEC_PER_SEC)    /* ... and not */
#define REFUSED_FOR (60 * NSEC_PER_SEC)   /* a change is told of, and ends it */
#define HOWEVER_OLD INT64_MIN

/* A name may have one for each kind of key. */
static const char *const kinds[] = {"", ".ecdsa", ".rsa", ".mldsa"};
_Static_assert(ARRAY_LEN(kinds) <= CERT_ANSWER_MAX, "an answer holds them all");

#define STEM_MAX (HOSTNAME_MAX + 2) /* "_." or "*." may stand before a name */
#define WHY_NONE "the folder of certificates has none for this name"
#define WHY_BAD "the certificate for this name cannot be used: see what the door says of its file"
#define WHY_OTHER "the certificate in the file of this name is for other names"

struct folder {
    uint32_t magic;
    struct folder_owner owner;
    char *path;
    size_t names, bytes;
    struct cert_cache *read;   /* by the stem of the file name */
    struct cert_cache *before; /* as it was before much has changed at once; or NULL */
    struct folder_watch *watch;
};

/* ---- files ---- */

/* Both in one file, or beside each other. */
static bool key_path(const char *path, struct buf *ret)
{
    size_t len = strlen(path) - strlen(".pem");
    bool ok = buf_append(ret, path, len) && buf_append(ret, ".key", sizeof(".key"));
    CHECK(ok);
    return access((const char *)ret->data, F_OK) == 0;
}

static struct cert *load(const char *path, struct err *err)
{
    struct buf beside = {0};
    bool apart = key_path(path, &beside);
    const struct cert_files files = {.certificate = path, .key = apart ? (const char *)beside.data : path};
    struct cert *cert = cert_load(&files, err);
    buf_free(&beside);
    return cert;
}

static struct cert *read_one(struct folder *f, const char *path, struct err *err)
{
    struct cert *cert = load(path, err);
    if (cert == NULL)
        return NULL;
    cert_issuers_share(f->owner.issuers, cert);
    if (cert_warning(cert, clock_wall() / NSEC_PER_SEC, err))
        f->owner.notice(f->owner.arg, err);
    if (f->owner.loaded != NULL)
        f->owner.loaded(f->owner.arg, cert);
    return cert;
}

static void put_in_order(struct cert_answer *a)
{
    for (size_t i = a->count - 1; i > 0 && a->certs[i]->kind < a->certs[i - 1]->kind; i--) {
        struct cert *better = a->certs[i];
        a->certs[i] = a->certs[i - 1];
        a->certs[i - 1] = better;
    }
}

enum reading { READ_NOTHING, READ_GOOD, READ_BAD };

/* Read all files of a stem. BAD: one at least cannot be used, which has been told; *ret are the others. */
static enum reading read_stem(struct folder *f, const char *stem, struct cert_answer *ret)
{
    struct buf path = {0};
    struct err err;
    bool bad = false;
    *ret = (struct cert_answer){0};
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        buf_consume(&path, path.len);
        CHECK(buf_printf(&path, "%s/%s%s.pem", f->path, stem, kinds[i]));
        if (access(buf_text(&path), F_OK) != 0)
            continue;
        struct cert *cert = read_one(f, buf_text(&path), &err);
        if (cert == NULL) {
            bad = true;
            f->owner.notice(f->owner.arg, &err);
            continue;
        }
        ret->certs[ret->count++] = cert;
        put_in_order(ret);
    }
    buf_free(&path);
    return bad ? READ_BAD : ret->count > 0 ? READ_GOOD : READ_NOTHING;
}

/* ---- names of files ---- */

static bool ends_in(const char *text, size_t *len, const char *end)
{
    size_t n = strlen(end);
    if (*len <= n || memcmp(text + *len - n, end, n) != 0)
        return false;
    *len -= n;
    return true;
}

/* The stem of a file, as it stands there. */
static bool stem_of(const char *file, char ret[STEM_MAX])
{
    size_t len = strlen(file);
    if (!ends_in(file, &len, ".pem") && !ends_in(file, &len, ".key"))
        return false;
    for (size_t i = 1; i < ARRAY_LEN(kinds); i++)
        if (ends_in(file, &len, kinds[i]))
            break;
    return str_copy(ret, STEM_MAX, file, len);
}

/* ---- what was read ---- */

static struct cert_cache_key key_of(const char *stem)
{
    return (struct cert_cache_key){{stem, strlen(stem)}, CERT_ANY_ROUTE};
}

static int64_t good_for(const struct folder *f)
{
    return folder_watch_works(f->watch) ? GOOD_FOR : LOOK_AGAIN;
}

static const struct cert_answer *known(struct cert_cache *cache, const char *stem, int64_t now)
{
    const struct cert_cache_key key = key_of(stem);
    const struct cert_answer *found;
    return cache != NULL && cert_cache_find(cache, &key, now, &found) == CERT_CACHE_HIT ? found : NULL;
}

static const struct cert_answer *known_before(struct folder *f, const char *stem)
{
    const struct cert_answer *a = known(f->read, stem, HOWEVER_OLD);
    return a != NULL ? a : known(f->before, stem, HOWEVER_OLD);
}

static void keep(struct folder *f, const char *stem, struct cert_answer *a)
{
    const struct cert_cache_key key = key_of(stem);
    a->good_for = good_for(f);
    cert_cache_put(f->read, &key, a, loop_now(f->owner.loop));
}

/* A reference each to what there was, for another while. */
static void keep_old(struct folder *f, const char *stem, const struct cert_answer *old)
{
    struct cert_answer again = *old;
    for (size_t i = 0; i < again.count; i++)
        cert_ref(again.certs[i]);
    keep(f, stem, &again);
}

static void forget(struct folder *f, const char *stem)
{
    cert_cache_forget(f->read, stem);
    if (f->before != NULL)
        cert_cache_forget(f->before, stem);
}

/* Read a stem anew, whatever is known of it. */
static enum reading renew(struct folder *f, const char *stem)
{
    struct cert_answer fresh;
    enum reading reading = read_stem(f, stem, &fresh);
    const struct cert_answer *old = reading == READ_BAD ? known_before(f, stem) : NULL;
    if (old != NULL)
        keep_old(f, stem, old);
    else if (fresh.count > 0)
        keep(f, stem, &fresh);
    else if (reading == READ_NOTHING)
        forget(f, stem);
    if (old != NULL)
        cert_answer_done(&fresh);
    return reading;
}

/* ---- questions ---- */

/* What a file has for a name: it may hold other names than that of the file. */
static bool serve(const struct folder *f, const struct cert_answer *from, const char *name,
                  struct cert_answer *ret)
{
    *ret = (struct cert_answer){.good_for = good_for(f), .why = WHY_OTHER};
    for (size_t i = 0; i < from->count; i++)
        if (cert_is_for(from->certs[i], name))
            ret->certs[ret->count++] = cert_ref(from->certs[i]);
    return ret->count > 0;
}

static bool find_stem(struct folder *f, const char *stem, const char *name, struct cert_answer *ret)
{
    int64_t now = loop_now(f->owner.loop);
    const struct cert_answer *found = known(f->read, stem, now);
    enum reading reading = READ_GOOD;
    if (found == NULL) {
        reading = renew(f, stem);
        found = known(f->read, stem, now);
    }
    if (found != NULL)
        return serve(f, found, name, ret);
    if (reading == READ_BAD)
        ret->why = WHY_BAD;
    return false;
}

bool folder_find(struct folder *f, const char *name, struct cert_answer *ret)
{
    CHECK_MAGIC(f, FOLDER_MAGIC);
    static const char stars[] = {'_', '*'};
    const char *rest = strchr(name, '.');
    char stem[STEM_MAX];
    *ret = (struct cert_answer){.why = WHY_NONE};
    bool found = find_stem(f, name, name, ret);
    for (size_t i = 0; i < ARRAY_LEN(stars) && rest != NULL && !found; i++) {
        struct cert_answer below = {.why = ret->why};
        snprintf(stem, sizeof(stem), "%c%s", stars[i], rest);
        found = find_stem(f, stem, name, &below);
        *ret = below;
    }
    ret->good_for = found ? ret->good_for : folder_watch_works(f->watch) ? REFUSED_FOR : LOOK_AGAIN;
    return found;
}

struct cert *folder_peek(struct folder *f, const char *file, struct err *err)
{
    CHECK_MAGIC(f, FOLDER_MAGIC);
    char stem[STEM_MAX];
    struct buf path = {0};
    struct cert *cert = NULL;
    CHECK(buf_printf(&path, "%s/%s", f->path, file));
    const struct cert_answer *read = stem_of(file, stem) ? known(f->read, stem, HOWEVER_OLD) : NULL;
    for (size_t i = 0; read != NULL && i < read->count && cert == NULL; i++)
        if (strcmp(read->certs[i]->label, buf_text(&path)) == 0)
            cert = cert_ref(read->certs[i]);
    if (cert == NULL)
        cert = load(buf_text(&path), err);
    buf_free(&path);
    return cert;
}

/* ---- changes ---- */

bool folder_file_name(const char *file, char ret[HOSTNAME_MAX + 1])
{
    char stem[STEM_MAX];
    if (!stem_of(file, stem))
        return false;
    bool below = (stem[0] == '_' || stem[0] == '*') && stem[1] == '.';
    const char *host = below ? stem + 2 : stem;
    if (hostname_check(host, strlen(host)) != HOSTNAME_OK || strlen(stem) > HOSTNAME_MAX)
        return false;
    snprintf(ret, HOSTNAME_MAX + 1, "%s%s", below ? "*." : "", host);
    return true;
}

static void on_file(void *arg, const char *file)
{
    struct folder *f = arg;
    char stem[STEM_MAX], name[HOSTNAME_MAX + 1];
    if (!folder_file_name(file, name) || !stem_of(file, stem))
        return;
    if (renew(f, stem) != READ_BAD)
        f->owner.changed(f->owner.arg, name);
}

/* All that is known is old. */
static void on_all(void *arg)
{
    struct folder *f = arg;
    cert_cache_free(f->before);
    f->before = f->read;
    f->read = cert_cache_new(f->names, f->bytes);
    f->owner.changed(f->owner.arg, NULL);
}

/* ---- life ---- */

struct folder *folder_new(const char *path, size_t names, size_t bytes, const struct folder_owner *owner)
{
    struct folder *f = calloc(1, sizeof(*f));
    CHECK(f != NULL);
    *f = (struct folder){
        .magic = FOLDER_MAGIC, .owner = *owner, .path = strdup(path), .names = names, .bytes = bytes};
    CHECK(f->path != NULL);
    f->read = cert_cache_new(names, bytes);
    f->watch = folder_watch_new(owner->loop, f->path, &(struct folder_watcher){on_file, on_all, f});
    return f;
}

void folder_free(struct folder *f)
{
    if (f == NULL)
        return;
    CHECK_MAGIC(f, FOLDER_MAGIC);
    folder_watch_free(f->watch);
    cert_cache_free(f->read);
    cert_cache_free(f->before);
    free(f->path);
    f->magic = 0;
    free(f);
}

const char *folder_path(const struct folder *f)
{
    CHECK_MAGIC(f, FOLDER_MAGIC);
    return f->path;
}
