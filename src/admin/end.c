/* SPDX-License-Identifier: Apache-2.0 */
/* POST /end?id=ID: ends the open connection of that id, and what travels on it: {"ended":N}. */
#include "admin/admin_internal.h"

static void ended(void *arg, size_t count)
{
    struct exchange *e = arg;
    struct buf body = {0};
    admin_answer(e, buf_printf(&body, "{\"ended\":%zu}\n", count), TYPE_JSON, &body);
}

void admin_end(struct exchange *e, const struct request *request)
{
    struct admin *a = exchange_arg(e);
    struct err err;
    uint64_t id;
    if (request_id(request, &id, &err))
        door_end(a->door, id, ended, e);
    else
        exchange_refuse(e, 400, err.text);
}
