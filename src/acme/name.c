/* SPDX-License-Identifier: Apache-2.0 */
/* Identifiers: DNS names (RFC 8555, 7.1.4) and addresses (RFC 8738). */
#include <stdlib.h>
#include <string.h>

#include "acme/server_internal.h"
#include "base/check.h"
#include "net/addr.h"

static const char *read_dns(const char *value, struct acme_name *ret)
{
    size_t len = strlen(value);
    if (len > HOSTNAME_MAX) /* with its "*." */
        return hostname_fault_text(HOSTNAME_TOO_LONG);
    ret->wildcard = strncmp(value, "*.", 2) == 0;
    if (ret->wildcard) {
        value += 2;
        len -= 2;
    }
    enum hostname_fault fault = hostname_check(value, len);
    if (fault != HOSTNAME_OK)
        return hostname_fault_text(fault);
    CHECK(str_copy(ret->text, sizeof(ret->text), value, len));
    str_lower(ret->text, len);
    if (ret->wildcard && strchr(ret->text, '.') == NULL)
        return "a wildcard below a name of at least two labels";
    return NULL;
}

bool acme_name_read(const char *type, const char *value, struct acme_name *ret,
                    enum acme_problem *ret_problem, const char **ret_why)
{
    struct net_addr a;
    *ret = (struct acme_name){.ip = strcmp(type, "ip") == 0};
    *ret_problem = ACME_UNSUPPORTED_IDENTIFIER;
    *ret_why = "\"dns\" or \"ip\" as its type";
    if (!ret->ip && strcmp(type, "dns") != 0)
        return false;
    *ret_problem = ACME_MALFORMED;
    if (!ret->ip)
        return (*ret_why = read_dns(value, ret)) == NULL;
    *ret_why = "an IPv4 or IPv6 address";
    if (!net_addr_parse(value, 0, &a))
        return false;
    net_addr_host(&a, ret->text);
    return true;
}

bool acme_name_equal(const struct acme_name *a, const struct acme_name *b)
{
    return a->ip == b->ip && a->wildcard == b->wildcard && strcmp(a->text, b->text) == 0;
}

json_t *acme_names_json(const struct acme_name *names, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        char text[ACME_NAME_TEXT];
        json_array_append_new(list, json_pack("{s:s, s:s}", "type", acme_name_type(&names[i]), "value",
                                              acme_name_text(&names[i], text)));
    }
    return list;
}

bool acme_names_load(struct str json, struct acme_name **ret, size_t *ret_count)
{
    json_t *list = json_loadb(json.p, json.len, 0, NULL);
    size_t count = json_array_size(list);
    struct acme_name *names = calloc(count > 0 ? count : 1, sizeof(*names));
    CHECK(names != NULL);
    bool ok = count > 0;
    for (size_t i = 0; i < count && ok; i++) {
        enum acme_problem problem;
        const char *why, *type = NULL, *value = NULL;
        ok = json_unpack(json_array_get(list, i), "{s:s, s:s}", "type", &type, "value", &value) == 0 &&
             acme_name_read(type, value, &names[i], &problem, &why);
    }
    json_decref(list);
    *ret = names;
    *ret_count = ok ? count : 0;
    return ok;
}
