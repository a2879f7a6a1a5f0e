/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of a client's connections to its door, those that are and those that were. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "link/datagram_link.h"
#include "net/socket.h"
#include "quic/quic.h"
#include "tunnel/carrier.h"
#include "tunnel/client_call.h"
#include "tunnel/warm.h"

/* ---- datagrams ---- */

void client_add_datagrams(const struct client *c, struct client_datagrams *to)
{
    struct quic_datagram_facts f;
    if (!c->flow || c->far == NULL)
        return;
    quic_stream_datagram_facts(link_bottom(c->far), &f);
    to->flows++;
    to->sent += f.sent;
    to->received += f.received;
    to->dropped += f.dropped_in + f.dropped_out + datagram_link_dropped(c->far);
    to->lost += f.lost;
    to->largest = MAX(to->largest, f.largest);
}

void client_door_datagrams(const struct client_door *door, struct client_datagrams *ret)
{
    CHECK_MAGIC(door, CLIENT_DOOR_MAGIC);
    *ret = door->history.datagrams;
    for (struct list *n = door->clients.next; n != &door->clients; n = n->next)
        client_add_datagrams(CONTAINER_OF(n, struct client, node), ret);
}

/* ---- the way to the door ---- */

static bool is_over_tcp(const struct client *c)
{
    return c->far != NULL && !c->shared && c->near == NULL;
}

void client_note_reached(struct client_door *door)
{
    free(door->history.loss);
    door->history.loss = NULL;
    client_note_said(door, NULL);
}

void client_note_ech(struct client_door *door, const struct ech_attempt *attempt)
{
    const char *remark = ech_attempt_remark(attempt);
    bool meant = attempt->offer != NULL && attempt->offer->source != NULL && attempt->stage == ECH_FIRST &&
                 !ech_attempt_encrypts(attempt);
    struct err text, why;
    if (door->ech_told || door->notice == NULL ||
        (remark == NULL && !(meant && ech_offer_is_unknown(attempt->offer, &why))))
        return;
    door->ech_told = true;
    if (remark != NULL)
        err_set(&text, "the door %s %s", door->place, remark);
    else
        err_set(&text, "the name %s went in the clear: no ECH config is known: %s", door->name, why.text);
    door->notice(door->notice_owner, CLIENT_ECH, text.text);
}

void client_note_tcp(struct client_door *door)
{
    bool others = door->warm != NULL && warm_ready(door->warm) > 0;
    for (struct list *n = door->clients.next; n != &door->clients && !others; n = n->next)
        others = is_over_tcp(CONTAINER_OF(n, struct client, node));
    if (!others)
        door->history.tcp_since = clock_wall();
    client_note_reached(door);
}

void client_note_loss(struct client_door *door, const char *why)
{
    struct client_history *h = &door->history;
    char *copy = strdup(why); /* it may be the history's own */
    CHECK(copy != NULL);
    free(h->loss);
    h->loss = copy;
    h->lost_at = clock_wall();
}

void client_note_said(struct client_door *door, const char *text)
{
    char *copy = text == NULL ? NULL : strdup(text);
    CHECK(copy != NULL || text == NULL);
    free(door->history.said);
    door->history.said = copy;
}

/* The path of a connection over TCP: the kernel has measured it. */
static void tcp_path(const struct client_door *door, struct link *far, struct client_facts *ret)
{
    struct socket_path path;
    struct sockaddr_storage peer = {0};
    socklen_t peer_len = sizeof(peer);
    int fd = link_socket(link_bottom(far));
    if (!socket_path(fd, &path) || getpeername(fd, (struct sockaddr *)&peer, &peer_len) != 0)
        return;
    ret->local = socket_local(fd);
    ret->peer = net_addr_from(&peer);
    ret->rtt = path.rtt;
    ret->since = door->history.tcp_since;
}

void client_door_facts(const struct client_door *door, struct client_facts *ret)
{
    const struct client_history *h = &door->history;
    *ret = (struct client_facts){.reached = h->has_answered, .in = h->bytes_in, .out = h->bytes_out};
    ret->ready = door->warm == NULL ? 0 : warm_ready(door->warm);
    ret->quic = door->carrier != NULL && carrier_facts(door->carrier, ret);
    for (struct list *n = door->clients.next; n != &door->clients; n = n->next) {
        const struct client *c = CONTAINER_OF(n, struct client, node);
        ret->sessions++;
        if (c->far == NULL)
            continue;
        ret->streams += c->shared;
        ret->busy += is_over_tcp(c);
        ret->in += c->far->bytes_read;
        ret->out += c->far->bytes_written;
        if (!ret->quic && is_over_tcp(c) && ret->peer.family == AF_UNSPEC)
            tcp_path(door, c->far, ret);
    }
    struct link *waits = ret->ready > 0 ? warm_first(door->warm) : NULL;
    if (!ret->quic && ret->peer.family == AF_UNSPEC && waits != NULL)
        tcp_path(door, waits, ret);
    if (ret->peer.family == AF_UNSPEC) {
        ret->loss = h->loss;
        ret->lost_at = h->lost_at;
        ret->said = h->said;
    }
}
