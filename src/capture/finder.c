/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/finder.h"

#include <string.h>

#include "base/check.h"
#include "hello/first_bytes.h"
#include "net/proxy_protocol.h"

#define PROBE 7u /* bytes by which a beginning is known: a record's header and two of its content */
#define SSL_REQUEST 8u

#define RECORD_ALERT 21
#define RECORD_HANDSHAKE 22
#define CLIENT_HELLO 1
#define SERVER_HELLO 2

struct finder finder_start(bool seen_all)
{
    /* FINDER_TRIES with nothing held: the first bytes may be a PROXY header. */
    return (struct finder){.state = seen_all ? FINDER_TRIES : FINDER_SEEKS, .found = FINDER_SEEKS};
}

/* Beginnings ----------------------------------------------------------------------------------------- */

enum beginning { BEGINS_NOTHING, BEGINS_MORE, BEGINS_HELLO, BEGINS_ANSWER, BEGINS_PROXY, BEGINS_POSTGRES };

/* TLS: what the first record's header and the first byte behind it say. */
static enum beginning tls_beginning(const uint8_t *p, size_t len)
{
    size_t n = MIN(len, PROBE);
    bool handshake = p[0] == RECORD_HANDSHAKE, alert = p[0] == RECORD_ALERT;
    if ((!handshake && !alert) || (n > 1 && p[1] != 3) || (n > 2 && p[2] > 4))
        return BEGINS_NOTHING;
    if (n < 6)
        return BEGINS_MORE;
    unsigned size = (unsigned)p[3] << 8 | p[4];
    if (alert) {
        if (size != 2 || (p[5] != 1 && p[5] != 2))
            return BEGINS_NOTHING;
        return n < PROBE ? BEGINS_MORE : BEGINS_ANSWER;
    }
    if (size == 0 || size > 1u << 14)
        return BEGINS_NOTHING;
    return p[5] == CLIENT_HELLO ? BEGINS_HELLO : p[5] == SERVER_HELLO ? BEGINS_ANSWER : BEGINS_NOTHING;
}

/* A PROXY header, which only the very first bytes can be; *ret_len is its length. */
static enum beginning proxy_beginning(struct finder *f, size_t *ret_len)
{
    struct proxy_header h;
    switch (proxy_protocol_read(f->held.data, f->held.len, PROXY_V2_MAX, &h)) {
    case PROXY_MORE:
        return BEGINS_MORE;
    case PROXY_DONE:
        f->proxy = h.version;
        f->proxy_from = net_addr_from(&h.src);
        f->proxy_to = net_addr_from(&h.dst);
        *ret_len = h.len;
        return BEGINS_PROXY;
    default:
        return BEGINS_NOTHING;
    }
}

static enum beginning beginning_of(struct finder *f, size_t *ret_len)
{
    const uint8_t *p = f->held.data;
    size_t len = f->held.len;
    enum beginning b = tls_beginning(p, len);
    if (b == BEGINS_NOTHING && f->proxy == 0 && !f->postgres && f->plain == 0)
        b = proxy_beginning(f, ret_len);
    if (b != BEGINS_NOTHING)
        return b;
    enum first_bytes first = first_bytes_read(p, MIN(len, SSL_REQUEST));
    *ret_len = SSL_REQUEST;
    return first == FIRST_BYTES_POSTGRES_TLS                             ? BEGINS_POSTGRES
           : first == FIRST_BYTES_MORE && len < SSL_REQUEST && p[0] == 0 ? BEGINS_MORE
                                                                         : BEGINS_NOTHING;
}

/* Going on ------------------------------------------------------------------------------------------- */

static void end(struct finder *f)
{
    f->state = FINDER_DONE;
    if (f->found != FINDER_HELLO)
        buf_free(&f->held);
}

static void go_on_hello(struct finder *f)
{
    f->result = hello_scan(&f->scan, f->held.data, f->held.len);
    if (f->result != HELLO_MORE)
        end(f);
}

static void go_on_answer(struct finder *f, const uint8_t *data, size_t len)
{
    reply_records(&f->answer, data, len);
    if (f->answer.done)
        end(f);
}

/* What is held is plain text; but the last `fresh` bytes of it, which began a segment, have not been looked
 * at as a beginning of their own. Returns whether they are left to try. */
static bool pass_over(struct finder *f, size_t fresh, size_t most)
{
    size_t old = f->held.len - fresh;
    bool again = old > 0 && fresh > 0;
    f->plain += again ? old : f->held.len;
    buf_consume(&f->held, again ? old : f->held.len);
    f->state = again ? FINDER_TRIES : FINDER_SEEKS;
    if (f->plain > most)
        end(f);
    return again && f->state == FINDER_TRIES;
}

/* Look at what is held until it is known what it begins, or more is needed. */
static void look(struct finder *f, size_t fresh, size_t most)
{
    while (f->state == FINDER_TRIES && f->held.len > 0) {
        size_t len = 0;
        switch (beginning_of(f, &len)) {
        case BEGINS_MORE:
            return;
        case BEGINS_NOTHING:
            if (!pass_over(f, MIN(fresh, f->held.len), most))
                return;
            fresh = 0;
            break;
        case BEGINS_POSTGRES:
            f->postgres = true;
            buf_consume(&f->held, len);
            break;
        case BEGINS_PROXY:
            buf_consume(&f->held, len);
            break;
        case BEGINS_HELLO:
            f->state = f->found = FINDER_HELLO;
            f->scan = hello_scan_start(MIN(most, HELLO_SIZE_MAX));
            go_on_hello(f);
            return;
        case BEGINS_ANSWER:
            f->state = f->found = FINDER_ANSWER;
            go_on_answer(f, f->held.data, f->held.len);
            buf_free(&f->held);
            return;
        }
    }
}

void finder_take(struct finder *f, const uint8_t *data, size_t len, bool begins, size_t most)
{
    if (f->state == FINDER_SEEKS && begins)
        f->state = FINDER_TRIES;
    switch (f->state) {
    case FINDER_DONE:
        return;
    case FINDER_SEEKS:
        f->plain += len;
        if (f->plain > most)
            end(f);
        return;
    case FINDER_ANSWER:
        go_on_answer(f, data, len);
        return;
    case FINDER_TRIES:
    case FINDER_HELLO:
        break;
    }
    f->held.max = most + len; /* hello_scan() refuses what is longer than `most` */
    if (!buf_append(&f->held, data, len))
        end(f);
    else if (f->state == FINDER_HELLO)
        go_on_hello(f);
    else
        look(f, begins ? len : 0, most);
}

void finder_miss(struct finder *f)
{
    if (f->state == FINDER_HELLO || f->state == FINDER_ANSWER)
        end(f);
    else if (f->state == FINDER_TRIES)
        f->state = FINDER_SEEKS;
    if (f->state == FINDER_SEEKS) {
        f->plain += f->held.len;
        buf_consume(&f->held, f->held.len);
    }
}

void finder_free(struct finder *f)
{
    buf_free(&f->held);
    reply_free(&f->answer);
}
