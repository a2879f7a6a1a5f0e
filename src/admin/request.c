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

static int digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* One character of a value; how many it took, 0: it is damaged. No NUL: texts end there. */
static size_t decode(const char *p, size_t left, char *ret)
{
    *ret = *p;
    if (*p != '%')
        return 1;
    if (left < 3 || digit(p[1]) < 0 || digit(p[2]) < 0 || (p[1] == '0' && p[2] == '0'))
        return 0;
    *ret = (char)(digit(p[1]) * 16 + digit(p[2]));
    return 3;
}

static bool take_value(const char *p, size_t len, char *ret, size_t size)
{
    size_t n = 0;
    for (size_t at = 0, took; at < len; at += took) {
        if (n + 1 == size || (took = decode(p + at, len - at, &ret[n])) == 0) {
            ret[0] = '\0';
            return false;
        }
        n++;
    }
    ret[n] = '\0';
    return true;
}

bool request_value(const struct request *r, const char *key, char *ret, size_t size)
{
    size_t n = strlen(key);
    ret[0] = '\0';
    for (const char *p = r->query; *p != '\0';) {
        size_t len = strcspn(p, "&");
        if (len > n && strncmp(p, key, n) == 0 && p[n] == '=')
            return take_value(p + n + 1, len - n - 1, ret, size);
        p += len + (p[len] == '&');
    }
    return false;
}
