/* SPDX-License-Identifier: Apache-2.0 */
/* Patterns of server names, of stunnel and of sslh, as a route has them. */
#ifndef CARDEA_IMPORT_SNI_H
#define CARDEA_IMPORT_SNI_H

#include "import/outline.h"

/* A pattern of server names of programs whose '*' stands for any text, as a route's 'sni' has it: a name, or
 * '**.' before one. NULL where there is no such pattern. */
const char *sni_pattern(struct pool *p, const char *pattern);

#endif
