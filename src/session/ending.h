/* SPDX-License-Identifier: Apache-2.0 */
/* Somebody who runs the door ends a connection. */
#ifndef CARDEA_SESSION_ENDING_H
#define CARDEA_SESSION_ENDING_H

#include <stddef.h>
#include <stdint.h>

#include "audit/reason.h"

struct crew;
struct loop;
struct worker;

/* `count`: how many connections were ended; 0: none had that id. */
typedef void ending_told(void *arg, size_t count);

/* End the open connection of that id, as the audit line and the status name it, and what travels on it, with
 * the reason CLOSE_ENDED; then call `done` on `loop`, later. */
void ending_begin(struct crew *crew, struct loop *loop, uint64_t id, ending_told *done, void *arg);

/* End what travels on the connection of that id, of this worker, and leave the connection. How many there
 * were. */
size_t ending_streams(struct worker *w, uint64_t id, enum close_reason reason);

#endif
