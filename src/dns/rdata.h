/* SPDX-License-Identifier: Apache-2.0 */
/* What records say (RDATA), written. */
#ifndef CARDEA_DNS_RDATA_H
#define CARDEA_DNS_RDATA_H

#include <stdint.h>

#include "base/buf.h"
#include "base/cursor.h"
#include "base/err.h"

#define DNS_TYPE_TXT 16
#define DNS_TYPE_HTTPS 65

/* Append a text (RFC 1035, 3.3.14). -1 with `err` where it has more than 255 bytes. */
int dns_rdata_txt(struct buf *out, const char *text, struct err *err);

/* Append an HTTPS record's data (RFC 9460) that says of its own name: these protocols, apart by ',' ("": none
 * but what clients take for granted), and this ECHConfigList (RFC 9848). -1 with `err` where a protocol is
 * none. */
int dns_rdata_https(struct buf *out, const char *alpn, struct cursor ech, struct err *err);

/* Append the same in the words of a zone file, of an ECHConfigList in base64. */
void dns_rdata_https_text(struct buf *out, const char *alpn, const char *ech);

#endif
