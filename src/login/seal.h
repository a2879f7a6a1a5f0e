/* SPDX-License-Identifier: Apache-2.0 */
/* What the server has to remember between two requests of a login, handed to the client under a key that only
 * this process has: so it need not be kept, and a flood of logins that are never finished costs no memory. */
#ifndef CARDEA_LOGIN_SEAL_H
#define CARDEA_LOGIN_SEAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"
#include "opaque/opaque.h"

#define SEAL_KEY 32
#define SEAL_NAME_MAX 64
#define SEAL_RECORD 32
#define SEAL_ID 24

struct sealed_login {
    uint8_t id[SEAL_ID]; /* of the sealed form, unlike any other; set by seal_open() */
    int64_t until;       /* seconds since 1970 */
    char name[SEAL_NAME_MAX + 1];
    bool familiar;               /* tried from a source that the account is used from */
    uint8_t record[SEAL_RECORD]; /* SHA-256 of the account's, as it was when the login began */
    struct opaque_expected expected;
};

#define SEAL_PLAIN (8 + 1 + SEAL_NAME_MAX + 1 + SEAL_RECORD + 2 * OPAQUE_HASH)
#define SEAL_BYTES (SEAL_ID + SEAL_PLAIN + 16) /* the same for every login */

void seal_make_key(uint8_t ret[SEAL_KEY]);

void seal_close(const uint8_t key[SEAL_KEY], const struct sealed_login *login, uint8_t ret[SEAL_BYTES]);

/* False: it is not of this process, or was changed. Whether it is still good at its time is the caller's to
 * ask. */
bool seal_open(const uint8_t key[SEAL_KEY], const uint8_t sealed[SEAL_BYTES], struct sealed_login *ret);

#endif
