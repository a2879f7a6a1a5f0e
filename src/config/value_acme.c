/* SPDX-License-Identifier: Apache-2.0 */
/* What certificates are obtained by. */
#include <string.h>

#include "base/err.h"
#include "base/str.h"
#include "config/value.h"

static int read_ca(const struct schema_value *v, void *ret, struct err *err)
{
    bool is_url = strchr(v->text, '/') != NULL || strchr(v->text, ':') != NULL;
    if ((is_url ? &value_url : &value_name)->read(v, ret, err) == 0)
        return 0;
    return value_refuse(
        v, err,
        "expected a URL such as https://acme.example.net/directory, or the name of one of 'acme_cas'");
}

static int read_backup(const struct schema_value *v, void *ret, struct err *err)
{
    struct config_acme_backup b = {.wanted = strcmp(v->text, "false") != 0};
    if (b.wanted && strcmp(v->text, "true") != 0 && read_ca(v, &b.ca, err) < 0)
        return -1;
    memcpy(ret, &b, sizeof(b));
    return 0;
}

static int read_key_kind(const struct schema_value *v, void *ret, struct err *err)
{
    char names[KEY_KIND_NAMES_MAX], hint[STR_HINT_MAX];
    enum key_kind kind;
    if (!key_kind_parse(v->text, &kind))
        return value_refuse(v, err, "expected %s%s", key_kind_names(names), key_kind_hint(v->text, hint));
    memcpy(ret, &kind, sizeof(kind));
    return 0;
}

const struct schema_type value_acme_ca = {"URL or name", sizeof(struct config_text), read_ca};
const struct schema_type value_acme_backup = {"true, false, URL or name", sizeof(struct config_acme_backup),
                                              read_backup};
const struct schema_type value_key_kind = {"kind of key", sizeof(enum key_kind), read_key_kind};
