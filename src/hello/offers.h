/* SPDX-License-Identifier: Apache-2.0 */
/* What a client offers of the groups and cipher suites that have names here (tables/groups.def,
 * tables/ciphers.def), in few bytes: for the audit line, by which one tells later who would be lost by
 * settings that are stricter. The highest version that it offers is in its JA4. */
#ifndef CARDEA_HELLO_OFFERS_H
#define CARDEA_HELLO_OFFERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hello/hello.h"

/* A bit for each row of its table. */
struct hello_offers {
    bool known; /* a hello was read */
    uint8_t groups;
    uint16_t ciphers;
};

/* Of a hello that is good. */
struct hello_offers hello_offers_of(const struct hello *h);

#define HELLO_OFFERS_TEXT_MAX 128

/* The groups by name, apart by ',' ("X25519MLKEM768,X25519"), in the order of the table; "none" where all
 * that the client offers have no name here. NULL: nothing is known. */
const char *hello_offers_groups(const struct hello_offers *o, char text[HELLO_OFFERS_TEXT_MAX]);

/* The same of the cipher suites, by their code points in hexadecimal ("1301,c02b"). */
const char *hello_offers_ciphers(const struct hello_offers *o, char text[HELLO_OFFERS_TEXT_MAX]);

/* Read what these have written, of this version or another: what the tables do not have is passed over. */
uint8_t hello_offers_read_groups(struct str text);
uint16_t hello_offers_read_ciphers(struct str text);

/* The cipher suites of these bits as they stand in a hello, u16 each. Returns how many bytes. */
#define HELLO_OFFERS_LIST_MAX 32
size_t hello_offers_cipher_list(uint16_t ciphers, uint8_t ret[HELLO_OFFERS_LIST_MAX]);

/* Is one of the groups of these bits for which `holds`? */
bool hello_offers_has_group(uint8_t groups, bool (*holds)(uint16_t group));

#endif
