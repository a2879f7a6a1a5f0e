/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/check.h"
#include "base/cursor.h"
#include "starttls/script.h"

#define IAC 255
#define IAC_SE 240
#define IAC_SB 250
#define IAC_WILL 251

static enum unit_status whole(const uint8_t *data, size_t from, size_t n, size_t used, struct str *ret_unit,
                              size_t *ret_used)
{
    *ret_unit = (struct str){(const char *)data + from, n};
    *ret_used = used;
    return UNIT_WHOLE;
}

static enum unit_status more(size_t len)
{
    return len >= STARTTLS_UNIT_MAX ? UNIT_LONG : UNIT_MORE;
}

static enum unit_status cut_line(const uint8_t *data, size_t len, struct str *ret_unit, size_t *ret_used)
{
    const uint8_t *lf = len == 0 ? NULL : memchr(data, '\n', MIN(len, (size_t)STARTTLS_UNIT_MAX));
    if (lf == NULL)
        return more(len);
    size_t n = (size_t)(lf - data), used = n + 1;
    if (n > 0 && data[n - 1] == '\r')
        n--;
    if (n > 0 && (memchr(data, '\r', n) != NULL || memchr(data, '\0', n) != NULL))
        return UNIT_BAD;
    return whole(data, 0, n, used, ret_unit, ret_used);
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Text between tags is cut at blanks, so that what is no XML at all is seen at its first word. */
static enum unit_status cut_text(const uint8_t *data, size_t from, size_t len, struct str *ret_unit,
                                 size_t *ret_used)
{
    for (size_t i = from; i < MIN(len, (size_t)STARTTLS_UNIT_MAX); i++)
        if (data[i] == '<' || is_blank(data[i]))
            return whole(data, from, i - from, i, ret_unit, ret_used);
    return more(len);
}

static enum unit_status cut_tag(const uint8_t *data, size_t len, struct str *ret_unit, size_t *ret_used)
{
    size_t from = 0;
    while (from < len && is_blank(data[from]))
        from++;
    if (from == len)
        return more(len);
    if (data[from] != '<')
        return cut_text(data, from, len, ret_unit, ret_used);
    uint8_t quote = 0;
    for (size_t i = from; i < MIN(len, (size_t)STARTTLS_UNIT_MAX); i++) {
        if (quote != 0)
            quote = data[i] == quote ? 0 : quote;
        else if (data[i] == '"' || data[i] == '\'')
            quote = data[i];
        else if (data[i] == '>')
            return whole(data, from, i + 1 - from, i + 1, ret_unit, ret_used);
    }
    return more(len);
}

static enum unit_status cut_length(const uint8_t *data, size_t len, uint64_t n, struct str *ret_unit,
                                   size_t *ret_used)
{
    if (n == 0)
        return UNIT_BAD;
    if (n > STARTTLS_UNIT_MAX)
        return UNIT_LONG;
    return len < n ? UNIT_MORE : whole(data, 0, (size_t)n, (size_t)n, ret_unit, ret_used);
}

static enum unit_status cut_frame(const struct unit *u, const uint8_t *data, size_t len, struct str *ret_unit,
                                  size_t *ret_used)
{
    uint64_t n = 0;
    if (len < u->at + u->width)
        return UNIT_MORE;
    for (unsigned i = 0; i < u->width; i++)
        n = n << 8 | data[u->at + (u->little ? u->width - 1u - i : i)];
    n += u->more;
    return n < u->at + u->width ? UNIT_BAD : cut_length(data, len, n, ret_unit, ret_used);
}

int ber_header(const uint8_t *data, size_t len, size_t *ret_value)
{
    if (len >= 1 && (data[0] & 0x1f) == 0x1f)
        return -2;
    if (len < 2)
        return -1;
    if (data[1] < 0x80) {
        *ret_value = data[1];
        return 2;
    }
    unsigned width = data[1] & 0x7f;
    uint64_t n;
    if (width == 0 || width > 4)
        return -2;
    struct cursor c = cursor_of(data + 2, len - 2);
    if (!cursor_uint(&c, width, &n))
        return -1;
    *ret_value = (size_t)n;
    return (int)(2 + width);
}

static enum unit_status cut_ber(const uint8_t *data, size_t len, struct str *ret_unit, size_t *ret_used)
{
    size_t value;
    int head = ber_header(data, len, &value);
    if (head < 0)
        return head == -1 ? UNIT_MORE : UNIT_BAD;
    return cut_length(data, len, (uint64_t)head + value, ret_unit, ret_used);
}

/* IAC SB OPTION ... IAC SE. */
static enum unit_status cut_subnegotiation(const uint8_t *data, size_t len, struct str *ret_unit,
                                           size_t *ret_used)
{
    for (size_t i = 2; i + 1 < MIN(len, (size_t)STARTTLS_UNIT_MAX); i++) {
        if (data[i] != IAC)
            continue;
        if (data[i + 1] == IAC_SE)
            return whole(data, 0, i + 2, i + 2, ret_unit, ret_used);
        i++; /* a doubled IAC is data */
    }
    return more(len);
}

static enum unit_status cut_telnet(const uint8_t *data, size_t len, struct str *ret_unit, size_t *ret_used)
{
    if (len == 0 || (data[0] == IAC && len == 1))
        return UNIT_MORE;
    if (data[0] == IAC && data[1] == IAC_SB)
        return cut_subnegotiation(data, len, ret_unit, ret_used);
    size_t n = data[0] != IAC ? 1 : data[1] >= IAC_WILL && data[1] != IAC ? 3 : 2;
    return len < n ? UNIT_MORE : whole(data, 0, n, n, ret_unit, ret_used);
}

enum unit_status unit_cut(const struct unit *u, const uint8_t *data, size_t len, struct str *ret_unit,
                          size_t *ret_used)
{
    switch (u->kind) {
    case UNIT_LINE:
        return cut_line(data, len, ret_unit, ret_used);
    case UNIT_TAG:
        return cut_tag(data, len, ret_unit, ret_used);
    case UNIT_BYTES:
        return cut_length(data, len, u->more, ret_unit, ret_used);
    case UNIT_FRAME:
        return cut_frame(u, data, len, ret_unit, ret_used);
    case UNIT_BER:
        return cut_ber(data, len, ret_unit, ret_used);
    case UNIT_TELNET:
        return cut_telnet(data, len, ret_unit, ret_used);
    case UNIT_CONTENT: /* has its own, below; what is not content meanwhile is a line */
        return cut_line(data, len, ret_unit, ret_used);
    case UNIT_STREAM:
        return len == 0 ? UNIT_MORE : whole(data, 0, len, len, ret_unit, ret_used);
    }
    return UNIT_BAD;
}

/* ---- content ---- */

/* What some server might take for the end of a line, or leave out before it looks for one. */
static bool ends_some_line(uint8_t c)
{
    return c == '\r' || c == '\n' || c == '\0';
}

/* What a dot is. */
enum dot { DOT_PLAIN, DOT_END, DOT_UNCERTAIN, DOT_AMBIGUOUS };

/* Servers differ in what ends a mail: a dot between CR LF and CR LF, as it should be, or also between bare
 * LFs, behind which they then read commands, where another reads on in the mail. */
static enum dot judge_dot(const uint8_t before[2], const uint8_t *after, size_t len)
{
    if (!ends_some_line(before[1]))
        return DOT_PLAIN;
    if (len == 0)
        return DOT_UNCERTAIN;
    if (!ends_some_line(after[0]))
        return DOT_PLAIN;
    if (before[0] != '\r' || before[1] != '\n' || after[0] != '\r')
        return DOT_AMBIGUOUS;
    if (len == 1)
        return DOT_UNCERTAIN;
    return after[1] == '\n' ? DOT_END : DOT_AMBIGUOUS;
}

enum unit_status unit_cut_content(const uint8_t before[2], const uint8_t *data, size_t len,
                                  struct str *ret_unit, size_t *ret_used)
{
    size_t at = 0;
    enum dot kind = DOT_PLAIN;
    for (; at < len; at++) {
        const uint8_t *dot = memchr(data + at, '.', len - at);
        if (dot == NULL)
            return whole(data, 0, len, len, ret_unit, ret_used);
        at = (size_t)(dot - data);
        uint8_t behind[2] = {at > 1 ? data[at - 2] : before[at], at > 0 ? data[at - 1] : before[1]};
        kind = judge_dot(behind, dot + 1, len - at - 1);
        if (kind != DOT_PLAIN)
            break;
    }
    if (at > 0)
        return whole(data, 0, at, at, ret_unit, ret_used);
    if (kind == DOT_END)
        return whole(data, 0, 0, 3, ret_unit, ret_used);
    return kind == DOT_AMBIGUOUS ? UNIT_BAD : UNIT_MORE;
}
