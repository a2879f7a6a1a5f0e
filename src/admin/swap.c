/* SPDX-License-Identifier: Apache-2.0 */
/* POST /certificates/swap?name=NAME, ?ca=CA (its name or URL; of files who has issued them) or ?all: serves
 * the backups instead,
 * {"swapped":N,"left":N}: `left` are those that have none that could be served. Status 409 with {"error":...}
 * where nothing could be.
 */
#include <string.h>

#include "admin/admin_internal.h"

#define VALUE_MAX 1024

static void swapped(void *arg, size_t count, size_t left, const struct err *err)
{
    struct exchange *e = arg;
    struct buf body = {0};
    if (err != NULL)
        admin_refuse(e, err);
    else
        admin_answer(e, buf_printf(&body, "{\"swapped\":%zu,\"left\":%zu}\n", count, left), TYPE_JSON, &body);
}

void admin_swap(struct exchange *e, const struct request *request)
{
    struct admin *a = exchange_arg(e);
    char text[VALUE_MAX];
    bool named = request_value(request, "name", text, sizeof(text));
    bool by_ca = !named && request_value(request, "ca", text, sizeof(text));
    struct err err;
    if (!named && !by_ca && strcmp(request->query, "all") != 0) {
        exchange_refuse(e, 400, "the query must be name=NAME, ca=CA or all");
    } else if (a->swap == NULL) {
        err_set(&err, "the door keeps no backups");
        swapped(e, 0, 0, &err);
    } else {
        a->swap(a->swap_arg, named ? text : NULL, by_ca ? text : NULL, swapped, e);
    }
}
