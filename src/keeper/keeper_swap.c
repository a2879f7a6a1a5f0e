/* SPDX-License-Identifier: Apache-2.0 */
/* Backups are served: a message from the control thread to the keeper, and back. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/str.h"
#include "keeper/keeper_internal.h"
#include "keeper/obtainer.h"
#include "loop/loop.h"

struct swap {
    struct message message;
    struct keeper *keeper;
    char *name, *ca; /* or NULL */
    struct obtainer_swapped swapped;
    bool failed;
    struct err err;
    keeper_swapped *done;
    void *arg;
};

static void on_swapped(struct message *m)
{
    struct swap *s = CONTAINER_OF(m, struct swap, message);
    s->done(s->arg, s->swapped.swapped, s->swapped.left, s->failed ? &s->err : NULL);
    free(s->name);
    free(s->ca);
    free(s);
}

static void on_swap(struct message *m)
{
    struct swap *s = CONTAINER_OF(m, struct swap, message);
    struct obtainer *o = keeper_obtainer(s->keeper);
    const struct obtainer_swap what = {.name = s->name, .ca = s->ca};
    int rc = o != NULL ? obtainer_swap(o, &what, &s->swapped, &s->err) : -1; /* without words */
    s->failed = rc < 0;
    m->run = on_swapped;
    loop_post(keeper_home(s->keeper), m);
}

void keeper_swap(void *keeper, const char *name, const char *ca, keeper_swapped *done, void *arg)
{
    struct keeper *k = keeper;
    if (keeper_loop(k) == NULL) {
        const struct err err = {""};
        done(arg, 0, 0, &err);
        return;
    }
    struct swap *s = calloc(1, sizeof(*s));
    CHECK(s != NULL);
    *s = (struct swap){.message.run = on_swap,
                       .keeper = k,
                       .name = str_dup(name),
                       .ca = str_dup(ca),
                       .done = done,
                       .arg = arg};
    loop_post(keeper_loop(k), &s->message);
}
