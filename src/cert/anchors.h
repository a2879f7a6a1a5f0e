/* SPDX-License-Identifier: Apache-2.0 */
/* The certificates of a trust bundle, read once and found by their subject. Written to while the bundle is
 * loaded, by one thread; then never again, and counted. Private to cert/. */
#ifndef CARDEA_CERT_ANCHORS_H
#define CARDEA_CERT_ANCHORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cert/path_cert.h"

struct anchors;

/* With one reference; never NULL. */
struct anchors *anchors_new(void);
struct anchors *anchors_ref(struct anchors *anchors);
void anchors_unref(struct anchors *anchors);

/* Take a certificate in DER; one that is there already counts once. False when it cannot be read. */
bool anchors_add(struct anchors *anchors, const uint8_t *der, size_t len);

size_t anchors_len(const struct anchors *anchors);

/* By number, or NULL behind the last. In full and with its key: path_cert_x509() and path_cert_key() only
 * read it. */
struct path_cert *anchors_at(const struct anchors *anchors, size_t i);

#define ANCHORS_NONE SIZE_MAX

/* The numbers of those with this subject (canonical, see cert/dn.h), one after the other: the first, and what
 * comes behind `i`. ANCHORS_NONE: no more. */
size_t anchors_first(const struct anchors *anchors, CBS subject);
size_t anchors_next(const struct anchors *anchors, size_t i);

#endif
