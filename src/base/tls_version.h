/* SPDX-License-Identifier: Apache-2.0 */
/* The versions of TLS that are spoken here, in words. */
#ifndef CARDEA_BASE_TLS_VERSION_H
#define CARDEA_BASE_TLS_VERSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* "TLSv1.3" of 0x0304, "TLSv1.2" of any other. Static text. */
static inline const char *tls_version_name(uint16_t version)
{
    return version == 0x0304 ? "TLSv1.3" : "TLSv1.2";
}

/* The same as "1.3" and "1.2". */
static inline const char *tls_version_word(uint16_t version)
{
    return tls_version_name(version) + sizeof("TLSv") - 1;
}

/* Does this name the lowest version that is spoken, where settings are given on a command line:
 * "min_version", as the configuration has it, or "min"? */
static inline bool tls_version_is_min(const char *key, size_t len)
{
    static const char whole[] = "min_version";
    return (len == strlen(whole) || len == strlen("min")) && memcmp(key, whole, len) == 0;
}

#endif
