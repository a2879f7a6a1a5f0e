/* SPDX-License-Identifier: Apache-2.0 */
#include "dns/rdata.h"

#include <string.h>

#include "base/check.h"
#include "dns/wire.h"

#define TEXT_MAX 255
#define PROTOCOL_MAX 255

int dns_rdata_txt(struct buf *out, const char *text, struct err *err)
{
    size_t len = strlen(text);
    uint8_t head = (uint8_t)len;
    if (len > TEXT_MAX)
        return err_set(err, "a text of more than %d bytes", TEXT_MAX);
    CHECK(buf_append(out, &head, 1) && buf_append(out, text, len));
    return 0;
}

static int put_alpn(struct buf *out, const char *alpn, struct err *err)
{
    /* A length before each takes the place of the comma behind it. */
    CHECK(buf_append_uint(out, 2, DNS_PARAM_ALPN) && buf_append_uint(out, 2, strlen(alpn) + 1));
    for (const char *p = alpn;; p++) {
        size_t len = strcspn(p, ",");
        uint8_t head = (uint8_t)len;
        if (len == 0 || len > PROTOCOL_MAX)
            return err_set(err, "'%s': expected protocols of 1 to %d bytes, apart by ','", alpn,
                           PROTOCOL_MAX);
        CHECK(buf_append(out, &head, 1) && buf_append(out, p, len));
        p += len;
        if (*p == '\0')
            return 0;
    }
}

int dns_rdata_https(struct buf *out, const char *alpn, struct cursor ech, struct err *err)
{
    CHECK(buf_append_uint(out, 2, 1)); /* priority: not an alias */
    CHECK(buf_append(out, "", 1));     /* target: the name itself */
    if (*alpn != '\0' && put_alpn(out, alpn, err) != 0)
        return -1;
    CHECK(buf_append_uint(out, 2, DNS_PARAM_ECH) && buf_append_uint(out, 2, cursor_left(&ech)) &&
          buf_append(out, ech.p, cursor_left(&ech)));
    return 0;
}

void dns_rdata_https_text(struct buf *out, const char *alpn, const char *ech)
{
    CHECK(buf_printf(out, "1 . "));
    CHECK(*alpn == '\0' || buf_printf(out, "alpn=\"%s\" ", alpn));
    CHECK(buf_printf(out, "ech=%s", ech));
}
