/* SPDX-License-Identifier: Apache-2.0 */
#include "ech/config.h"

#define MANDATORY 0x8000 /* the highest bit of an extension's type (RFC 9849, 4.2) */

bool ech_config_next_suite(struct cursor *list, uint16_t *ret_kdf, uint16_t *ret_aead)
{
    return cursor_u16(list, ret_kdf) && cursor_u16(list, ret_aead);
}

bool ech_config_has_suite(const struct ech_config *config, uint16_t kdf, uint16_t aead)
{
    struct cursor list = config->suites;
    uint16_t k, a;
    while (ech_config_next_suite(&list, &k, &a))
        if (k == kdf && a == aead)
            return true;
    return false;
}

static bool read_extensions(struct cursor list, bool *ret_demands)
{
    uint16_t type;
    struct cursor body;
    *ret_demands = false;
    while (cursor_u16(&list, &type) && cursor_vector(&list, 2, &body))
        *ret_demands = *ret_demands || (type & MANDATORY) != 0;
    return cursor_left(&list) == 0;
}

static bool read_contents(struct cursor c, struct ech_config *ret)
{
    struct cursor name, extensions;
    if (!cursor_u8(&c, &ret->id) || !cursor_u16(&c, &ret->kem) || !cursor_vector(&c, 2, &ret->public_key) ||
        !cursor_vector(&c, 2, &ret->suites) || !cursor_u8(&c, &ret->longest_name) ||
        !cursor_vector(&c, 1, &name) || !cursor_vector(&c, 2, &extensions) || cursor_left(&c) > 0)
        return false;
    ret->public_name = (struct str){(const char *)name.p, cursor_left(&name)};
    return cursor_left(&ret->public_key) > 0 && cursor_left(&ret->suites) >= 4 &&
           cursor_left(&ret->suites) % 4 == 0 && ret->public_name.len > 0 &&
           read_extensions(extensions, &ret->demands);
}

bool ech_config_next(struct cursor *list, struct ech_config *ret)
{
    struct cursor at = *list, contents;
    *ret = (struct ech_config){0};
    if (!cursor_u16(&at, &ret->version) || !cursor_vector(&at, 2, &contents))
        return false;
    ret->whole = (struct cursor){list->p, at.p};
    if (ret->version == ECH_VERSION && !read_contents(contents, ret))
        return false;
    *list = at;
    return true;
}

bool ech_config_list(const uint8_t *data, size_t len, struct cursor *ret)
{
    struct cursor all = cursor_of(data, len);
    if (!cursor_vector(&all, 2, ret) || cursor_left(&all) > 0 || cursor_left(ret) == 0)
        return false;
    struct cursor list = *ret;
    struct ech_config config;
    while (ech_config_next(&list, &config))
        ;
    return cursor_left(&list) == 0;
}
