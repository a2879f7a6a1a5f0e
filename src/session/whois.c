/* SPDX-License-Identifier: Apache-2.0 */
/* Who asks by address may have as many connections as the door has sessions: a session looks its own near
 * port up once and keeps it, so that another question costs a comparison. */
#include "session/whois.h"

#include <stdlib.h>
#include <string.h>

#include "audit/record.h"
#include "base/base64.h"
#include "base/buf.h"
#include "base/tls_version.h"
#include "cert/leaf.h"
#include "net/socket.h"
#include "session/crew.h"
#include "session/hand_on.h"
#include "session/session_internal.h"
#include "session/worker.h"

#define CONNECTIONS_MAX 64 /* of each worker, in an answer */

/* Of one worker. */
struct part {
    struct buf json; /* objects, commas between them */
    size_t count;
    bool ok;
};

struct whois {
    struct whois_query query;
    size_t workers;
    struct part *part;
    whois_told *done;
    void *arg;
};

static bool is_same(const struct net_addr *a, const struct net_addr *b)
{
    size_t len = a->family == AF_INET ? 4 : sizeof(a->ip);
    return a->family == b->family && a->port == b->port && memcmp(a->ip, b->ip, len) == 0;
}

/* The socket towards the backend, or -1. A backend may have taken a connection, and ask, before we are told
 * so. */
static int near_socket(const struct session *s)
{
    const struct link *trying = s->setup == NULL ? NULL : dial_trying(&s->setup->dial);
    return s->up != NULL ? link_socket(link_bottom(s->up)) : trying != NULL ? link_socket(trying) : -1;
}

/* Does its backend see that address? */
static bool is_seen(struct session *s, const struct net_addr *from)
{
    int fd = near_socket(s);
    if (fd < 0 || s->route == NULL)
        return false;
    if (s->route->config->hand_on.proxy != CONFIG_SEND_PROXY_NONE && is_same(&s->peer, from))
        return true;
    if (s->near_port != 0 && s->near_port != from->port)
        return false;
    struct net_addr near = socket_local(fd);
    s->near_port = s->up != NULL ? near.port : 0;
    return is_same(&near, from);
}

static bool put_text(struct buf *out, const char *key, struct str text)
{
    return buf_printf(out, ",\"%s\":", key) && str_json(out, text.p, text.len);
}

/* All facts of one kind. */
static bool put_facts(struct buf *out, const struct identity *id, enum identity_kind kind)
{
    bool ok = buf_printf(out, "%s\"%s\":[", kind == 0 ? "" : ",", identity_kind_name(kind)), first = true;
    for (uint32_t i = 0; i < id->count; i++) {
        if (id->facts[i].kind != kind)
            continue;
        ok = ok && (first || buf_append(out, ",", 1)) &&
             str_json(out, id->facts[i].value, strlen(id->facts[i].value));
        first = false;
    }
    return ok && buf_append(out, "]", 1);
}

static bool put_identity(struct buf *out, const struct session *s, const struct link_peer *peer)
{
    char user[HAND_ON_USER_MAX];
    if (peer->identity == NULL)
        return buf_printf(out, ",\"identity\":null");
    bool ok = buf_printf(out, ",\"identity\":{");
    for (int kind = 0; kind < IDENTITY_KINDS; kind++)
        ok = ok && put_facts(out, peer->identity, (enum identity_kind)kind);
    ok = ok && buf_append(out, "}", 1);
    if (s->route != NULL && hand_on_user(peer->identity, &s->route->config->hand_on, user))
        ok = ok && put_text(out, "user", (struct str){user, strlen(user)});
    struct str der = cert_chain_at(peer->chain, 0);
    return ok && buf_printf(out, ",\"certificate\":\"") && base64_put(out, der.p, der.len) &&
           buf_append(out, "\"", 1);
}

static bool put_session(struct buf *out, const struct session *s)
{
    char id[AUDIT_ID_MAX], from[NET_ADDR_TEXT_MAX];
    struct link_peer peer;
    const char *route = s->route == NULL ? "" : s->route->config->name.text;
    const char *backend = s->backend == NULL ? "" : s->backend->key;
    bool tls = session_peer(s, &peer) && s->when.opened != 0;
    bool ok = buf_printf(out, "{\"id\":\"%s\",\"peer\":\"%s\"", audit_id_text(s->id, id),
                         net_addr_format(&s->peer, from)) &&
              put_text(out, "route", (struct str){route, strlen(route)}) &&
              put_text(out, "backend", (struct str){backend, strlen(backend)}) &&
              put_text(out, "sni", session_note(s, NOTE_SNI));
    if (tls)
        ok = ok && buf_printf(out, ",\"tls\":\"%s\"", tls_version_word(peer.version));
    return ok && put_identity(out, s, &peer) && buf_append(out, "}", 1);
}

static void look_in(struct worker *w, void *arg)
{
    struct whois *q = arg;
    struct part *p = &q->part[w->index];
    p->ok = true;
    for (struct list *n = w->sessions.next; n != &w->sessions && p->count < CONNECTIONS_MAX; n = n->next) {
        struct session *s = session_of_node(n);
        bool meant = q->query.id != 0 ? session_is_called(s, q->query.id, false) : is_seen(s, &q->query.from);
        if (!meant)
            continue;
        p->ok = p->ok && (p->count == 0 || buf_append(&p->json, ",\n", 2)) && put_session(&p->json, s);
        p->count++;
    }
}

static void looked(void *arg)
{
    struct whois *q = arg;
    struct buf all = {0};
    size_t count = 0;
    bool ok = buf_append(&all, "[", 1);
    for (size_t i = 0; i < q->workers; i++) {
        struct part *p = &q->part[i];
        ok = ok && p->ok && (count == 0 || p->count == 0 || buf_append(&all, ",\n", 2)) &&
             buf_append(&all, p->json.data, p->json.len);
        count += p->count;
        buf_free(&p->json);
    }
    ok = ok && buf_append(&all, "]", 1);
    q->done(q->arg, ok ? buf_text(&all) : NULL, count);
    buf_free(&all);
    free(q->part);
    free(q);
}

void whois_ask(struct crew *crew, struct loop *loop, const struct whois_query *query, whois_told *done,
               void *arg)
{
    struct whois *q = calloc(1, sizeof(*q));
    CHECK(q != NULL);
    *q = (struct whois){.query = *query,
                        .workers = crew->count,
                        .part = calloc(crew->count, sizeof(struct part)),
                        .done = done,
                        .arg = arg};
    CHECK(q->part != NULL);
    crew_broadcast(crew, loop, look_in, looked, q);
}
