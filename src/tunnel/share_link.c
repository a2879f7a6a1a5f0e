/* SPDX-License-Identifier: Apache-2.0 */
#include "tunnel/share_link.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clean.h"
#include "link/fd_link.h"

#define SHARE_MAGIC 0x5a4e1100u

struct share_link {
    struct link link;
    uint32_t magic;
    struct link *lower;
    uint8_t head[SHARE_HEAD]; /* of the next frame, as far as it is here */
    size_t head_len;
    enum share_kind kind; /* of the frame at hand */
    size_t left;          /* bytes of it that are still to be read */
    bool ended;           /* the other side has ended its direction */
    bool end_sent;
    bool may_speak;  /* the other side has said so */
    struct buf text; /* of a frame that says why */
    bool text_whole;
    char clean[ERR_TEXT_MAX];
    struct buf out; /* frames that the socket has not taken yet */
};

/* ---- heads ---- */

static bool may_be(enum share_kind kind, size_t len)
{
    switch (kind) {
    case SHARE_DATA:
        return len > 0 && len <= SHARE_DATA_MAX;
    case SHARE_END:
    case SHARE_SPEAK:
        return len == 0;
    case SHARE_FAILED:
        return len > 0 && len <= SHARE_TEXT_MAX;
    default:
        return false;
    }
}

enum share_kind share_head_read(const uint8_t head[SHARE_HEAD], size_t *ret_len)
{
    size_t len = (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
    if (head[0] >= SHARE_BAD || !may_be((enum share_kind)head[0], len))
        return SHARE_BAD;
    *ret_len = len;
    return (enum share_kind)head[0];
}

void share_head_write(uint8_t head[SHARE_HEAD], enum share_kind kind, size_t len)
{
    CHECK(may_be(kind, len));
    head[0] = (uint8_t)kind;
    head[1] = (uint8_t)(len >> 16);
    head[2] = (uint8_t)(len >> 8);
    head[3] = (uint8_t)len;
}

/* ---- the link ---- */

static struct share_link *share_of(struct link *l)
{
    struct share_link *s = CONTAINER_OF(l, struct share_link, link);
    CHECK_MAGIC(s, SHARE_MAGIC);
    return s;
}

static enum link_status broken(struct share_link *s)
{
    return link_fail(&s->link, link_error(s->lower));
}

static enum link_status share_open(struct link *l)
{
    struct share_link *s = share_of(l);
    return link_open(s->lower) == LINK_ERROR ? broken(s) : LINK_OK;
}

/* Read into `buf` at most the rest of the frame, and behind it the next head. *ret_n: of the frame. */
static enum link_status read_frame(struct share_link *s, uint8_t *buf, size_t cap, size_t *ret_n)
{
    size_t n = 0;
    enum link_status status = link_read(s->lower, buf, MIN(cap, s->left + SHARE_HEAD), &n);
    if (status != LINK_OK)
        return status;
    *ret_n = MIN(n, s->left);
    s->left -= *ret_n;
    s->head_len = n - *ret_n;
    memcpy(s->head, buf + *ret_n, s->head_len);
    return LINK_OK;
}

static enum link_status read_head(struct share_link *s)
{
    while (s->head_len < SHARE_HEAD) {
        size_t n = 0;
        enum link_status status = link_read(s->lower, s->head + s->head_len, SHARE_HEAD - s->head_len, &n);
        if (status != LINK_OK)
            return status;
        s->head_len += n;
    }
    s->head_len = 0;
    s->kind = share_head_read(s->head, &s->left);
    if (s->kind == SHARE_BAD)
        return link_fail(&s->link, "not a frame of cardea");
    s->ended = s->ended || s->kind == SHARE_END;
    s->may_speak = s->may_speak || s->kind == SHARE_SPEAK;
    return LINK_OK;
}

static enum link_status read_text(struct share_link *s)
{
    while (s->left > 0) {
        size_t n = 0;
        CHECK(buf_reserve(&s->text, s->left));
        enum link_status status = link_read(s->lower, s->text.data + s->text.len, s->left, &n);
        if (status != LINK_OK)
            return status;
        s->text.len += n;
        s->left -= n;
    }
    s->text_whole = true;
    return link_fail(&s->link, "the carrier failed");
}

/* What the socket says in the middle of something, or instead of an end. */
static enum link_status stopped(struct share_link *s, enum link_status status)
{
    if (status == LINK_AGAIN || s->link.error != NULL)
        return status;
    return status == LINK_EOF ? link_fail(&s->link, "cut off") : broken(s);
}

static enum link_status share_read(struct link *l, void *buf, size_t cap, size_t *ret_n)
{
    struct share_link *s = share_of(l);
    enum link_status status = LINK_OK;
    while (status == LINK_OK && s->link.error == NULL) {
        if (s->left == 0 && s->kind == SHARE_END)
            return LINK_EOF;
        if (s->left > 0 && s->kind == SHARE_DATA) {
            status = read_frame(s, buf, cap, ret_n);
            if (status == LINK_OK && *ret_n > 0)
                return LINK_OK;
        } else {
            status = s->left > 0 ? read_text(s) : read_head(s);
        }
    }
    return status == LINK_OK ? LINK_ERROR : stopped(s, status);
}

/* A whole frame; what the socket does not take waits. */
static enum link_status write_frame(struct share_link *s, enum share_kind kind, const void *data, size_t len)
{
    uint8_t frame[SHARE_HEAD + SHARE_DATA_MAX];
    size_t done = 0, all = SHARE_HEAD + len;
    enum link_status status = LINK_OK;
    share_head_write(frame, kind, len);
    if (len > 0)
        memcpy(frame + SHARE_HEAD, data, len);
    while (done < all && status == LINK_OK) {
        size_t n = 0;
        status = link_write(s->lower, frame + done, all - done, &n);
        done += status == LINK_OK ? n : 0;
    }
    if (status == LINK_AGAIN)
        CHECK(buf_append(&s->out, frame + done, all - done));
    return status == LINK_AGAIN ? LINK_OK : status;
}

static enum link_status share_write(struct link *l, const void *buf, size_t len, size_t *ret_n)
{
    struct share_link *s = share_of(l);
    CHECK(!s->end_sent);
    if (l->error != NULL)
        return LINK_ERROR;
    enum link_status status = link_write_buf(s->lower, &s->out);
    if (status == LINK_OK) {
        *ret_n = MIN(len, (size_t)SHARE_DATA_MAX);
        status = write_frame(s, SHARE_DATA, buf, *ret_n);
    }
    return status == LINK_ERROR ? broken(s) : status;
}

static enum link_status share_shutdown(struct link *l, bool closing)
{
    struct share_link *s = share_of(l);
    (void)closing;
    if (l->error != NULL)
        return LINK_ERROR;
    enum link_status status = link_write_buf(s->lower, &s->out);
    if (status == LINK_OK && !s->end_sent) {
        s->end_sent = true;
        status = write_frame(s, SHARE_END, NULL, 0);
        if (status == LINK_OK)
            status = link_write_buf(s->lower, &s->out);
    }
    return status == LINK_ERROR ? broken(s) : status;
}

static void share_close(struct link *l, bool abort)
{
    struct share_link *s = share_of(l);
    if (!abort && l->error == NULL)
        share_shutdown(l, true);
    link_write_buf(s->lower, &s->out);
    link_close(s->lower, abort);
    buf_free(&s->out);
    buf_free(&s->text);
    s->magic = 0;
    free(s);
}

static int share_socket(const struct link *l)
{
    const struct share_link *s = (const struct share_link *)(const void *)l;
    return link_socket(s->lower);
}

static const struct link_ops share_ops = {
    .name = "shared carrier",
    .open = share_open,
    .read = share_read,
    .write = share_write,
    .shutdown = share_shutdown,
    .close = share_close,
    .socket = share_socket,
};

static void on_lower_wake(struct link *lower)
{
    struct share_link *s = lower->owner;
    CHECK_MAGIC(s, SHARE_MAGIC);
    link_write_buf(s->lower, &s->out);
    link_wake(&s->link);
}

struct link *share_link_new(struct loop *loop, int fd)
{
    struct share_link *s = calloc(1, sizeof(*s));
    CHECK(s != NULL);
    s->lower = fd_link_socket(loop, fd, false);
    if (s->lower == NULL) {
        free(s);
        return NULL;
    }
    s->link.ops = &share_ops;
    s->magic = SHARE_MAGIC;
    s->lower->wake = on_lower_wake;
    s->lower->owner = s;
    return &s->link;
}

void share_link_fail(struct link *l, const char *text)
{
    struct share_link *s = share_of(l);
    size_t len = strnlen(text, SHARE_TEXT_MAX);
    if (len == 0 || s->out.len > 0 || l->error != NULL)
        return;
    write_frame(s, SHARE_FAILED, text, len);
    link_fail(l, "given up");
}

void share_link_let_speak(struct link *l)
{
    struct share_link *s = share_of(l);
    if (l->error == NULL)
        write_frame(s, SHARE_SPEAK, NULL, 0);
}

bool share_link_may_speak(const struct link *l)
{
    const struct share_link *s = (const struct share_link *)(const void *)l;
    return s->may_speak;
}

/* Pass over what comes before the text: who asks for it takes no bytes any more. */
static void look_for_text(struct share_link *s)
{
    uint8_t dropped[4096];
    size_t n;
    if (s->text_whole)
        return;
    s->link.error = NULL;
    for (int part = 0; part < 2; part++) { /* up to the end of the bytes, and what is behind it */
        if (s->kind == SHARE_END)
            s->kind = SHARE_DATA;
        while (share_read(&s->link, dropped, sizeof(dropped), &n) == LINK_OK)
            ;
    }
    link_fail(&s->link, "cut off");
}

const char *share_link_text(struct link *l)
{
    struct share_link *s = share_of(l);
    look_for_text(s);
    if (!s->text_whole)
        return NULL;
    str_clean(s->clean, sizeof(s->clean), buf_text(&s->text));
    return s->clean;
}
