/* SPDX-License-Identifier: Apache-2.0 */
/* http1/http1_link.h: what the backend reads does not depend on how the client's bytes were cut; read again,
 * as a backend would, it has what the door tells once in each head and nothing in its stead. Input: the
 * client's bytes, and behind a line with two NUL the backend's. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "http1/http1_link.h"
#include "http1/response.h"
#include "link/mem_link.h"

#define TOLD "Client-Cert: :QQ==:\r\n"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void tell(void *arg, struct buf *out)
{
    (void)arg;
    CHECK(buf_append(out, TOLD, strlen(TOLD)));
}

static void tell_nothing(void *arg, struct buf *out)
{
    (void)arg;
    (void)out;
}

static void drain(struct link *l, struct buf *out)
{
    uint8_t piece[777];
    size_t n;
    while (link_read(l, piece, sizeof(piece), &n) == LINK_OK)
        CHECK(n > 0 && buf_append(out, piece, n));
}

static void write_all(struct link *l, const uint8_t *data, size_t len)
{
    size_t n;
    if (len > 0)
        CHECK(link_write(l, data, len, &n) == LINK_OK && n == len);
}

/* What the backend reads before and after its answers, `step` bytes of the client's at a time. */
static struct buf carry(struct str client, struct str backend, size_t step, rewrite_tell_fn *fn)
{
    struct link *lower, *peer;
    struct buf got = {0};
    mem_link_pair(1 << 24, &lower, &peer);
    struct link *top = http1_link_new(lower, (struct str){0}, fn, NULL);
    for (size_t n = 0; n < client.len; n += step) {
        write_all(peer, (const uint8_t *)client.p + n, MIN(step, client.len - n));
        drain(top, &got);
    }
    write_all(top, (const uint8_t *)backend.p, backend.len);
    drain(top, &got);
    link_close(top, false);
    link_close(peer, false);
    return got;
}

/* Every head in what the backend has read, as long as it is requests. */
static void check_heads(struct buf *read)
{
    struct buf out = {0};
    struct rewritten r;
    size_t scanned = 0;
    if (rewrite_head(read->data, read->len, true, &scanned, tell_nothing, NULL, &out, &r) != REWRITE_DONE) {
        buf_free(&out);
        return;
    }
    /* Without the door's own line it is what a second door would make of it. */
    CHECK(out.len + strlen(TOLD) == r.used);
    CHECK(memmem(read->data, r.used, "\r\n" TOLD "\r\n", strlen(TOLD) + 4) != NULL);
    buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const uint8_t *mark = len == 0 ? NULL : memmem(data, len, "\0\0\n", 3);
    size_t first = mark == NULL ? len : (size_t)(mark - data);
    struct str client = {(const char *)data, first}, backend = {0};
    if (mark != NULL)
        backend = (struct str){(const char *)mark + 3, len - first - 3};
    struct buf whole = carry(client, backend, MAX(client.len, (size_t)1), tell);
    struct buf bytes = carry(client, backend, 1, tell);
    CHECK(whole.len == bytes.len && (whole.len == 0 || memcmp(whole.data, bytes.data, whole.len) == 0));
    check_heads(&whole);
    struct responses follow = {0};
    responses_feed(&follow, data, len);
    responses_free(&follow);
    buf_free(&whole);
    buf_free(&bytes);
    return 0;
}
