/* SPDX-License-Identifier: Apache-2.0 */
#include "dns/changer.h"

#include <stdlib.h>

#include "base/check.h"
#include "net/hook.h"

struct dns_changing {
    struct hook *hook; /* or: */
    struct dns_updater *updater;
    dns_updated *done;
    void *arg;
};

static void on_updated(void *arg, const struct err *why, bool silent)
{
    struct dns_changing over = *(struct dns_changing *)arg;
    free(arg);
    over.done(over.arg, why, silent);
}

static void on_program(void *arg, enum hook_end end, const struct err *why)
{
    (void)end;
    on_updated(arg, why, false);
}

static struct hook *run(const struct dns_changer *who, const char *const words[], struct dns_changing *c,
                        struct err *err)
{
    const struct hook_wish wish = {.loop = who->loop,
                                   .programs = who->programs,
                                   .command = who->program,
                                   .more = words,
                                   .patience = who->patience,
                                   .done = on_program,
                                   .arg = c};
    return hook_start(&wish, err);
}

struct dns_changing *dns_changer_start(const struct dns_changer *who, const struct dns_update *update,
                                       const char *const words[], dns_updated *done, void *arg,
                                       struct err *err)
{
    struct dns_changing *c = calloc(1, sizeof(*c));
    CHECK(c != NULL);
    *c = (struct dns_changing){.done = done, .arg = arg};
    if (who->program != NULL)
        c->hook = run(who, words, c, err);
    else
        c->updater = dns_updater_start(who->loop, &who->server, update, on_updated, c, err);
    if (c->hook != NULL || c->updater != NULL)
        return c;
    free(c);
    return NULL;
}

void dns_changing_cancel(struct dns_changing *c)
{
    if (c->hook != NULL)
        hook_cancel(c->hook);
    else
        dns_updater_cancel(c->updater);
    free(c);
}
