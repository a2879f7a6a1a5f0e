/* SPDX-License-Identifier: Apache-2.0 */
/* The backups of certificates that come in files, of a door that runs: keeper/swaps.h is asked whenever
 * something may have changed, and the door is told. Belongs to the control thread. */
#ifndef CARDEA_CMD_SERVE_SWAPS_H
#define CARDEA_CMD_SERVE_SWAPS_H

#include <stddef.h>

struct door;
struct err;
struct keeper;
struct loop;
struct serve_swaps;
struct set_aside;
struct swaps;

struct serve_swaps_owner {
    struct loop *loop;
    void (*notice)(void *arg, const char *text);
    void *arg;
};

/* With what is kept below the folder `state`. Never NULL; what is wrong there is told. */
struct serve_swaps *serve_swaps_new(const struct serve_swaps_owner *owner, const char *state);

/* Judge no more: before the door goes. NULL is allowed. */
void serve_swaps_stop(struct serve_swaps *s);

/* After the door has gone, which may answer until then. NULL is allowed. */
void serve_swaps_free(struct serve_swaps *s);

/* For a door that is made; borrowed. */
struct set_aside *serve_swaps_aside(const struct serve_swaps *s);

/* For admin_set_swaps(). */
const struct swaps *serve_swaps_told(const struct serve_swaps *s);

/* Judge from now on what this door serves. Those of `keeper` are swapped with them, see serve_swaps_do(). */
void serve_swaps_start(struct serve_swaps *s, struct door *door, struct keeper *keeper);

/* For admin_set_swap(), `swaps` is a struct serve_swaps: what comes in files first, then keeper_swap(). */
typedef void serve_swaps_done(void *arg, size_t swapped, size_t left, const struct err *err);
void serve_swaps_do(void *swaps, const char *name, const char *ca, serve_swaps_done *done, void *arg);

#endif
