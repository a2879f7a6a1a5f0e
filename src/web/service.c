/* SPDX-License-Identifier: Apache-2.0 */
#include "web/service.h"

#include <string.h>

#include "base/check.h"

void web_exchange_text(struct web_exchange *exchange, unsigned status, const char *fmt, ...)
{
    struct buf text = {0};
    struct web_answer answer = {0};
    va_list ap;
    va_start(ap, fmt);
    CHECK(buf_vprintf(&text, fmt, ap));
    va_end(ap);
    web_answer_text(&answer, status, "%.*s", (int)text.len, (const char *)text.data);
    buf_free(&text);
    web_exchange_answer(exchange, &answer);
}

const struct web_service *web_service_find(const struct web_service *const *services, size_t n,
                                           struct str path)
{
    const struct web_service *found = NULL;
    size_t longest = 0;
    for (size_t i = 0; i < n; i++)
        for (const char *const *prefix = services[i]->prefixes; *prefix != NULL; prefix++) {
            size_t len = strlen(*prefix);
            if (len <= longest || path.len < len || memcmp(path.p, *prefix, len) != 0)
                continue;
            longest = len;
            found = services[i];
        }
    return found;
}
