/* SPDX-License-Identifier: Apache-2.0 */
/* Reads Alt-Svc (RFC 7838) off the head of a web server's answer: does it tell of HTTP/3? Pure. */
#ifndef CARDEA_PROBE_ALT_SVC_H
#define CARDEA_PROBE_ALT_SVC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* True where a field names "h3" (RFC 9114, 3.1.1) at `port` of the same host, and none says "clear". */
bool alt_svc_tells_h3(const uint8_t *data, size_t len, uint16_t port);

#endif
