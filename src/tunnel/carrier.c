/* SPDX-License-Identifier: Apache-2.0 */
#include "tunnel/carrier.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "net/resolver.h"
#include "net/route_watch.h"
#include "quic/quic.h"
#include "tls/quic.h"
#include "tunnel/client_internal.h"
#include "tunnel/network_memory.h"
#include "tunnel/way.h"

/* After a failure it is not tried again for that long. */
#define RETRY_NS (60 * NSEC_PER_SEC)

/* A stream that was opened that long ago, and nothing at all heard since: the network may have stopped to
 * carry UDP. An answer that merely takes time is not that: what asks for it is acknowledged at once. */
#define PATH_SILENT_NS NSEC_PER_SEC
#define PATH_SILENT_RTTS 4 /* ... but where the path is long, so many round trips */
#define LOOK_NS (250 * NSEC_PER_MSEC)

/* The same of an agent, which opens no streams: what it sends (answers to visitors, its keep-alive) is not
 * acknowledged. The door may well be heard: where its firewall drops what comes, it sends its part again and
 * again. Longer, for an offer that moves costs the door and its visitors more than a new connection does. */
#define UNACKNOWLEDGED_NS (2 * NSEC_PER_SEC)
#define UNACKNOWLEDGED_RTTS 8

/* What TCP waits for: in a network that nothing is known of, and in one that has carried QUIC. */
#define HEAD_START_NS (250 * NSEC_PER_MSEC)
#define HEAD_START_KNOWN_NS NSEC_PER_SEC

/* That UDP does not get through is learnt only where TCP did: a door that is down answers neither. QUIC has
 * had its chance when it had no answer for so long after TCP had stood, and for this many times as long as it
 * had tried before that: its packets are sent again at doubling intervals. */
#define UNANSWERED_NS (750 * NSEC_PER_MSEC)
#define UNANSWERED_FACTOR 2

/* ... or when it was refused (ICMP) and TCP stood so soon after. */
#define REFUSED_NS (2 * NSEC_PER_SEC)

enum carrier_state { CARRIER_IDLE, CARRIER_RESOLVING, CARRIER_CONNECTING, CARRIER_OPEN };

/* One QUIC connection. A carrier has one in use, and those that fell silent under streams. */
struct line {
    struct carrier *carrier;
    struct quic_endpoint *endpoint;
    struct quic_conn *conn;
    struct list node;  /* of `silent` */
    int64_t asked;     /* when a stream was opened that nothing has been heard after; 0: none */
    int64_t unheard;   /* set aside for what is out since then is not acknowledged; 0: not for that */
    int64_t opened_at; /* wall clock */
    int64_t until;     /* the certificate that it was opened with runs out then */
};

struct carrier {
    enum carrier_state state;
    struct client_door *door;
    unsigned turn; /* the door's, see client_door_renew() */
    struct quic_scratch *scratch;
    struct quic_secrets secrets;
    struct line *line;  /* in use or opening; NULL: none */
    struct list silent; /* struct line: kept for their streams, and to be used again when they are heard */
    struct timer look;  /* at who has fallen silent, and who is heard again */
    struct resolve_query *query;
    struct net_addr addrs[RESOLVE_ADDRS_MAX];
    size_t count;
    size_t next;
    struct ech_attempt ech; /* of the connection that is being made */
    struct list waiting;    /* struct way */
    int64_t likely_from;    /* monotonic */
    int64_t try_from;       /* likewise: when it may be tried although it is not likely */
    int64_t wanted_at;      /* likewise: the attempt that is under way */
    int64_t tcp_at;         /* likewise: when TCP stood first since that began */
    int64_t vain_at;        /* likewise: when it ended in vain, and TCP may still show that it was UDP; 0 */
    uint64_t network;       /* network_memory.h; 0: nothing is remembered */
    bool known_good;        /* ... of this network */
    bool refused;           /* by the door, the last connection */
    struct route_watch watch;
    struct list node;       /* of those that were left */
    struct task free_later; /* ... when the door has closed it */
};

/* That a door was killed and started again shows when it is next spoken to. Of an agent visitors are waiting
 * then, for `agents.grace`, 10 s unless it is set. */
#define AGENT_KEEP_ALIVE (6 * NSEC_PER_SEC)

static const struct quic_settings settings = {
    .congestion = QUIC_CUBIC,
    .idle_timeout = 45 * NSEC_PER_SEC,
    .keep_alive = 15 * NSEC_PER_SEC,
    .handshake_timeout = 10 * NSEC_PER_SEC,
    .streams = 1024, /* visitors of what an agent offers */
    .stream_window = 64 * 1024,
    .window = 1024 * 1024,
    .send_buffer = 1024 * 1024,
    .connection_buffer = 16 * 1024 * 1024,
    .datagrams = true,
};

/* ---- who waits ---- */

static void tell_waiting(struct carrier *c)
{
    struct list batch, *n;
    list_init(&batch);
    list_splice(&batch, &c->waiting);
    while ((n = list_pop(&batch)) != NULL)
        way_carrier_changed(CONTAINER_OF(n, struct way, waiting));
}

/* ---- connecting ---- */

static void drop_line(struct line *l)
{
    if (l == NULL)
        return;
    if (l->conn != NULL)
        quic_conn_close(l->conn, 0);
    quic_endpoint_free(l->endpoint);
    free(l);
}

static void drop_connection(struct carrier *c)
{
    drop_line(c->line);
    c->line = NULL;
}

/* That it opened, or that UDP did not get through: what the door itself says against us is neither. */
static void remember(struct carrier *c, bool worked)
{
    c->known_good = worked;
    if (c->network != 0)
        network_memory_note(c->network, worked);
}

/* What is remembered of the network that we are in now. Only a choice needs it. */
static void recall(struct carrier *c)
{
    struct network_list list;
    int64_t seconds = 0;
    if (c->door->transport != TRANSPORT_AUTO)
        return;
    c->network = network_key(c->door->place);
    network_memory_load(&list);
    enum network_word word = networks_ask(&list, c->network, time(NULL), &seconds);
    c->known_good = word == NETWORK_WORKED;
    c->likely_from = word == NETWORK_FAILED ? clock_monotonic() + seconds * NSEC_PER_SEC : 0;
    c->try_from = c->vain_at = 0;
}

/* Nobody waits for it for a while; who stays tries it without waiting. */
static void give_up(struct carrier *c, int64_t now)
{
    c->state = CARRIER_IDLE;
    c->likely_from = c->door->stays ? INT64_MAX : now + RETRY_NS;
}

/* Would the door have answered by now if UDP got through? */
static bool had_its_chance(const struct carrier *c, int64_t now)
{
    int64_t before = c->tcp_at - c->wanted_at;
    return before >= 0 && now - c->tcp_at >= MAX(UNANSWERED_NS, UNANSWERED_FACTOR * before);
}

/* UDP does not get through, and TCP does. */
static void blame_network(struct carrier *c, int64_t now)
{
    remember(c, false);
    give_up(c, now);
}

enum failure {
    FAILURE_SILENT, /* no answer, or a refusal: of the door or of the network */
    FAILURE_TOLD,   /* the door has answered, or could not be asked */
};

/* Many clients may have lost a door at once: they do not all try again at once. */
static void fail(struct carrier *c, enum failure how)
{
    int64_t now = clock_monotonic();
    drop_connection(c);
    c->state = CARRIER_IDLE;
    c->try_from = now + RETRY_NS / 2 + (int64_t)(hash_random_key().k0 % RETRY_NS);
    c->vain_at = how == FAILURE_SILENT ? now : 0;
    if (how == FAILURE_TOLD)
        give_up(c, now);
    else if (had_its_chance(c, now))
        blame_network(c, now);
    tell_waiting(c);
}

void carrier_tcp_stands(struct carrier *c)
{
    int64_t now = clock_monotonic();
    if (c->tcp_at < c->wanted_at)
        c->tcp_at = now;
    if (c->state == CARRIER_IDLE && c->vain_at != 0 && now - c->vain_at < REFUSED_NS)
        blame_network(c, now);
    c->vain_at = 0;
}

static const struct quic_events events;

/* Try the next address of the door. */
static void connect_next(struct carrier *c)
{
    struct client_door *d = c->door;
    struct quic_settings mine = settings;
    const struct tls_peer peer = {.host = d->name, .ech = &c->ech};
    if (d->visitors != NULL)
        mine.keep_alive = AGENT_KEEP_ALIVE;
    drop_connection(c);
    while (c->next < c->count) {
        const struct net_addr *to = &c->addrs[c->next++];
        int fd = udp_connect(to);
        if (fd < 0)
            continue;
        struct line *l = calloc(1, sizeof(*l));
        CHECK(l != NULL);
        l->carrier = c;
        list_init(&l->node);
        l->endpoint = quic_endpoint_client(d->loop, fd, &mine, &c->secrets, c->scratch, &d->text);
        if (l->endpoint == NULL) {
            free(l);
            continue;
        }
        l->conn = quic_connect(l->endpoint, to, tls_client_quic(d->tls, &peer), &events, l);
        l->until = d->cert == NULL ? 0 : d->cert->not_after;
        c->line = l;
        c->state = CARRIER_CONNECTING;
        return;
    }
    fail(c, c->count > 0 ? FAILURE_SILENT : FAILURE_TOLD);
}

static void on_resolved(void *arg, enum resolve_status status, const struct net_addr *addrs, size_t count)
{
    struct carrier *c = arg;
    c->query = NULL;
    c->count = c->next = 0;
    for (size_t i = 0; i < count && c->count < RESOLVE_ADDRS_MAX; i++)
        c->addrs[c->count++] = addrs[i];
    if (status != RESOLVE_OK)
        client_text_dial(c->door, dial_unresolved(status), &c->door->text);
    connect_next(c);
}

void carrier_want(struct carrier *c)
{
    if (c->state != CARRIER_IDLE)
        return;
    if (!ech_attempt_begin(&c->ech, &c->door->ech)) {
        client_text_no_ech(c->door, &c->door->text);
        return;
    }
    c->state = CARRIER_RESOLVING;
    c->refused = false;
    c->wanted_at = clock_monotonic();
    c->query = resolver_lookup(c->door->resolver, c->door->host, c->door->port, on_resolved, c);
}

/* ---- silence ---- */

static int64_t heard(const struct line *l, int64_t *ret_rtt)
{
    struct quic_path_facts facts;
    quic_conn_facts(l->conn, &facts);
    *ret_rtt = facts.rtt;
    return facts.heard;
}

/* Has a stream been opened, and nothing been heard for longer than it takes? */
static bool is_silent(struct line *l, int64_t now)
{
    int64_t rtt;
    if (l->asked == 0)
        return false;
    if (heard(l, &rtt) >= l->asked)
        l->asked = 0;
    return l->asked != 0 && now - l->asked >= MAX(PATH_SILENT_NS, PATH_SILENT_RTTS * rtt);
}

/* Of an agent: does what is sent not arrive any more? */
static bool is_unheard(struct line *l, int64_t now)
{
    struct quic_path_facts facts;
    if (l->carrier->door->visitors == NULL)
        return false;
    quic_conn_facts(l->conn, &facts);
    bool late = facts.unacknowledged != 0 &&
                now - facts.unacknowledged >= MAX(UNACKNOWLEDGED_NS, UNACKNOWLEDGED_RTTS * facts.rtt);
    l->unheard = late ? facts.unacknowledged : 0;
    return late;
}

/* Has what it was set aside for passed? */
static bool is_back(const struct line *l, const struct quic_path_facts *facts)
{
    if (l->unheard != 0)
        return facts->unacknowledged != l->unheard;
    return l->asked == 0 || facts->heard >= l->asked;
}

/* Set the line in use aside: new tunnels find another way, its streams wait for it. */
static void set_aside(struct carrier *c)
{
    list_insert(&c->silent, &c->line->node);
    c->line = NULL;
    give_up(c, loop_now(c->door->loop));
    client_carrier_is_silent(c->door, c->turn);
    if (!list_empty(&c->waiting)) /* who may go over QUIC only */
        carrier_want(c);
}

static void stop_connecting(struct carrier *c)
{
    resolve_cancel(c->query);
    c->query = NULL;
    drop_connection(c);
    c->state = CARRIER_IDLE;
}

/* One of those set aside is heard again: it is the one to use, where there is none. */
static void take_back(struct carrier *c, struct line *l)
{
    l->asked = l->unheard = 0;
    c->likely_from = 0;
    if (c->state == CARRIER_OPEN)
        return;
    stop_connecting(c);
    list_remove(&l->node);
    c->line = l;
    c->state = CARRIER_OPEN;
    tell_waiting(c);
}

/* Those that have nothing to wait for any more, once another one is in use, go. */
static void look_at_silent(struct carrier *c)
{
    struct list *n = c->silent.next;
    while (n != &c->silent) {
        struct line *l = CONTAINER_OF(n, struct line, node);
        struct quic_path_facts facts;
        n = n->next;
        quic_conn_facts(l->conn, &facts);
        if (is_back(l, &facts))
            take_back(c, l);
        if (c->line != l && c->state == CARRIER_OPEN && facts.streams == 0) {
            list_remove(&l->node);
            drop_line(l);
        }
    }
}

static void on_look(struct timer *t)
{
    struct carrier *c = CONTAINER_OF(t, struct carrier, look);
    int64_t now = clock_monotonic();
    if (c->state == CARRIER_OPEN && (is_silent(c->line, now) || is_unheard(c->line, now)))
        set_aside(c);
    look_at_silent(c);
    if (!list_empty(&c->silent) || (c->state == CARRIER_OPEN && c->line->asked != 0))
        loop_set_timer(c->door->loop, &c->look, now + LOOK_NS);
}

/* A stream is being opened, so something will be asked of the door. */
static void expect_answer(struct carrier *c)
{
    int64_t now = clock_monotonic();
    is_silent(c->line, now); /* forgets what was answered meanwhile */
    if (c->line->asked == 0)
        c->line->asked = now;
    if (!timer_is_set(&c->look))
        loop_set_timer(c->door->loop, &c->look, now + LOOK_NS);
}

/* ---- what the connection says ---- */

static void on_opened(void *owner)
{
    struct line *l = owner;
    struct carrier *c = l->carrier;
    l->opened_at = clock_wall();
    remember(c, true);
    client_note_reached(c->door);
    client_note_ech(c->door, &c->ech);
    c->state = CARRIER_OPEN;
    c->likely_from = 0;
    tell_waiting(c);
}

static void on_stream(void *owner, struct link *link)
{
    const struct client_door *d = ((struct line *)owner)->carrier->door;
    if (d->visitors != NULL)
        d->visitors->visitor(d->visitors_owner, link);
    else
        link_close(link, true);
}

static void on_streams_left(void *owner)
{
    struct line *l = owner;
    tell_waiting(l->carrier);
}

/* It may be that nothing arrives any more: look at the time at which that is said. */
static void on_overdue(void *owner)
{
    struct line *l = owner;
    struct carrier *c = l->carrier;
    struct quic_path_facts facts;
    if (c->door->visitors == NULL || l != c->line || timer_is_set(&c->look))
        return;
    quic_conn_facts(l->conn, &facts);
    loop_set_timer(c->door->loop, &c->look,
                   facts.unacknowledged + MAX(UNACKNOWLEDGED_NS, UNACKNOWLEDGED_RTTS * facts.rtt));
}

static void explain_end(struct carrier *c, const struct line *l, enum quic_end end, const char *text)
{
    struct link_peer peer;
    quic_conn_peer(l->conn, &peer);
    c->refused = end == QUIC_END_TLS && client_is_refused(&peer);
    if (end == QUIC_END_TLS)
        client_text_peer(c->door, &peer, text, false, &c->door->text);
    else if (c->state != CARRIER_OPEN)
        err_set(&c->door->text, "the door %s does not answer over QUIC: %s%s", c->door->place, text,
                end == QUIC_END_TIMEOUT ? "; UDP may be blocked: try --transport auto or tcp" : "");
}

/* One that was left, and has nothing any more. */
static void free_when_over(struct carrier *c)
{
    if (list_empty(&c->node) || c->line != NULL || !list_empty(&c->silent))
        return;
    list_remove(&c->node);
    loop_defer(c->door->loop, &c->free_later); /* an endpoint is at work, in our scratch */
}

static void on_closed(void *owner, enum quic_end end, const char *text)
{
    struct line *l = owner;
    struct carrier *c = l->carrier;
    bool was_open = c->state == CARRIER_OPEN;
    if (l != c->line) { /* one that was set aside */
        list_remove(&l->node);
        l->conn = NULL;
        drop_line(l);
        free_when_over(c);
        return;
    }
    explain_end(c, l, end, text);
    l->conn = NULL;
    if (was_open) {
        struct err why;
        if (end == QUIC_END_TLS) /* an alert, which has a text of its own */
            why = c->door->text;
        else
            err_set(&why, "the QUIC connection has ended: %s", text);
        client_note_loss(c->door, why.text);
        drop_connection(c);
        c->state = CARRIER_IDLE;
        free_when_over(c);
        if (!list_empty(&c->waiting)) /* streams that noticed, and ask again */
            carrier_want(c);
    } else if (end == QUIC_END_TLS && ech_attempt_again(&c->ech)) {
        c->next--; /* the same address once more */
        connect_next(c);
    } else if (end == QUIC_END_TLS) {
        fail(c, FAILURE_TOLD); /* another address of the same door would say the same */
    } else {
        connect_next(c);
    }
}

static const struct quic_events events = {.opened = on_opened,
                                          .stream = on_stream,
                                          .streams_left = on_streams_left,
                                          .overdue = on_overdue,
                                          .closed = on_closed};

/* ---- moving ---- */

static void move(struct line *l)
{
    struct quic_path_facts facts;
    quic_conn_facts(l->conn, &facts);
    int fd = udp_connect(&facts.peer);
    if (fd < 0)
        return; /* no way at all: the next change may bring one */
    struct net_addr local = udp_socket_of(fd).local;
    if (memcmp(local.ip, facts.local.ip, sizeof(local.ip)) == 0 && local.family == facts.local.family)
        close(fd);
    else
        quic_conn_migrate(l->conn, fd);
}

/* Something about our addresses or routes has changed: would we reach the door from another address now? If
 * UDP did not get through before, it may from there. */
static void on_change(struct route_watch *watch)
{
    struct carrier *c = CONTAINER_OF(watch, struct carrier, watch);
    c->likely_from = 0;
    recall(c);
    if (c->state == CARRIER_OPEN)
        move(c->line);
    for (struct list *n = c->silent.next; n != &c->silent; n = n->next)
        move(CONTAINER_OF(n, struct line, node));
}

/* ---- life ---- */

static void on_free(struct task *t)
{
    carrier_free(CONTAINER_OF(t, struct carrier, free_later));
}

struct carrier *carrier_new(struct client_door *door)
{
    struct carrier *c = calloc(1, sizeof(*c));
    CHECK(c != NULL);
    c->door = door;
    c->turn = door->carrier_turn;
    c->scratch = quic_scratch_new();
    quic_secrets_make(&c->secrets);
    list_init(&c->waiting);
    list_init(&c->silent);
    list_init(&c->node);
    timer_init(&c->look, on_look);
    task_init(&c->free_later, on_free);
    c->watch.changed = on_change;
    route_watch_start(&c->watch, door->loop);
    recall(c);
    return c;
}

void carrier_free(struct carrier *c)
{
    if (c == NULL)
        return;
    if (c->state == CARRIER_CONNECTING && had_its_chance(c, clock_monotonic()))
        remember(c, false);
    resolve_cancel(c->query);
    while (list_pop(&c->waiting) != NULL)
        ;
    list_remove(&c->node);
    list_remove(&c->free_later.node);
    wheel_cancel(&c->look);
    drop_connection(c);
    struct list *n;
    while ((n = list_pop(&c->silent)) != NULL)
        drop_line(CONTAINER_OF(n, struct line, node));
    route_watch_stop(&c->watch);
    ech_attempt_end(&c->ech);
    quic_scratch_free(c->scratch);
    free(c);
}

void carrier_leave(struct carrier *c, struct list *left)
{
    tell_waiting(c); /* they ask the one that takes its place */
    if (c->state != CARRIER_OPEN && list_empty(&c->silent)) {
        carrier_free(c);
        return;
    }
    if (c->state != CARRIER_OPEN)
        stop_connecting(c);
    wheel_cancel(&c->look); /* nothing is asked of it any more */
    list_insert(left, &c->node);
}

void carrier_free_all(struct list *left)
{
    struct list *n;
    while ((n = list_pop(left)) != NULL)
        carrier_free(CONTAINER_OF(n, struct carrier, node));
}

bool carrier_is_likely(const struct carrier *c)
{
    return c->state == CARRIER_OPEN || loop_now(c->door->loop) >= c->likely_from;
}

int64_t carrier_head_start(const struct carrier *c)
{
    return c->known_good ? HEAD_START_KNOWN_NS : HEAD_START_NS;
}

bool carrier_is_heard(const struct carrier *c)
{
    int64_t rtt;
    return c->state == CARRIER_CONNECTING && heard(c->line, &rtt) != 0;
}

void carrier_try(struct carrier *c)
{
    if (loop_now(c->door->loop) >= c->try_from)
        carrier_want(c);
}

bool carrier_is_open(const struct carrier *c)
{
    return c->state == CARRIER_OPEN;
}

bool carrier_is_under_way(const struct carrier *c)
{
    return c->state != CARRIER_IDLE;
}

int64_t carrier_certificate(const struct carrier *c)
{
    return c->line == NULL ? 0 : c->line->until;
}

bool carrier_was_refused(const struct carrier *c)
{
    return c->refused;
}

struct link *carrier_open_stream(struct carrier *c, struct way *w)
{
    struct link *l = c->state == CARRIER_OPEN ? quic_conn_open_stream(c->line->conn) : NULL;
    if (l != NULL)
        expect_answer(c);
    else if (list_empty(&w->waiting))
        list_insert(&c->waiting, &w->waiting);
    return l;
}

bool carrier_facts(const struct carrier *c, struct client_facts *ret)
{
    struct quic_path_facts path;
    if (c->state != CARRIER_OPEN)
        return false;
    quic_conn_facts(c->line->conn, &path);
    ret->local = path.local;
    ret->peer = path.peer;
    ret->rtt = path.rtt;
    ret->since = c->line->opened_at;
    return true;
}
