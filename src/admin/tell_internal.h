/* SPDX-License-Identifier: Apache-2.0 */
/* Between tell.c and the files of its warnings. */
#ifndef CARDEA_ADMIN_TELL_INTERNAL_H
#define CARDEA_ADMIN_TELL_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>

#include "config/config.h"

struct buf;
struct snapshot;

/* Warnings on their way into a buffer. */
struct telling {
    struct buf *out;
    const struct snapshot *snap;
    size_t count;
    bool ok;
};

/* One more, about what stands there; after some they are counted only. */
void tell_warn(struct telling *t, struct config_pos at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Does the row speak of that route, by name or because it names none? */
bool tell_row_is_for(const struct config_policy_row *row, const char *route);

/* Could that entry of `targets`, for agents or their visitors, speak of a name that the route leads to? */
bool tell_may_be_name_of(const char *entry, const struct config_route *rc);

/* ---- tell_idle_rows.c ---- */

/* Rows of the policy and entries of their targets that can never match, whatever is asked. */
void tell_idle_rows(struct telling *t);

#endif
