/* SPDX-License-Identifier: Apache-2.0 */
/* `cardea connect`: standard input and output, or local ports, through a door. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/connect_options.h"
#include "cmd/login_keeper.h"
#include "cmd/process.h"
#include "cmd/share.h"
#include "config/config.h"
#include "link/fd_link.h"
#include "net/acceptor.h"
#include "net/socket.h"
#include "net/udp.h"
#include "tunnel/client.h"
#include "tunnel/flows.h"
#include "tunnel/socks_server.h"
#include "tunnel/udp_port.h"

/* A local port. */
struct listener {
    struct acceptor acceptor;
    struct connect *connect;
    const struct front_target *target; /* NULL: a route */
    struct udp_port *udp;              /* instead of the acceptor */
    struct socks_server *socks;        /* behind the acceptor; NULL: each connection is a tunnel */
};

struct connect {
    const struct connect_options *options;
    struct loop *loop;
    struct client_settings settings;
    struct share_settings shared;
    struct client_door *door;
    struct login_keeper *keeper; /* NULL: the certificate is of no login */
    bool carried;                /* by another process */
    struct signals signals;
    struct listener *listeners;
    size_t listening; /* how many of them are open */
    bool stopping;
    int status;
};

/* ---- standard input and output ---- */

static void on_ended(void *owner, enum client_outcome outcome, const char *text)
{
    struct connect *c = owner;
    c->status = outcome == CLIENT_DONE ? CMD_OK : cmd_failed("%s", text);
    loop_stop(c->loop);
}

static int start_standard(struct connect *c, struct err *err)
{
    struct link *local = fd_link_pair(c->loop, STDIN_FILENO, STDOUT_FILENO, err);
    if (local == NULL)
        return -1;
    const struct front_target *target = &c->options->target;
    client_start(c->door, target->host[0] != '\0' ? target : NULL, local, NULL, on_ended, c);
    return 0;
}

/* ---- the certificate ---- */

/* That all is well is news only to who has asked for it. */
static void on_notice(void *owner, enum client_notice what, const char *text)
{
    const struct connect *c = owner;
    if (what == CLIENT_RUNS_OUT && c->keeper != NULL)
        return; /* it tells what can be done */
    if (what != CLIENT_RENEWED)
        fprintf(stderr, "cardea: warning: %s\n", text);
    else if (c->options->verbose)
        fprintf(stderr, "cardea: %s\n", text);
}

static void on_login_renewed(void *owner)
{
    const struct connect *c = owner;
    client_door_look(c->door);
}

static int keep_login(struct connect *c, struct err *err)
{
    const struct login_keeper_owner owner = {
        .renewed = on_login_renewed, .owner = c, .by_another = c->carried};
    process_keep_children();
    return login_keeper_new(&c->keeper, c->loop, &c->settings, &owner, err);
}

/* ---- local ports ---- */

/* That a local client went away is no news; that its tunnel failed is. The port stays open. */
static void on_forward_ended(void *owner, enum client_outcome outcome, const char *text)
{
    (void)owner;
    if (outcome == CLIENT_FAILED)
        cmd_failed("%s", text);
}

static void on_accepted(struct acceptor *a, int fd, const struct net_addr *peer)
{
    struct listener *l = CONTAINER_OF(a, struct listener, acceptor);
    struct connect *c = l->connect;
    if (l->socks != NULL && !c->stopping) {
        socks_server_take(l->socks, fd, peer);
        return;
    }
    struct link *local = c->stopping ? NULL : fd_link_socket(c->loop, fd, false);
    if (local != NULL)
        client_start(c->door, l->target, local, NULL, on_forward_ended, c);
    else
        close(fd);
}

static void on_refused(struct acceptor *a, int error)
{
    (void)a;
    struct err err;
    err_errno(&err, error, "a local connection was let go");
    cmd_failed("%s", err.text);
}

static void tell_listening(const struct connect *c, const struct forward *f)
{
    struct buf b = {0};
    CHECK(str_host_port_put(&b, *f->host == '\0' ? "*" : f->host, f->port) &&
          buf_printf(&b, "%s for ", f->target.udp ? " (UDP)" : ""));
    if (f->socks)
        CHECK(buf_printf(&b, "SOCKS5"));
    else if (f->target.port != 0)
        CHECK(str_host_port_put(&b, f->target.host, f->target.port));
    else
        CHECK(buf_printf(&b, "%s", f->target.offered ? f->target.host : c->options->sni));
    fprintf(stderr, "cardea: listening on %s\n", buf_text(&b));
    buf_free(&b);
}

/* Without authentication whoever reaches the port is us to the door. */
static void warn_of_strangers(const struct connect *c, const struct forward *f, int fd)
{
    char text[NET_ADDR_TEXT_MAX];
    static const uint8_t v6_loopback[16] = {[15] = 1};
    static const uint8_t v4_loopback[4] = {127};
    struct net_addr here = socket_local(fd);
    if (!f->socks || net_addr_in(&here, AF_INET, v4_loopback, 8) ||
        net_addr_in(&here, AF_INET6, v6_loopback, 128))
        return;
    fprintf(stderr,
            "cardea: warning: --socks %s is open to other machines, and asks nobody who he is: whoever can "
            "connect to it goes through the door as %s\n",
            net_addr_format(&here, text),
            c->options->settings.value[SETTING_CERT] != NULL ? "the owner of your certificate" : "you");
}

/* Datagrams, and clients of a SOCKS server, come with no owner that could be told, so what failed is said
 * here. */
static void on_flow_failed(void *owner, const char *text)
{
    (void)owner;
    cmd_failed("%s", text);
}

static int start_udp(struct connect *c, struct listener *l, const struct forward *f, struct err *err)
{
    int fd = udp_listen(f->host, f->port, false, err);
    if (fd < 0)
        return -1;
    l->udp = udp_port_new(c->loop, fd, c->door, &f->target, FLOWS_IDLE_NS, on_flow_failed, c, err);
    if (l->udp == NULL)
        return -1;
    c->listening++;
    tell_listening(c, f);
    return 0;
}

static int start_listener(struct connect *c, const struct forward *f, struct err *err)
{
    struct listener *l = &c->listeners[c->listening];
    if (f->target.udp)
        return start_udp(c, l, f, err);
    int fd = socket_listen_tcp(f->host, f->port, false, err);
    if (fd < 0)
        return -1;
    l->connect = c;
    l->target = f->target.host[0] != '\0' ? &f->target : NULL;
    l->acceptor.accepted = on_accepted;
    l->acceptor.refused = on_refused;
    warn_of_strangers(c, f, fd);
    if (acceptor_start(&l->acceptor, c->loop, fd, err) != 0)
        return -1;
    if (f->socks)
        l->socks = socks_server_new(c->loop, c->door, on_flow_failed, c);
    c->listening++;
    tell_listening(c, f);
    return 0;
}

static int start_listeners(struct connect *c, struct err *err)
{
    const struct connect_options *o = c->options;
    process_raise_descriptors();
    c->listeners = calloc(o->forwards_len, sizeof(*c->listeners));
    CHECK(c->listeners != NULL);
    for (size_t i = 0; i < o->forwards_len; i++)
        if (start_listener(c, &o->forwards[i], err) != 0)
            return -1;
    return 0;
}

/* ---- running ---- */

/* Asked to end: that is how listening ends well; a connection on standard input and output is cut off by it.
 * Nothing is said: ssh ends its ProxyCommand this way. */
static void on_signal(struct signals *s, int number)
{
    struct connect *c = CONTAINER_OF(s, struct connect, signals);
    (void)number;
    c->status = c->options->forwards_len > 0 ? CMD_OK : CMD_FAILED;
    loop_stop(c->loop);
}

/* Signals end us through the loop, so that a terminal gets its flags back. */
static int watch_signals(struct connect *c, struct err *err)
{
    return signals_watch(&c->signals, c->loop, SIGNALS_HANGUP | SIGNALS_INHERIT, on_signal, err);
}

/* Standard input and output to a target: what ssh's ProxyCommand is. */
static bool may_share(const struct connect_options *o)
{
    bool allowed = o->settings.file == NULL || o->settings.file->share;
    return !o->no_share && allowed && o->forwards_len == 0 && o->target.host[0] != '\0';
}

/* Through a process that carries the connection, where there is one. 0 where there is none. */
static int open_shared(struct connect *c, struct err *err)
{
    int fd = share_find(&c->shared);
    if (fd < 0)
        return 0;
    c->door = client_door_shared(c->loop, &c->settings, fd, err);
    c->carried = true;
    return c->door != NULL ? 0 : -1;
}

/* With files that have been read and found good a process is started for them. */
static int start_sharing(struct connect *c, struct err *err)
{
    int fd = share_find_or_start(&c->shared);
    if (fd < 0)
        return 0;
    client_door_free(c->door);
    c->door = client_door_shared(c->loop, &c->settings, fd, err);
    c->carried = true;
    return c->door != NULL ? 0 : -1;
}

static int open_door(struct connect *c, struct err *err)
{
    int64_t idle;
    bool shares = may_share(c->options) && share_is_wanted(&idle) &&
                  share_settings_make(&c->shared, &c->settings, idle, NULL) == 0;
    if (shares && share_files_may_do(&c->shared) && open_shared(c, err) != 0)
        return -1;
    if (c->door != NULL)
        return 0;
    c->door = client_door_new(c->loop, &c->settings, err);
    if (c->door == NULL)
        return -1;
    return shares ? start_sharing(c, err) : 0;
}

static int start(struct connect *c, struct err *err)
{
    const struct connect_options *o = c->options;
    c->settings = connect_settings_client(&o->settings);
    c->settings.stays = o->forwards_len > 0;
    c->settings.timeout = o->timeout;
    c->settings.end_to_end = o->end_to_end;
    if (o->sni != NULL) {
        c->settings.name = o->sni;
        c->settings.alpn = o->alpn;
    }
    process_keep_memory();
    c->loop = loop_new(err);
    if (c->loop == NULL || watch_signals(c, err) != 0 || open_door(c, err) != 0)
        return -1;
    client_door_notices(c->door, on_notice, c);
    if (keep_login(c, err) != 0)
        return -1;
    return o->forwards_len > 0 ? start_listeners(c, err) : start_standard(c, err);
}

static void tell_datagrams(const struct connect *c)
{
    struct client_datagrams d;
    client_door_datagrams(c->door, &d);
    fprintf(
        stderr,
        "cardea: datagrams over QUIC: %llu flows, %llu sent, %llu received, %llu dropped here, %llu lost on "
        "the way to the door, the largest %zu bytes\n",
        (unsigned long long)d.flows, (unsigned long long)d.sent, (unsigned long long)d.received,
        (unsigned long long)d.dropped, (unsigned long long)d.lost, d.largest);
}

static void finish(struct connect *c)
{
    c->stopping = true;
    if (c->door != NULL && c->options->verbose && c->options->udp)
        tell_datagrams(c);
    for (size_t i = 0; i < c->listening; i++) {
        if (c->listeners[i].udp != NULL)
            udp_port_close(c->listeners[i].udp);
        else
            acceptor_stop(&c->listeners[i].acceptor);
    }
    login_keeper_free(c->keeper);
    client_door_free(c->door);
    for (size_t i = 0; i < c->listening; i++)
        socks_server_free(c->listeners[i].socks);
    signals_unwatch(&c->signals);
    loop_free(c->loop);
    share_settings_free(&c->shared);
    free(c->listeners);
}

static int run(const struct connect_options *o)
{
    struct connect c = {.options = o, .signals = SIGNALS_NONE, .status = CMD_FAILED};
    struct err err = {0};
    if (start(&c, &err) != 0 || loop_run(c.loop, &err) != 0)
        c.status = cmd_failed("%s", err.text);
    finish(&c);
    return c.status;
}

int cmd_connect(int argc, char **argv)
{
    struct connect_options o;
    int status = connect_options_read(&o, argc, argv);
    if (status < 0)
        status = connect_settings_complete(&o.settings, "connect");
    if (status < 0)
        status = connect_settings_check_login(&o.settings);
    if (status < 0)
        status = run(&o);
    connect_options_free(&o);
    return status;
}
