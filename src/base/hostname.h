/* SPDX-License-Identifier: Apache-2.0 */
/* What is a DNS host name, what is an address, and what only looks like a name. Whoever reads hosts (the
 * ClientHello, the configuration, a tunnel's request, certificates) asks here, so that no two of them take
 * the same text for different things: what one checks, another dials. */
#ifndef CARDEA_BASE_HOSTNAME_H
#define CARDEA_BASE_HOSTNAME_H

#include <stddef.h>
#include <stdint.h>

#define HOSTNAME_MAX 253 /* bytes of a name as text, without the last dot (RFC 1035, 2.3.4) */
#define HOSTNAME_LABEL_MAX 63

/* What keeps a text from being a host name. HOSTNAME_NUMBER is told only where nothing else does. */
enum hostname_fault {
    HOSTNAME_OK,
    HOSTNAME_EMPTY,
    HOSTNAME_TOO_LONG,
    HOSTNAME_EMPTY_LABEL, /* also a dot at the beginning or the end */
    HOSTNAME_LONG_LABEL,
    HOSTNAME_CHARACTER, /* neither a letter, a digit, '-', '_' nor '.' */
    HOSTNAME_NUMBER, /* a name by its form, but resolvers take it for an IPv4 address, or for a broken one */
};

/* Is this a host name: labels of letters, digits and hyphens (RFC 1123, 2.1), the hyphen in any place and the
 * underscore too, since such names are in use? The last label must not be a number, decimal or 0x and
 * hexadecimal: "127.1", "2130706433" and "0x7f000001" are ways to write an address, and no top-level domain
 * looks so. A dotted quad is HOSTNAME_NUMBER as well; hostname_address() tells whether it is one. Either case
 * will do. The dot of the root is a fault: who allows it leaves it out first. */
enum hostname_fault hostname_check(const char *p, size_t len);

/* The fault in words, to go behind "expected ...: ". */
const char *hostname_fault_text(enum hostname_fault fault);

/* Read an address from its text alone, without brackets, port or zone: a dotted quad without leading zeros
 * (they are octal to some readers), or IPv6 (RFC 4291, 2.2). Gives its bytes, 4 or 16, or 0 when the text is
 * none. */
size_t hostname_address(const char *text, uint8_t ret_ip[16]);

#endif
