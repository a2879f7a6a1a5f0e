/* SPDX-License-Identifier: Apache-2.0 */
/* Between keeper.c, keeper_ask.c and keeper_forget.c. */
#ifndef CARDEA_KEEPER_KEEPER_INTERNAL_H
#define CARDEA_KEEPER_KEEPER_INTERNAL_H

#include "keeper/keeper.h"

struct demands;
struct obtainer;

/* NULL while nothing has been obtained ever. In the keeper's thread. */
struct obtainer *keeper_obtainer(const struct keeper *k);
struct demands *keeper_demands(const struct keeper *k);

/* Tell the ear that something of that name has changed. In the keeper's thread. */
void keeper_changed(const struct keeper *k, const char *name);

/* The loop of its thread, NULL while that does not run; and that of whoever has made it. In the latter's
 * thread. */
struct loop *keeper_loop(const struct keeper *k);
struct loop *keeper_home(const struct keeper *k);

#endif
