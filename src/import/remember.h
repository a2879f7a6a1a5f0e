/* SPDX-License-Identifier: Apache-2.0 */
/* Comments of the text that is read, until it is known what they stand before. */
#ifndef CARDEA_IMPORT_REMEMBER_H
#define CARDEA_IMPORT_REMEMBER_H

#include "import/outline.h"

#define REMEMBER_MAX 20 /* lines; more is a chapter, not a remark */

struct remember {
    const char *lines[REMEMBER_MAX + 1];
    size_t n;
};

/* One more line. Not kept: lines without letters, settings that are commented out, and whatever may speak of
 * a secret. */
void remember_add(struct remember *r, struct pool *p, const char *text, size_t len);

/* Nothing that was remembered belongs to what follows. */
void remember_forget(struct remember *r);

/* Put them before a node, and forget them. */
void remember_put(struct remember *r, struct node *n);

#endif
