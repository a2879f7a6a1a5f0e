/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

static int append(const char *text, size_t len, void *arg)
{
    return buf_append(arg, text, len) ? 0 : -1;
}

bool buf_json(struct buf *b, const json_t *value)
{
    const size_t before = b->len;
    if (value != NULL && json_dump_callback(value, append, b, JSON_COMPACT | JSON_ENCODE_ANY) == 0)
        return true;
    b->len = before;
    return false;
}
