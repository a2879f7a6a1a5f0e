/* SPDX-License-Identifier: Apache-2.0 */
#include "config/report.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/err.h"
#include "base/str.h"
#include "config/config.h"

int report_add(struct report *r, struct config_pos at, const char *fmt, ...)
{
    if (++r->count > REPORT_MAX || r->out == NULL)
        return -1;
    char text[ERR_TEXT_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    /* Without memory for its text the error still counts. */
    if (at.line == 0)
        buf_printf(r->out, "%s: %s\n", r->file, text);
    else
        buf_printf(r->out, "%s:%u:%u: %s\n", r->file, at.line, at.column, text);
    return -1;
}

void report_finish(struct report *r)
{
    if (r->count > REPORT_MAX && r->out != NULL)
        buf_printf(r->out, "%s: and %u more\n", r->file, r->count - REPORT_MAX);
}

/* Without control characters; of what is longer than `room` so much, and dots. */
static const char *show(char *ret, size_t cap, const char *text, size_t room)
{
    static const char cut[] = "...";
    size_t n = 0, len = strlen(text);
    bool all = len <= room;
    /* Never in the middle of a character (RFC 3629, 3): go back over its continuation bytes. */
    size_t keep = all ? len : room;
    CHECK(room + sizeof(cut) <= cap);
    while (!all && keep > 0 && ((unsigned char)text[keep] & 0xc0) == 0x80)
        keep--;
    for (size_t i = 0; i < keep; i++) {
        unsigned char c = (unsigned char)text[i];
        ret[n++] = c < 0x20 || c == 0x7f ? '?' : (char)c;
    }
    snprintf(ret + n, cap - n, "%s", all ? "" : cut);
    return ret;
}

const char *report_quote(char quoted[QUOTE_MAX], const char *text)
{
    char shown[QUOTE_MAX - 2];
    snprintf(quoted, QUOTE_MAX, "'%s'", show(shown, sizeof(shown), text, sizeof(shown) - sizeof("...")));
    return quoted;
}

const char *report_key(char shown[QUOTE_MAX], const char *key)
{
    return show(shown, QUOTE_MAX, key, MIN(strcspn(key, ":$="), (size_t)KEY_SHOWN));
}
