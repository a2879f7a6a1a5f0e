/* SPDX-License-Identifier: Apache-2.0 */
/* Where a request for UDP leads: the path that RFC 9298, 3 has clients make out of the default template,
 * /.well-known/masque/udp/{target_host}/{target_port}/. Pure. */
#ifndef CARDEA_HTTP_MASQUE_H
#define CARDEA_HTTP_MASQUE_H

#include <stdbool.h>

#include "base/str.h"

struct err;
struct front_target;

#define MASQUE_UDP_PREFIX "/.well-known/masque/udp/"
#define MASQUE_PATH_MAX 1024 /* bytes of a path; a longest name, every byte percent-encoded, has 801 */

/* Does the path begin as the template does? */
bool masque_is_udp_path(struct str path);

/* Read a path; `ret` is a target over UDP in the canonical form of base/hostport.h. Strict: unreserved
 * characters and percent-encoding only (RFC 6570, 3.2.2), so an IPv6 address has %3A for each colon and no
 * brackets; the port is 1 to 65535; the last slash is there; no query, since the template has none. Returns
 * 0, or -1 with `err` and `ret` untouched. */
int masque_udp_path(struct str path, struct front_target *ret, struct err *err);

#endif
