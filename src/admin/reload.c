/* SPDX-License-Identifier: Apache-2.0 */
/* POST /reload: answers once the new configuration is in force, {"ok":true,"warnings":[...]} with the figures
 * of struct review, perhaps with a "notice"; or, with status 422, when it was refused:
 * {"ok":false,"errors":[...]}. Errors and warnings are texts that name file, line and column. */
#include <stdlib.h>

#include "admin/admin_internal.h"
#include "admin/tell.h"
#include "base/check.h"
#include "session/review.h"

/* A reload on its way. Whoever asked for it may have gone. */
struct asked {
    struct admin *admin;
    struct exchange *exchange;
};

static bool put_good(struct buf *body, const struct admin *a, const struct review *r)
{
    char text[ADMIN_OUTDATED_MAX];
    const char *notice = admin_outdated(a, text);
    struct buf warnings = {0};
    bool made = tell_warnings(&warnings, door_snapshot(a->door), false) &&
                buf_printf(body, "{\"ok\":true,\"warnings\":") && tell_lines(body, buf_text(&warnings));
    made = made &&
           buf_printf(body, ",\"offers\":%zu,\"withdrawn\":%zu,\"later\":%zu,\"carriers\":%zu,\"unused\":%zu",
                      r->offers, r->withdrawn, r->later, r->carriers, r->unused);
    if (notice != NULL)
        made = made && buf_printf(body, ",\"notice\":") && admin_json_text(body, notice);
    buf_free(&warnings);
    return made && buf_append(body, "}\n", 2);
}

static void answer(struct exchange *e, const struct admin *a, const struct review *review, const char *errors)
{
    struct buf body = {0};
    if (review != NULL) {
        bool made = put_good(&body, a, review);
        admin_answer(e, made, TYPE_JSON, &body);
    } else if (buf_printf(&body, "{\"ok\":false,\"errors\":") && tell_lines(&body, errors) &&
               buf_append(&body, "}\n", 2)) {
        exchange_answer(e, 422, TYPE_JSON, &body);
    } else {
        admin_answer(e, false, TYPE_JSON, &body);
    }
}

static void reloaded(void *arg, const struct review *review, const char *errors)
{
    struct asked *asked = arg;
    struct admin *a = asked->admin;
    CHECK_MAGIC(a, ADMIN_MAGIC);
    if (a->on_reload != NULL)
        a->on_reload(a->on_reload_arg, review, errors);
    answer(asked->exchange, a, review, errors);
    free(asked);
}

void admin_reload(struct exchange *e, const struct request *request)
{
    struct asked *asked = malloc(sizeof(*asked));
    CHECK(asked != NULL);
    (void)request;
    *asked = (struct asked){exchange_arg(e), e};
    door_reload(asked->admin->door, reloaded, asked);
}
