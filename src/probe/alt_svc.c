/* SPDX-License-Identifier: Apache-2.0 */
#include "probe/alt_svc.h"

#include <string.h>

#include "base/str.h"
#include "probe/head.h"

/* ":443" in quotes: a port alone means the same host. */
static bool is_here(struct str authority, uint16_t port)
{
    char digits[8];
    uint64_t found;
    if (authority.len < 4 || authority.p[0] != '"' || authority.p[1] != ':' ||
        authority.p[authority.len - 1] != '"' || authority.len - 3 >= sizeof(digits))
        return false;
    str_copy(digits, sizeof(digits), authority.p + 2, authority.len - 3);
    return str_u64(digits, UINT16_MAX, &found) && found == port;
}

/* A protocol and where it is; its parameters stand behind. A comma within quotes is none of a port. */
static bool tells(struct str alternative, uint16_t port)
{
    struct str service, protocol;
    if (!head_next_part(&alternative, ';', &service) || !head_next_part(&service, '=', &protocol))
        return false;
    return head_is(head_trim(protocol), "h3") && service.p != NULL && is_here(head_trim(service), port);
}

bool alt_svc_tells_h3(const uint8_t *data, size_t len, uint16_t port)
{
    struct head head = head_read(data, len);
    struct str value, alternative;
    bool told = false;
    while (head_next_field(&head.fields, "Alt-Svc", &value)) {
        while (head_next_part(&value, ',', &alternative)) {
            if (head_is(head_trim(alternative), "clear"))
                return false;
            told = told || tells(alternative, port);
        }
    }
    return told;
}
