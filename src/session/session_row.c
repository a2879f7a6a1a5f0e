/* SPDX-License-Identifier: Apache-2.0 */
#include "session/session_row.h"

#include <string.h>

#include "audit/record.h"
#include "base/clock.h"

static bool put_text(struct buf *out, const char *key, struct str text)
{
    return buf_printf(out, ",\"%s\":", key) && str_json(out, text.p, text.len);
}

static bool put_end(struct buf *out, const struct session_row *row)
{
    return row->reason == NULL || (buf_printf(out, ",\"reason\":\"%s\"", row->reason) &&
                                   put_text(out, "detail", (struct str){row->detail, strlen(row->detail)}));
}

bool session_row_json(const struct session_row *row, struct buf *out)
{
    char id[AUDIT_ID_MAX], from[NET_ADDR_TEXT_MAX];
    return buf_printf(out, "{\"id\":\"%s\",\"peer\":\"%s\",\"state\":\"%s\",\"transport\":\"%s\"",
                      audit_id_text(row->id, id), net_addr_format(row->peer, from), row->state,
                      row->transport) &&
           (row->carrier == 0 || buf_printf(out, ",\"carrier\":\"%s\"", audit_id_text(row->carrier, id))) &&
           (!row->carries || buf_printf(out, ",\"streams\":%zu", row->streams)) &&
           (!row->denied || buf_printf(out, ",\"denied\":true")) && put_text(out, "route", row->route) &&
           put_text(out, "sni", row->sni) && put_text(out, "identity", row->identity) &&
           put_text(out, "target", row->target) && put_end(out, row) &&
           buf_printf(out, ",\"in\":%llu,\"out\":%llu,\"seconds\":%.3f}", (unsigned long long)row->in,
                      (unsigned long long)row->out, (double)row->age / NSEC_PER_SEC);
}
