/* SPDX-License-Identifier: Apache-2.0 */
#include "tunnel/socks_relay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "net/socket.h"
#include "net/udp.h"
#include "tunnel/socks.h"

#define FLOWS_MAX 256

struct socks_relay {
    struct watch watch;
    struct loop *loop;
    struct net_addr client; /* port 0: it has sent nothing yet */
    struct flows *flows;    /* by destination, as the client writes it */
    void (*failed)(void *owner, const char *text);
    void *owner;
    bool told_full;
    struct task free_later;
};

static void relay_free(struct task *t)
{
    free(CONTAINER_OF(t, struct socks_relay, free_later));
}

static bool send_back(void *owner, const void *key, size_t key_len, const uint8_t *data, size_t len)
{
    const struct socks_relay *r = owner;
    struct sockaddr_storage to;
    uint8_t head[SOCKS_HEAD_MAX];
    struct iovec parts[] = {{head, socks_put_head(key, key_len, head)}, {(void *)(uintptr_t)data, len}};
    struct msghdr message = {.msg_name = &to,
                             .msg_namelen = net_addr_to(&r->client, &to),
                             .msg_iov = parts,
                             .msg_iovlen = ARRAY_LEN(parts)};
    return sendmsg(r->watch.fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0;
}

static void on_failed(void *owner, const char *text)
{
    const struct socks_relay *r = owner;
    r->failed(r->owner, text);
}

/* Is it the client's? Its first datagram shows its port; on a machine of many users the address alone would
 * let others in. */
static bool is_client(struct socks_relay *r, const struct net_addr *source)
{
    struct net_addr client = r->client;
    if (client.port == 0)
        client.port = source->port;
    if (memcmp(&client, source, sizeof(client)) != 0)
        return false;
    r->client = client;
    return true;
}

static bool take(void *arg, const struct net_addr *source, const uint8_t *data, size_t len)
{
    struct socks_relay *r = arg;
    struct socks_datagram d;
    if (!socks_parse_datagram(data, len, &d) || !is_client(r, source))
        return true;
    if (flows_send(r->flows, d.address, d.address_len, &d.target, d.data, d.len) || r->told_full)
        return true;
    r->told_full = true;
    r->failed(r->owner, "a SOCKS client sends to more than 256 places over UDP at a time: further ones are "
                        "dropped");
    return true;
}

static void on_ready(struct watch *w, uint32_t events)
{
    (void)events;
    udp_each(w->fd, take, CONTAINER_OF(w, struct socks_relay, watch));
}

static int bind_any_port(const struct net_addr *here)
{
    struct net_addr any = *here;
    struct sockaddr_storage sa;
    any.port = 0;
    socklen_t len = net_addr_to(&any, &sa);
    int fd = socket(any.family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return fd;
    udp_make_room(fd);
    if (bind(fd, (const struct sockaddr *)&sa, len) == 0)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

struct socks_relay *socks_relay_new(struct loop *loop, struct client_door *door, const struct net_addr *here,
                                    const struct net_addr *client,
                                    void (*failed)(void *owner, const char *text), void *owner,
                                    struct err *err)
{
    struct socks_relay *r = calloc(1, sizeof(*r));
    CHECK(r != NULL);
    *r = (struct socks_relay){.loop = loop, .client = *client, .failed = failed, .owner = owner};
    task_init(&r->free_later, relay_free);
    int fd = bind_any_port(here);
    if (fd < 0 || loop_watch(loop, &r->watch, fd, EPOLLIN, on_ready) != 0) {
        err_errno(err, errno, "no UDP port for a SOCKS client");
        if (fd >= 0)
            close(fd);
        free(r);
        return NULL;
    }
    r->flows = flows_new(&(struct flows_settings){.loop = loop,
                                                  .door = door,
                                                  .idle = FLOWS_IDLE_NS,
                                                  .waits = FLOWS_WAITS,
                                                  .max = FLOWS_MAX,
                                                  .back = send_back,
                                                  .failed = on_failed,
                                                  .owner = r});
    return r;
}

struct net_addr socks_relay_place(const struct socks_relay *r)
{
    return socket_local(r->watch.fd);
}

void socks_relay_close(struct socks_relay *r)
{
    if (r == NULL)
        return;
    flows_close(r->flows);
    loop_close(r->loop, &r->watch);
    loop_defer(r->loop, &r->free_later); /* an event of this round may still name the watch */
}
