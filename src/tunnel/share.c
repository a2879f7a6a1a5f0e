/* SPDX-License-Identifier: Apache-2.0 */
#include "tunnel/share.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "net/acceptor.h"
#include "tunnel/client_internal.h"
#include "tunnel/share_link.h"
#include "tunnel/share_place.h"
#include "tunnel/share_request.h"

#define CALLER_MAGIC 0x51517000u
#define REQUEST_NS (10 * NSEC_PER_SEC) /* that a caller has for its request */

/* What tells that a file is another one than before. */
struct stamp {
    dev_t device;
    ino_t inode;
    struct timespec changed;
    off_t size;
};

#define FILES 3

/* What leads to the door, with the files as they were at some time. */
struct lane {
    struct client_door *door;
    struct stamp stamps[FILES];
    struct list node; /* of the share */
    size_t callers;
};

struct share {
    struct loop *loop;
    const struct client_settings *settings;
    struct acceptor acceptor;
    struct lane *lane; /* in use */
    struct list lanes; /* that one, and those that callers are still on */
    struct list callers;
    struct timer idle;
    struct task tidy; /* drops lanes that nobody uses any more */
    int64_t idle_ns;
    int64_t vain_ns; /* the same before a door has been reached */
    int64_t idle_by; /* monotonic: when it has been unused for long enough, if nothing more is carried */
    bool reached;    /* a door, by some lane */
    int64_t started; /* wall clock */
    void (*unused)(void *owner);
    void *owner;
    bool freed;
};

/* A caller. */
struct caller {
    uint32_t magic;
    struct share *share;
    struct lane *lane;
    struct list node;
    struct link *link; /* until the client has it */
    struct buf request;
    struct timer timer;
};

bool share_is_unused(const struct share *s)
{
    return list_empty(&s->callers);
}

/* ---- lanes ---- */

static void take_stamps(const struct client_settings *s, struct stamp stamps[FILES])
{
    const char *const files[FILES] = {s->cert, s->key, strcmp(s->ca, "system") != 0 ? s->ca : NULL};
    memset(stamps, 0, FILES * sizeof(*stamps)); /* compared with memcmp() */
    for (size_t i = 0; i < FILES; i++) {
        struct stat st;
        if (files[i] == NULL || stat(files[i], &st) != 0)
            continue;
        stamps[i].device = st.st_dev;
        stamps[i].inode = st.st_ino;
        stamps[i].changed = st.st_mtim;
        stamps[i].size = st.st_size;
    }
}

static void lane_free(struct lane *l)
{
    client_door_free(l->door);
    free(l);
}

/* The lane for the files as they are now. NULL with `err` when they are not right. */
static struct lane *lane_now(struct share *s, struct err *err)
{
    struct stamp stamps[FILES];
    struct lane *l = s->lane;
    take_stamps(s->settings, stamps);
    if (l != NULL && memcmp(l->stamps, stamps, sizeof(stamps)) == 0)
        return l;
    struct client_door *door = client_door_new(s->loop, s->settings, err);
    if (door == NULL)
        return NULL;
    l = calloc(1, sizeof(*l));
    CHECK(l != NULL);
    l->door = door;
    memcpy(l->stamps, stamps, sizeof(stamps));
    list_insert(&s->lanes, &l->node);
    s->lane = l;
    loop_defer(s->loop, &s->tidy);
    return l;
}

void share_look(struct share *s)
{
    for (struct list *n = s->lanes.next; n != &s->lanes; n = n->next)
        client_door_look(CONTAINER_OF(n, struct lane, node)->door);
}

static void on_tidy(struct task *t)
{
    struct share *s = CONTAINER_OF(t, struct share, tidy);
    struct list *n = s->lanes.next;
    while (n != &s->lanes) {
        struct lane *l = CONTAINER_OF(n, struct lane, node);
        n = n->next;
        if (l == s->lane || l->callers > 0)
            continue;
        list_remove(&l->node);
        lane_free(l);
    }
}

/* ---- callers ---- */

/* From now on: somebody was here. */
static void postpone_end(struct share *s)
{
    s->idle_by = loop_now(s->loop) + (s->reached ? s->idle_ns : MIN(s->vain_ns, s->idle_ns));
}

static void leave_lane(struct lane *l, struct share *s)
{
    struct client_facts facts;
    client_door_facts(l->door, &facts);
    s->reached = s->reached || facts.reached || facts.quic;
    l->callers--;
    loop_defer(s->loop, &s->tidy);
    postpone_end(s);
}

/* Who only asks about us does not make us stay. */
static void caller_end(struct caller *c)
{
    struct share *s = c->share;
    CHECK_MAGIC(c, CALLER_MAGIC);
    wheel_cancel(&c->timer);
    list_remove(&c->node);
    buf_free(&c->request);
    if (c->lane != NULL)
        leave_lane(c->lane, s);
    c->magic = 0;
    free(c);
    if (list_empty(&s->callers))
        loop_set_timer(s->loop, &s->idle, MAX(s->idle_by, loop_now(s->loop)));
}

/* Over before anything was carried. `text`: why, or NULL. */
static void caller_refuse(struct caller *c, const char *text)
{
    if (text != NULL)
        share_link_fail(c->link, text);
    link_close(c->link, text != NULL);
    caller_end(c);
}

static void on_ended(void *owner, enum client_outcome outcome, const char *text)
{
    (void)outcome;
    (void)text;
    caller_end(owner);
}

/* The answer of cardea/1 to the caller; it goes into an empty socket. */
static void on_joined(struct link *local, bool tls)
{
    struct front_answer yes = {.outcome = FRONT_OK, .tls = tls};
    struct buf b = {0};
    size_t n;
    CHECK(front_cardea.answer(&yes, &b));
    link_write(local, b.data, b.len, &n);
    buf_free(&b);
}

static void caller_carry(struct caller *c, const struct share_request *request)
{
    struct client_terms terms = {
        .timeout = request->timeout,
        .speak = share_link_let_speak,
        .joined = on_joined,
        .failing = share_link_fail,
    };
    struct err err;
    c->lane = lane_now(c->share, &err);
    if (c->lane == NULL) {
        caller_refuse(c, err.text);
        return;
    }
    struct link *local = c->link;
    c->link = NULL;
    c->lane->callers++;
    buf_free(&c->request);
    client_start_on(c->lane->door, &request->target, local, &terms, on_ended, c);
}

/* ---- status ---- */

static json_t *address(const struct net_addr *a)
{
    char text[NET_ADDR_TEXT_MAX];
    return a->family == AF_UNSPEC ? json_null() : json_string(net_addr_format(a, text));
}

static json_t *when(int64_t wall)
{
    char text[CLOCK_TEXT_MAX];
    return wall == 0 ? json_null() : json_string(clock_format(wall, text));
}

static json_t *describe(const struct share *s)
{
    const struct lane *l = s->lane;
    struct client_facts f = {0};
    client_door_facts(l->door, &f);
    const char *carried = f.quic ? "quic" : f.peer.family != AF_UNSPEC ? "tcp" : NULL;
    json_t *o = json_object();
    json_object_set_new(o, "v", json_integer(1));
    json_object_set_new(o, "version", json_string(CARDEA_VERSION));
    json_object_set_new(o, "pid", json_integer(getpid()));
    json_object_set_new(o, "door", json_string(l->door->place));
    json_object_set_new(o, "name", json_string(l->door->name));
    json_object_set_new(o, "identity",
                        s->settings->cert == NULL ? json_null() : json_string(s->settings->cert));
    json_object_set_new(o, "ca", json_string(s->settings->ca));
    json_object_set_new(o, "reached", json_boolean(s->reached || f.reached || f.quic));
    json_object_set_new(o, "wanted", json_string(transport_word(s->settings->transport)));
    json_object_set_new(o, "transport", carried == NULL ? json_null() : json_string(carried));
    json_object_set_new(o, "local", address(&f.local));
    json_object_set_new(o, "peer", address(&f.peer));
    json_object_set_new(o, "rtt_ms", f.rtt == 0 ? json_null() : json_real((double)f.rtt / NSEC_PER_MSEC));
    json_object_set_new(o, "since", when(f.since));
    json_object_set_new(o, "started", when(s->started));
    json_object_set_new(o, "sessions", json_integer((json_int_t)f.sessions));
    json_object_set_new(o, "streams", json_integer((json_int_t)f.streams));
    json_object_set_new(o, "busy", json_integer((json_int_t)f.busy));
    json_object_set_new(o, "ready", json_integer((json_int_t)f.ready));
    json_object_set_new(o, "in", json_integer((json_int_t)f.in));
    json_object_set_new(o, "out", json_integer((json_int_t)f.out));
    if (f.loss != NULL) {
        json_object_set_new(o, "failed", when(f.lost_at));
        json_object_set_new(o, "failure",
                            f.said == NULL ? json_string(f.loss)
                                           : json_sprintf("%s; before, the door said: %s", f.loss, f.said));
    }
    return o;
}

static void caller_tell(struct caller *c)
{
    json_t *o = describe(c->share);
    struct buf text = {.max = SHARE_DATA_MAX};
    size_t n;
    CHECK(buf_json(&text, o));
    link_write(c->link, text.data, text.len, &n);
    buf_free(&text);
    json_decref(o);
    caller_refuse(c, NULL);
}

/* ---- requests ---- */

static void on_wake(struct link *l)
{
    struct caller *c = l->owner;
    CHECK_MAGIC(c, CALLER_MAGIC);
    for (;;) {
        struct share_request request;
        struct err err;
        size_t n = 0, used;
        if (!buf_reserve(&c->request, WIRE_MESSAGE_MAX)) {
            caller_refuse(c, "a request that is too long");
            return;
        }
        /* No more than what is missing: what follows is the connection's. */
        size_t most = c->request.len < 2
                          ? 2 - c->request.len
                          : 2 + ((size_t)c->request.data[0] << 8 | c->request.data[1]) - c->request.len;
        enum link_status status =
            link_read(l, c->request.data + c->request.len, MIN(most, (size_t)WIRE_MESSAGE_MAX), &n);
        if (status == LINK_AGAIN)
            return;
        c->request.len += status == LINK_OK ? n : 0;
        enum front_result result = status == LINK_OK
                                       ? share_parse(c->request.data, c->request.len, &request, &used, &err)
                                       : FRONT_BAD;
        if (result == FRONT_MORE)
            continue;
        wheel_cancel(&c->timer);
        if (result == FRONT_BAD)
            caller_refuse(c, status == LINK_OK ? err.text : NULL);
        else if (request.status)
            caller_tell(c);
        else
            caller_carry(c, &request);
        return;
    }
}

static void on_late(struct timer *t)
{
    caller_refuse(CONTAINER_OF(t, struct caller, timer), NULL);
}

static void on_accepted(struct acceptor *a, int fd, const struct net_addr *peer)
{
    (void)peer;
    struct share *s = CONTAINER_OF(a, struct share, acceptor);
    struct link *link = !s->freed && share_place_is_ours(fd) ? share_link_new(s->loop, fd) : NULL;
    if (link == NULL) {
        close(fd);
        return;
    }
    struct caller *c = calloc(1, sizeof(*c));
    CHECK(c != NULL);
    c->magic = CALLER_MAGIC;
    c->share = s;
    c->link = link;
    c->request.max = 2 * WIRE_MESSAGE_MAX;
    list_insert(&s->callers, &c->node);
    wheel_cancel(&s->idle);
    timer_init(&c->timer, on_late);
    loop_set_timer(s->loop, &c->timer, loop_now(s->loop) + REQUEST_NS);
    link->owner = c;
    link->wake = on_wake;
    on_wake(link);
}

/* It waits in the kernel no longer; it goes on by itself then, as without us. */
static void on_refused(struct acceptor *a, int error)
{
    (void)a;
    (void)error;
}

static void on_idle(struct timer *t)
{
    struct share *s = CONTAINER_OF(t, struct share, idle);
    s->unused(s->owner);
}

/* ---- life ---- */

struct share *share_new(struct loop *loop, int fd, const struct client_settings *settings,
                        const struct share_life *life, struct err *err)
{
    struct share *s = calloc(1, sizeof(*s));
    CHECK(s != NULL);
    *s = (struct share){.loop = loop,
                        .settings = settings,
                        .idle_ns = life->idle,
                        .vain_ns = life->vain,
                        .unused = life->unused,
                        .owner = life->owner};
    s->started = clock_wall();
    list_init(&s->lanes);
    list_init(&s->callers);
    timer_init(&s->idle, on_idle);
    task_init(&s->tidy, on_tidy);
    s->acceptor.accepted = on_accepted;
    s->acceptor.refused = on_refused;
    if (lane_now(s, err) == NULL) {
        close(fd);
        free(s);
        return NULL;
    }
    if (acceptor_start(&s->acceptor, loop, fd, err) != 0) {
        s->freed = true;
        share_free(s);
        return NULL;
    }
    postpone_end(s);
    loop_set_timer(loop, &s->idle, s->idle_by);
    return s;
}

void share_free(struct share *s)
{
    if (s == NULL)
        return;
    if (!s->freed)
        acceptor_stop(&s->acceptor);
    s->freed = true;
    struct list *n;
    while ((n = list_pop(&s->lanes)) != NULL)
        lane_free(CONTAINER_OF(n, struct lane, node));
    while ((n = list_pop(&s->callers)) != NULL) {
        struct caller *c = CONTAINER_OF(n, struct caller, node);
        link_close(c->link, true);
        wheel_cancel(&c->timer);
        buf_free(&c->request);
        free(c);
    }
    list_remove(&s->tidy.node);
    wheel_cancel(&s->idle);
    free(s);
}
