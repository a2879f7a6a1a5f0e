/* SPDX-License-Identifier: Apache-2.0 */
/* Two links joined in memory, with a bounded buffer each way: what one end writes the other reads. For tests,
 * and for standing one layer on another without a kernel between. Not tied to a loop: a step that makes the
 * other end ready calls its `wake` at once. */
#ifndef CARDEA_LINK_MEM_LINK_H
#define CARDEA_LINK_MEM_LINK_H

#include "link/link.h"

/* Make a pair whose buffers hold `capacity` bytes each way. */
void mem_link_pair(size_t capacity, struct link **ret_a, struct link **ret_b);

/* Bytes that `l` could read now. */
size_t mem_link_waiting(const struct link *l);

/* True once the other end was closed with `abort`, or vanished before ending its direction. */
bool mem_link_aborted(const struct link *l);

#endif
