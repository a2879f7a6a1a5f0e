/* SPDX-License-Identifier: Apache-2.0 */
/* What else is wrong: for a person who mends a configuration, and should see everything in one go. Nothing is
 * kept of what is read here. */
#ifndef CARDEA_SESSION_SURVEY_H
#define CARDEA_SESSION_SURVEY_H

#include "base/buf.h"

struct config;

/* config_load() has refused the file: append what is wrong with the files that it names, with its targets and
 * its audit file, as far as it can be read. */
void survey_file(const char *path, struct buf *errors);

/* Could the audit file be opened, which a start does? It is not made. -1 after a line in `errors`. */
int survey_audit(const struct config *c, struct buf *errors);

/* Can the files be read that orders need: of `acme_cas`, and the secrets of `dns`? A start does not ask: an
 * order is tried again. -1 after a line in `errors` for each. */
int survey_acme(const struct config *c, struct buf *errors);

#endif
