/* SPDX-License-Identifier: Apache-2.0 */
/* Who hears, in a thread of his own, what somebody in another has to say. */
#ifndef CARDEA_LOOP_EAR_H
#define CARDEA_LOOP_EAR_H

struct loop;

struct ear {
    struct loop *loop;
    void (*hear)(void *arg, const char *text); /* in the thread of `loop`; the text lives during the call */
    void *arg;
};

/* From any thread: a line (printf style), to be heard once the loop comes to it. The ear is copied, so only
 * `loop` and `arg` have to live until then. */
void ear_tell(const struct ear *ear, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
