/* SPDX-License-Identifier: Apache-2.0 */
/* POST /reload: answers once the new configuration is in force, {"ok":true}, perhaps with a "notice"; or,
 * with status 422, when it was refused: {"ok":false,"errors":[...]}, a text a line, which name file, line and
 * column. */
#include <string.h>

#include "admin/admin_internal.h"
#include "base/str.h"

/* Append the lines of `text` as JSON strings with commas between. */
static bool put_lines(struct buf *b, const char *text)
{
    const char *comma = "";
    bool ok = true;
    while (*text != '\0' && ok) {
        size_t n = strcspn(text, "\n");
        if (n > 0) {
            ok = buf_printf(b, "%s", comma) && str_json(b, text, n);
            comma = ",";
        }
        text += n + (text[n] == '\n');
    }
    return ok;
}

static void reloaded(void *arg, bool ok, const char *errors)
{
    struct exchange *e = arg;
    struct admin *a = exchange_arg(e);
    struct buf body = {0};
    if (!ok) {
        bool made = buf_printf(&body, "{\"ok\":false,\"errors\":[") && put_lines(&body, errors) &&
                    buf_printf(&body, "]}\n");
        if (made)
            exchange_answer(e, 422, TYPE_JSON, &body);
        else
            admin_answer(e, false, TYPE_JSON, &body);
        return;
    }
    const char *notice = a == NULL ? NULL : admin_outdated(a);
    bool made = buf_printf(&body, "{\"ok\":true");
    if (notice != NULL)
        made = made && buf_printf(&body, ",\"notice\":") && admin_json_text(&body, notice);
    made = made && buf_printf(&body, "}\n");
    admin_answer(e, made, TYPE_JSON, &body);
}

void admin_reload(struct exchange *e, const struct request *request)
{
    struct admin *a = exchange_arg(e);
    (void)request;
    door_reload(a->door, reloaded, e);
}
