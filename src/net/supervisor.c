/* SPDX-License-Identifier: Apache-2.0 */
#include "net/supervisor.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/unit.h"
#include "loop/loop.h"

#define SUPERVISOR_MAGIC 0xd0020007u
#define STATUS_NS (10 * NSEC_PER_SEC)      /* between two looks at the status */
#define SEND_SECONDS 1                     /* a manager that does not read is not waited for longer */
#define STOP_MARGIN_NS (10 * NSEC_PER_SEC) /* what ending takes besides draining */

struct supervisor {
    uint32_t magic;
    struct loop *loop;
    const struct supervised *how;
    int fd;
    int64_t watchdog; /* nanoseconds; 0: none */
    struct timer tick;
    bool asked;      /* and not answered yet */
    struct buf said; /* the status as told last */
};

/* ---- what is told ---- */

static void tell(struct supervisor *s, struct buf *text)
{
    if (text->len > 0)
        (void)!send(s->fd, text->data, text->len, MSG_NOSIGNAL); /* a manager that has gone misses nothing */
    buf_free(text);
}

/* Append the status where it is not what the manager knows already. */
static void put_status(struct supervisor *s, struct buf *text)
{
    struct buf now = {0};
    s->how->describe(s->how->arg, &now);
    if (now.len == s->said.len && (now.len == 0 || memcmp(now.data, s->said.data, now.len) == 0)) {
        buf_free(&now);
        return;
    }
    buf_printf(text, "STATUS=%s\n", buf_text(&now));
    buf_free(&s->said);
    s->said = now;
}

static void on_answered(void *arg)
{
    struct supervisor *s = arg;
    struct buf text = {0};
    CHECK_MAGIC(s, SUPERVISOR_MAGIC);
    s->asked = false;
    buf_printf(&text, "WATCHDOG=1\n");
    put_status(s, &text);
    tell(s, &text);
}

/* Half of the time that the manager gives, as sd_watchdog_enabled(3) wants it. While a question is out no
 * other is asked: what hangs gives no sign of life. */
static void on_tick(struct timer *t)
{
    struct supervisor *s = CONTAINER_OF(t, struct supervisor, tick);
    loop_set_timer(s->loop, &s->tick, loop_now(s->loop) + (s->watchdog > 0 ? s->watchdog / 2 : STATUS_NS));
    if (s->watchdog == 0) {
        struct buf text = {0};
        put_status(s, &text);
        tell(s, &text);
    } else if (!s->asked) {
        s->asked = true;
        s->how->ask(s->how->arg, on_answered, s);
    }
}

void supervisor_ready(struct supervisor *s)
{
    struct buf text = {0};
    if (s == NULL)
        return;
    CHECK_MAGIC(s, SUPERVISOR_MAGIC);
    buf_printf(&text, "READY=1\n");
    put_status(s, &text);
    tell(s, &text);
    if (!timer_is_set(&s->tick))
        on_tick(&s->tick);
}

void supervisor_reloading(struct supervisor *s)
{
    struct buf text = {0};
    if (s == NULL)
        return;
    CHECK_MAGIC(s, SUPERVISOR_MAGIC);
    buf_printf(&text, "RELOADING=1\nMONOTONIC_USEC=%" PRId64 "\n", clock_monotonic() / NSEC_PER_USEC);
    tell(s, &text);
}

void supervisor_stopping(struct supervisor *s, int64_t most)
{
    struct buf text = {0};
    if (s == NULL)
        return;
    CHECK_MAGIC(s, SUPERVISOR_MAGIC);
    buf_printf(&text, "STOPPING=1\nEXTEND_TIMEOUT_USEC=%" PRId64 "\n",
               (most + STOP_MARGIN_NS) / NSEC_PER_USEC);
    put_status(s, &text);
    tell(s, &text);
}

/* ---- beginning and end ---- */

/* sd_notify(3): a leading @ stands for the NUL of an abstract name, which ends with the address. */
static int connect_to(const char *name, struct err *err)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    struct timeval patience = {.tv_sec = SEND_SECONDS};
    size_t len = strlen(name);
    if ((*name != '/' && *name != '@') || len < 2 || len >= sizeof(to.sun_path))
        return err_set(
            err,
            "found NOTIFY_SOCKET=%.128s, expected an absolute path or @NAME of at most %zu bytes; the "
            "service manager is told nothing",
            name, sizeof(to.sun_path) - 1);
    memcpy(to.sun_path, name, len);
    if (*name == '@')
        to.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) == 0 &&
        connect(fd, (struct sockaddr *)&to, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) == 0)
        return fd;
    err_errno(err, errno, "cannot reach the service manager at NOTIFY_SOCKET=%s; it is told nothing", name);
    if (fd >= 0)
        close(fd);
    return -1;
}

/* Nanoseconds; 0 where no watchdog is for us, -1 with `err` where nobody knows. */
static int64_t read_watchdog(const struct supervision *with, struct err *err)
{
    int64_t usec, pid;
    if (with->watchdog == NULL)
        return 0;
    if (with->watchdog_pid != NULL &&
        (!unit_parse(with->watchdog_pid, unit_plain, &pid) || pid != (int64_t)getpid()))
        return 0;
    if (!unit_parse(with->watchdog, unit_plain, &usec) || usec == 0 || usec > INT64_MAX / NSEC_PER_USEC)
        return err_set(err,
                       "found WATCHDOG_USEC=%.64s, expected a number of microseconds; the service manager is "
                       "told nothing",
                       with->watchdog);
    return usec * NSEC_PER_USEC;
}

struct supervisor *supervisor_new(struct loop *loop, const struct supervision *with,
                                  const struct supervised *how, struct err *err)
{
    err->text[0] = '\0';
    if (with->socket == NULL)
        return NULL;
    int64_t watchdog = read_watchdog(with, err);
    int fd = watchdog < 0 ? -1 : connect_to(with->socket, err);
    if (fd < 0)
        return NULL;
    struct supervisor *s = calloc(1, sizeof(*s));
    CHECK(s != NULL);
    *s = (struct supervisor){
        .magic = SUPERVISOR_MAGIC, .loop = loop, .how = how, .fd = fd, .watchdog = watchdog};
    timer_init(&s->tick, on_tick);
    return s;
}

void supervisor_free(struct supervisor *s)
{
    if (s == NULL)
        return;
    CHECK_MAGIC(s, SUPERVISOR_MAGIC);
    wheel_cancel(&s->tick);
    close(s->fd);
    buf_free(&s->said);
    s->magic = 0;
    free(s);
}
