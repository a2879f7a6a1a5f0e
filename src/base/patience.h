/* SPDX-License-Identifier: Apache-2.0 */
/* What costs us more than the client, such as a request that is taken back at once (CVE-2023-44487): some of
 * it is all right, so much at once and so much a second in the long run. */
#ifndef CARDEA_BASE_PATIENCE_H
#define CARDEA_BASE_PATIENCE_H

#include <stdbool.h>
#include <stdint.h>

struct patience {
    unsigned at_once;
    unsigned a_second;
    unsigned left;
    int64_t filled; /* when it was filled up last, monotonic */
};

/* All of it: 1,000 at once and 33 a second. `now` is monotonic, in nanoseconds, like below. */
void patience_init(struct patience *p, int64_t now);

/* The same with other figures. */
void patience_init_as(struct patience *p, unsigned at_once, unsigned a_second, int64_t now);

/* Bear one more. False when it is used up. */
bool patience_bear(struct patience *p, int64_t now);

#endif
