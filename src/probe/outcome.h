/* SPDX-License-Identifier: Apache-2.0 */
/* What may come of looking at a server, and how far it went. */
#ifndef CARDEA_PROBE_OUTCOME_H
#define CARDEA_PROBE_OUTCOME_H

#include <stdint.h>

enum probe_outcome {
#define X(NAME, word, meaning) PROBE_##NAME,
#include "tables/probe_outcomes.def"
#undef X
};

/* The steps that take time. */
enum probe_step { PROBE_LOOKUP, PROBE_CONNECT, PROBE_STARTTLS, PROBE_TLS, PROBE_STEPS };

#define PROBE_NOT_REACHED (-1) /* a step that the probe has not come through */

/* The word of an outcome, for machines. Static. */
const char *probe_outcome_word(enum probe_outcome outcome);

#endif
