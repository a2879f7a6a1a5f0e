/* SPDX-License-Identifier: Apache-2.0 */
/* Who hears, in a thread of his own, what somebody in another has to say. */
#ifndef CARDEA_LOOP_EAR_H
#define CARDEA_LOOP_EAR_H

#include <stdint.h>

struct loop;

struct ear {
    struct loop *loop;
    void (*hear)(void *arg, const char *text); /* in the thread of `loop`; the text lives during the call */
    void *arg;
};

/* From any thread: a line (printf style), to be heard once the loop comes to it. The ear is copied, so only
 * `loop` and `arg` have to live until then. */
void ear_tell(const struct ear *ear, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The same, for what each request may be a reason of: one line in a minute, and what comes on top of it is
 * left out. `told` is the caller's, who has one thread; 0 at first. */
void ear_tell_seldom(const struct ear *ear, int64_t *told, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
