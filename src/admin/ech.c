/* SPDX-License-Identifier: Apache-2.0 */
/* GET /ech: the public name, the ECHConfigList that is offered, and the keys that open: {"ech":{...}}, or
 * {"ech":null}. */
#include "admin/admin_internal.h"
#include "base/base64.h"
#include "base/clock.h"
#include "ech/ring.h"
#include "session/door.h"
#include "session/snapshot.h"

static bool put_time(struct buf *b, const char *key, int64_t seconds)
{
    char text[CLOCK_TEXT_MAX];
    return buf_printf(b, ",\"%s\":\"%s\"", key, clock_format(seconds * NSEC_PER_SEC, text));
}

static bool put_keys(struct buf *b, const struct ech_ring *ring)
{
    struct ech_ring_key keys[ECH_KEYS_MAX];
    size_t n = ech_ring_list(ring, clock_wall() / NSEC_PER_SEC, keys);
    bool ok = buf_printf(b, "\"keys\":[");
    for (size_t i = 0; i < n && ok; i++)
        ok = buf_printf(b, "%s{\"id\":%u,\"offered\":%s", i > 0 ? ",\n" : "", keys[i].id,
                        keys[i].offered ? "true" : "false") &&
             put_time(b, "from", keys[i].from) && put_time(b, "until", keys[i].until) &&
             put_time(b, "opens_until", keys[i].opens_until) && buf_append(b, "}", 1);
    return ok && buf_append(b, "]", 1);
}

static bool put_ring(struct buf *b, const struct config_ech *config, const struct ech_ring *ring)
{
    struct cursor list = ech_keys_offered(ech_ring_keys(ring));
    return buf_printf(b, "{\"public_name\":") && admin_json_text(b, config->public_name.text) &&
           buf_printf(b, ",\"keep\":%lld,\"config\":\"", (long long)(config->keep / NSEC_PER_SEC)) &&
           base64_put(b, list.p, cursor_left(&list)) && buf_printf(b, "\",") && put_keys(b, ring) &&
           buf_append(b, "}", 1);
}

void admin_ech(struct exchange *e, const struct request *request)
{
    const struct admin *a = exchange_arg(e);
    const struct snapshot *snap = door_snapshot(a->door);
    struct buf body = {0};
    (void)request;
    bool ok =
        buf_printf(&body, "{\"ech\":") &&
        (snap->ech == NULL ? buf_printf(&body, "null") : put_ring(&body, snap->config->ech, snap->ech)) &&
        buf_printf(&body, "}\n");
    admin_answer(e, ok, TYPE_JSON, &body);
}
