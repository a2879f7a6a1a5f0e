/* SPDX-License-Identifier: Apache-2.0 */
/* GET /sessions?limit=N: the connections that are open, {"sessions":[...],
 * "sessions_left_out":N}. */
#include "admin/admin_internal.h"

#define LIMIT_DEFAULT 1000
#define LIMIT_MAX 1000000

static void collected(void *arg, const struct census_answer *answer)
{
    struct exchange *e = arg;
    struct buf body = {0};
    bool ok = answer->json != NULL && buf_printf(&body, "{\"sessions\":") &&
              buf_append(&body, answer->json, answer->len) &&
              buf_printf(&body, ",\"sessions_left_out\":%zu}\n", answer->left_out);
    admin_answer(e, ok, TYPE_JSON, &body);
}

void admin_sessions(struct exchange *e, const struct request *request)
{
    struct admin *a = exchange_arg(e);
    struct err err;
    uint64_t limit;
    if (request_number(request, "limit", LIMIT_MAX, LIMIT_DEFAULT, &limit, &err))
        door_sessions(a->door, (size_t)limit, collected, e);
    else
        exchange_refuse(e, 400, err.text);
}
