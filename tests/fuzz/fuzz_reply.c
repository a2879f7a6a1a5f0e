/* SPDX-License-Identifier: Apache-2.0 */
/* http1/reply.h: what is read of a part, or is bad in it, stays so when more comes, and the end of the
 * connection leaves nothing open. */
#include "base/check.h"
#include "http1/reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define MOST 256

static enum reply_status ask(const uint8_t *data, size_t len, bool ended, unsigned *ret_status)
{
    struct buf content = {0};
    struct err err;
    enum reply_status s = reply_read(data, len, ended, MOST, ret_status, &content, &err);
    CHECK(content.len <= MOST && (s == REPLY_READ || content.len == 0));
    CHECK(s != REPLY_READ || (*ret_status >= 200 && *ret_status <= 999));
    buf_free(&content);
    return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    unsigned status = 0, early_status = 0;
    size_t cut = len > 0 ? data[0] % len : 0;
    enum reply_status early = ask(data, cut, false, &early_status), s = ask(data, len, false, &status);
    CHECK(early == REPLY_MORE || (early == s && (s != REPLY_READ || early_status == status)));
    CHECK(ask(data, len, true, &status) != REPLY_MORE);
    return 0;
}
