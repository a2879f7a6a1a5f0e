/* SPDX-License-Identifier: Apache-2.0 */
/* POST /certificates/swap?name=NAME, ?ca=CA (its name or URL) or ?all: serves the backups instead,
 * {"swapped":N,"left":N}: `left` are those that have none that could be served. Status 409 with {"error":...}
 * where nothing could be.
 */
#include <string.h>

#include "admin/admin_internal.h"

static void swapped(void *arg, size_t count, size_t left, const struct err *err)
{
    struct exchange *e = arg;
    struct buf body = {0};
    if (err != NULL)
        admin_refuse(e, err);
    else
        admin_answer(e, buf_printf(&body, "{\"swapped\":%zu,\"left\":%zu}\n", count, left), TYPE_JSON, &body);
}

static const char *value_of(const struct request *r, const char *key)
{
    size_t n = strlen(key);
    return strncmp(r->query, key, n) == 0 && r->query[n] != '\0' ? r->query + n : NULL;
}

void admin_swap(struct exchange *e, const struct request *request)
{
    struct admin *a = exchange_arg(e);
    const char *name = value_of(request, "name="), *ca = value_of(request, "ca=");
    struct err err;
    if (name == NULL && ca == NULL && strcmp(request->query, "all") != 0) {
        exchange_refuse(e, 400, "the query must be name=NAME, ca=CA or all");
    } else if (a->swap == NULL) {
        err_set(&err, "the door keeps no backups");
        swapped(e, 0, 0, &err);
    } else {
        a->swap(a->swap_arg, name, ca, swapped, e);
    }
}
