/* SPDX-License-Identifier: Apache-2.0 */
/* What `cardea explain --sni` tells, for people and as JSON. */
#ifndef CARDEA_CMD_EXPLAIN_TOLD_H
#define CARDEA_CMD_EXPLAIN_TOLD_H

#include <jansson.h>
#include <stdbool.h>

#include "route/route.h"
#include "session/foresee.h"

struct explain_told {
    const struct snapshot *snap;
    const struct foresee_client *client;
    const char *certificate; /* the file of the client's; NULL: it has none */
    const struct foresight *foresight;
    bool as_http;   /* the client was taken for one that speaks HTTP/1.1 */
    json_t *trials; /* of explain_told_trial(): "routes" of the JSON */
};

/* Add a rule that was tried. */
void explain_told_trial(struct explain_told *t, const struct route_trial *trial);

/* Print. */
void explain_told_json(const struct explain_told *t);
void explain_told_text(const struct explain_told *t);

#endif
