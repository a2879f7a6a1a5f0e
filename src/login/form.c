/* SPDX-License-Identifier: Apache-2.0 */
#include "login/form.h"

#include <string.h>

#include "base/base64.h"
#include "base/check.h"
#include "base/json.h"

json_t *form_read(struct str body)
{
    json_t *m = json_loadb(body.p == NULL ? "" : body.p, body.len, JSON_REJECT_DUPLICATES, NULL);
    if (m != NULL && !json_is_object(m)) {
        json_decref(m);
        return NULL;
    }
    return m;
}

bool form_text(const json_t *m, const char *key, size_t max, struct str *ret)
{
    const json_t *value = json_object_get(m, key);
    if (!json_is_string(value))
        return false;
    *ret = (struct str){json_string_value(value), json_string_length(value)};
    return ret->len > 0 && ret->len <= max;
}

bool form_bytes(const json_t *m, const char *key, void *ret, size_t len)
{
    const char *text = json_string_value(json_object_get(m, key));
    return text != NULL && base64_read(text, ret, len);
}

bool form_blob(const json_t *m, const char *key, size_t max, struct buf *ret)
{
    struct str text;
    if (!form_text(m, key, (max + 2) / 3 * 4, &text) || text.len % 4 != 0)
        return false;
    size_t len = text.len / 4 * 3;
    if (text.p[text.len - 1] == '=')
        len -= text.p[text.len - 2] == '=' ? 2 : 1;
    if (len > max || !buf_reserve(ret, len) || !base64_read(text.p, ret->data + ret->len, len))
        return false;
    ret->len += len;
    return true;
}

void form_put_bytes(json_t *m, const char *key, const void *bytes, size_t len)
{
    struct buf b = {0};
    CHECK(base64_put(&b, bytes, len));
    form_put_text(m, key, (const char *)b.data, b.len);
    buf_free(&b);
}

void form_put_text(json_t *m, const char *key, const char *text, size_t len)
{
    CHECK(json_object_set_new(m, key, json_stringn(len > 0 ? text : "", len)) == 0);
}

void form_write(const json_t *m, struct buf *ret)
{
    CHECK(buf_json(ret, m));
}
