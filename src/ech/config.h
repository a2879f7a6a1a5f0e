/* SPDX-License-Identifier: Apache-2.0 */
/* Reads ECHConfigs (RFC 9849, 4). Pure: bytes in, facts out, nothing allocated. */
#ifndef CARDEA_ECH_CONFIG_H
#define CARDEA_ECH_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cursor.h"
#include "base/str.h"

#define ECH_VERSION 0xfe0d

/* What a config says. The cursors point into the bytes that were read. */
struct ech_config {
    uint16_t version; /* of another than ECH_VERSION nothing but `whole` is read */
    struct cursor whole;
    uint8_t id;
    uint16_t kem;
    struct cursor public_key;
    struct cursor suites; /* ech_config_next_suite() */
    uint8_t longest_name; /* maximum_name_length; 0: it does not say */
    struct str public_name;
    bool demands; /* it has a mandatory extension; we know none, so clients must not use it (4.1) */
};

/* Take the next config off an ECHConfigList's contents (behind its length). False at the end, and where the
 * bytes are no config; then some are left. */
bool ech_config_next(struct cursor *list, struct ech_config *ret);

/* Take the next cipher suite off a copy of `suites`; false at the end. */
bool ech_config_next_suite(struct cursor *list, uint16_t *ret_kdf, uint16_t *ret_aead);

/* Has the config this suite? */
bool ech_config_has_suite(const struct ech_config *config, uint16_t kdf, uint16_t aead);

/* The contents of a whole ECHConfigList, each config of it looked at; false when it is none, or is empty. */
bool ech_config_list(const uint8_t *data, size_t len, struct cursor *ret);

#endif
