/* SPDX-License-Identifier: Apache-2.0 */
/* The ClientHellos of a capture, added up by fingerprint and server name. Bounded: beyond EXPLAIN_GROUPS_MAX
 * different ones the others are counted together. */
#ifndef CARDEA_CMD_EXPLAIN_SUMMARY_H
#define CARDEA_CMD_EXPLAIN_SUMMARY_H

#include "cmd/explain_sighting.h"

#define EXPLAIN_GROUPS_MAX 10000

struct explain_summary;

/* Counts hellos in groups that are alike. `woulds` are borrowed. Never NULL. */
struct explain_summary *explain_summary_new(const struct explain_woulds *woulds);
void explain_summary_free(struct explain_summary *s);

/* Count a hello in; nothing of `seen` is kept. */
void explain_summary_add(struct explain_summary *s, const struct explain_sighting *seen);

/* Print the groups on standard output, the largest first: a table, or a line of JSON for each. */
void explain_summary_text(struct explain_summary *s);
void explain_summary_json(struct explain_summary *s);

/* Print a line for each floor: how many of all hellos would break. */
void explain_summary_verdicts(const struct explain_summary *s);

#endif
