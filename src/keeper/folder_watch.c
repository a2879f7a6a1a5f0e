/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/folder_watch.h"

#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/list.h"
#include "loop/loop.h"

#define MOMENT_NS (250 * NSEC_PER_MSEC)
#define LOOK_NS (10 * NSEC_PER_SEC) /* for a folder that is not there, or not to be watched */
#define CHANGED_MAX 4096            /* more at once are "all" */
#define TOLD_AT_ONCE 32             /* questions are answered in between */

struct changed {
    struct list node;
    char file[];
};

struct folder_watch {
    struct loop *loop;
    const char *path;
    struct folder_watcher watcher;
    struct watch events;
    struct list changed; /* struct changed */
    size_t count;
    bool all;
    struct timer moment; /* until it is told; or until the folder is looked for */
};

#define EVENTS                                                                                           \
    (IN_CREATE | IN_CLOSE_WRITE | IN_ATTRIB | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_DELETE_SELF | \
     IN_MOVE_SELF | IN_ONLYDIR)

static void drop_changed(struct folder_watch *w)
{
    struct list *n;
    while ((n = list_pop(&w->changed)) != NULL)
        free(CONTAINER_OF(n, struct changed, node));
    w->count = 0;
}

static void note_all(struct folder_watch *w)
{
    w->all = true;
    drop_changed(w);
}

/* The same file often comes several times in a row. */
static void note(struct folder_watch *w, const char *file)
{
    const struct changed *last = CONTAINER_OF(w->changed.prev, struct changed, node);
    size_t len = strlen(file);
    if (w->all || (!list_empty(&w->changed) && strcmp(last->file, file) == 0))
        return;
    if (++w->count > CHANGED_MAX) {
        note_all(w);
        return;
    }
    struct changed *c = calloc(1, sizeof(*c) + len + 1);
    CHECK(c != NULL);
    memcpy(c->file, file, len);
    list_insert(&w->changed, &c->node);
}

/* Links that lead through "..data" are how Kubernetes replaces all files of a folder at once. */
static void take(struct folder_watch *w, const struct inotify_event *e)
{
    if ((e->mask & (IN_Q_OVERFLOW | IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED | IN_UNMOUNT)) != 0 ||
        (e->len > 0 && strncmp(e->name, "..", 2) == 0))
        note_all(w);
    else if (e->len > 0 && (e->mask & IN_ISDIR) == 0)
        note(w, e->name);
    if ((e->mask & (IN_MOVE_SELF | IN_IGNORED)) != 0)
        loop_close(w->loop, &w->events);
}

static void on_events(struct watch *events, uint32_t what)
{
    struct folder_watch *w = CONTAINER_OF(events, struct folder_watch, events);
    _Alignas(struct inotify_event) char bytes[16384];
    ssize_t n;
    (void)what;
    while (w->events.fd >= 0 && (n = read(w->events.fd, bytes, sizeof(bytes))) > 0)
        for (ssize_t at = 0; at < n;) {
            const struct inotify_event *e = (const void *)(bytes + at);
            take(w, e);
            at += (ssize_t)(sizeof(*e) + e->len);
        }
    if ((w->all || w->count > 0) && (!timer_is_set(&w->moment) || w->events.fd < 0))
        loop_set_timer(w->loop, &w->moment, loop_now(w->loop) + MOMENT_NS);
}

static bool begin(struct folder_watch *w)
{
    int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (fd >= 0 && inotify_add_watch(fd, w->path, EVENTS) >= 0 &&
        loop_watch(w->loop, &w->events, fd, EPOLLIN | EPOLLET, on_events) == 0)
        return true;
    if (fd >= 0)
        close(fd);
    return false;
}

static void tell(struct folder_watch *w)
{
    if (w->all) {
        w->all = false;
        w->watcher.all(w->watcher.arg);
    }
    for (int i = 0; i < TOLD_AT_ONCE && !list_empty(&w->changed); i++) {
        struct changed *c = CONTAINER_OF(list_pop(&w->changed), struct changed, node);
        w->count--;
        w->watcher.file(w->watcher.arg, c->file);
        free(c);
    }
}

static void on_moment(struct timer *t)
{
    struct folder_watch *w = CONTAINER_OF(t, struct folder_watch, moment);
    if (w->events.fd < 0 && begin(w))
        note_all(w); /* nobody knows what has happened meanwhile */
    tell(w);
    if (w->count > 0)
        loop_set_timer(w->loop, &w->moment, loop_now(w->loop));
    else if (w->events.fd < 0)
        loop_set_timer(w->loop, &w->moment, loop_now(w->loop) + LOOK_NS);
}

struct folder_watch *folder_watch_new(struct loop *loop, const char *path,
                                      const struct folder_watcher *watcher)
{
    struct folder_watch *w = calloc(1, sizeof(*w));
    CHECK(w != NULL);
    *w = (struct folder_watch){.loop = loop, .path = path, .watcher = *watcher, .events.fd = -1};
    list_init(&w->changed);
    timer_init(&w->moment, on_moment);
    if (!begin(w))
        loop_set_timer(loop, &w->moment, loop_now(loop) + LOOK_NS);
    return w;
}

void folder_watch_free(struct folder_watch *w)
{
    if (w == NULL)
        return;
    loop_close(w->loop, &w->events);
    wheel_cancel(&w->moment);
    drop_changed(w);
    free(w);
}

bool folder_watch_works(const struct folder_watch *w)
{
    return w->events.fd >= 0;
}
