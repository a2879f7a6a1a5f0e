/* SPDX-License-Identifier: Apache-2.0 */
/* `cardea check --recommend`: what is the strongest TLS towards the backends of a route
 * that keeps working? */
#ifndef CARDEA_CMD_RECOMMEND_H
#define CARDEA_CMD_RECOMMEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "config/config.h"
#include "probe/page_walk.h"

/* From weak to strong; the manual tells which keys make them. */
enum backend_mode {
    MODE_OFF,         /* clients and backend without TLS */
    MODE_FLEXIBLE,    /* clients with, the backend without */
    MODE_FULL,        /* the backend with, whoever it is */
    MODE_FULL_STRICT, /* the backend proves itself */
    MODE_STRICT,      /* ... over TLS 1.3, with a hybrid key exchange */
    MODES,
};

enum advice_state { ADVICE_NOTHING, ADVICE_STRONGER, ADVICE_UNKNOWN };

#define ADVICE_TEXT_MAX 1024

/* A mode that was tried. */
struct rung {
    bool tried, works;
    char text[ADVICE_TEXT_MAX]; /* what the handshake came to, or each way in which it failed */
};

struct backend_advice {
    const struct config_address *at;
    uint16_t port; /* where it speaks TLS; 0: nowhere */
    enum backend_mode best;
    enum advice_state state;
    struct rung rungs[MODES]; /* from MODE_FULL on */
    bool walked;
    struct page_walk_result pages;
    struct err note; /* why nothing better is recommended, or could not be determined; "" */
};

struct route_advice {
    const struct config_route *route;
    enum backend_mode now, best;
    enum advice_state state;
    const char *name;  /* that the backends proved, or are to be asked by; NULL: their own hosts */
    const char *trust; /* the bundle that they proved it by; NULL: none */
    struct backend_advice *backends;
    size_t n;
};

struct recommend_options {
    const char *name; /* of the site; NULL: as the route says */
    uint16_t port;    /* of TLS; 0: the backend's own, else 443 */
    size_t pages, depth, size;
    int64_t timeout, deadline;
    bool quiet; /* no progress */
};

/* Does --recommend stand in the command line? */
bool recommend_is_asked(int argc, char **argv);

/* The whole of it. Returns an exit status: 0, nothing to do; 1, a stronger mode is possible; 2, it could not
 * be determined, or the command line is wrong. */
int recommend(int argc, char **argv);

/* ---- recommend_try.c ---- */

/* The mode of a route that has backends, and what people call a mode. */
enum backend_mode recommend_mode(const struct config_route *route);
const char *recommend_mode_word(enum backend_mode mode);

/* Key exchange groups that are hybrid, most wanted first, code points of IANA. */
extern const int recommend_groups[];
extern const size_t recommend_groups_len;

/* ---- recommend_look.c ---- */

struct recommend_looker;

/* NULL with `err`. What it is given is borrowed. */
struct recommend_looker *recommend_looker_new(const struct config *c, const struct recommend_options *o,
                                              struct err *err);
void recommend_looker_free(struct recommend_looker *l);

/* Look at the backends of a route that has some. `ret` is to be given to recommend_advice_free(), also after
 * -1 with `err`: then nothing could be looked at. */
int recommend_look(struct recommend_looker *l, const struct config_route *route, struct route_advice *ret,
                   struct err *err);
void recommend_advice_free(struct route_advice *a);

/* ---- recommend_report.c ---- */

/* The keys to change, as YAML below the route; nothing where there is nothing to do. */
void recommend_yaml(struct buf *out, const struct config *c, const struct route_advice *a, int indent);

/* Append what was found, for people with recommend_yaml(), or as a line of JSON. */
void recommend_text(struct buf *out, const struct config *c, const struct route_advice *a);
void recommend_json(struct buf *out, const struct config *c, const struct route_advice *a);

#endif
