/* SPDX-License-Identifier: Apache-2.0 */
#include "session/deed.h"

#include <stdlib.h>
#include <string.h>

#include "audit/record.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/str.h"
#include "session/session.h"
#include "session/worker.h"
#include "web/web.h"

struct audit_place {
    struct worker *worker;
    char *listener;
    char *route;
    uint64_t connection;
    char peer[NET_ADDR_TEXT_MAX];
};

struct audit_place *audit_place_new(struct worker *w, const struct session_origin *origin)
{
    const struct config *c = origin->epoch->snap->config;
    struct audit_place *place = malloc(sizeof(*place));
    CHECK(place != NULL && origin->listener < c->listeners.n);
    *place = (struct audit_place){.worker = w,
                                  .listener = str_dup(c->listeners.v[origin->listener].name.text),
                                  .route = str_dup(origin->route->config->name.text),
                                  .connection = origin->carrier};
    net_addr_format(origin->peer, place->peer);
    return place;
}

void audit_place_free(struct audit_place *place)
{
    if (place == NULL)
        return;
    free(place->listener);
    free(place->route);
    free(place);
}

void audit_place_tell(const struct audit_place *place, const struct web_deed *deed)
{
    if (deed->what == NULL)
        return;
    struct sink *sink = &place->worker->sink;
    const struct audit_record r = {.time = clock_wall(),
                                   .id = worker_next_id(place->worker),
                                   .listener = place->listener,
                                   .carrier = place->connection,
                                   .peer = place->peer,
                                   .route = place->route,
                                   .action = deed->action,
                                   .identity = deed->who,
                                   .target = {deed->what, strlen(deed->what)},
                                   .login = deed->session,
                                   .serial = deed->serial,
                                   .handshake_ns = -1,
                                   .reason = deed->refused ? CLOSE_DENIED : CLOSE_DONE,
                                   .detail = deed->detail};
    audit_format(sink_lines(sink), &r);
    sink_commit(sink);
}
