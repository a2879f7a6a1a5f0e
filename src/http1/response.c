/* SPDX-License-Identifier: Apache-2.0 */
/* The backend is trusted, so its answers are read with less care than requests are; what makes no sense ends
 * the following of them, not the connection. */
#include "http1/response.h"

#include <string.h>

#include "base/check.h"
#include "http1/field.h"
#include "http1/rewrite.h"

void responses_expect(struct responses *r, const struct rewritten *request)
{
    CHECK(r->open < RESPONSES_MAX);
    r->head |= (uint32_t)request->head << r->open;
    r->upgrade |= (uint32_t)request->upgrade << r->open;
    r->open++;
}

static void answered(struct responses *r)
{
    r->state = RESPONSE_HEAD;
    r->begun = false;
    r->line = 0;
    r->head >>= 1;
    r->upgrade >>= 1;
    r->open -= r->open > 0; /* a backend may say by itself that it has waited long enough */
}

/* What a head says of what follows it. */
struct head {
    unsigned status;
    bool chunked, length, coded;
    uint64_t size;
};

static bool read_status(struct str line, unsigned *ret)
{
    if (line.len < 12 || memcmp(line.p, "HTTP/1.", 7) != 0 || line.p[8] != ' ')
        return false;
    *ret = 0;
    for (size_t i = 9; i < 12; i++) {
        if (line.p[i] < '0' || line.p[i] > '9')
            return false;
        *ret = *ret * 10 + (unsigned)(line.p[i] - '0');
    }
    return *ret >= 100;
}

/* The last coding counts (RFC 9112, 6.3). */
static bool ends_chunked(struct str list)
{
    struct str item;
    while (field_split(&list, ',', &item))
        continue;
    return field_name_is(field_trim(list), "chunked");
}

static bool read_field(struct str line, struct head *h)
{
    struct str name, value;
    if (!field_split(&line, ':', &name))
        return true;
    value = field_trim(line);
    if (field_name_is(name, "transfer-encoding")) {
        h->coded = true;
        h->chunked = ends_chunked(value);
    } else if (field_name_is(name, "content-length")) {
        uint64_t size;
        if (!body_length(value, &size) || (h->length && size != h->size))
            return false;
        h->length = true;
        h->size = size;
    }
    return true;
}

/* A line up to its LF; the CR before it is not required. */
static bool next_line(struct str *rest, struct str *ret)
{
    if (!field_split(rest, '\n', ret))
        return false;
    if (ret->len > 0 && ret->p[ret->len - 1] == '\r')
        ret->len--;
    return true;
}

static bool read_head(struct str text, struct head *h)
{
    struct str line;
    if (!next_line(&text, &line) || !read_status(line, &h->status))
        return false;
    while (next_line(&text, &line))
        if (!read_field(line, h))
            return false;
    return true;
}

/* RFC 9112, 6.3. */
static void begin_body(struct responses *r, const struct head *h)
{
    bool first_is_head = (r->head & 1) != 0, none = first_is_head || h->status == 204 || h->status == 304;
    r->state = RESPONSE_BODY;
    r->body = (struct body){.kind = BODY_REST};
    if (none || (!h->coded && h->length && h->size == 0))
        answered(r);
    else if (h->chunked)
        r->body.kind = BODY_CHUNKED;
    else if (h->length && !h->coded)
        r->body = (struct body){.kind = BODY_LENGTH, .left = h->size};
}

static void head_ends(struct responses *r, struct str text)
{
    struct head h = {0};
    if (!read_head(text, &h))
        r->state = RESPONSE_LOST;
    else if (h.status == 101)
        r->state = (r->upgrade & 1) != 0 ? RESPONSE_RAW : RESPONSE_LOST;
    else if (h.status < 200)
        r->begun = false; /* the final one is to come */
    else
        begin_body(r, &h);
}

/* How many bytes of `data` are left until behind the empty line that ends a section; 0: it is not there.
 * `line` counts those of the line at hand, without CR. */
static size_t section_end(size_t *line, const uint8_t *data, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (data[i] == '\n' && *line == 0)
            return i + 1;
        *line = data[i] == '\n' ? 0 : *line + (data[i] != '\r');
    }
    return 0;
}

static size_t feed_trailers(struct responses *r, const uint8_t *data, size_t len)
{
    size_t n = section_end(&r->line, data, len);
    if (n == 0)
        return len;
    answered(r);
    return n;
}

/* A head that comes in one piece is read where it is. */
static size_t feed_head(struct responses *r, const uint8_t *data, size_t len)
{
    size_t n = section_end(&r->line, data, len), part = n > 0 ? n : len;
    struct buf whole = r->partial;
    if (whole.len + part > RESPONSE_HEAD_MAX) {
        r->state = RESPONSE_LOST;
    } else if (n > 0 && whole.len == 0) {
        head_ends(r, (struct str){(const char *)data, n});
    } else {
        CHECK(buf_append(&whole, data, part));
        r->partial = whole;
        if (n == 0)
            return len;
        head_ends(r, (struct str){(const char *)whole.data, whole.len});
        buf_free(&r->partial);
    }
    r->line = 0;
    return part;
}

static size_t feed_body(struct responses *r, const uint8_t *data, size_t len)
{
    size_t n;
    switch (body_feed(&r->body, data, len, &n)) {
    case BODY_MORE:
        return len;
    case BODY_BAD:
        r->state = RESPONSE_LOST;
        return len;
    default:
        if (r->body.kind != BODY_CHUNKED) {
            answered(r);
            return n;
        }
        r->state = RESPONSE_TRAILERS;
        r->line = 0;
        return n;
    }
}

void responses_feed(struct responses *r, const uint8_t *data, size_t len)
{
    for (size_t n = 0; n < len;) {
        if (r->state == RESPONSE_RAW || r->state == RESPONSE_LOST)
            break;
        r->begun = true;
        n += r->state == RESPONSE_BODY   ? feed_body(r, data + n, len - n)
             : r->state == RESPONSE_HEAD ? feed_head(r, data + n, len - n)
                                         : feed_trailers(r, data + n, len - n);
    }
    if (r->state == RESPONSE_RAW || r->state == RESPONSE_LOST)
        buf_free(&r->partial);
}

void responses_free(struct responses *r)
{
    buf_free(&r->partial);
}
