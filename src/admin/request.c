/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/request.h"

#include <string.h>

#include "audit/record.h"
#include "base/str.h"
#include "http1/field.h"

static enum request_status refuse(struct request *ret, unsigned status, struct err *err, const char *why)
{
    ret->bad = status;
    err_set(err, "%s", why);
    return REQUEST_BAD;
}

/* `GET /path?query`. */
static enum request_status take_target(const struct head *h, struct request *ret, struct err *err)
{
    struct str path, query = h->target;
    if (!str_copy(ret->method, sizeof(ret->method), h->method.p, h->method.len))
        return refuse(ret, 501, err, "no such method");
    if (!head_is_origin_form(h->target))
        return refuse(ret, 400, err, "the target of the request is not a path");
    if (!field_split(&query, '?', &path)) {
        path = h->target;
        query.len = 0;
    }
    if (!str_copy(ret->path, sizeof(ret->path), path.p, path.len) ||
        !str_copy(ret->query, sizeof(ret->query), query.p, query.len))
        return refuse(ret, 414, err, "the target of the request is too long");
    return REQUEST_READ;
}

enum request_status request_read(const uint8_t *data, size_t len, struct request *ret, struct err *err)
{
    struct head h;
    *ret = (struct request){.bad = 0};
    head_begin(&h, data, len);
    enum head_status s = head_request_line(&h, err);
    if (s == HEAD_READ && take_target(&h, ret, err) != REQUEST_READ)
        return REQUEST_BAD;
    if (s == HEAD_READ)
        s = head_fields(&h, err);
    ret->bad = h.bad;
    return s == HEAD_READ ? REQUEST_READ : s == HEAD_MORE ? REQUEST_MORE : REQUEST_BAD;
}

bool request_number(const struct request *r, const char *key, uint64_t max, uint64_t otherwise, uint64_t *ret,
                    struct err *err)
{
    size_t n = strlen(key);
    *ret = otherwise;
    if (r->query[0] == '\0')
        return true;
    if (strncmp(r->query, key, n) == 0 && r->query[n] == '=' && str_u64(r->query + n + 1, max, ret) &&
        *ret > 0)
        return true;
    err_set(err, "the query must be %s=N with N from 1 to %llu", key, (unsigned long long)max);
    return false;
}

bool request_id(const struct request *r, uint64_t *ret, struct err *err)
{
    if (strncmp(r->query, "id=", 3) == 0 && audit_id_parse(r->query + 3, ret))
        return true;
    err_set(err, "the query must be id=ID, with the id of a connection as /sessions has it");
    return false;
}
