/* SPDX-License-Identifier: Apache-2.0 */
#include "hello/server_name.h"

#define NAME_TYPE_HOST 0

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

    if (hostname_check(h->name, len) == HOSTNAME_OK) {
        h->name_kind = HELLO_NAME_DNS;
        h->name_len = (uint8_t)len;
        return HELLO_REASON_NONE;
    }
    uint8_t ignored[16];
    if (hostname_address(h->name, ignored) == 0)
        return HELLO_REASON_SERVER_NAME_NOT_DNS;
    h->name_kind = HELLO_NAME_ADDRESS;
    h->name[0] = '\0';
    return HELLO_REASON_NONE;
}
