/* SPDX-License-Identifier: Apache-2.0 */
/* GET /ca: {"root":{"not_after":SECONDS,"ending":BOOL},"intermediate":{...}}, or {} where the door has no CA;
 * and the same as metrics. */
#include <time.h>

#include "admin/admin_internal.h"
#include "ca/publish.h"

static bool ends(const struct admin *a, struct ca_end *root, struct ca_end *intermediate)
{
    return a->ca_ends != NULL && a->ca_ends(a->ca_ends_arg, root, intermediate);
}

static bool put_end(struct buf *b, const char *name, const struct ca_end *end)
{
    return buf_printf(b, "\"%s\":{\"not_after\":%lld,\"ending\":%s}", name, (long long)end->at,
                      time(NULL) > end->due ? "true" : "false");
}

void admin_ca(struct exchange *e, const struct request *request)
{
    const struct admin *a = exchange_arg(e);
    struct ca_end root, intermediate;
    struct buf body = {0};
    (void)request;
    bool ok = buf_append(&body, "{", 1);
    if (ends(a, &root, &intermediate))
        ok = ok && put_end(&body, "root", &root) && buf_append(&body, ",", 1) &&
             put_end(&body, "intermediate", &intermediate);
    admin_answer(e, ok && buf_append(&body, "}\n", 2), TYPE_JSON, &body);
}

bool admin_ca_metrics(struct buf *b, const struct admin *a)
{
    struct ca_end root, intermediate;
    if (!ends(a, &root, &intermediate))
        return true;
    return admin_gauge(b, "ca_not_after_seconds",
                       "When the certificates of the door's CA expire, since 1970") &&
           buf_printf(b,
                      "cardea_ca_not_after_seconds{certificate=\"root\"} %lld\n"
                      "cardea_ca_not_after_seconds{certificate=\"intermediate\"} %lld\n",
                      (long long)root.at, (long long)intermediate.at);
}
