/* SPDX-License-Identifier: Apache-2.0 */
/* What the configuration may ask of ECH (`ech`), and what is made ready for it. */
#ifndef CARDEA_BASE_ECH_LIMITS_H
#define CARDEA_BASE_ECH_LIMITS_H

#define ECH_NAMES_MAX 256 /* whose records are published */
#define ECH_KEEP_MAX \
    13 /* times `rotate`, that `keep` may be: all keys that still open are at hand (ech/keys.h) */

#endif
