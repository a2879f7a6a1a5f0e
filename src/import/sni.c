/* SPDX-License-Identifier: Apache-2.0 */
#include "import/sni.h"

#include <stdbool.h>
#include <string.h>

#include "base/hostport.h"

const char *sni_pattern(struct pool *p, const char *pattern)
{
    char name[HOST_MAX];
    bool star = strncmp(pattern, "*.", 2) == 0;
    const char *rest = star ? pattern + 2 : pattern;
    if (str_host_name(rest, strlen(rest), name, NULL) < 0)
        return NULL;
    return pool_printf(p, "%s%s", star ? "**." : "", name);
}
