/* SPDX-License-Identifier: Apache-2.0 */
/* Making sockets: listening, connecting. All are non-blocking and close-on-exec. */
#ifndef CARDEA_NET_SOCKET_H
#define CARDEA_NET_SOCKET_H

#include <stdbool.h>

#include "base/err.h"
#include "net/addr.h"

#define SOCKET_BACKLOG 4096

/* Listen on host:port ("" is every address, IPv6 and IPv4 alike; names are resolved, blocking). Several
 * sockets may listen on one address (SO_REUSEPORT): one for each worker. Accepted sockets inherit TCP_NODELAY
 * and keep-alive. Returns the descriptor, or -1 with `err`. */
int socket_listen_tcp(const char *host, uint16_t port, bool share, struct err *err);

/* TCP_NODELAY and keep-alive, as socket_listen_tcp() has them, for a socket that somebody else has made; of
 * one that listens accepted sockets inherit them. Others than TCP are left as they are. */
void socket_tune(int fd);

/* Is the address free to listen on? -1 with `err` when another program (also another one of ours, which would
 * share it silently) listens there. */
int socket_probe_tcp(const char *host, uint16_t port, struct err *err);

/* Listen on a unix socket with the given permission bits; a stale socket file of a dead listener is replaced,
 * a live one is refused. Returns the descriptor, or -1 with `err`. */
int socket_listen_unix(const char *path, unsigned mode, struct err *err);

/* The file of a unix socket that listens: several may hold it, and with the last it is removed, unless the
 * path has come to name another since. From any thread. Never NULL; the first reference is the caller's. */
struct socket_file;
struct socket_file *socket_file_new(const char *path);
struct socket_file *socket_file_ref(struct socket_file *f);
void socket_file_unref(struct socket_file *f); /* NULL is allowed */

/* Who is at the other end of a connected stream socket; of a unix socket the process that connected. */
struct net_addr socket_peer(int fd);

/* Begin to connect. With `speaks_first` we send as soon as the connection stands, so the last acknowledgement
 * of the handshake may travel with that. Returns the descriptor, with *ret_connecting saying whether the
 * outcome is still open, or -1 with errno set. */
int socket_connect_tcp(const struct net_addr *to, bool speaks_first, bool *ret_connecting);

/* For a TCP connection that waits: probe a silent peer, often enough that a NAT on the way does not forget
 * it, and break it when nothing comes back. Its bound ends with socket_expect_ack(fd, 0). */
void socket_watch_peer(int fd);

/* Break a TCP connection when what was written to it has not been acknowledged within so many nanoseconds; 0:
 * as long as the system's default goes. With a bound a peer that takes nothing for that long breaks it too,
 * so it is for what must be taken at once. -1, which is no socket, is allowed. */
void socket_expect_ack(int fd, int64_t within);

/* What the kernel has measured of a TCP connection. */
struct socket_path {
    int64_t rtt;    /* smoothed, nanoseconds; 0: not known */
    uint64_t acked; /* how much of ours has been acknowledged, in bytes */
};

/* False, and *ret zeroed, when it is none. */
bool socket_path(int fd, struct socket_path *ret);

/* A UDP socket that sends to `to` and takes only what comes from there. -1 with errno set. */
int socket_connect_udp(const struct net_addr *to);

/* Is the path of a unix socket short enough for an address? It has at most SOCKET_UNIX_PATH_MAX bytes. */
#define SOCKET_UNIX_PATH_MAX 107
bool socket_unix_path_fits(const char *path);

/* Connect to a unix socket. Returns the descriptor, or -1 with errno set (EAGAIN: its backlog is full). */
int socket_connect_unix(const char *path);

/* How many bytes that were written to a socket its peer has not acknowledged yet; 0 for what is no socket. */
size_t socket_unsent(int fd);

/* The port and address a socket is bound to. */
struct net_addr socket_local(int fd);

#endif
