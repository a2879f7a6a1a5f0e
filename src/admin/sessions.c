/* SPDX-License-Identifier: Apache-2.0 */
/* GET /sessions?limit=N: the connections that are open, {"sessions":[...]}. */
#include "admin/admin_internal.h"

#define LIMIT_DEFAULT 1000
#define LIMIT_MAX 1000000

static void collected(void *arg, const char *json, size_t len)
{
    struct exchange *e = arg;
    struct buf body = {0};
    bool ok =
        buf_printf(&body, "{\"sessions\":") && buf_append(&body, json, len) && buf_append(&body, "}\n", 2);
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
