/* SPDX-License-Identifier: Apache-2.0 */
#include "tunnel/renewer.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/clock.h"
#include "cert/pem.h"
#include "quic/quic.h"
#include "tunnel/carrier.h"
#include "tunnel/client_internal.h"
#include "tunnel/renew_wire.h"

#define CALL_MAGIC 0x4e4eca11u
#define CALL_NS (15 * NSEC_PER_SEC) /* for one renewal, from the dial to the door's verdict */
#define ANSWER_ROOM ((size_t)17408) /* bytes that the longest TLS record fits into (RFC 8446, 5.2) */

/* The file is looked at so many times in what is left of the certificate's life, within bounds. */
#define LOOKS 20
#define LOOK_MIN_NS (250 * NSEC_PER_MSEC)
#define LOOK_MAX_NS (300 * NSEC_PER_SEC)
#define LOOK_OVER_NS (2 * NSEC_PER_SEC) /* behind its end, which may be a night long */

/* It is told that the certificate runs out when so much of its life is left, and no more than that time. */
#define WARN_PART 5
#define WARN_MAX_SECONDS 600

struct renewer {
    struct client_door *door;
    char *cert, *key;
    struct timespec seen[2]; /* when the files were changed, as of the last look */
    struct list known;
    struct timer look;
    bool warned; /* of this certificate's end */
};

/* A connection, by the door's name for it. */
struct known {
    struct list node; /* of the renewer */
    struct renewer *renewer;
    uint64_t id;
    int64_t until;     /* the certificate that the door knows runs out then */
    int64_t refused;   /* ... and one that runs out then was refused; 0 */
    struct list parts; /* struct renewable */
    struct call *call; /* under way; NULL: none */
    struct authenticator_contexts contexts;
};

/* One renewal: on a stream of the connection itself, or over TCP on another one. */
struct call {
    uint32_t magic;
    struct known *known;
    struct client_door *door;
    enum { CALL_REACH, CALL_ASK, CALL_PROVE } state;
    struct way way;
    struct link *link;
    struct buf in, out;
    struct timer timer;
    struct task again; /* runs soon, frees at the end */
    int64_t until;     /* of the certificate that it proves */
    bool over;
};

/* ---- telling ---- */

static void tell(struct client_door *d, enum client_notice what, const char *text)
{
    if (d->notice != NULL)
        d->notice(d->notice_owner, what, text);
}

static void tell_renewed(const struct known *k)
{
    struct client_door *d = k->renewer->door;
    struct err text;
    char when[PEM_TIME_MAX];
    err_set(&text, "a newer certificate was proven on a connection to the door %s: it is good until %s",
            d->place, pem_time_text(k->until, when));
    tell(d, CLIENT_RENEWED, text.text);
}

static void tell_refused(const struct known *k, const char *why)
{
    struct client_door *d = k->renewer->door;
    struct err text;
    char when[PEM_TIME_MAX];
    err_set(&text,
            "the door %s does not take the newer certificate on a connection that stands, which may end at "
            "%s: %s",
            d->place, pem_time_text(k->until, when), why);
    tell(d, CLIENT_NOT_RENEWED, text.text);
}

static void warn(struct renewer *r, int64_t left)
{
    struct client_door *d = r->door;
    const struct cert *c = d->cert;
    struct err text;
    char when[PEM_TIME_MAX];
    if (r->warned || left <= 0 ||
        left > MIN((c->not_after - c->not_before) / WARN_PART, (int64_t)WARN_MAX_SECONDS))
        return;
    r->warned = true;
    err_set(
        &text,
        "the certificate %s runs out at %s, and there is no newer one: put one in its place (a newer one of "
        "the same holder), and it is taken up without a new connection; else the door may end this one",
        r->cert, pem_time_text(c->not_after, when));
    tell(d, CLIENT_RUNS_OUT, text.text);
}

/* ---- one renewal ---- */

static void call_free(struct task *t)
{
    struct call *c = CONTAINER_OF(t, struct call, again);
    CHECK_MAGIC(c, CALL_MAGIC);
    c->magic = 0;
    free(c);
}

static void call_end(struct call *c)
{
    c->over = true;
    if (c->known != NULL)
        c->known->call = NULL;
    c->known = NULL;
    wheel_cancel(&c->timer);
    list_remove(&c->again.node);
    way_cancel(&c->way);
    link_close(c->link, false);
    c->link = NULL;
    buf_free(&c->in);
    buf_free(&c->out);
    task_init(&c->again, call_free); /* a link that wakes in this round may still name it */
    loop_defer(c->door->loop, &c->again);
}

static void call_refused(struct call *c, const char *why)
{
    struct known *k = c->known;
    struct client_door *d = c->door;
    k->refused = c->until;
    tell_refused(k, why);
    if (c->way.door == NULL) /* a shared one: what is begun from now on is to have the newer certificate */
        client_door_renew(d, d->carrier_turn);
    call_end(c);
}

static void call_good(struct call *c)
{
    struct known *k = c->known;
    k->until = c->until;
    call_end(c);
    tell_renewed(k);
}

static struct renewable *first_part(const struct known *k)
{
    return CONTAINER_OF(k->parts.next, struct renewable, node);
}

int renewer_export(struct link *link, bool shared, struct authenticator_keys *ret, struct err *err)
{
    if (shared)
        return quic_stream_export(link_bottom(link), AUTHENTICATOR_CLIENT, ret, err);
    struct link *tls = tls_link_bottom(link);
    return tls == NULL ? err_set(err, "no TLS") : tls_link_export(tls, AUTHENTICATOR_CLIENT, ret, err);
}

static int put_proof(struct call *c, const struct buf *request, struct err *err)
{
    struct authenticator_keys keys;
    struct buf made = {0};
    const struct renewable *part = first_part(c->known); /* not of the connection that this travels on */
    if (renewer_export(part->link, part->shared, &keys, err) != 0)
        return -1;
    struct authenticator_terms terms = {.keys = &keys,
                                        .sender = AUTHENTICATOR_CLIENT,
                                        .request = {(const char *)request->data, request->len},
                                        .contexts = &c->known->contexts};
    int rc = authenticator_make(&terms, c->door->cert, &made, err);
    authenticator_forget(&keys);
    if (rc == 0)
        CHECK(renew_encode_proof(made.len, &c->out) && buf_append(&c->out, made.data, made.len));
    c->until = c->door->cert->not_after;
    buf_free(&made);
    return rc;
}

/* The door has answered. False: the call is over. */
static bool take_answer(struct call *c, const struct wire_answer *answer, const struct buf *request,
                        size_t used)
{
    struct err err;
    if (answer->outcome != FRONT_OK) {
        call_refused(c, answer->text);
        return false;
    }
    if (c->state == CALL_PROVE) {
        call_good(c);
        return false;
    }
    buf_consume(&c->in, used);
    c->state = CALL_PROVE;
    if (request->len > 0 && put_proof(c, request, &err) == 0)
        return true;
    call_refused(c, request->len == 0 ? "it asks for nothing" : err.text);
    return false;
}

/* False when it is over. */
static bool read_answer(struct call *c)
{
    struct wire_answer answer;
    struct buf request = {.max = AUTHENTICATOR_REQUEST_MAX};
    struct err err;
    int64_t expires;
    size_t used;
    bool goes_on = true;
    enum wire_result r = renew_parse_answer(c->in.data, c->in.len, &answer, &request, &expires, &used, &err);
    if (r == WIRE_BAD)
        call_end(c);
    else if (r == WIRE_OK)
        goes_on = take_answer(c, &answer, &request, used);
    buf_free(&request);
    return r != WIRE_BAD && goes_on;
}

static void on_wake(struct link *l)
{
    struct call *c = l->owner;
    loop_defer(c->door->loop, &c->again);
}

/* A failure on the way is no verdict: the next look tries again. */
static void call_run(struct call *c)
{
    CHECK_MAGIC(c, CALL_MAGIC);
    if (c->over)
        return;
    if (c->state == CALL_REACH) {
        enum way_status way = way_step(&c->way);
        if (way == WAY_WAIT)
            return;
        if (way != WAY_OK) {
            call_end(c);
            return;
        }
        c->link = way_take(&c->way);
        c->link->wake = on_wake;
        c->link->owner = c;
        c->state = CALL_ASK;
    }
    for (;;) {
        enum link_status status = link_write_buf(c->link, &c->out);
        if (status == LINK_OK)
            status = link_read_buf(c->link, &c->in, MIN(ANSWER_ROOM, c->in.max - c->in.len));
        if (status == LINK_AGAIN)
            return;
        if (status != LINK_OK) {
            call_end(c);
            return;
        }
        if (!read_answer(c))
            return;
    }
}

static void on_way(void *owner)
{
    struct call *c = owner;
    loop_defer(c->door->loop, &c->again);
}

static void run_again(struct task *t)
{
    call_run(CONTAINER_OF(t, struct call, again));
}

static void on_late(struct timer *t)
{
    call_end(CONTAINER_OF(t, struct call, timer));
}

static void begin(struct known *k)
{
    struct client_door *d = k->renewer->door;
    struct renewable *p = first_part(k);
    struct link *stream = p->shared ? link_branch(link_bottom(p->link)) : NULL;
    if (p->shared && stream == NULL)
        return; /* none is to be had now */
    struct call *c = calloc(1, sizeof(*c));
    CHECK(c != NULL);
    *c = (struct call){.magic = CALL_MAGIC, .known = k, .door = d, .in.max = WIRE_MESSAGE_MAX + ANSWER_ROOM};
    k->call = c;
    timer_init(&c->timer, on_late);
    task_init(&c->again, run_again);
    int64_t deadline = loop_now(d->loop) + CALL_NS;
    loop_set_timer(d->loop, &c->timer, deadline);
    CHECK(renew_encode_hello(k->id, &c->out));
    if (stream != NULL) {
        c->state = CALL_ASK;
        c->link = stream;
        stream->wake = on_wake;
        stream->owner = c;
    } else {
        c->way = (struct way){.door = d, .wake = on_way, .owner = c, .tcp_only = true, .fresh = true};
        way_start(&c->way, deadline);
    }
    loop_defer(d->loop, &c->again);
}

/* ---- connections ---- */

static void known_free(struct known *k)
{
    if (k->call != NULL)
        call_end(k->call);
    list_remove(&k->node);
    authenticator_contexts_free(&k->contexts);
    free(k);
}

static struct known *find(struct renewer *r, uint64_t id)
{
    for (struct list *n = r->known.next; n != &r->known; n = n->next)
        if (CONTAINER_OF(n, struct known, node)->id == id)
            return CONTAINER_OF(n, struct known, node);
    return NULL;
}

static struct known *find_or_make(struct renewer *r, uint64_t id, int64_t until)
{
    struct known *k = find(r, id);
    if (k != NULL)
        return k;
    k = calloc(1, sizeof(*k));
    CHECK(k != NULL);
    *k = (struct known){.renewer = r, .id = id, .until = until};
    list_init(&k->parts);
    list_insert(&r->known, &k->node);
    return k;
}

static void look_later(struct renewer *r);

void renewer_join(struct renewer *r, struct renewable *part, uint64_t id, int64_t until, struct link *link,
                  bool shared)
{
    if (r == NULL || id == 0)
        return;
    CHECK(part->of == NULL);
    *part = (struct renewable){.of = find_or_make(r, id, until), .link = link, .shared = shared};
    list_insert(&part->of->parts, &part->node);
    look_later(r);
}

void renewer_leave(struct renewable *part)
{
    struct known *k = part->of;
    if (k == NULL)
        return;
    list_remove(&part->node);
    part->of = NULL;
    if (list_empty(&k->parts))
        known_free(k);
}

/* ---- looking ---- */

static void renew_all(struct renewer *r)
{
    const struct cert *cert = r->door->cert;
    for (struct list *n = r->known.next; n != &r->known; n = n->next) {
        struct known *k = CONTAINER_OF(n, struct known, node);
        if (k->until < cert->not_after && k->refused != cert->not_after && k->call == NULL)
            begin(k);
    }
}

/* Has either file been changed since the last look? */
static bool has_changed(struct renewer *r)
{
    const char *const paths[] = {r->cert, r->key};
    bool changed = false;
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        struct stat st;
        if (stat(paths[i], &st) != 0)
            continue; /* it may be on its way */
        changed |= memcmp(&st.st_mtim, &r->seen[i], sizeof(st.st_mtim)) != 0;
        r->seen[i] = st.st_mtim;
    }
    return changed;
}

/* What cannot be read, is of two kinds because somebody is in the midst of replacing it, or is not valid yet
 * is left for the next look. */
static void take_newer(struct renewer *r)
{
    struct client_door *d = r->door;
    struct cert_files files = {.certificate = r->cert, .key = r->key};
    struct err err;
    if (!has_changed(r))
        return;
    struct cert *fresh = cert_load(&files, &err);
    bool later = fresh == NULL || fresh->not_before > time(NULL);
    if (later)
        memset(r->seen, 0, sizeof(r->seen));
    if (later || fresh->not_after <= d->cert->not_after || client_door_take_cert(d, fresh, &err) != 0) {
        cert_unref(fresh);
        return;
    }
    r->warned = false;
}

/* What nothing stands on is made anew when it is wanted. */
static void leave_idle_carrier(struct renewer *r)
{
    struct client_door *d = r->door;
    for (struct list *n = r->known.next; n != &r->known; n = n->next)
        if (first_part(CONTAINER_OF(n, struct known, node))->shared)
            return;
    if (d->carrier != NULL && carrier_is_open(d->carrier))
        client_door_renew(d, d->carrier_turn);
}

void renewer_look(struct renewer *r)
{
    const struct cert *before = r->door->cert;
    take_newer(r);
    if (r->door->cert != before)
        leave_idle_carrier(r);
    renew_all(r);
    warn(r, r->door->cert->not_after - time(NULL));
    look_later(r);
}

static void on_look(struct timer *t)
{
    renewer_look(CONTAINER_OF(t, struct renewer, look));
}

/* By what runs out first. */
static void look_later(struct renewer *r)
{
    int64_t now = time(NULL), until = r->door->cert->not_after;
    for (struct list *n = r->known.next; n != &r->known; n = n->next)
        until = MIN(until, CONTAINER_OF(n, struct known, node)->until);
    int64_t left = MIN(MAX(until - now, (int64_t)0), INT64_MAX / NSEC_PER_SEC);
    int64_t wait = MAX(MIN(left * NSEC_PER_SEC / LOOKS, LOOK_MAX_NS), LOOK_MIN_NS);
    loop_set_timer(r->door->loop, &r->look, loop_now(r->door->loop) + (until < now ? LOOK_OVER_NS : wait));
}

struct renewer *renewer_new(struct client_door *door, const char *cert, const char *key)
{
    struct renewer *r = calloc(1, sizeof(*r));
    CHECK(r != NULL);
    *r = (struct renewer){.door = door, .cert = strdup(cert), .key = strdup(key)};
    CHECK(r->cert != NULL && r->key != NULL);
    list_init(&r->known);
    timer_init(&r->look,
               on_look); /* the first look reads the files: they may have changed since they were loaded */
    look_later(r);
    return r;
}

void renewer_free(struct renewer *r)
{
    if (r == NULL)
        return;
    wheel_cancel(&r->look);
    struct list *n;
    while ((n = list_pop(&r->known)) != NULL) {
        struct known *k = CONTAINER_OF(n, struct known, node);
        while (!list_empty(&k->parts)) {
            struct renewable *p = first_part(k);
            list_remove(&p->node);
            p->of = NULL;
        }
        known_free(k);
    }
    free(r->cert);
    free(r->key);
    free(r);
}
