/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/audit_log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"

#define READ_BYTES ((size_t)256 * 1024)
#define BAD_TOLD 10 /* lines that are none, of all files */
#define PROGRESS_NS (NSEC_PER_SEC / 4)

/* ---- how far it is ---- */

struct progress {
    bool shown;
    int fd;     /* of the file itself */
    off_t size; /* 0: unknown */
    int64_t due;
};

static void show(struct progress *p, const char *path, uint64_t bytes)
{
    int64_t now = clock_monotonic();
    if (!p->shown || now < p->due)
        return;
    p->due = now + PROGRESS_NS;
    off_t at = p->size > 0 ? lseek(p->fd, 0, SEEK_CUR) : -1;
    if (at >= 0)
        fprintf(stderr, "\r\033[K%s: %d %%", path, (int)(at * 100 / p->size));
    else
        fprintf(stderr, "\r\033[K%s: %" PRIu64 " MiB", path, bytes >> 20);
}

static void clear(const struct progress *p)
{
    if (p->shown)
        fputs("\r\033[K", stderr);
}

/* ---- lines ---- */

struct bad_line {
    uint64_t number;
    const char *why;
};

/* Lines that are none are told only where there is one that is: else it is another kind of file. */
struct stream {
    struct audit_log *log;
    const char *path;
    uint64_t number;
    bool skips; /* the rest of a line that is too long */
    bool is_log;
    uint64_t early; /* lines that are none, before the first that is one */
    struct bad_line early_bad[BAD_TOLD];
    struct progress progress;
};

static void tell_bad(struct stream *s, const struct bad_line *bad)
{
    if (s->log->bad++ >= BAD_TOLD)
        return;
    clear(&s->progress);
    fprintf(stderr, "cardea: %s:%" PRIu64 ": %s\n", s->path, bad->number, bad->why);
}

static void take_bad(struct stream *s, const char *why)
{
    const struct bad_line bad = {s->number, why};
    if (s->is_log) {
        tell_bad(s, &bad);
        return;
    }
    if (s->early < BAD_TOLD)
        s->early_bad[s->early] = bad;
    s->early++;
}

static void take_good(struct stream *s)
{
    s->is_log = true;
    for (uint64_t i = 0; i < MIN(s->early, (uint64_t)BAD_TOLD); i++)
        tell_bad(s, &s->early_bad[i]);
    s->log->bad += s->early > BAD_TOLD ? s->early - BAD_TOLD : 0;
}

/* After the last line. */
static int judge_file(struct stream *s, struct err *err)
{
    if (!s->is_log && s->early > 0)
        return err_set(err, "%s is no audit log: %s:%" PRIu64 ": %s", s->path, s->path,
                       s->early_bad[0].number, s->early_bad[0].why);
    if (!s->is_log)
        fprintf(stderr, "cardea: %s is empty: no audit lines\n", s->path);
    return 0;
}

static void keep_time(char ret[AUDIT_TIME_LEN + 1], struct str time, bool later)
{
    int order = memcmp(time.p, ret, AUDIT_TIME_LEN);
    if (*ret == '\0' || (later ? order > 0 : order < 0))
        str_copy(ret, AUDIT_TIME_LEN + 1, time.p, time.len);
}

static void take_line(struct stream *s, const char *text, size_t len)
{
    struct audit_log *log = s->log;
    struct audit_line line;
    log->bytes += len + 1;
    const char *why = audit_line_read(text, len, &line);
    if (why != NULL) {
        take_bad(s, why);
        return;
    }
    if (!s->is_log)
        take_good(s);
    struct str time = line.v[AUDIT_TIME];
    if (strncmp(time.p, log->since, strlen(log->since)) < 0)
        return;
    log->lines++;
    keep_time(log->first, time, false);
    keep_time(log->last, time, true);
    log->each(log->arg, &line);
}

/* Whole lines of what has been read; what is left is the beginning of one. `last`: nothing will follow. */
static void take_lines(struct stream *s, struct buf *b, bool last)
{
    const char *p = (const char *)b->data, *end = p + b->len;
    while (p < end) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        if (stop == NULL && !last)
            break;
        stop = stop == NULL ? end : stop;
        s->number += !s->skips;
        if (!s->skips && stop > p)
            take_line(s, p, (size_t)(stop - p));
        s->skips = false;
        p = stop + 1;
    }
    buf_consume(b, MIN((size_t)(p - (const char *)b->data), b->len));
    if (b->len <= AUDIT_LOG_LINE_MAX)
        return;
    if (!s->skips) {
        s->number++;
        take_bad(s, "a line of more than 64 KiB");
    }
    s->skips = true;
    b->len = 0;
}

static int read_lines(struct stream *s, int fd, struct err *err)
{
    struct buf b = {0};
    ssize_t n;
    CHECK(buf_reserve(&b, READ_BYTES + AUDIT_LOG_LINE_MAX + 1));
    while ((n = read(fd, b.data + b.len, READ_BYTES)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            break;
        b.len += (size_t)n;
        take_lines(s, &b, false);
        show(&s->progress, s->path, s->log->bytes);
    }
    int rc = n < 0 ? err_errno(err, errno, "cannot read %s", s->path) : 0;
    take_lines(s, &b, true);
    clear(&s->progress);
    buf_free(&b);
    return rc;
}

/* ---- compressed files ---- */

/* The program that makes a file of it again, by the first bytes; NULL: it is none that is compressed. */
static const char *packed_by(int fd)
{
    static const struct {
        const char *program;
        size_t len;
        const char *magic;
    } rows[] = {{"gzip", 2, "\x1f\x8b"},
                {"xz", 6, "\xfd\x37zXZ\x00"},
                {"zstd", 4, "\x28\xb5\x2f\xfd"},
                {"bzip2", 3, "BZh"}};
    char first[8];
    ssize_t n = pread(fd, first, sizeof(first), 0); /* fails at a pipe, whose lines are taken as they are */
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (n >= (ssize_t)rows[i].len && memcmp(first, rows[i].magic, rows[i].len) == 0)
            return rows[i].program;
    return NULL;
}

/* The program reads `fd` and writes to what is returned. -1 with `err`. */
static int start(const char *program, int fd, pid_t *ret_pid, struct err *err)
{
    char *const argv[] = {(char *)(uintptr_t)program, (char *)(uintptr_t) "-dc", NULL};
    posix_spawn_file_actions_t actions;
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return err_errno(err, errno, "cannot make a pipe");
    CHECK(posix_spawn_file_actions_init(&actions) == 0 &&
          posix_spawn_file_actions_adddup2(&actions, fd, STDIN_FILENO) == 0 &&
          posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO) == 0);
    int failed = posix_spawnp(ret_pid, program, &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    if (failed == 0)
        return ends[0];
    close(ends[0]);
    return err_errno(err, failed, "cannot start %s", program);
}

static int read_packed(struct stream *s, const char *program, int fd, struct err *err)
{
    pid_t pid;
    int status = 0, from = start(program, fd, &pid, err);
    if (from < 0)
        return -1;
    int rc = read_lines(s, from, err);
    close(from);
    waitpid(pid, &status, 0);
    if (rc == 0 && status != 0)
        rc = err_set(err, "%s: %s does not get through it: it is cut off or damaged", s->path, program);
    return rc;
}

int audit_log_read(struct audit_log *log, const char *path, struct err *err)
{
    bool standard = strcmp(path, "-") == 0;
    struct stream s = {.log = log, .path = standard ? "standard input" : path};
    struct stat st;
    int fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0)
        return err_errno(err, errno, "cannot read the log %s", path);
    s.progress = (struct progress){
        .shown = isatty(STDERR_FILENO) != 0, .fd = fd, .size = S_ISREG(st.st_mode) ? st.st_size : 0};
    const char *program = S_ISREG(st.st_mode) ? packed_by(fd) : NULL;
    posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    int rc = program != NULL ? read_packed(&s, program, fd, err) : read_lines(&s, fd, err);
    if (!standard)
        close(fd);
    return rc == 0 ? judge_file(&s, err) : rc;
}

void audit_log_end(const struct audit_log *log)
{
    if (log->bad > BAD_TOLD)
        fprintf(stderr, "cardea: and %" PRIu64 " lines more that are none of an audit log\n",
                log->bad - BAD_TOLD);
}

/* ---- rotated files ---- */

/* What a name has behind that of the audit file: "", ".1", "-20261123", ".2.gz". */
static bool is_rotated(const char *rest)
{
    static const char *const endings[] = {"", ".gz", ".xz", ".zst", ".bz2"};
    if (*rest == '\0')
        return true;
    size_t digits = strspn(rest + 1, "0123456789-");
    if ((*rest != '.' && *rest != '-') || digits == 0)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(endings); i++)
        if (strcmp(rest + 1 + digits, endings[i]) == 0)
            return true;
    return false;
}

struct found {
    struct timespec written;
    char *path;
};

static int compare_found(const void *a, const void *b)
{
    const struct found *fa = a, *fb = b;
    const struct timespec *ta = &fa->written, *tb = &fb->written;
    if (ta->tv_sec != tb->tv_sec)
        return ta->tv_sec < tb->tv_sec ? -1 : 1;
    if (ta->tv_nsec != tb->tv_nsec)
        return ta->tv_nsec < tb->tv_nsec ? -1 : 1;
    return strcmp(fa->path, fb->path);
}

static void consider(const char *folder, const char *name, int64_t since, struct found *all, size_t *n)
{
    struct buf path = {0};
    struct stat st;
    CHECK(buf_printf(&path, "%s%s", folder, name) && buf_text(&path) != NULL);
    if (*n < AUDIT_FILES_MAX && stat(buf_text(&path), &st) == 0 && S_ISREG(st.st_mode) &&
        st.st_mtim.tv_sec >= since)
        all[(*n)++] = (struct found){st.st_mtim, (char *)path.data};
    else
        buf_free(&path);
}

int audit_files_find(const char *path, int64_t since, struct audit_files *ret, struct err *err)
{
    const char *slash = strrchr(path, '/'), *name = slash == NULL ? path : slash + 1;
    struct buf folder = {0};
    *ret = (struct audit_files){0};
    CHECK(buf_append(&folder, path, (size_t)(name - path)) && buf_text(&folder) != NULL);
    DIR *dir = opendir(slash == NULL ? "." : buf_text(&folder));
    struct found *all = calloc(AUDIT_FILES_MAX, sizeof(*all));
    CHECK(all != NULL);
    for (const struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;)
        if (strncmp(e->d_name, name, strlen(name)) == 0 && is_rotated(e->d_name + strlen(name)))
            consider(buf_text(&folder), e->d_name, since, all, &ret->n);
    if (dir != NULL)
        closedir(dir);
    qsort(all, ret->n, sizeof(*all), compare_found);
    ret->v = calloc(ret->n + 1, sizeof(char *));
    CHECK(ret->v != NULL);
    for (size_t i = 0; i < ret->n; i++)
        ret->v[i] = all[i].path;
    free(all);
    buf_free(&folder);
    if (ret->n > 0)
        return 0;
    audit_files_free(ret);
    return err_set(err, "no log that was written since then: %s, nor what it was rotated to", path);
}

void audit_files_free(struct audit_files *f)
{
    for (size_t i = 0; i < f->n; i++)
        free(f->v[i]);
    free(f->v);
    *f = (struct audit_files){0};
}
