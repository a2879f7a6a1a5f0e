/* SPDX-License-Identifier: Apache-2.0 */
/* What costs us more than the client, such as a request that is taken back at once (CVE-2023-44487): some of
 * it is all right, 1,000 at once and 33 a second in the long run. */
#ifndef CARDEA_HTTP_PATIENCE_H
#define CARDEA_HTTP_PATIENCE_H

#include <stdbool.h>
#include <stdint.h>

struct patience {
    unsigned left;
    int64_t filled; /* when it was filled up last, monotonic */
};

/* All of it. `now` is monotonic, in nanoseconds, like below. */
void patience_init(struct patience *p, int64_t now);

/* Bear one more. False when it is used up. */
bool patience_bear(struct patience *p, int64_t now);

#endif
