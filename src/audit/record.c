/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/record.h"

#include <string.h>

#include "base/clock.h"

const char *audit_id_text(uint64_t id, char text[AUDIT_ID_MAX])
{
    for (int i = AUDIT_ID_MAX - 2; i >= 0; i--, id >>= 5)
        text[i] = "abcdefghijklmnopqrstuvwxyz234567"[id & 31];
    text[AUDIT_ID_MAX - 1] = '\0';
    return text;
}

static bool text(struct buf *out, const char *key, const char *p, size_t len)
{
    if (p == NULL || len == 0)
        return true;
    return buf_append(out, ",\"", 2) && buf_append(out, key, strlen(key)) && buf_append(out, "\":", 2) &&
           str_json(out, p, len);
}

static bool word(struct buf *out, const char *key, const char *p)
{
    return p == NULL || text(out, key, p, strlen(p));
}

bool audit_format(struct buf *out, const struct audit_record *r)
{
    char when[CLOCK_TEXT_MAX], id[AUDIT_ID_MAX];
    bool ok = buf_printf(out, "{\"time\":\"%s\",\"id\":\"%s\"", clock_format(r->time, when),
                         audit_id_text(r->id, id)) &&
              word(out, "listener", r->listener) && word(out, "peer", r->peer) && word(out, "sni", r->sni) &&
              text(out, "alpn", r->alpn.p, r->alpn.len) && word(out, "route", r->route) &&
              word(out, "action", r->action) && word(out, "version", r->version) &&
              word(out, "group", r->group) && word(out, "cipher", r->cipher);
    if (r->tls)
        ok = ok && buf_printf(out, ",\"resumed\":%s", r->resumed ? "true" : "false");
    ok = ok && word(out, "ja4", r->ja4) && word(out, "identity", r->identity) &&
         word(out, "target", r->target) && word(out, "rule", r->rule) &&
         buf_printf(out, ",\"in\":%llu,\"out\":%llu", (unsigned long long)r->bytes_in,
                    (unsigned long long)r->bytes_out);
    if (r->handshake_ns >= 0)
        ok = ok && buf_printf(out, ",\"handshake_ms\":%.3f", (double)r->handshake_ns / NSEC_PER_MSEC);
    return ok && buf_printf(out, ",\"total_ms\":%.3f", (double)r->total_ns / NSEC_PER_MSEC) &&
           word(out, "reason", close_reason_word(r->reason)) && word(out, "detail", r->detail) &&
           buf_append(out, "}\n", 2);
}
