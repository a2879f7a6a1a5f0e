/* SPDX-License-Identifier: Apache-2.0 */
/* crowd DOOR NAME CERT KEY quic|tcp COUNT: very many agents in one process, each with connections of its own,
 * by the code of `cardea expose`. CERT vouches for the door as well. Each offers a name below NAME; nobody
 * visits. For each line that it reads it waits until all offers stand, and prints as one JSON object how many
 * those are and how long that took since they were wanted, or since the first was lost. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "tunnel/client.h"
#include "tunnel/exposer.h"
#include "tunnel/wire.h"

enum {
    WINDOW = 64, /* begun and not there yet: each machine of a real crowd has a processor of its own */
    TEXT_MAX = 300,
};

struct agent {
    struct crowd *crowd;
    struct client_door *door;
    struct exposer *exposer;
    char name[TEXT_MAX];
    bool stands;
};

struct crowd {
    struct loop *loop;
    struct client_settings settings;
    const char *name;
    struct agent *agents;
    size_t count, begun, standing;
    int64_t since; /* when the first of those that do not stand was lost */
    bool asked;    /* a line was read, and not answered yet */
    struct watch lines;
};

static void begin_some(struct crowd *c);

static _Noreturn void fail(const char *what, const char *text)
{
    fprintf(stderr, "crowd: %s: %s\n", what, text);
    exit(1);
}

static void answer(struct crowd *c)
{
    if (!c->asked || c->standing < c->count)
        return;
    printf("{\"units\": %zu, \"seconds\": %.3f}\n", c->count,
           (double)(clock_monotonic() - c->since) / NSEC_PER_SEC);
    fflush(stdout);
    c->asked = false;
}

static void on_news(void *owner, const struct agent_news *n)
{
    struct agent *a = owner;
    struct crowd *c = a->crowd;
    if (n->event == AGENT_REFUSED)
        fail(a->name, n->text);
    if (a->stands && n->event == AGENT_LOST && c->standing == c->count)
        c->since = clock_monotonic();
    c->standing -= a->stands;
    a->stands = n->event == AGENT_STANDS;
    c->standing += a->stands;
    if (a->stands)
        begin_some(c);
    answer(c);
}

static void begin(struct agent *a)
{
    static const struct agent_events events = {.news = on_news};
    struct err err = {0};
    struct agent_service service = {.offer = {.kind = OFFER_PRIVATE},
                                    .host = "127.0.0.1",
                                    .port = 9,
                                    .dial_timeout = NSEC_PER_SEC,
                                    .connections = 256};
    snprintf(a->name, sizeof(a->name), "a%zu.%s", (size_t)(a - a->crowd->agents), a->crowd->name);
    snprintf(service.offer.name, sizeof(service.offer.name), "%s", a->name);
    a->door = client_door_new(a->crowd->loop, &a->crowd->settings, &err);
    if (a->door == NULL)
        fail("door", err.text);
    a->exposer = exposer_new(a->crowd->loop, a->door, &service, 1, true, &events, a);
}

static void begin_some(struct crowd *c)
{
    while (c->begun < c->count && c->begun < c->standing + WINDOW) {
        struct agent *a = &c->agents[c->begun++];
        a->crowd = c;
        begin(a);
    }
}

static void on_line(struct watch *w, uint32_t events)
{
    struct crowd *c = CONTAINER_OF(w, struct crowd, lines);
    char line[16];
    (void)events;
    if (read(w->fd, line, sizeof(line)) <= 0)
        exit(0);
    c->asked = true;
    answer(c);
}

int main(int argc, char **argv)
{
    struct err err = {0};
    if (argc != 7)
        fail("usage", "crowd DOOR NAME CERT KEY quic|tcp COUNT");
    struct crowd c = {
        .loop = loop_new(&err),
        .settings = {.door = argv[1],
                     .name = argv[2],
                     .cert = argv[3],
                     .key = argv[4],
                     .ca = argv[3],
                     .alpn = WIRE_ALPN,
                     .transport = strcmp(argv[5], "quic") == 0 ? TRANSPORT_QUIC : TRANSPORT_TCP,
                     .timeout = 30 * NSEC_PER_SEC},
        .name = argv[2],
        .count = strtoul(argv[6], NULL, 10),
    };
    c.agents = calloc(c.count, sizeof(*c.agents));
    if (c.loop == NULL || c.agents == NULL ||
        loop_watch(c.loop, &c.lines, STDIN_FILENO, EPOLLIN, on_line) != 0)
        fail("start", err.text);
    c.since = clock_monotonic();
    begin_some(&c);
    if (loop_run(c.loop, &err) != 0)
        fail("loop", err.text);
    return 0;
}
