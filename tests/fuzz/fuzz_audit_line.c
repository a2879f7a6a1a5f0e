/* SPDX-License-Identifier: Apache-2.0 */
/* audit/line.h: what is taken as a line is JSON, as another reader finds, and the texts are within it. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <jansson.h>

#include "audit/line.h"
#include "base/check.h"
#include "base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Does it hold nothing that jansson looks at beyond the form: UTF-8, escapes of surrogates and NUL, the size
 * of numbers? */
static bool is_judged_alike(const char *text, size_t len)
{
    size_t digits = 0;
    for (size_t i = 0, n; i < len; i += n) {
        if ((n = utf8_length(text + i, len - i)) == 0)
            return false;
        if (digits > 0 && (text[i] == 'e' || text[i] == 'E'))
            return false;
        digits = text[i] >= '0' && text[i] <= '9' ? digits + 1 : 0;
        if (digits > 18)
            return false;
    }
    return memmem(text, len, "\\u", 2) == NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const char *text = (const char *)data;
    struct audit_line line;
    char space[64];
    if (audit_line_read(text, len, &line) != NULL)
        return 0;
    for (size_t i = 0; i < AUDIT_FIELDS; i++) {
        struct str v = line.v[i];
        CHECK(v.p == NULL || (v.p > text && v.p + v.len < text + len && v.p[-1] == '"' && v.p[v.len] == '"'));
        if (v.p != NULL)
            audit_line_text(v, space, sizeof(space));
    }
    CHECK(line.v[AUDIT_TIME].len == AUDIT_TIME_LEN);
    if (is_judged_alike(text, len)) {
        json_t *other = json_loadb(text, len, 0, NULL);
        CHECK(json_is_object(other));
        json_decref(other);
    }
    return 0;
}
