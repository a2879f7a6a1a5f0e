/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/wrap_told.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "admin/tell.h"
#include "audit/reason.h"
#include "base/check.h"
#include "base/str.h"

static const struct {
    const char *word, *meaning;
} reasons[] = {
#define X(name, word, end, text) {word, text},
#include "tables/close_reasons.def"
#undef X
};

/* ---- words ---- */

/* What texts call things that the command line has other names for: the bundles and the route by the names
 * that wrap_options.c gives them. */
static const struct {
    const char *from, *to;
} phrases[] = {
    {"trust bundle servers", "--ca"},
    {"trust bundle clients", "--clients"},
    {"the listener needs 'speaks:' and the protocol", "say with --starttls in which"},
    {"the listener needs 'speaks: ", "say '--starttls "},
    {TELL_PROVES_NOTHING, "it proves nothing; say with --expect what it must prove"},
    {" (route wrap)", ""},
    {"; perhaps starttls: ", "; perhaps --starttls "},
    {"leave 'starttls' out", "leave --starttls out"},
};

void wrap_told_put(struct buf *out, const char *text, size_t len)
{
    for (size_t i = 0, k; i < len;) {
        for (k = 0; k < ARRAY_LEN(phrases); k++) {
            size_t n = strlen(phrases[k].from);
            if (n <= len - i && memcmp(text + i, phrases[k].from, n) == 0)
                break;
        }
        if (k < ARRAY_LEN(phrases)) {
            CHECK(buf_append(out, phrases[k].to, strlen(phrases[k].to)));
            i += strlen(phrases[k].from);
        } else {
            CHECK(buf_append(out, text + i++, 1));
        }
    }
}

/* ---- connections ---- */

static const char *meaning_of(const char *reason)
{
    for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
        if (strcmp(reasons[i].word, reason) == 0)
            return reasons[i].meaning;
    return "";
}

/* Texts of strangers are among it: nothing that a terminal would obey. What needs an escape only as JSON has
 * none: a backslash may be one already, of an error's text. */
static void put_safely(struct buf *out, const char *text)
{
    struct buf quoted = {0}, words = {0};
    wrap_told_put(&words, text, strlen(text));
    CHECK(str_json(&quoted, buf_text(&words), words.len));
    for (size_t i = 1; i + 1 < quoted.len; i++) {
        i += quoted.data[i] == '\\' && (quoted.data[i + 1] == '\\' || quoted.data[i + 1] == '"');
        CHECK(buf_append(out, &quoted.data[i], 1));
    }
    buf_free(&quoted);
    buf_free(&words);
}

/* "PEER -> BACKEND: REASON: DETAIL". */
static void tell(const char *line, size_t len)
{
    json_t *o = json_loadb(line, len, 0, NULL);
    const char *reason = json_string_value(json_object_get(o, "reason"));
    const char *peer = json_string_value(json_object_get(o, "peer"));
    const char *backend = json_string_value(json_object_get(o, "backend"));
    const char *detail = json_string_value(json_object_get(o, "detail"));
    if (reason != NULL && strcmp(reason, close_reason_word(CLOSE_DONE)) != 0) {
        struct buf text = {0};
        put_safely(&text, peer != NULL ? peer : "unknown");
        if (backend != NULL) {
            CHECK(buf_printf(&text, " -> "));
            put_safely(&text, backend);
        }
        CHECK(buf_printf(&text, ": %s: ", reason));
        put_safely(&text, detail != NULL ? detail : meaning_of(reason));
        fprintf(stderr, "cardea wrap: %s\n", buf_text(&text));
        buf_free(&text);
    }
    json_decref(o);
}

static void tell_whole_lines(struct wrap_told *t)
{
    for (const uint8_t *end; (end = memchr(t->text.data, '\n', t->text.len)) != NULL;) {
        size_t len = (size_t)(end - t->text.data);
        tell((const char *)t->text.data, len);
        buf_consume(&t->text, len + 1);
    }
}

static void take(struct wrap_told *t)
{
    uint8_t some[4096];
    for (ssize_t n; (n = read(t->in, some, sizeof(some))) > 0 || (n < 0 && errno == EINTR);)
        if (n > 0 && buf_append(&t->text, some, (size_t)n))
            tell_whole_lines(t);
}

static void on_ready(struct watch *w, uint32_t events)
{
    (void)events;
    take(CONTAINER_OF(w, struct wrap_told, watch));
}

int wrap_told_open(struct wrap_told *t, struct err *err)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return err_errno(err, errno, "no pipe for what there is to tell");
    *t = (struct wrap_told){.watch = {.fd = -1}, .in = ends[0], .out = ends[1]};
    fcntl(t->in, F_SETFL, O_NONBLOCK);
    snprintf(t->path, sizeof(t->path), "/dev/fd/%d", t->out);
    return 0;
}

void wrap_told_begin(struct wrap_told *t, struct loop *loop)
{
    t->loop = loop;
    if (loop_watch(loop, &t->watch, t->in, EPOLLIN | EPOLLET, on_ready) != 0)
        fprintf(stderr, "cardea wrap: connections that fail are not told of: %s\n", strerror(errno));
}

void wrap_told_end(struct wrap_told *t)
{
    loop_unwatch(t->loop, &t->watch);
}

void wrap_told_close(struct wrap_told *t)
{
    take(t);
    close(t->in);
    close(t->out);
    buf_free(&t->text);
}
