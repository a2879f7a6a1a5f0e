/* SPDX-License-Identifier: Apache-2.0 */
/* POST /forget?name=NAME: forgets a name on demand, with its certificates and keys: {"forgotten":N,
 * "revoked":N}. With &revoke=1 they are revoked at their CA before; status 409 with {"error":...} where that,
 * or the forgetting, fails. */
#include <string.h>

#include "admin/admin_internal.h"
#include "base/hostname.h"

static void forgotten(void *arg, int count, int revoked, const struct err *err)
{
    struct exchange *e = arg;
    struct buf body = {0};
    if (count < 0)
        admin_refuse(e, err);
    else
        admin_answer(e, buf_printf(&body, "{\"forgotten\":%d,\"revoked\":%d}\n", count, revoked), TYPE_JSON,
                     &body);
}

void admin_forget(struct exchange *e, const struct request *request)
{
    const struct admin *a = exchange_arg(e);
    char name[HOSTNAME_MAX + 1], revoke[2];
    bool revokes = request_value(request, "revoke", revoke, sizeof(revoke));
    if (!request_value(request, "name", name, sizeof(name)) ||
        hostname_check(name, strlen(name)) != HOSTNAME_OK || (revokes && strcmp(revoke, "1") != 0))
        exchange_refuse(e, 400, "the query must be name=NAME, with a DNS name, and perhaps revoke=1");
    else if (a->demands.forget == NULL)
        forgotten(e, 0, 0, NULL);
    else
        a->demands.forget(a->demands.arg, name, revokes, forgotten, e);
}
