/* SPDX-License-Identifier: Apache-2.0 */
#include "http/answer.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/clean.h"

#define SHOWN_MAX 1024 /* bytes of a text in an answer, with its NUL */

static const struct row {
    unsigned status;
    const char *phrase;
    const char *type; /* of RFC 9209, 2.3 */
    const char *text;
} rows[FRONT_OUTCOMES] = {
#define OUTCOME(name, code, status, phrase, type, socks, text) {status, phrase, type, text},
#include "tables/outcomes.def"
#undef OUTCOME
};

/* Append a string of structured fields (RFC 9651, 3.3.3): printable ASCII in quotes. */
static void put_quoted(struct buf *out, const char *text)
{
    CHECK(buf_append(out, "\"", 1));
    for (; *text != '\0'; text++) {
        char c = *text;
        if (c == '"' || c == '\\')
            CHECK(buf_printf(out, "\\%c", c));
        else
            CHECK(buf_append(out, c >= 0x20 && c < 0x7f ? &c : "?", 1));
    }
    CHECK(buf_append(out, "\"", 1));
}

/* One line for people: what happened, and for a denial by which rule, where the text does not say so itself.
 */
static void put_text(struct buf *body, const struct front_answer *answer)
{
    char text[SHOWN_MAX], rule[SHOWN_MAX];
    str_clean(text, sizeof(text), answer->text != NULL ? answer->text : rows[answer->outcome].text);
    CHECK(buf_printf(body, "%s", text));
    if (answer->outcome != FRONT_DENIED)
        return;
    str_clean(rule, sizeof(rule), answer->rule != NULL ? answer->rule : "no rule");
    if (strstr(text, rule) == NULL)
        CHECK(buf_printf(body, " (%s%s)", answer->rule != NULL ? "rule " : "", rule));
}

static struct str text_of(const char *text)
{
    return (struct str){text, strlen(text)};
}

static void add(struct answer *a, const char *name, struct str value)
{
    CHECK(a->n < ANSWER_FIELDS_MAX);
    a->fields[a->n++] = (struct answer_field){name, value};
}

static void refuse(struct answer *a, const struct front_answer *from, const struct row *row)
{
    put_text(&a->text, from);
    CHECK(buf_printf(&a->proxy_status, ANSWER_NAME "; error=%s; details=", row->type));
    put_quoted(&a->proxy_status, buf_text(&a->text));
    CHECK(buf_append(&a->text, "\n", 1));
    a->body = (struct str){(const char *)a->text.data, a->text.len};
    snprintf(a->length, sizeof(a->length), "%zu", a->body.len);
    add(a, "proxy-status", (struct str){(const char *)a->proxy_status.data, a->proxy_status.len});
    if (row->status == 405)
        add(a, "allow", text_of("CONNECT"));
    add(a, "content-type", text_of("text/plain; charset=utf-8"));
    add(a, "content-length", text_of(a->length));
}

/* No Date: cores have no clock (RFC 9110, 6.6.1 lets a recipient add it). */
void answer_make(struct answer *ret, const struct front_answer *from, bool udp)
{
    CHECK(from->outcome < FRONT_OUTCOMES);
    const struct row *row = &rows[from->outcome];
    *ret = (struct answer){.status = row->status, .phrase = row->phrase};
    snprintf(ret->status_text, sizeof(ret->status_text), "%u", row->status);
    /* With a yes no Content-Length: what follows is the tunnel (RFC 9110, 9.3.6). */
    if (from->outcome != FRONT_OK)
        refuse(ret, from, row);
    else if (udp)
        add(ret, "capsule-protocol", text_of("?1"));
}

enum front_result answer_bad(const uint8_t *data, size_t len, struct front_request *ret, struct err *err)
{
    (void)data, (void)len;
    CHECK(ret->bad < FRONT_OUTCOMES);
    err_set(err, "%s", rows[ret->bad].text);
    return FRONT_BAD;
}

void answer_free(struct answer *a)
{
    buf_free(&a->text);
    buf_free(&a->proxy_status);
    *a = (struct answer){0};
}
