/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/ear.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "loop/loop.h"

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

void ear_tell(const struct ear *ear, const char *fmt, ...)
{
    struct told *t = calloc(1, sizeof(*t));
    va_list args;
    CHECK(t != NULL);
    t->message.run = on_told;
    t->ear = *ear;
    va_start(args, fmt);
    CHECK(vasprintf(&t->text, fmt, args) >= 0);
    va_end(args);
    loop_post(ear->loop, &t->message);
}
