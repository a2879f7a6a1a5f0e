/* SPDX-License-Identifier: Apache-2.0 */
/* A shared object for LD_PRELOAD that kills the process at the n-th call by which it changes a file:
 * CARDEA_KILL_AT=n. CARDEA_KILL_MODE says what is left behind: clean  all calls before, nothing of this one:
 * kill -9 torn   ... and of a write its first half lost   ... and nothing of what was written to a file since
 * its last fsync(2): the power has failed Directories are not undone. CARDEA_KILL_COUNT names a file that
 * gets the number of calls when there was no kill. */
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define FILES_MAX 64

/* The function that ours stands before. */
#define REAL(name) ((__typeof__(&name))(uintptr_t)dlsym(RTLD_NEXT, #name))

/* What a write has replaced. */
struct undo {
    struct undo *next; /* the one before */
    int file;
    off_t at;
    size_t len; /* of `old`, which ended there if it is shorter than what was written */
    off_t size; /* of the file */
    char old[];
};

/* A file that was written to: a descriptor of our own, which is never closed, for that would give the
 * process's locks away. */
struct file {
    dev_t device;
    ino_t inode;
    int fd;
};

static struct undo *undos;
static struct file files[FILES_MAX];
static int files_len;
static unsigned long calls;

static bool mode_is(const char *mode)
{
    const char *wanted = getenv("CARDEA_KILL_MODE");
    return wanted != NULL && strcmp(wanted, mode) == 0;
}

/* ---- what is undone ---- */

static int file_of(int fd)
{
    struct stat st;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return -1;
    for (int i = 0; i < files_len; i++)
        if (files[i].device == st.st_dev && files[i].inode == st.st_ino)
            return i;
    if (files_len == FILES_MAX)
        abort();
    files[files_len] = (struct file){st.st_dev, st.st_ino, dup(fd)};
    return files_len++;
}

/* The descriptor that writes need not be one that reads. */
static size_t read_old(int fd, char *to, size_t len, off_t at)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int in = REAL(open)(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = in < 0 ? -1 : pread(in, to, len, at);
    /* Not closed either: see struct file. */
    return n < 0 ? 0 : (size_t)n;
}

static void note(int fd, size_t len, off_t at)
{
    struct stat st;
    int file = mode_is("lost") ? file_of(fd) : -1;
    if (file < 0 || fstat(fd, &st) < 0)
        return;
    struct undo *u = malloc(sizeof(*u) + len);
    if (u == NULL)
        abort();
    *u = (struct undo){undos, file, at, 0, st.st_size};
    u->len = at < st.st_size ? read_old(fd, u->old, len, at) : 0;
    undos = u;
}

static void forget(int fd)
{
    int file = mode_is("lost") ? file_of(fd) : -1;
    for (struct undo **at = &undos; file >= 0 && *at != NULL;) {
        struct undo *u = *at;
        if (u->file == file) {
            *at = u->next;
            free(u);
        } else {
            at = &u->next;
        }
    }
}

static void undo_all(void)
{
    for (struct undo *u = undos; u != NULL; u = u->next) {
        int fd = files[u->file].fd;
        if (u->len > 0 && REAL(pwrite)(fd, u->old, u->len, u->at) < 0)
            abort();
        if (REAL(ftruncate)(fd, u->size) < 0)
            abort();
    }
}

/* ---- counting ---- */

static bool is_time(void)
{
    const char *at = getenv("CARDEA_KILL_AT");
    return at != NULL && ++calls == strtoul(at, NULL, 10);
}

static void end(void)
{
    undo_all();
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

static void point(void)
{
    if (is_time())
        end();
}

__attribute__((destructor)) static void tell(void)
{
    const char *path = getenv("CARDEA_KILL_COUNT");
    FILE *out = path == NULL ? NULL : fopen(path, "w");
    if (out == NULL)
        return;
    fprintf(out, "%lu\n", calls);
    fclose(out);
}

/* ---- the calls ---- */

static bool is_file(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

EXPORT ssize_t write(int fd, const void *data, size_t len)
{
    if (!is_file(fd))
        return REAL(write)(fd, data, len);
    if (is_time()) {
        if (mode_is("torn"))
            REAL(write)(fd, data, len / 2);
        end();
    }
    note(fd, len, lseek(fd, 0, SEEK_CUR));
    return REAL(write)(fd, data, len);
}

static ssize_t write_at(int fd, const void *data, size_t len, off_t at)
{
    if (is_time()) {
        if (mode_is("torn"))
            REAL(pwrite)(fd, data, len / 2, at);
        end();
    }
    note(fd, len, at);
    return REAL(pwrite)(fd, data, len, at);
}

EXPORT ssize_t pwrite(int fd, const void *data, size_t len, off_t at)
{
    return write_at(fd, data, len, at);
}

EXPORT ssize_t pwrite64(int fd, const void *data, size_t len, off64_t at)
{
    return write_at(fd, data, len, at);
}

static int truncate_to(int fd, off_t size)
{
    struct stat st;
    point();
    if (fstat(fd, &st) == 0 && size < st.st_size)
        note(fd, (size_t)(st.st_size - size), size);
    return REAL(ftruncate)(fd, size);
}

EXPORT int ftruncate(int fd, off_t size)
{
    return truncate_to(fd, size);
}

EXPORT int ftruncate64(int fd, off64_t size)
{
    return truncate_to(fd, size);
}

static int synced(int fd, int done)
{
    if (done == 0)
        forget(fd);
    return done;
}

EXPORT int fsync(int fd)
{
    point();
    return synced(fd, REAL(fsync)(fd));
}

EXPORT int fdatasync(int fd)
{
    point();
    return synced(fd, REAL(fdatasync)(fd));
}

EXPORT int rename(const char *from, const char *to)
{
    point();
    return REAL(rename)(from, to);
}

EXPORT int renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
{
    point();
    return REAL(renameat2)(from_fd, from, to_fd, to, flags);
}

EXPORT int link(const char *from, const char *to)
{
    point();
    return REAL(link)(from, to);
}

EXPORT int linkat(int from_fd, const char *from, int to_fd, const char *to, int flags)
{
    point();
    return REAL(linkat)(from_fd, from, to_fd, to, flags);
}

EXPORT int unlink(const char *path)
{
    point();
    return REAL(unlink)(path);
}

EXPORT int unlinkat(int fd, const char *path, int flags)
{
    point();
    return REAL(unlinkat)(fd, path, flags);
}

EXPORT int mkdir(const char *path, mode_t mode)
{
    point();
    return REAL(mkdir)(path, mode);
}

EXPORT int fchmod(int fd, mode_t mode)
{
    point();
    return REAL(fchmod)(fd, mode);
}

/* open(2) takes a mode only when it may make a file. */
static mode_t mode_of(int flags, va_list ap)
{
    return (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(ap, mode_t) : 0;
}

#define OPEN(name, parameters, arguments)       \
    EXPORT int name parameters                  \
    {                                           \
        va_list ap;                             \
        va_start(ap, flags);                    \
        mode_t mode = mode_of(flags, ap);       \
        va_end(ap);                             \
        if ((flags & (O_CREAT | O_TRUNC)) != 0) \
            point();                            \
        return REAL(name) arguments;            \
    }
OPEN(open, (const char *path, int flags, ...), (path, flags, mode))
OPEN(open64, (const char *path, int flags, ...), (path, flags, mode))
OPEN(openat, (int at, const char *path, int flags, ...), (at, path, flags, mode))
OPEN(openat64, (int at, const char *path, int flags, ...), (at, path, flags, mode))
