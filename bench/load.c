/* SPDX-License-Identifier: Apache-2.0 */
/* load: the client of the benchmarks. It prepares (warms up, or opens its connections), prints "ready", waits
 * for a line, does the work, prints what was done as one JSON object, waits for another line, and ends.
 * Between the two lines the caller reads the server's processor time; so what is prepared is not part of what
 * is measured. */
#include "conn.h"
#include "wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum {
    EVENTS = 256,
    PATIENCE_MS = 10000, /* nothing happens for that long: the server hangs */
    SECOND = 1000000000,
};

/* A mode is what each connection does before "ready" and after it. Where the latter ends in ORDER_CLOSE,
 * connections follow one another in the same slots; else each one stays open. */
struct mode {
    const char *name, *prepare, *work;
    bool paced; /* `work` is repeated on open connections at a fixed rate */
    bool tls, resume;
};

static const struct mode modes[] = {
    {.name = "handshake", .prepare = "oc", .work = "oc", .tls = true},
    {.name = "echo", .prepare = "oec", .work = "oec", .tls = true},
    {.name = "resume", .prepare = "oec", .work = "oec", .tls = true, .resume = true},
    {.name = "pass", .prepare = "oec", .work = "oec"},
    {.name = "down", .prepare = "o", .work = "s", .tls = true},
    {.name = "up", .prepare = "o", .work = "d", .tls = true},
    {.name = "down-pass", .prepare = "o", .work = "s"},
    {.name = "up-pass", .prepare = "o", .work = "d"},
    {.name = "paced", .prepare = "oe", .work = "e", .tls = true, .paced = true},
    {.name = "paced-pass", .prepare = "oe", .work = "e", .paced = true},
    {.name = "idle", .prepare = "", .work = "oe", .tls = true},
    {.name = "idle-pass", .prepare = "", .work = "oe"},
};

struct options {
    const struct mode *mode;
    uint64_t count; /* connections made; paced: messages; bulk: taken from --connections */
    uint64_t connections, rate;
};

/* One connection and how far it is in its script. */
struct slot {
    struct conn conn;
    const char *next; /* the order in progress, NULL when there is none */
    uint64_t trip;    /* paced: its next message is number trip * connections + its own number */
};

struct load {
    struct options options;
    struct target target;
    struct slot *slots;
    int epoll;
    uint64_t tag;
    uint64_t *latencies; /* paced: nanoseconds, one a message */
};

static uint64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

/* Edge-triggered, once for the life of the socket: conn_run() goes on until the socket has no more. Only an
 * upload ever finds a socket full. */
static void watch(const struct load *l, struct slot *slot)
{
    uint32_t out = *l->options.mode->work == ORDER_SINK ? EPOLLOUT : 0;
    struct epoll_event e = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET | out, .data.ptr = slot};
    if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, slot->conn.fd, &e))
        conn_fail("epoll_ctl");
}

static void begin(struct load *l, struct slot *slot, const char *script)
{
    slot->next = script;
    slot->conn.target = &l->target;
    conn_order(&slot->conn, (enum order) * script, l->tag++);
    if (*script == ORDER_OPEN)
        watch(l, slot);
}

/* Drives the slot's script as far as it goes. Returns true when it is through. */
static bool go_on(struct load *l, struct slot *slot)
{
    while (slot->next && conn_run(&slot->conn)) {
        slot->next++;
        if (!*slot->next) {
            slot->next = NULL;
            return true;
        }
        conn_order(&slot->conn, (enum order) * slot->next, l->tag++);
    }
    return false;
}

/* COUNT runs of a script: in the same slots over and over if it closes what it opened, in COUNT slots if not.
 */
struct batch {
    const char *script;
    uint64_t count, started, finished;
    bool reuse;
};

/* Drives SLOT, and whenever its script is through, begins the next one of the batch. */
static void advance(struct load *l, struct batch *b, struct slot *slot)
{
    for (;;) {
        if (!slot->next) {
            if (b->started == b->count)
                return;
            if (!b->reuse)
                slot = &l->slots[b->started];
            b->started++;
            begin(l, slot, b->script);
        }
        if (!go_on(l, slot))
            return;
        b->finished++;
    }
}

static void check_event(const struct slot *slot, uint32_t events)
{
    if (!slot->next && events & (EPOLLRDHUP | EPOLLHUP))
        conn_fail("the server closed a connection that was to stay");
}

/* Runs SCRIPT COUNT times, at most WINDOW at once. */
static void run_script(struct load *l, const char *script, uint64_t count, uint64_t window)
{
    struct batch b = {.script = script, .count = count, .reuse = script[strlen(script) - 1] == ORDER_CLOSE};
    struct epoll_event events[EVENTS];

    while (b.started < count && b.started < window)
        advance(l, &b, &l->slots[b.started]);
    while (b.finished < count) {
        int n = epoll_wait(l->epoll, events, EVENTS, PATIENCE_MS);
        if (n == 0)
            conn_fail("the server does not answer");
        for (int i = 0; i < n; i++) {
            check_event(events[i].data.ptr, events[i].events);
            if (((struct slot *)events[i].data.ptr)->next)
                advance(l, &b, events[i].data.ptr);
        }
    }
}

/* Paced
 * ------------------------------------------------------------------------------------------------------------
 */

/* Messages leave at fixed times, whether or not the ones before have been answered: message k at start + k /
 * rate, on connection k % connections. One that finds its connection busy leaves when that is free, and its
 * latency still counts from when it was due. */
struct pace {
    const char *script;
    uint64_t start, interval, due, finished; /* due: messages whose time has come */
};

static uint64_t message_number(const struct load *l, const struct slot *slot)
{
    return slot->trip * l->options.connections + (uint64_t)(slot - l->slots);
}

static void pace_slot(struct load *l, struct pace *p, struct slot *slot)
{
    for (;;) {
        uint64_t number = message_number(l, slot);
        if (!slot->next && number >= p->due)
            return;
        if (!slot->next)
            begin(l, slot, p->script);
        if (!go_on(l, slot))
            return;
        l->latencies[number] = now() - (p->start + number * p->interval);
        slot->trip++;
        p->finished++;
    }
}

/* Sends what is due. Returns the time to wait for what comes next. */
static struct timespec pace_send(struct load *l, struct pace *p)
{
    uint64_t t = now(), next;
    while (p->due < l->options.count && p->start + p->due * p->interval <= t)
        pace_slot(l, p, &l->slots[p->due++ % l->options.connections]);
    if (p->due == l->options.count)
        return (struct timespec){.tv_sec = PATIENCE_MS / 1000};
    next = p->start + p->due * p->interval;
    t = now();
    return (struct timespec){.tv_nsec = next > t ? (long)(next - t) : 0};
}

static void run_paced(struct load *l)
{
    struct pace p = {.script = l->options.mode->work, .start = now(), .interval = SECOND / l->options.rate};
    struct epoll_event events[EVENTS];

    while (p.finished < l->options.count) {
        struct timespec wait = pace_send(l, &p);
        int n = epoll_pwait2(l->epoll, events, EVENTS, &wait, NULL);
        if (n == 0 && p.due == l->options.count && p.finished < p.due)
            conn_fail("the server does not answer");
        for (int i = 0; i < n; i++) {
            check_event(events[i].data.ptr, events[i].events);
            pace_slot(l, &p, events[i].data.ptr);
        }
    }
}

/* The program
 * ------------------------------------------------------------------------------------------------------ */

static int ascending(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static double percentile_us(const struct load *l, double share)
{
    return (double)l->latencies[(uint64_t)((double)(l->options.count - 1) * share)] / 1000;
}

static void report(const struct load *l, uint64_t elapsed)
{
    const struct options *o = &l->options;
    bool bulk = *o->mode->work == ORDER_SOURCE || *o->mode->work == ORDER_SINK;
    uint64_t units = bulk ? o->connections * l->target.bytes / 1000 : o->count;
    printf("{\"units\": %lu, \"seconds\": %.6f", units, (double)elapsed / SECOND);
    if (o->mode->paced) {
        qsort(l->latencies, o->count, sizeof(*l->latencies), ascending);
        printf(", \"p50\": %.1f, \"p99\": %.1f, \"p999\": %.1f", percentile_us(l, 0.5),
               percentile_us(l, 0.99), percentile_us(l, 0.999));
    }
    if (l->target.handshakes > 0)
        printf(", \"in\": %.1f, \"out\": %.1f", (double)l->target.to_server / (double)l->target.handshakes,
               (double)l->target.from_server / (double)l->target.handshakes);
    puts("}");
    fflush(stdout);
}

static void prepare(struct load *l)
{
    const struct options *o = &l->options;
    target_prepare(&l->target);
    if (*o->mode->prepare)
        run_script(l, o->mode->prepare, o->connections, o->connections);
    l->target.expect_resumed = o->mode->resume;
    l->target.handshakes = l->target.to_server = l->target.from_server = 0;
}

static void work(struct load *l)
{
    const struct options *o = &l->options;
    bool bulk = *o->mode->work == ORDER_SOURCE || *o->mode->work == ORDER_SINK;
    if (o->mode->paced)
        run_paced(l);
    else
        run_script(l, o->mode->work, bulk ? o->connections : o->count, o->connections);
}

static void wait_for_line(void)
{
    int c;
    while ((c = getchar()) != '\n')
        if (c == EOF)
            exit(1);
}

static const struct mode *find_mode(const char *name)
{
    for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++)
        if (strcmp(name, modes[i].name) == 0)
            return &modes[i];
    fprintf(stderr, "load: no mode '%s'\n", name);
    exit(2);
}

static void read_options(struct load *l, int argc, char **argv)
{
    static const struct option names[] = {
        {"mode", 1, NULL, 'm'},     {"port", 1, NULL, 'p'},        {"sni", 1, NULL, 's'},
        {"group", 1, NULL, 'g'},    {"connections", 1, NULL, 'c'}, {"count", 1, NULL, 'n'},
        {"rate", 1, NULL, 'r'},     {"bytes", 1, NULL, 'b'},       {"address", 1, NULL, 'a'},
        {"starttls", 1, NULL, 't'}, {"ech", 1, NULL, 'e'},         {0},
    };
    struct options *o = &l->options;
    struct target *t = &l->target;
    int c;
    *o = (struct options){.count = 1, .connections = 1, .rate = 1000};
    t->address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    t->group = "X25519";
    while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
        uint64_t number = optarg ? strtoull(optarg, NULL, 10) : 0;
        switch (c) {
        case 'm':
            o->mode = find_mode(optarg);
            break;
        case 'p':
            t->address.sin_port = htons((uint16_t)number);
            break;
        case 'a':
            if (inet_pton(AF_INET, optarg, &t->address.sin_addr) != 1)
                conn_fail("--address: not an IPv4 address");
            break;
        case 't':
            t->starttls = optarg;
            break;
        case 'e':
            t->ech = optarg;
            break;
        case 's':
            t->sni = optarg;
            break;
        case 'g':
            t->group = optarg;
            break;
        case 'c':
            o->connections = number;
            break;
        case 'n':
            o->count = number;
            break;
        case 'r':
            o->rate = number;
            break;
        case 'b':
            t->bytes = number;
            break;
        default:
            exit(2);
        }
    }
    if (!o->mode || !t->sni || !t->address.sin_port || !o->connections || !o->count || !o->rate) {
        fputs("usage: load --mode MODE --port N --sni NAME [--group NAME] [--connections N] [--count N]"
              " [--rate N] [--bytes N] [--address IPV4] [--ech FILE]\n",
              stderr);
        exit(2);
    }
    t->tls = o->mode->tls;
    t->resume = o->mode->resume;
}

int main(int argc, char **argv)
{
    static struct load l;
    read_options(&l, argc, argv);
    uint64_t slots = l.options.connections > l.options.count ? l.options.connections : l.options.count;
    l.slots = calloc(slots, sizeof(*l.slots));
    l.latencies = calloc(l.options.count, sizeof(*l.latencies));
    l.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!l.slots || !l.latencies || l.epoll < 0)
        conn_fail("start");
    signal(SIGPIPE, SIG_IGN);             /* AWS-LC writes to sockets that may be closed */
    prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0); /* messages leave on time */
    prepare(&l);
    puts("ready");
    fflush(stdout);
    wait_for_line();
    uint64_t start = now();
    work(&l);
    report(&l, now() - start);
    wait_for_line();
    return 0;
}
