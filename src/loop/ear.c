/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/ear.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "loop/loop.h"

#define QUIET (60 * NSEC_PER_SEC)

struct told {
    struct message message;
    struct ear ear;
    char *text;
};

static void on_told(struct message *m)
{
    struct told *t = CONTAINER_OF(m, struct told, message);
    t->ear.hear(t->ear.arg, t->text);
    free(t->text);
    free(t);
}

__attribute__((format(printf, 2, 0))) static void tell(const struct ear *ear, const char *fmt, va_list args)
{
    struct told *t = calloc(1, sizeof(*t));
    CHECK(t != NULL);
    t->message.run = on_told;
    t->ear = *ear;
    CHECK(vasprintf(&t->text, fmt, args) >= 0);
    loop_post(ear->loop, &t->message);
}

void ear_tell(const struct ear *ear, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    tell(ear, fmt, args);
    va_end(args);
}

void ear_tell_seldom(const struct ear *ear, int64_t *told, const char *fmt, ...)
{
    va_list args;
    const int64_t now = clock_monotonic();
    if (*told != 0 && now - *told < QUIET)
        return;
    *told = now;
    va_start(args, fmt);
    tell(ear, fmt, args);
    va_end(args);
}
