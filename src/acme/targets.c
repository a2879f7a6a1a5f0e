/* SPDX-License-Identifier: Apache-2.0 */
#include "acme/targets.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/hostname.h"
#include "base/str.h"
#include "net/addr.h"

#define AT_LEAST NSEC_PER_SEC /* that a look counts for */
#define VISITS_MAX 1024       /* that are counted at once; what comes on top of them waits */

struct visit {
    char place[HOSTNAME_MAX + 1]; /* an address in text, or a name in lower case */
    char source[NET_ADDR_TEXT_MAX];
    const void *look; /* NULL: it has ended */
    int64_t until;    /* it counts, also when it has left */
};

struct acme_targets {
    unsigned max;
    size_t count;
    struct visit visits[VISITS_MAX];
};

struct acme_targets *acme_targets_new(unsigned max)
{
    struct acme_targets *t = calloc(1, sizeof(*t));
    CHECK(t != NULL && max > 0);
    t->max = max;
    return t;
}

void acme_targets_free(struct acme_targets *t)
{
    free(t);
}

static void forget_old(struct acme_targets *t, int64_t now)
{
    for (size_t i = 0; i < t->count;)
        if (t->visits[i].look == NULL && t->visits[i].until <= now)
            t->visits[i] = t->visits[--t->count];
        else
            i++;
}

static bool take(struct acme_targets *t, const char *place, const char *source, const void *look, int64_t now)
{
    unsigned there = 0, own = 0;
    CHECK(look != NULL);
    forget_old(t, now);
    for (size_t i = 0; i < t->count; i++) {
        const struct visit *v = &t->visits[i];
        if (strcmp(v->place, place) != 0)
            continue;
        if (v->look == look)
            return true;
        there++;
        own += strcmp(v->source, source) == 0;
    }
    if (there >= t->max || own >= t->max - t->max / 2 || t->count == VISITS_MAX)
        return false;
    struct visit *v = &t->visits[t->count++];
    *v = (struct visit){.look = look, .until = now + AT_LEAST};
    CHECK(str_copy(v->place, sizeof(v->place), place, strlen(place)));
    CHECK(str_copy(v->source, sizeof(v->source), source, strlen(source)));
    return true;
}

bool acme_targets_take(struct acme_targets *t, const struct net_addr *address, const char *source,
                       const void *look, int64_t now)
{
    char place[NET_ADDR_TEXT_MAX];
    struct net_addr a = *address;
    if (a.family == AF_INET6)
        memset(a.ip + 8, 0, 8);
    return take(t, net_addr_host(&a, place), source, look, now);
}

bool acme_targets_take_name(struct acme_targets *t, const char *name, const char *source, const void *look,
                            int64_t now)
{
    const char *place = name + strlen(name);
    for (unsigned dots = 0; place > name; place--) {
        dots += place[-1] == '.';
        if (dots == 2)
            break;
    }
    return take(t, place, source, look, now);
}

void acme_targets_give(struct acme_targets *t, const void *look)
{
    for (size_t i = 0; i < t->count; i++)
        if (t->visits[i].look == look)
            t->visits[i].look = NULL;
}
