/* SPDX-License-Identifier: Apache-2.0 */
/* chat(8) scripts, written anew in our own language: what to expect is a state that looks for a text in a
 * stream, what to send is its rule's action. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "starttls/starttls.h"

#define CHAT_MAX 65536u    /* bytes of a script */
#define CHAT_STEPS_MAX 128 /* texts to expect */
#define CHAT_ABORTS_MAX 32

struct word {
    const char *at;
    struct str s; /* as written, without its quotes */
};

/* A text that is expected, and what is said when it has come. */
struct step {
    bool open;
    struct buf expect;
    struct buf send;   /* ready for a rule: send "..."; send "..."; */
    size_t aborts_len; /* of the rules for ABORT, those that were there before */
    bool ends_there;   /* nothing of the line that it stands in follows */
};

struct chat {
    const char *name;
    const char *text;
    const char *at;
    const char *end;
    struct err *err;
    struct buf out;
    struct buf begin;  /* texts that are sent before anything is expected */
    struct buf aborts; /* rules */
    struct step step;
    unsigned steps;
    unsigned aborts_n;
};

static int chat_error(const struct chat *c, const char *at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static int chat_error(const struct chat *c, const char *at, const char *fmt, ...)
{
    char text[ERR_TEXT_MAX];
    size_t line = 1, column = 1;
    for (const char *p = c->text; p < at; p++) {
        column = *p == '\n' ? 1 : column + 1;
        line += *p == '\n';
    }
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    return err_set(c->err, "%s:%zu:%zu: %s", c->name, line, column, text);
}

static bool is_blank(char ch)
{
    return ch == ' ' || ch == '\t' || ch == '\r' || ch == '\n';
}

/* A line that begins with '#' is a comment. */
static void skip(struct chat *c)
{
    while (c->at < c->end) {
        bool begins = c->at == c->text || c->at[-1] == '\n';
        if (begins && *c->at == '#')
            while (c->at < c->end && *c->at != '\n')
                c->at++;
        else if (is_blank(*c->at))
            c->at++;
        else
            return;
    }
}

/* Up to the same quote on the same line. */
static int read_quoted(struct chat *c, struct word *ret)
{
    char quote = *c->at++;
    const char *from = c->at;
    while (c->at < c->end && *c->at != quote && *c->at != '\n')
        c->at += *c->at == '\\' && c->end - c->at > 1 && c->at[1] != '\n' ? 2 : 1;
    if (c->at == c->end || *c->at != quote)
        return chat_error(c, ret->at, "found a quote that is not closed, expected %c at the text's end",
                          quote);
    ret->s = (struct str){from, (size_t)(c->at - from)};
    c->at++;
    return 1;
}

/* 1: a word, 0: there is no more, -1: error. */
static int read_word(struct chat *c, struct word *ret)
{
    skip(c);
    ret->at = c->at;
    if (c->at == c->end)
        return 0;
    if (*c->at == '"' || *c->at == '\'')
        return read_quoted(c, ret);
    while (c->at < c->end && !is_blank(*c->at))
        c->at++;
    ret->s = (struct str){ret->at, (size_t)(c->at - ret->at)};
    return 1;
}

/* ---- texts ---- */

/* One to three octal digits. */
static char read_octal(const char **at, const char *end)
{
    unsigned v = 0;
    for (int i = 0; i < 3 && *at < end && **at >= '0' && **at <= '7'; i++)
        v = v * 8 + (unsigned)(*(*at)++ - '0');
    return (char)v;
}

/* What stands behind a backslash. Pauses (\d, \p) and \q, which hides a text from the log, add nothing. */
static int read_escape(struct chat *c, const char **at, const char *end, bool send, struct buf *ret)
{
    static const char from[] = "bnrstN", to[] = "\b\n\r \t";
    const char *known = *at < end && **at != '\0' ? strchr(from, **at) : NULL;
    char ch;
    if (*at == end)
        return chat_error(c, end - 1,
                          "found a backslash at the end of a text; one of the text itself is written \\\\");
    if (**at >= '0' && **at <= '7') {
        ch = read_octal(at, end);
        CHECK(buf_append(ret, &ch, 1));
        return 0;
    }
    ch = *(*at)++;
    if (send && (ch == 'd' || ch == 'p' || ch == 'q'))
        return 0;
    bool letter = (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || ch == '8' || ch == '9';
    if (known == NULL && letter)
        return chat_error(c, *at - 2,
                          "found '\\%c', expected one of \\b \\n \\r \\s \\t \\N \\\\ \\0 to \\377%s", ch,
                          send ? ", \\d \\p \\q, or \\c at the end" : "");
    CHECK(buf_append(ret, known != NULL ? &to[known - from] : &ch, 1));
    return 0;
}

/* A text's bytes. `stop`: ends there, where it is not escaped (0: nowhere). */
static int read_text(struct chat *c, const char **at, const char *end, bool send, char stop, struct buf *ret)
{
    while (*at < end && (stop == 0 || **at != stop)) {
        char ch = *(*at)++;
        bool control = ch == '^' && *at < end && **at >= '@' && **at <= '_';
        if (ch == '\\' && read_escape(c, at, end, send, ret) != 0)
            return -1;
        if (control)
            ch = *(*at)++ & 0x1f;
        if (ch != '\\' || control)
            CHECK(buf_append(ret, &ch, 1));
    }
    return 0;
}

/* As a text in quotes of our own language. */
static void put_quoted(struct buf *to, const struct buf *text)
{
    static const char from[] = "\r\n\t\"\\{}", as[] = "rnt\"\\{}";
    CHECK(buf_append(to, "\"", 1));
    for (size_t i = 0; i < text->len; i++) {
        char ch = (char)text->data[i];
        const char *known = ch != '\0' ? strchr(from, ch) : NULL;
        if (known != NULL || ch == '\0')
            CHECK(buf_append(to, (const char[]){'\\', known != NULL ? as[known - from] : '0'}, 2));
        else
            CHECK(buf_append(to, &ch, 1));
    }
    CHECK(buf_append(to, "\"", 1));
}

/* ---- pairs ---- */

/* The step before is complete: its state. `last`: TLS begins behind it. */
static void put_step(struct chat *c, bool last)
{
    struct step *s = &c->step;
    if (!s->open)
        return;
    if (c->steps == 0 && c->begin.len > 0)
        CHECK(buf_printf(&c->out, "begin send ") && buf_append(&c->out, c->begin.data, c->begin.len) &&
              buf_append(&c->out, "\n", 1));
    CHECK(buf_printf(&c->out, "state s%u\n  on ", c->steps));
    put_quoted(&c->out, &s->expect);
    CHECK(buf_printf(&c->out, ": ") && buf_append(&c->out, s->send.data, s->send.len));
    if (!last)
        CHECK(buf_printf(&c->out, "go s%u\n", c->steps + 1));
    else
        CHECK(buf_printf(&c->out, s->ends_there ? "switch\n" : "go end\n"));
    CHECK(buf_append(&c->out, c->aborts.data, s->aborts_len));
    if (last && !s->ends_there)
        CHECK(buf_printf(&c->out, "state end unit line\n  on {...}: switch\n"));
    c->steps++;
    buf_free(&s->expect);
    buf_free(&s->send);
    s->open = false;
}

/* EXPECT[-SEND-EXPECT]...: what is sent when nothing has come in time is not sent: then the connection ends.
 */
static int read_expect(struct chat *c, const struct word *w)
{
    const char *at = w->s.p, *end = w->s.p + w->s.len;
    struct buf text = {0};
    int r = read_text(c, &at, end, false, '-', &text);
    unsigned parts = 1;
    for (struct buf rest = {0}; r == 0 && at < end; parts++, buf_free(&rest)) {
        at++;
        r = read_text(c, &at, end, parts % 2 == 1, '-', &rest);
    }
    if (r == 0 && parts % 2 == 0)
        r = chat_error(
            c, w->at,
            "found '%.*s', expected another '-' and a text behind what is sent when nothing comes in time; "
            "a '-' of the text itself is written \\-",
            (int)MIN(w->s.len, (size_t)80), w->s.p);
    if (r == 0 && text.len == 0 && parts > 1)
        r = chat_error(c, w->at, "found nothing before '-', expected a text");
    if (r == 0 && text.len > 0 && c->steps + c->step.open == CHAT_STEPS_MAX)
        r = chat_error(c, w->at, "found more than %d texts to expect", CHAT_STEPS_MAX);
    if (r != 0 || text.len == 0) {
        buf_free(&text);
        return r;
    }
    put_step(c, false);
    c->step = (struct step){.open = true, .expect = text, .aborts_len = c->aborts.len};
    c->step.ends_there = text.data[text.len - 1] == '\n';
    return 0;
}

/* Ends with CR unless it ends with \c. */
static int read_send(struct chat *c, const struct word *w)
{
    struct buf text = {0};
    size_t len = w->s.len;
    bool bare = len >= 2 && memcmp(w->s.p + len - 2, "\\c", 2) == 0 && (len == 2 || w->s.p[len - 3] != '\\');
    const char *at = w->s.p, *end = w->s.p + len - (bare ? 2 : 0);
    if (len > 0 && *w->s.p == '@')
        return chat_error(c, w->at, "found '%.*s', expected a text to send: files are not read",
                          (int)MIN(len, (size_t)80), w->s.p);
    if (str_is(w->s, "EOT") || str_is(w->s, "BREAK"))
        return chat_error(c, w->at, "found %.*s, expected a text to send: that is for terminals", (int)len,
                          w->s.p);
    if (read_text(c, &at, end, true, 0, &text) != 0) {
        buf_free(&text);
        return -1;
    }
    CHECK(bare || buf_append(&text, "\r", 1));
    c->step.ends_there = c->step.ends_there || (bare && text.len == 0);
    if (text.len > 0 && c->step.open) {
        CHECK(buf_printf(&c->step.send, "send "));
        put_quoted(&c->step.send, &text);
        CHECK(buf_printf(&c->step.send, "; "));
    } else if (text.len > 0) {
        put_quoted(&c->begin, &text);
    }
    buf_free(&text);
    return 0;
}

/* ABORT TEXT: a rule for all that is expected from here on. */
static int read_abort(struct chat *c, const struct word *w)
{
    struct buf text = {0};
    const char *at = w->s.p;
    int r = read_text(c, &at, w->s.p + w->s.len, false, 0, &text);
    if (r == 0 && text.len == 0)
        r = chat_error(c, w->at, "found nothing to abort at, expected a text");
    if (r == 0 && c->aborts_n++ == CHAT_ABORTS_MAX)
        r = chat_error(c, w->at, "found more than %d texts to abort at", CHAT_ABORTS_MAX);
    if (r == 0) {
        CHECK(buf_printf(&c->aborts, "  on "));
        put_quoted(&c->aborts, &text);
        CHECK(buf_printf(&c->aborts, ": refused \"the peer said what the script aborts at (ABORT)\"\n"));
    }
    buf_free(&text);
    return r;
}

/* TIMEOUT SECONDS: the time is bounded by whoever runs the script. */
static int read_timeout(struct chat *c, const struct word *w)
{
    char text[16];
    uint64_t seconds;
    if (str_copy(text, sizeof(text), w->s.p, w->s.len) && str_u64(text, 86400, &seconds))
        return 0;
    return chat_error(c, w->at, "found '%.*s', expected a time in seconds behind TIMEOUT",
                      (int)MIN(w->s.len, (size_t)80), w->s.p);
}

/* Is it a word with an argument? *ret_read: what reads that; NULL: nothing does, it is left out. */
static int find_keyword(struct chat *c, const struct word *w, bool *ret_is,
                        int (**ret_read)(struct chat *, const struct word *))
{
    static const char *const none[] = {"CLR_ABORT", "REPORT", "CLR_REPORT", "ECHO", "HANGUP"};
    for (size_t i = 0; i < ARRAY_LEN(none); i++)
        if (str_is(w->s, none[i]))
            return chat_error(
                c, w->at, "found %s, which has no meaning here: leave it out, with what follows it", none[i]);
    *ret_is = true;
    *ret_read = NULL;
    if (str_is(w->s, "ABORT"))
        *ret_read = read_abort;
    else if (str_is(w->s, "TIMEOUT"))
        *ret_read = read_timeout;
    else
        *ret_is = str_is(w->s, "SAY");
    return 0;
}

/* A text to expect and one to send, or a word and its argument. 0: at the end. */
static int read_pair(struct chat *c)
{
    struct word first = {0}, second = {0};
    bool keyword = false;
    int (*read)(struct chat *, const struct word *) = NULL;
    int r = read_word(c, &first);
    if (r <= 0)
        return r;
    if (find_keyword(c, &first, &keyword, &read) != 0 || (!keyword && read_expect(c, &first) != 0))
        return -1;
    r = read_word(c, &second);
    if (r == 0 && keyword)
        return chat_error(c, second.at, "found the end of the file, expected what %.*s is about",
                          (int)first.s.len, first.s.p);
    if (r <= 0)
        return r;
    if (keyword && read == NULL)
        return 1;
    return (keyword ? read(c, &second) : read_send(c, &second)) != 0 ? -1 : 1;
}

static struct starttls *read_chat(struct chat *c, bool answer)
{
    int r;
    CHECK(buf_printf(&c->out, "unit stream\nsection %s\n", answer ? "answer" : "ask"));
    do
        r = read_pair(c);
    while (r > 0);
    if (r == 0 && !c->step.open)
        r = chat_error(c, c->end, "found nothing to expect, so TLS would never begin; expected a text");
    if (r != 0)
        return NULL;
    put_step(c, true);
    return starttls_parse(c->name, (const char *)c->out.data, c->out.len, c->err);
}

struct starttls *starttls_parse_chat(const char *name, const char *text, size_t len, bool answer,
                                     struct err *err)
{
    struct chat c = {.name = name, .text = text, .at = text, .end = text + len, .err = err};
    struct starttls *s = NULL;
    if (len > CHAT_MAX)
        err_set(err, "%s: found %zu bytes, expected at most %u", name, len, CHAT_MAX);
    else
        s = read_chat(&c, answer);
    buf_free(&c.out);
    buf_free(&c.begin);
    buf_free(&c.aborts);
    buf_free(&c.step.expect);
    buf_free(&c.step.send);
    return s;
}
