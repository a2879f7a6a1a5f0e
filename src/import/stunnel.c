/* SPDX-License-Identifier: Apache-2.0 */
#include "import/stunnel.h"

#include "base/check.h"
#include "import/option_rows.h"

#define GLOBAL STUNNEL_GLOBAL
#define BOTH (STUNNEL_GLOBAL | STUNNEL_SERVICE)
static const struct option_row rows[] = {
#include "tables/import_stunnel.def"
};

int import_stunnel(const char *path, const struct import_files *files, struct import_result *ret,
                   struct err *err)
{
    struct stunnel st = {0};
    import_begin(&st.im, files, rows, ARRAY_LEN(rows), err);
    st.im.nocase = true;
    int rc = stunnel_read(&st, path);
    if (rc == 0)
        rc = stunnel_build(&st);
    return import_end(&st.im, rc, "stunnel", path, ret);
}
