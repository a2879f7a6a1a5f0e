/* SPDX-License-Identifier: Apache-2.0 */
/* POST /forget?name=NAME: forgets a name on demand, with its certificates and keys: {"forgotten":N}. */
#include <string.h>

#include "admin/admin_internal.h"
#include "base/hostname.h"

static void forgotten(void *arg, int count, const struct err *err)
{
    struct exchange *e = arg;
    struct buf body = {0};
    if (count < 0)
        exchange_refuse(e, 500, err->text);
    else
        admin_answer(e, buf_printf(&body, "{\"forgotten\":%d}\n", count), TYPE_JSON, &body);
}

void admin_forget(struct exchange *e, const struct request *request)
{
    const struct admin *a = exchange_arg(e);
    const char *name = strncmp(request->query, "name=", 5) == 0 ? request->query + 5 : "";
    if (hostname_check(name, strlen(name)) != HOSTNAME_OK)
        exchange_refuse(e, 400, "the query must be name=NAME, with a DNS name");
    else if (a->demands.forget == NULL)
        forgotten(e, 0, NULL);
    else
        a->demands.forget(a->demands.arg, name, forgotten, e);
}
