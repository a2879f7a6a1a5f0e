/* SPDX-License-Identifier: Apache-2.0 */
/* URI templates of proxies: what comes of one has no braces left, and is long only as it says. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/doh.h"
#include "base/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf template = {0}, url = {0};
    struct err err = {""};
    CHECK(buf_append(&template, "https://", 8) && buf_append(&template, data, size));
    const struct doh_resolver r = {.url = "https://dns.test/q", .proxy = buf_text(&template), .configs = "k"};
    if (doh_put_proxy_url(&r, &url, &err) == 0)
        CHECK(url.len >= 8 && memchr(url.data, '{', url.len) == NULL &&
              memchr(url.data, '}', url.len) == NULL);
    else
        CHECK(err.text[0] != '\0');
    buf_free(&template);
    buf_free(&url);
    return 0;
}
