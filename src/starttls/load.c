/* SPDX-License-Identifier: Apache-2.0 */
/* Scripts of the user's own. */
#include <string.h>

#include "base/file.h"
#include "starttls/starttls.h"

#define SCRIPT_FILE_MAX 262144u

bool starttls_is_file(const char *name)
{
    return strpbrk(name, "/.") != NULL;
}

struct starttls *starttls_load(const char *path, bool chat, struct err *err)
{
    struct buf text = {0};
    struct starttls *p = NULL;
    if (file_read(path, SCRIPT_FILE_MAX, &text, NULL, err) == 0)
        p = chat ? starttls_parse_chat(path, (const char *)text.data, text.len, false, err)
                 : starttls_parse(path, (const char *)text.data, text.len, err);
    buf_free(&text);
    return p;
}
