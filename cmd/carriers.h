/* SPDX-License-Identifier: Apache-2.0 */
/* What the processes say that carry this user's connections (`cardea carry`); blocking. */
#ifndef CARDEA_CMD_CARRIERS_H
#define CARDEA_CMD_CARRIERS_H

struct json_t; /* jansson's */

/* An array with an object for each that answers, as src/tunnel/share.c makes it; empty when there is none.
 * The caller's, json_decref(). */
struct json_t *carriers_ask(void);

/* Print them as a table, with an empty line before; nothing for none. */
void carriers_show(const struct json_t *carriers);

#endif
