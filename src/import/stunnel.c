/* SPDX-License-Identifier: Apache-2.0 */
#include "import/stunnel.h"

#include "base/check.h"

#define GLOBAL STUNNEL_GLOBAL
#define BOTH (STUNNEL_GLOBAL | STUNNEL_SERVICE)
#define MANY OPTION_MANY
static const struct option_row rows[] = {
#define TAKEN(name, flags) {name, flags, FATE_TAKEN, NULL},
#define NEEDLESS(name, flags, why) {name, flags, FATE_NEEDLESS, why},
#define MISSING(name, flags, instead) {name, flags, FATE_MISSING, instead},
#include "tables/import_stunnel.def"
#undef TAKEN
#undef NEEDLESS
#undef MISSING
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
