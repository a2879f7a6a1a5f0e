/* SPDX-License-Identifier: Apache-2.0 */
#include "session/programs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/program.h"
#include "net/socket.h"
#include "session/hand_on.h"
#include "session/session_internal.h"
#include "session/worker.h"

/* A program, and whom it serves. */
struct hired {
    struct program program;
    struct worker *worker;
    struct session *session; /* NULL when that has left */
    struct task free_later;
    char how[64]; /* it exited */
};

static struct hired *hired_of(struct program *p)
{
    return CONTAINER_OF(p, struct hired, program);
}

/* ---- beginning ---- */

static void free_hired(struct task *t)
{
    free(CONTAINER_OF(t, struct hired, free_later));
}

static void on_changed(struct program *p)
{
    struct session *s = hired_of(p)->session;
    if (s != NULL)
        loop_defer(p->loop, &s->again); /* it may be waiting for that */
}

static void on_gone(struct program *p)
{
    struct hired *h = hired_of(p);
    struct worker *w = h->worker;
    if (h->session != NULL)
        h->session->program = NULL;
    admission_leave_program(w->admission);
    admission_release(w->admission, PROGRAM_FDS);
    loop_defer(w->loop, &h->free_later);
    worker_look_for_end(w);
}

/* A place among the programs, and the descriptors of one. */
static bool take_place(struct session *s)
{
    struct worker *w = s->worker;
    size_t most = session_limits(s)->programs;
    char text[96];
    if (!admission_enter_program(w->admission, most)) {
        snprintf(text, sizeof(text), "limits.programs is %zu, and so many run", most);
        session_detail(s, text);
        dial_start_failed(&s->setup->dial, DIAL_FULL);
        return false;
    }
    if (admission_reserve(w->admission, PROGRAM_FDS, s->epoch->snap->descriptor_limit))
        return true;
    admission_leave_program(w->admission);
    dial_start_failed(&s->setup->dial, DIAL_NO_DESCRIPTOR);
    return false;
}

static bool is_shortage(int code)
{
    return code == EMFILE || code == ENFILE || code == ENOMEM || code == EAGAIN;
}

/* It cannot be started: `code` is errno. */
static void tell_failure(struct session *s, const char *path, int code)
{
    struct err text;
    err_errno(&text, code, "cannot start %s", path);
    session_detail(s, text.text);
    dial_start_failed(&s->setup->dial, is_shortage(code) ? DIAL_NO_DESCRIPTOR : DIAL_REFUSED);
}

void programs_start(struct session *s, const struct config_address *a)
{
    struct worker *w = s->worker;
    struct hand_on_client client;
    if (!take_place(s))
        return;
    struct hired *h = calloc(1, sizeof(*h));
    CHECK(h != NULL && s->program == NULL);
    h->program = (struct program){
        .loop = w->loop, .changed = on_changed, .gone = on_gone, .owner = h, .among = &w->programs};
    h->worker = w;
    task_init(&h->free_later, free_hired);
    hand_on_client(s, &client);
    char **env = hand_on_environment(&s->route->config->hand_on, &client);
    int fd = program_start(&h->program, a->program, env), code = errno;
    free(env);
    if (fd < 0) {
        admission_leave_program(w->admission);
        admission_release(w->admission, PROGRAM_FDS);
        free(h);
        tell_failure(s, a->program[0], code);
        return;
    }
    h->session = s;
    s->program = h;
    dial_start_connected(&s->setup->dial, fd);
}

/* ---- the end ---- */

/* Has the program closed its end, while bytes flowed? */
static bool has_ended(const struct session *s)
{
    return s->pipe.half[PIPE_B].ended;
}

bool programs_awaited(const struct session *s)
{
    const struct hired *h = s->program;
    bool its_end = has_ended(s) || s->reason == CLOSE_BACKEND_RESET;
    return h != NULL && its_end && !h->program.exited;
}

bool programs_runs(const struct session *s)
{
    return s->program != NULL && !s->program->program.exited;
}

void programs_tell(struct session *s)
{
    struct hired *h = s->program;
    if (h == NULL || !program_failed(&h->program, h->how, sizeof(h->how)))
        return;
    if (s->setup == NULL)
        s->broken = h->how; /* it is there until the session has left it */
    else
        session_detail(s, h->how);
}

void programs_leave(struct session *s)
{
    struct hired *h = s->program;
    if (h == NULL)
        return;
    s->program = NULL;
    h->session = NULL;
    program_leave(&h->program, has_ended(s));
}
