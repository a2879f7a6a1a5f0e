/* SPDX-License-Identifier: Apache-2.0 */
/* The audit lines of what services do for clients (struct web_deed): each is a line of its own, beside that
 * of the connection it came on, whose id it has as `carrier`. */
#ifndef CARDEA_SESSION_DEED_H
#define CARDEA_SESSION_DEED_H

#include <stdint.h>

struct audit_place;
struct session_origin;
struct web_deed;
struct worker;

/* Where a request came from, kept for as long as its answer takes: who has asked may be gone by then, and is
 * told of all the same. What `origin` points to is copied; the worker is the caller's. Never NULL. */
struct audit_place *audit_place_new(struct worker *w, const struct session_origin *origin);
void audit_place_free(struct audit_place *place); /* NULL is allowed */

/* Write the line, where there is a deed to tell of. On the worker's thread, or once that has ended, where
 * its messages are delivered. */
void audit_place_tell(const struct audit_place *place, const struct web_deed *deed);

#endif
