/* SPDX-License-Identifier: Apache-2.0 */
/* A key's file is NAME-BEGIN.pem: its public name, and when its slot begins. */
#include "ech/ring.h"

#include <dirent.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/file.h"
#include "base/str.h"
#include "cert/pem.h"
#include "ech/journal.h"

#define RING_MAGIC 0xec411291u
#define FILE_MAX 16384
#define SUFFIX ".pem"
#define PATH_ROOM 4096

/* How long before its slot a key is made, at most; every door looks far more often. */
#define LEAD_MAX 60

/* A set holds those that `keep` asks for, one that has ended in part, the one offered and the next, and those
 * that records may hold for longer. */
_Static_assert(ECH_KEEP_MAX + 3 + ECH_RECORDS_KEYS_MAX <= ECH_KEYS_MAX, "a set has no room for all keys");

struct slot {
    int64_t begin;
    struct ech_key *key;
};

struct ech_ring {
    uint32_t magic;
    struct ech_ring_settings settings; /* its texts are the ring's own */
    struct slot slots[ECH_KEYS_MAX];   /* newest first */
    size_t n;
    struct ech_records published;
    struct stat version; /* of what is in `published` */
    bool unsure;         /* it could not be read: no key goes */
    _Atomic(struct ech_keys *) keys;
    _Atomic uint64_t turns;
};

/* ---- the folder ---- */

static bool put_path(const struct ech_ring *r, int64_t begin, char ret[PATH_ROOM])
{
    const struct ech_ring_settings *s = &r->settings;
    int n = snprintf(ret, PATH_ROOM, "%s/%s-%lld" SUFFIX, s->folder, s->public_name, (long long)begin);
    return n < PATH_ROOM;
}

/* When the slot of a file of ours begins; -1 for another file. */
static int64_t begin_of(const struct ech_ring *r, const char *file)
{
    size_t name = strlen(r->settings.public_name), len = strlen(file), tail = strlen(SUFFIX);
    char digits[24];
    uint64_t begin;
    if (len < name + 1 + tail || strncmp(file, r->settings.public_name, name) != 0 || file[name] != '-' ||
        strcmp(file + len - tail, SUFFIX) != 0 ||
        !str_copy(digits, sizeof(digits), file + name + 1, len - tail - name - 1) ||
        !str_u64(digits, INT64_MAX / 4, &begin))
        return -1;
    return (int64_t)begin;
}

static const struct slot *find(const struct ech_ring *r, int64_t begin)
{
    for (size_t i = 0; i < r->n; i++)
        if (r->slots[i].begin == begin)
            return &r->slots[i];
    return NULL;
}

/* Newest first; the oldest goes where there is no room. */
static void add(struct ech_ring *r, int64_t begin, struct ech_key *key)
{
    size_t at = 0;
    while (at < r->n && r->slots[at].begin > begin)
        at++;
    if (at == ECH_KEYS_MAX) {
        ech_key_unref(key);
        return;
    }
    if (r->n == ECH_KEYS_MAX)
        ech_key_unref(r->slots[--r->n].key);
    memmove(r->slots + at + 1, r->slots + at, (r->n - at) * sizeof(r->slots[0]));
    r->slots[at] = (struct slot){begin, key};
    r->n++;
}

static int load(struct ech_ring *r, int64_t begin, struct err *err)
{
    char path[PATH_ROOM];
    struct buf pem = {0};
    struct err why;
    mode_t mode = 0;
    struct ech_key *key = NULL;
    if (!put_path(r, begin, path) || file_read(path, FILE_MAX, &pem, &mode, err) != 0)
        return -1;
    if (!pem_key_is_kept(mode))
        err_set(&why, "may be read by other users (mode %04o); do: chmod 600 %s", (unsigned)mode, path);
    else
        key = ech_key_read(&pem, &why);
    buf_wipe(&pem);
    if (key == NULL)
        return err_set(err, "%s %s", path, why.text);
    add(r, begin, key);
    return 0;
}

/* ---- slots ---- */

static int64_t slot_of(const struct ech_ring *r, int64_t now)
{
    return now - now % r->settings.rotate;
}

/* INT64_MAX: nobody knows. */
static int64_t opens_until(const struct ech_ring *r, int64_t begin)
{
    int64_t until = begin + r->settings.rotate + r->settings.keep;
    return r->unsure ? INT64_MAX : MAX(until, ech_records_keeps(&r->published, begin));
}

/* Does a key still open, or will it? */
static bool is_wanted(const struct ech_ring *r, int64_t begin, int64_t now)
{
    return opens_until(r, begin) > now && begin <= now + r->settings.rotate;
}

/* What no other key in use has. */
static uint8_t new_id(const struct ech_ring *r)
{
    for (;;) {
        uint8_t id;
        bool taken = false;
        CHECK(getrandom(&id, 1, 0) == 1);
        for (size_t i = 0; i < r->n; i++)
            taken = taken || ech_key_config(r->slots[i].key)->id == id;
        if (!taken)
            return id;
    }
}

/* Make the key of a slot, unless another door has. */
static int make(struct ech_ring *r, int64_t begin, struct err *err)
{
    char path[PATH_ROOM];
    struct buf pem = {0};
    struct err other;
    if (find(r, begin) != NULL)
        return 0;
    struct ech_key *key = ech_key_make(new_id(r), r->settings.public_name, r->settings.longest_name, err);
    if (key == NULL)
        return -1;
    CHECK(ech_key_write(key, &pem));
    if (!put_path(r, begin, path))
        err_set(err, "%s is too long a name for a folder of keys", r->settings.folder);
    else if (file_create_atomic(path, 0600, pem.data, pem.len, err) == 0)
        add(r, begin, ech_key_ref(key));
    else
        load(r, begin, &other);
    buf_wipe(&pem);
    ech_key_unref(key);
    return find(r, begin) == NULL ? -1 : 0;
}

static void forget(struct ech_ring *r, int64_t now)
{
    size_t kept = 0;
    for (size_t i = 0; i < r->n; i++)
        if (is_wanted(r, r->slots[i].begin, now))
            r->slots[kept++] = r->slots[i];
        else
            ech_key_unref(r->slots[i].key);
    r->n = kept;
}

/* What records hold, where that has changed. */
static int look_at_journal(struct ech_ring *r, struct err *err)
{
    const struct ech_ring_settings *s = &r->settings;
    struct stat now = ech_journal_version(s->folder, s->public_name);
    bool same = now.st_ino == r->version.st_ino && now.st_size == r->version.st_size &&
                now.st_mtim.tv_sec == r->version.st_mtim.tv_sec &&
                now.st_mtim.tv_nsec == r->version.st_mtim.tv_nsec;
    if (same && !r->unsure)
        return 0;
    ech_records_free(&r->published);
    r->version = now;
    r->unsure = ech_journal_read(s->folder, s->public_name, &r->published, err) != 0;
    return r->unsure ? -1 : 0;
}

int ech_ring_hear(struct ech_ring *r, struct err *err)
{
    CHECK_MAGIC(r, RING_MAGIC);
    return look_at_journal(r, err);
}

/* Load what is new in the folder, and, where it `tidies`, remove what nobody opens any more. */
static int look(struct ech_ring *r, int64_t now, bool tidies, struct err *err)
{
    int rc = look_at_journal(r, err);
    char path[PATH_ROOM];
    DIR *dir = opendir(r->settings.folder);
    if (dir == NULL)
        return err_set(err, "%s: %s", r->settings.folder, strerror(errno));
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        int64_t begin = begin_of(r, e->d_name);
        if (begin < 0)
            continue;
        bool old = opens_until(r, begin) <= now;
        if (old && tidies && put_path(r, begin, path))
            unlink(path);
        else if (is_wanted(r, begin, now) && find(r, begin) == NULL)
            rc |= load(r, begin, err);
    }
    closedir(dir);
    return rc;
}

/* ---- the set ---- */

/* The one offered first, then the one before it and so on; the one to come last. Slots of another `rotate`
 * may lie in between. NULL: there is none. */
static struct ech_keys *gather(const struct ech_ring *r, int64_t now)
{
    struct ech_key *v[ECH_KEYS_MAX];
    size_t n = 0, begun = 0;
    while (begun < r->n && r->slots[begun].begin > now)
        begun++;
    for (size_t i = begun; i < r->n; i++)
        v[n++] = r->slots[i].key;
    for (size_t i = 0; i < begun; i++)
        v[n++] = r->slots[i].key;
    return begun == r->n ? NULL : ech_keys_new(v, n, 1);
}

static bool is_same(const struct ech_keys *a, const struct ech_keys *b)
{
    if (ech_keys_count(a) != ech_keys_count(b))
        return false;
    for (size_t i = 0; i < ech_keys_count(a); i++)
        if (ech_keys_at(a, i) != ech_keys_at(b, i))
            return false;
    return true;
}

int ech_ring_turn(struct ech_ring *r, int64_t now, struct ech_keys **ret_old, struct err *err)
{
    CHECK_MAGIC(r, RING_MAGIC);
    int64_t slot = slot_of(r, now), lead = MIN(r->settings.rotate / 4, (int64_t)LEAD_MAX);
    *ret_old = NULL;
    struct err other;
    /* It says why what is there cannot be used; what comes of that is less worth telling. */
    int rc = look(r, now, true, err);
    rc |= make(r, slot, rc == 0 ? err : &other);
    if (now + lead >= slot + r->settings.rotate)
        rc |= make(r, slot + r->settings.rotate, rc == 0 ? err : &other);
    forget(r, now);
    struct ech_keys *before = atomic_load(&r->keys), *set = gather(r, now);
    if (set != NULL && before != NULL && is_same(set, before)) {
        ech_keys_free(set);
    } else if (set != NULL) {
        atomic_store(&r->keys, set);
        atomic_fetch_add(&r->turns, 1);
        *ret_old = before;
    }
    return rc;
}

/* ---- the ring ---- */

static struct ech_ring *ring_of(const struct ech_ring_settings *settings)
{
    struct ech_ring *r = calloc(1, sizeof(*r));
    CHECK(r != NULL && settings->rotate > 0 && settings->keep <= ECH_KEEP_MAX * settings->rotate);
    r->magic = RING_MAGIC;
    r->settings = *settings;
    r->settings.folder = strdup(settings->folder);
    r->settings.public_name = strdup(settings->public_name);
    CHECK(r->settings.folder != NULL && r->settings.public_name != NULL);
    return r;
}

struct ech_ring *ech_ring_new(const struct ech_ring_settings *settings, int64_t now, struct err *err)
{
    struct ech_ring *r = ring_of(settings);
    struct ech_keys *none;
    int rc = 0;
    if (mkdir(settings->folder, 0700) != 0 && errno != EEXIST)
        rc = err_errno(err, errno, "cannot make the folder %s, which is to hold keys of ECH",
                       settings->folder);
    if (rc == 0)
        rc = ech_ring_turn(r, now, &none, err);
    if (rc == 0)
        return r;
    ech_ring_free(r);
    return NULL;
}

int ech_ring_check(const struct ech_ring_settings *settings, int64_t now, struct err *err)
{
    struct ech_ring *r = ring_of(settings);
    bool visible = access(settings->folder, R_OK | X_OK) == 0 || (errno != ENOENT && errno != EACCES);
    int rc = visible ? look(r, now, false, err) : 0;
    ech_ring_free(r);
    return rc;
}

void ech_ring_free(struct ech_ring *r)
{
    if (r == NULL)
        return;
    CHECK_MAGIC(r, RING_MAGIC);
    for (size_t i = 0; i < r->n; i++)
        ech_key_unref(r->slots[i].key);
    ech_keys_free(atomic_load(&r->keys));
    ech_records_free(&r->published);
    free((char *)(uintptr_t)r->settings.folder);
    free((char *)(uintptr_t)r->settings.public_name);
    r->magic = 0;
    free(r);
}

bool ech_ring_is(const struct ech_ring *r, const struct ech_ring_settings *s)
{
    const struct ech_ring_settings *own = &r->settings;
    return strcmp(own->folder, s->folder) == 0 && strcmp(own->public_name, s->public_name) == 0 &&
           own->longest_name == s->longest_name && own->rotate == s->rotate && own->keep == s->keep;
}

const struct ech_keys *ech_ring_keys(const struct ech_ring *r)
{
    CHECK_MAGIC(r, RING_MAGIC);
    return atomic_load_explicit(&r->keys, memory_order_acquire);
}

uint64_t ech_ring_turns(const struct ech_ring *r)
{
    CHECK_MAGIC(r, RING_MAGIC);
    return atomic_load(&r->turns);
}

int64_t ech_ring_newest(const struct ech_ring *r)
{
    CHECK_MAGIC(r, RING_MAGIC);
    const struct ech_key *offered = ech_keys_at(ech_ring_keys(r), 0);
    for (size_t i = 0; i < r->n; i++)
        if (r->slots[i].key == offered)
            return r->slots[i].begin;
    return 0;
}

const struct ech_key *ech_ring_key(const struct ech_ring *r, int64_t begin)
{
    const struct slot *slot = find(r, begin);
    return slot != NULL ? slot->key : NULL;
}

const struct ech_ring_settings *ech_ring_settings(const struct ech_ring *r)
{
    return &r->settings;
}

const struct ech_records *ech_ring_records(const struct ech_ring *r)
{
    return &r->published;
}

size_t ech_ring_list(const struct ech_ring *r, int64_t now, struct ech_ring_key ret[ECH_KEYS_MAX])
{
    bool offered = false;
    for (size_t i = 0; i < r->n; i++) {
        const struct slot *slot = &r->slots[i];
        int64_t until = i > 0 ? r->slots[i - 1].begin : slot->begin + r->settings.rotate;
        bool is_now = !offered && slot->begin <= now;
        offered = offered || is_now;
        ret[i] = (struct ech_ring_key){.id = ech_key_config(slot->key)->id,
                                       .offered = is_now,
                                       .from = slot->begin,
                                       .until = until,
                                       .opens_until = opens_until(r, slot->begin),
                                       .published = ech_records_since(&r->published, slot->begin),
                                       .records = ech_records_count(&r->published, slot->begin)};
    }
    return r->n;
}
