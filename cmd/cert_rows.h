/* SPDX-License-Identifier: Apache-2.0 */
/* What the door tells of certificates, as tables for people. */
#ifndef CARDEA_CMD_CERT_ROWS_H
#define CARDEA_CMD_CERT_ROWS_H

#include <stdbool.h>

struct json_t;

/* Print an array of certificates, as GET /certificates has it: a line for each. `first`: nothing stands
 * before it. */
void cert_rows_show(const struct json_t *list, bool first);

/* Print an array of its sources; `first` as above. */
void cert_rows_show_sources(const struct json_t *sources, bool first);

#endif
