/* SPDX-License-Identifier: Apache-2.0 */
/* HOST:PORT as people and strangers write it, read strictly and brought into one canonical form, so that
 * whoever compares (policy, audit) sees the same text for the same host. */
#ifndef CARDEA_BASE_HOSTPORT_H
#define CARDEA_BASE_HOSTPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct err;

#define HOST_MAX 256 /* a name (base/hostname.h) or an address, with its NUL */

/* Read `name:port`, `1.2.3.4:port` or `[v6]:port`; the port is 1 to 65535 without leading zeros. Returns 0,
 * or -1 with `err` set and nothing written. `p` need not be NUL-terminated. ret_host, NUL-terminated: names
 * in lower case without the final dot; IPv6 without brackets in the form of RFC 5952; IPv4 inside IPv6
 * (::ffff:1.2.3.4) as the IPv4 address that it reaches. Refused: zone ids, and what hostname_check() does not
 * take for a name, unless it is a dotted quad. */
int str_host_port(const char *p, size_t len, char ret_host[HOST_MAX], uint16_t *ret_port, struct err *err);

/* Read a name alone, that is no address, in the same form: lower case, without the final dot. Returns 0, or
 * -1 with `err` set to what is wrong with it, and nothing written. */
int str_host_name(const char *p, size_t len, char ret_name[HOST_MAX], struct err *err);

#define HOST_HINT_MAX (HOST_MAX + 32)

/* What somebody most likely meant whose text str_host_port() has refused: "; did you mean 127.0.0.1:8080?" of
 * "8080" and ":8080", "; did you mean app.inside:80?" of "http://app.inside/x", "" where there is no telling.
 * To end a message with. Returns `ret`. */
const char *str_host_port_hint(const char *text, char ret[HOST_HINT_MAX]);

/* Append host:port with brackets where the host is IPv6. False when it does not fit. */
bool str_host_port_put(struct buf *b, const char *host, uint16_t port);

#endif
