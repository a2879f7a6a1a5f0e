/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/record.h"
#include "base/buf.h"
#include "base/check.h"

static int open_path(const char *path, struct err *err)
{
    int fd = strcmp(path, "-") == 0 ? fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3)
                                    : open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
    return fd >= 0 ? fd : err_errno(err, errno, "cannot open the audit file %s", path);
}

int sink_file_check(const char *path, struct err *err)
{
    const char *slash = strrchr(path, '/');
    struct stat st;
    if (strcmp(path, "-") == 0)
        return 0;
    if (stat(path, &st) == 0) {
        if (S_ISDIR(st.st_mode) || faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) != 0)
            return err_errno(err, S_ISDIR(st.st_mode) ? EISDIR : errno, "cannot open the audit file %s",
                             path);
        return 0;
    }
    struct buf folder = {0};
    CHECK(buf_append(&folder, path, slash == NULL ? 0 : (size_t)(slash - path)) &&
          buf_append(&folder, slash == NULL ? "." : "/", 1));
    int ret = faccessat(AT_FDCWD, buf_text(&folder), W_OK | X_OK, AT_EACCESS);
    if (ret != 0)
        err_errno(err, errno, "cannot make the audit file %s", path);
    buf_free(&folder);
    return ret;
}

static bool is_regular(int fd)
{
    struct stat st;
    return fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

int sink_file_open(struct sink_file *f, const char *path, struct err *err)
{
    pthread_mutex_init(&f->lock, NULL);
    f->lost = 0;
    f->torn = false;
    f->fd = open_path(path, err);
    f->regular = is_regular(f->fd);
    return f->fd >= 0 ? 0 : -1;
}

int sink_file_reopen(struct sink_file *f, const char *path, struct err *err)
{
    int fd = open_path(path, err);
    if (fd < 0)
        return -1;
    pthread_mutex_lock(&f->lock);
    close(f->fd);
    f->fd = fd;
    f->regular = is_regular(fd);
    f->torn = false;
    pthread_mutex_unlock(&f->lock);
    return 0;
}

void sink_file_close(struct sink_file *f)
{
    if (f->fd >= 0)
        close(f->fd);
    f->fd = -1;
    pthread_mutex_destroy(&f->lock);
}

static void on_flush(struct timer *t)
{
    sink_flush(CONTAINER_OF(t, struct sink, flush));
}

void sink_init(struct sink *s, struct loop *loop, struct sink_file *file)
{
    *s = (struct sink){.loop = loop, .file = file};
    timer_init(&s->flush, on_flush);
}

struct buf *sink_lines(struct sink *s)
{
    return &s->lines;
}

void sink_commit(struct sink *s)
{
    if (s->lines.len >= SINK_GATHER_BYTES)
        sink_flush(s);
    else if (!timer_is_set(&s->flush))
        loop_set_timer(s->loop, &s->flush, loop_now(s->loop) + SINK_GATHER_NS);
}

_Static_assert(AUDIT_LINE_MAX <= PIPE_BUF, "a line fits");

/* Bytes to write with one call: all of them to a regular file, which always takes them; to anything else
 * whole lines of at most PIPE_BUF, which it takes at once or not at all. */
static size_t portion(const struct sink_file *f, const uint8_t *data, size_t len)
{
    if (f->regular || len <= PIPE_BUF)
        return len;
    const uint8_t *end = memrchr(data, '\n', PIPE_BUF);
    CHECK(end != NULL);
    return (size_t)(end - data) + 1;
}

/* A reader that is slow or gone must not stop the door: what can't be written now is lost, and counted. */
static bool takes_more(const struct sink_file *f)
{
    struct pollfd p = {.fd = f->fd, .events = POLLOUT};
    return f->regular || (poll(&p, 1, 0) == 1 && (p.revents & POLLOUT) != 0);
}

/* End the line that was torn, so that the next one does not go on it. (To take it back would be neater, but
 * others may append to the file, and one that is append-only does not allow it.) */
static bool mend(struct sink_file *f)
{
    if (f->torn && takes_more(f))
        f->torn = write(f->fd, "\n", 1) != 1;
    return !f->torn;
}

static size_t write_lines(struct sink_file *f, const uint8_t *data, size_t len)
{
    size_t done = 0;
    if (!mend(f))
        return 0;
    while (done < len && takes_more(f)) {
        size_t n = portion(f, data + done, len - done);
        ssize_t written = write(f->fd, data + done, n);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            break;
        done += (size_t)written;
    }
    f->torn = done > 0 && data[done - 1] != '\n';
    return done;
}

void sink_flush(struct sink *s)
{
    struct sink_file *f = s->file;
    wheel_cancel(&s->flush);
    if (s->lines.len == 0)
        return;
    pthread_mutex_lock(&f->lock);
    size_t done = write_lines(f, s->lines.data, s->lines.len);
    for (size_t i = done; i < s->lines.len; i++)
        f->lost += s->lines.data[i] == '\n';
    pthread_mutex_unlock(&f->lock);
    s->lines.len = 0;
}

uint64_t sink_file_lost(struct sink_file *f)
{
    pthread_mutex_lock(&f->lock);
    uint64_t lost = f->lost;
    pthread_mutex_unlock(&f->lock);
    return lost;
}

void sink_free(struct sink *s)
{
    sink_flush(s);
    buf_free(&s->lines);
}
