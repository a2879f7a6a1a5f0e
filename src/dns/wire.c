/* SPDX-License-Identifier: Apache-2.0 */
#include "dns/wire.h"

#include <string.h>

#include "base/check.h"

#define POINTER 0xc0

bool dns_read_header(struct cursor *c, struct dns_header *ret)
{
    bool ok = cursor_uint(c, 2, &ret->id) && cursor_uint(c, 2, &ret->flags);
    for (size_t i = 0; i < ARRAY_LEN(ret->counts); i++)
        ok = ok && cursor_uint(c, 2, &ret->counts[i]);
    return ok;
}

const char *dns_code_word(unsigned code)
{
    static const char *const words[] = {
        [1] = "FORMERR",  [2] = "SERVFAIL", [3] = "NXDOMAIN", [4] = "NOTIMP",  [5] = "REFUSED",
        [6] = "YXDOMAIN", [7] = "YXRRSET",  [8] = "NXRRSET",  [9] = "NOTAUTH", [10] = "NOTZONE"};
    return code < ARRAY_LEN(words) ? words[code] : NULL;
}

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c;
}

void dns_put_name(struct writer *w, const char *name)
{
    while (*name != '\0' && !w->full) {
        size_t len = strcspn(name, ".");
        if (len == 0 || len > HOSTNAME_LABEL_MAX) {
            w->full = true;
            return;
        }
        writer_uint(w, 1, len);
        for (size_t i = 0; i < len; i++)
            writer_uint(w, 1, lower((uint8_t)name[i]));
        name += len + (name[len] == '.' ? 1 : 0);
    }
    writer_uint(w, 1, 0);
}

bool dns_skip_name(struct cursor *c)
{
    uint8_t len;
    while (cursor_u8(c, &len)) {
        if (len == 0)
            return true;
        if ((len & POINTER) == POINTER)
            return cursor_skip(c, 1);
        if (len > HOSTNAME_LABEL_MAX || !cursor_skip(c, len))
            return false;
    }
    return false;
}

static bool is_of_names(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

/* Append a label to the text. */
static bool add_label(struct cursor *at, size_t len, char text[HOSTNAME_MAX + 1], size_t *used)
{
    const uint8_t *p;
    size_t dot = *used > 0 ? 1 : 0;
    if (len > HOSTNAME_LABEL_MAX || *used + dot + len > HOSTNAME_MAX || !cursor_bytes(at, len, &p))
        return false;
    if (dot > 0)
        text[(*used)++] = '.';
    for (size_t i = 0; i < len; i++) {
        if (!is_of_names(lower(p[i])))
            return false;
        text[(*used)++] = (char)lower(p[i]);
    }
    return true;
}

/* Each pointer leads to before the part that it ends, so there is an end. */
bool dns_read_name(struct cursor *c, struct str message, char ret[HOSTNAME_MAX + 1])
{
    const uint8_t *base = (const uint8_t *)message.p, *part = c->p;
    struct cursor at = *c;
    bool jumped = false;
    size_t used = 0;
    uint8_t len, low;
    for (;;) {
        if (!cursor_u8(&at, &len))
            return false;
        if ((len & POINTER) == POINTER) {
            if (!cursor_u8(&at, &low))
                return false;
            if (!jumped)
                c->p = at.p;
            jumped = true;
            size_t to = (size_t)(len & ~POINTER) << 8 | low;
            if (to >= (size_t)(part - base))
                return false;
            part = base + to;
            at = (struct cursor){part, base + message.len};
        } else if (len == 0) {
            break;
        } else if (!add_label(&at, len, ret, &used)) {
            return false;
        }
    }
    if (!jumped)
        c->p = at.p;
    ret[used] = '\0';
    return true;
}
