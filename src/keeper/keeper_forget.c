/* SPDX-License-Identifier: Apache-2.0 */
/* A name on demand is forgotten: a message to the keeper's thread, and back. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/hostname.h"
#include "base/str.h"
#include "keeper/demand.h"
#include "keeper/keeper_internal.h"
#include "loop/loop.h"

struct forgetting {
    struct message message;
    struct keeper *keeper;
    keeper_forgotten *done;
    void *arg;
    bool revoke;
    int count, revoked;
    struct err err;
    char name[HOSTNAME_MAX + 1];
};

static void on_forgotten(struct message *m)
{
    struct forgetting *f = CONTAINER_OF(m, struct forgetting, message);
    f->done(f->arg, f->count, f->revoked, &f->err);
    free(f);
}

static void go_home(struct forgetting *f)
{
    f->message.run = on_forgotten;
    loop_post(keeper_home(f->keeper), &f->message);
}

/* Workers are told first. */
static void forget(struct forgetting *f)
{
    f->count = demands_forget(keeper_demands(f->keeper), f->name, &f->err);
    keeper_changed(f->keeper, f->name);
    go_home(f);
}

static void on_revoked(void *arg, int count, const struct err *err)
{
    struct forgetting *f = arg;
    f->revoked = count;
    if (err == NULL) {
        forget(f);
        return;
    }
    f->count = -1;
    err_set(&f->err, "%s is not forgotten, for its certificate could not be revoked: %s", f->name, err->text);
    go_home(f);
}

static void on_forget(struct message *m)
{
    struct forgetting *f = CONTAINER_OF(m, struct forgetting, message);
    struct demands *demands = keeper_demands(f->keeper);
    if (demands == NULL)
        go_home(f);
    else if (f->revoke)
        demands_revoke(demands, f->name, on_revoked, f);
    else
        forget(f);
}

void keeper_forget(struct keeper *k, const char *name, bool revoke, keeper_forgotten *done, void *arg)
{
    struct forgetting *f = calloc(1, sizeof(*f));
    CHECK(f != NULL);
    *f = (struct forgetting){
        .message.run = on_forget, .keeper = k, .done = done, .arg = arg, .revoke = revoke};
    str_copy(f->name, sizeof(f->name), name, strlen(name));
    str_lower(f->name, strlen(f->name));
    if (keeper_loop(k) != NULL)
        loop_post(keeper_loop(k), &f->message);
    else
        go_home(f);
}
