/* SPDX-License-Identifier: Apache-2.0 */
#include "probe/hsts.h"

#include "base/str.h"
#include "probe/head.h"

#define AGE_MAX (INT64_MAX / 10 - 10)

/* Digits, perhaps in quotes; more than can be counted is as good as for ever. */
static bool read_age(struct str value, int64_t *ret)
{
    if (value.len >= 2 && value.p[0] == '"' && value.p[value.len - 1] == '"')
        value = (struct str){value.p + 1, value.len - 2};
    int64_t age = 0;
    for (size_t i = 0; i < value.len; i++) {
        if (value.p[i] < '0' || value.p[i] > '9')
            return false;
        if (age < AGE_MAX)
            age = 10 * age + (value.p[i] - '0');
    }
    *ret = age;
    return value.len > 0;
}

static void read_field(struct str value, struct hsts *ret)
{
    struct str directive, name, rest;
    while (head_next_part(&value, ';', &directive)) {
        rest = directive;
        if (!head_next_part(&rest, '=', &name))
            continue;
        if (head_is(head_trim(name), "includeSubDomains"))
            ret->subdomains = true;
        else if (head_is(head_trim(name), "max-age") && rest.p != NULL)
            ret->sent = read_age(head_trim(rest), &ret->max_age);
    }
}

void hsts_read(const uint8_t *data, size_t len, struct hsts *ret)
{
    struct head head = head_read(data, len);
    struct str value;
    *ret = (struct hsts){.status = head.status};
    if (head_next_field(&head.fields, "Strict-Transport-Security", &value))
        read_field(value, ret);
}
