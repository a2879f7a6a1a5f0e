/* SPDX-License-Identifier: Apache-2.0 */
/* Nonces against replay (RFC 8555, 6.5): each is taken once. They are numbers that only we can have made, and
 * a bit for each of the last ACME_NONCES says whether it is used up; so it costs the same however many are
 * asked for. One that is older, or from before a restart, is bad: clients then take the one that comes with
 * the answer. */
#ifndef CARDEA_ACME_NONCE_H
#define CARDEA_ACME_NONCE_H

#include <stdbool.h>

#define ACME_NONCES 65536
#define ACME_NONCE_MAX 33 /* bytes of one with its NUL */

struct acme_nonces;

/* Never NULL. */
struct acme_nonces *acme_nonces_new(void);
void acme_nonces_free(struct acme_nonces *n);

const char *acme_nonce_make(struct acme_nonces *n, char ret[ACME_NONCE_MAX]);

/* Use it up. False: it is none of ours, too old, or has been used. */
bool acme_nonce_use(struct acme_nonces *n, const char *text);

#endif
