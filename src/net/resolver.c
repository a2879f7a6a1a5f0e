/* SPDX-License-Identifier: Apache-2.0 */
/* The DNS library opens, reads and closes its own sockets; we only watch them, level-triggered, as it tells
 * us to. Nothing here waits for the network; what the library reads at once are small files of the system.
 *
 * A query cannot be taken back from the library. A cancelled one only forgets whom to call, and is freed when
 * its answer or its timeout comes. The answer may also come from within the call that asks: then there is no
 * handle to give out, and resolver_lookup() frees the query itself (`returned`, `finished`). */
#include "net/resolver.h"

#include <ares.h>
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/list.h"
#include "loop/loop.h"

/* From 1.31 on the library keeps answers in a cache without bound unless it is told for how long
 * (qcache_max_ttl). It is told 0: clients choose the names, so they would choose its size. */
#ifdef ARES_OPT_QUERY_CACHE
#define NO_CACHE ARES_OPT_QUERY_CACHE
#else
#define NO_CACHE 0
#endif

#define CLASS_IN 1 /* RFC 1035, 3.2.4 and 3.2.2 */
#define TYPE_TXT 16

/* A socket of the DNS library's. It opens and closes them; we only watch. */
struct dns_socket {
    struct list node;
    struct watch watch;
    struct resolver *resolver;
    struct task free_later;
};

struct resolver {
    struct loop *loop;
    ares_channel channel;
    bool asks_servers_alone; /* see resolver_new_at() */
    struct list sockets;
    struct timer timeout;
};

struct resolve_query {
    struct resolver *resolver;
    resolve_done *done; /* one of these three; NULL once cancelled */
    resolve_texts_done *texts_done;
    resolve_message_done *message_done;
    void *arg;
    uint16_t port;
    bool returned; /* resolver_lookup() has returned, so the handle is known outside */
    bool finished;
};

static void arm(struct resolver *r)
{
    struct timeval tv, *next = ares_timeout(r->channel, NULL, &tv);
    if (next == NULL)
        wheel_cancel(&r->timeout);
    else
        loop_set_timer(r->loop, &r->timeout,
                       loop_now(r->loop) + next->tv_sec * NSEC_PER_SEC + next->tv_usec * NSEC_PER_USEC);
}

static void on_timeout(struct timer *t)
{
    struct resolver *r = CONTAINER_OF(t, struct resolver, timeout);
    ares_process_fd(r->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    arm(r);
}

static void on_ready(struct watch *w, uint32_t events)
{
    struct dns_socket *s = CONTAINER_OF(w, struct dns_socket, watch);
    struct resolver *r = s->resolver;
    int fd = w->fd;
    bool in = events & (EPOLLIN | EPOLLHUP | EPOLLERR), out = events & (EPOLLOUT | EPOLLHUP | EPOLLERR);
    ares_process_fd(r->channel, in ? fd : ARES_SOCKET_BAD, out ? fd : ARES_SOCKET_BAD);
    arm(r);
}

static void free_socket(struct task *t)
{
    free(CONTAINER_OF(t, struct dns_socket, free_later));
}

static struct dns_socket *find_socket(struct resolver *r, int fd)
{
    for (struct list *n = r->sockets.next; n != &r->sockets; n = n->next) {
        struct dns_socket *s = CONTAINER_OF(n, struct dns_socket, node);
        if (s->watch.fd == fd)
            return s;
    }
    return NULL;
}

/* The library tells which of its sockets wait for what. */
static void on_socket_state(void *arg, ares_socket_t fd, int readable, int writable)
{
    struct resolver *r = arg;
    struct dns_socket *s = find_socket(r, fd);
    uint32_t events = (readable ? (uint32_t)EPOLLIN : 0) | (writable ? (uint32_t)EPOLLOUT : 0);
    if (s == NULL && events != 0) {
        s = calloc(1, sizeof(*s));
        CHECK(s != NULL);
        s->resolver = r;
        task_init(&s->free_later, free_socket);
        list_insert(&r->sockets, &s->node);
        if (loop_watch(r->loop, &s->watch, fd, events, on_ready) == 0)
            return;
        events = 0; /* unwatched, the query ends by its timeout */
    }
    if (s == NULL)
        return;
    if (events != 0) {
        loop_rewatch(r->loop, &s->watch, events);
        return;
    }
    loop_unwatch(r->loop, &s->watch);
    list_remove(&s->node);
    loop_defer(r->loop, &s->free_later);
}

/* `servers`, and nothing else, where it is not NULL. */
static int set_up(struct resolver *r, const char *servers)
{
    /* The name that policy saw, and no other: no domains of resolv.conf's, nor the host's own, are added. The
     * flag alone does not keep ares_getaddrinfo() of 1.18 from it. */
    char dns_alone[] = "b";
    struct ares_options options = {.flags = ARES_FLAG_NOSEARCH,
                                   .domains = NULL,
                                   .ndomains = 0,
                                   .lookups = dns_alone,
                                   .sock_state_cb = on_socket_state,
                                   .sock_state_cb_data = r,
                                   .timeout = 2000,
                                   .tries = 2};
    int code =
        ares_init_options(&r->channel, &options,
                          ARES_OPT_FLAGS | ARES_OPT_SOCK_STATE_CB | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES |
                              ARES_OPT_DOMAINS | NO_CACHE | (servers != NULL ? ARES_OPT_LOOKUPS : 0));
    if (code != ARES_SUCCESS || servers == NULL)
        return code;
    code = ares_set_servers_ports_csv(r->channel, servers);
    if (code != ARES_SUCCESS)
        ares_destroy(r->channel);
    return code;
}

static struct resolver *make(struct loop *loop, const char *servers, struct err *err)
{
    struct resolver *r = calloc(1, sizeof(*r));
    CHECK(r != NULL);
    r->loop = loop;
    r->asks_servers_alone = servers != NULL;
    list_init(&r->sockets);
    timer_init(&r->timeout, on_timeout);
    int code = set_up(r, servers);
    if (code == ARES_SUCCESS)
        return r;
    if (servers != NULL)
        err_set(err, "name servers '%s': %s", servers, ares_strerror(code));
    else
        err_set(err, "cannot set up name resolution: %s", ares_strerror(code));
    free(r);
    return NULL;
}

struct resolver *resolver_new(struct loop *loop, struct err *err)
{
    return make(loop, NULL, err);
}

struct resolver *resolver_new_at(struct loop *loop, const char *servers, struct err *err)
{
    return make(loop, servers, err);
}

void resolver_free(struct resolver *r)
{
    if (r == NULL)
        return;
    ares_destroy(r->channel);
    wheel_cancel(&r->timeout);
    CHECK(list_empty(&r->sockets));
    free(r);
}

static size_t collect(const struct ares_addrinfo *result, uint16_t port,
                      struct net_addr addrs[RESOLVE_ADDRS_MAX])
{
    size_t n = 0;
    for (const struct ares_addrinfo_node *node = result->nodes; node != NULL && n < RESOLVE_ADDRS_MAX;
         node = node->ai_next) {
        struct sockaddr_storage sa = {0};
        memcpy(&sa, node->ai_addr, MIN((size_t)node->ai_addrlen, sizeof(sa)));
        addrs[n] = net_addr_from(&sa);
        if (addrs[n].family != AF_INET && addrs[n].family != AF_INET6)
            continue;
        addrs[n++].port = port;
    }
    return n;
}

/* Why there are no addresses, by the library's code. */
static enum resolve_status failure_of(int code)
{
    switch (code) {
    case ARES_ENOTFOUND:
    case ARES_EBADNAME:
        return RESOLVE_NO_SUCH_HOST;
    case ARES_SUCCESS:
    case ARES_ENODATA:
        return RESOLVE_NO_ADDRESS;
    default: /* the library says "refused" or "time is over" also where the last server of all answered
                SERVFAIL */
        return RESOLVE_FAILED;
    }
}

const char *resolve_status_text(enum resolve_status status)
{
    static const char *const texts[] = {
        [RESOLVE_OK] = "the name has been found",
        [RESOLVE_NO_SUCH_HOST] = "the name does not exist",
        [RESOLVE_NO_ADDRESS] = "the name exists, and has no address",
        [RESOLVE_FAILED] = "no name server tells about the name: none can be reached, or they cannot tell",
    };
    CHECK((size_t)status < ARRAY_LEN(texts));
    return texts[status];
}

static void on_answer(void *arg, int status, int timeouts, struct ares_addrinfo *result)
{
    (void)timeouts;
    struct resolve_query *q = arg;
    struct net_addr addrs[RESOLVE_ADDRS_MAX];
    size_t n = result == NULL ? 0 : collect(result, q->port, addrs);
    if (result != NULL)
        ares_freeaddrinfo(result);
    enum resolve_status outcome = n > 0 ? RESOLVE_OK : failure_of(status);
    q->finished = true;
    if (q->done != NULL && status != ARES_EDESTRUCTION)
        q->done(q->arg, outcome, addrs, n);
    if (q->returned)
        free(q);
}

/* The library has been called: the handle of what it goes on with, or NULL where it has answered at once. */
static struct resolve_query *asked(struct resolve_query *q)
{
    if (q->finished) {
        free(q);
        return NULL;
    }
    q->returned = true;
    arm(q->resolver);
    return q;
}

/* Names below localhost. are of this very host, and no name server knows them (RFC 6761, 6.3); localhost
 * itself the library answers, and /etc/hosts has a say in that. */
static bool is_below_localhost(const char *host)
{
    static const char domain[] = ".localhost";
    size_t len = strlen(host), of_domain = sizeof(domain) - 1;
    len -= len > 0 && host[len - 1] == '.';
    return len > of_domain && strncasecmp(host + len - of_domain, domain, of_domain) == 0;
}

/* IPv4 first: whoever listens on one of them alone mostly listens there. */
static void answer_loopback(uint16_t port, resolve_done *done, void *arg)
{
    struct net_addr addrs[2];
    CHECK(net_addr_parse("127.0.0.1", port, &addrs[0]) && net_addr_parse("::1", port, &addrs[1]));
    done(arg, RESOLVE_OK, addrs, ARRAY_LEN(addrs));
}

struct resolve_query *resolver_lookup(struct resolver *r, const char *host, uint16_t port, resolve_done *done,
                                      void *arg)
{
    struct net_addr literal;
    if (net_addr_parse(host, port, &literal)) {
        done(arg, RESOLVE_OK, &literal, 1);
        return NULL;
    }
    if (!r->asks_servers_alone && is_below_localhost(host)) {
        answer_loopback(port, done, arg);
        return NULL;
    }
    struct resolve_query *q = calloc(1, sizeof(*q));
    CHECK(q != NULL);
    *q = (struct resolve_query){.resolver = r, .done = done, .arg = arg, .port = port};
    struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    ares_getaddrinfo(r->channel, host, NULL, &hints, on_answer, q);
    return asked(q);
}

/* What the library makes of an answer with TXT records: a list of parts, each record's first one marked. */
static size_t join_texts(const struct ares_txt_ext *parts, struct buf *bytes,
                         struct str texts[RESOLVE_TEXTS_MAX])
{
    size_t lengths[RESOLVE_TEXTS_MAX] = {0}, n = 0, at = 0;
    for (const struct ares_txt_ext *p = parts; p != NULL; p = p->next) {
        if (p->record_start && n == RESOLVE_TEXTS_MAX)
            break;
        n += p->record_start || n == 0;
        CHECK(buf_append(bytes, p->txt, p->length));
        lengths[n - 1] += p->length;
    }
    for (size_t i = 0; i < n; at += lengths[i++])
        texts[i] = (struct str){(const char *)bytes->data + at, lengths[i]};
    return n;
}

static void on_texts(void *arg, int status, int timeouts, unsigned char *answer, int len)
{
    struct resolve_query *q = arg;
    struct ares_txt_ext *parts = NULL;
    struct str texts[RESOLVE_TEXTS_MAX];
    struct buf bytes = {0};
    (void)timeouts;
    if (status == ARES_SUCCESS)
        status = ares_parse_txt_reply_ext(answer, len, &parts);
    size_t n = join_texts(parts, &bytes, texts);
    if (parts != NULL)
        ares_free_data(parts);
    q->finished = true;
    if (q->texts_done != NULL && status != ARES_EDESTRUCTION)
        q->texts_done(q->arg, n > 0 ? RESOLVE_OK : failure_of(status), texts, n);
    buf_free(&bytes);
    if (q->returned)
        free(q);
}

struct resolve_query *resolver_texts(struct resolver *r, const char *name, resolve_texts_done *done,
                                     void *arg)
{
    struct resolve_query *q = calloc(1, sizeof(*q));
    CHECK(q != NULL);
    *q = (struct resolve_query){.resolver = r, .texts_done = done, .arg = arg};
    ares_query(r->channel, name, CLASS_IN, TYPE_TXT, on_texts, q);
    return asked(q);
}

static void on_message(void *arg, int status, int timeouts, unsigned char *answer, int len)
{
    struct resolve_query *q = arg;
    bool good = status == ARES_SUCCESS;
    struct str message = {(const char *)answer, good ? (size_t)len : 0};
    (void)timeouts;
    q->finished = true;
    if (q->message_done != NULL && status != ARES_EDESTRUCTION)
        q->message_done(q->arg, good ? RESOLVE_OK : failure_of(status), message);
    if (q->returned)
        free(q);
}

struct resolve_query *resolver_message(struct resolver *r, const char *name, uint16_t type,
                                       resolve_message_done *done, void *arg)
{
    struct resolve_query *q = calloc(1, sizeof(*q));
    CHECK(q != NULL);
    *q = (struct resolve_query){.resolver = r, .message_done = done, .arg = arg};
    ares_query(r->channel, name, CLASS_IN, type, on_message, q);
    return asked(q);
}

void resolve_cancel(struct resolve_query *q)
{
    if (q == NULL)
        return;
    q->done = NULL;
    q->texts_done = NULL;
    q->message_done = NULL;
}
