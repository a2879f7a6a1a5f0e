/* SPDX-License-Identifier: Apache-2.0 */
/* What can come of a request for a target: the rows are in tables/outcomes.def. */
#ifndef CARDEA_SESSION_OUTCOME_H
#define CARDEA_SESSION_OUTCOME_H

enum front_outcome {
#define OUTCOME(name, code, status, phrase, type, socks, text) FRONT_##name,
#include "tables/outcomes.def"
#undef OUTCOME
    FRONT_OUTCOMES
};

#endif
