/* SPDX-License-Identifier: Apache-2.0 */
/* When a login is renewed, and when its owner is told that it ends. Pure: times are arguments, seconds since
 * 1970, so a machine that has slept is one whose next `now` is late. */
#ifndef CARDEA_LOGIN_UPKEEP_H
#define CARDEA_LOGIN_UPKEEP_H

#include <stdbool.h>
#include <stdint.h>

#include "login/keep.h"

struct upkeep {
    int64_t since;           /* the certificate is here since then */
    int64_t until;           /* ... and runs out then */
    int64_t renewable_until; /* without a password */
    bool by_another;         /* another process renews; we only tell */
    unsigned failed;         /* tries to renew it */
    int64_t tried;           /* the last of them */
    int64_t due;             /* it was first seen to be due; 0: it was not */
    bool warned, over;       /* has been told */
};

enum upkeep_step {
    UPKEEP_WAIT,  /* until *ret_at */
    UPKEEP_RENEW, /* now; what comes of it is a call of upkeep_failed(), or a newer certificate */
    UPKEEP_WARN,  /* tell that it is about to run out */
    UPKEEP_OVER,  /* tell that it has run out */
};

/* Of a certificate that was found now. What is `by_another` stays. */
void upkeep_begin(struct upkeep *u, const struct keep *kept);

/* Was it begun with this one? */
bool upkeep_is_of(const struct upkeep *u, const struct keep *kept);

/* Can it be had longer without a password? */
bool upkeep_is_possible(const struct upkeep *u);

/* What is to be done at `now`. What is told is answered once. *ret_at: when to ask again at the latest. */
enum upkeep_step upkeep_next(struct upkeep *u, int64_t now, int64_t *ret_at);

void upkeep_failed(struct upkeep *u, int64_t now);

#endif
