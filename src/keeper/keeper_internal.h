/* SPDX-License-Identifier: Apache-2.0 */
/* Between keeper.c, keeper_swap.c, keeper_list.c and keeper_forget.c. */
#ifndef CARDEA_KEEPER_KEEPER_INTERNAL_H
#define CARDEA_KEEPER_KEEPER_INTERNAL_H

#include "keeper/keeper.h"

struct census;
struct demands;
struct obtainer;
struct stapler;

/* NULL while nothing has been obtained ever. In the keeper's thread. */
struct obtainer *keeper_obtainer(const struct keeper *k);
struct demands *keeper_demands(const struct keeper *k);

/* The i-th folder's; NULL: there are no more. */
struct census *keeper_census(const struct keeper *k, size_t i);

/* NULL: nothing is stapled. */
const struct stapler *keeper_stapler(const struct keeper *k);

/* Tell the ear that something of that name has changed. In the keeper's thread. */
void keeper_changed(const struct keeper *k, const char *name);

/* The loop of its thread, NULL while that does not run; and that of whoever has made it. In the latter's
 * thread. */
struct loop *keeper_loop(const struct keeper *k);
struct loop *keeper_home(const struct keeper *k);

#endif
