/* SPDX-License-Identifier: Apache-2.0 */
#include "hello/server_name.h"

#include <arpa/inet.h>

#include "base/check.h"

#define NAME_TYPE_HOST 0
#define LABEL_MAX 63 /* RFC 1035, 2.3.4 */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Letters, digits, hyphen (RFC 1123, 2.1), in any place of the label since there are such names; and the
 * underscore, which is in real host names too. The text is in lower case already. */
static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || is_digit(c) || c == '-' || c == '_';
}

/* Labels of 1 to 63 permitted characters with single dots between them, the last one not a number: "1.2.3.4",
 * "127.1" and "2130706433" are ways to write an address, not names. */
static bool is_dns_name(const char *name, size_t len)
{
    size_t start = 0;
    bool number = true;
    for (size_t i = 0; i < len; i++) {
        if (name[i] == '.') {
            if (i == start || i - start > LABEL_MAX)
                return false;
            start = i + 1;
            number = true;
        } else if (!is_name_char(name[i])) {
            return false;
        } else {
            number = number && is_digit(name[i]);
        }
    }
    return len > start && len - start <= LABEL_MAX && !number;
}

/* An IP address in text; `name` is NUL-terminated and has no other NUL. */
static bool is_address(const char *name)
{
    struct in6_addr ignored;
    return inet_pton(AF_INET, name, &ignored) == 1 || inet_pton(AF_INET6, name, &ignored) == 1;
}

enum hello_reason server_name_parse(struct cursor body, struct hello *h)
{
    struct cursor list, name;
    uint8_t type;
    /* A list by its syntax, but one host_name is all that was ever defined and all that servers take. */
    if (!cursor_vector(&body, 2, &list) || cursor_left(&body) > 0 || !cursor_u8(&list, &type) ||
        type != NAME_TYPE_HOST || !cursor_vector(&list, 2, &name) || cursor_left(&list) > 0 ||
        cursor_left(&name) == 0)
        return HELLO_REASON_SERVER_NAME;

    /* RFC 6066 forbids the trailing dot; it names the same host. */
    size_t len = cursor_left(&name);
    if (name.p[len - 1] == '.')
        len--;
    if (len > HELLO_NAME_MAX || memchr(name.p, '\0', len) != NULL)
        return HELLO_REASON_SERVER_NAME_NOT_DNS;
    memcpy(h->name, name.p, len);
    h->name[len] = '\0';
    str_lower(h->name, len);

    if (is_dns_name(h->name, len)) {
        h->name_kind = HELLO_NAME_DNS;
        h->name_len = (uint8_t)len;
        return HELLO_REASON_NONE;
    }
    if (!is_address(h->name))
        return HELLO_REASON_SERVER_NAME_NOT_DNS;
    h->name_kind = HELLO_NAME_ADDRESS;
    h->name[0] = '\0';
    return HELLO_REASON_NONE;
}
