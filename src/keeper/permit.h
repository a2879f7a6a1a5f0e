/* SPDX-License-Identifier: Apache-2.0 */
/* May the door have a certificate for a name that somebody asks for? By patterns, by a list, by asking
 * somebody else (keeper/ask_hook.h). What strangers can make it hold or do is bounded: refusals are a table
 * of fixed size, questions to others have a rate, of one source a lower one. Asks no clock: `now` is
 * monotonic, in nanoseconds. */
#ifndef CARDEA_KEEPER_PERMIT_H
#define CARDEA_KEEPER_PERMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "net/addr.h"

struct config_acme;
struct permit;

enum permit_verdict {
    PERMIT_YES,
    PERMIT_NO,   /* neither a pattern nor the list has it, and nobody is asked; or it was refused lately */
    PERMIT_ASK,  /* somebody has to be asked, and may be: it is counted as asked */
    PERMIT_BUSY, /* too much was asked lately, or is ordered: not now */
};

/* Reads `names_file`. NULL with `err`, which names its line. */
struct permit *permit_new(const struct config_acme *from, struct err *err);
void permit_free(struct permit *p);

/* What is to be done about a name in lower case. `peer`: for whom; NULL: for the door itself, which renews,
 * and is bounded by nothing but what it has. *ret_why, for NO and BUSY: static text, and for how long it is
 * to be remembered in *ret_for. */
enum permit_verdict permit_judge(struct permit *p, const char *name, const struct net_addr *peer, int64_t now,
                                 const char **ret_why, int64_t *ret_for);

/* Could it be permitted at all, whatever is remembered? */
bool permit_could(const struct permit *p, const char *name);

/* A new name is to be ordered: false when there were too many within a minute; else it is counted. */
bool permit_order(struct permit *p, int64_t now);

/* Remember that the name was refused, for so long from now on; `why` is static text. */
void permit_refuse(struct permit *p, const char *name, const char *why, int64_t until);

/* Forget it, as when the name is forgotten. */
void permit_forget(struct permit *p, const char *name);

#endif
