/* SPDX-License-Identifier: Apache-2.0 */
/* `serve: [ca]`: what a CA tells everybody (ca/publication.h) among the door's own pages; and telling the
 * operator each day that the CA is near its end. */
#ifndef CARDEA_CA_PUBLISH_H
#define CARDEA_CA_PUBLISH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "web/service.h"

struct authority;
struct ca_publisher;
struct config_ca;
struct ear;
struct publication;

/* One that turns requests away until it has a CA. `operator` hears what is wrong with the CA. Never NULL. */
struct ca_publisher *ca_publisher_new(const struct ear *operator);

/* After the door's end. NULL is allowed. */
void ca_publisher_free(struct ca_publisher *s);

/* For the door; lives as long as `s`. */
struct web_service ca_publisher_web(struct ca_publisher *s);

/* Publish what the CA has from now on: a publication is prepared on whatever thread has the CA (NULL with
 * `err`), and taken on the office's, or while there is none. */
struct publication *ca_publisher_prepare(const struct ca_publisher *s, struct authority *a,
                                         const struct config_ca *ca, bool is_served, struct err *err);
void ca_publisher_take(struct ca_publisher *s, struct publication *p, struct authority *a);

/* When a certificate of the CA ends, and from when on that is near (authority_is_ending()); in seconds since
 * 1970. */
struct ca_end {
    int64_t at, due;
};

/* Of the root and of the one that issues; from any thread. False: there is no CA. */
bool ca_publisher_ends(const struct ca_publisher *s, struct ca_end *ret_root,
                       struct ca_end *ret_intermediate);

/* Let it have the CA; before the door begins. `a` is unlocked, lives longer than `s` and belongs to the
 * office's thread from now on. Where a route leads to the service (`is_served`), the operator hears of it
 * when certificates do not say that CRL and OCSP are where the door serves them. -1 with `err`. */
int ca_publisher_open(struct ca_publisher *s, struct authority *a, const struct config_ca *ca, bool is_served,
                      struct err *err);

#endif
