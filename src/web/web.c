/* SPDX-License-Identifier: Apache-2.0 */
#include "web/web.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/check.h"

#define TYPE_TEXT "text/plain; charset=utf-8"

const char *web_phrase(unsigned status)
{
    static const struct {
        unsigned status;
        const char *phrase;
    } rows[] = {
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {303, "See Other"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {417, "Expectation Failed"},
        {422, "Unprocessable Content"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].status == status)
            return rows[i].phrase;
    return ""; /* which RFC 9112, 4, lets be empty */
}

/* ---- making one ---- */

/* What is behind `from` becomes one line. */
static void one_line(struct buf *b, size_t from)
{
    for (size_t i = from; i < b->len; i++)
        if ((b->data[i] < 0x20 && b->data[i] != '\t') || b->data[i] == 0x7f)
            b->data[i] = '?';
}

void web_answer_field(struct web_answer *a, const char *name, const char *fmt, ...)
{
    size_t from = a->fields.len;
    va_list ap;
    va_start(ap, fmt);
    CHECK(buf_printf(&a->fields, "%s: ", name) && buf_vprintf(&a->fields, fmt, ap));
    va_end(ap);
    one_line(&a->fields, from);
    CHECK(buf_append(&a->fields, "\r\n", 2));
}

void web_answer_text(struct web_answer *a, unsigned status, const char *fmt, ...)
{
    va_list ap;
    a->status = status;
    a->type = TYPE_TEXT;
    a->body.len = 0;
    va_start(ap, fmt);
    CHECK(buf_vprintf(&a->body, fmt, ap));
    va_end(ap);
    one_line(&a->body, 0);
    CHECK(buf_append(&a->body, "\n", 1));
}

void web_answer_not_allowed(struct web_answer *a, const char *allow)
{
    web_answer_text(a, 405, "this path takes %s only", allow);
    web_answer_field(a, "Allow", "%s", allow);
}

void web_answer_free(struct web_answer *a)
{
    buf_free(&a->fields);
    buf_free(&a->body);
    *a = (struct web_answer){0};
}

/* ---- writing it ---- */

/* A field with an IMF-fixdate (RFC 9110, 5.6.7). Not by strftime(3), whose names depend on the locale. */
static bool put_date(struct buf *out, const char *name, int64_t at)
{
    static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    struct tm tm;
    time_t t = (time_t)at;
    CHECK(gmtime_r(&t, &tm) != NULL);
    return buf_printf(out, "%s: %s, %02d %s %04d %02d:%02d:%02d GMT\r\n", name, days[tm.tm_wday], tm.tm_mday,
                      months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

void web_answer_date(struct web_answer *a, const char *name, int64_t at)
{
    CHECK(put_date(&a->fields, name, at));
}

/* Those have no content, and say nothing of its length (RFC 9110, 8.6; of 304 it would be another's). */
static bool is_bare(unsigned status)
{
    return status == 204 || status == 304;
}

static bool put_head(const struct web_answer *a, const struct web_framing *how, struct buf *out)
{
    bool ok = buf_printf(out, "HTTP/1.1 %u %s\r\n", a->status, web_phrase(a->status)) &&
              put_date(out, "Date", how->now);
    if (!is_bare(a->status))
        ok = ok && buf_printf(out, "Content-Length: %zu\r\n", a->type == NULL ? (size_t)0 : a->body.len);
    if (!is_bare(a->status) && a->type != NULL)
        ok = ok && buf_printf(out, "Content-Type: %s\r\n", a->type);
    if (how->closes)
        ok = ok && buf_printf(out, "Connection: close\r\n");
    return ok && buf_append(out, a->fields.data, a->fields.len) && buf_append(out, "\r\n", 2);
}

bool web_answer_write(const struct web_answer *a, const struct web_framing *how, struct buf *out)
{
    size_t from = out->len;
    bool ok = put_head(a, how, out);
    if (!how->head_only && !is_bare(a->status) && a->type != NULL)
        ok = ok && buf_append(out, a->body.data, a->body.len);
    if (!ok)
        out->len = from;
    return ok;
}
