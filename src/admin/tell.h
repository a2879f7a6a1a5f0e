/* SPDX-License-Identifier: Apache-2.0 */
/* What the admin API and `serve --check` both tell of a configuration. */
#ifndef CARDEA_ADMIN_TELL_H
#define CARDEA_ADMIN_TELL_H

#include <stdbool.h>

#include "config/config.h"

struct buf;
struct review;
struct snapshot;

/* What tell_warnings() says of 'verify: any', for who has other words for it. */
#define TELL_PROVES_NOTHING \
    "with 'verify: any' it proves nothing; give a 'pin', or a 'trust' that has issued its certificate"

/* Append what is not wrong but will hardly be meant, a line each, `FILE:LINE:COLUMN: warning: ...`: a
 * certificate that is not valid now or names nothing, what was promoted and hides a newer file or the same, a
 * CA of whom everybody is refused for want of a valid CRL, a server name of a route that no certificate of it
 * names, a program that is not there, a route that no row of the policy opens to anybody or to any agent, a
 * row that counts for nothing or a target of it that can never match. With `hints` also what only the user
 * can judge. False when memory is out. */
bool tell_warnings(struct buf *b, const struct snapshot *snap, bool hints);

/* Append what a reload has done to agents and clients that were there, in words, lines that begin with
 * `cardea: `; nothing where there were none. False when memory is out. */
bool tell_review(struct buf *b, const struct review *r);

/* Append a JSON array of the lines of `text` (NULL: none). False when memory is out. */
bool tell_lines(struct buf *b, const char *text);

/* The word for a kind of first bytes, as in the configuration: "ssh". */
const char *tell_first_bytes_word(enum config_first_bytes what);

/* Append a JSON array of these words. False when memory is out. */
bool tell_first_bytes(struct buf *b, const struct config_codes *codes);

#endif
