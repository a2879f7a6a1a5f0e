/* SPDX-License-Identifier: Apache-2.0 */
/* GET /whois?id=ID and GET /whois?from=ADDRESS:PORT: who is on the other end of a connection,
 * {"connections":[...]}. */
#include <string.h>

#include "admin/admin_internal.h"
#include "audit/record.h"
#include "base/hostport.h"

static void told(void *arg, const char *json, size_t count)
{
    (void)count;
    struct exchange *e = arg;
    struct buf body = {0};
    admin_answer(e, json != NULL && buf_printf(&body, "{\"connections\":%s}\n", json), TYPE_JSON, &body);
}

static bool read_query(const struct request *request, struct whois_query *ret)
{
    char host[HOST_MAX];
    uint16_t port;
    const char *from = request->query + strlen("from=");
    *ret = (struct whois_query){0};
    if (strncmp(request->query, "id=", 3) == 0)
        return audit_id_parse(request->query + 3, &ret->id) && ret->id != 0;
    return strncmp(request->query, "from=", 5) == 0 &&
           str_host_port(from, strlen(from), host, &port, NULL) == 0 &&
           net_addr_parse(host, port, &ret->from);
}

void admin_whois(struct exchange *e, const struct request *request)
{
    struct admin *a = exchange_arg(e);
    struct whois_query query;
    if (read_query(request, &query))
        door_whois(a->door, &query, told, e);
    else
        exchange_refuse(e, 400,
                        "the query must be id=ID, with the id of a connection as the audit line has it, or "
                        "from=ADDRESS:PORT, with the address that its backend sees");
}
