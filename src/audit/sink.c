/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"

static int open_path(const char *path, struct err *err)
{
    int fd = strcmp(path, "-") == 0 ? fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3)
                                    : open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
    return fd >= 0 ? fd : err_errno(err, errno, "cannot open the audit file %s", path);
}

int sink_file_open(struct sink_file *f, const char *path, struct err *err)
{
    pthread_mutex_init(&f->lock, NULL);
    f->fd = open_path(path, err);
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

static void count_lost(struct sink *s, size_t from)
{
    for (size_t i = from; i < s->lines.len; i++)
        s->lost += s->lines.data[i] == '\n';
}

void sink_flush(struct sink *s)
{
    wheel_cancel(&s->flush);
    if (s->lines.len == 0)
        return;
    size_t done = 0;
    pthread_mutex_lock(&s->file->lock);
    while (done < s->lines.len) {
        ssize_t n = write(s->file->fd, s->lines.data + done, s->lines.len - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) /* a full disk or a reader that is gone must not stop the door */
            break;
        done += (size_t)n;
    }
    pthread_mutex_unlock(&s->file->lock);
    count_lost(s, done);
    s->lines.len = 0;
}

void sink_free(struct sink *s)
{
    sink_flush(s);
    buf_free(&s->lines);
}
