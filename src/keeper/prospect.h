/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a door may come to have a certificate for a name, by its configuration alone:
 * for `cardea explain`. */
#ifndef CARDEA_KEEPER_PROSPECT_H
#define CARDEA_KEEPER_PROSPECT_H

#include <stdint.h>

struct config;

#define PROSPECT_NOT_ASKED "no certificate is looked up for this route"
#define PROSPECT_NOT_PERMITTED "on_demand does not permit this name"

/* Why nothing that is looked up for that route (as in struct cert_question) has one for the name, which is in
 * lower case: static text, as a running door gives it. NULL: a folder may hold one, or it may be obtained.
 * Reads `names_file`; where that cannot be read, NULL. What was obtained while a name was permitted is served
 * on, which is not known here. */
const char *prospect_lacks(const struct config *c, uint32_t route, const char *name);

#endif
