/* SPDX-License-Identifier: Apache-2.0 */
#include "import/import.h"

#include <string.h>

#include "base/check.h"

static const struct import_program programs[] = {
    {"stunnel", import_stunnel, NULL},
    {"hitch", import_hitch, NULL},
    {"ghostunnel", NULL, import_ghostunnel},
    {"sslh", import_sslh, import_sslh_args},
};

const char *const import_names[] = {"stunnel", "hitch", "ghostunnel", "sslh", NULL};

const struct import_program *import_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(programs); i++)
        if (strcmp(programs[i].name, name) == 0)
            return &programs[i];
    return NULL;
}

void import_result_free(struct import_result *r)
{
    buf_free(&r->yaml);
    buf_free(&r->json);
}
